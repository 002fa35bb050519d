//! Signed tokens: claims that somebody with a key vouches for, for a while.
//!
//! A token is `1.<base64url of JSON claims>.<base64url of HMAC-SHA256>`, both without padding.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;
use time::OffsetDateTime;

use crate::mac::MacKey;

/// Bytes of the longest token: it must fit into a link and a cookie.
pub const LONGEST_TOKEN: usize = 2048;
/// Keys that are tried.
const MOST_KEYS: usize = 8;

/// Why a token says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenError {
    /// It has not the form of a token.
    Malformed,
    /// No key made this signature.
    Signature,
    /// Its time is over.
    Expired,
    /// It would be valid for longer than a token may be.
    TooLong,
}

/// Claims of one kind of token.
pub trait Claims: Serialize + DeserializeOwned {
    /// What the signature covers before the claims, so that a signature made with the same key for another purpose is none here.
    const CONTEXT: &'static [u8];
    /// Seconds a token may be valid at most.
    const LONGEST_LIFE: i64;

    /// Seconds since 1970 from which the token is void.
    fn expires(&self) -> i64;
}

/// The token for these claims; `None` where it would be longer than [`LONGEST_TOKEN`].
#[must_use]
pub fn sign<C: Claims>(claims: &C, key: &MacKey) -> Option<String> {
    let claims = URL_SAFE_NO_PAD.encode(serde_json::to_vec(claims).ok()?);
    let tag = key.tag(&[C::CONTEXT, claims.as_bytes()]);
    let token = format!("1.{claims}.{}", URL_SAFE_NO_PAD.encode(tag));
    (token.len() <= LONGEST_TOKEN).then_some(token)
}

/// The claims of a token that one of `keys` signed and that is valid at `now`.
///
/// # Errors
///
/// The token is malformed, not signed by any of the keys, or out of its time.
pub fn verify<C: Claims>(token: &str, keys: &[MacKey], now: OffsetDateTime) -> Result<C, TokenError> {
    if token.len() > LONGEST_TOKEN {
        return Err(TokenError::Malformed);
    }
    let (claims, tag) = token.strip_prefix("1.").and_then(|rest| rest.split_once('.')).ok_or(TokenError::Malformed)?;
    let tag = URL_SAFE_NO_PAD.decode(tag).map_err(|_| TokenError::Malformed)?;
    if !keys.iter().take(MOST_KEYS).any(|key| key.verify(&[C::CONTEXT, claims.as_bytes()], &tag)) {
        return Err(TokenError::Signature);
    }
    let json = URL_SAFE_NO_PAD.decode(claims).map_err(|_| TokenError::Malformed)?;
    let claims: C = serde_json::from_slice(&json).map_err(|_| TokenError::Malformed)?;
    let left = claims.expires().saturating_sub(now.unix_timestamp());
    if left <= 0 {
        Err(TokenError::Expired)
    } else if left > C::LONGEST_LIFE {
        Err(TokenError::TooLong)
    } else {
        Ok(claims)
    }
}
