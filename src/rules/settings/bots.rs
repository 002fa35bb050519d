//! `settings.bots`: whom the site takes for a bot beside those that are known, and whom never.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::rules::fault::{self, Fault, house_wording};

/// Texts of one list: each is looked for in the `User-Agent` of a request.
const MOST_TEXTS: usize = 64;
/// Bytes of a text. One letter stands in nearly every `User-Agent`.
const SHORTEST: usize = 3;
const LONGEST: usize = 100;

/// Who is a bot; `settings.bots`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct BotSettings {
    /// Texts in the `User-Agent` of bots, of 3 to 100 characters, at most 64; capitals don't matter.
    pub add: Vec<String>,
    /// Texts in the `User-Agent` of those who are no bots, whatever else says so: `okhttp` is many a shop's own app. The same bounds.
    pub except: Vec<String>,
}

impl BotSettings {
    /// Reads `settings.bots` text by text, so that one mistake costs no other. Each is a fault of `settings`. What comes out is in
    /// lower case.
    #[must_use]
    pub fn read(value: Value, faults: &mut Vec<Fault>) -> Self {
        let mut members: Map<String, Value> = match serde_json::from_value(value) {
            Ok(members) => members,
            Err(error) => {
                faults.push(Fault::new("settings", "/bots", house_wording(&error)));
                return Self::default();
            }
        };
        let (add, except) = (texts(&mut members, "add", faults), texts(&mut members, "except", faults));
        for name in members.keys().filter(|name| *name != "$comment") {
            let pointer = format!("/bots/{}", fault::escape(name));
            faults.push(Fault::new("settings", pointer, "expected a known key, but found one that is ignored"));
        }
        Self { add, except }
    }

    /// Whether the `User-Agent`, in lower case, is one that the site adds.
    pub(crate) fn adds(&self, agent: &str) -> bool {
        self.add.iter().any(|text| agent.contains(text.as_str()))
    }

    /// Whether the `User-Agent`, in lower case, is one that the site excepts.
    pub(crate) fn excepts(&self, agent: &str) -> bool {
        self.except.iter().any(|text| agent.contains(text.as_str()))
    }
}

fn texts(members: &mut Map<String, Value>, name: &str, faults: &mut Vec<Fault>) -> Vec<String> {
    let mut name_fault = |place: String, message: String| faults.push(Fault::new("settings", place, message));
    let list: Vec<Value> = match members.remove(name).map(serde_json::from_value) {
        None => return Vec::new(),
        Some(Ok(list)) => list,
        Some(Err(error)) => {
            name_fault(format!("/bots/{name}"), house_wording(&error));
            return Vec::new();
        }
    };
    if list.len() > MOST_TEXTS {
        let message =
            format!("expected at most {MOST_TEXTS} texts, but found {}; the first {MOST_TEXTS} count", list.len());
        name_fault(format!("/bots/{name}"), message);
    }
    let mut texts = Vec::new();
    for (index, value) in list.into_iter().take(MOST_TEXTS).enumerate() {
        match serde_json::from_value::<String>(value) {
            Ok(text) if (SHORTEST..=LONGEST).contains(&text.len()) => texts.push(text.to_ascii_lowercase()),
            Ok(text) => {
                let message =
                    format!("expected a text of {SHORTEST} to {LONGEST} characters, but found one of {}", text.len());
                name_fault(format!("/bots/{name}/{index}"), message);
            }
            Err(error) => name_fault(format!("/bots/{name}/{index}"), house_wording(&error)),
        }
    }
    texts
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(value: Value) -> (BotSettings, Vec<String>) {
        let mut faults = Vec::new();
        let settings = BotSettings::read(value, &mut faults);
        (settings, faults.into_iter().map(|fault| fault.pointer).collect())
    }

    #[test]
    fn a_text_that_cannot_be_used_is_named_and_the_others_count() {
        let (settings, named) =
            read(json!({ "add": ["LoadTest", 7, "", "x".repeat(101)], "except": ["OkHttp"], "exept": [] }));
        assert_eq!((settings.add, settings.except), (vec!["loadtest".to_owned()], vec!["okhttp".to_owned()]));
        assert_eq!(named, ["/bots/add/1", "/bots/add/2", "/bots/add/3", "/bots/exept"]);
        for (value, pointer) in [
            (json!([]), "/bots"),
            (json!(null), "/bots"),
            (json!("okhttp"), "/bots"),
            (json!({ "except": "okhttp" }), "/bots/except"),
            (json!({ "add": null }), "/bots/add"),
        ] {
            let (settings, named) = read(value.clone());
            assert_eq!((settings, named), (BotSettings::default(), vec![pointer.to_owned()]), "{value}");
        }
        let (settings, named) = read(json!({ "add": vec!["curl"; 65] }));
        assert_eq!((settings.add.len(), named), (64, vec!["/bots/add".to_owned()]));
    }
}
