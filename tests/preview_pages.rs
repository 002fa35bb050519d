//! What a preview shows beside variations: another revision, date, visitor; what it names and isn't there; the bar on its pages.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may stop at a surprise")]
#![allow(clippy::indexing_slicing, reason = "what is missing in a JSON value is null, and a surprise ends the test")]

mod support;

use edge_personalizer::attributes::DeviceClass;
use edge_personalizer::context::assumed::Assumed;
use edge_personalizer::context::identity::{UserId, sign as prove};
use edge_personalizer::context::preview::{PreviewClaims, sign};
use edge_personalizer::mac::MacKey;
use edge_personalizer::platform::Endpoint;
use edge_personalizer::platform::memory::{Answer, Asked, Memory, Received};
use edge_personalizer::service::Sandbox;
use http::HeaderValue;
use serde_json::{Value, json};
use support::sessions::{KEY as IDENTITY, NOW, put, record, store};
use support::{NOWHERE, PARIS, Visit, header, ok, path_of, text, visit};

const KEY: &[u8] = b"the key of previews, long enough";
const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0";

/// Says what it was asked for: as a page below `/page`, in parts of one, in another charset, or as text.
fn origin(asked: &Asked) -> Answer {
    let target = path_of(&asked.url);
    let (kind, body) = match target.split('?').next().unwrap() {
        "/page/part" => ("text/html", format!("<p>{target}</p>")),
        "/page/utf16" => ("text/html; charset=utf-16", format!("<body>{target}</body>")),
        path if path.starts_with("/page") => {
            ("text/html; charset=utf-8", format!("<!doctype html><title>t</title><body class=x><p>{target}</p></body>"))
        }
        _ => return ok(&format!("{} {target}", asked.method)),
    };
    let (status, mut headers, _) = ok(&body)?;
    headers.insert("content-type", HeaderValue::from_str(kind).unwrap());
    Ok((status, headers, body.into_bytes()))
}

fn site() -> Memory {
    let host = store(origin);
    host.secrets.borrow_mut().insert("preview".to_owned(), KEY.to_vec());
    host.set("features", &json!({ "features": { "hero": { "defaultValue": "old", "rules": [{ "key": "hero-test", "variations": ["old", "new"] }] } } }));
    host.set("experiments", &json!({ "experiments": [{ "key": "menu", "variations": ["a", "b"] }] }));
    let routes = |label: &str| {
        json!({ "routes": [
        { "id": "say", "path": "/say", "rewrite": { "set_query": { "rules": label, "hero": "{feature.hero}", "in": "{country|nowhere}", "on": "{deviceType}" } }, "cache": { "ttl": 60 } },
        { "id": "sale", "path": "/sale", "schedule": { "from": "2030-01-01T00:00:00Z" }, "rewrite": { "path": "/sale/on" } },
        { "id": "greet", "path": "/greet", "methods": ["GET", "POST"], "rewrite": { "set_query": { "name": "{session.attributes.name|nobody}", "user": "{user.id|nobody}" } } },
        { "id": "html", "path": "/page/rules", "features": ["hero"], "html": [{ "select": "p", "append": "{{ feature.hero }}" }] } ] })
    };
    host.set("routes", &routes("r1"));
    for (revision, dictionary) in [("r2", "routes"), ("r2", "features")] {
        let value = if dictionary == "routes" {
            routes("r2")
        } else {
            json!({ "features": { "hero": { "defaultValue": "of r2" } } })
        };
        host.set(&format!("{revision}/{dictionary}"), &value);
    }
    put(&host, "user/test-1", record(1).to_string());
    host
}

fn token(claims: PreviewClaims) -> String {
    sign(&PreviewClaims { exp: NOW + 3600, ..claims }, &MacKey::new(KEY).unwrap()).unwrap()
}

fn assumed(visitor: Assumed) -> PreviewClaims {
    PreviewClaims { visitor, ..PreviewClaims::default() }
}

fn open(target: &str, claims: PreviewClaims) -> Visit {
    let mark = if target.contains('?') { '&' } else { '?' };
    visit(PARIS, &format!("{target}{mark}edge_preview={}", token(claims)))
        .with("user-agent", FIREFOX)
        .with("accept", "text/html,*/*;q=0.8")
}

fn codes(host: &Memory) -> Vec<String> {
    host.lines_of(Endpoint::Errors).iter().map(|line| line["code"].as_str().unwrap_or_default().to_owned()).collect()
}

