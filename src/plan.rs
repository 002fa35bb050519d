//! Plan: a decision becomes exact edits. What follows has nothing left to choose.

pub mod answer;
mod bar;
pub mod exchange;
pub mod facts;
pub mod fallback;
mod forwarded;
pub mod key;
pub mod personal;
mod personalized;
pub mod sketch;
pub mod surrogate;
pub mod values;
pub mod variant;

use std::rc::Rc;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use percent_encoding::{CONTROLS, utf8_percent_encode};

use crate::admit::RequestHead;
use crate::code::Code;
use crate::context::Context;
use crate::context::preview::Preview;
use crate::decide::{Considered, Decision};
use crate::mac::MacKey;
use crate::rules::RuleSet;
use crate::rules::route::answer::Answer;
use crate::rules::route::{CompiledAction, DEFAULT_BACKEND, Personalize, Route};
use crate::rules::routes::Candidate;
use crate::rules::settings::{RedirectMode, Settings};
use crate::rules::template::{Place, Template};
use crate::transform::body::BodyPlan;
use crate::transform::html::Pages;
use crate::wire::url::{AbsoluteUrl, path_and_query};
pub use answer::{AnswerBody, AnswerPlan};
pub use exchange::Exchange;
use fallback::FallbackPlan;
use personalized::PersonalizedRequest;
pub use sketch::{Sketch, sketch};
use values::PlanValues;
use variant::Variant;

/// What is done for a request.
#[derive(Debug)]
pub struct Plan {
    /// What is asked or answered.
    pub action: Action,
    /// On what terms the answer goes out.
    pub terms: Terms,
    /// Codes of what could not be done as the rules say.
    pub codes: Vec<Code>,
}

/// On what terms an answer goes out, whoever gives it.
#[derive(Debug)]
pub struct Terms {
    /// The route, where one matched.
    pub route: Option<String>,
    /// What the answer says of itself to caches.
    pub privacy: Privacy,
    /// `Set-Cookie` lines about the visitor's id (it is new, or the visitor wants none) and the preview.
    pub cookies: Vec<HeaderValue>,
    /// The `Set-Cookie` line of remembered variations: for an answer that is shown as it was decided.
    pub remembered: Option<HeaderValue>,
    /// Whether a signed preview shapes the answer: it counts for nobody, and nobody keeps it.
    pub is_preview: bool,
    /// The revision of the rules.
    pub revision: Option<String>,
    /// What a request through a shield is proven by.
    pub passing: Passing,
}

/// What makes a request to a shield one that was decided here.
#[derive(Debug, Clone, Default)]
pub struct Passing {
    /// The keys of the secret `shield`: the first one signs. None where no backend has a shield.
    pub keys: Rc<Vec<MacKey>>,
    /// Whether there is a line about the request in `decisions`, should nothing fail.
    pub is_logged: bool,
    /// The share of requests that have one.
    pub sample: f64,
}

/// What is asked or answered.
#[derive(Debug)]
pub enum Action {
    /// Ask a backend.
    Fetch(Box<FetchPlan>),
    /// Answer here.
    Answer(AnswerPlan),
}

/// Ask a backend.
#[derive(Debug)]
pub struct FetchPlan {
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
    /// Why this stands in for another answer, if so: the visitor isn't shown what was decided.
    pub instead: Option<Code>,
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

impl FetchPlan {
    /// A request whose answer goes on as it comes.
    fn of(primary: Exchange) -> Self {
        Self { primary, fallback: None, body: None, vary: Vec::new(), hints: Vec::new(), instead: None }
    }
}

impl Plan {
    fn new(route: Option<&Route>, action: Action, privacy: Privacy) -> Self {
        let route = route.map(|route| route.id.clone());
        let terms = Terms {
            route,
            privacy,
            cookies: Vec::new(),
            remembered: None,
            is_preview: false,
            revision: None,
            passing: Passing::default(),
        };
        Self { action, terms, codes: Vec::new() }
    }

    /// Has the body's plan look for its page among these, and keep it there.
    pub fn keep_pages(&mut self, pages: &Pages) {
        if let Action::Fetch(plan) = &mut self.action
            && let Some(body) = &mut plan.body
        {
            body.keep_in(pages);
        }
    }

    fn fetch(route: Option<&Route>, primary: Exchange, privacy: Privacy) -> Self {
        Self::new(route, Action::Fetch(Box::new(FetchPlan::of(primary))), privacy)
    }

