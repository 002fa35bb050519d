//! Settings that can't be used as they are, and settings that are for development.

use edge_personalizer::rules::settings::hosts::merge;
use edge_personalizer::rules::settings::sticky::StickySettings;
use edge_personalizer::rules::settings::visitor::VisitorSettings;
use edge_personalizer::rules::settings::{PreviewMode, RegionOverride, Settings};
use edge_personalizer::wire::authority;
use edge_personalizer::wire::cookies::{SetCookie, covers, is_token};
use serde::Deserialize as _;
use serde_json::Value;

use super::Checked;
use crate::countries;

impl Checked<'_> {
    /// Names cookies that no browser takes, countries that are none, and what must not go to production.
    pub(super) fn settings(&mut self) {
        let Some(json) = self.json("settings") else { return };
        // As written: the edge goes on without a cookie that can't be used.
        let sticky: StickySettings =
            json.get("sticky").and_then(|sticky| StickySettings::deserialize(sticky).ok()).unwrap_or_default();
        for (at, of) in scopes(json) {
            self.countries(&at, &of);
            self.read_cookies(&at, &of);
            self.languages(&at, &of);
            self.tokens(&at, &of);
        }
        self.cookie_domains(json);
        self.session_api(json);
        let settings = std::rc::Rc::clone(&self.rules.settings);
        for (pointer, message) in open_settings(&settings) {
            self.warn("settings", pointer, message);
        }
        let cookies = [
            ("visitor", &settings.visitor.cookie, settings.visitor.domain.as_deref(), settings.visitor.same_site),
            ("sticky", &sticky.cookie, sticky.domain.as_deref(), sticky.same_site),
        ];
        for (name, cookie, domain, same_site) in cookies {
            if (SetCookie { name: cookie, value: "", domain, max_age: None, same_site }).render().is_some() {
                continue;
            }
            let (pointer, message) = if is_token(cookie) {
                let domain = domain.unwrap_or_default();
                let why = if cookie.to_ascii_lowercase().starts_with("__host-") {
                    "no domain beside a cookie whose name begins with __Host-".to_owned()
                } else {
                    "a domain such as 'example.com', without a dot in front".to_owned()
                };
                ("domain", format!("expected {why}, but found '{domain}': no browser keeps such a cookie"))
            } else {
                let plain: String =
                    cookie.chars().map(|char| if char.is_ascii_alphanumeric() { char } else { '_' }).collect();
                let hint = if cookie.is_empty() { String::new() } else { format!(". Write '{plain}'") };
                (
                    "cookie",
                    format!(
                        "expected a cookie's name without spaces, ';' and '=', but found '{cookie}': no browser keeps such a cookie{hint}"
                    ),
                )
            };
            self.fault("settings", format!("/{name}/{pointer}"), message);
        }
    }

    /// Cookies that are read, whose names are none; and cookies that the edge writes over another one's.
    fn read_cookies(&mut self, at: &str, json: &Value) {
        const READ: [&str; 5] = [
            "/identity/jwt/cookie",
            "/consent/cookie/name",
            "/consent/tcf/cookie",
            "/consent/gpp/cookie",
            "/visitor/adopt",
        ];
        let named = |pointer: &'static str| Some((pointer, json.pointer(pointer)?.as_str()?.to_owned()));
        let read: Vec<_> = READ.into_iter().filter_map(named).collect();
        // The edge names those of consent itself.
        for (pointer, cookie) in read.iter().filter(|(at, cookie)| !at.starts_with("/consent") && !is_token(cookie)) {
            let message = format!("expected a cookie's name without spaces, ';' and '=', but found '{cookie}'");
            self.own_fault(at, pointer, message);
        }
        let default = |pointer, cookie: &str| named(pointer).unwrap_or((pointer, cookie.to_owned()));
        let visitor = default("/visitor/cookie", &VisitorSettings::default().cookie);
        let sticky = json.get("sticky").filter(|sticky| !sticky.is_null());
        let sticky = sticky.map(|_| default("/sticky/cookie", StickySettings::COOKIE));
        let others = read.iter().filter(|(pointer, _)| *pointer != "/visitor/adopt");
        let mut taken: Vec<&(&str, String)> = others.collect();
        for own in [Some(&visitor), sticky.as_ref()].into_iter().flatten() {
            if let Some((other, _)) = taken.iter().find(|(_, name)| *name == own.1) {
                let message = format!("expected a cookie of its own, but found '{}', which {other} names", own.1);
                self.own_fault(at, own.0, message);
            }
            taken.push(own);
        }
    }

    /// `consent.countries`, whose mistakes would let the edge track where it must not.
    fn countries(&mut self, at: &str, json: &Value) {
        let Some(countries) = json.pointer("/consent/countries").filter(|countries| !countries.is_null()) else {
            return;
        };
        let Some(list) = countries.as_array() else {
            let code = countries.as_str().and_then(countries::meant).unwrap_or("DE");
            let message = format!("expected a list of countries, such as [\"{code}\"], but found {countries}");
            return self.own_fault(at, "/consent/countries", message);
        };
        for (index, country) in list.iter().enumerate() {
            let text = country.as_str();
            if text.is_some_and(|text| text == "*" || countries::is_country(text)) {
                continue;
            }
            let hint =
                text.and_then(countries::meant).map(|code| format!(": did you mean \"{code}\"?")).unwrap_or_default();
            let message = format!("expected two capital letters (ISO 3166-1) or \"*\", but found {country}{hint}");
            self.own_fault(at, &format!("/consent/countries/{index}"), message);
        }
    }

    /// Languages that are none: no `Accept-Language` ever names one.
    fn languages(&mut self, at: &str, json: &Value) {
        let list = json.get("languages").and_then(Value::as_array).into_iter().flatten();
        for (index, language) in list.enumerate().filter_map(|(index, item)| Some((index, item.as_str()?))) {
            if !is_language(language) {
                let message =
                    format!("expected a language tag (RFC 5646) such as 'de' or 'pt-BR', but found '{language}'");
                self.own_fault(at, &format!("/languages/{index}"), message);
            }
        }
    }

    /// Tokens that nothing can bring, or prove.
    fn tokens(&mut self, at: &str, json: &Value) {
        let Some(jwt) = json.pointer("/identity/jwt").filter(|jwt| jwt.is_object()) else { return };
        let is_brought =
            jwt.get("cookie").is_some_and(|cookie| !cookie.is_null()) || jwt.get("bearer") == Some(&Value::Bool(true));
        if !is_brought {
            let message = "expected `cookie` or `bearer`, but found neither: no request brings a token that counts";
            self.own_fault(at, "/identity/jwt", message.to_owned());
        }
        if jwt.get("algorithms").is_none_or(|list| list.as_array().is_some_and(Vec::is_empty)) {
            let message = "expected `algorithms` such as [\"RS256\"], but found none: no token counts, and everybody is anonymous";
            self.own_fault(at, "/identity/jwt", message.to_owned());
        }
    }

    /// Domains that another host's cookies are for.
    fn cookie_domains(&mut self, json: &Value) {
        for (name, own) in json.get("hosts").and_then(Value::as_object).into_iter().flatten() {
            let host = name.trim_start_matches("*.").trim_end_matches('.');
            for cookie in ["visitor", "sticky"] {
                let domain = own.pointer(&format!("/{cookie}/domain")).and_then(Value::as_str);
                // A domain that is none is named already; below a wildcard may be some that it is for.
                let is_for = |domain: &str| covers(domain, host) || (name.starts_with("*.") && covers(host, domain));
                let other = domain.filter(|domain| !domain.is_empty() && !domain.starts_with('.') && !is_for(domain));
                if let Some(domain) = other {
                    let message = format!(
                        "expected a domain that '{host}' lies in, but found '{domain}': the cookie is for the answering host alone"
                    );
                    self.warn("settings", format!("/hosts/{}/{cookie}/domain", super::escape(name)), message);
                }
            }
        }
    }

    /// How the session API is asked.
    fn session_api(&mut self, json: &Value) {
        let text = |pointer| json.pointer(pointer).and_then(Value::as_str);
        if let Some(path) = text("/session/path") {
            if !path.starts_with('/') {
                let message =
                    format!("expected a path that begins with '/', but found '{path}': the session API is never asked");
                self.fault("settings", "/session/path", message);
            } else if !path.contains("{id}") {
                let message = format!(
                    "expected '{{id}}' in it, as in '/sessions/{{kind}}/{{id}}', but found '{path}': all visitors would have one session"
                );
                self.fault("settings", "/session/path", message);
            }
        }
        let is_host = |host: &str| authority::split(host).is_some();
        if let Some(host) = text("/session/host").filter(|host| !is_host(host)) {
            let message = format!("expected a host such as 'sessions.example.com', but found '{host}'");
            self.fault("settings", "/session/host", message);
        }
    }

    /// A fault of the site, or of a host; what a host has from the site is named once.
    fn own_fault(&mut self, at: &str, pointer: &str, message: String) {
        let is_the_sites = self.findings.iter().any(|found| found.pointer == pointer && found.message == message);
        if at.is_empty() || !is_the_sites {
            self.fault("settings", format!("{at}{pointer}"), message);
        }
    }

    /// What is read otherwise than it is written: a list where an object belongs, whose members would be taken in their order or dropped, and
    /// a number above the most that counts.
    pub(super) fn misfits(&mut self) {
        for (name, schema) in edge_personalizer::rules::schema::schemas() {
            let own = self.folder.dictionaries.get(name).and_then(|source| source.json.as_ref().ok());
            let mut found = Vec::new();
            if let Some(json) = own {
                misfits(&schema, &schema, json, "", &mut found);
            }
            for (pointer, misfit) in found.into_iter().filter(|(pointer, _)| !pointer.is_empty()) {
                match misfit {
                    Misfit::List => self.fault(name, pointer, "expected an object { … }, but found a list"),
                    Misfit::Above { most, found } => {
                        let message = format!("expected {most} at most, but found {found}: the edge takes {most}");
                        self.warn(name, pointer, message);
                    }
                }
            }
        }
    }
}

