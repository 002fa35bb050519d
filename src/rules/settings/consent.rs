//! `settings.consent`: how consent is learnt. What protects a visitor fails closed: a part that can't be read or used means the
//! strictest, and is named.

use regex_lite::Regex;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::rules::fault::{self, Fault};
use crate::wire::cookies::is_token;

/// How consent is learnt; `settings.consent`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct ConsentSettings {
    /// The site's own consent cookie.
    pub cookie: Option<ConsentCookie>,
    /// An IAB TCF string in a cookie.
    pub tcf: Option<TcfCookie>,
    /// An IAB GPP string in a cookie.
    pub gpp: Option<GppCookie>,
    /// Countries (ISO 3166-1 alpha-2) where consent comes first, instead of the built-in list. `["*"]` is everywhere.
    pub countries: Option<Vec<String>>,
    /// What stands there and can't be read.
    #[serde(skip)]
    pub unreadable: Unreadable,
}

/// Parts of `settings.consent` that are there and can't be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unreadable {
    /// The cookie, the TCF string or the GPP string: nobody knows how a visitor says yes or no, so nobody has said yes.
    pub signals: bool,
    /// The countries: nobody knows where consent comes first, so it does everywhere.
    pub countries: bool,
}

/// Codes that geolocation data uses where the country isn't known: anonymous proxies, satellite providers, "Europe",
/// "Asia/Pacific", "other" (MaxMind's codes), and the user-assigned ones of ISO 3166-1.
const NO_COUNTRY: &[&str] = &["A1", "A2", "AP", "EU", "O1", "XX", "ZZ"];

/// Whether a text has the form of a country's code (ISO 3166-1 alpha-2, upper case), and no other meaning.
#[must_use]
pub fn is_country(code: &str) -> bool {
    code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_uppercase()) && !NO_COUNTRY.contains(&code)
}

impl ConsentSettings {
    /// What counts where nothing can be read: nobody has agreed, and everybody must.
    #[must_use]
    pub fn strictest() -> Self {
        Self { unreadable: Unreadable { signals: true, countries: true }, ..Self::default() }
    }

    /// Reads `settings.consent` member by member, so that one mistake costs no other member. Each is a fault of `settings`.
    #[must_use]
    pub fn read(value: Value, faults: &mut Vec<Fault>) -> Self {
        let mut members = match value {
            Value::Object(members) => members,
            other => {
                let message = format!("expected an object, but found {}", kind_of(&other));
                faults.push(Fault::new("settings", "/consent", message));
                return Self::strictest();
            }
        };
        let mut unreadable = Unreadable::default();
        let cookie = signal(&mut members, "cookie", &mut unreadable, faults);
        let tcf = signal(&mut members, "tcf", &mut unreadable, faults);
        let gpp = signal(&mut members, "gpp", &mut unreadable, faults);
        let countries = match members.remove("countries") {
            None | Some(Value::Null) => None,
            Some(Value::Array(list)) => Some(countries(list, &mut unreadable, faults)),
            Some(other) => {
                unreadable.countries = true;
                let message = format!("expected a list of texts, but found {}", kind_of(&other));
                faults.push(Fault::new("settings", "/consent/countries", message));
                None
            }
        };
        for name in members.keys().filter(|name| *name != "$comment") {
            // Nobody can tell whom it was meant to protect.
            unreadable = Unreadable { signals: true, countries: true };
            let pointer = format!("/consent/{}", fault::escape(name));
            faults.push(Fault::new("settings", pointer, "expected a known key, but found one that is ignored"));
        }
        Self { cookie, tcf, gpp, countries, unreadable }
    }
}

/// One way in which a visitor can say yes.
fn signal<T: for<'de> Deserialize<'de>>(
    members: &mut Map<String, Value>,
    name: &str,
    unreadable: &mut Unreadable,
    faults: &mut Vec<Fault>,
) -> Option<T> {
    let value = members.remove(name).filter(|value| !value.is_null())?;
    match fault::read::<T>(&value.to_string()) {
        Ok((signal, unknown)) => {
            unreadable.signals |= !unknown.is_empty();
            faults.extend(unknown.into_iter().map(|pointer| {
                let pointer = format!("/consent/{name}{pointer}");
                Fault::new("settings", pointer, "expected a known key, but found one that is ignored")
            }));
            Some(signal)
        }
        Err((pointer, message)) => {
            unreadable.signals = true;
            faults.push(Fault::new("settings", format!("/consent/{name}{pointer}"), message));
            None
        }
    }
}

fn countries(list: Vec<Value>, unreadable: &mut Unreadable, faults: &mut Vec<Fault>) -> Vec<String> {
    let mut texts = Vec::with_capacity(list.len());
    for (index, value) in list.into_iter().enumerate() {
        match value {
            Value::String(text) => texts.push(text),
            other => {
                unreadable.countries = true;
                let message = format!("expected a text, but found {}", kind_of(&other));
                faults.push(Fault::new("settings", format!("/consent/countries/{index}"), message));
            }
        }
    }
    texts
}

