use serde_json::{Value as Json, json};
use time::macros::datetime;

use super::*;
use crate::condition::Fault;

const NOW: time::OffsetDateTime = datetime!(2026-11-28 12:00 UTC);

fn definitions(features: &Json) -> Definitions {
    let mut definitions = Definitions::default();
    definitions.features.add_object(features.to_string()).unwrap();
    definitions
}

fn value(definitions: &Definitions, key: &str, attributes: &Json) -> (Json, Source) {
    let context = Context::new(attributes, NOW);
    let result = Evaluator::new(definitions, &context).feature(key);
    (result.value.clone(), result.source)
}

#[test]
fn a_broken_feature_is_isolated_and_named() {
    let definitions = definitions(&json!({
        "good": { "defaultValue": 1 },
        "coverage": { "rules": [{ "force": 1 }, { "force": 2, "coverage": "half" }] },
        "condition": { "rules": [{ "force": 1, "condition": { "$or": 5 } }] },
        "number": 7,
        "unasked": { "rules": {} }
    }));
    let attributes = json!({ "id": "1" });
    for key in ["coverage", "condition", "number"] {
        assert_eq!(value(&definitions, key, &attributes), (Json::Null, Source::Broken));
    }
    assert_eq!(value(&definitions, "good", &attributes), (json!(1), Source::DefaultValue));
    let faults: Vec<_> = definitions.features.faults().map(|(key, fault)| format!("{key}{fault}")).collect();
    assert_eq!(
        faults,
        [
            "coverage/rules/1/coverage: expected a number, but found the string \"half\"",
            "condition/rules/0/condition/$or: expected a list of conditions, but found the number 5",
            "numberexpected an object, but found the number 7",
        ]
    );
}

#[test]
fn features_are_compiled_when_they_are_asked_for() {
    let features: serde_json::Map<_, _> = (0..1_000).map(|n| (format!("f{n}"), json!({ "rules": 5 }))).collect();
    let definitions = definitions(&features.into());
    assert_eq!(definitions.features.len(), 1_000);
    assert_eq!(definitions.features.faults().count(), 0);
    value(&definitions, "f7", &json!({}));
    assert_eq!(definitions.features.faults().map(|(key, _)| key).collect::<Vec<_>>(), ["f7"]);
}

#[test]
fn dictionaries_win_over_a_payload() {
    let mut definitions = definitions(&json!({ "hero": { "defaultValue": "dictionary" } }));
    let payload = json!({
        "features": { "hero": { "defaultValue": "payload" }, "banner": { "defaultValue": "payload" } },
        "experiments": [{ "key": "e", "variations": [1, 2] }, { "variations": [1, 2] }],
        "savedGroups": { "vip": ["1"], "odd": 5 },
        "contextualBandits": null
    });
    let faults = definitions.add_payload(&payload.to_string(), None).unwrap_err();
    let pointers: Vec<_> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
    assert_eq!(pointers, ["/experiments/1", "/savedGroups/odd"]);
    assert_eq!(value(&definitions, "hero", &json!({})).0, "dictionary");
    assert_eq!(value(&definitions, "banner", &json!({})).0, "payload");
    assert_eq!(definitions.experiments.keys().collect::<Vec<_>>(), ["e"]);
    assert!(definitions.groups.contains("vip"));
}

#[test]
fn an_encrypted_payload_needs_its_key() {
    // The reference implementation's own example.
    let payload = json!({ "encryptedFeatures":
        "m5ylFM6ndyOJA2OPadubkw==.Uu7ViqgKEt/dWvCyhI46q088PkAEJbnXKf3KPZjf9IEQQ+A8fojNoxw4wIbPX3aj" });
    let key = "Zvwv/+uhpFDznZ6SX28Yjg==";
    let mut definitions = Definitions::default();
    definitions.add_payload(&payload.to_string(), Some(key)).unwrap();
    assert_eq!(value(&definitions, "feature", &json!({})).0, true);
    for key in [None, Some("AAAAAAAAAAAAAAAAAAAAAA==")] {
        let faults = Definitions::default().add_payload(&payload.to_string(), key).unwrap_err();
        assert_eq!(faults[0].pointer, "/encryptedFeatures");
    }
}

