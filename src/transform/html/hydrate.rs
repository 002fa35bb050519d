//! What a page hands to GrowthBook's own browser bundle: what the edge decided, ready made. Nothing is left to be assigned there, so browser
//! and edge can't disagree, and no definition leaves the edge.
//!
//! A feature goes as a rule that forces its value, with the assignment that it came by in `tracks`: GrowthBook's own form for features that
//! a server evaluated (its SDK calls trackers once for each). An experiment of its own goes with one variation that has the whole range, and
//! with those changes of the page that a stream can't make.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::edit::Element;
use crate::condition::{self, Attributes};

/// Hands GrowthBook's bundle what the edge decided.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Hydrate {
    /// The features that the page may know; without it, all that the route depends on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub features: Option<Vec<String>>,
    /// Attributes that the page may know.
    pub attributes: Vec<String>,
    /// Whether the page may know the visitor's id.
    pub id: bool,
    /// Whether the bundle remembers variations, in its own cookies, beginning with what the edge remembers.
    pub sticky: bool,
}

/// A variation that the visitor was assigned, and that is logged.
#[derive(Clone, Copy)]
pub struct Assigned<'a> {
    /// The experiment's key.
    pub experiment: &'a str,
    /// The variation's index.
    pub variation: usize,
    /// The variation's key.
    pub key: &'a str,
    /// The feature whose rule ran the experiment.
    pub feature: Option<&'a str>,
    /// Which attribute was hashed.
    pub unit_type: &'a str,
    /// Its value.
    pub unit: &'a str,
}

/// What is known of a visitor whose page is handed over.
#[derive(Clone, Copy)]
pub struct Handover<'a> {
    /// What conditions read.
    pub attributes: &'a dyn Attributes,
    /// The variations that the visitor was assigned.
    pub assigned: &'a [Assigned<'a>],
    /// Documents of remembered variations, by `<attribute>||<value>`.
    pub sticky: &'a dyn Fn() -> Value,
}

/// An id has no place in a log.
impl std::fmt::Debug for Handover<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handover").finish_non_exhaustive()
    }
}

/// Changes of a page that a stream can't make, by the experiment's key.
pub(super) type Left = [(String, Vec<Value>)];

/// Most variations that are written down: the chosen one is the last.
const MOST_VARIATIONS: usize = 100;

/// The bundle reads `growthbook_config` when it starts. Its queue runs before it has taken the payload, and its `growthbookdata` comes after:
/// then the features that have an assignment are asked for, so that each is told to the page's trackers, once.
const SCRIPT: [&str; 3] = [
    "(function(w,c,f){var o=w.growthbook_config=w.growthbook_config||{},a=o.attributes;Object.assign(o,c);if(a)o.attributes=Object.assign({},a,c.attributes);\
     (w.growthbook_queue=w.growthbook_queue||[]).push(function(g){document.addEventListener(\"growthbookdata\",function(){f.forEach(function(k){g.evalFeature(k)})},{once:true})})})(window,",
    ",",
    ")",
];

impl Hydrate {
    /// The attributes that are read, by name.
    pub(super) fn attributes(&self) -> impl Iterator<Item = &str> {
        // What is remembered is remembered under the visitor's id.
        let id = (self.id || self.sticky).then_some("id");
        self.attributes.iter().map(String::as_str).chain(id)
    }

    /// The script; `None` where there is nothing to hand over. `features` are the values by key that the visitor is shown.
    pub(super) fn element(&self, features: Option<&Value>, of: Handover<'_>, left: &Left) -> Option<Element> {
        let told = |assigned: &Assigned<'_>| {
            json!({
                "experiment": { "key": assigned.experiment },
                "result": {
                    "key": assigned.key, "variationId": assigned.variation, "inExperiment": true, "hashUsed": true,
                    "hashAttribute": assigned.unit_type, "hashValue": if self.id { assigned.unit } else { "" },
                },
            })
        };
        let shown = features.and_then(Value::as_object);
        let may_know =
            |key: &str| self.features.as_ref().is_none_or(|allowed| allowed.iter().any(|known| known == key));
        let (mut features, mut exposed) = (Map::new(), Vec::new());
        for (key, value) in shown.into_iter().flatten().filter(|(key, value)| may_know(key) && !value.is_null()) {
            let tracks: Vec<Value> =
                of.assigned.iter().filter(|assigned| assigned.feature == Some(key)).map(told).collect();
            let feature = if tracks.is_empty() {
                json!({ "defaultValue": value })
            } else {
                exposed.push(key.as_str());
                json!({ "defaultValue": value, "rules": [{ "force": value, "tracks": tracks }] })
            };
            features.insert(key.clone(), feature);
        }
        // A prerequisite's experiment has no feature here, and is told like one of its own.
        let others = of.assigned.iter().filter(|assigned| {
            assigned.feature.is_none_or(|feature| !features.contains_key(feature) && self.features.is_none())
        });
        let experiments: Vec<Value> = others.map(|assigned| decided(assigned, left)).collect();
        if features.is_empty() && experiments.is_empty() {
            return None;
        }
        let mut config =
            json!({ "payload": { "features": features, "experiments": experiments }, "noStreaming": true });
        if let Some(config) = config.as_object_mut() {
            let known = |name: &String| Some((name.clone(), plain(of.attributes.attribute(name)?)?));
            let attributes: Map<String, Value> = self.attributes.iter().filter_map(known).collect();
            if !attributes.is_empty() {
                config.insert("attributes".to_owned(), attributes.into());
            }
            let id = of.attributes.attribute("id").filter(|_| self.id).and_then(plain);
            config.extend(id.map(|id| ("uuid".to_owned(), id)));
            if self.sticky {
                config.insert("useStickyBucketService".to_owned(), "cookie".into());
                config.insert("stickyBucketAssignmentDocs".to_owned(), (of.sticky)());
            }
        }
        let [before, between, after] = SCRIPT;
        Some(Element::data_script([before, &config.to_string(), between, &json!(exposed).to_string(), after]))
    }
}

/// An experiment of which one variation has all visitors, with what is left to change.
fn decided(assigned: &Assigned<'_>, left: &Left) -> Value {
    let count = assigned.variation.saturating_add(1).clamp(2, MOST_VARIATIONS);
    let is_chosen = |index: usize| index == assigned.variation;
    let mutations = left.iter().find(|(key, _)| key == assigned.experiment).map(|(_, left)| left.clone());
    let mutations = mutations.unwrap_or_default();
    let variation = |index: usize| json!({ "domMutations": if is_chosen(index) { mutations.as_slice() } else { Default::default() } });
    let range = |index: usize| if is_chosen(index) { [0, 1] } else { [0, 0] };
    let meta =
        |index: usize| json!({ "key": if is_chosen(index) { assigned.key.to_owned() } else { index.to_string() } });
    json!({
        "key": assigned.experiment, "hashAttribute": "id", "hashVersion": 2, "coverage": 1,
        "variations": (0..count).map(variation).collect::<Vec<_>>(),
        "ranges": (0..count).map(range).collect::<Vec<_>>(),
        "meta": (0..count).map(meta).collect::<Vec<_>>(),
    })
}

/// A text, number, truth or list of them.
fn plain(value: condition::Value<'_>) -> Option<Value> {
    match value {
        condition::Value::Null => None,
        condition::Value::Bool(truth) => Some(truth.into()),
        condition::Value::Number(number) => serde_json::Number::from_f64(number).map(Value::Number),
        condition::Value::String(text) => Some(text.into_owned().into()),
        condition::Value::Json(json) => json.is_array().then(|| json.clone()),
    }
}
