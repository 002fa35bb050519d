//! What becomes of an answer's body: every operation resolved before the first byte comes.

use std::rc::Rc;

use serde_json::{Map, Value as Json, json};

use super::variant::Variant;
use crate::attributes::DeviceClass;
use crate::context::Context;
use crate::decide::Decision;
use crate::decide::arms::VISUAL_PARTS;
use crate::rules::route::Route;
use crate::rules::{Fault, RuleSet};
use crate::transform;
pub use crate::transform::body::{BodyPlan, BodyRules};
use crate::transform::body::{BodyRequest, PlannedBody};

/// The plan of a route's body. `asked` is the backend, path and query of the request.
pub fn plan(
    rules: &RuleSet,
    route: &Route,
    context: &Context,
    decision: &Decision,
    variant: &Variant,
    asked: [&str; 3],
) -> PlannedBody {
    if !route.rewrites_bodies() {
        return PlannedBody::default();
    }
    let body = route.body.get_or_init(|| {
        let templates = &mut rules.templates.borrow_mut();
        let (compiled, faults) = BodyRules::compile(&route.html, route.json.as_ref(), route.adapt.as_ref(), templates);
        note(rules, route, faults);
        Rc::new(compiled)
    });
    let facts = facts(context, decision);
    let decisions = decisions(decision);
    let shown = decision.shown.iter().filter(|shown| shown.arm.as_ref().is_some_and(|arm| arm.in_experiment));
    let is_visual = |value: &Json| VISUAL_PARTS.iter().any(|part| value.get(part).is_some());
    let visual: Vec<(&str, &Json)> =
        shown.filter(|shown| is_visual(&shown.value)).map(|shown| (shown.key.as_str(), &shown.value)).collect();
    let header = variant.header();
    let revision = rules.revision.as_deref().unwrap_or_default();
    let shaped_by = [revision, &header, asked[0], asked[1], asked[2]].map(str::as_bytes);
    let request = BodyRequest {
        facts: &facts,
        attributes: context,
        groups: rules.groups(),
        decisions: &decisions,
        visual: &visual,
        device: context.device.as_ref().map_or(DeviceClass::Desktop, |device| device.class),
        network: context.network.class,
        shaped_by: &shaped_by,
    };
    let mut faults = Vec::new();
    let planned = body.plan(&rules.templates.borrow(), &request, &mut faults);
    note(rules, route, faults);
    planned
}

/// What can't be used of a route's `html` and `json`, with pointers within the route: for who wants to know before a request comes.
#[must_use]
pub fn lint(rules: &RuleSet, route: &Route) -> Vec<transform::Fault> {
    BodyRules::compile(&route.html, route.json.as_ref(), route.adapt.as_ref(), &mut rules.templates.borrow_mut()).1
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