pub(super) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
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

/// An IAB GPP string in a cookie. An opt-out of sale, sharing or targeted advertising in a section of the United States is a no, and so is
/// its Global Privacy Control.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct GppCookie {
    /// The cookie's name.
    pub cookie: String,
    /// The purposes (1 to 24) that its European or Canadian section must all consent to; by default those of `tcf`.
    pub purposes: Vec<u8>,
}

impl Default for GppCookie {
    fn default() -> Self {
        Self { cookie: "__gpp".to_owned(), purposes: TcfCookie::default().purposes }
    }
}

/// [`ConsentSettings`], ready to use.
#[derive(Debug, Clone, Default)]
pub struct ConsentRules {
    pub(crate) cookie: Option<CookieRule>,
    pub(crate) tcf: Option<TcfCookie>,
    pub(crate) gpp: Option<GppCookie>,
    pub(crate) countries: Option<Vec<String>>,
    /// A way to say yes or no can't be used: nobody has said yes.
    pub(crate) nobody_agreed: bool,
    /// Nobody knows where consent comes first: it does everywhere.
    pub(crate) everywhere: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct CookieRule {
    pub(crate) name: String,
    pub(crate) value: Option<String>,
    pub(crate) pattern: Option<Regex>,
}

impl ConsentRules {
    /// Prepares the settings. A part that can't be used means the strictest: where it is a cookie or a string, nobody has
    /// agreed, and consent comes first everywhere (the site meant to ask); where it is a country, the latter. Each is a fault.
    #[must_use]
    pub fn compile(settings: &ConsentSettings) -> (Self, Vec<Fault>) {
        let mut faults = Vec::new();
        let cookie = settings.cookie.as_ref().map(|cookie| usable_cookie(cookie, &mut faults));
        let mut is_usable = |of: &str, cookie: &str, purposes: &[u8]| usable_string(of, cookie, purposes, &mut faults);
        let tcf = settings.tcf.clone().filter(|tcf| is_usable("tcf", &tcf.cookie, &tcf.purposes));
        let gpp = settings.gpp.clone().filter(|gpp| is_usable("gpp", &gpp.cookie, &gpp.purposes));
        let nobody_agreed = settings.unreadable.signals || !faults.is_empty();
        for (index, country) in settings.countries.iter().flatten().enumerate() {
            // The United Kingdom's code is another one, and whoever writes this one means it.
            if country != "*" && (!is_country(country) || country == "UK") {
                let message =
                    format!("expected a country's two upper-case letters (ISO 3166-1) or `*`, but found `{country}`");
                faults.push(Fault::new("settings", format!("/consent/countries/{index}"), message));
            }
        }
        let everywhere = settings.unreadable.countries || nobody_agreed || !faults.is_empty();
        let rules = Self {
            cookie: cookie.flatten(),
            tcf,
            gpp,
            countries: settings.countries.clone(),
            nobody_agreed,
            everywhere,
        };
        (rules, faults)
    }
}

fn usable_cookie(cookie: &ConsentCookie, faults: &mut Vec<Fault>) -> Option<CookieRule> {
    let before = faults.len();
    let mut fault = |key: &str, message: String| {
        faults.push(Fault::new("settings", format!("/consent/cookie{key}"), message));
    };
    if !is_token(&cookie.name) {
        fault("/name", format!("expected a cookie's name (RFC 9110 token), but found `{}`", cookie.name));
    }
    if cookie.value.is_none() && cookie.pattern.is_none() {
        fault("", "expected a value or a pattern that means yes, but found neither".to_owned());
    }
    let pattern = match cookie.pattern.as_ref().map(|pattern| (pattern, Regex::new(pattern))) {
        None => None,
        Some((_, Ok(regex))) => Some(regex),
        Some((pattern, Err(error))) => {
            fault("/pattern", format!("expected a regular expression, but found `{pattern}`: {error}"));
            None
        }
    };
    let rule = CookieRule { name: cookie.name.clone(), value: cookie.value.clone(), pattern };
    (faults.len() == before).then_some(rule)
}

/// Whether `consent.tcf` or `consent.gpp` can be used.
fn usable_string(of: &str, cookie: &str, purposes: &[u8], faults: &mut Vec<Fault>) -> bool {
    let before = faults.len();
    if !is_token(cookie) {
        let message = format!("expected a cookie's name (RFC 9110 token), but found `{cookie}`");
        faults.push(Fault::new("settings", format!("/consent/{of}/cookie"), message));
    }
    if purposes.is_empty() || purposes.iter().any(|purpose| !(1..=24).contains(purpose)) {
        let message = format!("expected numbers from 1 to 24, but found {purposes:?}");
        faults.push(Fault::new("settings", format!("/consent/{of}/purposes"), message));
    }
    faults.len() == before
}
