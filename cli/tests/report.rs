//! `personalizer report` and `personalizer pseudonym`: what a user sees, from logs whose truth is known.
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
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use shop::{Shop, Truth, Twist};
use tempfile::TempDir;

const RULES: &str = r#"{ "features": { "hero": { "defaultValue": 0, "rules": [
    { "key": "hero", "variations": [0, 1], "weights": [0.5, 0.5], "hashVersion": 2, "seed": "hero" }] } } }"#;

fn run(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_personalizer"))
        .args(arguments)
        .current_dir(folder)
        .env_remove("PERSONALIZER_IDENTITY_SECRET")
        .env_remove("PERSONALIZER_TARGET")
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

fn report(folder: &Path, arguments: &[&str]) -> Value {
    let (exit, stdout, stderr) = run(folder, &[&["report", "--format", "json"], arguments].concat());
    assert_eq!(exit, 0, "{stderr}");
    serde_json::from_str(&stdout).unwrap()
}

/// A folder with rules, and a log of these lines.
fn folder(lines: &[String]) -> TempDir {
    let folder = TempDir::new().unwrap();
    fs::create_dir(folder.path().join("rules")).unwrap();
    fs::write(folder.path().join("rules/features.json"), RULES).unwrap();
    fs::write(folder.path().join("a.log"), lines.join("\n") + "\n").unwrap();
    folder
}

/// The report of a shop, and its truth.
fn of(shop: &Shop, arguments: &[&str]) -> (Value, Truth) {
    let (lines, truth) = shop.lines();
    let folder = folder(&lines);
    (report(folder.path(), &[&["a.log", "--rules", "rules"], arguments].concat()), truth)
}

fn only(report: &Value) -> &Value {
    let experiments = report["experiments"].as_array().unwrap();
    assert_eq!(experiments.len(), 1, "{experiments:#?}");
    &experiments[0]
}

fn metric<'r>(experiment: &'r Value, name: &str) -> &'r Value {
    experiment["metrics"].as_array().unwrap().iter().find(|row| row["name"] == name).unwrap()
}

fn warned(experiment: &Value, said: &str) -> bool {
    experiment["warnings"].as_array().unwrap().iter().any(|warning| warning.as_str().unwrap().contains(said))
}

fn units(experiment: &Value) -> Vec<u64> {
    let variations = experiment["variations"].as_array().unwrap();
    variations.iter().map(|variation| variation["units"].as_u64().unwrap()).collect()
}

#[test]
fn a_better_variation_is_found_and_every_order_counts_once() {
    for twist in [Twist::None, Twist::Messy] {
        let shop = Shop { lift: 0.4, twist, ..Shop::default() };
        let (report, truth) = of(&shop, &["--metric", "order:rate", "--metric", "order:value:0.99"]);
        let hero = only(&report);
        assert_eq!(units(hero), truth.units, "{twist:?}");
        let rate = metric(hero, "order:rate");
        assert_eq!(rate["did"], json!(truth.bought), "{twist:?}");
        assert_eq!(rate["verdict"], "better", "{rate}");
        assert!(
            rate["why"].as_str().unwrap().starts_with("order:rate of variation 1 is better than the baseline: +"),
            "{rate}"
        );
        assert_eq!(rate["fixed"], Value::Null, "no horizon was named");
        let [low, high] = [0, 1].map(|end| rate["sequence"][end].as_f64().unwrap());
        assert!(low < 0.4 && 0.4 < high, "{low} {high}");
        assert_eq!(metric(hero, "order:value:0.99")["did"], json!(truth.bought));
        if twist == Twist::Messy {
            let read = &report["read"];
            assert_eq!(read["broken"], 50);
            assert!(read["doubled"].as_u64().unwrap() > 5_000 && read["repeated"].as_u64().unwrap() > 100, "{read}");
        }
    }
}

#[test]
fn two_equal_variations_stay_undecided_and_the_wait_is_named() {
    for seed in 1..4 {
        let (report, _) = of(&Shop { seed, visitors: 6_000, ..Shop::default() }, &["--metric", "order:rate"]);
        let hero = only(&report);
        let rate = metric(hero, "order:rate");
        assert_eq!(
            (&rate["verdict"], &hero["srm"]["flagged"]),
            (&json!("undecided"), &json!(false)),
            "seed {seed}: {rate}"
        );
        assert!(rate["why"].as_str().unwrap().contains("the interval holds 0"), "{rate}");
    }
}

