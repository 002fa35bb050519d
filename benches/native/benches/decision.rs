//! A decision's time, natively, beside the official SDK on the same features in the same run.
//!
//! Both are warm: definitions are parsed and compiled, attributes are there. What a request adds to that on the platform is measured by `cargo xtask
//! bench`.

#![allow(missing_docs, reason = "criterion's macros")]
#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a bench may stop at a surprise")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use edge_personalizer::condition::{self, Attributes};
use edge_personalizer::growthbook::{Context, Definitions, Evaluator};
use growthbook_rust::growthbook::GrowthBook;
use growthbook_rust::model_public::GrowthBookAttribute;
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

criterion_group!(benches, decision);
criterion_main!(benches);
