//! Every example of `docs/PERSONALIZING.md` is a route that compiles, without a fault.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at a surprise")]

mod support;

use edge_personalizer::plan::body::BodyRules;
use edge_personalizer::platform::Endpoint;
use edge_personalizer::platform::memory::Memory;
use edge_personalizer::rules::route::Route;
use edge_personalizer::transform::template::Templates;
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::{Value, json};
use support::{NEW_YORK, header, shop, text, visit};

const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64) Chrome/130.0";

#[test]
fn every_example_compiles() {
    let guide = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/PERSONALIZING.md")).unwrap();
    let examples: Vec<Value> = guide
        .split("```json\n")
        .skip(1)
        .map(|rest| serde_json::from_str(rest.split("```").next().unwrap()).unwrap())
        .collect();
    assert_eq!(examples.len(), 3);
    let names = ["hero-line", "recently-viewed"];
    for example in examples {
        let stored: edge_personalizer::rules::stored::Route = serde_json::from_value(example).unwrap();
        let mut templates = Templates::new(names.map(|name| (name.to_owned(), "x".to_owned())));
        let (_, faults) = BodyRules::compile(&stored.html, stored.json.as_ref(), &mut templates);
        assert!(faults.is_empty(), "{faults:?}");
        Route::compile(stored).unwrap();
    }
}

fn page(body: &'static str, kind: &'static str) -> Memory {
    shop(move |_| {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static(kind));
        headers.insert("content-length", HeaderValue::from(body.len()));
        headers.insert("etag", HeaderValue::from_static("\"v1\""));
        headers.insert("cache-control", HeaderValue::from_static("public, max-age=60"));
        Ok((StatusCode::OK, headers, body.as_bytes().to_vec()))
    })
}

#[test]
fn a_page_is_rewritten_and_its_head_fits() {
    let host = page("<html><head></head><body><h1>x</h1></body></html>", "text/html; charset=utf-8");
    host.set("routes", &json!({ "routes": [{ "id": "a", "path": "/", "cache": {}, "html": [{ "select": "h1", "inner": "{{ region.slug }} & co" }] }] }));
    let answer = visit(NEW_YORK, "/").with("User-Agent", BROWSER).send(&host);
    assert_eq!(text(&answer), "<html><head></head><body><h1>east & co</h1></body></html>");
    assert_eq!(header(&answer, "content-length"), None);
    assert_eq!(header(&answer, "vary"), Some("Edge-Variant"));
    assert_eq!(header(&answer, "cache-control"), Some("private, max-age=60"));
    let etag = header(&answer, "etag").unwrap().to_owned();
    assert_ne!(etag, "\"v1\"");
    let again = visit(NEW_YORK, "/").with("User-Agent", BROWSER).with("If-None-Match", etag.as_str()).send(&host);
    assert_eq!(again.status, 304, "the same variant of the same page");
    let other = visit(support::PARIS, "/").with("User-Agent", BROWSER).with("If-None-Match", etag.as_str()).send(&host);
    assert_eq!(other.status, 200, "another variant is another page");
    let head = visit(NEW_YORK, "/").by("HEAD").send(&host);
    assert_eq!(head.status, 200);
}

#[test]
fn a_faulty_operation_is_named_and_the_page_is_served() {
    let host = page("<h1>x</h1>", "text/html");
    host.set("routes", &json!({ "routes": [{ "id": "a", "path": "/", "html": [{ "select": "h1[", "inner": "x" }, { "select": "h1", "inner": "y" }] }] }));
    assert_eq!(text(&visit(NEW_YORK, "/").send(&host)), "<h1>y</h1>");
    let named = host.lines_of(Endpoint::Errors)[0]["fault"]["pointer"].as_str().unwrap().to_owned();
    assert!(named.starts_with("/a/html/0"), "{named}");
}

#[test]
fn an_artificial_budget_ends_the_rewriting_and_not_the_page() {
    let host = page("<h1>x</h1><h1>x</h1>", "text/html");
    host.set("settings", &json!({ "limits": { "vcpu_ms": 0 } }));
    host.set("routes", &json!({ "routes": [{ "id": "a", "path": "/", "html": [{ "select": "h1", "inner": "y" }] }] }));
    assert_eq!(text(&visit(NEW_YORK, "/").send(&host)), "<h1>x</h1><h1>x</h1>");
    assert_eq!(host.lines_of(Endpoint::Decisions)[0]["errors"], json!(["html-budget"]));
}

#[test]
fn json_is_edited_in_place_up_to_the_limit() {
    let host = page("{\"b\": 1.0, \"a\": 12345678901234567890}", "application/json");
    let routes = json!({ "routes": [{ "id": "a", "path": "/", "json": { "set": [{ "pointer": "/b", "value": "{{ region.id }}" }] } }] });
    host.set("routes", &routes);
    assert_eq!(text(&visit(NEW_YORK, "/").send(&host)), "{\"b\": \"US-EAST\", \"a\": 12345678901234567890}");
    host.set("settings", &json!({ "limits": { "json_bytes": 10 } }));
    assert_eq!(text(&visit(NEW_YORK, "/").send(&host)), "{\"b\": 1.0, \"a\": 12345678901234567890}");
    assert_eq!(host.lines_of(Endpoint::Decisions).last().unwrap()["errors"], json!(["body-too-large"]));
}

#[test]
fn hints_become_listed_values() {
    let host = page("", "image/jpeg");
    host.set("routes", &json!({ "routes": [{ "id": "a", "path": "/img/*", "cache": {}, "adapt": { "image": { "widths": [320, 640, 1280] } } }] }));
    let mut keys = std::collections::HashSet::new();
    for width in (1..4_000).step_by(37) {
        let answer = visit(NEW_YORK, "/img/a.jpg")
            .with("Sec-CH-Viewport-Width", width.to_string())
            .with("User-Agent", BROWSER)
            .send(&host);
        assert!(header(&answer, "accept-ch").is_some());
        keys.insert(format!("{:?}", host.asked.take()[0].caching));
    }
    assert!((2..=3).contains(&keys.len()), "{} keys", keys.len());
}
