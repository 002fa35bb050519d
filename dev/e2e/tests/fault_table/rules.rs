//! Faults of the rules, and of the store that holds them.

use std::io::Write as _;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use e2e::{Behaviour, Edge, Rules};
use serde_json::{Value, json};

use crate::dictionaries;
use crate::table::{Page, Row, Table, row};

/// A warm sandbox looks at the rules again after a second.
const REREAD: Duration = Duration::from_millis(1100);
/// Characters that an entry may have.
const LONGEST_ENTRY: usize = 8_000;

type Change<'a> = &'a dyn Fn(&mut Rules);

pub fn rows() -> Table {
    let mut table = Table::default();
    let mut edge = Edge::with_rules(&dictionaries()).start();
    let mut tried = |table: &mut Table, change: Change<'_>, rows: &[Row<'_>]| {
        edge.edit(|rules| {
            *rules = good();
            change(rules);
        });
        thread::sleep(REREAD);
        table.rules_changed(Some(&edge));
        for row in rows {
            table.row(&edge, row);
        }
    };
    tried(&mut table, &|_| (), &[row("none", 200, Page::Right, &[])]);
    tried(&mut table, &|rules| *rules = Rules::default(), &[row("empty store", 200, Page::Own, &[])]);
    // A warm sandbox knows the last text that could be used.
    for dictionary in ["settings", "regions", "routes"] {
        let fault = format!("half-written JSON in {dictionary}");
        let log = [dictionary];
        tried(&mut table, &|rules| cut_in_half(rules, dictionary), &[row(&fault, 200, Page::Right, &log)]);
    }
    for (dictionary, pointer, place) in [
        ("settings", "", "settings/colour"),
        ("regions", "/regions/0", "regions/regions/0/colour"),
        ("routes", "/routes/0", "routes/routes/0/colour"),
    ] {
        let fault = format!("unknown key in {dictionary}");
        let change = |rules: &mut Rules| edit(rules, dictionary, pointer, "colour", json!("red"));
        tried(&mut table, &change, &[row(&fault, 200, Page::Right, &[place])]);
    }
    let backend = |rules: &mut Rules| {
        for route in ["/routes/0", "/routes/1"] {
            edit(rules, "routes", route, "backend", json!("nowhere"));
        }
        edit(rules, "routes", "/routes/1", "path", json!("/products"));
    };
    let rows = [
        row("unknown backend", 200, Page::Generic, &["fallback backend-unknown", "backend-unknown"]),
        row(
            "unknown backend, no path to fall back on",
            200,
            Page::Own,
            &["fallback backend-unknown", "backend-unknown"],
        )
        .asks("/products"),
    ];
    tried(&mut table, &backend, &rows);
    let path = |rules: &mut Rules| edit(rules, "routes", "/routes/0/rewrite", "path", json!("/{regoin.slug}"));
    let log = ["routes/routes/0/rewrite/path"];
    let rows = [
        row("path template names nothing that exists", 200, Page::Own, &log),
        row("  and a route beside it", 200, Page::Right, &log).asks("/products"),
    ];
    tried(&mut table, &path, &rows);
    let html = |rules: &mut Rules| {
        let operations = json!([{ "select": "li", "inner": { "template": "nothing" } }, { "select": "h1", "inner": "{{ region.slug }}" }]);
        edit(rules, "routes", "/routes/2", "html", operations);
    };
    let log = ["routes/routes/2/html/0/inner"];
    tried(&mut table, &html, &[row("page operation names no template", 200, Page::Right, &log).asks("/products")]);
    for (fault, letter, length) in
        [("entry of 8,000 characters", "x", LONGEST_ENTRY), ("entry of 8,000 characters, 16 kB", "é", LONGEST_ENTRY)]
    {
        tried(&mut table, &|rules| fill(rules, "routes", letter, length), &[row(fault, 200, Page::Right, &[])]);
    }
    table.note("entry of 8,001 characters", "not possible: the platform and the local server take none");
    let whole = [
        row("routes in three full parts: the first", 200, Page::Right, &[]).asks("/find"),
        row("  the second", 200, Page::Right, &[]),
        row("  the third", 200, Page::Right, &[]).asks("/products"),
    ];
    tried(&mut table, &in_parts, &whole);
    let log = ["routes.2"];
    let gap = [
        row("routes in three full parts, the second missing: the first", 200, Page::Right, &log).asks("/find"),
        row("  the missing one, as it was", 200, Page::Right, &log),
        row("  the third", 200, Page::Right, &log).asks("/products"),
    ];
    let without = |rules: &mut Rules| {
        in_parts(rules);
        rules.remove_entry("routes.2");
    };
    tried(&mut table, &without, &gap);
    tried(&mut table, &|_| (), &[row("none any more", 200, Page::Right, &[])]);
    edge.tear_store();
    thread::sleep(REREAD);
    table.row(&edge, &row("store that the host can't open", 200, Page::Right, &["config-store"]));
    table.rules_changed(None);
    let edge = Edge::with_rules(&dictionaries()).start();
    let busy = keep_busy(&edge);
    edge.tear_store();
    table.row(&edge, &row("store that the host can't open, met by a new sandbox", 200, Page::Own, &["config-store"]));
    drop(busy);
    // A new sandbox has nothing to fall back on.
    for (dictionary, page) in [("settings", Page::Right), ("regions", Page::Generic), ("routes", Page::Own)] {
        let mut rules = good();
        cut_in_half(&mut rules, dictionary);
        let edge = Edge::with_rules(&dictionaries()).entry(dictionary, &rules.entries()[dictionary]).start();
        let fault = format!("half-written JSON in {dictionary}, met by a new sandbox");
        table.row(&edge, &row(&fault, 200, page, &[dictionary]));
    }
    let edge = Edge::with_rules(&dictionaries()).without_config_store().start();
    table.row(&edge, &row("no config store", 200, Page::Own, &["config-store"]));
    let edge = Edge::with_rules(&dictionaries()).without_stores().start();
    table.row(&edge, &row("no store of any kind", 200, Page::Own, &["config-store"]));
    table
}

