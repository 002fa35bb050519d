//! Promise 2 on the real service, part by part: {geo, config, secrets, KV, log, session API} × {missing, slow, malformed, oversized, stale,
//! older version}, as far as the local server can be brought to it; `tests/fault_matrix.rs` has the whole on the host. The page is always
//! served, and no 5xx is the edge's own.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic,
    reason = "what is missing in a JSON value is null, and a surprise ends the test"
)]

mod config;
mod facts;
mod matrix;
mod session_api;

use std::thread;
use std::time::Duration;

use e2e::{Builder, Edge, now};
use serde_json::{Value, json};

use matrix::Matrix;

const NAMED: [&str; 6] = ["missing", "slow", "malformed", "oversized", "stale", "older version"];
const PARTS: [&str; 6] = ["geo", "config", "secrets", "KV", "log", "session API"];
/// Enough for a busy machine where the session API is well.
const BUDGET_MS: u64 = 1_000;
/// A warm sandbox looks at the rules again after a second.
const REREAD: Duration = Duration::from_millis(1100);

/// A page that depends on everything: region, a feature, the user, the session. The session API is asked where `asks` says so.
fn dictionaries(asks: bool) -> Value {
    let path = asks.then_some("/sessions/{kind}/{id}");
    let page = |id: &str, path: &str| json!({ "id": id, "path": path, "rewrite": { "path": "/echo/{region.slug}/{feature.hero}" }, "session": { "header": ["cart", "recent_views"] } });
    json!({
        "settings": { "session": { "path": path, "budget_ms": BUDGET_MS, "breaker_failures": 1000 } },
        "regions": { "default": { "id": "DEFAULT_REGION", "slug": "global" }, "regions": [
            { "id": "US-EAST", "slug": "east", "when": { "country": "US" } } ] },
        "features": { "features": { "hero": { "defaultValue": "old", "rules": [{
            "key": "hero-test", "variations": ["old", "new"], "hashVersion": 2, "meta": [{ "key": "0" }, { "key": "1" }] }] } } },
        "routes": { "routes": [page("page", "/echo/page"), page("long", "/echo/page/*")] },
    })
}

fn shop(asks: bool) -> Builder {
    Edge::with_rules(&dictionaries(asks))
}

/// A record that was right `age` seconds ago.
fn record(age: u64) -> Value {
    json!({ "v": 1, "updated_at": (now() - Duration::from_secs(age)).as_millis(), "recent_views": ["kv-1"], "cart": [{ "sku": "kv-3", "quantity": 2 }] })
}

#[test]
fn every_part_may_fail_in_every_way_and_the_page_is_served() {
    let parts = [facts::cells, config::cells, session_api::cells].map(|cells: fn() -> Matrix| thread::spawn(cells));
    let mut whole = Matrix::default();
    for part in parts {
        whole.add(part.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
    }
    let host = "not possible locally (host: tests/fault_matrix.rs)";
    for (part, fault) in [("geo", "slow"), ("config", "slow"), ("secrets", "slow"), ("KV", "slow"), ("KV", "fails")] {
        whole.note(part, fault, host);
    }
    for fault in ["missing", "slow"] {
        whole.note("log", fault, host);
    }
    for fault in ["malformed", "stale", "older version"] {
        whole.note("log", fault, "not applicable: a log is written only");
    }
    println!("{:<11} {:<48} {:>6} {:>8} {:<32} codes", "part", "fault", "status", "waited", "what is left");
    print!("{}", whole.printed);
    let (requests, pages, own_5xx) = (whole.requests, whole.pages, whole.own_5xx);
    let share = 100 * pages / requests.max(1);
    println!(
        "{requests} requests: served unpersonalized or better {pages} ({share} %), 5xx made by the edge {own_5xx}"
    );
    for part in PARTS {
        for fault in NAMED {
            assert!(whole.has(part, fault), "{part} {fault} is not in the table");
        }
    }
    assert!(whole.wrong.is_empty(), "{:#?}", whole.wrong);
    assert_eq!((pages, own_5xx), (requests, 0));
}
