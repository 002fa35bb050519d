//! What caches below the edge may keep: they see a URL and the client's own headers, never who asks.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at a surprise")]

mod support;

use edge_personalizer::platform::memory::{Memory, Received};
use serde_json::{Value, json};
use support::{NEW_YORK, PARIS, echo, shop, visit};

fn with_route(route: &Value) -> Memory {
    let host = shop(echo);
    host.set("features", &json!({ "features": { "hero": { "defaultValue": "old" } } }));
    host.set("routes", &json!({ "routes": [route] }));
    host
}

fn says(answer: &Received) -> (&str, &str) {
    let header = |name| answer.headers.get(name).map_or("", |value| value.to_str().unwrap());
    (header("cache-control"), header("vary"))
}

/// What the origin of these tests says of every answer.
const PUBLIC: &str = "public, max-age=60";
const PRIVATE: (&str, &str) = ("private, max-age=60", "Edge-Variant");

#[test]
fn who_is_excluded_from_a_route_gets_an_answer_that_nobody_shares() {
    for action in ["personalize", "passthrough"] {
        let host = with_route(&json!({ "id": "sale", "path": "/sale", "when": { "country": "FR" }, "action": action }));
        for visitor in [PARIS, NEW_YORK] {
            assert_eq!(says(&visit(visitor, "/sale").send(&host)), PRIVATE, "{action}");
        }
        assert_eq!(says(&visit(NEW_YORK, "/other").send(&host)), (PUBLIC, ""), "another page stays as it came");
    }
}

#[test]
fn a_condition_on_the_url_alone_keeps_nothing_from_caches() {
    for when in [json!({ "query.sale": "yes" }), json!({ "utmSource": "mail", "now": { "$gt": 0 } })] {
        let host = with_route(&json!({ "id": "sale", "path": "/sale", "when": when }));
        assert_eq!(says(&visit(PARIS, "/sale").send(&host)), (PUBLIC, ""), "{when}");
    }
    let host =
        with_route(&json!({ "id": "sale", "path": "/sale", "host": "other.example", "when": { "country": "FR" } }));
    assert_eq!(says(&visit(PARIS, "/sale").send(&host)), (PUBLIC, ""), "the host is part of the URL");
}

#[test]
fn a_route_that_depends_on_who_asks_stays_private_whatever_it_declares() {
    let depends = [
        json!({ "rewrite": { "path": "/{region.slug}" } }),
        json!({ "rewrite": { "set_query": { "l": "{language|en}" } } }),
        json!({ "request_headers": { "set": { "X-D": "{deviceType|none}" } } }),
        json!({ "features": ["hero"] }),
        json!({ "when": { "continent": "EU" } }),
        json!({ "session": {} }),
        json!({ "html": [{ "select": "h1", "inner": "{{ region.id }}" }] }),
        json!({ "adapt": { "image": { "device_widths": { "mobile": 320 } } } }),
    ];
    for more in depends {
        let mut route = json!({ "id": "r", "path": "/r", "cache": { "ttl": 60, "downstream": "origin" } });
        route.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let answer = visit(PARIS, "/r").send(&with_route(&route));
        assert_eq!(says(&answer).0, PRIVATE.0, "{route}");
    }
    let host = with_route(&json!({ "id": "r", "path": "/r", "cache": { "downstream": "origin" } }));
    host.set(
        "experiments",
        &json!({ "experiments": [ { "key": "away", "variations": [{}, { "urlRedirect": "https://shop.example/b" }],
        "urlPatterns": [{ "type": "simple", "pattern": "/r", "include": true }] } ] }),
    );
    assert_eq!(says(&visit(PARIS, "/r").send(&host)).0, PRIVATE.0, "an arm leads away from here");
}

#[test]
fn a_route_that_is_the_same_for_all_may_be_shared_and_names_what_it_goes_by() {
    let shared = |cache: Value| {
        with_route(&json!({ "id": "r", "path": "/r/*", "rewrite": { "path": "/s/{path.rest}" }, "cache": cache }))
    };
    let host = shared(json!({ "downstream": "origin" }));
    assert_eq!(says(&visit(PARIS, "/r/a").send(&host)), (PUBLIC, "Edge-Variant"));
    let keyed = json!({ "downstream": "origin", "key_headers": ["accept-language"], "key_cookies": ["theme"] });
    let (cache_control, vary) = (PUBLIC, "accept-language, cookie, Edge-Variant");
    assert_eq!(says(&visit(PARIS, "/r/a").send(&shared(keyed))), (cache_control, vary));
    let private = json!({ "key_headers": ["accept-language"] });
    assert_eq!(
        says(&visit(PARIS, "/r/a").send(&shared(private))),
        (PRIVATE.0, "accept-language, Edge-Variant"),
        "a browser's cache too"
    );
}
