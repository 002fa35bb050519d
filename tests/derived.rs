//! Promises 3 and 19: what a request needs is known from what its rules read, on routes that declare nothing; and what is shown decides
//! who may keep the answer.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may stop at a surprise")]
#![allow(clippy::indexing_slicing, reason = "what is missing in a JSON value is null, and a surprise ends the test")]

mod support;

use edge_personalizer::platform::memory::{Answer, Asked, Memory, Received};
use edge_personalizer::platform::{Caching, Endpoint};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::{Value, json};
use support::sessions::{by_user, by_visitor, codes, last_asked, put, record, sent, sent_path, store};
use support::{NEW_YORK, Visit, header, text, visit};

const PAGE: &str = "<html><head></head><body><p id=a>plain</p></body></html>";
const PHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1";

/// An origin with a page, with JSON below `/api`, cacheable for all.
fn site(asked: &Asked) -> Answer {
    let path = support::path_of(&asked.url);
    let (kind, body) = if path.starts_with("/api") { ("application/json", "{\"a\":1}") } else { ("text/html", PAGE) };
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static(kind));
    headers.insert("cache-control", HeaderValue::from_static("public, max-age=600"));
    Ok((StatusCode::OK, headers, body.as_bytes().to_vec()))
}

/// A shop whose visitor `abc` and user `alice` have a session, with this one route beside.
fn with_route(route: Value) -> Memory {
    with(json!({ "routes": [route] }), json!({}), json!({}))
}

fn with(routes: Value, features: Value, settings: Value) -> Memory {
    let host = store(site);
    put(&host, "visitor/00000000000000000000000000000abc", record(10).to_string());
    put(&host, "user/alice", record(10).to_string());
    host.set("routes", &routes);
    host.set("features", &json!({ "features": features }));
    if settings != json!({}) {
        host.set("settings", &settings);
    }
    host
}

fn inner(html: &str) -> Value {
    json!([{ "select": "#a", "inner": html }])
}

fn cached_page(html: Value) -> Memory {
    with_route(json!({ "id": "page", "path": "/page", "cache": { "ttl": 60 }, "html": html }))
}

fn phone(target: &str) -> Visit {
    visit(NEW_YORK, target).with("User-Agent", PHONE)
}

fn keeps(received: &Received) -> &str {
    header(received, "cache-control").unwrap()
}

fn is_shared(host: &Memory) -> bool {
    matches!(last_asked(host, "origin").caching, Caching::Keyed { .. })
}

