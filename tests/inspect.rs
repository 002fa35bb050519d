//! The inspector: a signed link opens it for one host, from its own page alone; it shows what `/.edge/explain` says, without credentials and
//! without a trace.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may stop at a surprise")]
#![allow(clippy::indexing_slicing, reason = "what is missing in a JSON value is null, and a surprise ends the test")]

mod support;

use edge_personalizer::context::inspect::{InspectClaims, sign};
use edge_personalizer::mac::MacKey;
use edge_personalizer::platform::memory::{Memory, Received};
use edge_personalizer::platform::{Endpoint, Kv};
use serde_json::{Value, json};
use support::sessions::{NOW, put, record, store};
use support::{NEW_YORK, PARIS, Visit, echo, header, path_of, text, visit};

const KEY: &[u8] = b"the-key-of-the-inspector-long-enough";
const PREVIEW_KEY: &[u8] = b"the key of previews, long enough";
const ADMIN: &[u8] = b"a long admin token";
const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0";

/// A shop with sessions, a feature and an experiment, and a secret header towards the origin.
fn site() -> Memory {
    let host = store(echo);
    for (name, secret) in [("inspect", KEY), ("preview", PREVIEW_KEY), ("admin", ADMIN)] {
        host.secrets.borrow_mut().insert(name.to_owned(), secret.to_vec());
    }
    host.set("features", &json!({ "features": { "hero": { "defaultValue": "old", "rules": [{ "key": "hero-test", "variations": ["old", "new"] }] } } }));
    host.set("experiments", &json!({ "experiments": [{ "key": "menu", "variations": ["a", "b"] }] }));
    host.set("routes", &json!({ "routes": [
        { "id": "greet", "path": "/greet", "features": ["hero"], "experiments": ["menu"],
          "rewrite": { "set_query": { "name": "{session.attributes.name|nobody}", "hero": "{feature.hero}", "in": "{country|nowhere}" } },
          "request_headers": { "set": { "X-Shop-Secret": "only the origin knows" } } },
        { "id": "shared", "path": "/shared", "rewrite": { "path": "/shared/{region.slug}" }, "cache": { "ttl": 60, "key_cookies": ["__Host-ep_inspect"] } } ] }));
    put(&host, "user/test-1", record(1).to_string());
    put(&host, "user/alice", record(1).to_string());
    host
}

fn claims() -> InspectClaims {
    InspectClaims { host: "shop.example".to_owned(), users: vec!["test-1".to_owned()], exp: NOW + 900 }
}

fn token(claims: &InspectClaims) -> String {
    sign(claims, &MacKey::new(KEY).unwrap()).unwrap()
}

/// A request of the page's own script.
fn from_page(target: &str) -> Visit {
    visit(PARIS, target).with("sec-fetch-site", "same-origin").with("user-agent", FIREFOX)
}

fn with_cookie(request: Visit, token: &str) -> Visit {
    request.with("cookie", format!("theme=dark; __Host-ep_inspect={token}"))
}

fn post(body: &Value) -> Visit {
    from_page("/.edge/inspect")
        .by("POST")
        .with("origin", "https://shop.example")
        .with("content-type", "application/json")
        .body(&body.to_string())
}

fn ask(host: &Memory, query: &str) -> (u16, Value) {
    let answer = with_cookie(from_page(&format!("/.edge/explain?{query}")), &token(&claims())).send(host);
    (answer.status.as_u16(), said(&answer))
}

fn said(answer: &Received) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_default()
}

fn leaves_no_trace(host: &Memory, sessions: usize) {
    assert!(host.lines_of(Endpoint::Exposures).is_empty() && host.lines_of(Endpoint::Decisions).is_empty());
    // A session is looked for where a visit would, and nowhere is it written.
    assert!(host.asked.borrow().iter().all(|asked| asked.backend == "session_api"));
    assert_eq!(host.looked_up("kv_write"), 0);
    assert_eq!(host.kv.borrow().keys().filter(|(of, _)| *of == Kv::Sessions).count(), sessions);
    assert!(host.lines.borrow().iter().all(|(_, line)| !line.contains("1.ey")), "no token in a log");
}

#[test]
fn without_its_secret_there_is_no_such_path() {
    let host = site();
    host.secrets.borrow_mut().remove("inspect");
    for request in [
        visit(PARIS, "/.edge/inspect"),
        post(&json!({ "token": token(&claims()) })),
        from_page("/.edge/inspect?names=1"),
    ] {
        assert_eq!(request.send(&host).status, 404);
    }
    assert_eq!(ask(&host, "url=https://shop.example/greet").0, 404);
    let with = site();
    assert_eq!(visit(PARIS, "/.edge/inspect").by("PUT").send(&with).status, 404);
    assert_eq!(visit(PARIS, "/.edge/inspect/").send(&with).status, 404);
}

