//! Promises 12 and 14: strings of a session neither break out of where they land, nor reach a log or an error page.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may stop at a surprise")]
#![allow(clippy::indexing_slicing, reason = "what is missing in a JSON value is null, and a surprise ends the test")]

mod support;

use edge_personalizer::platform::memory::Asked;
use edge_personalizer::platform::{Endpoint, SendError};
use http::HeaderMap;
use serde_json::{Value, json};
use support::sessions::{NOW, by_user, last_asked, put, sent, sent_path, store};
use support::{echo, text};

fn strings() -> Vec<String> {
    let short = [
        "</script><script>alert(1)</script>",
        "\"'`",
        "<!--",
        "-->",
        "a\u{2028}b\u{2029}c",
        "a\r\nSet-Cookie: stolen=1\r\n\r\n<p>",
        "a\nb",
        "a\rb",
        "a\0b",
        "\u{7f}\u{80}\u{9f}",
        "&q=forged#x",
        "a,b;c=d",
        "../../etc",
        "..",
        "%0d%0aX: y",
        "ünïcødé 🦊",
        "javascript:alert(1)",
        "{region.id}",
        "{{ 7 * 7 }}",
        " ",
        "\\",
        "\t",
    ];
    short.iter().map(|text| (*text).to_owned()).chain(["x".repeat(1_000_000), "é<".repeat(400)]).collect()
}

fn of(text: &str) -> Value {
    json!({ "updated_at": NOW * 1000, "recent_views": [text, { "sku": text, "at": NOW * 1000 }], "cart": [{ "sku": text, "quantity": 1 }],
        "affinity": { text: 0.5 }, "segments": [text], "attributes": { "name": text, text: text } })
}

fn page(_: &Asked) -> edge_personalizer::platform::memory::Answer {
    let headers = HeaderMap::from_iter([(http::header::CONTENT_TYPE, "text/html; charset=utf-8".parse().unwrap())]);
    let body = "<html><head></head><body><p id=\"a\" title=\"t\">old</p></body></html>";
    Ok((http::StatusCode::OK, headers, body.as_bytes().to_vec()))
}

#[test]
fn a_string_of_a_session_is_one_value_wherever_it_is_sent() {
    let mut checks = 0;
    for string in strings() {
        let host = store(echo);
        put(&host, "user/alice", of(&string).to_string());
        for target in ["/lists?q=1", "/greet?q=1"] {
            let answer = by_user("alice", target).send(&host);
            assert_eq!(answer.status, 200, "{string:.40?}");
            let asked = last_asked(&host, "origin");
            let url = url_parts(&asked.url);
            assert!(asked.url.bytes().all(|byte| byte.is_ascii_graphic()), "{}", asked.url);
            assert!(url.iter().all(|name| ["q", "cart", "recent", "name"].contains(&name.as_str())), "{url:?}");
            for (name, value) in &asked.headers {
                assert!(value.as_bytes().iter().all(|byte| (b' '..0x7f).contains(byte)), "{name}: {value:?}");
                assert!(value.len() <= 8_192, "{name}");
            }
            assert!(!asked.headers.contains_key("set-cookie"));
            checks += 1;
        }
        by_user("alice", "/lists").send(&host);
        if let Some(data) = sent(&host, "edge-session-data") {
            let data: Value = serde_json::from_str(&data).unwrap();
            let cart = data["cart"].as_array().unwrap();
            assert!(cart.is_empty() || cart[0] == string.as_str(), "what arrives is what was stored: {cart:?}");
            checks += 1;
        }
        assert!(sent_path(&host).len() <= 8_192);
    }
    println!("{checks} requests, none split");
}

/// Names of a URL's query, decoded.
fn url_parts(url: &str) -> Vec<String> {
    let query = url.split_once('?').map(|(_, query)| query).unwrap_or_default();
    query.split('&').map(|pair| pair.split('=').next().unwrap_or_default().to_owned()).collect()
}

