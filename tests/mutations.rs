//! Promise 4, and promise 18 for the dictionaries: random mutations of rules through the real service. Whatever a store holds, the
//! edge neither panics nor makes an error of its own while the origin is fine.
//!
//! The seed is fixed, so that a failure is the same in every run, and proptest shrinks it; `fuzz/` has the open-ended search.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may stop at a surprise")]
#![allow(clippy::indexing_slicing, reason = "what is missing in a JSON value is null, and a surprise ends the test")]

mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use edge_personalizer::service::Sandbox;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};
use serde_json::{Value, json};
use support::{NEW_YORK, NOWHERE, PARIS, echo, shop, visit};

/// Mutated rule sets a run.
const ROUNDS: u32 = 1_000;

/// Choices that proptest makes: it can leave some out and lower others, so that a failure comes down to the mutation that matters.
/// Past their end every choice is the first.
struct Dice(std::vec::IntoIter<u32>);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.0.next().unwrap_or_default()).unwrap() % end.max(1)
    }

    fn one<'o, T>(&mut self, of: &'o [T]) -> &'o T {
        &of[self.below(of.len())]
    }
}

/// Rules that use about everything.
fn dictionaries() -> Vec<(&'static str, Value)> {
    vec![
        (
            "active",
            json!({ "enabled": true, "canary": { "revision": "r2", "percent": 50 }, "shadow": "r3", "store": "config" }),
        ),
        (
            "settings",
            json!({ "region_override": "any", "languages": ["en", "fr"], "log": { "sample": 0.5, "server_timing": true } }),
        ),
        (
            "regions",
            json!({ "default": { "id": "D", "slug": "global" }, "regions": [
            { "id": "EU", "slug": "europe", "when": { "$or": [{ "continent": "EU" }, { "country": { "$in": ["FR", "DE"] } }] } },
            { "id": "US", "slug": "east", "when": { "$not": { "country": { "$regex": "^[A-T]" } } } }] }),
        ),
        (
            "routes",
            json!({ "parts": 2, "routes": [
            { "id": "a", "path": "/p/{sku}", "when": { "region": "EU" }, "features": ["hero"],
              "rewrite": { "path": "/x/{region.slug}/{path.sku}", "query": "keep", "set_query": { "l": "{language|en}", "f": "{feature.hero}" },
                "remove_query": ["utm_*"] },
              "request_headers": { "set": { "X-Tier": "{session.attributes.tier|none}" }, "remove": ["X-Debug"] },
              "schedule": { "from": "1969-11-27T00:00:00Z", "until": "2096-12-01T00:00:00Z" },
              "cache": { "ttl": 60, "surrogate_keys": ["a"], "key_headers": ["accept-language"], "key_cookies": ["ab"] },
              "fallback": { "path": "/y", "statuses": [404, 500] } },
            { "id": "b", "path": "/s/*", "action": "redirect", "redirect": { "location": "/{country}/{path.rest}", "status": 307 } },
            { "id": "c", "path": "/r", "action": "respond", "respond": { "status": 200, "headers": { "X-A": "{region.id}" }, "body": "{{hi}} {country|?}" } }] }),
        ),
        (
            "routes.2",
            json!({ "routes": [{ "id": "d", "path": "/*", "host": "*.example", "methods": ["GET", "POST"], "experiments": ["cta"],
            "rewrite": { "set_query": { "e": "{experiment.cta|0}" } } }] }),
        ),
        (
            "features",
            json!({ "features": { "hero": { "defaultValue": "a", "rules": [
            { "condition": { "country": "US" }, "force": "us" },
            { "variations": ["a", "b"], "weights": [0.5, 0.5], "hashVersion": 2, "coverage": 1, "namespace": ["n", 0, 0.5] }] } } }),
        ),
        (
            "experiments",
            json!({ "experiments": [{ "key": "cta", "variations": [0, 1, 2], "hashAttribute": "id", "hashVersion": 2,
            "condition": { "id": { "$inGroup": "vip" } } }] }),
        ),
        ("segments", json!({ "segments": { "vip": ["a", "b"] } })),
        ("templates", json!({ "templates": { "badge": "<b>{{ region.id }}</b>" } })),
    ]
}

