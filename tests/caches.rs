//! Promise 1 as a property: on shared routes, two requests with the same cache key send the origin the same bytes, and two
//! requests that send the origin different bytes have different keys. Random rule sets, random visitors, one seed.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at a surprise")]

mod support;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};

use edge_personalizer::platform::memory::Asked;
use edge_personalizer::platform::{Caching, Endpoint, Geo};
use edge_personalizer::service::Sandbox;
use support::at_random::{Random, dictionaries};
use support::{NEW_YORK, PARIS, echo, header, ok, shop, text, visit};

/// What is sent, trace headers aside: the promise doesn't speak of them.
fn bytes(asked: &Asked) -> String {
    let trace = ["traceparent", "tracestate", "x-request-id", "cdn-loop", "via"];
    let mut lines: Vec<String> = asked
        .headers
        .iter()
        .filter(|(name, _)| !trace.contains(&name.as_str()))
        .map(|(name, value)| format!("{name}: {:?}", value.as_bytes()))
        .collect();
    lines.sort();
    format!("{} {} {}\n{}", asked.backend, asked.method, asked.url, lines.join("\n"))
}

#[test]
fn equal_keys_send_equal_bytes_and_different_bytes_have_different_keys() {
    let mut random = Random(0x5eed);
    let mut shared = 0;
    let places = [("FR", "EU"), ("US", "NA"), ("JP", "AS"), ("DE", "EU"), ("AU", "OC")];
    let odd = ["a", "b", "a%2Fb", "%C3%A9", "a=b", "a&b", "x\"y", "a;b", "%2e", "a%20b"];
    for _ in 0..400 {
        let host = shop(echo);
        for (name, dictionary) in dictionaries(&mut random).as_object().unwrap() {
            host.set(name, dictionary);
        }
        for (index, (country, continent)) in places.iter().enumerate() {
            let geo = Geo { country: Some((*country).to_owned()), continent: Some(continent), ..Geo::default() };
            host.geo.borrow_mut().insert(IpAddr::V4(Ipv4Addr::new(198, 51, 100, u8::try_from(index).unwrap())), geo);
        }
        let mut sandbox = Sandbox::default();
        let mut by_key: HashMap<[u8; 32], String> = HashMap::new();
        let mut by_bytes: HashMap<String, [u8; 32]> = HashMap::new();
        for _ in 0..40 {
            let address = IpAddr::V4(Ipv4Addr::new(198, 51, 100, u8::try_from(random.bits() % 6).unwrap()));
            let query = random.of(&["", "?a=1", "?b=2&a=1", "?utm_x=1", "?a=1&utm_x=2", "?a=%31"]);
            let target = format!("/r{}/{}{query}", random.bits() % 4, random.of(&odd));
            let mut request = visit(address, &target).by(random.of(&["GET", "GET", "HEAD"]));
            for (name, values) in [
                ("Accept-Language", &["fr", "de, en;q=0.5", "ja"][..]),
                ("X-Client", &["1", "2", "1, 2"]),
                (
                    "Cookie",
                    &[
                        "currency=EUR; id=secret-1",
                        "id=secret-2; theme=dark",
                        "currency=USD",
                        "ep_vid=0000000000000000000000000000abcd",
                    ],
                ),
                ("User-Agent", &["one", "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X)"]),
                ("Save-Data", &["on"]),
                ("Sec-CH-Viewport-Width", &["300", "360", "1000"]),
                ("Accept", &["image/webp,*/*", "*/*"]),
                ("Accept-Encoding", &["gzip", "br, gzip", "gzip;q=0"]),
                ("Authorization", &["Bearer secret-3"]),
            ] {
                if random.chance(50) {
                    request = request.with(name, random.of(values));
                }
            }
            request.send_in(&host, &mut sandbox);
            for asked in host.asked.take() {
                let Caching::Keyed { key, .. } = asked.caching else { continue };
                shared += 1;
                let sent = bytes(&asked);
                for secret in ["abcd", "secret-1", "secret-2", "secret-3", "user-agent", "x-forwarded-for"] {
                    assert!(!sent.contains(secret), "{secret} is in a shared request:\n{sent}");
                }
                let known = by_key.entry(key).or_insert_with(|| sent.clone());
                assert_eq!(*known, sent, "one key, two requests");
                let known = by_bytes.entry(sent).or_insert(key);
                assert_eq!(*known, key, "one request, two keys");
            }
        }
    }
    assert!(shared > 5_000, "the property was tried on {shared} shared requests");
}

#[test]
fn nothing_of_one_visitor_survives_into_the_next_request() {
    let host = shop(echo);
    let mut sandbox = Sandbox::default();
    let first = visit(PARIS, "/api/products/all").with("Cookie", "pigeon=first").with("Authorization", "pigeon");
    first.with("X-Geo-Region", "APAC").with("Accept-Language", "fr").send_in(&host, &mut sandbox);
    host.asked.borrow_mut().clear();
    let alone = shop(echo);
    let mut fresh = Sandbox::default();
    visit(NEW_YORK, "/.edge/health").send_in(&alone, &mut fresh);
    let second = visit(NEW_YORK, "/search/a").send_in(&host, &mut sandbox);
    let other = visit(NEW_YORK, "/search/a").send_in(&alone, &mut fresh);
    assert_eq!(text(&second), text(&other));
    assert_eq!(header(&second, "edge-variant"), header(&other, "edge-variant"));
    assert_eq!(bytes(&host.asked.borrow()[0]), bytes(&alone.asked.borrow()[0]));
    assert!(!format!("{sandbox:?}").contains("pigeon"));
}