#[test]
fn text_that_is_no_table_is_refused() {
    let mut table = Table::<Feature>::default();
    for text in ["", "[]", "5", "{\"a\":1} x", "{\"a\":"] {
        assert!(matches!(table.add_object(text), Err(Fault { .. })), "{text}");
    }
    assert!(table.is_empty());
}

#[test]
fn a_rule_holds_within_its_schedule() {
    let rule = |from: Option<&str>, until: Option<&str>| json!({ "force": "sale", "schedule": { "from": from, "until": until } });
    let feature = |rule: Json| definitions(&json!({ "f": { "defaultValue": "usual", "rules": [rule] } }));
    let at = |from: Option<&str>, until: Option<&str>| value(&feature(rule(from, until)), "f", &json!({})).0;
    assert_eq!(at(Some("2026-11-27T00:00:00Z"), Some("2026-12-01T00:00:00Z")), "sale");
    // Closed at the start, open at the end, in any offset.
    assert_eq!(at(Some("2026-11-28T13:00:00+01:00"), None), "sale");
    assert_eq!(at(None, Some("2026-11-28T12:00:00Z")), "usual");
    assert_eq!(at(Some("2026-11-28T12:00:01Z"), None), "usual");
    let broken = feature(rule(Some("tomorrow"), None));
    assert_eq!(value(&broken, "f", &json!({})).1, Source::Broken);
    assert_eq!(broken.features.faults().next().unwrap().1.pointer, "/rules/0/schedule/from");
}

#[test]
fn a_forced_value_goes_before_everything() {
    let definitions = definitions(&json!({ "f": { "defaultValue": 1 } }));
    let mut context = Context::new(&(), NOW);
    context.forced_features.insert("f".to_owned(), json!(0));
    let result = Evaluator::new(&definitions, &context).feature("f");
    assert_eq!((result.value, result.source, result.on()), (&json!(0), Source::Override, false));
}

#[test]
fn the_query_forces_only_where_that_is_allowed() {
    let definitions = definitions(&json!({ "f": { "rules": [{ "key": "e", "variations": ["a", "b"] }] } }));
    let attributes = json!({ "id": "1" });
    for (allowed, forced) in [(false, false), (true, true)] {
        for variation in ["0", "1"] {
            let url = format!("https://shop.example/?e={variation}");
            let context = Context { url: &url, query_overrides: allowed, ..Context::new(&attributes, NOW) };
            let mut evaluator = Evaluator::new(&definitions, &context);
            let result = evaluator.feature("f").experiment.unwrap().1;
            assert_eq!(!result.hash_used, forced);
            assert_eq!(evaluator.finish().exposures.is_empty(), forced, "a forced variation is no exposure");
        }
    }
}

#[test]
fn an_assignment_is_exposed_once() {
    let definitions = definitions(&json!({
        "parent": { "rules": [{ "key": "e", "variations": [1, 2], "name": "Colours" }] },
        "child": { "rules": [{ "parentConditions": [{ "id": "parent" }], "force": true }] }
    }));
    let attributes = json!({ "id": 42 });
    let context = Context::new(&attributes, NOW);
    let mut evaluator = Evaluator::new(&definitions, &context);
    evaluator.feature("child");
    evaluator.feature("parent");
    evaluator.feature("parent");
    let effects = evaluator.finish();
    let [exposure] = effects.exposures.as_slice() else { panic!("{:?}", effects.exposures) };
    assert_eq!((exposure.experiment, exposure.feature), ("e", Some("parent")));
    assert_eq!(exposure.hash_value.to_text(), "42");
    assert_eq!(exposure.experiment_name, Some("Colours"));
}

