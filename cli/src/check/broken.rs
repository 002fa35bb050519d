//! Files that can't be read: they are named first, and nothing is said of what is missing because of them.

use std::collections::BTreeSet;

use edge_personalizer::rules::dictionary::DICTIONARIES;
use serde_json::{Map, Value, json};

use super::compile::nearest;
use super::{Checked, Level};
use crate::folder::Folder;

/// A dictionary of another shape than its own: its name, the pointer, and the message.
pub type Misshapen = (String, String, String);

/// What takes the place of dictionaries that can't be read: every template and every segment that others name is there, and empty.
pub fn stand_ins(folder: &Folder, broken: &BTreeSet<String>) -> Map<String, Value> {
    let named = |keys: &[&str]| {
        let mut names = BTreeSet::new();
        DICTIONARIES.iter().filter_map(|name| folder.json(name)).for_each(|json| collect(json, keys, &mut names));
        names
    };
    let mut found = Map::new();
    for name in broken {
        let content = match name.as_str() {
            "templates" => named(&["template"]).into_iter().map(|name| (name.to_owned(), json!(""))).collect(),
            "segments" => {
                named(&["$inGroup", "$notInGroup"]).into_iter().map(|name| (name.to_owned(), json!([]))).collect()
            }
            "features" => named(&["id"]).into_iter().map(|name| (name.to_owned(), json!({}))).collect(),
            _ => Map::new(),
        };
        let value = match name.as_str() {
            "settings" => json!({}),
            "routes" | "regions" | "experiments" => json!({ name: [] }),
            _ => json!({ name: content }),
        };
        found.insert(name.clone(), value);
    }
    found
}

/// The texts that stand under one of these keys anywhere.
fn collect<'j>(value: &'j Value, keys: &[&str], names: &mut BTreeSet<&'j str>) {
    match value {
        Value::Object(members) => {
            names.extend(keys.iter().filter_map(|key| members.get(*key)?.as_str()));
            members.values().for_each(|value| collect(value, keys, names));
        }
        Value::Array(list) => list.iter().for_each(|value| collect(value, keys, names)),
        _ => {}
    }
}

/// Dictionaries of another shape than theirs.
pub fn misshapen(folder: &Folder) -> Vec<Misshapen> {
    let mut found = Vec::new();
    for (name, source) in &folder.dictionaries {
        let Ok(json) = &source.json else { continue };
        let is_list = matches!(name.as_str(), "routes" | "regions" | "experiments");
        let example = match (name.as_str(), is_list) {
            ("settings", _) => "an object".to_owned(),
            (_, true) => format!("{{\"{name}\": [ … ]}}"),
            (_, false) => format!("{{\"{name}\": {{ … }}}}"),
        };
        let (pointer, value) = match json.as_object().map(|members| members.get(name)) {
            None => (String::new(), json),
            Some(Some(value)) if name != "settings" => (format!("/{name}"), value),
            Some(_) => continue,
        };
        let kind = match value {
            Value::Array(_) => "a list",
            Value::Object(_) => "an object",
            _ => "something else",
        };
        let fits = if is_list { value.is_array() } else { value.is_object() };
        if pointer.is_empty() || !fits {
            found.push((name.clone(), pointer, format!("expected {example}, but found {kind}")));
        }
    }
    found
}

impl Checked<'_> {
    /// Names files that aren't JSON, dictionaries of another shape, and JSON files that nothing reads.
    pub(super) fn unparsable(&mut self, misshapen: Vec<Misshapen>) {
        let payload = self.folder.payload.iter().map(|payload| ("", &payload.source));
        let sources = self.folder.dictionaries.iter().map(|(name, source)| (name.as_str(), source));
        for (name, source) in sources.chain(payload) {
            if let Err((position, message)) = &source.json {
                self.fault(name, "", message.clone());
                if let Some(finding) = self.findings.last_mut() {
                    finding.position = *position;
                    finding.file.clone_from(&source.file);
                    finding.hides_others = true;
                }
            }
        }
        for (name, pointer, message) in misshapen {
            self.fault(&name, pointer, message);
            if let Some(finding) = self.findings.last_mut() {
                finding.hides_others = true;
            }
        }
        for file in &self.folder.strangers {
            let name = file.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
            let names = DICTIONARIES.into_iter().chain(["growthbook"]);
            let hint = nearest(name, names).map(|name| format!(": is it {name}.json?")).unwrap_or_default();
            self.add(
                Level::Warning,
                name,
                "",
                format!("expected a dictionary's name, but found a file that nothing reads{hint}"),
            );
            if let Some(finding) = self.findings.last_mut() {
                finding.file.clone_from(file);
            }
        }
    }

    /// Whether a dictionary is there and can't be read: nothing can be said of what it would define.
    pub(super) fn is_broken(&self, dictionary: &str) -> bool {
        self.broken.contains(dictionary)
    }
}
