//! A hop in front: a VCL service or another network. Its word for the visitor's address counts where it proves itself.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at a surprise")]

mod support;

use std::net::IpAddr;

use edge_personalizer::platform::Endpoint;
use edge_personalizer::platform::memory::Memory;
use edge_personalizer::service::Sandbox;
use serde_json::json;
use support::{NOWHERE, PARIS, Visit, echo, shop, visit};

const SECRET: &str = "the-front-secret-of-32-bytes-or-so";
const NEXT: &str = "the-front-secret-that-comes-next";
/// A Fastly server, as the platform sees the peer.
const HOP: IpAddr = NOWHERE;

/// A shop behind a hop; visitors in France get `/fr`.
fn site() -> Memory {
    let host = shop(echo);
    host.set("settings", &json!({ "front": {} }));
    host.set("regions", &json!({ "regions": [{ "id": "FR", "slug": "fr", "when": { "country": "FR" } }] }));
    host.set(
        "routes",
        &json!({ "routes": [
            { "id": "page", "path": "/page", "rewrite": { "path": "/{region.slug}/{country|nowhere}" } },
            { "id": "shared", "path": "/shared", "rewrite": { "path": "/{region.slug}" }, "cache": { "ttl": 60 } } ] }),
    );
    host.secrets.borrow_mut().insert("front".to_owned(), format!("{SECRET}\n{NEXT}").into_bytes());
    host
}

fn proven(target: &str) -> Visit {
    visit(HOP, target).with("Edge-Front", SECRET).with("Fastly-Client-IP", PARIS.to_string())
}

/// The address that the origin was told, its path, and the codes of the request.
fn seen(host: &Memory) -> (Option<String>, String, Vec<String>) {
    let asked = host.asked.take().remove(0);
    let sent = format!("{:?}", asked.headers);
    assert!(!sent.contains(SECRET) && !sent.contains("edge-front") && !sent.contains("fastly-client-ip"), "{sent}");
    let lines = host.lines.take();
    for (_, line) in &lines {
        assert!(!line.contains(SECRET) && !line.contains(NEXT), "{line}");
    }
    let is_error = |line: &&(Endpoint, String)| line.0 == Endpoint::Errors;
    let codes = lines.iter().filter(is_error).map(|(_, line)| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        line["code"].as_str().unwrap().to_owned()
    });
    let address = asked.headers.get("x-forwarded-for").map(|value| value.to_str().unwrap().to_owned());
    (address, support::path_of(&asked.url), codes.collect())
}

fn owned(codes: &[&str]) -> Vec<String> {
    codes.iter().map(|code| (*code).to_owned()).collect()
}

#[test]
fn a_hop_that_proves_itself_names_the_visitor() {
    let host = site();
    let mut sandbox = Sandbox::default();
    for secret in [SECRET, NEXT] {
        let request = visit(HOP, "/page").with("edge-front", secret).with("Fastly-Client-IP", PARIS.to_string());
        request.send_in(&host, &mut sandbox);
        assert_eq!(seen(&host), (Some(PARIS.to_string()), "/fr/FR".to_owned(), vec![]), "geolocation follows");
    }
    let mapped = visit(HOP, "/page").with("Edge-Front", SECRET).with("Fastly-Client-IP", "::ffff:192.0.2.1");
    mapped.send(&host);
    assert_eq!(seen(&host).0, Some(PARIS.to_string()));
    proven("/shared").send(&host);
    assert_eq!(seen(&host), (None, "/fr".to_owned(), vec![]), "a shared request names nobody");
    assert!(!format!("{sandbox:?}").contains(SECRET));
}

#[test]
fn without_the_setting_nobody_is_believed() {
    let host = site();
    host.set("settings", &json!({}));
    proven("/page").send(&host);
    let (address, path, codes) = seen(&host);
    assert_eq!((address, codes), (Some(HOP.to_string()), vec![]));
    assert!(path.ends_with("/nowhere"), "{path}");
}

