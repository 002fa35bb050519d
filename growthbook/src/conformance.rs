//! Running a conformance file: the specification's cases, or others of the same layout.
//!
//! The file is an object of sections, each a list of cases, each a list: a name (in most sections), the arguments, what is expected. The service has no
//! use for this, so that the wasm doesn't carry it.

use serde::Serialize;
use serde_json::Value as Json;

mod compare;
mod sections;

use compare::agree;
use sections::SECTIONS;

/// How a file came out.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// The version of the specification that the file says it is for.
    pub spec_version: Option<String>,
    /// The sections that the file has, in the order of the specification.
    pub sections: Vec<SectionReport>,
    /// Parts of the file that are no section known here: nothing of them was run.
    pub unknown: Vec<String>,
}

/// How a section came out.
#[derive(Debug, Serialize)]
pub struct SectionReport {
    /// As the file spells it.
    pub name: &'static str,
    /// How many cases passed.
    pub passed: usize,
    /// The cases that didn't.
    pub failed: Vec<Failure>,
}

/// A case that failed.
#[derive(Debug, Serialize)]
pub struct Failure {
    /// From 0, in the section.
    pub index: usize,
    /// The case's name; its arguments where it has none.
    pub name: String,
    /// What the file expects.
    pub expected: Json,
    /// What the evaluation gave.
    pub found: Json,
}

impl Report {
    /// How many cases passed in all.
    #[must_use]
    pub fn passed(&self) -> usize {
        self.sections.iter().map(|section| section.passed).sum()
    }

    /// How many cases failed in all.
    #[must_use]
    pub fn failed(&self) -> usize {
        self.sections.iter().map(|section| section.failed.len()).sum()
    }
}

/// What a case gives when it is run.
struct Outcome {
    name: String,
    expected: Json,
    found: Json,
}

/// Runs all cases of a file. A case that isn't of its section's form fails, with the reason in place of what was found; a file that is no object of sections
/// gives an empty report.
#[must_use]
pub fn run(file: &Json) -> Report {
    let mut report =
        Report { spec_version: file.get("specVersion").and_then(Json::as_str).map(str::to_owned), ..Report::default() };
    for (name, run_case) in SECTIONS {
        let Some(cases) = file.get(name) else { continue };
        let mut section = SectionReport { name, passed: 0, failed: Vec::new() };
        let malformed = |found: &Json| Outcome {
            name: "malformed".to_owned(),
            expected: Json::from("a case of this section's form"),
            found: found.clone(),
        };
        let cases = match cases {
            Json::Array(cases) => cases.as_slice(),
            other => std::slice::from_ref(other),
        };
        for (index, case) in cases.iter().enumerate() {
            let arguments = case.as_array().map(Vec::as_slice).unwrap_or_default();
            let Outcome { name, expected, found } = run_case(arguments).unwrap_or_else(|| malformed(case));
            if agree(&expected, &found) {
                section.passed += 1;
            } else {
                section.failed.push(Failure { index, name, expected, found });
            }
        }
        report.sections.push(section);
    }
    let known = |key: &str| key == "specVersion" || SECTIONS.iter().any(|(name, _)| *name == key);
    report.unknown =
        file.as_object().into_iter().flat_map(|parts| parts.keys().filter(|key| !known(key)).cloned()).collect();
    report
}
