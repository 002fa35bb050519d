//! Preview: a signed link that shows chosen variations and a chosen region to whoever opens it, without counting as
//! exposure.
//!
//! The token is `1.<base64url of JSON claims>.<base64url of HMAC-SHA256>`, both without padding. It arrives in the
//! query parameter `edge_preview`, then lives in the session cookie `ep_preview`.

use std::collections::BTreeMap;
use std::rc::Rc;

use http::{HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::assumed::Assumed;
use super::signed;
use crate::admit::RequestHead;
use crate::code::Code;
use crate::mac::MacKey;
use crate::rules::settings::{PreviewMode, Settings};
use crate::wire::cookies::{Cookies, SameSite, SetCookie};
use crate::wire::query;
use crate::wire::query::pairs as query_pairs;
pub use signed::{LONGEST_TOKEN, TokenError as PreviewError};

mod names;

/// The query parameter that brings a token.
pub const PARAMETER: &str = "edge_preview";
/// The session cookie that keeps it.
pub const COOKIE: &str = "ep_preview";
/// The parameter's value that ends a preview.
pub const OFF: &str = "off";
/// Seconds a token may be valid at most, 31 days: a link gets forwarded, and can't be called back.
pub const LONGEST_LIFE: i64 = 31 * 86_400;
/// Keys that are tried.
const MOST_KEYS: usize = 8;

/// What a preview forces.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PreviewClaims {
    /// Feature key → the value it has.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub features: BTreeMap<String, Value>,
    /// Experiment key → the index of the variation shown.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub experiments: BTreeMap<String, u32>,
    /// The region's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The revision of the rules that it shows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// What is said of the visitor in place of what is known.
    #[serde(rename = "as", skip_serializing_if = "Assumed::is_nothing")]
    pub visitor: Assumed,
    /// Seconds since 1970 from which the token is void.
    pub exp: i64,
}

impl signed::Claims for PreviewClaims {
    const CONTEXT: &'static [u8] = b"edge-personalizer preview 1.";
    const LONGEST_LIFE: i64 = LONGEST_LIFE;

    fn expires(&self) -> i64 {
        self.exp
    }
}

impl PreviewClaims {
    /// What is forced and said, in words: `feature hero = "1"`, `region APAC`, `country FR`.
    #[must_use]
    pub fn words(&self) -> Vec<String> {
        let features = self.features.iter().map(|(key, value)| format!("feature {key} = {value}"));
        let experiments = self.experiments.iter().map(|(key, index)| format!("experiment {key} = variation {index}"));
        let said = |name: &str, value: &Option<String>| value.as_ref().map(|value| format!("{name} {value}"));
        let visitor = &self.visitor;
        let rest = [
            said("region", &self.region),
            said("revision", &self.revision),
            said("country", &visitor.country),
            said("subdivision", &visitor.subdivision),
            visitor.device.map(|device| format!("device {}", device.as_str())),
            visitor.moment().and_then(|moment| moment.format(&Rfc3339).ok()).map(|moment| format!("date {moment}")),
            said("session of user", &visitor.user),
        ];
        features.chain(experiments).chain(rest.into_iter().flatten()).collect()
    }
}

/// A preview as a request brought it.
#[derive(Debug, Default)]
pub struct Preview {
    /// What it forces, where it is valid.
    pub claims: Option<PreviewClaims>,
    /// The token, where the query brought it: it becomes a cookie.
    pub token: Option<String>,
    /// The visitor ends it.
    pub ends: bool,
    /// Why it shows nothing.
    pub error: Option<PreviewError>,
    /// What it names and the rules don't have: it is left out.
    pub unknown: Vec<String>,
    /// Whether the revision that it names can't be read: the page is made by the one that serves.
    pub lacks_revision: bool,
}

