//! A decision's time, natively, beside the official SDK on the same features in the same run.
//!
//! Both are warm: definitions are parsed and compiled, attributes are there. What a request adds to that on the platform is measured by `cargo xtask
//! bench`.

#![allow(missing_docs, reason = "criterion's macros")]
#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a bench may stop at a surprise")]

use std::hint::black_box;
use std::net::IpAddr;

use criterion::{Criterion, criterion_group, criterion_main};
use edge_personalizer::admit::admit;
use edge_personalizer::condition::{self, Attributes};
use edge_personalizer::context::preview::Preview;
use edge_personalizer::context::{Kept, Live};
use edge_personalizer::decide;
use edge_personalizer::growthbook::{Context, Definitions, Evaluator};
use edge_personalizer::plan;
use edge_personalizer::platform::memory::Memory;
use edge_personalizer::platform::{ClientRequest, Geo};
use edge_personalizer::rules::RuleSet;
use edge_personalizer::rules::set::Texts;
use growthbook_rust::growthbook::GrowthBook;
use growthbook_rust::model_public::GrowthBookAttribute;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::{Value, json};
use time::OffsetDateTime;

/// A hundred features of four kinds, as a shop has them.
fn features() -> Value {
    let feature = |index: usize| match index % 4 {
        0 => json!({ "defaultValue": false, "rules": [
            { "condition": { "country": { "$in": ["FR", "DE", "IT"] } }, "force": "euro" },
            { "condition": { "deviceType": "mobile", "country": "US" }, "force": true }
        ] }),
        1 => json!({ "defaultValue": 0, "rules": [{ "force": 1, "coverage": 0.5, "hashVersion": 2 }] }),
        2 => json!({ "defaultValue": "control", "rules": [{
            "key": format!("experiment-{index}"), "variations": ["control", "red", "blue"], "weights": [0.34, 0.33, 0.33],
            "meta": [{ "key": "0" }, { "key": "1" }, { "key": "2" }], "hashVersion": 2, "coverage": 1.0
        }] }),
        _ => json!({ "defaultValue": "none", "rules": [{
            "condition": { "$or": [{ "loggedIn": true }, { "session.cart.total": { "$gt": 50 } }], "browser": { "$regex": "Chrom(e|ium)" } },
            "key": format!("experiment-{index}"), "variations": ["none", "banner"], "hashVersion": 2
        }] }),
    };
    (0..100).map(|index| (format!("feature-{index}"), feature(index))).collect::<serde_json::Map<_, _>>().into()
}

fn attributes() -> Value {
    json!({
        "id": "5d2f3a7c9b1e4f60a8d7c6b5e4f3a2b1", "country": "US", "subdivision": "CA", "continent": "NA", "region": "US-WEST",
        "deviceType": "mobile", "browser": "Chrome", "os": "Android", "network": "fast", "loggedIn": false, "language": "en",
        "path": "/api/products/shoes", "session": { "cart": { "total": 80 }, "tier": "gold" }
    })
}

/// The visitor as the service has them: fields, not JSON; the session alone is JSON.
struct Visitor {
    session: Value,
}

impl Attributes for Visitor {
    fn attribute(&self, name: &str) -> Option<condition::Value<'_>> {
        let text = |text: &'static str| Some(condition::Value::String(text.into()));
        match name {
            "id" => text("5d2f3a7c9b1e4f60a8d7c6b5e4f3a2b1"),
            "country" => text("US"),
            "deviceType" => text("mobile"),
            "browser" => text("Chrome"),
            "loggedIn" => Some(condition::Value::Bool(false)),
            "session" => Some(condition::Value::Json(&self.session)),
            _ => None,
        }
    }
}