#[test]
fn a_small_difference_between_many_visitors_is_none() {
    let (report, _) = of(&Shop { rate: 0.5, ..Shop::default() }, &["--metric", "order:rate", "--least", "10"]);
    let rate = metric(only(&report), "order:rate");
    assert!(rate["verdict"] == "flat" && rate["why"].as_str().unwrap().contains("no difference above"), "{rate}");
}

#[test]
fn a_redirect_that_loses_visitors_is_named_and_nothing_else_is_believed() {
    let (report, _) = of(&Shop { lift: 0.5, twist: Twist::Redirect, ..Shop::default() }, &["--metric", "order:rate"]);
    let hero = only(&report);
    assert_eq!(hero["srm"]["flagged"], true, "{}", hero["srm"]);
    assert_eq!(
        (&hero["srm"]["by"][0]["dimension"], &hero["srm"]["by"][0]["value"]),
        (&json!("device"), &json!("mobile"))
    );
    assert!(warned(hero, "strongest where device is mobile"), "{}", hero["warnings"]);
    let rate = metric(hero, "order:rate");
    assert!(
        rate["verdict"] == "untrusted" && rate["why"].as_str().unwrap().contains("visitors of one variation are lost")
    );
}

#[test]
fn a_variation_that_fails_is_named_with_its_reason_and_is_no_mismatch() {
    let (report, _) = of(&Shop { twist: Twist::Fallback, ..Shop::default() }, &["--metric", "order:rate"]);
    let hero = only(&report);
    assert_eq!(hero["srm"]["flagged"], false, "{}", hero["srm"]);
    assert!(
        warned(hero, "Variation 1 falls back for") && warned(hero, "mostly for status-503"),
        "{}",
        hero["warnings"]
    );
    assert_eq!(hero["variations"][0]["fallback"], 0);
    assert!(hero["variations"][1]["fallback"].as_u64().unwrap() > 400);
}

#[test]
fn nothing_is_put_together_across_log_keys() {
    let (report, truth) = of(&Shop { twist: Twist::Rotation, ..Shop::default() }, &["--metric", "order:rate"]);
    let experiments = report["experiments"].as_array().unwrap();
    let keys: Vec<&str> = experiments.iter().map(|experiment| experiment["key"].as_str().unwrap()).collect();
    assert_eq!(keys, ["2026-11", "2026-12"]);
    let total: u64 = experiments.iter().flat_map(units).sum();
    assert_eq!(total, truth.units.iter().sum::<u64>());
    assert!(experiments.iter().all(|experiment| warned(experiment, "the log key changed")));
}

#[test]
fn changed_weights_are_two_experiments_and_each_has_its_own_ratio() {
    let (lines, _) = Shop { twist: Twist::Weights, ..Shop::default() }.lines();
    let folder = folder(&lines);
    fs::create_dir(folder.path().join("new")).unwrap();
    fs::write(folder.path().join("new/features.json"), RULES.replace("[0.5, 0.5]", "[0.3, 0.7]")).unwrap();
    let all =
        report(folder.path(), &["a.log", "--metric", "order:rate", "--rules", "r1=./rules", "--rules", "r2=./new"]);
    let experiments = all["experiments"].as_array().unwrap();
    assert_eq!(experiments.len(), 2);
    for (experiment, revision) in experiments.iter().zip(["r1", "r2"]) {
        assert_eq!(experiment["revisions"], json!([revision]));
        assert_eq!(experiment["srm"]["flagged"], false, "{experiment}");
        assert_eq!(metric(experiment, "order:rate")["verdict"], "undecided", "{experiment}");
    }
    // Under the wrong weights the mismatch is found, and nothing is said of orders.
    let wrong = report(folder.path(), &["a.log", "--metric", "order:rate", "--rules", "rules"]);
    assert_eq!(metric(only(&wrong), "order:rate")["verdict"], "untrusted");
}

#[test]
fn the_fixed_interval_counts_once_the_horizon_has_passed() {
    let shop = Shop { lift: 0.2, ..Shop::default() };
    let (before, _) = of(&shop, &["--metric", "order:rate", "--horizon", "2026-12-24"]);
    assert_eq!(metric(only(&before), "order:rate")["fixed"], Value::Null);
    let (after, _) = of(&shop, &["--metric", "order:rate", "--horizon", "2026-11-14"]);
    let rate = metric(only(&after), "order:rate");
    let width = |name: &str| rate[name][1].as_f64().unwrap() - rate[name][0].as_f64().unwrap();
    assert!(width("fixed") < width("sequence"), "{rate}");
    assert!(rate["why"].as_str().unwrap().contains("95 % interval at the horizon"), "{rate}");
    // What comes from --to on doesn't count, and with it the last units' orders.
    let to = |to: &str| {
        let (cut, _) = of(&shop, &["--metric", "order:rate", "--horizon", "2026-11-08", "--window", "72h", "--to", to]);
        metric(only(&cut), "order:rate")["fixed"].is_null()
    };
    assert_eq!(["2026-11-08", "2026-11-10", "2026-11-11"].map(to), [true, true, false]);
}

