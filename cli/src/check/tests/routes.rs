//! Routes and regions: who reaches them, what they answer, and for whom.

use serde_json::{Value, json};

use super::{Level, findings, found, routes};

#[test]
fn a_route_that_never_matches_is_named() {
    let text = routes(json!([
        { "id": "all", "path": "/p/{x}" },
        { "id": "never", "path": "/p/{sku}", "when": { "country": "US" } },
        { "id": "first", "path": "/p/42" },
        { "id": "over", "path": "/o", "schedule": { "until": "2020-01-01T00:00:00Z" } },
        { "id": "posted", "path": "/p/{sku}", "methods": ["POST"] },
    ]));
    let all = findings(&[("routes", &text)]);
    let lines: Vec<&str> = all.iter().map(|(_, line)| line.as_str()).collect();
    assert_eq!(lines.len(), 2, "{lines:#?}");
    assert!(lines[0].contains("/routes/1: expected a route that some request reaches") && lines[0].contains("'all'"));
    assert!(lines[1].contains("/routes/3/schedule/until: expected a time in the future"));
}

#[test]
fn a_route_with_too_many_variants_is_named() {
    let text = routes(json!([{ "id": "a", "path": "/a", "cache": { "ttl": 60 },
        "rewrite": { "set_query": { "c": "{country}", "d": "{deviceType}" } } }]));
    found(
        Level::Warning,
        &[("routes", &text)],
        "expected at most 50 variants (settings: limits.max_variants), but found 1250",
    );
    let settings = r#"{"limits":{"max_variants":2000}}"#;
    assert!(findings(&[("routes", &text), ("settings", settings)]).is_empty());
}

#[test]
fn what_is_one_visitors_own_is_named_in_a_shared_route() {
    let text = routes(json!([{ "id": "a", "path": "/a",
        "cache": { "key_cookies": ["PHPSESSID"], "key_headers": ["a", "b", "c", "d", "e", "f", "g", "h"] },
        "rewrite": { "set_query": { "u": "{user.id|none}" } } }]));
    found(
        Level::Warning,
        &[("routes", &text)],
        "/routes/0/cache: expected an answer for many visitors, but found 'user.id'",
    );
    found(
        Level::Warning,
        &[("routes", &text)],
        "/routes/0/cache/key_cookies/0: expected a cookie with the same value for many visitors",
    );
    found(Level::Warning, &[("routes", &text)], "/routes/0/cache/key_headers: expected at most 7 headers");
}

#[test]
fn media_that_fit_a_device_count_as_variants() {
    let text = routes(json!([{ "id": "a", "path": "/a", "cache": { "ttl": 60 }, "adapt": { "image": {
        "widths": [100, 200, 400, 800], "formats": ["avif", "webp"], "quality": { "slow": 40, "medium": 60, "fast": 80 } } } }]));
    // Four widths and none, two formats and none, three qualities.
    assert!(findings(&[("routes", &text)]).is_empty());
    let settings = r#"{"limits":{"max_variants":44}}"#;
    found(Level::Warning, &[("routes", &text), ("settings", settings)], "but found 45: 45 media");
}

