//! Shielding: the edge decides, the shield asks for what was decided. Two hosts in memory, one the other's backend.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at a surprise")]

mod support;

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use edge_personalizer::platform::memory::{Answer, Asked, Memory, Received};
use edge_personalizer::platform::{Caching, ClientRequest, Endpoint, SendError, Shield};
use edge_personalizer::service::{Sandbox, handle};
use http::{HeaderMap, HeaderValue};
use serde_json::{Value, json};
use support::{NEW_YORK, PARIS, echo, ok, path_of, shop, text, visit};

const SECRET: &str = "the-shield-secret-of-32-bytes-or-so";
const CODE: &str = "iad-va-us";
/// The backend that leads to the shield.
const TO_SHIELD: &str = "shield-ssl";

fn rules(host: &Memory, settings: Value) {
    host.set("settings", &settings);
    host.set(
        "regions",
        &json!({ "regions": [{ "id": "FR", "slug": "fr", "when": { "country": "FR" } }, { "id": "US", "slug": "us", "when": { "country": "US" } }] }),
    );
    host.set("features", &json!({ "features": { "hero": { "defaultValue": "plain" } } }));
    host.set(
        "routes",
        &json!({ "routes": [
            { "id": "shared", "path": "/shared", "features": ["hero"], "rewrite": { "path": "/s/{region.slug}" },
              "cache": { "ttl": 60, "stale_while_revalidate": 5, "stale_if_error": 9, "surrogate_keys": ["s"], "key_headers": ["x-tier"] } },
            { "id": "private", "path": "/private", "request_headers": { "set": { "X-C": "{country|none}" } } } ] }),
    );
    host.secrets.borrow_mut().insert("shield".to_owned(), SECRET.as_bytes().to_vec());
}

fn with_shield() -> Value {
    json!({ "backends": { "origin": { "shield": CODE, "host": "origin.internal" } } })
}

/// A request of one host as the next one gets it.
fn arriving(asked: &Asked) -> ClientRequest<edge_personalizer::platform::memory::MemoryBody> {
    let (scheme, rest) = asked.url.split_once("://").unwrap();
    let (authority, target) = rest.split_at(rest.find('/').unwrap());
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query.to_owned())),
        None => (target, None),
    };
    ClientRequest {
        method: asked.method.clone(),
        scheme: scheme.to_owned(),
        authority: authority.to_owned(),
        path: path.to_owned(),
        query,
        headers: asked.headers.clone(),
        address: Some(support::NOWHERE),
        body: asked.body.clone().into(),
    }
}

fn serve(host: &Memory, request: ClientRequest<edge_personalizer::platform::memory::MemoryBody>) -> Received {
    handle(host, &mut Sandbox::default(), request);
    host.received.borrow().last().unwrap().clone()
}

fn answer(received: Received) -> Answer {
    Ok((received.status, received.headers, received.body))
}

/// An edge, and the shield behind it, whose cache keeps what has a key, as Fastly's does.
struct Pair {
    edge: Memory,
    shield: Rc<Memory>,
    /// What the origin was asked.
    origin: Rc<RefCell<Vec<Asked>>>,
}

impl Pair {
    fn new(settings: Value) -> Self {
        let origin: Rc<RefCell<Vec<Asked>>> = Rc::default();
        let (asked_of, kept) = (Rc::clone(&origin), RefCell::new(HashMap::<[u8; 32], Answer>::new()));
        let shield = shop(move |asked| {
            let ask = || {
                asked_of.borrow_mut().push(asked.clone());
                let (status, mut headers, body) = echo(asked)?;
                if asked.url.contains("order") {
                    headers.insert("edge-event", HeaderValue::from_static("order;id=\"o1\""));
                    headers.insert("cache-control", HeaderValue::from_static("private, no-store"));
                }
                Ok((status, headers, body))
            };
            match &asked.caching {
                Caching::Keyed { key, .. } | Caching::Origin { key: Some(key) } => {
                    kept.borrow_mut().entry(*key).or_insert_with(ask).clone()
                }
                _ => ask(),
            }
        });
        // The shield decides nothing: it has no rules, only the secret.
        shield.config.borrow_mut().clear();
        shield.secrets.borrow_mut().insert("shield".to_owned(), SECRET.as_bytes().to_vec());
        let shield = Rc::new(shield);
        let edge = shop(|asked| ok(&format!("directly {}", path_of(&asked.url))));
        rules(&edge, settings);
        edge.shields.borrow_mut().insert(CODE.to_owned(), Shield::There(TO_SHIELD.to_owned()));
        let next = Rc::clone(&shield);
        edge.backends
            .borrow_mut()
            .insert(TO_SHIELD.to_owned(), Box::new(move |asked| answer(serve(&next, arriving(asked)))));
        Self { edge, shield, origin }
    }
}

