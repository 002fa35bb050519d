//! What the rules say of experiments: the weights that a sample ratio is compared with, and which revisions' figures belong together.

use std::collections::BTreeMap;

use anyhow::bail;
use edge_personalizer::growthbook::bucket_ranges;
use serde_json::{Map, Value};

use crate::diff::side::{Reader, Side};
use crate::folder::payload::PayloadOptions;
use crate::output;
use crate::target::{Address, Api};

/// An experiment as one revision has it. Figures of two revisions are put together only where all of this is the same.
#[derive(Debug, Clone, PartialEq)]
pub struct Definition {
    /// A share for each variation; together 1.
    pub weights: Vec<f64>,
    /// A variation asks for another page.
    pub redirects: bool,
    seed: String,
    hash_version: u64,
    attribute: String,
    /// The variations' keys in their order: an index means another variation once they are swapped.
    keys: Vec<String>,
}

/// The definitions of every revision that is known.
#[derive(Debug, Default)]
pub struct Rules {
    /// One set for all revisions, where a folder was given.
    all: Option<Experiments>,
    /// By revision; an empty text for the bare names.
    revisions: BTreeMap<String, Experiments>,
    phases: Vec<Definition>,
    /// Whether anything was given.
    pub given: bool,
}

/// By key and attribute: the number of the phase.
type Experiments = BTreeMap<(String, String), u32>;

/// The phase of an experiment that no rules define.
pub const UNKNOWN: u32 = 0;

impl Rules {
    /// Reads what `--rules` names: a folder for all revisions, `REVISION=FOLDER` for one, `@active` for all that the store holds.
    ///
    /// # Errors
    ///
    /// A folder or the store can't be read.
    pub fn read(given: &[String], on: Option<&Address>, api: &Api, payload: &PayloadOptions) -> anyhow::Result<Self> {
        let mut rules = Self { given: !given.is_empty(), ..Self::default() };
        let mut reader = Reader::new(on, api, payload);
        for name in given {
            if name == "@active" {
                let revisions = reader.revisions()?;
                for revision in revisions {
                    match reader.read(&revision) {
                        Ok(side) => {
                            let experiments = rules.filed(&side);
                            rules.revisions.insert(revision, experiments);
                        }
                        // Others are still good: a push may be under way.
                        Err(error) => output::note(&format!("{error:#}: its experiments have no weights here")),
                    }
                }
                if let Ok(side) = reader.read("@bare") {
                    let experiments = rules.filed(&side);
                    rules.revisions.insert(String::new(), experiments);
                }
                if rules.revisions.is_empty() {
                    bail!("--rules @active: expected revisions in the store of --on, but found none");
                }
            } else if let Some((revision, folder)) = name.split_once('=') {
                let side = reader.read(folder)?;
                let experiments = rules.filed(&side);
                rules.revisions.insert(revision.to_owned(), experiments);
            } else {
                if rules.all.is_some() {
                    bail!(
                        "--rules: expected one folder for all revisions, but found another, {name}: REVISION=FOLDER names one for a revision"
                    );
                }
                let side = reader.read(name)?;
                rules.all = Some(rules.filed(&side));
            }
        }
        Ok(rules)
    }

    fn filed(&mut self, side: &Side) -> Experiments {
        let mut experiments = Experiments::new();
        for (key, rule) in running(&side.dictionaries) {
            let Some(definition) = definition(&key, rule) else { continue };
            // Lines carry the attribute that was hashed: the fallback, where a visitor doesn't have the first one.
            let fallback = filled(rule, "fallbackAttribute").filter(|name| *name != definition.attribute);
            let attributes: Vec<String> =
                [Some(definition.attribute.clone()), fallback.map(str::to_owned)].into_iter().flatten().collect();
            let phase = match self.phases.iter().position(|known| *known == definition) {
                Some(known) => known,
                None => {
                    self.phases.push(definition);
                    self.phases.len() - 1
                }
            };
            let phase = u32::try_from(phase + 1).unwrap_or(UNKNOWN);
            for attribute in attributes {
                // One key with two definitions: neither says which one a line is of.
                experiments
                    .entry((key.clone(), attribute))
                    .and_modify(|known| {
                        if *known != phase {
                            *known = UNKNOWN
                        }
                    })
                    .or_insert(phase);
            }
        }
        experiments
    }

