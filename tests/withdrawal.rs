//! Who refuses or withdraws leaves nothing of ours: both cookies go with the answer, and the session record after it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may stop at a surprise")]
#![allow(clippy::indexing_slicing, reason = "what is missing in a JSON value is null, and a surprise ends the test")]

mod support;

use std::net::IpAddr;

use edge_personalizer::platform::memory::{Memory, Received};
use edge_personalizer::platform::{Endpoint, Kv, StoreError};
use serde_json::json;
use support::sessions::{VISITOR, browser, codes, put, record, store};
use support::{NEW_YORK, NOWHERE, PARIS, echo};

const OTHER: &str = "00000000000000000000000000000def";
const STICKY: &str = "ep_sticky=1.e30";
/// Every way to say no: its name, a cookie, a header.
const REFUSALS: [(&str, &str, Option<&str>); 6] = [
    ("consent cookie", "consent=no", None),
    ("TCF string", "euconsent-v2=COvFyGBOvFyGBAbAAAENAPCAAOAAAAAAAAAAAEEUACCKAAA", None),
    ("GPP string, opted out of sale", "__gpp=DBABLA~BVVVkkkkkpFY", None),
    ("GPP string, Global Privacy Control", "__gpp=DBABLA~BAAAAAAAAABA.YA", None),
    ("GPP string, purposes", "__gpp=DBABMA~COvFyGBOvFyGBAbAAAENAPCAAOAAAAAAAAAAAEEUACCKAAA", None),
    ("Sec-GPC", "", Some("1")),
];

fn shop() -> Memory {
    let host = store(echo);
    host.set(
        "settings",
        &json!({ "sticky": {}, "consent": { "cookie": { "name": "consent", "value": "yes" }, "tcf": {}, "gpp": {} } }),
    );
    for id in [VISITOR, OTHER] {
        put(&host, &format!("visitor/{id}"), record(9).to_string());
    }
    put(&host, "user/alice", record(9).to_string());
    host
}

fn ask(host: &Memory, address: IpAddr, cookies: &[&str], gpc: Option<&str>) -> Received {
    let cookies: Vec<&str> = cookies.iter().copied().filter(|cookie| !cookie.is_empty()).collect();
    let request = browser(address, "/page").with("cookie", cookies.join("; "));
    match gpc {
        Some(value) => request.with("sec-gpc", value).send(host),
        None => request.send(host),
    }
}