impl Preview {
    /// Takes the preview out of the request, from its query or its cookie. The query is clean afterwards where the settings allow
    /// previews: the origin never sees the parameter, whatever it says. `keys` is asked where there is a token.
    pub fn take(
        head: &mut RequestHead,
        settings: &Settings,
        now: OffsetDateTime,
        keys: impl FnOnce() -> Rc<Vec<MacKey>>,
    ) -> Self {
        if settings.preview != PreviewMode::Signed {
            return Self::default();
        }
        let asked = take_parameter(head);
        if asked.as_deref() == Some(OFF) {
            return Self { ends: true, ..Self::default() };
        }
        let token = asked.clone().or_else(|| Cookies::of(&head.headers).get(COOKIE).map(str::to_owned));
        let Some(token) = token.filter(|token| !token.is_empty()) else { return Self::default() };
        match verify(&token, &keys(), now) {
            Ok(claims) => Self { claims: Some(claims), token: asked, ..Self::default() },
            Err(error) => Self { error: Some(error), ..Self::default() },
        }
    }

    /// What of it is not as it was meant, for the log.
    pub fn codes(&self) -> impl Iterator<Item = Code> {
        let left_out = (!self.unknown.is_empty()).then_some(Code::PreviewUnknown);
        let revision = self.lacks_revision.then_some(Code::PreviewRevision);
        self.error.map(code_of).into_iter().chain(left_out).chain(revision)
    }

    /// The `Set-Cookie` line of a preview that begins or ends.
    pub fn cookie(&self) -> Option<HeaderValue> {
        if self.ends { remove_cookie() } else { set_cookie(self.token.as_deref()?) }
    }
}

fn take_parameter(head: &mut RequestHead) -> Option<String> {
    let (_, asked) = query_pairs(head.query.as_deref()?).find(|(name, _)| name == PARAMETER)?;
    head.query = query::edit(head.query.as_deref(), &[PARAMETER.to_owned()], &[]);
    Some(asked)
}

/// The header by which an answer says that it is a preview: `?1` (RFC 9651 section 3.3.6).
pub fn mark(headers: &mut HeaderMap) {
    headers.insert(HeaderName::from_static("edge-preview"), HeaderValue::from_static("?1"));
}

/// Why a token shows no preview, for the log.
#[must_use]
pub fn code_of(error: PreviewError) -> Code {
    match error {
        PreviewError::Malformed => Code::PreviewMalformed,
        PreviewError::Signature => Code::PreviewSignature,
        PreviewError::Expired => Code::PreviewExpired,
        PreviewError::TooLong => Code::PreviewTooLong,
    }
}

/// The token for these claims; `None` where it would be longer than [`LONGEST_TOKEN`].
#[must_use]
pub fn sign(claims: &PreviewClaims, key: &MacKey) -> Option<String> {
    signed::sign(claims, key)
}

/// The claims of a token that one of `keys` signed and that is valid at `now`.
///
/// # Errors
///
/// The token is malformed, not signed by any of the keys, or out of its time.
pub fn verify(token: &str, keys: &[MacKey], now: OffsetDateTime) -> Result<PreviewClaims, PreviewError> {
    signed::verify(token, keys, now)
}

/// The link to `url` with `token` in its query, instead of one that is there; before the fragment.
#[must_use]
pub fn link(url: &str, token: &str) -> String {
    let (page, fragment) = url.split_at_checked(url.find('#').unwrap_or(url.len())).unwrap_or((url, ""));
    let (page, query) = page.split_once('?').unwrap_or((page, ""));
    let others = query.split('&').filter(|pair| !pair.is_empty() && pair.split('=').next() != Some(PARAMETER));
    let own = format!("{PARAMETER}={token}");
    let pairs: Vec<&str> = others.chain([own.as_str()]).collect();
    format!("{page}?{}{fragment}", pairs.join("&"))
}

/// The keys in the secret `preview`: one bare text, or a JSON array of texts to rotate. Keys that are too short are
/// left out.
#[must_use]
pub fn keys(secret: &[u8]) -> Vec<MacKey> {
    let secret = secret.trim_ascii();
    if secret.first() == Some(&b'[') {
        let texts: Vec<String> = serde_json::from_slice(secret).unwrap_or_default();
        texts.iter().take(MOST_KEYS).filter_map(|text| MacKey::new(text.as_bytes())).collect()
    } else {
        MacKey::new(secret).into_iter().collect()
    }
}

