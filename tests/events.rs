//! `settings.events`: what a browser measures of a page goes to `conversions`, marked and without money. Whatever is sent, the answer is 204.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at a surprise")]

mod support;

use std::time::Duration;

use edge_personalizer::platform::Endpoint;
use edge_personalizer::platform::memory::Memory;
use edge_personalizer::service::Sandbox;
use serde_json::{Value, json};
use support::sessions::browser;
use support::{NEW_YORK, PARIS, Visit, echo, header, shop, text, visit};

const COOKIE: &str = "ep_vid=0000000000000000000000000000abcd";
const LCP: &str =
    r#"{"name":"LCP","value":1234.5,"delta":1234.5,"rating":"good","id":"v4-17","navigationType":"navigate"}"#;

fn site() -> Memory {
    let host = shop(echo);
    host.secrets.borrow_mut().insert("identity".to_owned(), b"a secret of thirty-two bytes or so".to_vec());
    host.set(
        "settings",
        &json!({ "events": { "path": "/m" }, "log": { "exposure_attributes": ["country", "deviceType", "path"] } }),
    );
    host.set("experiments", &json!({ "experiments": [{ "key": "e", "variations": ["a", "b"], "hashVersion": 2 }] }));
    host.set("routes", &json!({ "routes": [{ "id": "page", "path": "/page", "experiments": ["e"] }] }));
    host
}

/// As a page of the site sends it.
fn beacon(body: &str) -> Visit {
    from(browser(NEW_YORK, "/m").with("Cookie", COOKIE), body)
}

fn from(request: Visit, body: &str) -> Visit {
    let request = request.by("POST").with("Origin", "https://shop.example").with("Sec-Fetch-Site", "same-origin");
    request.with("Content-Type", "text/plain;charset=UTF-8").body(body)
}

fn lines(host: &Memory) -> Vec<Value> {
    host.lines_of(Endpoint::Conversions)
}

