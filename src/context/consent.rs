//! What a visitor has agreed to, and whether the law where the visitor is asks for it. Facts only: what follows from
//! them is [`policy`](super::policy)'s.

pub mod gpp;
pub mod tcf;

use std::borrow::Cow;

use http::{HeaderMap, HeaderName};
use percent_encoding::percent_decode;

use crate::rules::settings::consent::CookieRule;
pub use crate::rules::settings::consent::{ConsentCookie, ConsentRules, ConsentSettings, GppCookie, TcfCookie};
use crate::wire::cookies::Cookies;

/// Bytes of a consent cookie that are looked at; a user agent need not send more (6265bis, section 5.6).
const LONGEST_CONSENT: usize = 4096;

/// Countries and territories where reading or storing an id takes consent first: the European Economic Area with the
/// outermost regions and Åland (ePrivacy directive 2002/58/EC, article 5(3)), the United Kingdom with its islands and
/// Gibraltar (PECR, regulation 6, and local law) and Switzerland, whose visitors expect the same.
const OPT_IN: &[&str] = &[
    "AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE", "IT", "LT", "LU", "LV",
    "MT", "NL", "PL", "PT", "RO", "SE", "SI", "SK", "IS", "LI", "NO", "AX", "BL", "GF", "GP", "MF", "MQ", "RE", "YT",
    "GB", "GG", "GI", "IM", "JE", "CH",
];

/// What a visitor said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Consent {
    /// Yes.
    Granted,
    /// No.
    Refused,
    /// A TCF or GPP string that can't be read: not a yes, and no choice of the visitor's either.
    Unreadable,
    /// Nothing yet.
    Silent,
}

/// What the law where the visitor is asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Jurisdiction {
    /// Consent first.
    OptIn,
    /// Nothing, until the visitor refuses.
    OptOut,
    /// Nobody knows where the visitor is: treated as the strictest.
    Unknown,
}

impl ConsentRules {
    /// What the visitor said by the cookies. One refusal outweighs any yes, among several cookies of one name too; a string that can't be
    /// read outweighs a yes as well.
    #[must_use]
    pub fn consent(&self, cookies: &Cookies<'_>) -> Consent {
        let own = self.cookie.as_ref().map_or(Consent::Silent, |rule| rule.read(cookies));
        let tcf = self.tcf.as_ref().map_or(Consent::Silent, |rule| {
            of_all(cookies.all(&rule.cookie).map(|text| match tcf::purposes(text) {
                Ok(purposes) if rule.purposes.iter().all(|p| purposes.contains(*p)) => Consent::Granted,
                Ok(_) => Consent::Refused,
                Err(_) => Consent::Unreadable,
            }))
        });
        let gpp = self.gpp.as_ref().map_or(Consent::Silent, |rule| {
            of_all(cookies.all(&rule.cookie).map(|text| {
                let text: Cow<'_, [u8]> = percent_decode(text).into();
                match gpp::read(&text, &rule.purposes) {
                    Ok(gpp::Said::Yes) => Consent::Granted,
                    Ok(gpp::Said::No) => Consent::Refused,
                    Ok(gpp::Said::Nothing) => Consent::Silent,
                    Err(_) => Consent::Unreadable,
                }
            }))
        });
        match of_all([own, tcf, gpp].into_iter()) {
            // What can't be read may have been a no.
            Consent::Granted if self.nobody_agreed => Consent::Silent,
            said => said,
        }
    }

    /// What the law asks for in `country` (ISO 3166-1 alpha-2, upper case).
    ///
    /// Where a part of the settings can't be used it is unknown everywhere: the strictest, under which nobody's cookie is removed for
    /// somebody's typing mistake.
    #[must_use]
    pub fn jurisdiction(&self, country: Option<&str>) -> Jurisdiction {
        if self.everywhere {
            return Jurisdiction::Unknown;
        }
        let Some(country) = country.filter(|code| crate::rules::settings::consent::is_country(code)) else {
            return Jurisdiction::Unknown;
        };
        let opt_in = match &self.countries {
            Some(listed) => listed.iter().any(|code| code == country || code == "*"),
            None => OPT_IN.contains(&country),
        };
        if opt_in { Jurisdiction::OptIn } else { Jurisdiction::OptOut }
    }
}

impl CookieRule {
    fn read(&self, cookies: &Cookies<'_>) -> Consent {
        of_all(
            cookies.all(&self.name).map(|bytes| if self.is_yes(bytes) { Consent::Granted } else { Consent::Refused }),
        )
    }

    fn is_yes(&self, bytes: &[u8]) -> bool {
        if bytes.len() > LONGEST_CONSENT {
            return false;
        }
        let value: Cow<'_, str> = percent_decode(bytes).decode_utf8_lossy();
        self.value.as_deref().is_some_and(|expected| expected == value)
            || self.pattern.as_ref().is_some_and(|pattern| pattern.is_match(&value))
    }
}

