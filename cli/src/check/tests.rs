//! What the check says of rules, as people see it: here of files as wholes, below by subject.

mod definitions;
mod names;
mod routes;
mod settings;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{Level, Report, check};
use crate::folder::payload::{Payload, PayloadOptions};
use crate::folder::{Folder, Source};

fn findings(dictionaries: &[(&str, &str)]) -> Vec<(Level, String)> {
    findings_with(dictionaries, None)
}

/// Findings of dictionaries with a GrowthBook payload beside them.
fn findings_with(dictionaries: &[(&str, &str)], payload: Option<Value>) -> Vec<(Level, String)> {
    let report = report_of(dictionaries, payload);
    let line = |finding: &super::Finding| {
        let place = finding.position;
        format!("{}:{}:{} {}: {}", finding.file.display(), place.line, place.column, finding.pointer, finding.message)
    };
    report.findings.iter().map(|finding| (finding.level, line(finding))).collect()
}

fn report_of(dictionaries: &[(&str, &str)], payload: Option<Value>) -> Report {
    let payload = payload.map(|json| Payload::new(PathBuf::from("growthbook.json"), json.to_string(), None));
    let sources = dictionaries.iter().map(|(name, text)| {
        ((*name).to_owned(), Source::new(PathBuf::from(format!("{name}.json")), (*text).to_owned()))
    });
    let folder = Folder::new(sources.collect(), payload);
    let manifest = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(manifest.path(), "[local_server.backends.origin]\nurl = \"http://127.0.0.1\"\n").unwrap();
    check(&folder, Path::new("rules"), Some(manifest.path())).unwrap()
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
fn a_key_that_stands_twice_is_named() {
    let text = r#"{"features":{"hero":{"defaultValue":1},"hero":{"defaultValue":2}}}"#;
    found(Level::Fault, &[("features", text)], "/features/hero: expected a name of its own, but found 'hero' twice");
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
fn a_pattern_that_takes_all_the_work_of_a_request_is_warned_about() {
    let dear = "(.{0,20}){0,20}z";
    let text = routes(json!([
        { "id": "a", "path": "/a", "when": { "$or": [{ "url": { "$regex": dear } }] } },
        { "id": "b", "path": "/b", "when": { "url": { "$regex": "^/shop/(men|women)/[a-z0-9-]+$" } } },
    ]));
    let experiments = json!({ "experiments": [{ "key": "e", "variations": [0, 1], "urlPatterns": [
        { "include": true, "type": "regex", "pattern": dear }] }] });
    let both = [("routes", text.as_str()), ("experiments", &experiments.to_string())];
    for place in ["/routes/0/when/$or/0/url/$regex", "/experiments/0/urlPatterns/0/pattern"] {
        found(Level::Warning, &both, &format!("{place}: expected a pattern that is cheap to match"));
    }
    assert!(!findings(&both).iter().any(|(_, line)| line.contains("/routes/1/when")));
}
