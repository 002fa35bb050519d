//! Bad input and faults, each through the real service: the visitor gets the page all the same, or a plain error; the log says why;
//! nothing panics, and nothing of the inside is shown.
//!
//! One edge meets nearly all of them, one after the other: what a fault leaves behind would show in the next row.
#![allow(clippy::indexing_slicing, reason = "what is missing in a JSON value is null, and a surprise ends the test")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may stop at a surprise")]

#[path = "fault_table/origin.rs"]
mod origin;
#[path = "fault_table/requests.rs"]
mod requests;
#[path = "fault_table/rules.rs"]
mod rules;

use std::collections::BTreeSet;
use std::time::Duration;

use e2e::visitors::{PARIS, Visitor};
use e2e::{Answer, Edge, Request};
use serde_json::Value;

/// How long a log line may take.
const LOG_LIMIT: Duration = Duration::from_secs(20);
/// Nobody listens there.
const NOBODY: &str = "http://127.0.0.1:1";
/// What the local server prints when the service panics.
const PANICS: [&str; 4] = ["panicked", "backtrace", "wasm trap", "unreachable executed"];

/// A fault's row: what the visitor got, what the log said.
struct Row {
    fault: String,
    visitor: String,
    log: String,
}

/// An edge that meets faults.
struct Stand {
    edge: Edge,
    rows: Vec<Row>,
}

/// What is expected of a fault.
struct Expected<'a> {
    status: u16,
    /// What the body says; for a body of the shop's own: what it was asked for.
    shows: &'a str,
    /// What one of the request's log lines says.
    says: &'a str,
}

fn gets<'a>(status: u16, shows: &'a str, says: &'a str) -> Expected<'a> {
    Expected { status, shows, says }
}

impl Stand {
    fn new(edge: Edge) -> Self {
        Self { edge, rows: Vec::new() }
    }

    /// Sends a request, compares what comes back, and writes the row down.
    fn meets(&mut self, fault: &str, visitor: Visitor, request: &Request, expected: &Expected<'_>) -> Answer {
        let position = self.edge.logs().position();
        let answer = self.edge.visitor(visitor).send(request);
        assert!(answer.complete, "{fault}: {answer:#?}");
        assert_eq!(answer.status, expected.status, "{fault}: {answer:#?}\n{}", self.edge.printed());
        let text = answer.text();
        assert!(text.contains(expected.shows), "{fault}: {text}");
        let log = self.logged(fault, position, expected.says);
        let shown = match (answer.header("x-demo-origin"), answer.status) {
            (Some(_), _) => format!("{} the shop's: {}", answer.status, expected.shows),
            (None, status) => format!("{status} a plain page"),
        };
        self.rows.push(Row { fault: fault.to_owned(), visitor: shown, log });
        answer
    }

    /// The same for a body that breaks off: what came must not look whole.
    fn breaks_off(&mut self, fault: &str, visitor: Visitor, request: &Request, says: &str) {
        let position = self.edge.logs().position();
        let shown = match self.edge.visitor(visitor).try_send(request) {
            Ok(answer) => {
                assert!(!answer.complete, "{fault}: a part looks whole: {answer:#?}");
                format!("{} and {} bytes, visibly cut", answer.status, answer.body.len())
            }
            Err(error) => format!("a closed connection ({:?})", error.kind()),
        };
        let log = self.logged(fault, position, says);
        self.rows.push(Row { fault: fault.to_owned(), visitor: shown, log });
    }

    /// What was logged of the request after `position`, one line of which says `says`.
    fn logged(&self, fault: &str, position: usize, says: &str) -> String {
        let found = self.edge.logs().wait_line(position, LOG_LIMIT, |line| line.contains(says).then_some(()));
        assert!(found.is_some(), "{fault}: nothing logged says {says:?}:\n{}", self.edge.printed());
        let lines = self.edge.logs().all();
        // Nothing is dropped from a log as short as this one.
        let lines = lines.get(position..).unwrap_or_default();
        for line in lines {
            let told = line.to_ascii_lowercase();
            assert!(!PANICS.iter().any(|word| told.contains(word)), "{fault}: {line}");
        }
        let codes: BTreeSet<String> = lines.iter().filter_map(|line| code(line)).collect();
        codes.into_iter().collect::<Vec<_>>().join("; ")
    }

    fn print(&self) {
        let width =
            |column: fn(&Row) -> &str| self.rows.iter().map(|row| column(row).chars().count()).max().unwrap_or(0);
        let (one, two) = (width(|row| &row.fault), width(|row| &row.visitor));
        println!("{:<one$} | {:<two$} | the log says", "fault", "the visitor gets");
        for row in &self.rows {
            println!("{:<one$} | {:<two$} | {}", row.fault, row.visitor, row.log);
        }
        println!("{} faults, each with its line in the log; panics: 0", self.rows.len());
    }
}

/// A log line in a few words; `None` for a line that says that all went well.
fn code(line: &str) -> Option<String> {
    let (endpoint, json) = line.split_once(" :: ")?;
    let line: Value = serde_json::from_str(json).ok()?;
    let text = |value: &Value| value.as_str().map(str::to_owned);
    match endpoint {
        "errors" => match line["fault"].as_object() {
            Some(fault) => {
                let part = |key: &str| fault.get(key).and_then(Value::as_str).unwrap_or_default();
                let message: String = part("message").chars().take(70).collect();
                Some(format!("{}{}: {message}", part("dictionary"), part("pointer")))
            }
            None => text(&line["code"]),
        },
        "decisions" => Some(format!("fallback: {}", text(&line["fallback"])?)),
        _ => None,
    }
}

#[test]
fn every_fault_leaves_the_visitor_a_page_and_the_log_a_line() {
    let edge = Edge::demo().backend("refusing", NOBODY).start();
    let mut stand = Stand::new(edge);
    rules::broken(&mut stand);
    requests::odd(&mut stand);
    origin::fails(&mut stand);
    let mut bare =
        Stand::new(Edge::demo().without_stores().without_backend("session_api").without_geolocation().start());
    let page = Request::get("/api/products/all");
    bare.meets(
        "no store, no geolocation, no session API",
        PARIS,
        &page,
        &gets(200, "\"generic\": true", "config-store"),
    );
    assert_eq!(bare.edge.get("/.edge/health").status, 200);
    stand.rows.append(&mut bare.rows);
    stand.print();
}