#[test]
fn a_cached_page_reads_the_device_and_the_login_without_declaring_it() {
    let host = cached_page(json!([{ "select": "#a", "when": { "deviceType": "mobile" }, "inner": "small" }]));
    assert!(text(&phone("/page").send(&host)).contains(">small<"));
    let host = cached_page(inner("{{ deviceType }} {% if loggedIn %}in{% else %}out{% endif %}"));
    assert!(text(&phone("/page").send(&host)).contains(">mobile out<"));
    assert!(text(&by_user("alice", "/page").send(&host)).contains(">desktop in<"));
    assert!(is_shared(&host), "the page is shaped after the cache");
    let host = cached_page(json!([{ "select": "#a", "when": { "loggedIn": true }, "inner": "yes" }]));
    assert!(text(&by_user("alice", "/page").send(&host)).contains(">yes<"));
    let host = with_route(json!({ "id": "api", "path": "/api/x", "cache": {},
        "json": { "set": [{ "pointer": "/device", "value": { "from": "deviceType" } }] } }));
    assert_eq!(text(&phone("/api/x").send(&host)), r#"{"a":1,"device":"mobile"}"#);
}

#[test]
fn segments_and_session_are_read_wherever_a_rule_looks_at_them() {
    let vip = json!({ "segments": { "$elemMatch": { "$eq": "vip" } } });
    let host = cached_page(json!([{ "select": "#a", "when": vip, "inner": "gold" }]));
    let answer = by_visitor("/page").send(&host);
    assert!(text(&answer).contains(">gold<"), "{}", text(&answer));
    assert_eq!(keeps(&answer), "private, no-store");
    for condition in [vip, json!({ "session.attributes.name": "Alice" })] {
        let host = with(
            json!({ "routes": [{ "id": "page", "path": "/page", "rewrite": { "path": "/p/{feature.f}" }, "cache": {} }] }),
            json!({ "f": { "defaultValue": "old", "rules": [{ "condition": condition, "force": "new" }] } }),
            json!({}),
        );
        let answer = by_visitor("/page").send(&host);
        assert_eq!(sent_path(&host), "/p/new", "{condition}");
        assert_eq!(keeps(&answer), "private, no-store");
        assert!(!is_shared(&host), "what one visitor's session shaped is never stored at the edge");
        visit(NEW_YORK, "/page").with("User-Agent", PHONE).send(&host);
        assert_eq!(sent_path(&host), "/p/old");
        assert!(is_shared(&host), "who has no session gets what all without one get");
    }
}

#[test]
fn a_prerequisite_is_followed() {
    let host = with(
        json!({ "routes": [{ "id": "page", "path": "/page", "rewrite": { "path": "/p/{feature.f}" }, "cache": {} }] }),
        json!({ "g": { "defaultValue": false, "rules": [{ "condition": { "deviceType": "mobile" }, "force": true }] },
                "f": { "defaultValue": "old", "rules": [{ "parentConditions": [{ "id": "g", "condition": { "value": true } }], "force": "new" }] } }),
        json!({}),
    );
    phone("/page").send(&host);
    assert_eq!(sent_path(&host), "/p/new");
}

#[test]
fn what_is_shown_decides_no_store_and_not_what_a_route_declares() {
    // Another candidate loads the session; the page shows it without declaring it.
    let host = with(
        json!({ "routes": [
            { "id": "other", "path": "/page", "when": { "session.attributes.name": "Bob" }, "session": {} },
            { "id": "page", "path": "/page", "cache": { "ttl": 60 }, "html": inner("{{ session.cart_quantity }}") } ] }),
        json!({}),
        json!({}),
    );
    let answer = by_visitor("/page").send(&host);
    assert!(text(&answer).contains(">2<"), "{}", text(&answer));
    assert_eq!(keeps(&answer), "private, no-store");
    // Declared, and not shown: the visitor's own cache may keep it.
    let host = with_route(
        json!({ "id": "page", "path": "/page", "session": {}, "cache": { "ttl": 60 }, "html": inner("{{ country }}") }),
    );
    assert_eq!(keeps(&by_visitor("/page").send(&host)), "private, max-age=600");
    // Chosen by one user's id, by a segment; asked with one user's id.
    for (when, user) in
        [(json!({ "userId": "alice" }), true), (json!({ "segments": { "$size": { "$gt": 0 } } }), false)]
    {
        let host = with_route(
            json!({ "id": "page", "path": "/page", "when": when, "cache": { "ttl": 60 }, "rewrite": { "path": "/own" } }),
        );
        let request = if user { by_user("alice", "/page") } else { by_visitor("/page") };
        assert_eq!(keeps(&request.send(&host)), "private, no-store", "{when}");
        assert_eq!(sent_path(&host), "/own");
        assert!(!is_shared(&host));
        // Who isn't chosen sees that, too.
        assert_eq!(keeps(&phone("/page").send(&host)), "private, no-store", "{when}");
    }
    let host = cached_page(json!([{ "select": "#a", "when": { "userId": "alice" }, "inner": "hello" }]));
    assert_eq!(keeps(&by_user("alice", "/page").send(&host)), "private, no-store");
    let host = with_route(json!({ "id": "page", "path": "/page" }));
    assert_eq!(keeps(&by_user("alice", "/page").send(&host)), "private, no-store");
    assert_eq!(sent(&host, "x-user-id").as_deref(), Some("alice"));
    assert_eq!(keeps(&phone("/page").send(&host)), "private, max-age=600");
}

#[test]
fn a_shared_route_is_passed_for_those_who_are_known_by_what_chose_it() {
    let members = json!({ "id": "members", "path": "/m", "when": { "loggedIn": true }, "cache": {} });
    let feature = json!({ "hello": { "defaultValue": "you", "rules": [{ "condition": { "loggedIn": true }, "force": "member" }] } });
    let shapes = json!({ "id": "hello", "path": "/m", "features": ["hello"], "cache": {} });
    for (route, features) in [(members, json!({})), (shapes, feature)] {
        let host = with(json!({ "routes": [route, { "id": "all", "path": "/m", "cache": {} }] }), features, json!({}));
        by_user("alice", "/m").send(&host);
        assert!(!is_shared(&host), "{route}");
        phone("/m").send(&host);
        assert!(is_shared(&host), "nobody is known by not being logged in: {route}");
    }
}

#[test]
fn a_banner_shows_in_one_variation_only() {
    let host = with(
        json!({ "routes": [{ "id": "page", "path": "/page", "cache": {}, "html": [
            { "select": "#a", "when": { "feature.free-shipping": true }, "inner": "free" } ] }] }),
        json!({ "free-shipping": { "defaultValue": false, "rules": [{ "condition": { "country": "US" }, "force": true }] } }),
        json!({}),
    );
    assert!(text(&phone("/page").send(&host)).contains(">free<"));
    let elsewhere = visit(support::PARIS, "/page").with("User-Agent", PHONE).send(&host);
    assert!(text(&elsewhere).contains(">plain<"));
}

#[test]
fn regions_may_read_any_attribute() {
    let host =
        with_route(json!({ "id": "page", "path": "/page", "rewrite": { "path": "/p/{region.slug}" }, "cache": {} }));
    host.set(
        "regions",
        &json!({ "regions": [
        { "id": "PHONES", "slug": "phones", "when": { "deviceType": "mobile" } },
        { "id": "VIPS", "slug": "vips", "when": { "segments": { "$elemMatch": { "$eq": "vip" } } } } ] }),
    );
    phone("/page").send(&host);
    assert_eq!(sent_path(&host), "/p/phones");
    let answer = by_visitor("/page").send(&host);
    assert_eq!(sent_path(&host), "/p/vips");
    assert_eq!(keeps(&answer), "private, no-store", "the region follows from one visitor's session");
}

#[test]
fn a_feature_and_an_experiment_of_one_key_are_two_dimensions() {
    let host = with(
        json!({ "routes": [{ "id": "page", "path": "/page", "features": ["hero", "region"], "experiments": ["hero"],
            "rewrite": { "path": "/p/{region.slug}" }, "cache": {} }] }),
        json!({ "hero": { "defaultValue": "feature" }, "region": { "defaultValue": "north" } }),
        json!({}),
    );
    host.set("experiments", &json!({ "experiments": [{ "key": "hero", "variations": ["a", "b"], "hashVersion": 2 }] }));
    by_visitor("/page").send(&host);
    let variant = sent(&host, "edge-variant").unwrap();
    assert!(variant.contains("hero=\"feature\"") && variant.contains("experiment.hero=\""), "{variant}");
    assert!(variant.contains("feature.region=\"north\"") && variant.contains("region=\"US-EAST\""), "{variant}");
}

#[test]
fn a_site_targets_by_facts_of_its_own() {
    let settings = json!({
        "consent": { "cookie": { "name": "consent", "value": "yes" } },
        "attributes": {
            "customerGroup": { "cookie": "customer_group", "values": ["retail", "business"] },
            "store": { "header": "X-Store" },
            "campaign": { "query": "c", "max_bytes": 8 },
            "level": { "cookie": "level", "type": "number", "identifies": true } } });
    let routes = json!({ "routes": [
        { "id": "group", "path": "/group", "rewrite": { "path": "/g/{customerGroup|retail}" }, "cache": {} },
        { "id": "when", "path": "/when", "when": { "customerGroup": "business" }, "rewrite": { "path": "/b2b" }, "cache": {} },
        { "id": "store", "path": "/store", "rewrite": { "path": "/s/{store|none}" }, "cache": {} },
        { "id": "keyed", "path": "/keyed", "rewrite": { "path": "/s/{store|none}" }, "cache": { "key_headers": ["X-Store"] } },
        { "id": "page", "path": "/page", "cache": {}, "html": inner("{{ customerGroup }}/{{ campaign }}") },
        { "id": "level", "path": "/level", "rewrite": { "path": "/l/{level|0}" }, "cache": {} },
        { "id": "feature", "path": "/feature", "rewrite": { "path": "/f/{feature.f}" }, "cache": {} } ] });
    let features = json!({ "f": { "defaultValue": "old", "rules": [{ "condition": { "customerGroup": "business" }, "force": "new" }] } });
    let host = with(routes, features, settings);
    let ask = |target: &str| phone(target).with("X-Store", "berlin").with("Cookie", "customer_group=business; level=7");
    let asked = |target: &str| {
        let received = ask(target).send(&host);
        (sent_path(&host), text(&received), keeps(&received).to_owned())
    };
    assert_eq!(asked("/group").0, "/g/business");
    assert!(
        sent(&host, "edge-variant").unwrap().contains("customer*group=\"business\""),
        "{:?}",
        sent(&host, "edge-variant")
    );
    assert_eq!(asked("/when").0, "/b2b");
    assert!(sent(&host, "edge-variant").is_none(), "it is in the variant only where it is used");
    assert_eq!(asked("/store").0, "/s/none", "a header that any client may send counts only where it is in the key");
    assert_eq!(asked("/keyed").0, "/s/berlin");
    assert!(asked("/page?c=summer").1.contains(">business/summer<"));
    assert!(asked("/page?c=much-too-long").1.contains(">business/<"));
    assert_eq!(asked("/feature").0, "/f/new");
    let (path, _, keeps) = asked("/level");
    assert_eq!((path.as_str(), keeps.as_str()), ("/l/7", "private, no-store"));
    assert!(!is_shared(&host), "what identifies is never shared");
    // A value that isn't declared is none.
    phone("/group").with("Cookie", "customer_group=admin").send(&host);
    assert_eq!(sent_path(&host), "/g/retail");
}

#[test]
fn what_is_absent_from_an_own_answer_is_named() {
    let host = with_route(json!({ "id": "r", "path": "/r", "action": "respond",
        "respond": { "headers": { "X-Name": "{session.attributes.none}" }, "body": "hello {session.attributes.none}!" } }));
    let answer = by_visitor("/r").send(&host);
    assert_eq!(text(&answer), "hello !");
    assert_eq!(codes(&host), ["template-absent"]);
}

#[test]
fn a_failure_that_the_fallback_rescued_has_a_line_whatever_the_sample() {
    let host = with_route(json!({ "id": "page", "path": "/page", "rewrite": { "path": "/gone" } }));
    host.set("settings", &json!({ "log": { "sample": 0 } }));
    host.backends.borrow_mut().insert(
        "origin".to_owned(),
        Box::new(|asked| if asked.url.ends_with("/gone") { support::status(404) } else { site(asked) }),
    );
    phone("/page").send(&host);
    let errors = host.lines_of(Endpoint::Errors);
    assert!(errors.iter().any(|line| line["code"] == "backend-status"), "{errors:?}");
}
