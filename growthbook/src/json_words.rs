//! What is wrong with a JSON text, in words for people who write rules and not Rust.
//!
//! serde_json tells a fault as a sentence and nothing more. Its words are not written down here: serde is asked to word faults whose parts
//! are known (`FOUND`, `EXPECTED`), and the sentence is taken apart as those are. An upgrade may change words, and nothing is lost. An
//! error type of our own would keep the parts; but it takes a deserializer of our own, for which every shape would be compiled again (see
//! [`json_place`](crate::json_place)), and each value would go through the largest function that serde_json has, in reading that finds no
//! fault, too. All this runs after a fault only.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::value::UnitDeserializer;
use serde::de::{Error as _, Unexpected};
use serde_json::Error;

/// Stands for what was found, in a fault that is made up.
const FOUND: &str = "\u{1}";
/// Stands for what was expected.
const EXPECTED: &str = "\u{2}";
/// Stands for a length or a number, since they can't be marks.
const NUMBER: u32 = 987_654_321;

/// The fault in the house's wording ("expected B, but found A"), and in words that people have who write JSON instead of Rust's names of
/// types. Its place in the text is not said.
#[must_use]
pub fn house_wording(error: &Error) -> String {
    let whole = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    let message = whole.strip_suffix(&place).unwrap_or(&whole);
    let said = if error.is_data() { reworded(message) } else { None };
    said.unwrap_or_else(|| format!("expected JSON, but found a mistake: {message}"))
}

fn reworded(message: &str) -> Option<String> {
    let number = NUMBER.to_string();
    let mismatches = [
        (Error::invalid_type(Unexpected::Other(FOUND), &EXPECTED), FOUND),
        (Error::invalid_value(Unexpected::Other(FOUND), &EXPECTED), FOUND),
        (Error::invalid_length(usize::try_from(NUMBER).ok()?, &EXPECTED), &number),
    ];
    for (made_up, mark) in mismatches {
        if let Some((found, expected)) = parts(message, &made_up.to_string(), mark) {
            return Some(format!("expected {}, but found {}", expected_words(expected), found_words(found)));
        }
    }
    if let Some((found, expected)) = unknown_variant(message) {
        return Some(format!("expected {expected}, but found `{found}`"));
    }
    if let Some(key) = key(message, &Error::missing_field(EXPECTED)) {
        return Some(format!("expected the key `{key}`, but found none"));
    }
    let key = key(message, &Error::duplicate_field(EXPECTED))?;
    Some(format!("expected the key `{key}` once, but found it twice"))
}

/// What was found and what was expected, where `message` is worded as `made_up` is. What was found may be a text that somebody wrote, and
/// say anything: the last place where they can come apart is the one.
fn parts<'m>(message: &'m str, made_up: &str, found: &str) -> Option<(&'m str, &'m str)> {
    let (before, rest) = made_up.split_once(found)?;
    let (between, after) = rest.split_once(EXPECTED)?;
    message.strip_prefix(before)?.strip_suffix(after)?.rsplit_once(between)
}

/// The variant that isn't one, and those that are. One is listed in other words than several are.
fn unknown_variant(message: &str) -> Option<(&str, &str)> {
    let one = Error::unknown_variant(FOUND, &[EXPECTED]).to_string();
    let several = Error::unknown_variant(FOUND, &[EXPECTED, EXPECTED, EXPECTED]).to_string();
    let (before, one) = one.split_once(FOUND)?;
    let (_, several) = several.split_once(FOUND)?;
    let alike = one.char_indices().zip(several.chars()).find(|((_, one), other)| one != other);
    let between = one.get(..alike.map_or(one.len(), |((at, _), _)| at))?;
    message.strip_prefix(before)?.rsplit_once(between)
}

/// The key that a fault is about.
fn key<'m>(message: &'m str, made_up: &Error) -> Option<&'m str> {
    let made_up = made_up.to_string();
    let (before, after) = made_up.split_once(EXPECTED)?;
    message.strip_prefix(before)?.strip_suffix(after)
}

