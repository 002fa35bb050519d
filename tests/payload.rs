//! Features from GrowthBook's own SDK payload, as its Fastly KV webhook writes it: beside the dictionaries, which win, and for every
//! revision that serves.
#![allow(clippy::unwrap_used, reason = "a test may stop at a surprise")]

mod support;

use std::time::Duration;

use edge_personalizer::platform::memory::Memory;
use edge_personalizer::platform::{Kv, KvValue};
use edge_personalizer::service::Sandbox;
use serde_json::{Value, json};
use support::{PARIS, echo, shop, text, visit};

fn put(host: &Memory, payload: &str) {
    let value = KvValue { bytes: payload.as_bytes().to_vec(), generation: 1 };
    host.kv.borrow_mut().insert((Kv::Rules, "gb_payload".to_owned()), value);
}

fn dictionaries(name: &str) -> [(&'static str, Value); 3] {
    [
        ("settings", json!({ "growthbook": { "kv_key": "gb_payload" } })),
        ("features", json!({ "features": { "own": { "defaultValue": "dictionary" } } })),
        (
            "routes",
            json!({ "routes": [{ "id": "a", "path": "/a",
                "rewrite": { "path": format!("/{name}/{{feature.own}}/{{feature.hero|none}}") } }] }),
        ),
    ]
}

fn lab() -> Memory {
    let host = shop(echo);
    for (name, dictionary) in dictionaries("bare") {
        host.set(name, &dictionary);
    }
    put(&host, r#"{"features":{"hero":{"defaultValue":"payload"},"own":{"defaultValue":"payload"}}}"#);
    host
}

#[test]
fn a_payloads_features_serve_and_a_dictionarys_win() {
    assert_eq!(text(&visit(PARIS, "/a").send(&lab())), "GET /bare/dictionary/payload");
}

#[test]
fn a_new_payload_counts_within_a_minute_and_a_broken_one_not_at_all() {
    let host = lab();
    let mut sandbox = Sandbox::default();
    let mut ask = |host: &Memory| text(&visit(PARIS, "/a").send_in(host, &mut sandbox));
    assert_eq!(ask(&host), "GET /bare/dictionary/payload");
    put(&host, r#"{"features":{"hero":{"defaultValue":"new"}}}"#);
    host.age.set(Duration::from_secs(60));
    assert_eq!(ask(&host), "GET /bare/dictionary/new");
    host.kv.borrow_mut().clear();
    host.age.set(Duration::from_secs(120));
    assert_eq!(ask(&host), "GET /bare/dictionary/new", "what was read last goes on serving");
}

#[test]
fn two_revisions_that_serve_side_by_side_share_one_reading_of_the_payload() {
    let host = lab();
    for revision in ["r1", "r2"] {
        for (name, dictionary) in dictionaries(revision) {
            host.set(&format!("{revision}/{name}"), &dictionary);
        }
    }
    host.set("active", &json!({ "revision": "r1", "canary": { "revision": "r2", "percent": 50 } }));
    let mut sandbox = Sandbox::default();
    let mut served = std::collections::BTreeMap::new();
    for visitor in 0..60_u32 {
        let cookie = format!("ep_vid={:032x}", u128::from(visitor) + 1);
        let answer = visit(PARIS, "/a").with("cookie", cookie).send_in(&host, &mut sandbox);
        *served.entry(text(&answer)).or_insert(0) += 1;
    }
    assert_eq!(
        served.keys().collect::<Vec<_>>(),
        ["GET /r1/dictionary/payload", "GET /r2/dictionary/payload"],
        "{served:?}"
    );
    assert_eq!(host.lookups.borrow().get("kv"), Some(&1), "{served:?}");
}
