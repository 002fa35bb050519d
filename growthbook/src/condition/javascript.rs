//! JavaScript's conversions and comparisons (ECMA-262, section 7), to the letter where the specification's
//! conditions rely on them: the edge must give the answer the browser gives.
//!
//! `undefined` doesn't occur: what is absent is `null`.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt::Write as _;

use super::Value;

/// A value under comparison. Like [`Value`], but `Copy`, and one shape for each thing: `Array` and `Object` are what they say.
#[derive(Debug, Clone, Copy)]
pub(super) enum Actual<'a> {
    Null,
    Bool(bool),
    Number(f64),
    String(&'a str),
    Array(&'a [serde_json::Value]),
    Object(&'a serde_json::Value),
}

impl<'a> From<&'a serde_json::Value> for Actual<'a> {
    fn from(json: &'a serde_json::Value) -> Self {
        match json {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(truth) => Self::Bool(*truth),
            serde_json::Value::Number(number) => Self::Number(number.as_f64().unwrap_or(f64::NAN)),
            serde_json::Value::String(text) => Self::String(text),
            serde_json::Value::Array(items) => Self::Array(items),
            serde_json::Value::Object(_) => Self::Object(json),
        }
    }
}

impl<'a> From<&'a Value<'_>> for Actual<'a> {
    fn from(value: &'a Value<'_>) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(truth) => Self::Bool(*truth),
            Value::Number(number) => Self::Number(*number),
            Value::String(text) => Self::String(text),
            Value::Json(json) => Self::from(*json),
        }
    }
}

impl<'a> Actual<'a> {
    /// `!!value`
    pub(super) fn is_truthy(self) -> bool {
        match self {
            Self::Null => false,
            Self::Bool(truth) => truth,
            Self::Number(number) => number != 0.0 && !number.is_nan(),
            Self::String(text) => !text.is_empty(),
            Self::Array(_) | Self::Object(_) => true,
        }
    }

    /// `value * 1`
    pub(super) fn to_number(self) -> f64 {
        match self {
            Self::Null => 0.0,
            Self::Bool(truth) => f64::from(u8::from(truth)),
            Self::Number(number) => number,
            Self::String(text) => string_to_number(text),
            Self::Array(_) | Self::Object(_) => string_to_number(&self.to_text()),
        }
    }

    /// `value + ""`, or `String(value)`
    pub(super) fn to_text(self) -> Cow<'a, str> {
        match self {
            Self::Null => Cow::Borrowed("null"),
            Self::Bool(true) => Cow::Borrowed("true"),
            Self::Bool(false) => Cow::Borrowed("false"),
            Self::Number(number) => Cow::Owned(number_to_string(number)),
            Self::String(text) => Cow::Borrowed(text),
            Self::Array(items) => Cow::Owned(join(items)),
            Self::Object(_) => Cow::Borrowed("[object Object]"),
        }
    }

    /// `a === b`; two lists or objects are never the same one.
    pub(super) fn strictly_equals(self, other: Actual<'_>) -> bool {
        match (self, other) {
            (Self::Null, Actual::Null) => true,
            (Self::Bool(a), Actual::Bool(b)) => a == b,
            (Self::Number(a), Actual::Number(b)) => a == b,
            (Self::String(a), Actual::String(b)) => a == b,
            _ => false,
        }
    }

    /// `a < b`, `a == b` in the sense of `<=`, or `a > b`; `None` where `NaN` makes all of them false.
    pub(super) fn compare(self, other: Actual<'_>) -> Option<Ordering> {
        match (self.to_primitive(), other.to_primitive()) {
            (Primitive::Text(a), Primitive::Text(b)) => Some(compare_text(&a, &b)),
            (a, b) => a.to_number().partial_cmp(&b.to_number()),
        }
    }

    fn to_primitive(self) -> Primitive<'a> {
        match self {
            Self::String(_) | Self::Array(_) | Self::Object(_) => Primitive::Text(self.to_text()),
            Self::Null | Self::Bool(_) | Self::Number(_) => Primitive::Number(self.to_number()),
        }
    }

    /// `typeof value`, with `array` and `null` told apart as the specification wants.
    pub(super) fn type_name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "boolean",
            Self::Number(_) => "number",
            Self::String(_) => "string",
            Self::Array(_) => "array",
            Self::Object(_) => "object",
        }
    }

    /// `JSON.stringify(a) === JSON.stringify(b)`
    pub(super) fn same_json(self, other: &serde_json::Value) -> bool {
        match (self, other) {
            (Self::Array(a), serde_json::Value::Array(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| Actual::from(a).same_json(b))
            }
            // The order of keys counts, as it does in the text.
            (Self::Object(serde_json::Value::Object(a)), serde_json::Value::Object(b)) => {
                a.len() == b.len()
                    && a.iter().zip(b).all(|((a_key, a), (b_key, b))| a_key == b_key && Actual::from(a).same_json(b))
            }
            (a, b) => a.strictly_equals(Actual::from(b)),
        }
    }
}

