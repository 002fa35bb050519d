//! `X-User-ID` with `X-User-Signature: t=<unix seconds>,v1=<hex HMAC-SHA256 of "<t>.<user id>">`.
//!
//! A signature of this kind is never a JWT's: a JWS signing input starts with the base64url of `{`, this one with a
//! decimal digit run and a dot, and no digit run is the base64url of a JSON object. So one key may serve both.

use super::{IdentityFault, IdentityKeys, UserId};
use crate::admit::Claims;
use crate::mac::MacKey;

/// Bytes of the longest signature header: the time and [`MOST_SIGNATURES`].
const LONGEST: usize = 1024;
/// Signatures that are looked at: one a key while keys are rotated.
const MOST_SIGNATURES: usize = 8;
/// Digits of a time; eleven reach the year 5138.
const MOST_DIGITS: usize = 11;

/// The `X-User-Signature` for `user` at `now` (seconds since 1970).
#[must_use]
pub fn sign(key: &MacKey, user: &UserId, now: u64) -> String {
    let time = now.to_string();
    format!(
        "t={time},v1={}",
        base16ct::lower::encode_string(&key.tag(&[time.as_bytes(), b".", user.as_str().as_bytes()]))
    )
}

/// The user that the claims prove; `None` where they name none.
pub(super) fn verify(
    claims: &Claims,
    keys: &IdentityKeys,
    tolerance: u64,
    now: i64,
) -> Option<Result<UserId, IdentityFault>> {
    let user = claims.user_id.as_deref()?;
    let proof = || {
        let signature = claims.user_signature.as_deref().ok_or(IdentityFault::Unsigned)?;
        let user = UserId::parse(user).ok_or(IdentityFault::UserId)?;
        let (time, tags) = parse(signature).ok_or(IdentityFault::Malformed)?;
        let mut candidates = keys.hmac().peekable();
        if candidates.peek().is_none() {
            return Err(IdentityFault::NoKey);
        }
        let parts = [time.as_bytes(), b".", user.as_str().as_bytes()];
        if !candidates.any(|key| tags.iter().any(|tag| key.verify(&parts, tag))) {
            return Err(IdentityFault::Signature);
        }
        // After the signature, so that a forger learns nothing of the clock.
        let seconds: i64 = time.parse().map_err(|_| IdentityFault::Malformed)?;
        match seconds.abs_diff(now) > tolerance {
            true if seconds < now => Err(IdentityFault::Expired),
            true => Err(IdentityFault::NotYet),
            false => Ok(user),
        }
    };
    Some(proof())
}

/// Splits a signature header into its time and its `v1` tags; other schemes are skipped, for the day there is a `v2`.
fn parse(text: &str) -> Option<(&str, Vec<Vec<u8>>)> {
    if text.len() > LONGEST {
        return None;
    }
    let (mut time, mut tags) = (None, Vec::new());
    for part in text.split(',') {
        match part.trim_ascii().split_once('=')? {
            ("t", value) => {
                let digits = (1..=MOST_DIGITS).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_digit());
                if time.is_some() || !digits {
                    return None;
                }
                time = Some(value);
            }
            ("v1", value) if tags.len() < MOST_SIGNATURES => tags.push(base16ct::mixed::decode_vec(value).ok()?),
            _ => {}
        }
    }
    Some((time?, tags)).filter(|(_, tags)| !tags.is_empty())
}