/// What several answers say together: the strictest of them counts.
fn of_all(answers: impl Iterator<Item = Consent>) -> Consent {
    let strictness = |said: &Consent| match said {
        Consent::Silent => 0,
        Consent::Granted => 1,
        Consent::Unreadable => 2,
        Consent::Refused => 3,
    };
    answers.max_by_key(strictness).unwrap_or(Consent::Silent)
}

/// Whether the request carries Global Privacy Control, `Sec-GPC: 1` (W3C Global Privacy Control, section 3.2). Among
/// several lines one is enough.
#[must_use]
pub fn global_privacy_control(headers: &HeaderMap) -> bool {
    headers
        .get_all(const { HeaderName::from_static("sec-gpc") })
        .into_iter()
        .any(|value| value.as_bytes().trim_ascii() == b"1")
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderValue, header};

    fn consent(settings: &str, cookie: &str) -> Consent {
        let settings: ConsentSettings = serde_json::from_str(settings).unwrap();
        let (rules, faults) = ConsentRules::compile(&settings);
        assert_eq!(faults, []);
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, HeaderValue::from_str(cookie).unwrap());
        rules.consent(&Cookies::of(&headers))
    }

    #[test]
    fn without_settings_nobody_has_said_anything() {
        assert_eq!(consent("{}", "consent=yes"), Consent::Silent);
    }

    #[test]
    fn a_cookie_says_yes_by_value_or_by_pattern() {
        let by_value = r#"{"cookie":{"name":"cc","value":"yes"}}"#;
        assert_eq!(consent(by_value, "cc=yes"), Consent::Granted);
        assert_eq!(consent(by_value, "cc=y%65s"), Consent::Granted);
        assert_eq!(consent(by_value, "cc=yes!"), Consent::Refused);
        assert_eq!(consent(by_value, "cc="), Consent::Refused);
        assert_eq!(consent(by_value, "other=yes"), Consent::Silent);
        let by_pattern = r#"{"cookie":{"name":"CookieConsent","pattern":"\"statistics\":true|statistics:true"}}"#;
        assert_eq!(consent(by_pattern, "CookieConsent={necessary:true%2Cstatistics:true}"), Consent::Granted);
        assert_eq!(consent(by_pattern, "CookieConsent={necessary:true%2Cstatistics:false}"), Consent::Refused);
        let long = format!("CookieConsent=statistics:true{}", "x".repeat(5000));
        assert_eq!(consent(by_pattern, &long), Consent::Refused);
    }

    #[test]
    fn one_refusal_outweighs_any_yes() {
        // The core segment of IAB's own example: purposes 1, 2 and 3.
        let tcf = "COvFyGBOvFyGBAbAAAENAPCAAOAAAAAAAAAAAEEUACCKAAA";
        let settings = r#"{"cookie":{"name":"cc","value":"1"},"tcf":{"cookie":"t","purposes":[1,3]}}"#;
        assert_eq!(consent(settings, &format!("cc=1; t={tcf}")), Consent::Granted);
        assert_eq!(consent(settings, &format!("t={tcf}")), Consent::Granted);
        assert_eq!(consent(settings, "cc=1"), Consent::Granted);
        assert_eq!(consent(settings, &format!("cc=0; t={tcf}")), Consent::Refused);
        assert_eq!(consent(settings, "cc=1; t=broken!"), Consent::Unreadable);
        assert_eq!(consent(settings, "cc=0; t=broken!"), Consent::Refused);
        let more = r#"{"tcf":{"cookie":"t","purposes":[1,4]}}"#;
        assert_eq!(consent(more, &format!("t={tcf}")), Consent::Refused);
        let defaults = r#"{"tcf":{}}"#;
        assert_eq!(consent(defaults, &format!("euconsent-v2={tcf}")), Consent::Refused, "5, 6 and 8 are missing");
    }

    #[test]
    fn an_unknown_country_is_unknown_and_not_free() {
        let rules = ConsentRules::default();
        for country in ["DE", "GB", "CH", "NO", "RE"] {
            assert_eq!(rules.jurisdiction(Some(country)), Jurisdiction::OptIn, "{country}");
        }
        for country in ["US", "JP", "BR"] {
            assert_eq!(rules.jurisdiction(Some(country)), Jurisdiction::OptOut, "{country}");
        }
        for country in [None, Some(""), Some("us"), Some("XX"), Some("EU"), Some("**"), Some("USA"), Some("É")] {
            assert_eq!(rules.jurisdiction(country), Jurisdiction::Unknown, "{country:?}");
        }
        let settings: ConsentSettings = serde_json::from_str(r#"{"countries":["US"]}"#).unwrap();
        let (own, _) = ConsentRules::compile(&settings);
        assert_eq!(own.jurisdiction(Some("US")), Jurisdiction::OptIn);
        assert_eq!(own.jurisdiction(Some("DE")), Jurisdiction::OptOut);
        assert_eq!(own.jurisdiction(None), Jurisdiction::Unknown);
        let settings: ConsentSettings = serde_json::from_str(r#"{"countries":["*"]}"#).unwrap();
        assert_eq!(ConsentRules::compile(&settings).0.jurisdiction(Some("JP")), Jurisdiction::OptIn);
    }

    #[test]
    fn unusable_settings_are_named_and_grant_nothing() {
        let settings: ConsentSettings = serde_json::from_str(
            r#"{"cookie":{"name":"cc","pattern":"("},"tcf":{"purposes":[]},"gpp":{"cookie":"a b"},"countries":["Germany"]}"#,
        )
        .unwrap();
        let (rules, faults) = ConsentRules::compile(&settings);
        let named: Vec<_> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
        assert_eq!(
            named,
            ["/consent/cookie/pattern", "/consent/tcf/purposes", "/consent/gpp/cookie", "/consent/countries/0"]
        );
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, HeaderValue::from_static("cc=yes"));
        assert_eq!(rules.consent(&Cookies::of(&headers)), Consent::Silent);
        assert_eq!(rules.jurisdiction(Some("US")), Jurisdiction::Unknown);
    }

    #[test]
    fn one_no_among_several_cookies_of_the_name_is_a_refusal() {
        let by_value = r#"{"cookie":{"name":"cc","value":"yes"}}"#;
        assert_eq!(consent(by_value, "cc=yes; cc=yes"), Consent::Granted);
        assert_eq!(consent(by_value, "cc=yes; cc=no"), Consent::Refused);
        assert_eq!(consent(by_value, "cc=no; cc=yes"), Consent::Refused);
        let tcf = "COvFyGBOvFyGBAbAAAENAPCAAOAAAAAAAAAAAEEUACCKAAA";
        let by_tcf = r#"{"tcf":{"cookie":"t","purposes":[1]}}"#;
        assert_eq!(consent(by_tcf, &format!("t={tcf}; t={tcf}")), Consent::Granted);
        assert_eq!(consent(by_tcf, &format!("t={tcf}; t=broken!")), Consent::Unreadable);
    }

    #[test]
    fn a_gpp_string_says_yes_and_no_as_the_others_do() {
        let by_gpp = r#"{"cookie":{"name":"cc","value":"yes"},"gpp":{}}"#;
        let european = "DBABMA~COvFyGBOvFyGBAbAAAENAPCAAP_AAAAAAAAAAEEUACCKAAA";
        for (cookies, said) in [
            (format!("__gpp={european}"), Consent::Granted),
            (format!("__gpp={}", european.replace('~', "%7E")), Consent::Granted),
            (format!("__gpp={european}; cc=no"), Consent::Refused),
            ("__gpp=DBABLA~BVVVkkkkkpFY; cc=yes".to_owned(), Consent::Refused),
            ("__gpp=DBABLA~BAAAAAAAAABA.YA; cc=yes".to_owned(), Consent::Refused),
            ("__gpp=DBABLA~BAAAAAAAAABA.QA".to_owned(), Consent::Silent),
            ("__gpp=DBABLA~BAAAAAAAAABA.QA; cc=yes".to_owned(), Consent::Granted),
            (format!("__gpp={european}; __gpp=DBABLA~BVVVkkkkkpFY"), Consent::Refused),
            ("__gpp=; cc=yes".to_owned(), Consent::Unreadable),
            ("gpp=broken".to_owned(), Consent::Silent),
        ] {
            assert_eq!(consent(by_gpp, &cookies), said, "{cookies}");
        }
        let named = r#"{"gpp":{"cookie":"OTGPPConsent","purposes":[10]}}"#;
        assert_eq!(consent(named, &format!("OTGPPConsent={european}")), Consent::Granted);
    }

    #[test]
    fn a_country_that_is_none_makes_consent_come_first_everywhere() {
        for countries in [r#"["fr"]"#, r#"["France"]"#, r#"["US","de"]"#] {
            let settings: ConsentSettings = serde_json::from_str(&format!(r#"{{"countries":{countries}}}"#)).unwrap();
            let (rules, faults) = ConsentRules::compile(&settings);
            assert_eq!(faults.len(), 1, "{countries}");
            for country in ["FR", "US", "JP"] {
                assert_eq!(rules.jurisdiction(Some(country)), Jurisdiction::Unknown, "{countries} {country}");
            }
        }
    }

    #[test]
    fn global_privacy_control_is_one_and_nothing_else() {
        let mut headers = HeaderMap::new();
        assert!(!global_privacy_control(&headers));
        headers.append("sec-gpc", HeaderValue::from_static("0"));
        assert!(!global_privacy_control(&headers));
        headers.append("sec-gpc", HeaderValue::from_static("1"));
        assert!(global_privacy_control(&headers));
    }
}