fn is_previewed(host: &Memory, answer: &Received) {
    assert_eq!(header(answer, "edge-preview"), Some("?1"));
    assert_eq!(header(answer, "cache-control"), Some("private, no-store"));
    assert!(host.lines_of(Endpoint::Exposures).is_empty(), "a preview counts for nobody");
}

#[test]
fn a_preview_shows_another_revision_or_says_that_it_can_not() {
    let host = site();
    let of = |name: &str| PreviewClaims { revision: Some(name.to_owned()), ..PreviewClaims::default() };
    let mut sandbox = Sandbox::default();
    visit(PARIS, "/say").with("user-agent", FIREFOX).send_in(&host, &mut sandbox);
    let answer = open("/say", of("r2")).send_in(&host, &mut sandbox);
    assert_eq!(text(&answer), "GET /say?hero=of%20r2&in=FR&on=desktop&rules=r2");
    is_previewed(&host, &answer);
    assert_eq!(host.lines_of(Endpoint::Decisions)[1]["revision"], "r2");
    assert!(codes(&host).is_empty(), "{:?}", codes(&host));
    let plain = visit(PARIS, "/say").with("user-agent", FIREFOX).send_in(&host, &mut sandbox);
    assert!(text(&plain).ends_with("rules=r1"), "everybody else has the rules that serve");
    let missing = open("/say", of("r9")).send_in(&host, &mut sandbox);
    assert!(text(&missing).ends_with("rules=r1"), "{}", text(&missing));
    assert!(codes(&host).contains(&"preview-revision".to_owned()), "{:?}", codes(&host));
    // A cold sandbox reads both sets within one request's look-ups, or the rest with the next request.
    let mut cold = Sandbox::default();
    open("/say", of("r2")).send_in(&host, &mut cold);
    assert!(text(&open("/say", of("r2")).send_in(&host, &mut cold)).ends_with("rules=r2"));
    for line in host.lines_of(Endpoint::Decisions) {
        assert!(line["lookups"].as_u64().unwrap() <= 16, "{line}");
    }
}

#[test]
fn a_preview_shows_another_day_place_and_device() {
    let host = site();
    let day = assumed(Assumed { at: Some(1_900_000_000), ..Assumed::default() });
    assert_eq!(text(&open("/sale", day).send(&host)), "GET /sale/on");
    assert_eq!(text(&visit(PARIS, "/sale").with("user-agent", FIREFOX).send(&host)), "GET /sale");
    let other = Assumed { country: Some("JP".to_owned()), device: Some(DeviceClass::Mobile), ..Assumed::default() };
    let answer = open("/say", assumed(other)).send(&host);
    assert_eq!(text(&answer), "GET /say?hero=old&in=JP&on=mobile&rules=r1");
    is_previewed(&host, &answer);
}

#[test]
fn what_the_rules_do_not_have_is_left_out_and_named() {
    let host = site();
    let claims = PreviewClaims {
        features: [("hero".to_owned(), json!("new")), ("gone".to_owned(), json!(1))].into(),
        experiments: [("menu".to_owned(), 7), ("hero-test".to_owned(), 1)].into(),
        region: Some("ATLANTIS".to_owned()),
        ..PreviewClaims::default()
    };
    let answer = open("/say", claims.clone()).send(&host);
    assert!(text(&answer).contains("hero=new"), "{}", text(&answer));
    assert_eq!(codes(&host), ["preview-unknown"]);
    let page = text(&open("/page", claims).send(&host));
    assert!(
        page.contains("Not there, and left out: feature gone, variation 7 of experiment menu, region ATLANTIS"),
        "{page}"
    );
}

/// Whoever has the link sees the test user's session, and is nobody: no proof of it goes to the origin, nothing is written, nothing is done
/// in the user's name.
#[test]
fn a_test_users_session_is_shown_and_left_as_it_is() {
    let user = || assumed(Assumed { user: Some("test-1".to_owned()), ..Assumed::default() });
    for address in [PARIS, NOWHERE] {
        let host = site();
        let before = host.kv.borrow().len();
        let mut request = open("/greet", user());
        if address == NOWHERE {
            request = request.with("cookie", format!("ep_vid={:032x}", 7));
        }
        let answer = request.send(&host);
        assert_eq!(text(&answer), "GET /greet?name=Alice&user=nobody");
        is_previewed(&host, &answer);
        let asked = format!("{:?}", host.asked.borrow());
        assert!(
            !asked.contains("x-user-id") && !asked.contains("edge-visitor-id") && !asked.contains("test-1"),
            "{asked}"
        );
        assert_eq!((host.looked_up("kv_write"), host.kv.borrow().len()), (0, before));
        assert!(host.lines.borrow().iter().all(|(_, line)| !line.contains("test-1")), "no user in a log");
    }
    let host = site();
    let posted = open("/greet", user()).by("POST").send(&host);
    assert_eq!(text(&posted), "POST /greet?name=nobody&user=nobody", "nobody acts in the user's name");
    let bot =
        visit(PARIS, &format!("/greet?edge_preview={}", token(user()))).with("user-agent", "Googlebot/2.1").send(&host);
    assert_eq!(text(&bot), "GET /greet?name=nobody&user=nobody");
}

