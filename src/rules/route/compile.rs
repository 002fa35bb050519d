//! A route from its stored form to its compiled one: every name is parsed, every fault has its place.

use std::cell::OnceCell;

use http::{HeaderName, HeaderValue, Method, StatusCode};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Cache, CompiledAction, DEFAULT_BACKEND, Fallback, Needs, Personalize, Route, RouteFault, Schedule};
use crate::adapt::Adapt;
use crate::condition::Condition;
use crate::rules::path::Pattern;
use crate::rules::stored::{self, Action};
use crate::rules::template::{Source, Template};
use crate::wire::headers::is_reserved;

/// Statuses of a personalized request that count as failures where the route names none.
pub const FALLBACK_STATUSES: [u16; 5] = [404, 500, 502, 503, 504];
/// Longest id: it goes into headers and surrogate keys.
const MAX_ID: usize = 64;

impl Route {
    /// Compiles a stored route; `place` says where it stands.
    ///
    /// # Errors
    ///
    /// The first fault; the route can't be used.
    pub fn compile(stored: stored::Route, place: &str) -> Result<Self, RouteFault> {
        let at = |pointer: &'static str| move |message: String| (pointer.to_owned(), message);
        if !is_name(&stored.id) {
            let message = format!("expected 1 to {MAX_ID} of A-Z a-z 0-9 . _ -, but found '{}'", stored.id);
            return Err(("/id".to_owned(), message));
        }
        let pattern = Pattern::compile(&stored.path).map_err(at("/path"))?;
        let when = match &stored.when {
            None => None,
            Some(when) => {
                Some(Condition::compile(when).map_err(|fault| (format!("/when{}", fault.pointer), fault.message))?)
            }
        };
        let methods = match &stored.methods {
            None => vec![Method::GET, Method::HEAD],
            Some(names) => {
                let mut methods = Vec::with_capacity(names.len());
                for (index, name) in names.iter().enumerate() {
                    let method = Method::from_bytes(name.as_bytes()).ok().filter(|_| !name.is_empty());
                    methods.push(method.ok_or_else(|| {
                        (format!("/methods/{index}"), format!("expected an HTTP method, but found '{name}'"))
                    })?);
                }
                methods
            }
        };
        let host = stored.host.as_deref().map(host_pattern).transpose().map_err(at("/host"))?;
        let schedule = Schedule {
            from: moment(stored.schedule.from.as_deref()).map_err(at("/schedule/from"))?,
            until: moment(stored.schedule.until.as_deref()).map_err(at("/schedule/until"))?,
        };
        if let (Some(from), Some(until)) = (schedule.from, schedule.until)
            && until <= from
        {
            return Err((
                "/schedule/until".to_owned(),
                "expected a time after 'from', but found an earlier one".to_owned(),
            ));
        }
        let action = compile_action(&stored, &pattern)?;
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
            session: stored.session,
            needs: Needs::default(),
            adapt: stored.adapt.as_ref().map(compile_adapt).transpose()?,
            html: stored.html,
            json: stored.json,
            body: OnceCell::new(),
        };
        let (mut features, mut experiments) = (Vec::new(), Vec::new());
        for source in route.templates().into_iter().flat_map(Template::sources) {
            match source {
                Source::Feature(key) => features.push(key.clone()),
                Source::Experiment(key) => experiments.push(key.clone()),
                _ => {}
            }
        }
        for (keys, more) in [(&mut route.feature_keys, features), (&mut route.experiment_keys, experiments)] {
            keys.extend(more);
            keys.sort();
            keys.dedup();
        }
        route.needs = route.needs();
        Ok(route)
    }
}