#[test]
fn the_page_is_small_strict_and_nobodys_to_keep() {
    let host = site();
    let page = visit(PARIS, "/.edge/inspect").send(&host);
    assert_eq!(page.status, 200);
    assert!(page.body.len() <= 30_000, "{} bytes", page.body.len());
    assert_eq!(header(&page, "cache-control"), Some("private, no-store"));
    assert_eq!(header(&page, "referrer-policy"), Some("no-referrer"));
    assert_eq!(header(&page, "x-robots-tag"), Some("noindex, nofollow"));
    let policy = header(&page, "content-security-policy").unwrap();
    for part in [
        "default-src 'none'",
        "script-src 'sha256-",
        "frame-ancestors 'none'",
        "form-action 'none'",
        "trusted-types 'none'",
    ] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(visit(PARIS, "/.edge/inspect").by("HEAD").send(&host).body.is_empty());
    leaves_no_trace(&host, 2);
}

#[test]
fn a_links_token_becomes_a_cookie_that_opens_explain() {
    let host = site();
    let token = token(&claims());
    let answer = post(&json!({ "token": token })).send(&host);
    assert_eq!((answer.status.as_u16(), said(&answer)["host"].as_str()), (200, Some("shop.example")));
    let cookie = header(&answer, "set-cookie").unwrap();
    assert_eq!(cookie, format!("__Host-ep_inspect={token}; Path=/; Max-Age=900; Secure; HttpOnly; SameSite=Strict"));
    let (status, explained) = ask(&host, "url=https://shop.example/greet&country=us");
    assert_eq!((status, explained["plan"]["route"].as_str()), (200, Some("greet")), "{explained:#}");
    assert_eq!(explained["visitor"]["continent"], "NA", "as the command line has it");
    assert!(explained["timings"]["total_us"].is_u64());
    let ended = post(&json!({ "end": true })).send(&host);
    assert!(header(&ended, "set-cookie").unwrap().starts_with("__Host-ep_inspect=; Path=/; Max-Age=0; Secure"));
    leaves_no_trace(&host, 2);
}

#[test]
fn a_token_that_is_forged_over_or_for_another_host_opens_nothing() {
    let forged = sign(&claims(), &MacKey::new(b"somebody else's key, as long as ours").unwrap()).unwrap();
    let over = token(&InspectClaims { exp: NOW, ..claims() });
    let endless = token(&InspectClaims { exp: NOW + 13 * 3600, ..claims() });
    let foreign = token(&InspectClaims { host: "other.example".to_owned(), ..claims() });
    let (good, admin) = (token(&claims()), String::from_utf8(ADMIN.to_vec()).unwrap());
    let cut = &good[..good.len() - 1];
    for token in [forged.as_str(), &over, &endless, &foreign, cut, "1..", "", &admin] {
        let host = site();
        let answer = post(&json!({ "token": token })).send(&host);
        assert_eq!((answer.status.as_u16(), header(&answer, "set-cookie")), (403, None), "{token}");
        assert_eq!(host.lines_of(Endpoint::Errors)[0]["code"], "inspect-token");
        let asked = with_cookie(from_page("/.edge/explain?url=https://shop.example/greet"), token).send(&host);
        assert_eq!(asked.status, 404, "{token}");
        let names = with_cookie(from_page("/.edge/inspect?names=1"), token).send(&host);
        assert_eq!(names.status, 403, "{token}");
        assert!(token.is_empty() || host.lines.borrow().iter().all(|(_, line)| !line.contains(token)));
    }
}

