use serde_json::{Map, Value, json};
use time::OffsetDateTime;

use super::side::Side;
use super::{Report, compare, text};

fn side(name: &str, dictionaries: Value) -> Side {
    let dictionaries: Map<String, Value> = dictionaries.as_object().unwrap().clone();
    Side::new(name, dictionaries)
}

fn diff(a: Value, b: Value) -> Report {
    compare(&side("a", a), &side("b", b), 10_000, OffsetDateTime::UNIX_EPOCH)
}

fn shown(report: &Report) -> String {
    anstream::adapter::strip_str(&text::render(report)).to_string()
}

/// What is printed of `b` instead of `a` holds each of these.
fn says(a: Value, b: Value, expected: &[&str]) -> Report {
    let report = diff(a, b);
    let text = shown(&report);
    assert!(!report.equal);
    for line in expected {
        assert!(text.contains(line), "expected {line:?} in\n{text}");
    }
    report
}

fn routes(routes: Value) -> Value {
    json!({ "routes": { "routes": routes } })
}

#[test]
fn another_spelling_of_the_same_rules_changes_nothing() {
    let report = diff(
        json!({
            "routes": { "routes": [
                { "id": "a", "path": "/a/*", "when": { "country": { "$in": ["US", "FR"] }, "deviceType": { "$eq": "mobile" } },
                  "features": ["x"], "rewrite": { "path": "/b/{feature.x|0}" }, "cache": {},
                  "schedule": { "from": "2026-11-27T00:00:00Z" } },
                { "id": "b", "path": "/b" }] },
            "features": { "features": { "x": { "defaultValue": 0, "enabled": true } } },
            "settings": { "languages": [] },
            "segments": { "segments": { "vip": ["1", "2"] } } }),
        json!({
            "routes": { "routes": [
                { "id": "b", "path": "/b", "methods": ["HEAD", "GET"], "backend": "origin", "action": "personalize",
                  "fallback": { "statuses": [500, 404, 502, 503, 504] } },
                { "$comment": "for people", "id": "a", "path": "/a/*", "enabled": true,
                  "when": { "deviceType": "mobile", "country": { "$in": ["FR", "US", "FR"] } },
                  "rewrite": { "path": "/b/{feature.x|0}", "query": "keep" }, "cache": { "key_headers": [] },
                  "schedule": { "from": "2026-11-27T01:00:00+01:00" } }] },
            "features": { "features": { "x": { "$comment": "y", "defaultValue": 0 } } },
            "segments": { "segments": { "vip": ["2", "1"] } } }),
    );
    assert!(report.equal, "{}", shown(&report));
    assert!(shown(&report).contains("Nothing changes for any visitor"));
}

#[test]
fn routes_that_are_new_gone_or_others_are_named_with_what_of_them() {
    says(
        routes(json!([
            { "id": "gone", "path": "/gone" },
            { "id": "home", "path": "/", "cache": { "ttl": 60 }, "rewrite": { "path": "/a" }, "when": { "country": "US" } }])),
        routes(json!([
            { "id": "home", "path": "/", "cache": { "ttl": 120, "key_headers": ["X-A"] }, "features": ["hero"],
              "when": { "country": { "$in": ["US", "CA"] } }, "enabled": false },
            { "id": "new", "path": "/new", "action": "redirect", "redirect": { "location": "/" } }])),
        &[
            "+ new /new (redirect)",
            "- gone /gone (personalize)",
            "~ home",
            "enabled: true → false",
            "cache.ttl: 60 → 120",
            "cache.key_headers: [] → [\"x-a\"]",
            "rewrite.path: \"/a\" → nothing",
            "features: [] → [\"hero\"]",
            "when: {\"country\":\"US\"} → {\"country\":{\"$in\":[\"CA\",\"US\"]}}",
        ],
    );
}

#[test]
fn the_order_of_routes_is_a_change_where_both_match() {
    let one = json!({ "id": "one", "path": "/p/{a}", "when": { "country": "US" } });
    let two = json!({ "id": "two", "path": "/p/{b}" });
    let other = json!({ "id": "other", "path": "/q/{b}" });
    let before = routes(json!([one, two, other]));
    says(before.clone(), routes(json!([two, one, other])), &["two is now tried before one"]);
    assert!(diff(before, routes(json!([other, one, two]))).equal, "no request can match both");
}

fn regions(list: Value) -> Value {
    json!({ "regions": { "regions": list } })
}

