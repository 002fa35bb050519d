//! The visitor id: how a visitor who isn't logged in is known, with consent, from one page to the next.

use http::HeaderValue;

pub use crate::rules::settings::visitor::VisitorSettings;
pub use crate::session::subject::VisitorId;
use crate::wire::cookies::Cookies;

impl VisitorSettings {
    /// The id that a client sent, if it has the right form: the edge's own before one that is adopted. A client may send a name twice, one
    /// of them from before the cookie had a domain: the first that is an id counts.
    #[must_use]
    pub fn read(&self, cookies: &Cookies<'_>) -> Option<VisitorId> {
        let id = |value| std::str::from_utf8(value).ok().and_then(VisitorId::parse);
        let of = |name: &str| cookies.all(name).find_map(id);
        of(&self.cookie).or_else(|| of(self.adopt.as_deref()?)).filter(|_| !self.unusable)
    }

    /// The `Set-Cookie` value that makes a client keep `id` on `host`; `None` where the settings make no valid cookie.
    #[must_use]
    pub fn set_cookie(&self, id: VisitorId, host: &str) -> Option<HeaderValue> {
        self.render(&id.to_string(), self.days.saturating_mul(86_400), host)
    }

    /// The `Set-Cookie` value that makes a client forget its id, for a visitor who withdrew consent.
    #[must_use]
    pub fn remove_cookie(&self, host: &str) -> Option<HeaderValue> {
        self.render("", 0, host)
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
        let set = settings.set_cookie(id, "shop.example").unwrap();
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
    fn the_first_cookie_that_is_an_id_counts() {
        let settings = VisitorSettings::default();
        let sent = |cookies: &[u8]| {
            let value = HeaderValue::from_bytes(cookies).unwrap();
            settings.read(&Cookies::of(&HeaderMap::from_iter([(header::COOKIE, value)])))
        };
        let (one, two) = (VisitorId::from_random(1), VisitorId::from_random(2));
        assert_eq!(sent(format!("ep_vid=deleted; ep_vid={one}; ep_vid={two}").as_bytes()), Some(one));
        assert_eq!(sent(&[b"ep_vid=\xff; ep_vid=", two.to_string().as_bytes()].concat()), Some(two));
        assert_eq!(sent(b"ep_vid=; ep_vid=x"), None);
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
        let set = settings.set_cookie(VisitorId::from_random(1), "a.shop.example").unwrap();
        assert!(set.to_str().unwrap().contains("Max-Age=34560000"));
        let wrong = VisitorSettings { cookie: "a b".to_owned(), ..VisitorSettings::default() };
        assert!(!wrong.is_usable());
        assert!(wrong.set_cookie(VisitorId::from_random(1), "shop.example").is_none());
        assert!(settings.remove_cookie("shop.example").unwrap().to_str().unwrap().contains("Max-Age=0"));
    }

    #[test]
    fn an_id_of_growthbooks_bundle_is_adopted_as_it_is_written() {
        let settings: VisitorSettings = serde_json::from_str(r#"{"adopt":"gbuuid"}"#).unwrap();
        let sent = |cookies: &str| {
            let headers = HeaderMap::from_iter([(header::COOKIE, cookies.parse().unwrap())]);
            settings.read(&Cookies::of(&headers)).map(|id| id.to_string())
        };
        const UUID: &str = "0e2c4d1a-98b7-4f3e-8a01-00000000beef";
        const OWN: &str = "00000000000000000000000000000abc";
        assert_eq!(sent(&format!("gbuuid={UUID}")).as_deref(), Some(UUID));
        assert_eq!(sent(&format!("gbuuid={UUID}; ep_vid={OWN}")).as_deref(), Some(OWN), "one id the edge made stays");
        for other in ["0E2C4D1A-98b7-4f3e-8a01-00000000beef", "0e2c4d1a98b7-4f3e-8a01-00000000beef-", "1", ""] {
            assert_eq!(sent(&format!("gbuuid={other}")), None, "{other}");
        }
        let nobody: VisitorSettings = serde_json::from_str("{}").unwrap();
        let headers = HeaderMap::from_iter([(header::COOKIE, format!("gbuuid={UUID}").parse().unwrap())]);
        assert_eq!(nobody.read(&Cookies::of(&headers)), None, "only where the settings ask for it");
    }

    #[test]
    fn an_id_never_prints_as_debug() {
        assert_eq!(format!("{:?}", VisitorId::from_random(7)), "VisitorId(…)");
    }
}
