//! A route from its stored form to its compiled one: every name is parsed, every fault has its place.

use std::rc::Rc;

use http::{HeaderName, HeaderValue, Method, StatusCode};

use super::{Answer, Cache, CompiledAction, DEFAULT_BACKEND, Fallback, Personalize, Route, RouteReads};
use crate::attributes::FactSet;
use crate::condition::{Condition, Fault, PatternBudget};
use crate::growthbook::Schedule;
use crate::rules::events::{expected_name, is_name as is_name_of_event};
use crate::rules::host_pattern::HostPattern;
use crate::rules::path::Pattern;
use crate::rules::settings::attributes::OwnAttributes;
use crate::rules::stored::{self, Action, SessionUse};
use crate::rules::template::{Placeholder, Template};
use crate::transform::body::BodyRules;
use crate::transform::media::Adapt;
use crate::transform::template::Templates;
use crate::transform::{fault, pointer_token};
use crate::wire::headers::is_reserved;
use crate::wire::url::AbsoluteUrl;

/// Statuses of a personalized request that count as failures where the route names none.
pub const FALLBACK_STATUSES: [u16; 5] = [404, 500, 502, 503, 504];
/// Longest id: it goes into headers and surrogate keys.
const MAX_ID: usize = 64;

/// What a route is compiled with: the rest of its rule set, as far as a route refers to it.
#[derive(Debug)]
pub struct Beside<'a> {
    /// The templates of pages.
    pub templates: &'a mut Templates,
    /// The attributes that the site declares.
    pub own: &'a OwnAttributes,
    /// What is left for patterns: those of all routes share it.
    pub patterns: &'a mut PatternBudget,
}

impl Route {
    /// Compiles a stored route; `place` says where it stands. Beside the route come the faults of those of its body's operations that are
    /// left out, and of what its condition says in vain.
    ///
    /// # Errors
    ///
    /// The first fault; the route can't be used.
    pub fn compile(stored: stored::Route, place: &str, beside: &mut Beside<'_>) -> Result<(Self, Vec<Fault>), Fault> {
        let at = |pointer: &'static str| move |message: String| fault(pointer, message);
        if !is_name(&stored.id) {
            let message = format!("expected 1 to {MAX_ID} of A-Z a-z 0-9 . _ -, but found '{}'", stored.id);
            return Err(fault("/id", message));
        }
        let pattern = Pattern::compile(&stored.path).map_err(at("/path"))?;
        let when = stored.when.as_ref().map(|when| Condition::compile_within(when, beside.patterns));
        let when = when.transpose().map_err(|fault| fault.under("when"))?;
        let methods = methods(stored.methods.as_deref())?;
        let host = stored.host.as_deref().map(HostPattern::parse).transpose().map_err(at("/host"))?;
        let schedule = Schedule::compile(&stored.schedule).map_err(|fault| fault.under("schedule"))?;
        if schedule.never_holds() {
            let message = "expected a time after 'from', but found an earlier one";
            return Err(fault("/schedule/until", message));
        }
        if let Some(event) = stored.event.as_deref().filter(|event| !is_name_of_event(event)) {
            return Err(fault("/event", expected_name(event)));
        }
        let action = compile_action(&stored, &pattern, beside)?;
        let adapt = stored.adapt.as_ref().map(compile_adapt).transpose()?;
        let (body, mut faults) =
            BodyRules::compile(&stored.html, stored.json.as_ref(), adapt.as_ref(), beside.templates);
        let mut route = Self {
            id: stored.id,
            place: place.to_owned(),
            pattern,
            enabled: stored.enabled,
            host,
            methods,
            when,
            schedule,
            action,
            feature_keys: stored.features,
            experiment_keys: stored.experiments,
            event: stored.event,
            session: stored.session,
            reads: RouteReads::default(),
            adapt,
            body: Rc::new(body),
        };
        route.derive(beside.own);
        faults.extend(route.when.iter().flat_map(Condition::faults).cloned().map(|fault| fault.under("when")));
        Ok((route, faults))
    }

