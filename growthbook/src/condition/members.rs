//! Lists that values are looked up in: the operands of `$in` and its kin, and the groups.

use std::collections::HashMap;

use super::fault::Fault;
use super::javascript::Actual;

/// A list prepared for "is this value in it". Texts are sorted, because a saved group may hold thousands of ids.
#[derive(Debug, Clone, Default)]
pub(super) struct Members {
    texts: Vec<Box<str>>,
    others: Vec<serde_json::Value>,
}

impl Members {
    pub(super) fn new(items: &[serde_json::Value]) -> Self {
        Self::prepare(items, |text| text.into())
    }

    /// The same in lower case, for a case-insensitive look-up.
    pub(super) fn folded(items: &[serde_json::Value]) -> Self {
        Self::prepare(items, |text| text.to_lowercase().into())
    }

    fn prepare(items: &[serde_json::Value], text: impl Fn(&str) -> Box<str>) -> Self {
        let mut members = Self::default();
        for item in items {
            match item {
                serde_json::Value::String(value) => members.texts.push(text(value)),
                // No two lists or objects are the same one, so they can't be found.
                serde_json::Value::Array(_) | serde_json::Value::Object(_) => {}
                other => members.others.push(other.clone()),
            }
        }
        members.texts.sort_unstable();
        members
    }

    /// Whether the value is in the list or, if it is a list itself, one of its elements is.
    pub(super) fn contain(&self, actual: Actual<'_>) -> bool {
        match actual {
            Actual::Array(items) => items.iter().any(|item| self.contain_one(Actual::from(item))),
            one => self.contain_one(one),
        }
    }

    /// The same for a list prepared by [`folded`](Self::folded).
    pub(super) fn contain_folded(&self, actual: Actual<'_>) -> bool {
        match actual {
            Actual::Array(items) => items.iter().any(|item| self.contain_one_folded(Actual::from(item))),
            one => self.contain_one_folded(one),
        }
    }

    fn contain_one(&self, actual: Actual<'_>) -> bool {
        match actual {
            Actual::String(text) => self.texts.binary_search_by(|member| (**member).cmp(text)).is_ok(),
            other => self.others.iter().any(|member| other.strictly_equals(Actual::from(member))),
        }
    }

    fn contain_one_folded(&self, actual: Actual<'_>) -> bool {
        match actual {
            Actual::String(text) if text.chars().any(|c| c.is_uppercase() || !c.is_ascii()) => {
                self.contain_one(Actual::String(&text.to_lowercase()))
            }
            other => self.contain_one(other),
        }
    }
}

/// The groups (GrowthBook: saved groups; here: segments) that `$inGroup` and `$notInGroup` refer to. The default has none.
#[derive(Debug, Clone, Default)]
pub struct Groups {
    /// `None` for a group without usable values.
    by_name: HashMap<Box<str>, Option<Members>, fnv::FnvBuildHasher>,
}

impl Groups {
    /// Reads groups from the payload's `savedGroups`: an object of lists, or of objects with `"type": "list"` and the list as `values`. A group of another
    /// form is named in the faults, and nobody is in it or out of it; the rest serve.
    #[must_use]
    pub fn from_json(json: &serde_json::Value) -> (Self, Vec<Fault>) {
        let mut groups = Self::default();
        let faults = groups.add_missing(json);
        (groups, faults)
    }

    /// Adds those groups of a `savedGroups` that there are none of the same name of yet; returns the faults of those left out.
    pub fn add_missing(&mut self, json: &serde_json::Value) -> Vec<Fault> {
        let serde_json::Value::Object(entries) = json else {
            return vec![Fault::expected("an object of groups", json)];
        };
        let mut faults = Vec::new();
        for (name, group) in
            entries.iter().filter(|(name, _)| !self.by_name.contains_key(name.as_str())).collect::<Vec<_>>()
        {
            let values = match group {
                serde_json::Value::Object(members) if members.get("type").is_some_and(|kind| kind == "list") => {
                    members.get("values").unwrap_or(group)
                }
                other => other,
            };
            let values = values.as_array();
            if values.is_none() {
                faults.push(Fault::expected("a list of values", group).under(name));
            }
            self.by_name.insert(name.as_str().into(), values.map(|values| Members::new(values)));
        }
        faults
    }

    /// Adds a group, or replaces the one of that name.
    pub fn insert(&mut self, name: &str, items: &[serde_json::Value]) {
        self.by_name.insert(name.into(), Some(Members::new(items)));
    }

    /// Whether there is a group of that name.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    /// Whether a value is in a group; `None` for a group without usable values, of which nothing can be said: `$notInGroup` must not let everybody pass.
    /// A group that doesn't exist is an empty one.
    pub(super) fn look_up(&self, name: &str, actual: Actual<'_>) -> Option<bool> {
        match self.by_name.get(name) {
            Some(members) => members.as_ref().map(|members| members.contain(actual)),
            None => Some(false),
        }
    }
}
