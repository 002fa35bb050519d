//! The little of URLs that targeting and redirects need (WHATWG URL, "basic URL parser", for `http` and `https`).

use std::borrow::Cow;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

/// WHATWG URL, "path percent-encode set".
const PATH: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'^').add(b'`').add(b'{').add(b'}');
/// WHATWG URL, "special-query percent-encode set".
const QUERY: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'\'');
/// WHATWG URL, "fragment percent-encode set".
const FRAGMENT: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'`');
/// WHATWG URL, "application/x-www-form-urlencoded percent-encode set"; the space becomes a plus sign.
const FORM: &AsciiSet =
    &percent_encoding::NON_ALPHANUMERIC.remove(b'*').remove(b'-').remove(b'.').remove(b'_').remove(b' ');

/// An absolute URL in its normal form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Url {
    /// `https`
    scheme: String,
    /// Lower case, with the port unless it is the scheme's own.
    pub(super) host: String,
    /// Starts with a slash.
    pub(super) path: String,
    /// Without its `?`; `None` where there is no `?` either.
    query: Option<String>,
    /// Without its `#`.
    pub(super) fragment: Option<String>,
}

impl Url {
    /// Parses a URL. One that is relative to a host (`/path`, `?query`, `path`) gets `https` and `default_host`.
    pub(super) fn parse(text: &str, default_host: &str) -> Option<Self> {
        let text = text.trim();
        let (text, fragment) = cut(text, '#');
        let (text, query) = cut(text, '?');
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) if is_scheme(scheme) => (scheme.to_ascii_lowercase(), rest.to_owned()),
            _ => match text.strip_prefix("//") {
                Some(rest) => ("https".to_owned(), rest.to_owned()),
                None => ("https".to_owned(), format!("{default_host}/{}", text.strip_prefix('/').unwrap_or(text))),
            },
        };
        let (authority, path) = match rest.find('/') {
            Some(slash) => rest.split_at(slash),
            None => (rest.as_str(), "/"),
        };
        let host = authority.rsplit_once('@').map_or(authority, |(_credentials, host)| host).to_ascii_lowercase();
        let own_port = if scheme == "http" { ":80" } else { ":443" };
        let host = host.strip_suffix(own_port).unwrap_or(&host).to_owned();
        if host.is_empty() || host.contains([' ', '<', '>', '\\', '^', '|', '%']) {
            return None;
        }
        Some(Self {
            scheme,
            host,
            path: utf8_percent_encode(&without_dots(path), PATH).to_string(),
            query: query.map(|query| utf8_percent_encode(query, QUERY).to_string()),
            fragment: fragment.map(|fragment| utf8_percent_encode(fragment, FRAGMENT).to_string()),
        })
    }

    /// The whole of it (`href`).
    pub(super) fn to_text(&self) -> String {
        format!("{}://{}{}", self.scheme, self.host, self.to_text_without_origin())
    }

    /// Path, query and fragment.
    pub(super) fn to_text_without_origin(&self) -> String {
        let mut text = self.path.clone();
        for (mark, part) in [('?', &self.query), ('#', &self.fragment)] {
            if let Some(part) = part {
                text.push(mark);
                text.push_str(part);
            }
        }
        text
    }

    /// The query's parameters, decoded, in their order (`searchParams`).
    pub(super) fn parameters(&self) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
        let pairs = self.query.as_deref().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        pairs.map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        })
    }

    /// The first value of a parameter.
    pub(super) fn parameter(&self, name: &str) -> Option<Cow<'_, str>> {
        self.parameters().find(|(found, _)| found == name).map(|(_, value)| value)
    }

    /// Adds those parameters of another URL that this one lacks; of several with one name the first. The query is written anew if, and
    /// only if, something was added.
    pub(super) fn add_missing_parameters(&mut self, other: &Self) {
        let mut all: Vec<(Cow<'_, str>, Cow<'_, str>)> = self.parameters().collect();
        let own = all.len();
        for (name, value) in other.parameters() {
            if !all.iter().any(|(existing, _)| *existing == name) {
                all.push((name, value));
            }
        }
        if all.len() > own {
            let pairs = all.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value)));
            self.query = Some(pairs.collect::<Vec<_>>().join("&"));
        }
    }
}

fn cut(text: &str, mark: char) -> (&str, Option<&str>) {
    text.split_once(mark).map_or((text, None), |(text, rest)| (text, Some(rest)))
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
}

/// Resolves `.` and `..`.
fn without_dots(path: &str) -> Cow<'_, str> {
    if !path.contains("/.") && !path.contains("/%2") {
        return Cow::Borrowed(path);
    }
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let plain = segment.to_ascii_lowercase().replace("%2e", ".");
        let is_last = segments.peek().is_none();
        match plain.as_str() {
            "." | ".." => {
                if plain == ".." {
                    kept.pop();
                }
                if is_last {
                    kept.push("");
                }
            }
            _ => kept.push(segment),
        }
    }
    Cow::Owned(format!("/{}", kept.join("/")))
}

fn decode(text: &str) -> Cow<'_, str> {
    if !text.contains(['+', '%']) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned())
}

fn encode(text: &str) -> String {
    utf8_percent_encode(text, FORM).to_string().replace(' ', "+")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(text: &str) -> String {
        Url::parse(text, "host").unwrap().to_text()
    }

    #[test]
    fn urls_get_their_normal_form() {
        assert_eq!(normal("HTTP://Example.COM:80"), "http://example.com/");
        assert_eq!(normal("https://u:p@example.com:8443/a/./b/../c/.."), "https://example.com:8443/a/");
        assert_eq!(normal("/é x?q='1'#a b"), "https://host/%C3%A9%20x?q=%271%27#a%20b");
        assert_eq!(normal("https://h/%2e%2E/a"), "https://h/a");
        assert_eq!(normal("?a=1"), "https://host/?a=1");
        assert_eq!(Url::parse("https:///x", "host"), None);
    }

    #[test]
    fn only_missing_parameters_are_added() {
        let mut target = Url::parse("https://h/new?a=1&b=x%20y", "").unwrap();
        target.add_missing_parameters(&Url::parse("https://h/old?b=2&c=3&c=4&d=%26", "").unwrap());
        assert_eq!(target.to_text(), "https://h/new?a=1&b=x+y&c=3&d=%26");
        let mut target = Url::parse("https://h/new?b=x%20y", "").unwrap();
        target.add_missing_parameters(&Url::parse("https://h/old?b=2", "").unwrap());
        assert_eq!(target.to_text(), "https://h/new?b=x%20y");
    }
}
