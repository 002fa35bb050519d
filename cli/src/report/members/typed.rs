//! A line's object read as a struct, each member only where the struct wants it.

use std::fmt;

use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::Error;
use serde_json::value::RawValue;

use super::{Key, Layout, Members, Quotes};
use crate::report::lines::Text;

/// Reads a line's object as a struct. `layout` is that of the last line of this log. A field of the struct has one name: an alias would
/// count as another field.
///
/// # Errors
///
/// It is no object, it is cut off, or a member that is wanted isn't of its type.
pub fn read<'l, T: Deserialize<'l>>(line: &'l [u8], layout: &mut Layout) -> Result<T, Error> {
    let line = line.trim_ascii();
    let Layout { keys, quotes } = layout;
    match quotes.of(line) {
        Some(text) => T::deserialize(Object { text, quotes, keys: Some(keys) }),
        None => serde_json::from_slice(line),
    }
}

/// The text of a member's value, as it stands there. A reader of this module doesn't look into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Raw<'l>(pub &'l str);

/// How [`Raw`] tells this module's reader that it wants the text.
const RAW: &str = "Raw";

impl<'de: 'l, 'l> Deserialize<'de> for Raw<'l> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AsItStands;
        impl<'de> Visitor<'de> for AsItStands {
            type Value = Raw<'de>;
            fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
                to.write_str("a value")
            }
            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Raw(text))
            }
            fn visit_newtype_struct<D: Deserializer<'de>>(self, other: D) -> Result<Self::Value, D::Error> {
                <&RawValue>::deserialize(other).map(|value| Raw(value.get()))
            }
        }
        deserializer.deserialize_newtype_struct(RAW, AsItStands)
    }
}

/// An object without control characters.
struct Object<'y, 'l> {
    text: &'l str,
    quotes: &'y Quotes,
    /// Those of the last line, where there was one.
    keys: Option<&'y mut Vec<Key>>,
}

impl<'de> Deserializer<'de> for Object<'_, 'de> {
    type Error = Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let mut members = Members::new(self.text, fields, self.quotes, self.keys)?;
        let read = visitor.visit_map(&mut members)?;
        members.end().map(|()| read)
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        by_serde_json(self.text, |reader| reader.deserialize_any(visitor))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct newtype_struct seq tuple
        tuple_struct map enum identifier ignored_any
    }
}

impl<'l> MapAccess<'l> for &mut Members<'_, 'l> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'l>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let field = self.next_wanted()?;
        field.map(|field| seed.deserialize(de::value::U64Deserializer::new(field))).transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'l>>(&mut self, seed: V) -> Result<V::Value, Error> {
        seed.deserialize(Wanted(self.text.get(self.value.clone()).unwrap_or_default()))
    }
}

/// The lowest bit that is set is in the first byte that is this one; none is where there is none (Warren, Hacker's Delight, 6-1).
fn places(word: u64, byte: u8) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    let zero = word ^ (ONES * u64::from(byte));
    zero.wrapping_sub(ONES) & !zero & (ONES << 7)
}

/// Whether a text has an escape, eight bytes at once.
fn has_backslash(text: &[u8]) -> bool {
    let mut chunks = text.chunks_exact(8);
    chunks.by_ref().any(|chunk| chunk.first_chunk().is_some_and(|chunk| places(u64::from_le_bytes(*chunk), b'\\') != 0))
        || chunks.remainder().contains(&b'\\')
}

/// The text of a value that is one: as it stands there, unless it holds an escape. `None` for another value.
pub fn text(value: &str) -> Option<Text<'_>> {
    Text::deserialize(Wanted(value)).ok()
}

/// A number without sign and exponent, of digits so few that the quotient is the nearest number.
fn decimal(text: &[u8]) -> Option<f64> {
    const POWERS: [f64; 16] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];
    let Some(point) = text.iter().position(|byte| *byte == b'.') else {
        return whole(text).map(|number| number as f64);
    };
    let (before, after) = (text.get(..point)?, text.get(point + 1..)?);
    if text.len() > 16 || after.is_empty() {
        return None;
    }
    let all = after.iter().try_fold(whole(before)?, |all, byte| digit(*byte).map(|digit| all * 10 + digit))?;
    Some(all as f64 / POWERS.get(after.len())?)
}

/// A whole number of at most 15 digits.
pub fn whole(text: &[u8]) -> Option<u64> {
    match text {
        [b'0'] => Some(0),
        [b'1'..=b'9', ..] if text.len() <= 15 => {
            text.iter().try_fold(0, |number, byte| digit(*byte).map(|digit| number * 10 + digit))
        }
        _ => None,
    }
}