fn compile_action(stored: &stored::Route, pattern: &Pattern) -> Result<CompiledAction, RouteFault> {
    let template = |pointer: String, text: &str| -> Result<Template, RouteFault> {
        let template = Template::compile(text).map_err(|message| (pointer.clone(), message))?;
        for source in template.sources() {
            let unknown = match source {
                Source::PathParameter(name) => !pattern.names().any(|known| known == name),
                Source::PathRest => !pattern.names().any(|known| known == "rest"),
                _ => false,
            };
            if unknown {
                let names: Vec<_> = pattern.names().collect();
                let message =
                    format!("expected one of the path's names ({}), but found another in '{text}'", names.join(", "));
                return Err((pointer, message));
            }
        }
        Ok(template)
    };
    let status = |pointer: &str, code: u16, allowed: &dyn Fn(StatusCode) -> bool, expected: &str| {
        StatusCode::from_u16(code)
            .ok()
            .filter(|status| allowed(*status))
            .ok_or_else(|| (pointer.to_owned(), format!("expected {expected}, but found {code}")))
    };
    match stored.action {
        Action::Passthrough => Ok(CompiledAction::Passthrough),
        Action::Respond => {
            let respond = stored
                .respond
                .as_ref()
                .ok_or_else(|| ("/respond".to_owned(), "expected an answer, but found none".to_owned()))?;
            let mut headers = Vec::new();
            for (name, text) in &respond.headers {
                let pointer = format!("/respond/headers/{name}");
                headers
                    .push((header_name(name).map_err(|message| (pointer.clone(), message))?, template(pointer, text)?));
            }
            Ok(CompiledAction::Respond {
                status: status(
                    "/respond/status",
                    respond.status.unwrap_or(200),
                    &|status| !status.is_informational(),
                    "a status from 200 to 599",
                )?,
                headers,
                body: template("/respond/body".to_owned(), &respond.body)?,
            })
        }
        Action::Redirect => {
            let redirect = stored
                .redirect
                .as_ref()
                .ok_or_else(|| ("/redirect".to_owned(), "expected a location, but found none".to_owned()))?;
            Ok(CompiledAction::Redirect {
                status: status(
                    "/redirect/status",
                    redirect.status.unwrap_or(302),
                    &|status| matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308),
                    "301, 302, 303, 307 or 308",
                )?,
                location: template("/redirect/location".to_owned(), &redirect.location)?,
            })
        }
        Action::Personalize => {
            let rewrite = &stored.rewrite;
            let path = rewrite.path.as_deref().map(|text| {
                if text.starts_with('/') && !text.contains(['?', '#']) {
                    template("/rewrite/path".to_owned(), text)
                } else {
                    let message = format!("expected a path that starts with '/', without query, but found '{text}'");
                    Err(("/rewrite/path".to_owned(), message))
                }
            });
            let mut set_query = Vec::new();
            for (name, text) in &rewrite.set_query {
                set_query.push((name.clone(), template(format!("/rewrite/set_query/{name}"), text)?));
            }
            let mut set_headers = Vec::new();
            for (name, text) in &stored.request_headers.set {
                let pointer = format!("/request_headers/set/{name}");
                let header = header_name(name).map_err(|message| (pointer.clone(), message))?;
                let compiled = template(pointer.clone(), text)?;
                if compiled.literals().any(|literal| HeaderValue::from_str(literal).is_err()) {
                    return Err((pointer, format!("expected a header value without line breaks, but found '{text}'")));
                }
                set_headers.push((header, compiled));
            }
            let mut remove_headers = Vec::new();
            for (index, name) in stored.request_headers.remove.iter().enumerate() {
                let pointer = format!("/request_headers/remove/{index}");
                remove_headers.push(header_name(name).map_err(|message| (pointer, message))?);
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

fn compile_adapt(stored: &serde_json::Value) -> Result<Adapt, RouteFault> {
    let mut faults = Vec::new();
    let adapt = Adapt::compile(stored, "/adapt", &mut faults);
    match faults.into_iter().next() {
        Some(fault) => Err((fault.pointer, fault.message)),
        None => Ok(adapt),
    }
}

fn compile_cache(stored: stored::Cache) -> Result<Cache, RouteFault> {
    let mut key_headers = Vec::new();
    for (index, name) in stored.key_headers.iter().enumerate() {
        let pointer = format!("/cache/key_headers/{index}");
        key_headers.push(header_name(name).map_err(|message| (pointer, message))?);
    }
    key_headers.sort_by(|one, other| one.as_str().cmp(other.as_str()));
    key_headers.dedup();
    let mut key_cookies = stored.key_cookies.clone();
    key_cookies.sort();
    key_cookies.dedup();
    for (index, key) in stored.surrogate_keys.iter().enumerate() {
        if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            let message = format!("expected visible ASCII without spaces, but found '{key}'");
            return Err((format!("/cache/surrogate_keys/{index}"), message));
        }
    }
    Ok(Cache { stored, key_headers, key_cookies })
}

fn compile_fallback(stored: stored::Fallback) -> Result<Fallback, RouteFault> {
    if let Some(path) = stored.path.as_deref()
        && !(path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#'))
    {
        let message = format!("expected an encoded path that starts with '/', but found '{path}'");
        return Err(("/fallback/path".to_owned(), message));
    }
    let codes = stored.statuses.unwrap_or_else(|| FALLBACK_STATUSES.to_vec());
    let mut statuses = Vec::with_capacity(codes.len());
    for (index, code) in codes.into_iter().enumerate() {
        let status =
            StatusCode::from_u16(code).ok().filter(|status| status.is_client_error() || status.is_server_error());
        statuses.push(status.ok_or_else(|| {
            (format!("/fallback/statuses/{index}"), format!("expected a status from 400 to 599, but found {code}"))
        })?);
    }
    Ok(Fallback { path: stored.path, backend: stored.backend.unwrap_or_else(|| DEFAULT_BACKEND.to_owned()), statuses })
}

fn is_name(name: &str) -> bool {
    (1..=MAX_ID).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

fn header_name(name: &str) -> Result<HeaderName, String> {
    let header =
        HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("expected a header name, but found '{name}'"))?;
    if is_reserved(&header) {
        return Err(format!("expected a header that rules may edit, but found the reserved '{name}'"));
    }
    Ok(header)
}

fn host_pattern(host: &str) -> Result<String, String> {
    let pattern = host.strip_prefix('*').unwrap_or(host).to_ascii_lowercase();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    let wildcard = host.starts_with('*') == pattern.starts_with('.');
    if pattern.is_empty() || !wildcard || !pattern.bytes().all(plain) {
        return Err(format!("expected 'www.example.com' or '*.example.com', but found '{host}'"));
    }
    Ok(pattern)
}

fn moment(text: Option<&str>) -> Result<Option<OffsetDateTime>, String> {
    text.map(|text| {
        OffsetDateTime::parse(text, &Rfc3339)
            .map_err(|_| format!("expected a time as 2026-11-27T00:00:00Z (RFC 3339), but found '{text}'"))
    })
    .transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    fn compile(json: serde_json::Value) -> Result<Route, RouteFault> {
        Route::compile(serde_json::from_value(json).unwrap(), "routes/routes/0")
    }

    fn fault(json: serde_json::Value) -> String {
        let (pointer, message) = compile(json).unwrap_err();
        format!("{pointer}: {message}")
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
    }

    #[test]
    fn a_wildcard_host_takes_hosts_below_it_only() {
        let route = compile(serde_json::json!({ "id": "a", "path": "/a", "host": "*.example.com" })).unwrap();
        assert!(route.is_for_host("www.example.com"));
        assert!(!route.is_for_host("example.com"));
        assert!(!route.is_for_host("www.example.com.evil"));
    }
}
