//! A cell: the part, its fault, and what a logged-in visitor still gets.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use demo_origin::MARK;
use e2e::lint::{self, Expectation};
use e2e::visitors::{NEW_YORK, Visitor};
use e2e::{Edge, Request, crowd};
use edge_personalizer::context::identity::UserId;
use serde_json::Value;

/// Far above the session's budget, for slow machines; far below what the faults would cost.
const GENEROUS: Duration = Duration::from_secs(7);
const LOG_LIMIT: Duration = Duration::from_secs(20);
/// What Fastly takes of a log line (16 kB, "Working with log entries").
const LONGEST_LINE: usize = 16 * 1024;

/// A bot has no session.
const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

/// Nothing is lost.
pub const ALL: &str = "rules, region, user, session";

/// A visitor's request.
#[derive(Debug, Clone, Copy)]
pub struct Visit<'a> {
    pub visitor: Visitor,
    pub user: &'a str,
    pub path: &'a str,
}

/// A user in New York who asks for the page.
pub fn user(user: &str) -> Visit<'_> {
    Visit { visitor: NEW_YORK, user, path: "/echo/page" }
}

/// The cells tried, as printed, and what is wrong with them.
#[derive(Debug, Default)]
pub struct Matrix {
    pub printed: String,
    pub wrong: Vec<String>,
    pub requests: usize,
    pub pages: usize,
    pub own_5xx: usize,
    cells: BTreeSet<(String, String)>,
}

impl Matrix {
    pub fn add(&mut self, other: Self) {
        self.printed.push_str(&other.printed);
        self.wrong.extend(other.wrong);
        self.requests += other.requests;
        self.pages += other.pages;
        self.own_5xx += other.own_5xx;
        self.cells.extend(other.cells);
    }

    /// Whether a fault of a part is there: as it is named, or as one kind of it (`malformed: …`).
    pub fn has(&self, part: &str, fault: &str) -> bool {
        let named =
            |found: &str| found.strip_prefix(fault).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'));
        self.cells.iter().any(|(known, found)| known == part && named(found))
    }

    /// A cell that isn't tried here, and why. It counts as no pass.
    pub fn note(&mut self, part: &str, fault: &str, why: &str) {
        let _ = writeln!(self.printed, "{part:<11} {fault:<48} {why}");
        self.cells.insert((part.to_owned(), fault.to_owned()));
    }

    /// Visits; `left` is how much of the personalization must be left.
    pub fn cell(&mut self, edge: &Edge, part: &str, fault: &str, visit: Visit<'_>, left: &str) {
        edge.origin().forget();
        let before = edge.logs().position();
        let user = UserId::parse(visit.user).unwrap();
        let request = crowd::proof(&user)
            .iter()
            .fold(Request::get(visit.path).header("user-agent", BROWSER), |request, (name, value)| {
                request.header(name, value)
            });
        let mut wrong = Vec::new();
        self.requests += 1;
        let (mut status, mut waited) = (0, Duration::ZERO);
        match edge.visitor(visit.visitor).connect().send(&request) {
            Ok(answer) => {
                (status, waited) = (answer.status, answer.first_byte);
                let from_shop = answer.header(MARK).is_some();
                self.own_5xx += usize::from(status >= 500 && !from_shop);
                self.pages += usize::from(status == 200 && answer.complete && from_shop);
                if status != 200 || !answer.complete || !from_shop {
                    wrong.push(answer.text().chars().take(300).collect());
                }
                let known_as = Expectation { identity: vec![visit.user.to_owned()], ..Expectation::default() };
                wrong.extend(lint::violations(&answer, &known_as));
            }
            Err(error) => wrong.push(format!("no answer: {error}")),
        }
        let decided = |line: &Value| line["path"] != "/.edge/health";
        let decision = edge.logs().wait("decisions", before, LOG_LIMIT, decided).unwrap_or_default().0;
        let kept = kept(edge);
        if kept != left {
            wrong.push(format!("what is left is {kept:?}, expected {left:?}"));
        }
        if waited > GENEROUS {
            wrong.push(format!("the visitor waited {waited:?}"));
        }
        let lines = edge.logs().all();
        let longest = lines.iter().skip(before).map(String::len).max().unwrap_or_default();
        if longest > LONGEST_LINE {
            wrong.push(format!("a log line of {longest} bytes"));
        }
        wrong.extend(lines.iter().skip(before).find(|line| line.contains("panicked")).cloned());
        let codes: Vec<_> = decision["errors"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let mark = if wrong.is_empty() { "" } else { "  WRONG" };
        let _ = writeln!(
            self.printed,
            "{part:<11} {fault:<48} {status:>6} {:>5} ms {kept:<32} {}{mark}",
            waited.as_millis(),
            codes.join(" ")
        );
        self.wrong.extend(wrong.into_iter().map(|wrong| format!("{part} {fault}: {wrong}")));
        self.cells.insert((part.to_owned(), fault.to_owned()));
    }
}

/// How much of the personalization reached the shop.
fn kept(edge: &Edge) -> String {
    let requests = edge.origin().requests();
    let Some(page) = requests.iter().rev().find(|request| request.path().starts_with("/echo/")) else {
        return "no page was asked for".to_owned();
    };
    let mut kept = Vec::new();
    let rewritten = |slug: &str| page.path().starts_with(&format!("/echo/{slug}/"));
    kept.extend((rewritten("east") || rewritten("global")).then_some("rules"));
    kept.extend(rewritten("east").then_some("region"));
    kept.extend(page.header("x-user-id").map(|_| "user"));
    kept.extend(page.header("edge-session-data").map(|_| "session"));
    if kept.is_empty() { "the origin's own page".to_owned() } else { kept.join(", ") }
}