/// What serde expected, in plain words.
fn expected_words(expected: &str) -> &str {
    const NATURAL: &str = "a whole number, 0 or more";
    const WHOLE: &str = "a whole number";
    #[derive(Deserialize)]
    struct Shape {}
    let known = [
        (expects::<u8>(), NATURAL),
        (expects::<u16>(), NATURAL),
        (expects::<u32>(), NATURAL),
        (expects::<u64>(), NATURAL),
        (expects::<usize>(), NATURAL),
        (expects::<i32>(), WHOLE),
        (expects::<i64>(), WHOLE),
        (expects::<f32>(), "a number"),
        (expects::<f64>(), "a number"),
        (expects::<bool>(), "true or false"),
        (expects::<&str>(), "a string"),
        (expects::<Vec<bool>>(), "a list"),
        (expects::<BTreeMap<String, bool>>(), "an object"),
    ];
    if let Some((_, words)) = known.into_iter().find(|(name, _)| name.as_deref() == Some(expected)) {
        return words;
    }
    // `struct Cache`, `struct Regions with 2 elements`: the name is ours, not the author's.
    let shape = expects::<Shape>().and_then(|name| Some(name.strip_suffix("Shape")?.to_owned()));
    if shape.is_some_and(|shape| expected.starts_with(&shape)) { "an object" } else { expected }
}

/// What serde says that a `T` is.
fn expects<T: Deserialize<'static>>() -> Option<String> {
    let error = T::deserialize(UnitDeserializer::<Error>::new()).err()?;
    let made_up = Error::invalid_type(Unexpected::Other(FOUND), &EXPECTED);
    parts(&error.to_string(), &made_up.to_string(), FOUND).map(|(_, expected)| expected.to_owned())
}

/// What serde found, in plain words.
fn found_words(found: &str) -> String {
    let alone = [
        (Unexpected::Unit, "null"),
        (Unexpected::Bool(true), "true"),
        (Unexpected::Bool(false), "false"),
        (Unexpected::Seq, "a list"),
        (Unexpected::Map, "an object"),
    ];
    if let Some((_, words)) = alone.into_iter().find(|(kind, _)| says(*kind).as_deref() == Some(found)) {
        return words.to_owned();
    }
    // The value stays as it is, a string in its quotes.
    let valued = [
        (Unexpected::Unsigned(NUMBER.into()), NUMBER.to_string(), "the number"),
        (Unexpected::Float(0.5), "0.5".to_owned(), "the number"),
        (Unexpected::Str("s"), "\"s\"".to_owned(), "the string"),
    ];
    for (kind, sample, words) in valued {
        let value = says(kind).and_then(|text| {
            let (before, after) = text.split_once(&sample)?;
            Some(found.strip_prefix(before)?.strip_suffix(after)?.to_owned())
        });
        if let Some(value) = value {
            return format!("{words} {value}");
        }
    }
    found.to_owned()
}

