//! Promise 11 through the real service: no client is told that it has a variant which it doesn't have; parts, empty answers and HEAD stay
//! right; a rewritten page streams.
#![allow(clippy::indexing_slicing, reason = "what is missing in a JSON value is null, and a surprise ends the test")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may stop at a surprise")]

use std::time::Duration;

use e2e::visitors::{NEW_YORK, PARIS};
use e2e::{Answer, Behaviour, Connection, Edge, Request};
use serde_json::{Value, json};

fn rules() -> Value {
    let html = json!([{ "select": "h1", "inner": "{{ region.slug }}" }]);
    json!({
        "settings": { "limits": { "json_bytes": 200 } },
        "regions": { "default": { "id": "DEFAULT_REGION", "slug": "global" }, "regions": [
            { "id": "US", "slug": "us", "when": { "country": "US" } }, { "id": "EU", "slug": "eu", "when": { "continent": "EU" } } ] },
        "routes": { "routes": [
            { "id": "shared", "path": "/etag/shared.html", "cache": { "ttl": 60 }, "html": html },
            { "id": "own", "path": "/etag/own.html", "html": html },
            { "id": "shared-path", "path": "/pages/shared", "rewrite": { "path": "/etag-of-all/{region.slug}.html" }, "cache": { "ttl": 60 } },
            { "id": "own-path", "path": "/pages/own", "rewrite": { "path": "/etag-of-all/{region.slug}.html" } },
            { "id": "range", "path": "/range", "request_headers": { "set": { "X-Region": "{region.id}" } } },
            { "id": "home", "path": "/", "cache": { "ttl": 60 }, "html": html },
            { "id": "gzip", "path": "/gzip/", "cache": { "ttl": 60 }, "html": html },
            { "id": "page", "path": "/page/42k", "html": [{ "select": "li.card h3", "append": " ({{ region.slug }})" }] } ] }
    })
}

fn conditional(edge: &Edge, method: &str, path: &str, tag: &str) -> Answer {
    edge.visitor(NEW_YORK).send(&Request::new(method, path).header("If-None-Match", tag))
}

fn etag(answer: &Answer) -> String {
    answer.header("etag").unwrap_or_else(|| panic!("no ETag on {answer:#?}"))
}

