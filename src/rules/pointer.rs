//! The `active` pointer: which revision serves, and the kill switch (design.md section 3.1).

use serde::{Deserialize, Serialize};

/// Where the entries of a revision are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
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
pub struct Canary {
    /// The revision on trial.
    pub revision: String,
    /// Percent of visitors, 0 to 100, in steps of 1/10,000.
    pub percent: f64,
}

/// The entry `active` (or `active_staging`), as stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    #[serde(default)]
    pub store: RuleStore,
}

fn yes() -> bool {
    true
}

impl Default for Pointer {
    fn default() -> Self {
        Self { enabled: true, revision: None, previous: None, canary: None, shadow: None, store: RuleStore::Config }
    }
}

/// Longest name of a revision: with the longest entry's name it stays below the platform's 255 characters a key.
const MAX_REVISION: usize = 64;

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

    /// Reads a pointer. The kill switch works whatever else is broken: a text that says `"enabled": false` anywhere a JSON
    /// reader can see it switches off, even where another key is of a wrong type.
    ///
    /// # Errors
    ///
    /// The fault, where the text is no usable pointer.
    pub fn read(text: &str) -> Result<Self, String> {
        match serde_json::from_str::<Self>(text) {
            Ok(pointer) => {
                let odd =
                    pointer.revisions().find(|name| pointer.enabled && !is_revision_name(name)).map(str::to_owned);
                match odd {
                    Some(name) => Err(format!(
                        "expected 1 to {MAX_REVISION} of A-Z a-z 0-9 . _ - for a revision, but found '{name}'"
                    )),
                    None => Ok(pointer),
                }
            }
            Err(error) => {
                #[derive(Deserialize)]
                struct Switch {
                    enabled: bool,
                }
                match serde_json::from_str::<Switch>(text) {
                    Ok(Switch { enabled: false }) => Ok(Self { enabled: false, ..Self::default() }),
                    _ => Err(super::fault::house_wording(&error.to_string())),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kill_switch_works_beside_a_key_of_a_wrong_type() {
        let pointer = Pointer::read(r#"{"revision":42,"canary":"all","enabled":false,"later":[]}"#).unwrap();
        assert!(!pointer.enabled);
    }

    #[test]
    fn an_empty_pointer_serves_the_bare_names() {
        assert_eq!(Pointer::read("{}").unwrap(), Pointer::default());
    }

    #[test]
    fn a_revision_with_a_slash_is_refused() {
        assert!(Pointer::read(r#"{"revision":"a/b"}"#).is_err());
    }
}