fn decision(criterion: &mut Criterion) {
    let mut definitions = Definitions::default();
    definitions.features.add_object(features().to_string()).unwrap();
    let attributes = attributes();
    let visitor = Visitor { session: attributes["session"].clone() };
    let context = Context::new(&visitor, OffsetDateTime::UNIX_EPOCH);
    let official = GrowthBook {
        forced_variations: None,
        features: serde_json::from_value(features()).unwrap(),
        attributes: None,
        sticky_bucket_service: None,
        saved_groups: std::collections::HashMap::new(),
    };
    let official_attributes = Some(GrowthBookAttribute::from(attributes.clone()).unwrap());

    let sets: [(&str, &[&str]); 5] = [
        ("forced by a condition", &["feature-40"]),
        ("rollout", &["feature-41"]),
        ("experiment", &["feature-42"]),
        ("experiment with a condition", &["feature-43"]),
        ("3 features of 100", &["feature-40", "feature-42", "feature-43"]),
    ];
    for (name, keys) in sets {
        for key in keys {
            let ours = Evaluator::new(&definitions, &context).feature(key).value;
            assert_eq!(*ours, official.check(key, &official_attributes).value, "both give the same value for {key}");
        }
        let mut group = criterion.benchmark_group(name);
        group.bench_function("edge-personalizer", |bencher| {
            bencher.iter(|| {
                let mut evaluator = Evaluator::new(&definitions, &context);
                for key in black_box(keys) {
                    black_box(evaluator.feature(key));
                }
                black_box(evaluator.finish())
            });
        });
        group.bench_function("growthbook-rust", |bencher| {
            bencher.iter(|| {
                for key in black_box(keys) {
                    black_box(official.check(key, black_box(&official_attributes)));
                }
            });
        });
        group.finish();
    }

    let mut group = criterion.benchmark_group("cold");
    let text = features().to_string();
    group.bench_function("a table of 100, 3 features evaluated", |bencher| {
        bencher.iter(|| {
            let mut definitions = Definitions::default();
            definitions.features.add_object(text.as_str()).unwrap();
            let mut evaluator = Evaluator::new(&definitions, &context);
            for key in ["feature-40", "feature-42", "feature-43"] {
                black_box(evaluator.feature(key));
            }
        });
    });
    group.finish();
}

/// From an admitted request to its plan: geolocation, region, route, the same three features, cache key. The official SDK does the
/// features alone.
fn whole(criterion: &mut Criterion) {
    let mut texts = Texts::default();
    let regions = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../rules/regions.json")).unwrap();
    texts.set("regions", vec![regions]);
    texts.set("features", vec![json!({ "features": features() }).to_string()]);
    let keys = ["feature-40", "feature-42", "feature-43"];
    let route = |number: usize| {
        json!({ "id": format!("r{number}"), "path": format!("/r/{number}/*"), "rewrite": { "path": "/{region.slug}/{path.rest}" },
            "features": keys, "cache": { "ttl": 60 } })
    };
    texts.set("routes", vec![json!({ "routes": (0..10).map(route).collect::<Vec<_>>() }).to_string()]);
    let mut faults = Vec::new();
    let rules = RuleSet::compile(None, &texts, None, &mut faults);
    assert!(faults.is_empty(), "{faults:?}");

    let address = IpAddr::from([192, 0, 2, 1]);
    let host = Memory::default();
    let place = Geo {
        country: Some("US".to_owned()),
        subdivision: Some("CA".to_owned()),
        continent: Some("NA"),
        ..Geo::default()
    };
    host.geo.borrow_mut().insert(address, place);
    let headers = [
        ("cookie", "ep_vid=5d2f3a7c9b1e4f60a8d7c6b5e4f3a2b1"),
        (
            "user-agent",
            "Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0 Mobile Safari/537.36",
        ),
    ];
    let headers = headers.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
    let mut request = ClientRequest {
        method: Method::GET,
        scheme: "https".to_owned(),
        authority: "shop.example".to_owned(),
        path: "/r/7/shoes".to_owned(),
        query: None,
        headers: HeaderMap::from_iter(headers),
        address: Some(address),
        body: (),
    };
    let head = admit(&mut request, 1).unwrap();
    let mut kept = Kept::default();
    let mut decided = || {
        let mut facts = Live::new(&host, &mut kept, None);
        let considered = decide::consider(&mut facts, &rules, &head, None, OffsetDateTime::UNIX_EPOCH, None);
        assert_eq!(considered.decision.shown.len(), keys.len());
        considered
    };
    let mut group = criterion.benchmark_group("whole");
    group.bench_function("geo, route, 3 features of 100", |bencher| bencher.iter(|| black_box(decided())));
    group.bench_function("and the plan", |bencher| {
        bencher.iter(|| {
            let considered = decided();
            black_box(plan::plan(&head, &rules, &considered, &Preview::default()))
        });
    });
    group.finish();
}

criterion_group!(benches, decision, whole);
criterion_main!(benches);
