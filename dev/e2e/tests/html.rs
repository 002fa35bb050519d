//! Pages on their way through the real rewriter: a mistake in mid-stream ends the rewriting, and not the page.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "what is missing in a JSON value is null, and a surprise ends the test"
)]

use e2e::visitors::NEW_YORK;
use e2e::{Behaviour, Edge};
use serde_json::{Value, json};

/// Bytes that the parser may hold: an unfinished tag must fit.
const PARSER_MEMORY: usize = 1024 * 1024;
/// The chunks in which a tag begins and ends needn't be held as well.
const CHUNKS: usize = 2 * 16 * 1024;

fn rules() -> Value {
    let html =
        json!([{ "select": "h2", "inner": "{{ region.slug }}" }, { "select": "p", "class": { "add": ["seen"] } }]);
    json!({
        "settings": {},
        "regions": { "default": { "id": "DEFAULT_REGION", "slug": "global" }, "regions": [
            { "id": "US-EAST", "slug": "east", "when": { "country": "US" } } ] },
        "routes": { "routes": [{ "id": "page", "path": "/page", "html": html }] },
    })
}

/// Many elements to rewrite, in several of the chunks that a page is read in, and much that would come out otherwise if it were parsed
/// and written again: quotes, spaces, case, entities, a NUL, an end tag too many.
fn elements(count: usize) -> String {
    (0..count).map(|n| format!("<h2>Part {n}</h2>\n<P  ID='p{n}' >a &amp b \u{0}é</P ></b>\n")).collect()
}

fn rewritten(page: &str) -> String {
    let mut page = page.replace("<P  ID=", "<P ID=").replace("' >a", "' class=\"seen\">a");
    page = page.replace("\">big", "\" class=\"seen\">big");
    let mut at = 0;
    while let Some(start) = page[at..].find("<h2>").map(|found| at + found + 4) {
        let end = start + page[start..].find("</h2>").unwrap();
        page.replace_range(start..end, "east");
        at = start;
    }
    page
}

#[test]
fn the_first_half_of_a_small_page_arrives_rewritten_before_the_second() {
    let edge = Edge::demo().start();
    let page = edge.visitor(NEW_YORK).get_by_halves("/", 1);
    assert!(page.complete && page.text().contains("id=\"edge-decisions\""), "{}", page.text());
    assert!(page.body.len() < 8_000, "less than any buffer on the way holds");
}

#[test]
fn a_mistake_in_mid_stream_ends_the_rewriting_and_not_the_page() {
    let edge = Edge::with_rules(&rules()).start();
    let (before, after) = (elements(1_000), elements(1_000));
    for (tag, attribute, fails) in [
        ("p", PARSER_MEMORY / 2, false),
        ("p", PARSER_MEMORY + CHUNKS, true),
        ("p", 3 * PARSER_MEMORY, true),
        // What no operation selects needn't be held.
        ("b", 3 * PARSER_MEMORY, false),
    ] {
        let content = if tag == "p" { "big" } else { "" };
        let rest = format!("<{tag} title=\"{}\">{content}</{tag}>\n{after}", "x".repeat(attribute));
        let page = format!("<!doctype html>\n{before}{rest}");
        let headers = vec![("content-type".to_owned(), "text/html; charset=utf-8".to_owned())];
        edge.origin().on("/page", Behaviour::Answer { status: 200, headers, body: page.clone().into_bytes() });
        let answer = edge.visitor(NEW_YORK).get("/page");
        let decision = edge.decision();
        println!("{attribute:>8} bytes in one <{tag}>: {}, {}", answer.status, decision["errors"]);
        assert_eq!((answer.status, answer.complete), (200, true), "{attribute}");
        let expected =
            format!("<!doctype html>\n{}{}", rewritten(&before), if fails { rest } else { rewritten(&rest) });
        let text = answer.text();
        if let Some(at) = text.bytes().zip(expected.bytes()).position(|(found, wanted)| found != wanted) {
            let part =
                |text: &str| String::from_utf8_lossy(&text.as_bytes()[at.saturating_sub(80)..][..160]).into_owned();
            assert_eq!(part(&text), part(&expected), "{attribute}: byte {at}");
        }
        assert_eq!(text.len(), expected.len(), "{attribute}");
        let codes = if fails { json!(["html-failed"]) } else { json!([]) };
        assert_eq!(decision["errors"], codes, "{attribute}");
        if fails {
            let error = edge.error();
            assert_eq!((&error["code"], &error["request_id"]), (&json!("html-failed"), &decision["request_id"]));
        }
    }
    assert_eq!(edge.errors().len(), 2, "{:#?}", edge.errors());
}
