//! Sessions on the real service: what the backend streams shows on the next request, and nobody else can stream.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "what is missing in a JSON value is null, and a surprise ends the test"
)]

use e2e::visitors::NEW_YORK;
use e2e::{Answer, Edge, Request, now};
use edge_personalizer::replication::{WebhookSecret, sign};
use serde_json::{Value, json};

/// The local server's own, of `fastly.toml`.
const SECRET: &str = "whsec_bG9jYWwtcmVwbGljYXRpb24tc2VjcmV0LW9mLTMyLWI=";
const VISITOR: &str = "00000000000000000000000000000abc";
const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

fn routes() -> Value {
    json!({ "routes": [
        { "id": "page", "path": "/echo/page", "session": { "header": ["cart"] } },
        { "id": "lazy", "path": "/echo/lazy", "session": { "on_miss": "origin" } },
    ]})
}

/// Without a session API: what isn't streamed isn't known.
fn edge() -> Edge {
    Edge::demo().dictionary("settings", &json!({})).dictionary("routes", &routes()).start()
}

fn put(cart: &str) -> String {
    json!({ "op": "put", "visitor": VISITOR, "updated_at": now().as_millis(), "record": { "cart": [{ "sku": cart, "quantity": 1 }] } }).to_string()
}

/// A batch as a sender with this secret makes it.
fn batch(target: &str, secret: &str, body: &str) -> Request {
    let secret = WebhookSecret::parse(secret).unwrap();
    let time = now().as_secs();
    Request::new("POST", target)
        .header("content-type", "application/x-ndjson")
        .header("webhook-id", "msg_1")
        .header("webhook-timestamp", time.to_string())
        .header("webhook-signature", sign(&secret, "msg_1", time, body.as_bytes()))
        .body(body)
}

fn visit(edge: &Edge, path: &str) -> Answer {
    let request = Request::get(path).header("user-agent", BROWSER).header("cookie", format!("ep_vid={VISITOR}"));
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
    let edge = edge();
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
    let gone = json!({ "op": "delete", "visitor": VISITOR, "updated_at": now().as_millis() + 1000 }).to_string();
    assert_eq!(edge.send(&batch("/.edge/sessions", SECRET, &gone)).status, 200);
    assert_eq!(edge.send(&batch("/.edge/sessions", SECRET, &put("P0002"))).status, 200);
    visit(&edge, "/echo/page");
    assert_eq!(asked(&edge, "edge-session-data"), None, "a late update doesn't bring a deleted visitor back");
}

#[test]
fn a_wrong_signature_is_refused_and_nothing_reaches_the_shop() {
    let edge = edge();
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
    let edge = edge();
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