/// What serde_json calls a value.
fn says(found: Unexpected<'_>) -> Option<String> {
    let made_up = Error::invalid_type(Unexpected::Other(FOUND), &EXPECTED);
    let message = Error::invalid_type(found, &EXPECTED).to_string();
    parts(&message, &made_up.to_string(), FOUND).map(|(found, _)| found.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[allow(dead_code)]
    struct Rule {
        ttl: u32,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Action {
        Pass,
        Respond,
        Redirect,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Only {
        Pass,
    }

    fn wrong<T: for<'de> Deserialize<'de> + std::fmt::Debug>(text: &str) -> String {
        house_wording(&serde_json::from_str::<T>(text).unwrap_err())
    }

    #[test]
    fn no_message_needs_a_word_of_rust() {
        let wrong = wrong::<Rule>;
        assert_eq!(wrong(r#"{"ttl":-1}"#), "expected a whole number, 0 or more, but found the number -1");
        assert_eq!(wrong(r#"{"ttl":1.5}"#), "expected a whole number, 0 or more, but found the number 1.5");
        assert_eq!(wrong(r#"{"ttl":true}"#), "expected a whole number, 0 or more, but found true");
        assert_eq!(wrong(r#"{"ttl":null}"#), "expected a whole number, 0 or more, but found null");
        assert_eq!(wrong(r#"{"ttl":[]}"#), "expected a whole number, 0 or more, but found a list");
        assert_eq!(wrong(r#"{"ttl":"a"}"#), "expected a whole number, 0 or more, but found the string \"a\"");
        assert_eq!(wrong("true"), "expected an object, but found true");
        assert_eq!(wrong("{}"), "expected the key `ttl`, but found none");
        assert_eq!(wrong(r#"{"ttl":1,"ttl":2}"#), "expected the key `ttl` once, but found it twice");
        assert_eq!(wrong("{"), "expected JSON, but found a mistake: EOF while parsing an object");
    }

    /// Fails where an upgrade of serde or serde_json words something so that it can't be taken apart any more.
    #[test]
    fn every_wording_of_serde_is_known() {
        assert_eq!(wrong::<u8>("-1"), "expected a whole number, 0 or more, but found the number -1");
        assert_eq!(wrong::<u8>("256"), "expected a whole number, 0 or more, but found the number 256");
        assert_eq!(wrong::<u16>("{}"), "expected a whole number, 0 or more, but found an object");
        assert_eq!(wrong::<u64>("false"), "expected a whole number, 0 or more, but found false");
        assert_eq!(wrong::<usize>("0.25"), "expected a whole number, 0 or more, but found the number 0.25");
        assert_eq!(wrong::<i32>("1e99"), "expected a whole number, but found the number 1e+99");
        assert_eq!(wrong::<i64>("\"\""), "expected a whole number, but found the string \"\"");
        assert_eq!(wrong::<f32>("{}"), "expected a number, but found an object");
        assert_eq!(wrong::<f64>("null"), "expected a number, but found null");
        assert_eq!(wrong::<bool>("1"), "expected true or false, but found the number 1");
        assert_eq!(wrong::<String>("7"), "expected a string, but found the number 7");
        assert_eq!(wrong::<Vec<u8>>("7"), "expected a list, but found the number 7");
        assert_eq!(wrong::<BTreeMap<String, u8>>("[]"), "expected an object, but found a list");
        assert_eq!(wrong::<Rule>("[]"), "expected an object, but found 0");
        assert_eq!(wrong::<Action>("\"go\""), "expected one of `pass`, `respond`, `redirect`, but found `go`");
        assert_eq!(wrong::<Only>("\"go\""), "expected `pass`, but found `go`");
        let borrowed = serde_json::from_str::<&str>("7").unwrap_err();
        assert_eq!(house_wording(&borrowed), "expected a string, but found the number 7");
        let of_a_value = serde_json::from_value::<Rule>(serde_json::json!({ "ttl": "a" })).unwrap_err();
        assert_eq!(house_wording(&of_a_value), "expected a whole number, 0 or more, but found the string \"a\"");
    }

    #[test]
    fn a_text_that_reads_like_a_message_is_a_text() {
        for text in ["x, expected y", "x at line 3", "` at line 1 column 2", "a`, expected `b", "\\\", expected \\\""] {
            let found = format!("the string \"{text}\"");
            assert_eq!(
                wrong::<Rule>(&format!("{{\"ttl\":\"{text}\"}}")),
                format!("expected a whole number, 0 or more, but found {found}")
            );
        }
        let variant = wrong::<Action>("\"a at line 1 column 2`, expected b\"");
        assert!(variant.ends_with("but found `a at line 1 column 2`, expected b`"), "{variant}");
    }
}
