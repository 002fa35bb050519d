//! A row: the fault, what is expected, and what is wrong with what came.

use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use demo_origin::MARK;
use e2e::lint::{self, Expectation};
use e2e::visitors::{NEW_YORK, Visitor};
use e2e::{Answer, Edge, Request, programs};
use serde_json::Value;

/// How long a log line may take to arrive.
const LOG_LIMIT: Duration = Duration::from_secs(20);
/// How long is listened for lines that must not come.
const SILENCE: Duration = Duration::from_millis(100);
/// What the log's own endpoints are called; anything else that is printed is the local server's or the SDK's.
const ENDPOINTS: [&str; 4] = ["decisions", "exposures", "errors", "conversions"];
/// What a stopped service leaves in what is printed.
const STOPPED: [&str; 4] = ["panicked", "wasm trap", "wasm backtrace", "unreachable"];
/// What no visitor may read: names of stores and backends, rules, files, programs.
const INSIDE: [&str; 20] = [
    "personalizer",
    "session_api",
    "config store",
    "config-store",
    "kv store",
    "secret",
    "backend",
    "127.0.0.1",
    "region.slug",
    "promotions",
    "rewrite",
    "surrogate",
    "rule",
    "/src/",
    ".rs",
    "wasm",
    "fastly",
    "viceroy",
    "panicked",
    "backtrace",
];

/// What a visitor got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Page {
    /// The personalized one.
    Right,
    /// The route's page for everybody.
    Generic,
    /// What the origin has at the client's own path.
    Own,
    /// The origin's own error.
    OwnError,
    /// The edge's error page, with the request's id.
    Plain,
    /// Part of a page, and the end of the connection shows that it isn't all.
    Cut,
    /// The local server answered; the service saw nothing.
    LocalServer,
    /// None of these.
    Other,
}

impl Page {
    fn of(answer: &Answer) -> Self {
        let text = answer.text();
        let has = |part: &str| text.contains(part);
        let from_shop = answer.header(MARK).is_some();
        match () {
            () if !answer.complete => Self::Cut,
            () if !from_shop && has("<p>Request <code>") => Self::Plain,
            () if !from_shop && text.is_empty() => Self::LocalServer,
            () if has("\"region\": \"east\"") || has("<h1>east</h1>") => Self::Right,
            () if has("\"region\": \"global\"") || has("<h1>global</h1>") => Self::Generic,
            () if has("\"generic\": true") || has("<h1>Products</h1>") => Self::Own,
            () if has("The shop says") => Self::OwnError,
            () => Self::Other,
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Right => "right",
            Self::Generic => "generic",
            Self::Own => "origin's own",
            Self::OwnError => "origin's own error",
            Self::Plain => "plain error",
            Self::Cut => "cut, visibly",
            Self::LocalServer => "local server's",
            Self::Other => "?",
        }
    }
}

/// A fault, and what is expected of it.
#[derive(Debug)]
pub struct Row<'a> {
    fault: &'a str,
    visitor: Visitor,
    request: Request,
    status: u16,
    page: Page,
    log: &'a [&'a str],
    reaches: Option<&'a str>,
}

/// A visitor in New York asks for all products. `log` is all that the log may say: codes, `fallback …`, and the places of faults.
pub fn row<'a>(fault: &'a str, status: u16, page: Page, log: &'a [&'a str]) -> Row<'a> {
    Row { fault, visitor: NEW_YORK, request: Request::get("/api/products/all"), status, page, log, reaches: None }
}

impl<'a> Row<'a> {
    pub fn by(mut self, visitor: Visitor) -> Self {
        self.visitor = visitor;
        self
    }

    pub fn asks(self, target: &str) -> Self {
        self.sends(Request::get(target))
    }

    pub fn sends(mut self, request: Request) -> Self {
        self.request = request;
        self
    }

    /// What the origin is asked for; empty where it isn't asked.
    pub fn reaches(mut self, target: &'a str) -> Self {
        self.reaches = Some(target);
        self
    }
}

/// The rows of some edges, as printed, and what is wrong with them.
#[derive(Debug, Default)]
pub struct Table {
    pub printed: String,
    pub wrong: Vec<String>,
    /// How many lines of `errors` came before the present rules: a sandbox names a fault of the rules once.
    errors_before: usize,
}

impl Table {
    /// The rules have changed, or another edge has begun: faults of the rules count from here.
    pub fn rules_changed(&mut self, edge: Option<&Edge>) {
        self.errors_before = edge.map_or(0, |edge| edge.errors().len());
    }

    /// A fault that can't be caused here.
    pub fn note(&mut self, fault: &str, why: &str) {
        let _ = writeln!(self.printed, "{fault:<58} {why}");
    }

