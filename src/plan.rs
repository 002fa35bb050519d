//! Plan: a decision becomes exact edits. What follows has nothing left to choose.

pub mod key;
pub mod query;
pub mod values;
pub mod variant;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

use crate::admit::{RequestHead, accepts_encoding, add_hop_headers};
use crate::context::Context;
use crate::decide::Decision;
use crate::platform::Caching;
use crate::rules::RuleSet;
use crate::rules::route::{Cache, CompiledAction, DEFAULT_BACKEND, Personalize, Route};
use crate::rules::routes::Candidate;
use crate::rules::stored::{Downstream, QueryPolicy};
use crate::rules::template::{Place, Template};
use key::Canonical;
use values::PlanValues;
use variant::Variant;

/// What is done for a request.
#[derive(Debug)]
pub enum Plan {
    /// Ask a backend.
    Fetch(Box<FetchPlan>),
    /// Answer here.
    Answer(AnswerPlan),
}

/// Ask a backend.
#[derive(Debug)]
pub struct FetchPlan {
    /// The route, where one matched.
    pub route: Option<String>,
    /// The request.
    pub primary: Exchange,
    /// What is asked for when that fails.
    pub fallback: Option<FallbackPlan>,
    /// What the answer says of itself.
    pub privacy: Privacy,
    /// Codes of what could not be done as the rules say.
    pub codes: Vec<&'static str>,
}

/// What is asked for when the personalized request fails. It doesn't depend on the variant.
#[derive(Debug)]
pub struct FallbackPlan {
    /// The request.
    pub exchange: Exchange,
    /// Statuses of the first answer that count as failures.
    pub statuses: Vec<StatusCode>,
}

/// One request to a backend.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// The backend's name.
    pub backend: String,
    /// Method.
    pub method: Method,
    /// Scheme, host, path and query.
    pub url: String,
    /// The path with its query, for the log (the query is left out there).
    pub path: String,
    /// Exactly what is sent.
    pub headers: HeaderMap,
    /// How the cache treats it.
    pub caching: Caching,
    /// What shaped it.
    pub variant: Variant,
}

/// An answer made here.
#[derive(Debug)]
pub struct AnswerPlan {
    /// The route.
    pub route: String,
    /// The status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: String,
    /// What shaped it.
    pub variant: Variant,
    /// What the answer says of itself.
    pub privacy: Privacy,
}

/// What an answer says of itself to caches below the edge (design.md section 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Privacy {
    /// Not personalized: as the origin says.
    Transparent,
    /// Personalized, and the route lets the origin say.
    Origin,
    /// Personalized: the visitor's own cache alone.
    Private,
    /// The visitor's identity or session is in it: nobody keeps it.
    NoStore,
}

/// Plans a request that no rule touches.
pub fn passthrough(head: &RequestHead) -> FetchPlan {
    // A visitor's credentials make an answer the visitor's own, whatever the origin forgot to say.
    let shareable = head.is_safe()
        && !head.headers.contains_key(header::COOKIE)
        && !head.headers.contains_key(header::AUTHORIZATION);
    FetchPlan {
        route: None,
        primary: Exchange {
            backend: DEFAULT_BACKEND.to_owned(),
            method: head.method.clone(),
            url: url(head, &head.path, head.query.as_deref()),
            path: head.path.clone(),
            headers: private_headers(head, head.headers.clone()),
            caching: if shareable { Caching::Origin } else { Caching::Pass },
            variant: Variant::default(),
        },
        fallback: None,
        privacy: Privacy::Transparent,
        codes: Vec::new(),
    }
}

/// Plans a request as it was decided.
pub fn plan(head: &RequestHead, rules: &RuleSet, context: &Context, decision: &Decision) -> Plan {
    let Some(candidate) = &decision.route else {
        return Plan::Fetch(Box::new(passthrough(head)));
    };
    let route = &*candidate.route;
    let values = PlanValues { context, captures: &candidate.captures };
    let named_passthrough = || {
        let mut plan = passthrough(head);
        plan.route = Some(route.id.clone());
        Plan::Fetch(Box::new(plan))
    };
    if !route.enabled {
        return named_passthrough();
    }
    match &route.action {
        CompiledAction::Passthrough => named_passthrough(),
        CompiledAction::Respond { status, headers, body } => {
            let mut filled = HeaderMap::new();
            for (name, template) in headers {
                insert_filled(&mut filled, name, template, &values);
            }
            let body = body.fill(&values, Place::Text).unwrap_or_default();
            Plan::Answer(answer(route, *status, filled, body, &values))
        }
        CompiledAction::Redirect { status, location } => match redirect_location(location, &values) {
            Some(location) => {
                let headers = HeaderMap::from_iter([(header::LOCATION, location)]);
                Plan::Answer(answer(route, *status, headers, String::new(), &values))
            }
            None => {
                let mut plan = passthrough(head);
                plan.route = Some(route.id.clone());
                plan.privacy = Privacy::Private;
                plan.codes.push("template-absent");
                Plan::Fetch(Box::new(plan))
            }
        },
        CompiledAction::Personalize(personalize) => {
            Plan::Fetch(Box::new(personalized(head, rules, candidate, personalize, &values)))
        }
    }
}