#[test]
fn a_changed_sticky_bucket_comes_out_once_and_only_if_changed() {
    let definitions = definitions(&json!({
        "f": { "rules": [{ "key": "e", "variations": [1, 2], "meta": [{ "key": "x" }, { "key": "y" }] }] },
        "g": { "rules": [{ "key": "h", "variations": [1, 2] }] }
    }));
    let attributes = json!({ "id": "1" });
    let empty = StickyBuckets::new();
    let context = Context { sticky: Some(&empty), ..Context::new(&attributes, NOW) };
    let mut evaluator = Evaluator::new(&definitions, &context);
    for key in ["f", "g", "f"] {
        evaluator.feature(key);
    }
    let changed = evaluator.finish().sticky;
    assert_eq!(changed.len(), 1);
    assert_eq!(changed[0].assignments.keys().collect::<Vec<_>>(), ["e__0", "h__0"]);
    let remembered = StickyBuckets::belonging_to(&attributes, changed);
    let context = Context { sticky: Some(&remembered), ..Context::new(&attributes, NOW) };
    let mut evaluator = Evaluator::new(&definitions, &context);
    assert!(evaluator.feature("f").experiment.unwrap().1.sticky_used);
    assert!(evaluator.finish().sticky.is_empty());
}

#[test]
fn a_chain_of_doubled_prerequisites_takes_no_time() {
    let link = |n: usize| {
        let next = json!({ "id": format!("f{}", n + 1), "condition": { "value": { "$exists": true } } });
        json!({ "defaultValue": 0, "rules": [{ "force": 1, "parentConditions": [next, next] }] })
    };
    let mut features: serde_json::Map<_, _> = (0..30).map(|n| (format!("f{n}"), link(n))).collect();
    features.insert("f30".to_owned(), json!({ "defaultValue": 1 }));
    assert_eq!(value(&definitions(&features.into()), "f0", &json!({})), (json!(1), Source::Force));
}

#[test]
fn a_chain_without_an_end_is_a_cycle() {
    let link = |n: usize| json!({ "rules": [{ "force": 1, "parentConditions": [{ "id": format!("f{}", n + 1), "gate": true }] }] });
    let features: serde_json::Map<_, _> = (0..10_000).map(|n| (format!("f{n}"), link(n))).collect();
    assert_eq!(value(&definitions(&features.into()), "f0", &json!({})).1, Source::CyclicPrerequisite);
}

#[test]
fn a_decision_explains_itself() {
    let definitions = definitions(&json!({
        "gate": { "defaultValue": true },
        "f": { "defaultValue": "none", "rules": [
            { "id": "vip", "condition": { "country": "FR" }, "force": 1 },
            { "force": 2, "coverage": 0.0 },
            { "id": "ab", "key": "e", "variations": ["a", "b"], "hashVersion": 2, "parentConditions": [{ "id": "gate" }] }
        ] }
    }));
    let attributes = json!({ "id": "1", "country": "US" });
    let context = Context::new(&attributes, NOW);
    let mut steps: Vec<String> = Vec::new();
    let bucket = Evaluator::explained(&definitions, &context, &mut steps).feature("f").experiment.unwrap().1.bucket;
    let bucket = bucket.unwrap().as_f64();
    let variation = usize::from(bucket >= 0.5);
    assert_eq!(
        steps,
        [
            "feature f:".to_owned(),
            "rule 0 (vip) is passed over: its condition fails at country".to_owned(),
            "rule 1 is passed over: outside of the rollout".to_owned(),
            "feature gate:".to_owned(),
            "feature gate is true (defaultValue)".to_owned(),
            format!("experiment e: variation {variation} by hash, bucket {bucket}"),
            "rule 2 (ab) applies".to_owned(),
            format!("feature f is \"{}\" (experiment)", ["a", "b"][variation]),
        ]
    );
}

#[test]
fn exposures_decided_elsewhere_are_passed_on() {
    let definitions = definitions(&json!({ "f": { "rules": [{ "force": "red", "tracks": [{
        "experiment": { "key": "e", "variations": ["blue", "red"] },
        "result": { "key": "1", "variationId": 1, "hashAttribute": "id", "hashValue": "v", "inExperiment": true }
    }] }] } }));
    let context = Context::new(&(), NOW);
    let mut evaluator = Evaluator::new(&definitions, &context);
    evaluator.feature("f");
    let effects = evaluator.finish();
    assert_eq!((effects.exposures[0].experiment, effects.exposures[0].variation), ("e", 1));
}

