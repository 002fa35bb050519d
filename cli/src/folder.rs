//! A folder of rules: one JSON file a dictionary.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use edge_personalizer::rules::dictionary::DICTIONARIES;
use serde_json::{Map, Value};

use crate::span::{self, Position};

/// One dictionary as it was written.
#[derive(Debug, Clone)]
pub struct Source {
    /// Where it was read from.
    pub file: PathBuf,
    /// Its text.
    pub text: String,
    /// The text, parsed; or what is wrong with it, and where.
    pub json: Result<Value, (Position, String)>,
}

/// A folder's dictionaries, and files that are none.
#[derive(Debug, Clone, Default)]
pub struct Folder {
    /// By name: `routes`, `settings`, …
    pub dictionaries: BTreeMap<String, Source>,
    /// JSON files whose name is no dictionary's.
    pub strangers: Vec<PathBuf>,
}

impl Folder {
    /// Reads a folder.
    ///
    /// # Errors
    ///
    /// The folder or a file can't be read, or there is no dictionary in it.
    pub fn read(folder: &Path) -> anyhow::Result<Self> {
        let mut read = Self::default();
        let entries = fs::read_dir(folder)
            .with_context(|| format!("{}: expected a folder of rules, but can't read it", folder.display()))?;
        for entry in entries {
            let file = entry?.path();
            if file.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            let name = file.file_stem().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
            if !DICTIONARIES.contains(&name.as_str()) {
                read.strangers.push(file);
                continue;
            }
            let text = fs::read_to_string(&file)
                .with_context(|| format!("{}: expected a text, but can't read it", file.display()))?;
            read.dictionaries.insert(name, Source::new(file, text));
        }
        read.strangers.sort();
        if read.dictionaries.is_empty() {
            let names = DICTIONARIES.map(|name| format!("{name}.json")).join(", ");
            bail!("{}: expected at least one of {names}, but found none", folder.display());
        }
        Ok(read)
    }

    /// That every dictionary is JSON.
    ///
    /// # Errors
    ///
    /// The first that isn't, with its line and column.
    pub fn parsed(&self) -> anyhow::Result<()> {
        match self.dictionaries.values().find_map(|source| Some((source, source.json.as_ref().err()?))) {
            Some((source, (Position { line, column }, message))) => {
                bail!("{}:{line}:{column}: {message}", source.file.display())
            }
            None => Ok(()),
        }
    }

    /// The dictionaries that can be parsed, `$schema` and comments left out: what is written to a store.
    pub fn values(&self) -> Map<String, Value> {
        let parsed =
            |name: &&str| Some((name.to_string(), stripped(self.dictionaries.get(*name)?.json.as_ref().ok()?)));
        DICTIONARIES.iter().filter_map(parsed).collect()
    }
}

impl Source {
    /// A text, parsed.
    pub fn new(file: PathBuf, text: String) -> Self {
        let json = serde_json::from_str(&text).map_err(|error| {
            let position = Position { line: error.line().max(1), column: error.column().max(1) };
            let message = error.to_string();
            let message = message.split(" at line ").next().unwrap_or_default().to_owned();
            (position, format!("expected JSON, but found a mistake: {message}"))
        });
        Self { file, text, json }
    }

    /// Where a JSON pointer leads in the text.
    pub fn position(&self, pointer: &str) -> Position {
        span::position(&self.text, pointer)
    }
}

/// Without what is for editors and people: `$schema` at the root, `$comment` there and in the rules.
fn stripped(value: &Value) -> Value {
    let mut value = value.clone();
    if let Value::Object(members) = &mut value {
        members.shift_remove("$schema");
        members.shift_remove("$comment");
        for list in members.values_mut().filter_map(Value::as_array_mut) {
            for rule in list.iter_mut().filter_map(Value::as_object_mut) {
                rule.shift_remove("$comment");
            }
        }
    }
    value
}
