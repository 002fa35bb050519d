//! Dictionaries as entries of a store: seven names, and the parts of those that grow (design.md section 3.1).

use serde::de::IgnoredAny;

use super::fault::{self, Fault};
use super::stores::Reader;
use crate::platform::StoreError;

/// The dictionaries, in the order in which they are read.
pub const DICTIONARIES: [&str; 7] =
    ["routes", "settings", "regions", "features", "experiments", "segments", "templates"];

/// Most look-ups of a request: the lower of the two limits that Fastly's pages name.
pub const MAX_LOOKUPS: u32 = 16;

/// Why a dictionary could not be read whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadError {
    /// The store could not answer.
    Store(StoreError),
    /// The request has used up its look-ups.
    TooManyLookups,
}

impl Reader<'_> {
    /// A dictionary whose `first` entry is known, with its parts, below `prefix` (empty, or `<revision>/`). A part that is missing is
    /// a fault, and an empty part.
    ///
    /// # Errors
    ///
    /// The store could not answer.
    pub fn parts(
        &mut self,
        prefix: &str,
        name: &str,
        first: String,
        faults: &mut Vec<Fault>,
    ) -> Result<Vec<String>, ReadError> {
        let parts = parts_of(&first);
        let mut texts = vec![first];
        for number in 2..=parts {
            let part = part_name(name, number);
            match self.entry(&format!("{prefix}{part}")) {
                Ok(Some(text)) => texts.push(text),
                Ok(None) => {
                    faults.push(Fault::new(&part, "", "expected this part of the dictionary, but found no entry"));
                    texts.push("{}".to_owned());
                }
                Err(ReadError::TooManyLookups) => {
                    let message = format!("expected at most {MAX_LOOKUPS} look-ups a request, but found more parts");
                    faults.push(Fault::new(&part, "", message));
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(texts)
    }
}

/// `routes`, `routes.2`, …: the entry of part `number`.
pub fn part_name(name: &str, number: usize) -> String {
    if number <= 1 { name.to_owned() } else { format!("{name}.{number}") }
}

/// The dictionary that an entry belongs to: `routes` for `routes.2`.
pub fn dictionary_of(entry: &str) -> &str {
    entry.split_once('.').map_or(entry, |(name, _)| name)
}

/// The members that may hold a dictionary of definitions: its own name, and what may stand for it.
pub(super) const DEFINITIONS: [&str; 5] = ["features", "experiments", "segments", "savedGroups", "templates"];
/// The member that may stand beside features: contextual bandits of a payload that `push` has taken in.
pub(super) const BANDITS: &str = "contextualBandits";

/// Whether an entry of the dictionary `name` can be used as a whole: JSON, an object, with a list where there must be one, and not under
/// a name that nothing reads.
///
/// # Errors
///
/// "expected …, but found …".
pub fn is_whole(name: &str, text: &str) -> Result<(), String> {
    #[derive(serde::Deserialize)]
    struct Routes {
        #[serde(default, rename = "routes")]
        _routes: Vec<IgnoredAny>,
    }
    #[derive(serde::Deserialize)]
    struct Regions {
        #[serde(default, rename = "regions")]
        _regions: Vec<IgnoredAny>,
    }
    #[derive(serde::Deserialize)]
    struct Object {}
    match name {
        "routes" => fault::peek::<Routes>(text).map(drop),
        "regions" => fault::peek::<Regions>(text).map(drop),
        _ => fault::peek::<Object>(text).map(drop),
    }?;
    misnamed(name, text).map_or(Ok(()), Err)
}

/// What is wrong with an entry of the dictionary `name` that has members, but none that the dictionary reads: "expected …, but found …". An
/// entry without members, or with comments alone, is an empty dictionary.
pub(super) fn misnamed(name: &str, text: &str) -> Option<String> {
    let known: &[&str] = match name {
        "settings" => return None,
        "routes" => &["routes"],
        "regions" => &["regions", "default"],
        _ => &DEFINITIONS,
    };
    // The text is scanned only where no such word occurs.
    if known.iter().chain([&BANDITS]).any(|word| text.contains(&format!("\"{word}\""))) {
        return None;
    }
    let members = serde_json::from_str::<std::collections::BTreeMap<String, IgnoredAny>>(text).ok()?;
    let found = members.into_keys().find(|member| member != "parts" && !member.starts_with('$'))?;
    Some(format!("expected the member `{name}`, but found `{found}`"))
}

/// What the first entry says of its parts; 1 where it says nothing or can't be read.
pub(super) fn parts_of(text: &str) -> usize {
    #[derive(serde::Deserialize)]
    struct Parts {
        parts: Option<usize>,
    }
    // The text is scanned only where the word occurs.
    if !text.contains("\"parts\"") {
        return 1;
    }
    serde_json::from_str::<Parts>(text).ok().and_then(|parts| parts.parts).unwrap_or(1).min(MAX_LOOKUPS as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::stores::RuleStores;

    struct Entries<'a>(&'a [(&'a str, &'a str)]);

    impl RuleStores for Entries<'_> {
        fn config(&mut self, key: &str) -> Result<Option<String>, StoreError> {
            Ok(self.0.iter().find(|(known, _)| *known == key).map(|(_, text)| (*text).to_owned()))
        }

        fn kv(&mut self, _: &str) -> Result<Option<Vec<u8>>, StoreError> {
            Ok(None)
        }

        fn secret(&mut self, _: &str) -> Result<Option<Vec<u8>>, StoreError> {
            Ok(None)
        }
    }

    fn read(entries: &[(&str, &str)], left: u32) -> (Result<Vec<String>, ReadError>, Vec<Fault>) {
        let mut stores = Entries(entries);
        let mut faults = Vec::new();
        let mut reader = Reader::new(&mut stores, left);
        let first = reader.entry("r1/routes").map(Option::unwrap_or_default);
        let read = first.and_then(|first| reader.parts("r1/", "routes", first, &mut faults));
        (read, faults)
    }

    #[test]
    fn parts_follow_the_first_entry() {
        let (texts, faults) = read(&[("r1/routes", r#"{"parts":3}"#), ("r1/routes.2", "2"), ("r1/routes.3", "3")], 16);
        assert_eq!(texts.unwrap(), [r#"{"parts":3}"#, "2", "3"]);
        assert!(faults.is_empty());
    }

    #[test]
    fn what_stands_under_a_name_that_nothing_reads_is_no_dictionary() {
        for (name, text) in [
            ("routes", r#"{"route":[]}"#),
            ("regions", r#"{"$comment":"","region":[]}"#),
            ("features", r#"{"parts":2,"feature":{}}"#),
            ("templates", r#"{"template":{}}"#),
        ] {
            let wrong = is_whole(name, text).unwrap_err();
            assert!(wrong.starts_with(&format!("expected the member `{name}`, but found `")), "{wrong}");
        }
        for (name, text) in [
            ("routes", "{}"),
            ("routes", r#"{"parts":2}"#),
            ("routes", r#"{"$comment":"none yet"}"#),
            ("regions", r#"{"default":{"id":"row","slug":"row"}}"#),
            ("features", r#"{"contextualBandits":{}}"#),
            ("segments", r#"{"savedGroups":{},"more":1}"#),
            ("settings", r#"{"anything":1}"#),
        ] {
            assert_eq!(is_whole(name, text), Ok(()), "{name} {text}");
        }
    }

    #[test]
    fn a_missing_part_is_named_and_the_others_serve() {
        let (texts, faults) = read(&[("r1/routes", r#"{"parts":3}"#), ("r1/routes.3", "3")], 16);
        assert_eq!(texts.unwrap(), [r#"{"parts":3}"#, "{}", "3"]);
        assert_eq!(faults[0].dictionary, "routes.2");
    }

    #[test]
    fn look_ups_never_pass_the_limit() {
        let (texts, faults) = read(&[("r1/routes", r#"{"parts":4000000000}"#)], 4);
        assert_eq!(texts.unwrap().len(), 4);
        assert_eq!(faults.last().unwrap().dictionary, "routes.5");
        assert_eq!(read(&[], 0).0, Err(ReadError::TooManyLookups));
    }
}
