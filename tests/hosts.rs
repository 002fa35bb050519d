//! `settings.hosts`: several sites on one service. Each host has its own languages, consent, cookies, identity and default region.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may stop at a surprise")]
#![allow(clippy::indexing_slicing, reason = "what is missing in a JSON value is null, and a surprise ends the test")]

mod support;

use edge_personalizer::platform::memory::{Memory, Received};
use edge_personalizer::platform::{Caching, Endpoint};
use edge_personalizer::service::Sandbox;
use serde_json::{Value, json};
use support::{NEW_YORK, NOWHERE, echo, header, shop, text, visit};

const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

/// One service for three brands. The rest of the settings is the same everywhere.
fn settings() -> Value {
    json!({
        "languages": ["en"],
        "consent": { "cookie": { "name": "cc", "value": "yes" } },
        "visitor": { "cookie": "vid", "days": 30 },
        "sticky": {},
        "hosts": {
            "www.example.de": { "languages": ["de", "en"], "consent": { "countries": ["*"] }, "visitor": { "cookie": "kennung" },
                "default_region": "EU-WEST" },
            "*.example.com": { "visitor": { "domain": "example.com" }, "sticky": null },
            "api.example.com": { "identity": { "header": false } },
        }
    })
}

fn site(settings: &Value) -> Memory {
    let host = shop(echo);
    host.set("settings", settings);
    host.set(
        "features",
        &json!({ "features": { "hero": { "defaultValue": "none", "rules": [{ "key": "hero-test", "variations": ["old", "new"],
            "hashVersion": 2 }] } } }),
    );
    host.set(
        "routes",
        &json!({ "routes": [
            { "id": "shop", "path": "/shop", "rewrite": { "path": "/{region.id}/{language|none}/{user.id|nobody}/{feature.hero}" } },
            { "id": "shared", "path": "/shared", "rewrite": { "path": "/s/{region.id}/{language|none}" }, "cache": { "ttl": 60 } } ] }),
    );
    host
}

/// A visit to `authority` by somebody who agreed to all that a cookie can agree to.
fn open(host: &Memory, authority: &str, address: std::net::IpAddr) -> Received {
    let visit = visit(address, "/shop").on(authority).with("user-agent", FIREFOX).with("cookie", "cc=yes");
    visit.with("accept-language", "de, en;q=0.5").send(host)
}

fn cookies(answer: &Received) -> Vec<String> {
    let line = |value: &http::HeaderValue| value.to_str().unwrap().to_owned();
    answer.headers.get_all("set-cookie").iter().map(line).collect()
}

fn faults(host: &Memory) -> Vec<String> {
    let lines = host.lines_of(Endpoint::Errors);
    lines.iter().filter(|line| line["code"] == "rule-fault").map(Value::to_string).collect()
}

#[test]
fn each_host_has_its_own_languages_cookies_and_default_region() {
    let host = site(&settings());
    // In any case, and with a port.
    for (authority, path, cookie, domain) in [
        ("shop.example", "/DEFAULT_REGION/en", "vid=", None),
        ("www.example.de", "/EU-WEST/de", "kennung=", None),
        ("WWW.Example.DE:443", "/EU-WEST/de", "kennung=", None),
        ("shop.example.com", "/DEFAULT_REGION/en", "vid=", Some("example.com")),
        ("api.example.com", "/DEFAULT_REGION/en", "vid=", None),
        ("example.com", "/DEFAULT_REGION/en", "vid=", None),
    ] {
        let answer = open(&host, authority, NOWHERE);
        assert!(text(&answer).starts_with(&format!("GET {path}/")), "{authority}: {}", text(&answer));
        let set = cookies(&answer);
        let visitor =
            set.iter().find(|line| line.starts_with(cookie)).unwrap_or_else(|| panic!("{authority}: {set:?}"));
        // What the host doesn't name is as everywhere.
        assert!(visitor.contains("Max-Age=2592000"), "{authority}: {visitor}");
        assert_eq!(visitor.contains("Domain=example.com"), domain.is_some(), "{authority}: {visitor}");
        assert_eq!(
            set.iter().any(|line| line.starts_with("ep_sticky=")),
            authority != "shop.example.com",
            "{authority}: {set:?}"
        );
    }
    assert!(faults(&host).is_empty(), "{:?}", faults(&host));
}

