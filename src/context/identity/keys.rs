//! The secret `identity`: the keys that prove a user.
//!
//! A bare text is one HMAC key. A JSON document is a list of keys, by itself or under `keys` (so that a JWK set, RFC
//! 7517, section 5, can be pasted as it is), and under `log` the base64 key of the ids' pseudonyms, by itself or with an id of its own
//! (`{ "kid": "2026-11", "secret": "<base64>" }`):
//!
//! ```json
//! { "keys": [ { "kid": "2026-11", "alg": "HS256", "secret": "<base64>" },
//!             { "kid": "auth", "alg": "ES256", "public": "-----BEGIN PUBLIC KEY-----…" },
//!             { "kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": "<base64url>" },
//!             { "kty": "RSA", "kid": "idp", "n": "<base64url>", "e": "AQAB" } ],
//!   "log": "<base64>" }
//! ```

use std::fmt;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use p256::ecdsa::signature::Verifier as _;
use serde_json::{Map, Value};

use super::rsa::RsaKey;
use crate::mac::MacKey;
use crate::rules::Fault;
use crate::rules::settings::identity::Algorithm;

/// Keys that are read: identity providers publish two to ten.
const MOST_KEYS: usize = 16;
/// RSA keys that are tried on a token without a `kid`: a forged one costs the vCPU time of each.
const MOST_RSA_TRIED: usize = 4;
/// Members of a JWK that only a private key has (RFC 7518, sections 6.2.2 and 6.3.2).
const PRIVATE: [&str; 6] = ["d", "p", "q", "dp", "dq", "qi"];
/// Bytes of the shortest HS256 key (RFC 7518, section 3.2).
const SHORTEST_HS256: usize = 32;
/// DER before the 65 bytes of an uncompressed P-256 point in a `SubjectPublicKeyInfo` (RFC 5480, section 2).
const P256_SPKI: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// DER before the 32 bytes of an Ed25519 key in a `SubjectPublicKeyInfo` (RFC 8410, section 4).
const ED25519_SPKI: &[u8] = &[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

enum Material {
    /// A key too short for HS256 still signs headers.
    Hmac {
        key: MacKey,
        signs_jwt: bool,
    },
    P256(Box<p256::ecdsa::VerifyingKey>),
    Ed25519(Box<ed25519_dalek::VerifyingKey>),
    Rsa(Box<RsaKey>),
}

/// One key: its kind decides the algorithm, nothing in a token does.
pub(super) struct Key {
    kid: Option<String>,
    material: Material,
}

impl Key {
    fn serves(&self, algorithm: Algorithm) -> bool {
        match self.material {
            Material::Hmac { signs_jwt, .. } => signs_jwt && algorithm == Algorithm::Hs256,
            Material::P256(_) => algorithm == Algorithm::Es256,
            Material::Ed25519(_) => algorithm == Algorithm::EdDsa,
            Material::Rsa(_) => algorithm == Algorithm::Rs256,
        }
    }

    /// Whether this key made `signature` over `message`.
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.material {
            Material::Hmac { key, .. } => key.verify(&[message], signature),
            // R and S, 32 bytes each (RFC 7518, section 3.4); neither may be zero.
            Material::P256(key) => p256::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify(message, &signature).is_ok()),
            // Strict: no point of small order, one spelling a signature.
            Material::Ed25519(key) => ed25519_dalek::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify_strict(message, &signature).is_ok()),
            Material::Rsa(key) => key.verifies(message, signature),
        }
    }
}

/// A key of the secret that can't be used, and why. The others serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFault {
    /// Which, counted from 0; `None` where the whole document is meant.
    pub index: Option<usize>,
    /// What was expected. It never quotes the secret.
    pub reason: &'static str,
}

impl KeyFault {
    fn of_document(reason: &'static str) -> Self {
        Self { index: None, reason }
    }

    /// The same as a fault for the log `errors`.
    #[must_use]
    pub fn to_fault(&self) -> Fault {
        let pointer = self.index.map(|index| format!("/keys/{index}")).unwrap_or_default();
        Fault::new("secret identity", pointer, self.reason)
    }
}