/// Keeps the sandbox that started with the edge at a request, so that the next one gets a new sandbox.
fn keep_busy(edge: &Edge) -> TcpStream {
    edge.origin().on("/echo/slow", Behaviour::StallHead(Duration::from_secs(20)));
    let mut stream = TcpStream::connect(edge.address()).unwrap();
    write!(stream, "GET /echo/slow HTTP/1.1\r\nHost: shop.example\r\n\r\n").unwrap();
    while edge.origin().requests().is_empty() {
        thread::sleep(Duration::from_millis(10));
    }
    stream
}

fn good() -> Rules {
    Rules::from_json(dictionaries().as_object().unwrap())
}

fn cut_in_half(rules: &mut Rules, entry: &str) {
    let text = &rules.entries()[entry];
    let half = text[..text.len() / 2].to_owned();
    rules.set_entry(entry, &half);
}

/// Sets a member of the object at a pointer.
fn edit(rules: &mut Rules, dictionary: &str, pointer: &str, key: &str, value: Value) {
    let mut whole: Value = serde_json::from_str(&rules.entries()[dictionary]).unwrap();
    whole.pointer_mut(pointer).unwrap()[key] = value;
    rules.set(dictionary, &whole);
}

/// Makes an entry exactly so many characters long, by a comment.
fn fill(rules: &mut Rules, entry: &str, letter: &str, length: usize) {
    let mut whole: Value = serde_json::from_str(&rules.entries()[entry]).unwrap();
    whole["$comment"] = "".into();
    let rest = length - whole.to_string().chars().count();
    whole["$comment"] = letter.repeat(rest).into();
    rules.set_entry(entry, &whole.to_string());
}

/// One route in each part, each part as long as it may be.
fn in_parts(rules: &mut Rules) {
    let routes = dictionaries()["routes"]["routes"].clone();
    for (entry, part) in [
        ("routes", json!({ "parts": 3, "routes": [routes[1]] })),
        ("routes.2", json!({ "routes": [routes[0]] })),
        ("routes.3", json!({ "routes": [routes[2]] })),
    ] {
        rules.set_entry(entry, &part.to_string());
        fill(rules, entry, "x", LONGEST_ENTRY);
    }
}
