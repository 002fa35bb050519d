//! Where values stand in JSON text. The text has been validated before: what is found here is spans, not meanings, so
//! that everything that isn't edited keeps its bytes.

use std::borrow::Cow;
use std::ops::Range;

/// A value's place, without the space around it.
pub(super) type Span = Range<usize>;

/// One member of an object.
pub(super) struct Member<'t> {
    pub(super) name: Cow<'t, str>,
    pub(super) value: Span,
}

/// Where the text's own value begins.
pub(super) fn root(text: &str) -> usize {
    skip_space(text.as_bytes(), 0)
}

/// The whole value that begins at `start`.
pub(super) fn value(text: &str, start: usize) -> Option<Span> {
    Some(start..skip_value(text.as_bytes(), start)?)
}

/// The members of the object that begins at `start`; `None` where there is no object.
pub(super) fn members(text: &str, start: usize) -> Option<impl Iterator<Item = Member<'_>>> {
    let bytes = text.as_bytes();
    let mut at = opened(bytes, start, b'{')?;
    Some(std::iter::from_fn(move || {
        let name_start = next_item(bytes, at)?;
        let name_end = skip_string(bytes, name_start)?;
        let colon = skip_space(bytes, name_end);
        let start = skip_space(bytes, colon + 1);
        let end = skip_value(bytes, start)?;
        at = end;
        Some(Member { name: string(text.get(name_start..name_end)?)?, value: start..end })
    }))
}

/// The elements of the array that begins at `start`; `None` where there is no array.
pub(super) fn elements(text: &str, start: usize) -> Option<impl Iterator<Item = Span>> {
    let bytes = text.as_bytes();
    let mut at = opened(bytes, start, b'[')?;
    Some(std::iter::from_fn(move || {
        let start = next_item(bytes, at)?;
        let end = skip_value(bytes, start)?;
        at = end;
        Some(start..end)
    }))
}

/// The value of a member; of several with one name the last, as JavaScript reads it.
pub(super) fn member(text: &str, start: usize, name: &str) -> Option<Span> {
    members(text, start)?.filter(|member| member.name == name).last().map(|member| member.value)
}

/// The value of a JSON string (quotes included), number or truth value as text; `None` for the rest.
pub(super) fn scalar(json: &str) -> Option<Cow<'_, str>> {
    match json.as_bytes().first()? {
        b'"' => string(json),
        b'{' | b'[' | b'n' => None,
        _ => Some(Cow::Borrowed(json)),
    }
}

/// A JSON string's text.
fn string(json: &str) -> Option<Cow<'_, str>> {
    let inner = json.get(1..json.len().checked_sub(1)?)?;
    if inner.contains('\\') {
        // A lone surrogate is valid JSON and no text: the name is then its own spelling, which nothing asks for.
        Some(serde_json::from_str::<String>(json).map_or(Cow::Borrowed(inner), Cow::Owned))
    } else {
        Some(Cow::Borrowed(inner))
    }
}

fn opened(bytes: &[u8], start: usize, bracket: u8) -> Option<usize> {
    (*bytes.get(start)? == bracket).then_some(start + 1)
}

/// From behind a bracket or an item to the start of the next item.
fn next_item(bytes: &[u8], at: usize) -> Option<usize> {
    let mut at = skip_space(bytes, at);
    if *bytes.get(at)? == b',' {
        at = skip_space(bytes, at + 1);
    }
    (!matches!(bytes.get(at)?, b']' | b'}')).then_some(at)
}

pub(super) fn skip_space(bytes: &[u8], at: usize) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    at + rest.iter().position(|b| !matches!(b, b' ' | b'\t' | b'\n' | b'\r')).unwrap_or(rest.len())
}

/// The end of the value that starts at `at`. Without recursion: nesting costs nothing here.
fn skip_value(bytes: &[u8], at: usize) -> Option<usize> {
    match bytes.get(at)? {
        b'"' => skip_string(bytes, at),
        b'{' | b'[' => {
            let mut depth = 0usize;
            let mut at = at;
            loop {
                match bytes.get(at)? {
                    b'"' => {
                        at = skip_string(bytes, at)?;
                        continue;
                    }
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' => depth = depth.checked_sub(1)?,
                    _ => {}
                }
                at += 1;
                if depth == 0 {
                    return Some(at);
                }
            }
        }
        _ => {
            let rest = bytes.get(at..)?;
            let ends = |b: &u8| matches!(b, b',' | b']' | b'}' | b' ' | b'\t' | b'\n' | b'\r');
            Some(at + rest.iter().position(ends).unwrap_or(rest.len()))
        }
    }
}

fn skip_string(bytes: &[u8], at: usize) -> Option<usize> {
    let mut at = at + 1;
    loop {
        let found = at + memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes.get(found) == Some(&b'"') {
            return Some(found + 1);
        }
        at = found + 2;
    }
}