#[test]
fn no_forgery_of_a_hop_is_believed() {
    let host = site();
    let client = PARIS.to_string();
    let lines = |lines: &[(&str, &str)]| {
        lines.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<Vec<_>>()
    };
    let both = format!("{SECRET}, {NEXT}");
    let twice = format!("{SECRET},{SECRET}");
    let stored = format!("{SECRET}\n{NEXT}").replace('\n', " ");
    let quoted = format!("\"{SECRET}\"");
    let upper = SECRET.to_ascii_uppercase();
    let longer = format!("{SECRET}x");
    let bearer = format!("Bearer {SECRET}");
    let mut forgeries = vec![lines(&[])];
    // What the header says.
    for value in [
        "",
        " ",
        ",",
        "x",
        "null",
        "the-front-secret",
        &SECRET[1..],
        &SECRET[..SECRET.len() - 1],
        &longer,
        &upper,
        &both,
        &twice,
        &stored,
        &quoted,
        &bearer,
        "[]",
        "*",
    ] {
        for name in ["Edge-Front", "edge-front", "EDGE-FRONT", "eDgE-fRoNt"] {
            forgeries.push(lines(&[(name, value)]));
            forgeries.push(lines(&[(name, value), ("Connection", "Edge-Front, Fastly-Client-IP")]));
        }
    }
    // Several lines: the hop in front sets one, so a second is somebody else's.
    for (one, two) in [(SECRET, "x"), ("x", SECRET), ("", SECRET), (SECRET, ""), (SECRET, SECRET), (SECRET, NEXT)] {
        forgeries.push(lines(&[("Edge-Front", one), ("edge-front", two)]));
    }
    // Other names: the secret itself proves nothing elsewhere.
    for name in [
        "Edge_Front",
        "Edge.Front",
        "Edge~Front",
        "EdgeFront",
        "Edge-Front-",
        "X-Edge-Front",
        "Edge-Front2",
        "edge-frOnt_",
        "Front",
        "Edge-Pass",
        "Fastly-FF",
        "Authorization",
    ] {
        forgeries.push(lines(&[(name, SECRET)]));
    }
    // And other names for the address do nothing beside any of them.
    let others =
        ["X-Forwarded-For", "True-Client-IP", "X-Real-IP", "Fastly_Client_IP", "Fastly-Client-Ip2", "Forwarded"];
    let (mut tried, mut accepted) = (0, Vec::new());
    for forgery in &forgeries {
        for spelling in ["Fastly-Client-IP", "fastly-client-ip", "FASTLY-CLIENT-IP"] {
            let request = visit(HOP, "/page").with(spelling, &client);
            let request = others.iter().fold(request, |request, name| request.with(name, &client));
            let request = forgery.iter().fold(request, |request, (name, value)| request.with(name, value));
            assert_eq!(request.send(&host).status, 200);
            tried += 1;
            let asked = host.asked.take().remove(0);
            let (told, path) = (asked.headers["x-forwarded-for"].to_str().unwrap().to_owned(), asked.url.clone());
            let is_named = host.lines_of(Endpoint::Errors).iter().any(|line| line["code"] == "front-unproven");
            host.lines.take();
            if told != HOP.to_string() || path.contains("/fr") || !is_named {
                accepted.push(format!("{forgery:?}: {told} {path} {is_named}"));
            }
        }
    }
    println!("{tried} forgeries of the hop in front, accepted {}", accepted.len());
    assert!(accepted.is_empty(), "{}", accepted.join("\n"));
}

