//! Everything that may go wrong around the edge, one row a fault: what the visitor gets, what the log says, and that nothing of the
//! inside shows. `tests/faults.rs` and `tests/fault_matrix.rs` show on the host what the local server can't do.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic,
    reason = "what is missing in a JSON value is null, and a surprise ends the test"
)]

mod origin;
mod requests;
mod rules;
mod table;

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use e2e::visitors::SAN_FRANCISCO;
use e2e::{Answer, Edge};
use serde_json::{Value, json};

use table::Table;

/// Rules with which a visitor in New York gets `east` everywhere; the regions are the demo's.
fn dictionaries() -> Value {
    json!({
        "settings": { "languages": ["en"] },
        "regions": { "default": { "id": "DEFAULT_REGION", "slug": "global" }, "regions": [
            { "id": "US-WEST", "slug": "west", "when": { "country": "US", "subdivision": "CA" } },
            { "id": "US-EAST", "slug": "east", "when": { "country": "US" } } ] },
        "routes": { "routes": [
            { "id": "all", "path": "/api/products/all", "cache": { "ttl": 60 },
              "rewrite": { "path": "/api/products/promotions/{region.slug}", "query": "drop" },
              "fallback": { "path": "/api/products/promotions/global" } },
            { "id": "find", "path": "/find",
              "rewrite": { "path": "/api/products/promotions/{region.slug}", "set_query": { "lang": "{language|en}" } } },
            { "id": "page", "path": "/products", "html": [{ "select": "h1", "inner": "{{ region.slug }}" }] } ] }
    })
}

#[test]
fn no_fault_costs_the_page_or_shows_the_inside() {
    // Most of the time goes into waiting for time-outs and for rules to be read again: the edges wait side by side.
    let parts = [rules::rows, requests::rows, origin::rows].map(|rows: fn() -> Table| thread::spawn(rows));
    let mut wrong = Vec::new();
    println!("{:<58} {:>6} {:<20} log", "fault", "status", "page");
    for part in parts {
        let table = part.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        print!("{}", table.printed);
        wrong.extend(table.wrong);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn an_answer_that_shows_the_inside_would_be_a_wrong_row() {
    let origin = SocketAddr::from(([127, 0, 0, 1], 7877));
    let answer = |text: &str, cache_control: &str| Answer {
        status: 502,
        headers: vec![("cache-control".to_owned(), cache_control.as_bytes().to_vec())],
        body: text.as_bytes().to_vec(),
        complete: true,
        first_byte: Duration::ZERO,
        total: Duration::ZERO,
    };
    let plain = "<p>Request <code>0123456789abcdef0123456789abcdef</code></p>";
    assert_eq!(table::shown(origin, &answer(plain, "no-store")), Vec::<String>::new());
    for inside in ["panicked at src/plan.rs:7", "{region.slug}", "session_api", "Fastly", &origin.to_string()] {
        assert!(!table::shown(origin, &answer(inside, "no-store")).is_empty(), "{inside} went unseen");
    }
    assert!(!table::shown(origin, &answer(plain, "max-age=60")).is_empty(), "a shareable error went unseen");
}

#[test]
fn the_first_half_of_a_slow_body_arrives_before_the_second() {
    let edge = Edge::demo().start();
    let answer = edge.visitor(SAN_FRANCISCO).get_by_halves("/products", 1);
    assert_eq!((answer.status, answer.complete), (200, true));
}
