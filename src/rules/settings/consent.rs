//! `settings.consent`: how consent is learnt.

use regex_lite::Regex;
use serde::{Deserialize, Serialize};

/// How consent is learnt; `settings.consent`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct ConsentSettings {
    /// The site's own consent cookie.
    pub cookie: Option<ConsentCookie>,
    /// An IAB TCF string in a cookie.
    pub tcf: Option<TcfCookie>,
    /// Countries (ISO 3166-1 alpha-2) where consent comes first, instead of the built-in list. `["*"]` is everywhere.
    pub countries: Option<Vec<String>>,
}

/// The site's own consent cookie. Its value is percent-decoded before it is compared, for many consent tools encode
/// it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct ConsentCookie {
    /// The cookie's name.
    pub name: String,
    /// The value that means yes.
    pub value: Option<String>,
    /// A regular expression found in values that mean yes; `^` and `$` to match the whole.
    pub pattern: Option<String>,
}

/// An IAB TCF string in a cookie.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct TcfCookie {
    /// The cookie's name.
    pub cookie: String,
    /// The purposes (1 to 24) that must all be consented to. By default 1 (store and read on a device), 5 and 6
    /// (create and use profiles to personalise content) and 8 (measure content performance).
    pub purposes: Vec<u8>,
}

impl Default for TcfCookie {
    fn default() -> Self {
        Self { cookie: "euconsent-v2".to_owned(), purposes: vec![1, 5, 6, 8] }
    }
}

/// [`ConsentSettings`], ready to use.
#[derive(Debug, Clone, Default)]
pub struct ConsentRules {
    pub(crate) cookie: Option<CookieRule>,
    pub(crate) tcf: Option<TcfCookie>,
    pub(crate) countries: Option<Vec<String>>,
}

#[derive(Debug, Clone)]
pub(crate) struct CookieRule {
    pub(crate) name: String,
    pub(crate) value: Option<String>,
    pub(crate) pattern: Option<Regex>,
}

impl ConsentRules {
    /// Prepares the settings. A part that can't be used means that nobody has consented by it; the second value says
    /// what is wrong, one sentence each.
    #[must_use]
    pub fn compile(settings: &ConsentSettings) -> (Self, Vec<String>) {
        let mut faults = Vec::new();
        let cookie = settings.cookie.as_ref().map(|cookie| {
            if cookie.value.is_none() && cookie.pattern.is_none() {
                faults
                    .push("consent.cookie: expected a value or a pattern that means yes, but found neither".to_owned());
            }
            let pattern = cookie.pattern.as_ref().and_then(|pattern| match Regex::new(pattern) {
                Ok(regex) => Some(regex),
                Err(error) => {
                    faults.push(format!(
                        "consent.cookie.pattern: expected a regular expression, but found `{pattern}`: {error}"
                    ));
                    None
                }
            });
            CookieRule { name: cookie.name.clone(), value: cookie.value.clone(), pattern }
        });
        if let Some(tcf) = &settings.tcf
            && (tcf.purposes.is_empty() || tcf.purposes.iter().any(|purpose| !(1..=24).contains(purpose)))
        {
            faults.push(format!("consent.tcf.purposes: expected numbers from 1 to 24, but found {:?}", tcf.purposes));
        }
        for country in settings.countries.iter().flatten() {
            let known = country == "*" || (country.len() == 2 && country.bytes().all(|byte| byte.is_ascii_uppercase()));
            if !known {
                faults.push(format!(
                    "consent.countries: expected two upper-case letters (ISO 3166-1) or `*`, but found `{country}`"
                ));
            }
        }
        (Self { cookie, tcf: settings.tcf.clone(), countries: settings.countries.clone() }, faults)
    }
}
