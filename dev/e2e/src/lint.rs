//! Promise 3, looked for on **every** answer that a test receives: what is one visitor's own is never shareable
//! downstream, a personalized answer always says what it varies by, and the edge's own errors are kept by nobody.

use local_server::client::{Answer, Request};

use demo_origin::MARK;
use serde_json::Value;

/// Shorter texts of a session or a claim stand in anybody's pages as well.
const SHORTEST_MARK: usize = 12;
/// The cookie that holds a visitor's id, under its default name.
const VISITOR_COOKIE: &str = "ep_vid=";

/// What the linter must know about a request to judge its answer.
#[derive(Debug, Clone, Default)]
pub struct Expectation {
    /// Strings that are one visitor's own (a user id, a name in a session): an answer that carries one is private.
    pub identity: Vec<String>,
    /// Ids of visitors who aren't logged in: an answer that carries one is no shared cache's.
    pub visitors: Vec<String>,
    /// The route says `downstream: "origin"`, and its answer is the same for everybody: only then `Vary: Edge-Variant` goes with what a
    /// shared cache may keep.
    pub same_for_all: bool,
    /// The answer is meant to be the origin's own, header for header (the kill switch, promise 17): whatever the origin
    /// says about caches is right.
    pub transparent: bool,
}

impl Expectation {
    /// With what a request says of its visitor: nobody else may see it.
    #[must_use]
    pub fn of(mut self, request: &Request) -> Self {
        let line = |name: &[u8], value: &[u8]| {
            (String::from_utf8_lossy(name).to_ascii_lowercase(), String::from_utf8_lossy(value).into_owned())
        };
        for (name, value) in request.headers().iter().map(|(name, value)| line(name, value)) {
            self.learn(&name, &value);
        }
        self
    }

    /// With what a request's bytes say of its visitor.
    #[must_use]
    pub fn of_bytes(mut self, bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        for (name, value) in text.lines().take_while(|line| !line.is_empty()).filter_map(|line| line.split_once(':')) {
            self.learn(&name.to_ascii_lowercase(), value.trim());
        }
        self
    }

    fn learn(&mut self, name: &str, value: &str) {
        match name {
            "x-user-id" if value.len() >= SHORTEST_MARK => self.identity.push(value.to_owned()),
            "cookie" => {
                let ids = value.split(';').filter_map(|pair| pair.trim().strip_prefix(VISITOR_COOKIE));
                self.visitors.extend(ids.filter(|id| id.len() >= SHORTEST_MARK).map(str::to_owned));
            }
            _ => {}
        }
    }

