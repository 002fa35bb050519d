//! A folder of rules: one JSON file a dictionary, and a GrowthBook payload that is pushed with them.

mod fold;
pub mod payload;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use anyhow::{Context as _, bail};
use edge_personalizer::rules::dictionary::DICTIONARIES;
use edge_personalizer::rules::set::Texts;
use edge_personalizer::rules::{Fault, RuleSet};
use serde_json::{Map, Value};

use crate::span::{self, Position};
pub use fold::BANDITS;
use fold::Folded;
use payload::{Payload, PayloadOptions};

/// How people write what isn't read here: a dictionary in such a file is one that somebody misses.
const OTHER_WAYS: [&str; 5] = ["jsonc", "json5", "yaml", "yml", "toml"];

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

/// A folder's dictionaries, a GrowthBook payload that belongs to them, and files that are neither.
#[derive(Debug, Clone, Default)]
pub struct Folder {
    /// By name: `routes`, `settings`, …, as they were written.
    pub dictionaries: BTreeMap<String, Source>,
    /// JSON files that nothing reads.
    pub strangers: Vec<PathBuf>,
    /// The payload that is pushed with them.
    pub payload: Option<Payload>,
    folded: Folded,
}

impl Folder {
    /// Dictionaries, with the payload's definitions where they have none of their own.
    pub fn new(dictionaries: BTreeMap<String, Source>, payload: Option<Payload>) -> Self {
        let folded = payload.as_ref().map(|payload| Folded::of(&dictionaries, payload)).unwrap_or_default();
        Self { dictionaries, strangers: Vec::new(), payload, folded }
    }

    /// Reads a folder.
    ///
    /// # Errors
    ///
    /// The folder or a file can't be read, or there is no dictionary in it.
    pub fn read(folder: &Path, payload: &PayloadOptions) -> anyhow::Result<Self> {
        let mut dictionaries = BTreeMap::new();
        let mut strangers = Vec::new();
        let entries = fs::read_dir(folder)
            .with_context(|| format!("{}: expected a folder of rules, but can't read it", folder.display()))?;
        for entry in entries {
            let file = entry?.path();
            let extension = file.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
            if extension != "json" {
                let is_meant = file.file_stem().is_some_and(|name| DICTIONARIES.iter().any(|known| name == *known));
                strangers.extend((is_meant && OTHER_WAYS.contains(&extension)).then_some(file));
                continue;
            }
            let name = file.file_stem().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
            if !DICTIONARIES.contains(&name.as_str()) {
                strangers.extend((!file.ends_with(payload::FILE)).then_some(file));
                continue;
            }
            let text = fs::read_to_string(&file)
                .with_context(|| format!("{}: expected a text, but can't read it", file.display()))?;
            dictionaries.insert(name, Source::new(file, text));
        }
        // What is written another way beside its JSON is where that came from.
        strangers.retain(|file: &PathBuf| {
            let name = file.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
            !dictionaries.contains_key(name)
        });
        let payload = payload.read(folder)?;
        if dictionaries.is_empty() && payload.is_none() {
            let names = DICTIONARIES.map(|name| format!("{name}.json")).join(", ");
            bail!("{}: expected at least one of {names}, but found none", folder.display());
        }
        strangers.sort();
        Ok(Self { strangers, ..Self::new(dictionaries, payload) })
    }

    /// That every file is JSON.
    ///
    /// # Errors
    ///
    /// The first that isn't, with its line and column.
    pub fn parsed(&self) -> anyhow::Result<()> {
        let sources = self.dictionaries.values().chain(self.payload.as_ref().map(|payload| &payload.source));
        for source in sources {
            if let Err((Position { line, column }, message)) = &source.json {
                bail!("{}:{line}:{column}: {message}", source.file.display())
            }
        }
        Ok(())
    }