#[test]
fn consent_comes_first_on_the_host_that_says_so() {
    let host = site(&settings());
    for (authority, may) in [("shop.example", true), ("www.example.de", false)] {
        // From the United States, where silence is a yes unless settings say otherwise.
        let answer = visit(NEW_YORK, "/shop").on(authority).with("user-agent", FIREFOX).send(&host);
        assert_eq!(!cookies(&answer).is_empty(), may, "{authority}");
        let agreed = open(&host, authority, NEW_YORK);
        assert!(!cookies(&agreed).is_empty(), "{authority}");
    }
}

#[test]
fn a_cookie_of_one_host_is_none_of_another() {
    let host = site(&settings());
    let id = "00000000000000000000000000000abc";
    for (authority, cookie, known) in
        [("shop.example", "vid", true), ("www.example.de", "vid", false), ("www.example.de", "kennung", true)]
    {
        let answer = visit(NEW_YORK, "/shop").on(authority).with("user-agent", FIREFOX);
        let answer = answer.with("cookie", format!("cc=yes; {cookie}={id}")).send(&host);
        let told = host.asked.take()[0].headers.get("edge-visitor-id").map(|id| id.to_str().unwrap().to_owned());
        assert_eq!(told.as_deref() == Some(id), known, "{authority} {cookie}");
        let is_new = cookies(&answer).iter().any(|line| line.starts_with("vid=") || line.starts_with("kennung="));
        assert_eq!(is_new, !known, "{authority} {cookie}");
    }
}

#[test]
fn hosts_never_share_an_answer() {
    let host = site(&settings());
    let mut keys = Vec::new();
    for authority in ["shop.example", "www.example.de"] {
        let answer = visit(NOWHERE, "/shared").on(authority).with("accept-language", "de").send(&host);
        let Caching::Keyed { key, .. } = host.asked.take()[0].caching else { panic!("it is shared") };
        keys.push(key);
        assert!(header(&answer, "edge-variant").is_some());
    }
    assert_ne!(keys[0], keys[1]);
}

#[test]
fn a_canary_knows_a_visitor_by_the_hosts_own_cookie() {
    let host = site(&settings());
    for revision in ["r1", "r2"] {
        host.set(&format!("{revision}/settings"), &settings());
        host.set(
            &format!("{revision}/routes"),
            &json!({ "routes": [{ "id": "shop", "path": "/shop", "rewrite": { "path": format!("/{revision}") } }] }),
        );
    }
    host.set("active", &json!({ "revision": "r1", "canary": { "revision": "r2", "percent": 50 } }));
    let mut sandbox = Sandbox::default();
    let revision = |authority: &str, cookie: &str, number: u128, sandbox: &mut Sandbox| {
        let visit = visit(NEW_YORK, "/shop").on(authority).with("cookie", format!("{cookie}={number:032x}"));
        text(&visit.send_in(&host, sandbox))
    };
    let mut seen = std::collections::BTreeSet::new();
    for number in 1..60 {
        let here = revision("shop.example", "vid", number, &mut sandbox);
        assert_eq!(revision("www.example.de", "kennung", number, &mut sandbox), here, "the id decides");
        seen.insert(here);
    }
    assert_eq!(seen.len(), 2, "some are in the canary");
    // A cookie of the other host's name tells nobody apart: the address does.
    let others: std::collections::BTreeSet<String> =
        (1..60).map(|number| revision("www.example.de", "vid", number, &mut sandbox)).collect();
    assert_eq!(others.len(), 1);
}

