//! Promise 2 through the real service, as far as the local server can be made to fail: a part that is missing, malformed, oversized,
//! stale or of another version costs nobody the page. (It can't be made slow: `tests/fault_matrix.rs` shows that on the host.)
#![allow(clippy::indexing_slicing, reason = "what is missing in a JSON value is null, and a surprise ends the test")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may stop at a surprise")]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use e2e::visitors::{NEW_YORK, NOWHERE, UNKNOWN_COUNTRY, Visitor};
use e2e::{Builder, Edge, Request, Rules};
use edge_personalizer::context::identity::{UserId, sign};
use edge_personalizer::mac::MacKey;
use serde_json::{Value, json};

const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0";
const LOCAL_SECRET: &str = "local-identity-key-of-32-bytes-or-more";
/// A warm sandbox looks at entries with bare names again after a second.
const A_SECOND: Duration = Duration::from_millis(1_200);

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn rules() -> Value {
    json!({
        "settings": {},
        "regions": { "default": { "id": "DEFAULT_REGION", "slug": "global" },
            "regions": [{ "id": "US", "slug": "us", "when": { "country": "US" } }] },
        "features": { "features": { "hero": { "defaultValue": "old", "rules": [{ "key": "t", "variations": ["old", "new"], "hashVersion": 2 }] } } },
        "routes": { "routes": [{ "id": "page", "path": "/echo/page", "rewrite": { "path": "/echo/{region.slug}/{feature.hero}" },
            "session": { "header": ["cart"] } }] }
    })
}

/// Every page that was asked for, and what it was.
#[derive(Default)]
struct Table {
    requests: usize,
    pages: usize,
    own_5xx: usize,
}

impl Table {
    /// Asks a few times, so that cold and warm sandboxes answer.
    fn ask(&mut self, part: &str, fault: &str, edge: &Edge, visitor: Visitor, user: &str) {
        let signature = sign(&MacKey::new(LOCAL_SECRET.as_bytes()).unwrap(), &UserId::parse(user).unwrap(), now());
        let request = Request::get("/echo/page")
            .header("User-Agent", FIREFOX)
            .header("X-User-ID", user)
            .header("X-User-Signature", signature);
        let mut what = String::new();
        for _ in 0..3 {
            let answer = edge.visitor(visitor).send(&request);
            self.requests += 1;
            let asked = edge.origin().last_request().unwrap();
            let page = answer.status == 200 && answer.complete && asked.path().starts_with("/echo/");
            self.pages += usize::from(page);
            self.own_5xx += usize::from(answer.status >= 500);
            let session = asked.header("edge-session").unwrap_or("-").to_owned();
            let user = if asked.header("x-user-id").is_some() { "user" } else { "nobody" };
            what = format!("{:<20} {user:<7} {session:<14}", asked.path());
            assert!(page, "{part} {fault}: {answer:#?}\n{}", edge.printed());
        }
        println!("{part:<8} {fault:<16} 200  {what}");
    }
}

fn record(age: u64) -> String {
    json!({ "version": 1, "updated_at": (now() - age) * 1000, "cart": [{ "sku": "P0001", "quantity": 1 }] }).to_string()
}

fn start() -> Builder {
    Edge::with_rules(&rules())
        .kv("sessions", "user/fresh", &record(1))
        .kv("sessions", "user/stale", &record(9_000))
        .kv("sessions", "user/too-old", &record(9_000_000))
        .kv("sessions", "user/malformed", "{\"updated_at\":17")
        .kv("sessions", "user/empty", "")
        .kv("sessions", "user/oversized", &format!("{{\"updated_at\":1,\"x\":\"{}\"}}", "x".repeat(3_000_000)))
        .kv(
            "sessions",
            "user/older",
            &json!({ "v": 0, "updated_at": now() * 1000, "views": ["a"], "cart": "P0001" }).to_string(),
        )
        .kv(
            "sessions",
            "user/newer",
            &json!({ "v": 99, "updated_at": now() * 1000, "cart": [{ "sku": "P0001", "count": 2 }] }).to_string(),
        )
}