/// The site's settings, and what each host has: where it stands, and its members over the site's (RFC 7396), as the edge merges them.
fn scopes(json: &Value) -> Vec<(String, Value)> {
    let hosts = json.get("hosts").and_then(Value::as_object).into_iter().flatten().filter(|(_, own)| own.is_object());
    let on_hosts = hosts.map(|(host, own)| {
        let mut of = json.clone();
        merge(&mut of, own);
        (format!("/hosts/{}", super::escape(host)), of)
    });
    std::iter::once((String::new(), json.clone())).chain(on_hosts).collect()
}

/// Whether a text has the form of a language tag: its language, and subtags of 1 to 8 letters and digits (RFC 5646, section 2.1).
fn is_language(text: &str) -> bool {
    let mut subtags = text.split('-');
    let is_primary = |tag: &str| (2..=8).contains(&tag.len()) && tag.bytes().all(|byte| byte.is_ascii_alphabetic());
    let is_further = |tag: &str| (1..=8).contains(&tag.len()) && tag.bytes().all(|byte| byte.is_ascii_alphanumeric());
    subtags.next().is_some_and(is_primary) && subtags.all(is_further)
}

/// Settings that let every visitor choose what they see: pointer and message.
pub fn open_settings(settings: &Settings) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    if settings.region_override == RegionOverride::Any {
        let message = "expected 'none' outside local development, but found 'any': every visitor can choose a region by the header X-Geo-Region";
        found.push(("/region_override", message.to_owned()));
    }
    if settings.preview == PreviewMode::Open {
        let message = "expected 'signed' or 'off' outside local development, but found 'open': every visitor can choose a variation by the query";
        found.push(("/preview", message.to_owned()));
    }
    found
}

