//! Promise 17: with the kill switch on, a visitor gets the origin's own answer: status, headers and bytes, apart from what belongs to
//! one connection. Every request goes to the demo shop twice: straight, and through the edge.
#![allow(clippy::indexing_slicing, reason = "what is missing in a JSON value is null, and a surprise ends the test")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may stop at a surprise")]

use std::collections::BTreeMap;

use e2e::visitors::{NOWHERE, PARIS};
use e2e::{Answer, Behaviour, Connection, Edge, Request};
use serde_json::json;

/// What belongs to one connection (RFC 9110 section 7.6.1), and the clock.
const OF_THE_HOP: [&str; 5] = ["connection", "keep-alive", "transfer-encoding", "te", "date"];

/// Everything of an answer that a visitor can tell.
fn told(answer: &Answer) -> (u16, BTreeMap<String, Vec<String>>, Vec<u8>, bool) {
    let mut headers: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in &answer.headers {
        let name = name.to_ascii_lowercase();
        if !OF_THE_HOP.contains(&name.as_str()) {
            headers.entry(name).or_default().push(value.escape_ascii().to_string());
        }
    }
    (answer.status, headers, answer.body.clone(), answer.complete)
}

fn odd(status: u16, headers: &[(&str, &str)], body: &str) -> Behaviour {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Behaviour::Answer { status, headers, body: body.as_bytes().to_vec() }
}

/// Requests for all that HTTP has: what, and the request.
fn requests() -> Vec<(String, Request)> {
    let get = |target: &str| Request::get(target);
    let mut all: Vec<(String, Request)> = vec![
        ("HTML".into(), get("/")),
        ("HTML of 42 kB".into(), get("/page/42k")),
        ("JSON".into(), get("/api/products?n=100")),
        ("a route of the rules".into(), get("/api/products/all?a=1&a=2")),
        ("a page of the rules".into(), get("/shop")),
        ("a style sheet".into(), get("/style.css")),
        ("gzip".into(), get("/gzip/page/42k").header("Accept-Encoding", "gzip, br")),
        ("gzip where it wasn't asked for".into(), get("/gzip/api/products?always=1")),
        ("no gzip".into(), get("/gzip/api/products").header("Accept-Encoding", "identity")),
        ("an ETag".into(), get("/etag/page")),
        ("a part".into(), get("/range").header("Range", "bytes=10-19")),
        ("the last part".into(), get("/range").header("Range", "bytes=-5")),
        ("a part that isn't there".into(), get("/range").header("Range", "bytes=5000-")),
        ("chunks".into(), get("/chunks?n=5&ms=10")),
        ("two cookies on a public page".into(), get("/set-cookie")),
        ("HEAD".into(), Request::new("HEAD", "/")),
        ("HEAD of 42 kB".into(), Request::new("HEAD", "/page/42k")),
        ("HEAD of gzip".into(), Request::new("HEAD", "/gzip/page/42k").header("Accept-Encoding", "gzip")),
        ("HEAD of nothing".into(), Request::new("HEAD", "/nothing")),
        ("OPTIONS".into(), Request::new("OPTIONS", "/")),
        (
            "POST".into(),
            Request::new("POST", "/cart").header("Content-Type", "application/json").body("{\"sku\":\"P0001\"}"),
        ),
        ("PUT".into(), Request::new("PUT", "/nothing").body("x".repeat(100_000))),
        ("DELETE".into(), Request::new("DELETE", "/cart")),
        (
            "headers of all sorts".into(),
            get(
                "/headers?h=Vary:Origin&h=Vary:Accept&h=Cache-Control:public,s-maxage=9&h=Surrogate-Control:max-age=9&h=Surrogate-Key:a+b&h=X-Empty:&h=Edge-Variant:the+origin's&h=Server-Timing:db;dur=1",
            ),
        ),
        ("a header beyond ASCII".into(), get("/headers?h=X-Name:caf%C3%A9&h=X-Latin:caf%E9")),
        (
            "links and a policy".into(),
            get(
                "/headers?h=Link:%3C/a%3E;rel=preload&h=Content-Security-Policy:default-src+'self'&h=Set-Cookie:a=1&h=Set-Cookie:b=2",
            ),
        ),
        ("a body in no known coding".into(), get("/headers?h=Content-Encoding:zstd")),
    ];
    for status in
        [201, 202, 204, 205, 301, 302, 303, 307, 308, 400, 401, 403, 404, 405, 410, 418, 429, 500, 501, 502, 503, 504]
    {
        all.push((format!("status {status}"), get(&format!("/answers/{status}"))));
    }
    all
}

