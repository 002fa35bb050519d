//! What the operations on a body may draw from: facts and decision as JSON, and the body's plan made with them.

use serde_json::{Map, Value as Json, json};

use super::values::PlanValues;
use super::variant::Variant;
use crate::attributes::DeviceClass;
use crate::decide::Decision;
use crate::decide::variations::VISUAL_PARTS;
use crate::rules::{Fault, Route, RuleSet};
use crate::transform::body::{BodyRequest, PlannedBody};

/// The plan of a route's body. `asked` is the backend, path and query of the request.
pub(super) fn body(
    rules: &RuleSet,
    route: &Route,
    values: &PlanValues<'_>,
    variant: &Variant,
    asked: [&str; 3],
) -> PlannedBody {
    if !route.rewrites_bodies() {
        return PlannedBody::default();
    }
    let (context, decision) = (values.context, values.decision);
    let header = variant.header();
    let revision = rules.revision.as_deref().unwrap_or_default();
    let [backend, path, query] = asked;
    let attributes = values.facts();
    let visual: Vec<(&str, &Json)> = decision
        .shown
        .iter()
        .filter(|shown| shown.variation.as_ref().is_some_and(|variation| variation.in_experiment))
        .filter(|shown| VISUAL_PARTS.iter().any(|part| shown.value.get(part).is_some()))
        .map(|shown| (shown.key.as_str(), &shown.value))
        .collect();
    let request = BodyRequest {
        facts: &facts(values),
        attributes: &attributes,
        groups: rules.groups(),
        decisions: &decisions(decision),
        visual: &visual,
        device: context.device.as_ref().map_or(DeviceClass::Desktop, |device| device.class),
        network: context.network.class,
        shaped_by: &[revision, &header, backend, path, query].map(str::as_bytes),
    };
    let mut faults = Vec::new();
    let planned = route.body.plan(&rules.templates.borrow(), &request, &mut faults);
    let (dictionary, pointer) = route.place.split_once('/').unwrap_or((&route.place, ""));
    rules.routes.note(
        faults.into_iter().map(|fault| Fault::new(dictionary, format!("/{pointer}{}", fault.pointer), fault.message)),
    );
    planned
}

/// What templates may draw from.
fn facts(values: &PlanValues<'_>) -> Json {
    use crate::condition::Attributes as _;
    let (context, decision) = (values.context, values.decision);
    let mut features = Map::new();
    let mut experiments = Map::new();
    for shown in &decision.shown {
        if shown.is_feature() {
            features.insert(shown.key.clone(), shown.value.clone());
        } else {
            experiments.insert(shown.key.clone(), shown.text.clone().into());
        }
    }
    let mut facts = json!({
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
    });
    let route = values.facts();
    if let Some(facts) = facts.as_object_mut() {
        let own = context.own_values().filter(|(name, _)| route.attribute(name).is_some());
        facts.extend(own.map(|(name, value)| (name.to_owned(), value.clone())));
    }
    facts
}

/// What the page's own code may know of the decision.
fn decisions(decision: &Decision) -> Json {
    let mut features = Map::new();
    let mut experiments = Map::new();
    for shown in &decision.shown {
        if shown.is_feature() {
            features.insert(shown.key.clone(), shown.value.clone());
        }
        if let Some(variation) = shown.variation.as_ref().filter(|variation| variation.in_experiment) {
            experiments.insert(variation.experiment.clone(), variation.index.into());
        }
    }
    json!({ "features": features, "experiments": experiments })
}
