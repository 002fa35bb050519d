//! Requests that no browser makes.

use e2e::Request;
use e2e::visitors::PARIS;

use super::{Stand, gets};

/// Sends them.
pub fn odd(stand: &mut Stand) {
    odd_headers(stand);
    odd_paths(stand);
    refused(stand);
}

fn odd_headers(stand: &mut Stand) {
    let bytes = b"caf\xe9 \xff\xfe";
    for (name, target) in [
        ("X-Odd", "/echo/x"),
        ("Accept-Language", "/search/tea"),
        ("User-Agent", "/"),
        ("Cookie", "/"),
        ("Referer", "/api/products/all"),
        ("X-Geo-Region", "/api/products/all"),
        ("X-User-ID", "/echo/x"),
        ("Accept-Encoding", "/search/tea"),
        ("If-None-Match", "/"),
        ("traceparent", "/search/tea"),
        ("Sec-GPC", "/"),
    ] {
        let request = Request::get(target).header(name, bytes);
        stand.meets(&format!("{name} that isn't UTF-8"), PARIS, &request, &gets(200, "", "\"status\":200"));
    }
    let echo = Request::get("/echo/x").header("X-Odd", bytes);
    assert_eq!(stand.edge.visitor(PARIS).send(&echo).status, 200);
    let seen = stand.edge.origin().last_request().unwrap();
    assert_eq!(seen.header("x-odd"), Some(r"caf\xe9 \xff\xfe"), "a passed-through header keeps its bytes");
    let many = (0..100).fold(Request::get("/search/tea"), |request, n| request.header(format!("X-{n}"), "1"));
    stand.meets("a hundred headers more", PARIS, &many, &gets(200, "/echo/search/tea", "\"status\":200"));
}

fn odd_paths(stand: &mut Stand) {
    // What the client asks for, and what the shop is asked for.
    let paths = [
        ("//", "/search//a//b", "/echo/search//a//b?lang=en&region=EU%2DWEST"),
        ("%2F", "/search/a%2Fb", "/echo/search/a%2Fb?lang=en&region=EU%2DWEST"),
        (";x=y", "/search/a;x=y", "/echo/search/a;x=y?lang=en&region=EU%2DWEST"),
        ("..", "/search/x/../a", "/echo/search/a?lang=en&region=EU%2DWEST"),
        ("%2e%2e", "/search/x/%2e%2e/a", "/echo/search/a?lang=en&region=EU%2DWEST"),
        ("%zz", "/search/%zz", "/echo/search/%zz?lang=en&region=EU%2DWEST"),
        (
            "duplicate query keys",
            "/search/a?q=1&q=2&utm_x=0&q=1",
            "/echo/search/a?q=1&q=2&q=1&lang=en&region=EU%2DWEST",
        ),
        ("an empty query", "/search/a?", "/echo/search/a?lang=en&region=EU%2DWEST"),
        ("a forged parameter", "/search/a?l%61ng=xx&region=X", "/echo/search/a?lang=en&region=EU%2DWEST"),
        ("// on no route", "/echo//a//b?q=1&q=2", "/echo//a//b?q=1&q=2"),
        ("%2F on no route", "/echo/a%2Fb;x=y", "/echo/a%2Fb;x=y"),
        ("8 kB of URL", &format!("/echo/{}", "a".repeat(8_000)), &format!("/echo/{}", "a".repeat(8_000))),
    ];
    for (name, target, asked) in paths {
        let answer = stand.meets(name, PARIS, &Request::get(target), &gets(200, "", "\"status\":200"));
        assert_eq!(answer.json()["target"], asked, "{name}");
        let row = stand.rows.last_mut().unwrap();
        row.visitor.push_str(&asked.chars().take(60).collect::<String>());
    }
}

fn refused(stand: &mut Stand) {
    let before = stand.edge.origin().requests().len();
    let long = "a".repeat(9_000);
    let many = (0..200).fold(Request::get("/search/tea"), |request, n| request.header(format!("X-{n}"), "1"));
    let cases = [
        ("200 headers", many, gets(431, "", "headers-too-large")),
        ("a header of 9 kB", Request::get("/").header("X-Long", &long), gets(431, "", "headers-too-large")),
        ("9 kB of URL", Request::get(format!("/{long}")), gets(414, "", "url-too-long")),
        ("9 kB of query", Request::get(format!("/?{long}")), gets(414, "", "url-too-long")),
        ("%00", Request::get("/search/a%00b"), gets(400, "", "bad-path")),
        ("%0d%0a in the query", Request::get("/search/a?b=%0d%0aSet-Cookie:x"), gets(400, "", "bad-path")),
        ("a host that can't be one", Request::get("/").header("Host", "a$b"), gets(400, "", "bad-host")),
        ("TRACE", Request::new("TRACE", "/"), gets(405, "", "method-not-allowed")),
        ("our own name in CDN-Loop", Request::get("/").header("CDN-Loop", "edge-personalizer"), gets(508, "", "loop")),
    ];
    for (name, request, expected) in cases {
        let answer = stand.meets(name, PARIS, &request, &expected);
        assert_eq!(answer.list("cache-control"), ["no-store"], "{name}");
    }
    assert_eq!(stand.edge.origin().requests().len(), before, "what is refused goes nowhere");
}
