//! The statistics of `personalizer report` beside GrowthBook's `gbstats`, in a Python environment of its own.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::ensure;

use crate::command::{cargo, find, run};
use crate::project;
use crate::test::Outcome;

/// The version that the report's figures equal.
const PACKAGE: &str = "gbstats==0.8.0";
/// What its tests need. It names pandas too, in a version that new Pythons can't install; nothing that is used here imports that.
const NEEDS: [&str; 4] = ["numpy<3", "scipy<2", "pydantic<3", "packaging"];

/// The step of `cargo xtask test`. Without Python it is skipped, in CI it fails.
pub fn check() -> anyhow::Result<Outcome> {
    let can_install = |python: &PathBuf| {
        let mut look = Command::new(python);
        look.args(["-c", "import ensurepip"]).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    };
    let Some(python) = find("python3").filter(can_install) else {
        let why = "python3 with venv is missing, and gbstats needs it (Debian: apt-get install python3-venv; elsewhere: https://www.python.org)";
        ensure!(env::var_os("CI").is_none(), "{why}");
        return Ok(Outcome::Skipped(format!("NOT TESTED: {why}")));
    };
    let folder = project::tools()?.join("gbstats");
    let own = folder.join("bin").join("python");
    let done = folder.join("installed");
    if fs::read_to_string(&done).ok().as_deref() != Some(PACKAGE) {
        println!("Installing {PACKAGE}.");
        run(Command::new(python).args(["-m", "venv", "--clear"]).arg(&folder))?;
        let pip = |packages: &[&str]| {
            let mut pip = Command::new(&own);
            pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(packages);
            run(&mut pip)
        };
        pip(&["--no-deps", PACKAGE])?;
        pip(&NEEDS)?;
        fs::write(&done, PACKAGE)?;
    }
    let test = ["test", "--package", "personalizer", "--bin", "personalizer", "gbstats"];
    run(cargo(&test)?.env("PERSONALIZER_GBSTATS", own))?;
    Ok(Outcome::Passed)
}
