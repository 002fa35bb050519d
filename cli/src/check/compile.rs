//! What the edge's own compiler names, with the nearest known key; and what its linters name.

use std::collections::HashMap;

use edge_personalizer::condition;
use edge_personalizer::growthbook::{lint_experiment, lint_feature};
/// A key as a step of a JSON pointer.
pub use edge_personalizer::json_place::token as escape;
use edge_personalizer::rules::Fault;
use edge_personalizer::rules::schema::{self, UnknownKey};
use serde_json::Value;

use super::{Checked, Level};
use crate::folder::BANDITS;

/// How the edge's messages of unknown keys begin: the schema finds more of them, and says what was meant.
const UNKNOWN_KEY: &str = "expected a known key";
/// Below this two keys have nothing to do with each other.
const SIMILAR: f64 = 0.7;

impl Checked<'_> {
    /// The compiler's faults.
    pub(super) fn compiled(&mut self, faults: &[Fault]) {
        let ours = |fault: &&Fault| {
            let is_country = fault.pointer.starts_with("/consent/countries")
                || fault.pointer == "/consent" && fault.message.starts_with("consent.countries");
            let is_cookie = matches!(fault.pointer.as_str(), "/visitor" | "/sticky")
                && fault.message.starts_with("expected a name and a domain");
            // What the schema and the checks of settings say better.
            let is_better_said =
                fault.message.starts_with(UNKNOWN_KEY) || (fault.dictionary == "settings" && (is_country || is_cookie));
            !is_better_said
        };
        for fault in faults.iter().filter(ours) {
            // Lists in the place of objects are named already.
            let is_list =
                |message: &str| message.starts_with("expected an object") && message.ends_with("found a list");
            let mut named = self.findings.iter().filter(|finding| finding.pointer == fault.pointer);
            if is_list(&fault.message) && named.any(|finding| is_list(&finding.message)) {
                continue;
            }
            self.fault(&fault.dictionary, &fault.pointer, fault.message.clone());
        }
        self.unknown_keys();
    }

    /// Keys that nobody reads, at every depth, each with the nearest known one.
    fn unknown_keys(&mut self) {
        for (name, source) in &self.folder.dictionaries {
            let Ok(json) = &source.json else { continue };
            let is_ours = |unknown: &UnknownKey| !is_linted(name, unknown) && unknown.key != BANDITS;
            for unknown in schema::unknown_keys(name, json).into_iter().filter(is_ours) {
                let message = misspelt(&unknown);
                self.fault(name, unknown.pointer, message);
            }
        }
    }

    /// Conditions that compile, and can't have been meant.
    pub(super) fn conditions(&mut self) {
        // Those of features and experiments are the definitions' linter's.
        let ours = |(dictionary, _, _): &(&str, String, &Value)| matches!(*dictionary, "regions" | "routes");
        for (dictionary, pointer, condition) in self.all_conditions().into_iter().filter(ours) {
            for fault in condition::lint(condition, Some(self.rules.groups())) {
                self.fault(dictionary, format!("{pointer}{}", fault.pointer), fault.message);
            }
        }
    }

    /// Features and experiments.
    pub(super) fn definitions(&mut self) {
        let definitions = &self.rules.definitions;
        let mut found = Vec::new();
        if let Some(features) = self.json("features").and_then(|json| json.get("features")?.as_object()) {
            for (key, feature) in features {
                let below = format!("/features/{}", escape(key));
                let faults = lint_feature(key, feature, definitions);
                found.extend(
                    faults.into_iter().map(|fault| ("features", format!("{below}{}", fault.pointer), fault.message)),
                );
            }
        }
        for (index, experiment) in self.rules_of("experiments", "experiments").iter().enumerate() {
            let key = experiment.get("key").and_then(Value::as_str).unwrap_or_default();
            let faults = lint_experiment(key, experiment, definitions);
            let at = |pointer: &str| format!("/experiments/{index}{pointer}");
            found.extend(faults.into_iter().map(|fault| ("experiments", at(&fault.pointer), fault.message)));
        }
        let unknown =
            ["features", "experiments"].map(|name| self.json(name).map(|json| schema::unknown_keys(name, json)));
        let unknown: Vec<UnknownKey> = unknown.into_iter().flatten().flatten().collect();
        for (dictionary, pointer, message) in found {
            let meant = unknown.iter().find(|key| key.pointer == pointer && message.starts_with(UNKNOWN_KEY));
            let message = meant.map_or(message, misspelt);
            // These work as they are written; the rest the edge leaves out or reads past.
            let works =
                pointer.ends_with("/hashVersion") || pointer.ends_with("/weights") || message.contains("hash version");
            let is_payloads = self.folder.is_payloads(dictionary, &pointer);
            // GrowthBook may write keys that no evaluator reads.
            if message.starts_with(UNKNOWN_KEY) && (pointer.ends_with("/$comment") || is_payloads) {
                continue;
            }
            // Weights that are no shares are named already.
            if self
                .findings
                .iter()
                .any(|finding| finding.pointer == pointer && finding.message.starts_with("expected weights from 0"))
            {
                continue;
            }
            self.add(if works { Level::Warning } else { Level::Fault }, dictionary, pointer, message);
        }
    }

    /// Names that occur twice.
    pub(super) fn duplicates(&mut self) {
        for (dictionary, list, name) in
            [("routes", "routes", "id"), ("regions", "regions", "id"), ("experiments", "experiments", "key")]
        {
            let mut first: HashMap<String, usize> = HashMap::new();
            for (index, rule) in self.rules_of(dictionary, list).into_iter().enumerate() {
                let Some(id) = rule.get(name).and_then(Value::as_str) else { continue };
                if let Some(earlier) = first.get(id) {
                    // Two conditions may lead to one region: then it must be the same region.
                    let earlier_rule = self.rules_of(dictionary, list).get(*earlier).cloned().cloned();
                    let same = dictionary == "regions"
                        && earlier_rule.as_ref().and_then(|rule| rule.get("slug")) == rule.get("slug");
                    if !same {
                        let message =
                            format!("expected a name of its own, but found '{id}' of /{list}/{earlier} again");
                        self.fault(dictionary, format!("/{list}/{index}/{name}"), message);
                    }
                } else {
                    first.insert(id.to_owned(), index);
                }
            }
        }
    }
}

