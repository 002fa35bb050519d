//! Who is logged in: an id counts only with a proof, a signed header or a JSON Web Token.
//!
//! A wrong proof makes an anonymous visitor and a log code, never an error page.

mod header;
mod jws;
mod jwt;
mod keys;

use std::fmt;

use http::{HeaderMap, header as names};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

pub use header::sign;
pub use keys::{Algorithm, IdentityKeys, KeyFault};

use super::cookies::Cookies;
use crate::admit::Claims;
use crate::mac::{MacKey, to_hex};

/// Bytes of a user id; longer ones are somebody's mistake, and a KV key holds 1,024.
pub const LONGEST_USER_ID: usize = 128;
/// Seconds that clocks may differ at most, whatever the settings say.
const MOST_TOLERANCE: u32 = 3600;
/// Bytes of a pseudonym: half a SHA-256, far beyond any collision among visitors.
const PSEUDONYM_BYTES: usize = 16;

/// A user's id: 1 to 128 bytes of `A–Z a–z 0–9 . _ @ : + - |`, and not dots alone.
///
/// The alphabet holds UUIDs, numbers, e-mail addresses, telephone numbers and the ids of identity providers
/// (`auth0|507f`), and nothing that could end a path segment, a header, a parameter or a line. Whether the id is
/// *proven* is [`Identity`]'s to say.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserId(String);

impl UserId {
    /// The id with this text; `None` where it breaks the rules above.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let sound = (1..=LONGEST_USER_ID).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._@:+-|".contains(&byte))
            && text.bytes().any(|byte| byte != b'.');
        sound.then(|| Self(text.to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Debug output ends up in logs, where an id must not.
impl fmt::Debug for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UserId(…)")
    }
}

/// Who makes a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// Nobody claims to be anyone.
    Anonymous,
    /// This user, proven.
    Proven(UserId),
    /// A claim that failed: an anonymous visitor, and a code for the log.
    Rejected(IdentityFault),
}

impl Identity {
    /// The user, where proven.
    #[must_use]
    pub fn user(&self) -> Option<&UserId> {
        match self {
            Self::Proven(user) => Some(user),
            Self::Anonymous | Self::Rejected(_) => None,
        }
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
    pub fn code(self) -> &'static str {
        match self {
            Self::NoKey => "identity-no-key",
            Self::Unsigned => "identity-unsigned",
            Self::Malformed => "identity-malformed",
            Self::Signature => "identity-signature",
            Self::Expired => "identity-expired",
            Self::NotYet => "identity-not-yet",
            Self::Algorithm => "identity-algorithm",
            Self::Header => "identity-header",
            Self::Issuer => "identity-issuer",
            Self::Audience => "identity-audience",
            Self::UserId => "identity-user-id",
        }
    }
}

/// How a user is known; `settings.identity`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct IdentitySettings {
    /// Whether `X-User-ID` with `X-User-Signature` counts.
    pub header: bool,
    /// Seconds a header's signature may be old, or ahead; at most 3,600.
    pub tolerance: u32,
    /// JSON Web Tokens, where they count.
    pub jwt: Option<JwtSettings>,
}

impl Default for IdentitySettings {
    fn default() -> Self {
        Self { header: true, tolerance: 300, jwt: None }
    }
}

impl IdentitySettings {
    fn tolerance(&self) -> u64 {
        u64::from(self.tolerance.min(MOST_TOLERANCE))
    }
}

/// Which JSON Web Tokens count; `settings.identity.jwt`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct JwtSettings {
    /// The cookie that holds one.
    pub cookie: Option<String>,
    /// Whether `Authorization: Bearer` may hold one.
    pub bearer: bool,
    /// The algorithms that count (RFC 8725, section 3.1); none by default.
    pub algorithms: Vec<Algorithm>,
    /// The issuer that `iss` must name.
    pub issuer: Option<String>,
    /// The audiences of which `aud` must name one. Without any, a token that has an `aud` is for somebody else (RFC
    /// 7519, section 4.1.3).
    pub audience: Vec<String>,
    /// The claim that holds the user id.
    pub claim: String,
    /// Seconds that clocks may differ; at most 3,600.
    pub leeway: u32,
    /// Bytes of a token, at most 8,000: a header holds no more on the platform.
    pub max_bytes: usize,
}

impl Default for JwtSettings {
    fn default() -> Self {
        Self {
            cookie: None,
            bearer: false,
            algorithms: Vec::new(),
            issuer: None,
            audience: Vec::new(),
            claim: "sub".to_owned(),
            leeway: 30,
            max_bytes: 4096,
        }
    }
}

/// Who makes the request with these claims and headers, at `now`.
///
/// `X-User-ID` is looked at first, then the JWT cookie, then the bearer token. The first proof that holds wins; where
/// none does, the first fault is told.
#[must_use]
pub fn identify(
    claims: &Claims,
    headers: &HeaderMap,
    settings: &IdentitySettings,
    keys: &IdentityKeys,
    now: OffsetDateTime,
) -> Identity {
    let now = now.unix_timestamp();
    let signed = || settings.header.then(|| header::verify(claims, keys, settings.tolerance(), now)).flatten();
    let jwt = settings.jwt.as_ref();
    let token = |token: &str, jwt: &JwtSettings| jwt::verify(token, keys, jwt, now);
    let cookie = || {
        let jwt = jwt?;
        let value = Cookies::of(headers).get(jwt.cookie.as_deref()?).filter(|value| !value.is_empty())?;
        Some(token(value, jwt))
    };
    let bearer = || {
        let jwt = jwt.filter(|jwt| jwt.bearer)?;
        Some(token(bearer_token(headers)?, jwt))
    };
    let mut fault = None;
    let proofs: [&dyn Fn() -> Option<Result<UserId, IdentityFault>>; 3] = [&signed, &cookie, &bearer];
    for proof in proofs {
        match proof() {
            Some(Ok(user)) => return Identity::Proven(user),
            Some(Err(found)) => fault = fault.or(Some(found)),
            None => {}
        }
    }
    fault.map_or(Identity::Anonymous, Identity::Rejected)
}

/// The token of `Authorization: Bearer …` (RFC 6750, section 2.1); `None` for several lines or another scheme.
fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let mut lines = headers.get_all(names::AUTHORIZATION).into_iter();
    let (line, None) = (lines.next()?, lines.next()) else {
        return None;
    };
    let (scheme, token) = line.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_ascii())
}

/// The name under which an id appears in logs: HMAC-SHA256 under a key that logs don't have, cut to 16 bytes, as
/// hexadecimal. `kind` (`user`, `visitor`) keeps equal texts of two kinds apart.
#[must_use]
pub fn pseudonym(key: &MacKey, kind: &str, id: &str) -> String {
    let tag = key.tag(&[b"edge-personalizer log id ", kind.as_bytes(), b" ", id.as_bytes()]);
    to_hex(tag.get(..PSEUDONYM_BYTES).unwrap_or_default())
}

#[cfg(test)]
mod tests;