    /// The phase of an experiment under a revision (an empty text at bare names).
    pub fn phase(&self, revision: &str, experiment: &str, attribute: &str) -> u32 {
        let place = (experiment.to_owned(), attribute.to_owned());
        let experiments = self.revisions.get(revision).or(self.all.as_ref());
        experiments.and_then(|experiments| experiments.get(&place)).copied().unwrap_or(UNKNOWN)
    }

    /// What a phase's revisions have in common.
    pub fn definition(&self, phase: u32) -> Option<&Definition> {
        self.phases.get(usize::try_from(phase).ok()?.checked_sub(1)?)
    }
}

/// Every experiment of a rule set, with its key.
fn running(dictionaries: &Map<String, Value>) -> Vec<(String, &Value)> {
    let mut all = Vec::new();
    let content = |name: &str| dictionaries.get(name).and_then(|dictionary| dictionary.get(name));
    let key_of =
        |rule: &Value| rule.get("key").and_then(Value::as_str).filter(|key| !key.is_empty()).map(str::to_owned);
    for (feature, definition) in content("features").and_then(Value::as_object).into_iter().flatten() {
        for rule in definition.get("rules").and_then(Value::as_array).into_iter().flatten() {
            if rule.get("variations").is_some() && rule.get("force").is_none() {
                all.push((key_of(rule).unwrap_or_else(|| feature.clone()), rule));
            }
        }
    }
    for rule in content("experiments").and_then(Value::as_array).into_iter().flatten() {
        all.extend(key_of(rule).map(|key| (key, rule)));
    }
    all
}

/// A text of a rule; an empty one is absent.
fn filled<'r>(rule: &'r Value, name: &str) -> Option<&'r str> {
    rule.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
}