#[test]
fn whatever_fails_the_page_is_served() {
    let mut table = Table::default();
    println!("{:<8} {:<16} {:<4} {:<20} {:<7} {:<14}", "part", "fault", "", "the origin was asked", "for", "session");
    let mut edge = start()
        .manifest(|manifest| {
            let places = manifest.table(&["geolocation", "addresses"]);
            let mut partial = places["127.0.0.11"].as_table().unwrap().clone();
            partial.remove("country_code");
            places.insert("127.0.0.31".to_owned(), partial.into());
            let mut odd = places["127.0.0.11"].as_table().unwrap().clone();
            odd.insert("country_code".to_owned(), "\u{e9}\"<".into());
            odd.insert("city".to_owned(), "x".repeat(100_000).into());
            places.insert("127.0.0.32".to_owned(), odd.into());
            let mut former = places["127.0.0.11"].as_table().unwrap().clone();
            former.insert("country_code".to_owned(), "SU".into());
            places.insert("127.0.0.33".to_owned(), former.into());
        })
        .start();
    let at = |last: u8| Visitor { address: std::net::Ipv4Addr::new(127, 0, 0, last).into(), ..NEW_YORK };
    table.ask("none", "none", &edge, NEW_YORK, "fresh");
    table.ask("geo", "missing", &edge, NOWHERE, "fresh");
    table.ask("geo", "missing field", &edge, at(31), "fresh");
    table.ask("geo", "malformed, large", &edge, at(32), "fresh");
    table.ask("geo", "stale", &edge, at(33), "fresh");
    table.ask("geo", "unknown", &edge, UNKNOWN_COUNTRY, "fresh");
    for user in ["missing", "stale", "too-old", "malformed", "empty", "oversized", "older", "newer"] {
        table.ask("KV", user, &edge, NEW_YORK, user);
    }
    let routes = rules()["routes"].to_string();
    type Change = Box<dyn Fn(&mut Rules)>;
    let entry = |name: &'static str, text: String| -> Change { Box::new(move |rules| rules.set_entry(name, &text)) };
    let changes: Vec<(&str, Change)> = vec![
        ("malformed", entry("routes", routes[..routes.len() / 2].to_owned())),
        ("wrong types", entry("routes", "[7]".to_owned())),
        ("oversized", entry("routes", format!("{routes}{}", " ".repeat(2_000_000)))),
        ("oversized junk", entry("routes", "x".repeat(2_000_000))),
        (
            "newer version",
            entry(
                "routes",
                json!({ "v": 99, "routes": [{ "id": "page", "path": "/echo/page", "action": "teleport" }] })
                    .to_string(),
            ),
        ),
        (
            "older version",
            entry(
                "routes",
                json!({ "routes": [{ "id": "page", "path": "/echo/page", "target": "/old" }] }).to_string(),
            ),
        ),
        ("no such entry", Box::new(|rules| rules.remove_entry("routes"))),
        (
            "stale pointer",
            entry("active", json!({ "enabled": true, "revision": "gone", "previous": "gone-too" }).to_string()),
        ),
        ("malformed pointer", entry("active", "{\"enabled\": tru".to_owned())),
    ];
    for (fault, change) in &changes {
        edge.edit(|rules| change(rules));
        std::thread::sleep(A_SECOND);
        table.ask("config", fault, &edge, NEW_YORK, "fresh");
    }
    drop(edge);
    let secrets: [(&str, Option<String>); 4] = [
        ("missing", None),
        ("malformed", Some("{\"keys\":".to_owned())),
        ("oversized", Some("x".repeat(64_000))),
        ("stale", Some("the-key-that-came-after-of-32-bytes".to_owned())),
    ];
    for (fault, secret) in secrets {
        let builder = start().manifest(|manifest| manifest.without(&[], "secret_stores"));
        let builder = match secret {
            Some(secret) => builder.secret("identity", &secret),
            None => builder,
        };
        table.ask("secrets", fault, &builder.start(), NEW_YORK, "fresh");
    }
    table.ask("config", "no store", &start().without_config_store().start(), NEW_YORK, "fresh");
    let bare = start().without_stores().without_geolocation().start();
    table.ask("all", "no store at all", &bare, NEW_YORK, "fresh");
    println!("{} requests: pages {}, 5xx {}", table.requests, table.pages, table.own_5xx);
    assert_eq!((table.pages, table.own_5xx), (table.requests, 0));
}