fn answer(route: &Route, status: StatusCode, headers: HeaderMap, body: String, values: &PlanValues<'_>) -> AnswerPlan {
    let mut variant = Variant::default();
    let templates = route.templates();
    values.add_dimensions(templates.iter().copied(), &mut variant);
    let privacy = if values.identify(templates.iter().copied()) { Privacy::NoStore } else { Privacy::Private };
    AnswerPlan { route: route.id.clone(), status, headers, body, variant, privacy }
}

fn personalized(
    head: &RequestHead,
    rules: &RuleSet,
    candidate: &Candidate,
    personalize: &Personalize,
    values: &PlanValues<'_>,
) -> FetchPlan {
    let route = &*candidate.route;
    let mut codes = Vec::new();
    let mut variant = Variant::default();
    let templates = route.templates();
    let identifies = values.identify(templates.iter().copied());
    let path = match &personalize.path {
        None => Some(head.path.clone()),
        Some(template) => template.fill(values, Place::Path),
    };
    // Without its path the personalized answer can't be asked for: the client's own is, untouched.
    let Some(path) = path else {
        let mut plan = generic(head, route, personalize);
        plan.codes.push("template-absent");
        return plan;
    };
    values.add_dimensions(templates.iter().copied(), &mut variant);

    let client_query = match personalize.query {
        QueryPolicy::Keep => head.query.as_deref(),
        QueryPolicy::Drop => None,
    };
    let mut set_query = Vec::with_capacity(personalize.set_query.len());
    for (name, template) in &personalize.set_query {
        match template.fill(values, Place::Query) {
            Some(value) => set_query.push((name.clone(), value)),
            None => codes.push("template-absent"),
        }
    }
    let query = query::edit(client_query, &personalize.remove_query, &set_query);

    // What identifies a visitor is never shared, whatever the route says.
    let shared = personalize.cache.as_ref().filter(|_| !identifies && head.is_safe());
    let mut headers = match shared {
        Some(cache) => canonical_headers(head, cache),
        None => head.headers.clone(),
    };
    for name in &personalize.remove_headers {
        headers.remove(name);
    }
    for (name, template) in &personalize.set_headers {
        if !insert_filled(&mut headers, name, template, values) {
            codes.push("template-absent");
        }
    }
    add_variant_headers(&mut headers, &variant);
    let primary = exchange(head, rules, route, &personalize.backend, path, query, headers, variant, shared);
    let fallback = fallback(head, rules, route, personalize, &primary, shared);
    let privacy = match &shared {
        _ if identifies => Privacy::NoStore,
        Some(cache) if cache.stored.downstream == Downstream::Origin => Privacy::Origin,
        _ => Privacy::Private,
    };
    FetchPlan { route: Some(route.id.clone()), primary, fallback, privacy, codes }
}

/// The client's own request on a personalized route: what is left when the personalized one can't be made.
fn generic(head: &RequestHead, route: &Route, personalize: &Personalize) -> FetchPlan {
    let mut plan = passthrough(head);
    plan.route = Some(route.id.clone());
    plan.primary.caching = Caching::Pass;
    plan.primary.backend.clone_from(&personalize.fallback.backend);
    plan.privacy = Privacy::Private;
    plan
}

#[allow(clippy::too_many_arguments)]
fn exchange(
    head: &RequestHead,
    rules: &RuleSet,
    route: &Route,
    backend: &str,
    path: String,
    query: Option<String>,
    mut headers: HeaderMap,
    variant: Variant,
    shared: Option<&Cache>,
) -> Exchange {
    let url = url(head, &path, query.as_deref());
    let caching = match shared {
        None => {
            headers = private_headers(head, headers);
            Caching::Pass
        }
        Some(cache) => {
            let canonical = Canonical { backend, method: head.method.as_str(), url: &url, headers: &headers };
            let caching = Caching::Keyed {
                key: canonical.key(),
                ttl: cache.stored.ttl,
                stale_while_revalidate: cache.stored.stale_while_revalidate,
                stale_if_error: cache.stored.stale_if_error,
                surrogate_keys: surrogate_keys(rules, route, cache, &variant),
            };
            add_hop_headers(head, &mut headers);
            caching
        }
    };
    Exchange { backend: backend.to_owned(), method: head.method.clone(), url, path, headers, caching, variant }
}