#[test]
fn at_the_horizon_every_figure_is_of_the_units_before_it() {
    let (lines, _) = Shop { lift: 0.2, ..Shop::default() }.lines();
    let read: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let text = |line: &Value, name: &str| line[name].as_str().unwrap().to_owned();
    let mut first: BTreeMap<String, String> = BTreeMap::new();
    for line in read.iter().filter(|line| !line["experiment_id"].is_null()) {
        let at = text(line, "timestamp");
        let known = first.entry(text(line, "unit_id")).or_insert_with(|| at.clone());
        *known = at.min(known.clone());
    }
    let is_early = |line: &Value| first.get(&text(line, "unit_id")).is_some_and(|at| at.as_str() < "2026-11-06");
    let early = lines.iter().zip(&read).filter(|(_, line)| is_early(line)).map(|(line, _)| line.clone());
    let early = folder(&early.collect::<Vec<_>>());
    let asked = ["a.log", "--rules", "rules", "--metric", "order:rate", "--metric", "order:value"];
    let expected = report(early.path(), &asked);
    let at_horizon = [&asked[..], &["--horizon", "2026-11-06"]].concat();
    let found = report(folder(&lines).path(), &at_horizon);
    for name in ["order:rate", "order:value"] {
        let (expected, found) = (metric(only(&expected), name), metric(only(&found), name));
        for field in ["did", "baseline", "mean", "lift", "sequence"] {
            assert_eq!(found[field], expected[field], "{name} {field}");
        }
        assert_ne!(found["fixed"], Value::Null, "{name}");
    }
    // Orders of the last units may still come.
    let open = lines.iter().zip(&read).filter(|(_, line)| text(line, "timestamp").as_str() < "2026-11-08T23");
    let open = folder(&open.map(|(line, _)| line.clone()).collect::<Vec<_>>());
    let waits = report(open.path(), &at_horizon);
    assert_eq!(metric(only(&waits), "order:rate")["fixed"], Value::Null);
    assert!(warned(&waits, "not the end of --window after it (2026-11-09T00:00:00Z)"), "{}", waits["warnings"]);
}

#[test]
fn money_of_few_orders_is_not_judged() {
    let (report, _) = of(&Shop { visitors: 4_000, lift: 1.0, ..Shop::default() }, &[]);
    let hero = only(&report);
    let names: Vec<&str> =
        hero["metrics"].as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["order:rate", "order:value"], "the logs' own events, where none is named");
    let value = metric(hero, "order:value");
    assert!(value["verdict"] == "undecided" && value["why"].as_str().unwrap().contains("too few"), "{value}");
}

#[test]
fn what_a_browser_says_is_shown_and_not_believed() {
    let (mut lines, _) = Shop { visitors: 3_000, ..Shop::default() }.lines();
    let vitals: Vec<String> = lines
        .iter()
        .filter(|line| line.contains("\"order\""))
        .map(|line| line.replace("\"order\"", "\"lcp\"").replace("\"origin\"", "\"browser\""))
        .collect();
    lines.extend(vitals);
    let folder = folder(&lines);
    let report = report(folder.path(), &["a.log", "--metric", "lcp:value", "--rules", "rules"]);
    let row = metric(only(&report), "lcp:value");
    assert!(row["verdict"] == "untrusted" && row["why"].as_str().unwrap().contains("only browsers report it"), "{row}");
}

