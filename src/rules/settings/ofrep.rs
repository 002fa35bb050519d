//! `settings.ofrep`: flags for OpenFeature's providers, where a site wants them (OFREP, the OpenFeature Remote Evaluation Protocol).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::super::fault::Fault;
use crate::attributes;

/// Most members of each list.
const MOST: usize = 64;
/// Where a visitor is, and when it is: the edge knows that, and no client may choose it.
const THE_EDGES: [&str; 6] = ["country", "subdivision", "continent", "city", "region", "now"];

/// What browsers may ask and say. Servers, which show the secret `ofrep`, may ask for every feature and say everything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct OfrepSettings {
    /// The features that browsers may ask for; `shop-*` stands for all that begin so.
    pub features: Vec<String>,
    /// The attributes that a browser's context may say. What identifies a visitor and where a visitor is can't be among them.
    pub context: Vec<String>,
}

impl Default for OfrepSettings {
    fn default() -> Self {
        Self { features: vec!["*".to_owned()], context: Vec::new() }
    }
}

impl OfrepSettings {
    /// Whether browsers may ask for a feature.
    #[must_use]
    pub fn shows(&self, key: &str) -> bool {
        self.features.iter().any(|name| match name.strip_suffix('*') {
            Some(beginning) => key.starts_with(beginning),
            None => name == key,
        })
    }

    /// Leaves out and names what can't be used. `declared` are the attributes of the site's own, as stored.
    pub(super) fn within_bounds(ofrep: &mut Option<Self>, declared: &Map<String, Value>, faults: &mut Vec<Fault>) {
        let Some(settings) = ofrep else { return };
        for (name, list) in [("features", &mut settings.features), ("context", &mut settings.context)] {
            if list.len() > MOST {
                let message = format!("expected at most {MOST} names, but found {}", list.len());
                faults.push(Fault::new("settings", format!("/ofrep/{name}"), message));
                list.truncate(MOST);
            }
        }
        for (index, name) in settings.context.iter().enumerate().filter(|(_, name)| !may_say(name, declared)) {
            let message = format!(
                "expected an attribute that a client may choose, but found '{name}', which the edge knows better"
            );
            faults.push(Fault::new("settings", format!("/ofrep/context/{index}"), message));
        }
        settings.context.retain(|name| may_say(name, declared));
    }
}

/// Whether a client may choose an attribute: whatever it can't gain by.
fn may_say(name: &str, declared: &Map<String, Value>) -> bool {
    let is_the_edges = attributes::find(name).is_some_and(|known| known.identifies) || THE_EDGES.contains(&name);
    let own = |member: &str| declared.get(name).and_then(|own| own.get(member)).filter(|value| !value.is_null());
    let is_true = |member: &str| own(member).and_then(Value::as_bool) == Some(true);
    let is_proven = own("claim").is_some() || is_true("trusted") || is_true("identifies");
    !is_the_edges && !is_proven
}