/// The planned fallback: the route's own, else the client's own path where the personalized request asks for another.
fn fallback(
    head: &RequestHead,
    rules: &RuleSet,
    route: &Route,
    personalize: &Personalize,
    primary: &Exchange,
    shared: Option<&Cache>,
) -> Option<FallbackPlan> {
    // A request that may have done something is not made twice (RFC 9110 section 9.2.2).
    if !head.is_safe() {
        return None;
    }
    let planned = &personalize.fallback;
    let (path, query) = match planned.path.as_deref() {
        Some(target) => match target.split_once('?') {
            Some((path, query)) => (path.to_owned(), Some(query.to_owned())),
            None => (target.to_owned(), None),
        },
        None => (head.path.clone(), head.query.clone()),
    };
    let headers = match shared {
        Some(cache) => canonical_headers(head, cache),
        None => head.headers.clone(),
    };
    let exchange = exchange(head, rules, route, &planned.backend, path, query, headers, Variant::default(), shared);
    let differs = exchange.url != primary.url || exchange.backend != primary.backend;
    differs.then(|| FallbackPlan { exchange, statuses: planned.statuses.clone() })
}

/// What a shared request carries of the client's: what the route names, and the encoding.
fn canonical_headers(head: &RequestHead, cache: &Cache) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let encoding = ["br", "gzip"].into_iter().find(|coding| accepts_encoding(&head.headers, coding));
    if let Some(coding) = encoding {
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(coding));
    }
    for name in &cache.key_headers {
        for value in head.headers.get_all(name) {
            headers.append(name.clone(), value.clone());
        }
    }
    let cookies = head.headers.get(header::COOKIE).map(HeaderValue::as_bytes).unwrap_or_default();
    let named: Vec<&[u8]> = cache.key_cookies.iter().filter_map(|name| cookie_pair(cookies, name)).collect();
    if !named.is_empty()
        && let Ok(value) = HeaderValue::from_bytes(&named.join(&b"; "[..]))
    {
        headers.insert(header::COOKIE, value);
    }
    headers
}

/// The first pair called `name`, as the client wrote it.
fn cookie_pair<'c>(cookies: &'c [u8], name: &str) -> Option<&'c [u8]> {
    cookies
        .split(|byte| *byte == b';')
        .map(<[u8]>::trim_ascii)
        .find(|pair| pair.split(|byte| *byte == b'=').next().is_some_and(|found| found.trim_ascii() == name.as_bytes()))
}

/// What a request that nobody shares carries on top: where it came from.
fn private_headers(head: &RequestHead, mut headers: HeaderMap) -> HeaderMap {
    if let Some(address) = head.address.and_then(|address| HeaderValue::from_str(&address.to_string()).ok()) {
        headers.insert("x-forwarded-for", address);
    }
    add_hop_headers(head, &mut headers);
    headers
}

/// `Edge-Variant`, and beside it the headers that origins know, for those dimensions that are in it.
fn add_variant_headers(headers: &mut HeaderMap, variant: &Variant) {
    const NAMED: [(&str, &str); 4] = [
        ("region", "x-geo-region"),
        ("country", "x-geo-country"),
        (values::DEVICE_TYPE, "x-device-type"),
        ("network", "x-network"),
    ];
    if variant.is_empty() {
        return;
    }
    for (dimension, name) in NAMED {
        if let Some(value) = variant.get(dimension).and_then(|value| HeaderValue::from_str(value).ok()) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    if let Ok(value) = HeaderValue::from_str(&variant.header()) {
        headers.insert(HeaderName::from_static("edge-variant"), value);
    }
}

fn surrogate_keys(rules: &RuleSet, route: &Route, cache: &Cache, variant: &Variant) -> String {
    let revision = rules.revision.as_deref().map(|revision| format!("revision-{revision}"));
    let keys = cache.stored.surrogate_keys.iter().cloned();
    let keys: Vec<String> =
        keys.chain([format!("route-{}", route.id)]).chain(revision).chain(variant.surrogate_keys()).collect();
    keys.join(" ")
}

fn insert_filled(headers: &mut HeaderMap, name: &HeaderName, template: &Template, values: &PlanValues<'_>) -> bool {
    let filled = template.fill(values, Place::Header).and_then(|text| HeaderValue::from_str(&text).ok());
    let found = filled.is_some();
    if let Some(value) = filled {
        headers.insert(name.clone(), value);
    }
    found
}

/// Where a redirect goes. What a visitor sends can't choose the host: `//` and `/\` are hosts to a browser.
fn redirect_location(template: &Template, values: &PlanValues<'_>) -> Option<HeaderValue> {
    let location = template.fill(values, Place::Path)?;
    let foreign = location.starts_with("//") || location.starts_with("/\\");
    if foreign && !template.literals().next().is_some_and(|literal| literal.starts_with("//") && literal.len() > 2) {
        return None;
    }
    HeaderValue::from_str(&location).ok()
}

fn url(head: &RequestHead, path: &str, query: Option<&str>) -> String {
    let mut url = String::with_capacity(
        head.scheme.len() + 3 + head.authority.len() + path.len() + 1 + query.map_or(0, str::len),
    );
    url.push_str(&head.scheme);
    url.push_str("://");
    url.push_str(&head.authority);
    url.push_str(path);
    if let Some(query) = query {
        url.push('?');
        url.push_str(query);
    }
    url
}
