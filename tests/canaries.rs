//! Promise 14: logs carry no personal data. Each string that is somebody's own is a canary; every log line, every header of an answer
//! that somebody else could get, and every page that the edge makes itself is searched for it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may stop at a surprise")]
#![allow(clippy::indexing_slicing, reason = "what is missing in a JSON value is null, and a surprise ends the test")]

mod support;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use edge_personalizer::platform::memory::{Answer, Asked, Memory, Received};
use edge_personalizer::platform::{Geo, Kv, SendError, StoreError};
use edge_personalizer::replication::{WebhookSecret, sign};
use serde_json::{Value, json};
use support::sessions::{NOW, answers, api, by_user_from, put, store};
use support::{Visit, header, ok, path_of, status, visit};

const HOME: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 77));
const USER: &str = "canary-user-1";
const VISITOR: &str = "ca9a51e500000000000000000000beef";
const WEBHOOK: &str = "whsec_bG9jYWwtcmVwbGljYXRpb24tc2VjcmV0LW9mLTMyLWI=";
const ADMIN: &str = "canary-admin-token-12";
/// What is looked for: whose it is, and how it is written.
const CANARIES: [(&str, &str); 18] = [
    ("user id", USER),
    ("visitor id", VISITOR),
    ("cookie", "canary-cookie-2"),
    ("query", "canary-query-3"),
    ("User-Agent", "canary-client-4"),
    ("Referer", "canary-referer-5"),
    ("Authorization", "canary-bearer-6"),
    ("address", "203.0.113.77"),
    ("X-Forwarded-For", "198.51.100.99"),
    ("session", "canary-session-7"),
    ("session API", "canary-central-8"),
    ("request body", "canary-body-9"),
    ("signature", "canary-signature-10"),
    ("admin token", ADMIN),
    ("path parameter", "canary-path-11"),
    ("path with an address", "canary-mail-12"),
    ("path with a token", "ca9a51e500000000000000000000feed"),
    ("path with a telephone number", "00491701234567"),
];
/// What clients put into paths, on routes and off them.
const IN_PATHS: [&str; 5] = [
    ";jsessionid=canary-path-11",
    "%3Bsid=canary-path-11",
    "/canary-mail-12@shop.example",
    "/canary-mail-12%40shop.example;v=canary-path-11/reset/ca9a51e500000000000000000000feed",
    "/call/00491701234567/x",
];

fn record(mark: &str) -> Value {
    json!({ "version": 1, "updated_at": (NOW - 9_000) * 1000, "recent_views": [mark], "cart": [{ "sku": mark, "quantity": 1 }],
        "affinity": { mark: 1.0 }, "segments": [mark], "attributes": { "name": mark, "tier": mark } })
}

/// Every place where a rule can put what is a visitor's own, and a shadow that differs in all of them.
fn routes(prefix: &str) -> Value {
    json!({ "routes": [
        { "id": "shared", "path": "/shared", "rewrite": { "path": format!("{prefix}/{{region.slug}}/{{feature.hero}}") }, "cache": { "ttl": 60 } },
        { "id": "open", "path": "/open", "features": ["hero"], "cache": { "ttl": 60, "downstream": "origin", "key_headers": ["x-kind"], "key_cookies": ["lang"] } },
        { "id": "own", "path": "/own", "features": ["hero"] },
        { "id": "lists", "path": "/lists", "session": { "query": { "recent": "recent_views" }, "header": ["cart", "affinity"] } },
        { "id": "by-path", "path": "/by-path", "rewrite": { "path": format!("{prefix}/u/{{user.id}}/{{session.attributes.name|none}}") } },
        { "id": "by-query", "path": "/by-query", "rewrite": { "set_query": { "u": "{user.id|none}", "n": "{session.attributes.name|none}" } },
          "request_headers": { "set": { "X-Tier": "{session.attributes.tier|none}" } } },
        { "id": "by-case", "path": "/by-case", "when": { "session.attributes.name": "canary-session-7" }, "rewrite": { "path": "/known" } },
        { "id": "here", "path": "/here", "action": "respond", "respond": { "body": "hi {user.id|you} {session.attributes.name|-}" } },
        { "id": "away", "path": "/away", "action": "redirect", "redirect": { "location": "/to/{user.id|you}" } },
        { "id": "page", "path": "/page", "session": {}, "html": [{ "select": "h1", "inner": "{{ session.attributes.name }}" }, { "json": {} }] },
        { "id": "list", "path": "/list", "session": {}, "json": { "set": [{ "pointer": "/a", "value": { "from": "session.attributes.name" } }] } },
        { "id": "lost", "path": "/lost", "backend": "nowhere", "rewrite": { "path": "/{user.id|x}" }, "fallback": { "path": "/shared" } },
        { "id": "rest", "path": "/rest/*", "features": ["hero"], "rewrite": { "path": format!("{prefix}/r/{{path.rest}}") } },
        { "id": "segment", "path": "/segment/{name}", "features": ["hero"], "rewrite": { "path": format!("{prefix}/s/{{path.name}}/x") } },
        { "id": "away-with-it", "path": "/off/*", "action": "redirect", "redirect": { "location": "/to/{path.rest}" } },
        { "id": "through", "path": "/through", "action": "passthrough" } ] })
}

