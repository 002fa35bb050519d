//! Previews show chosen arms to who holds a link and count for nobody; experiments on URLs keep the query and lead round in no circle.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may stop at a surprise")]
#![allow(clippy::indexing_slicing, reason = "what is missing in a JSON value is null, and a surprise ends the test")]

mod support;

use std::collections::HashSet;

use edge_personalizer::context::preview::{PreviewClaims, sign};
use edge_personalizer::mac::MacKey;
use edge_personalizer::platform::Endpoint;
use edge_personalizer::platform::memory::{Memory, Received};
use edge_personalizer::service::Sandbox;
use serde_json::{Value, json};
use support::{NEW_YORK, PARIS, Visit, echo, header, path_of, shop, text, visit};
use time::OffsetDateTime;

const KEY: &[u8] = b"the key of previews, long enough";
const NOW: i64 = 1_800_000_000;
const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0";
const GOOGLEBOT: &str = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";

/// Feature `hero` and experiment `menu` with arms on a page, and a page on another URL for half of the visitors.
fn lab(settings: &Value) -> Memory {
    let host = shop(echo);
    host.clock.set(Some(OffsetDateTime::from_unix_timestamp(NOW).unwrap()));
    for (name, secret) in [("identity", &b"a secret of thirty-two bytes or so"[..]), ("preview", KEY)] {
        host.secrets.borrow_mut().insert(name.to_owned(), secret.to_vec());
    }
    host.set("settings", settings);
    host.set("features", &json!({ "features": { "hero": { "defaultValue": "old", "rules": [{ "key": "hero-test", "variations": ["old", "new"] }] } } }));
    host.set("experiments", &json!({ "experiments": [
        { "key": "menu", "variations": ["a", "b"] },
        { "key": "landing", "persistQueryString": true,
          "urlPatterns": [{ "type": "simple", "pattern": "/landing", "include": true }],
          "variations": [{}, { "urlRedirect": "https://shop.example/landing-b?from=test" }] },
        { "key": "circle", "urlPatterns": [{ "type": "regex", "pattern": "/round", "include": true }],
          "variations": [{ "urlRedirect": "https://shop.example/round/a" }, { "urlRedirect": "https://shop.example/round/b" }] } ] }));
    host.set(
        "routes",
        &json!({ "routes": [
        { "id": "page", "path": "/page", "cache": { "ttl": 60 },
          "rewrite": { "path": "/{region.slug}/{feature.hero}/{experiment.menu}" } },
        { "id": "landing", "path": "/landing", "cache": {} },
        { "id": "landing-b", "path": "/landing-b", "cache": {} },
        { "id": "round", "path": "/round/*" } ] }),
    );
    host
}

fn person(number: u32, target: &str) -> Visit {
    let cookie = format!("ep_vid={:032x}", 0x5678_0000_u128 + u128::from(number));
    visit(NEW_YORK, target).with("User-Agent", FIREFOX).with("Cookie", cookie)
}

fn token(claims: &PreviewClaims) -> String {
    sign(claims, &MacKey::new(KEY).unwrap()).unwrap()
}

/// Hero and menu as few people get them, in a region far away, for an hour.
fn claims() -> PreviewClaims {
    PreviewClaims {
        features: [("hero".to_owned(), json!("never seen"))].into(),
        experiments: [("menu".to_owned(), 1)].into(),
        region: Some("APAC".to_owned()),
        exp: NOW + 3600,
        ..PreviewClaims::default()
    }
}

fn cookies(received: &Received) -> Vec<String> {
    received.headers.get_all("set-cookie").iter().map(|line| line.to_str().unwrap().to_owned()).collect()
}

fn codes(host: &Memory) -> Vec<String> {
    host.lines_of(Endpoint::Errors).iter().map(|line| line["code"].as_str().unwrap_or_default().to_owned()).collect()
}

fn is_previewed(host: &Memory, answer: &Received) {
    assert_eq!(header(answer, "edge-preview"), Some("?1"));
    assert_eq!(header(answer, "cache-control"), Some("private, no-store"));
    assert_eq!(host.lines_of(Endpoint::Decisions).last().unwrap()["preview"], true);
    assert!(host.lines_of(Endpoint::Exposures).is_empty(), "a preview counts for nobody");
}

