//! The variant: the dimensions that shaped the backend request or the answer, and nothing else (design.md section 4).

use std::collections::BTreeMap;
use std::fmt::Write as _;

use http::HeaderName;

/// The header that carries the variant, to the origin and to the client.
pub const EDGE_VARIANT: HeaderName = HeaderName::from_static("edge-variant");

/// Most bytes of a value in a header: what is longer is cut to a digest-like tail, so that two values stay two.
const MAX_VALUE: usize = 256;

/// Dimensions that come from the context.
pub const CONTEXT_DIMENSIONS: [&str; 5] = ["region", "country", "language", super::values::DEVICE_TYPE, "network"];

/// Dimension → value. Dimensions are added as the plan uses them, never listed by hand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Variant(BTreeMap<String, String>);

impl Variant {
    /// Adds a dimension that the plan used.
    pub fn add(&mut self, dimension: &str, value: &str) {
        self.0.insert(key(dimension), ascii(value));
    }

    /// Whether nothing shaped the request.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value of a dimension.
    pub fn get(&self, dimension: &str) -> Option<&str> {
        self.0.get(&key(dimension)).map(String::as_str)
    }

    /// The dimensions, sorted.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(dimension, value)| (dimension.as_str(), value.as_str()))
    }

    /// As `Edge-Variant` carries it: a dictionary of strings (RFC 9651 sections 3.2 and 3.3.3), keys sorted.
    pub fn header(&self) -> String {
        let mut header = String::new();
        for (dimension, value) in &self.0 {
            let separator = if header.is_empty() { "" } else { ", " };
            // Writing to a String can't fail.
            let _ = write!(header, "{separator}{dimension}=\"");
            for character in value.chars() {
                if matches!(character, '"' | '\\') {
                    header.push('\\');
                }
                header.push(character);
            }
            header.push('"');
        }
        header
    }
}

/// The key under which a dimension is found in a header or a log line.
#[cfg(feature = "tools")]
#[must_use]
pub fn key_of(dimension: &str) -> String {
    key(dimension)
}

/// A Structured Fields key (RFC 9651 section 3.1.2 allows `a-z 0-9 _ - . *` only, so `deviceType` can't be one): a capital is
/// written as `*` and its small letter, any other byte as `*` and two digits in hexadecimal, `_` and its like stand for themselves.
/// No two names give the same key.
fn key(name: &str) -> String {
    let mut key = String::with_capacity(name.len());
    for (index, byte) in name.bytes().enumerate() {
        match byte {
            b'a'..=b'z' => key.push(char::from(byte)),
            b'0'..=b'9' | b'_' | b'-' | b'.' if index > 0 => key.push(char::from(byte)),
            // Small letters from g on can't be hexadecimal digits; A to F take the long way.
            b'G'..=b'Z' => {
                key.push('*');
                key.push(char::from(byte.to_ascii_lowercase()));
            }
            _ => {
                key.push('*');
                key.push_str(&base16ct::lower::encode_string(&[byte]));
            }
        }
    }
    key
}

/// Printable ASCII, the rest percent-encoded; bounded.
fn ascii(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte == b'%' || !(0x20..=0x7e).contains(&byte) {
            text.push_str(percent_encoding::percent_encode_byte(byte));
        } else {
            text.push(char::from(byte));
        }
    }
    if text.len() > MAX_VALUE {
        let digest = crate::plan::key::digest([value.as_bytes()]);
        text.truncate(MAX_VALUE - 32);
        text.push_str(&base16ct::lower::encode_string(digest.first_chunk::<16>().map_or(&[], |start| start)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_sorted_and_values_quoted() {
        let mut variant = Variant::default();
        variant.add("region", "EU-WEST");
        variant.add("hero", "a\"b\\c\r\nü%");
        assert_eq!(variant.header(), r#"hero="a\"b\\c%0D%0A%C3%BC%25", region="EU-WEST""#);
    }

    #[test]
    fn no_two_names_share_a_key() {
        let names = [
            "hero",
            "Hero",
            "heroBanner",
            "hero-banner",
            "hero*banner",
            "hero.b",
            "heroB",
            "hero*42",
            "é",
            "1",
            "*1",
            "A",
            "a",
            "*41",
            "G",
            "*g",
        ];
        let keys: std::collections::HashSet<String> = names.iter().map(|name| key(name)).collect();
        assert_eq!(keys.len(), names.len());
        let plain = |key: &String| {
            key.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'.' | b'*'))
        };
        assert!(keys.iter().all(plain));
        assert!(keys.iter().all(|key| key.starts_with(|first: char| first.is_ascii_lowercase() || first == '*')));
    }

    #[test]
    fn two_long_values_stay_two() {
        let of = |value: &str| {
            let mut variant = Variant::default();
            variant.add("x", value);
            variant.header()
        };
        let long = "a".repeat(5_000);
        assert_ne!(of(&long), of(&format!("{long}b")));
        assert!(of(&long).len() < 300);
    }
}
