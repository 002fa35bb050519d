//! The inspector in a browser: a link opens it once, it explains, it makes a preview, and nothing that stands in rules or sessions runs in it.

use std::process::Command;

use e2e::visitors::NEW_YORK;
use e2e::{Edge, Relay, personalizer};
use serde_json::{Value, json};

use super::chromium::{Chromium, Page};
use super::pictures::keep;

const KEY: &str = "the-key-of-the-inspector-long-enough";
/// Runs where a page forgets that it is text.
const HOSTILE: &str = "<img src=x onerror=hit()><script>hit()</script>";

fn link(url: &str) -> String {
    let output = Command::new(personalizer())
        .args(["inspect", "--url", url, "--user", "test-1"])
        .env("PERSONALIZER_INSPECT_KEY", KEY)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn status(page: &Page) -> Value {
    page.value("document.getElementById('status').textContent")
}

#[test]
fn a_link_opens_the_inspector_and_leaves_no_token_behind() {
    let edge = Edge::demo().secret("inspect", KEY).start();
    let Some(chromium) = Chromium::start() else { return };
    let way = Relay::open(NEW_YORK, edge.address()).unwrap();
    let page = chromium.visitor();
    page.open(&link(&way.url("/")));
    page.until("document.getElementById('status').textContent === 'Explained.'");
    assert_eq!(page.value("location.pathname + location.search + location.hash"), "/.edge/inspect");
    assert_eq!(page.value("document.cookie"), "", "no script reads the cookie");
    let cookie = page.kept_cookie("__Host-ep_inspect").unwrap();
    assert!(cookie.http_only && cookie.secure);
    assert!(page.value("document.getElementById('answer').textContent").as_str().unwrap().contains("US"));

    // By keyboard and for a screen reader: everything has a name, the answer is announced.
    let unnamed = "[...document.querySelectorAll('input, select, button')].filter(one => !one.labels?.length && !one.textContent.trim()).map(one => one.id)";
    assert_eq!(page.value(unnamed), json!([]));
    assert_eq!(page.value("document.getElementById('status').getAttribute('role')"), "status");
    keep("inspect", &page);

    // Somebody else, and a preview of it.
    page.value(
        "(document.querySelector('[value=other]').click(), document.getElementById('country').value = 'fr', document.querySelector('#ask button').click())",
    );
    page.until(
        "document.getElementById('answer').textContent.includes('FR') && document.activeElement.id === 'answer'",
    );
    page.value(
        "(document.getElementById('region').selectedIndex = 1, document.querySelector('#preview button').click())",
    );
    page.until("!!document.getElementById('made')");
    let preview = page.value("document.getElementById('made').value");
    page.open(preview.as_str().unwrap());
    page.until("!!document.getElementById('edge-preview')");
    let exit = page.value("document.querySelector('#edge-preview a').href");
    page.open(exit.as_str().unwrap());
    assert_eq!(page.value("document.getElementById('edge-preview')"), Value::Null);
    page.open(&way.url("/.edge/inspect"));
    page.until("document.getElementById('status').textContent === 'Explained.'");
    page.value("document.getElementById('end').click()");
    page.until("document.getElementById('status').textContent === 'Closed.'");
    assert!(page.kept_cookie("__Host-ep_inspect").is_none());
}

#[test]
fn nothing_in_rules_paths_or_sessions_runs_in_the_inspector() {
    let rules = json!({
        "features": { "features": { HOSTILE: { "defaultValue": HOSTILE } } },
        "regions": { "default": { "id": HOSTILE, "slug": "x" } },
        "routes": { "routes": [{ "id": HOSTILE, "path": "/x/*", "features": [HOSTILE],
            "request_headers": { "set": { "X-Name": "{session.attributes.name|nobody} <img src=x onerror=hit()>" } } }] }
    });
    let edge = Edge::with_rules(&rules).secret("inspect", KEY).start();
    let Some(chromium) = Chromium::start() else { return };
    let way = Relay::open(NEW_YORK, edge.address()).unwrap();
    let page = chromium.visitor();
    page.before_every_page(
        "window.hits = 0; window.hit = () => window.hits++; addEventListener('securitypolicyviolation', hit)",
    );
    page.open(&link(&way.url("/x/%3Cimg%20src=x%20onerror=hit()%3E?q=<script>hit()</script>")));
    page.until("document.getElementById('status').textContent === 'Explained.'");
    let text = page.value("document.getElementById('answer').textContent");
    assert!(text.as_str().unwrap().contains("<img src=x onerror=hit()>"), "shown as text: {text}");
    assert_eq!(page.value("document.querySelectorAll('img').length + document.querySelectorAll('script').length"), 1);
    assert_eq!(page.value("window.hits"), 0);
}

#[test]
fn a_link_that_is_over_says_so() {
    let edge = Edge::demo().secret("inspect", "another-key-of-the-inspector-long").start();
    let Some(chromium) = Chromium::start() else { return };
    let way = Relay::open(NEW_YORK, edge.address()).unwrap();
    let page = chromium.visitor();
    page.open(&link(&way.url("/")));
    page.until("document.getElementById('status').textContent !== ''");
    assert!(status(&page).as_str().unwrap().contains("none that this service signed"), "{}", status(&page));
    assert_eq!(page.value("document.getElementById('ask').hidden"), true);
}
