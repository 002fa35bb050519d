//! What the operations on a body may draw from: facts and decision as JSON, and the body's plan made with them.

use serde_json::{Map, Value as Json, json};

use super::values::PlanValues;
use super::variant::Variant;
use crate::attributes::DeviceClass;
use crate::context::{Context, sticky};
use crate::decide::Decision;
use crate::decide::variations::{Exposed, VISUAL_PARTS};
use crate::growthbook::{StickyBuckets, StickyDocument};
use crate::rules::{Fault, Route, RuleSet};
use crate::session::Record;
use crate::transform::body::{BodyRequest, PlannedBody};
use crate::transform::html::{Assigned, Handover};

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
    let assigned: Vec<Assigned<'_>> = decision.exposures.iter().map(assigned).collect();
    let sticky = || sticky_documents(rules, context, decision);
    let handover = Handover { attributes: &attributes, assigned: &assigned, sticky: &sticky };
    // Who may be in no experiment gets the page as it is.
    let takes_part = context.person.permissions.bucket || context.preview.is_some();
    let request = BodyRequest {
        handover: (takes_part || !context.needs.person).then_some(handover),
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
    note(rules, route, faults);
    planned
}

fn assigned(exposed: &Exposed) -> Assigned<'_> {
    Assigned {
        experiment: &exposed.experiment,
        variation: exposed.variation,
        key: &exposed.variation_key,
        feature: exposed.feature.as_deref(),
        unit_type: &exposed.unit_type,
        unit: &exposed.unit,
    }
}

/// What is remembered of the visitor from now on, as GrowthBook's SDKs have it; an empty object where nothing may be.
fn sticky_documents(rules: &RuleSet, context: &Context, decision: &Decision) -> Json {
    if rules.settings.sticky.is_none() || !context.person.permissions.store {
        return json!({});
    }
    let mut remembered = StickyBuckets::belonging_to(context, context.sticky.iter().cloned());
    sticky::remember(&mut remembered, &decision.sticky);
    let key = |document: &StickyDocument| format!("{}||{}", document.attribute_name, document.attribute_value);
    remembered.documents().map(|document| (key(document), json!(document))).collect()
}

/// Names faults that stand at pointers within a route.
pub(super) fn note(rules: &RuleSet, route: &Route, faults: Vec<crate::transform::Fault>) {
    let (dictionary, pointer) = route.place.split_once('/').unwrap_or((&route.place, ""));
    rules.routes.note(
        faults.into_iter().map(|fault| Fault::new(dictionary, format!("/{pointer}{}", fault.pointer), fault.message)),
    );
}

/// A value that templates have, beside the site's own attributes.
#[derive(Debug, Clone, Copy)]
pub struct TemplateValue {
    /// Its name.
    pub name: &'static str,
    /// The members that it has; empty where it has none, or those that the rules define.
    pub members: &'static [&'static str],
    value: fn(&PlanValues<'_>) -> Json,
}

/// A value without members of its own.
const fn plain(name: &'static str, value: fn(&PlanValues<'_>) -> Json) -> TemplateValue {
    TemplateValue { name, members: &[], value }
}

/// What templates may draw from, beside the site's own attributes.
pub const TEMPLATE_VALUES: [TemplateValue; 11] = [
    TemplateValue {
        name: "region",
        members: &["id", "slug"],
        value: |values| json!({ "id": values.context.region.id, "slug": values.context.region.slug }),
    },
    plain("country", |values| values.context.country().into()),
    plain("language", |values| values.context.language.clone().into()),
    plain("deviceType", |values| values.context.device.as_ref().map(|device| device.class.as_str()).into()),
    plain("network", |values| values.context.network.class.as_str().into()),
    plain("host", |values| values.context.host.clone().into()),
    plain("path", |values| values.context.path.clone().into()),
    plain("loggedIn", |values| values.context.is_logged_in().into()),
    plain("feature", |values| {
        let shown = values.decision.shown.iter().filter(|shown| shown.is_feature());
        shown.map(|shown| (shown.key.clone(), shown.value.clone())).collect()
    }),
    plain("experiment", |values| {
        let shown = values.decision.shown.iter().filter(|shown| !shown.is_feature());
        shown.map(|shown| (shown.key.clone(), Json::from(shown.text.clone()))).collect()
    }),
    TemplateValue {
        name: "session",
        members: &Record::MEMBERS,
        value: |values| values.context.session_json().cloned().into(),
    },
];

/// What the templates of a route may draw from.
pub(super) fn facts(values: &PlanValues<'_>) -> Json {
    use crate::condition::Attributes as _;
    let route = values.facts();
    let own = values.context.own_values().filter(|(name, _)| route.attribute(name).is_some());
    let own = own.map(|(name, value)| (name.to_owned(), value.clone()));
    TEMPLATE_VALUES.iter().map(|one| (one.name.to_owned(), (one.value)(values))).chain(own).collect()
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