#[test]
fn visitors_who_change_region_are_named_by_their_places() {
    let before = regions(json!([
        { "id": "US-WEST", "slug": "west", "when": { "country": "US", "subdivision": { "$in": ["CA", "OR"] } } },
        { "id": "US-EAST", "slug": "east", "when": { "country": "US" } },
        { "id": "EU", "slug": "europe", "when": { "continent": "EU" } }]));
    let after = regions(json!([
        { "id": "US-WEST", "slug": "west", "when": { "country": "US", "subdivision": { "$in": ["CA", "TX"] } } },
        { "id": "US-EAST", "slug": "east", "when": { "country": "US" } },
        { "id": "UK", "slug": "uk", "when": { "country": "GB" } },
        { "id": "EU", "slug": "eu", "when": { "continent": "EU" } },
        { "id": "APAC", "slug": "asia", "when": { "continent": { "$in": ["AS", "OC"] } } }]));
    let report = says(
        before.clone(),
        after,
        &[
            "US-WEST → US-EAST: US, where subdivision is OR",
            "US-EAST → US-WEST: US, where subdivision is TX",
            "EU → UK: GB\n",
            "EU (europe) → EU (eu): ",
            "DEFAULT_REGION → APAC: all of AS, all of OC\n",
            "+ APAC",
            "+ UK",
        ],
    );
    let eu = report.regions.visitors.iter().find(|moved| moved.to.slug == "eu").unwrap();
    assert!(eu.countries.contains("FR") && !eu.countries.contains("GB"), "{:?}", eu.countries);
    // What TX explains, nothing else repeats: five moves, not one a subdivision.
    assert_eq!(report.regions.visitors.len(), 5, "{:#?}", report.regions.visitors);
    // Another order of regions that don't overlap moves nobody.
    let mut turned = before.clone();
    turned["regions"]["regions"].as_array_mut().unwrap().rotate_right(1);
    assert!(diff(before, turned).equal);
}

#[test]
fn who_can_not_be_located_gets_another_default() {
    says(
        json!({ "regions": { "default": { "id": "D", "slug": "d" }, "regions": [] } }),
        json!({ "regions": { "default": { "id": "E", "slug": "e" }, "regions": [{ "id": "EU", "slug": "eu", "when": { "continent": "EU" } }] } }),
        &[
            "D → E: who can't be located",
            "D → EU: all of EU\n",
            "D → E: all of AF, all of AN, all of AS, all of NA, all of OC, all of SA\n",
        ],
    );
}

fn experiment(changes: Value) -> Value {
    let mut rule =
        json!({ "key": "hero-2026", "hashVersion": 2, "seed": "s", "variations": ["a", "b"], "weights": [0.5, 0.5] });
    for (key, value) in changes.as_object().unwrap() {
        rule[key] = value.clone();
    }
    json!({ "features": { "features": { "hero": { "defaultValue": "a", "rules": [rule] } } } })
}

#[test]
fn a_changed_split_says_how_many_visitors_change_arm() {
    let report = says(
        experiment(json!({})),
        experiment(json!({ "weights": [0.3, 0.7] })),
        &[
            "~ hero",
            "rules[0].weights: [0.5,0.5] → [0.3,0.7]",
            "\"a\" → \"b\": ",
            "is split otherwise while it runs",
            "personalizer reweight",
        ],
    );
    let shares = &report.features[0].visitors[0];
    assert!((shares.moved - 0.2).abs() < 0.015 && (shares.changed - 0.2).abs() < 0.015, "{shares:?}");
    assert_eq!((shares.left, shares.joined, shares.visitors), (0.0, 0.0, 10_000));
}

#[test]
fn a_ramp_moves_nobody_and_warns_of_nothing() {
    let report = diff(experiment(json!({ "coverage": 0.1 })), experiment(json!({ "coverage": 0.5 })));
    let diff = &report.features[0];
    assert!(diff.visitors[0].moved == 0.0 && (diff.visitors[0].joined - 0.4).abs() < 0.02, "{:?}", diff.visitors);
    assert!(diff.warnings.is_empty(), "{:?}", diff.warnings);
}

