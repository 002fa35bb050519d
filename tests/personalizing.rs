//! Every example of `docs/PERSONALIZING.md` is a route that compiles, without a fault.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at a surprise")]

mod support;

use edge_personalizer::condition::PatternBudget;
use edge_personalizer::platform::Endpoint;
use edge_personalizer::platform::memory::Memory;
use edge_personalizer::rules::route::{Beside, Route};
use edge_personalizer::rules::settings::attributes::OwnAttributes;
use edge_personalizer::transform::template::Templates;
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::{Value, json};
use support::{NEW_YORK, header, shop, text, visit};

const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64) Chrome/130.0";

#[test]
fn every_example_compiles() {
    let guide = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/PERSONALIZING.md")).unwrap();
    let examples: Vec<Value> = guide
        .split("```json\n")
        .skip(1)
        .map(|rest| serde_json::from_str(rest.split("```").next().unwrap()).unwrap())
        .collect();
    assert_eq!(examples.len(), 3);
    let names = ["hero-line", "recently-viewed"];
    for example in examples {
        let stored: edge_personalizer::rules::stored::Route = serde_json::from_value(example).unwrap();
        let mut templates = Templates::new(names.map(|name| (name.to_owned(), "x".to_owned())));
        let (own, mut patterns) = (OwnAttributes::default(), PatternBudget::default());
        let beside = &mut Beside { templates: &mut templates, own: &own, patterns: &mut patterns };
        let (_, faults) = Route::compile(stored, "routes/routes/0", beside).unwrap();
        assert!(faults.is_empty(), "{faults:?}");
    }
}

fn page(body: &'static str, kind: &'static str) -> Memory {
    shop(move |_| {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static(kind));
        headers.insert("content-length", HeaderValue::from(body.len()));
        headers.insert("etag", HeaderValue::from_static("\"v1\""));
        headers.insert("cache-control", HeaderValue::from_static("public, max-age=60"));
        Ok((StatusCode::OK, headers, body.as_bytes().to_vec()))
    })
}

#[test]
fn a_page_is_rewritten_and_its_head_fits() {
    let host = page("<html><head></head><body><h1>x</h1></body></html>", "text/html; charset=utf-8");
    host.set("routes", &json!({ "routes": [{ "id": "a", "path": "/", "cache": {}, "html": [{ "select": "h1", "inner": "{{ region.slug }} & co" }] }] }));
    let answer = visit(NEW_YORK, "/").with("User-Agent", BROWSER).send(&host);
    assert_eq!(text(&answer), "<html><head></head><body><h1>east & co</h1></body></html>");
    assert_eq!(header(&answer, "content-length"), None);
    assert_eq!(header(&answer, "vary"), Some("Edge-Variant"));
    assert_eq!(header(&answer, "cache-control"), Some("private, max-age=60"));
    let etag = header(&answer, "etag").unwrap().to_owned();
    assert_ne!(etag, "\"v1\"");
    let again = visit(NEW_YORK, "/").with("User-Agent", BROWSER).with("If-None-Match", etag.as_str()).send(&host);
    assert_eq!(again.status, 304, "the same variant of the same page");
    let other = visit(support::PARIS, "/").with("User-Agent", BROWSER).with("If-None-Match", etag.as_str()).send(&host);
    assert_eq!(other.status, 200, "another variant is another page");
    let head = visit(NEW_YORK, "/").by("HEAD").send(&host);
    assert_eq!(head.status, 200);
}

#[test]
fn an_added_script_has_the_nonce_of_the_answers_policy() {
    let host = shop(|_| {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static("text/html"));
        headers.insert("content-security-policy", HeaderValue::from_static("script-src 'nonce-cjRuZDBt' 'self'"));
        Ok((StatusCode::OK, headers, b"<html><head></head><body></body></html>".to_vec()))
    });
    host.set("routes", &json!({ "routes": [{ "id": "a", "path": "/", "html": [{ "json": { "id": "d" } }] }] }));
    let page = text(&visit(NEW_YORK, "/").with("User-Agent", BROWSER).send(&host));
    assert!(page.contains("id=\"d\" nonce=\"cjRuZDBt\">"), "{page}");
}

