//! Sessions on the real service: what the backend streams shows on the next request, and a session API that lets the edge down
//! costs nobody the page.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic,
    reason = "what is missing in a JSON value is null, and a surprise ends the test"
)]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use e2e::visitors::NEW_YORK;
use e2e::{Answer, Behaviour, Edge, Request};
use edge_personalizer::replication::{WebhookSecret, sign};
use serde_json::{Value, json};

/// The local server's own, of `fastly.toml`.
const SECRET: &str = "whsec_bG9jYWwtcmVwbGljYXRpb24tc2VjcmV0LW9mLTMyLWI=";
const VISITOR: &str = "00000000000000000000000000000abc";
const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
const BUDGET_MS: u64 = 100;
/// Far above the budget, for slow machines; far below what the faults would cost.
const GENEROUS: Duration = Duration::from_secs(4);
const TOO_LONG: Duration = Duration::from_secs(20);

fn routes() -> Value {
    json!({ "routes": [
        { "id": "page", "path": "/echo/page", "session": { "header": ["cart"] } },
        { "id": "lazy", "path": "/echo/lazy", "session": { "on_miss": "origin" } },
    ]})
}

fn edge(asks: bool) -> Edge {
    let path = asks.then_some("/sessions/{kind}/{id}");
    let session = json!({ "path": path, "budget_ms": BUDGET_MS, "breaker_failures": 1000 });
    Edge::demo().dictionary("settings", &json!({ "session": session })).dictionary("routes", &routes()).start()
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn put(cart: &str) -> String {
    json!({ "op": "put", "visitor": VISITOR, "updated_at": now() * 1000, "record": { "cart": [{ "sku": cart, "quantity": 1 }] } }).to_string()
}

/// A batch as a sender with this secret makes it.
fn batch(target: &str, secret: &str, body: &str) -> Request {
    let secret = WebhookSecret::parse(secret).unwrap();
    let time = now();
    Request::new("POST", target)
        .header("content-type", "application/x-ndjson")
        .header("webhook-id", "msg_1")
        .header("webhook-timestamp", time.to_string())
        .header("webhook-signature", sign(&secret, "msg_1", time, body.as_bytes()))
        .body(body)
}

fn visit(edge: &Edge, path: &str) -> Answer {
    visit_as(edge, VISITOR, path)
}

fn visit_as(edge: &Edge, visitor: &str, path: &str) -> Answer {
    let request = Request::get(path).header("user-agent", BROWSER).header("cookie", format!("ep_vid={visitor}"));
    edge.visitor(NEW_YORK).send(&request)
}

/// A header of what the shop was asked last.
fn asked(edge: &Edge, name: &str) -> Option<String> {
    let requests = edge.origin().requests();
    let page = requests.iter().rev().find(|request| !request.path().starts_with("/sessions/")).unwrap();
    page.header(name).map(str::to_owned)
}

#[test]
fn what_the_backend_sends_shows_on_the_visitors_next_request() {
    let edge = edge(false);
    visit(&edge, "/echo/lazy");
    assert_eq!(asked(&edge, "edge-session").as_deref(), Some("miss"));
    let answer = edge.send(&batch("/.edge/sessions", SECRET, &put("P0001")));
    assert_eq!((answer.status, answer.json()["stored"].clone()), (200, json!(1)), "{}", answer.text());
    let page = visit(&edge, "/echo/page");
    assert_eq!((page.status, page.header("cache-control").as_deref()), (200, Some("private, no-store")));
    assert_eq!(asked(&edge, "edge-session-data").as_deref(), Some("{\"cart\":[\"P0001\"]}"));
    assert!(asked(&edge, "edge-session").unwrap().starts_with("fresh;age="));
    let again = edge.send(&batch("/.edge/sessions", SECRET, &put("P0001")));
    assert_eq!(again.status, 200, "a batch may come again: {}", again.text());
    let gone = json!({ "op": "delete", "visitor": VISITOR, "updated_at": (now() + 1) * 1000 }).to_string();
    assert_eq!(edge.send(&batch("/.edge/sessions", SECRET, &gone)).status, 200);
    assert_eq!(edge.send(&batch("/.edge/sessions", SECRET, &put("P0002"))).status, 200);
    visit(&edge, "/echo/page");
    assert_eq!(asked(&edge, "edge-session-data"), None, "a late update doesn't bring a deleted visitor back");
}

#[test]
fn a_wrong_signature_is_refused_and_nothing_reaches_the_shop() {
    let edge = edge(false);
    let body = put("P0001");
    let other = edge.send(&batch("/.edge/sessions", "whsec_YW5vdGhlci1yZXBsaWNhdGlvbi1zZWNyZXQtb2YtMzI=", &body));
    assert_eq!((other.status, other.header("cache-control").as_deref()), (401, Some("private, no-store")));
    let altered = batch("/.edge/sessions", SECRET, &body).body(body.replace("P0001", "P0002"));
    assert_eq!(edge.send(&altered).status, 401);
    let unsigned = Request::new("POST", "/.edge/sessions").header("content-type", "application/x-ndjson").body(&body);
    assert_eq!(edge.send(&unsigned).status, 401);
    assert_eq!(edge.get("/.edge/sessions").status, 404, "there is nothing to read");
    assert!(edge.origin().requests().is_empty(), "{:#?}", edge.origin().requests());
    visit(&edge, "/echo/lazy");
    assert_eq!(asked(&edge, "edge-session").as_deref(), Some("miss"), "nothing was stored");
}

#[test]
fn no_other_spelling_of_the_path_takes_sessions_or_is_forwarded() {
    let edge = edge(false);
    let spellings = [
        "/.edge/sessions/",
        "/.edge//sessions",
        "//.edge/sessions",
        "/%2eedge/sessions",
        "/.edge%2fsessions",
        "/.edge/%73essions",
        "/.Edge/sessions",
        "/.EDGE/SESSIONS",
        "/.edge/sessions;x",
        "/.edge/sessions/x",
        "/.edge/sessions%00",
        "/.edge/sessions.",
    ];
    // The platform's URL parser resolves these before the service sees a path: for the service they are the same request.
    let resolved = ["/.edge/./sessions", "/a/../.edge/sessions", "/.edge/%2e/sessions", "/.edge\\sessions"];
    for (spelling, expected) in
        spellings.map(|spelling| (spelling, 404)).into_iter().chain(resolved.map(|spelling| (spelling, 200)))
    {
        let answer = edge.visitor(NEW_YORK).try_send(&batch(spelling, SECRET, &put("P0001")));
        let status = answer.map_or(0, |answer| answer.status);
        let forwarded = edge.origin().requests().iter().map(|request| request.path().to_owned()).collect::<Vec<_>>();
        println!("{spelling:<26} {status} {forwarded:?}");
        // A spelling that is no path at all is refused as such.
        assert!(status == expected || (expected == 404 && status == 400), "{spelling}: {status}");
        assert!(forwarded.is_empty(), "{spelling} reached the shop as {forwarded:?}");
        let unsigned = edge.visitor(NEW_YORK).try_send(&Request::new("POST", spelling).body(put("P0002")));
        let status = unsigned.map_or(0, |answer| answer.status);
        assert!(matches!(status, 400 | 401 | 404), "{spelling} unsigned: {status}");
    }
}

type Fault = (&'static str, Option<Behaviour>, &'static [&'static str]);

#[test]
fn a_session_api_that_lets_the_edge_down_costs_nobody_the_page() {
    let lies = |headers: &[(&str, &str)], body: &str| {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Some(Behaviour::Answer { status: 200, headers, body: body.as_bytes().to_vec() })
    };
    let huge = format!("{{\"recent_views\":[\"{}\"]}}", "x".repeat(300_000));
    let faults: Vec<Fault> = vec![
        ("none", None, &["refreshed"]),
        ("stalls before the head", Some(Behaviour::StallHead(TOO_LONG)), &["error"]),
        ("stalls in the body", Some(Behaviour::StallBody(TOO_LONG)), &["error"]),
        ("drips", Some(Behaviour::Chunks { count: 40, every: Duration::from_millis(200) }), &["error"]),
        ("resets", Some(Behaviour::Reset), &["error"]),
        ("resets in the body", Some(Behaviour::ResetBody), &["error"]),
        ("truncates", Some(Behaviour::Truncate), &["error"]),
        ("answers 500", Some(Behaviour::Status(500)), &["error"]),
        ("answers 404", Some(Behaviour::Status(404)), &["miss"]),
        ("sends 300 kB", lies(&[], &huge), &["error"]),
        ("no JSON", lies(&[("content-type", "application/json")], "<html>"), &["error"]),
        ("says gzip", lies(&[("content-encoding", "gzip")], "{\"recent_views\":[\"a\"]}"), &["error", "refreshed"]),
        ("empty", lies(&[], ""), &["error"]),
    ];
    println!("{:<24} {:>6} {:>8} {:<12} errors", "session API", "status", "ms", "session");
    let mut wrong = Vec::new();
    // One edge for all, and a visitor of their own for each: nobody has the session that another's fault left.
    let edge = edge(true);
    for (number, (name, behaviour, expected)) in faults.into_iter().enumerate() {
        let visitor = format!("{:032x}", 0xabc + number);
        edge.origin().behave();
        if let Some(behaviour) = behaviour {
            edge.origin().on(&format!("/sessions/visitor/{visitor}"), behaviour);
        }
        let page = visit_as(&edge, &visitor, "/echo/page");
        let decision = edge.decision();
        let session = decision["session"].as_str().unwrap_or("-").to_owned();
        println!(
            "{name:<24} {:>6} {:>8} {session:<12} {}",
            page.status,
            page.first_byte.as_millis(),
            decision["errors"]
        );
        if page.status != 200 || !page.complete || page.first_byte > GENEROUS || !expected.contains(&session.as_str()) {
            wrong
                .push(format!("{name}: {} after {:?}, {session}, expected {expected:?}", page.status, page.first_byte));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
