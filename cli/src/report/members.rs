//! The members of a line's object, each read only where somebody wants it: most of a line's bytes are looked at once, for where a value
//! ends.
//!
//! A report reads a dozen of a line's forty members. `serde_json` checks every byte of the others, too, which is most of its work. Here
//! they are passed over: strings by their quotes, objects and lists by their brackets. A line that is cut off is still found out. What is
//! read is read by `serde_json`.

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::Error;

/// Reads a line's object as a struct.
///
/// # Errors
///
/// It is no object, it is cut off, or a member that is wanted isn't of its type.
pub fn read<'l, T: de::Deserialize<'l>>(line: &'l [u8]) -> Result<T, Error> {
    let line = line.trim_ascii();
    let inner = line.strip_prefix(b"{").ok_or_else(|| expected("an object"))?;
    let mut members = Members { rest: inner.trim_ascii_start(), value: None, is_first: true };
    let read = T::deserialize(Line(&mut members))?;
    if members.rest == b"}" { Ok(read) } else { Err(expected("the object's end")) }
}

fn expected(what: &str) -> Error {
    de::Error::custom(format_args!("expected {what}, but found something else"))
}

struct Line<'m, 'l>(&'m mut Members<'l>);

impl<'de> Deserializer<'de> for Line<'_, 'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_map(self.0)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct newtype_struct seq tuple
        tuple_struct map struct enum identifier ignored_any
    }
}

struct Members<'l> {
    rest: &'l [u8],
    value: Option<&'l [u8]>,
    is_first: bool,
}

impl<'l> MapAccess<'l> for &mut Members<'l> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'l>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        if self.rest.first() == Some(&b'}') {
            return Ok(None);
        }
        if !std::mem::take(&mut self.is_first) {
            self.rest = self.rest.strip_prefix(b",").ok_or_else(|| expected("a comma"))?.trim_ascii_start();
        }
        if self.rest.first() != Some(&b'"') {
            return Err(expected("a key"));
        }
        let key = self.take(string_end(self.rest))?;
        let inner = key.get(1..key.len() - 1).ok_or_else(|| expected("a key"))?;
        self.rest = self.rest.strip_prefix(b":").ok_or_else(|| expected("a colon"))?.trim_ascii_start();
        self.value = Some(self.take(value_end(self.rest))?);
        // A key with an escape in it is none of ours.
        seed.deserialize(de::value::BorrowedBytesDeserializer::new(inner)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'l>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let value = self.value.take().ok_or_else(|| expected("a value"))?;
        seed.deserialize(Wanted(value))
    }
}

impl<'l> Members<'l> {
    /// Takes so many bytes, and the space behind them.
    fn take(&mut self, length: Option<usize>) -> Result<&'l [u8], Error> {
        let (taken, rest) = length
            .filter(|length| *length > 0)
            .and_then(|length| self.rest.split_at_checked(length))
            .ok_or_else(|| expected("a value"))?;
        self.rest = rest.trim_ascii_start();
        Ok(taken)
    }
}

