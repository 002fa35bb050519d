//! All definitions that an evaluation can refer to, and how a GrowthBook SDK payload adds to them.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::bandit::Bandit;
use super::compiled::{Experiment, Feature};
use super::decrypt::decrypt;
use super::table::Table;
use crate::condition::{Fault, Groups};
use crate::read_json;

/// Everything that can be evaluated.
#[derive(Debug, Default)]
pub struct Definitions {
    /// Features by key.
    pub features: Table<Feature>,
    /// Experiments of their own, in their order.
    pub experiments: Table<Experiment>,
    /// Contextual bandits that rules refer to.
    pub bandits: Table<Bandit>,
    /// Groups that conditions refer to.
    pub groups: Groups,
}

/// The SDK payload, as GrowthBook's API and webhooks write it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload<'a> {
    #[serde(borrow)]
    features: Option<&'a RawValue>,
    #[serde(borrow)]
    experiments: Option<&'a RawValue>,
    #[serde(borrow)]
    saved_groups: Option<&'a RawValue>,
    #[serde(borrow)]
    contextual_bandits: Option<&'a RawValue>,
    encrypted_features: Option<String>,
    encrypted_experiments: Option<String>,
    encrypted_saved_groups: Option<String>,
    encrypted_contextual_bandits: Option<String>,
}

impl Definitions {
    /// The same definitions, to be added to.
    #[must_use]
    pub fn uncompiled(&self) -> Self {
        Self {
            features: self.features.uncompiled(),
            experiments: self.experiments.uncompiled(),
            bandits: self.bandits.uncompiled(),
            groups: self.groups.clone(),
        }
    }

    /// Adds what a payload defines and nothing else has defined yet: add the dictionaries first, and they win. Encrypted parts are
    /// decrypted with `key` (Base64); an encrypted part goes before a plain one.
    ///
    /// A part that can't be used is left out; the parts that can serve.
    ///
    /// # Errors
    ///
    /// The faults of all unusable parts; pointers are relative to the payload.
    pub fn add_payload(&mut self, payload: &str, key: Option<&str>) -> Result<(), Vec<Fault>> {
        let payload: Payload<'_> = read_json(payload).map_err(|fault| vec![fault])?;
        let mut faults = Vec::new();
        let mut part = |name, encrypted: Option<String>, plain: Option<&RawValue>| match encrypted {
            Some(text) => {
                decrypted(&text, key).map_err(|fault| faults.push(fault.under(format!("encrypted{name}")))).ok()
            }
            None => plain.map(RawValue::get).filter(|text| *text != "null").map(str::to_owned),
        };
        let features = part("Features", payload.encrypted_features, payload.features);
        let experiments = part("Experiments", payload.encrypted_experiments, payload.experiments);
        let groups = part("SavedGroups", payload.encrypted_saved_groups, payload.saved_groups);
        let bandits = part("ContextualBandits", payload.encrypted_contextual_bandits, payload.contextual_bandits);
        let placed = |name: &'static str| move |fault: Fault| fault.under(name);
        if let Some(text) = features {
            faults.extend(self.features.add_object(text).map_err(placed("features")).err());
        }
        if let Some(text) = experiments {
            match self.experiments.add_array(text) {
                Ok(found) => faults.extend(found.into_iter().map(placed("experiments"))),
                Err(fault) => faults.push(fault.under("experiments")),
            }
        }
        if let Some(text) = groups {
            match read_json(&text).map(|json| self.groups.add_missing(&json)) {
                Ok(found) => faults.extend(found.into_iter().map(placed("savedGroups"))),
                Err(fault) => faults.push(fault.under("savedGroups")),
            }
        }
        if let Some(text) = bandits {
            faults.extend(self.bandits.add_object(text).map_err(placed("contextualBandits")).err());
        }
        if faults.is_empty() { Ok(()) } else { Err(faults) }
    }
}

fn decrypted(text: &str, key: Option<&str>) -> Result<String, Fault> {
    let key = key.ok_or_else(|| Fault::new("expected a decryption key beside an encrypted payload, but found none"))?;
    decrypt(text, key).map_err(|error| Fault::new(error.to_string()))
}
