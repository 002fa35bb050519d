//! A preview from end to end: the link that `personalizer preview` prints, opened in a browser, explained, and ended.
#![allow(clippy::indexing_slicing, reason = "what is missing in a JSON value is null, and a surprise ends the test")]
#![allow(clippy::unwrap_used, reason = "a test may stop at a surprise")]

use std::fs;
use std::process::Command;
use std::time::Duration;

use e2e::programs::root;
use e2e::visitors::NEW_YORK;
use e2e::{Answer, Edge, Request, personalizer};
use serde_json::{Value, json};

/// The local server's own, of `fastly.toml`.
const KEY: &str = "local-preview-key-of-32-bytes-or-more";
const ADMIN: &str = "Bearer local-admin-token-for-explain";
const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0";

/// Two arms, of which the preview shows the one that nobody is assigned.
fn edge() -> Edge {
    let features = json!({ "features": { "hero": { "defaultValue": "0", "rules": [
        { "key": "hero-test", "variations": ["0", "1"], "weights": [1.0, 0.0], "hashVersion": 2 }] } } });
    let route = json!({ "id": "home", "path": "/page", "features": ["hero"], "cache": { "ttl": 60 },
        "rewrite": { "path": "/echo/{region.slug}/{feature.hero}" } });
    Edge::demo().dictionary("features", &features).dictionary("routes", &json!({ "routes": [route] })).start()
}

/// The link's path and query.
fn link(arguments: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("preview.key");
    fs::write(&key, KEY).unwrap();
    let printed = Command::new(personalizer())
        .args(["preview", "--url", "https://shop.example/page?a=1", "--key-file"])
        .arg(key)
        .args(arguments)
        .output()
        .unwrap();
    assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
    let link = String::from_utf8(printed.stdout).unwrap();
    link.trim().strip_prefix("https://shop.example").unwrap().to_owned()
}

fn open(edge: &Edge, target: &str, cookie: &str) -> Answer {
    let request = Request::get(target).header("User-Agent", FIREFOX);
    edge.visitor(NEW_YORK).send(&if cookie.is_empty() { request } else { request.header("Cookie", cookie) })
}

/// The cookie that an answer sets under this name, as a browser sends it back.
fn cookie(answer: &Answer, name: &str) -> Option<String> {
    let lines = answer.header_lines("set-cookie");
    let line = lines.iter().find(|line| line.starts_with(&format!("{name}=")))?;
    line.split(';').next().map(str::to_owned)
}

fn explained(edge: &Edge, target: &str) -> Value {
    let target = format!("https://shop.example{target}").replace('%', "%25").replace('&', "%26");
    let request = Request::get(format!("/.edge/explain?country=US&url={target}")).header("Authorization", ADMIN);
    let answer = edge.send(&request);
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

/// What the command says of the demo rules and this link, with the key in its environment.
fn in_words(target: &str) -> String {
    let mut explain = Command::new(personalizer());
    explain.current_dir(root()).args(["explain", "--country", "US", &format!("https://shop.example{target}")]);
    let said = explain.env("PERSONALIZER_PREVIEW_KEY", KEY).output().unwrap();
    String::from_utf8_lossy(&said.stdout).into_owned()
}

#[test]
fn the_printed_link_shows_the_arm_until_it_is_ended_and_counts_for_nobody() {
    let edge = edge();
    let usual = open(&edge, "/page?a=1", "");
    assert_eq!(edge.origin().last_request().unwrap().target, "/echo/east/0?a=1");
    assert_eq!(usual.header("edge-preview"), None);

    let link = link(&["--feature", "hero=\"1\"", "--region", "APAC", "--ttl", "1h"]);
    let token = cookie(&open(&edge, &link, ""), "ep_preview").unwrap();
    for (target, cookie) in [(link.as_str(), ""), ("/page?a=1", token.as_str())] {
        let answer = open(&edge, target, cookie);
        let asked = edge.origin().last_request().unwrap();
        assert_eq!(asked.target, "/echo/asia/1?a=1", "the arm and the region, and no token");
        assert!(!format!("{asked:?}").contains(token.trim_start_matches("ep_preview=")), "{asked:#?}");
        assert_eq!(answer.header("edge-preview").as_deref(), Some("?1"));
        assert_eq!(answer.header("cache-control").as_deref(), Some("private, no-store"));
    }
    let steps = explained(&edge, &link);
    assert_eq!(
        steps["steps"][0], "preview: feature hero = \"1\", region APAC; it counts in no experiment",
        "{steps:#}"
    );
    assert_eq!(steps["region"]["id"], "APAC");
    assert!(steps["plan"]["adds"].to_string().contains("edge-preview"), "{steps:#}");

    let said = in_words(&link);
    // The demo's rules have no such feature, and the command says so.
    assert!(said.contains("preview: region APAC"), "{said}");
    assert!(said.contains("the rules don't have, and it leaves out: feature hero"), "{said}");

    let ended = open(&edge, "/page?a=1&edge_preview=off", &token);
    assert_eq!(edge.origin().last_request().unwrap().target, "/echo/east/0?a=1");
    assert_eq!((cookie(&ended, "ep_preview").as_deref(), ended.header("edge-preview")), (Some("ep_preview="), None));

    let last = |line: &Value| line["preview"] == json!(false) && line["path"] == "/page";
    assert!(edge.logs().wait("decisions", 5, Duration::from_secs(20), last).is_some());
    let exposures = edge.logs().of("exposures");
    assert_eq!(exposures.len(), 2, "the first visit and the last, neither of which was a preview: {exposures:#?}");
    assert!(exposures.iter().all(|line| line["variation"] == 0), "{exposures:#?}");
}

#[test]
fn a_link_altered_by_one_letter_shows_nothing() {
    let edge = edge();
    let link = link(&["--feature", "hero=\"1\""]);
    let at = link.rfind('.').unwrap() + 1;
    let other = if link.as_bytes()[at] == b'A' { "B" } else { "A" };
    let forged = format!("{}{other}{}", &link[..at], &link[at + 1..]);
    let answer = open(&edge, &forged, "");
    assert_eq!(edge.origin().last_request().unwrap().target, "/echo/east/0?a=1");
    assert_eq!((answer.header("edge-preview"), cookie(&answer, "ep_preview")), (None, None));
    assert_eq!(edge.error()["code"], "preview-signature");
    assert_eq!(explained(&edge, &forged)["steps"][0], "preview: ignored (preview-signature)");
}