#[test]
fn what_cannot_be_read_of_a_host_is_the_strictest_there_and_named() {
    let cases = [
        (json!({ "www.example.de": 7 }), "/hosts/www.example.de", "expected an object"),
        (json!({ "www.example.de": { "consent": 7 } }), "/hosts/www.example.de/consent", "expected an object"),
        (
            json!({ "www.example.de": { "consent": { "cookie": { "name": 7 } } } }),
            "/hosts/www.example.de/consent/cookie/name",
            "expected",
        ),
        (
            json!({ "www.example.de": { "consent": { "countries": "FR" } } }),
            "/hosts/www.example.de/consent/countries",
            "expected a list",
        ),
    ];
    for (hosts, pointer, message) in cases {
        let host = site(&json!({ "hosts": hosts }));
        let there = open(&host, "www.example.de", NEW_YORK);
        assert_eq!(cookies(&there), [""; 0], "{pointer}: nobody has agreed");
        let named = faults(&host);
        assert!(named.iter().any(|line| line.contains(pointer) && line.contains(message)), "{pointer}: {named:?}");
        // The site's other hosts are as they were.
        assert!(!cookies(&open(&host, "shop.example", NEW_YORK)).is_empty(), "{pointer}");
    }
    // Nobody can tell which hosts are meant, or which of two settings.
    let asks = json!({ "consent": { "countries": ["*"] } });
    for hosts in [json!([]), json!({ "shop.example:443": asks }), json!({ "SHOP.example": asks, "shop.example": {} })] {
        let host = site(&json!({ "hosts": hosts }));
        assert_eq!(cookies(&open(&host, "shop.example", NEW_YORK)), [""; 0], "{hosts}");
        assert!(faults(&host).iter().any(|line| line.contains("/hosts")), "{hosts}");
    }
    // A full name with its dot is the same host, however it is asked for.
    let host = site(&json!({ "hosts": { "shop.example.": asks } }));
    for asked in ["shop.example", "shop.example."] {
        assert_eq!(cookies(&open(&host, asked, NEW_YORK)), [""; 0], "{asked}");
    }
    assert!(faults(&host).is_empty());
}

#[test]
fn what_cannot_be_used_of_a_host_is_named_and_as_everywhere() {
    let hosts = json!({ "www.example.de": { "languages": "de", "default_region": "MARS", "log": {}, "sessoin": {} }, "no host": {} });
    let host = site(&json!({ "languages": ["fr"], "log": { "sampel": 1 }, "hosts": hosts }));
    let answer = open(&host, "www.example.de", NOWHERE);
    assert!(text(&answer).starts_with("GET /DEFAULT_REGION/none/"), "{}", text(&answer));
    let named = faults(&host).join("\n");
    for pointer in [
        "/hosts/www.example.de/languages",
        "/hosts/www.example.de/default_region",
        "/hosts/www.example.de/log",
        "/hosts/www.example.de/sessoin",
        "/hosts/no host",
        "/log/sampel",
    ] {
        assert_eq!(named.matches(&format!("{pointer}\"")).count(), 1, "{pointer}: {named}");
    }
    assert!(
        !named.contains("/hosts/www.example.de/log/sampel"),
        "the site's own mistake is named once, at its own place"
    );
}

#[test]
fn more_hosts_than_there_may_be_get_the_strictest() {
    let hosts: serde_json::Map<String, Value> = (0..17).map(|n| (format!("h{n}.example"), json!({}))).collect();
    let host = site(&json!({ "hosts": hosts }));
    assert!(!cookies(&open(&host, "h15.example", NEW_YORK)).is_empty());
    assert_eq!(cookies(&open(&host, "h16.example", NEW_YORK)), [""; 0]);
    assert!(faults(&host).iter().any(|line| line.contains("expected at most 16 hosts")));
}