#[test]
fn a_signed_link_shows_what_it_says_and_stays_for_the_session() {
    let host = lab(&json!({}));
    let signed = token(&claims());
    let answer = visit(PARIS, &format!("/page?a=1&edge_preview={signed}&b=2")).with("User-Agent", FIREFOX).send(&host);
    assert_eq!(text(&answer), "GET /asia/never%20seen/1?a=1&b=2", "the origin sees no token");
    is_previewed(&host, &answer);
    assert_eq!(cookies(&answer), [format!("ep_preview={signed}; Path=/; Secure; HttpOnly; SameSite=Lax")]);
    let cookie = format!("ep_preview={signed}");
    let again = visit(PARIS, "/page").with("User-Agent", FIREFOX).with("Cookie", &cookie).send(&host);
    assert_eq!(text(&again), "GET /asia/never%20seen/1");
    is_previewed(&host, &again);
    assert!(cookies(&again).is_empty());
    assert!(!format!("{:?}", host.asked.borrow()).contains(&signed), "the origin sees no token");
    let ended = visit(PARIS, "/page?edge_preview=off").with("User-Agent", FIREFOX).with("Cookie", &cookie).send(&host);
    assert!(!text(&ended).contains("never"), "{}", text(&ended));
    assert!(cookies(&ended)[0].starts_with("ep_preview=; ") && cookies(&ended)[0].contains("Max-Age=0"));
    assert_eq!(header(&ended, "edge-preview"), None);
    assert!(host.lines.borrow().iter().all(|(_, line)| !line.contains(&signed)), "no token in a log");
}

#[test]
fn a_link_may_open_on_a_page_that_no_rule_touches() {
    let host = lab(&json!({}));
    let signed = token(&claims());
    let answer = visit(PARIS, &format!("/elsewhere?edge_preview={signed}")).with("User-Agent", FIREFOX).send(&host);
    assert_eq!(text(&answer), "GET /elsewhere");
    is_previewed(&host, &answer);
    assert!(cookies(&answer)[0].starts_with("ep_preview=1."));
}

#[test]
fn a_link_that_is_forged_or_expired_shows_nothing() {
    let forged = sign(&claims(), &MacKey::new(b"somebody else's key, as long as ours").unwrap()).unwrap();
    let expired = token(&PreviewClaims { exp: NOW, ..claims() });
    let endless = token(&PreviewClaims { exp: NOW + 400 * 86_400, ..claims() });
    for (token, code) in [
        (forged.as_str(), "preview-signature"),
        (&expired, "preview-expired"),
        (&endless, "preview-too-long"),
        ("1", "preview-malformed"),
    ] {
        for by_cookie in [false, true] {
            let host = lab(&json!({}));
            let request = if by_cookie {
                visit(PARIS, "/page").with("Cookie", format!("ep_preview={token}"))
            } else {
                visit(PARIS, &format!("/page?edge_preview={token}"))
            };
            let answer = request.with("User-Agent", FIREFOX).send(&host);
            assert_eq!(text(&answer), "GET /europe/old/0", "{code}");
            assert_eq!(header(&answer, "edge-preview"), None);
            assert!(cookies(&answer).is_empty());
            assert_eq!(codes(&host), [code]);
        }
    }
    let off = lab(&json!({ "preview": "off" }));
    let answer = visit(PARIS, "/page")
        .with("User-Agent", FIREFOX)
        .with("Cookie", format!("ep_preview={}", token(&claims())))
        .send(&off);
    assert_eq!(text(&answer), "GET /europe/old/0", "settings say that there are no previews");
}

#[test]
fn the_query_forces_an_arm_only_where_settings_are_open() {
    let open = lab(&json!({ "preview": "open" }));
    let answer = visit(PARIS, "/page?menu=1&hero-test=1").with("User-Agent", FIREFOX).send(&open);
    assert!(text(&answer).starts_with("GET /europe/new/1"), "{}", text(&answer));
    assert!(open.lines_of(Endpoint::Exposures).is_empty(), "a forced arm is no exposure");
    for settings in [json!({}), json!({ "preview": "off" }), json!({ "preview": "signed" })] {
        let host = lab(&settings);
        let answer = visit(PARIS, "/page?menu=1&hero-test=1").with("User-Agent", FIREFOX).send(&host);
        assert!(text(&answer).starts_with("GET /europe/old/0"), "{settings}: {}", text(&answer));
    }
}

