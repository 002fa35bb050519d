//! Promise 1 through the real service: on shared routes, two requests with the same cache key send the origin the same bytes, and two
//! requests that send the origin different bytes have different keys. The key is the one in the decision log, the bytes are those that
//! the demo shop received.
//!
//! `tests/caches.rs` tries many more rule sets against a host in memory.
#![allow(clippy::indexing_slicing, reason = "what is missing in a JSON value is null, and a surprise ends the test")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may stop at a surprise")]

#[path = "../../../tests/support/at_random.rs"]
mod at_random;

use std::collections::{HashMap, HashSet};

use at_random::{Random, dictionaries};
use e2e::crowd::{Mix, Person};
use e2e::{Behaviour, Dice, Edge, Recorded, Rules};
use serde_json::json;

const SEED: u64 = 0x5eed;
/// Rule sets; more where `EDGE_FULL` asks for the long run.
const SETS: usize = 40;
const FULL_SETS: usize = 250;
/// Visitors to each.
const VISITORS: usize = 50;
const PATHS: [&str; 12] = [
    "/r0/a",
    "/r0/b",
    "/r1/a",
    "/r1/a%2Fb",
    "/r2/a",
    "/r2/a=b",
    "/r2/a&b",
    "/r3/a",
    "/r3/x%22y",
    "/r3/a;b",
    "/r1/%2e",
    "/r0/a%20b",
];
/// The promise doesn't speak of these: they say which request it was. The last one is the local server's own, and is the key.
const TRACE: [&str; 6] = ["traceparent", "tracestate", "x-request-id", "cdn-loop", "via", "fastly-xqd-cache-key"];

/// What was sent, trace headers aside, in one form: lines of different headers may come in any order.
fn bytes(sent: &Recorded) -> String {
    let mut lines: Vec<String> = Vec::new();
    for (name, value) in sent.headers.iter().filter(|(name, _)| !TRACE.contains(&name.as_str())) {
        lines.push(format!("{name}: {value}"));
    }
    lines.sort_by(|one, other| one.split(':').next().cmp(&other.split(':').next()));
    format!("{} {}\n{}", sent.method, sent.target, lines.join("\n"))
}

#[test]
fn equal_keys_send_equal_bytes_and_different_bytes_have_different_keys() {
    let mut edge = Edge::with_rules(&json!({})).start();
    // Every path is there: no fallback is taken.
    let ok = Behaviour::Answer {
        status: 200,
        headers: vec![("Cache-Control".into(), "max-age=60".into())],
        body: b"ok".to_vec(),
    };
    edge.origin().on("*", ok);
    let (mut random, mut dice) = (Random(SEED), Dice::new(SEED));
    let mix = Mix {
        paths: &PATHS,
        methods: &["GET", "GET", "HEAD"],
        header_percent: 8,
        user_percent: 10,
        cookie_percent: 40,
    };
    let sets = if std::env::var_os("EDGE_FULL").is_some() { FULL_SETS } else { SETS };
    let (mut requests, mut shared) = (0, 0);
    let (mut keys, mut leaks, mut collisions, mut splits) = (HashSet::new(), Vec::new(), Vec::new(), Vec::new());
    // Over all rule sets: what is stored under one may be found under the next.
    let mut by_key: HashMap<String, String> = HashMap::new();
    let mut by_bytes: HashMap<String, String> = HashMap::new();
    for set in 0..sets {
        // A pointer's change counts at once.
        let rules = dictionaries(&mut random);
        edge.edit(|store| {
            *store = Rules::default();
            for (name, dictionary) in rules.as_object().unwrap() {
                store.set_entry(&format!("set-{set}/{name}"), &dictionary.to_string());
            }
            store.set_entry("active", &json!({ "revision": format!("set-{set}") }).to_string());
        });
        for _ in 0..VISITORS {
            let mut person = Person::next(&mut dice, mix);
            let secret = format!("secret-{requests}");
            person.headers.push(("X-Client".into(), (*dice.one(&["1", "2", "1, 2"])).to_owned()));
            person.headers.push(("Cookie".into(), format!("sid={secret}")));
            person.headers.push(("X-Secret".into(), secret.clone()));
            edge.origin().forget();
            let answer = edge.visitor(person.visitor).send(&person.request());
            assert_eq!(answer.status, 200, "{answer:#?}");
            let logged = edge.decision();
            assert_eq!(logged["revision"], format!("set-{set}"), "{logged:#}");
            let [sent] = &edge.origin().requests()[..] else {
                panic!("{person:#?} made {:#?}", edge.origin().requests())
            };
            requests += 1;
            let Some(key) = logged["cache_key"].as_str() else { continue };
            shared += 1;
            keys.insert(key.to_owned());
            let sent = bytes(sent);
            for own in [&secret, "x-forwarded-for", "x-user-id", "edge-visitor-id", "user-agent", "authorization"] {
                if sent.contains(own) {
                    leaks.push(format!("{own} is in a shared request:\n{sent}"));
                }
            }
            // The surrogate key of a revision purges it; the object itself is the same for every revision that asks for it.
            let known = by_key.entry(key.to_owned()).or_insert_with(|| sent.clone());
            if *known != sent {
                collisions.push(format!("one key, two requests:\n{known}\n{sent}"));
            }
            let known = by_bytes.entry(sent.clone()).or_insert_with(|| key.to_owned());
            if known != key {
                splits.push(format!("one request, two keys:\n{sent}"));
            }
        }
    }
    println!(
        "seed {SEED:#x}: {sets} rule sets, {requests} requests, {shared} of them shared under {} keys: one key for different bytes {}, \
         different keys for equal bytes {}, leaks {}",
        keys.len(),
        collisions.len(),
        splits.len(),
        leaks.len()
    );
    assert!(leaks.is_empty(), "{}", leaks[0]);
    assert!(collisions.is_empty(), "{}", collisions[0]);
    assert!(splits.is_empty(), "{}", splits[0]);
    assert!(shared > requests / 3 && shared - keys.len() > requests / 20, "keys were met more than once");
    assert!(edge.errors().iter().all(|line| line["fault"].is_null()), "{:#?}", edge.errors());
}
