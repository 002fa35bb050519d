//! Whoever judges a revision judges by what it would do: a shadow gathers what its own rules read, and an explanation is of the revision
//! that the visitor gets.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may stop at a surprise")]
#![allow(clippy::indexing_slicing, reason = "what is missing in a JSON value is null, and a surprise ends the test")]

mod support;

use edge_personalizer::platform::memory::Memory;
use edge_personalizer::platform::{Endpoint, Kv, KvValue};
use edge_personalizer::service::Sandbox;
use serde_json::{Value, json};
use support::{NEW_YORK, PARIS, echo, shop, text, visit};

const PHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1";

/// A host with revisions by these dictionaries, and this pointer.
fn host(revisions: &[(&str, &[(&str, Value)])], pointer: &Value) -> Memory {
    let host = shop(echo);
    for (revision, dictionaries) in revisions {
        for (name, dictionary) in *dictionaries {
            host.set(&format!("{revision}/{name}"), dictionary);
        }
    }
    host.set("active", pointer);
    host
}

fn route(feature: &str) -> Value {
    json!({ "routes": [{ "id": "a", "path": "/a", "rewrite": { "path": format!("/{{feature.{feature}|none}}") } }] })
}

/// A sandbox in which a revision and its shadow have been read: written by hand, one request's look-ups don't reach for both.
fn warm(host: &Memory) -> Sandbox {
    let mut sandbox = Sandbox::default();
    visit(NEW_YORK, "/a").send_in(host, &mut sandbox);
    visit(NEW_YORK, "/a").send_in(host, &mut sandbox);
    sandbox
}

/// What the shadow's line says of the last request; null where there is no difference.
fn difference(host: &Memory) -> Value {
    host.lines_of(Endpoint::Decisions).last().unwrap()["shadow"].clone()
}

#[test]
fn a_shadow_reads_what_the_active_rules_do_not() {
    let plain = [("routes", json!({ "routes": [{ "id": "a", "path": "/a", "rewrite": { "path": "/plain" } }] }))];
    let by_device = [(
        "routes",
        json!({ "routes": [
        { "id": "small", "path": "/a", "when": { "deviceType": "mobile" }, "rewrite": { "path": "/small" } },
        { "id": "a", "path": "/a", "rewrite": { "path": "/plain" } }] }),
    )];
    let host = host(&[("r1", &plain), ("r2", &by_device)], &json!({ "revision": "r1", "shadow": "r2" }));
    let sandbox = &mut warm(&host);
    let answer = visit(NEW_YORK, "/a").with("User-Agent", PHONE).send_in(&host, sandbox);
    assert_eq!(text(&answer), "GET /plain");
    assert_eq!(difference(&host), json!({ "revision": "r2", "route": "small", "path": "/small" }));
    visit(NEW_YORK, "/a").send_in(&host, sandbox);
    assert_eq!(difference(&host), Value::Null, "a desktop gets the same of both");
}

#[test]
fn a_shadows_experiment_assigns_as_it_would_if_it_served() {
    let plain = [("routes", json!({ "routes": [{ "id": "a", "path": "/a", "rewrite": { "path": "/none" } }] }))];
    let experiment = json!({ "features": { "hero": { "defaultValue": "none", "rules": [
        { "key": "hero-test", "variations": ["none", "b"], "hashVersion": 2, "hashAttribute": "id" }] } } });
    let tests = [("routes", route("hero")), ("features", experiment)];
    let shadowed = host(&[("r1", &plain), ("r2", &tests)], &json!({ "revision": "r1", "shadow": "r2" }));
    let served = host(&[("r1", &plain), ("r2", &tests)], &json!({ "revision": "r2" }));
    let (mut variations, sandbox) = (0, &mut warm(&shadowed));
    for visitor in 1..=40_u128 {
        let cookie = format!("ep_vid={visitor:032x}");
        let visitor = || visit(NEW_YORK, "/a").with("cookie", &cookie).with("User-Agent", PHONE);
        let page = text(&visitor().send(&served));
        visitor().send_in(&shadowed, sandbox);
        let shadow = difference(&shadowed);
        let path = shadow["path"].as_str().unwrap_or("/none");
        assert_eq!(page, format!("GET {path}"), "{cookie}: {shadow}");
        variations += usize::from(path == "/b");
    }
    assert!((8..=32).contains(&variations), "both variations are there: {variations} of 40 are b");
}

#[test]
fn an_identical_shadow_never_differs_with_a_payload_neither() {
    let dictionaries = [
        ("settings", json!({ "growthbook": { "kv_key": "gb_payload" } })),
        ("routes", route("hero")),
        ("features", json!({ "features": {} })),
    ];
    let revisions: [(&str, &[(&str, Value)]); 2] = [("r1", &dictionaries), ("r2", &dictionaries)];
    let host = host(&revisions, &json!({ "revision": "r1", "shadow": "r2" }));
    let payload = br#"{"features":{"hero":{"defaultValue":"payload"}}}"#;
    let value = KvValue { bytes: payload.to_vec(), generation: 1 };
    host.kv.borrow_mut().insert((Kv::Rules, "gb_payload".to_owned()), value);
    let sandbox = &mut warm(&host);
    for _ in 0..3 {
        assert_eq!(text(&visit(PARIS, "/a").send_in(&host, sandbox)), "GET /payload");
        assert_eq!(difference(&host), Value::Null);
    }
}