#[test]
fn orders_of_a_file_count_beside_the_logs_and_once() {
    let (lines, truth) = Shop { visitors: 3_000, ..Shop::default() }.lines();
    let (orders, seen): (Vec<String>, Vec<String>) = lines.into_iter().partition(|line| line.contains("\"order\""));
    let half = orders.len() / 2;
    let mut csv = "unit_id,timestamp,event_id,value,currency\n".to_owned();
    for line in orders.iter().skip(half / 2) {
        let line: Value = serde_json::from_str(line).unwrap();
        let cell = |name: &str| line[name].as_str().unwrap().to_owned();
        csv += &format!("{},{},{},{},EUR\n", cell("unit_id"), cell("timestamp"), cell("event_id"), line["value"]);
    }
    let folder = folder(&[seen, orders[..half].to_vec()].concat());
    fs::write(folder.path().join("orders.csv"), csv).unwrap();
    let report = report(folder.path(), &["a.log", "--orders", "orders.csv", "--metric", "order:rate"]);
    assert_eq!(metric(only(&report), "order:rate")["did"], json!(truth.bought));
    assert!(report["read"]["repeated"].as_u64().unwrap() > 20);
    assert!(!warned(&report, "Nobody in --orders"));
}

#[test]
fn orders_of_a_file_are_of_the_time_that_was_asked_for() {
    let (lines, _) = Shop { visitors: 200, ..Shop::default() }.lines();
    let folder = folder(&lines);
    let csv = "unit_id,timestamp\nu,2026-11-01T10:00:00Z\nu,2026-11-20T10:00:00Z\nu,2026-12-20T10:00:00Z\n";
    fs::write(folder.path().join("orders.csv"), csv).unwrap();
    let time = ["a.log", "--from", "2026-11-02", "--to", "2026-12-01"];
    let outside = |arguments: &[&str]| report(folder.path(), arguments)["read"]["outside"].as_u64().unwrap();
    assert_eq!(outside(&[&time[..], &["--orders", "orders.csv"]].concat()), outside(&time) + 2);
}

#[test]
fn traffic_is_counted_by_pop_route_and_revision() {
    let folder = folder(&shop::decisions(2_000, 3));
    let report = report(folder.path(), &["a.log"]);
    let rows = report["traffic"].as_array().unwrap();
    assert_eq!(rows.len(), 4);
    let sum = |name: &str| rows.iter().map(|row| row[name].as_u64().unwrap()).sum::<u64>();
    assert_eq!(["requests", "cold", "failed", "fallback"].map(sum), [2_000, 100, 10, 40]);
    let all = &report["summary"]["all"];
    let near = |value: &Value, low: f64, high: f64| (low..=high).contains(&value.as_f64().unwrap());
    assert!(near(&all["total"]["p50"], 30.0, 45.0) && near(&all["total"]["p99"], 396.0, 405.0), "{all}");
    assert!(near(&all["own"]["p50"], 0.65, 0.75) && near(&all["own"]["p99"], 1.1, 1.25), "{all}");
    assert_eq!(all["vcpu_seconds_per_million"], 2_000.0);
    assert_eq!(report["summary"]["codes"][0]["code"], "backend-status");
    assert_eq!(report["summary"]["variants"][0], json!({ "name": "hero=0, region=EU-WEST", "requests": 1_000 }));
    assert_eq!(report["summary"]["sessions"], json!([{ "name": "fresh", "requests": 2_000 }]));
}

