//! Promise 4: three incidents that took others down, replayed on the real service. The page is served in each of them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may stop at a surprise")]
#![allow(clippy::indexing_slicing, reason = "what is missing in a JSON value is null, and a surprise ends the test")]

mod support;

use edge_personalizer::platform::Endpoint;
use edge_personalizer::platform::memory::Memory;
use edge_personalizer::rules::manifest::Manifest;
use edge_personalizer::service::Sandbox;
use serde_json::{Value, json};
use std::time::Duration;
use support::{PARIS, echo, header, shop, text, visit};

const PAGE: &str = "/api/products/all";
const PERSONALIZED: &str = "GET /api/products/promotions/europe";

/// Writes a revision as `personalizer push` does.
fn push(host: &Memory, revision: &str, dictionaries: &[(&str, String)]) {
    let mut config = host.config.borrow_mut();
    for (name, text) in dictionaries {
        config.insert(format!("{revision}/{name}"), text.clone());
    }
    let manifest = Manifest::of(dictionaries.iter().map(|(name, text)| (*name, text.as_str())), "");
    config.insert(format!("{revision}/manifest"), serde_json::to_string(&manifest).unwrap());
}

fn demo(host: &Memory) -> Vec<(&'static str, String)> {
    let config = host.config.borrow();
    ["settings", "regions", "routes"].map(|name| (name, config[name].clone())).to_vec()
}

fn later(host: &Memory) {
    host.age.set(host.age.get() + Duration::from_secs(2));
}

/// Cloudflare, 2025-11-18: a generated file doubled in size, met a limit that nobody had expected to meet, and an unwrap took the proxies down.
#[test]
fn a_file_that_doubled_in_size() {
    let host = shop(echo);
    let demo = demo(&host);
    push(&host, "r1", &demo);
    host.set("active", &json!({ "revision": "r1", "manifest": true }));
    let mut warm = Sandbox::default();
    assert_eq!(text(&visit(PARIS, PAGE).send_in(&host, &mut warm)), PERSONALIZED);

    // The same routes over and over, in far more parts than a request may read, each far longer than an entry may be.
    let routes: Value = serde_json::from_str(&demo[2].1).unwrap();
    let doubled: Vec<Value> = (0..10).flat_map(|_| routes["routes"].as_array().unwrap().clone()).collect();
    for parts in [2, 40, 4_000_000_000_u64] {
        let part = json!({ "parts": parts, "routes": doubled }).to_string();
        let names: Vec<String> =
            (1..=40).map(|n| if n == 1 { "routes".to_owned() } else { format!("routes.{n}") }).collect();
        let doubled: Vec<(&str, String)> = names.iter().map(|name| (name.as_str(), part.clone())).collect();
        let revision = format!("big{parts}");
        push(&host, &revision, &doubled);
        host.set("active", &json!({ "revision": revision, "previous": "r1", "manifest": true }));
        later(&host);
        host.lookups.borrow_mut().clear();
        assert_eq!(text(&visit(PARIS, PAGE).send_in(&host, &mut warm)), PERSONALIZED, "{parts}: warm, the old rules");
        assert!(host.lookups.borrow()["config"] <= 16);
        let cold = visit(PARIS, PAGE).send(&host);
        assert_eq!(cold.status, 200, "{parts}: cold");
    }
    // At bare names, the first parts serve and the rest is named.
    host.config.borrow_mut().remove("active");
    host.set("routes", &json!({ "parts": 40, "routes": doubled }));
    assert_eq!(text(&visit(PARIS, PAGE).send(&host)), PERSONALIZED);
    let errors = host.lines_of(Endpoint::Errors);
    assert!(
        errors.iter().any(|line| line["fault"]["message"].as_str().is_some_and(|text| text.contains("16 look-ups")))
    );
}

