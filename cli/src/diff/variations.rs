//! Features and experiments: which visitors get something else, by evaluating both definitions as the edge would.

mod sample;
mod warn;

use std::collections::{BTreeMap, BTreeSet};

use edge_personalizer::growthbook::{Definition as _, Experiment};
use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;

use super::change::{Change, canonical, changes};
use super::conditions::{self, Facts};
use super::side::Side;
use crate::output::progress;
use sample::{Both, Sample};

/// Most kinds of visitors that are tried.
const MOST_KINDS: usize = 32;

/// One feature or experiment.
#[derive(Debug, Serialize)]
pub struct VariationsDiff {
    /// Its key.
    pub key: String,
    /// What became of it.
    pub is: Presence,
    /// What of its definition.
    pub changes: Vec<Change>,
    /// The feature or segment by which it changes, where its own definition didn't.
    pub by: Option<String>,
    /// Whose value or variation changes, for each kind of visitors that differs from the one before.
    pub visitors: Vec<Shares>,
    /// What to think of before this goes live.
    pub warnings: Vec<String>,
}

/// What became of a definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Presence {
    /// Only in the second.
    Added,
    /// Only in the first.
    Removed,
    /// In both, and not the same.
    Changed,
}

/// Shares of one kind of visitors.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Shares {
    /// Which kind: attributes beside the id.
    #[serde(rename = "where")]
    pub facts: Facts,
    /// How many were evaluated.
    pub visitors: u32,
    /// Get another value.
    pub changed: f64,
    /// Go from one variation to another.
    pub moved: f64,
    /// Leave the experiment.
    pub left: f64,
    /// Join it.
    pub joined: f64,
    /// From what to what, the largest first.
    pub transitions: Vec<Transition>,
}

/// Visitors who get `to` where they got `from`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Transition {
    /// A value; a variation for an experiment of its own.
    pub from: String,
    /// The same.
    pub to: String,
    /// Their share.
    pub share: f64,
}

/// Features and experiments that differ.
pub fn compare(a: &Side, b: &Side, visitors: u32, now: OffsetDateTime) -> (Vec<VariationsDiff>, Vec<VariationsDiff>) {
    let sample = Sample::new(visitors, now);
    (features(a, b, &sample), experiments(a, b, &sample))
}

fn features(a: &Side, b: &Side, sample: &Sample) -> Vec<VariationsDiff> {
    let (old, new) = (defined(a, "features"), defined(b, "features"));
    let own = differing(&old, &new);
    let touched = touched(a, b, &own, &old, &new);
    let bar = progress("evaluating features", touched.len());
    let mut found = Vec::new();
    for (key, by) in touched {
        bar.inc(1);
        let (was, is) = (old.get(&key), new.get(&key));
        let mut diff = begin(&key, was, is, by);
        if diff.is == Presence::Changed {
            let units = units([was, is]);
            let kinds = kinds([(a, &old), (b, &new)], &key);
            diff.visitors =
                sample.shares(&kinds, &units, &Both::Features(&a.rules.definitions, &b.rules.definitions, &key));
            let compiled = |side: &'_ Side| side.rules.definitions.features.get(&key).and_then(Result::ok).cloned();
            if let (Some(was), Some(is)) = (compiled(a), compiled(b)) {
                for is in is.experiments() {
                    let was = was.experiments().find(|was| was.key() == is.key());
                    diff.warnings.extend(was.into_iter().flat_map(|was| warn::warnings(was, is, &diff.visitors)));
                }
            }
        }
        if diff.by.is_none() || diff.visitors.iter().any(|shares| shares.changed > 0.0) {
            found.push(diff);
        }
    }
    bar.finish_and_clear();
    found
}

fn experiments(a: &Side, b: &Side, sample: &Sample) -> Vec<VariationsDiff> {
    let (old, new) = (defined(a, "experiments"), defined(b, "experiments"));
    let own = differing(&old, &new);
    let bar = progress("evaluating experiments", own.len());
    let mut found = Vec::new();
    for key in own {
        bar.inc(1);
        let (was, is) = (old.get(&key), new.get(&key));
        let mut diff = begin(&key, was, is, None);
        if let (Some(was), Some(is)) = (was, is) {
            let units = units([Some(was), Some(is)]);
            let kinds = kinds([(a, &old), (b, &new)], &key);
            // Variations are compared on the pages that the experiment is for: which pages those are is in the changes.
            let compiled = [was, is].map(|json| {
                let mut json = json.clone();
                json.as_object_mut().map(|members| members.shift_remove("urlPatterns"));
                Experiment::compile(&key, &json.to_string()).ok()
            });
            if let [Some(was), Some(is)] = &compiled {
                let both = Both::Experiments((&a.rules.definitions, was), (&b.rules.definitions, is));
                diff.visitors = sample.shares(&kinds, &units, &both);
                diff.warnings = warn::warnings(was, is, &diff.visitors);
            }
        }
        found.push(diff);
    }
    bar.finish_and_clear();
    found
}

