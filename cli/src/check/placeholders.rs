//! `{…}` placeholders of routes: what they may not choose, and what they leave empty.

use edge_personalizer::wire::url::AbsoluteUrl;
use serde_json::Value;

use super::Checked;
use super::compile::escape;

/// Values that every request has; any other may be absent.
const ALWAYS: [&str; 3] = ["region.id", "region.slug", "network"];

/// One `{name|default}`.
#[derive(Debug, PartialEq)]
struct Placeholder<'t> {
    /// The text before it, other placeholders included.
    before: &'t str,
    name: &'t str,
    default: Option<&'t str>,
}

impl Checked<'_> {
    /// Names redirects to wherever a placeholder says, and answers that a missing value leaves empty.
    pub(super) fn placeholders(&mut self) {
        for (index, route) in self.rules_of("routes", "routes").into_iter().enumerate() {
            let action = route.get("action").and_then(Value::as_str).unwrap_or("personalize");
            if let Some(location) = route.pointer("/redirect/location").and_then(Value::as_str)
                && let Some(first) = placeholders(location).first()
                && chooses_host(first.before)
            {
                let message = format!(
                    "expected scheme and host in plain text, but found '{{{}}}' in their place in '{location}': such a redirect leads to \
                     any site. Write '/path/{{…}}' or 'https://host/{{…}}'",
                    first.name
                );
                self.fault("routes", format!("/routes/{index}/redirect/location"), message);
            }
            if action != "respond" {
                continue;
            }
            let body = ["/respond/body", "/respond/body/kv"];
            let body = body.into_iter().filter_map(|pointer| Some((pointer.to_owned(), route.pointer(pointer)?)));
            let headers = route.pointer("/respond/headers").and_then(Value::as_object).into_iter().flatten();
            let headers = headers.map(|(name, text)| (format!("/respond/headers/{}", escape(name)), text));
            for (below, text) in body.chain(headers) {
                let text = text.as_str().unwrap_or_default();
                let without =
                    if below.ends_with("/body/kv") { "the origin is asked" } else { "the whole text is empty" };
                let absent = |one: &&Placeholder<'_>| {
                    one.default.is_none() && !ALWAYS.contains(&one.name) && !one.name.starts_with("path.")
                };
                if let Some(Placeholder { name, .. }) = placeholders(text).iter().find(absent) {
                    let message = format!(
                        "expected a default for a value that can be absent, but found '{{{name}}}': without the value {without}. \
                         Write '{{{name}|…}}'"
                    );
                    self.warn("routes", format!("/routes/{index}{below}"), message);
                }
            }
        }
    }
}

/// Whether what follows `before` still belongs to a URL's scheme or host.
fn chooses_host(before: &str) -> bool {
    if let Some(url) = AbsoluteUrl::split(before) {
        return url.rest.is_empty();
    }
    // Without a scheme it is a path of its own, or a relative one; a name alone could still become a scheme.
    let rest = before.strip_prefix("//").or_else(|| before.strip_prefix("/\\")).unwrap_or(before);
    !rest.contains(['/', '?', '#'])
}

/// The placeholders of a text; doubled braces stand for themselves.
fn placeholders(text: &str) -> Vec<Placeholder<'_>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(open) = text.get(at..).and_then(|rest| rest.find('{')).map(|open| at + open) {
        let inner = text.get(open + 1..).unwrap_or_default();
        if inner.starts_with('{') {
            at = open + 2;
            continue;
        }
        let Some(end) = inner.find('}') else { break };
        let (name, default) = match inner.get(..end).unwrap_or_default().split_once('|') {
            Some((name, default)) => (name, Some(default)),
            None => (inner.get(..end).unwrap_or_default(), None),
        };
        found.push(Placeholder { before: text.get(..open).unwrap_or_default(), name: name.trim(), default });
        at = open + 1 + end + 1;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_found_with_their_defaults() {
        let found = placeholders("{{a}} {country|none}/{ path.x }");
        let names: Vec<_> = found.iter().map(|one| (one.name, one.default)).collect();
        assert_eq!(names, [("country", Some("none")), ("path.x", None)]);
    }

    #[test]
    fn a_host_ends_at_the_first_slash() {
        for open in ["", "https://", "https://example.com", "//", "//example.com", "java", "/\\"] {
            assert!(chooses_host(open), "{open:?}");
        }
        for closed in ["/", "/a/", "https://example.com/", "https://example.com?x=", "a/", "?to=", "/go?to=https://"] {
            assert!(!chooses_host(closed), "{closed:?}");
        }
    }
}