    /// Sends the row's request, and judges.
    pub fn row(&mut self, edge: &Edge, row: &Row<'_>) {
        edge.origin().forget();
        let before = edge.logs().position();
        let answer = edge.visitor(row.visitor).connect().send(&row.request);
        let mut wrong = Vec::new();
        let (status, page, log) = match &answer {
            Ok(answer) => {
                let page = Page::of(answer);
                if page != Page::LocalServer {
                    wrong.extend(shown(edge.origin().address(), answer));
                }
                (answer.status, page, self.logged(edge, answer, page, before, &mut wrong))
            }
            Err(error) => {
                wrong.push(format!("no answer: {error}"));
                (0, Page::Other, Vec::new())
            }
        };
        if (status, page) != (row.status, row.page) {
            wrong.push(format!("{status} {}, expected {} {}", page.words(), row.status, row.page.words()));
            wrong.extend(answer.iter().map(|answer| answer.text().chars().take(200).collect()));
        }
        if log != row.log {
            wrong.push(format!("the log says {log:?}, expected {:?}", row.log));
        }
        if let Some(expected) = row.reaches {
            let asked = edge.origin().last_request().map(|request| request.target).unwrap_or_default();
            wrong.extend((asked != expected).then(|| format!("the origin got {asked:?}, expected {expected:?}")));
        }
        wrong.extend(stopped(edge, before));
        let health = edge.visitor(NEW_YORK).connect().send(&Request::get("/.edge/health"));
        if !is_well(&health) {
            let status = health.map(|answer| answer.status);
            wrong.push(format!("/.edge/health isn't well afterwards: {status:?}"));
        }
        let mark = if wrong.is_empty() { "" } else { "  WRONG" };
        let said = if log.is_empty() { "–".to_owned() } else { log.join(", ") };
        let _ = writeln!(self.printed, "{:<58} {status:>6} {:<20} {said}{mark}", row.fault, page.words());
        self.wrong.extend(wrong.into_iter().map(|wrong| format!("{}: {wrong}", row.fault)));
    }

    /// What the log says: codes of this request, and the faults of the present rules.
    fn logged(&self, edge: &Edge, answer: &Answer, page: Page, before: usize, wrong: &mut Vec<String>) -> Vec<String> {
        let real = |line: &Value| line["path"] != "/.edge/health";
        if page == Page::LocalServer {
            let line = edge.logs().wait("decisions", before, SILENCE, real);
            wrong.extend(line.map(|(line, _)| format!("the service saw it: {line}")));
            return Vec::new();
        }
        let text = answer.text();
        let shown_id = (page == Page::Plain).then(|| text.split("<code>").nth(1)?.split('<').next()).flatten();
        let mut log = Vec::new();
        let id = if page == Page::Plain && answer.status < 500 {
            // Refused before anything was decided.
            let own = |line: &Value| shown_id.is_some_and(|id| line["request_id"] == id);
            let line = edge.logs().wait("errors", before, LOG_LIMIT, own);
            line.map(|(line, _)| line["request_id"].clone()).unwrap_or_default()
        } else {
            let (line, _) = edge.logs().wait("decisions", before, LOG_LIMIT, real).unwrap_or_default();
            log.extend(line["fallback"].as_str().map(|fallback| format!("fallback {fallback}")));
            let mut named: Vec<_> = codes(edge, &line["request_id"]).into_iter().map(Value::from).collect();
            // One line a fault of the rules, one code in all.
            named.dedup();
            if line["errors"].as_array() != Some(&named) {
                wrong.push(format!("the decision says {}, endpoint errors {named:?}", line["errors"]));
            }
            line["request_id"].clone()
        };
        if page == Page::Plain && shown_id.is_none_or(|shown| id != shown) {
            wrong.push(format!("the page shows the request as {shown_id:?}, the log as {id}"));
        }
        log.extend(codes(edge, &id).into_iter().filter(|code| code != "rule-fault"));
        for line in edge.errors().iter().skip(self.errors_before).filter(|line| line["code"] == "rule-fault") {
            let part = |name: &str| line["fault"][name].as_str().unwrap_or("?").to_owned();
            let place = part("dictionary") + &part("pointer");
            if !log.contains(&place) {
                log.push(place);
            }
        }
        log
    }
}

/// The codes that endpoint `errors` has for a request.
fn codes(edge: &Edge, id: &Value) -> Vec<String> {
    let errors = edge.errors();
    let own = errors.iter().filter(|line| line["request_id"] == *id);
    own.filter_map(|line| line["code"].as_str().map(str::to_owned)).collect()
}

fn is_well(answer: &io::Result<Answer>) -> bool {
    answer.as_ref().is_ok_and(|answer| answer.status == 200 && answer.complete)
}

/// What was printed since, of a service that stopped.
fn stopped(edge: &Edge, before: usize) -> Option<String> {
    let lines = edge.logs().all();
    let is_log = |line: &&String| ENDPOINTS.iter().any(|name| line.starts_with(&format!("{name} :: ")));
    let mut printed = lines.iter().skip(before).filter(|line| !is_log(line));
    printed.find(|line| STOPPED.iter().any(|word| line.contains(word))).map(|line| format!("it stopped: {line}"))
}

/// What an answer shows of the inside, or breaks of promise 3.
pub fn shown(origin: SocketAddr, answer: &Answer) -> Vec<String> {
    let mut found = lint::violations(answer, &Expectation::default());
    let mut text = answer.text();
    for (name, value) in &answer.headers {
        let _ = write!(text, "\n{name}: {}", String::from_utf8_lossy(value));
    }
    let text = text.replace(MARK, "").to_ascii_lowercase();
    let root = programs::root().display().to_string().to_ascii_lowercase();
    // What the origin says of itself is its own affair.
    let name = if answer.header(MARK).is_none() { "origin" } else { "panicked" };
    let address = origin.to_string();
    let words = INSIDE.into_iter().chain([root.as_str(), name, address.as_str()]);
    found.extend(words.filter(|word| text.contains(word)).map(|word| format!("it shows {word:?}")));
    found
}
