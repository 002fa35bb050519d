//! An origin that lets the edge down: the visitor gets the page all the same, or a plain error, and never the inside.
#![allow(clippy::indexing_slicing, reason = "what is missing in a JSON value is null, and a surprise ends the test")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may stop at a surprise")]

use std::time::Duration;

use e2e::visitors::{NEW_YORK, SAN_FRANCISCO};
use e2e::{Behaviour, Edge, Request};

/// What the demo route rewrites to for somebody in New York.
const EAST: &str = "/api/products/promotions/east";
/// Far beyond any budget of the edge, well below the test's patience.
const TOO_LONG: Duration = Duration::from_secs(40);

/// What a visitor in New York gets when the personalized path alone is broken: the same page for everybody.
fn the_generic_page_is_served(behaviour: Behaviour) {
    let edge = Edge::demo().start();
    edge.origin().on(EAST, behaviour);
    let answer = edge.visitor(NEW_YORK).get("/api/products/all");
    assert_eq!((answer.status, answer.complete), (200, true), "{answer:#?}");
    assert_eq!(answer.json()["region"], "global", "{}", answer.text());
    let decision = edge.decision();
    assert!(!decision["fallback"].is_null(), "the log should say that the fallback was taken: {decision:#}");
    edge.origin().behave();
    let healed = edge.visitor(NEW_YORK).get("/api/products/all");
    assert_eq!(healed.json()["region"], "east", "a fault must not outlast its cause");
}

#[test]
fn a_missing_personalized_path_costs_nobody_the_page() {
    the_generic_page_is_served(Behaviour::Status(404));
}

#[test]
fn a_personalized_path_that_answers_500_costs_nobody_the_page() {
    the_generic_page_is_served(Behaviour::Status(500));
}

#[test]
fn a_personalized_path_that_answers_503_costs_nobody_the_page() {
    the_generic_page_is_served(Behaviour::Status(503));
}

#[test]
fn a_personalized_path_that_is_reset_costs_nobody_the_page() {
    the_generic_page_is_served(Behaviour::Reset);
}

#[test]
fn a_personalized_path_that_stalls_costs_nobody_the_page() {
    the_generic_page_is_served(Behaviour::StallHead(TOO_LONG));
}

#[test]
fn an_origin_that_refuses_connections_gets_the_visitor_a_plain_error() {
    let edge = Edge::demo().backend("origin", "http://127.0.0.1:1").start();
    let answer = edge.visitor(NEW_YORK).get("/api/products/all");
    assert!((500..600).contains(&answer.status), "{answer:#?}");
    assert_eq!(edge.visitor(NEW_YORK).get("/.edge/health").status, 200);
}

#[test]
fn an_origin_that_is_broken_altogether_says_so_itself_or_the_edge_does() {
    let edge = Edge::demo().start();
    edge.origin().on("*", Behaviour::Status(503));
    let answer = edge.visitor(NEW_YORK).get("/api/products/all");
    assert!((500..600).contains(&answer.status), "{answer:#?}");
}

#[test]
fn a_truncated_answer_never_looks_whole() {
    let edge = Edge::demo().start();
    edge.origin().on(EAST, Behaviour::Truncate);
    if let Ok(answer) = edge.visitor(NEW_YORK).try_send(&Request::get("/api/products/all")) {
        assert!(!answer.complete || answer.json()["region"] == "global", "{answer:#?}");
    }
    edge.origin().behave();
    assert_eq!(edge.visitor(NEW_YORK).get("/api/products/all").status, 200);
}

#[test]
fn an_answer_reset_in_its_body_never_looks_whole() {
    let edge = Edge::demo().start();
    edge.origin().on(EAST, Behaviour::ResetBody);
    if let Ok(answer) = edge.visitor(NEW_YORK).try_send(&Request::get("/api/products/all")) {
        assert!(!answer.complete || answer.json()["region"] == "global", "{answer:#?}");
    }
}

#[test]
fn the_first_half_of_a_slow_body_arrives_before_the_second() {
    let edge = Edge::demo().start();
    edge.origin().on("/products", Behaviour::StallBody(Duration::from_millis(1200)));
    let answer = edge.visitor(SAN_FRANCISCO).get("/products");
    assert_eq!((answer.status, answer.complete), (200, true));
    let times: Vec<_> = answer.arrivals.iter().map(|(time, _)| *time).collect();
    let (first, last) = (*times.first().unwrap(), *times.last().unwrap());
    assert!(last - first > Duration::from_millis(900), "the edge held the body back: {:?}", answer.arrivals);
}

#[test]
fn an_unknown_backend_takes_nothing_down() {
    let edge = Edge::demo().without_backend("session_api").start();
    assert_eq!(edge.visitor(NEW_YORK).get("/api/products/all").status, 200);
}

#[test]
fn every_store_missing_leaves_the_origins_own_page() {
    let edge = Edge::demo().without_stores().start();
    let answer = edge.visitor(NEW_YORK).transparent().get("/api/products/all");
    assert_eq!((answer.status, &answer.json()["generic"]), (200, &true.into()), "{}", answer.text());
}

#[test]
fn half_a_dictionary_takes_nothing_down() {
    let edge = Edge::demo().entry("routes", "{\"routes\": [{\"id\": \"pro").start();
    let answer = edge.visitor(NEW_YORK).transparent().get("/api/products/all");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let error = edge.error();
    assert!(error.to_string().contains("routes"), "the log should name the dictionary: {error:#}");
}