    fn with_privacy(mut self, privacy: Privacy) -> Self {
        self.terms.privacy = privacy;
        self
    }

    /// Says why the plan isn't what the rules mean. A redirect to the page itself stands for nothing else: that is where the visitor is.
    fn standing_in(mut self, code: Code) -> Self {
        if let (Action::Fetch(plan), true) = (&mut self.action, code != Code::RedirectLoop) {
            plan.instead = Some(code);
        }
        self.coded(code)
    }

    fn coded(mut self, code: Code) -> Self {
        self.codes.push(code);
        self
    }

    /// The variant of the request or the answer.
    #[must_use]
    pub fn variant(&self) -> &Variant {
        match &self.action {
            Action::Fetch(plan) => &plan.primary.variant,
            Action::Answer(plan) => &plan.variant,
        }
    }
}

/// Plans a request that no rule touches.
#[must_use]
pub fn passthrough(head: &RequestHead, settings: &Settings) -> Plan {
    Plan::fetch(None, exchange::transparent(head, settings, DEFAULT_BACKEND), Privacy::Transparent)
}

/// Plans a request as it was considered. A preview may begin or end on a page that no rule touches, too.
#[must_use]
pub fn plan(head: &RequestHead, rules: &RuleSet, considered: &Considered, preview: &Preview) -> Plan {
    let mut plan = planned(head, rules, considered);
    plan.terms.cookies.extend(preview.cookie());
    plan.terms.is_preview = preview.claims.is_some();
    plan.terms.revision.clone_from(&rules.revision);
    if let (Action::Fetch(fetch), true) = (&mut plan.action, preview.claims.is_some()) {
        bar::add(fetch, head, preview);
    }
    plan
}

fn planned(head: &RequestHead, rules: &RuleSet, considered: &Considered) -> Plan {
    let Considered { context: Some(context), decision } = considered else {
        return passthrough(head, &rules.settings);
    };
    let mut plan = Planner { head, rules, context, decision }.plan();
    // What follows from one visitor's id or session is no cache's to keep.
    if decision.chosen_by.and(decision.evaluated_by).meets(rules.personal()) {
        plan.terms.privacy = Privacy::NoStore;
    }
    if decision.is_personal() {
        plan.terms.cookies = personal::visitor_cookies(&rules.settings, context, head.host());
        plan.terms.remembered = personal::sticky_cookie(&rules.settings, context, decision, head.host());
    } else {
        // Who refused loses the edge's cookies, also on a route that needs none.
        plan.terms.cookies = personal::removed_cookies(&rules.settings, context, head.host()).collect();
    }
    plan
}

/// What becomes of a request: what a plan carries out, and a [`Sketch`] names.
enum Way<'a> {
    /// It goes on as it is; why, where that isn't what the rules mean.
    Untouched(Option<&'a Route>, Option<Code>),
    /// The edge answers by the route's own words.
    Respond(&'a Route, &'a Answer),
    /// The edge sends the visitor elsewhere.
    Redirect(&'a Route, StatusCode, HeaderValue),
    /// A backend is asked.
    Personalize(&'a Candidate, &'a Personalize),
}

/// What a plan follows from.
#[derive(Clone, Copy)]
struct Planner<'a> {
    head: &'a RequestHead,
    rules: &'a RuleSet,
    context: &'a Context,
    decision: &'a Decision,
}

impl<'a> Planner<'a> {
    fn plan(self) -> Plan {
        let Self { head, rules, .. } = self;
        match self.way() {
            Way::Untouched(route, None) => self.untouched(route),
            Way::Untouched(route, Some(code)) => self.untouched(route).standing_in(code).with_privacy(Privacy::Private),
            Way::Respond(route, answer) => {
                let Some(values) = self.values() else { return self.untouched(Some(route)) };
                self.own_answer(route, answer, &values)
            }
            Way::Redirect(route, status, location) => {
                let Some(values) = self.values() else { return self.untouched(Some(route)) };
                let headers = HeaderMap::from_iter([(header::LOCATION, location)]);
                self.answer(route, status, headers, AnswerBody::default(), &values)
            }
            Way::Personalize(candidate, personalize) => {
                let Some(values) = self.values() else { return self.untouched(Some(&candidate.route)) };
                PersonalizedRequest { head, rules, candidate, personalize, values: &values }.plan()
            }
        }
    }

