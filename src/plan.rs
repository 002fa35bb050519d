//! Plan: a decision becomes exact edits. What follows has nothing left to choose.

pub mod body;
pub mod exchange;
pub mod fallback;
pub mod key;
pub mod personal;
mod personalized;

pub mod surrogate;
pub mod values;
pub mod variant;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use crate::admit::RequestHead;
use crate::context::Context;
use crate::decide::Decision;
use crate::rules::RuleSet;
use crate::rules::route::{CompiledAction, DEFAULT_BACKEND, Route};
use crate::rules::settings::{RedirectMode, Settings};
use crate::rules::template::{Place, Template};
use body::BodyPlan;
pub use exchange::Exchange;
use fallback::FallbackPlan;
use personalized::PersonalizedRequest;
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
    /// What becomes of the answer's body; `None`: it streams through.
    pub body: Option<BodyPlan>,
    /// Headers of the client that the answer varies by, beside those that the origin names.
    pub vary: Vec<HeaderName>,
    /// Client hints that the answer asks for.
    pub hints: Vec<&'static str>,
    /// What the answer says of itself.
    pub privacy: Privacy,
    /// Codes of what could not be done as the rules say.
    pub codes: Vec<&'static str>,
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
pub fn passthrough(head: &RequestHead, settings: &Settings) -> FetchPlan {
    FetchPlan {
        route: None,
        primary: exchange::transparent(head, settings, DEFAULT_BACKEND),
        fallback: None,
        body: None,
        vary: Vec::new(),
        hints: Vec::new(),
        privacy: Privacy::Transparent,
        codes: Vec::new(),
    }
}

/// Plans a request as it was decided.
pub fn plan(head: &RequestHead, rules: &RuleSet, context: &Context, decision: &Decision) -> Plan {
    // Who is excluded from a route gets what the origin has, and no cache below may take it for everybody's.
    let untouched = |plan: FetchPlan| {
        let privacy = if decision.by_visitor { Privacy::Private } else { plan.privacy };
        Plan::Fetch(Box::new(FetchPlan { privacy, ..plan }))
    };
    let Some(candidate) = &decision.route else {
        return untouched(passthrough(head, &rules.settings));
    };
    let route = &*candidate.route;
    let values = PlanValues { context, captures: &candidate.captures, decision };
    match &route.action {
        _ if !route.enabled => untouched(named_passthrough(head, rules, route)),
        CompiledAction::Passthrough => untouched(named_passthrough(head, rules, route)),
        CompiledAction::Respond { status, headers, body } => {
            let mut filled = HeaderMap::new();
            for (name, template) in headers {
                insert_filled(&mut filled, name, template, &values);
            }
            let body = body.fill(&values, body_place(&filled)).unwrap_or_default();
            Plan::Answer(answer(route, *status, filled, body, &values))
        }
        CompiledAction::Redirect { status, location } => match redirect_location(location, &values) {
            Some(location) if !leads_back(head, &location) => {
                let headers = HeaderMap::from_iter([(header::LOCATION, location)]);
                Plan::Answer(answer(route, *status, headers, String::new(), &values))
            }
            unusable => {
                let mut plan = named_passthrough(head, rules, route);
                plan.privacy = Privacy::Private;
                plan.codes.push(if unusable.is_some() { "redirect-loop" } else { "template-absent" });
                Plan::Fetch(Box::new(plan))
            }
        },
        CompiledAction::Personalize(personalize) => {
            if let Some(location) = arm_redirect(head, rules, decision) {
                let headers = HeaderMap::from_iter([(header::LOCATION, location)]);
                return Plan::Answer(answer(route, StatusCode::FOUND, headers, String::new(), &values));
            }
            let request = PersonalizedRequest { head, rules, candidate, personalize, values: &values };
            Plan::Fetch(Box::new(request.plan()))
        }
    }
}

/// How values are encoded in the body of an answer with these headers.
fn body_place(headers: &HeaderMap) -> Place {
    let kind = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default().to_ascii_lowercase();
    let is = |name: &[u8]| kind.windows(name.len()).any(|window| window == name);
    if is(b"json") {
        Place::Json
    } else if is(b"text/plain") {
        Place::Text
    } else {
        // A browser may take anything else for a page.
        Place::Html
    }
}

fn named_passthrough(head: &RequestHead, rules: &RuleSet, route: &Route) -> FetchPlan {
    FetchPlan { route: Some(route.id.clone()), ..passthrough(head, &rules.settings) }
}

/// Where a URL experiment sends the visitor with a redirect: where settings say so, or where its target is on another host.
fn arm_redirect(head: &RequestHead, rules: &RuleSet, decision: &Decision) -> Option<HeaderValue> {
    let (_, target) = decision.redirect.as_ref()?;
    let inside = own_target(head, target).is_some() && rules.settings.redirects == RedirectMode::Rewrite;
    // A redirect would turn a POST into a GET, and lose what it carries.
    (!inside && head.is_safe()).then(|| HeaderValue::from_str(target).ok()).flatten()
}

/// Whether a redirect goes to the very page that was asked for.
fn leads_back(head: &RequestHead, location: &HeaderValue) -> bool {
    let Ok(location) = location.to_str() else { return false };
    let rest = location.split('#').next().unwrap_or_default();
    let (path, query) = rest.split_once('?').map_or((rest, None), |(path, query)| (path, Some(query)));
    let target = if location.starts_with('/') { Some((path, query)) } else { own_target(head, location) };
    target == Some((head.path.as_str(), head.query.as_deref()))
}

/// Path and query of a URL on the host that was asked for.
fn own_target<'t>(head: &RequestHead, target: &'t str) -> Option<(&'t str, Option<&'t str>)> {
    let (authority, path, query) = split_target(target)?;
    authority.eq_ignore_ascii_case(&head.authority).then_some((path, query))
}

/// Authority, path and query of an absolute URL, as an experiment's arm names one. The path is what the variant says of that arm.
#[must_use]
pub fn split_target(target: &str) -> Option<(&str, &str, Option<&str>)> {
    let (_, rest) = target.split_once("://")?;
    let at = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(at);
    let rest = rest.split('#').next().unwrap_or_default();
    let (path, query) = match rest.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (rest, None),
    };
    Some((authority, if path.is_empty() { "/" } else { path }, query))
}

fn answer(route: &Route, status: StatusCode, headers: HeaderMap, body: String, values: &PlanValues<'_>) -> AnswerPlan {
    let mut variant = Variant::default();
    let templates = route.templates();
    values.add_dimensions(templates.iter().copied(), &mut variant);
    values.add_arms(&mut variant);
    let privacy = if values.identify(templates.iter().copied()) { Privacy::NoStore } else { Privacy::Private };
    AnswerPlan { route: route.id.clone(), status, headers, body, variant, privacy }
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
