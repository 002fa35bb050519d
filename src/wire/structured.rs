//! Lists of Structured Fields (RFC 9651 section 3.1) whose members are items: what an origin says by `Edge-Event`.
//!
//! Parsing is strict, as the specification asks: a field is read whole, or not at all.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;

/// Digits of the longest integer, and of the longest integer part and fraction of a decimal (sections 3.3.1 and 3.3.2).
const DIGITS: (usize, usize, usize) = (15, 12, 3);

/// A bare item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bare<'a> {
    /// An integer or a decimal, as it is written.
    Number(&'a str),
    /// A string.
    Text(Cow<'a, str>),
    /// A token.
    Token(&'a str),
    /// A boolean.
    Truth(bool),
    /// A date, a byte sequence or a display string: read, and of no use here.
    Other,
}

/// A bare item with its parameters, in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item<'a> {
    /// The item.
    pub value: Bare<'a>,
    /// The parameters. A name stands once: the last value of a name counts.
    pub parameters: Vec<(&'a str, Bare<'a>)>,
}

/// The members of a list. `None` where it isn't one, or where a member is an inner list.
#[must_use]
pub fn items(field: &str) -> Option<Vec<Item<'_>>> {
    let mut rest = Rest(field.trim_matches(' '));
    let mut items = Vec::new();
    if rest.0.is_empty() {
        return Some(items);
    }
    loop {
        items.push(rest.item()?);
        rest.0 = rest.0.trim_start_matches([' ', '\t']);
        if rest.0.is_empty() {
            return Some(items);
        }
        rest.0 = rest.0.strip_prefix(',')?.trim_start_matches([' ', '\t']);
        // A comma at the end is none of a list.
        if rest.0.is_empty() {
            return None;
        }
    }
}

/// What is still to be read.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    fn item(&mut self) -> Option<Item<'a>> {
        let value = self.bare()?;
        let mut parameters: Vec<(&str, Bare<'_>)> = Vec::new();
        while let Some(rest) = self.0.strip_prefix(';') {
            self.0 = rest.trim_start_matches(' ');
            let name = self.key()?;
            let value = match self.0.strip_prefix('=') {
                Some(rest) => {
                    self.0 = rest;
                    self.bare()?
                }
                None => Bare::Truth(true),
            };
            parameters.retain(|(known, _)| *known != name);
            parameters.push((name, value));
        }
        Some(Item { value, parameters })
    }

    /// The longest start of the rest whose characters all are `allowed`.
    fn take(&mut self, allowed: impl Fn(char) -> bool) -> &'a str {
        let end = self.0.find(|character| !allowed(character)).unwrap_or(self.0.len());
        let (taken, rest) = self.0.split_at(end);
        self.0 = rest;
        taken
    }

    fn key(&mut self) -> Option<&'a str> {
        let begins = self.0.starts_with(|first: char| first.is_ascii_lowercase() || first == '*');
        let is_in = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-' | '.' | '*');
        begins.then(|| self.take(is_in))
    }

    fn bare(&mut self) -> Option<Bare<'a>> {
        match self.0.chars().next()? {
            '-' | '0'..='9' => self.number().map(Bare::Number),
            '"' => self.text().map(Bare::Text),
            '*' | 'A'..='Z' | 'a'..='z' => Some(Bare::Token(self.take(is_in_token))),
            '?' => {
                let truth = self.0.strip_prefix("?1").map(|rest| (true, rest));
                let (truth, rest) = truth.or_else(|| self.0.strip_prefix("?0").map(|rest| (false, rest)))?;
                self.0 = rest;
                Some(Bare::Truth(truth))
            }
            '@' => {
                self.0 = self.0.strip_prefix('@')?;
                self.number().filter(|number| !number.contains('.')).map(|_| Bare::Other)
            }
            ':' => {
                let (bytes, rest) = self.0.strip_prefix(':')?.split_once(':')?;
                self.0 = rest;
                STANDARD.decode(bytes).ok().map(|_| Bare::Other)
            }
            '%' => {
                let (text, rest) = self.0.strip_prefix("%\"")?.split_once('"')?;
                self.0 = rest;
                is_display(text).then_some(Bare::Other)
            }
            _ => None,
        }
    }

    fn number(&mut self) -> Option<&'a str> {
        let all = self.0;
        self.0 = self.0.strip_prefix('-').unwrap_or(self.0);
        let digits = |c: char| c.is_ascii_digit();
        let whole = self.take(digits).len();
        let fits = match self.0.strip_prefix('.') {
            Some(rest) => {
                self.0 = rest;
                let fraction = self.take(digits).len();
                (1..=DIGITS.1).contains(&whole) && (1..=DIGITS.2).contains(&fraction)
            }
            None => (1..=DIGITS.0).contains(&whole),
        };
        all.get(..all.len() - self.0.len()).filter(|_| fits)
    }

    fn text(&mut self) -> Option<Cow<'a, str>> {
        let inner = self.0.strip_prefix('"')?;
        let mut escaped = false;
        let mut plain = String::new();
        for (at, character) in inner.char_indices() {
            match character {
                '"' if !escaped => {
                    self.0 = inner.get(at + 1..)?;
                    let as_it_is = inner.get(..at).filter(|text| !text.contains('\\'));
                    return Some(as_it_is.map_or(Cow::Owned(plain), Cow::Borrowed));
                }
                '\\' if !escaped => escaped = true,
                '"' | '\\' => {
                    escaped = false;
                    plain.push(character);
                }
                ' '..='~' if !escaped => plain.push(character),
                _ => return None,
            }
        }
        None
    }
}

