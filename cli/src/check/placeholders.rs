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

/// The texts of a route that people write placeholders into.
fn written(route: &Value) -> Vec<(String, &str)> {
    const ALONE: [&str; 4] = ["/path", "/rewrite/path", "/fallback/path", "/redirect/location"];
    const BY_NAME: [&str; 2] = ["/rewrite/set_query", "/request_headers/set"];
    let alone = ALONE.into_iter().filter_map(|at| Some((at.to_owned(), route.pointer(at)?.as_str()?)));
    let by_name = BY_NAME.into_iter().flat_map(|at| {
        let members = route.pointer(at).and_then(Value::as_object).into_iter().flatten();
        members.filter_map(move |(name, text)| Some((format!("{at}/{}", escape(name)), text.as_str()?)))
    });
    alone.chain(by_name).collect()
}

/// What a text says in the language of another tool, or where none is spoken.
fn other_language(at: &str, text: &str) -> Option<String> {
    if at == "/path" {
        let segment = text.split('/').find_map(|segment| segment.strip_prefix(':')).filter(|name| !name.is_empty())?;
        return Some(format!(
            "expected a placeholder such as '{{{segment}}}', but found ':{segment}', which is taken as it stands"
        ));
    }
    if at == "/fallback/path" {
        return text.contains('{').then(|| {
            format!("expected a path without placeholders, but found '{text}', which is asked for as it stands")
        });
    }
    let doubled = text.find("{{").and_then(|start| Some((start + 2, start + text.get(start..)?.find("}}")?)));
    let dollar = text.find("${").and_then(|start| Some((start + 2, start + text.get(start..)?.find('}')?)));
    let (start, end) = doubled.or(dollar)?;
    let name = text.get(start..end)?.trim();
    // Whoever writes JSON means braces.
    let is_name = |char: char| char.is_ascii_alphanumeric() || "._|-".contains(char);
    if !name.starts_with(|char: char| char.is_ascii_lowercase()) || !name.chars().all(is_name) {
        return None;
    }
    Some(match doubled {
        Some(_) => format!(
            "expected '{{{name}}}', but found two braces around it in '{text}': they stand for braces, and nothing is filled in"
        ),
        None => {
            format!("expected '{{{name}}}', but found a dollar sign in front of it in '{text}': the sign is sent, too")
        }
    })
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
            for (below, text) in written(route) {
                if let Some(message) = other_language(&below, text) {
                    self.warn("routes", format!("/routes/{index}{below}"), message);
                }
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
    fn what_another_tool_would_fill_in_is_told() {
        for (at, text) in [
            ("/path", "/live/:id"),
            ("/fallback/path", "/api/{country}"),
            ("/rewrite/path", "/front/{{region.slug}}"),
            ("/rewrite/path", "/front/${country}"),
            ("/rewrite/set_query/x", "{{ country|none }}"),
        ] {
            assert!(other_language(at, text).is_some(), "{text}");
        }
        for (at, text) in [
            ("/path", "/live/{id}"),
            ("/path", "/a:b/"),
            ("/fallback/path", "/api/none"),
            ("/rewrite/path", "/{region.slug}/{country|none}"),
            ("/rewrite/set_query/x", r#"{{"a":1}}"#),
            ("/rewrite/path", "/$world/{{}}"),
        ] {
            assert_eq!(other_language(at, text), None, "{text}");
        }
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
