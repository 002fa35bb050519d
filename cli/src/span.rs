//! From a JSON pointer (RFC 6901) to line and column: a small scanner over the text as it was written.
//!
//! A parser that keeps positions would have to replace the one that the edge uses; this only walks beside it.

/// Line and column of a place, both from 1, the column in characters, as editors count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Position {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
}

/// Where `pointer` leads in `text`: the value, or, for the last step of a pointer to a member, its key. Where it leads nowhere, the nearest
/// value above.
pub fn position(text: &str, pointer: &str) -> Position {
    let mut scanner = Scanner { bytes: text.as_bytes(), at: 0 };
    scanner.space();
    let mut found = scanner.at;
    for step in pointer.split('/').skip(1) {
        let step = step.replace("~1", "/").replace("~0", "~");
        match scanner.descend(&step) {
            Some(place) => found = place,
            None => break,
        }
    }
    at(text, found)
}

/// A member of an object, as it is written: where its key and its value start, and where the value ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// The byte of the key's quote.
    pub key: usize,
    /// The value's first byte.
    pub value: usize,
    /// The byte behind the value.
    pub end: usize,
}

/// The member (or the element: its key is its value then) that `pointer` leads to; `None` where it leads nowhere.
pub fn member(text: &str, pointer: &str) -> Option<Member> {
    let mut scanner = Scanner { bytes: text.as_bytes(), at: 0 };
    let mut key = 0;
    for step in pointer.split('/').skip(1) {
        key = scanner.descend(&step.replace("~1", "/").replace("~0", "~"))?;
    }
    scanner.space();
    let value = scanner.at;
    scanner.skip()?;
    Some(Member { key, value, end: scanner.at })
}

/// Line and column of a byte.
pub fn at(text: &str, offset: usize) -> Position {
    let mut end = offset.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let before = text.get(..end).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    Position { line, column }
}

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Scanner<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn space(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        self.space();
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Goes to the member or element `step` of the value here. Gives where its key, or its value, starts.
    fn descend(&mut self, step: &str) -> Option<usize> {
        self.space();
        if self.take(b'{') {
            let mut wanted = None;
            loop {
                self.space();
                let key_at = self.at;
                let key = self.string()?;
                self.take(b':').then_some(())?;
                self.space();
                let value_at = self.at;
                if key == step {
                    // The last of equal keys counts, as it does for the parser.
                    wanted = Some((key_at, value_at));
                }
                self.skip()?;
                if !self.take(b',') {
                    break;
                }
            }
            let (key, value) = wanted?;
            self.at = value;
            Some(key)
        } else if self.take(b'[') {
            for _ in 0..step.parse::<usize>().ok()? {
                self.skip()?;
                self.take(b',').then_some(())?;
            }
            self.space();
            (self.peek() != Some(b']')).then_some(self.at)
        } else {
            None
        }
    }

    /// A string, unescaped; the scanner stands behind it.
    fn string(&mut self) -> Option<String> {
        self.space();
        let start = self.at;
        (self.peek() == Some(b'"')).then_some(())?;
        self.at += 1;
        loop {
            match self.peek()? {
                b'\\' => self.at += 2,
                b'"' => {
                    self.at += 1;
                    return serde_json::from_slice(self.bytes.get(start..self.at)?).ok();
                }
                _ => self.at += 1,
            }
        }
    }

    /// Goes behind a value.
    fn skip(&mut self) -> Option<()> {
        self.space();
        let mut depth = 0_usize;
        loop {
            match self.peek()? {
                b'"' => {
                    self.string()?;
                }
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                }
                b'}' | b']' => {
                    depth = depth.checked_sub(1)?;
                    self.at += 1;
                }
                byte if depth == 0 && (byte == b',' || byte.is_ascii_whitespace()) => return Some(()),
                _ => {
                    self.at += 1;
                    if depth == 0 && self.peek().is_none_or(|next| matches!(next, b',' | b'}' | b']')) {
                        return Some(());
                    }
                    continue;
                }
            }
            if depth == 0 {
                return Some(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "{\n  \"routes\": [\n    { \"id\": \"a\", \"n\": -1.5e3 },\n    { \"id\": \"é]\\\"\",  \"a/b\": { \"c\": [[1], 2] } }\n  ]\n}";

    fn place(pointer: &str) -> (usize, usize) {
        let position = position(TEXT, pointer);
        (position.line, position.column)
    }

    #[test]
    fn a_pointer_leads_to_its_key() {
        assert_eq!(place(""), (1, 1));
        assert_eq!(place("/routes"), (2, 3));
        assert_eq!(place("/routes/0"), (3, 5));
        assert_eq!(place("/routes/0/n"), (3, 18));
        assert_eq!(place("/routes/1"), (4, 5));
        assert_eq!(place("/routes/1/a~1b"), (4, 22));
        assert_eq!(place("/routes/1/a~1b/c/1"), (4, 42));
    }

    #[test]
    fn a_pointer_to_nothing_leads_to_what_is_above_it() {
        assert_eq!(place("/routes/0/backend"), (3, 5));
        assert_eq!(place("/routes/7"), (2, 3));
        assert_eq!(place("/nowhere/0"), (1, 1));
    }

    #[test]
    fn a_member_ends_where_its_value_ends() {
        let of = |pointer: &str| member(TEXT, pointer).and_then(|found| TEXT.get(found.key..found.end));
        assert_eq!(of("/routes/0/n"), Some("\"n\": -1.5e3"));
        assert_eq!(of("/routes/1/a~1b"), Some("\"a/b\": { \"c\": [[1], 2] }"));
        assert_eq!(of("/routes/1/a~1b/c/0"), Some("[1]"));
        assert_eq!(of("/routes/0/m"), None);
    }

    #[test]
    fn broken_json_never_panics() {
        for end in 0..TEXT.len() {
            if let Some(text) = TEXT.get(..end) {
                position(text, "/routes/1/a~1b/c/1");
                let _ = member(text, "/routes/1/a~1b/c/1");
            }
        }
    }
}
