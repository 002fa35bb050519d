//! URLs taken apart and put together byte for byte. The crate `url` (URL Standard) and `http::Uri` encode or refuse what they don't
//! like; what a client or a rule wrote goes on as it was written.

/// The parts of an absolute URL, as they are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AbsoluteUrl<'u> {
    /// `https`.
    pub scheme: &'u str,
    /// Host and port, and credentials where there are some; may be empty.
    pub authority: &'u str,
    /// What follows: path, query and fragment; may be empty.
    pub rest: &'u str,
}

impl<'u> AbsoluteUrl<'u> {
    /// The parts of `url`; `None` where it isn't absolute (RFC 3986 section 3: a scheme, then `://`).
    #[must_use]
    pub fn split(url: &'u str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let in_scheme = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
        if !scheme.starts_with(|first: char| first.is_ascii_alphabetic()) || !scheme.bytes().all(in_scheme) {
            return None;
        }
        let (authority, rest) = rest.split_at_checked(rest.find(['/', '?', '#']).unwrap_or(rest.len()))?;
        Some(Self { scheme, authority, rest })
    }

    /// Path and query. No path is the root's.
    #[must_use]
    pub fn path_and_query(&self) -> (&'u str, Option<&'u str>) {
        let (path, query) = path_and_query(self.rest);
        (if path.is_empty() { "/" } else { path }, query)
    }

    /// Whether it is on `authority`, whatever the case of the letters.
    #[must_use]
    pub fn is_on(&self, authority: &str) -> bool {
        self.authority.eq_ignore_ascii_case(authority)
    }
}

/// Path and query of a URL's end (`/path?query#fragment`), without the fragment.
#[must_use]
pub fn path_and_query(rest: &str) -> (&str, Option<&str>) {
    let rest = rest.split('#').next().unwrap_or_default();
    rest.split_once('?').map_or((rest, None), |(path, query)| (path, Some(query)))
}

/// The URL of these parts.
#[must_use]
pub fn join(scheme: &str, authority: &str, path: &str, query: Option<&str>) -> String {
    let length = scheme.len() + 3 + authority.len() + path.len() + query.map_or(0, |query| 1 + query.len());
    let mut url = String::with_capacity(length);
    for part in [scheme, "://", authority, path] {
        url.push_str(part);
    }
    if let Some(query) = query {
        url.push('?');
        url.push_str(query);
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    type Parts<'u> = (&'u str, &'u str, &'u str, Option<&'u str>);

    fn parts(url: &str) -> Option<Parts<'_>> {
        let url = AbsoluteUrl::split(url)?;
        let (path, query) = url.path_and_query();
        Some((url.scheme, url.authority, path, query))
    }

    #[test]
    fn a_url_comes_apart_and_no_byte_of_it_changes() {
        assert_eq!(parts("https://Shop.example:8080"), Some(("https", "Shop.example:8080", "/", None)));
        assert_eq!(parts("https://a?q=/%zz|ü"), Some(("https", "a", "/", Some("q=/%zz|ü"))));
        assert_eq!(parts("https://[::1]:80/a%2Fb/../c?#f?g"), Some(("https", "[::1]:80", "/a%2Fb/../c", Some(""))));
        assert_eq!(parts("https://a#b/c?d"), Some(("https", "a", "/", None)));
        assert_eq!(parts("https:///path"), Some(("https", "", "/path", None)));
        assert_eq!(parts("https://a/?to=https://b/c"), Some(("https", "a", "/", Some("to=https://b/c"))));
    }

    #[test]
    fn what_has_no_scheme_is_not_absolute() {
        for url in ["", "/a", "//a/b", "a", "://a", "/go?to=https://a", "1a://b", "é://b", "javascript:x"] {
            assert_eq!(parts(url), None, "{url}");
        }
    }

    #[test]
    fn what_was_taken_apart_is_put_together_again() {
        for url in ["https://a/", "http://a:1/b?", "https://a/b?c=%zz&d|e?f"] {
            let (scheme, authority, path, query) = parts(url).unwrap();
            assert_eq!(join(scheme, authority, path, query), url);
        }
    }
}
