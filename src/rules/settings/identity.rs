//! `settings.identity`: how a user is known.

use serde::{Deserialize, Serialize};

/// Seconds that clocks may differ at most, whatever the settings say.
pub const MOST_TOLERANCE: u32 = 3600;
/// Bytes of a JSON Web Token at most, whatever the settings say: a header holds no more on the platform.
pub const LONGEST_TOKEN: usize = 8000;

/// How a user is known; `settings.identity`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct IdentitySettings {
    /// Whether `X-User-ID` with `X-User-Signature` counts.
    pub header: bool,
    /// Seconds a header's signature may be old, or ahead; at most 3,600.
    #[cfg_attr(feature = "schema", schemars(range(max = MOST_TOLERANCE)))]
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
    /// Seconds a header's signature may be old, or ahead.
    #[must_use]
    pub fn tolerance(&self) -> u64 {
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
    #[cfg_attr(feature = "schema", schemars(range(max = MOST_TOLERANCE)))]
    pub leeway: u32,
    /// Bytes of a token, at most 8,000: a header holds no more on the platform.
    #[cfg_attr(feature = "schema", schemars(range(max = LONGEST_TOKEN)))]
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

/// A signature algorithm of a JWT (RFC 7518, section 3.1; RFC 8037, section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Algorithm {
    /// HMAC with SHA-256.
    #[serde(rename = "HS256")]
    Hs256,
    /// ECDSA on P-256 with SHA-256.
    #[serde(rename = "ES256")]
    Es256,
    /// Ed25519.
    #[serde(rename = "EdDSA")]
    EdDsa,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    #[serde(rename = "RS256")]
    Rs256,
}

impl Algorithm {
    /// The algorithm of this exact name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "HS256" => Some(Self::Hs256),
            "ES256" => Some(Self::Es256),
            "EdDSA" => Some(Self::EdDsa),
            "RS256" => Some(Self::Rs256),
            _ => None,
        }
    }
}