fn removed(answer: &Received) -> Vec<String> {
    let lines = answer.headers.get_all("set-cookie").iter().map(|line| line.to_str().unwrap());
    let mut names: Vec<_> = lines
        .filter(|line| line.contains("Max-Age=0"))
        .map(|line| line.split('=').next().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

fn kept(host: &Memory) -> Vec<String> {
    let mut keys: Vec<_> = host.kv.borrow().keys().map(|(_, key)| key.clone()).collect();
    keys.sort();
    keys
}

#[test]
fn every_refusal_removes_both_cookies_and_the_record_after_the_answer() {
    let visitor = format!("ep_vid={VISITOR}");
    for (refusal, cookie, gpc) in REFUSALS {
        for address in [NEW_YORK, PARIS, NOWHERE] {
            for (present, names) in [
                (vec![visitor.as_str()], vec!["ep_vid"]),
                (vec![STICKY], vec!["ep_sticky"]),
                (vec![visitor.as_str(), STICKY], vec!["ep_sticky", "ep_vid"]),
            ] {
                let host = shop();
                let cookies: Vec<&str> = present.iter().copied().chain([cookie]).collect();
                let answer = ask(&host, address, &cookies, gpc);
                let what = format!("{refusal} from {address} with {present:?}");
                assert_eq!(removed(&answer), names, "{what}");
                let mut left = vec!["user/alice".to_owned(), format!("visitor/{VISITOR}"), format!("visitor/{OTHER}")];
                let known = names.contains(&"ep_vid");
                left.retain(|key| !known || !key.ends_with(VISITOR));
                assert_eq!(kept(&host), left, "{what}");
                let deletes = host.kv_deletes.borrow();
                assert_eq!(deletes.len(), usize::from(known), "{what}");
                assert!(deletes.iter().all(|(answers, _)| *answers == 1), "{what}: the visitor waits for no delete");
            }
        }
    }
}

#[test]
fn a_withdrawal_where_consent_comes_first_removes_the_record() {
    let visitor = format!("ep_vid={VISITOR}");
    let host = shop();
    ask(&host, PARIS, &[&visitor, "consent=yes"], None);
    assert_eq!(kept(&host).len(), 3);
    // The consent tool has removed its cookie.
    assert_eq!(removed(&ask(&host, PARIS, &[&visitor], None)), ["ep_vid"]);
    assert_eq!(kept(&host), ["user/alice".to_owned(), format!("visitor/{OTHER}")]);
}

#[test]
fn what_is_no_choice_removes_nothing() {
    let visitor = format!("ep_vid={VISITOR}");
    for (what, address, cookie) in [
        ("nobody knows the place", NOWHERE, ""),
        ("the TCF string can't be read", NEW_YORK, "euconsent-v2=COvFyGBOvFyG"),
        ("the GPP string can't be read", NEW_YORK, "__gpp=DBABLA"),
        ("a yes beside a string that can't be read", PARIS, "consent=yes; __gpp=DBABEY~BAAAAAQA"),
    ] {
        let host = shop();
        let answer = ask(&host, address, &[&visitor, STICKY, cookie], None);
        assert_eq!(answer.headers.get_all("set-cookie").iter().count(), 0, "{what}");
        assert!(host.kv_deletes.borrow().is_empty(), "{what}");
        assert_eq!(kept(&host).len(), 3, "{what}");
        assert!(host.lookups.borrow().get("kv").is_none(), "{what}: the id isn't used either");
        let named = codes(&host).contains(&"consent-unreadable".to_owned());
        assert_eq!(named, address != NOWHERE, "{what}");
    }
}

#[test]
fn what_is_no_id_of_ours_deletes_nothing() {
    for cookie in [
        "ep_vid=",
        "ep_vid=alice",
        "ep_vid=../user/alice",
        "ep_vid=00000000000000000000000000000ABC",
        "ep_vid=00000000000000000000000000000abc0",
        "visitor=00000000000000000000000000000abc",
        "ep_sticky=1.eyJpZHx8MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDBhYmMiOnsiYV9fMCI6IngifX0",
    ] {
        let host = shop();
        ask(&host, NEW_YORK, &[cookie], Some("1"));
        assert!(host.kv_deletes.borrow().is_empty(), "{cookie}");
        assert_eq!(kept(&host).len(), 3, "{cookie}");
    }
    // A user whom nobody proves.
    let host = shop();
    browser(NEW_YORK, "/page").with("x-user-id", "alice").with("sec-gpc", "1").send(&host);
    assert_eq!(kept(&host).len(), 3);
}

#[test]
fn a_store_that_fails_costs_nobody_the_page_and_is_named() {
    for error in [StoreError::NoStore, StoreError::Throttled, StoreError::Failed] {
        let host = shop();
        host.kv_fails.borrow_mut().insert(Kv::Sessions, error);
        let answer = ask(&host, NEW_YORK, &[&format!("ep_vid={VISITOR}")], Some("1"));
        assert_eq!((answer.status.as_u16(), removed(&answer)), (200, vec!["ep_vid".to_owned()]));
        assert_eq!(codes(&host), ["session-erase"]);
        assert_eq!(host.lines_of(Endpoint::Errors)[0]["code"], "session-erase");
    }
}

#[test]
fn a_shadow_deletes_nothing_of_its_own() {
    let host = shop();
    for revision in ["r1", "r2"] {
        for name in ["settings", "routes"] {
            let text = host.config.borrow().get(name).cloned().unwrap();
            host.config.borrow_mut().insert(format!("{revision}/{name}"), text);
        }
    }
    host.set("active", &json!({ "revision": "r1", "shadow": "r2" }));
    ask(&host, NEW_YORK, &[&format!("ep_vid={VISITOR}")], Some("1"));
    assert_eq!(host.kv_deletes.borrow().len(), 1, "the visitor's own request alone");
}

#[test]
fn a_route_that_only_looked_at_the_session_removes_cookies_with_the_record() {
    for route in [
        json!({ "id": "a", "path": "/page", "action": "passthrough", "when": { "loggedIn": true } }),
        json!({ "id": "a", "path": "/page", "action": "passthrough", "when": { "loggedIn": false } }),
        json!({ "id": "a", "path": "/page", "cache": {}, "when": { "session.cart_quantity": { "$gt": 500 } } }),
    ] {
        let host = shop();
        host.set("routes", &json!({ "routes": [route] }));
        let answer = ask(&host, NEW_YORK, &[&format!("ep_vid={VISITOR}"), STICKY], Some("1"));
        assert_eq!(removed(&answer), ["ep_sticky", "ep_vid"], "{route}");
        assert!(!kept(&host).contains(&format!("visitor/{VISITOR}")), "{route}");
        assert!(answer.headers["cache-control"].to_str().unwrap().contains("no-store"), "{route}");
    }
}
