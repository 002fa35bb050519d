//! The files of sql/ in the engines that they are for, beside `personalizer report` on the same lines.

use std::process::Command;

use crate::command::run;
use crate::project;
use crate::setup;
use crate::test::Outcome;
use crate::venv;

/// ClickHouse as a library, DuckDB, and a parser that knows BigQuery's dialect.
const PACKAGES: [&[&str]; 1] = [&["chdb==4.4.0", "duckdb==2.0.1", "sqlglot==30.30.0"]];

/// The step of `cargo xtask test`. Without Python it is skipped, in CI it fails.
pub fn check() -> anyhow::Result<Outcome> {
    let python = match venv::install("sql", &PACKAGES)? {
        Ok(python) => python,
        Err(why) => return Ok(Outcome::Skipped(format!("NOT TESTED: {why}"))),
    };
    let personalizer = setup::build_personalizer()?;
    run(Command::new(python).arg(project::root()?.join("sql").join("check.py")).arg(personalizer))?;
    Ok(Outcome::Passed)
}