impl fmt::Display for KeyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.index {
            Some(index) => write!(f, "secret `identity`: keys[{index}]: {}", self.reason),
            None => write!(f, "secret `identity`: {}", self.reason),
        }
    }
}

/// The keys that prove a user.
#[derive(Default)]
pub struct IdentityKeys {
    keys: Vec<Key>,
    log: Option<LogKey>,
}

/// The key of the ids' pseudonyms in logs.
#[derive(Debug, Clone)]
pub struct LogKey {
    /// What names it in log lines: its `kid`, else eight hexadecimal digits that follow from the key. Another key has another id.
    pub id: String,
    /// The key.
    pub key: MacKey,
}

impl LogKey {
    fn new(key: MacKey, kid: Option<String>) -> Self {
        let id = kid.unwrap_or_else(|| {
            let tag = key.tag(&[b"edge-personalizer log key id"]);
            base16ct::lower::encode_string(tag.get(..4).unwrap_or_default())
        });
        Self { id, key }
    }

    /// The key under `log`: base64, or an object with `kid` and `secret`.
    fn read(given: &Value) -> Option<Self> {
        let (secret, kid) = match given {
            Value::Object(members) => {
                let kid = members.get("kid").map(|kid| kid.as_str().filter(|kid| is_kid(kid)));
                // An id that can't be used makes two keys look like one.
                if kid == Some(None) {
                    return None;
                }
                (members.get("secret")?.as_str()?, kid.flatten().map(str::to_owned))
            }
            other => (other.as_str()?, None),
        };
        Some(Self::new(MacKey::new(&decode(secret)?)?, kid))
    }
}

/// Whether a text can name a log key in lines: 1 to 64 visible ASCII characters.
fn is_kid(kid: &str) -> bool {
    (1..=64).contains(&kid.len()) && kid.bytes().all(|byte| byte.is_ascii_graphic())
}

impl fmt::Debug for IdentityKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IdentityKeys({} keys)", self.keys.len())
    }
}

impl IdentityKeys {
    /// Reads the secret. Keys that can't be used are left out and named.
    #[must_use]
    pub fn parse(secret: &[u8]) -> (Self, Vec<KeyFault>) {
        let secret = secret.trim_ascii();
        match secret.first() {
            None => (Self::default(), vec![KeyFault::of_document("expected a key, but found an empty secret")]),
            Some(b'{' | b'[') => match serde_json::from_slice(secret) {
                Ok(document) => Self::from_document(&document),
                Err(_) => (Self::default(), vec![KeyFault::of_document("expected JSON, but found a syntax error")]),
            },
            Some(_) => match MacKey::new(secret) {
                Some(key) => {
                    let log = derived(&key);
                    let material = Material::Hmac { key, signs_jwt: secret.len() >= SHORTEST_HS256 };
                    let log = Some(LogKey::new(log, None));
                    (Self { keys: vec![Key { kid: None, material }], log }, Vec::new())
                }
                None => (
                    Self::default(),
                    vec![KeyFault::of_document("expected at least 16 bytes, but found a shorter key")],
                ),
            },
        }
    }

    fn from_document(document: &Value) -> (Self, Vec<KeyFault>) {
        let mut faults = Vec::new();
        let Some(entries) = document.as_array().or_else(|| document.get("keys")?.as_array()) else {
            let reason = "expected a list of keys, by itself or under `keys`, but found something else";
            return (Self::default(), vec![KeyFault::of_document(reason)]);
        };
        if entries.len() > MOST_KEYS {
            faults.push(KeyFault::of_document("expected at most 16 keys, but found more; the first 16 count"));
        }
        let mut keys = Vec::new();
        for (index, entry) in entries.iter().take(MOST_KEYS).enumerate() {
            match read_key(entry) {
                Ok(key) => keys.extend(key),
                Err(reason) => faults.push(KeyFault { index: Some(index), reason }),
            }
        }
        let log = document.get("log").and_then(|given| {
            let key = LogKey::read(given);
            if key.is_none() {
                let reason =
                    "expected base64 of at least 16 bytes under `log`, by itself or as `secret` beside a `kid`";
                faults.push(KeyFault::of_document(reason));
            }
            key
        });
        let derived = || {
            keys.iter().find_map(|key| match &key.material {
                Material::Hmac { key, .. } => Some(LogKey::new(derived(key), None)),
                _ => None,
            })
        };
        let log = log.or_else(derived);
        (Self { keys, log }, faults)
    }