    /// What the matched route's templates are filled with.
    fn values(self) -> Option<PlanValues<'a>> {
        let Self { context, decision, .. } = self;
        let candidate = decision.route.as_ref()?;
        Some(PlanValues { context, route: &candidate.route, captures: &candidate.captures, decision })
    }

    fn way(self) -> Way<'a> {
        let Self { head, rules, decision, .. } = self;
        let Some((candidate, values)) = decision.route.as_ref().zip(self.values()) else {
            return Way::Untouched(None, None);
        };
        let route = &*candidate.route;
        match &route.action {
            _ if !route.enabled => Way::Untouched(Some(route), None),
            CompiledAction::Passthrough => Way::Untouched(Some(route), None),
            CompiledAction::Respond(answer) => Way::Respond(route, answer),
            CompiledAction::Redirect { status, location } => match redirect_location(location, &values) {
                Some(location) if !leads_back(head, &location) => Way::Redirect(route, *status, location),
                Some(_) => Way::Untouched(Some(route), Some(Code::RedirectLoop)),
                None => Way::Untouched(Some(route), Some(Code::TemplateAbsent)),
            },
            CompiledAction::Personalize(personalize) => match experiment_redirect(head, rules, decision) {
                Some(location) => Way::Redirect(route, StatusCode::FOUND, location),
                None => Way::Personalize(candidate, personalize),
            },
        }
    }

    /// Who is excluded from a route gets what the origin has, and no cache below may take it for everybody's.
    fn untouched(self, route: Option<&Route>) -> Plan {
        let primary = exchange::transparent(self.head, &self.rules.settings, DEFAULT_BACKEND);
        let privacy = if self.decision.is_by_visitor() { Privacy::Private } else { Privacy::Transparent };
        Plan::fetch(route, primary, privacy)
    }
}

/// Where a URL experiment sends the visitor with a redirect: where settings say so, or where its target is on another host.
fn experiment_redirect(head: &RequestHead, rules: &RuleSet, decision: &Decision) -> Option<HeaderValue> {
    let (_, target) = decision.redirect.as_ref()?;
    let inside = own_target(head, target).is_some() && rules.settings.redirects == RedirectMode::Rewrite;
    // A redirect would turn a POST into a GET, and lose what it carries.
    (!inside && head.is_safe()).then(|| HeaderValue::from_str(target).ok()).flatten()
}

/// Whether a redirect goes to the very page that was asked for.
fn leads_back(head: &RequestHead, location: &HeaderValue) -> bool {
    let Ok(location) = location.to_str() else { return false };
    let target = match location.as_bytes().first() {
        Some(b'/') => Some(path_and_query(location)),
        // The page's own path stays, and with a fragment its query, too (RFC 3986 section 5.2.2).
        Some(b'?') => Some((head.path.as_str(), path_and_query(location).1)),
        Some(b'#') => return true,
        _ => own_target(head, location),
    };
    target == Some((head.path.as_str(), head.query.as_deref()))
}

/// Path and query of a URL on the host that was asked for.
fn own_target<'t>(head: &RequestHead, target: &'t str) -> Option<(&'t str, Option<&'t str>)> {
    let target = AbsoluteUrl::split(target).filter(|target| target.is_on(&head.authority))?;
    Some(target.path_and_query())
}

fn insert_filled(headers: &mut HeaderMap, name: &HeaderName, template: &Template, values: &PlanValues<'_>) -> bool {
    let filled = template.fill(values, Place::Header).and_then(|text| HeaderValue::from_str(&text).ok());
    let found = filled.is_some();
    if let Some(value) = filled {
        headers.insert(name.clone(), value);
    }
    found
}

/// Where a redirect goes, in ASCII as a browser will ask for it (URL Standard, "percent-encode sets"). What a visitor sends can't choose the
/// host: `//` and `/\` are hosts to a browser.
fn redirect_location(template: &Template, values: &PlanValues<'_>) -> Option<HeaderValue> {
    let location = template.fill(values, Place::Path)?;
    let foreign = location.starts_with("//") || location.starts_with("/\\");
    if foreign && !template.literals().next().is_some_and(|literal| literal.starts_with("//") && literal.len() > 2) {
        return None;
    }
    HeaderValue::from_str(&utf8_percent_encode(&location, CONTROLS).to_string()).ok()
}
