//! The members of a line's object: most of a line's bytes are looked at once, for where a value ends.
//!
//! A report reads a dozen of a line's forty members. `serde_json` checks every byte of the others, too, which is most of its work. Here
//! they are passed over: strings by their quotes, objects and lists by their brackets. A line that is cut off is still found out. What is
//! read is read by `serde_json` ([`read`]), or handed on as it is written ([`spans`]).

mod quotes;
mod typed;

use std::ops::Range;

use serde::de;
use serde_json::Error;

use quotes::Quotes;
pub use typed::{Raw, read, text, whole};

/// What the last line of a log leaves for the next one.
#[derive(Debug, Default)]
pub struct Layout {
    /// The keys of the last line, in their order: those of the next line are most likely the same, so that one comparison finds each.
    keys: Vec<Key>,
    /// Room for the quotes of a line.
    quotes: Quotes,
}

/// Keys beyond are looked for anew in each line.
const MOST_KEYS: usize = 256;

#[derive(Debug)]
struct Key {
    /// With the comma before it, its quotes, and the colon behind it.
    text: Box<[u8]>,
    /// The first eight bytes, and which of them count.
    head: u64,
    mask: u64,
    /// The last eight bytes of a longer one.
    tail: u64,
    /// Its place among the fields that are wanted.
    field: Option<u64>,
}

impl Key {
    fn new(text: &[u8], field: Option<u64>) -> Self {
        let mut head = [0; 8];
        head.iter_mut().zip(text).for_each(|(head, byte)| *head = *byte);
        let short = u32::try_from(8_usize.saturating_sub(text.len())).unwrap_or_default();
        Self {
            text: text.into(),
            head: u64::from_le_bytes(head),
            mask: u64::MAX >> (8 * short),
            tail: text.last_chunk().map_or(0, |tail| u64::from_le_bytes(*tail)),
            field,
        }
    }

    /// Whether a text begins with it. Most keys are two words or less, which are compared at once.
    #[inline]
    fn begins(&self, text: &[u8]) -> bool {
        let word = |chunk: Option<&[u8; 8]>| chunk.map(|chunk| u64::from_le_bytes(*chunk));
        let Some(head) = word(text.first_chunk()) else { return text.starts_with(&self.text) };
        if head & self.mask != self.head {
            return false;
        }
        match self.text.len() {
            0..=8 => true,
            length @ 9..=16 => word(text.get(length - 8..).and_then(<[u8]>::first_chunk)) == Some(self.tail),
            _ => text.starts_with(&self.text),
        }
    }
}

/// Where the values of `fields` stand in a line's object, each as it is written; one that is absent is empty. `layout` is that of the last
/// line that was read for these fields.
///
/// # Errors
///
/// It is no object, it is cut off, or it names one of these members twice.
pub fn spans<'l, const N: usize>(
    line: &'l [u8],
    fields: &'static [&'static str; N],
    layout: &mut Layout,
) -> Result<[&'l str; N], Error> {
    let Layout { keys, quotes } = layout;
    let text = quotes.of(line.trim_ascii()).ok_or_else(|| expected("a text without control characters"))?;
    let mut members = Members::new(text, fields, quotes, Some(keys))?;
    let mut found = [""; N];
    while let Some(field) = members.next_wanted()? {
        let value = text.get(members.value.clone()).unwrap_or_default();
        let place = usize::try_from(field).ok().and_then(|field| found.get_mut(field)).filter(|place| place.is_empty());
        *place.ok_or_else(|| expected("each member once"))? = value;
    }
    members.end()?;
    Ok(found)
}

fn expected(what: &str) -> Error {
    de::Error::custom(format_args!("expected {what}, but found something else"))
}

struct Members<'y, 'l> {
    text: &'l str,
    /// How far it was read.
    at: usize,
    /// Those that are wanted.
    fields: &'static [&'static str],
    /// Where the value stands of the key that was read.
    value: Range<usize>,
    quotes: &'y Quotes,
    /// Those of the last line, where there was one.
    keys: Option<&'y mut Vec<Key>>,
    place: usize,
}

