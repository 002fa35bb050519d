//! The dictionary `settings`: each with a safe default, so that an absent one serves a site correctly.

pub mod attributes;
pub mod backends;
pub mod bots;
pub mod consent;
pub mod events;
pub mod front;
pub mod hosts;
pub mod identity;
pub mod log;
pub mod ofrep;
pub mod replication;
pub mod session;
pub mod sticky;
pub mod visitor;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::fault::{self, Fault};
use super::host_pattern::closest;
use backends::BackendSettings;
use bots::BotSettings;
use consent::ConsentSettings;
use events::EventSettings;
use front::FrontSettings;
use hosts::HostRules;
use identity::IdentitySettings;
pub use log::{LogSettings, Redaction};
use ofrep::OfrepSettings;
use replication::ReplicationSettings;
use session::SessionSettings;
use sticky::StickySettings;
use visitor::VisitorSettings;

/// Where a client may choose its own region (`X-Geo-Region`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum RegionOverride {
    /// Nowhere: the header is removed.
    #[default]
    None,
    /// Everywhere: for local development only.
    Any,
}

/// Who may see another variation or region than their own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum PreviewMode {
    /// Nobody.
    Off,
    /// Who holds a signed link (`personalizer preview`).
    #[default]
    Signed,
    /// Everybody, by query (`?hero=1`, as the GrowthBook specification has it): for local development only.
    Open,
}

/// How a variation that leads to another URL is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum RedirectMode {
    /// The origin is asked for the other path, the visitor's address bar stays: no exposure is lost on the way.
    #[default]
    Rewrite,
    /// The visitor is sent there with a 302.
    Redirect,
}

/// A GrowthBook SDK payload in the KV store `rules`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct GrowthBookSettings {
    /// The key under which GrowthBook's Fastly KV webhook writes it.
    pub kv_key: String,
    /// The secret that holds the decryption key, where the payload is encrypted.
    #[serde(default)]
    pub secret: Option<String>,
}

/// What a request may cost.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Limits {
    /// Milliseconds of vCPU after which a page streams on unrewritten; the platform stops a request at 50.
    pub vcpu_ms: u64,
    /// Bytes of the largest JSON answer that is edited.
    pub json_bytes: usize,
    /// Variants that a route may have before `personalizer check` warns: each is an object of its own in every cache.
    pub max_variants: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { vcpu_ms: 30, json_bytes: 256 * 1024, max_variants: 50 }
    }
}

/// `settings`, as stored.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Settings {
    /// For editors; ignored.
    #[serde(rename = "$schema", skip_serializing)]
    pub schema: Option<String>,
    /// Where a client may choose its own region.
    pub region_override: RegionOverride,
    /// The languages that the site speaks, the preferred first (RFC 5646 tags). Without them there is no `language`.
    pub languages: Vec<String>,
    /// What is logged.
    pub log: LogSettings,
    /// How a user is known.
    pub identity: IdentitySettings,
    /// How consent is learnt.
    pub consent: ConsentSettings,
    /// Who is a bot beside those that are known, and who is none.
    pub bots: BotSettings,
    /// The cookie of a visitor who isn't logged in.
    pub visitor: VisitorSettings,
    /// Remembers the variations that a visitor was given, in a cookie; `{}` is enough. Off without it.
    pub sticky: Option<StickySettings>,
    /// Session records.
    pub session: SessionSettings,
    /// What the central backend may send at once.
    pub replication: ReplicationSettings,
    /// Who may see another variation or region than their own.
    pub preview: PreviewMode,
    /// How a variation that leads to another URL is shown.
    pub redirects: RedirectMode,
    /// What a request may cost.
    pub limits: Limits,
    /// Facts of the site's own, by name: from a cookie, a header, a query parameter or a claim of the proven token.
    #[cfg_attr(feature = "schema", schemars(with = "std::collections::BTreeMap<String, attributes::StoredAttribute>"))]
    pub attributes: Map<String, Value>,
    /// A GrowthBook SDK payload; the dictionaries win.
    pub growthbook: Option<GrowthBookSettings>,
    /// Where browsers send their measures to. Nowhere without it.
    pub events: Option<EventSettings>,
    /// Flags for OpenFeature's providers, below `/ofrep/v1/`; `{}` is enough. Off without it.
    pub ofrep: Option<OfrepSettings>,
    /// The hop in front: whose word for the visitor's address counts; `{}` is enough. Nobody's without it.
    pub front: Option<FrontSettings>,
    /// How backends want to be asked, by their names.
    pub backends: BTreeMap<String, BackendSettings>,
    /// What is otherwise on a host (`www.example.com`, or `*.example.com`): languages, consent, cookies, identity, default region.
    #[serde(serialize_with = "hosts::write", deserialize_with = "hosts::none")]
    #[cfg_attr(feature = "schema", schemars(with = "BTreeMap<String, hosts::HostSettings>"))]
    pub hosts: Vec<HostRules>,
}

