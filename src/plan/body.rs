//! What becomes of an answer's body: every operation resolved before the first byte comes.

use std::cell::RefCell;
use std::rc::Rc;

use http::HeaderMap;
use serde_json::{Map, Value as Json, json};

use super::variant::Variant;
use crate::adapt::HlsLimits;
use crate::attributes::DeviceClass;
use crate::condition::Condition;
use crate::context::Context;
use crate::decide::Decision;
use crate::decide::arms::VISUAL_PARTS;
use crate::rules::route::Route;
use crate::rules::{Fault, RuleSet};
use crate::transform;
use crate::transform::facts::Facts;
use crate::transform::headers::{Version, prepare_request};
use crate::transform::html::{Circumstances, HtmlPlan, HtmlRules, VisualChanges};
use crate::transform::json::JsonRules;
use crate::transform::template::Templates;

/// A route's `html` and `json`, compiled when a request first comes near.
#[derive(Debug, Default)]
pub struct BodyRules {
    html: HtmlRules,
    /// One an operation of `html`, in its order.
    conditions: Vec<Option<Condition>>,
    json: JsonRules,
}

/// What becomes of one answer's body.
#[derive(Debug)]
pub struct BodyPlan {
    /// For pages.
    pub html: HtmlPlan,
    /// For HLS playlists.
    pub hls: Option<HlsLimits>,
    rules: Rc<BodyRules>,
    templates: Rc<RefCell<Templates>>,
    facts: Json,
    /// What the body is rewritten with: for `ETag`s.
    pub version: Version,
}

impl BodyRules {
    /// Compiles what stands on a route; what can't be used is left out and named.
    pub fn compile(html: &[Json], json: Option<&Json>, templates: &mut Templates) -> (Self, Vec<transform::Fault>) {
        let mut faults = Vec::new();
        let html = HtmlRules::compile(html, "/html", templates, &mut faults);
        let mut conditions = Vec::with_capacity(html.operations().len());
        for operation in html.operations() {
            conditions.push(match operation.when().map(Condition::compile) {
                None => None,
                Some(Ok(condition)) => Some(condition),
                Some(Err(fault)) => {
                    let pointer = format!("{}/when{}", operation.pointer(), fault.pointer);
                    faults.push(transform::Fault { pointer, ..fault });
                    // What can't be read can't hold.
                    Condition::compile(&json!({ "$or": [{ "$not": {} }] })).ok()
                }
            });
        }
        let json = json.map(|json| JsonRules::compile(json, "/json", templates, &mut faults)).unwrap_or_default();
        (Self { html, conditions, json }, faults)
    }
}

impl BodyPlan {
    /// The plan of a route's body; `None` where it streams through untouched. `asked` is the backend, path and query of the request.
    pub fn of(
        rules: &RuleSet,
        route: &Route,
        context: &Context,
        decision: &Decision,
        variant: &Variant,
        asked: [&str; 3],
    ) -> Option<Self> {
        if !route.rewrites_bodies() {
            return None;
        }
        let body = route.body.get_or_init(|| {
            let templates = &mut rules.templates.borrow_mut();
            let (compiled, faults) = BodyRules::compile(&route.html, route.json.as_ref(), templates);
            note(rules, route, faults);
            Rc::new(compiled)
        });
        let facts = facts(context, decision);
        let decisions = decisions(decision);
        let mut faults = Vec::new();
        let templates = rules.templates.borrow();
        let mut conditions = body.conditions.iter();
        let mut html = body.html.plan(
            &templates,
            &Facts::new(&facts),
            Circumstances { decisions: Some(&decisions), nonce: None },
            |_| {
                let condition = conditions.next().and_then(Option::as_ref);
                condition.is_none_or(|condition| condition.matches(context, rules.groups()))
            },
            &mut faults,
        );
        for shown in decision.shown.iter().filter(|shown| shown.arm.as_ref().is_some_and(|arm| arm.in_experiment)) {
            if VISUAL_PARTS.iter().any(|part| shown.value.get(part).is_some()) {
                html.add_visual(&VisualChanges::compile(&shown.value, &format!("/{}", shown.key), &mut faults));
            }
        }
        note(rules, route, faults);
        let device = context.device.as_ref().map_or(DeviceClass::Desktop, |device| device.class);
        let hls = route.adapt.as_ref().and_then(|adapt| adapt.hls_limits(device, context.network.class));
        if html.is_empty() && body.json.is_empty() && hls.is_none() {
            return None;
        }
        let revision = rules.revision.as_deref().unwrap_or_default();
        let fingerprint = html.fingerprint();
        let shaping = if body.json.is_empty() { String::new() } else { facts.to_string() };
        let header = variant.header();
        let playlist = format!("{hls:?}");
        let parts = [revision.as_bytes(), header.as_bytes(), &fingerprint, shaping.as_bytes(), playlist.as_bytes()];
        let version = Version::new(parts.into_iter().chain(asked.map(str::as_bytes)));
        Some(Self { html, hls, rules: Rc::clone(body), templates: Rc::clone(&rules.templates), facts, version })
    }