#[test]
fn another_site_can_not_use_the_cookie() {
    let good = token(&claims());
    let explain = "/.edge/explain?url=https://shop.example/greet";
    for site_of in [Some("cross-site"), Some("same-site"), Some("none"), Some(""), None] {
        let host = site();
        let from = |target: &str| match site_of {
            Some(value) => with_cookie(visit(PARIS, target), &good).with("sec-fetch-site", value),
            None => with_cookie(visit(PARIS, target), &good),
        };
        assert_eq!(from(explain).send(&host).status, 404, "{site_of:?}");
        assert_eq!(from("/.edge/inspect?names=1").send(&host).status, 403, "{site_of:?}");
        let body = json!({ "preview": { "url": "https://shop.example/greet", "region": "EU-WEST" } }).to_string();
        let posted = from("/.edge/inspect").by("POST").with("content-type", "application/json").body(&body).send(&host);
        assert_eq!(posted.status, 403, "{site_of:?}");
    }
    let host = site();
    let origin = with_cookie(from_page(explain), &good).with("origin", "https://evil.example").send(&host);
    assert_eq!(origin.status, 404, "the page's origin is another");
    assert_eq!(with_cookie(from_page(explain), &good).by("POST").send(&host).status, 404, "it is for looking");
    assert_eq!(with_cookie(from_page(explain), &good).on("other.example").send(&host).status, 404);
    let form = from_page("/.edge/inspect").by("POST").with("content-type", "text/plain");
    assert_eq!(form.body(&json!({ "token": good }).to_string()).send(&host).status, 415);
    let sessions = with_cookie(from_page("/.edge/sessions"), &good).by("POST").send(&host);
    assert!(sessions.status.is_client_error(), "it opens nothing else");
    assert!(host.received.borrow().iter().all(|answer| !answer.headers.contains_key("access-control-allow-origin")));
}

#[test]
fn the_cookie_reaches_no_origin_no_cache_key_and_no_log() {
    let host = site();
    host.set("settings", &json!({ "attributes": { "stolen": { "cookie": "__Host-ep_inspect", "type": "string" } }, "log": { "exposure_attributes": ["stolen"] } }));
    let good = token(&claims());
    for target in ["/greet", "/shared", "/no/rule"] {
        for cookie in
            [format!("__Host-ep_inspect={good}"), format!("theme=dark; __Host-ep_inspect={good}; currency=EUR")]
        {
            visit(PARIS, target).with("user-agent", FIREFOX).with("cookie", cookie).send(&host);
        }
    }
    let asked = host.asked.borrow();
    assert_eq!(asked.len(), 6);
    assert!(!format!("{asked:?}").contains("ep_inspect"));
    assert_eq!(asked[5].headers["cookie"], "theme=dark; currency=EUR", "others stay");
    assert!(host.lines.borrow().iter().all(|(_, line)| !line.contains(&good) && !line.contains("ep_inspect")));
    let shared = |cookie: &str| {
        let host = site();
        visit(PARIS, "/shared").with("user-agent", FIREFOX).with("cookie", cookie).send(&host);
        format!("{:?}", host.asked.borrow()[0].caching)
    };
    assert_eq!(shared(&format!("__Host-ep_inspect={good}")), shared("a=b"));
}

#[test]
fn an_inspector_sees_the_hosts_pages_the_links_users_and_no_credentials() {
    let host = site();
    let (status, error) = ask(&host, "url=https://other.example/greet");
    assert_eq!(
        (status, error["error"].as_str()),
        (400, Some("url: expected a page of shop.example, but found one of 'other.example'"))
    );
    let (status, error) = ask(&host, "url=https://shop.example/greet&user=alice&country=us");
    assert_eq!(status, 400);
    assert!(error["error"].as_str().unwrap().starts_with("user: expected a test user that the link names"), "{error}");
    let (status, explained) = ask(&host, "url=https://shop.example/greet&user=test-1&country=us&device=desktop");
    let asked = &explained["plan"]["asks"];
    assert_eq!(
        (status, asked["url"].as_str().map(|url| url.contains("name=Alice"))),
        (200, Some(true)),
        "{explained:#}"
    );
    assert_eq!((&explained["visitor"]["unit"], &explained["visitor"]["session"]), (&json!("user"), &json!("fresh")));
    let secret = |explained: &Value| {
        let lines = explained["plan"]["asks"]["headers"].as_array().unwrap().clone();
        lines.into_iter().find(|line| line[0] == "x-shop-secret").unwrap()[1].clone()
    };
    assert_eq!(secret(&explained), "hidden, 21 bytes");
    let admin =
        visit(PARIS, "/.edge/explain?url=https://other.example/greet&user=alice&country=us&header=User-Agent:%20x")
            .with("authorization", "Bearer a long admin token")
            .send(&host);
    assert_eq!(secret(&said(&admin)), "only the origin knows");
    leaves_no_trace(&host, 2);
}