    /// What follows from the parts: the features and experiments that they name, and the attributes that they read.
    fn derive(&mut self, own: &OwnAttributes) {
        let (mut features, mut experiments) = (Vec::new(), Vec::new());
        let mut reads = RouteReads::default();
        for template in self.templates() {
            reads.request = reads.request.and(template.facts(own));
            for placeholder in template.placeholders() {
                match placeholder {
                    Placeholder::Feature(key) => features.push(key.clone()),
                    Placeholder::Experiment(key) => experiments.push(key.clone()),
                    _ => {}
                }
            }
        }
        if let Some(when) = &self.when {
            reads.choice = when.attributes_used().map(|name| own.facts(name)).collect();
        }
        let of_answer = match &self.action {
            CompiledAction::Respond(answer) => answer.reads(),
            _ => None,
        };
        for (paths, facts) in [(Some(self.body.reads()), &mut reads.body), (of_answer, &mut reads.request)] {
            for path in paths.into_iter().flatten() {
                let (name, rest) = path.split_once('.').unwrap_or((path, ""));
                match name {
                    "feature" if !rest.is_empty() => features.push(rest.to_owned()),
                    "experiment" if !rest.is_empty() => experiments.push(rest.to_owned()),
                    _ => *facts = facts.and(own.facts(name)),
                }
            }
        }
        if let Some(adapt) = &self.adapt {
            let device = if adapt.uses_device() { FactSet::of("deviceType") } else { FactSet::NONE };
            let network = if adapt.uses_network() { FactSet::of("network") } else { FactSet::NONE };
            reads.request = reads.request.and(device).and(network);
        }
        if self.session.as_ref().is_some_and(SessionUse::is_sent) {
            reads.request = reads.request.and(FactSet::of("session"));
        }
        self.reads = reads;
        for (keys, more) in [(&mut self.feature_keys, features), (&mut self.experiment_keys, experiments)] {
            keys.extend(more);
            keys.sort();
            keys.dedup();
        }
    }
}

fn methods(names: Option<&[String]>) -> Result<Vec<Method>, Fault> {
    let Some(names) = names else { return Ok(vec![Method::GET, Method::HEAD]) };
    let read = |(index, name): (usize, &String)| {
        let method = Method::from_bytes(name.as_bytes()).ok().filter(|_| !name.is_empty());
        method.ok_or_else(|| fault(format!("/methods/{index}"), format!("expected an HTTP method, but found '{name}'")))
    };
    names.iter().enumerate().map(read).collect()
}

/// Where a redirect goes. The template's own text names scheme and host, or stays on the page's: no value can choose them.
fn location(template: Template) -> Result<Template, String> {
    let prefix = template.prefix();
    let own_page = prefix.starts_with(['/', '?', '#']) && !prefix.starts_with("//") && !prefix.starts_with("/\\");
    let url = AbsoluteUrl::split(prefix).filter(|url| matches!(url.scheme, "http" | "https"));
    let whole_host = url.is_some_and(|url| !url.authority.is_empty() && (!url.rest.is_empty() || template.is_fixed()));
    if own_page || whole_host {
        return Ok(template);
    }
    Err(format!(
        "expected a location that begins with '/' or with a whole 'https://host/', so that no value chooses the scheme or the host, \
         but found '{prefix}' before the first value"
    ))
}

