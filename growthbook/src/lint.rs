//! The strict reader of features and experiments: what the evaluator forgives or ignores, the checker names.

use serde_json::Value as Json;

use super::compiled::{Experiment, Feature};
use super::hash::HashVersion;
use super::payload::Definitions;
use super::range::weights_are_usable;
use super::table::Definition;
use crate::condition::{self, Fault, Pattern};

const FEATURE: &[&str] = &["defaultValue", "enabled", "rules"];
const RULE: &[&str] = &[
    "id",
    "schedule",
    "condition",
    "parentConditions",
    "force",
    "variations",
    "weights",
    "key",
    "hashAttribute",
    "fallbackAttribute",
    "hashVersion",
    "disableStickyBucketing",
    "bucketVersion",
    "minBucketVersion",
    "range",
    "coverage",
    "namespace",
    "ranges",
    "meta",
    "filters",
    "seed",
    "name",
    "phase",
    "tracks",
    "contextualBanditRef",
    "contextualVariations",
];
const EXPERIMENT_ALONE: &[&str] = &["urlPatterns", "active", "status", "persistQueryString", "changeId", "manual"];
/// Below this, weights are meant to sum up to one.
const TOLERANCE: f64 = 1e-9;

/// Every fault of a feature's definition, pointers relative to it: that it doesn't compile, keys that nobody reads, conditions that can't have been meant
/// ([`condition::lint`]), weights that lose visitors, hash version 1, references to what `definitions` don't have.
#[must_use]
pub fn lint_feature(key: &str, json: &Json, definitions: &Definitions) -> Vec<Fault> {
    let mut faults: Vec<Fault> = Feature::compile(key, &json.to_string()).err().into_iter().collect();
    faults.extend(unknown_keys(json, FEATURE));
    for (index, rule) in json.get("rules").and_then(Json::as_array).into_iter().flatten().enumerate() {
        let found = lint_rule(rule, definitions).into_iter().chain(unknown_keys(rule, RULE));
        faults.extend(found.map(|fault| fault.under(index).under("rules")));
    }
    without_repeats(faults)
}

/// The same for an experiment of its own.
#[must_use]
pub fn lint_experiment(key: &str, json: &Json, definitions: &Definitions) -> Vec<Fault> {
    let mut faults: Vec<Fault> = Experiment::compile(key, &json.to_string()).err().into_iter().collect();
    faults.extend(unknown_keys(json, &[RULE, EXPERIMENT_ALONE].concat()));
    faults.extend(lint_rule(json, definitions));
    for (index, target) in json.get("urlPatterns").and_then(Json::as_array).into_iter().flatten().enumerate() {
        faults.extend(lint_target(target).map(|fault| fault.under(index).under("urlPatterns")));
    }
    without_repeats(faults)
}

fn lint_rule(rule: &Json, definitions: &Definitions) -> Vec<Fault> {
    let mut faults = Vec::new();
    if let Some(json) = rule.get("condition") {
        let found = condition::lint(json, Some(&definitions.groups));
        faults.extend(found.into_iter().map(|fault| fault.under("condition")));
    }
    for (index, parent) in rule.get("parentConditions").and_then(Json::as_array).into_iter().flatten().enumerate() {
        let placed = |fault: Fault| fault.under(index).under("parentConditions");
        if let Some(id) = parent.get("id").and_then(Json::as_str)
            && definitions.features.json(id).is_none()
        {
            let message = format!("expected the key of a feature, but found {id:?}, and there is none of that key");
            faults.push(placed(Fault::new(message).under("id")));
        }
        let found = parent.get("condition").map(|json| condition::lint(json, Some(&definitions.groups)));
        faults.extend(found.into_iter().flatten().map(|fault| placed(fault.under("condition"))));
    }
    if let Some(reference) = rule.get("contextualBanditRef").and_then(Json::as_str)
        && definitions.bandits.json(reference).is_none()
    {
        let message =
            format!("expected the key of a contextual bandit, but found {reference:?}, and there is none of that key");
        faults.push(Fault::new(message).under("contextualBanditRef"));
    }
    faults.extend(lint_hashing(rule));
    faults.extend(lint_split(rule));
    faults
}