#[test]
fn a_faulty_operation_is_named_and_the_page_is_served() {
    let host = page("<h1>x</h1>", "text/html");
    host.set("routes", &json!({ "routes": [{ "id": "a", "path": "/", "html": [{ "select": "h1[", "inner": "x" }, { "select": "h1", "inner": "y" }] }] }));
    assert_eq!(text(&visit(NEW_YORK, "/").send(&host)), "<h1>y</h1>");
    let named = host.lines_of(Endpoint::Errors)[0]["fault"]["pointer"].as_str().unwrap().to_owned();
    assert!(named.starts_with("/routes/0/html/0"), "{named}");
}

#[test]
fn an_artificial_budget_ends_the_rewriting_and_not_the_page() {
    let host = page("<h1>x</h1><h1>x</h1>", "text/html");
    host.set("settings", &json!({ "limits": { "vcpu_ms": 0 } }));
    host.set("routes", &json!({ "routes": [{ "id": "a", "path": "/", "html": [{ "select": "h1", "inner": "y" }] }] }));
    assert_eq!(text(&visit(NEW_YORK, "/").send(&host)), "<h1>x</h1><h1>x</h1>");
    assert_eq!(host.lines_of(Endpoint::Decisions)[0]["errors"], json!(["html-budget"]));
}

#[test]
fn the_budget_counts_from_the_requests_start_and_the_host_hands_on_the_rest() {
    let large = "<h1>x</h1>".repeat(20_000);
    for (before_the_body, edited) in [(0, true), (29, true), (31, false)] {
        let vcpu = std::rc::Rc::new(std::cell::Cell::new(0));
        let (used, body) = (std::rc::Rc::clone(&vcpu), large.clone());
        let mut host = page("", "text/html");
        host.vcpu = std::rc::Rc::clone(&vcpu);
        let origin = move |_: &edge_personalizer::platform::memory::Asked| {
            used.set(used.get() + before_the_body);
            let mut headers = http::HeaderMap::new();
            headers.insert("content-type", http::HeaderValue::from_static("text/html"));
            Ok((http::StatusCode::OK, headers, body.clone().into_bytes()))
        };
        host.backends.borrow_mut().insert("origin".to_owned(), Box::new(origin));
        host.set("settings", &json!({ "limits": { "vcpu_ms": 30 } }));
        host.set(
            "routes",
            &json!({ "routes": [{ "id": "a", "path": "/", "html": [{ "select": "h1", "inner": "y" }] }] }),
        );
        let answer = visit(NEW_YORK, "/").send(&host);
        assert_eq!(text(&answer).contains('y'), edited, "{before_the_body} ms before the body");
        assert_eq!(text(&answer).len(), large.len());
        assert!(edited || answer.appended > large.len() / 2, "{} bytes never went through the guest", answer.appended);
    }
}

#[test]
fn json_is_edited_in_place_up_to_the_limit() {
    let host = page("{\"b\": 1.0, \"a\": 12345678901234567890}", "application/json");
    let routes = json!({ "routes": [{ "id": "a", "path": "/", "json": { "set": [{ "pointer": "/b", "value": "{{ region.id }}" }] } }] });
    host.set("routes", &routes);
    assert_eq!(text(&visit(NEW_YORK, "/").send(&host)), "{\"b\": \"US-EAST\", \"a\": 12345678901234567890}");
    host.set("settings", &json!({ "limits": { "json_bytes": 10 } }));
    assert_eq!(text(&visit(NEW_YORK, "/").send(&host)), "{\"b\": 1.0, \"a\": 12345678901234567890}");
    assert_eq!(host.lines_of(Endpoint::Decisions).last().unwrap()["errors"], json!(["body-too-large"]));
}

