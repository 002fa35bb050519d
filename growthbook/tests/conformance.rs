//! The GrowthBook SDK specification (promise 8): assignments equal those of every GrowthBook SDK.

#![allow(clippy::unwrap_used, reason = "a test may stop at a surprise, its helpers included")]

use std::io::Write as _;
use std::path::Path;

use growthbook::conformance;

/// The specification's own file, beside the project where it is present.
const SPECIFICATION: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/conformance/growthbook-cases.json");
/// The project's own cases.
const OWN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/own-cases.json");

fn run(path: &str) -> conformance::Report {
    let report = conformance::run(&serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap());
    for section in &report.sections {
        println!("{:<24} {:>4} passed {:>3} failed", section.name, section.passed, section.failed.len());
        for failure in &section.failed {
            println!(
                "  {} {}\n    expected {}\n    found    {}",
                failure.index, failure.name, failure.expected, failure.found
            );
        }
    }
    report
}

#[test]
fn every_case_of_the_specification_passes() {
    if !Path::new(SPECIFICATION).exists() {
        let how = "`personalizer conformance FILE` runs a copy from elsewhere";
        // Past the test's own output, which is kept back where it passes.
        writeln!(std::io::stderr(), "NOT TESTED: {SPECIFICATION} is absent; {how}").unwrap();
        return;
    }
    let report = run(SPECIFICATION);
    assert_eq!(report.failed(), 0);
    assert_eq!(report.unknown, Vec::<String>::new());
    assert_eq!(report.sections.len(), 13);
    assert!(report.passed() > 500);
}

#[test]
fn every_case_of_our_own_passes() {
    let report = run(OWN);
    assert_eq!(report.failed(), 0);
    assert_eq!(report.sections.len(), 13);
    assert!(report.passed() >= 60);
}

#[test]
fn a_wrong_expectation_is_reported_with_what_was_found() {
    let report = conformance::run(&serde_json::json!({
        "specVersion": "0.8.0",
        "hash": [["", "a", 1, 0.22], ["", "a", 1, 0.23], ["too", "short"]],
        "feature": [["absent", {}, "x", { "value": null, "on": true, "off": true, "source": "unknownFeature" }]],
        "somethingElse": []
    }));
    assert_eq!((report.passed(), report.failed()), (1, 3));
    assert_eq!(report.unknown, ["somethingElse"]);
    assert_eq!(report.sections[0].failed[0].found, 0.22);
    assert_eq!(report.sections[0].failed[0].index, 1);
    assert_eq!(report.sections[0].failed[1].name, "malformed");
}