#[test]
fn the_local_servers_output_is_read_as_it_is() {
    let mut lines: Vec<String> = shop::decisions(20, 1).iter().map(|line| format!("decisions :: {line}")).collect();
    lines.insert(0, "2026-11-24T04:53:30Z  INFO request{id=0}: handling GET /".to_owned());
    lines.push(r#"errors :: {"v":1,"time":"2026-11-24T04:53:30Z","request_id":"a","code":"rule-fault","fault":{"dictionary":"routes","pointer":"/routes/0","message":"expected a path, but found 3"}}"#.to_owned());
    let folder = folder(&lines);
    let report = report(folder.path(), &["a.log"]);
    assert_eq!(
        (&report["read"]["lines"], &report["read"]["other"], &report["read"]["broken"]),
        (&json!(21), &json!(1), &json!(0))
    );
    let fault = report["summary"]["codes"].as_array().unwrap().iter().find(|row| row["code"] == "rule-fault").unwrap();
    assert_eq!(fault["fault"], "routes /routes/0: expected a path, but found 3");
}

#[test]
fn an_experiment_by_another_attribute_than_the_conversions_is_named() {
    let (lines, _) = Shop { visitors: 500, ..Shop::default() }.lines();
    let other = |line: &String| match line.contains("experiment_id") {
        true => line.replace("\"id\"", "\"visitorId\"").replace("\"unit_id\":\"", "\"unit_id\":\"f"),
        false => line.clone(),
    };
    let folder = folder(&lines.iter().map(other).collect::<Vec<_>>());
    let report = report(folder.path(), &["a.log", "--metric", "order:rate"]);
    assert!(warned(only(&report), "pseudonym --unit-type visitorId"), "{}", only(&report)["warnings"]);
}

#[test]
fn lines_of_version_one_are_read_too() {
    let (lines, truth) = Shop { visitors: 500, ..Shop::default() }.lines();
    let old = |line: &String| line.replace("\"v\":2", "\"v\":1").replace("\"key\":\"2026-11\",", "");
    let lines: Vec<String> = lines.iter().filter(|line| line.contains("experiment_id")).map(old).collect();
    let folder = folder(&lines);
    let report = report(folder.path(), &["a.log"]);
    let hero = only(&report);
    assert_eq!((units(hero), &hero["key"]), (truth.units.to_vec(), &Value::Null));
    assert!(warned(hero, "version 1") && warned(hero, "equal weights are assumed"), "{}", hero["warnings"]);
}

#[test]
fn packed_files_folders_and_standard_input_tell_the_same() {
    let lines = shop::decisions(3_000, 5);
    let folder = folder(&lines[..1_000]);
    let day = folder.path().join("day");
    fs::create_dir(&day).unwrap();
    fs::rename(folder.path().join("a.log"), day.join("a.log")).unwrap();
    let mut gzip =
        flate2::write::GzEncoder::new(fs::File::create(day.join("b.gz")).unwrap(), flate2::Compression::fast());
    gzip.write_all(lines[1_000..2_000].join("\n").as_bytes()).unwrap();
    gzip.finish().unwrap();
    fs::write(day.join("c.zst"), zstd::encode_all(lines[2_000..].join("\n").as_bytes(), 1).unwrap()).unwrap();
    let of_folder = report(folder.path(), &["day"]);
    assert_eq!(of_folder["summary"]["all"]["requests"], 3_000);
    assert_eq!(report(folder.path(), &["day/*.log", "day/*.gz", "day/c.zst", "--threads", "1"]), of_folder);

    let mut command = Command::new(env!("CARGO_BIN_EXE_personalizer"));
    command
        .args(["report", "-", "--format", "json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut running = command.spawn().unwrap();
    let mut stdin = running.stdin.take().unwrap();
    let text = lines.join("\n");
    let writing = std::thread::spawn(move || stdin.write_all(text.as_bytes()).unwrap());
    let output = running.wait_with_output().unwrap();
    writing.join().unwrap();
    let piped: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(piped["traffic"], of_folder["traffic"]);
}

#[test]
fn lines_of_a_later_version_are_named_and_not_guessed_at() {
    let (mut lines, _) = Shop { visitors: 200, ..Shop::default() }.lines();
    lines.extend(lines.clone().iter().map(|line| line.replacen("\"v\":2", "\"v\":3", 1)));
    let later = lines.iter().filter(|line| line.contains("\"v\":3")).count();
    assert!(later > 100);
    let report = report(folder(&lines).path(), &["a.log"]);
    assert_eq!(
        (&report["read"]["broken"], &report["read"]["doubled"]),
        (&json!(later), &json!(lines.len() - 2 * later))
    );
    assert!(warned(&report, "of a later version"), "{report}");
}

#[test]
fn nothing_found_is_said_to_be_so() {
    let (lines, _) = Shop { visitors: 200, ..Shop::default() }.lines();
    let folder = folder(&lines);
    let elsewhen = report(folder.path(), &["a.log", "--from", "2031-01-01"]);
    assert!(warned(&elsewhen, "No line is within --from and --to"), "{elsewhen}");
    // Orders under another secret.
    let csv = "unit_id,timestamp\n000000000000000000000000000000aa,2026-11-03T10:00:00Z\n";
    fs::write(folder.path().join("orders.csv"), csv).unwrap();
    let strangers = report(folder.path(), &["a.log", "--orders", "orders.csv", "--metric", "order:rate"]);
    assert!(warned(&strangers, "Nobody in --orders was in an experiment"), "{strangers}");
}

#[test]
fn a_variation_with_two_ranges_is_one_arm() {
    let (lines, _) = Shop { visitors: 4_000, ..Shop::default() }.lines();
    let split = |line: &String| {
        let of_its_unit = line.find("\"unit_id\":\"").and_then(|at| line.as_bytes().get(at + 11));
        match of_its_unit {
            Some(digit) if digit % 2 == 0 => line.replace("\"variation\":1,", "\"variation\":2,"),
            _ => line.clone(),
        }
    };
    let apart: Vec<String> = lines.iter().map(split).collect();
    assert!(
        apart.iter().any(|line| line.contains("\"variation\":2,"))
            && apart.iter().any(|line| line.contains("\"variation\":1,"))
    );
    let (one, two) = (folder(&lines), folder(&apart));
    let rules = RULES.replace("[0, 1]", "[0, 1, 1]").replace("[0.5, 0.5]", "[0.5, 0.25, 0.25]");
    fs::write(two.path().join("rules/features.json"), rules).unwrap();
    let asked = ["a.log", "--metric", "order:rate", "--rules", "rules"];
    let (one, two) = (report(one.path(), &asked), report(two.path(), &asked));
    assert_eq!(only(&one), only(&two));
}

#[test]
fn an_event_with_colons_in_its_name_has_its_rows() {
    let (lines, _) = Shop { visitors: 2_000, ..Shop::default() }.lines();
    let lines: Vec<String> =
        lines.iter().map(|line| line.replace("\"event\":\"order\"", "\"event\":\"shop:order\"")).collect();
    let folder = folder(&lines);
    let by_itself = report(folder.path(), &["a.log"]);
    assert!(metric(only(&by_itself), "shop:order:rate")["did"][0].as_u64().unwrap() > 0);
    let asked = report(folder.path(), &["a.log", "--metric", "shop:order:value", "--metric", "shop:order:value"]);
    assert_eq!(only(&asked)["metrics"].as_array().unwrap().len(), 1, "what is asked for twice is told once");
}

#[test]
fn a_row_of_orders_that_cant_be_read_is_named() {
    let (lines, _) = Shop { visitors: 200, ..Shop::default() }.lines();
    let folder = folder(&lines);
    for (row, why) in [
        ("u,2026-11-20 01:00:00,5", "row 2: it has no time as 2026-11-27T08:00:00Z, but '2026-11-20 01:00:00'"),
        ("u,2026-11-20T01:00:00Z,59.90 EUR", "row 2: it has no number as its value, but '59.90 EUR'"),
        (",2026-11-20T01:00:00Z,5", "row 2: it has no unit_id"),
    ] {
        fs::write(folder.path().join("orders.csv"), format!("unit_id,timestamp,value\n{row}\n")).unwrap();
        let report = report(folder.path(), &["a.log", "--orders", "orders.csv"]);
        assert!(warned(&report, why), "{report}");
    }
}

#[test]
fn weights_that_cant_be_found_are_no_equal_ones() {
    let (lines, _) = Shop { visitors: 200, ..Shop::default() }.lines();
    let folder = folder(&lines);
    let (exit, _, stderr) = run(folder.path(), &["report", "a.log", "--rules", "@active", "--on", "file:nowhere.json"]);
    assert!(exit == 2 && stderr.contains("expected revisions in the store of --on"), "{exit} {stderr}");
}

#[test]
fn only_the_time_that_was_asked_for_counts() {
    let folder = folder(&shop::decisions(3_000, 5));
    let report = report(folder.path(), &["a.log", "--from", "2026-11-03", "--to", "2026-11-03T10:00:00Z"]);
    assert_eq!((&report["summary"]["all"]["requests"], &report["read"]["outside"]), (&json!(600), &json!(2_400)));
    assert_eq!(report["summary"]["hours"].as_array().unwrap().len(), 10);
}

#[test]
fn a_small_memory_keeps_a_fair_share_of_the_units_and_says_so() {
    let shop = Shop { visitors: 60_000, lift: 0.4, ..Shop::default() };
    let (report, truth) = of(&shop, &["--metric", "order:rate", "--memory", "16"]);
    let share = report["read"]["units_share"].as_f64().unwrap();
    assert!(share < 1.0);
    let hero = only(&report);
    let kept: u64 = units(hero).iter().sum();
    let expected = share * truth.units.iter().sum::<u64>() as f64;
    assert!((kept as f64 / expected - 1.0).abs() < 0.05, "{kept} of {expected}");
    assert_eq!(metric(hero, "order:rate")["verdict"], "better");
    assert!(report["warnings"].as_array().unwrap().iter().any(|text| text.as_str().unwrap().contains("--memory 16")));
}

#[test]
fn the_page_needs_nothing_else_and_can_be_read_aloud() {
    let (mut lines, _) = Shop { lift: 0.5, ..Shop::default() }.lines();
    lines.extend(shop::decisions(500, 2));
    lines.push(lines[0].replace("\"FR\"", "\"<script>alert(1)</script>\"").replace("\"id\"", "\"<b>\""));
    let folder = folder(&lines);
    let (exit, stdout, stderr) = run(folder.path(), &["report", "a.log", "--rules", "rules"]);
    assert_eq!(exit, 0, "{stderr}");
    assert!(
        stdout.contains("better: order:rate of variation 1 is better")
            && stdout.ends_with("The report is in report.html.\n"),
        "{stdout}"
    );
    let page = fs::read_to_string(folder.path().join("report.html")).unwrap();
    for forbidden in ["<script", "<b>\"", "http://", "https://", "url(", "@import", "<link", "<img"] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
    let count = |text: &str| page.matches(text).count();
    assert!(count("<svg ") >= 5 && count("<svg ") == count("<desc ") && count("role=\"img\"") == count("<svg "));
    assert!(page.contains("prefers-color-scheme: dark") && page.contains("@media print"));
    let ids: Vec<&str> = page.split(" id=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    let unique: std::collections::BTreeSet<&&str> = ids.iter().collect();
    assert_eq!(unique.len(), ids.len(), "{ids:?}");
    assert_eq!(count("<table>"), count("<caption>"));
}

#[test]
fn prometheus_text_has_no_path_and_one_type_a_metric() {
    let (mut lines, _) = Shop { visitors: 2_000, ..Shop::default() }.lines();
    lines.extend(shop::decisions(500, 2));
    let folder = folder(&lines);
    let (exit, stdout, _) = run(folder.path(), &["report", "a.log", "--format", "prometheus"]);
    assert_eq!(exit, 0);
    let mut types = BTreeMap::new();
    for line in stdout.lines() {
        if let Some(line) = line.strip_prefix("# TYPE ") {
            assert_eq!(types.insert(line.split(' ').next().unwrap().to_owned(), ()), None, "{line}");
        } else if !line.starts_with('#') {
            let (name, rest) = line.split_once('{').unwrap();
            assert!(types.contains_key(name), "{line}");
            assert!(rest.rsplit(' ').next().unwrap().parse::<f64>().is_ok(), "{line}");
        }
    }
    assert!(
        stdout.contains("edge_report_requests{by=\"route\",name=\"home\"}") && !stdout.contains("/products/"),
        "{stdout}"
    );
    assert!(stdout.contains("edge_report_verdict{experiment=\"hero\""), "{stdout}");
}

#[test]
fn a_mistake_in_the_arguments_is_named() {
    let folder = folder(&shop::decisions(1, 1));
    for (arguments, said) in [
        (vec!["none.log"], "found nothing of that name"),
        (vec!["a.log", "--metric", "order"], "expected NAME:rate, NAME:value"),
        (vec!["a.log", "--window", "72"], "expected a length as 72h"),
        (vec!["a.log", "--horizon", "soon"], "expected a day as 2026-11-27"),
        (vec!["a.log", "--rules", "@active"], "--on TARGET"),
        (vec!["a.log", "--orders", "a.log"], "expected the columns unit_id and timestamp"),
        (vec!["a.log", "--from", "2026-11-03", "--to", "2026-11-02"], "expected --from before --to"),
    ] {
        let (exit, _, stderr) = run(folder.path(), &[&["report"], arguments.as_slice()].concat());
        assert!(exit == 2 && stderr.contains(said), "{arguments:?}: {stderr}");
    }
    fs::write(folder.path().join("empty.log"), "").unwrap();
    let (exit, _, stderr) = run(folder.path(), &["report", "empty.log", "--out", "-"]);
    assert!(exit == 0 && stderr.contains("No log line was found"), "{stderr}");
}

#[test]
fn a_pseudonym_is_the_one_that_the_edge_writes() {
    use edge_personalizer::context::identity::{IdentityKeys, pseudonym};
    const SECRET: &str = "an-identity-key-of-32-bytes-or-more";
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("identity"), SECRET).unwrap();
    fs::write(folder.path().join("orders.csv"), "order,customer,timestamp\n\"1,5\",alice,t1\n2, bob ,t2\n3,,t3\n")
        .unwrap();
    let arguments = ["pseudonym", "orders.csv", "--column", "customer", "--identity-file", "identity"];
    let (exit, stdout, stderr) = run(folder.path(), &arguments);
    let (keys, _) = IdentityKeys::parse(SECRET.as_bytes());
    let unit = |id: &str| pseudonym(keys.log_key().unwrap(), "id", id);
    let expected = format!(
        "unit_type,unit_id,order,timestamp\nid,{},\"1,5\",t1\nid,{},2,t2\nid,,3,t3\n",
        unit("alice"),
        unit("bob")
    );
    assert_eq!((exit, stdout), (1, expected), "{stderr}");
    assert!(stderr.contains("1 rows have no id"), "{stderr}");
    let (exit, _, stderr) = run(folder.path(), &["pseudonym", "orders.csv"]);
    assert!(exit == 2 && stderr.contains("--identity-file or in PERSONALIZER_IDENTITY_SECRET"), "{stderr}");
    let (exit, _, stderr) =
        run(folder.path(), &["pseudonym", "orders.csv", "--column", "name", "--identity-file", "identity"]);
    assert!(exit == 2 && stderr.contains("expected one of order, customer, timestamp, but found 'name'"), "{stderr}");
    // Rows of unequal length, over the very file that is read.
    fs::write(folder.path().join("rows.csv"), "customer,a,b\nalice,1\nbob,1,2\n").unwrap();
    let rows = ["pseudonym", "rows.csv", "--column", "customer", "--identity-file", "identity", "--out", "rows.csv"];
    let (exit, _, stderr) = run(folder.path(), &rows);
    let expected = format!("unit_type,unit_id,a,b\nid,{},1\nid,{},1,2\n", unit("alice"), unit("bob"));
    assert_eq!((exit, fs::read_to_string(folder.path().join("rows.csv")).unwrap()), (0, expected), "{stderr}");
    fs::write(folder.path().join("rows.csv"), "customer;a\nalice;1\n").unwrap();
    let (exit, _, stderr) = run(folder.path(), &rows);
    assert!(exit == 2 && stderr.contains("separated by commas"), "{stderr}");
    assert_eq!(fs::read_to_string(folder.path().join("rows.csv")).unwrap(), "customer;a\nalice;1\n", "left as it was");
    fs::write(folder.path().join("again.csv"), "unit_id,order\nx,1\n").unwrap();
    let again = ["pseudonym", "again.csv", "--column", "order", "--identity-file", "identity"];
    let (exit, _, stderr) = run(folder.path(), &again);
    assert!(exit == 2 && stderr.contains("without the column unit_id"), "{stderr}");
    fs::write(folder.path().join("two.csv"), "customer,order,customer\nalice,1,carol\n").unwrap();
    let two = ["pseudonym", "two.csv", "--column", "customer", "--identity-file", "identity"];
    let (exit, stdout, stderr) = run(folder.path(), &two);
    assert!(
        exit == 2 && stdout.is_empty() && stderr.contains("(1 or 3)"),
        "no id of the other column: {stdout}{stderr}"
    );
}

#[test]
fn a_file_with_another_separator_makes_no_pseudonyms() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("identity"), "an-identity-key-of-32-bytes-or-more").unwrap();
    let made = |text: &str, more: &[&str]| {
        fs::write(folder.path().join("ids.csv"), text).unwrap();
        run(folder.path(), &[&["pseudonym", "ids.csv", "--identity-file", "identity"], more].concat())
    };
    let own = ["--unit-type", "company"];
    let bare = ["--no-header", "--unit-type", "company"];
    for (text, more, said) in [
        ("customer_id|total\nalice|5\n", &own[..], "separated by commas, but found 'customer_id|total'"),
        ("customer_id;total\nalice;5\n", &own, "separated by commas, but found 'customer_id;total'"),
        ("alice;5\n", &bare, "row 1: expected columns separated by commas, but found one column that holds \";\""),
        ("alice\nbob\t5\n", &bare, "row 2: expected columns separated by commas"),
        ("sep=,\ncustomer_id,total\nalice,5\n", &own, "found a line 'sep=…' of a spreadsheet"),
        ("\u{feff}SEP=;\nalice;5\n", &bare, "found a line 'SEP=;…' of a spreadsheet"),
        ("", &own, "found an empty file"),
    ] {
        let (exit, stdout, stderr) = made(text, more);
        assert_eq!(exit, 2, "{text:?}: {stdout}");
        assert!(stderr.contains(said) && !stderr.contains("alice"), "{text:?}: {stderr}");
    }
    // Some providers of identities have a bar in their ids.
    let (exit, stdout, stderr) = made("user\nauth0|5f7c8ec7\n", &[]);
    assert!(exit == 0 && stdout.lines().count() == 2, "{stdout}{stderr}");
}
