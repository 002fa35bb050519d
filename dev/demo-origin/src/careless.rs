//! An origin that is careless about caches: what it was told of the visitor is in its answer, and `public` it says all the same.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use hyper::http::request::Parts;
use serde_json::{Value, json};

use crate::answer::Answer;

/// What it says of every answer.
const DIRECTIVES: &str = "public, max-age=300, s-maxage=600";
/// Headers that differ from request to request, and those of the connection: the rest is what a visitor is known by.
const PASSING: [&str; 12] = [
    "accept-encoding",
    "traceparent",
    "tracestate",
    "x-request-id",
    "x-varnish",
    "via",
    "cdn-loop",
    "content-length",
    "connection",
    "x-forwarded-for",
    "forwarded",
    // The local server's own: it differs where only what is passed over here does.
    "fastly-xqd-cache-key",
];

/// `/careless/…`: what was asked for and by whom, as JSON; as a page below `/careless/page/…`.
pub(crate) fn answer(head: &Parts, rest: &[&str]) -> Answer {
    // Sorted: a cache in between may put them into another order.
    let headers: BTreeMap<String, String> = head
        .headers
        .iter()
        .filter(|(name, _)| !PASSING.contains(&name.as_str()))
        .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    let told = json!({ "target": head.uri.to_string(), "headers": headers, "cart": [], "line": "nobody's" });
    let answer = if rest.first() == Some(&"page") { Answer::html(page(&told)) } else { Answer::json(&told) };
    answer.cached(DIRECTIVES)
}

fn page(told: &Value) -> String {
    let mut page = String::from("<!doctype html>\n<html lang=\"en\"><head><title>Careless</title></head><body>\n");
    let told = told.to_string().replace('&', "&amp;").replace('<', "&lt;");
    // Writing to a string can't fail.
    let _ = write!(page, "<p id=\"line\">nobody's</p>\n<ul id=\"cart\"></ul>\n<pre>{told}</pre>\n</body></html>\n");
    page
}