/// The `Set-Cookie` value that keeps a verified `token` until the browser closes.
#[must_use]
pub fn set_cookie(token: &str) -> Option<HeaderValue> {
    SetCookie { name: COOKIE, value: token, domain: None, max_age: None, same_site: SameSite::Lax }.render()
}

/// The `Set-Cookie` value that ends a preview.
#[must_use]
pub fn remove_cookie() -> Option<HeaderValue> {
    SetCookie { name: COOKIE, value: "", domain: None, max_age: Some(0), same_site: SameSite::Lax }.render()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn at(seconds: i64) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(seconds).unwrap()
    }

    fn claims() -> PreviewClaims {
        PreviewClaims {
            features: BTreeMap::from([("hero".to_owned(), Value::from("1"))]),
            experiments: BTreeMap::from([("checkout".to_owned(), 2)]),
            region: Some("APAC".to_owned()),
            exp: NOW + 3600,
            ..PreviewClaims::default()
        }
    }

    fn key(byte: u8) -> MacKey {
        MacKey::new(&[byte; 32]).unwrap()
    }

    #[test]
    fn a_signed_link_shows_what_it_claims_until_it_expires() {
        let token = sign(&claims(), &key(1)).unwrap();
        assert!(token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)), "{token}");
        assert_eq!(verify(&token, &[key(2), key(1)], at(NOW)), Ok(claims()));
        assert_eq!(verify(&token, &[key(1)], at(NOW + 3599)), Ok(claims()));
        assert_eq!(verify(&token, &[key(1)], at(NOW + 3600)), Err(PreviewError::Expired));
        assert_eq!(verify(&token, &[key(2)], at(NOW)), Err(PreviewError::Signature));
        assert_eq!(verify(&token, &[], at(NOW)), Err(PreviewError::Signature));
        assert!(set_cookie(&token).unwrap().to_str().unwrap().starts_with("ep_preview=1."));
        assert!(remove_cookie().unwrap().to_str().unwrap().contains("Max-Age=0"));
    }

    #[test]
    fn every_changed_character_is_refused() {
        let token = sign(&claims(), &key(1)).unwrap();
        let mut accepted = 0;
        for place in 0..token.len() {
            for bit in 0..7 {
                let mut bytes = token.clone().into_bytes();
                bytes[place] ^= 1 << bit;
                if let Ok(text) = String::from_utf8(bytes) {
                    accepted += usize::from(verify(&text, &[key(1)], at(NOW)).is_ok());
                }
            }
            accepted += usize::from(verify(&token[..place], &[key(1)], at(NOW)).is_ok());
        }
        assert_eq!(accepted, 0);
    }

    #[test]
    fn extreme_times_and_sizes_are_refused_without_overflow() {
        for (exp, expected) in [
            (i64::MIN, PreviewError::Expired),
            (0, PreviewError::Expired),
            (NOW + LONGEST_LIFE + 1, PreviewError::TooLong),
            (i64::MAX, PreviewError::TooLong),
        ] {
            let token = sign(&PreviewClaims { exp, ..claims() }, &key(1)).unwrap();
            assert_eq!(verify(&token, &[key(1)], at(NOW)), Err(expected));
        }
        let large = PreviewClaims { region: Some("x".repeat(3000)), ..claims() };
        assert_eq!(sign(&large, &key(1)), None);
        for text in ["", "1.", "1..", "2.a.b", "off", &"1.".repeat(2000)] {
            assert!(verify(text, &[key(1)], at(NOW)).is_err());
        }
    }

    #[test]
    fn a_secret_may_hold_several_keys() {
        let token = sign(&claims(), &MacKey::new(b"the second secret").unwrap()).unwrap();
        let keys = keys(b" [\"the first secret!\", \"the second secret\", \"short\"]\n");
        assert_eq!(keys.len(), 2);
        assert!(verify(&token, &keys, at(NOW)).is_ok());
        assert_eq!(super::keys(b"the second secret\n").len(), 1);
        assert_eq!(super::keys(b"").len(), 0);
        assert_eq!(super::keys(b"[broken").len(), 0);
    }
}
