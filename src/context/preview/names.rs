//! Whether what a preview names is there.

use super::{Preview, PreviewClaims};
use crate::rules::RuleSet;

impl Preview {
    /// Leaves out what `rules` don't have, and keeps its names.
    pub fn fit(&mut self, rules: &RuleSet) {
        if let Some(claims) = &mut self.claims {
            self.unknown = claims.fit(rules);
        }
    }
}

impl PreviewClaims {
    /// Leaves out what `rules` don't have, and gives it in words: `feature x`, `variation 7 of experiment y`, `region Z`.
    pub fn fit(&mut self, rules: &RuleSet) -> Vec<String> {
        let mut unknown = Vec::new();
        let features = &rules.definitions.features;
        self.features.retain(|key, _| {
            let is_there = features.get(key).is_some_and(|feature| feature.is_ok());
            if !is_there {
                unknown.push(format!("feature {key}"));
            }
            is_there
        });
        self.experiments.retain(|key, variation| {
            let index = usize::try_from(*variation).unwrap_or(usize::MAX);
            match variations_of(rules, key) {
                Some(count) if index < count => return true,
                Some(_) => unknown.push(format!("variation {variation} of experiment {key}")),
                None => unknown.push(format!("experiment {key}")),
            }
            false
        });
        let is_region = |id: &String| rules.regions.by_id(id).is_some();
        unknown.extend(self.region.take_if(|id| !is_region(id)).map(|id| format!("region {id}")));
        unknown
    }
}

/// How many variations an experiment has: one of its own, or one that a feature's rule runs.
fn variations_of(rules: &RuleSet, key: &str) -> Option<usize> {
    let definitions = &rules.definitions;
    if let Some(Ok(experiment)) = definitions.experiments.get(key) {
        return Some(experiment.variations().len());
    }
    let mut of_features = definitions.features.iter().flat_map(|(_, feature)| feature.experiments());
    of_features.find(|experiment| experiment.key() == key).map(|experiment| experiment.variations().len())
}
