use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{Level, check};
use crate::folder::payload::{Payload, PayloadOptions};
use crate::folder::{Folder, Source};

fn findings(dictionaries: &[(&str, &str)]) -> Vec<(Level, String)> {
    findings_with(dictionaries, None)
}

/// Findings of dictionaries with a GrowthBook payload beside them.
fn findings_with(dictionaries: &[(&str, &str)], payload: Option<Value>) -> Vec<(Level, String)> {
    let payload = payload.map(|json| Payload::new(PathBuf::from("growthbook.json"), json.to_string(), None));
    let sources = dictionaries.iter().map(|(name, text)| {
        ((*name).to_owned(), Source::new(PathBuf::from(format!("{name}.json")), (*text).to_owned()))
    });
    let folder = Folder::new(sources.collect(), payload);
    let manifest = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(manifest.path(), "[local_server.backends.origin]\nurl = \"http://127.0.0.1\"\n").unwrap();
    let report = check(&folder, Path::new("rules"), Some(manifest.path())).unwrap();
    let line = |finding: &super::Finding| {
        let place = finding.position;
        format!("{}:{}:{} {}: {}", finding.file.display(), place.line, place.column, finding.pointer, finding.message)
    };
    report.findings.iter().map(|finding| (finding.level, line(finding))).collect()
}

fn found(level: Level, dictionaries: &[(&str, &str)], expected: &str) {
    let findings = findings(dictionaries);
    assert!(
        findings.iter().any(|(found, line)| *found == level && line.contains(expected)),
        "expected {expected:?}, but found {findings:#?}"
    );
}

fn routes(routes: Value) -> String {
    json!({ "routes": routes }).to_string()
}

#[test]
fn the_demo_rules_have_no_fault() {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("../rules");
    let folder = Folder::read(&place, &PayloadOptions::default()).unwrap();
    let report = check(&folder, &place, None).unwrap();
    assert_eq!(report.faults(), 0, "{:#?}", report.findings);
}

#[test]
fn a_fault_has_its_line_and_its_column() {
    let text = "{\n  \"routes\": [\n    { \"id\": \"a\", \"path\": \"/a\", \"cache\": { \"ttl\": \"60\" } }\n  ]\n}";
    found(
        Level::Fault,
        &[("routes", text)],
        "routes.json:3:43 /routes/0/cache/ttl: expected a whole number, 0 or more, but found the string \"60\"",
    );
}

#[test]
fn broken_json_is_named_where_it_breaks() {
    found(Level::Fault, &[("routes", "{\n  \"routes\": [,]\n}")], "routes.json:2:");
}

