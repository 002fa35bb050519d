//! Client hints: what a browser says of itself when asked (the Client Hints infrastructure, User-Agent Client Hints,
//! Network Information and responsive-image drafts). Values are Structured Fields (RFC 9651) in the newer ones, bare
//! numbers in the older ones. A hint that doesn't parse is one that wasn't sent.

use http::{HeaderMap, HeaderName};

/// The value of a hint that comes on one line; several lines are malformed.
pub(crate) fn value(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    let mut lines = headers.get_all(name).iter();
    let line = lines.next()?.to_str().ok()?.trim();
    (lines.next().is_none() && !line.is_empty()).then_some(line)
}

/// A Structured Fields boolean: `?1`.
pub(crate) fn boolean(headers: &HeaderMap, name: HeaderName) -> Option<bool> {
    match value(headers, name)? {
        "?1" => Some(true),
        "?0" => Some(false),
        _ => None,
    }
}

/// A non-negative number: digits, and a fraction where there is one.
pub(crate) fn number(headers: &HeaderMap, name: HeaderName) -> Option<f64> {
    let text = value(headers, name)?;
    let is_number = text.len() <= 16
        && text.bytes().all(|b| b.is_ascii_digit() || b == b'.')
        && text.starts_with(|c: char| c.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

/// A Structured Fields string: `"Windows"`; escapes aren't used in any hint read here.
pub(crate) fn string(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    let inner = value(headers, name)?.strip_prefix('"')?.strip_suffix('"')?;
    (!inner.contains(['"', '\\'])).then_some(inner)
}

/// The strings of a list like `"Chromium";v="124", "Not.A/Brand";v="8"`, without their parameters.
pub(crate) fn strings(headers: &HeaderMap, name: HeaderName) -> Vec<&str> {
    let mut rest = value(headers, name).unwrap_or_default();
    let mut found = Vec::new();
    // Brands may hold commas and semicolons on purpose ("greased"): quotes decide.
    while let Some(after) = rest.trim_start().strip_prefix('"') {
        let Some((inner, after)) = after.split_once('"') else { break };
        found.push(inner);
        rest = next_member(after);
    }
    found
}

/// From behind a string to behind the comma that ends its parameters.
fn next_member(text: &str) -> &str {
    let mut quoted = false;
    let comma = text.char_indices().find(|(_, c)| {
        quoted ^= *c == '"';
        *c == ',' && !quoted
    });
    comma.and_then(|(at, _)| text.get(at + 1..)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    const X: HeaderName = HeaderName::from_static("x");

    fn hint(line: &str) -> HeaderMap {
        HeaderMap::from_iter([(X, HeaderValue::from_str(line).unwrap())])
    }

    #[test]
    fn malformed_hints_are_no_hints() {
        assert_eq!(boolean(&hint("?1"), X), Some(true));
        assert_eq!(boolean(&hint("1"), X), None);
        assert_eq!(number(&hint("1.5"), X), Some(1.5));
        for line in ["-1", "1e9", "NaN", "inf", ".5", "1,2", "1.2.3", "99999999999999999", ""] {
            assert_eq!(number(&hint(line), X), None, "{line}");
        }
        assert_eq!(string(&hint("\"Windows\""), X), Some("Windows"));
        assert_eq!(string(&hint("Windows"), X), None);
        let mut twice = hint("1");
        twice.append(X, HeaderValue::from_static("2"));
        assert_eq!(number(&twice, X), None);
    }

    #[test]
    fn brands_may_hold_anything() {
        assert_eq!(
            strings(&hint(r#""Not:A,Brand;x";v="8,0", "Chromium";v="124" , "Opera""#), X),
            ["Not:A,Brand;x", "Chromium", "Opera"]
        );
        assert!(strings(&hint("Chromium"), X).is_empty());
    }
}
