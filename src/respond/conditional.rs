//! Conditional requests on shared routes. The canonical request carries no `If-None-Match` (it would be in the key), so the edge
//! compares by itself.

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

/// Whether the client has this answer already (RFC 9110 section 13.1.2): a 304 without a body says so.
pub fn is_not_modified(method: &Method, request: &HeaderMap, status: StatusCode, response: &HeaderMap) -> bool {
    if status != StatusCode::OK || !matches!(*method, Method::GET | Method::HEAD) {
        return false;
    }
    let Some(tag) = response.get(header::ETAG).and_then(opaque) else {
        return false;
    };
    names(request, tag)
}

/// Whether the client says that it has the version `tag`.
#[must_use]
pub fn has(request: &HeaderMap, tag: &HeaderValue) -> bool {
    opaque(tag).is_some_and(|tag| names(request, tag))
}

fn names(request: &HeaderMap, tag: &[u8]) -> bool {
    request.get_all(header::IF_NONE_MATCH).iter().any(|line| {
        let bytes = line.as_bytes().trim_ascii();
        bytes == b"*" || tags(bytes).any(|candidate| candidate == tag)
    })
}

/// The opaque tag, quotes included, weak or not: `If-None-Match` compares weakly.
fn opaque(value: &HeaderValue) -> Option<&[u8]> {
    let bytes = value.as_bytes().trim_ascii();
    let tag = bytes.strip_prefix(b"W/").unwrap_or(bytes);
    (tag.len() >= 2 && tag.starts_with(b"\"") && tag.ends_with(b"\"")).then_some(tag)
}

/// The opaque tags of a list. A comma may stand within quotes.
fn tags(mut list: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let start = list.iter().position(|byte| *byte == b'"')?;
        let length = list.get(start + 1..)?.iter().position(|byte| *byte == b'"')? + 2;
        let tag = list.get(start..start + length)?;
        list = list.get(start + length..).unwrap_or_default();
        Some(tag)
    })
}

/// Makes the head of a 200 that of a 304 (RFC 9110 section 15.4.5): what describes the body goes.
pub fn to_not_modified(headers: &mut HeaderMap) {
    for name in [header::CONTENT_LENGTH, header::CONTENT_TYPE, header::CONTENT_ENCODING, header::CONTENT_RANGE] {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn not_modified(if_none_match: &'static str, etag: &'static str) -> bool {
        let one = |name, value: &'static str| HeaderMap::from_iter([(name, HeaderValue::from_static(value))]);
        is_not_modified(
            &Method::GET,
            &one(header::IF_NONE_MATCH, if_none_match),
            StatusCode::OK,
            &one(header::ETAG, etag),
        )
    }

    #[test]
    fn tags_compare_weakly() {
        assert!(not_modified(r#"W/"a""#, r#""a""#));
        assert!(not_modified(r#""b", "a""#, r#"W/"a""#));
        assert!(not_modified(r#""x,y""#, r#""x,y""#));
        assert!(not_modified("*", r#""a""#));
        assert!(!not_modified(r#""b""#, r#""a""#));
        assert!(!not_modified("a", r#""a""#));
        assert!(!not_modified(r#""a"#, r#""a""#));
    }
}