/// Where the value ends that begins here.
#[inline]
fn value_end(text: &[u8]) -> Option<usize> {
    match text.first()? {
        b'"' => string_end(text),
        b'{' | b'[' => {
            let (mut depth, mut at) = (0_usize, 0);
            loop {
                match text.get(at)? {
                    b'"' => {
                        at += string_end(text.get(at..)?)?;
                        continue;
                    }
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' => depth -= 1,
                    _ => {}
                }
                at += 1;
                if depth == 0 {
                    return Some(at);
                }
            }
        }
        _ => text.iter().position(|byte| matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\r' | b'\n')),
    }
}

/// Where the string ends that begins with this quote. Eight bytes are looked at together: most strings are short, and to ask a search for
/// help costs more.
#[inline]
fn string_end(text: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        let rest = text.get(at..)?;
        at += match rest.first_chunk() {
            Some(chunk) => {
                let word = u64::from_le_bytes(*chunk);
                let found = places(word, b'"') | places(word, b'\\');
                if found == 0 {
                    at += 8;
                    continue;
                }
                // At most 7.
                (found.trailing_zeros() / 8) as usize
            }
            None => rest.iter().position(|byte| matches!(byte, b'"' | b'\\'))?,
        };
        if text.get(at) == Some(&b'"') {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// The lowest bit that is set is in the first byte that is this one; none is where there is none (Warren, Hacker's Delight, 6-1).
fn places(word: u64, byte: u8) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    let zero = word ^ (ONES * u64::from(byte));
    zero.wrapping_sub(ONES) & !zero & (ONES << 7)
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
fn whole(text: &[u8]) -> Option<u64> {
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

/// A value that `serde_json` reads, where somebody wants it.
struct Wanted<'l>(&'l [u8]);

/// Reads all of a value.
fn by_serde_json<'l, T>(
    value: &'l [u8],
    read: impl FnOnce(&mut serde_json::Deserializer<serde_json::de::SliceRead<'l>>) -> Result<T, Error>,
) -> Result<T, Error> {
    let mut reader = serde_json::Deserializer::from_slice(value);
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
            match whole(self.0) {
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
        match self.0 {
            // All bytes are looked at, which is several at once.
            [b'"', text @ .., b'"']
                if !text.iter().fold(false, |found, byte| found | (*byte == b'\\') | byte.is_ascii_control()) =>
            {
                visitor.visit_borrowed_str(std::str::from_utf8(text).map_err(de::Error::custom)?)
            }
            _ => by_serde_json(self.0, |reader| reader.deserialize_str(visitor)),
        }
    }

    fn deserialize_option<V: Visitor<'l>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.0 == b"null" { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_bool<V: Visitor<'l>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            b"true" => visitor.visit_bool(true),
            b"false" => visitor.visit_bool(false),
            _ => by_serde_json(self.0, |reader| reader.deserialize_bool(visitor)),
        }
    }

    fn deserialize_f64<V: Visitor<'l>>(self, visitor: V) -> Result<V::Value, Error> {
        match decimal(self.0) {
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
        deserialize_newtype_struct(name: &'static str);
        deserialize_seq();
        deserialize_tuple(length: usize);
        deserialize_tuple_struct(name: &'static str, length: usize);
        deserialize_map();
        deserialize_struct(name: &'static str, fields: &'static [&'static str]);
        deserialize_enum(name: &'static str, variants: &'static [&'static str]);
        deserialize_identifier();
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::Value;
    use serde_json::value::RawValue;

    use super::*;
    use crate::report::lines::Text;

    #[derive(Debug, Deserialize)]
    struct Wished<'a> {
        #[serde(borrow)]
        text: Text<'a>,
        #[serde(borrow)]
        maybe: Option<Text<'a>>,
        #[serde(borrow)]
        raw: Option<&'a RawValue>,
        number: Option<f64>,
        count: Option<u16>,
        #[serde(default)]
        list: Vec<u8>,
        #[serde(default)]
        yes: bool,
    }

    fn shown(read: Result<Wished<'_>, Error>) -> Option<String> {
        let Wished { text, maybe, raw, number, count, list, yes } = read.ok()?;
        Some(format!("{text:?} {maybe:?} {:?} {number:?} {count:?} {list:?} {yes}", raw.map(RawValue::get)))
    }

    #[test]
    fn a_line_is_read_as_serde_json_reads_it() {
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
            assert_eq!(shown(read(line.as_bytes())), shown(serde_json::from_str(line)), "{line}");
        }
        let bad = b"{\"text\":\"\xff\"}";
        assert!(read::<Wished<'_>>(bad).is_err());
    }

    #[test]
    fn a_line_that_is_cut_off_anywhere_is_found_out() {
        let line = r#"{"skip":{"x":["\\",{"y":"{é"}]},"text":"é€","raw":{"z":"\""},"last":[1]}"#;
        assert!(read::<Wished<'_>>(line.as_bytes()).is_ok());
        for end in 0..line.len() {
            assert!(read::<Wished<'_>>(&line.as_bytes()[..end]).is_err(), "{end}");
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
        assert!(read::<Wished<'_>>(line.as_bytes()).is_ok());
    }
}