enum Primitive<'a> {
    Text(Cow<'a, str>),
    Number(f64),
}

impl Primitive<'_> {
    fn to_number(&self) -> f64 {
        match self {
            Self::Text(text) => string_to_number(text),
            Self::Number(number) => *number,
        }
    }
}

/// JavaScript orders texts by UTF-16 code units, which differs from the order of characters above U+FFFF.
pub(super) fn compare_text(a: &str, b: &str) -> Ordering {
    if a.is_ascii() && b.is_ascii() { a.cmp(b) } else { a.encode_utf16().cmp(b.encode_utf16()) }
}

/// `text.toLowerCase() === folded`, where `folded` is in lower case already.
pub(super) fn equals_folded(text: &str, folded: &str) -> bool {
    if text.is_ascii() && folded.is_ascii() { text.eq_ignore_ascii_case(folded) } else { text.to_lowercase() == folded }
}

/// `Number(text)`
fn string_to_number(text: &str) -> f64 {
    // The byte-order mark is white space to JavaScript alone.
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
    if text.is_empty() {
        return 0.0;
    }
    for (prefixes, radix) in [(["0x", "0X"], 16), (["0o", "0O"], 8), (["0b", "0B"], 2)] {
        if let Some(digits) = prefixes.iter().find_map(|prefix| text.strip_prefix(prefix)) {
            return digits_to_number(digits, radix);
        }
    }
    match text {
        "Infinity" | "+Infinity" => f64::INFINITY,
        "-Infinity" => f64::NEG_INFINITY,
        // Rust also reads "inf" and "nan", which JavaScript doesn't.
        _ if text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E')) => {
            text.parse().unwrap_or(f64::NAN)
        }
        _ => f64::NAN,
    }
}

fn digits_to_number(digits: &str, radix: u32) -> f64 {
    if digits.is_empty() {
        return f64::NAN;
    }
    digits
        .chars()
        .try_fold(0.0, |sum, c| Some(sum * f64::from(radix) + f64::from(c.to_digit(radix)?)))
        .unwrap_or(f64::NAN)
}

/// `String(number)` (ECMA-262, section 6.1.6.1.20): the shortest digits that give the number back, with an exponent from 1e21 and below 1e-6.
/// A visitor's numeric id is hashed in this form.
#[must_use]
pub fn number_to_string(number: f64) -> String {
    let size = number.abs();
    if number == 0.0 {
        // Minus zero loses its sign.
        "0".to_owned()
    } else if number.is_nan() {
        "NaN".to_owned()
    } else if number.is_infinite() {
        if number > 0.0 { "Infinity".to_owned() } else { "-Infinity".to_owned() }
    } else if (1e-6..1e21).contains(&size) {
        number.to_string()
    } else {
        let text = format!("{number:e}");
        if size >= 1e21 { text.replace('e', "e+") } else { text }
    }
}

/// `items.join(",")`, where `null` is nothing at all.
fn join(items: &[serde_json::Value]) -> String {
    let mut text = String::new();
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        if !item.is_null() {
            let _ = write!(text, "{}", Actual::from(item).to_text());
        }
    }
    text
}