fn compile_action(stored: &stored::Route, pattern: &Pattern, beside: &mut Beside<'_>) -> Result<CompiledAction, Fault> {
    let own = beside.own;
    let template = |pointer: String, text: &str| -> Result<Template, Fault> {
        let template = Template::compile(text, own).map_err(|message| fault(pointer.clone(), message))?;
        for placeholder in template.placeholders() {
            let unknown = match placeholder {
                Placeholder::PathParameter(name) => !pattern.names().any(|known| known == name),
                Placeholder::PathRest => !pattern.names().any(|known| known == "rest"),
                _ => false,
            };
            if unknown {
                return Err(fault(pointer, unknown_name(pattern, text)));
            }
        }
        Ok(template)
    };
    let status = |pointer: &str, code: u16, allowed: &dyn Fn(StatusCode) -> bool, expected: &str| {
        StatusCode::from_u16(code)
            .ok()
            .filter(|status| allowed(*status))
            .ok_or_else(|| fault(pointer, format!("expected {expected}, but found {code}")))
    };
    match stored.action {
        Action::Passthrough => Ok(CompiledAction::Passthrough),
        Action::Respond => {
            let respond =
                stored.respond.as_ref().ok_or_else(|| fault("/respond", "expected an answer, but found none"))?;
            let status = status(
                "/respond/status",
                respond.status.unwrap_or(200),
                &|status| !status.is_informational(),
                "a status from 200 to 599",
            )?;
            let fallback = compile_fallback(stored.fallback.clone().unwrap_or_default())?;
            let answer = Answer::compile(respond, status, fallback, beside.templates, &template)?;
            Ok(CompiledAction::Respond(Box::new(answer)))
        }
        Action::Redirect => {
            let redirect =
                stored.redirect.as_ref().ok_or_else(|| fault("/redirect", "expected a location, but found none"))?;
            Ok(CompiledAction::Redirect {
                status: status(
                    "/redirect/status",
                    redirect.status.unwrap_or(302),
                    &|status| matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308),
                    "301, 302, 303, 307 or 308",
                )?,
                location: template("/redirect/location".to_owned(), &redirect.location)
                    .and_then(|template| location(template).map_err(|message| fault("/redirect/location", message)))?,
            })
        }
        Action::Personalize => {
            let rewrite = &stored.rewrite;
            let path = rewrite.path.as_deref().map(|text| {
                if text.starts_with('/') && !text.contains(['?', '#']) {
                    template("/rewrite/path".to_owned(), text)
                } else {
                    let message = format!("expected a path that starts with '/', without query, but found '{text}'");
                    Err(fault("/rewrite/path", message))
                }
            });
            let mut set_query = Vec::new();
            for (name, text) in &rewrite.set_query {
                set_query.push((name.clone(), template(format!("/rewrite/set_query/{}", pointer_token(name)), text)?));
            }
            let mut set_headers = Vec::new();
            for (name, text) in &stored.request_headers.set {
                let pointer = format!("/request_headers/set/{name}");
                let header = header_name(name).map_err(|message| fault(pointer.clone(), message))?;
                let compiled = template(pointer.clone(), text)?;
                if compiled.literals().any(|literal| HeaderValue::from_str(literal).is_err()) {
                    return Err(fault(
                        pointer,
                        format!("expected a header value without line breaks, but found '{text}'"),
                    ));
                }
                set_headers.push((header, compiled));
            }
            let mut remove_headers = Vec::new();
            for (index, name) in stored.request_headers.remove.iter().enumerate() {
                let pointer = format!("/request_headers/remove/{index}");
                remove_headers.push(header_name(name).map_err(|message| fault(pointer, message))?);
            }
            Ok(CompiledAction::Personalize(Box::new(Personalize {
                backend: stored.backend.clone().unwrap_or_else(|| DEFAULT_BACKEND.to_owned()),
                path: path.transpose()?,
                query: rewrite.query,
                set_query,
                remove_query: rewrite.remove_query.clone(),
                set_headers,
                remove_headers,
                cache: stored.cache.clone().map(compile_cache).transpose()?,
                fallback: compile_fallback(stored.fallback.clone().unwrap_or_default())?,
            })))
        }
    }
}

/// A template names a part of the path that the path doesn't have.
fn unknown_name(pattern: &Pattern, text: &str) -> String {
    let names: Vec<_> = pattern.names().collect();
    if names.is_empty() {
        return format!(
            "expected a path with a name, as '/shop/{{id}}' or '/shop/*' (path.rest), but found '{text}' on a path without one"
        );
    }
    format!("expected one of the path's names ({}), but found another in '{text}'", names.join(", "))
}

