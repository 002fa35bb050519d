use std::collections::HashMap;

use clap::Parser as _;
use edge_personalizer::growthbook::{Context, Definition as _, Definitions, Evaluator, Experiment};
use serde_json::{Value, json};

use super::{Options, Reweighted, reweight};

#[derive(clap::Parser)]
struct Line {
    #[command(flatten)]
    options: Options,
}

fn asked(arguments: &[&str], text: &str) -> anyhow::Result<(Reweighted, String)> {
    let line = ["reweight", "features.json"].iter().chain(arguments);
    reweight(&Line::try_parse_from(line)?.options, text)
}

fn done(arguments: &[&str], text: &str) -> (Reweighted, String) {
    asked(arguments, text).unwrap()
}

/// The variations that the edge gives 20,000 visitors.
fn variations(rule: &Value) -> HashMap<String, Option<String>> {
    let experiment = Experiment::compile("x", &rule.to_string()).unwrap();
    let definitions = Definitions::default();
    let visitor = |number: u32| {
        let id = format!("visitor-{number}");
        let attributes = json!({ "id": id });
        let context = Context::new(&attributes, time::OffsetDateTime::UNIX_EPOCH);
        let result = Evaluator::new(&definitions, &context).experiment(&experiment);
        (id, result.in_experiment.then(|| result.key.clone().into_owned()))
    };
    (0..20_000).map(visitor).collect()
}

/// Shares that moved or left, and joined, among visitors whom the edge evaluates.
fn seen(before: &Value, after: &Value) -> (f64, f64) {
    let (before, after) = (variations(before), variations(after));
    let share = |test: &dyn Fn(&Option<String>, &Option<String>) -> bool| {
        let count = before.iter().filter(|(id, variation)| test(variation, &after[*id])).count();
        count as f64 / before.len() as f64
    };
    (share(&|old, new| old.is_some() && old != new), share(&|old, new| old.is_none() && new.is_some()))
}

fn rule(text: &str, pointer: &str) -> Value {
    serde_json::from_str::<Value>(text).unwrap().pointer(pointer).unwrap().clone()
}

const THREE: &str = r#"{ "experiments": [
    { "key": "x", "hashVersion": 2, "seed": "s",
      "variations": ["a", "b", "c"],
      "weights": [0.4, 0.3, 0.3] }
  ] }"#;

#[test]
fn only_those_move_whom_the_change_itself_needs() {
    let (result, edited) = done(&["x", "--weights", "0.2,0.3,0.5"], THREE);
    assert!((result.change.moved - 0.2).abs() < 1e-9 && result.change.left == 0.0, "{:?}", result.change);
    assert!((result.change.least - 0.2).abs() < 1e-9, "{:?}", result.change);
    assert!((result.change.by_weights_alone - 0.4).abs() < 1e-9, "{:?}", result.change);
    let (changed, joined) = seen(&rule(THREE, "/experiments/0"), &rule(&edited, "/experiments/0"));
    assert!((changed - 0.2).abs() < 0.01 && joined == 0.0, "the edge moves {changed}, lets in {joined}");
    assert!(
        result.warnings[0].starts_with("20.00 % of visitors will have seen two variations: "),
        "{:?}",
        result.warnings
    );
}

#[test]
fn a_variation_with_a_second_range_is_listed_again_under_its_key() {
    let (result, edited) = done(&["x", "--weights", "0.2,0.3,0.5"], THREE);
    let after = rule(&edited, "/experiments/0");
    assert_eq!(after["variations"], json!(["a", "b", "c", "c"]));
    assert_eq!(after["meta"], json!([{ "key": "0" }, { "key": "1" }, { "key": "2" }, { "key": "2" }]));
    assert_eq!(result.variations.len(), 3);
    // And once more, from there: three weights for three variations, not four.
    let (again, edited) = done(&["x", "--weights", "0.4,0.3,0.3"], &edited);
    assert!((again.change.moved - 0.2).abs() < 1e-9, "{:?}", again.change);
    let (changed, _) = seen(&after, &rule(&edited, "/experiments/0"));
    assert!((changed - 0.2).abs() < 0.01, "{changed}");
}