/// What a schema says that its reader doesn't.
enum Misfit {
    /// A list that is known as an object.
    List,
    /// A number above the most that counts.
    Above { most: u64, found: u64 },
}

/// Misfits, each with its pointer.
fn misfits(root: &Value, node: &Value, json: &Value, pointer: &str, found: &mut Vec<(String, Misfit)>) {
    let shapes = shapes(root, node);
    match json {
        Value::Array(items) => {
            let is = |shape: &&Value, name: &str| match shape.get("type") {
                Some(Value::String(kind)) => kind == name,
                Some(Value::Array(kinds)) => kinds.iter().any(|kind| kind == name),
                _ => false,
            };
            let open = shapes.iter().any(|shape| shape.get("type").is_none() || is(shape, "array"));
            if !open && shapes.iter().any(|shape| is(shape, "object")) {
                return found.push((pointer.to_owned(), Misfit::List));
            }
            let Some(node) = shapes.iter().find_map(|shape| shape.get("items")) else { return };
            for (index, item) in items.iter().enumerate() {
                misfits(root, node, item, &format!("{pointer}/{index}"), found);
            }
        }
        Value::Object(members) => {
            for (key, value) in members {
                let known = shapes.iter().find_map(|shape| shape.get("properties")?.get(key));
                let any = || {
                    shapes.iter().find_map(|shape| shape.get("additionalProperties")).filter(|node| node.is_object())
                };
                if let Some(node) = known.or_else(any) {
                    misfits(root, node, value, &format!("{pointer}/{}", super::escape(key)), found);
                }
            }
        }
        Value::Number(number) => {
            // The most of a type is nothing that the edge would take instead.
            let is_own =
                |shape: &&&Value| !matches!(shape.get("format").and_then(Value::as_str), Some("uint8" | "uint16"));
            let most = shapes.iter().filter(is_own).find_map(|shape| shape.get("maximum")?.as_u64());
            if let (Some(most), Some(is)) = (most, number.as_u64())
                && is > most
            {
                found.push((pointer.to_owned(), Misfit::Above { most, found: is }));
            }
        }
        _ => {}
    }
}

/// What a node may be: references followed, choices listed.
fn shapes<'s>(root: &'s Value, node: &'s Value) -> Vec<&'s Value> {
    if let Some(reference) = node.get("$ref").and_then(Value::as_str) {
        let target = reference.strip_prefix('#').and_then(|pointer| root.pointer(pointer));
        return target.map(|target| shapes(root, target)).unwrap_or_default();
    }
    match ["anyOf", "oneOf"].iter().find_map(|choice| node.get(choice)?.as_array()) {
        Some(options) => options.iter().flat_map(|option| shapes(root, option)).collect(),
        None => vec![node],
    }
}
