//! Rule dictionaries on their way into the local config store: one JSON file a dictionary becomes one entry, minified,
//! or several where it is longer than the platform allows.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use anyhow::{Context, anyhow};
use edge_personalizer::rules::dictionary::{DICTIONARIES, dictionary_of, part_name};
use edge_personalizer::rules::entries;
use serde_json::{Map, Value};

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
        // What can't be divided goes in as it is. The local server refuses the whole store then, and the SDK stops the service.
        let parts = entries::split(dictionary, value).unwrap_or_else(|_| vec![value.to_string()]);
        for (index, part) in parts.into_iter().enumerate() {
            self.entries.insert(part_name(dictionary, index + 1), part);
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

    /// Writes the file, and keeps what others put there beside dictionaries: pushed revisions, and the pointer.
    ///
    /// # Errors
    ///
    /// As for [`write`](Self::write). What can't be read in the file is lost.
    pub fn update(&self, file: &Path) -> anyhow::Result<()> {
        let found = fs::read_to_string(file).ok().and_then(|text| serde_json::from_str(&text).ok());
        let found: BTreeMap<String, String> = found.unwrap_or_default();
        let mut whole = self.clone();
        let others = found.into_iter().filter(|(entry, _)| !DICTIONARIES.contains(&dictionary_of(entry)));
        whole.entries.extend(others);
        whole.write(file)
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_short_dictionary_is_one_entry() {
        let rules = Rules::from_json(json!({ "routes": { "routes": [] } }).as_object().unwrap());
        assert_eq!(rules.entries()["routes"], r#"{"routes":[]}"#);
    }

    #[test]
    fn an_update_keeps_pushed_revisions_and_the_pointer_and_nothing_of_the_old_rules() {
        let folder = std::env::temp_dir().join(format!("local-server-rules-{}", std::process::id()));
        let file = folder.join("store.json");
        let mut old = Rules::default();
        for (entry, text) in [
            ("routes", "{}"),
            ("routes.2", "{}"),
            ("r1/routes", "{}"),
            ("r1/manifest", "{}"),
            ("active", "{}"),
            ("active_history.1", "{}"),
        ] {
            old.set_entry(entry, text);
        }
        old.write(&file).unwrap();
        Rules::from_json(json!({ "regions": {} }).as_object().unwrap()).update(&file).unwrap();
        let found: BTreeMap<String, String> = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(
            found.keys().collect::<Vec<_>>(),
            ["active", "active_history.1", "r1/manifest", "r1/routes", "regions"]
        );
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
