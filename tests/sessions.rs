//! Promises 2, 13 and 14 for sessions: whatever the stores, the keys or the session API do, the visitor gets the page; who refuses
//! leaves no trace; and logs name nobody.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may stop at a surprise")]
#![allow(clippy::indexing_slicing, reason = "what is missing in a JSON value is null, and a surprise ends the test")]

mod support;

use std::time::Duration;

use edge_personalizer::platform::memory::{Answer, Memory};
use edge_personalizer::platform::{Caching, Endpoint, Kv, SendError, StoreError};
use edge_personalizer::service::Sandbox;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use support::sessions::{
    KEY, NOW, VISITOR, answers, api, browser, by_user, by_visitor, codes, last_asked, lookups, put, record, sent,
    sent_path, store,
};
use support::{NEW_YORK, PARIS, echo, header, status, text};

fn raw(body: impl Into<Vec<u8>>) -> Answer {
    Ok((StatusCode::OK, HeaderMap::new(), body.into()))
}

fn kv_fails(host: &Memory, error: StoreError) {
    host.kv_fails.borrow_mut().insert(Kv::Sessions, error);
}

type Fault = (&'static str, &'static str, fn(&Memory), &'static str);

/// Part, fault, how it is made, and the `Edge-Session` that the origin is told.
const FAULTS: &[Fault] = &[
    ("KV", "none", |host| put(host, "user/alice", record(12).to_string()), "fresh;age=12"),
    ("KV", "no store", |host| kv_fails(host, StoreError::NoStore), "refreshed;age=0"),
    ("KV", "fails", |host| kv_fails(host, StoreError::Failed), "refreshed;age=0"),
    ("KV", "throttles", |host| kv_fails(host, StoreError::Throttled), "refreshed;age=0"),
    ("KV", "missing", |_| (), "refreshed;age=0"),
    ("KV", "slow", |host| host.kv_takes.set(Duration::from_secs(5)), "error"),
    ("KV", "malformed", |host| put(host, "user/alice", "{\"updated_at\":17"), "refreshed;age=0"),
    ("KV", "oversized", |host| put(host, "user/alice", vec![b' '; 30_000_000]), "refreshed;age=0"),
    ("KV", "stale", |host| put(host, "user/alice", record(9_000).to_string()), "refreshed;age=0"),
    (
        "KV",
        "older version",
        |host| {
            put(
                host,
                "user/alice",
                json!({ "v": 0, "updated_at": NOW * 1000, "recent_views": ["a"], "colour": 1 }).to_string(),
            )
        },
        "fresh;age=0",
    ),
    ("secret", "no store", |host| host.secrets_fail.set(Some(StoreError::NoStore)), "-"),
    ("secret", "fails", |host| host.secrets_fail.set(Some(StoreError::Failed)), "-"),
    ("secret", "missing", |host| host.secrets.borrow_mut().clear(), "-"),
    ("secret", "slow", |host| host.secrets_take.set(Duration::from_secs(5)), "refreshed;age=0"),
    (
        "secret",
        "malformed",
        |host| drop(host.secrets.borrow_mut().insert("identity".into(), b"{\"keys\":".to_vec())),
        "-",
    ),
    (
        "secret",
        "oversized",
        |host| drop(host.secrets.borrow_mut().insert("identity".into(), vec![b'x'; 1_000_000])),
        "-",
    ),
    (
        "secret",
        "stale",
        |host| {
            drop(host.secrets.borrow_mut().insert("identity".into(), b"the-key-that-came-after-of-32-bytes".to_vec()))
        },
        "-",
    ),
    ("session API", "missing", |host| drop(host.backends.borrow_mut().remove("session_api")), "error"),
    ("session API", "slow", |host| host.backend_takes.set(Duration::from_secs(5)), "error"),
    ("session API", "unreachable", |host| api(host, |_| Err(SendError::Unreachable)), "error"),
    ("session API", "fails", |host| api(host, |_| Err(SendError::Failed)), "error"),
    ("session API", "answers 500", |host| api(host, |_| status(500)), "error"),
    ("session API", "answers 302", |host| api(host, |_| status(302)), "error"),
    ("session API", "knows nobody", |host| api(host, |_| status(404)), "miss"),
    ("session API", "malformed", |host| api(host, |_| raw("{\"updated_at\":17")), "error"),
    ("session API", "a list", |host| api(host, |_| raw("[]")), "error"),
    (
        "session API",
        "wrong types",
        |host| api(host, |_| answers(&json!({ "cart": 1, "recent_views": {}, "affinity": [] }))),
        "error",
    ),
    ("session API", "oversized", |host| api(host, |_| raw(vec![b' '; 1_000_000])), "error"),
    ("session API", "stale", |host| api(host, |_| answers(&record(400 * 86_400))), "refreshed;age=0"),
    (
        "session API",
        "older version",
        |host| api(host, |_| answers(&json!({ "version": 0, "updated_at": NOW * 1000, "recent_views": ["a"] }))),
        "refreshed;age=0",
    ),
    (
        "session API",
        "from the future",
        |host| api(host, |_| answers(&json!({ "updated_at": (NOW + 9e6 as i64) * 1000, "recent_views": ["a"] }))),
        "refreshed;age=0",
    ),
];

#[test]
fn the_page_is_served_whatever_fails() {
    let mut wrong = Vec::new();
    println!("{:<12} {:<16} {:>6} {:<17} codes", "part", "fault", "status", "Edge-Session");
    for (part, fault, make, expected) in FAULTS {
        let host = store(echo);
        api(&host, |_| answers(&record(60)));
        make(&host);
        let answer = by_user("alice", "/page").send(&host);
        let state = sent(&host, "edge-session").unwrap_or_else(|| "-".to_owned());
        println!("{part:<12} {fault:<16} {:>6} {state:<17} {}", answer.status.as_u16(), codes(&host).join(" "));
        assert_eq!((answer.status.as_u16(), text(&answer).as_str()), (200, "GET /page"), "{part} {fault}");
        if state != *expected {
            wrong.push(format!("{part} {fault}: expected {expected}, but found {state}"));
        }
        // Again, in case that the first request left something behind.
        assert_eq!(by_user("alice", "/page").send(&host).status, 200, "{part} {fault}, again");
    }
    println!("{} faults, each page served", FAULTS.len());
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_stale_record_serves_where_the_session_api_fails_until_it_is_too_old() {
    for (age, expected) in [(299, "fresh;age=299"), (3_000, "stale;age=3000"), (90_000, "error")] {
        let host = store(echo);
        put(&host, "user/alice", record(age).to_string());
        api(&host, |_| Err(SendError::Failed));
        by_user("alice", "/page").send(&host);
        assert_eq!(sent(&host, "edge-session").as_deref(), Some(expected));
        let line = host.lines_of(Endpoint::Decisions).remove(0);
        let state = expected.split(';').next().unwrap();
        assert_eq!(line["session"], state, "{line:#}");
    }
}

#[test]
fn a_session_api_that_fails_is_left_alone() {
    let host = store(echo);
    api(&host, |_| Err(SendError::Failed));
    let mut sandbox = Sandbox::default();
    for _ in 0..5 {
        by_user("alice", "/page").send_in(&host, &mut sandbox);
    }
    let asked = host.asked.borrow().iter().filter(|asked| asked.backend == "session_api").count();
    assert_eq!(asked, 3);
    assert_eq!(codes(&host), ["session-api-breaker-open"]);
}

#[test]
fn a_user_counts_only_when_proven_and_only_where_nobody_shares() {
    let host = store(echo);
    put(&host, "user/alice", record(1).to_string());
    by_user("alice", "/page").send(&host);
    assert_eq!(sent(&host, "x-user-id").as_deref(), Some("alice"));
    by_user("alice", "/shared").send(&host);
    assert_eq!((sent(&host, "x-user-id"), sent(&host, "edge-visitor-id")), (None, None), "a shared answer is nobody's");
    assert!(matches!(last_asked(&host, "origin").caching, Caching::Keyed { .. }));
    let forged = [
        ("alice", "t=1795780800,v1=00", "identity"),
        ("alice", "", "identity"),
        ("alice", "alice", "identity"),
        ("a b", "t=1795780800,v1=00", "identity"),
    ];
    for (user, signature, code) in forged {
        let answer = browser(NEW_YORK, "/page").with("x-user-id", user).with("x-user-signature", signature).send(&host);
        assert_eq!((answer.status.as_u16(), sent(&host, "x-user-id")), (200, None), "{user} {signature}");
        assert_eq!(sent(&host, "x-user-signature"), None);
        let codes = codes(&host);
        assert!(codes.iter().any(|found| found.starts_with(code)), "{codes:?}");
    }
    let unsigned = browser(NEW_YORK, "/page").with("x-user-id", "alice").send(&host);
    assert_eq!((unsigned.status.as_u16(), sent(&host, "x-user-id")), (200, None));
}

#[test]
fn who_refuses_leaves_no_trace() {
    let refusals: [(&str, support::Visit); 4] = [
        ("France, silent", by_visitor_from(PARIS, "")),
        ("France, refused", by_visitor_from(PARIS, "consent=no")),
        ("United States, refused", by_visitor_from(NEW_YORK, "consent=no")),
        ("United States, Sec-GPC", by_visitor_from(NEW_YORK, "").with("sec-gpc", "1")),
    ];
    for (name, refused) in refusals {
        let host = store(echo);
        put(&host, "user/alice", record(1).to_string());
        put(&host, &format!("visitor/{VISITOR}"), record(1).to_string());
        let key = edge_personalizer::mac::MacKey::new(KEY.as_bytes()).unwrap();
        let user = edge_personalizer::context::identity::UserId::parse("alice").unwrap();
        let signature = edge_personalizer::context::identity::sign(&key, &user, u64::try_from(NOW).unwrap());
        let answer = refused.with("x-user-id", "alice").with("x-user-signature", signature).send(&host);
        assert_eq!(text(&answer), "GET /lists", "{name}");
        assert_eq!(lookups(&host, "kv"), 0, "{name}");
        let asked = last_asked(&host, "origin");
        for header in ["x-user-id", "x-user-signature", "edge-visitor-id", "edge-session", "edge-session-data"] {
            assert!(!asked.headers.contains_key(header), "{name}: {header}");
        }
        assert!(host.asked.borrow().iter().all(|asked| asked.backend == "origin"), "{name}");
        let kept =
            answer.headers.get_all("set-cookie").iter().filter(|line| !line.to_str().unwrap().contains("Max-Age=0"));
        assert_eq!(kept.count(), 0, "{name}");
    }
}

fn by_visitor_from(address: std::net::IpAddr, cookie: &str) -> support::Visit {
    browser(address, "/lists").with("cookie", format!("ep_vid={VISITOR}; {cookie}"))
}

#[test]
fn a_route_without_a_session_and_a_stranger_make_no_look_up() {
    let host = store(echo);
    for target in ["/plain", "/shared", "/nothing"] {
        by_user("alice", target).send(&host);
        by_visitor(target).send(&host);
    }
    browser(NEW_YORK, "/page").send(&host);
    assert_eq!(lookups(&host, "kv"), 0);
    assert!(host.asked.borrow().iter().all(|asked| asked.backend == "origin"));
}

#[test]
fn a_visitor_who_is_not_logged_in_has_a_session_too() {
    let host = store(echo);
    put(&host, &format!("visitor/{VISITOR}"), record(5).to_string());
    by_visitor("/page").send(&host);
    assert_eq!(sent(&host, "edge-visitor-id").as_deref(), Some(VISITOR));
    assert_eq!(sent(&host, "edge-session").as_deref(), Some("fresh;age=5"));
    assert_eq!(host.lines_of(Endpoint::Decisions)[0]["session_age"], 5);
}

#[test]
fn where_the_route_says_so_the_origin_personalizes_what_the_edge_does_not_know() {
    let host = store(echo);
    api(&host, |_| answers(&record(0)));
    by_user("alice", "/lazy").send(&host);
    assert_eq!(sent(&host, "edge-session").as_deref(), Some("miss"));
    put(&host, "user/alice", record(9_000).to_string());
    by_user("alice", "/lazy").send(&host);
    assert_eq!(sent(&host, "edge-session").as_deref(), Some("miss"), "the edge isn't sure of a stale one");
    put(&host, "user/alice", record(9).to_string());
    by_user("alice", "/lazy").send(&host);
    assert_eq!(sent(&host, "edge-session").as_deref(), Some("fresh;age=9"));
    assert!(host.asked.borrow().iter().all(|asked| asked.backend == "origin"), "nobody else is asked");
}

#[test]
fn what_the_session_api_said_is_stored_and_serves_the_next_request() {
    let host = store(echo);
    api(&host, |_| answers(&record(0)));
    by_user("alice", "/page").send(&host);
    by_user("alice", "/page").send(&host);
    assert_eq!(sent(&host, "edge-session").as_deref(), Some("fresh;age=0"));
    let asked = host.asked.borrow().iter().filter(|asked| asked.backend == "session_api").count();
    assert_eq!(asked, 1, "the central database is spared");
}

#[test]
fn lists_go_to_the_origin_bounded_and_make_the_answer_the_visitors_own() {
    let host = store(echo);
    put(&host, "user/alice", record(1).to_string());
    let answer = by_user("alice", "/lists?recent=forged&q=1").send(&host);
    assert_eq!(sent_path(&host), "/lists?q=1&cart=kv-3&recent=kv-1,kv-2");
    let data: Value = serde_json::from_str(&sent(&host, "edge-session-data").unwrap()).unwrap();
    assert_eq!(data, json!({ "affinity": ["shoes", "hats"], "cart": ["kv-3"], "recent_views": ["kv-1", "kv-2"] }));
    assert_eq!(header(&answer, "cache-control"), Some("private, no-store"));
    for name in ["surrogate-control", "cdn-cache-control"] {
        assert_eq!(header(&answer, name), None);
    }
    assert_eq!(last_asked(&host, "origin").caching, Caching::Pass, "uncached, whatever the route says");

    let long: Vec<String> = (0..50).map(|index| format!("{index:0>120}")).collect();
    put(
        &host,
        "user/alice",
        json!({ "updated_at": NOW * 1000, "recent_views": long, "affinity": { "a": 1 } }).to_string(),
    );
    by_user("alice", "/lists").send(&host);
    assert!(sent(&host, "edge-session-data").unwrap().len() <= 4_096);
    assert_eq!(sent_path(&host).matches(',').count(), 19, "twenty are sent at most");
    assert!(sent_path(&host).len() <= 4_096, "{}", sent_path(&host).len());
}

#[test]
fn without_a_session_nothing_is_sent_in_its_place() {
    let host = store(echo);
    api(&host, |_| status(404));
    by_user("alice", "/lists?recent=forged").send(&host);
    assert_eq!(sent(&host, "edge-session-data"), None);
    by_user("alice", "/greet").send(&host);
    assert_eq!(sent_path(&host), "/greet?name=nobody");
}

#[test]
fn the_setting_says_whose_session_a_logged_in_visitor_has() {
    for (which, cart) in [
        ("user", json!(["of-user", "both"])),
        ("visitor", json!(["of-visitor", "both"])),
        ("merged", json!(["of-user", "both", "of-visitor"])),
    ] {
        let host = store(echo);
        let with = |sku: &str| json!({ "version": 1, "updated_at": (NOW - 1) * 1000, "cart": [{ "sku": sku, "quantity": 1 }, { "sku": "both", "quantity": 1 }] });
        put(&host, "user/alice", with("of-user").to_string());
        put(&host, &format!("visitor/{VISITOR}"), with("of-visitor").to_string());
        host.set("settings", &json!({ "session": { "which": which } }));
        by_user("alice", "/lists").with("cookie", format!("ep_vid={VISITOR}")).send(&host);
        let data: Value = serde_json::from_str(&sent(&host, "edge-session-data").unwrap()).unwrap();
        assert_eq!(data["cart"], cart, "{which}");
        assert_eq!(lookups(&host, "kv"), if which == "merged" { 2 } else { 1 }, "{which}");
    }
}

#[test]
fn who_logs_in_keeps_the_arms_of_experiments_on_the_visitor() {
    let mut moved = 0;
    for number in 0..40_u32 {
        let host = store(echo);
        let test = |name: &str| {
            json!({ "defaultValue": "-", "rules": [{ "key": format!("by-{name}"), "hashAttribute": name, "hashVersion": 2,
            "variations": ["a", "b"], "meta": [{ "key": "a" }, { "key": "b" }] }] })
        };
        host.set("features", &json!({ "features": { "kept": test("visitorId"), "own": test("id") } }));
        host.set(
            "routes",
            &json!({ "routes": [{ "id": "x", "path": "/x", "rewrite": { "path": "/{feature.kept}/{feature.own}" } }] }),
        );
        let id = format!("ep_vid={:032x}", 0xabc_0000_0000_u128 + u128::from(number));
        browser(NEW_YORK, "/x").with("cookie", &id).send(&host);
        let before = sent_path(&host);
        by_user("alice", "/x").with("cookie", &id).send(&host);
        let after = sent_path(&host);
        assert_eq!(before[..2], after[..2], "the visitor's own arm stays");
        assert_eq!(sent(&host, "edge-visitor-id").as_deref(), Some(&id[7..]), "and so does the id");
        moved += usize::from(before[2..] != after[2..]);
    }
    assert!(moved > 5, "an experiment on the id follows the user");
}

#[test]
fn an_empty_session_is_one_and_its_lists_are_sent() {
    let empty = json!({ "updated_at": (NOW - 5) * 1000, "cart": [] });
    let data = json!({ "affinity": [], "cart": [], "recent_views": [] });
    let host = store(echo);
    put(&host, "user/alice", empty.to_string());
    by_user("alice", "/lists").send(&host);
    assert_eq!(sent(&host, "edge-session").as_deref(), Some("fresh;age=5"));
    assert_eq!(serde_json::from_str::<Value>(&sent(&host, "edge-session-data").unwrap()).unwrap(), data);
    let host = store(echo);
    api(&host, move |_| answers(&empty));
    by_user("alice", "/lists").send(&host);
    assert_eq!(sent(&host, "edge-session").as_deref(), Some("refreshed;age=0"));
    assert_eq!(serde_json::from_str::<Value>(&sent(&host, "edge-session-data").unwrap()).unwrap(), data);
}

#[test]
fn a_secret_store_that_fails_is_named_and_takes_no_user_away() {
    let host = store(echo);
    let mut sandbox = Sandbox::default();
    put(&host, "user/alice", record(1).to_string());
    by_user("alice", "/page").send_in(&host, &mut sandbox);
    assert_eq!(sent(&host, "x-user-id").as_deref(), Some("alice"));
    host.age.set(host.age.get() + Duration::from_secs(61));
    host.secrets_fail.set(Some(StoreError::Failed));
    by_user("alice", "/page").send_in(&host, &mut sandbox);
    assert_eq!(sent(&host, "x-user-id").as_deref(), Some("alice"));
    assert!(codes(&host).contains(&"secret-store".to_owned()), "{:?}", codes(&host));
}
