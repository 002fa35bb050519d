//! The alerts and dashboards of ops/, with the programs that they are for: Prometheus' `promtool`, Fastly's CLI.

use std::env;

use anyhow::ensure;

use crate::command::{cargo, find, run};
use crate::test::Outcome;

/// The step of `cargo xtask test`. Without promtool it is skipped, in CI it fails.
pub fn check() -> anyhow::Result<Outcome> {
    let Some(promtool) = find("promtool") else {
        let why = "promtool is missing (Debian: apt-get install prometheus; elsewhere: https://prometheus.io/download)";
        ensure!(env::var_os("CI").is_none(), "{why}");
        return Ok(Outcome::Skipped(format!("NOT TESTED: {why}")));
    };
    let test = ["test", "--package", "personalizer", "--test", "alerts"];
    run(cargo(&test)?.env("PERSONALIZER_PROMTOOL", promtool))?;
    Ok(Outcome::Passed)
}
