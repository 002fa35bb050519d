//! Where the service's log lines go: to standard output, as lines or as a table, and to a file.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anyhow::Context as _;
use edge_personalizer::platform::Endpoint;
use serde_json::Value;

/// Rows of the table after which its head is repeated.
const PAGE: u32 = 40;

/// The way of all lines.
#[derive(Debug)]
pub struct Lines {
    shows: Shows,
    /// The file, where there is one; what is written at once is a line.
    file: Option<Mutex<File>>,
}

#[derive(Debug)]
enum Shows {
    Nothing,
    Lines,
    /// How many rows there were.
    Table(Mutex<u32>),
}

impl Lines {
    /// To standard output, unless it is to be quiet, as a table where that is wanted; and to the end of a file.
    ///
    /// # Errors
    ///
    /// The file can't be written.
    pub fn new(is_quiet: bool, as_table: bool, file: Option<&Path>) -> anyhow::Result<Self> {
        let shows = match (is_quiet, as_table) {
            (true, _) => Shows::Nothing,
            (false, true) => Shows::Table(Mutex::new(0)),
            (false, false) => Shows::Lines,
        };
        let open = |path: &Path| {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            folder.map_or(Ok(()), fs::create_dir_all)?;
            fs::OpenOptions::new().create(true).append(true).open(path)
        };
        let opened =
            |path: &Path| open(path).map(Mutex::new).with_context(|| format!("{}: can't write it", path.display()));
        Ok(Self { shows, file: file.map(opened).transpose()? })
    }

    /// Takes a line.
    pub fn write(&self, endpoint: Endpoint, line: &str) {
        let whole = format!("{} :: {line}\n", endpoint.name());
        if let Some(file) = &self.file {
            // A full disk is no reason to serve nothing.
            let _ = file.lock().unwrap_or_else(PoisonError::into_inner).write_all(whole.as_bytes());
        }
        let shown = match &self.shows {
            Shows::Nothing => return,
            // As the local server prints them.
            Shows::Lines => whole,
            Shows::Table(rows) => {
                let Some(row) = row(endpoint, line) else { return };
                let mut rows = rows.lock().unwrap_or_else(PoisonError::into_inner);
                let head = if *rows % PAGE == 0 { format!("{}\n", head()) } else { String::new() };
                *rows = rows.wrapping_add(1);
                format!("{head}{row}\n")
            }
        };
        // Who closed the pipe reads no logs.
        let _ = std::io::stdout().lock().write_all(shown.as_bytes());
    }
}

fn head() -> String {
    columns(["time", "rules", "from", "device", "status", "ms", "route", "path", "what was decided"])
}

fn columns([time, rules, from, device, status, ms, route, path, rest]: [&str; 9]) -> String {
    let path = if path.chars().count() > 28 { path.chars().take(27).chain(['…']).collect() } else { path.to_owned() };
    let row = format!("{time:<8} {rules:<12} {from:<4} {device:<7} {status:<6} {ms:>6} {route:<12} {path:<28} {rest}");
    row.trim_end().to_owned()
}

/// A row for people; `None` for what a row of a request says already.
fn row(endpoint: Endpoint, line: &str) -> Option<String> {
    let line: Value = serde_json::from_str(line).ok()?;
    let text = |key: &str| line.get(key).and_then(Value::as_str).unwrap_or_default();
    match endpoint {
        Endpoint::Decisions => {
            let canary = if text("role") == "canary" { " (c)" } else { "" };
            let status = line.get("status").map(Value::to_string).unwrap_or_default();
            let ms = line.get("total_ms").and_then(Value::as_f64).map(|ms| format!("{ms:.1}")).unwrap_or_default();
            Some(columns([
                text("time").get(11..19).unwrap_or_default(),
                &format!("{}{canary}", text("revision")),
                text("country"),
                text("device"),
                &status,
                &ms,
                text("route"),
                text("path"),
                &decided(&line),
            ]))
        }
        Endpoint::Conversions => {
            let value = line.get("value").map(|value| format!(" {value} {}", text("currency"))).unwrap_or_default();
            Some(format!("         + {}{}", text("event"), value))
        }
        Endpoint::Errors => {
            let fault = line.get("fault");
            let of = |key: &str| fault.and_then(|fault| fault.get(key)).and_then(Value::as_str).unwrap_or_default();
            Some(
                format!("         ! {} {}{} {}", text("code"), of("dictionary"), of("pointer"), of("message"))
                    .trim_end()
                    .to_owned(),
            )
        }
        Endpoint::Exposures => None,
    }
}

/// What differs by visitor, and what went wrong.
fn decided(line: &Value) -> String {
    let mut parts: Vec<String> = Vec::new();
    let variant = line.get("variant").and_then(Value::as_object).into_iter().flatten();
    parts
        .extend(variant.map(|(name, value)| {
            format!("{name}={}", value.as_str().map_or_else(|| value.to_string(), str::to_owned))
        }));
    if let Some(fallback) = line.get("fallback").and_then(Value::as_str) {
        parts.push(format!("fallback: {fallback}"));
    }
    let errors = line.get("errors").and_then(Value::as_array).into_iter().flatten();
    parts.extend(errors.filter_map(Value::as_str).map(|code| format!("!{code}")));
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_who_got_what_by_which_rules() {
        let line = r#"{"time":"2026-11-24T04:53:30.5Z","revision":"r42","role":"canary","country":"FR","device":"mobile","status":200,
            "total_ms":12.345,"route":"promotions","path":"/api/products/all","variant":{"region":"EU-WEST"},"fallback":"backend-status","errors":["backend-status"]}"#;
        let row = row(Endpoint::Decisions, line).unwrap();
        for part in [
            "04:53:30",
            "r42 (c)",
            "FR",
            "mobile",
            "200",
            "12.3",
            "promotions",
            "region=EU-WEST",
            "fallback: backend-status",
        ] {
            assert!(row.contains(part), "{part}: {row}");
        }
        assert_eq!(head().split_whitespace().next(), Some("time"));
    }

    #[test]
    fn orders_and_faults_have_rows_and_exposures_have_none() {
        let order = row(Endpoint::Conversions, r#"{"event":"order","value":59.9,"currency":"USD"}"#);
        assert_eq!(order.unwrap().trim(), "+ order 59.9 USD");
        let fault = r#"{"code":"rule-fault","fault":{"dictionary":"routes","pointer":"/routes/0","message":"expected a path"}}"#;
        assert_eq!(row(Endpoint::Errors, fault).unwrap().trim(), "! rule-fault routes/routes/0 expected a path");
        assert_eq!(row(Endpoint::Exposures, "{}"), None);
    }

    #[test]
    fn a_file_gets_every_line_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("logs").join("edge.log");
        let lines = Lines::new(true, false, Some(&path)).unwrap();
        lines.write(Endpoint::Decisions, "{}");
        lines.write(Endpoint::Exposures, "{\"a\":1}");
        assert_eq!(fs::read_to_string(path).unwrap(), "decisions :: {}\nexposures :: {\"a\":1}\n");
    }
}