#[test]
fn a_session_that_is_sent_is_one_visitors_own_and_its_backend_is_looked_for() {
    let text = routes(json!([{ "id": "a", "path": "/a", "cache": { "ttl": 60 }, "session": { "header": ["cart"] } }]));
    found(
        Level::Warning,
        &[("routes", &text)],
        "/routes/0/cache: expected an answer for many visitors, but found 'session",
    );
    found(
        Level::Fault,
        &[("settings", r#"{"session":{"backend":"sesions"}}"#)],
        "/session/backend: expected a backend of",
    );
}

#[test]
fn a_region_that_nobody_is_in_and_a_route_without_methods_are_named() {
    let regions = r#"{"regions":[{"id":"A","slug":"a"},{"id":"B","slug":"b","when":{"country":"US"}}]}"#;
    found(Level::Warning, &[("regions", regions)], "/regions/1: expected a region that some visitor is in");
    let text = routes(json!([{ "id": "a", "path": "/a", "methods": [] }]));
    found(Level::Warning, &[("routes", &text)], "/routes/0/methods: expected at least one method");
}

#[test]
fn a_region_that_earlier_ones_take_all_visitors_of_is_named() {
    let reached = |regions: Value| {
        let list: Vec<Value> = regions
            .as_array()
            .unwrap()
            .iter()
            .enumerate()
            .map(|(index, when)| json!({ "id": format!("R{index}"), "slug": format!("r{index}"), "when": when }))
            .collect();
        findings(&[("regions", &json!({ "regions": list }).to_string())])
    };
    for regions in [
        json!([{ "continent": "EU" }, { "country": "DE" }]),
        json!([{ "country": { "$in": ["DE", "AT"] } }, { "country": "DE", "subdivision": "BY" }]),
        json!([{ "country": { "$in": ["AT", "CH", "DE"] } }, { "country": { "$in": ["DE", "CH"] } }]),
        json!([{ "country": "DE" }, { "country": "AT" }, { "country": { "$in": ["DE", "AT"] } }]),
        json!([{ "deviceType": { "$ne": "bot" } }, { "country": "DE", "deviceType": { "$ne": "bot" } }]),
        json!([{ "$or": [{ "country": "DE" }, { "continent": "NA" }] }, { "country": "CA" }]),
    ] {
        let last = regions.as_array().unwrap().len() - 1;
        let lines = reached(regions.clone());
        let expected = format!(
            "/regions/{last}: expected a region that some visitor is in, but found one that is never reached: 'R0' (/regions/0)"
        );
        assert!(lines.len() == 1 && lines[0].1.contains(&expected), "{regions}: {lines:#?}");
    }
    for regions in [
        json!([{ "country": "DE" }, { "continent": "EU" }]),
        json!([{ "country": "DE", "subdivision": "BY" }, { "country": "DE" }]),
        json!([{ "country": "DE" }, { "country": { "$in": ["DE", "AT"] } }]),
        json!([{ "country": "DE", "deviceType": { "$ne": "mobile" } }, { "country": "DE" }]),
        json!([{ "continent": "EU" }, { "country": "CY" }]),
    ] {
        assert!(reached(regions.clone()).is_empty(), "{regions}: {:#?}", reached(regions.clone()));
    }
}

#[test]
fn a_redirect_whose_host_is_anybodys_is_a_fault() {
    let to = |location: &str| {
        routes(json!([{ "id": "a", "path": "/go/*", "action": "redirect", "redirect": { "location": location } },
            { "id": "b", "path": "/x/{x}", "action": "redirect", "redirect": { "location": location.replace("path.rest", "path.x") } }]))
    };
    for location in ["{path.rest}", "https://example.com{path.rest}", "//{path.rest}", "https://{path.rest}/"] {
        found(
            Level::Fault,
            &[("routes", &to(location))],
            "/routes/1/redirect/location: expected scheme and host in plain text, but found '{path.x}' in their place",
        );
    }
    for location in ["/de/{path.rest}", "https://example.com/{path.rest}", "/find?q={path.rest}"] {
        let route =
            routes(json!([{ "id": "a", "path": "/go/*", "action": "redirect", "redirect": { "location": location } }]));
        assert!(findings(&[("routes", &route)]).is_empty(), "{location}");
    }
}

#[test]
fn an_answer_that_a_missing_value_leaves_empty_is_named() {
    let text = routes(json!([{ "id": "a", "path": "/a", "action": "respond", "respond": {
        "body": "{region.id} {language}", "headers": { "X-A": "{country|none}", "X-B": "{user.id}" } } }]));
    found(
        Level::Warning,
        &[("routes", &text)],
        "/routes/0/respond/body: expected a default for a value that can be absent, but found '{language}': without the value the whole text is \
         empty. Write '{language|…}'",
    );
    found(Level::Warning, &[("routes", &text)], "/routes/0/respond/headers/X-B: expected a default");
    let settings = r#"{"limits":{"max_variants":500}}"#;
    assert_eq!(findings(&[("routes", &text), ("settings", settings)]).len(), 2);
}

#[test]
fn a_declared_attribute_counts_with_its_values_and_with_any_where_it_has_none() {
    use crate::folder::{Folder, Source};
    let settings = r#"{"attributes":{"group":{"cookie":"g","values":["a","b"]},"store":{"query":"s"}}}"#;
    let text = routes(json!([
        { "id": "closed", "path": "/a", "rewrite": { "set_query": { "g": "{group|none}" } } },
        { "id": "open", "path": "/b", "rewrite": { "set_query": { "g": "{group|none}", "s": "{store|none}" } } }]));
    let sources = [("settings", settings), ("routes", &text)].map(|(name, text)| {
        (name.to_owned(), Source::new(std::path::PathBuf::from(format!("{name}.json")), text.to_owned()))
    });
    let report =
        super::super::check(&Folder::new(sources.into_iter().collect(), None), "rules".as_ref(), None).unwrap();
    let counts: Vec<_> = report.variants.iter().map(|route| (route.count_text(), route.factors_text())).collect();
    assert_eq!(counts, [("3".to_owned(), "3 group".to_owned()), ("any".to_owned(), "3 group".to_owned())]);
}

#[test]
fn an_answer_of_the_edges_own_is_checked_as_it_is_made() {
    let templates = r#"{"templates":{"page":"<p>{{ region.id }}</p>"}}"#;
    let own = |respond: serde_json::Value| {
        routes(
            json!([{ "id": "a", "path": "/a/{slug}", "action": "respond", "respond": respond, "fallback": { "path": "/plain" } }]),
        )
    };
    let sound = own(json!({ "body": { "template": "page" } }));
    assert!(findings(&[("routes", &sound), ("templates", templates)]).is_empty());
    let sound = own(json!({ "body": { "kv": "{path.slug}", "reads": ["region.id", "session.cart_skus"] } }));
    assert!(findings(&[("routes", &sound)]).is_empty());
    for (respond, level, expected) in [
        (
            json!({ "body": { "template": "none" } }),
            Level::Fault,
            "/routes/0/respond/body/template: expected a template of the dictionary",
        ),
        (
            json!({ "body": { "kv": "x", "reads": ["regoin.id"] } }),
            Level::Warning,
            "/routes/0/respond/body/reads/0: expected a value that templates have, but found regoin.id, which is always empty: is it region.id?",
        ),
        (
            json!({ "body": { "kv": "{country}" } }),
            Level::Warning,
            "/routes/0/respond/body/kv: expected a default for a value that can be absent, but found '{country}': without the value the origin is asked",
        ),
        (
            json!({ "body": "a text" }),
            Level::Warning,
            "/routes/0/fallback: expected \"action\": \"personalize\" beside it",
        ),
    ] {
        found(level, &[("routes", &own(respond))], expected);
    }
}

#[test]
fn what_a_template_of_an_answer_reads_makes_its_variants() {
    let text = routes(
        json!([{ "id": "a", "path": "/a", "action": "respond", "respond": { "body": { "kv": "x", "reads": ["country"] } } }]),
    );
    found(
        Level::Warning,
        &[("routes", &text)],
        "/routes/0: expected at most 50 variants (settings: limits.max_variants), but found 250: 250 country",
    );
}