    /// With every text of a session record that is long enough to be nobody else's.
    #[must_use]
    pub fn of_record(mut self, record: &Value) -> Self {
        match record {
            Value::String(text) if text.len() >= SHORTEST_MARK => self.identity.push(text.clone()),
            Value::Array(list) => return list.iter().fold(self, Self::of_record),
            Value::Object(members) => {
                // Times are texts, too, and stand in headers.
                let members = members.iter().filter(|(name, _)| !name.ends_with("_at") && *name != "sync");
                return members.fold(self, |expected, (_, member)| expected.of_record(member));
            }
            _ => {}
        }
        self
    }
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
    let carries = |mark: &str| {
        text.contains(mark) || answer.headers.iter().any(|(_, value)| String::from_utf8_lossy(value).contains(mark))
    };
    for secret in expected.identity.iter().filter(|secret| carries(secret)) {
        private(&format!("it carries the visitor's {secret:?}"), answer, &mut found);
    }
    for id in expected.visitors.iter().filter(|id| carries(id)) {
        not_shared(&format!("it carries the visitor's id {id:?}"), answer, &mut found);
    }
    if answer.header("edge-variant").is_some() {
        not_shared("it is a variant", answer, &mut found);
    } else if !expected.same_for_all && answer.list("vary").contains(&"edge-variant".to_owned()) {
        not_shared("Vary says that it is personalized", answer, &mut found);
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

/// One visitor's own: nobody keeps it.
fn private(why: &str, answer: &Answer, found: &mut Vec<String>) {
    let directives = answer.list("cache-control");
    for needed in ["private", "no-store"] {
        if !directives.iter().any(|directive| directive == needed) {
            found.push(format!("{why}, but Cache-Control ({directives:?}) lacks {needed}"));
        }
    }
    uninviting(why, answer, found);
}

/// For some visitors: no cache that several share keeps it. One that tells variants apart by `Vary` doesn't: visitors send no
/// `Edge-Variant`.
fn not_shared(why: &str, answer: &Answer, found: &mut Vec<String>) {
    let directives = answer.list("cache-control");
    if !directives.iter().any(|directive| directive == "private" || directive == "no-store") {
        found.push(format!("{why}, but Cache-Control ({directives:?}) lets shared caches keep it"));
    }
    uninviting(why, answer, found);
}

/// Nothing invites shared caches.
fn uninviting(why: &str, answer: &Answer, found: &mut Vec<String>) {
    let directives = answer.list("cache-control");
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
        violations(answer, &Expectation { identity, ..Expectation::default() }).len()
    }

    const ID: &str = "00000000000000000000000000000abc";

    #[test]
    fn a_variant_that_shared_caches_may_keep_is_found() {
        let (variant, vary) = (("Edge-Variant", "region=\"APAC\""), ("Vary", "Edge-Variant"));
        for (directives, count) in [
            ("public, s-maxage=60", 3),
            ("max-age=60", 1),
            ("private, max-age=60", 0),
            ("no-store", 0),
            ("private, no-store", 0),
            ("private, s-maxage=60", 1),
        ] {
            let of_visitors = answer(200, &[variant, vary, ("Cache-Control", directives)], "");
            assert_eq!(found(&of_visitors, &[]), count, "{directives}");
            let control = answer(200, &[vary, ("Cache-Control", directives)], "");
            assert_eq!(found(&control, &[]), count, "control: {directives}");
            let expected = Expectation { same_for_all: true, ..Expectation::default() };
            assert_eq!(violations(&control, &expected).len(), 0, "{directives}");
            assert_eq!(violations(&of_visitors, &expected).len(), count, "what is the same for all is no variant");
        }
        assert_eq!(
            found(&answer(200, &[variant, vary], ""), &[]),
            1,
            "nothing said is heuristically kept (RFC 9111 section 4.2.2)"
        );
    }

    #[test]
    fn marks_are_found_without_a_test_that_names_them() {
        let cookie = format!("a=b; ep_vid={ID}; c=d");
        let request = Request::get("/").header("X-User-ID", "user-of-whom-nobody-knows").header("Cookie", &cookie);
        let record = serde_json::json!({ "updated_at": "2026-11-27T10:00:00Z", "cart": [{ "sku": "sku-of-this-one" }, { "sku": "P0001" }] });
        let expected = Expectation::default().of(&request).of_record(&record);
        assert_eq!(expected.identity, ["user-of-whom-nobody-knows", "sku-of-this-one"]);
        assert_eq!(expected.visitors, [ID]);
        let bytes = format!(
            "GET / HTTP/1.1\r\nX-USER-ID:user-of-whom-nobody-knows\r\ncookie: {cookie}\r\n\r\nx-user-id: body-of-nobody"
        );
        assert_eq!(Expectation::default().of_bytes(bytes.as_bytes()).visitors, [ID]);
        let shareable = ("Cache-Control", "public, max-age=60");
        for mark in ["user-of-whom-nobody-knows", "sku-of-this-one", ID] {
            assert!(!violations(&answer(200, &[shareable], mark), &expected).is_empty(), "{mark}");
            assert!(!violations(&answer(200, &[shareable, ("X-Who", mark)], ""), &expected).is_empty(), "{mark}");
        }
        assert_eq!(violations(&answer(200, &[shareable], "P0001"), &expected), [""; 0]);
        assert_eq!(violations(&answer(200, &[("Cache-Control", "private, max-age=60")], ID), &expected), [""; 0]);
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
        let private = ("Cache-Control", "private");
        assert_eq!(found(&answer(200, &[private, variant, ("Vary", "Origin")], ""), &[]), 1);
        assert_eq!(found(&answer(200, &[private, variant, ("Vary", "Origin"), ("Vary", "Edge-Variant")], ""), &[]), 1);
        assert_eq!(found(&answer(200, &[private, variant, ("vary", "Origin, edge-variant")], ""), &[]), 0);
    }

    #[test]
    fn the_edges_own_error_must_not_be_stored_and_must_not_show_the_inside() {
        assert_eq!(found(&answer(502, &[], "thread panicked at src/plan.rs:7"), &[]), 3);
        assert_eq!(found(&answer(502, &[("Cache-Control", "no-store")], "Something went wrong."), &[]), 0);
        assert_eq!(found(&answer(503, &[(MARK, "shop")], "The shop says 503"), &[]), 0);
    }
}
