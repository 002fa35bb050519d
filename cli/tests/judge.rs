//! `personalizer judge`, as a pipeline calls it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at a surprise")]

use std::fmt::Write as _;
use std::process::{Command, Output};

use serde_json::Value;

fn judge(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_personalizer")).arg("judge").args(arguments).output().unwrap()
}

/// A log of an hour: one visitor a slot, of whom every fourth is the canary's; of a hundred of each arm so many fail.
fn log(baseline: u32, canary: u32) -> tempfile::NamedTempFile {
    let mut text = String::new();
    for slot in 0_u32..12_000 {
        let is_canary = slot % 4 == 0;
        let (revision, failing) = if is_canary { ("r42", canary) } else { ("r41", baseline) };
        let status = if slot / 4 % 100 < failing { 503 } else { 200 };
        let (minute, second) = (slot / 200, slot % 60);
        writeln!(
            text,
            r#"{{"v":2,"time":"2026-11-24T04:{minute:02}:{second:02}Z","request_id":"{slot}","trace_id":"t","revision":"{revision}","status":{status},"total_ms":12.5,"origin_ms":10.0,"vcpu_ms":2,"errors":[],"slot":{slot}}}"#
        )
        .unwrap();
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

#[test]
fn the_exit_code_is_the_verdict() {
    for (baseline, canary, margin, verdict, code) in [
        (0, 0, "1", "go", 0),
        (2, 2, "1", "go", 0),
        (2, 2, "0.3", "inconclusive", 3),
        (0, 1, "1", "regression", 1),
        (1, 30, "100", "regression", 1),
    ] {
        let file = log(baseline, canary);
        let path = file.path().display().to_string();
        let output = judge(&[&path, "--baseline", "r41", "--canary", "r42", "--margin", margin, "--format", "json"]);
        let json: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((&json["v"], &json["verdict"]), (&Value::from(1), &Value::from(verdict)), "{json:#}");
        assert_eq!(output.status.code(), Some(code), "{json:#}");
        assert_eq!((&json["visitors"]["baseline"], &json["visitors"]["canary"]), (&9_000.into(), &3_000.into()));
        for key in ["name", "baseline", "canary", "evidence", "threshold", "verdict"] {
            assert!(json["metrics"].as_array().unwrap().iter().all(|metric| !metric[key].is_null()), "{key}");
        }
        // The same for people.
        let text =
            String::from_utf8(judge(&[&path, "--baseline", "r41", "--canary", "r42", "--margin", margin]).stdout)
                .unwrap();
        assert!(text.starts_with(&format!("{verdict}: ")) && text.contains("5xx"), "{text}");
    }
}

/// What a shell hands over as a file (`<(zcat …)`) can be read once.
#[test]
#[cfg(unix)]
fn a_pipe_is_read_as_a_file_is() {
    let file = log(1, 30);
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let (from, to) = (file.path().to_owned(), pipe.clone());
    let writing = std::thread::spawn(move || std::fs::write(to, std::fs::read(from).unwrap()).unwrap());
    let output = judge(&[&pipe.display().to_string(), "--baseline", "r41", "--canary", "r42"]);
    writing.join().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stdout));
}

/// Everybody fails now and then, the canary's twice as often. Hours before the canary show how many fail in hours, not in its half hour.
#[test]
fn only_the_time_in_which_both_served_counts() {
    let mut text = String::new();
    let mut request = 0_u32;
    for minute in 0_u32..240 {
        for slot in 0_u32..200 {
            request += 1;
            let is_canary = minute >= 210 && slot % 4 == 0;
            let (revision, every) = if is_canary { ("r42", 100) } else { ("r41", 200) };
            let status = if (request.wrapping_mul(2_654_435_761) / 7).is_multiple_of(every) { 503 } else { 200 };
            let (hour, minute, second) = (4 + minute / 60, minute % 60, slot * 60 / 200);
            writeln!(
                text,
                r#"{{"v":2,"time":"2026-11-24T{hour:02}:{minute:02}:{second:02}Z","request_id":"{request}","trace_id":"t","revision":"{revision}","status":{status},"total_ms":12.5,"origin_ms":10.0,"errors":[],"slot":{slot}}}"#
            )
            .unwrap();
        }
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let path = file.path().display().to_string();
    let output = judge(&[&path, "--baseline", "r41", "--canary", "r42", "--format", "json"]);
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_ne!(json["verdict"], "go", "{json:#}");
    assert_eq!(json["read"]["lines"], 30 * 200, "{json:#}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("both revisions served from 2026-11-24T07:30:00Z to 2026-11-24T07:59:59Z"), "{said}");
    // By standard input, too.
    let mut piped = Command::new(env!("CARGO_BIN_EXE_personalizer"));
    piped.args(["judge", "-", "--baseline", "r41", "--canary", "r42", "--format", "json"]);
    let again = piped.stdin(std::fs::File::open(file.path()).unwrap()).output().unwrap();
    assert_eq!(again.stdout, output.stdout);
}

#[test]
fn what_cannot_be_judged_is_said() {
    let file = log(0, 0);
    let path = file.path().display().to_string();
    let output = judge(&[&path, "--baseline", "r41", "--canary", "r43"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stdout).contains("No visitor of the canary"));
    for (arguments, said) in [
        (vec!["none.log", "--baseline", "a", "--canary", "b"], "found nothing of that name"),
        (vec![path.as_str(), "--baseline", "a", "--canary", "a"], "expected two revisions"),
        (vec![path.as_str(), "--baseline", "a", "--canary", "b", "--alpha", "1"], "expected a probability"),
        (vec![path.as_str(), "--baseline", "a"], "--canary"),
    ] {
        let output = judge(&arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(said), "{arguments:?}");
    }
}