fn shop(origin: impl Fn(&Asked) -> Answer + 'static) -> Memory {
    let host = store(origin);
    let place = Geo { country: Some("US".to_owned()), continent: Some("NA"), ..Geo::default() };
    host.geo.borrow_mut().insert(HOME, place);
    host.secrets.borrow_mut().insert("replication".to_owned(), WEBHOOK.as_bytes().to_vec());
    host.secrets.borrow_mut().insert("admin".to_owned(), ADMIN.as_bytes().to_vec());
    put(&host, &format!("user/{USER}"), record("canary-session-7").to_string());
    put(&host, &format!("visitor/{VISITOR}"), record("canary-session-7").to_string());
    api(&host, |_| answers(&record("canary-central-8")));
    let settings = json!({
        "session": { "path": "/sessions/{kind}/{id}", "which": "merged", "max_age": 10_000 },
        "log": { "server_timing": true, "exposure_attributes":
            ["id", "userId", "visitorId", "url", "path", "query", "session", "segments", "country", "loggedIn", "deviceType"] } });
    let features = json!({ "features": { "hero": { "defaultValue": "old", "rules": [
        { "condition": { "session.attributes.name": "canary-session-7" }, "force": "known" },
        { "key": "by-user", "hashAttribute": "userId", "variations": ["old", "new"], "coverage": 0.5, "hashVersion": 2 },
        { "key": "by-visitor", "hashAttribute": "visitorId", "variations": ["old", "new"], "hashVersion": 2 }] } } });
    for (prefix, revision) in [("/live", "r1"), ("/shadow", "r2"), ("/canary", "r3")] {
        for (name, value) in [("settings", &settings), ("features", &features), ("routes", &routes(prefix))] {
            host.set(&format!("{revision}/{name}"), value);
        }
    }
    host.set(
        "active",
        &json!({ "enabled": true, "revision": "r1", "shadow": "r2", "canary": { "revision": "r3", "percent": 50 } }),
    );
    host
}

/// Somebody with everything that a client can say of itself.
fn somebody(request: Visit) -> Visit {
    request
        .with("user-agent", "Mozilla/5.0 (canary-client-4; Linux x86_64) Gecko/20100101 Firefox/140.0")
        .with("cookie", format!("theme=canary-cookie-2; ep_vid={VISITOR}; lang=canary-cookie-2"))
        .with("referer", "https://shop.example/canary-referer-5")
        .with("authorization", "Bearer canary-bearer-6")
        .with("x-forwarded-for", "198.51.100.99")
        .with("forwarded", "for=198.51.100.99")
}

fn known(target: &str) -> Visit {
    somebody(by_user_from(HOME, USER, target))
}

fn forged(target: &str) -> Visit {
    somebody(visit(HOME, target).with("x-user-id", USER).with("x-user-signature", "t=1,v1=canary-signature-10"))
}

