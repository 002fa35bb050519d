//! Compact JWS (RFC 7515, section 7.1), as strict as RFC 8725 asks.
//!
//! Parsed here rather than by a JWT crate: the rules that attacks turn on are these few lines, and a crate accepts more
//! than the edge needs. It is no question of size: the cryptography (RustCrypto's `hmac` and `p256`, dalek's Ed25519)
//! makes up most of it either way, and the whole of proven identity is some 250 kB of wasm, measured.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};

use super::keys::IdentityKeys;
use super::{Algorithm, IdentityFault};

/// Bytes of a key id; longer ones name no key of ours.
const LONGEST_KID: usize = 256;
/// Values of `typ` that a token for a user may have (RFC 7519, section 5.1; RFC 9068, section 2.1). Others
/// (`logout+jwt`, `dpop+jwt`) are proofs of something else: RFC 8725, section 3.11.
const TYPES: &[&str] = &["JWT", "application/jwt", "at+jwt", "application/at+jwt"];

/// The parts of a JOSE header that matter. A repeated one is an error (RFC 7515, section 4).
#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default)]
    typ: Option<String>,
    #[serde(default, deserialize_with = "whatever")]
    crit: bool,
    #[serde(default, deserialize_with = "whatever")]
    b64: bool,
}

/// That the member is there is all that counts; its value may be anything, `null` included.
fn whatever<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| true)
}

/// The payload of `token`, once one of `keys` made its signature with an algorithm among `algorithms`.
///
/// The algorithm comes from the *key*; the header only has to agree with it. So neither `none` nor a public key used
/// as an HMAC secret (RFC 8725, section 2.1) can be expressed. Keys in the header (`jwk`, `jku`, `x5c`, …) are never
/// looked at (section 3.10).
pub(super) fn verify(token: &str, keys: &IdentityKeys, algorithms: &[Algorithm]) -> Result<Vec<u8>, IdentityFault> {
    let (input, signature) = token.rsplit_once('.').ok_or(IdentityFault::Malformed)?;
    let (header, payload) = input.split_once('.').ok_or(IdentityFault::Malformed)?;
    let header = decode(header)?;
    // serde reads a struct from an array too.
    if header.first() != Some(&b'{') {
        return Err(IdentityFault::Malformed);
    }
    let header: Header = serde_json::from_slice(&header).map_err(|_| IdentityFault::Malformed)?;
    let algorithm = Algorithm::named(&header.alg)
        .filter(|algorithm| algorithms.contains(algorithm))
        .ok_or(IdentityFault::Algorithm)?;
    let known_type = header.typ.as_ref().is_none_or(|typ| TYPES.iter().any(|t| t.eq_ignore_ascii_case(typ)));
    if header.crit || header.b64 || !known_type {
        return Err(IdentityFault::Header);
    }
    let kid = header.kid.as_deref();
    if kid.is_some_and(|kid| kid.len() > LONGEST_KID) {
        return Err(IdentityFault::NoKey);
    }
    let payload = decode(payload)?;
    let signature = decode(signature)?;
    let mut candidates = keys.candidates(algorithm, kid).peekable();
    if candidates.peek().is_none() {
        return Err(IdentityFault::NoKey);
    }
    if candidates.any(|key| key.verifies(input.as_bytes(), &signature)) {
        Ok(payload)
    } else {
        Err(IdentityFault::Signature)
    }
}

/// Base64url without padding; bits left over must be zero, so that a token has one spelling.
fn decode(text: &str) -> Result<Vec<u8>, IdentityFault> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| IdentityFault::Malformed)
}
