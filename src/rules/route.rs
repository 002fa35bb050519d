//! A route, compiled: names parsed, templates and conditions prepared, times in nanoseconds.

use std::cell::OnceCell;
use std::rc::Rc;

use http::{HeaderName, HeaderValue, Method, StatusCode};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::path::Pattern;
use super::stored::{self, Action, OnMiss, QueryPolicy, SessionUse};
use super::template::{Source, Template};
use crate::adapt::Adapt;
use crate::admit::headers::is_reserved;
use crate::condition::Condition;
use crate::plan::body::BodyRules;

/// The backend of a route that names none (design.md section 3).
pub const DEFAULT_BACKEND: &str = "origin";
/// Statuses of a personalized request that count as failures where the route names none.
const FALLBACK_STATUSES: [u16; 5] = [404, 500, 502, 503, 504];
/// Attributes that the URL alone decides; `now` changes for all at once.
const OF_THE_URL: [&str; 10] =
    ["url", "host", "path", "query", "utmSource", "utmMedium", "utmCampaign", "utmTerm", "utmContent", "now"];
/// Longest id: it goes into headers and surrogate keys.
const MAX_ID: usize = 64;

/// A compiled route.
#[derive(Debug)]
pub struct Route {
    /// Its name.
    pub id: String,
    /// Which paths.
    pub pattern: Pattern,
    /// Its kill switch.
    pub enabled: bool,
    /// Which host, lower case; `.example.com` for any below it.
    pub host: Option<String>,
    /// Which methods.
    pub methods: Vec<Method>,
    /// Which visitors.
    pub when: Option<Condition>,
    /// When.
    pub schedule: Schedule,
    /// What happens.
    pub action: CompiledAction,
    /// Features that the answer depends on: those that are listed, and those that templates name. Sorted.
    pub feature_keys: Vec<String>,
    /// Experiments of their own, likewise.
    pub experiment_keys: Vec<String>,
    /// What of the session the route uses.
    pub session: Option<SessionUse>,
    /// What has to be known before the route can be decided.
    pub needs: Needs,
    /// Media that fit device and network.
    pub adapt: Option<Adapt>,
    /// Operations on pages, as stored.
    pub html: Vec<serde_json::Value>,
    /// Edits of JSON answers, as stored.
    pub json: Option<serde_json::Value>,
    /// Both, compiled when a request first comes near: they need the rule set's templates.
    pub body: OnceCell<Rc<BodyRules>>,
}

/// What has to be known of a visitor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Needs {
    /// What device it is, and whether it is a bot.
    pub device: bool,
    /// Who asks.
    pub person: bool,
    /// The same the next time: a new visitor gets an id.
    pub keeps: bool,
    /// The session.
    pub session: bool,
    /// Where the session isn't fresh, the origin is told instead of the central backend asked.
    pub origin_on_miss: bool,
}

impl Needs {
    /// What this and `other` need together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            device: self.device || other.device,
            person: self.person || other.person,
            keeps: self.keeps || other.keeps,
            session: self.session || other.session,
            // Asking is the safer of the two: whoever gets the route has what it needs.
            origin_on_miss: (self.origin_on_miss || !self.session) && (other.origin_on_miss || !other.session),
        }
    }
}

/// From (inclusive) until (exclusive).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Schedule {
    /// The first moment.
    pub from: Option<OffsetDateTime>,
    /// The first moment after.
    pub until: Option<OffsetDateTime>,
}

impl Schedule {
    /// Whether `now` is within.
    pub fn holds(&self, now: OffsetDateTime) -> bool {
        self.from.is_none_or(|from| from <= now) && self.until.is_none_or(|until| now < until)
    }
}

/// What happens, with what it takes.
#[derive(Debug)]
pub enum CompiledAction {
    /// Rewritten, decided, sent to the origin.
    Personalize(Box<Personalize>),
    /// Sent to the origin as it is.
    Passthrough,
    /// Answered here.
    Respond {
        /// The status.
        status: StatusCode,
        /// Headers.
        headers: Vec<(HeaderName, Template)>,
        /// The body.
        body: Template,
    },
    /// Answered here with a `Location`.
    Redirect {
        /// The status.
        status: StatusCode,
        /// Where to.
        location: Template,
    },
}

/// Edits of a request and what becomes of its answer.
#[derive(Debug)]
pub struct Personalize {
    /// The backend's name.
    pub backend: String,
    /// The path to ask for; without it, the client's.
    pub path: Option<Template>,
    /// What becomes of the client's query.
    pub query: QueryPolicy,
    /// Parameters to set, sorted by name.
    pub set_query: Vec<(String, Template)>,
    /// Parameters to remove; a trailing `*` stands for any rest.
    pub remove_query: Vec<String>,
    /// Headers to set.
    pub set_headers: Vec<(HeaderName, Template)>,
    /// Headers to remove.
    pub remove_headers: Vec<HeaderName>,
    /// How a shared answer is cached.
    pub cache: Option<Cache>,
    /// What is fetched when the personalized request fails.
    pub fallback: Fallback,
}