/// Every place of a value, and a change there.
fn mutate(here: &mut Value, dice: &mut Dice) {
    if dice.below(4) != 0 {
        match here {
            Value::Object(members) if !members.is_empty() => {
                let index = dice.below(members.len());
                return mutate(members.values_mut().nth(index).unwrap(), dice);
            }
            Value::Array(items) if !items.is_empty() => {
                let index = dice.below(items.len());
                return mutate(&mut items[index], dice);
            }
            _ => {}
        }
    }
    let odd = [
        json!(null),
        json!(true),
        json!(-1),
        json!(1e308),
        json!(18_446_744_073_709_551_615_u64),
        json!(""),
        json!("{"),
        json!("}"),
        json!("{region.slug}"),
        json!("{feature.nothing}"),
        json!("\r\nSet-Cookie: a=b"),
        json!("%00"),
        json!("/.."),
        json!("//evil.example"),
        json!([]),
        json!({}),
        json!([[[[]]]]),
        json!({ "$and": [] }),
        json!({ "$regex": "(a+)+$" }),
        json!({ "country": { "$nothing": 1 } }),
        json!("x".repeat(9_000)),
        json!("*"),
        json!("/*"),
        json!("/{a}/{a}"),
        json!("\u{0}"),
        json!("🦀"),
        json!("9999-99-99T99:99:99Z"),
    ];
    match (dice.below(6), &mut *here) {
        (0, Value::Object(members)) => {
            let keys: Vec<String> = members.keys().cloned().collect();
            if !keys.is_empty() {
                members.remove(dice.one(&keys).as_str());
            }
        }
        (1, Value::Object(members)) => {
            let names = ["id", "path", "action", "when", "parts", "rules", "$or", "revision", "cache", "unknown", ""];
            members.insert((*dice.one(&names)).to_owned(), dice.one(&odd).clone());
        }
        (2, Value::Array(items)) => {
            let copy = items.clone();
            items.extend(copy);
        }
        (3, Value::String(text)) => {
            let at = text.char_indices().map(|(at, _)| at).nth(dice.below(text.chars().count())).unwrap_or(0);
            text.insert(at, *dice.one(&['{', '}', '/', '*', '\n', '"', '%', '\u{0}', 'é']));
        }
        _ => *here = dice.one(&odd).clone(),
    }
}

/// Bytes as a store could give them: cut short, or one of them another.
fn damage(text: &str, dice: &mut Dice) -> String {
    let mut bytes = text.as_bytes().to_vec();
    match dice.below(3) {
        0 => bytes.truncate(dice.below(bytes.len())),
        1 => {
            let at = dice.below(bytes.len());
            bytes[at] = *dice.one(b"{}[]\",:0a\\ \x01");
        }
        _ => {
            let (from, to) = (dice.below(bytes.len()), dice.below(bytes.len()));
            bytes.drain(from.min(to)..from.max(to));
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

proptest! {
    #![proptest_config(Config { cases: ROUNDS, failure_persistence: None, rng_seed: RngSeed::Fixed(20_261_124), ..Config::default() })]
    #[test]
    fn mutated_dictionaries_never_take_a_page_down(choices in vec(any::<u32>(), 100)) {
        let host = shop(echo);
        let mut dice = Dice(choices.into_iter());
        let mut told = Vec::new();
        let mutated = dice.below(9);
        for (index, (name, mut value)) in dictionaries().into_iter().enumerate() {
            // One dictionary at least, and now and then all of them.
            let times = if index == mutated || dice.below(5) == 4 { 1 + dice.below(3) } else { 0 };
            for _ in 0..times {
                mutate(&mut value, &mut dice);
            }
            let mut text = value.to_string();
            if times > 0 && dice.below(4) == 3 {
                text = damage(&text, &mut dice);
            }
            if times > 0 {
                told.push(format!("{name}: {text}"));
            }
            for prefix in ["", "r2/", "r3/"] {
                if name != "active" || prefix.is_empty() {
                    host.config.borrow_mut().insert(format!("{prefix}{name}"), text.clone());
                }
            }
        }
        let told = told.join("\n");
        let mut sandbox = Sandbox::default();
        for (from, target) in [
            (PARIS, "/p/42?utm_x=1&a=b"),
            (NEW_YORK, "/s/../x"),
            (NOWHERE, "/r"),
            (PARIS, "/"),
            (NEW_YORK, "/p/a%2Fb"),
        ] {
            let cookie = format!("ep_vid={:032x}; ab=1", dice.below(1_000));
            let request = visit(from, target).with("cookie", cookie).with("x-geo-region", "EU");
            let served = catch_unwind(AssertUnwindSafe(|| request.send_in(&host, &mut sandbox)));
            prop_assert!(served.is_ok(), "{target} panicked:\n{told}");
            // A rule may say 404 or 503 itself (`respond`): the mutations have no such status.
            let status = served.unwrap().status.as_u16();
            prop_assert!(status < 500, "{target} got {status}:\n{told}");
            host.age.set(host.age.get() + Duration::from_millis(700));
        }
    }
}