/// Every figure that a browser may send of its screen and its connection, and every kind of device: the keys are as few as the rule
/// lists, whatever the figures.
#[test]
fn hints_become_listed_values() {
    let host = page("", "image/jpeg");
    host.set("routes", &json!({ "routes": [{ "id": "a", "path": "/img/*", "cache": {},
        "adapt": { "image": { "widths": [320, 640, 1280], "quality": { "slow": 45, "medium": 65, "fast": 80 }, "formats": ["avif", "webp"] } } }] }));
    let (mut keys, mut urls, mut sent) = (std::collections::HashSet::new(), std::collections::HashSet::new(), 0);
    let mut sandbox = edge_personalizer::service::Sandbox::default();
    let mut ask = |hints: &[(&str, String)]| {
        let mut request = visit(NEW_YORK, "/img/a.jpg").with("User-Agent", BROWSER);
        for (name, value) in hints {
            request = request.with(name, value);
        }
        let answer = request.send_in(&host, &mut sandbox);
        assert!(header(&answer, "accept-ch").is_some_and(|value| value.contains("Sec-CH-Viewport-Width")));
        let asked = host.asked.take().remove(0);
        urls.insert(asked.url);
        keys.insert(format!("{:?}", asked.caching));
        sent += 1;
    };
    for accept in ["*/*", "image/avif,image/webp", "image/webp,*/*;q=0.1", "image/avif;q=0"] {
        for network in [
            ("save-data", "on"),
            ("ect", "slow-2g"),
            ("ect", "3g"),
            ("ect", "4g"),
            ("downlink", "0.137"),
            ("downlink", "9.99"),
            ("rtt", "1234"),
            ("rtt", "17"),
        ] {
            for width in (1..4_000).step_by(53) {
                let name = ["sec-ch-viewport-width", "sec-ch-width", "viewport-width", "width"][width % 4];
                let dpr = format!("{}.{}", 1 + width % 3, width % 100);
                ask(&[
                    ("accept", accept.to_owned()),
                    (network.0, network.1.to_owned()),
                    (name, width.to_string()),
                    ("sec-ch-dpr", dpr),
                ]);
            }
        }
    }
    for odd in ["", "0", "-1", "1e9", "NaN", "999999999999", "320 ", "a"] {
        ask(&[
            ("sec-ch-width", odd.to_owned()),
            ("sec-ch-dpr", odd.to_owned()),
            ("downlink", odd.to_owned()),
            ("rtt", odd.to_owned()),
        ]);
    }
    println!("{sent} requests, {} distinct keys, {} distinct URLs", keys.len(), urls.len());
    // Three widths or none, three qualities, two formats or none.
    assert_eq!(keys.len(), urls.len(), "what is not in the URL is not in the key");
    assert!((18..=4 * 3 * 3).contains(&keys.len()), "{} keys", keys.len());
}

#[test]
fn a_playlist_keeps_what_can_be_played() {
    let host = page(
        "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=800000,RESOLUTION=640x360\nlow.m3u8\n#EXT-X-STREAM-INF:BANDWIDTH=8000000,RESOLUTION=3840x2160\nhigh.m3u8\n",
        "application/vnd.apple.mpegurl",
    );
    host.set("routes", &json!({ "routes": [{ "id": "a", "path": "/v/*", "cache": {}, "adapt": { "hls": { "max_bandwidth": { "slow": 1_000_000 } } } }] }));
    let slow = visit(NEW_YORK, "/v/a.m3u8").with("User-Agent", BROWSER).with("save-data", "on").send(&host);
    assert!(text(&slow).contains("low.m3u8") && !text(&slow).contains("high.m3u8"), "{}", text(&slow));
    let fast =
        visit(NEW_YORK, "/v/a.m3u8").with("User-Agent", BROWSER).with("ect", "4g").with("downlink", "10").send(&host);
    assert!(text(&fast).contains("high.m3u8"), "{}", text(&fast));
    assert_ne!(header(&slow, "etag"), header(&fast, "etag"), "two variants");
}