/// Everything that an origin may do to a request.
type Origin = (&'static str, fn(&Asked) -> Answer);

const ORIGINS: [Origin; 4] = [
    ("well", |asked| ok(&path_of(&asked.url))),
    ("500 on the personalized path", |asked| {
        if asked.url.contains("/live") || asked.url.contains("/canary") {
            status(500)
        } else {
            ok(&path_of(&asked.url))
        }
    }),
    ("404", |_| status(404)),
    ("down", |_| Err(SendError::Failed)),
];
const TARGETS: [&str; 14] = [
    "/shared",
    "/open",
    "/own",
    "/lists",
    "/by-path",
    "/by-query",
    "/by-case",
    "/here",
    "/away",
    "/page",
    "/list",
    "/lost",
    "/through",
    "/no-route",
];

/// What was searched, and what was found.
#[derive(Default)]
struct Search {
    lines: BTreeMap<String, usize>,
    shared_headers: usize,
    error_pages: usize,
    hits: Vec<String>,
}

impl Search {
    fn look(&mut self, place: &str, text: &str) {
        for (whose, canary) in CANARIES {
            if text.contains(canary) {
                self.hits.push(format!("{whose} in {place}: {text}"));
            }
        }
    }

    fn answer(&mut self, what: &str, answer: &Received, made_here: bool) {
        let stored = !header(answer, "cache-control").is_some_and(|value| value.contains("no-store"));
        for (name, value) in &answer.headers {
            if stored {
                self.shared_headers += 1;
                self.look(
                    &format!("a header that others may get, {what}"),
                    &format!("{name}: {}", value.to_str().unwrap()),
                );
            }
        }
        if made_here && answer.status.as_u16() >= 400 {
            self.error_pages += 1;
            self.look(&format!("an error page, {what}"), &String::from_utf8_lossy(&answer.body));
        }
    }

    fn logs(&mut self, what: &str, host: &Memory) {
        for (endpoint, line) in host.lines.borrow().iter() {
            *self.lines.entry(format!("{endpoint:?}")).or_default() += 1;
            self.look(&format!("{endpoint:?}, {what}"), line);
        }
    }
}

#[test]
fn no_log_line_no_shared_header_and_no_error_page_names_anybody() {
    let mut search = Search::default();
    for (origin, answer_of) in ORIGINS {
        for target in TARGETS {
            for method in ["GET", "HEAD", "POST"] {
                for (name, who) in [("known", known as fn(&str) -> Visit), ("forged", forged)] {
                    let host = shop(answer_of);
                    let what = format!("{name} {method} {target}, origin {origin}");
                    let request =
                        who(&format!("{target}?q=canary-query-3&edge_preview=canary-signature-10")).by(method);
                    let answer = request.body("canary-body-9").send(&host);
                    search.answer(&what, &answer, origin == "down");
                    search.logs(&what, &host);
                }
            }
        }
    }
    in_paths(&mut search);
    reserved_and_refused(&mut search);
    println!(
        "searched for {} canaries: log lines {:?}, headers of answers that others may get {}, error pages {}; hits {}",
        CANARIES.len(),
        search.lines,
        search.shared_headers,
        search.error_pages,
        search.hits.len()
    );
    assert!(search.lines.len() == 3 && search.lines.values().all(|count| *count > 5), "{:?}", search.lines);
    assert!(search.shared_headers > 100 && search.error_pages > 20);
    assert!(search.hits.is_empty(), "{:#?}", &search.hits[..search.hits.len().min(20)]);
}

/// What is in a path that is one visitor's own; a redirect and a header may carry it back to that visitor, a log and an error page not.
fn in_paths(search: &mut Search) {
    for (origin, answer_of) in ORIGINS {
        for base in ["/rest/a", "/segment/a", "/off/a", "/no-route", "/own", "/.edge/health"] {
            for own in IN_PATHS {
                for who in [known as fn(&str) -> Visit, forged] {
                    let host = shop(answer_of);
                    let answer = who(&format!("{base}{own}?q=canary-query-3")).send(&host);
                    let what = format!("{base}{own}, origin {origin}");
                    search.logs(&what, &host);
                    if origin == "down" && answer.status.is_server_error() {
                        search.error_pages += 1;
                        search.look(&format!("an error page, {what}"), &String::from_utf8_lossy(&answer.body));
                    }
                }
            }
        }
    }
}

fn throttled(host: &Memory) {
    host.kv_fails.borrow_mut().insert(Kv::Sessions, StoreError::Throttled);
}

/// Reserved paths, well and badly asked for; and requests that are not admitted.
fn reserved_and_refused(search: &mut Search) {
    let item = json!({ "op": "put", "user": USER, "updated_at": NOW * 1000, "record": { "attributes": { "name": "canary-body-9" } } });
    let broken = format!("{item}\n{{\"op\":\"canary-body-9\",\"user\":\"{USER}\"}}\nnot json canary-body-9");
    let batch = |body: &str, secret: &str| {
        let signature =
            sign(&WebhookSecret::parse(secret).unwrap(), "canary-signature-10", NOW as u64, body.as_bytes());
        somebody(visit(HOME, "/.edge/sessions?canary-query-3"))
            .by("POST")
            .with("content-type", "application/x-ndjson")
            .with("webhook-id", "canary-signature-10")
            .with("webhook-timestamp", NOW.to_string())
            .with("webhook-signature", signature)
            .body(body)
    };
    let other = "whsec_YW5vdGhlci1yZXBsaWNhdGlvbi1zZWNyZXQtb2YtMzI=";
    let url = format!(
        "/.edge/explain?url=https://shop.example/own?canary-query-3&user={USER}&header=Cookie:+canary-cookie-2"
    );
    let long = format!("/{}?canary-query-3", "a".repeat(9_000));
    let requests: Vec<(&str, Visit)> = vec![
        ("a batch", batch(&item.to_string(), WEBHOOK)),
        ("a broken batch", batch(&broken, WEBHOOK)),
        ("a batch by somebody else", batch(&item.to_string(), other)),
        ("a batch without a signature", somebody(visit(HOME, "/.edge/sessions")).by("POST").body("canary-body-9")),
        ("health", known("/.edge/health?canary-query-3")),
        ("explain without the token", known(&url)),
        ("explain with it", visit(HOME, &url).with("authorization", format!("Bearer {ADMIN}"))),
        (
            "explain, badly",
            visit(HOME, "/.edge/explain?colour=canary-query-3").with("authorization", format!("Bearer {ADMIN}")),
        ),
        ("nothing reserved", known("/.edge/nothing?canary-query-3")),
        ("a URL that is too long", known(&long)),
        ("too many headers", known("/own").with("x-long", "canary-cookie-2".repeat(900))),
        ("TRACE", known("/own?canary-query-3").by("TRACE")),
        ("a control character", known("/own%0D?canary-query-3")),
        ("a loop", known("/own").with("cdn-loop", "edge-personalizer")),
    ];
    for (what, request) in requests {
        let host = shop(|asked| ok(&path_of(&asked.url)));
        let answer = request.send(&host);
        // What is explained to who has the token says what was asked.
        let made_here = !what.starts_with("explain");
        search.answer(what, &answer, made_here);
        search.logs(what, &host);
        assert!(host.asked.borrow().is_empty(), "{what} reached a backend");
    }
    // A store that throttles, a record that is broken, a session API that answers with secrets in an error.
    for make in [
        throttled as fn(&Memory),
        |host| put(host, &format!("user/{USER}"), "{canary-session-7"),
        |host| {
            host.kv.borrow_mut().clear();
            api(host, |_| Ok((http::StatusCode::OK, http::HeaderMap::new(), b"{canary-central-8".to_vec())));
        },
        |host| {
            drop(host.secrets.borrow_mut().insert("identity".to_owned(), b"{\"keys\": \"canary-signature-10".to_vec()))
        },
    ] {
        for target in TARGETS {
            let host = shop(|asked| ok(&path_of(&asked.url)));
            make(&host);
            let answer = known(&format!("{target}?canary-query-3")).send(&host);
            search.answer(target, &answer, false);
            search.logs(target, &host);
        }
    }
}

#[test]
fn what_is_searched_for_would_be_found() {
    // Each canary really is in what the service gets or holds; the ones that may reach the origin do.
    let host = shop(|asked| ok(&path_of(&asked.url)));
    known("/by-path?q=canary-query-3").send(&host);
    known("/lists?q=canary-query-3").send(&host);
    let asked = format!("{:?}", host.asked.borrow());
    for canary in [USER, "canary-session-7", "canary-query-3", "canary-cookie-2", "canary-client-4", "203.0.113.77"] {
        assert!(asked.contains(canary), "{canary}");
    }
    assert!(!asked.contains("198.51.100.99"), "a client's own X-Forwarded-For goes nowhere");
    // A path's own marks reach the origin, and its log line would hold them.
    known(&format!("/rest/a{}", IN_PATHS[0])).send(&host);
    assert!(format!("{:?}", host.asked.borrow().last()).contains("canary-path-11"));
    let line = &host.lines_of(edge_personalizer::platform::Endpoint::Decisions)[2];
    assert_eq!(line["path"], "/rest/a;redacted", "{line:#}");
    let line = &host.lines_of(edge_personalizer::platform::Endpoint::Decisions)[0];
    assert!(line["backend_path"].as_str().unwrap().ends_with("/u/redacted/redacted"), "{line:#}");
}
