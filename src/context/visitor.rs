//! The visitor id: how a visitor who isn't logged in is known, with consent, from one page to the next.

use std::fmt;

use http::HeaderValue;
use serde::{Deserialize, Serialize};

use super::cookies::{Cookies, SameSite, SetCookie, is_token};

/// Hexadecimal digits of a visitor id.
const DIGITS: usize = 32;

/// 128 random bits, written as 32 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VisitorId(u128);

impl VisitorId {
    /// The id made of these bits, which must be unpredictable.
    #[must_use]
    pub fn from_random(bits: u128) -> Self {
        Self(bits)
    }

    /// The id of exactly 32 lower-case hexadecimal digits; `None` for any other text. One id has one spelling, so
    /// that it can't be two visitors.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.len() == DIGITS && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if !digits {
            return None;
        }
        u128::from_str_radix(text, 16).ok().map(Self)
    }
}

impl fmt::Display for VisitorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// Debug output ends up in logs, where an id must not.
impl fmt::Debug for VisitorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VisitorId(…)")
    }
}

/// Where the visitor id is kept; `settings.visitor`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct VisitorSettings {
    /// The cookie's name.
    pub cookie: String,
    /// The domain that all get it; the answering host alone without one.
    pub domain: Option<String>,
    /// Days it lives, at most 400 (6265bis, section 5.5).
    pub days: u32,
    /// Whether other sites' requests carry it.
    pub same_site: SameSite,
}

impl Default for VisitorSettings {
    fn default() -> Self {
        Self { cookie: "ep_vid".to_owned(), domain: None, days: 180, same_site: SameSite::Lax }
    }
}

impl VisitorSettings {
    /// Whether a cookie can be made of these settings; the checker asks, the edge then keeps no id.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        is_token(&self.cookie) && self.set_cookie(VisitorId(0)).is_some()
    }

    /// The id that a client sent, if it has the right form.
    #[must_use]
    pub fn read(&self, cookies: &Cookies<'_>) -> Option<VisitorId> {
        cookies.get(&self.cookie).and_then(VisitorId::parse)
    }

    /// The `Set-Cookie` value that makes a client keep `id`; `None` where the settings make no valid cookie.
    #[must_use]
    pub fn set_cookie(&self, id: VisitorId) -> Option<HeaderValue> {
        self.render(&id.to_string(), self.days.saturating_mul(86_400))
    }

    /// The `Set-Cookie` value that makes a client forget its id, for a visitor who withdrew consent.
    #[must_use]
    pub fn remove_cookie(&self) -> Option<HeaderValue> {
        self.render("", 0)
    }

    fn render(&self, value: &str, seconds: u32) -> Option<HeaderValue> {
        SetCookie {
            name: &self.cookie,
            value,
            domain: self.domain.as_deref(),
            max_age: Some(seconds),
            same_site: self.same_site,
        }
        .render()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, header};

    #[test]
    fn an_id_survives_the_round_trip_through_a_browser() {
        let settings = VisitorSettings::default();
        let id = VisitorId::from_random(0xabc);
        let set = settings.set_cookie(id).unwrap();
        assert_eq!(
            set,
            "ep_vid=00000000000000000000000000000abc; Path=/; Max-Age=15552000; Secure; HttpOnly; SameSite=Lax"
        );
        let mut headers = HeaderMap::new();
        let pair = set.to_str().unwrap().split(';').next().unwrap().to_owned();
        headers.insert(header::COOKIE, pair.parse().unwrap());
        assert_eq!(settings.read(&Cookies::of(&headers)), Some(id));
    }

    #[test]
    fn any_other_spelling_is_no_id() {
        for text in [
            "",
            "abc",
            "0000000000000000000000000000ABCD",
            "+000000000000000000000000000abcd",
            "0000000000000000000000000000abcde",
            "0000000000000000000000000000abc ",
            "0000000000000000000000000000abcg",
            "é00000000000000000000000000000",
        ] {
            assert_eq!(VisitorId::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn settings_may_name_the_cookie_and_wrong_ones_are_noticed() {
        let settings: VisitorSettings =
            serde_json::from_str(r#"{"cookie":"__Host-v","days":9999,"same_site":"Strict"}"#).unwrap();
        assert!(settings.is_usable());
        let set = settings.set_cookie(VisitorId::from_random(1)).unwrap();
        assert!(set.to_str().unwrap().contains("Max-Age=34560000"));
        let wrong = VisitorSettings { cookie: "a b".to_owned(), ..VisitorSettings::default() };
        assert!(!wrong.is_usable());
        assert!(wrong.set_cookie(VisitorId::from_random(1)).is_none());
        assert!(settings.remove_cookie().unwrap().to_str().unwrap().contains("Max-Age=0"));
    }

    #[test]
    fn an_id_never_prints_as_debug() {
        assert_eq!(format!("{:?}", VisitorId::from_random(7)), "VisitorId(…)");
    }
}