#[test]
fn me_is_who_asks() {
    let host = site();
    let ask = |query: &str, address| {
        let request = visit(address, &format!("/.edge/explain?url=https://shop.example/greet&me=1{query}"))
            .with("sec-fetch-site", "same-origin")
            .with("user-agent", "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) Mobile/15E148")
            .with("cookie", format!("ep_vid={:032x}; consent=yes; __Host-ep_inspect={}", 7, token(&claims())));
        said(&request.send(&host))
    };
    let paris = ask("", PARIS);
    assert_eq!((&paris["visitor"]["country"], &paris["visitor"]["device"]), (&json!("FR"), &json!("mobile")));
    assert_eq!((&paris["visitor"]["unit"], &paris["visitor"]["may_be_bucketed"]), (&json!("visitor"), &json!(true)));
    assert!(!paris.to_string().contains("ep_inspect"), "{paris:#}");
    assert_eq!(ask("", NEW_YORK)["visitor"]["subdivision"], "NY");
    let other = ask("&country=jp&device=tv&consent=refused&at=2030-01-01T00:00:00Z", PARIS);
    assert_eq!((&other["visitor"]["country"], &other["visitor"]["device"]), (&json!("JP"), &json!("tv")));
    assert_eq!((&other["visitor"]["unit"], &other["time"]), (&Value::Null, &json!("2030-01-01T00:00:00Z")));
    leaves_no_trace(&host, 2);
}

#[test]
fn the_page_learns_the_names_that_there_are() {
    let host = site();
    let answer = with_cookie(from_page("/.edge/inspect?names=1"), &token(&claims())).send(&host);
    let names = said(&answer);
    assert_eq!(names["features"], json!([{ "key": "hero", "values": ["old", "new"] }]));
    assert_eq!(names["experiments"], json!([{ "key": "menu", "variations": ["0", "1"] }]));
    assert_eq!((&names["users"], &names["can_preview"]), (&json!(["test-1"]), &json!(true)));
    assert!(names["regions"].as_array().unwrap().contains(&json!("EU-WEST")), "{names}");
    host.secrets.borrow_mut().remove("preview");
    let without = with_cookie(from_page("/.edge/inspect?names=1"), &token(&claims())).send(&host);
    assert_eq!(said(&without)["can_preview"], false);
    leaves_no_trace(&host, 2);
}

#[test]
fn the_edge_signs_the_previews_that_the_command_line_would() {
    let host = site();
    let sign = |preview: Value| {
        let answer = with_cookie(post(&json!({ "preview": preview })), &token(&claims())).send(&host);
        (answer.status.as_u16(), said(&answer))
    };
    let url = "https://shop.example/greet?a=1";
    let (status, made) =
        sign(json!({ "url": url, "features": { "hero": "new" }, "as": { "country": "JP", "user": "test-1" } }));
    assert_eq!(
        (status, &made["shows"]),
        (200, &json!(["feature hero = \"new\"", "country JP", "session of user test-1"])),
        "{made}"
    );
    leaves_no_trace(&host, 2);
    let link = path_of(made["link"].as_str().unwrap());
    let page = visit(PARIS, &link).with("user-agent", FIREFOX).send(&host);
    assert_eq!(text(&page), "GET /greet?a=1&hero=new&in=JP&name=Alice");
    assert_eq!(header(&page, "edge-preview"), Some("?1"));
    assert!(host.lines_of(Endpoint::Exposures).is_empty());
    for (preview, expected) in [
        (json!({ "url": url }), "expected something to show"),
        (
            json!({ "url": url, "features": { "none": 1 } }),
            "expected names that the rules have, but found feature none",
        ),
        (
            json!({ "url": url, "experiments": { "menu": 2 } }),
            "expected names that the rules have, but found variation 2",
        ),
        (json!({ "url": "https://other.example/", "region": "EU-WEST" }), "url: expected a page of shop.example"),
        (json!({ "url": "javascript://shop.example/%0aalert(1)", "region": "EU-WEST" }), "url: expected"),
        (json!({ "url": url, "as": { "user": "alice" } }), "user: expected a test user"),
        (json!({ "url": url, "as": { "country": "Japan" } }), "country: expected"),
        (json!({ "url": url, "as": { "device": "toaster" } }), ""),
        (json!({ "url": url, "more": 1 }), ""),
    ] {
        let (status, refused) = sign(preview);
        assert!(status == 400 && refused["error"].as_str().unwrap().starts_with(expected), "{refused}");
    }
    assert_eq!(sign(json!({ "url": url, "revision": "r9" })).0, 409);
    host.secrets.borrow_mut().remove("preview");
    assert_eq!(sign(json!({ "url": url, "features": { "hero": "new" } })).0, 409);
    let nobody = post(&json!({ "preview": { "url": url, "features": { "hero": "new" } } })).send(&host);
    assert_eq!(nobody.status, 403, "without the cookie");
}
