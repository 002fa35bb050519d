//! A fault of the rules: where it is, what was expected, what was found.

use std::fmt;

use crate::json_place::pointer_at;
pub(crate) use crate::json_place::token as escape;
pub use crate::json_words::house_wording;

/// One fault of a dictionary. The rule that holds it is left out; the rest serves.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Fault {
    /// The dictionary: `routes`, `settings`, …
    pub dictionary: String,
    /// JSON pointer (RFC 6901) within the dictionary.
    pub pointer: String,
    /// "expected …, but found …".
    pub message: String,
}

impl Fault {
    /// A fault at `pointer` of `dictionary`.
    pub fn new(dictionary: &str, pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self { dictionary: dictionary.to_owned(), pointer: pointer.into(), message: message.into() }
    }

    /// The same fault, seen from one level further out: `prefix` goes before its pointer.
    #[must_use]
    pub fn within(mut self, prefix: &str) -> Self {
        self.pointer.insert_str(0, prefix);
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}: {}", self.dictionary, self.pointer, self.message)
    }
}

/// Reads one rule from its JSON text.
///
/// Gives the rule and the JSON pointers of keys that it doesn't know; they are ignored, and named.
///
/// # Errors
///
/// The pointer and the wording of the first thing that doesn't fit.
pub fn read<'de, T: serde::Deserialize<'de>>(text: &'de str) -> Result<(T, Vec<String>), (String, String)> {
    refuse_list(text).map_err(|message| (String::new(), message))?;
    let mut unknown = Vec::new();
    let mut json = serde_json::Deserializer::from_str(text);
    let read = serde_ignored::deserialize(&mut json, |path| {
        let pointer = ignored_pointer(&path);
        // Comments are welcome everywhere.
        unknown.extend((!pointer.ends_with("/$comment")).then_some(pointer));
    });
    match read.and_then(|rule| json.end().map(|()| rule)) {
        Ok(rule) => Ok((rule, unknown)),
        Err(error) => Err((pointer_at(text, error.line(), error.column()), house_wording(&error))),
    }
}

/// Reads a dictionary, or what is looked at of a rule; keys that it doesn't know are not looked for.
///
/// # Errors
///
/// The wording of the first thing that doesn't fit.
pub fn peek<'de, T: serde::Deserialize<'de>>(text: &'de str) -> Result<T, String> {
    refuse_list(text)?;
    serde_json::from_str(text).map_err(|error| house_wording(&error))
}

/// serde takes a list for a struct, member by member; who writes rules doesn't mean that.
fn refuse_list(text: &str) -> Result<(), String> {
    let is_list = text.trim_ascii_start().starts_with('[');
    if is_list { Err("expected an object, but found a list".to_owned()) } else { Ok(()) }
}

fn ignored_pointer(path: &serde_ignored::Path<'_>) -> String {
    use serde_ignored::Path;
    match path {
        Path::Root => String::new(),
        Path::Seq { parent, index } => format!("{}/{index}", ignored_pointer(parent)),
        Path::Map { parent, key } => format!("{}/{}", ignored_pointer(parent), escape(key)),
        Path::Some { parent } | Path::NewtypeStruct { parent } | Path::NewtypeVariant { parent } => {
            ignored_pointer(parent)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    struct Rule {
        #[allow(dead_code)]
        ttl: u32,
    }

    #[test]
    fn a_wrong_type_is_named_with_its_place() {
        assert_eq!(
            read::<Rule>(r#"{"ttl":"60"}"#).unwrap_err(),
            ("/ttl".to_owned(), "expected a whole number, 0 or more, but found the string \"60\"".to_owned())
        );
    }

    #[test]
    fn an_unknown_key_is_named_and_ignored() {
        let (_, unknown) = read::<Rule>(r#"{"ttl":60,"tll/x":1}"#).unwrap();
        assert_eq!(unknown, ["/tll~1x"]);
    }

    #[test]
    fn what_follows_the_rule_is_a_mistake() {
        let (_, message) = read::<Rule>(r#"{"ttl":60}{"ttl":61}"#).unwrap_err();
        assert_eq!(message, "expected JSON, but found a mistake: trailing characters");
    }

    #[test]
    fn a_list_is_no_rule() {
        assert_eq!(read::<Rule>(" [60]").unwrap_err().1, "expected an object, but found a list");
        assert_eq!(peek::<Rule>("[60]").unwrap_err(), "expected an object, but found a list");
    }

    #[test]
    fn a_missing_field_is_named() {
        assert_eq!(read::<Rule>("{}").unwrap_err().1, "expected the key `ttl`, but found none");
    }

    #[test]
    fn a_comment_is_no_unknown_key() {
        let (_, unknown) = read::<Rule>(r#"{"ttl":60,"$comment":"for people"}"#).unwrap();
        assert!(unknown.is_empty(), "{unknown:?}");
    }
}
