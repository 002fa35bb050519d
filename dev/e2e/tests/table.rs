//! The main job, on real input: who asks from where, and what the origin receives for it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may stop at a surprise")]

use e2e::visitors::{
    BERLIN, BOSTON, JOHANNESBURG, LONDON, MUMBAI, NEW_YORK, NOWHERE, PARIS, SAN_FRANCISCO, SAO_PAULO, SEATTLE, SYDNEY,
    TOKYO, TORONTO, UNKNOWN_COUNTRY, Visitor,
};
use e2e::{Edge, Request};

/// Each visitor, with the region and the promotion document that they should get.
const TABLE: [(Visitor, &str, &str); 15] = [
    (NEW_YORK, "US-EAST", "east"),
    (BOSTON, "US-EAST", "east"),
    (SAN_FRANCISCO, "US-WEST", "west"),
    (SEATTLE, "US-WEST", "west"),
    (PARIS, "EU-WEST", "europe"),
    (BERLIN, "EU-WEST", "europe"),
    (LONDON, "EU-WEST", "europe"),
    (TOKYO, "APAC", "asia"),
    (SYDNEY, "APAC", "asia"),
    (MUMBAI, "APAC", "asia"),
    (TORONTO, "DEFAULT_REGION", "global"),
    (SAO_PAULO, "DEFAULT_REGION", "global"),
    (JOHANNESBURG, "DEFAULT_REGION", "global"),
    (UNKNOWN_COUNTRY, "DEFAULT_REGION", "global"),
    (NOWHERE, "DEFAULT_REGION", "global"),
];

#[test]
fn every_address_gets_the_promotion_of_its_region() {
    let edge = Edge::demo().start();
    for (visitor, region, slug) in TABLE {
        let answer = edge.visitor(visitor).get("/api/products/all");
        let place = format!("{} ({})", visitor.city, visitor.address);
        assert_eq!((answer.status, answer.json()["region"].as_str()), (200, Some(slug)), "{place}");
        let received = edge.origin().last_request().unwrap();
        assert_eq!(received.target, format!("/api/products/promotions/{slug}"), "{place}");
        let variant = format!("region=\"{region}\"");
        assert!(
            received.header("Edge-Variant").is_some_and(|found| found.contains(&variant)),
            "{place}: {received:#?}"
        );
        assert_eq!(received.header("X-Geo-Region"), Some(region), "{place}");
        assert!(answer.header("Edge-Variant").is_some_and(|found| found.contains(&variant)), "{place}: {answer:#?}");
    }
}

#[test]
fn the_demo_route_drops_the_query() {
    let edge = Edge::demo().start();
    let answer = edge.visitor(NEW_YORK).get("/api/products/all?category=electronics");
    assert_eq!(answer.status, 200);
    assert_eq!(edge.origin().last_request().unwrap().target, "/api/products/promotions/east");
}

#[test]
fn local_settings_let_a_header_choose_the_region() {
    let edge = Edge::demo().start();
    for (region, slug) in [
        ("US-EAST", "east"),
        ("US-WEST", "west"),
        ("EU-WEST", "europe"),
        ("APAC", "asia"),
        ("DEFAULT_REGION", "global"),
        ("ATLANTIS", "global"),
    ] {
        let request = Request::get("/api/products/all?category=electronics").header("X-Geo-Region", region);
        assert_eq!(edge.send(&request).status, 200, "{region}");
        let target = edge.origin().last_request().unwrap().target;
        assert_eq!(target, format!("/api/products/promotions/{slug}"), "{region}");
    }
}

#[test]
fn without_that_setting_the_header_counts_for_nothing() {
    let edge = Edge::demo().dictionary("settings", &serde_json::json!({})).start();
    let request = Request::get("/api/products/all").header("X-Geo-Region", "APAC");
    assert_eq!(edge.visitor(PARIS).send(&request).status, 200);
    assert_eq!(edge.origin().last_request().unwrap().target, "/api/products/promotions/europe");
}

#[test]
fn without_geolocation_everybody_gets_the_global_promotion() {
    let edge = Edge::demo().without_geolocation().start();
    for visitor in [NEW_YORK, PARIS, NOWHERE] {
        assert_eq!(edge.visitor(visitor).get("/api/products/all").json()["region"], "global");
    }
}

#[test]
fn the_decision_is_logged_with_the_region_and_the_path_sent() {
    let edge = Edge::demo().start();
    assert_eq!(edge.visitor(TOKYO).get("/api/products/all").status, 200);
    let decision = edge.decision();
    assert_eq!(decision["region"], "APAC", "{decision:#}");
    assert!(!decision.to_string().contains("127.0.0.17"), "an address in the log: {decision:#}");
}