fn begin(key: &str, was: Option<&Value>, is: Option<&Value>, by: Option<String>) -> VariationsDiff {
    let (presence, changes) = match (was, is) {
        (Some(was), Some(is)) => (Presence::Changed, changes(was, is)),
        (None, _) => (Presence::Added, Vec::new()),
        (_, None) => (Presence::Removed, Vec::new()),
    };
    VariationsDiff { key: key.to_owned(), is: presence, changes, by, visitors: Vec::new(), warnings: Vec::new() }
}

/// Definitions by key, in one spelling.
fn defined(side: &Side, dictionary: &str) -> BTreeMap<String, Value> {
    match side.content(dictionary) {
        Some(Value::Object(features)) => features.iter().map(|(key, json)| (key.clone(), normal(json))).collect(),
        Some(Value::Array(experiments)) => {
            let keyed = |json: &Value| Some((json.get("key")?.as_str()?.to_owned(), normal(json)));
            experiments.iter().filter_map(keyed).collect()
        }
        _ => BTreeMap::new(),
    }
}

/// Without comments, conditions in one spelling, and what is switched on not said.
fn normal(definition: &Value) -> Value {
    let mut definition = definition.clone();
    if let Some(members) = definition.as_object_mut() {
        members.shift_remove("$comment");
        for on in ["enabled", "active"] {
            if members.get(on) == Some(&Value::Bool(true)) {
                members.shift_remove(on);
            }
        }
        if let Some(condition) = members.get_mut("condition") {
            *condition = canonical(condition);
        }
        for rule in members.get_mut("rules").and_then(Value::as_array_mut).into_iter().flatten() {
            *rule = normal(rule);
        }
    }
    definition
}

fn differing(old: &BTreeMap<String, Value>, new: &BTreeMap<String, Value>) -> BTreeSet<String> {
    let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    keys.into_iter().filter(|key| old.get(*key) != new.get(*key)).cloned().collect()
}

/// Features whose value may differ: changed ones, those that have one as a prerequisite, those that ask for a segment that changed.
fn touched(
    a: &Side,
    b: &Side,
    own: &BTreeSet<String>,
    old: &BTreeMap<String, Value>,
    new: &BTreeMap<String, Value>,
) -> BTreeMap<String, Option<String>> {
    let mut touched: BTreeMap<String, Option<String>> = own.iter().map(|key| (key.clone(), None)).collect();
    if a.content("segments") != b.content("segments") {
        for (key, json) in old.iter().chain(new) {
            let text = json.to_string();
            if text.contains("$inGroup") || text.contains("$notInGroup") {
                touched.entry(key.clone()).or_insert_with(|| Some("a segment".to_owned()));
            }
        }
    }
    loop {
        let before = touched.len();
        for (key, json) in old.iter().chain(new) {
            let parent =
                parents(json).find(|parent| touched.contains_key(*parent)).map(|parent| format!("feature {parent}"));
            if let Some(parent) = parent {
                touched.entry(key.clone()).or_insert(Some(parent));
            }
        }
        if touched.len() == before {
            return touched;
        }
    }
}

/// A definition's rules; an experiment of its own is one.
fn rules(json: &Value) -> impl Iterator<Item = &Value> {
    std::iter::once(json).chain(json.get("rules").and_then(Value::as_array).into_iter().flatten())
}

fn parents(json: &Value) -> impl Iterator<Item = &str> {
    let conditions = rules(json).filter_map(|rule| rule.get("parentConditions")?.as_array()).flatten();
    conditions.filter_map(|parent| parent.get("id")?.as_str())
}

/// The attributes that hold a visitor's id: each gets the same.
fn units<'j>(definitions: impl IntoIterator<Item = Option<&'j Value>>) -> BTreeSet<String> {
    let own = definitions.into_iter().flatten().flat_map(rules).flat_map(|rule| {
        let filters = rule.get("filters").and_then(Value::as_array).into_iter().flatten();
        let filters = filters.filter_map(|filter| filter.get("attribute")?.as_str());
        ["hashAttribute", "fallbackAttribute"].into_iter().filter_map(|name| rule.get(name)?.as_str()).chain(filters)
    });
    ["id", "userId", "visitorId"].into_iter().chain(own).map(str::to_owned).collect()
}

/// Visitors that the conditions of a definition, and of those it asks for, tell apart; nobody in particular first.
fn kinds(sides: [(&Side, &BTreeMap<String, Value>); 2], key: &str) -> Vec<Facts> {
    let mut kinds = vec![Facts::new()];
    for (side, definitions) in sides {
        let mut asked = vec![key.to_owned()];
        let mut next = 0;
        while let Some(json) = asked.get(next).cloned().map(|key| definitions.get(&key)) {
            next += 1;
            for rule in json.into_iter().flat_map(rules) {
                let condition = rule.get("condition").unwrap_or(&Value::Null);
                for facts in conditions::visitors(condition, side.content("segments"), &[]) {
                    if kinds.len() < MOST_KINDS && !kinds.contains(&facts) {
                        kinds.push(facts);
                    }
                }
            }
            for parent in json.into_iter().flat_map(parents) {
                if !asked.iter().any(|known| known == parent) {
                    asked.push(parent.to_owned());
                }
            }
        }
    }
    kinds
}