/// Cloudflare, 2025-12-05: a kill switch was applied to a rule of a type that the code behind it had never met.
#[test]
fn a_kill_switch_that_met_an_unexpected_rule_type() {
    let host = shop(echo);
    let mut sandbox = Sandbox::default();
    let demo: Value = serde_json::from_str(&host.config.borrow()["routes"].clone()).unwrap();
    for odd in [
        json!({ "id": "promotions", "path": PAGE, "action": "execute", "execute": { "ruleset": "x" } }),
        json!({ "id": "promotions", "path": PAGE, "action": ["personalize"] }),
        json!({ "id": "promotions", "path": PAGE, "action": null }),
        json!({ "id": "promotions", "path": PAGE, "action": "respond" }),
        json!({ "id": "promotions", "path": PAGE, "action": "redirect" }),
        json!([[], {}, 7]),
    ] {
        for enabled in [json!(false), json!(null), json!("false"), json!(0)] {
            let mut route = odd.clone();
            if let Some(route) = route.as_object_mut() {
                route.insert("enabled".to_owned(), enabled.clone());
            }
            let mut routes = demo["routes"].as_array().unwrap().clone();
            routes[0] = route;
            host.set("routes", &json!({ "routes": routes }));
            later(&host);
            for sandbox in [&mut sandbox, &mut Sandbox::default()] {
                let answer = visit(PARIS, PAGE).send_in(&host, sandbox);
                assert_eq!(
                    (answer.status.as_u16(), text(&answer).as_str()),
                    (200, "GET /api/products/all"),
                    "{odd} {enabled}"
                );
                let other = visit(PARIS, "/search/x").send_in(&host, sandbox);
                assert!(text(&other).starts_with("GET /echo/search/x"), "the other routes serve: {odd} {enabled}");
            }
        }
    }
    // And the switch for everything, beside a pointer of types that no version knows.
    for pointer in [
        json!({ "enabled": false, "revision": { "kind": "rainbow" }, "canary": [1], "store": 7, "shadow": true }),
        json!({ "enabled": false, "revision": null, "previous": 3.5 }),
    ] {
        host.set("active", &pointer);
        for sandbox in [&mut sandbox, &mut Sandbox::default()] {
            let answer = visit(PARIS, PAGE).send_in(&host, sandbox);
            assert_eq!((answer.status.as_u16(), text(&answer).as_str()), (200, "GET /api/products/all"));
            assert_eq!(header(&answer, "vary"), None, "off is off");
        }
    }
}

/// Google, 2025-06-12: a policy with blank fields was replicated everywhere within seconds and met a null pointer.
#[test]
fn blank_fields() {
    let blanks = [json!(null), json!(""), json!({}), json!([]), json!(" "), json!(0)];
    // Every field of the demo's dictionaries, blank in every way, one after the other.
    for name in ["settings", "regions", "routes"] {
        let whole: Value = serde_json::from_str(&shop(echo).config.borrow()[name].clone()).unwrap();
        for pointer in pointers(&whole, String::new()) {
            for blank in &blanks {
                let host = shop(echo);
                let mut changed = whole.clone();
                *changed.pointer_mut(&pointer).unwrap() = blank.clone();
                host.set(name, &changed);
                let mut sandbox = Sandbox::default();
                for path in [PAGE, "/search/x", "/shop", "/"] {
                    let answer = visit(PARIS, path).send_in(&host, &mut sandbox);
                    assert!(answer.status.as_u16() < 400, "{name}{pointer} = {blank}: {path} got {}", answer.status);
                }
            }
        }
    }
    // And of the pointer.
    let pointer = json!({ "enabled": true, "revision": "r1", "previous": "r1", "shadow": "r1", "store": "config",
        "canary": { "revision": "r1", "percent": 50 } });
    for place in pointers(&pointer, String::new()).into_iter().filter(|place| place != "/enabled") {
        for blank in &blanks {
            let host = shop(echo);
            let demo = demo(&host);
            push(&host, "r1", &demo);
            let mut changed = pointer.clone();
            *changed.pointer_mut(&place).unwrap() = blank.clone();
            host.set("active", &changed);
            let answer = visit(PARIS, PAGE).send(&host);
            if place.is_empty() && *blank != json!({}) {
                assert_eq!(answer.status, 200, "nothing of it is usable: the request passes through");
            } else {
                assert_eq!(text(&answer), PERSONALIZED, "{place} = {blank}");
            }
        }
    }
}

/// The JSON pointer of every value.
fn pointers(value: &Value, at: String) -> Vec<String> {
    let mut all = vec![at.clone()];
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                all.extend(pointers(member, format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"))));
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                all.extend(pointers(item, format!("{at}/{index}")));
            }
        }
        _ => {}
    }
    all
}