#[test]
fn the_edge_decides_and_the_shield_asks_for_the_same() {
    let pair = Pair::new(with_shield());
    for address in [PARIS, PARIS] {
        let got = visit(address, "/shared?a=1").with("X-Tier", "gold").send(&pair.edge);
        assert_eq!(text(&got), "GET /s/fr?a=1");
        assert_eq!(got.headers["edge-variant"], "hero=\"plain\", region=\"FR\"");
    }
    let to_shield = pair.edge.asked.take();
    let from_shield = pair.shield.asked.take();
    assert_eq!((to_shield.len(), from_shield.len()), (2, 2));
    assert_eq!(pair.origin.take().len(), 1, "two requests of one key: the origin is asked once");
    assert_eq!(to_shield[0].caching, from_shield[0].caching, "one key, the same lifetimes, the same surrogate keys");
    let Caching::Keyed { surrogate_keys, .. } = &from_shield[0].caching else { panic!() };
    assert_eq!(surrogate_keys, "s route-shared variant-hero-plain variant-region-FR");
    assert_eq!(from_shield[0].url, "https://origin.internal/s/fr?a=1");
    // What the origin gets is what it would get without a shield.
    let alone = shop(echo);
    rules(&alone, json!({ "backends": { "origin": { "host": "origin.internal" } } }));
    visit(PARIS, "/shared?a=1").with("X-Tier", "gold").send(&alone);
    let direct = alone.asked.take().remove(0);
    let lines = |asked: &Asked| {
        let named = asked.headers.iter().filter(|(name, _)| !["x-request-id", "traceparent"].contains(&name.as_str()));
        let mut lines: Vec<_> = named.map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        lines.sort();
        lines
    };
    assert_eq!(lines(&from_shield[0]), lines(&direct));
    assert_eq!((&from_shield[0].url, &from_shield[0].caching), (&direct.url, &direct.caching));
    // Once a pass, marked.
    let (first, second) = (pair.edge.lines_of(Endpoint::Decisions), pair.shield.lines_of(Endpoint::Decisions));
    assert_eq!((first.len(), second.len()), (2, 2));
    assert_eq!(
        (&first[0]["pass"], &first[0]["shield"], &first[0]["route"]),
        (&json!(1), &json!(CODE), &json!("shared"))
    );
    assert_eq!(
        (&second[0]["pass"], &second[0]["shield"], &second[0]["route"]),
        (&json!(2), &Value::Null, &Value::Null)
    );
    for field in ["request_id", "trace_id", "cache_key", "backend"] {
        assert_eq!(first[0][field], second[0][field], "{field}");
    }
    assert_eq!(second[0]["path"], "/*", "nothing there says what is to be redacted");
    assert_eq!(second[0]["lookups"], 0);
    assert!(pair.edge.lines_of(Endpoint::Errors).is_empty() && pair.shield.lines_of(Endpoint::Errors).is_empty());
}

#[test]
fn what_no_cache_keeps_goes_straight_to_the_origin() {
    let pair = Pair::new(with_shield());
    visit(NEW_YORK, "/private").send(&pair.edge);
    visit(NEW_YORK, "/none").with("Cookie", "sid=1").send(&pair.edge);
    visit(NEW_YORK, "/shared").by("POST").body("a=1").send(&pair.edge);
    visit(NEW_YORK, "/none").by("OPTIONS").send(&pair.edge);
    let asked: Vec<_> = pair.edge.asked.take().iter().map(|asked| asked.backend.clone()).collect();
    assert_eq!(asked[..3], ["origin", "origin", "origin"]);
    visit(NEW_YORK, "/none?q=%0D%0A&a=b'c").send(&pair.edge);
    visit(NEW_YORK, "/none").by("HEAD").send(&pair.edge);
    pair.edge.set("active", &json!({ "enabled": false }));
    visit(NEW_YORK, "/none").send(&pair.edge);
    let asked = pair.edge.asked.take();
    assert!(asked.iter().all(|asked| asked.backend == TO_SHIELD), "{asked:#?}");
    assert_eq!(pair.origin.borrow().last().unwrap().headers["x-forwarded-for"], NEW_YORK.to_string());
}