#[test]
fn an_unknown_key_is_named_with_the_nearest_known_one() {
    let text = routes(json!([{ "id": "a", "path": "/a", "chache": {} }]));
    found(
        Level::Fault,
        &[("routes", &text)],
        "/routes/0/chache: expected a known key, but found 'chache': is it 'cache'?",
    );
    found(Level::Fault, &[("settings", r#"{"langauges":[]}"#)], "is it 'languages'?");
    found(
        Level::Fault,
        &[("regions", r#"{"region":[]}"#)],
        "/region: expected a known key, but found 'region': is it 'regions'?",
    );
}

#[test]
fn templates_backends_names_and_schedules_are_checked() {
    let text = routes(json!([
        { "id": "a", "path": "/a", "rewrite": { "path": "/{regoin.slug}" } },
        { "id": "b", "path": "/b", "backend": "shop" },
        { "id": "b", "path": "/c" },
        { "id": "d", "path": "/d", "schedule": { "from": "2027-01-01T00:00:00Z", "until": "2026-01-01T00:00:00Z" } },
        { "id": "e", "path": "/e", "when": { "country": { "$inn": ["US"] } } },
    ]));
    for expected in [
        "/routes/0/rewrite/path: expected region.id",
        "/routes/1/backend: expected a backend of ",
        "/routes/2/id: expected a name of its own, but found 'b' of /routes/1 again",
        "/routes/3/schedule/until: expected a time after 'from'",
        "/routes/4/when/country/$inn: expected an operator",
    ] {
        found(Level::Fault, &[("routes", &text)], expected);
    }
}

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
fn experiments_that_lean_on_each_other_are_named() {
    let features = json!({ "features": {
        "one": { "defaultValue": 0, "rules": [{ "variations": [0, 1], "weights": [0.5, 0.4], "hashVersion": 2, "seed": "s" }] },
        "two": { "defaultValue": 0, "rules": [{ "variations": [0, 1], "weights": [0.5, 0.5], "hashVersion": 2, "seed": "s" }] },
        "three": { "defaultValue": 0, "rules": [{ "variations": [0, 1] }] },
    } });
    let text = features.to_string();
    found(Level::Warning, &[("features", &text)], "/features/two/rules/0/seed: expected a seed of its own");
    let lines = findings(&[("features", &text)]);
    assert!(
        lines.iter().any(|(level, line)| *level == Level::Warning && line.contains("/features/one/rules/0/weights")),
        "{lines:#?}"
    );
    assert!(
        lines.iter().any(|(level, line)| *level == Level::Warning && line.contains("/features/three/rules/0")),
        "{lines:#?}"
    );
    assert!(lines.iter().all(|(level, _)| *level == Level::Warning), "{lines:#?}");
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
fn a_set_that_no_request_could_read_is_a_fault() {
    let many: Vec<Value> = (0..40)
        .map(|n| {
            json!({ "id": format!("r{n}"), "path": format!("/{n}"),
        "respond": { "body": "x".repeat(2_300) }, "action": "respond" })
        })
        .collect();
    found(Level::Fault, &[("routes", &routes(json!(many)))], "expected at most 13 entries of 8000 characters");
}

#[test]
fn pages_and_json_are_compiled_before_a_request_comes() {
    let text = routes(json!([
        { "id": "a", "path": "/a", "html": [
            { "select": "#x", "inner": { "template": "hreo" } },
            { "select": "a[", "inner": { "text": "x" } }] },
        { "id": "b", "path": "/b", "html": [{ "select": "#x", "inner": { "template": "broken" } }] }]));
    let templates = r#"{"templates":{"broken":"{% if x %}","unused":"x"}}"#;
    let both = [("routes", text.as_str()), ("templates", templates)];
    for place in ["/routes/0/html/0", "/routes/0/html/1", "/routes/1/html/0"] {
        found(Level::Fault, &both, place);
    }
    found(Level::Warning, &both, "/templates/unused: expected a template that a route uses");
}

#[test]
fn a_visual_change_that_no_stream_can_make_is_named() {
    let experiments = json!({ "experiments": [{ "key": "x", "hashVersion": 2, "variations": [{}, { "domMutations": [
        { "selector": "#a", "attribute": "position", "action": "set", "parentSelector": "#b" }] }] }] });
    found(Level::Warning, &[("experiments", &experiments.to_string())], "/experiments/0/variations/1/domMutations/0");
}

#[test]
fn a_key_that_stands_twice_is_named() {
    let text = r#"{"features":{"hero":{"defaultValue":1},"hero":{"defaultValue":2}}}"#;
    found(Level::Fault, &[("features", text)], "/features/hero: expected a name of its own, but found 'hero' twice");
}

#[test]
fn an_unknown_key_of_a_feature_is_named_with_the_nearest_known_one() {
    let text = r#"{"features":{"hero":{"defaultVale":1,"rules":[{"$comment":"why","forse":2}]}}}"#;
    found(
        Level::Fault,
        &[("features", text)],
        "/features/hero/defaultVale: expected a known key, but found 'defaultVale': is it 'defaultValue'?",
    );
    found(
        Level::Fault,
        &[("features", text)],
        "/features/hero/rules/0/forse: expected a known key, but found 'forse': is it 'force'?",
    );
    assert_eq!(findings(&[("features", text)]).len(), 2);
}

#[test]
fn what_a_route_asks_for_and_nobody_defines_is_named() {
    let text = routes(json!([{ "id": "a", "path": "/a", "features": ["hreo"],
        "rewrite": { "set_query": { "c": "{experiment.checkout|0}" } } }]));
    let features = r#"{"features":{"hero":{"defaultValue":1}}}"#;
    let both = [("routes", text.as_str()), ("features", features)];
    found(
        Level::Warning,
        &both,
        "/routes/0/features/0: expected a feature of features.json, but found 'hreo', which is always null: is it 'hero'?",
    );
    found(Level::Warning, &both, "/routes/0: expected an experiment of experiments.json, but found 'checkout'");
    let settings = r#"{"growthbook":{"kv_key":"payload"}}"#;
    assert!(findings(&[both[0], both[1], ("settings", settings)]).is_empty(), "a payload may define them");
}

#[test]
fn a_schedule_that_never_holds_is_named_in_features_too() {
    let text = json!({ "features": { "hero": { "defaultValue": 1, "rules": [
        { "force": 2, "schedule": { "from": "2099-01-02T00:00:00Z", "until": "2099-01-01T00:00:00Z" } },
        { "force": 2, "schedule": { "until": "2020-01-01T00:00:00Z" } }] } } });
    let text = text.to_string();
    found(Level::Fault, &[("features", &text)], "/features/hero/rules/0/schedule/until: expected a time after 'from'");
    found(
        Level::Warning,
        &[("features", &text)],
        "/features/hero/rules/1/schedule/until: expected a time in the future",
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
fn media_that_fit_a_device_count_as_variants() {
    let text = routes(json!([{ "id": "a", "path": "/a", "cache": { "ttl": 60 }, "adapt": { "image": {
        "widths": [100, 200, 400, 800], "formats": ["avif", "webp"], "quality": { "slow": 40, "medium": 60, "fast": 80 } } } }]));
    // Four widths and none, two formats and none, three qualities.
    assert!(findings(&[("routes", &text)]).is_empty());
    let settings = r#"{"limits":{"max_variants":44}}"#;
    found(Level::Warning, &[("routes", &text), ("settings", settings)], "but found 45: 45 media");
}

#[test]
fn typical_mistakes_are_said_in_words_that_help() {
    for (dictionary, text, expected) in [
        (
            "routes",
            r#"{"routes":[{"id":"a" "path":"/a"}]}"#,
            r#"expected ',' or '}', but found '"': is a comma missing"#,
        ),
        ("routes", r#"{"routes":[{"id":"a","path":"/a"},]}"#, "JSON has no comma after the last one"),
        ("routes", r#"{'routes':[]}"#, "expected a key in double quotes, but found '"),
        ("routes", r#"{"routes":["#, "expected more, but found the end of the file"),
        ("routes", r#"[{"id":"a","path":"/a"}]"#, r#"expected {"routes": [ … ]}, but found a list"#),
        ("regions", r#"{"regions":{}}"#, r#"/regions: expected {"regions": [ … ]}, but found an object"#),
        ("features", r#"{"features":[]}"#, r#"/features: expected {"features": { … }}, but found a list"#),
        ("routes", r#"{"routes":[{"path":"/a"}]}"#, "/routes/0: expected the key `id`, but found none"),
        ("routes", r#"{"routes":[{"id":"a","path":"/a","cache":true}]}"#, "expected an object, but found true"),
        ("settings", r#"{"log":{"sample":"50%"}}"#, r#"/log/sample: expected a number, but found the string "50%""#),
        ("features", r#"{"features":{"a":{"rules":[{"force":1,"seeds":"x"}]}}}"#, "but found 'seeds': is it 'seed'?"),
        (
            "routes",
            r#"{"routes":[{"id":"a","path":"/","html":[{"select":"h1[","inner":"x"}]}]}"#,
            "/html/0/select: expected a selector",
        ),
        (
            "routes",
            r#"{"routes":[{"id":"a","path":"/","html":[{"select":"p","inner":{"template":"x"}}]}]}"#,
            "a template of the dictionary",
        ),
        (
            "routes",
            r#"{"routes":[{"id":"a","path":"/","html":[{"select":"p","inner":"x","onse":true}]}]}"#,
            "'onse': is it 'once'?",
        ),
    ] {
        found(Level::Fault, &[(dictionary, text)], expected);
    }
}

#[test]
fn names_that_lead_nowhere_are_named() {
    let text = routes(json!([
        { "id": "a", "path": "/a", "when": { "contry": "FR", "$not": { "deviceType": "phone" }, "region": "MARS" } },
        { "id": "b", "path": "/b", "features": ["heroo"], "redirect": { "location": "/c" } },
        { "id": "c", "path": "/c", "html": [{ "select": "p", "inner": { "template": "cart" } }] },
    ]));
    let regions = r#"{"regions":[{"id":"EU","slug":"eu","when":{"country":"fr","loggedIn":true}}]}"#;
    let features = r#"{"features":{"hero":{"defaultValue":1}}}"#;
    let templates = r#"{"templates":{"cart":"{{ session.cart_quantity }}"}}"#;
    let all = [("routes", text.as_str()), ("regions", regions), ("features", features), ("templates", templates)];
    for expected in [
        "/routes/0/when/contry: expected an attribute, but found 'contry', which no visitor has: is it 'country'?",
        "/routes/0/when/$not/deviceType: expected one of mobile, tablet, desktop, tv, bot, but found 'phone'",
        "/routes/0/when/region: expected the id of a region (DEFAULT_REGION, EU), but found 'MARS'",
        "/routes/1/features/0: expected a feature of features.json, but found 'heroo'",
        r#"/routes/1/redirect: expected "action": "redirect" beside it, but found 'personalize'"#,
        r#"/routes/2: expected "session": {} on this route"#,
        "/regions/0/when/country: expected two capital letters (ISO 3166-1), but found 'fr'",
        "/regions/0/when/loggedIn: expected a fact that is known before the region",
    ] {
        found(Level::Warning, &all, expected);
    }
    let faults: Vec<_> = findings(&all).into_iter().filter(|(level, _)| *level == Level::Fault).collect();
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn shares_outside_0_to_1_are_faults_that_say_what_to_write() {
    let feature = |rule: Value| json!({ "features": { "f": { "defaultValue": 0, "rules": [rule] } } }).to_string();
    let experiment = |more: Value| {
        let mut rule = json!({ "variations": [0, 1], "hashVersion": 2, "key": "k" });
        rule.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        feature(rule)
    };
    for (text, expected) in [
        (
            feature(json!({ "force": 1, "hashVersion": 2, "coverage": 10 })),
            "/features/f/rules/0/coverage: expected a share from 0 to 1, but found 10: 10 % is 0.1",
        ),
        (experiment(json!({ "coverage": -0.5 })), "/coverage: expected a share from 0 to 1, but found -0.5"),
        (
            experiment(json!({ "weights": [1.5, -0.5] })),
            "/features/f/rules/0/weights: expected weights from 0 to 1 with the sum 1, but found [1.5, -0.5]",
        ),
        (
            experiment(json!({ "weights": [70, 30] })),
            "but found [70, 30]: write [0.7, 0.3]. As they are, all variations get the same share",
        ),
        (
            experiment(json!({ "namespace": ["n", 0, 50] })),
            "/namespace: expected a range within 0 and 1, but found 0 to 50: 50 % is 0.5",
        ),
        (
            experiment(json!({ "namespace": ["n", 0.5, 0.5] })),
            "/namespace: expected a range from a lower to a higher share",
        ),
        (experiment(json!({ "ranges": [[0, 0.5], [0.5, 1.5]] })), "/ranges/1: expected a range within 0 and 1"),
    ] {
        found(Level::Fault, &[("features", &text)], expected);
        assert_eq!(findings(&[("features", &text)]).len(), 1, "{text} is named once");
    }
    let right = experiment(
        json!({ "weights": [0.7, 0.3], "coverage": 1, "namespace": ["n", 0, 1], "ranges": [[0, 0.5], [0.5, 0.5]] }),
    );
    assert!(findings(&[("features", &right)]).is_empty());
}

#[test]
fn what_a_template_reads_in_vain_is_named() {
    let text = routes(json!([{ "id": "a", "path": "/a", "session": {}, "html": [
        { "select": "p", "inner": { "template": "t" } },
        { "select": "h1", "inner": "{{ regoin.slug }} {{ session.cart_quantiy }}" }] }]));
    let templates = json!({ "templates": { "t": "{% if feature['de-baner'] %}{% if region.id == 'NORDIC' %}{{ feature.hero }}{% endif %}\
        {% if deviceType == 'phone' or country == 'fr' %}{{ region.slug }}{% for x in session.cart %}{{ x.sku }}{% endfor %}{% endif %}{% endif %}" } })
    .to_string();
    let features = r#"{"features":{"de-banner":{"defaultValue":1},"hero":{"defaultValue":1}}}"#;
    let regions = r#"{"regions":[{"id":"NORDICS","slug":"n","when":{"country":"SE"}}]}"#;
    let all = [("routes", text.as_str()), ("templates", &templates), ("features", features), ("regions", regions)];
    for expected in [
        "/templates/t: expected a feature that is defined, but found feature['de-baner'], which is always empty: is it feature['de-banner']?",
        "/templates/t: expected the id of a region (DEFAULT_REGION, NORDICS), but found region.id compared with 'NORDIC', which it never is",
        "expected one of mobile, tablet, desktop, tv, bot, but found deviceType compared with 'phone'",
        "expected two capital letters (ISO 3166-1), but found country compared with 'fr'",
        "/routes/0/html/1/inner: expected a value that templates have, but found regoin.slug, which is always empty: is it region.slug?",
        "but found session.cart_quantiy, which is always empty: is it session.cart_quantity?",
    ] {
        found(Level::Warning, &all, expected);
    }
    assert_eq!(findings(&all).len(), 6, "{:#?}", findings(&all));
}

#[test]
fn values_that_no_visitor_has_are_named() {
    let text = routes(json!([{ "id": "a", "path": "/a", "when": { "$or": [
        { "country": { "$in": ["DE", "UK"] } }, { "network": { "$ne": "4g" } }, { "continent": "Europe" },
        { "language": "de" }, { "deviceType": { "$not": { "$in": ["moblie"] } } }, { "country": 49 }] } }]));
    let settings = r#"{"languages":["en","fr"]}"#;
    let all = [("routes", text.as_str()), ("settings", settings)];
    for expected in [
        "/routes/0/when/$or/0/country: expected two capital letters (ISO 3166-1), but found 'UK', which no visitor has: is it 'GB'?",
        "expected one of slow, medium, fast, but found '4g'",
        "expected one of AF, AN, AS, EU, NA, OC, SA, but found 'Europe'",
        "/language: expected a language of settings.languages (en, fr), but found 'de', which no visitor has",
        "but found 'moblie', which no visitor has: is it 'mobile'?",
        "/country: expected two capital letters (ISO 3166-1), but found '49'",
    ] {
        found(Level::Warning, &all, expected);
    }
    assert_eq!(findings(&all).len(), 6, "{:#?}", findings(&all));
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
fn settings_for_development_are_named() {
    let settings = r#"{"region_override":"any","preview":"open"}"#;
    found(
        Level::Warning,
        &[("settings", settings)],
        "/region_override: expected 'none' outside local development, but found 'any'",
    );
    found(
        Level::Warning,
        &[("settings", settings)],
        "/preview: expected 'signed' or 'off' outside local development, but found 'open'",
    );
}

#[test]
fn a_cookie_that_no_browser_keeps_is_a_fault() {
    for (settings, expected) in [
        (
            json!({ "visitor": { "cookie": "a b" } }),
            "/visitor/cookie: expected a cookie's name without spaces, ';' and '=', but found 'a b'",
        ),
        (json!({ "sticky": { "cookie": "a;b" } }), "Write 'a_b'"),
        (
            json!({ "visitor": { "domain": ".example.com" } }),
            "/visitor/domain: expected a domain such as 'example.com'",
        ),
        (json!({ "sticky": { "domain": "a b" } }), "/sticky/domain: expected a domain"),
        (
            json!({ "visitor": { "cookie": "__Host-v", "domain": "example.com" } }),
            "/visitor/domain: expected no domain beside",
        ),
    ] {
        found(Level::Fault, &[("settings", &settings.to_string())], expected);
    }
}

#[test]
fn consent_of_a_wrong_form_is_a_fault_that_says_the_right_one() {
    for (consent, expected) in [
        (json!([]), "/consent: expected an object { … }, but found a list"),
        (
            json!({ "countries": "DE" }),
            r#"/consent/countries: expected a list of countries, such as ["DE"], but found "DE""#,
        ),
        (json!({ "countries": "Germany" }), r#"such as ["DE"], but found "Germany""#),
        (
            json!({ "countries": ["AT", "fr"] }),
            r#"/consent/countries/1: expected two capital letters (ISO 3166-1) or "*", but found "fr": did you mean "FR"?"#,
        ),
        (json!({ "countries": ["France"] }), r#"but found "France": did you mean "FR"?"#),
        (
            json!({ "countries": [49] }),
            r#"/consent/countries/0: expected two capital letters (ISO 3166-1) or "*", but found 49"#,
        ),
    ] {
        let settings = json!({ "consent": consent }).to_string();
        found(Level::Fault, &[("settings", &settings)], expected);
        assert_eq!(
            findings(&[("settings", &settings)]).len(),
            1,
            "{settings}: {:#?}",
            findings(&[("settings", &settings)])
        );
    }
    assert!(findings(&[("settings", r#"{"consent":{"countries":["*"]}}"#)]).is_empty());
}

#[test]
fn a_file_that_cannot_be_read_is_named_first_and_alone() {
    let text = routes(json!([
        { "id": "a", "path": "/a", "chache": {}, "features": ["x"], "html": [
            { "select": "p", "inner": { "template": "one" } }, { "select": "h1", "inner": { "template": "two" } }] },
        { "id": "b", "path": "/b", "when": { "region": "EU", "$or": [{ "id": { "$inGroup": "vip" } }] },
          "html": [{ "select": "p", "inner": { "template": "one" } }] }]));
    let all = [
        ("routes", text.as_str()),
        ("templates", r#"{"templates":{"one":"x",}}"#),
        ("segments", "{"),
        ("features", "{"),
        ("regions", "{"),
    ];
    let lines = findings(&all);
    assert_eq!(lines.len(), 5, "{lines:#?}");
    assert!(lines[3].1.contains("JSON has no comma after the last one"), "{lines:#?}");
    assert!(lines[4].1.contains("'chache'"), "what can be read is checked: {lines:#?}");
}

#[test]
fn a_growthbook_payload_is_checked_with_the_dictionaries_that_it_joins() {
    let text = routes(json!([{ "id": "a", "path": "/a", "features": ["hero", "banner"], "experiments": ["page"] }]));
    let features = r#"{"features":{"hero":{"defaultValue":"own"}}}"#;
    let settings = r#"{"growthbook":{"kv_key":"payload"}}"#;
    let payload = json!({
        "features": {
            "hero": { "defaultValue": "theirs" },
            "banner": { "defaultValue": 1, "holdout": {}, "rules": [{ "force": 2, "condition": { "id": { "$inGroup": "vip" } } }] },
            "broken": { "rules": [{ "force": 1, "hashVersion": 2, "coverage": 10 }] },
            "bandit": { "rules": [{ "contextualBanditRef": "cb", "contextualVariations": [1, 2], "variations": [1, 2], "hashVersion": 2 }] } },
        "experiments": [{ "key": "page", "variations": [{}, {}], "hashVersion": 2, "weights": [70, 30] }],
        "savedGroups": { "vip": ["a"] },
        "contextualBandits": { "cb": { "contexts": [] } } });
    let all = [("routes", text.as_str()), ("features", features), ("settings", settings)];
    let lines = findings_with(&all, Some(payload));
    let expected = ["/features/broken/rules/0/coverage: expected a share", "/experiments/0/weights: expected weights"];
    assert_eq!(lines.len(), 2, "{lines:#?}");
    for expected in expected {
        assert!(
            lines.iter().any(|(_, line)| line.starts_with("growthbook.json:1:") && line.contains(expected)),
            "{lines:#?}"
        );
    }
    // With the payload at hand nothing else can define what a route asks for.
    let lines = findings_with(&all, Some(json!({ "features": {} })));
    assert!(lines.iter().any(|(_, line)| line.contains("but found 'banner'")), "{lines:#?}");
}
