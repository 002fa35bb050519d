//! What the report says of many simulated shops, beside what is true. Takes minutes, so it is run by hand:
//! `cargo test -p personalizer --test report_truth -- --ignored --nocapture` prints the table of docs/REPORT.md.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at a surprise"
)]

mod shop;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use shop::{Shop, Truth, Twist};
use tempfile::TempDir;

const RULES: &str = r#"{ "features": { "hero": { "defaultValue": 0, "rules": [
    { "key": "hero", "variations": [0, 1], "weights": [0.5, 0.5], "hashVersion": 2, "seed": "hero" }] } } }"#;

fn seeds() -> u64 {
    std::env::var("SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(200)
}

fn report(folder: &Path, arguments: &[&str]) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_personalizer"));
    command.args(["report", "a.log", "--format", "json", "--threads", "1"]).args(arguments).current_dir(folder);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn written(shop: &Shop) -> (TempDir, Truth) {
    let (lines, truth) = shop.lines();
    let folder = TempDir::new().unwrap();
    for (name, weights) in [("rules", "[0.5, 0.5]"), ("new", "[0.3, 0.7]")] {
        fs::create_dir(folder.path().join(name)).unwrap();
        fs::write(folder.path().join(name).join("features.json"), RULES.replace("[0.5, 0.5]", weights)).unwrap();
    }
    fs::write(folder.path().join("a.log"), lines.join("\n") + "\n").unwrap();
    (folder, truth)
}

/// How often each thing was said.
type Said = BTreeMap<String, u32>;

fn note(said: &mut Said, what: &str) {
    *said.entry(what.to_owned()).or_default() += 1;
}

fn row(scenario: &str, truth: &str, said: &Said) {
    let said: Vec<String> = said.iter().map(|(what, times)| format!("{what} {times}")).collect();
    println!("| {scenario} | {truth} | {} |", said.join(", "));
}

fn rates(report: &Value) -> impl Iterator<Item = &Value> {
    let experiments = report["experiments"].as_array().unwrap().iter();
    experiments
        .flat_map(|experiment| experiment["metrics"].as_array().unwrap())
        .filter(|row| row["name"] == "order:rate")
}

const RATE: [&str; 4] = ["--rules", "rules", "--metric", "order:rate"];

#[test]
#[ignore = "takes minutes"]
fn what_is_said_of_many_shops() {
    println!("| shop | true | said in {} runs |\n| --- | --- | --- |", seeds());
    for (name, truth, lift, twist) in [
        ("two equal variations, one look", "no difference", 0.0, Twist::None),
        ("one better by 30 %", "better", 0.3, Twist::None),
        ("a redirect loses one visitor in twelve on phones", "mismatch", 0.0, Twist::Redirect),
        ("5 % of one variation fall back", "no mismatch; named", 0.0, Twist::Fallback),
        ("a fifth are bots", "no difference", 0.0, Twist::Bots),
        ("a fifth log in", "no difference", 0.0, Twist::Login),
        ("a third lose their cookie", "no difference", 0.0, Twist::LostCookies),
        ("the log key is rotated", "no difference, twice", 0.0, Twist::Rotation),
        ("weights change during a sale", "no difference, twice", 0.0, Twist::Weights),
        ("lines twice, late, cut; orders again", "each order once", 0.0, Twist::Messy),
    ] {
        let mut said = Said::new();
        for seed in 1..=seeds() {
            let shop = Shop { seed, visitors: 8_000, lift, twist, ..Shop::default() };
            let (folder, truth) = written(&shop);
            let rules: &[&str] = if twist == Twist::Weights {
                &["--rules", "r1=./rules", "--rules", "r2=./new", "--metric", "order:rate"]
            } else {
                &RATE
            };
            let report = report(folder.path(), rules);
            for rate in rates(&report) {
                note(&mut said, rate["verdict"].as_str().unwrap());
            }
            if twist == Twist::Fallback {
                let named = report["experiments"][0]["warnings"].to_string().contains("Variation 1 falls back");
                note(&mut said, if named { "named" } else { "not named" });
            }
            if twist == Twist::Redirect && report["experiments"][0]["srm"]["by"][0]["value"] == "mobile" {
                note(&mut said, "phones named");
            }
            if twist == Twist::Messy {
                let right = rates(&report).next().unwrap()["did"] == json!(truth.bought);
                note(&mut said, if right { "orders right" } else { "orders wrong" });
            }
        }
        row(name, truth, &said);
    }
}

#[test]
#[ignore = "takes minutes"]
fn looking_every_day_raises_no_false_alarm() {
    let (mut sequence, mut fixed) = (0, 0);
    for seed in 1..=seeds() {
        let (folder, _) = written(&Shop { seed: seed + 10_000, visitors: 6_000, ..Shop::default() });
        let (mut by_sequence, mut by_fixed) = (false, false);
        for day in 3..=15 {
            let to = format!("2026-11-{:02}", day + 1);
            let horizon = format!("2026-11-{day:02}");
            // A horizon on every day is what must not be done: it shows what the sequence is for.
            let report = report(folder.path(), &[&RATE[..], &["--to", &to, "--horizon", &horizon]].concat());
            let Some(rate) = rates(&report).next() else { continue };
            let excludes = |name: &str| {
                let end = |end: usize| rate[name][end].as_f64();
                end(0).zip(end(1)).is_some_and(|(low, high)| low > 0.0 || high < 0.0)
            };
            by_sequence |= excludes("sequence") && rate["did"][0].as_u64().unwrap() >= 30;
            by_fixed |= excludes("fixed");
        }
        sequence += u32::from(by_sequence);
        fixed += u32::from(by_fixed);
    }
    println!(
        "| two equal variations, looked at on 13 days | no difference | alarms: sequence {sequence}, fixed {fixed} of {} |",
        seeds()
    );
    assert!(f64::from(sequence) <= 0.05 * seeds() as f64);
}

#[test]
#[ignore = "takes minutes"]
fn intervals_hold_the_truth_as_often_as_they_say() {
    for spread in [0.5, 1.0, 1.5] {
        let (mut held, mut sequence, mut judged) = (0_u32, 0_u32, 0_u32);
        for seed in 1..=seeds() {
            let shop = Shop { seed: seed + 20_000, visitors: 14_000, spread, ..Shop::default() };
            let (folder, _) = written(&shop);
            let arguments = ["--rules", "rules", "--metric", "order:value", "--horizon", "2026-11-15"];
            let report = report(folder.path(), &arguments);
            let value = &report["experiments"][0]["metrics"][0];
            let holds = |name: &str| value[name][0].as_f64().unwrap() <= 0.0 && value[name][1].as_f64().unwrap() >= 0.0;
            judged += 1;
            held += u32::from(holds("fixed"));
            sequence += u32::from(holds("sequence"));
        }
        println!(
            "| revenue, log deviation {spread}, some 700 orders an arm | 0 | fixed held {held}, sequence held {sequence} of {judged} |"
        );
    }
}