fn codes(host: &Memory) -> Vec<String> {
    host.lines_of(Endpoint::Errors).iter().map(|line| line["code"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn measures_of_a_page_are_lines_marked_as_the_browsers() {
    let host = site();
    browser(NEW_YORK, "/page").with("Cookie", COOKIE).send(&host);
    let exposed = host.lines_of(Endpoint::Exposures).remove(0);
    host.asked.take();
    let answer = beacon(&format!(r#"[{LCP},{{"name":"CLS","value":0.02,"currency":"EUR"}}]"#)).send(&host);
    assert_eq!(
        (answer.status.as_u16(), text(&answer).len(), header(&answer, "cache-control")),
        (204, 0, Some("no-store"))
    );
    assert!(host.asked.borrow().is_empty(), "the origin hears nothing of it");
    let lines = lines(&host);
    assert_eq!(lines.len(), 2, "{lines:?}");
    let line = &lines[0];
    assert_eq!(
        (&line["event"], &line["value"], &line["event_id"], &line["source"], &line["unit_id"], &line["key"]),
        (&json!("LCP"), &json!(1234.5), &json!("v4-17"), &json!("browser"), &exposed["unit_id"], &exposed["key"])
    );
    assert_eq!(line["attributes"], json!({ "country": "US", "deviceType": "desktop" }), "the path is not the page's");
    assert_eq!(lines[1].get("currency"), None, "a browser has no word in money");
    assert_eq!(codes(&host), [""; 0]);
}

#[test]
fn it_is_off_unless_settings_name_a_path() {
    for settings in [
        json!({}),
        json!({ "events": {} }),
        json!({ "events": { "path": "m" } }),
        json!({ "events": { "path": "/.edge/m" } }),
        json!({ "events": { "path": "/" } }),
    ] {
        let host = site();
        host.set("settings", &settings);
        let answer = beacon(LCP).send(&host);
        assert_eq!((text(&answer).as_str(), lines(&host).len()), ("POST /m", 0), "{settings}");
    }
    let host = site();
    for request in [browser(NEW_YORK, "/m"), from(browser(NEW_YORK, "/m/x"), LCP), from(browser(NEW_YORK, "/M"), LCP)] {
        assert_eq!(request.send(&host).status, 200, "the origin's");
    }
}

#[test]
fn what_is_not_as_agreed_is_204_and_named() {
    let many = format!("[{}]", vec![LCP; 17].join(","));
    let long = format!("[{LCP}{}]", " ".repeat(4_096));
    let open = |name: &str, value: &str| {
        browser(NEW_YORK, "/m")
            .with("Cookie", COOKIE)
            .by("POST")
            .with("Content-Type", "text/plain")
            .with(name, value)
            .body(LCP)
    };
    for (name, request, counted, code) in [
        ("no JSON", beacon("LCP=1"), 0, Some("beacon-malformed")),
        ("nothing", beacon(""), 0, Some("beacon-malformed")),
        ("a text for a value", beacon(r#"{"name":"LCP","value":"1"}"#), 0, Some("beacon-malformed")),
        ("a huge value", beacon(r#"{"name":"LCP","value":1e300}"#), 0, Some("beacon-malformed")),
        ("no name", beacon(r#"{"value":1}"#), 0, Some("beacon-malformed")),
        ("one good one", beacon(&format!(r#"[{{"value":1}},7,null,{LCP},"x"]"#)), 1, Some("beacon-malformed")),
        (
            "a name of its own",
            beacon(r#"[{"name":"order","value":1000},{"name":"INP","value":80}]"#),
            1,
            Some("beacon-malformed"),
        ),
        ("more than 4 kB", beacon(&long), 0, Some("beacon-malformed")),
        ("more than sixteen", beacon(&many), 16, Some("event-too-many")),
        ("an empty list", beacon("[]"), 0, None),
        (
            "a form",
            browser(NEW_YORK, "/m")
                .by("POST")
                .with("Origin", "https://shop.example")
                .with("Content-Type", "application/x-www-form-urlencoded")
                .body(LCP),
            0,
            Some("beacon-malformed"),
        ),
        (
            "JSON",
            browser(NEW_YORK, "/m")
                .with("Cookie", COOKIE)
                .by("POST")
                .with("Origin", "https://SHOP.example")
                .with("Content-Type", "application/json")
                .body(LCP),
            1,
            None,
        ),
        ("another site", open("Origin", "https://evil.example"), 0, Some("beacon-foreign")),
        ("no origin", open("Origin", "null"), 0, Some("beacon-foreign")),
        ("another subdomain", open("Sec-Fetch-Site", "same-site"), 0, Some("beacon-foreign")),
        ("an address bar", open("Sec-Fetch-Site", "none"), 0, Some("beacon-foreign")),
        ("no browser", open("Accept", "*/*"), 0, Some("beacon-foreign")),
        ("its browser says so", open("Sec-Fetch-Site", "same-origin"), 1, None),
        (
            "both differ",
            open("Sec-Fetch-Site", "same-origin").with("Origin", "https://evil.example"),
            0,
            Some("beacon-foreign"),
        ),
    ] {
        let host = site();
        let answer = request.send(&host);
        assert_eq!(answer.status, 204, "{name}");
        let expected: Vec<&str> = code.into_iter().collect();
        assert_eq!(
            (lines(&host).len(), codes(&host)),
            (counted, expected.iter().map(|code| (*code).to_owned()).collect()),
            "{name}"
        );
    }
}

#[test]
fn who_may_not_be_counted_is_not() {
    for (name, request) in [
        ("consent comes first", browser(PARIS, "/m").with("Cookie", COOKIE)),
        ("a refusal", browser(NEW_YORK, "/m").with("Cookie", COOKIE).with("Sec-GPC", "1")),
        ("a bot", visit(NEW_YORK, "/m").with("User-Agent", "Googlebot/2.1").with("Cookie", COOKIE)),
        ("nobody is known", browser(NEW_YORK, "/m")),
    ] {
        let host = site();
        let answer = from(request, LCP).send(&host);
        assert_eq!((answer.status.as_u16(), header(&answer, "set-cookie")), (204, None), "{name}");
        assert!(host.lines.borrow().is_empty(), "{name}: {:?}", host.lines.borrow());
    }
    let off = site();
    off.set("active", &json!({ "enabled": false }));
    assert_eq!(beacon(LCP).send(&off).status, 204, "the origin is spared");
    assert!(lines(&off).is_empty() && off.asked.borrow().is_empty());
}

#[test]
fn a_sandbox_takes_so_many_a_minute() {
    let host = site();
    host.set("settings", &json!({ "events": { "path": "/m", "per_minute": 3, "names": ["LCP"] } }));
    let mut sandbox = Sandbox::default();
    let mut send = |count: usize| {
        for _ in 0..count {
            assert_eq!(beacon(LCP).send_in(&host, &mut sandbox).status, 204);
        }
        lines(&host).len()
    };
    assert_eq!(send(10), 3);
    assert_eq!(codes(&host), ["beacon-too-many"], "named once a minute");
    host.wait(Duration::from_secs(60));
    assert_eq!(send(2), 5);
}
