//! Promise 21: a newcomer keeps what they got. A canary at 50 %, experiments running, and newcomers who get their id on the first page,
//! on a later one, after they agreed, or never.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may stop at a surprise")]
#![allow(clippy::indexing_slicing, reason = "what is missing in a JSON value is null, and a surprise ends the test")]

mod support;

use std::net::{IpAddr, Ipv4Addr};

use edge_personalizer::platform::Geo;
use edge_personalizer::platform::memory::{Memory, Received};
use edge_personalizer::service::Sandbox;
use serde_json::json;
use support::{echo, shop, visit};

const NEWCOMERS: u32 = 1_000;
/// All flags, of OFREP.
const FLAGS: &str = "/ofrep/v1/evaluate/flags";
const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

/// Two revisions that show which of them served; `/plain` and `/picture` use no experiment, so that nobody gets an id there.
fn canary(percent: f64) -> Memory {
    let host = shop(echo);
    for revision in ["r1", "r2"] {
        let path = |name: &str| json!({ "path": format!("/{revision}/{name}/{{feature.hero|none}}") });
        host.set(
            &format!("{revision}/settings"),
            &json!({ "consent": { "cookie": { "name": "cc", "value": "yes" } }, "ofrep": {} }),
        );
        host.set(
            &format!("{revision}/features"),
            &json!({ "features": { "hero": { "defaultValue": "none", "rules": [{ "key": "hero-test",
                "variations": ["old", "new"], "hashVersion": 2, "hashAttribute": "visitorId" }] } } }),
        );
        let plain = |name: &str| json!({ "path": format!("/{revision}/{name}") });
        host.set(
            &format!("{revision}/routes"),
            &json!({ "routes": [
                { "id": "shop", "path": "/shop/*", "rewrite": path("shop") },
                { "id": "shared", "path": "/shared/*", "rewrite": path("shared"), "cache": { "ttl": 60 } },
                { "id": "plain", "path": "/plain", "rewrite": plain("plain") },
                { "id": "picture", "path": "/picture", "rewrite": plain("picture"), "cache": { "ttl": 60 } } ] }),
        );
    }
    host.set("active", &json!({ "revision": "r1", "canary": { "revision": "r2", "percent": percent } }));
    host
}

/// A browser: where it is, and what it keeps.
struct Browser {
    address: IpAddr,
    visitor: Option<String>,
    agreed: bool,
}

/// What one page showed: the revision, and the variation on pages that have one.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Shown {
    revision: String,
    variation: Option<String>,
}

impl Browser {
    fn new(host: &Memory, number: u32, country: &str, continent: &'static str) -> Self {
        let address = IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + number));
        let geo = Geo { country: Some(country.to_owned()), continent: Some(continent), ..Geo::default() };
        host.geo.borrow_mut().insert(address, geo);
        Self { address, visitor: None, agreed: false }
    }

    fn open(&mut self, host: &Memory, sandbox: &mut Sandbox, target: &str) -> Shown {
        let id = self.visitor.as_ref().map(|id| format!("ep_vid={id}"));
        let cookies: Vec<String> = id.into_iter().chain(self.agreed.then(|| "cc=yes".to_owned())).collect();
        let request = visit(self.address, target).with("user-agent", FIREFOX).with("cookie", cookies.join("; "));
        if target == FLAGS {
            let answer = request.by("POST").body(r#"{"context":{}}"#).send_in(host, sandbox);
            self.keep(&answer);
            let flags: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
            let revision = flags["metadata"]["revision"].as_str().unwrap().to_owned();
            return Shown { revision, variation: flags["flags"][0]["value"].as_str().map(str::to_owned) };
        }
        let answer = request.send_in(host, sandbox);
        self.keep(&answer);
        let body = String::from_utf8(answer.body).unwrap();
        let mut parts = body.split('/').skip(1);
        let revision = parts.next().unwrap().to_owned();
        let variation = parts.nth(1).filter(|variation| *variation != "none").map(str::to_owned);
        Shown { revision, variation }
    }

    fn keep(&mut self, answer: &Received) {
        for line in answer.headers.get_all("set-cookie") {
            let pair = line.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            assert_eq!(name, "ep_vid");
            self.visitor = (!value.is_empty()).then(|| value.to_owned());
        }
    }
}

/// Newcomers who changed revision, and those who changed variation; how many were the canary's, and how many got the new variation.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counted {
    flips: usize,
    switches: usize,
    canary: usize,
    new: usize,
    ids: usize,
}

