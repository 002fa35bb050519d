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
            let message =
                mistake(&error.to_string(), text.lines().nth(position.line - 1).unwrap_or_default(), position.column);
            (position, message)
        });
        Self { file, text, json }
    }

    /// Where a JSON pointer leads in the text.
    pub fn position(&self, pointer: &str) -> Position {
        span::position(&self.text, pointer)
    }
}

/// A mistake in a JSON text, in words: serde's are for who knows its parser. `column` is in bytes.
fn mistake(message: &str, line: &str, column: usize) -> String {
    let message = message.split(" at line ").next().unwrap_or_default();
    let found = line.get(column.saturating_sub(1)..).and_then(|rest| rest.chars().next());
    let found = found.map_or("the end of the line".to_owned(), |found| format!("'{found}'"));
    match message {
        "trailing comma" => {
            format!("expected another element after the comma, but found {found}: JSON has no comma after the last one")
        }
        "expected `,` or `}`" => format!("expected ',' or '}}', but found {found}: is a comma missing before it?"),
        "expected `,` or `]`" => format!("expected ',' or ']', but found {found}: is a comma missing before it?"),
        "expected `:`" => format!("expected ':' after the key, but found {found}"),
        "key must be a string" => format!("expected a key in double quotes, but found {found}"),
        "expected value" | "expected ident" => {
            format!(
                "expected a value (a text in double quotes, a number, true, false, null, a list, an object), but found {found}"
            )
        }
        "trailing characters" => format!("expected nothing after the closing bracket, but found {found}"),
        end if end.starts_with("EOF while parsing") => {
            "expected more, but found the end of the file: is a bracket or a quote not closed?".to_owned()
        }
        break_ if break_.starts_with("control character") => {
            "expected a text on one line (\\n is a line break), but found the line's end or another control character"
                .to_owned()
        }
        other => format!("expected JSON, but found a mistake: {other}"),
    }
}

/// Members whose values are the author's own: nothing in them is a comment.
const OPEN: [&str; 6] = ["when", "condition", "defaultValue", "force", "variations", "value"];

/// Without what is for editors and people: `$schema` at the root, `$comment` in every object that has fixed keys.
fn stripped(value: &Value) -> Value {
    let mut value = value.clone();
    if let Value::Object(members) = &mut value {
        members.shift_remove("$schema");
    }
    strip_comments(&mut value);
    value
}

fn strip_comments(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.shift_remove("$comment");
            members
                .iter_mut()
                .filter(|(key, _)| !OPEN.contains(&key.as_str()))
                .for_each(|(_, value)| strip_comments(value));
        }
        Value::Array(items) => items.iter_mut().for_each(strip_comments),
        _ => {}
    }
}