/// What begins or ends an element, in order.
fn tags(page: &str) -> Vec<&str> {
    page.match_indices('<').map(|(at, _)| page[at..].split([' ', '>', '=']).next().unwrap_or_default()).collect()
}

#[test]
fn a_string_of_a_session_stays_text_in_a_page() {
    let mut checks = 0;
    let mut plain = String::new();
    for string in ["harmless".to_owned()].into_iter().chain(strings()) {
        let host = store(page);
        let operations = json!([
            { "select": "#a", "inner": "{{ session.attributes.name }}" },
            { "select": "#a", "attribute": { "set": { "data-x": "{{ session.attributes.name }}", "href": "{{ session.attributes.name }}" } } },
            { "select": "head", "json": { "id": "facts" } },
        ]);
        host.set("routes", &json!({ "routes": [{ "id": "html", "path": "/html", "html": operations }] }));
        put(&host, "user/alice", of(&string).to_string());
        let answer = by_user("alice", "/html").send(&host);
        let shown = text(&answer);
        assert_eq!(answer.status, 200);
        if plain.is_empty() {
            assert!(
                shown.contains("data-x=\"harmless\"") && shown.contains(">harmless</p>"),
                "{shown} {:?}",
                host.lines.borrow()
            );
            plain.clone_from(&shown);
        }
        assert!(
            host.lines_of(Endpoint::Errors).iter().all(|line| line["fault"].is_null()),
            "{:?}",
            host.lines.borrow()
        );
        assert!(!shown.contains("<!--") && !shown.contains("href=\"javascript:"), "{shown:.400}");
        assert_eq!(tags(&shown), tags(&plain), "{shown:.600}");
        assert_eq!(answer.headers["cache-control"], "private, no-store");
        checks += 1;
    }
    println!("{checks} pages, none broken out of");
}

#[test]
fn nothing_of_a_person_is_in_a_log_line_or_an_error_page() {
    const CANARY: &str = "c4nary";
    let mut searched = 0;
    let origins: [fn(&Asked) -> edge_personalizer::platform::memory::Answer; 3] = [
        echo_plain,
        |_| Err(SendError::Failed),
        |_| Ok((http::StatusCode::INTERNAL_SERVER_ERROR, HeaderMap::new(), Vec::new())),
    ];
    for origin in origins {
        for stored in [of(CANARY).to_string(), format!("{{\"{CANARY}"), json!({ "updated_at": CANARY }).to_string()] {
            let host = store(origin);
            put(&host, &format!("user/{CANARY}"), stored);
            for target in ["/lists", "/greet", "/page", "/shared", "/nothing"] {
                let target = format!("{target}?q={CANARY}&recent={CANARY}");
                let shown = [
                    by_user(CANARY, &target).with("cookie", format!("s={CANARY}")).send(&host),
                    by_user("x", &target).with("x-user-id", CANARY).send(&host),
                    support::sessions::browser(support::NEW_YORK, &target)
                        .with("x-user-id", CANARY)
                        .with("x-user-signature", CANARY)
                        .send(&host),
                ];
                for answer in shown {
                    assert!(!text(&answer).contains(CANARY), "{target}: {}", text(&answer));
                    assert!(
                        answer
                            .headers
                            .values()
                            .all(|value| !value.as_bytes().windows(6).any(|part| part == CANARY.as_bytes()))
                    );
                    searched += 1;
                }
            }
            let lines = host.lines.borrow();
            for (endpoint, line) in lines.iter() {
                assert!(!line.contains(CANARY), "{endpoint:?}: {line}");
                searched += 1;
            }
            assert!(!host.lines_of(Endpoint::Decisions).is_empty());
        }
    }
    println!("{searched} log lines and answers searched, 0 hits");
}

fn echo_plain(_: &Asked) -> edge_personalizer::platform::memory::Answer {
    support::ok("plain")
}
