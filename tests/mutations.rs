//! Promise 4, and promise 18 for the dictionaries: random mutations of rules through the real service. Whatever a store holds, the
//! edge neither panics nor makes an error of its own while the origin is fine.
//!
//! The seed is fixed, so that a failure is the same in every run; `fuzz/` has the open-ended search.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may stop at a surprise")]
#![allow(clippy::indexing_slicing, reason = "what is missing in a JSON value is null, and a surprise ends the test")]

mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use edge_personalizer::service::Sandbox;
use serde_json::{Value, json};
use support::{NEW_YORK, NOWHERE, PARIS, echo, shop, visit};

/// Mutated rule sets a run.
const ROUNDS: u64 = 1_000;

/// Numbers from a seed (splitmix64).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end.max(1) as u64).unwrap()
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

#[test]
fn mutated_dictionaries_never_take_a_page_down() {
    let mut dice = Dice(20_261_124);
    let mut requests = 0;
    for round in 0..ROUNDS {
        let host = shop(echo);
        let mut told = Vec::new();
        let mutated = dice.below(9);
        for (index, (name, mut value)) in dictionaries().into_iter().enumerate() {
            // One dictionary at least, and now and then all of them.
            let times = if index == mutated || dice.below(5) == 0 { 1 + dice.below(3) } else { 0 };
            for _ in 0..times {
                mutate(&mut value, &mut dice);
            }
            let mut text = value.to_string();
            if times > 0 && dice.below(4) == 0 {
                text = damage(&text, &mut dice);
            }
            told.push(format!("{name}: {text}"));
            for prefix in ["", "r2/", "r3/"] {
                if name != "active" || prefix.is_empty() {
                    host.config.borrow_mut().insert(format!("{prefix}{name}"), text.clone());
                }
            }
        }
        let served = catch_unwind(AssertUnwindSafe(|| {
            let mut sandbox = Sandbox::default();
            let mut statuses = Vec::new();
            for (from, target) in [
                (PARIS, "/p/42?utm_x=1&a=b"),
                (NEW_YORK, "/s/../x"),
                (NOWHERE, "/r"),
                (PARIS, "/"),
                (NEW_YORK, "/p/a%2Fb"),
            ] {
                let cookie = format!("ep_vid={:032x}; ab=1", round);
                let answer =
                    visit(from, target).with("cookie", cookie).with("x-geo-region", "EU").send_in(&host, &mut sandbox);
                statuses.push((target, answer.status.as_u16(), answer.headers.contains_key("edge-variant")));
                host.age.set(host.age.get() + Duration::from_millis(700));
            }
            statuses
        }));
        let Ok(statuses) = served else { panic!("round {round} panicked:\n{}", told.join("\n")) };
        for (target, status, _) in statuses {
            requests += 1;
            // A rule may say 404 or 503 itself (`respond`): the mutations have no such status.
            assert!(status < 500, "round {round}: {target} got {status}:\n{}", told.join("\n"));
        }
    }
    println!("{ROUNDS} mutated rule sets, {requests} requests: no panic, no 5xx");
}
