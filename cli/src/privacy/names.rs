//! The names that log lines know a person by: made by the code that the edge makes them with, under every key that was in use.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;
use edge_personalizer::context::identity::{IdentityKeys, pseudonym};
use edge_personalizer::session::Subject;
use serde::Serialize;

/// The environment variable with a secret: an argument would stay in the shell's history, and in the list of processes.
const VARIABLE: &str = "PERSONALIZER_IDENTITY_SECRET";

/// Which keys made the pseudonyms.
#[derive(Debug, Clone, Default, Args)]
pub struct LogKeys {
    /// A file with a secret `identity`, as the secret store has it or had it before a rotation. May be given several times; beside it
    /// counts the environment variable PERSONALIZER_IDENTITY_SECRET. Without any, no pseudonyms are shown.
    #[arg(long = "identity-file", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// A further attribute that experiments hash and whose value is one of these ids, such as a claim `customerId`. May be given several
    /// times.
    #[arg(long = "unit-type", value_name = "ATTRIBUTE")]
    unit_types: Vec<String>,
}

/// One pseudonym: `unit_type` and `unit_id` of a line in `exposures`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pseudonym {
    /// Whose it is, as the KV store's key has it.
    pub key: String,
    /// Where the secret came from.
    pub secret: String,
    /// The attribute that was hashed.
    pub unit_type: String,
    /// The pseudonym.
    pub unit_id: String,
}

impl LogKeys {
    /// The pseudonyms of every one of `subjects`.
    ///
    /// # Errors
    ///
    /// A secret can't be read, or has no key for pseudonyms: lines would be missed.
    pub fn pseudonyms<'s>(&self, subjects: impl Iterator<Item = &'s Subject>) -> anyhow::Result<Vec<Pseudonym>> {
        let secrets = self.secrets()?;
        let mut names = Vec::new();
        for subject in subjects {
            let own = match subject {
                Subject::User(_) => "userId",
                Subject::Visitor(_) => "visitorId",
            };
            let unit_types = ["id", own].into_iter().chain(self.unit_types.iter().map(String::as_str));
            for unit_type in unit_types {
                for (secret, keys) in &secrets {
                    let Some(key) = keys.log_key() else {
                        bail!("{secret}: expected a key for pseudonyms (`log`, or an HMAC key), but found none");
                    };
                    names.push(Pseudonym {
                        key: subject.kv_key(),
                        secret: secret.clone(),
                        unit_type: unit_type.to_owned(),
                        unit_id: pseudonym(key, unit_type, &subject.id()),
                    });
                }
            }
        }
        Ok(names)
    }

    /// Every secret, with the place where it came from.
    fn secrets(&self) -> anyhow::Result<Vec<(String, IdentityKeys)>> {
        let mut texts = Vec::new();
        for path in &self.files {
            let place = path.display().to_string();
            let text = fs::read(path).with_context(|| format!("{place}: can't be read"))?;
            texts.push((place, text));
        }
        if let Some(text) = std::env::var_os(VARIABLE).filter(|text| !text.is_empty()) {
            texts.push((VARIABLE.to_owned(), text.into_encoded_bytes()));
        }
        texts.into_iter().map(|(place, text)| parsed(place, &text)).collect()
    }
}

/// A secret's keys, with the place where it came from.
fn parsed(place: String, text: &[u8]) -> anyhow::Result<(String, IdentityKeys)> {
    let (keys, faults) = IdentityKeys::parse(text);
    match faults.first() {
        Some(fault) => bail!("{place}: {fault}"),
        None => Ok((place, keys)),
    }
}

/// One secret: of this file, else of the environment.
///
/// # Errors
///
/// There is none, or it can't be read.
pub fn one_secret(file: Option<&Path>) -> anyhow::Result<(String, IdentityKeys)> {
    if let Some(path) = file {
        let place = path.display().to_string();
        let text = fs::read(path).with_context(|| format!("{place}: can't be read"))?;
        return parsed(place, &text);
    }
    match std::env::var_os(VARIABLE).filter(|text| !text.is_empty()) {
        Some(text) => parsed(VARIABLE.to_owned(), &text.into_encoded_bytes()),
        None => bail!("expected the secret identity by --identity-file or in {VARIABLE}, but found neither"),
    }
}

/// The pseudonyms for people: what to delete in a warehouse, as SQL.
pub fn text(names: &[Pseudonym]) -> Vec<String> {
    if names.is_empty() {
        return vec!["no pseudonyms, for no secret `identity` was given (--identity-file)".to_owned()];
    }
    let mut lines = vec!["log lines (exposures, conversions):".to_owned()];
    lines.extend(
        names.iter().map(|name| format!("  {} {}  {} under {}", name.unit_type, name.unit_id, name.key, name.secret)),
    );
    let mut ids: Vec<String> = names.iter().map(|name| format!("'{}'", name.unit_id)).collect();
    ids.sort();
    ids.dedup();
    for table in ["exposures", "conversions"] {
        lines.push(format!("  DELETE FROM {table} WHERE unit_id IN ({});", ids.join(", ")));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use edge_personalizer::context::identity::UserId;
    use edge_personalizer::context::visitor::VisitorId;

    fn file(folder: &Path, name: &str, text: &str) -> PathBuf {
        let path = folder.join(name);
        fs::write(&path, text).unwrap();
        path
    }

    #[test]
    fn every_id_has_a_name_under_every_key_and_attribute() {
        let folder = tempfile::tempdir().unwrap();
        let files = vec![
            file(folder.path(), "old", "an-identity-key-of-32-bytes-or-more"),
            file(folder.path(), "new", r#"{"keys":[],"log":"bG9nLWtleS1vZi1zaXh0ZWVuLWJ5dGVz"}"#),
        ];
        let keys = LogKeys { files, unit_types: vec!["customerId".to_owned()] };
        let subjects = [
            Subject::User(UserId::parse("alice").unwrap()),
            Subject::Visitor(VisitorId::parse("00000000000000000000000000000abc").unwrap()),
        ];
        let names = keys.pseudonyms(subjects.iter()).unwrap();
        assert_eq!(names.len(), 2 * 3 * 2);
        let mut ids: Vec<_> = names.iter().map(|name| &name.unit_id).collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 12, "all differ");
        let (edge, _) = IdentityKeys::parse(b"an-identity-key-of-32-bytes-or-more");
        let logged = pseudonym(edge.log_key().unwrap(), "userId", "alice");
        assert!(
            names
                .iter()
                .any(|name| name.unit_id == logged && name.unit_type == "userId" && name.secret.ends_with("old"))
        );
        assert!(text(&names).last().unwrap().contains(&logged));
    }

    #[test]
    fn a_secret_that_would_miss_lines_is_refused_and_not_quoted() {
        let folder = tempfile::tempdir().unwrap();
        for (secret, said) in [
            ("s3cret", "at least 16 bytes"),
            (r#"{"keys":[]}"#, "a key for pseudonyms"),
            ("{s3cret", "a syntax error"),
            ("", "an empty secret"),
        ] {
            let keys = LogKeys { files: vec![file(folder.path(), "k", secret)], unit_types: Vec::new() };
            let subject = Subject::User(UserId::parse("alice").unwrap());
            let error = format!("{:#}", keys.pseudonyms([subject].iter()).unwrap_err());
            assert!(error.contains(said) && !error.contains("s3cret"), "{error}");
        }
    }
}