/// Whether visitors are hashed, and how.
fn lint_hashing(rule: &Json) -> Option<Fault> {
    let hashes = ["variations", "contextualVariations", "coverage", "range"].iter().any(|key| rule.get(key).is_some());
    if !hashes {
        return None;
    }
    let number = rule.get("hashVersion").and_then(Json::as_u64).filter(|number| *number != 0).unwrap_or(1);
    let message = match u32::try_from(number).ok().and_then(HashVersion::from_number) {
        Some(HashVersion::Two) => return None,
        Some(HashVersion::One) => {
            "expected 2, but found 1, which is also the default: under it more than half of all pairs of experiments depend on each other. \
             (A rule that already runs keeps its version: changing it moves nearly every visitor.)"
                .to_owned()
        }
        None => format!("expected 1 or 2, but found {number}, with which nobody is included"),
    };
    Some(Fault::new(message).under("hashVersion"))
}

fn lint_split(rule: &Json) -> Vec<Fault> {
    let Some(variations) = ["contextualVariations", "variations"].iter().find_map(|key| rule.get(key)?.as_array())
    else {
        return Vec::new();
    };
    let mut faults = Vec::new();
    if variations.len() < 2 {
        let message = format!("expected at least two variations, but found {}", variations.len());
        faults.push(Fault::new(message).under("variations"));
    }
    for key in ["ranges", "meta"] {
        if let Some(list) = rule.get(key).and_then(Json::as_array).filter(|list| list.len() != variations.len()) {
            let message = format!("expected one for each of {} variations, but found {}", variations.len(), list.len());
            faults.push(Fault::new(message).under(key));
        }
    }
    if let Some(weights) = rule.get("weights").and_then(Json::as_array) {
        let weights: Vec<f64> = weights.iter().filter_map(Json::as_f64).collect();
        let sum: f64 = weights.iter().sum();
        if !weights_are_usable(variations.len(), &weights) {
            let message = format!(
                "expected {} weights with the sum 1, but found {} with the sum {sum}: equal weights are used",
                variations.len(),
                weights.len()
            );
            faults.push(Fault::new(message).under("weights"));
        } else if sum < 1.0 - TOLERANCE {
            let message = format!(
                "expected weights with the sum 1, but found {sum}: the last buckets' visitors are in no variation"
            );
            faults.push(Fault::new(message).under("weights"));
        }
    }
    faults
}

fn lint_target(target: &Json) -> Option<Fault> {
    let kind = target.get("type").and_then(Json::as_str)?;
    let pattern = target.get("pattern").and_then(Json::as_str)?;
    match kind {
        "simple" => None,
        "regex" => Pattern::check(pattern, false).map(|fault| fault.under("pattern")),
        other => Some(
            Fault::new(format!("expected simple or regex, but found {other:?}, which matches no page")).under("type"),
        ),
    }
}

fn unknown_keys(json: &Json, known: &[&str]) -> Vec<Fault> {
    let unknown = json.as_object().into_iter().flat_map(|entries| entries.keys());
    let unknown = unknown.filter(|key| !known.contains(&key.as_str()));
    unknown
        .map(|key| Fault::new(format!("expected a known key, but found {key:?}, which is ignored")).under(key))
        .collect()
}

/// The compiler and the strict reader may name the same place: the compiler comes first and stays.
fn without_repeats(faults: Vec<Fault>) -> Vec<Fault> {
    let mut kept: Vec<Fault> = Vec::new();
    for fault in faults {
        if !kept.iter().any(|earlier| earlier.pointer == fault.pointer) {
            kept.push(fault);
        }
    }
    kept
}
