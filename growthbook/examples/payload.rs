//! Evaluates every feature of an SDK payload for one visitor, and says why each has its value.
//!
//! `cargo run --package growthbook-evaluator --example payload -- PAYLOAD.json '{"id":"7","country":"FR"}'`, or without arguments for a payload of its own.

use std::error::Error;

use growthbook::{Context, Definitions, Evaluator};
use time::OffsetDateTime;

const PAYLOAD: &str = r#"{
    "features": {
        "banner": { "defaultValue": "none", "rules": [
            { "condition": { "country": { "$in": ["FR", "BE"] } }, "force": "bienvenue" },
            { "variations": ["none", "sale"], "weights": [0.5, 0.5], "hashVersion": 2, "key": "banner-test" }
        ] },
        "checkout": { "defaultValue": true }
    }
}"#;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let payload = match arguments.next() {
        Some(file) => std::fs::read_to_string(file)?,
        None => PAYLOAD.to_owned(),
    };
    let attributes: serde_json::Value = serde_json::from_str(arguments.next().as_deref().unwrap_or(r#"{"id":"7"}"#))?;

    let mut definitions = Definitions::default();
    // A part that can't be used is left out and named; the rest can be evaluated.
    for fault in definitions.add_payload(&payload, None).err().into_iter().flatten() {
        eprintln!("{fault}");
    }
    let context = Context::new(&attributes, OffsetDateTime::now_utc());
    let keys: Vec<&str> = definitions.features.keys().collect();
    for key in keys {
        let mut steps = Vec::new();
        let result = Evaluator::explained(&definitions, &context, &mut steps).feature(key);
        println!("{key} = {} ({})", result.value, result.source.as_str());
        for step in steps {
            println!("    {step}");
        }
    }
    Ok(())
}
