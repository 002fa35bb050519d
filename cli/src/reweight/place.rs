//! Where an experiment stands in a file of features or experiments.

use anyhow::bail;
use serde_json::Value;

use crate::check::{escape, nearest};

/// An experiment in its file.
pub struct Place<'j> {
    /// Its key, as exposures name it.
    pub key: String,
    /// JSON pointer.
    pub pointer: String,
    /// The rule of a feature, or the experiment of its own.
    pub rule: &'j Value,
}

impl<'j> Place<'j> {
    /// The experiment called `key`: its own key, else its feature's.
    ///
    /// # Errors
    ///
    /// There is none, or several of that name and `at` picks none of them.
    pub fn find(json: &'j Value, key: &str, at: Option<&str>) -> anyhow::Result<Self> {
        let all = all(json);
        let named: Vec<&(Self, String)> = all.iter().filter(|(place, _)| place.key == key).collect();
        let named = if named.is_empty() { all.iter().filter(|(_, feature)| feature == key).collect() } else { named };
        let picked: Vec<&(Self, String)> =
            named.iter().copied().filter(|(place, _)| at.is_none_or(|at| place.pointer == at)).collect();
        match picked.as_slice() {
            [(place, _)] => Ok(Self { key: place.key.clone(), pointer: place.pointer.clone(), rule: place.rule }),
            [] if named.is_empty() => {
                let names = all.iter().map(|(place, _)| place.key.as_str());
                let hint = nearest(key, names.clone()).map_or_else(
                    || format!(": there are {}", names.collect::<Vec<_>>().join(", ")),
                    |known| format!(": is it '{known}'?"),
                );
                bail!("expected an experiment of this file, but found '{key}'{hint}")
            }
            _ => {
                let places: Vec<&str> = named.iter().map(|(place, _)| place.pointer.as_str()).collect();
                bail!("expected one experiment '{key}', but found {}: --at picks one", places.join(", "))
            }
        }
    }

    /// A member that an experiment has: new ones go behind it.
    pub fn behind(&self) -> &'static str {
        ["weights", "variations"].into_iter().find(|key| self.rule.get(key).is_some()).unwrap_or("variations")
    }
}

/// Every experiment, with its feature's key.
fn all(json: &Value) -> Vec<(Place<'_>, String)> {
    let mut all = Vec::new();
    let text = |rule: &Value| rule.get("key").and_then(Value::as_str).filter(|key| !key.is_empty()).map(str::to_owned);
    for (feature, definition) in json.get("features").and_then(Value::as_object).into_iter().flatten() {
        for (index, rule) in definition.get("rules").and_then(Value::as_array).into_iter().flatten().enumerate() {
            if rule.get("variations").is_some() && rule.get("force").is_none() {
                let pointer = format!("/features/{}/rules/{index}", escape(feature));
                let key = text(rule).unwrap_or_else(|| feature.clone());
                all.push((Place { key, pointer, rule }, feature.clone()));
            }
        }
    }
    for (index, rule) in json.get("experiments").and_then(Value::as_array).into_iter().flatten().enumerate() {
        if let Some(key) = text(rule) {
            all.push((Place { key, pointer: format!("/experiments/{index}"), rule }, String::new()));
        }
    }
    all
}
