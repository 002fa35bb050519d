//! A revision's manifest: the last entry to be written, which says what the revision consists of.
//!
//! Entries of a store spread at their own speeds, and a dictionary may rightly be absent: only a list tells "there is none" from
//! "it has not arrived". The list also spares a cold request the look-ups of what isn't there.

use std::collections::BTreeMap;
use std::hash::Hasher;

use fnv::FnvHasher;
use serde::{Deserialize, Serialize};

use super::fault::house_wording;

/// The entry's name below `<revision>/`.
pub const MANIFEST: &str = "manifest";
/// The shape's version.
const VERSION: u32 = 1;

/// What a revision consists of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// 1; a manifest of another version can't be used.
    pub v: u32,
    /// When it was pushed (RFC 3339), for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub created: String,
    /// Entry (`routes`, `routes.2`) → [`digest`] of its text.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub entries: BTreeMap<String, String>,
    /// Where the revision is one value of the KV store `rules`: the value's length in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pack: Option<usize>,
}

impl Manifest {
    /// The manifest of these entries.
    pub fn of<'e>(entries: impl IntoIterator<Item = (&'e str, &'e str)>, created: &str) -> Self {
        let entries = entries.into_iter().map(|(name, text)| (name.to_owned(), digest(text))).collect();
        Self { v: VERSION, created: created.to_owned(), entries, pack: None }
    }

    /// The manifest of a revision that is one KV value of `length` bytes.
    pub fn of_pack(length: usize, created: &str) -> Self {
        Self { v: VERSION, created: created.to_owned(), entries: BTreeMap::new(), pack: Some(length) }
    }

    /// Reads a manifest.
    ///
    /// # Errors
    ///
    /// "expected …, but found …".
    pub fn read(text: &str) -> Result<Self, String> {
        let read: Self = serde_json::from_str(text).map_err(|error| house_wording(&error))?;
        if read.v == VERSION { Ok(read) } else { Err(format!("expected version {VERSION}, but found {}", read.v)) }
    }
}

/// The digest of an entry's text: 64-bit FNV-1a, 16 hexadecimal digits. It tells an entry that has arrived from an older one of its
/// name; nobody who could forge it could not write the entry itself.
pub fn digest(text: &str) -> String {
    let mut hasher = FnvHasher::default();
    hasher.write(text.as_bytes());
    base16ct::lower::encode_string(&hasher.finish().to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_is_read_as_it_is_written() {
        let manifest = Manifest::of([("routes", "{}"), ("routes.2", "[]")], "2026-11-24T00:00:00Z");
        assert_eq!(Manifest::read(&serde_json::to_string(&manifest).unwrap()), Ok(manifest));
        let pack = Manifest::of_pack(7, "");
        assert_eq!(Manifest::read(&serde_json::to_string(&pack).unwrap()), Ok(pack));
    }

    #[test]
    fn a_later_version_is_not_guessed_at() {
        assert_eq!(Manifest::read(r#"{"v":2}"#).unwrap_err(), "expected version 1, but found 2");
    }

    #[test]
    fn the_digest_is_fnv_1a() {
        // The offset basis, and the published vector of "a".
        assert_eq!(digest(""), "cbf29ce484222325");
        assert_eq!(digest("a"), "af63dc4c8601ec8c");
    }
}
