//! Promise 3, looked for on **every** answer that a test receives: what is one visitor's own is never shareable
//! downstream, a personalized answer always says what it varies by, and the edge's own errors are kept by nobody.

use local_server::client::Answer;

use demo_origin::MARK;

/// What the linter must know about a request to judge its answer.
#[derive(Debug, Clone, Default)]
pub struct Expectation {
    /// Strings that are one visitor's own (a user id, a name in a session): an answer that carries one is private.
    pub identity: Vec<String>,
    /// The answer is meant to be the origin's own, header for header (the kill switch, promise 17): whatever the origin
    /// says about caches is right.
    pub transparent: bool,
}

/// What the inside looks like when it shows.
const INSIDE: [&str; 7] = ["panicked at", "backtrace", ".rs:", "wasm trap", "rust_", "fastly::", "viceroy"];

/// Everything wrong with an answer; empty where it keeps the promise.
#[must_use]
pub fn violations(answer: &Answer, expected: &Expectation) -> Vec<String> {
    let mut found = Vec::new();
    if answer.header(MARK).is_none() && answer.status >= 400 {
        own_error(answer, &mut found);
    }
    if expected.transparent {
        return found;
    }
    if !answer.header_lines("set-cookie").is_empty() {
        private("it sets a cookie", answer, &mut found);
    }
    let text = answer.text();
    for secret in &expected.identity {
        let in_header = answer.headers.iter().any(|(_, value)| String::from_utf8_lossy(value).contains(secret));
        if in_header || text.contains(secret) {
            private(&format!("it carries the visitor's {secret:?}"), answer, &mut found);
        }
    }
    if answer.header("edge-variant").is_some() {
        let vary = answer.list("vary");
        if !vary.iter().any(|name| name == "edge-variant" || name == "*") {
            found.push(format!("it is a variant, but Vary is {vary:?}"));
        }
        let lines = answer.header_lines("vary").len();
        if lines > 1 {
            found.push(format!("Vary comes in {lines} lines, merged it would be one"));
        }
    }
    found
}

fn own_error(answer: &Answer, found: &mut Vec<String>) {
    if !answer.list("cache-control").iter().any(|directive| directive == "no-store") {
        let said = answer.header_lines("cache-control");
        found.push(format!("an error made by the edge must be no-store, but Cache-Control is {said:?}"));
    }
    let text = answer.text().to_ascii_lowercase();
    for word in INSIDE.iter().filter(|word| text.contains(**word)) {
        found.push(format!("an error page shows the inside: {word:?}"));
    }
}

fn private(why: &str, answer: &Answer, found: &mut Vec<String>) {
    let directives = answer.list("cache-control");
    for needed in ["private", "no-store"] {
        if !directives.iter().any(|directive| directive == needed) {
            found.push(format!("{why}, but Cache-Control ({directives:?}) lacks {needed}"));
        }
    }
    for directive in &directives {
        if directive == "public" || directive.starts_with("s-maxage") {
            found.push(format!("{why}, but Cache-Control says {directive}"));
        }
    }
    for name in ["surrogate-control", "cdn-cache-control"] {
        if let Some(value) = answer.header(name) {
            found.push(format!("{why}, but {name} says {value}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Answer {
        Answer {
            status,
            headers: headers.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect(),
            body: body.as_bytes().to_vec(),
            complete: true,
            first_byte: Duration::ZERO,
            total: Duration::ZERO,
        }
    }

    fn found(answer: &Answer, known_as: &[&str]) -> usize {
        let identity = known_as.iter().map(|text| (*text).to_owned()).collect();
        violations(answer, &Expectation { identity, transparent: false }).len()
    }

    #[test]
    fn a_cookie_on_a_shareable_answer_is_found() {
        let shareable =
            [("Set-Cookie", "a=1"), ("Cache-Control", "public, s-maxage=60"), ("Surrogate-Control", "max-age=9")];
        assert_eq!(found(&answer(200, &shareable, ""), &[]), 5);
        assert_eq!(found(&answer(200, &[("Set-Cookie", "a=1"), ("Cache-Control", "private, no-store")], ""), &[]), 0);
    }

    #[test]
    fn an_identity_in_a_shareable_body_or_header_is_found() {
        assert_eq!(found(&answer(200, &[("Cache-Control", "private")], "hello u-77"), &["u-77"]), 1);
        assert_eq!(found(&answer(200, &[("X-Greeting", "u-77")], ""), &["u-77"]), 2);
        assert_eq!(found(&answer(200, &[], "hello you"), &["u-77"]), 0);
    }

    #[test]
    fn a_variant_without_vary_is_found() {
        let variant = ("Edge-Variant", "region=\"APAC\"");
        assert_eq!(found(&answer(200, &[variant, ("Vary", "Origin")], ""), &[]), 1);
        assert_eq!(found(&answer(200, &[variant, ("Vary", "Origin"), ("Vary", "Edge-Variant")], ""), &[]), 1);
        assert_eq!(found(&answer(200, &[variant, ("vary", "Origin, edge-variant")], ""), &[]), 0);
    }

    #[test]
    fn the_edges_own_error_must_not_be_stored_and_must_not_show_the_inside() {
        assert_eq!(found(&answer(502, &[], "thread panicked at src/plan.rs:7"), &[]), 3);
        assert_eq!(found(&answer(502, &[("Cache-Control", "no-store")], "Something went wrong."), &[]), 0);
        assert_eq!(found(&answer(503, &[(MARK, "shop")], "The shop says 503"), &[]), 0);
    }
}
