//! Who changed the pointer: the history beside it, going back to a time, and two people at once.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may stop at a surprise")]

mod store;

use std::fs;
use std::process::Stdio;

use serde_json::{Value, json};
use store::Shop;
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

/// A shop with two revisions, r1 serving.
fn shop() -> Shop {
    let shop = Shop::new();
    shop.well(&["push", "rules", "--revision", "r1", "--activate", "--reason", "the first"]);
    shop.route("two");
    shop.well(&["push", "rules", "--revision", "r2"]);
    shop
}

fn history(shop: &Shop) -> Vec<Value> {
    let status: Value = serde_json::from_str(&shop.well(&["status", "--history", "--format", "json"])).unwrap();
    status["history"].as_array().unwrap().clone()
}

/// Writes a store's entry as somebody else would.
fn set(shop: &Shop, key: &str, value: Option<&str>) {
    let mut store = shop.store();
    match value {
        Some(value) => store[key] = json!(value),
        None => drop(store.as_object_mut().unwrap().remove(key)),
    }
    fs::write(shop.file(), store.to_string()).unwrap();
}

#[test]
fn each_change_says_who_when_from_what_to_what_and_why() {
    let shop = shop();
    let output = shop
        .command(&["canary", "r2", "--percent", "5", "--reason", "a bigger\nhero"])
        .env("PERSONALIZER_AUTHOR", "Ada Lovelace <ada@shop.example>")
        .output()
        .unwrap();
    assert!(output.status.success());
    for command in [&["promote"][..], &["rollback", "--reason", "empty pages"], &["disable"], &["enable"]] {
        shop.well(command);
    }
    shop.well(&["shadow", "r2"]);
    let history = history(&shop);
    let did: Vec<&str> = history.iter().map(|record| record["did"].as_str().unwrap()).collect();
    let expected = [
        "shadow r2",
        "enable",
        "disable",
        "rollback",
        "promote",
        "canary r2 --percent 5",
        "push --revision r1 --activate",
    ];
    assert_eq!(did, expected, "the newest first");
    let canary = &history[5];
    assert_eq!((&canary["by"], &canary["why"]), (&json!("Ada Lovelace <ada@shop.example>"), &json!("a bigger hero")));
    assert_eq!((&canary["from"]["revision"], &canary["to"]["canary"]["percent"]), (&json!("r1"), &json!(5.0)));
    assert_eq!((&history[3]["from"]["revision"], &history[3]["to"]["revision"]), (&json!("r2"), &json!("r1")));
    let at = OffsetDateTime::parse(canary["at"].as_str().unwrap(), &Rfc3339).unwrap();
    assert!((OffsetDateTime::now_utc() - at).abs() < Duration::hours(1));
    let text = shop.well(&["status", "--history"]);
    assert!(
        text.contains("ran `rollback`") && text.contains("empty pages") && text.contains("from: r2 serves"),
        "{text}"
    );
    assert!(shop.well(&["status"]).contains("last change: "), "without being asked");
}

#[test]
fn a_command_that_changes_nothing_and_a_push_alone_leave_no_line_and_staging_has_its_own() {
    let shop = shop();
    shop.well(&["enable"]);
    assert_eq!(history(&shop).len(), 1);
    shop.well(&["promote", "r2", "--staging"]);
    assert_eq!(history(&shop).len(), 1);
    assert!(shop.store()["active_staging_history"].as_str().unwrap().contains("promote r2"));
}

#[test]
fn what_cannot_be_recorded_stops_no_rollback_and_is_said() {
    let shop = shop();
    shop.well(&["promote", "r2"]);
    set(&shop, "active_history", None);
    for n in shop.store().as_object().unwrap().len()..500 {
        set(&shop, &format!("other{n}"), Some("x"));
    }
    let (code, _, stderr) = shop.run(&["rollback"]);
    assert_eq!((code, &shop.pointer()["revision"]), (0, &json!("r1")), "{stderr}");
    assert!(stderr.contains("not in the history") && stderr.contains("500 of 500"), "{stderr}");
}

#[test]
fn prune_keeps_the_history_and_no_revision_is_made_of_it() {
    let shop = shop();
    shop.well(&["prune", "--keep", "0"]);
    assert_eq!(history(&shop).len(), 1);
    let status: Value = serde_json::from_str(&shop.well(&["status", "--format", "json"])).unwrap();
    assert_eq!(status["revisions"].as_array().unwrap().len(), 1, "{status:#}");
}

#[test]
fn a_rollback_to_a_time_finds_what_served_then() {
    let shop = shop();
    shop.well(&["promote", "r2"]);
    shop.route("three");
    shop.well(&["push", "rules", "--revision", "r3", "--activate"]);
    // As if the three changes had been made three hours, two hours and one hour ago.
    let now = OffsetDateTime::now_utc();
    let ago =
        |minutes: i64| (now - Duration::minutes(minutes)).replace_nanosecond(0).unwrap().format(&Rfc3339).unwrap();
    let text = shop.store()["active_history"].as_str().unwrap().to_owned();
    let moved = text.lines().zip([180, 120, 60]).map(|(line, minutes)| {
        let mut record: Value = serde_json::from_str(line).unwrap();
        record["at"] = json!(ago(minutes));
        record.to_string()
    });
    set(&shop, "active_history", Some(&moved.collect::<Vec<_>>().join("\n")));

    shop.refused(&["rollback", "--to", &format!("before {}", ago(200))], 2, "the history begins at");
    shop.refused(&["rollback", "--to", "yesterday"], 2, "expected 'before 14:30'");
    shop.refused(&["rollback", "--to", &format!("before {}", ago(-60))], 2, "still to come");
    shop.well(&["rollback", "--to", &format!("before {}", ago(150))]);
    assert_eq!((&shop.pointer()["revision"], &shop.pointer()["previous"]), (&json!("r1"), &json!("r3")));

    // The same by the clock on the wall, in a zone where it is noon now.
    let offset = 12 - i64::from(now.hour());
    let local = now + Duration::hours(offset) - Duration::minutes(90);
    let clock = format!("before {:02}:{:02}", local.hour(), local.minute());
    let mut command = shop.command(&["rollback", "--to", &clock]);
    let output = command.env("TZ", format!("XXX{:+}", -offset)).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(shop.pointer()["revision"], "r2");
    let why = &history(&shop)[0]["did"];
    assert!(why.as_str().unwrap().starts_with("rollback --to 'before "), "{why}");
}

#[test]
fn of_many_at_once_each_change_is_whole_or_refused_and_none_is_lost() {
    let shop = shop();
    shop.well(&["canary", "r2", "--percent", "1"]);
    let before = history(&shop).len();
    let percents: Vec<String> = (2..18).map(|percent| percent.to_string()).collect();
    let children: Vec<_> = percents
        .iter()
        .map(|percent| {
            let mut command = shop.command(&["canary", "r2", "--percent", percent]);
            command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    let mut done = 0;
    for child in children {
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let overtaken = stderr.contains("but meanwhile") || stderr.contains("after writing it, but found");
        assert!(output.status.success() || overtaken, "{stderr}");
        done += usize::from(output.status.success());
    }
    let history = history(&shop);
    assert!(history.len() >= before + done, "{} lines of {done} changes", history.len());
    let numbers: Vec<u64> = history.iter().map(|record| record["n"].as_u64().unwrap()).rev().collect();
    assert_eq!(numbers, (1..=u64::try_from(numbers.len()).unwrap()).collect::<Vec<_>>());
    assert!(serde_json::from_str::<Value>(shop.store()["active"].as_str().unwrap()).is_ok());
}