    /// The key for [`pseudonym`](super::pseudonym)s: the one under `log`, else derived from the first HMAC key.
    /// `None` where there are public keys alone, which anyone may know: ids then don't appear in logs at all.
    #[must_use]
    pub fn log_key(&self) -> Option<&MacKey> {
        self.log.as_ref().map(|log| &log.key)
    }

    /// The same key with its id.
    #[must_use]
    pub fn named_log_key(&self) -> Option<&LogKey> {
        self.log.as_ref()
    }

    /// Keys that sign headers.
    pub(super) fn hmac(&self) -> impl Iterator<Item = &MacKey> {
        self.keys.iter().filter_map(|key| match &key.material {
            Material::Hmac { key, .. } => Some(key),
            _ => None,
        })
    }

    /// Keys that may have signed a token: of this algorithm, and with this id if both have one.
    pub(super) fn candidates(&self, algorithm: Algorithm, kid: Option<&str>) -> impl Iterator<Item = &Key> {
        let most = if algorithm == Algorithm::Rs256 { MOST_RSA_TRIED } else { MOST_KEYS };
        let may_have = move |key: &&Key| kid.is_none() || key.kid.is_none() || key.kid.as_deref() == kid;
        self.keys.iter().filter(move |key| key.serves(algorithm)).filter(may_have).take(most)
    }
}

/// A key of its own for pseudonyms, so that a log line never shows a tag of the proving key.
fn derived(key: &MacKey) -> MacKey {
    let tag = key.tag(&[b"edge-personalizer log key"]);
    // 32 bytes are always enough; should they ever not be, the key itself is right too.
    MacKey::new(&tag).unwrap_or_else(|| key.clone())
}

/// One key; `None` for one that is published for another purpose than checking signatures.
fn read_key(entry: &Value) -> Result<Option<Key>, &'static str> {
    let entry = entry.as_object().ok_or("expected an object, but found something else")?;
    if PRIVATE.iter().any(|name| entry.contains_key(*name)) {
        return Err("expected a public key, but found a private one (`d`); keep that one at home");
    }
    if !is_for_signatures(entry)? {
        return Ok(None);
    }
    let algorithm = match entry.get("alg") {
        Some(name) => {
            let known = name.as_str().and_then(Algorithm::named);
            Some(known.ok_or("expected alg `HS256`, `ES256`, `EdDSA` or `RS256`")?)
        }
        None => None,
    };
    let kid = match entry.get("kid") {
        Some(kid) => Some(kid.as_str().ok_or("expected a text under `kid`")?.to_owned()),
        None => None,
    };
    let material = if entry.contains_key("kty") { jwk(entry)? } else { plain(entry, algorithm)? };
    let key = Key { kid, material };
    match (algorithm, &key.material) {
        (None, _) | (Some(Algorithm::Hs256), Material::Hmac { .. }) => Ok(Some(key)),
        (Some(algorithm), _) if key.serves(algorithm) => Ok(Some(key)),
        _ => Err("expected a key of the kind that `alg` names, but found another kind"),
    }
}

/// Whether a key is for checking signatures, as far as it says (RFC 7517, sections 4.2 and 4.3). Sets hold keys for encryption too.
fn is_for_signatures(entry: &Map<String, Value>) -> Result<bool, &'static str> {
    let purpose = match entry.get("use") {
        None => true,
        Some(purpose) => match purpose.as_str() {
            Some("sig") => true,
            Some("enc") => false,
            _ => return Err("expected `sig` or `enc` under `use`, but found something else"),
        },
    };
    let operation = match entry.get("key_ops") {
        None => true,
        Some(operations) => {
            let operations =
                operations.as_array().ok_or("expected a list under `key_ops`, but found something else")?;
            operations.iter().any(|operation| operation == "verify")
        }
    };
    Ok(purpose && operation)
}