#[test]
fn an_old_proof_stays_old_on_a_previewed_day() {
    let host = site();
    let long_ago = NOW - 7 * 86_400;
    let proof = prove(
        &MacKey::new(IDENTITY.as_bytes()).unwrap(),
        &UserId::parse("test-1").unwrap(),
        u64::try_from(long_ago).unwrap(),
    );
    let day = assumed(Assumed { at: Some(long_ago), ..Assumed::default() });
    let request =
        open("/greet", day).with("cookie", "consent=yes").with("x-user-id", "test-1").with("x-user-signature", proof);
    assert_eq!(text(&request.send(&host)), "GET /greet?name=nobody&user=nobody");
}

#[test]
fn a_previewed_page_says_so_and_leads_out() {
    let hostile = "\"><img src=x onerror=alert(1)></script>";
    let claims =
        || PreviewClaims { features: [("hero".to_owned(), json!(hostile))].into(), ..PreviewClaims::default() };
    for target in ["/page?a=%22%3E&b=1", "/page/rules"] {
        let host = site();
        let answer = open(target, claims()).send(&host);
        let page = text(&answer);
        assert!(
            page.starts_with("<!doctype html><title>t</title><body class=x><div id=\"edge-preview\" role=\"region\""),
            "{page}"
        );
        assert!(page.contains("feature hero = &quot;") || page.contains("feature hero = &#34;"), "{page}");
        assert_eq!(
            page.matches("<img").count() + page.matches("<script").count() + page.matches(" style=").count(),
            0,
            "{page}"
        );
        let exit = page.split("<a href=\"").nth(1).unwrap().split('"').next().unwrap();
        assert!(exit.starts_with("//shop.example/page") && exit.ends_with("edge_preview=off"), "{exit}");
        is_previewed(&host, &answer);
        let cookie = header(&answer, "set-cookie").unwrap().split(';').next().unwrap().to_owned();
        let again =
            visit(PARIS, "/page").with("user-agent", FIREFOX).with("accept", "text/html").with("cookie", &cookie);
        assert!(text(&again.send(&host)).contains("edge-preview"));
        let path = exit.strip_prefix("//shop.example").unwrap().replace("&amp;", "&");
        let off = visit(PARIS, &path)
            .with("user-agent", FIREFOX)
            .with("accept", "text/html")
            .with("cookie", &cookie)
            .send(&host);
        assert!(!text(&off).contains("edge-preview") && header(&off, "set-cookie").unwrap().contains("Max-Age=0"));
    }
}

#[test]
fn the_bar_is_on_pages_that_are_shown_by_themselves_alone() {
    let claims = || PreviewClaims { features: [("hero".to_owned(), json!("new"))].into(), ..PreviewClaims::default() };
    let has_bar = |request: Visit, host: &Memory| text(&request.send(host)).contains("edge-preview");
    let host = site();
    assert!(has_bar(open("/page", claims()), &host));
    assert!(!has_bar(open("/page/part", claims()), &host), "a part of a page");
    assert!(!has_bar(open("/say", claims()), &host), "no page");
    assert!(!has_bar(open("/page", claims()).with("sec-fetch-dest", "iframe"), &host));
    let fetched = visit(PARIS, &format!("/page?edge_preview={}", token(claims()))).with("user-agent", FIREFOX);
    assert!(!has_bar(fetched.with("accept", "*/*"), &host), "a script fetches it");
    assert!(
        !has_bar(visit(PARIS, "/page").with("user-agent", FIREFOX).with("accept", "text/html"), &host),
        "no preview"
    );
    assert!(!has_bar(
        visit(PARIS, "/page?edge_preview=1.e30.AAAA").with("user-agent", FIREFOX).with("accept", "text/html"),
        &host
    ));
    let odd = open("/page/utf16", claims()).send(&host);
    assert_eq!(text(&odd), "<body>/page/utf16</body>", "what can't be changed stays whole");
    let lines: Vec<Value> = host.lines_of(Endpoint::Errors);
    assert!(lines.iter().any(|line| line["code"] == "body-charset"), "{lines:?}");
}
