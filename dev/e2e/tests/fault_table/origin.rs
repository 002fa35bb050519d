//! An origin that lets the edge down. The local server says of every failed request that it failed, and not why
//! (`tests/faults.rs` tells them apart).

use std::time::Duration;

use e2e::{Behaviour, Edge};
use serde_json::json;

use crate::dictionaries;
use crate::table::{Page, Table, row};

/// What the route rewrites to for somebody in New York.
const EAST: &str = "/api/products/promotions/east";
/// How long the local server waits for a head, or for more of a body; a busy machine's answers are in time.
const TIME_OUT: Duration = Duration::from_millis(1_500);
const TOO_LONG: Duration = Duration::from_secs(40);

pub fn rows() -> Table {
    let mut table = Table::default();
    let mut routes = dictionaries()["routes"].clone();
    let fallback = json!({ "path": "/api/products/promotions/global" });
    let refused = json!({ "id": "refused", "path": "/refused", "backend": "refuses", "fallback": fallback });
    routes["routes"].as_array_mut().unwrap().push(refused);
    let edge = Edge::with_rules(&dictionaries())
        .dictionary("routes", &routes)
        .backend("refuses", "http://127.0.0.1:1")
        .time_out("origin", TIME_OUT)
        .start();
    table.row(&edge, &row("none", 200, Page::Right, &[]));
    for status in [404, 500, 503] {
        edge.origin().on(EAST, Behaviour::Status(status));
        let (fault, log) = (format!("{status} on the personalized path"), format!("fallback status-{status}"));
        table.row(
            &edge,
            &row(&fault, 200, Page::Generic, &[&log, "backend-status"]).reaches("/api/products/promotions/global"),
        );
        edge.origin().behave();
    }
    for (fault, behaviour) in [
        ("stalled before the head of the personalized path", Behaviour::StallHead(TOO_LONG)),
        ("reset on the personalized path", Behaviour::Reset),
    ] {
        edge.origin().on(EAST, behaviour);
        table.row(&edge, &row(fault, 200, Page::Generic, &["fallback backend-failed", "backend-failed"]));
        edge.origin().behave();
    }
    // The head is out: nothing can be put in the place of what follows.
    for (fault, behaviour) in [
        ("stalled in the body", Behaviour::StallBody(TOO_LONG)),
        ("reset in the body", Behaviour::ResetBody),
        ("truncated", Behaviour::Truncate),
    ] {
        edge.origin().on("*", behaviour);
        table.row(&edge, &row(&format!("{fault}, passed on as it comes"), 200, Page::Cut, &["body-broken"]));
        let rewritten = format!("{fault}, rewritten as it comes");
        table.row(&edge, &row(&rewritten, 200, Page::Cut, &["body-broken"]).asks("/products"));
        edge.origin().behave();
    }
    for status in [404, 500, 503] {
        edge.origin().on("*", Behaviour::Status(status));
        let (fault, log) = (format!("{status} on every path"), format!("fallback status-{status}"));
        table.row(&edge, &row(&fault, status, Page::OwnError, &[&log, "backend-status"]));
        edge.origin().behave();
    }
    for (fault, behaviour) in [
        ("stalled before the head of every path", Behaviour::StallHead(TOO_LONG)),
        ("reset on every path", Behaviour::Reset),
    ] {
        edge.origin().on("*", behaviour);
        table.row(&edge, &row(fault, 502, Page::Plain, &["fallback backend-failed", "backend-failed"]));
        edge.origin().behave();
    }
    let log = ["fallback backend-failed", "backend-failed"];
    let refused = row("refused on the personalized path", 200, Page::Generic, &log);
    table.row(&edge, &refused.asks("/refused"));
    table.row(&edge, &row("none any more", 200, Page::Right, &[]));
    let edge = Edge::with_rules(&dictionaries()).backend("origin", "http://127.0.0.1:1").start();
    table.row(&edge, &row("refused on every path", 502, Page::Plain, &log));
    table.row(&edge, &row("  and a page that no route touches", 502, Page::Plain, &["backend-failed"]).asks("/cart"));
    table
}
