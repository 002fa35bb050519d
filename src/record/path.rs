//! A path as a log line may show it: what is known to be a secret or a person's is left out, whatever the route.
//!
//! The rest of the path is shown, with what `{name}` and `*` stand for: without it nobody could ask why a visitor got that page. A path whose
//! shape gives nothing away (`/reset/anna`) is for the site to name.

use std::borrow::Cow;

/// What stands in place of what is left out.
const REDACTED: &str = "redacted";
/// Fewer characters are a product's number or a word.
const SHORTEST_TOKEN: usize = 16;
/// Borders between digit and letter from which on a text looks random: a UUID has some 15, 22 characters in base 62 some 6.
const RANDOM: usize = 4;
/// Digits from which on a number may be a telephone's, a card's or a customer's.
const LONGEST_NUMBER: usize = 9;

/// The path without parameters of segments (`;jsessionid=…`), and without segments that hold an address (`@`), look like a token or are a
/// long number.
#[must_use]
pub fn shown(path: &str) -> Cow<'_, str> {
    if path.split('/').all(|segment| parameters(segment).is_none() && !is_told(segment)) {
        return Cow::Borrowed(path);
    }
    let segments = path.split('/').map(|segment| {
        let at = parameters(segment);
        let name = at.and_then(|at| segment.get(..at)).unwrap_or(segment);
        let name = if is_told(name) { REDACTED } else { name };
        if at.is_some() { Cow::Owned(format!("{name};{REDACTED}")) } else { Cow::Borrowed(name) }
    });
    Cow::Owned(segments.collect::<Vec<_>>().join("/"))
}

/// Where a segment's parameters begin (RFC 3986 section 3.3), plainly or encoded.
fn parameters(segment: &str) -> Option<usize> {
    segment.find(';').into_iter().chain(find_encoded(segment, b"%3b")).min()
}

/// Whether a segment tells who somebody is, or opens what is somebody's.
fn is_told(segment: &str) -> bool {
    segment.contains('@') || find_encoded(segment, b"%40").is_some() || is_token(segment)
}

fn find_encoded(text: &str, encoded: &[u8]) -> Option<usize> {
    text.as_bytes().windows(encoded.len()).position(|window| window.eq_ignore_ascii_case(encoded))
}

fn is_token(segment: &str) -> bool {
    let bytes = segment.as_bytes();
    if bytes.len() >= LONGEST_NUMBER && bytes.iter().all(u8::is_ascii_digit) {
        return true;
    }
    let border = |pair: &[u8]| match pair {
        [one, other] => {
            (one.is_ascii_digit() && other.is_ascii_alphabetic())
                || (one.is_ascii_alphabetic() && other.is_ascii_digit())
        }
        _ => false,
    };
    bytes.len() >= SHORTEST_TOKEN && bytes.windows(2).filter(|pair| border(pair)).count() >= RANDOM
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_to_be_a_secret_or_a_persons_is_left_out() {
        for (path, expected) in [
            ("/cart;jsessionid=0A1B2C/items", "/cart;redacted/items"),
            ("/cart%3Bjsessionid=0A1B2C", "/cart;redacted"),
            ("/a;x;y=z/b;", "/a;redacted/b;redacted"),
            ("/users/anna@shop.example/orders", "/users/redacted/orders"),
            ("/users/anna%40shop.example;v=1", "/users/redacted;redacted"),
            ("/reset/4f9c0d7be81a4f9c0d7be81a4f9c0d7b", "/reset/redacted"),
            ("/o/550e8400-e29b-41d4-a716-446655440000", "/o/redacted"),
            ("/call/00493012345678", "/call/redacted"),
            ("/t/eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0", "/t/redacted"),
        ] {
            assert_eq!(shown(path), expected);
            assert_eq!(shown(&shown(path)), expected, "once more changes nothing");
        }
    }

    #[test]
    fn an_ordinary_path_is_shown_as_it_is() {
        for path in [
            "/",
            "//",
            "",
            "/products/P0001",
            "/sale/summer-dress-2026-blue-xl",
            "/img/a%2Fb.jpg",
            "/p/12345678",
            "/%zz",
            "/caf\u{e9}",
        ] {
            assert!(matches!(shown(path), Cow::Borrowed(same) if same == path), "{path}");
        }
    }
}