#[test]
fn a_canarys_visitor_is_explained_by_the_canary_and_with_the_payload() {
    let dictionaries = |name: &str| {
        let path = format!("/{name}/{{feature.hero|none}}");
        [
            ("settings", json!({ "growthbook": { "kv_key": "gb_payload" } })),
            ("routes", json!({ "routes": [{ "id": name, "path": "/a", "rewrite": { "path": path } }] })),
        ]
    };
    let (stable, canary) = (dictionaries("stable"), dictionaries("canary"));
    let pointer = json!({ "revision": "r1", "canary": { "revision": "r2", "percent": 50 } });
    let host = host(&[("r1", &stable), ("r2", &canary)], &pointer);
    let value = KvValue { bytes: br#"{"features":{"hero":{"defaultValue":"payload"}}}"#.to_vec(), generation: 1 };
    host.kv.borrow_mut().insert((Kv::Rules, "gb_payload".to_owned()), value);
    host.secrets.borrow_mut().insert("admin".to_owned(), b"a-token-of-some-length".to_vec());
    let mut canaries = 0;
    for visitor in 1..=20_u128 {
        let cookie = format!("ep_vid={visitor:032x}");
        let page = text(&visit(PARIS, "/a").with("cookie", &cookie).send(&host));
        let target = format!("/.edge/explain?url=https://shop.example/a&country=FR&header=Cookie:%20{cookie}");
        let answer = visit(PARIS, &target).with("Authorization", "Bearer a-token-of-some-length").send(&host);
        let explanation: Value = serde_json::from_slice(&answer.body).unwrap();
        let url = explanation["plan"]["asks"]["url"].as_str().unwrap();
        assert!(page.ends_with(&support::path_of(url)), "{page}: explained {url}");
        let is_canary = page == "GET /canary/payload";
        assert_eq!(explanation["role"], if is_canary { "canary" } else { "active" });
        canaries += usize::from(is_canary);
    }
    assert!((3..=17).contains(&canaries), "both revisions serve: {canaries} of 20 are the canary's");
}

#[test]
fn any_visitor_is_shown_any_revision_with_the_side_of_the_canary() {
    let routes = |name: &str| {
        [("routes", json!({ "routes": [{ "id": name, "path": "/a", "rewrite": { "path": format!("/{name}") } }] }))]
    };
    let (stable, canary, pushed) = (routes("stable"), routes("canary"), routes("pushed"));
    let pointer = json!({ "enabled": true, "revision": "r1", "canary": { "revision": "r2", "percent": 50 } });
    let host = host(&[("r1", &stable), ("r2", &canary), ("r3", &pushed)], &pointer);
    host.secrets.borrow_mut().insert("admin".to_owned(), b"a-token-of-some-length".to_vec());
    let ask = |more: &str| {
        let target = format!("/.edge/explain?url=https://shop.example/a&country=FR{more}");
        let answer = visit(PARIS, &target).with("Authorization", "Bearer a-token-of-some-length").send(&host);
        assert_eq!(support::header(&answer, "cache-control"), Some("private, no-store"));
        (answer.status.as_u16(), serde_json::from_slice::<Value>(&answer.body).unwrap())
    };
    let (mut within, mut sides) = (0, Vec::new());
    for visitor in 1..=20_u128 {
        let cookie = format!("&header=Cookie:%20ep_vid={visitor:032x}");
        for (revision, route) in [("r1", "stable"), ("r2", "canary"), ("r3", "pushed")] {
            let (status, explained) = ask(&format!("{cookie}&revision={revision}"));
            assert_eq!((status, &explained["plan"]["route"]), (200, &json!(route)), "{explained}");
            assert_eq!((&explained["role"], &explained["canary"]["unit"]), (&Value::Null, &json!("visitor")));
            sides.push(explained["canary"]["within"].as_bool().unwrap());
        }
        assert!(sides.windows(2).all(|pair| pair[0] == pair[1]), "the revision shown doesn't move the visitor");
        within += usize::from(sides[0]);
        sides.clear();
    }
    assert!((3..=17).contains(&within), "both sides are there: {within} of 20 are the canary's");
    assert_eq!(ask("&revision=r9").0, 409);
    assert_eq!(ask("&revision=a/b").0, 400);
    host.set("active", &json!({ "enabled": false, "revision": "r1", "canary": { "revision": "r2", "percent": 50 } }));
    assert_eq!(ask("").0, 409, "what visitors get: the kill switch is on");
    let (status, explained) = ask("&revision=r3");
    assert_eq!((status, &explained["plan"]["route"], &explained["canary"]), (200, &json!("pushed"), &Value::Null));
    assert!(host.lines_of(Endpoint::Exposures).is_empty());
    let without = visit(PARIS, "/.edge/explain?url=https://shop.example/a&revision=r1").send(&host);
    assert_eq!(without.status.as_u16(), 404);
}