    /// A dictionary, parsed, with what the payload adds to it; `None` where it is absent or isn't JSON.
    pub fn json(&self, dictionary: &str) -> Option<&Value> {
        let own = || self.dictionaries.get(dictionary)?.json.as_ref().ok();
        self.folded.dictionaries.get(dictionary).or_else(own)
    }

    /// The dictionaries that can be parsed, `$schema` and comments left out: what is written to a store.
    pub fn values(&self) -> Map<String, Value> {
        let parsed = |name: &&str| Some((name.to_string(), stripped(self.json(name)?)));
        DICTIONARIES.iter().filter_map(parsed).collect()
    }

    /// The rule set, as the edge compiles it, and its faults. `replaced` has texts of dictionaries that can't be parsed.
    pub fn compile(&self, replaced: &Map<String, Value>) -> (RuleSet, Vec<Fault>) {
        let text = |name: &&'static str| {
            let text = match (replaced.get(*name), self.folded.dictionaries.get(*name)) {
                (Some(value), _) | (None, Some(value)) => value.to_string(),
                // As it was written: of a key that stands there twice the parser here has lost one.
                (None, None) => self.dictionaries.get(*name).filter(|source| source.json.is_ok())?.text.clone(),
            };
            Some((*name, text))
        };
        rule_set(DICTIONARIES.iter().filter_map(text), self.json("features"))
    }

    /// Whether the payload defines what stands at a place of a dictionary.
    pub fn is_payloads(&self, dictionary: &str, pointer: &str) -> bool {
        self.folded.place(dictionary, pointer).is_some()
    }

    /// Where a place of a dictionary was written: the file, and the JSON pointer in it. What the payload adds is in its file.
    pub fn place(&self, dictionary: &str, pointer: &str) -> (Option<&Source>, String) {
        let source = self.dictionaries.get(dictionary);
        let added = self.payload.as_ref().zip(self.folded.place(dictionary, pointer));
        match added {
            Some((payload, pointer)) => (Some(&payload.source), pointer),
            None => (source, pointer.to_owned()),
        }
    }
}

/// The rule set of these dictionaries (name and text), as the edge compiles it, and its faults. `features` is that dictionary again: it may
/// hold contextual bandits.
pub fn rule_set<'t>(
    dictionaries: impl IntoIterator<Item = (&'t str, String)>,
    features: Option<&Value>,
) -> (RuleSet, Vec<Fault>) {
    let mut texts = Texts::default();
    for (name, text) in dictionaries {
        texts.set(name, vec![text]);
    }
    let mut faults = Vec::new();
    let mut rules = RuleSet::compile(None, &texts, None, &mut faults);
    if let Some(bandits) = features.and_then(|features| features.get(BANDITS)) {
        let mut definitions = rules.definitions.uncompiled();
        let payload = serde_json::json!({ BANDITS: bandits }).to_string();
        if let Err(found) = definitions.add_payload(&payload, None) {
            faults.extend(found.into_iter().map(|fault| Fault::new("features", fault.pointer, fault.message)));
        }
        rules.definitions = Rc::new(definitions);
    }
    rules.routes.all().for_each(drop);
    faults.extend(rules.take_faults());
    (rules, faults)
}

impl Source {
    /// A text, parsed. The byte order mark that some editors write is none of it.
    pub fn new(file: PathBuf, mut text: String) -> Self {
        if text.starts_with('\u{feff}') {
            text.remove(0);
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dictionary_that_is_written_another_way_is_a_stranger_unless_its_json_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str| fs::write(folder.path().join(name), "{}").unwrap();
        for name in
            ["settings.json", "settings.yaml", "routes.jsonc", "features.json.orig", "notes.yaml", "rotues.json"]
        {
            write(name);
        }
        let read = Folder::read(folder.path(), &PayloadOptions::default()).unwrap();
        let strangers: Vec<_> = read.strangers.iter().map(|file| file.file_name().unwrap().to_owned()).collect();
        assert_eq!(strangers, ["rotues.json", "routes.jsonc"]);
    }
}
