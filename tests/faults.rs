//! Promise 2: the page is served when anything at the edge, or the personalized path, fails.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at a surprise")]

mod support;

use std::time::Duration;

use edge_personalizer::platform::{Endpoint, SendError, StoreError};
use edge_personalizer::service::Sandbox;
use http::HeaderMap;
use support::{NEW_YORK, NOWHERE, PARIS, echo, header, ok, path_of, shop, status, text, visit};

fn errors(host: &edge_personalizer::platform::memory::Memory) -> Vec<String> {
    let name = |line: &serde_json::Value| match line["fault"].as_object() {
        Some(fault) => format!("{}{}: {}", fault["dictionary"], fault["pointer"], fault["message"]).replace('"', ""),
        None => line["code"].as_str().unwrap().to_owned(),
    };
    host.lines_of(Endpoint::Errors).iter().map(name).collect()
}

#[test]
fn without_a_config_store_the_page_passes_through() {
    for error in [StoreError::NoStore, StoreError::Failed, StoreError::Throttled] {
        let host = shop(echo);
        host.config_fails.set(Some(error));
        let answer = visit(PARIS, "/api/products/all?a=1").send(&host);
        assert_eq!((answer.status.as_u16(), text(&answer).as_str()), (200, "GET /api/products/all?a=1"));
        assert_eq!(errors(&host), ["config-store"]);
    }
}

#[test]
fn an_empty_store_passes_everything_through() {
    let host = shop(echo);
    host.config.borrow_mut().clear();
    let answer = visit(PARIS, "/api/products/all").send(&host);
    assert_eq!(text(&answer), "GET /api/products/all");
    assert!(errors(&host).is_empty());
}

#[test]
fn a_store_that_fails_later_leaves_the_last_rules_in_place() {
    let host = shop(echo);
    let mut sandbox = Sandbox::default();
    visit(PARIS, "/api/products/all").send_in(&host, &mut sandbox);
    host.config_fails.set(Some(StoreError::Failed));
    host.age.set(Duration::from_secs(60));
    let answer = visit(PARIS, "/api/products/all").send_in(&host, &mut sandbox);
    assert_eq!(text(&answer), "GET /api/products/promotions/europe");
}

#[test]
fn half_written_json_costs_that_dictionary_only() {
    let host = shop(echo);
    let mut entries = host.config.borrow_mut();
    let half = entries["regions"][..60].to_owned();
    entries.insert("regions".to_owned(), half);
    drop(entries);
    let answer = visit(PARIS, "/api/products/all").send(&host);
    assert_eq!(text(&answer), "GET /api/products/promotions/global", "the default region serves");
    assert!(errors(&host)[0].starts_with("regions: expected JSON"), "{:?}", errors(&host));
}

#[test]
fn unknown_keys_are_named_and_ignored() {
    let host = shop(echo);
    host.set("settings", &serde_json::json!({ "languages": ["en"], "colour": "red" }));
    let answer = visit(PARIS, "/api/products/all").send(&host);
    assert_eq!(text(&answer), "GET /api/products/promotions/europe");
    assert_eq!(errors(&host), ["settings/colour: expected a known key, but found one that is ignored"]);
}

#[test]
fn a_route_with_an_unknown_backend_falls_back_to_the_generic_page() {
    let host = shop(echo);
    host.set("routes", &serde_json::json!({ "routes": [{ "id": "a", "path": "/a", "backend": "nowhere" }] }));
    let answer = visit(PARIS, "/a").send(&host);
    assert_eq!((answer.status.as_u16(), text(&answer).as_str()), (200, "GET /a"));
    let line = &host.lines_of(Endpoint::Decisions)[0];
    assert_eq!(line["fallback"], "backend-unknown");
}

#[test]
fn a_template_that_names_nothing_leaves_its_route_out() {
    let host = shop(echo);
    host.set("routes", &serde_json::json!({ "routes": [
        { "id": "a", "path": "/a", "rewrite": { "path": "/{regoin.slug}" } }, { "id": "b", "path": "/b", "rewrite": { "path": "/{region.slug}" } } ] }));
    assert_eq!(text(&visit(PARIS, "/a").send(&host)), "GET /a");
    assert_eq!(text(&visit(PARIS, "/b").send(&host)), "GET /europe");
    assert!(errors(&host)[0].starts_with("routes/routes/0/rewrite/path: expected region.id"), "{:?}", errors(&host));
}

#[test]
fn a_mistake_in_a_route_that_nobody_asked_for_is_named_by_some_sandboxes() {
    let host = shop(echo);
    host.set("routes", &serde_json::json!({ "routes": [{ "id": "a", "path": "/a", "cache": { "ttl": "long" } }, { "id": "b", "path": "/b" }] }));
    for _ in 0..200 {
        visit(PARIS, "/b").send(&host);
    }
    let named = errors(&host);
    // One of sixteen looks the rules over: among 200, some dozen.
    assert!((4..=30).contains(&named.len()), "{}", named.len());
    assert!(named.iter().all(|fault| fault.starts_with("routes/routes/0/cache/ttl: ")), "{named:?}");
}