#[test]
fn a_proven_hop_that_names_no_address_leaves_the_peers() {
    let host = site();
    let addresses = [
        "",
        "unknown",
        "192.0.2.1, 192.0.2.9",
        "192.0.2.1:443",
        "[2001:db8::1]",
        "fe80::1%eth0",
        "192.0.2",
        "0x7f.1",
        "1e1",
    ];
    for address in addresses {
        visit(HOP, "/page").with("Edge-Front", SECRET).with("Fastly-Client-IP", address).send(&host);
        assert_eq!(seen(&host).2, owned(&["front-address"]), "{address}");
    }
    for request in [
        visit(HOP, "/page").with("Edge-Front", SECRET),
        proven("/page").with("fastly-client-ip", "192.0.2.9"),
        visit(HOP, "/page").with("Edge-Front", SECRET).with("X-Forwarded-For", PARIS.to_string()),
    ] {
        request.send(&host);
        let (address, _, codes) = seen(&host);
        assert_eq!((address, codes), (Some(HOP.to_string()), owned(&["front-address"])));
    }
}

#[test]
fn without_a_usable_secret_nobody_is_believed_and_the_page_is_served() {
    let empty = ["", "\n", ",", "[]", "[\"\"]", "short", "[\"short\", \"\"]", "{}", "[", "\u{0}"];
    for secret in empty {
        let host = site();
        host.secrets.borrow_mut().insert("front".to_owned(), secret.as_bytes().to_vec());
        for shown in [secret, "", SECRET, "short"] {
            let shown = shown.trim_matches(|letter: char| letter.is_control());
            let request = visit(HOP, "/page").with("Edge-Front", shown).with("Fastly-Client-IP", PARIS.to_string());
            assert_eq!(request.send(&host).status, 200);
            let (address, _, codes) = seen(&host);
            assert_eq!((address, codes), (Some(HOP.to_string()), owned(&["front-no-secret"])), "{secret:?} {shown:?}");
        }
    }
    let host = site();
    host.secrets.borrow_mut().clear();
    proven("/page").send(&host);
    assert_eq!(seen(&host).2, owned(&["front-no-secret"]));
    let host = site();
    host.secrets_fail.set(Some(edge_personalizer::platform::StoreError::Failed));
    proven("/page").send(&host);
    assert_eq!(seen(&host).2, owned(&["secret-store", "front-no-secret"]));
}

#[test]
fn a_front_of_a_wrong_type_is_named_and_nobody_is_believed() {
    for (front, pointer) in [
        (json!(true), "/front"),
        (json!({ "header": 7 }), "/front/header"),
        (json!({ "header": "X-Front" }), "/front/header"),
    ] {
        let host = site();
        host.set("settings", &json!({ "front": front }));
        assert_eq!(proven("/page").with("X-Front", "a").send(&host).status, 200);
        let named = host.lines_of(Endpoint::Errors);
        assert_eq!(named[0]["fault"]["pointer"], pointer);
        assert_eq!(seen(&host).0, Some(HOP.to_string()));
    }
}

#[test]
fn consent_and_canary_follow_the_visitor_behind_the_hop() {
    // Paris needs a yes before anybody gets an id; nobody knows where the hop is, which is the same, so New York must differ.
    let host = site();
    host.set("experiments", &json!({ "experiments": [{ "key": "e", "variations": ["a", "b"], "hashVersion": 2 }] }));
    host.set("routes", &json!({ "routes": [{ "id": "page", "path": "/page", "rewrite": { "set_query": { "e": "{experiment.e|none}" } } }] }));
    let browser = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
    let cookie = |address: IpAddr| {
        let request = visit(HOP, "/page").with("Edge-Front", SECRET).with("Fastly-Client-IP", address.to_string());
        request.with("User-Agent", browser).send(&host).headers.contains_key("set-cookie")
    };
    assert_eq!((cookie(PARIS), cookie(support::NEW_YORK)), (false, true));
    // Without a cookie, the canary tells visitors apart by address: behind one hop they are many.
    host.set("active", &json!({ "enabled": true, "revision": "r1", "canary": { "revision": "r2", "percent": 50 } }));
    for revision in ["r1", "r2"] {
        host.set(&format!("{revision}/settings"), &json!({ "front": {} }));
        host.set(&format!("{revision}/routes"), &json!({ "routes": [{ "id": revision, "path": "/page" }] }));
    }
    host.lines.take();
    for last in 0..40 {
        let address = format!("192.0.2.{last}");
        visit(HOP, "/page").with("Edge-Front", SECRET).with("Fastly-Client-IP", address).send(&host);
    }
    let arms = host.lines_of(Endpoint::Decisions);
    let canary = arms.iter().filter(|line| line["role"] == "canary").count();
    assert!((5..35).contains(&canary), "{canary} of 40");
}