#[test]
fn the_strict_reader_names_what_the_evaluator_forgives() {
    let definitions = definitions(&json!({ "known": {} }));
    let feature = json!({ "defaultvalue": 1, "rules": [
        { "force": 1, "coverage": 0.5, "condition": { "a": { "$regx": "x" } } },
        { "variations": ["a", "b", "c"], "weights": [0.3333, 0.3333, 0.3333], "hashVersion": 2, "meta": [{}] },
        { "variations": ["a"], "weights": [0.5, 0.5], "hashVersion": 3, "weight": 1 },
        { "force": 1, "parentConditions": [{ "id": "known" }, { "id": "gone", "condition": { "value": { "$in": 1 } } }] },
        { "contextualVariations": [1, 2], "contextualBanditRef": "gone", "hashVersion": 2 }
    ] });
    let pointers: Vec<_> = lint_feature("f", &feature, &definitions).into_iter().map(|fault| fault.pointer).collect();
    assert_eq!(
        pointers,
        [
            "/defaultvalue",
            "/rules/0/condition/a/$regx",
            "/rules/0/hashVersion",
            "/rules/1/meta",
            "/rules/1/weights",
            "/rules/2/hashVersion",
            "/rules/2/variations",
            "/rules/2/weights",
            "/rules/2/weight",
            "/rules/3/parentConditions/1/id",
            "/rules/3/parentConditions/1/condition/value/$in",
            "/rules/4/contextualBanditRef",
        ]
    );
    let experiment = json!({ "key": "e", "variations": [{}, { "urlRedirect": "https://h/" }], "hashVersion": 2, "urlPatterns": [
        { "type": "simple", "pattern": "/a" }, { "type": "regex", "pattern": "(?=a)" }, { "type": "glob", "pattern": "*" }
    ] });
    let pointers: Vec<_> =
        lint_experiment("e", &experiment, &definitions).into_iter().map(|fault| fault.pointer).collect();
    assert_eq!(pointers, ["/urlPatterns/1/pattern", "/urlPatterns/2/type"]);
    let clean = json!({ "defaultValue": 1, "rules": [{ "force": 1, "coverage": 0.1, "hashVersion": 2 }] });
    assert_eq!(lint_feature("f", &clean, &definitions), []);
}

fn names(list: &[Box<str>]) -> Vec<&str> {
    list.iter().map(|name| &**name).collect()
}

