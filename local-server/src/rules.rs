//! Rule dictionaries on their way into the local config store: one JSON file a dictionary becomes one entry, minified,
//! or several where it is longer than the platform allows.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use anyhow::{Context, anyhow};
use serde_json::{Map, Value, json};

/// Characters that an entry may have (Fastly's resource limits, "Config store").
pub const ENTRY_LIMIT: usize = 8_000;

/// The entries of the config store `personalizer`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules {
    entries: BTreeMap<String, String>,
}

impl Rules {
    /// The dictionaries of a folder: `regions.json` becomes entry `regions`.
    ///
    /// # Errors
    ///
    /// The folder or a file can't be read, or a file isn't JSON.
    pub fn from_folder(folder: &Path) -> anyhow::Result<Self> {
        let mut rules = Self::default();
        for file in fs::read_dir(folder).with_context(|| format!("can't read the rules in {}", folder.display()))? {
            let path = file?.path();
            if path.extension() != Some(OsStr::new("json")) {
                continue;
            }
            let name = path.file_stem().and_then(OsStr::to_str).context("expected a file name in UTF-8")?;
            let text = fs::read_to_string(&path)?;
            let value = serde_json::from_str(&text).with_context(|| format!("{} isn't JSON", path.display()))?;
            rules.set(name, &value);
        }
        Ok(rules)
    }

    /// The dictionaries of one object, by name.
    #[must_use]
    pub fn from_json(dictionaries: &Map<String, Value>) -> Self {
        let mut rules = Self::default();
        for (name, value) in dictionaries {
            rules.set(name, value);
        }
        rules
    }

    /// Puts a dictionary in place of the one of that name, in as many parts as it needs.
    pub fn set(&mut self, dictionary: &str, value: &Value) {
        self.remove(dictionary);
        for (number, part) in split(dictionary, value).into_iter().enumerate() {
            let entry = if number == 0 { dictionary.to_owned() } else { format!("{dictionary}.{}", number + 1) };
            self.entries.insert(entry, part);
        }
    }

    /// Puts any text in an entry: half a dictionary, or none.
    pub fn set_entry(&mut self, entry: &str, text: &str) {
        self.entries.insert(entry.to_owned(), text.to_owned());
    }

    /// Takes a dictionary out, all its parts.
    pub fn remove(&mut self, dictionary: &str) {
        let part_of = |entry: &str| {
            entry
                .strip_prefix(dictionary)
                .and_then(|rest| rest.strip_prefix('.'))
                .is_some_and(|n| n.parse::<u32>().is_ok())
        };
        self.entries.retain(|entry, _| entry != dictionary && !part_of(entry));
    }

    /// Takes one entry out.
    pub fn remove_entry(&mut self, entry: &str) {
        self.entries.remove(entry);
    }

    /// The entries by name.
    #[must_use]
    pub fn entries(&self) -> &BTreeMap<String, String> {
        &self.entries
    }

    /// Writes the file that the local server reads at every request: beside it first, then renamed, because a file
    /// caught half-written stops the service.
    ///
    /// # Errors
    ///
    /// The folder can't be made or written.
    pub fn write(&self, file: &Path) -> anyhow::Result<()> {
        let folder = file.parent().ok_or_else(|| anyhow!("{} has no folder", file.display()))?;
        fs::create_dir_all(folder)?;
        let beside = file.with_extension("json.new");
        fs::write(&beside, serde_json::to_string_pretty(&self.entries)?)
            .and_then(|()| fs::rename(&beside, file))
            .with_context(|| format!("can't write {}", file.display()))
    }
}

/// The dictionary as entries: itself where it fits, else the member of the dictionary's own name (a list or an object)
/// is spread over parts, and the first says how many there are.
fn split(dictionary: &str, value: &Value) -> Vec<String> {
    let whole = value.to_string();
    if whole.chars().count() <= ENTRY_LIMIT {
        return vec![whole];
    }
    let Value::Object(mut rest) = value.clone() else { return vec![whole] };
    let (mut parts, empty) = match rest.remove(dictionary) {
        // The first part also carries what isn't spread, and says how many parts follow.
        Some(Value::Array(items)) => (pack(items, &rest, |items| Value::from(items.to_vec())), json!([])),
        Some(Value::Object(members)) => {
            let members: Vec<_> = members.into_iter().collect();
            (pack(members, &rest, |members| Value::Object(members.iter().cloned().collect())), json!({}))
        }
        _ => return vec![whole],
    };
    if parts.is_empty() {
        parts.push(empty);
    }
    let count = parts.len();
    let with_name = |(number, part): (usize, Value)| {
        let mut object = Map::new();
        if number == 0 {
            object.insert("parts".to_owned(), json!(count));
            object.extend(rest.clone());
        }
        object.insert(dictionary.to_owned(), part);
        Value::Object(object).to_string()
    };
    parts.into_iter().enumerate().map(with_name).collect()
}

/// Groups items so that each group, written as a part, fits.
fn pack<T>(items: Vec<T>, rest: &Map<String, Value>, value: impl Fn(&[T]) -> Value) -> Vec<Value> {
    /// What stands around the items of a part: the name, `parts`, braces.
    const AROUND: usize = 100;
    let mut room = ENTRY_LIMIT.saturating_sub(AROUND + Value::Object(rest.clone()).to_string().chars().count());
    let mut parts = Vec::new();
    let mut group = Vec::new();
    for item in items {
        let length = value(std::slice::from_ref(&item)).to_string().chars().count();
        if length > room && !group.is_empty() {
            parts.push(value(&group));
            group.clear();
            room = ENTRY_LIMIT - AROUND;
        }
        room = room.saturating_sub(length);
        group.push(item);
    }
    if !group.is_empty() {
        parts.push(value(&group));
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_dictionary_is_one_entry() {
        let rules = Rules::from_json(json!({ "routes": { "routes": [] } }).as_object().unwrap());
        assert_eq!(rules.entries()["routes"], r#"{"routes":[]}"#);
    }

    #[test]
    fn a_long_list_goes_on_in_parts_that_fit_and_lose_nothing() {
        let routes: Vec<_> = (0..500).map(|n| json!({ "id": format!("r{n}"), "path": format!("/r/{n}/*") })).collect();
        let mut rules = Rules::default();
        rules.set("routes", &json!({ "note": "kept", "routes": routes }));
        let first: Value = serde_json::from_str(&rules.entries()["routes"]).unwrap();
        let count = usize::try_from(first["parts"].as_u64().unwrap()).unwrap();
        assert_eq!((count, &first["note"]), (rules.entries().len(), &json!("kept")));
        let mut together = Vec::new();
        for number in 1..=count {
            let name = if number == 1 { "routes".to_owned() } else { format!("routes.{number}") };
            let text = &rules.entries()[&name];
            assert!(text.chars().count() <= ENTRY_LIMIT, "{name} has {} characters", text.chars().count());
            let part: Value = serde_json::from_str(text).unwrap();
            together.extend(part["routes"].as_array().unwrap().clone());
        }
        assert_eq!(together, routes);
    }

    #[test]
    fn a_shorter_dictionary_leaves_no_parts_of_the_longer_one() {
        let long: Map<_, _> = (0..500).map(|n| (format!("feature-{n}"), json!({ "defaultValue": n }))).collect();
        let mut rules = Rules::default();
        rules.set("features", &json!({ "features": long }));
        assert!(rules.entries().len() > 1);
        rules.set("features", &json!({ "features": {} }));
        assert_eq!(rules.entries().keys().collect::<Vec<_>>(), ["features"]);
    }
}