impl<'y, 'l> Members<'y, 'l> {
    /// `quotes` are those of this text.
    fn new(
        text: &'l str,
        fields: &'static [&'static str],
        quotes: &'y Quotes,
        keys: Option<&'y mut Vec<Key>>,
    ) -> Result<Self, Error> {
        if !text.starts_with('{') {
            return Err(expected("an object"));
        }
        let at = past_spaces(text.as_bytes(), 1);
        Ok(Self { text, at, fields, value: 0..0, quotes, keys, place: 0 })
    }

    /// Goes on to the next member that is wanted, and says its place among the fields.
    #[inline]
    fn next_wanted(&mut self) -> Result<Option<u64>, Error> {
        while self.rest().first() != Some(&b'}') {
            let field = self.key()?;
            self.place += 1;
            let end = self.value_end().filter(|end| *end > self.at).ok_or_else(|| expected("a value"))?;
            self.value = self.at..end;
            self.at = past_spaces(self.text.as_bytes(), end);
            if field.is_some() {
                return Ok(field);
            }
        }
        Ok(None)
    }

    fn end(&self) -> Result<(), Error> {
        if self.rest() == b"}" { Ok(()) } else { Err(expected("the object's end")) }
    }

    #[inline]
    fn rest(&self) -> &'l [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    /// Reads the next key: its place among the fields, where it is wanted. A key with an escape in it is none of ours.
    #[inline]
    fn key(&mut self) -> Result<Option<u64>, Error> {
        let known = self.keys.as_ref().and_then(|keys| keys.get(self.place));
        if let Some(known) = known.filter(|known| known.begins(self.rest())) {
            self.at = past_spaces(self.text.as_bytes(), self.at + known.text.len());
            return Ok(known.field);
        }
        self.unknown_key()
    }

    /// Reads a key that isn't the last line's at this place.
    fn unknown_key(&mut self) -> Result<Option<u64>, Error> {
        let before = self.rest();
        if self.place > 0 {
            self.take(b',').ok_or_else(|| expected("a comma"))?;
        }
        let start = self.at + 1;
        let end = if self.rest().first() == Some(&b'"') { self.quotes.behind(self.at) } else { None };
        let end = end.ok_or_else(|| expected("a key"))?;
        let key = self.text.get(start..end - 1).ok_or_else(|| expected("a key"))?;
        self.at = past_spaces(self.text.as_bytes(), end);
        self.take(b':').ok_or_else(|| expected("a colon"))?;
        let field = self.fields.iter().zip(0..).find(|(field, _)| **field == key).map(|(_, place)| place);
        if let Some(keys) = self.keys.as_deref_mut() {
            let key = Key::new(before.get(..before.len() - (self.text.len() - self.at)).unwrap_or_default(), field);
            match keys.get_mut(self.place) {
                Some(known) => *known = key,
                None if self.place < MOST_KEYS => keys.push(key),
                None => {}
            }
        }
        Ok(field)
    }

    /// Takes a byte and the spaces behind it, where it stands here.
    fn take(&mut self, byte: u8) -> Option<()> {
        self.rest().first().filter(|found| **found == byte)?;
        self.at = past_spaces(self.text.as_bytes(), self.at + 1);
        Some(())
    }

    /// Where the value ends that begins here.
    #[inline]
    fn value_end(&self) -> Option<usize> {
        let text = self.text.as_bytes();
        match text.get(self.at)? {
            b'"' => self.quotes.behind(self.at),
            b'{' | b'[' => {
                let (mut depth, mut at) = (0_usize, self.at);
                loop {
                    match text.get(at)? {
                        b'"' => {
                            at = self.quotes.behind(at)?;
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
            _ => {
                let length = self.rest().iter().position(|byte| matches!(byte, b',' | b'}' | b']' | b' '));
                length.map(|length| self.at + length)
            }
        }
    }
}

/// Where the spaces end that begin here. There are no other white characters.
#[inline]
fn past_spaces(text: &[u8], mut at: usize) -> usize {
    while text.get(at) == Some(&b' ') {
        at += 1;
    }
    at
}
