//! What a history keeps, and what it gives up.

use serde_json::{Value, json};
use time::Duration;
use time::macros::datetime;

use super::*;

fn pointer(revision: &str) -> Pointer {
    Pointer { revision: Some(revision.to_owned()), ..Pointer::default() }
}

fn cause(n: usize) -> Cause {
    Cause { did: format!("promote r{n}"), why: Some("x".repeat(400)), at: None }
}

/// The entries after so many changes, one a minute.
fn changed(times: usize) -> BTreeMap<String, String> {
    let mut entries = BTreeMap::from([("active".to_owned(), String::new())]);
    for n in 1..=times {
        let now = datetime!(2026-11-27 08:00 UTC) + Duration::minutes(i64::try_from(n).unwrap());
        let (before, after) = (pointer(&format!("r{}", n - 1)), pointer(&format!("r{n}")));
        entries.extend(appended(&entries, "active", &cause(n), (&before, &after), now).unwrap());
    }
    entries
}

fn before(text: &str) -> Before {
    Before::read(&format!("before {text}"), datetime!(2026-11-28 00:00 UTC)).unwrap()
}

#[test]
fn the_oldest_changes_roll_off_and_no_entry_gets_too_long() {
    let entries = changed(200);
    let pages: Vec<&String> = entries.iter().filter(|(key, _)| key.contains("history")).map(|(_, text)| text).collect();
    assert_eq!(pages.len(), PAGES);
    assert!(pages.iter().all(|page| page.chars().count() <= MAX_CHARACTERS));
    let history = History::read(&entries, "active");
    let numbers: Vec<u64> = history.records.iter().map(|record| record.n).collect();
    let oldest = numbers[0];
    assert!(oldest > 1 && numbers.len() > 30, "{numbers:?}");
    assert_eq!(numbers, (oldest..=200).collect::<Vec<_>>(), "none is missing in the middle");
    assert!(history.records[1..].iter().all(|record| record.from.is_some() && !record.unrecorded_before));
    let error = format!("{:#}", history.at(&before("2026-11-27T08:02:30Z")).unwrap_err());
    assert!(error.contains("but the history begins at"), "{error}");
}

#[test]
fn what_served_before_a_time_is_known() {
    let history = History::read(&changed(3), "active");
    for (time, expected) in [
        ("2026-11-27T08:02:30Z", Some("r2")),
        ("2026-11-27T08:02:00Z", Some("r1")),
        ("2026-11-27T23:00:00Z", Some("r3")),
        // Before the first change: what that change found.
        ("2026-11-27T07:00:00Z", Some("r0")),
    ] {
        assert_eq!(history.at(&before(time)).unwrap().revision.as_deref(), expected, "{time}");
    }
    let none = History::default().at(&before("2026-11-27T08:02:30Z"));
    assert!(format!("{:#}", none.unwrap_err()).contains("expected a history"));
}

#[test]
fn a_change_by_hand_shows_between_two_that_are_recorded() {
    let mut entries = changed(1);
    let now = datetime!(2026-11-27 09:00 UTC);
    entries.extend(appended(&entries, "active", &cause(2), (&pointer("hand"), &pointer("r2")), now).unwrap());
    let history = History::read(&entries, "active");
    let last = history.last().unwrap();
    assert_eq!((last.from.as_ref(), last.unrecorded_before), (Some(&pointer("hand")), true));
}

#[test]
fn a_full_store_keeps_the_pages_that_it_has() {
    let mut entries: BTreeMap<String, String> = changed(1);
    for n in entries.len()..MAX_ENTRIES {
        entries.insert(format!("r{n}/routes"), String::new());
    }
    for n in 2..100 {
        let change = (&pointer("a"), &pointer("b"));
        entries.extend(appended(&entries, "active", &cause(n), change, datetime!(2026-11-27 09:00 UTC)).unwrap());
        assert_eq!(entries.len(), MAX_ENTRIES);
    }
    assert_eq!(History::read(&entries, "active").last().unwrap().n, 99);
    entries.remove("active_history");
    entries.insert("one/more".to_owned(), String::new());
    let error =
        appended(&entries, "active", &cause(1), (&pointer("a"), &pointer("b")), datetime!(2026-11-27 09:00 UTC));
    assert!(format!("{:#}", error.unwrap_err()).contains("personalizer prune"));
}

#[test]
fn a_line_that_somebody_broke_costs_that_line() {
    let mut entries = changed(2);
    let text = entries["active_history"].replacen("{\"n\":1,", "{n:1,", 1);
    entries.insert("active_history".to_owned(), text);
    let history = History::read(&entries, "active");
    assert_eq!((history.records.len(), history.unreadable), (1, 1));
    let line: Value = serde_json::from_str(entries["active_history"].lines().nth(1).unwrap()).unwrap();
    assert_eq!((&line["n"], &line["to"]["revision"]), (&json!(2), &json!("r2")));
    assert!(line.get("from").is_none(), "what the line before says is not said twice");
}
