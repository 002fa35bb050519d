//! A GrowthBook SDK payload that is pushed with the rules: canary and rollback then cover it as they cover every other rule.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use edge_personalizer::growthbook::decrypt;
use serde_json::{Map, Value};

use super::Source;
use crate::span::Position;

/// The payload's file in a folder of rules.
pub const FILE: &str = "growthbook.json";
/// The environment variable with the key of an encrypted payload: an argument would stay in the shell's history.
const KEY_VARIABLE: &str = "PERSONALIZER_PAYLOAD_KEY";
/// The parts of a payload that rules can use; the encrypted ones are named `encryptedFeatures`, ….
const PARTS: [&str; 4] = ["features", "experiments", "savedGroups", "contextualBandits"];

/// Which GrowthBook payload belongs to a folder of rules.
#[derive(Debug, Clone, Default, Args)]
pub struct PayloadOptions {
    /// A GrowthBook SDK payload to take in. Without it, the folder's growthbook.json is used if there is one.
    #[arg(long = "payload", value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// The file with the key of an encrypted payload (or PERSONALIZER_PAYLOAD_KEY).
    #[arg(long = "payload-key-file", value_name = "FILE")]
    pub key_file: Option<PathBuf>,
}

/// A payload, as it was read.
#[derive(Debug, Clone)]
pub struct Payload {
    /// The file. Its `json` has the parts in plain text: encrypted ones are decrypted.
    pub source: Source,
}

impl PayloadOptions {
    /// Reads the payload of `folder`; `None` where there is none.
    ///
    /// # Errors
    ///
    /// A file that was named can't be read. A payload that can't be used isn't an error here: its `json` says what is wrong.
    pub fn read(&self, folder: &Path) -> anyhow::Result<Option<Payload>> {
        let beside = folder.join(FILE);
        let file = match &self.file {
            Some(file) => file.clone(),
            None if beside.is_file() => beside,
            None => return Ok(None),
        };
        let text = fs::read_to_string(&file)
            .with_context(|| format!("{}: expected a GrowthBook payload, but can't read it", file.display()))?;
        let key = match &self.key_file {
            Some(path) => Some(fs::read_to_string(path).with_context(|| format!("{}: can't read it", path.display()))?),
            None => std::env::var(KEY_VARIABLE).ok(),
        };
        Ok(Some(Payload::new(file, text, key.as_deref().map(str::trim))))
    }
}

impl Payload {
    /// A payload's text; `key` (Base64) opens encrypted parts.
    pub fn new(file: PathBuf, text: String, key: Option<&str>) -> Self {
        let mut source = Source::new(file, text);
        source.json = source.json.and_then(|json| {
            plain(&json, key).map_err(|(part, message)| (source_position(&source.text, &part), message))
        });
        Self { source }
    }

    /// A part that is an object.
    pub fn members(&self, part: &str) -> Option<&Map<String, Value>> {
        self.source.json.as_ref().ok()?.get(part)?.as_object()
    }

    /// The experiments of their own.
    pub fn experiments(&self) -> &[Value] {
        let json = self.source.json.as_ref().ok();
        json.and_then(|json| json.get("experiments")?.as_array()).map(Vec::as_slice).unwrap_or_default()
    }
}

fn source_position(text: &str, part: &str) -> Position {
    crate::span::position(text, &format!("/{part}"))
}

/// The parts in plain text; or the member that can't be used, and why.
fn plain(json: &Value, key: Option<&str>) -> Result<Value, (String, String)> {
    let Some(members) = json.as_object() else {
        return Err((String::new(), "expected a GrowthBook payload (an object), but found something else".to_owned()));
    };
    let mut found = Map::new();
    for part in PARTS {
        let encrypted = format!(
            "encrypted{}{}",
            part.get(..1).unwrap_or_default().to_uppercase(),
            part.get(1..).unwrap_or_default()
        );
        let value = match members.get(&encrypted).and_then(Value::as_str) {
            Some(text) => {
                let key = key.ok_or_else(|| {
                    let message = format!(
                        "expected the key of this encrypted payload (--payload-key-file or {KEY_VARIABLE}), but found none"
                    );
                    (encrypted.clone(), message)
                })?;
                let opened = decrypt(text, key).map_err(|error| (encrypted.clone(), error.to_string()))?;
                serde_json::from_str(&opened).map_err(|_| {
                    (encrypted.clone(), "expected JSON after decrypting it, but found something else".to_owned())
                })?
            }
            None => members.get(part).cloned().unwrap_or_default(),
        };
        let fits = if part == "experiments" { value.is_array() } else { value.is_object() };
        if !fits && !value.is_null() {
            let expected = if part == "experiments" { "a list" } else { "an object" };
            return Err((part.to_owned(), format!("expected {expected}, but found something else")));
        }
        if fits {
            found.insert(part.to_owned(), value);
        }
    }
    if found.is_empty() {
        let message = format!("expected a GrowthBook payload with one of {}, but found none of them", PARTS.join(", "));
        return Err((String::new(), message));
    }
    Ok(Value::Object(found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encrypted_payload_opens_with_its_key_alone() {
        // The first "decrypt" vector of the GrowthBook SDK specification 0.8.0.
        let (text, key) = (
            "m5ylFM6ndyOJA2OPadubkw==.Uu7ViqgKEt/dWvCyhI46q088PkAEJbnXKf3KPZjf9IEQQ+A8fojNoxw4wIbPX3aj",
            "Zvwv/+uhpFDznZ6SX28Yjg==",
        );
        let payload = |text: &str, key| {
            let json = serde_json::json!({ "features": {}, "encryptedFeatures": text }).to_string();
            Payload::new(PathBuf::from(FILE), json, key)
        };
        let opened = payload(text, Some(key));
        assert_eq!(opened.members("features").unwrap().keys().next().unwrap(), "feature", "{opened:?}");
        let (_, message) = payload(text, None).source.json.unwrap_err();
        assert!(message.contains("--payload-key-file"), "{message}");
        let (_, message) = payload(text, Some("AAAAAAAAAAAAAAAAAAAAAA==")).source.json.unwrap_err();
        assert!(message.contains("expected"), "{message}");
    }

    #[test]
    fn what_is_no_payload_is_named() {
        for (text, expected) in [
            ("[]", "an object"),
            ("{}", "expected a GrowthBook payload with one of features"),
            (r#"{"features":[]}"#, "expected an object"),
            (r#"{"features":"#, "the end of the file"),
        ] {
            let (_, message) = Payload::new(PathBuf::from(FILE), text.to_owned(), None).source.json.unwrap_err();
            assert!(message.contains(expected), "{text}: {message}");
        }
    }
}