fn count(percent: f64, pages: &[&str], country: (&str, &'static str), agree_before: Option<usize>) -> Counted {
    let host = canary(percent);
    let mut sandbox = Sandbox::default();
    // A cold sandbox has read nothing yet: it warms up on somebody else.
    Browser::new(&host, 1 << 20, "JP", "AS").open(&host, &mut sandbox, "/plain");
    let mut counted = Counted::default();
    for number in 0..NEWCOMERS {
        let mut browser = Browser::new(&host, number, country.0, country.1);
        let mut shown = Vec::new();
        for (index, page) in pages.iter().enumerate() {
            browser.agreed |= agree_before == Some(index);
            shown.push(browser.open(&host, &mut sandbox, page));
        }
        let variations: Vec<_> = shown.iter().filter_map(|shown| shown.variation.as_deref()).collect();
        counted.flips += usize::from(shown.iter().any(|shown_one| shown_one.revision != shown[0].revision));
        counted.switches += usize::from(variations.iter().any(|variation| *variation != variations[0]));
        counted.canary += usize::from(shown[0].revision == "r2");
        counted.new += usize::from(variations.first() == Some(&"new"));
        counted.ids += usize::from(browser.visitor.is_some());
    }
    println!("{percent} %, {pages:?}, {}, agreed before page {agree_before:?}: {counted:?}", country.0);
    counted
}

const AMERICAN: (&str, &str) = ("US", "NA");
const FRENCH: (&str, &str) = ("FR", "EU");

fn is_about(count: usize, of: f64) -> bool {
    // Five standard deviations of a binomial.
    let n = f64::from(NEWCOMERS);
    (count as f64 - n * of).abs() < 5.0 * (n * of * (1.0 - of)).sqrt()
}

#[test]
fn of_a_thousand_newcomers_nobody_changes_revision_or_variation() {
    for pages in [
        &["/shop/1", "/shop/2", "/plain"][..],
        &["/shared/1", "/shop/2", "/shared/2"],
        // The id comes late: these pages need none.
        &["/plain", "/picture", "/shop/1", "/plain", "/shop/2"],
        // An app's first question, or a page's, before the page has given an id.
        &[FLAGS, "/shop/1", FLAGS, "/shop/2"],
    ] {
        let counted = count(50.0, pages, AMERICAN, None);
        assert_eq!((counted.flips, counted.switches, counted.ids), (0, 0, 1_000), "{pages:?}");
        assert!(is_about(counted.canary, 0.5) && is_about(counted.new, 0.5), "{counted:?}");
    }
    for percent in [1.0, 20.0, 99.0] {
        let counted = count(percent, &["/plain", "/shop/1", "/shop/2"], AMERICAN, None);
        assert_eq!((counted.flips, counted.switches, counted.ids), (0, 0, 1_000), "{percent}");
        assert!(is_about(counted.canary, percent / 100.0) && is_about(counted.new, 0.5), "{counted:?}");
    }
}

#[test]
fn who_agrees_later_keeps_the_revision_that_they_had_before() {
    let counted = count(50.0, &["/shop/1", "/shop/2", "/shop/3", "/shop/4"], FRENCH, Some(2));
    assert_eq!((counted.flips, counted.switches, counted.ids), (0, 0, 1_000));
    assert!(is_about(counted.canary, 0.5), "{counted:?}");
}

#[test]
fn without_consent_nothing_is_stored_and_the_address_decides() {
    let counted = count(50.0, &["/shop/1", "/plain", "/shop/2"], FRENCH, None);
    assert_eq!((counted.flips, counted.switches, counted.ids, counted.new), (0, 0, 0, 0));
    assert!(is_about(counted.canary, 0.5), "{counted:?}");
}

#[test]
fn everybody_behind_one_address_gets_one_revision_and_an_id_of_their_own() {
    let host = canary(50.0);
    let mut sandbox = Sandbox::default();
    let mut ids = std::collections::BTreeSet::new();
    let mut revisions = std::collections::BTreeSet::new();
    for _ in 0..100 {
        let mut browser = Browser::new(&host, 7, "US", "NA");
        let shown = [browser.open(&host, &mut sandbox, "/shop/1"), browser.open(&host, &mut sandbox, "/shop/2")];
        assert_eq!(shown[0], shown[1]);
        revisions.insert(shown[0].revision.clone());
        ids.insert(browser.visitor.unwrap());
    }
    assert_eq!((revisions.len(), ids.len()), (1, 100));
}

#[test]
fn a_larger_share_takes_no_newcomer_out() {
    let host = canary(5.0);
    let mut sandbox = Sandbox::default();
    let mut browsers: Vec<_> = (0..NEWCOMERS).map(|number| Browser::new(&host, number, "US", "NA")).collect();
    let mut before: Vec<String> = Vec::new();
    for browser in &mut browsers {
        before.push(browser.open(&host, &mut sandbox, "/shop/1").revision);
    }
    for percent in [5.0, 20.0, 100.0] {
        host.set("active", &json!({ "revision": "r1", "canary": { "revision": "r2", "percent": percent } }));
        for (browser, before) in browsers.iter_mut().zip(&mut before) {
            let now = browser.open(&host, &mut sandbox, "/shop/2").revision;
            assert!(before != "r2" || now == "r2", "{percent}");
            *before = now;
        }
    }
    assert!(before.iter().all(|revision| revision == "r2"));
}
