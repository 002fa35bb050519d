//! Experiments that put visitors in the same order: their results say something of each other.

use std::collections::HashMap;

use serde_json::Value;

use super::Checked;
use super::compile::escape;

impl Checked<'_> {
    /// Names experiments that share a seed with another.
    pub(super) fn units(&mut self) {
        let mut known: HashMap<(String, String, u64), String> = HashMap::new();
        let mut found = Vec::new();
        for (dictionary, pointer, experiment, feature) in self.experiments() {
            let text = |key: &str| experiment.get(key).and_then(Value::as_str);
            // As the specification has it: the seed, else the key, else the feature's.
            let key = text("key").or(feature).unwrap_or_default();
            let seed = text("seed").unwrap_or(key).to_owned();
            let attribute = text("hashAttribute").unwrap_or("id").to_owned();
            let version = experiment.get("hashVersion").and_then(Value::as_u64).unwrap_or(1);
            let key = key.to_owned();
            match known.get(&(seed.clone(), attribute.clone(), version)) {
                // One experiment may stand in several rules.
                Some(other) if *other != key => found.push((
                    dictionary,
                    if text("seed").is_some() { format!("{pointer}/seed") } else { pointer },
                    format!("expected a seed of its own, but found '{seed}', which '{other}' has too: both split visitors in the same way"),
                )),
                Some(_) => {}
                None => {
                    known.insert((seed, attribute, version), key);
                }
            }
        }
        for (dictionary, pointer, message) in found {
            self.warn(dictionary, pointer, message);
        }
    }

    /// Names experiments whose variations can't be remembered, where settings ask for it: a sticky bucket holds the key of `meta`
    /// (GrowthBook, "Sticky Bucketing").
    pub(super) fn remembered(&mut self) {
        if self.json("settings").and_then(|settings| settings.get("sticky")).is_none_or(Value::is_null) {
            return;
        }
        let is_named = |experiment: &Value| {
            let variations = experiment.get("variations").and_then(Value::as_array).map_or(0, Vec::len);
            let meta = experiment.get("meta").and_then(Value::as_array).into_iter().flatten();
            meta.filter(|meta| key_of(meta).is_some()).count() >= variations
        };
        let is_off = |experiment: &Value| experiment.get("disableStickyBucketing") == Some(&Value::Bool(true));
        let all = self.experiments().into_iter();
        let forgotten = all.filter(|(.., experiment, _)| !is_named(experiment) && !is_off(experiment));
        let found: Vec<_> = forgotten.map(|(dictionary, pointer, ..)| (dictionary, pointer)).collect();
        for (dictionary, pointer) in found {
            self.warn(
                dictionary,
                pointer,
                "expected `meta` with a `key` for each variation, for `settings.sticky` remembers variations by it: of this one, nothing is remembered"
                    .to_owned(),
            );
        }
    }

    /// Names variations that have another one's key: reports and sticky buckets know a variation by it. One with a second range is listed
    /// twice on purpose, with the same value.
    pub(super) fn alike(&mut self) {
        let mut found = Vec::new();
        for (dictionary, pointer, experiment, _) in self.experiments() {
            let list = |name: &str| experiment.get(name).and_then(Value::as_array).into_iter().flatten();
            let mut known: HashMap<String, &Value> = HashMap::new();
            for (index, (meta, value)) in list("meta").zip(list("variations")).enumerate() {
                let key = key_of(meta).map_or_else(|| index.to_string(), str::to_owned);
                let message = format!("expected a key of its own for each variation, but found '{key}' for two");
                if known.insert(key, value).is_some_and(|other| other != value) {
                    found.push((dictionary, format!("{pointer}/meta/{index}"), message));
                }
            }
        }
        for (dictionary, pointer, message) in found {
            self.warn(dictionary, pointer, message);
        }
    }

    /// Every experiment: dictionary, pointer, definition, and the feature that it is a rule of.
    pub(super) fn experiments(&self) -> Vec<(&'static str, String, &Value, Option<&str>)> {
        let mut all = Vec::new();
        let features = self.json("features").and_then(|json| json.get("features")?.as_object());
        for (key, feature) in features.into_iter().flatten() {
            let rules = feature.get("rules").and_then(Value::as_array);
            for (index, rule) in rules.into_iter().flatten().enumerate() {
                if rule.get("variations").is_some() && rule.get("force").is_none() {
                    all.push((
                        "features",
                        format!("/features/{}/rules/{index}", escape(key)),
                        rule,
                        Some(key.as_str()),
                    ));
                }
            }
        }
        for (index, experiment) in self.rules_of("experiments", "experiments").into_iter().enumerate() {
            all.push(("experiments", format!("/experiments/{index}"), experiment, None));
        }
        all
    }
}

/// The key of a variation, by its `meta`.
fn key_of(meta: &Value) -> Option<&str> {
    meta.get("key").and_then(Value::as_str).filter(|key| !key.is_empty())
}