#[test]
fn switched_off_the_edge_changes_nothing() {
    let edge = Edge::demo().entry("active", &json!({ "enabled": false, "revision": "r1" }).to_string()).start();
    for status in [201, 202, 400, 401, 403, 404, 405, 410, 418, 429, 500, 501, 502, 503, 504] {
        let headers = [
            ("Content-Type", "text/plain"),
            ("Retry-After", "7"),
            ("WWW-Authenticate", "Basic"),
            ("Allow", "GET"),
            ("Cache-Control", "public, max-age=5"),
        ];
        edge.origin().on(&format!("/answers/{status}"), odd(status, &headers, "in the shop's own words"));
    }
    for status in [301, 302, 303, 307, 308] {
        edge.origin().on(
            &format!("/answers/{status}"),
            odd(status, &[("Location", "https://elsewhere.example/a?b=%20#c"), ("Vary", "Cookie")], "moved"),
        );
    }
    for status in [204, 205] {
        edge.origin()
            .on(&format!("/answers/{status}"), odd(status, &[("X-Note", "nothing follows"), ("ETag", "W/\"a\"")], ""));
    }
    let mut requests = requests();
    // A visitor who has the page already, by the origin's own tag.
    let tag = straight(&edge, &Request::get("/etag/page")).header("etag").unwrap();
    requests.push(("304".into(), Request::get("/etag/page").header("If-None-Match", &tag)));
    requests
        .push(("304 of several".into(), Request::get("/etag/page").header("If-None-Match", format!("\"x\", W/{tag}"))));
    requests.push(("not 304".into(), Request::get("/etag/page").header("If-None-Match", "\"x\"")));
    let mut different = Vec::new();
    for (what, request) in &requests {
        let own = told(&straight(&edge, request));
        for visitor in [PARIS, NOWHERE] {
            // With everything that would otherwise be personalized.
            let cookie = "ep_vid=00000000000000000000000000000001; consent=yes";
            let asked = request
                .clone()
                .header("Cookie", cookie)
                .header("User-Agent", "Mozilla/5.0 Firefox/145.0")
                .header("X-Geo-Region", "APAC");
            let through = told(&edge.visitor(visitor).transparent().send(&asked));
            if through != own {
                different.push(format!("{what}:\nthe origin: {own:?}\nthe edge:   {through:?}"));
            }
        }
    }
    println!(
        "{} requests of {} kinds, straight and through the edge: differences {}",
        requests.len() * 2,
        requests.len(),
        different.len()
    );
    assert!(different.is_empty(), "{}", different.join("\n\n"));
    assert!(edge.errors().is_empty(), "{:#?}", edge.errors());
}

#[test]
fn switched_off_the_origin_is_asked_as_the_client_asked() {
    let edge = Edge::demo().entry("active", "{\"enabled\":false}").start();
    let body = "a=1".repeat(5_000);
    for (method, target) in [
        ("GET", "/echo/a%2Fb//c;d=e?q=1&q=2&utm_source=x&"),
        ("POST", "/echo/order?a=1"),
        ("PATCH", "/api/products/all"),
    ] {
        let request = Request::new(method, target)
            .header("Cookie", "sid=1; theme=dark")
            .header("X-Odd", b"caf\xe9")
            .header("Accept", "a")
            .header("Accept", "b");
        let request = request
            .header("Authorization", "Basic YTpi")
            .header("Range", "bytes=0-1")
            .header("Accept-Encoding", "br;q=0.5, gzip");
        let request = if method == "GET" { request } else { request.body(&body) };
        assert!(edge.visitor(PARIS).transparent().send(&request).complete);
        let sent = edge.origin().last_request().unwrap();
        assert_eq!((sent.method.as_str(), sent.target.as_str()), (method, target));
        if method != "GET" {
            assert_eq!(sent.body_length, body.len());
        }
        for (name, lines) in [
            ("cookie", vec!["sid=1; theme=dark"]),
            ("x-odd", vec![r"caf\xe9"]),
            ("accept", vec!["a", "b"]),
            ("authorization", vec!["Basic YTpi"]),
            ("range", vec!["bytes=0-1"]),
            ("accept-encoding", vec!["br;q=0.5, gzip"]),
        ] {
            assert_eq!(sent.header_lines(name), lines, "{method} {name}");
        }
        for name in ["edge-variant", "x-geo-region", "edge-visitor-id", "edge-session"] {
            assert_eq!(sent.header(name), None, "{method} {name}");
        }
    }
}

/// The host is asked with buffers that fit most requests, and again with larger ones: URL, a value, all names together.
#[test]
fn what_no_first_buffer_holds_arrives_whole() {
    let edge = Edge::demo().entry("active", "{\"enabled\":false}").start();
    let target = format!("/echo/{}?q={}", "p".repeat(2_000), "v".repeat(2_000));
    let (short, long, longer) = ("s".repeat(10), "l".repeat(600), "m".repeat(7_000));
    let names: Vec<String> = (0..60).map(|number| format!("x-a-name-of-some-thirty-letters-{number}")).collect();
    let request = [&short, &longer, &long]
        .into_iter()
        .fold(Request::new("GET", &target), |request, value| request.header("X-Value", value));
    let request = names.iter().fold(request.header("X-Empty", ""), |request, name| request.header(name, name));
    assert_eq!(edge.visitor(PARIS).transparent().send(&request).status, 200);
    let sent = edge.origin().last_request().unwrap();
    assert_eq!(sent.target, target);
    assert_eq!(sent.header_lines("x-value"), [short, longer, long]);
    assert_eq!(sent.header_lines("x-empty"), [""]);
    for name in &names {
        assert_eq!(sent.header_lines(name), [name.as_str()]);
    }
}

#[test]
fn switched_off_a_body_streams_as_it_comes() {
    let edge = Edge::demo().entry("active", "{\"enabled\":false}").start();
    let answer = edge.visitor(PARIS).transparent().get_by_halves("/page/42k", 20_000);
    assert!(answer.complete);
}

/// The shop's own answer.
fn straight(edge: &Edge, request: &Request) -> Answer {
    Connection::open(NOWHERE.address, edge.origin().address()).unwrap().send(request).unwrap()
}
