//! A running edge, and those who visit it.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use demo_origin::{Behaviour, DemoOrigin, Hold};
use local_server::client::{self, Answer, Connection, Request};
use local_server::logs::Logs;
use local_server::process::LocalServer;
use local_server::rules::Rules;
use local_server::visitors::{NOWHERE, Visitor};
use serde_json::{Map, Value};
use tempfile::TempDir;

use crate::Builder;
use crate::lint::{self, Expectation};
use crate::patience::patient;

/// How long a log line may take to arrive.
const LOG_LIMIT: Duration = Duration::from_secs(20);
/// How long the first answer may take.
const HEALTH_LIMIT: Duration = Duration::from_secs(60);

/// The service under the local server, with a demo shop of its own; all of it ends when this is dropped.
#[derive(Debug)]
pub struct Edge {
    server: LocalServer,
    origin: DemoOrigin,
    rules: Rules,
    store: PathBuf,
    decisions_read: Cell<usize>,
    errors_read: Cell<usize>,
    /// What is somebody's own in its stores.
    expected: Expectation,
    _folder: TempDir,
}

impl Edge {
    /// With the demo rules of `rules/`.
    #[must_use]
    pub fn demo() -> Builder {
        Builder::new(Builder::demo_rules())
    }

    /// With these dictionaries (an object of objects) and no others; where it has settings, budgets that they don't name are wide.
    #[must_use]
    pub fn with_rules(dictionaries: &Value) -> Builder {
        let none = Map::new();
        Builder::new(Rules::from_json(dictionaries.as_object().unwrap_or(&none)))
    }

    pub(crate) fn new(server: LocalServer, origin: DemoOrigin, rules: Rules, store: PathBuf, folder: TempDir) -> Self {
        let (decisions_read, errors_read, expected) = (Cell::new(0), Cell::new(0), Expectation::default());
        Self { server, origin, rules, store, decisions_read, errors_read, expected, _folder: folder }
    }

    /// Answers that carry one of these marks are private.
    pub(crate) fn expecting(self, expected: Expectation) -> Self {
        Self { expected, ..self }
    }

    /// Waits for `/.edge/health`, forgets what the shop saw and skips what was logged on the way.
    pub(crate) fn wait_until_healthy(&self) {
        let end = Instant::now() + HEALTH_LIMIT;
        loop {
            let answer = client::send(NOWHERE.address, self.address(), &Request::get("/.edge/health"));
            match answer {
                Ok(answer) if answer.status == 200 => break,
                _ if Instant::now() < end => std::thread::sleep(Duration::from_millis(50)),
                other => panic!("/.edge/health isn't well after {HEALTH_LIMIT:?}: {other:?}\n{}", self.printed()),
            }
        }
        self.origin.forget();
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// The JSON file (entry → text) that is its config store: what `personalizer … --on file:PATH` changes while it runs.
    #[must_use]
    pub fn store(&self) -> &Path {
        &self.store
    }

    /// The shop behind it: what it received, and how it is to misbehave.
    #[must_use]
    pub fn origin(&self) -> &DemoOrigin {
        &self.origin
    }

    /// Everything the local server printed, for messages.
    #[must_use]
    pub fn printed(&self) -> String {
        self.logs().all().join("\n")
    }

    /// What the service logged, by endpoint.
    #[must_use]
    pub fn logs(&self) -> &Logs {
        self.server.logs()
    }

    /// The next decision that wasn't asked for yet, `/.edge/health` aside; waits for it.
    #[must_use]
    pub fn decision(&self) -> Value {
        let real = |line: &Value| line.get("path").and_then(Value::as_str) != Some("/.edge/health");
        self.next("decisions", &self.decisions_read, real)
    }

    /// The next line of endpoint `errors` that wasn't asked for yet; waits for it.
    #[must_use]
    pub fn error(&self) -> Value {
        self.next("errors", &self.errors_read, |_| true)
    }

    /// The lines of endpoint `errors` so far.
    #[must_use]
    pub fn errors(&self) -> Vec<Value> {
        self.logs().of("errors")
    }

    fn next(&self, endpoint: &str, read: &Cell<usize>, wanted: impl Fn(&Value) -> bool) -> Value {
        let Some((line, position)) = self.logs().wait(endpoint, read.get(), LOG_LIMIT, wanted) else {
            panic!("nothing more on endpoint {endpoint} within {LOG_LIMIT:?}; printed so far:\n{}", self.printed());
        };
        read.set(position);
        line
    }

    /// Changes the rules while it runs, as an editor of the config store would. A warm sandbox may serve the old ones
    /// for another second.
    pub fn edit(&mut self, change: impl FnOnce(&mut Rules)) {
        change(&mut self.rules);
        patient(&self.rules).write(&self.store).unwrap();
    }

    /// Leaves half of the store's file, as a writer that was killed would: the host can't open such a store at all.
    pub fn tear_store(&self) {
        let text = std::fs::read_to_string(&self.store).unwrap();
        std::fs::write(&self.store, &text[..text.len() / 2]).unwrap();
    }

    /// Somebody, somewhere.
    #[must_use]
    pub fn visitor(&self, visitor: Visitor) -> Visit<'_> {
        Visit { edge: self, visitor, expected: self.expected.clone() }
    }