/// Weights and what decides who is in which variation, with the defaults of GrowthBook's specification. Coverage isn't part of it: raising it
/// moves nobody. Weights that the edge doesn't take are equal ones, as there.
fn definition(key: &str, rule: &Value) -> Option<Definition> {
    let text = |name: &str, default: &str| filled(rule, name).unwrap_or(default).to_owned();
    let count = rule.get("variations")?.as_array()?.len();
    let numbers = |list: &Value| list.as_array()?.iter().map(Value::as_f64).collect::<Option<Vec<f64>>>();
    let ranges = rule.get("ranges").and_then(Value::as_array).map(|ranges| {
        let length = |range: &Value| match numbers(range)?.as_slice() {
            [from, to] => Some((to - from).max(0.0)),
            _ => None,
        };
        ranges.iter().map(length).collect::<Option<Vec<f64>>>()
    });
    let weights = match (ranges, rule.get("weights").filter(|weights| !weights.is_null())) {
        (Some(lengths), _) => lengths?,
        (None, weights) => {
            let weights = match weights {
                Some(weights) => Some(numbers(weights)?),
                None => None,
            };
            let ranges = bucket_ranges(count, 1.0, weights.as_deref());
            // What is beyond 1 has no buckets.
            let share = |[from, to]: &[f64; 2]| (to.clamp(0.0, 1.0) - from.clamp(0.0, 1.0)).max(0.0);
            // As it is written, where that is what it comes to: a difference of ends is off by a bit.
            let written = |index: usize| weights.as_ref().and_then(|weights| weights.get(index)).copied();
            let near = |share: f64| move |written: &f64| (written - share).abs() < 1e-9;
            let exact = |(index, range)| written(index).filter(near(share(range))).unwrap_or_else(|| share(range));
            ranges.iter().enumerate().map(exact).collect()
        }
    };
    let sum: f64 = weights.iter().sum();
    if weights.len() != count || !sum.is_finite() || sum <= 0.0 || weights.iter().any(|weight| *weight < 0.0) {
        return None;
    }
    Some(Definition {
        weights: weights.iter().map(|weight| weight / sum).collect(),
        redirects: rule.get("variations")?.as_array()?.iter().any(|value| value.get("urlRedirect").is_some()),
        seed: text("seed", key),
        hash_version: rule.get("hashVersion").and_then(Value::as_u64).filter(|version| *version != 0).unwrap_or(1),
        attribute: text("hashAttribute", "id"),
        keys: (0..count)
            .map(|index| {
                let key = rule.get("meta").and_then(|meta| filled(meta.get(index)?, "key"));
                key.map_or_else(|| index.to_string(), str::to_owned)
            })
            .collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn side(rule: &Value) -> Side {
        let features = json!({ "features": { "hero": { "rules": [rule] } } });
        Side::new("x", Map::from_iter([("features".to_owned(), features)]))
    }

    #[test]
    fn revisions_belong_together_as_long_as_nobody_moves() {
        let rule = json!({ "key": "e", "variations": [1, 2], "weights": [0.5, 0.5], "seed": "s", "hashVersion": 2 });
        let mut more = rule.clone();
        more["coverage"] = json!(0.8);
        let mut rules = Rules::default();
        for (revision, change) in [
            ("r1", None),
            ("r2", Some(("coverage", json!(0.8)))),
            ("r3", Some(("weights", json!([0.3, 0.7])))),
            ("r4", Some(("seed", json!("t")))),
            ("r5", Some(("hashVersion", json!(1)))),
            ("r6", Some(("meta", json!([{ "key": "old" }, { "key": "new" }])))),
            ("r7", Some(("meta", json!([{ "key": "new" }, { "key": "old" }])))),
        ] {
            let mut rule = rule.clone();
            if let Some((key, value)) = change {
                rule[key] = value;
            }
            let filed = rules.filed(&side(&rule));
            rules.revisions.insert(revision.to_owned(), filed);
        }
        let phase = |revision: &str| rules.phase(revision, "e", "id");
        assert_eq!(phase("r1"), phase("r2"));
        let all = ["r1", "r3", "r4", "r5", "r6", "r7", "r8"].map(phase);
        assert_eq!(all, [1, 2, 3, 4, 5, 6, UNKNOWN]);
        assert_eq!(rules.definition(2).unwrap().weights, [0.3, 0.7]);
        assert_eq!(rules.definition(UNKNOWN), None);
    }

    #[test]
    fn ranges_and_defaults_make_weights() {
        let weights = |rule: Value| definition("e", &rule).map(|definition| definition.weights);
        assert_eq!(weights(json!({ "variations": [1, 2] })), Some(vec![0.5, 0.5]));
        let ranges = json!({ "variations": [1, 2], "ranges": [[0, 0.1], [0.5, 0.8]] });
        let found = weights(ranges).unwrap();
        assert!((found[0] - 0.25).abs() < 1e-12 && (found[1] - 0.75).abs() < 1e-12);
        assert_eq!(weights(json!({ "variations": [1, 2], "weights": ["a", "b"] })), None);
    }

    #[test]
    fn weights_are_those_that_the_edge_takes() {
        let weights = |given: Value| {
            let rule = json!({ "variations": [1, 2], "weights": given });
            definition("e", &rule).map(|definition| definition.weights).unwrap()
        };
        for given in [json!([1]), json!([0.3, 0.3]), json!([30, 70]), json!([0.2, 0.3, 0.5]), json!([]), json!(null)] {
            assert_eq!(weights(given.clone()), [0.5, 0.5], "{given}");
        }
        assert_eq!(weights(json!([0.2, 0.8])), [0.2, 0.8]);
        assert_eq!(weights(json!([0.7, 0.3])), [0.7, 0.3]);
        // Within the bounds the last buckets belong to nobody, or the last range is cut.
        let near = |found: Vec<f64>, expected: f64| assert!((found[0] - expected).abs() < 1e-12, "{found:?}");
        near(weights(json!([0.495, 0.496])), 0.495 / 0.991);
        near(weights(json!([0.2, 0.805])), 0.2);
    }

    #[test]
    fn an_experiment_with_a_fallback_attribute_is_known_by_both() {
        let rule = json!({ "key": "e", "variations": [1, 2], "weights": [0.2, 0.8], "hashAttribute": "userId",
            "fallbackAttribute": "visitorId" });
        let mut rules = Rules::default();
        rules.all = Some(rules.filed(&side(&rule)));
        assert_eq!(["userId", "visitorId", "id"].map(|name| rules.phase("r", "e", name)), [1, 1, UNKNOWN]);
    }
}
