//! A JSON Web Token: its signature first, then its claims (RFC 7519, section 4.1).

use serde_json::{Map, Value};

use super::{IdentityFault, IdentityKeys, JwtSettings, Proof, UserId, jws};
use crate::rules::settings::identity::{LONGEST_TOKEN, MOST_TOLERANCE};

/// The user that `token` proves at `now` (seconds since 1970), with the claims that are `wanted`.
pub(super) fn verify(
    token: &str,
    keys: &IdentityKeys,
    settings: &JwtSettings,
    wanted: &[String],
    now: i64,
) -> Result<Proof, IdentityFault> {
    if token.len() > settings.max_bytes.min(LONGEST_TOKEN) {
        return Err(IdentityFault::Malformed);
    }
    let payload = jws::verify(token, keys, &settings.algorithms)?;
    let mut claims: Map<String, Value> = serde_json::from_slice(&payload).map_err(|_| IdentityFault::Malformed)?;
    let leeway = i64::from(settings.leeway.min(MOST_TOLERANCE));
    // A token without an end would outlive every password change.
    let expires = date(&claims, "exp")?.ok_or(IdentityFault::Malformed)?;
    if now >= expires.saturating_add(leeway) {
        return Err(IdentityFault::Expired);
    }
    if date(&claims, "nbf")?.is_some_and(|from| now.saturating_add(leeway) < from) {
        return Err(IdentityFault::NotYet);
    }
    if let Some(issuer) = &settings.issuer
        && claims.get("iss").and_then(Value::as_str) != Some(issuer)
    {
        return Err(IdentityFault::Issuer);
    }
    if !is_for_us(claims.get("aud"), &settings.audience) {
        return Err(IdentityFault::Audience);
    }
    let user = claims.get(&settings.claim).and_then(Value::as_str).and_then(UserId::parse);
    let user = user.ok_or(IdentityFault::UserId)?;
    claims.retain(|name, _| wanted.contains(name));
    Ok(Proof { user, claims })
}

/// A `NumericDate` in seconds, fractions cut off (RFC 7519, section 2).
fn date(claims: &Map<String, Value>, name: &str) -> Result<Option<i64>, IdentityFault> {
    let Some(value) = claims.get(name) else {
        return Ok(None);
    };
    if let Some(seconds) = value.as_i64() {
        return Ok(Some(seconds));
    }
    // `as` saturates; JSON has no NaN.
    #[allow(clippy::cast_possible_truncation)]
    value.as_f64().map(|seconds| Some(seconds as i64)).ok_or(IdentityFault::Malformed)
}

/// Whether `aud`, one text or a list of them, names one of our audiences.
fn is_for_us(aud: Option<&Value>, ours: &[String]) -> bool {
    let known = |value: &Value| value.as_str().is_some_and(|name| ours.iter().any(|own| own == name));
    match aud {
        None => ours.is_empty(),
        Some(Value::Array(names)) => names.iter().any(known),
        Some(name) => known(name),
    }
}