#[test]
fn a_new_seed_or_hash_version_is_a_new_order_of_visitors() {
    for (changes, expected) in [
        (json!({ "seed": "t" }), "(seed \"s\" → \"t\")"),
        (json!({ "hashVersion": 1 }), "(hashVersion 2 → 1)"),
        (json!({ "hashAttribute": "userId", "seed": "t" }), "(seed \"s\" → \"t\", hashAttribute \"id\" → \"userId\")"),
    ] {
        let report = says(experiment(json!({})), experiment(changes), &["puts its visitors in a new order", expected]);
        let moved = report.features[0].visitors[0].moved;
        assert!((moved - 0.5).abs() < 0.03, "{moved}");
    }
}

#[test]
fn a_condition_changes_it_for_those_it_is_about() {
    let feature = |force: &str| {
        json!({ "features": { "features": { "hero": { "defaultValue": "a",
            "rules": [{ "condition": { "country": "FR", "session.cart_quantity": { "$gt": 0 } }, "force": force }] } } } })
    };
    let report = says(
        feature("b"),
        feature("c"),
        &[
            "other visitors: 0.0 % get something else",
            "where country is FR and session.cart_quantity is 1: 100.0 % get something else",
        ],
    );
    assert_eq!(report.features[0].visitors.len(), 2, "{:?}", report.features[0].visitors);
}

#[test]
fn what_changes_by_a_prerequisite_or_a_segment_is_named_with_it() {
    let features = |default: bool| {
        json!({ "features": { "features": {
            "gate": { "defaultValue": default },
            "page": { "defaultValue": 1, "rules": [{ "parentConditions": [{ "id": "gate", "condition": { "value": true } }], "force": 2 }] } } } })
    };
    let report = says(features(false), features(true), &["~ page (by feature gate)", "1 → 2: 100.0 %"]);
    assert_eq!(report.features.len(), 2);
    let segment = |ids: Value| {
        json!({ "segments": { "segments": { "vip": ids } },
            "features": { "features": { "x": { "defaultValue": 0, "rules": [{ "condition": { "userId": { "$inGroup": "vip" } }, "force": 1 }] } } } })
    };
    says(
        segment(json!(["u1"])),
        segment(json!(["u2"])),
        &["~ vip", "~ x (by a segment)", "where userId is u2: 100.0 %"],
    );
}

#[test]
fn experiments_of_their_own_are_compared_on_their_pages() {
    let one = |weights: Value| {
        json!({ "experiments": { "experiments": [{ "key": "checkout", "hashVersion": 2, "variations": [{}, {}], "weights": weights,
            "urlPatterns": [{ "type": "simple", "pattern": "/checkout", "include": true }] }] } })
    };
    let report = says(one(json!([0.5, 0.5])), one(json!([0.9, 0.1])), &["~ checkout", "variation 1 → variation 0: "]);
    assert!((report.experiments[0].visitors[0].moved - 0.4).abs() < 0.02, "{:?}", report.experiments[0].visitors);
}

#[test]
fn settings_are_compared_by_key_with_their_defaults() {
    let report = says(
        json!({ "settings": { "session": { "max_age": 300 }, "log": { "sample": 1.0 } } }),
        json!({ "settings": { "session": { "max_age": 600 } }, "templates": { "templates": { "t": "x" } } }),
        &["session.max_age: 300 → 600", "Templates\n  + t"],
    );
    assert_eq!(report.settings.len(), 1, "{:?}", report.settings);
}

#[test]
fn what_the_edge_leaves_out_is_noted_and_not_compared() {
    let report = diff(routes(json!([])), routes(json!([{ "id": "a", "path": "nowhere" }])));
    assert!(report.equal && report.notes.len() == 1, "{:?}", report.notes);
    assert!(report.notes[0].starts_with("b: expected rules without a fault, but found 1"), "{:?}", report.notes);
}

#[test]
fn two_runs_say_the_same() {
    let run =
        || serde_json::to_string(&diff(experiment(json!({})), experiment(json!({ "weights": [0.3, 0.7] })))).unwrap();
    assert_eq!(run(), run());
}

#[test]
fn a_list_that_lost_a_member_names_that_member() {
    let page = |operations: Value| routes(json!([{ "id": "a", "path": "/a", "html": operations }]));
    let (one, two) =
        (json!({ "select": "#a", "inner": { "text": "x" } }), json!({ "select": "#b", "inner": { "text": "y" } }));
    let report = says(page(json!([one, two])), page(json!([two])), &["html[0]: {\"select\":\"#a\""]);
    assert_eq!(report.routes.changed[0].changes.len(), 1);
}