#[test]
fn a_missing_part_is_named_and_the_others_serve() {
    let host = shop(echo);
    host.set(
        "routes",
        &serde_json::json!({ "parts": 3, "routes": [{ "id": "a", "path": "/a", "rewrite": { "path": "/1" } }] }),
    );
    host.set("routes.3", &serde_json::json!({ "routes": [{ "id": "c", "path": "/c", "rewrite": { "path": "/3" } }] }));
    assert_eq!(text(&visit(PARIS, "/c").send(&host)), "GET /3");
    assert!(errors(&host).iter().any(|error| error.starts_with("routes.2: expected this part")), "{:?}", errors(&host));
}

#[test]
fn a_cold_request_stays_within_sixteen_look_ups() {
    let host = shop(echo);
    host.set("routes", &serde_json::json!({ "parts": 400 }));
    host.set("templates", &serde_json::json!({ "parts": 400 }));
    for part in 2..400 {
        host.set(&format!("routes.{part}"), &serde_json::json!({ "routes": [] }));
    }
    assert_eq!(visit(PARIS, "/a").send(&host).status, 200);
    assert!(host.lookups.borrow()["config"] <= 16, "{:?}", host.lookups);
}

#[test]
fn a_visitor_from_nowhere_gets_the_global_page() {
    let host = shop(echo);
    assert_eq!(text(&visit(NOWHERE, "/api/products/all").send(&host)), "GET /api/products/promotions/global");
}

#[test]
fn a_failing_personalized_path_never_costs_the_page() {
    for failing in [404, 500, 502, 503, 504] {
        let host =
            shop(move |asked| if asked.url.contains("europe") { status(failing) } else { ok(&path_of(&asked.url)) });
        let answer = visit(PARIS, "/api/products/all").send(&host);
        assert_eq!((answer.status.as_u16(), text(&answer).as_str()), (200, "/api/products/promotions/global"));
        assert_eq!(host.lines_of(Endpoint::Decisions)[0]["fallback"], format!("status-{failing}"));
        assert_eq!(header(&answer, "vary"), Some("Edge-Variant"));
        assert_eq!(header(&answer, "edge-variant"), None, "what is shown doesn't depend on the region");
    }
    for error in [SendError::Unreachable, SendError::TimedOut, SendError::Failed] {
        let host = shop(move |asked| if asked.url.contains("europe") { Err(error) } else { ok("generic") });
        assert_eq!(text(&visit(PARIS, "/api/products/all").send(&host)), "generic");
    }
}

#[test]
fn an_origin_that_switches_protocols_has_failed() {
    for interim in [100, 101, 103] {
        let host = shop(move |asked| if asked.url.contains("europe") { status(interim) } else { ok("generic") });
        assert_eq!(text(&visit(PARIS, "/api/products/all").send(&host)), "generic");
        let host = shop(move |_| status(interim));
        assert_eq!(visit(PARIS, "/api/products/all").send(&host).status, 502);
        assert_eq!(host.lines_of(Endpoint::Decisions).len(), 1);
    }
}

#[test]
fn without_a_fallback_of_its_own_a_route_falls_back_to_the_clients_path() {
    let host = shop(|asked| if path_of(&asked.url).starts_with("/echo") { status(500) } else { echo(asked) });
    let answer = visit(PARIS, "/search/shoes?q=1").send(&host);
    assert_eq!((answer.status.as_u16(), text(&answer).as_str()), (200, "GET /search/shoes?q=1"));
}

#[test]
fn when_the_fallback_fails_too_the_first_answer_or_a_plain_page_is_sent() {
    let host = shop(|asked| if asked.url.contains("europe") { status(404) } else { Err(SendError::Failed) });
    assert_eq!(visit(PARIS, "/api/products/all").send(&host).status, 404);
    for (error, code) in [(SendError::Unreachable, 502), (SendError::TimedOut, 504), (SendError::Failed, 502)] {
        let host = shop(move |_| Err(error));
        let answer = visit(PARIS, "/api/products/all").send(&host);
        assert_eq!(answer.status, code);
        let line = host.lines_of(Endpoint::Decisions)[0].clone();
        assert!(text(&answer).contains(line["request_id"].as_str().unwrap()));
        let shown = text(&answer).to_lowercase();
        assert!(
            !["origin", "backend", "fastly", "personaliz", "route"].iter().any(|inside| shown.contains(inside)),
            "{shown}"
        );
        assert_eq!(header(&answer, "cache-control"), Some("private, no-store"));
        assert_eq!(header(&answer, "vary"), Some("Edge-Variant"), "an error of a personalized route varies too");
    }
}