#[test]
fn an_experiment_on_urls_asks_the_origin_for_the_other_page() {
    let mut seen = HashSet::new();
    for number in 0..30 {
        let host = lab(&json!({}));
        let answer = person(number, "/landing?q=1&from=mail").send(&host);
        let line = &host.lines_of(Endpoint::Exposures)[0];
        let expected = if line["variation"] == 1 { "/landing-b?from=test&q=1" } else { "/landing?q=1&from=mail" };
        assert_eq!((answer.status.as_u16(), text(&answer)), (200, format!("GET {expected}")));
        assert_eq!(header(&answer, "vary"), Some("Edge-Variant"));
        assert_eq!(host.asked.borrow().len(), 1);
        seen.insert(line["variation"].to_string());
    }
    assert_eq!(seen.len(), 2);
    let bot = lab(&json!({}));
    for number in 0..30_u32 {
        let cookie = format!("ep_vid={:032x}", 0x5678_0000_u128 + u128::from(number));
        let answer = visit(NEW_YORK, "/landing").with("User-Agent", GOOGLEBOT).with("Cookie", cookie).send(&bot);
        assert_eq!(text(&answer), "GET /landing", "a bot gets control");
    }
    assert!(bot.lines_of(Endpoint::Exposures).is_empty());
}

#[test]
fn an_experiment_on_urls_redirects_where_settings_say_so() {
    let mut seen = HashSet::new();
    for number in 0..30 {
        let host = lab(&json!({ "redirects": "redirect" }));
        let answer = person(number, "/landing?q=1").send(&host);
        seen.insert(answer.status.as_u16());
        assert_eq!(header(&answer, "vary"), Some("Edge-Variant"));
        let exposed = host.lines_of(Endpoint::Exposures);
        assert_eq!(exposed.len(), 1);
        if answer.status == 302 {
            assert_eq!(header(&answer, "location"), Some("https://shop.example/landing-b?from=test&q=1"));
            assert!(header(&answer, "cache-control").unwrap().starts_with("private"));
            let landed = person(number, &path_of(header(&answer, "location").unwrap())).send(&host);
            assert_eq!((landed.status.as_u16(), text(&landed)), (200, "GET /landing-b?from=test&q=1".to_owned()));
            assert_eq!(host.lines_of(Endpoint::Exposures).len(), 1, "the landing is no second exposure");
        }
    }
    assert_eq!(seen, HashSet::from([200, 302]));
}

#[test]
fn a_target_that_the_experiment_runs_on_leads_nobody_round() {
    for settings in [json!({}), json!({ "redirects": "redirect" })] {
        let host = lab(&settings);
        for number in 0..20 {
            let answer = person(number, "/round/start").send(&host);
            assert_eq!((answer.status.as_u16(), text(&answer)), (200, "GET /round/start".to_owned()));
        }
    }
}

/// Two experiments, each of which would send the other's visitors back.
#[test]
fn two_experiments_that_point_at_each_other_send_nobody_round() {
    let pair = |key: &str, from: &str, to: &str| {
        json!({ "key": key, "hashVersion": 2, "weights": [0, 1], "variations": [{}, { "urlRedirect": format!("https://shop.example{to}") }],
            "urlPatterns": [{ "type": "simple", "pattern": from, "include": true }] })
    };
    for (mode, shown) in [("redirect", "/one"), ("rewrite", "/two")] {
        let host = lab(&json!({ "redirects": mode, "sticky": {} }));
        host.set(
            "experiments",
            &json!({ "experiments": [pair("there", "/one", "/two"), pair("back", "/two", "/one")] }),
        );
        host.set("routes", &json!({ "routes": [{ "id": "pair", "path": "/{page}", "cache": {} }] }));
        let answer = person(1, "/one").send(&host);
        assert_eq!((answer.status.as_u16(), text(&answer)), (200, format!("GET {shown}")), "{mode}");
        let exposed = host.lines_of(Endpoint::Exposures).len();
        assert_eq!(exposed, usize::from(mode == "rewrite"), "who stays was shown no arm");
        let remembered: String = cookies(&answer).concat();
        assert_eq!(remembered.contains("ep_sticky"), mode == "rewrite", "nor is any remembered: {remembered}");
    }
}

