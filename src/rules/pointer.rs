//! The `active` pointer: which revision serves, and the kill switch (design.md section 3.1).
//!
//! It is read first and needs nothing else. A key of it that can't be used is left out and named, so that a slip in
//! `shadow` never reaches a visitor.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::canary::Share;
use super::fault::Fault;

/// Where the entries of a revision are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum RuleStore {
    /// In the config store `personalizer`.
    #[default]
    Config,
    /// In the KV store `rules`, one value a revision.
    Kv,
}

/// A share of visitors that another revision serves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Canary {
    /// The revision on trial.
    pub revision: String,
    /// Percent of visitors, 0 to 100, in steps of 1/10,000.
    pub percent: f64,
}

impl Canary {
    /// The share in buckets; nobody where the percentage is none.
    pub fn share(&self) -> Share {
        Share::from_percent(self.percent).unwrap_or(Share::NONE)
    }
}

/// The entry `active` (or `active_staging`), as stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Pointer {
    /// `false` is the kill switch: plain pass-through.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// The revision that serves; without one, the entries at their bare names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// What serves when an entry of `revision` can't be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<String>,
    /// A revision on trial.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<Canary>,
    /// A revision that is decided, logged and not applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<String>,
    /// Where the revisions are.
    #[serde(default, skip_serializing_if = "is_config")]
    pub store: RuleStore,
    /// Every revision named here has an entry `<revision>/manifest`, as `personalizer push` writes it: without that entry
    /// a revision has not arrived yet. Revisions written by hand have none, and a pointer written by hand doesn't say this.
    #[serde(default, skip_serializing_if = "is_false")]
    pub manifest: bool,
}

fn yes() -> bool {
    true
}

fn is_config(store: &RuleStore) -> bool {
    *store == RuleStore::Config
}

#[allow(clippy::trivially_copy_pass_by_ref)] // As serde asks.
fn is_false(truth: &bool) -> bool {
    !*truth
}

impl Default for Pointer {
    fn default() -> Self {
        Self {
            enabled: true,
            revision: None,
            previous: None,
            canary: None,
            shadow: None,
            store: RuleStore::Config,
            manifest: false,
        }
    }
}

/// Longest name of a revision: with the longest entry's name it stays below the platform's 255 characters a key.
pub const MAX_REVISION: usize = 64;
/// The keys of a pointer.
pub const KEYS: [&str; 8] = ["enabled", "revision", "previous", "canary", "shadow", "store", "manifest", "$schema"];