    /// Makes a request one whose answer can be rewritten.
    pub fn prepare(&self, headers: &mut HeaderMap) {
        prepare_request(headers, &self.version);
    }

    /// Whether JSON answers are edited.
    pub fn edits_json(&self) -> bool {
        !self.rules.json.is_empty()
    }

    /// Edits a JSON answer; `None` where it isn't JSON: it is then sent as it came.
    pub fn edit_json(&self, body: &[u8]) -> Option<Vec<u8>> {
        let mut faults = Vec::new();
        let facts = Facts::new(&self.facts);
        self.rules.json.apply(body, &self.templates.borrow(), &facts, &mut faults).ok().map(|(edited, _)| edited)
    }
}

/// What can't be used of a route's `html` and `json`, with pointers within the route: for who wants to know before a request comes.
#[must_use]
pub fn lint(rules: &RuleSet, route: &Route) -> Vec<transform::Fault> {
    BodyRules::compile(&route.html, route.json.as_ref(), &mut rules.templates.borrow_mut()).1
}

fn note(rules: &RuleSet, route: &Route, faults: Vec<transform::Fault>) {
    let (dictionary, pointer) = route.place.split_once('/').unwrap_or((&route.place, ""));
    let place = |fault: transform::Fault| Fault::new(dictionary, format!("/{pointer}{}", fault.pointer), fault.message);
    rules.routes.note(faults.into_iter().map(place));
}

/// What templates may draw from.
fn facts(context: &Context, decision: &Decision) -> Json {
    let mut features = Map::new();
    let mut experiments = Map::new();
    for shown in &decision.shown {
        if shown.is_feature() {
            features.insert(shown.key.clone(), shown.value.clone());
        } else {
            experiments.insert(shown.key.clone(), shown.text.clone().into());
        }
    }
    json!({
        "region": { "id": context.region.id, "slug": context.region.slug },
        "country": context.country(),
        "language": context.language,
        "deviceType": context.device.as_ref().map(|device| device.class.as_str()),
        "network": context.network.class.as_str(),
        "host": context.host,
        "path": context.path,
        "loggedIn": context.person.user().is_some(),
        "feature": features,
        "experiment": experiments,
        "session": context.session_json(),
    })
}

/// What the page's own code may know of the decision.
fn decisions(decision: &Decision) -> Json {
    let mut features = Map::new();
    let mut experiments = Map::new();
    for shown in &decision.shown {
        if shown.is_feature() {
            features.insert(shown.key.clone(), shown.value.clone());
        }
        if let Some(arm) = shown.arm.as_ref().filter(|arm| arm.in_experiment) {
            experiments.insert(arm.experiment.clone(), arm.variation.into());
        }
    }
    json!({ "features": features, "experiments": experiments })
}
