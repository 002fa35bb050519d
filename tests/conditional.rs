//! Promise 11: conditional requests stay right. An origin may give all its pages one `ETag` and one date; a client that has one variant
//! must never be told that it has another.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may stop at a surprise")]
#![allow(clippy::indexing_slicing, reason = "what is missing in a JSON value is null, and a surprise ends the test")]

mod support;

use edge_personalizer::platform::memory::{Answer, Asked, Memory, Received};
use http::{HeaderMap, StatusCode};
use serde_json::json;
use support::{NEW_YORK, PARIS, header, path_of, shop, text, visit};

const DATE: &str = "Tue, 24 Nov 2026 00:00:00 GMT";

/// An origin that deploys all pages at once: one `ETag` and one date for each of them.
fn same_tag(asked: &Asked) -> Answer {
    let mut headers = HeaderMap::new();
    headers.insert("etag", "\"v1\"".parse().unwrap());
    headers.insert("last-modified", DATE.parse().unwrap());
    let has =
        |name: &str, value: &str| asked.headers.get(name).is_some_and(|sent| sent.to_str().unwrap().contains(value));
    let tagged = asked.headers.contains_key("if-none-match");
    if has("if-none-match", "\"v1\"") || has("if-none-match", "*") || (!tagged && has("if-modified-since", "Nov 2026"))
    {
        return Ok((StatusCode::NOT_MODIFIED, headers, Vec::new()));
    }
    let whole = format!("<h1>{}</h1>", path_of(&asked.url));
    headers.insert("content-type", "text/html".parse().unwrap());
    headers.insert("accept-ranges", "bytes".parse().unwrap());
    let in_range = match asked.headers.get("if-range") {
        Some(condition) => condition == "\"v1\"" || condition == DATE,
        None => true,
    };
    if has("range", "bytes=0-3") && in_range {
        headers.insert("content-range", format!("bytes 0-3/{}", whole.len()).parse().unwrap());
        return Ok((StatusCode::PARTIAL_CONTENT, headers, whole.as_bytes()[..4].to_vec()));
    }
    headers.insert("content-length", whole.len().into());
    let body = if asked.method == http::Method::HEAD { Vec::new() } else { whole.into_bytes() };
    Ok((StatusCode::OK, headers, body))
}

/// A page by path, by feature header alone, and rewritten; each shared and private, and each with a fallback.
fn pages() -> Memory {
    let host = shop(same_tag);
    let html = json!([{ "select": "h1", "append": " {{ region.slug }}" }]);
    let mut routes = Vec::new();
    for shared in [true, false] {
        let name = if shared { "shared" } else { "own" };
        let mut add = |kind: &str, mut route: serde_json::Value| {
            route["id"] = format!("{name}-{kind}").into();
            route["path"] = format!("/{name}/{kind}").into();
            if shared {
                route["cache"] = json!({ "ttl": 60 });
            }
            routes.push(route);
        };
        add("path", json!({ "rewrite": { "path": "/p/{region.slug}" } }));
        add("query", json!({ "rewrite": { "set_query": { "r": "{region.slug}" } } }));
        add("header", json!({ "request_headers": { "set": { "X-Region": "{region.id}" } } }));
        add("html", json!({ "html": html }));
        add("both", json!({ "rewrite": { "path": "/p/{region.slug}" }, "html": html }));
    }
    host.set("routes", &json!({ "routes": routes }));
    host
}

fn paths() -> impl Iterator<Item = String> {
    ["shared", "own"].into_iter().flat_map(|name| {
        ["path", "query", "header", "html", "both"].into_iter().map(move |kind| format!("/{name}/{kind}"))
    })
}

fn etag(answer: &Received) -> String {
    header(answer, "etag").unwrap().to_owned()
}