#[test]
fn the_kill_switch_leaves_how_backends_are_asked() {
    for revision in [None, Some("r1")] {
        let host = site();
        let at = revision.map(|revision| format!("{revision}/")).unwrap_or_default();
        host.config.borrow_mut().clear();
        host.set(
            &format!("{at}settings"),
            &json!({ "front": {}, "backends": { "origin": { "host": "origin.internal" } } }),
        );
        host.set("active", &json!({ "enabled": false, "revision": revision }));
        let mut sandbox = Sandbox::default();
        for _ in 0..3 {
            proven("/page").send_in(&host, &mut sandbox);
            let asked = host.asked.borrow()[0].url.clone();
            assert_eq!(asked, "https://origin.internal/page");
            assert_eq!(seen(&host), (Some(PARIS.to_string()), "/page".to_owned(), vec![]));
        }
    }
}

#[test]
fn a_proven_hop_names_the_host_that_the_visitor_asked_for() {
    let host = site();
    host.set(
        "settings",
        &json!({ "front": {}, "hosts": { "www.shop.de": { "languages": ["de"] } }, "languages": ["en"] }),
    );
    host.set("routes", &json!({ "routes": [{ "id": "page", "path": "/page", "host": "www.shop.de", "rewrite": { "path": "/{language}" } }] }));
    let asked = |request: Visit| {
        request.send(&host);
        let asked = host.asked.borrow()[0].headers["x-forwarded-host"].to_str().unwrap().to_owned();
        let (_, path, codes) = seen(&host);
        (asked, path, codes)
    };
    let own = visit(HOP, "/page").send(&host);
    assert_eq!(own.status, 200);
    let peers = seen(&host).1;
    let named = || proven("/page").with("Edge-Front-Host", "WWW.shop.de:8443");
    assert_eq!(asked(named()), ("www.shop.de:8443".to_owned(), "/de".to_owned(), owned(&[])));
    // Without proof, and what is no host, leave the host that came.
    let (forwarded, path, codes) = asked(visit(HOP, "/page").with("Edge-Front-Host", "www.shop.de"));
    assert!(forwarded != "www.shop.de" && path == peers && codes == owned(&["front-unproven"]), "{forwarded} {path}");
    for wrong in ["", "a b", "www.shop.de/x", "https://www.shop.de", "www.shop.de, x.de"] {
        let (forwarded, path, codes) = asked(proven("/page").with("Edge-Front-Host", wrong));
        assert!(
            forwarded != "www.shop.de" && path == peers && codes == owned(&["front-host"]),
            "{wrong}: {path} {codes:?}"
        );
    }
    let (_, path, codes) = asked(named().with("edge-front-host", "other.example"));
    assert_eq!((path, codes), (peers, owned(&["front-host"])), "two of a kind prove nothing");
}

#[test]
fn a_probe_with_headers_of_a_hop_still_names_what_is_wrong() {
    let host = site();
    host.set("routes", &json!({ "routes": [{ "id": "broken" }] }));
    let health = visit(HOP, "/.edge/health").with("Edge-X", "1").send(&host);
    assert_eq!(health.status, 200);
    let named = |code: &str| host.lines_of(Endpoint::Errors).iter().filter(|line| line["code"] == code).count();
    assert_eq!((named("rule-fault"), named("front-unproven")), (1, 1));
}