#[test]
fn a_feature_says_what_it_reads() {
    let definitions = definitions(&json!({
        "f": { "rules": [
            { "force": 1, "condition": { "country": "FR", "session.tier": "gold" } },
            { "force": 2, "coverage": 0.5, "hashAttribute": "visitorId" },
            { "force": 3, "coverage": 0.0, "hashAttribute": "never" },
            { "force": 4, "parentConditions": [{ "id": "parent", "condition": { "value": 1 } }] },
            { "variations": [1, 2], "fallbackAttribute": "deviceId", "condition": { "country": "BE" },
              "filters": [{ "seed": "s", "ranges": [[0, 1]], "attribute": "account" }], "contextualBanditRef": "b" }
        ] },
        "parent": { "rules": [{ "force": 1, "condition": { "language": "fr" }, "parentConditions": [{ "id": "f" }, { "id": "gone" }] }] },
        "plain": { "defaultValue": 1 }
    }));
    let mut definitions = definitions;
    definitions
        .bandits
        .add_object(r#"{"b":{"contexts":[{"leafId":1,"condition":{"os":"iOS"},"weights":[0.5,0.5]}]}}"#)
        .unwrap();
    let reads = definitions.features.get("f").unwrap().unwrap().reads();
    assert_eq!(names(&reads.attributes), ["country", "session.tier"]);
    assert_eq!(names(&reads.hashed), ["account", "deviceId", "id", "visitorId"]);
    assert_eq!(names(&reads.features), ["parent"]);
    assert_eq!(names(&reads.bandits), ["b"]);
    // What prerequisites and bandits read, too, although these two refer to each other.
    let all = definitions.reads_of_feature("f");
    assert_eq!(names(&all.attributes), ["country", "language", "os", "session.tier"]);
    assert_eq!(names(&all.features), ["f", "gone", "parent"]);
    assert_eq!(names(&definitions.reads_of_feature("parent").hashed), ["account", "deviceId", "id", "visitorId"]);
    for key in ["plain", "gone"] {
        assert_eq!(definitions.reads_of_feature(key), Reads::default());
    }
}

#[test]
fn an_evaluation_reads_nothing_that_the_feature_does_not_say() {
    use std::cell::RefCell;

    use crate::condition::{Attributes, Value};

    struct Watched<'a>(&'a Json, RefCell<Vec<String>>);
    impl Attributes for Watched<'_> {
        fn attribute(&self, name: &str) -> Option<Value<'_>> {
            self.1.borrow_mut().push(name.to_owned());
            self.0.attribute(name)
        }
    }
    let file = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/own-cases.json")).unwrap();
    let file: Json = serde_json::from_str(&file).unwrap();
    let mut looked_up = 0;
    for case in file["feature"].as_array().unwrap() {
        let mut definitions = definitions(&case[1].get("features").cloned().unwrap_or_else(|| json!({})));
        if let Some(bandits) = case[1].get("contextualBandits") {
            definitions.bandits.add_object(bandits.to_string()).unwrap();
        }
        let key = case[2].as_str().unwrap();
        let attributes = Watched(&case[1]["attributes"], RefCell::default());
        Evaluator::new(&definitions, &Context::new(&attributes, NOW)).feature(key);
        let reads = definitions.reads_of_feature(key);
        let said: Vec<&str> = reads.iter().filter_map(Read::attribute).collect();
        for name in attributes.1.borrow().iter() {
            assert!(said.contains(&name.as_str()), "{key} reads {name}, says {said:?}");
            looked_up += 1;
        }
    }
    assert!(looked_up >= 12, "{looked_up}");
}

#[test]
fn an_experiment_says_for_which_pages_it_is() {
    let experiment = |json: Json| Experiment::compile("e", &json.to_string()).unwrap();
    let everywhere = experiment(json!({ "variations": [1, 2] }));
    assert!(!everywhere.has_url_targets() && everywhere.includes_url("https://h/any", None));
    let shop = experiment(json!({ "variations": [1, 2], "urlPatterns": [{ "type": "simple", "pattern": "/shop/*" }] }));
    assert!(
        shop.has_url_targets()
            && shop.includes_url("https://h/shop/a", None)
            && !shop.includes_url("https://h/blog", None)
    );
}

#[test]
fn what_never_holds_is_named_with_the_broken_ones() {
    let mut definitions = definitions(&json!({
        "f": { "rules": [{ "force": 1 }, { "force": 2, "condition": { "ua": { "$regex": "(?=a)" } } }] }
    }));
    let target = json!([{ "key": "e", "variations": [1, 2], "urlPatterns": [{ "type": "regex", "pattern": "(.{0,90}){0,90}z" }] }]);
    definitions.experiments.add_array(target.to_string()).unwrap();
    assert_eq!(value(&definitions, "f", &json!({})).0, 1);
    assert!(definitions.experiments.get("e").unwrap().is_ok());
    let pointers = |faults: Vec<(&str, &Fault)>| {
        faults.iter().map(|(key, fault)| format!("{key}{}", fault.pointer)).collect::<Vec<_>>()
    };
    assert_eq!(pointers(definitions.features.faults().collect()), ["f/rules/1/condition/ua/$regex"]);
    assert_eq!(pointers(definitions.experiments.faults().collect()), ["e/urlPatterns/0/pattern"]);
}

#[test]
fn features_without_room_for_their_patterns_are_broken_and_named() {
    let feature = json!({ "rules": [{ "force": 1, "condition": { "path": { "$regex": "(.{0,25}){0,25}z" } } }] });
    let features: serde_json::Map<_, _> = (0..60).map(|n| (format!("f{n}"), feature.clone())).collect();
    let definitions = definitions(&features.into());
    let usable = definitions.features.iter().count();
    assert!((8..20).contains(&usable), "{usable}");
    assert_eq!(definitions.features.faults().count(), 60 - usable);
}