#[test]
fn a_shield_of_no_use_costs_nobody_the_page() {
    /// What is wrong, how it comes about, and the codes that say so.
    type Case = (&'static str, fn(&Pair), &'static [&'static str]);
    let cases: [Case; 7] = [
        ("unknown", |pair| pair.edge.shields.borrow_mut().clear(), &["shield-unknown"]),
        ("here", |pair| _ = pair.edge.shields.borrow_mut().insert(CODE.to_owned(), Shield::Here), &[]),
        ("no secret", |pair| pair.edge.secrets.borrow_mut().clear(), &["shield-no-secret"]),
        (
            "short secret",
            |pair| _ = pair.edge.secrets.borrow_mut().insert("shield".to_owned(), b"short".to_vec()),
            &["shield-no-secret"],
        ),
        (
            "another secret",
            |pair| _ = pair.shield.secrets.borrow_mut().insert("shield".to_owned(), vec![b'x'; 32]),
            &["shield-failed"],
        ),
        ("no secret there", |pair| pair.shield.secrets.borrow_mut().clear(), &["shield-failed"]),
        (
            "down",
            |pair| {
                _ = pair
                    .edge
                    .backends
                    .borrow_mut()
                    .insert(TO_SHIELD.to_owned(), Box::new(|_| Err(SendError::Unreachable)))
            },
            &["shield-failed"],
        ),
    ];
    for (what, make, codes) in cases {
        let pair = Pair::new(with_shield());
        make(&pair);
        let got = visit(PARIS, "/shared").send(&pair.edge);
        assert_eq!(text(&got), "directly /s/fr", "{what}");
        let named: Vec<_> = pair.edge.lines_of(Endpoint::Errors).iter().map(|line| line["code"].clone()).collect();
        assert_eq!(named, codes, "{what}");
        assert_eq!(pair.edge.lines_of(Endpoint::Decisions)[0]["shield"], Value::Null, "{what}");
        assert!(pair.origin.borrow().is_empty(), "{what}");
        for asked in pair.edge.asked.borrow().iter().filter(|asked| asked.backend == "origin") {
            assert!(!asked.headers.contains_key("edge-pass"), "{what}");
        }
    }
}

#[test]
fn without_shields_nobody_asks_for_one() {
    let host = shop(echo);
    rules(&host, json!({}));
    visit(PARIS, "/shared").send(&host);
    let lookups = host.lookups.borrow();
    assert_eq!((lookups.get("shield"), lookups.get("secret")), (None, None));
}

/// The request that the edge made to its shield.
fn sealed() -> Asked {
    let pair = Pair::new(with_shield());
    visit(PARIS, "/shared?a=1").with("X-Tier", "gold").send(&pair.edge);
    pair.edge.asked.take().remove(0)
}

#[test]
fn a_pass_that_is_forged_stale_or_of_another_request_proves_nothing() {
    let proof = sealed();
    let valid = proof.headers["edge-pass"].to_str().unwrap().to_owned();
    let shield = || {
        let host = shop(echo);
        rules(&host, json!({}));
        host
    };
    // As it is, it counts; and only then.
    let host = shield();
    assert_eq!(text(&serve(&host, arriving(&proof))), "GET /s/fr?a=1");
    host.asked.take();
    type Change = Box<dyn Fn(&mut ClientRequest<edge_personalizer::platform::memory::MemoryBody>)>;
    let header = |value: String| -> Change {
        Box::new(move |request| _ = request.headers.insert("edge-pass", value.parse().unwrap()))
    };
    let mut forgeries: Vec<Change> = Vec::new();
    // Every character of the proof.
    for at in 0..valid.len() {
        let mut changed = valid.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        forgeries.push(header(String::from_utf8(changed).unwrap()));
    }
    for at in (0..valid.len()).step_by(7) {
        forgeries.push(header(valid[..at].to_owned()));
    }
    let (payload, tag) = valid.split_once('.').unwrap();
    for value in [
        String::new(),
        ".".to_owned(),
        format!("{payload}."),
        format!(".{tag}"),
        format!("{valid}A"),
        format!("{valid}="),
        format!("{valid}, {valid}"),
        format!("{payload}.{payload}"),
        format!("e30.{tag}"),
        format!("{valid}.{tag}"),
        "A".repeat(7_600),
    ] {
        forgeries.push(header(value));
    }
    // Every other part of the request.
    forgeries.push(Box::new(|request| request.method = http::Method::HEAD));
    forgeries.push(Box::new(|request| request.method = http::Method::POST));
    forgeries.push(Box::new(|request| request.authority = "evil.example".to_owned()));
    forgeries.push(Box::new(|request| request.path = "/s/us".to_owned()));
    forgeries.push(Box::new(|request| request.path.push('/')));
    forgeries.push(Box::new(|request| request.query = Some("a=2".to_owned())));
    forgeries.push(Box::new(|request| request.query = None));
    forgeries.push(Box::new(|request| _ = request.headers.insert("x-tier", "silver".parse().unwrap())));
    forgeries.push(Box::new(|request| _ = request.headers.append("x-tier", "silver".parse().unwrap())));
    forgeries.push(Box::new(|request| _ = request.headers.remove("x-tier")));
    // Twice, under another name, listed.
    let twice = valid.clone();
    forgeries.push(Box::new(move |request| _ = request.headers.append("edge-pass", twice.parse().unwrap())));
    for name in ["edge_pass", "edge.pass", "x-edge-pass", "edge-front"] {
        forgeries.push(Box::new(move |request| {
            let value = request.headers.remove("edge-pass").unwrap();
            request.headers.insert(name, value);
        }));
    }
    let (mut tried, mut accepted) = (0, 0);
    for change in &forgeries {
        for looped in [true, false] {
            let mut request = arriving(&proof);
            change(&mut request);
            if !looped {
                request.headers.remove("cdn-loop");
            }
            let received = serve(&host, request);
            tried += 1;
            let asked = host.asked.take();
            host.lines.take();
            // From the edge itself it is a loop; from a client it is a request like any other, decided here.
            let refused = if looped { received.status == 508 && asked.is_empty() } else { received.status != 508 };
            let decided = asked.iter().all(|asked| {
                !asked.headers.contains_key("edge-pass")
                    && !asked.url.contains("origin.internal")
                    && !matches!(asked.caching, Caching::Keyed { .. })
            });
            accepted += usize::from(!refused || !decided);
        }
    }
    // Another time.
    for seconds in [31_u64, 3_600, 86_400 * 400] {
        let host = shield();
        host.age.set(Duration::from_secs(seconds));
        tried += 1;
        accepted += usize::from(serve(&host, arriving(&proof)).status != 508);
    }
    let host = shield();
    host.age.set(Duration::from_secs(30));
    assert_eq!(text(&serve(&host, arriving(&proof))), "GET /s/fr?a=1");
    println!("{tried} forgeries of a pass, accepted {accepted}");
    assert_eq!(accepted, 0);
}

#[test]
fn what_others_on_the_way_add_counts_for_nothing() {
    let proof = sealed();
    let host = shop(echo);
    rules(&host, json!({}));
    serve(&host, arriving(&proof));
    let plain = host.asked.take().remove(0);
    let mut request = arriving(&proof);
    for (name, value) in [
        ("x-forwarded-for", "198.51.100.1"),
        ("x-forwarded-host", "evil.example"),
        ("edge-variant", "hero=\"x\""),
        ("x-geo-region", "US"),
        ("cookie", "sid=1"),
        ("authorization", "x"),
        ("fastly-client-ip", "198.51.100.1"),
        ("via", "1.1 x"),
        ("x-user-id", "u"),
        ("user-agent", "x"),
    ] {
        request.headers.append(name, value.parse().unwrap());
    }
    serve(&host, request);
    let asked = host.asked.take().remove(0);
    assert_eq!((&asked.headers, &asked.url, &asked.caching), (&plain.headers, &plain.url, &plain.caching));
}

#[test]
fn a_secret_rotates_without_a_request_that_is_decided_twice() {
    let pair = Pair::new(with_shield());
    let next = "the-next-shield-secret-of-32-bytes";
    pair.shield.secrets.borrow_mut().insert("shield".to_owned(), format!("{SECRET},{next}").into_bytes());
    for stored in [SECRET.to_owned(), format!("{next} {SECRET}"), format!("[\"{next}\"]")] {
        pair.edge.secrets.borrow_mut().insert("shield".to_owned(), stored.into_bytes());
        assert_eq!(text(&visit(PARIS, "/shared").send(&pair.edge)), "GET /s/fr");
    }
    assert!(pair.edge.lines_of(Endpoint::Errors).is_empty());
}

#[test]
fn a_real_loop_is_still_508() {
    // The origin's address leads back to the service itself, through the shield and without it.
    for has_shield in [true, false] {
        let pair = Pair::new(with_shield());
        let mut seen = Vec::new();
        let looped = Rc::new(shop(echo));
        rules(&looped, with_shield());
        for host in [&pair.edge, &*pair.shield] {
            let again = Rc::clone(&looped);
            host.backends
                .borrow_mut()
                .insert("origin".to_owned(), Box::new(move |asked| answer(serve(&again, arriving(asked)))));
        }
        if !has_shield {
            pair.edge.shields.borrow_mut().clear();
        }
        let got = visit(PARIS, "/none").send(&pair.edge);
        seen.extend(looped.lines_of(Endpoint::Errors).iter().map(|line| line["code"].clone()));
        assert_eq!(got.status, 508, "with a shield: {has_shield}");
        assert!(!seen.is_empty() && seen.iter().all(|code| code == "loop"), "{seen:?}");
        assert!(looped.asked.borrow().is_empty(), "it goes round once");
    }
}

#[test]
fn a_failing_origin_behind_the_shield_is_named_there() {
    let pair = Pair::new(with_shield());
    pair.shield.backends.borrow_mut().insert("origin".to_owned(), Box::new(|_| Err(SendError::TimedOut)));
    let got = visit(PARIS, "/none").send(&pair.edge);
    assert_eq!(got.status, 504);
    let named =
        |host: &Memory| host.lines_of(Endpoint::Errors).iter().map(|line| line["code"].clone()).collect::<Vec<_>>();
    assert_eq!(named(&pair.shield), ["backend-timeout"]);
    let lines = [pair.edge.lines_of(Endpoint::Decisions), pair.shield.lines_of(Endpoint::Decisions)];
    assert_eq!(lines[0][0]["request_id"], lines[1][0]["request_id"]);
    let _: HeaderMap = got.headers;
}

#[test]
fn an_order_behind_the_shield_is_counted_once_by_the_pass_that_knows_the_visitor() {
    let pair = Pair::new(with_shield());
    for host in [&pair.edge, &*pair.shield] {
        host.secrets.borrow_mut().insert("identity".to_owned(), b"an-identity-key-of-32-bytes-or-more".to_vec());
    }
    for target in ["/shared?order=1", "/elsewhere?order=1"] {
        let known = support::sessions::browser(NEW_YORK, target);
        let answer = known.with("Cookie", "ep_vid=0000000000000000000000000000abcd").send(&pair.edge);
        assert!(!answer.headers.contains_key("edge-event"), "{target}");
        assert_eq!(pair.edge.lines_of(Endpoint::Conversions).len(), 1, "{target}");
        pair.edge.lines.borrow_mut().clear();
    }
    assert_eq!(pair.edge.asked.borrow().len(), 2);
    assert!(pair.shield.lines_of(Endpoint::Conversions).is_empty());
    assert_eq!(pair.shield.lines_of(Endpoint::Decisions).len(), 2, "both went through it");
}

#[test]
fn the_lines_of_both_passes_say_how_many_are_kept() {
    let mut settings = with_shield();
    settings["log"] = json!({ "sample": 0.5 });
    let pair = Pair::new(settings);
    for _ in 0..20 {
        visit(PARIS, "/shared").send(&pair.edge);
    }
    let lines = |host: &Memory| host.lines_of(Endpoint::Decisions);
    let (first, second) = (lines(&pair.edge), lines(&pair.shield));
    assert_eq!(first.len(), second.len());
    assert!((1..20).contains(&first.len()) && first.iter().chain(&second).all(|line| line["sample"] == 0.5));
}
