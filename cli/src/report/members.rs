//! The members of a line's object, each read only where somebody wants it: most of a line's bytes are looked at once, for where a value
//! ends.
//!
//! A report reads a dozen of a line's forty members. `serde_json` checks every byte of the others, too, which is most of its work. Here
//! they are passed over: strings by their quotes, objects and lists by their brackets. A line that is cut off is still found out. What is
//! read is read by `serde_json`.

use memchr::memchr2;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::Error;

/// Bytes of a string that are looked at one by one.
const SHORT: usize = 24;

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
        let key = self.take(value_end(self.rest))?;
        let inner = key.strip_prefix(b"\"").and_then(|key| key.strip_suffix(b"\"")).ok_or_else(|| expected("a key"))?;
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

/// Where the string ends that begins with this quote.
fn string_end(text: &[u8]) -> Option<usize> {
    // Most are short: to ask for help costs more than to look.
    for (at, byte) in text.iter().enumerate().skip(1).take(SHORT) {
        match byte {
            b'"' => return Some(at + 1),
            b'\\' => return long_end(text, at),
            _ => {}
        }
    }
    long_end(text, SHORT + 1)
}

/// The same, from byte `at` on, which is in it.
fn long_end(text: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let rest = text.get(at..)?;
        let found = memchr2(b'"', b'\\', rest)?;
        if rest.get(found) == Some(&b'"') {
            return Some(at + found + 1);
        }
        at += found + 2;
    }
}

/// A value that `serde_json` reads, where somebody wants it.
struct Wanted<'l>(&'l [u8]);

macro_rules! by_serde_json {
    ($($name:ident($($argument:ident: $type:ty),*);)*) => { $(
        fn $name<V: Visitor<'l>>(self, $($argument: $type,)* visitor: V) -> Result<V::Value, Error> {
            serde_json::Deserializer::from_slice(self.0).$name($($argument,)* visitor)
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
            [b'"', text @ .., b'"'] if !text.iter().any(|byte| *byte == b'\\' || byte.is_ascii_control()) => {
                visitor.visit_borrowed_str(std::str::from_utf8(text).map_err(de::Error::custom)?)
            }
            _ => serde_json::Deserializer::from_slice(self.0).deserialize_str(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'l>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.0 == b"null" { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    by_serde_json! {
        deserialize_any();
        deserialize_bool();
        deserialize_i8();
        deserialize_i16();
        deserialize_i32();
        deserialize_i64();
        deserialize_u8();
        deserialize_u16();
        deserialize_u32();
        deserialize_u64();
        deserialize_f32();
        deserialize_f64();
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
        #[serde(default)]
        list: Vec<u8>,
        #[serde(default)]
        yes: bool,
    }

    fn shown(read: Result<Wished<'_>, Error>) -> Option<String> {
        let Wished { text, maybe, raw, number, list, yes } = read.ok()?;
        Some(format!("{text:?} {maybe:?} {:?} {number:?} {list:?} {yes}", raw.map(RawValue::get)))
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
    fn what_nobody_wants_is_not_looked_into() {
        let line = r#"{"text":"a","skip":[tru, 1.2.3, {:}]}"#;
        assert!(serde_json::from_str::<Value>(line).is_err());
        assert!(read::<Wished<'_>>(line.as_bytes()).is_ok());
    }
}
