//! Who is logged in: an id counts only with a proof, a signed header or a JSON Web Token.
//!
//! A wrong proof makes an anonymous visitor and a log code, never an error page.

mod header;
mod jws;
mod jwt;
mod keys;
mod rsa;

use http::HeaderMap;
use serde_json::{Map, Value};
use time::OffsetDateTime;

pub use header::sign;
pub use keys::{IdentityKeys, KeyFault, LogKey};

use crate::admit::Claims;
use crate::code::Code;
use crate::mac::MacKey;
pub use crate::rules::settings::identity::{Algorithm, IdentitySettings, JwtSettings};
pub use crate::session::subject::UserId;
use crate::wire::cookies::Cookies;
use crate::wire::headers::bearer_token;

/// Bytes of a pseudonym: half a SHA-256, far beyond any collision among visitors.
const PSEUDONYM_BYTES: usize = 16;

/// Who makes a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// Nobody claims to be anyone.
    Anonymous,
    /// A user, proven.
    Proven(Proof),
    /// A claim that failed: an anonymous visitor, and a code for the log.
    Rejected(IdentityFault),
}

impl Identity {
    /// The user, where proven.
    #[must_use]
    pub fn user(&self) -> Option<&UserId> {
        match self {
            Self::Proven(proof) => Some(&proof.user),
            Self::Anonymous | Self::Rejected(_) => None,
        }
    }

    /// A claim of the token that proved the user, if it was asked for and is there.
    #[must_use]
    pub fn claim(&self, name: &str) -> Option<&Value> {
        match self {
            Self::Proven(proof) => proof.claims.get(name),
            Self::Anonymous | Self::Rejected(_) => None,
        }
    }
}

/// Who is proven, and what the proof says of them. Never in logs.
#[derive(Clone, PartialEq, Eq)]
pub struct Proof {
    /// The user.
    pub user: UserId,
    /// Those claims of the token that were asked for; a signed header has none.
    pub claims: Map<String, Value>,
}

impl Proof {
    /// A proof of nothing but the user.
    #[must_use]
    pub fn of(user: UserId) -> Self {
        Self { user, claims: Map::new() }
    }
}

impl std::fmt::Debug for Proof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Proof(…)")
    }
}

/// Why a proof doesn't count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IdentityFault {
    /// There is no key of the kind that the proof needs.
    NoKey,
    /// `X-User-ID` came without a signature.
    Unsigned,
    /// The proof has not its form, or is too long.
    Malformed,
    /// No key made this signature.
    Signature,
    /// The proof's time is over.
    Expired,
    /// The proof's time has not come.
    NotYet,
    /// The token's algorithm is not among those of the settings.
    Algorithm,
    /// The token's header asks for something that isn't supported (`crit`, `b64`, an unexpected `typ`).
    Header,
    /// The token's issuer is another.
    Issuer,
    /// The token is for another audience.
    Audience,
    /// The user id is missing or breaks the rules of [`UserId`].
    UserId,
}

impl IdentityFault {
    /// The code for the log.
    #[must_use]
    pub fn code(self) -> Code {
        match self {
            Self::NoKey => Code::IdentityNoKey,
            Self::Unsigned => Code::IdentityUnsigned,
            Self::Malformed => Code::IdentityMalformed,
            Self::Signature => Code::IdentitySignature,
            Self::Expired => Code::IdentityExpired,
            Self::NotYet => Code::IdentityNotYet,
            Self::Algorithm => Code::IdentityAlgorithm,
            Self::Header => Code::IdentityHeader,
            Self::Issuer => Code::IdentityIssuer,
            Self::Audience => Code::IdentityAudience,
            Self::UserId => Code::IdentityUserId,
        }
    }
}

/// Who makes the request with these claims and headers, at `now`.
///
/// `X-User-ID` is looked at first, then the JWT cookie, then the bearer token. The first proof that holds wins; where
/// none does, the first fault is told. `wanted` names the claims of a token that the proof is to carry.
#[must_use]
pub fn identify(
    claims: &Claims,
    headers: &HeaderMap,
    settings: &IdentitySettings,
    wanted: &[String],
    keys: &IdentityKeys,
    now: OffsetDateTime,
) -> Identity {
    let now = now.unix_timestamp();
    let signed = || {
        settings
            .header
            .then(|| header::verify(claims, keys, settings.tolerance(), now))
            .flatten()
            .map(|user| user.map(Proof::of))
    };
    let jwt = settings.jwt.as_ref();
    let token = |token: &str, jwt: &JwtSettings| jwt::verify(token, keys, jwt, wanted, now);
    let cookie = || {
        let jwt = jwt?;
        let value = Cookies::of(headers).get(jwt.cookie.as_deref()?).filter(|value| !value.is_empty())?;
        Some(token(value, jwt))
    };
    let bearer = || {
        let jwt = jwt.filter(|jwt| jwt.bearer)?;
        Some(token(std::str::from_utf8(bearer_token(headers)?).ok()?, jwt))
    };
    let mut fault = None;
    let proofs: [&dyn Fn() -> Option<Result<Proof, IdentityFault>>; 3] = [&signed, &cookie, &bearer];
    for proof in proofs {
        match proof() {
            Some(Ok(proof)) => return Identity::Proven(proof),
            Some(Err(found)) => fault = fault.or(Some(found)),
            None => {}
        }
    }
    fault.map_or(Identity::Anonymous, Identity::Rejected)
}

/// The name under which an id appears in logs: HMAC-SHA256 under a key that logs don't have, cut to 16 bytes, as
/// hexadecimal. `kind` (`user`, `visitor`) keeps equal texts of two kinds apart.
#[must_use]
pub fn pseudonym(key: &MacKey, kind: &str, id: &str) -> String {
    let tag = key.tag(&[b"edge-personalizer log id ", kind.as_bytes(), b" ", id.as_bytes()]);
    base16ct::lower::encode_string(tag.get(..PSEUDONYM_BYTES).unwrap_or_default())
}

#[cfg(test)]
mod tests;