fn digit(byte: u8) -> Option<u64> {
    byte.is_ascii_digit().then(|| u64::from(byte - b'0'))
}

/// A value that `serde_json` reads, unless it is of the usual kind.
struct Wanted<'l>(&'l str);

/// Reads all of a value.
fn by_serde_json<'l, T>(
    value: &'l str,
    read: impl FnOnce(&mut serde_json::Deserializer<serde_json::de::StrRead<'l>>) -> Result<T, Error>,
) -> Result<T, Error> {
    let mut reader = serde_json::Deserializer::from_str(value);
    let found = read(&mut reader)?;
    reader.end()?;
    Ok(found)
}

macro_rules! by_serde_json {
    ($($name:ident($($argument:ident: $type:ty),*);)*) => { $(
        fn $name<V: Visitor<'l>>(self, $($argument: $type,)* visitor: V) -> Result<V::Value, Error> {
            by_serde_json(self.0, |reader| reader.$name($($argument,)* visitor))
        }
    )* };
}

macro_rules! whole_numbers {
    ($($name:ident)*) => { $(
        fn $name<V: Visitor<'l>>(self, visitor: V) -> Result<V::Value, Error> {
            match whole(self.0.as_bytes()) {
                Some(number) => visitor.visit_u64(number),
                None => by_serde_json(self.0, |reader| reader.$name(visitor)),
            }
        }
    )* };
}

