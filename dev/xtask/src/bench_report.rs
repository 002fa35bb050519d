//! `cargo xtask bench-report`: `personalizer report` beside DuckDB and Polars, on the same files in the same run.

use std::env;
use std::process::{Command, ExitCode};

use anyhow::bail;
use clap::Args;

use crate::command::{cargo, run as execute};
use crate::project;
use crate::venv;

/// The engines, as `sql/bench.py` asks them.
const PACKAGES: [&[&str]; 1] = [&["duckdb==2.0.1", "polars==2.1.0"]];

/// Measure `personalizer report` beside DuckDB and Polars: bytes a second of one core, memory, and how far p99 is off.
///
/// Prints the table of docs/REPORT.md. Needs Python.
#[derive(Debug, Args)]
pub struct Options {
    /// Megabytes of log lines that are made up for it.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(10..=20_000))]
    megabytes: u32,
}

/// Builds the command as it is released, and measures.
pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let python = match venv::install("bench", &PACKAGES)? {
        Ok(python) => python,
        Err(why) => bail!("{why}"),
    };
    execute(&mut cargo(&["build", "--release", "--package", "personalizer"])?)?;
    let program = project::target()?.join("release").join(format!("personalizer{}", env::consts::EXE_SUFFIX));
    let script = project::root()?.join("sql").join("bench.py");
    execute(Command::new(python).arg(script).arg(program).arg(options.megabytes.to_string()))?;
    Ok(ExitCode::SUCCESS)
}
