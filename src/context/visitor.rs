//! The visitor id: how a visitor who isn't logged in is known, with consent, from one page to the next.

use http::HeaderValue;

pub use crate::rules::settings::visitor::VisitorSettings;
pub use crate::session::subject::VisitorId;
use crate::wire::cookies::Cookies;

impl VisitorSettings {
    /// The id that a client sent, if it has the right form.
    #[must_use]
    pub fn read(&self, cookies: &Cookies<'_>) -> Option<VisitorId> {
        cookies.get(&self.cookie).filter(|_| !self.unusable).and_then(VisitorId::parse)
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