#[test]
fn an_unsafe_request_is_never_made_twice_nor_rewritten() {
    let host = shop(|_| Err(SendError::Failed));
    let answer = visit(PARIS, "/api/products/all").by("POST").body("order").send(&host);
    assert_eq!(answer.status, 502);
    let asked = host.asked.borrow();
    assert_eq!(asked.len(), 1);
    assert_eq!((path_of(&asked[0].url).as_str(), asked[0].body.as_slice()), ("/api/products/all", &b"order"[..]));
}

#[test]
fn a_named_unsafe_method_is_rewritten_and_still_made_once() {
    let host = shop(|_| status(503));
    host.set("routes", &serde_json::json!({ "routes": [{ "id": "a", "path": "/a", "methods": ["POST"], "rewrite": { "path": "/{region.slug}" }, "cache": {} }] }));
    assert_eq!(visit(NEW_YORK, "/a").by("POST").send(&host).status, 503);
    let asked = host.asked.borrow();
    assert_eq!(asked.len(), 1);
    assert_eq!(path_of(&asked[0].url), "/east");
    assert_eq!(asked[0].caching, edge_personalizer::platform::Caching::Pass, "an unsafe request is never shared");
}

#[test]
fn the_kill_switch_works_with_everything_else_broken() {
    let host = shop(|_| {
        let mut headers = HeaderMap::new();
        headers.insert("set-cookie", "a=b".parse().unwrap());
        headers.insert("cache-control", "public, s-maxage=9".parse().unwrap());
        Ok((http::StatusCode::OK, headers, b"as it is".to_vec()))
    });
    for (name, text) in
        [("settings", "{"), ("regions", "[]"), ("routes", "null"), ("active", r#"{"enabled":false,"revision":7}"#)]
    {
        host.config.borrow_mut().insert(name.to_owned(), text.to_owned());
    }
    let answer = visit(PARIS, "/api/products/all").send(&host);
    let names: Vec<_> =
        answer.headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
    assert_eq!(names, ["set-cookie: a=b", "cache-control: public, s-maxage=9"], "transparent when off");
    assert_eq!(text(&answer), "as it is");
    assert_eq!(host.lookups.borrow()["config"], 2, "the pointer, and the settings that say how backends are asked");
}

#[test]
fn a_route_that_is_switched_off_passes_through() {
    let host = shop(echo);
    host.set(
        "routes",
        &serde_json::json!({ "routes": [{ "id": "a", "path": "/a", "enabled": false, "rewrite": { "path": "/b" } }] }),
    );
    let answer = visit(PARIS, "/a").send(&host);
    assert_eq!(text(&answer), "GET /a");
    assert_eq!(header(&answer, "vary"), None);
}

#[test]
fn an_endpoint_that_is_missing_costs_lines_not_pages() {
    let host = shop(echo);
    host.deaf.borrow_mut().extend([Endpoint::Decisions, Endpoint::Errors]);
    assert_eq!(text(&visit(PARIS, "/api/products/all").send(&host)), "GET /api/products/promotions/europe");
}

#[test]
fn health_answers_with_every_store_missing() {
    let host = shop(echo);
    host.config_fails.set(Some(StoreError::NoStore));
    let answer = visit(PARIS, "/.edge/health").send(&host);
    assert_eq!(answer.status, 200);
    let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!((&body["status"], &body["rules"]), (&"ok".into(), &"passthrough".into()));
}

#[test]
fn a_decision_is_explained_to_who_has_the_token_only() {
    let host = shop(echo);
    host.secrets.borrow_mut().insert("admin".to_owned(), b"a-token-of-some-length".to_vec());
    let target = "/.edge/explain?url=https://shop.example/api/products/all?a=1&country=fr&continent=eu";
    assert_eq!(visit(PARIS, target).send(&host).status, 404);
    assert_eq!(visit(PARIS, target).with("Authorization", "Bearer a-token-of-some-lengtH").send(&host).status, 404);
    let answer = visit(PARIS, target).with("Authorization", "Bearer a-token-of-some-length").send(&host);
    assert_eq!((answer.status.as_u16(), header(&answer, "cache-control")), (200, Some("private, no-store")));
    let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(body["region"]["id"], "EU-WEST");
    assert!(text(&answer).contains("/api/products/promotions/europe"), "{body:#}");
    let bad =
        visit(PARIS, "/.edge/explain?colour=red").with("Authorization", "Bearer a-token-of-some-length").send(&host);
    assert_eq!(bad.status, 400);
    host.secrets_fail.set(Some(StoreError::NoStore));
    assert_eq!(visit(PARIS, target).with("Authorization", "Bearer ").send(&host).status, 404);
}