#[test]
fn a_redirect_that_names_a_query_or_a_place_alone_leads_back_too() {
    for (location, target) in
        [("?region={region.slug}", "/here?region=east"), ("#top", "/here"), ("?a=1#top", "/here?a=1")]
    {
        let host = lab(&json!({}));
        host.set("routes", &json!({ "routes": [{ "id": "r", "path": "/{page}", "action": "redirect", "redirect": { "location": location } }] }));
        let answer = person(1, target).send(&host);
        assert_eq!((answer.status.as_u16(), codes(&host)), (200, vec!["redirect-loop".to_owned()]), "{location}");
    }
}

#[test]
fn a_look_as_somebody_from_elsewhere_takes_nothing_from_the_looker() {
    let host = lab(&json!({ "sticky": {} }));
    let as_a_german = PreviewClaims {
        visitor: serde_json::from_value(json!({ "country": "DE" })).unwrap(),
        exp: NOW + 3600,
        ..PreviewClaims::default()
    };
    let answer = person(1, &format!("/page?edge_preview={}", token(&as_a_german))).send(&host);
    is_previewed(&host, &answer);
    assert!(cookies(&answer).iter().all(|cookie| cookie.starts_with("ep_preview=")), "{:?}", cookies(&answer));
}

#[test]
fn a_redirect_to_the_page_itself_shows_the_page() {
    for location in ["/here", "/{path.page}", "https://shop.example/here", "/here#top"] {
        let host = lab(&json!({}));
        host.set("routes", &json!({ "routes": [{ "id": "r", "path": "/{page}", "action": "redirect", "redirect": { "location": location } }] }));
        let answer = person(1, "/here").send(&host);
        assert_eq!((answer.status.as_u16(), text(&answer)), (200, "GET /here".to_owned()), "{location}");
        assert_eq!(codes(&host), ["redirect-loop"]);
        let other = person(1, "/here?lang=fr").send(&host);
        assert_eq!(other.status, 302, "another page");
    }
}

#[test]
fn a_redirect_says_what_a_browser_will_ask_for() {
    let host = lab(&json!({}));
    host.set("routes", &json!({ "routes": [{ "id": "r", "path": "/{page}", "action": "redirect", "redirect": { "location": "/café" } }] }));
    let answer = person(1, "/thé").send(&host);
    assert_eq!(header(&answer, "location"), Some("/caf%C3%A9"));
    let there = person(1, "/caf%C3%A9").send(&host);
    assert_eq!((there.status.as_u16(), codes(&host)), (200, vec!["redirect-loop".to_owned()]), "it doesn't go round");
}

#[test]
fn flags_are_those_of_the_previewed_revision_for_the_previewed_user() {
    let host = lab(&json!({ "ofrep": {} }));
    let rule = json!([{ "condition": { "userId": "test-42" }, "force": "tester" }]);
    for revision in ["r1", "r2"] {
        host.set(&format!("{revision}/settings"), &json!({ "ofrep": {} }));
        host.set(&format!("{revision}/routes"), &json!({ "routes": [] }));
        host.set(
            &format!("{revision}/features"),
            &json!({ "features": { "f": { "defaultValue": revision, "rules": rule } } }),
        );
    }
    host.set("active", &json!({ "revision": "r1" }));
    let asked = |claims: &PreviewClaims| {
        let mut sandbox = Sandbox::default();
        let mut said = serde_json::Value::Null;
        // A revision that nobody serves is there from the second request on.
        for _ in 0..3 {
            let ask = person(1, "/ofrep/v1/evaluate/flags/f").by("POST").body(r#"{"context":{}}"#);
            let ask = ask.with("Cookie", format!("ep_preview={}", token(claims)));
            said = serde_json::from_str(&text(&ask.send_in(&host, &mut sandbox))).unwrap();
        }
        said["value"].clone()
    };
    let live = PreviewClaims { exp: NOW + 3600, ..PreviewClaims::default() };
    assert_eq!(asked(&live), "r1");
    assert_eq!(asked(&PreviewClaims { revision: Some("r2".to_owned()), ..live.clone() }), "r2");
    let user = PreviewClaims { visitor: serde_json::from_value(json!({ "user": "test-42" })).unwrap(), ..live };
    assert_eq!(asked(&user), "tester");
}
