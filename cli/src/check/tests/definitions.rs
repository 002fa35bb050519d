//! Features and experiments, by hand or from a payload.

use serde_json::{Value, json};

use super::{Level, findings, findings_with, found, routes};

#[test]
fn two_variations_of_one_key_are_named_unless_they_are_one() {
    let experiment = |variations: Value, meta: Value| {
        json!({ "experiments": [{ "key": "e", "hashVersion": 2, "variations": variations, "meta": meta }] }).to_string()
    };
    let warned = |text: &str| {
        let lines = findings(&[("experiments", text)]);
        lines.iter().any(|(_, line)| line.contains("/experiments/0/meta/1: expected a key of its own"))
    };
    assert!(warned(&experiment(json!(["x", "y"]), json!([{ "key": "a" }, { "key": "a" }]))));
    assert!(warned(&experiment(json!(["x", "y"]), json!([{ "key": "1" }, {}]))));
    assert!(!warned(&experiment(json!(["x", "y"]), json!([{ "key": "a" }, { "key": "b" }]))));
    assert!(
        !warned(&experiment(json!(["x", "x"]), json!([{ "key": "a" }, { "key": "a" }]))),
        "`reweight` writes it so"
    );
}

#[test]
fn an_experiment_that_cant_be_remembered_is_named_where_settings_remember() {
    let experiment = |more: serde_json::Value| {
        let mut experiment = json!({ "key": "e", "hashVersion": 2, "variations": [{}, {}] });
        experiment.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ "experiments": [experiment] }).to_string()
    };
    let on = json!({ "sticky": {} }).to_string();
    let warned = |settings: &str, experiments: &str| {
        let lines = findings(&[("settings", settings), ("experiments", experiments)]);
        lines.iter().any(|(_, line)| line.contains("/experiments/0: expected `meta` with a `key` for each variation"))
    };
    assert!(warned(&on, &experiment(json!({}))));
    assert!(warned(&on, &experiment(json!({ "meta": [{ "key": "a" }, { "name": "b" }] }))));
    assert!(!warned(&on, &experiment(json!({ "meta": [{ "key": "a" }, { "key": "b" }] }))));
    assert!(!warned(&on, &experiment(json!({ "disableStickyBucketing": true }))));
    assert!(!warned("{}", &experiment(json!({}))));
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
fn a_visual_change_that_no_stream_can_make_is_named() {
    let experiments = json!({ "experiments": [{ "key": "x", "hashVersion": 2, "variations": [{}, { "domMutations": [
        { "selector": "#a", "attribute": "position", "action": "set", "parentSelector": "#b" }] }] }] });
    found(Level::Warning, &[("experiments", &experiments.to_string())], "/experiments/0/variations/1/domMutations/0");
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