#[test]
fn the_rest_of_the_file_stays_as_it_is_written() {
    let text = "{\n  \"features\": {\n    \"hero\": {\n      \"defaultValue\":  \"a\",   \"rules\": [\n        {\n          \"key\": \"x\",\n          \"hashVersion\": 2,\n          \"weights\": [0.5,0.5],\n          \"variations\": [\"a\",  \"b\"]\n        }\n      ]\n    }\n  }\n}\n";
    let (result, edited) = done(&["x", "--weights", "0.3,0.7"], text);
    let expected = text.replace("[0.5,0.5],", "[0.3, 0.7],\n          \"ranges\": [[0, 0.3], [0.3, 1]],");
    assert_eq!(edited, expected);
    assert_eq!(result.pointer, "/features/hero/rules/0");
    assert_eq!(done(&["hero", "--weights", "0.3,0.7"], text).1, expected, "the feature's key will do");
}

#[test]
fn a_ramp_only_adds_visitors() {
    let text =
        r#"{"experiments":[{"key":"x","hashVersion":2,"variations":["a","b"],"weights":[0.5,0.5],"coverage":0.2}]}"#;
    let (result, edited) = done(&["x", "--weights", "0.5,0.5", "--coverage", "0.6"], text);
    assert_eq!((result.change.moved, result.change.left), (0.0, 0.0));
    assert!((result.change.joined - 0.4).abs() < 1e-9, "{:?}", result.change);
    assert!(result.warnings[0].starts_with("nobody changes the variation"), "{:?}", result.warnings);
    let (changed, joined) = seen(&rule(text, "/experiments/0"), &rule(&edited, "/experiments/0"));
    assert!(changed == 0.0 && (joined - 0.4).abs() < 0.015, "{changed} {joined}");
}

#[test]
fn hash_version_1_moves_whole_buckets_of_its_own() {
    let text = r#"{"experiments":[{"key":"x","variations":["a","b","c"]}]}"#;
    let (result, edited) = done(&["x", "--weights", "0.25,0.25,0.5"], text);
    assert!((result.change.moved + result.change.left - result.change.least).abs() < 1e-9, "{:?}", result.change);
    let (changed, _) = seen(&rule(text, "/experiments/0"), &rule(&edited, "/experiments/0"));
    assert!((changed - result.change.moved).abs() < 0.02, "{changed} {:?}", result.change);
    assert!(result.warnings.iter().any(|warning| warning.contains("hash version 1")), "{:?}", result.warnings);
}

#[test]
fn what_makes_no_split_is_refused() {
    for (arguments, expected) in [
        (&["x", "--weights", "0.5,0.5"][..], "expected 3 weights, one a variation, but found 2"),
        (&["x", "--weights", "0.5,0.5,0.5"], "with the sum 1, but found the sum 1.5"),
        (&["x", "--weights", "0.2,0.3,0.5", "--coverage", "2"], "--coverage: expected a share"),
        (&["xx", "--weights", "0.2,0.3,0.5"], "is it 'x'?"),
        (&["x", "--weights", "0.2,0.3,0.5", "--at", "/experiments/7"], "--at picks one"),
    ] {
        let error = format!("{:#}", asked(arguments, THREE).err().unwrap());
        assert!(error.contains(expected), "{error}");
    }
    let twice = r#"{"features":{"f":{"rules":[{"variations":[0,1]},{"variations":[0,1]}]}}}"#;
    let error = format!("{:#}", asked(&["f", "--weights", "0.2,0.8"], twice).err().unwrap());
    assert!(error.contains("/features/f/rules/0, /features/f/rules/1: --at picks one"), "{error}");
    assert!(asked(&["f", "--weights", "0.2,0.8", "--at", "/features/f/rules/1"], twice).is_ok());
    let bandit = r#"{"features":{"f":{"rules":[{"variations":[0,1],"contextualBanditRef":"b"}]}}}"#;
    assert!(format!("{:#}", asked(&["f", "--weights", "0.2,0.8"], bandit).err().unwrap()).contains("a bandit's"));
}