#[test]
fn a_client_cannot_forge_what_the_edge_says() {
    let host = shop(echo);
    host.set("settings", &serde_json::json!({}));
    let names = [
        "X-Geo-Region",
        "x-geo-country",
        "X-GEO-CITY",
        "X-User-ID",
        "Edge-Variant",
        "edge-session",
        "EDGE-Visitor-ID",
        "X-Device-Type",
        "X-Network",
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Forwarded-Proto",
        "Forwarded",
        "X-Original-URL",
        "X-Rewrite-URL",
        "X-HTTP-Method-Override",
        "X-Request-ID",
        "Fastly-Client-IP",
        "Fastly-FF",
        "True-Client-IP",
        "X-Real-IP",
        "Surrogate-Control",
    ];
    for route in ["/api/products/all", "/search/x", "/unrouted", "/private"] {
        host.set("routes", &serde_json::json!({ "routes": [
            { "id": "p", "path": "/api/products/all", "rewrite": { "path": "/{region.slug}" }, "cache": {} },
            { "id": "s", "path": "/search/*", "request_headers": { "set": { "X-C": "{country|none}" } }, "cache": { "key_headers": ["accept"] } },
            { "id": "private", "path": "/private", "request_headers": { "set": { "X-C": "{region.id}" } } } ] }));
        for name in names {
            for value in ["FORGED", "APAC, FORGED"] {
                let request = visit(PARIS, route).with(name, value).with(name, "FORGED-2").with("Connection", name);
                request.send(&host);
                for asked in host.asked.take() {
                    let forged = bytes(&asked) + &format!("{:?}", asked.headers.get("x-request-id"));
                    assert!(!forged.contains("FORGED"), "{name} on {route}:\n{forged}");
                    assert!(!asked.url.contains("asia"), "{name} chose the region");
                }
            }
        }
    }
}

#[test]
fn a_head_request_keeps_its_content_length_and_its_key() {
    let host = shop(echo);
    let answer = visit(PARIS, "/api/products/all").by("HEAD").send(&host);
    assert!(header(&answer, "content-length").is_some());
}

#[test]
fn a_shared_answer_that_the_client_has_is_not_sent_again() {
    let host = shop(|_| {
        let mut headers = http::HeaderMap::new();
        headers.insert("etag", "\"v1\"".parse().unwrap());
        headers.insert("content-length", "4".parse().unwrap());
        Ok((http::StatusCode::OK, headers, b"body".to_vec()))
    });
    let first = visit(PARIS, "/api/products/all").send(&host);
    let etag = header(&first, "etag").unwrap().to_owned();
    let answer = visit(PARIS, "/api/products/all").with("If-None-Match", &etag).send(&host);
    assert_eq!((answer.status.as_u16(), answer.body.len()), (304, 0));
    assert_eq!(header(&answer, "etag"), Some(etag.as_str()));
    assert_eq!(header(&answer, "vary"), Some("Edge-Variant"));
    let asked = host.asked.borrow();
    assert!(!asked[0].headers.contains_key("if-none-match"), "it would be in the key");
}

#[test]
fn logs_carry_no_personal_data() {
    let host = shop(echo);
    let request = visit(PARIS, "/search/x?email=canary-query")
        .with("Cookie", "sid=canary-cookie")
        .with("User-Agent", "Mozilla/5.0 (canary-client) Firefox/145.0");
    let answer = request.with("X-User-ID", "canary-user").with("Authorization", "Bearer canary-token").send(&host);
    assert_eq!(answer.status, 200);
    let lines = host.lines.borrow();
    assert!(lines.iter().any(|(endpoint, _)| *endpoint == Endpoint::Decisions));
    for (_, line) in lines.iter() {
        assert!(!line.contains("canary") && !line.contains("192.0.2.1"), "{line}");
    }
}

#[test]
fn options_with_a_body_is_never_shared() {
    for route in [
        serde_json::json!({ "id": "a", "path": "/a", "cache": { "ttl": 60 }, "methods": ["GET", "HEAD", "OPTIONS"], "rewrite": { "path": "/{region.slug}" } }),
        serde_json::json!({ "id": "a", "path": "/a", "action": "passthrough", "methods": ["OPTIONS"] }),
        serde_json::json!({ "id": "a", "path": "/elsewhere" }),
    ] {
        let host = shop(|asked| ok(&String::from_utf8_lossy(&asked.body)));
        host.set("routes", &serde_json::json!({ "routes": [route] }));
        for body in ["one", "two"] {
            let answer = visit(PARIS, "/a").by("OPTIONS").body(body).send(&host);
            assert_eq!(text(&answer), body);
        }
        let asked = host.asked.borrow();
        assert!(asked.iter().all(|asked| asked.caching == Caching::Pass), "{route}: {asked:?}");
    }
}

#[test]
fn a_body_on_a_shared_get_goes_nowhere() {
    let host = shop(echo);
    for body in ["one", "two"] {
        visit(PARIS, "/api/products/all").body(body).send(&host);
    }
    let asked = host.asked.borrow();
    assert!(asked.iter().all(|asked| asked.body.is_empty() && matches!(asked.caching, Caching::Keyed { .. })));
    assert_eq!(bytes(&asked[0]), bytes(&asked[1]));
}

#[test]
fn no_origin_sees_the_edges_own_cookies_on_a_shared_request_not_even_by_name() {
    let host = shop(echo);
    host.set(
        "routes",
        &serde_json::json!({ "routes": [{ "id": "a", "path": "/a", "rewrite": { "path": "/b" },
            "cache": { "ttl": 60, "key_cookies": ["ep_vid", "ep_sticky", "theme"] } }] }),
    );
    let cookies = "ep_vid=00000000000000000000000000000abc; theme=dark; ep_sticky=a; other=1";
    visit(NEW_YORK, "/a").with("Cookie", cookies).send(&host);
    assert_eq!(host.asked.borrow()[0].headers["cookie"], "theme=dark");
}
