//! The statistics of `personalizer report` beside GrowthBook's `gbstats`, in a Python environment of its own.

use crate::command::{cargo, run};
use crate::test::Outcome;
use crate::venv;

/// The version that the report's figures equal, and what its tests need. It names pandas too, in a version that new Pythons can't install;
/// nothing that is used here imports that.
const PACKAGES: [&[&str]; 2] = [&["--no-deps", "gbstats==0.8.0"], &["numpy<3", "scipy<2", "pydantic<3", "packaging"]];

/// The step of `cargo xtask test`. Without Python it is skipped, in CI it fails.
pub fn check() -> anyhow::Result<Outcome> {
    let python = match venv::install("gbstats", &PACKAGES)? {
        Ok(python) => python,
        Err(why) => return Ok(Outcome::Skipped(format!("NOT TESTED: {why}"))),
    };
    let test = ["test", "--package", "personalizer", "--bin", "personalizer", "gbstats"];
    run(cargo(&test)?.env("PERSONALIZER_GBSTATS", python))?;
    Ok(Outcome::Passed)
}