/// Whether `name` can name a revision: 1 to 64 of `A-Z a-z 0-9 . _ -`, so that it is safe in a key, a header and a log line.
pub fn is_revision_name(name: &str) -> bool {
    (1..=MAX_REVISION).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

impl Pointer {
    /// Every revision that the pointer names.
    pub fn revisions(&self) -> impl Iterator<Item = &str> {
        let canary = self.canary.as_ref().map(|canary| &canary.revision);
        [self.revision.as_ref(), self.previous.as_ref(), canary, self.shadow.as_ref()]
            .into_iter()
            .flatten()
            .map(String::as_str)
    }

    /// Reads a pointer; `entry` is its name, for the faults.
    ///
    /// `None` where the text says nothing that can be used: the pointer known before goes on counting. Else every key
    /// that can't be used is left out and named, and:
    ///
    /// * `enabled` switches off when it is `false`, and when it is a plain way of writing it (`"false"`, `"off"`, `0`), whatever the other
    ///   keys look like;
    /// * a `revision` that can't be one (blank, `null`, a number) gives way to `previous`.
    pub fn read(entry: &str, text: &str, faults: &mut Vec<Fault>) -> Option<Self> {
        let mut note = |pointer: &str, message: String| faults.push(Fault::new(entry, pointer, message));
        let fields: Map<String, Value> = match serde_json::from_str(text) {
            Ok(fields) => fields,
            Err(error) => {
                note("", super::fault::house_wording(&error));
                return None;
            }
        };
        let mut read = Self::default();
        match fields.get("enabled") {
            None | Some(Value::Bool(true)) => {}
            Some(Value::Bool(false)) => read.enabled = false,
            Some(other) => {
                note("/enabled", format!("expected true or false, but found {other}"));
                read.enabled = !means_off(other);
            }
        }
        if !read.enabled {
            // Which rules don't serve: their settings say how backends are asked. Nothing else counts, and nothing is complained of.
            let name = fields.get("revision").and_then(Value::as_str).filter(|name| is_revision_name(name));
            read.revision = name.map(str::to_owned);
            let store = fields.get("store").and_then(|store| serde_json::from_value(store.clone()).ok());
            read.store = store.unwrap_or_default();
            read.manifest = fields.get("manifest") == Some(&Value::Bool(true));
            return Some(read);
        }
        let mut revision = |key: &str| {
            let value = fields.get(key)?;
            let name = value.as_str().filter(|name| is_revision_name(name));
            if name.is_none() {
                let expected = format!("expected 1 to {MAX_REVISION} of A-Z a-z 0-9 . _ - for a revision");
                note(&format!("/{key}"), format!("{expected}, but found {value}"));
            }
            name.map(str::to_owned)
        };
        read.revision = revision("revision");
        read.previous = revision("previous");
        read.shadow = revision("shadow");
        if fields.contains_key("revision") && read.revision.is_none() {
            read.revision = Some(read.previous.take()?);
        }
        if let Some(canary) = fields.get("canary") {
            match serde_json::from_value::<Canary>(canary.clone()) {
                Ok(canary) if !is_revision_name(&canary.revision) => {
                    note("/canary/revision", format!("expected a revision's name, but found '{}'", canary.revision));
                }
                Ok(canary) if Share::from_percent(canary.percent).is_none() => {
                    note("/canary/percent", format!("expected 0 to 100, but found {}", canary.percent));
                }
                Ok(canary) => read.canary = Some(canary),
                Err(error) => note("/canary", super::fault::house_wording(&error)),
            }
        }
        match fields.get("store").map(|store| serde_json::from_value(store.clone())) {
            None => {}
            Some(Ok(store)) => read.store = store,
            Some(Err(error)) => note("/store", super::fault::house_wording(&error)),
        }
        match fields.get("manifest") {
            None => {}
            Some(Value::Bool(manifest)) => read.manifest = *manifest,
            Some(other) => note("/manifest", format!("expected true or false, but found {other}")),
        }
        for key in fields.keys().filter(|key| !KEYS.contains(&key.as_str())) {
            note(&format!("/{key}"), "expected a known key, but found one that is ignored".to_owned());
        }
        Some(read)
    }
}

/// Other ways of writing `false`: who writes them wants the switch off, now.
fn means_off(value: &Value) -> bool {
    match value {
        Value::String(text) => {
            matches!(text.trim().to_ascii_lowercase().as_str(), "false" | "off" | "no" | "0" | "disabled")
        }
        Value::Number(number) => number.as_f64() == Some(0.0),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Option<Pointer>, Vec<String>) {
        let mut faults = Vec::new();
        let pointer = Pointer::read("active", text, &mut faults);
        (pointer, faults.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn the_kill_switch_works_beside_a_key_of_a_wrong_type() {
        let (pointer, _) = read(r#"{"revision":42,"canary":"all","enabled":false,"later":[]}"#);
        assert!(!pointer.unwrap().enabled);
    }

    #[test]
    fn the_kill_switch_works_however_false_is_written() {
        for value in [r#""false""#, r#"" OFF""#, "0", "0.0", r#""no""#] {
            let (pointer, faults) = read(&format!(r#"{{"revision":"r1","enabled":{value}}}"#));
            assert!(!pointer.unwrap().enabled, "{value}");
            assert_eq!(faults.len(), 1);
        }
        for value in ["null", "[]", r#""perhaps""#, "1"] {
            assert!(read(&format!(r#"{{"enabled":{value}}}"#)).0.unwrap().enabled, "{value}");
        }
    }

    #[test]
    fn an_empty_pointer_serves_the_bare_names() {
        assert_eq!(read("{}"), (Some(Pointer::default()), Vec::new()));
    }

    #[test]
    fn a_pointer_is_read_as_it_is_written() {
        let pointer = Pointer {
            revision: Some("r43".to_owned()),
            previous: Some("r42".to_owned()),
            canary: Some(Canary { revision: "r44".to_owned(), percent: 0.5 }),
            shadow: Some("r45".to_owned()),
            store: RuleStore::Kv,
            manifest: true,
            ..Pointer::default()
        };
        let text = serde_json::to_string(&pointer).unwrap();
        assert_eq!(read(&text), (Some(pointer), Vec::new()));
    }

    #[test]
    fn a_revision_that_can_not_be_one_gives_way_to_the_previous() {
        for bad in [r#""a/b""#, r#""""#, "null", "42", "[]"] {
            let (pointer, faults) = read(&format!(r#"{{"revision":{bad},"previous":"r41"}}"#));
            assert_eq!(pointer.unwrap().revision.as_deref(), Some("r41"), "{bad}");
            assert!(faults[0].starts_with("active/revision: expected 1 to 64"), "{faults:?}");
            assert_eq!(read(&format!(r#"{{"revision":{bad}}}"#)).0, None, "{bad}: nothing usable");
        }
    }

    #[test]
    fn a_slip_in_another_key_is_named_and_the_revision_serves() {
        for (key, value) in [
            ("canary", r#""r44""#),
            ("canary", r#"{"revision":"r44","percent":"5"}"#),
            ("canary", r#"{"revision":"r44","percent":101}"#),
            ("canary", r#"{"revision":"","percent":5}"#),
            ("shadow", "7"),
            ("previous", r#""""#),
            ("store", r#""redis""#),
            ("manifest", r#""yes""#),
            ("canery", "{}"),
        ] {
            let (pointer, faults) = read(&format!(r#"{{"revision":"r43","{key}":{value}}}"#));
            let expected = Pointer { revision: Some("r43".to_owned()), ..Pointer::default() };
            assert_eq!(pointer, Some(expected), "{key}: {value}");
            assert_eq!(faults.len(), 1, "{key}: {value}: {faults:?}");
        }
    }
}