impl<'a> Checked<'a> {
    /// A dictionary, parsed.
    pub(super) fn json(&self, dictionary: &str) -> Option<&'a Value> {
        if self.broken.contains(dictionary) { None } else { self.folder.json(dictionary) }
    }

    /// The rules of a dictionary's list.
    pub(super) fn rules_of(&self, dictionary: &str, list: &str) -> Vec<&'a Value> {
        let rules = self.json(dictionary).and_then(|json| json.get(list)?.as_array());
        rules.map(|rules| rules.iter().collect()).unwrap_or_default()
    }
}

/// What is said of a key that nobody reads.
fn misspelt(unknown: &UnknownKey) -> String {
    let hint = nearest(&unknown.key, unknown.known.iter().map(String::as_str));
    let hint = hint.map(|name| format!(": is it '{name}'?")).unwrap_or_default();
    format!("{UNKNOWN_KEY}, but found '{}'{hint}", unknown.key)
}

/// Whether the linter of features and experiments names this key: it tells rules from experiments of their own.
fn is_linted(dictionary: &str, unknown: &UnknownKey) -> bool {
    match dictionary {
        "features" => matches!(unknown.pointer.split('/').count() - 1, 3 | 5),
        "experiments" => unknown.pointer.split('/').count() - 1 == 3,
        _ => false,
    }
}

/// The most similar of the known names, if one is similar at all.
pub fn nearest<'n>(name: &str, known: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    known
        .into_iter()
        .map(|known| (strsim::jaro_winkler(&known.to_lowercase(), &name.to_lowercase()), known))
        .filter(|(similarity, _)| *similarity >= SIMILAR)
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .map(|(_, known)| known)
}