/// How a shared answer is cached.
#[derive(Debug)]
pub struct Cache {
    /// Times and keys, as stored.
    pub stored: stored::Cache,
    /// Client headers that shape the answer, sorted.
    pub key_headers: Vec<HeaderName>,
    /// Client cookies that shape the answer, sorted.
    pub key_cookies: Vec<String>,
}

/// What is fetched when the personalized request fails.
#[derive(Debug)]
pub struct Fallback {
    /// Path and query; without it, the client's own.
    pub path: Option<String>,
    /// The backend's name.
    pub backend: String,
    /// Statuses that count as failures.
    pub statuses: Vec<StatusCode>,
}

/// A fault within one route: JSON pointer and "expected …, but found …".
pub type RouteFault = (String, String);

impl Route {
    /// Compiles a stored route.
    ///
    /// # Errors
    ///
    /// The first fault; the route can't be used.
    pub fn compile(stored: stored::Route) -> Result<Self, RouteFault> {
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

    fn needs(&self) -> Needs {
        let reads = |names: &[&str]| {
            self.when.as_ref().is_some_and(|when| when.attributes_used().any(|name| names.contains(&name)))
        };
        let templates = self.templates();
        let fills = |wanted: fn(&Source) -> bool| templates.iter().any(|template| template.sources().any(wanted));
        let session = self.session.is_some()
            || reads(&["session", "segments"])
            || fills(|source| matches!(source, Source::Session(_)))
            || self.html.iter().chain(&self.json).any(|operation| operation.to_string().contains("session"));
        let bucketed = !self.feature_keys.is_empty() || !self.experiment_keys.is_empty();
        let keeps = session || bucketed || reads(&["id", "visitorId"]);
        let named = fills(|source| matches!(source, Source::UserId)) || reads(&["userId", "loggedIn"]);
        // An origin that is asked for one visitor is told who it is, where that is proven.
        let private = matches!(&self.action, CompiledAction::Personalize(personalize) if personalize.cache.is_none());
        let origin_on_miss = self.session.as_ref().is_some_and(|session| session.on_miss == OnMiss::Origin);
        let person = keeps || named || private;
        let device = person
            || reads(&["deviceType", "browser", "os"])
            || fills(|source| matches!(source, Source::DeviceType))
            || self.adapt.as_ref().is_some_and(Adapt::uses_device);
        Needs { device, person, keeps, session, origin_on_miss }
    }

    /// Whether it depends on who asks that this is the match: a cache below the edge sees the URL alone.
    pub fn chooses_visitors(&self) -> bool {
        self.when.as_ref().is_some_and(|when| when.attributes_used().any(|name| !OF_THE_URL.contains(&name)))
    }

    /// Whether what the route does with a request is the same whoever asks.
    pub fn is_same_for_all(&self) -> bool {
        let of_the_url = |source: &Source| matches!(source, Source::PathParameter(_) | Source::PathRest);
        let names_arms = !self.feature_keys.is_empty() || !self.experiment_keys.is_empty();
        let fits_visitors = self.session.is_some() || self.adapt.is_some() || self.rewrites_bodies();
        !names_arms && !fits_visitors && self.templates().into_iter().flat_map(Template::sources).all(of_the_url)
    }

    /// Whether requests are rewritten and decided.
    pub fn is_personalized(&self) -> bool {
        matches!(self.action, CompiledAction::Personalize(_))
    }

    /// Whether the page's visual experiments run here.
    pub fn runs_visual_experiments(&self) -> bool {
        !self.html.is_empty()
    }

    /// Whether bodies are rewritten.
    pub fn rewrites_bodies(&self) -> bool {
        !self.html.is_empty() || self.json.is_some() || self.adapt.as_ref().is_some_and(Adapt::filters_playlists)
    }

    /// Whether the answer may hold something of the visitor's session.
    pub fn shows_session(&self) -> bool {
        self.rewrites_bodies() && self.needs.session
    }

    /// Whether the route is for `host` (lower case, without port).
    pub fn is_for_host(&self, host: &str) -> bool {
        match self.host.as_deref() {
            None => true,
            Some(pattern) if pattern.starts_with('.') => {
                host.strip_suffix(pattern).is_some_and(|label| !label.is_empty())
            }
            Some(exact) => exact == host,
        }
    }

    /// Every template of the route.
    pub fn templates(&self) -> Vec<&Template> {
        match &self.action {
            CompiledAction::Passthrough => Vec::new(),
            CompiledAction::Respond { headers, body, .. } => {
                headers.iter().map(|(_, template)| template).chain([body]).collect()
            }
            CompiledAction::Redirect { location, .. } => vec![location],
            CompiledAction::Personalize(personalize) => personalize
                .path
                .iter()
                .chain(personalize.set_query.iter().map(|(_, template)| template))
                .chain(personalize.set_headers.iter().map(|(_, template)| template))
                .collect(),
        }
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
        Route::compile(serde_json::from_value(json).unwrap())
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