impl Settings {
    /// What counts where `settings` can't be read at all: whatever the site meant, consent comes first, and nobody is shown or given
    /// what they may not have.
    #[must_use]
    pub fn strictest() -> Self {
        let (consent, log) = (ConsentSettings::strictest(), LogSettings::strictest());
        Self { consent, log, preview: PreviewMode::Off, ..Self::default() }
    }

    /// Reads the dictionary. What doesn't fit is a fault, and that key keeps its default, the keys beside it keep what they say;
    /// what protects a visitor becomes the strictest instead (`STRICT`, and [`ConsentSettings::read`]).
    pub fn read(text: &str, faults: &mut Vec<Fault>) -> Self {
        let mut fields: Map<String, Value> = match fault::peek(text) {
            Ok(fields) => fields,
            Err(message) => {
                faults.push(Fault::new("settings", "", message));
                return Self::strictest();
            }
        };
        let hosts = fields.remove("hosts").filter(|hosts| !hosts.is_null());
        let Some(hosts) = hosts else { return Self::read_fields(fields, faults) };
        let mut site = Self::read_fields(fields.clone(), faults);
        hosts::read(&hosts, &fields, &mut site, faults);
        site
    }

    /// Reads the members of one site.
    fn read_fields(mut fields: Map<String, Value>, faults: &mut Vec<Fault>) -> Self {
        let consent = fields.remove("consent").map(|consent| ConsentSettings::read(consent, faults));
        let bots = fields.remove("bots").map(|bots| BotSettings::read(bots, faults)).unwrap_or_default();
        // Each round leaves one member out, or makes one strict, so the loop ends when the members do.
        loop {
            match fault::read::<Self>(&Value::Object(fields.clone()).to_string()) {
                Ok((settings, unknown)) => {
                    faults.extend(unknown.into_iter().map(|pointer| {
                        Fault::new("settings", pointer, "expected a known key, but found one that is ignored")
                    }));
                    let consent = consent.unwrap_or_default();
                    return Self { consent, bots, ..settings }.within_bounds(faults);
                }
                Err((pointer, message)) => {
                    let left_out = leave_out(&mut fields, &pointer);
                    faults.push(Fault::new("settings", pointer, message));
                    if !left_out {
                        return Self::strictest();
                    }
                }
            }
        }
    }

    fn within_bounds(mut self, faults: &mut Vec<Fault>) -> Self {
        if !(0.0..=1.0).contains(&self.log.sample) {
            let message = format!("expected a number from 0 to 1, but found {}", self.log.sample);
            faults.push(Fault::new("settings", "/log/sample", message));
            self.log.sample = LogSettings::default().sample;
        }
        self.log.compile(faults);
        if !self.visitor.is_usable() {
            let message = format!(
                "expected a name and a domain that make a cookie, but found `{}`; no visitor's id is kept or used",
                self.visitor.cookie
            );
            faults.push(Fault::new("settings", "/visitor", message));
            self.visitor.unusable = true;
        }
        if let Some(sticky) = self.sticky.take_if(|sticky| !sticky.is_usable()) {
            let message = format!(
                "expected a name and a domain that make a cookie, but found `{}`; no variation is remembered",
                sticky.cookie
            );
            faults.push(Fault::new("settings", "/sticky", message));
        }
        EventSettings::within_bounds(&mut self.events, faults);
        OfrepSettings::within_bounds(&mut self.ofrep, &self.attributes, faults);
        FrontSettings::within_bounds(&mut self.front, faults);
        BackendSettings::within_bounds(&mut self.backends, faults);
        self
    }

    /// The settings on `host` (in lower case, without a port).
    #[must_use]
    pub fn on_host(&self, host: &str) -> &Self {
        closest(&self.hosts, |of| of.fits(host)).map_or(self, |of| &of.settings)
    }

    /// Every language that the site speaks on any host.
    pub fn all_languages(&self) -> impl Iterator<Item = &str> {
        let on_hosts = self.hosts.iter().flat_map(|host| &host.settings.languages);
        self.languages.iter().chain(on_hosts).map(String::as_str)
    }