    /// `GET` by somebody nowhere.
    #[must_use]
    pub fn get(&self, target: &str) -> Answer {
        self.visitor(NOWHERE).get(target)
    }

    /// Any request by somebody nowhere.
    #[must_use]
    pub fn send(&self, request: &Request) -> Answer {
        self.visitor(NOWHERE).send(request)
    }
}

/// A visitor of an [`Edge`]. Every answer passes the [linter](lint) before the test sees it.
#[derive(Debug, Clone)]
pub struct Visit<'a> {
    edge: &'a Edge,
    visitor: Visitor,
    expected: Expectation,
}

impl Visit<'_> {
    /// This string is the visitor's own: an answer that carries it must be `private, no-store`.
    #[must_use]
    pub fn known_as(mut self, secret: &str) -> Self {
        self.expected.identity.push(secret.to_owned());
        self
    }

    /// The answers are meant to be the origin's own, header for header (passed through, or the kill switch).
    #[must_use]
    pub fn transparent(mut self) -> Self {
        self.expected.transparent = true;
        self
    }

    /// The answers are the same for everybody, by a route that says `downstream: "origin"`.
    #[must_use]
    pub fn same_for_all(mut self) -> Self {
        self.expected.same_for_all = true;
        self
    }

    /// `GET`.
    #[must_use]
    pub fn get(&self, target: &str) -> Answer {
        self.send(&Request::get(target))
    }

    /// `GET` of an answer whose second half the shop holds back until so many bytes of the body have come.
    ///
    /// # Panics
    ///
    /// They didn't come before the second half had gone: somebody on the way held the first one back.
    #[must_use]
    pub fn get_by_halves(&self, path: &str, bytes: usize) -> Answer {
        let hold = Hold::default();
        self.edge.origin().on(path, Behaviour::HoldBody(hold.clone()));
        let mut streamed = None;
        let answer = self.connect().send_watched(&Request::get(path), |body| {
            if streamed.is_none() && body.len() >= bytes {
                streamed = Some(hold.let_go());
            }
        });
        assert_eq!(streamed, Some(true), "the first {bytes} bytes waited for the rest: {answer:?}");
        self.linted(answer.unwrap())
    }

    /// Any request, on a connection of its own.
    #[must_use]
    pub fn send(&self, request: &Request) -> Answer {
        let answer = self.try_send(request);
        answer.unwrap_or_else(|error| panic!("no answer to {request:?}: {error}\n{}", self.edge.printed()))
    }

    /// Any request, on a connection of its own.
    ///
    /// # Errors
    ///
    /// The connection ended before an answer's head came.
    pub fn try_send(&self, request: &Request) -> io::Result<Answer> {
        let answer = client::send(self.visitor.address, self.edge.address(), request)?;
        Ok(Self::looked_over(answer, &self.expected.clone().of(request)))
    }

    /// Any bytes, on a connection of its own; reads one answer.
    ///
    /// # Errors
    ///
    /// The connection ended before an answer's head came.
    pub fn send_bytes(&self, bytes: &[u8]) -> io::Result<Answer> {
        let mut connection = self.connect();
        connection.write(bytes)?;
        let answer = connection.read(bytes.starts_with(b"HEAD "))?;
        Ok(Self::looked_over(answer, &self.expected.clone().of_bytes(bytes)))
    }

    /// A connection, to send by hand: half a body, two requests at once. Pass its answers to [`linted`](Self::linted).
    #[must_use]
    pub fn connect(&self) -> Connection {
        Connection::open(self.visitor.address, self.edge.address()).unwrap()
    }

    /// Looks an answer over.
    ///
    /// # Panics
    ///
    /// It breaks promise 3.
    #[must_use]
    pub fn linted(&self, answer: Answer) -> Answer {
        Self::looked_over(answer, &self.expected)
    }

    fn looked_over(answer: Answer, expected: &Expectation) -> Answer {
        let violations = lint::violations(&answer, expected);
        assert!(violations.is_empty(), "promise 3 is broken: {violations:#?}\nby {answer:#?}");
        answer
    }
}