impl<'l> Deserializer<'l> for Wanted<'l> {
    type Error = Error;

    fn deserialize_ignored_any<V: Visitor<'l>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_str<V: Visitor<'l>>(self, visitor: V) -> Result<V::Value, Error> {
        // The usual text has no escape: it is taken as it stands.
        match self.0.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
            Some(text) if !has_backslash(text.as_bytes()) => visitor.visit_borrowed_str(text),
            _ => by_serde_json(self.0, |reader| reader.deserialize_str(visitor)),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'l>>(self, name: &'static str, visitor: V) -> Result<V::Value, Error> {
        match name {
            RAW => visitor.visit_borrowed_str(self.0),
            _ => by_serde_json(self.0, |reader| reader.deserialize_newtype_struct(name, visitor)),
        }
    }

    fn deserialize_struct<V: Visitor<'l>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let mut quotes = Quotes::default();
        match quotes.of(self.0.as_bytes()) {
            Some(text) => Object { text, quotes: &quotes, keys: None }.deserialize_struct(name, fields, visitor),
            None => by_serde_json(self.0, |reader| reader.deserialize_struct(name, fields, visitor)),
        }
    }

    fn deserialize_seq<V: Visitor<'l>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            "[]" => visitor.visit_seq(de::value::SeqDeserializer::new(std::iter::empty::<()>())),
            _ => by_serde_json(self.0, |reader| reader.deserialize_seq(visitor)),
        }
    }

    fn deserialize_option<V: Visitor<'l>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.0 == "null" { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_bool<V: Visitor<'l>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            "true" => visitor.visit_bool(true),
            "false" => visitor.visit_bool(false),
            _ => by_serde_json(self.0, |reader| reader.deserialize_bool(visitor)),
        }
    }

    fn deserialize_f64<V: Visitor<'l>>(self, visitor: V) -> Result<V::Value, Error> {
        match decimal(self.0.as_bytes()) {
            Some(number) => visitor.visit_f64(number),
            None => by_serde_json(self.0, |reader| reader.deserialize_f64(visitor)),
        }
    }

    whole_numbers! { deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 }

    by_serde_json! {
        deserialize_any();
        deserialize_i8();
        deserialize_i16();
        deserialize_i32();
        deserialize_i64();
        deserialize_f32();
        deserialize_char();
        deserialize_string();
        deserialize_bytes();
        deserialize_byte_buf();
        deserialize_unit();
        deserialize_unit_struct(name: &'static str);
        deserialize_tuple(length: usize);
        deserialize_tuple_struct(name: &'static str, length: usize);
        deserialize_map();
        deserialize_enum(name: &'static str, variants: &'static [&'static str]);
        deserialize_identifier();
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::Value;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct Wished<'a> {
        #[serde(borrow)]
        text: Text<'a>,
        #[serde(borrow)]
        maybe: Option<Text<'a>>,
        #[serde(borrow)]
        raw: Option<Raw<'a>>,
        number: Option<f64>,
        count: Option<u16>,
        #[serde(default)]
        list: Vec<u8>,
        #[serde(default)]
        yes: bool,
    }

    fn shown(read: Result<Wished<'_>, Error>) -> Option<String> {
        let Wished { text, maybe, raw, number, count, list, yes } = read.ok()?;
        Some(format!("{text:?} {maybe:?} {raw:?} {number:?} {count:?} {list:?} {yes}"))
    }

    #[test]
    fn a_line_is_read_as_serde_json_reads_it() {
        let mut layout = Layout::default();
        for line in [
            r#"{"text":"a"}"#,
            r#"{ "text" : "a\"\\b\u00e9" , "maybe":null, "raw": {"a":[1,{"b":"}]\""}]}, "number":-1.5e3 ,"list":[1,2], "yes":true }"#,
            r#"{"skip":{"x":["\\",{"y":"{"}]},"skip2":[],"skip3":{},"skip4":"\\\"","text":"é€","raw":"x","unknown":12}"#,
            r#"{"text":"","text2":1}"#,
            r#"{}"#,
            r#"{"text":1}"#,
            r#"{"text":"a","number":"1"}"#,
            r#"{"text":"a","number":1.}"#,
            r#"{"text":"a","number":.5}"#,
            r#"{"text":"a","number":01.5}"#,
            r#"{"text":"a","number":1.2.3}"#,
            r#"{"text":"a","number":123456789.012345678}"#,
            r#"{"text":"a","number":1234567890123456789}"#,
            r#"{"text":"a","count":12}"#,
            r#"{"text":"a","count":0}"#,
            r#"{"text":"a","count":012}"#,
            r#"{"text":"a","count":-1}"#,
            r#"{"text":"a","count":70000}"#,
            r#"{"text":"a","count":1.5}"#,
            r#"{"text":"a","yes":tru}"#,
            r#"{"text":"a","yes":false}"#,
            r#"{"text":"a text that is longer than eight bytes \\, with \"quotes\" in it, and an end"}"#,
            "{\"text\":\"a\u{7f}b\"}",
            r#"{"text":"a""#,
            r#"{"text":"a","#,
            r#"{"text":"a","skip":{"#,
            r#"{"text":"a","skip":"x\"#,
            r#"{"text":"a" "number":1}"#,
            r#"{"text":"a",,"number":1}"#,
            r#"{"text":"a"}}"#,
            r#"{"text":"a"}x"#,
            r#"{"text":"a","number"}"#,
            r#"{"text":"a","number":}"#,
            "{\"text\":\"a\nb\"}",
            r#"["text"]"#,
            "",
        ] {
            let expected = shown(serde_json::from_str(line));
            // By no layout, by another line's, by its own.
            assert_eq!(shown(read(line.as_bytes(), &mut Layout::default())), expected, "{line}");
            assert_eq!(shown(read(line.as_bytes(), &mut layout)), expected, "{line}");
            assert_eq!(shown(read(line.as_bytes(), &mut layout)), expected, "{line}");
        }
        let bad = b"{\"text\":\"\xff\"}";
        assert!(read::<Wished<'_>>(bad, &mut Layout::default()).is_err());
    }

    #[test]
    fn a_line_that_is_cut_off_anywhere_is_found_out() {
        let line = r#"{"skip":{"x":["\\",{"y":"{é"}]},"text":"é€","raw":{"z":"\""},"last":[1]}"#;
        assert!(read::<Wished<'_>>(line.as_bytes(), &mut Layout::default()).is_ok());
        for end in 0..line.len() {
            assert!(read::<Wished<'_>>(&line.as_bytes()[..end], &mut Layout::default()).is_err(), "{end}");
        }
    }

    #[test]
    fn a_number_is_the_nearest_one_whatever_its_digits() {
        let mut state = 7_u64;
        for round in 0..200_000_u32 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let digits = (state >> 8) % 10_u64.pow(round % 16 + 1);
            let text = format!("{:.*}", (round % 7) as usize, digits as f64 / 10_f64.powi((round % 9) as i32));
            let expected: f64 = serde_json::from_str(&text).unwrap();
            assert!(decimal(text.as_bytes()).is_none_or(|found| found.to_bits() == expected.to_bits()), "{text}");
        }
        assert_eq!(decimal(b"123.456"), Some(123.456));
    }

    #[test]
    fn what_nobody_wants_is_not_looked_into() {
        let line = r#"{"text":"a","skip":[tru, 1.2.3, {:}]}"#;
        assert!(serde_json::from_str::<Value>(line).is_err());
        assert!(read::<Wished<'_>>(line.as_bytes(), &mut Layout::default()).is_ok());
    }
}