#[test]
fn a_visual_experiment_changes_the_page_of_who_takes_part_and_control_shares_the_page_of_the_others() {
    let mut seen = std::collections::BTreeMap::new();
    for number in 0..40_u32 {
        let host = page("<html><head></head><body><h1 class=\"a\">x</h1></body></html>", "text/html");
        host.secrets.borrow_mut().insert("identity".to_owned(), b"a secret of thirty-two bytes or so".to_vec());
        host.set("experiments", &json!({ "experiments": [{ "key": "look", "hashVersion": 2, "coverage": 0.8,
            "urlPatterns": [{ "type": "simple", "pattern": "/", "include": true }],
            "variations": [{}, { "css": "h1{color:red}", "domMutations": [{ "selector": "h1", "action": "set", "attribute": "html", "value": "new" }] }] }] }));
        host.set("routes", &json!({ "routes": [{ "id": "a", "path": "/", "cache": {}, "html": [{ "select": "body", "class": { "add": ["seen"] } }] }] }));
        let id = format!("ep_vid={:032x}", 0x77_0000_0000_u128 + u128::from(number));
        let answer = visit(NEW_YORK, "/").with("User-Agent", BROWSER).with("Cookie", id).send(&host);
        let exposed = host.lines_of(Endpoint::Exposures).first().map(|line| line["variation"].as_u64().unwrap());
        let shown = text(&answer);
        assert!(shown.contains("<body class=\"seen\">"), "{shown}");
        assert_eq!(
            shown.contains(">new</h1>") && shown.contains("<style>h1{color:red}</style>"),
            exposed == Some(1),
            "{shown}"
        );
        assert_eq!(header(&answer, "vary"), Some("Edge-Variant"));
        let key = format!("{:?}", host.asked.borrow()[0].caching);
        seen.entry(exposed).or_insert_with(std::collections::HashSet::new).insert(key);
    }
    assert_eq!(seen.keys().copied().collect::<Vec<_>>(), [None, Some(0), Some(1)]);
    assert!(
        seen.values().all(|keys| keys.len() == 1) && seen[&None] == seen[&Some(0)] && seen[&None] != seen[&Some(1)],
        "{seen:?}"
    );
}

/// Promise 23 through the whole service: a sandbox that knows the page answers what a new one does, and has nothing of who came before.
#[test]
fn a_page_is_the_same_for_a_visitor_whoever_came_to_the_sandbox_before() {
    let page: &'static str = Box::leak(
        format!(
            "<html><head><title>Shop</title></head><body><h1>x</h1>{}</body></html>",
            (0..200).map(|n| format!("<li data-sku=s{n} class=card>{n}</li>\n")).collect::<String>()
        )
        .into_boxed_str(),
    );
    let host = support::sessions::store(move |_| {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static("text/html; charset=utf-8"));
        Ok((StatusCode::OK, headers, page.as_bytes().to_vec()))
    });
    let html = json!([
        { "select": "h1", "inner": "{{ session.attributes.name }}" },
        { "mark": { "attribute": "data-sku", "in": "session.cart_skus", "class": "in-cart" } },
        { "select": "li.card", "append": "<b>{{ session.attributes.name }}</b>" },
    ]);
    host.set("routes", &json!({ "routes": [{ "id": "a", "path": "/", "session": {}, "html": html }] }));
    for (user, name, sku) in [("u1", "Xanthippe", "s7"), ("u2", "Quetzal", "s150")] {
        let mut record = support::sessions::record(0);
        record["attributes"] = json!({ "name": name });
        record["cart"] = json!([{ "sku": sku, "quantity": 1 }]);
        support::sessions::put(&host, &format!("user/{user}"), record.to_string());
    }
    let mut sandbox = edge_personalizer::service::Sandbox::default();
    for round in 0..3 {
        for (user, name, other, sku) in [("u1", "Xanthippe", "Quetzal", "s7"), ("u2", "Quetzal", "Xanthippe", "s150")] {
            let known = text(&support::sessions::by_user(user, "/").send_in(&host, &mut sandbox));
            let new = text(&support::sessions::by_user(user, "/").send(&host));
            assert!(known == new, "round {round}, {user}");
            assert!(known.contains(&format!("<h1>{name}</h1>")) && !known.contains(other), "round {round}: {known}");
            assert_eq!(known.matches("in-cart").count(), 1);
            assert!(known.contains(&format!("<li data-sku={sku} class=\"card in-cart\">")), "{known}");
        }
    }
    // All that the sandbox keeps; bytes are shown as numbers.
    let kept = format!("{sandbox:?}");
    let as_bytes = |text: &str| text.bytes().map(|byte| byte.to_string()).collect::<Vec<_>>().join(", ");
    assert!(kept.contains(&as_bytes("<title>Shop")), "the page is kept");
    for name in ["Xanthippe", "Quetzal"] {
        assert!(!kept.contains(name) && !kept.contains(&as_bytes(name)));
    }
}