fn is_in_token(character: char) -> bool {
    character.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~:/".contains(character)
}

/// Whether a text can stand in a display string (section 3.3.8): visible ASCII, other bytes as `%` and lower-case digits, UTF-8.
fn is_display(text: &str) -> bool {
    let escapes = text.split('%').skip(1);
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
        && escapes.into_iter().all(|escape| escape.as_bytes().get(..2).is_some_and(|two| two.iter().copied().all(hex)))
        && percent_decode_str(text).decode_utf8().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(field: &str) -> Option<String> {
        let item = |item: &Item<'_>| {
            let parameters: String = item.parameters.iter().map(|(name, value)| format!(";{name}={value:?}")).collect();
            format!("{:?}{parameters}", item.value)
        };
        items(field).map(|items| items.iter().map(item).collect::<Vec<_>>().join(" | "))
    }

    #[test]
    fn a_list_of_items_is_read() {
        for (field, expected) in [
            ("", ""),
            ("  order  ", r#"Token("order")"#),
            (
                r#"order;id="o1";value=59.90;currency="EUR""#,
                r#"Token("order");id=Text("o1");value=Number("59.90");currency=Text("EUR")"#,
            ),
            ("a;b;  c=?0 ,\t d", r#"Token("a");b=Truth(true);c=Truth(false) | Token("d")"#),
            ("a;x=1;y=2;x=-3", r#"Token("a");y=Number("2");x=Number("-3")"#),
            (r#""q\"u\\o, te", *t/o:k"#, r#"Text("q\"u\\o, te") | Token("*t/o:k")"#),
            (
                r#"@1700000000, :aGk=:, %"f%c3%bc", 999999999999999"#,
                r#"Other | Other | Other | Number("999999999999999")"#,
            ),
        ] {
            assert_eq!(printed(field).as_deref(), Some(expected), "{field}");
        }
    }

    #[test]
    fn what_is_no_list_is_not_read_in_parts() {
        for field in [
            "a,",
            ",a",
            "a,,b",
            "a b",
            "a;",
            "a;B=1",
            "a;b=",
            "(a b)",
            "a;b=(c)",
            "\"open",
            r#""a\n""#,
            "\"\u{e9}\"",
            "-",
            "1.",
            ".5",
            "1.2345",
            "1234567890123.1",
            "1000000000000000",
            "?2",
            "@1.5",
            ":a b:",
            "%\"%C3\"",
            "%\"%c3\"",
            "%\"%c",
            "=1",
            "a ;b",
            "é",
        ] {
            assert_eq!(printed(field), None, "{field}");
        }
    }

    #[test]
    fn a_field_that_is_cut_or_changed_anywhere_is_read_or_refused() {
        let whole = r#"order;id="o\"1";value=-59.90;a=?1, *t;b=@17;c=:aGk=:, "x";d=%"f%c3%bc""#;
        for at in 0..=whole.len() {
            let (before, after) = whole.split_at(at);
            for between in ["", "\"", "\\", ";", ",", "=", "%", ":", "é", " "] {
                let _ = items(&format!("{before}{between}{after}"));
            }
            let _ = items(before);
        }
        assert!(items(whole).is_some());
    }
}