#[test]
fn nobody_is_told_that_they_have_what_they_do_not_have() {
    let edge = Edge::with_rules(&rules()).start();
    let (mut asked, mut right, mut wrong) = (0, 0, Vec::new());
    for path in ["/etag/shared.html", "/etag/own.html", "/pages/shared", "/pages/own"] {
        let here = edge.visitor(NEW_YORK).get(path);
        let there = edge.visitor(PARIS).get(path);
        assert!(here.text().contains("us") && there.text().contains("eu"), "{path}: {}", here.text());
        let (mine, other) = (etag(&here), etag(&there));
        let behind = edge.origin().last_request().map(|request| request.target).unwrap();
        let mut direct = Connection::open(NEW_YORK.address, edge.origin().address()).unwrap();
        let origins = direct.send(&Request::get(&behind)).unwrap();
        assert_ne!(mine, other, "{path}: two variants, two tags");
        let cases = [
            ("mine", mine.clone(), true),
            ("mine in a list", format!("\"a\", {mine}"), true),
            ("mine, said strongly", mine.trim_start_matches("W/").to_owned(), true),
            ("the other variant's", other, false),
            ("the origin's own", etag(&origins), false),
            ("the deployment's", "\"deployment-7\"".to_owned(), false),
            ("nonsense", "deployment-7".to_owned(), false),
        ];
        for (name, tag, has_it) in &cases {
            for method in ["GET", "HEAD"] {
                let answer = conditional(&edge, method, path, tag);
                asked += 1;
                right += usize::from(answer.status == 304 && *has_it);
                if (answer.status == 304) != *has_it {
                    wrong.push(format!("{method} {path} with {name}: {}", answer.status));
                }
                assert!(answer.complete, "{answer:#?}");
                if answer.status == 304 {
                    assert_eq!((etag(&answer), answer.body.len()), (mine.clone(), 0));
                    assert!(answer.list("vary").contains(&"edge-variant".to_owned()), "{answer:#?}");
                } else if method == "GET" {
                    assert_eq!(answer.body, here.body, "{path} with {name}");
                }
            }
        }
        let head = edge.visitor(NEW_YORK).send(&Request::new("HEAD", path));
        assert_eq!((head.status, etag(&head), head.header("content-type")), (200, mine, here.header("content-type")));
    }
    println!("{asked} conditional requests, {right} rightly answered 304, wrong: {}", wrong.len());
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn parts_and_empty_answers_are_left_as_they_are() {
    let edge = Edge::with_rules(&rules()).start();
    let visitor = edge.visitor(NEW_YORK);
    let part = visitor.send(&Request::get("/range").header("Range", "bytes=10-19"));
    assert_eq!((part.status, part.text().as_str()), (206, "0123456789"));
    assert_eq!(part.header("content-range").as_deref(), Some("bytes 10-19/1000"));
    let beyond = visitor.send(&Request::get("/range").header("Range", "bytes=5000-"));
    assert_eq!(beyond.status, 416);
    // A page that is rewritten has no parts: the whole comes.
    let whole = visitor.send(&Request::get("/").header("Range", "bytes=0-9"));
    assert_eq!((whole.status, whole.header("accept-ranges"), whole.header("content-range")), (200, None, None));
    assert!(whole.text().contains("<h1>us</h1>"));
    assert_eq!(edge.origin().last_request().unwrap().header("range"), None);
    let html = |status, body: &str, more: (&str, &str)| Behaviour::Answer {
        status,
        headers: vec![("content-type".to_owned(), "text/html".to_owned()), (more.0.to_owned(), more.1.to_owned())],
        body: body.as_bytes().to_vec(),
    };
    edge.origin().on("/", html(204, "", ("x-a", "b")));
    let empty = visitor.get("/");
    assert_eq!((empty.status, empty.body.len(), empty.complete), (204, 0, true));
    edge.origin().on("/", html(206, "<h1>a", ("content-range", "bytes 0-4/50")));
    let unasked = visitor.get("/");
    assert_eq!((unasked.status, unasked.text().as_str()), (206, "<h1>a"), "a part is not rewritten");
    edge.origin().on("/", html(200, "not brotli <h1>x</h1>", ("content-encoding", "br")));
    let brotli = visitor.send(&Request::get("/").header("Accept-Encoding", "br"));
    assert_eq!((brotli.status, brotli.text().as_str()), (200, "not brotli <h1>x</h1>"), "untouched");
    assert_eq!(brotli.header("content-encoding").as_deref(), Some("br"));
    let logged = edge.logs().wait("decisions", 0, Duration::from_secs(20), |line| {
        line["errors"].as_array().is_some_and(|codes| codes.iter().any(|code| code == "body-encoded"))
    });
    assert!(logged.is_some(), "an encoded body is logged");
    edge.origin().behave();
    let gzip = visitor.send(&Request::get("/gzip/").header("Accept-Encoding", "gzip, br"));
    assert_eq!((gzip.status, gzip.header("content-encoding")), (200, None), "decoded");
    assert!(gzip.text().contains("<h1>us</h1>"), "{}", gzip.text());
    assert_eq!(edge.origin().last_request().unwrap().header("accept-encoding"), Some("gzip"));
}

#[test]
fn a_rewritten_page_starts_before_the_origin_has_ended_and_never_ends_early() {
    let edge = Edge::with_rules(&rules()).start();
    let visitor = edge.visitor(NEW_YORK);
    let plain = visitor.get("/page/42k");
    assert!(plain.text().matches("(us)").count() > 50, "{}", plain.text());
    let slow = visitor.get_by_halves("/page/42k", 10_000);
    assert_eq!((slow.complete, &slow.body), (true, &plain.body));
    edge.origin().on("/page/42k", Behaviour::Chunks { count: 400, every: Duration::ZERO });
    assert_eq!(visitor.get("/page/42k").body, plain.body, "however the bytes come");
    for broken in [Behaviour::Truncate, Behaviour::ResetBody] {
        edge.origin().on("/page/42k", broken.clone());
        let cut = visitor.try_send(&Request::get("/page/42k"));
        assert!(cut.as_ref().map_or(true, |answer| !answer.complete), "{broken:?}: half a page looks whole");
    }
    edge.origin().behave();
    // Bytes that no browser would take for a page: they all come through.
    let odd = [&b"<h1>x</h1>\0\xff\xfe<p <<>></h1"[..], "é".repeat(9_000).as_bytes(), &b"<!-- never closed <h1>"[..]]
        .concat();
    let headers = vec![("content-type".to_owned(), "text/html; charset=utf-8".to_owned())];
    edge.origin().on("/", Behaviour::Answer { status: 200, headers, body: odd.clone() });
    let answer = visitor.get("/");
    assert!(answer.complete && answer.body.starts_with(b"<h1>us</h1>"), "{:?}", &answer.body[..30]);
    assert!(answer.body.ends_with(b"<!-- never closed <h1>"));
}

#[test]
fn a_page_beyond_its_vcpu_budget_ends_with_the_rest_unrewritten() {
    let mut rules = rules();
    rules["settings"]["limits"]["vcpu_ms"] = 0.into();
    let edge = Edge::with_rules(&rules).start();
    let answer = edge.visitor(NEW_YORK).get("/page/42k");
    let text = answer.text();
    assert!(answer.complete && text.trim_end().ends_with("</html>"), "the page is whole");
    assert_eq!(text.matches("(us)").count(), 0, "and unrewritten from the first byte, for the budget is nothing");
    assert_eq!(edge.decision()["errors"], json!(["html-budget"]));
}