    /// The code of the shield in front of a backend.
    #[must_use]
    pub fn shield_of(&self, backend: &str) -> Option<&str> {
        self.backends.get(backend)?.shield.as_deref()
    }

    /// The host that a backend wants to be asked by; `None`: the one that the visitor asked for.
    #[must_use]
    pub fn host_of(&self, backend: &str) -> Option<&str> {
        self.backends.get(backend)?.host.as_deref()
    }
}

/// Members of a wrong type that get another value than the default: who may be known, who may see what isn't theirs, and what is logged.
const STRICT: [(&str, &str); 6] = [
    ("/preview", r#""off""#),
    ("/identity", r#"{"header":false}"#),
    ("/identity/header", "false"),
    ("/log", r#"{"redact":["/*"]}"#),
    ("/log/redact", r#"["/*"]"#),
    ("/ofrep/features", "[]"),
];
/// Members that are left out as a whole: half a check of a token or of a hop is none, and half a place names nothing.
const WHOLE: [&str; 3] = ["/identity/jwt", "/growthbook", "/front"];

/// Takes out what holds the fault at `pointer`: the innermost member of an object, or the strict value in its place. Whether there was
/// one.
fn leave_out(fields: &mut Map<String, Value>, pointer: &str) -> bool {
    let mut path = String::new();
    let mut here = fields;
    let mut steps = pointer.split('/').skip(1).peekable();
    while let Some(step) = steps.next() {
        path.push('/');
        path.push_str(step);
        let name = step.replace("~1", "/").replace("~0", "~");
        let strict = STRICT.iter().find(|(of, _)| *of == path).and_then(|(_, value)| serde_json::from_str(value).ok());
        let goes_on = steps.peek().is_some() && !WHOLE.contains(&path.as_str());
        match here.get(&name) {
            None => return false,
            Some(Value::Object(_)) if goes_on => {}
            // The strict value itself is none that could be wrong.
            Some(found) if strict.as_ref() == Some(found) => return false,
            Some(_) => {
                match strict {
                    Some(value) => here.insert(name, value),
                    None => here.remove(&name),
                };
                return true;
            }
        }
        let Some(Value::Object(inner)) = here.get_mut(&name) else { return false };
        here = inner;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bad_setting_leaves_the_others() {
        let mut faults = Vec::new();
        let settings = Settings::read(
            r#"{"languages":["fr"],"log":{"sample":"all"},"region_override":"any","langauges":[]}"#,
            &mut faults,
        );
        assert_eq!(settings.languages, ["fr"]);
        assert_eq!(settings.region_override, RegionOverride::Any);
        assert_eq!(settings.log.sample, 1.0);
        let named: Vec<_> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
        assert_eq!(named, ["/log/sample", "/langauges"]);
    }

    #[test]
    fn of_a_setting_that_stands_there_twice_the_last_counts() {
        let mut faults = Vec::new();
        let settings = Settings::read(r#"{"languages":["fr"],"log":{"sample":0.5},"languages":["de"]}"#, &mut faults);
        assert_eq!((settings.languages, settings.log.sample), (vec!["de".to_owned()], 0.5));
        assert!(faults.is_empty(), "{faults:?}");
    }

    fn read(text: &str) -> (Settings, Vec<String>) {
        let mut faults = Vec::new();
        let settings = Settings::read(text, &mut faults);
        (settings, faults.into_iter().map(|fault| fault.pointer).collect())
    }

    #[test]
    fn a_wrong_member_leaves_its_neighbours() {
        let (settings, named) = read(
            r#"{"visitor":{"cookie":"v","days":"many"},"session":{"limits":{"cart":"x","segments":3},"max_age":7},
            "log":{"sample":0.5,"exposure_attributes":"country"},"languages":[1,"de"]}"#,
        );
        assert_eq!((settings.visitor.cookie.as_str(), settings.visitor.days), ("v", 180));
        assert_eq!((settings.session.limits.cart, settings.session.limits.segments), (100, 3));
        assert_eq!((settings.session.max_age, settings.log.sample), (7, 0.5));
        assert!(settings.log.exposure_attributes.is_empty() && settings.languages.is_empty());
        let mut named = named;
        named.sort();
        assert_eq!(named, ["/languages/0", "/log/exposure_attributes", "/session/limits/cart", "/visitor/days"]);
    }

    #[test]
    fn what_protects_a_visitor_fails_closed() {
        let (settings, named) =
            read(r#"{"preview":true,"region_override":["any"],"identity":{"header":"no","tolerance":9}}"#);
        assert_eq!((settings.preview, settings.region_override), (PreviewMode::Off, RegionOverride::None));
        assert_eq!((settings.identity.header, settings.identity.tolerance), (false, 9));
        assert_eq!(named.len(), 3, "{named:?}");
        let (settings, named) = read(r#"{"identity":{"jwt":{"algorithms":["HS256"],"cookie":"j","issuer":7}}}"#);
        assert_eq!(
            (settings.identity.jwt, settings.identity.header),
            (None, true),
            "a token without its issuer's check is none"
        );
        assert_eq!(named, ["/identity/jwt/issuer"]);
        let (settings, named) = read(r#"{"identity":"jwt"}"#);
        assert!(!settings.identity.header && settings.identity.jwt.is_none());
        assert_eq!(named, ["/identity"]);
    }

    #[test]
    fn what_is_to_be_redacted_and_cannot_be_read_takes_every_path_out() {
        for (log, pointer) in [
            (r#"{"redact":"/reset/{token}","sample":0.5}"#, "/log/redact"),
            (r#"{"redact":["/reset/{token}",7],"sample":0.5}"#, "/log/redact/1"),
            (r#"{"redact":{},"sample":0.5}"#, "/log/redact"),
            (r#"{"redact":null,"sample":0.5}"#, "/log/redact"),
            (r#"{"redact":["reset/{token}"],"sample":0.5}"#, "/log/redact/0"),
        ] {
            let (settings, named) = read(&format!(r#"{{"log":{log}}}"#));
            assert_eq!((settings.log.redaction.of("/a/b").path.as_ref(), settings.log.sample), ("/*", 0.5), "{log}");
            assert_eq!(named, [pointer], "{log}");
        }
        for log in ["7", "true", "\"x\""] {
            let (settings, named) = read(&format!(r#"{{"log":{log}}}"#));
            assert_eq!(settings.log.redaction.of("/a/b").path, "/*", "{log}");
            assert_eq!(named, ["/log"], "{log}");
        }
        let (settings, named) = read(r#"{"log":{"redact":["/a/{b}"],"sample":"all"}}"#);
        assert_eq!((settings.log.redaction.of("/a/b").path.as_ref(), settings.log.sample), ("/a/{b}", 1.0));
        assert_eq!(named, ["/log/sample"]);
        assert_eq!(Settings::strictest().log.redaction.of("/a").path, "/*");
    }

    #[test]
    fn settings_that_cannot_be_read_are_the_strictest() {
        for text in ["", "{", "[]", "null", r#"{"consent":{"countries":["#, "\"x\""] {
            let (settings, named) = read(text);
            assert_eq!(named, [""], "{text}");
            assert_eq!(settings, Settings::strictest(), "{text}");
            assert!(settings.consent.unreadable.signals && settings.consent.unreadable.countries);
            assert_eq!((settings.preview, settings.sticky), (PreviewMode::Off, None));
        }
    }

    #[test]
    fn consent_is_read_member_by_member_and_fails_closed() {
        for (consent, pointer, signals, countries) in [
            (r#"{"cookie":{"name":"c","value":"y"},"countries":"DE"}"#, "/consent/countries", false, true),
            (r#"{"cookie":{"name":"c","value":"y"},"countries":["DE",7]}"#, "/consent/countries/1", false, true),
            (r#"{"cookie":{"name":"c","value":true}}"#, "/consent/cookie/value", true, false),
            (r#"{"cookie":"c","tcf":{}}"#, "/consent/cookie", true, false),
            (r#"{"tcf":{"purposes":["1"]}}"#, "/consent/tcf/purposes/0", true, false),
            ("[]", "/consent", true, true),
            ("null", "/consent", true, true),
            ("7", "/consent", true, true),
        ] {
            let (settings, named) = read(&format!(r#"{{"consent":{consent},"languages":["de"]}}"#));
            assert_eq!(named, [pointer], "{consent}");
            let unreadable = settings.consent.unreadable;
            assert_eq!((unreadable.signals, unreadable.countries), (signals, countries), "{consent}");
            assert_eq!(settings.languages, ["de"]);
            assert_eq!(settings.consent.cookie.is_some(), !signals, "{consent}");
        }
        let (settings, named) =
            read(r#"{"consent":{"cookie":{"name":"c","value":"y","valeu":1},"land":[],"$comment":"x"}}"#);
        assert_eq!(named, ["/consent/cookie/valeu", "/consent/land"]);
        assert!(settings.consent.cookie.is_some());
        // What a key that nobody reads was meant to protect, nobody can tell.
        let unreadable = |consent: &str| read(&format!(r#"{{"consent":{consent}}}"#)).0.consent.unreadable;
        for consent in [r#"{"contries":["*"]}"#, r#"{"tfc":{}}"#, r#"{"cokie":{"name":"c","value":"y"}}"#] {
            assert!(unreadable(consent).signals && unreadable(consent).countries, "{consent}");
        }
        let within = unreadable(r#"{"tcf":{"purpose":[1]}}"#);
        assert!(within.signals && !within.countries);
    }

    #[test]
    fn a_cookie_that_no_browser_takes_is_named() {
        let (settings, named) = read(r#"{"visitor":{"cookie":"a b"},"sticky":{"domain":"x;y"}}"#);
        assert_eq!(named, ["/visitor", "/sticky"]);
        assert!(settings.visitor.unusable && settings.sticky.is_none());
        assert!(read(r#"{"sticky":{}}"#).0.sticky.is_some() && read("{}").0.sticky.is_none());
    }

    #[test]
    fn a_host_that_is_none_is_named_and_the_visitors_own_is_sent() {
        let (settings, named) = read(
            r#"{"backends":{"a":{"host":"Shop.Internal:8443"},"b":{"host":"https://shop.internal/"},"c":{"host":7,"hosts":1},"d":"x","e/f":{"host":""}}}"#,
        );
        assert_eq!(settings.host_of("a"), Some("shop.internal:8443"));
        assert!(["b", "c", "d", "e/f", "g"].iter().all(|name| settings.host_of(name).is_none()));
        let mut named = named;
        named.sort();
        assert_eq!(
            named,
            ["/backends/b/host", "/backends/c/host", "/backends/c/hosts", "/backends/d", "/backends/e~1f/host"]
        );
    }

    #[test]
    fn a_shields_code_that_is_none_is_named_and_the_backend_is_asked_directly() {
        let (settings, named) = read(
            r#"{"backends":{"a":{"shield":"iad-va-us"},"b":{"shield":"IAD"},"c":{"shield":"a--b","host":"c.internal"},"d":{"shield":["x"]}}}"#,
        );
        assert_eq!(settings.shield_of("a"), Some("iad-va-us"));
        assert!(["b", "c", "d", "e"].iter().all(|name| settings.shield_of(name).is_none()));
        assert_eq!(settings.host_of("c"), Some("c.internal"));
        assert_eq!(named, ["/backends/d/shield", "/backends/b/shield", "/backends/c/shield"]);
    }

    #[test]
    fn a_front_that_cannot_be_read_is_nobodys() {
        for (front, pointer) in [
            ("true", "/front"),
            (r#"{"header":7}"#, "/front/header"),
            (r#"{"header":"X-Front"}"#, "/front/header"),
            (r#"{"header":"Edge Front"}"#, "/front/header"),
            (r#"{"header":"Edge-"}"#, "/front/header"),
            (r#"{"header":"Edge_Front"}"#, "/front/header"),
            (r#"{"header":"Edge-Pass"}"#, "/front/header"),
            (r#"{"header":""}"#, "/front/header"),
        ] {
            let (settings, named) = read(&format!(r#"{{"front":{front},"languages":["de"]}}"#));
            assert_eq!(named, [pointer], "{front}");
            assert_eq!((settings.front, settings.languages.len()), (None, 1), "{front}");
        }
        assert_eq!(read(r#"{"front":{}}"#).0.front.unwrap().header, "edge-front");
        assert_eq!(read(r#"{"front":{"header":"EDGE-Door"}}"#).0.front.unwrap().header, "edge-door");
        assert!(read("{}").0.front.is_none());
    }

    #[test]
    fn a_file_written_twice_is_no_file() {
        let mut faults = Vec::new();
        assert!(Settings::read(r#"{"languages":["fr"]}{"languages":["de"]}"#, &mut faults).languages.is_empty());
        assert_eq!(faults.iter().map(|fault| fault.pointer.as_str()).collect::<Vec<_>>(), [""]);
    }

    #[test]
    fn a_sample_out_of_range_is_a_fault() {
        let mut faults = Vec::new();
        assert_eq!(Settings::read(r#"{"log":{"sample":-2}}"#, &mut faults).log.sample, 1.0);
        assert_eq!(faults.len(), 1);
    }
}
