//! Two sites on one service, each with its own languages, consent and cookies.
#![allow(clippy::unwrap_used, reason = "a test may stop at a surprise")]

use e2e::visitors::NEW_YORK;
use e2e::{Answer, Edge, Request};
use serde_json::json;

const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0";

fn edge() -> Edge {
    let route = json!({ "id": "own", "path": "/own", "features": ["hero"], "rewrite": { "path": "/echo/{language}/{feature.hero}" } });
    let features = json!({ "hero": { "defaultValue": "0", "rules": [
        { "key": "hero-test", "variations": ["0", "1"], "hashVersion": 2 }] } });
    Edge::with_rules(&json!({
        "settings": { "languages": ["en"], "hosts": {
            "www.example.de": { "languages": ["de"], "consent": { "countries": ["*"] } },
            "*.example.com": { "visitor": { "cookie": "kennung" } } } },
        "features": { "features": features },
        "routes": { "routes": [route] } }))
    .start()
}

fn open(edge: &Edge, host: &str) -> Answer {
    let request = Request::get("/own").header("Host", host).header("User-Agent", FIREFOX);
    let answer = edge.visitor(NEW_YORK).send(&request);
    assert_eq!(answer.status, 200, "{host}: {}", answer.text());
    answer
}

#[test]
fn each_host_has_its_own_settings() {
    let edge = edge();
    for (host, language, cookie) in [
        ("shop.example", "en", Some("ep_vid=")),
        ("WWW.example.de:8443", "de", None),
        ("shop.example.com", "en", Some("kennung=")),
    ] {
        let answer = open(&edge, host);
        assert!(answer.header("edge-variant").unwrap().contains(&format!("language=\"{language}\"")), "{host}");
        let set = answer.header_lines("set-cookie");
        match cookie {
            Some(cookie) => assert!(set.iter().any(|line| line.starts_with(cookie)), "{host}: {set:?}"),
            None => assert!(set.is_empty(), "{host}: {set:?}"),
        }
    }
}
