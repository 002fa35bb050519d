//! The central backend of sessions, and every way in which it lets the edge down. A visitor of their own for each fault: nobody has the
//! session that another's fault left.

use std::thread;
use std::time::Duration;

use e2e::Behaviour;
use serde_json::json;

use crate::matrix::{ALL, Matrix, user};
use crate::{REREAD, dictionaries, record, shop};

const TOO_LONG: Duration = Duration::from_secs(20);
/// How long the local server waits for a head, or for more of a body.
const TIME_OUT: Duration = Duration::from_millis(1_500);
const LEFT: &str = "rules, region, user";

pub fn cells() -> Matrix {
    let mut matrix = Matrix::default();
    let says = |headers: &[(&str, &str)], body: &[u8]| {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Behaviour::Answer { status: 200, headers, body: body.to_vec() }
    };
    let good = record(0).to_string().into_bytes();
    let huge = format!("{{\"recent_views\":[\"{}\"]}}", "x".repeat(300_000));
    let faults = [
        ("none", says(&[], &good), ALL),
        ("missing: answers 404", Behaviour::Status(404), LEFT),
        ("missing: answers 500", Behaviour::Status(500), LEFT),
        ("missing: resets", Behaviour::Reset, LEFT),
        ("slow: stalls before the head", Behaviour::StallHead(TOO_LONG), LEFT),
        ("slow: stalls in the body", Behaviour::StallBody(TOO_LONG), LEFT),
        ("slow: drips", Behaviour::Chunks { count: 4, every: TIME_OUT * 2 }, LEFT),
        ("malformed: resets in the body", Behaviour::ResetBody, LEFT),
        ("malformed: truncates", Behaviour::Truncate, LEFT),
        ("malformed: no JSON", says(&[("content-type", "application/json")], b"<html>"), LEFT),
        ("malformed: empty", says(&[], b""), LEFT),
        ("malformed: not UTF-8", says(&[], b"{\"recent_views\":[\"\xff\"]}"), LEFT),
        ("malformed: says gzip, isn't", says(&[("content-encoding", "gzip")], &good), ALL),
        ("oversized: 300 kB", says(&[], huge.as_bytes()), LEFT),
        ("oversized: a second length, of 1 GB", says(&[("content-length", "1000000000")], &good), LEFT),
        ("malformed: a second length, of 5 bytes", says(&[("content-length", "5")], &good), LEFT),
        ("stale", says(&[], record(400 * 86_400).to_string().as_bytes()), ALL),
        ("older version", says(&[], json!({ "v": 0, "views": ["a"], "cart": "one" }).to_string().as_bytes()), LEFT),
    ];
    let mut edge = shop(true).time_out("session_api", TIME_OUT).backend("refuses", "http://127.0.0.1:1").start();
    for (number, (fault, behaviour, left)) in faults.into_iter().enumerate() {
        let id = format!("user-{number}");
        edge.origin().behave();
        edge.origin().on(&format!("/sessions/user/{id}"), behaviour);
        matrix.cell(&edge, "session API", fault, user(&id), left);
    }
    for (fault, backend) in [("missing: the backend", "nowhere"), ("missing: refuses", "refuses")] {
        edge.edit(|rules| {
            let mut settings = dictionaries(true)["settings"].clone();
            settings["session"]["backend"] = backend.into();
            rules.set("settings", &settings);
        });
        thread::sleep(REREAD);
        matrix.cell(&edge, "session API", fault, user(backend), LEFT);
    }
    matrix
}