#[test]
fn an_explanation_is_by_the_hosts_own_settings() {
    let host = site(&settings());
    host.secrets.borrow_mut().insert("admin".to_owned(), b"0123456789abcdef0123456789abcdef".to_vec());
    for (url, region, language) in [
        ("https://WWW.example.de/shop", "EU-WEST", Value::from("de")),
        ("https://shop.example/shop", "DEFAULT_REGION", Value::from("en")),
    ] {
        let target = format!("/.edge/explain?url={url}&header=Accept-Language:%20de");
        let explained =
            visit(NEW_YORK, &target).with("authorization", "Bearer 0123456789abcdef0123456789abcdef").send(&host);
        let explained: Value = serde_json::from_str(&text(&explained)).unwrap();
        assert_eq!(explained["region"]["id"], region, "{explained:#}");
        assert_eq!(explained["visitor"]["language"], language, "{explained:#}");
    }
}

#[test]
fn a_shadow_is_decided_by_the_hosts_own_settings() {
    let host = site(&settings());
    let route = json!({ "id": "shop", "path": "/shop", "rewrite": { "path": "/{region.id}/{language|none}" } });
    for revision in ["r1", "r2"] {
        host.set(&format!("{revision}/settings"), &settings());
        host.set(
            &format!("{revision}/regions"),
            &json!({ "regions": [{ "id": "EU-WEST", "slug": "eu", "when": { "country": "FR" } }] }),
        );
        host.set(&format!("{revision}/routes"), &json!({ "routes": [route] }));
    }
    host.set("active", &json!({ "revision": "r1", "shadow": "r2" }));
    let mut sandbox = Sandbox::default();
    // The shadow is read from the second request on.
    for authority in ["shop.example", "www.example.de", "www.example.de"] {
        visit(NOWHERE, "/shop").on(authority).with("accept-language", "de").send_in(&host, &mut sandbox);
    }
    let lines = host.lines_of(Endpoint::Decisions);
    assert_eq!(lines[2]["backend_path"], "/EU-WEST/de", "{:#}", lines[2]);
    assert!(lines.iter().all(|line| line["shadow"].is_null()), "the same rules differ in nothing: {lines:#?}");
}

#[test]
fn a_browsers_event_counts_by_the_hosts_own_consent() {
    let mut settings = settings();
    settings["events"] = json!({ "path": "/m", "names": ["LCP"] });
    let host = site(&settings);
    let key =
        json!({ "keys": [], "log": { "kid": "k1", "secret": "bG9nLWtleS1vZi10aGlydHktdHdvLWJ5dGVzLW9yLW1vcmU=" } });
    host.secrets.borrow_mut().insert("identity".to_owned(), key.to_string().into_bytes());
    let id = "00000000000000000000000000000abc";
    for (authority, cookie, counts) in [
        ("shop.example", format!("vid={id}"), true),
        // Consent comes first there, and the cookie has another name.
        ("www.example.de", format!("kennung={id}"), false),
        ("www.example.de", format!("vid={id}; cc=yes"), false),
        ("www.example.de", format!("kennung={id}; cc=yes"), true),
    ] {
        let before = host.lines_of(Endpoint::Conversions).len();
        let event = visit(NEW_YORK, "/m").on(authority).by("POST").body(r#"{"name":"LCP","value":1200}"#);
        let event = event.with("user-agent", FIREFOX).with("content-type", "text/plain").with("cookie", &cookie);
        assert_eq!(event.with("sec-fetch-site", "same-origin").send(&host).status, 204);
        assert_eq!(host.lines_of(Endpoint::Conversions).len() - before, usize::from(counts), "{authority} {cookie}");
    }
}

#[test]
fn a_hosts_own_cookies_stay_at_the_edge_while_nothing_is_personalized() {
    let host = site(&settings());
    host.set("active", &json!({ "enabled": false }));
    let asked = |authority: &str| {
        let cookies = "kennung=00000000000000000000000000000abc; vid=00000000000000000000000000000abc; own=1";
        visit(NEW_YORK, "/shop").on(authority).with("cookie", cookies).send(&host);
        host.asked.take().remove(0).headers["cookie"].to_str().unwrap().to_owned()
    };
    assert_eq!(asked("www.example.de"), "vid=00000000000000000000000000000abc; own=1");
    assert_eq!(asked("shop.example"), "kennung=00000000000000000000000000000abc; own=1");
}