/// A JSON Web Key (RFC 7517; RFC 7518, section 6; RFC 8037, section 2).
fn jwk(entry: &Map<String, Value>) -> Result<Material, &'static str> {
    let text = |name: &str| entry.get(name).and_then(Value::as_str);
    let bytes = |name: &str| text(name).and_then(decode).ok_or("expected base64url in the JWK's members");
    match (text("kty"), text("crv")) {
        (Some("oct"), _) => hmac(&bytes("k")?),
        (Some("EC"), Some("P-256")) => {
            let (x, y) = (bytes("x")?, bytes("y")?);
            if x.len() != 32 || y.len() != 32 {
                return Err("expected coordinates of 32 bytes");
            }
            p256(&[&[4], x.as_slice(), y.as_slice()].concat())
        }
        (Some("OKP"), Some("Ed25519")) => ed25519(&bytes("x")?),
        (Some("RSA"), _) => RsaKey::new(&bytes("n")?, &bytes("e")?).map(|key| Material::Rsa(Box::new(key))),
        _ => Err("expected kty `oct`, `RSA`, `EC` with crv `P-256`, or `OKP` with crv `Ed25519`"),
    }
}

/// `secret` or `public`, as base64 or PEM.
fn plain(entry: &Map<String, Value>, algorithm: Option<Algorithm>) -> Result<Material, &'static str> {
    let text = |name: &str| entry.get(name).and_then(Value::as_str);
    match (algorithm, text("secret"), text("public")) {
        (Some(Algorithm::Hs256), Some(secret), None) => hmac(&decode(secret).ok_or("expected base64 under `secret`")?),
        (Some(Algorithm::Es256), None, Some(public)) => {
            let der = public_bytes(public)?;
            p256(der.strip_prefix(P256_SPKI).unwrap_or(&der))
        }
        (Some(Algorithm::EdDsa), None, Some(public)) => {
            let der = public_bytes(public)?;
            ed25519(der.strip_prefix(ED25519_SPKI).unwrap_or(&der))
        }
        (Some(Algorithm::Rs256), ..) => Err("expected an RSA key as a JWK, with `kty`, `n` and `e`"),
        (None, ..) => Err("expected `alg`, or a JWK with `kty`"),
        _ => Err("expected `secret` for HS256, `public` for ES256 and EdDSA, and not the other one"),
    }
}

fn hmac(bytes: &[u8]) -> Result<Material, &'static str> {
    let key = MacKey::new(bytes).ok_or("expected at least 16 bytes, but found a shorter key")?;
    Ok(Material::Hmac { key, signs_jwt: bytes.len() >= SHORTEST_HS256 })
}

fn p256(point: &[u8]) -> Result<Material, &'static str> {
    p256::ecdsa::VerifyingKey::from_sec1_bytes(point)
        .map(|key| Material::P256(Box::new(key)))
        .map_err(|_| "expected a point on P-256, but found something else")
}

fn ed25519(bytes: &[u8]) -> Result<Material, &'static str> {
    bytes
        .try_into()
        .ok()
        .and_then(|bytes: &[u8; 32]| ed25519_dalek::VerifyingKey::from_bytes(bytes).ok())
        .filter(|key| !key.is_weak())
        .map(|key| Material::Ed25519(Box::new(key)))
        .ok_or("expected an Ed25519 key of 32 bytes, but found something else")
}

/// The bytes of a public key in PEM (RFC 7468, section 13) or plain base64.
fn public_bytes(text: &str) -> Result<Vec<u8>, &'static str> {
    let text = text.trim_ascii();
    let body = match text.strip_prefix("-----BEGIN PUBLIC KEY-----") {
        Some(rest) => {
            rest.strip_suffix("-----END PUBLIC KEY-----").ok_or("expected `-----END PUBLIC KEY-----` at the end")?
        }
        None => text,
    };
    decode(&body.split_ascii_whitespace().collect::<String>()).ok_or("expected base64 under `public`")
}

/// Base64 in either alphabet, padded or not.
fn decode(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).or_else(|_| URL_SAFE.decode(text)).ok()
}