fn compile_adapt(stored: &serde_json::Value) -> Result<Adapt, Fault> {
    let mut faults = Vec::new();
    let adapt = Adapt::compile(stored, "/adapt", &mut faults);
    match faults.into_iter().next() {
        Some(fault) => Err(fault),
        None => Ok(adapt),
    }
}

fn compile_cache(stored: stored::Cache) -> Result<Cache, Fault> {
    let mut key_headers = Vec::new();
    for (index, name) in stored.key_headers.iter().enumerate() {
        let pointer = format!("/cache/key_headers/{index}");
        key_headers.push(header_name(name).map_err(|message| fault(pointer, message))?);
    }
    key_headers.sort_by(|one, other| one.as_str().cmp(other.as_str()));
    key_headers.dedup();
    let mut key_cookies = stored.key_cookies.clone();
    key_cookies.sort();
    key_cookies.dedup();
    for (index, key) in stored.surrogate_keys.iter().enumerate() {
        if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            let message = format!("expected visible ASCII without spaces, but found '{key}'");
            return Err(fault(format!("/cache/surrogate_keys/{index}"), message));
        }
    }
    Ok(Cache { stored, key_headers, key_cookies })
}

fn compile_fallback(stored: stored::Fallback) -> Result<Fallback, Fault> {
    if let Some(path) = stored.path.as_deref()
        && !(path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#'))
    {
        let message = format!("expected an encoded path that starts with '/', but found '{path}'");
        return Err(fault("/fallback/path", message));
    }
    let codes = stored.statuses.unwrap_or_else(|| FALLBACK_STATUSES.to_vec());
    let mut statuses = Vec::with_capacity(codes.len());
    for (index, code) in codes.into_iter().enumerate() {
        let status =
            StatusCode::from_u16(code).ok().filter(|status| status.is_client_error() || status.is_server_error());
        statuses.push(status.ok_or_else(|| {
            let message = format!("expected a status from 400 to 599, but found {code}");
            fault(format!("/fallback/statuses/{index}"), message)
        })?);
    }
    Ok(Fallback { path: stored.path, backend: stored.backend.unwrap_or_else(|| DEFAULT_BACKEND.to_owned()), statuses })
}

fn is_name(name: &str) -> bool {
    (1..=MAX_ID).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

pub(super) fn header_name(name: &str) -> Result<HeaderName, String> {
    let header =
        HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("expected a header name, but found '{name}'"))?;
    if is_reserved(&header) {
        return Err(format!("expected a header that rules may edit, but found the reserved '{name}'"));
    }
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    fn compile(json: serde_json::Value) -> Result<Route, Fault> {
        let mut templates = Templates::new([]);
        let mut patterns = PatternBudget::default();
        let own = OwnAttributes::default();
        let beside = &mut Beside { templates: &mut templates, own: &own, patterns: &mut patterns };
        Route::compile(serde_json::from_value(json).unwrap(), "routes/routes/0", beside).map(|(route, _)| route)
    }

    fn fault(json: serde_json::Value) -> String {
        compile(json).unwrap_err().to_string()
    }

    #[test]
    fn until_is_not_included() {
        let route = compile(serde_json::json!({ "id": "a", "path": "/a",
            "schedule": { "from": "2026-11-27T00:00:00Z", "until": "2026-12-01T00:00:00+01:00" } }))
        .unwrap();
        assert!(!route.schedule.holds(datetime!(2026-11-26 23:59:59 UTC)));
        assert!(route.schedule.holds(datetime!(2026-11-27 00:00 UTC)));
        assert!(!route.schedule.holds(datetime!(2026-11-30 23:00 UTC)));
    }

    #[test]
    fn faults_say_where_and_what() {
        assert_eq!(
            fault(serde_json::json!({ "id": "a", "path": "/a", "host": "exa mple" })),
            "/host: expected 'www.example.com' or '*.example.com', but found 'exa mple'"
        );
        assert!(
            fault(serde_json::json!({ "id": "a", "path": "/{sku}", "rewrite": { "path": "/x/{path.id}" } }))
                .starts_with("/rewrite/path: expected one of the path's names (sku)")
        );
        assert!(
            fault(
                serde_json::json!({ "id": "a", "path": "/a", "request_headers": { "set": { "X-Geo-Region": "x" } } })
            )
            .ends_with("but found the reserved 'X-Geo-Region'")
        );
        assert!(
            fault(serde_json::json!({ "id": "a", "path": "/a", "request_headers": { "set": { "X-A": "a\r\nb" } } }))
                .starts_with("/request_headers/set/X-A")
        );
        assert!(fault(serde_json::json!({ "id": "a", "path": "/a", "action": "redirect", "redirect": { "location": "/b", "status": 200 } }))
            .starts_with("/redirect/status"));
        assert!(fault(serde_json::json!({ "id": "a b", "path": "/a" })).starts_with("/id"));
        assert_eq!(
            fault(serde_json::json!({ "id": "a", "path": "/a", "schedule": { "until": "2026-11-27" } })),
            "/schedule/until: expected a time as 2026-11-27T00:00:00Z (RFC 3339), but found '2026-11-27'"
        );
    }

    #[test]
    fn no_value_chooses_where_a_redirect_goes() {
        let redirect = |path: &str, location: &str| {
            compile(
                serde_json::json!({ "id": "a", "path": path, "action": "redirect", "redirect": { "location": location } }),
            )
        };
        for location in
            ["/b/{path.rest}", "https://example.com/{path.rest}", "https://example.com", "?a={country}", "/{path.rest}"]
        {
            assert!(redirect("/go/*", location).is_ok(), "{location}");
        }
        for location in [
            "{path.rest}",
            "https://example.com{path.rest}",
            "https://{path.rest}/",
            "//{path.rest}",
            "/\\{path.rest}",
            "ftp://example.com/",
            "javascript:{path.rest}",
            "https:///x",
            "//example.com/x",
        ] {
            let fault = redirect("/go/*", location).unwrap_err();
            assert_eq!(fault.pointer, "/redirect/location", "{location}");
            assert!(fault.message.contains("no value chooses the scheme or the host"), "{location}");
        }
    }

    #[test]
    fn what_a_route_reads_follows_from_its_parts() {
        let reads = |json: serde_json::Value| compile(json).unwrap().reads;
        let route = reads(
            serde_json::json!({ "id": "a", "path": "/a", "when": { "deviceType": "mobile", "$not": { "segments": "vip" } },
            "rewrite": { "path": "/{region.slug}", "set_query": { "u": "{user.id}" } } }),
        );
        assert_eq!(route.choice.names().collect::<Vec<_>>(), ["deviceType", "segments"]);
        assert_eq!(route.request.names().collect::<Vec<_>>(), ["userId", "region"]);
        let route = reads(serde_json::json!({ "id": "a", "path": "/a", "cache": {},
            "html": [{ "select": "p", "inner": "{{ session.cart_quantity }} for {{ country }}", "when": { "loggedIn": true } }],
            "json": { "set": [{ "pointer": "/d", "value": { "from": "deviceType" } }] } }));
        assert_eq!(route.body.names().collect::<Vec<_>>(), ["loggedIn", "country", "deviceType", "session"]);
    }

    #[test]
    fn a_wildcard_host_takes_hosts_below_it_only() {
        let route = compile(serde_json::json!({ "id": "a", "path": "/a", "host": "*.example.com" })).unwrap();
        assert!(route.is_for_host("www.example.com"));
        assert!(!route.is_for_host("example.com"));
        assert!(!route.is_for_host("www.example.com.evil"));
    }
}
