//! JSON pointers (RFC 6901) into text.

use super::span::{self, Span};

/// A pointer, parsed: its reference tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pointer(Vec<String>);

impl Pointer {
    /// Parses `/a/b~1c/0`; the empty pointer is the whole document.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self(Vec::new()));
        }
        let tokens =
            text.strip_prefix('/').ok_or_else(|| format!("expected a JSON pointer like `/a/0`, but found `{text}`"))?;
        tokens
            .split('/')
            .map(unescape)
            .collect::<Option<Vec<String>>>()
            .map(Self)
            .ok_or_else(|| format!("expected `~0` or `~1` behind `~` in a JSON pointer, but found `{text}`"))
    }

    /// Where the value stands, if it is there.
    pub(super) fn find(&self, text: &str) -> Option<Span> {
        span::value(text, self.start(text)?)
    }

    /// Where the value begins, if it is there.
    pub(super) fn start(&self, text: &str) -> Option<usize> {
        walk(text, &self.0)
    }

    /// Where the value begins that holds the one pointed to, and the name or index of it there; `None` for the whole document.
    pub(super) fn parent(&self, text: &str) -> Option<(usize, &str)> {
        let (last, before) = self.0.split_last()?;
        Some((walk(text, before)?, last))
    }

    /// The name, where it points to a member of the document's own object.
    pub(super) fn member(&self) -> Option<&str> {
        match self.0.as_slice() {
            [name] => Some(name),
            _ => None,
        }
    }
}

fn unescape(token: &str) -> Option<String> {
    let mut out = String::with_capacity(token.len());
    let mut chars = token.chars();
    while let Some(c) = chars.next() {
        out.push(match c {
            '~' => match chars.next()? {
                '0' => '~',
                '1' => '/',
                _ => return None,
            },
            c => c,
        });
    }
    Some(out)
}

fn walk(text: &str, tokens: &[String]) -> Option<usize> {
    tokens.iter().try_fold(span::root(text), |at, token| step(text, at, token))
}

fn step(text: &str, at: usize, token: &str) -> Option<usize> {
    let found = match index(token) {
        Some(index) if text.as_bytes().get(at) == Some(&b'[') => span::elements(text, at)?.nth(index),
        _ => span::member(text, at, token),
    };
    found.map(|found| found.start)
}

/// An array index: digits without a leading zero.
pub(super) fn index(token: &str) -> Option<usize> {
    let is_index = token == "0" || (!token.starts_with('0') && token.bytes().all(|b| b.is_ascii_digit()));
    is_index.then(|| token.parse().ok()).flatten()
}
