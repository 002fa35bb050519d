//! Templates and segments: which ones are new, gone or others.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::side::Side;

/// Names.
#[derive(Debug, Default, Serialize)]
pub struct NamesDiff {
    /// Only in the second.
    pub added: Vec<String>,
    /// Only in the first.
    pub removed: Vec<String>,
    /// In both, with another content.
    pub changed: Vec<String>,
}

impl NamesDiff {
    /// Whether all are the same.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }

    fn of(a: &BTreeMap<&str, String>, b: &BTreeMap<&str, String>) -> Self {
        let only = |one: &BTreeMap<&str, String>, other: &BTreeMap<&str, String>| {
            one.keys().filter(|name| !other.contains_key(*name)).map(|name| (*name).to_owned()).collect()
        };
        let differs =
            |(name, text): (&&str, &String)| b.get(name).filter(|other| *other != text).map(|_| (*name).to_owned());
        Self { added: only(b, a), removed: only(a, b), changed: a.iter().filter_map(differs).collect() }
    }
}

/// Templates of pages.
pub fn templates(a: &Side, b: &Side) -> NamesDiff {
    fn named(side: &Side) -> BTreeMap<&str, String> {
        let templates = side.content("templates").and_then(Value::as_object).into_iter().flatten();
        templates.map(|(name, text)| (name.as_str(), text.to_string())).collect()
    }
    NamesDiff::of(&named(a), &named(b))
}

/// Segments: lists of ids, whose order doesn't matter.
pub fn segments(a: &Side, b: &Side) -> NamesDiff {
    fn named(side: &Side) -> BTreeMap<&str, String> {
        let segments = side.content("segments").and_then(Value::as_object).into_iter().flatten();
        let ordered = |value: &Value| match value {
            Value::Array(ids) => {
                let mut ids: Vec<String> = ids.iter().map(Value::to_string).collect();
                ids.sort();
                ids.join(",")
            }
            other => other.to_string(),
        };
        segments.map(|(name, value)| (name.as_str(), ordered(value))).collect()
    }
    NamesDiff::of(&named(a), &named(b))
}
