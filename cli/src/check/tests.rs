use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{Level, check};
use crate::folder::{Folder, Source};

fn findings(dictionaries: &[(&str, &str)]) -> Vec<(Level, String)> {
    let sources = dictionaries.iter().map(|(name, text)| {
        ((*name).to_owned(), Source::new(PathBuf::from(format!("{name}.json")), (*text).to_owned()))
    });
    let folder = Folder { dictionaries: sources.collect(), strangers: Vec::new() };
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
    let folder = Folder::read(&place).unwrap();
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
    assert!(lines[1].contains("/routes/3/schedule/until: expected a time to come"));
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
    found(Level::Warning, &[("routes", &text)], "/routes/0/cache: expected an answer for many, but found 'user.id'");
    found(Level::Warning, &[("routes", &text)], "/routes/0/cache/key_cookies/0: expected a cookie that many share");
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