#[test]
fn nobody_is_told_that_they_have_a_variant_which_they_do_not_have() {
    let (mut asked, mut not_modified, mut wrong) = (0, 0, Vec::new());
    for path in paths() {
        let host = pages();
        let here = visit(NEW_YORK, &path).send(&host);
        let there = visit(PARIS, &path).send(&host);
        let (mine, other) = (etag(&here), etag(&there));
        let strong = mine.trim_start_matches("W/").to_owned();
        let list = format!("\"x\", {other} , {mine}");
        let cases = [
            ("mine", mine.as_str(), true),
            ("mine, strong", &strong, true),
            ("a list with mine", &list, true),
            ("the other variant's", &other, false),
            ("the origin's own", "\"v1\"", false),
            ("the origin's own, weak", "W/\"v1\"", false),
            ("nonsense", "v1", false),
        ];
        for method in ["GET", "HEAD"] {
            for (name, tag, right) in cases {
                let answer = visit(NEW_YORK, &path)
                    .by(method)
                    .with("if-none-match", tag)
                    .with("if-modified-since", DATE)
                    .send(&host);
                asked += 1;
                not_modified += usize::from(answer.status == 304);
                if (answer.status == 304) != right {
                    wrong.push(format!("{method} {path} with {name}: {}", answer.status));
                }
                if answer.status == 304 {
                    assert_eq!((etag(&answer), answer.body.len()), (mine.clone(), 0), "{method} {path}");
                    assert_eq!(header(&answer, "vary"), Some("Edge-Variant"), "{method} {path}");
                } else if method == "GET" {
                    assert_eq!(text(&answer), text(&here), "{path} with {name}");
                }
            }
            let by_date = visit(NEW_YORK, &path).by(method).with("if-modified-since", DATE).send(&host);
            if by_date.status == 304 {
                wrong.push(format!("{method} {path} by date alone"));
            }
        }
        assert_ne!(mine, other, "{path}: two variants, two tags");
    }
    println!("{asked} conditional requests, {not_modified} rightly answered 304, wrong: {}", wrong.len());
    assert!(not_modified > 0);
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_head_says_what_a_get_would() {
    for path in paths() {
        let host = pages();
        let get = visit(NEW_YORK, &path).send(&host);
        let head = visit(NEW_YORK, &path).by("HEAD").send(&host);
        assert_eq!((head.status.as_u16(), head.body.len()), (200, 0), "{path}");
        for name in
            ["etag", "vary", "edge-variant", "cache-control", "content-length", "last-modified", "accept-ranges"]
        {
            assert_eq!(header(&head, name), header(&get, name), "{name} of {path}");
        }
    }
}

#[test]
fn a_part_is_never_of_another_variant_than_the_parts_before() {
    for path in paths() {
        let host = pages();
        let whole = visit(NEW_YORK, &path).send(&host);
        let other = etag(&visit(PARIS, &path).send(&host));
        for condition in [other.as_str(), "\"v1\"", DATE, &etag(&whole)] {
            let answer = visit(NEW_YORK, &path).with("range", "bytes=0-3").with("if-range", condition).send(&host);
            assert_eq!((answer.status.as_u16(), text(&answer)), (200, text(&whole)), "{path} if-range {condition}");
        }
        // A part that is asked for without a condition may be had where nothing is rewritten: it passes the cache.
        let part = visit(NEW_YORK, &path).with("range", "bytes=0-3").send(&host);
        let rewritten = path.ends_with("html") || path.ends_with("both");
        let expected = if rewritten { 200 } else { 206 };
        assert_eq!(part.status.as_u16(), expected, "{path}");
    }
}

#[test]
fn a_change_that_depends_on_what_the_client_has_is_made_to_that_alone() {
    let host = pages();
    host.set("routes", &json!({ "routes": [{ "id": "a", "path": "/a", "methods": ["GET", "PUT"], "rewrite": { "path": "/p/{region.slug}" } }] }));
    let mine = etag(&visit(NEW_YORK, "/a").send(&host));
    visit(NEW_YORK, "/a").by("PUT").with("if-match", &mine).send(&host);
    assert_eq!(host.asked.borrow().last().unwrap().headers["if-match"], "\"v1\"");
    visit(PARIS, "/a").by("PUT").with("if-match", &mine).send(&host);
    assert_eq!(host.asked.borrow().last().unwrap().headers["if-match"], mine.as_str(), "nothing the origin knows");
}

#[test]
fn no_condition_of_a_write_gets_lost() {
    for more in [json!({}), json!({ "html": [{ "select": "h1", "append": "!" }] })] {
        let host = pages();
        let mut route = json!({ "id": "a", "path": "/a", "methods": ["GET", "PUT", "POST"], "rewrite": { "path": "/p/{region.slug}" } });
        route.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        host.set("routes", &json!({ "routes": [route] }));
        for method in ["PUT", "POST"] {
            for (name, value) in
                [("if-match", "\"zzz\""), ("if-match", "*"), ("if-none-match", "*"), ("if-unmodified-since", DATE)]
            {
                visit(NEW_YORK, "/a").by(method).with(name, value).send(&host);
                assert_eq!(host.asked.borrow().last().unwrap().headers[name], value, "{method} {more}");
            }
        }
    }
}

#[test]
fn two_users_on_one_browser_have_two_pages() {
    use support::sessions::{by_user, store};
    for html in [json!([]), json!([{ "select": "h1", "append": "!" }])] {
        let host = store(same_tag);
        host.set(
            "routes",
            &json!({ "routes": [{ "id": "a", "path": "/me", "rewrite": { "path": "/u/{user.id}" }, "html": html }] }),
        );
        let alice = etag(&by_user("alice", "/me").send(&host));
        assert_eq!(by_user("alice", "/me").with("if-none-match", &alice).send(&host).status, 304);
        assert_eq!(by_user("bob", "/me").with("if-none-match", &alice).send(&host).status, 200);
    }
}

#[test]
fn what_passes_through_keeps_the_origins_own_conditions() {
    let host = pages();
    for target in ["/no-route", "/elsewhere?x=1"] {
        let first = visit(NEW_YORK, target).send(&host);
        assert_eq!(etag(&first), "\"v1\"");
        assert_eq!(visit(NEW_YORK, target).with("if-none-match", "\"v1\"").send(&host).status, 304);
        assert_eq!(visit(NEW_YORK, target).with("if-modified-since", DATE).send(&host).status, 304);
    }
}

#[test]
fn a_player_gets_its_part_below_pages_that_are_rewritten_and_nobody_a_page_past_its_rules() {
    let host = shop(same_tag);
    host.set(
        "routes",
        &json!({ "routes": [
            { "id": "own", "path": "/own/*", "html": [{ "select": "h1", "append": "!" }] },
            { "id": "shared", "path": "/shared/*", "cache": { "ttl": 60 }, "html": [{ "select": "h1", "append": "!" }] } ] }),
    );
    for route in ["own", "shared"] {
        let ask = |path: &str, dest: &str| {
            let request = visit(PARIS, &format!("/{route}/{path}")).with("range", "bytes=0-3");
            let answer = request.with("sec-fetch-dest", dest).send(&host);
            (answer.status.as_u16(), text(&answer))
        };
        for path in ["film.mp4", "FILM.MP4", "a/song.mp3"] {
            assert_eq!(ask(path, "video"), (206, "<h1>".to_owned()), "{route} {path}");
        }
        for (path, dest) in [("page", "video"), ("film.mp4", "document"), ("page.mp4/x", "audio")] {
            let (status, text) = ask(path, dest);
            assert!(status == 200 && text.ends_with("!</h1>"), "{route} {path} {dest}: {status} {text}");
        }
    }
}
