//! Python environments of our own, below target/tools: what comes from PyPI at one version, beside nothing else.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::ensure;

use crate::command::{find, run};
use crate::project;

/// A set of packages that is installed together.
#[derive(Debug)]
pub struct Packages {
    /// The name of the environment's folder.
    pub name: &'static str,
    /// Packages that are taken without what they name.
    pub alone: &'static [&'static str],
    /// Packages with all that they need.
    pub whole: &'static [&'static str],
}

/// The environment's Python, or why it can't be had here.
#[derive(Debug)]
pub enum Found {
    /// It has the packages.
    Python(PathBuf),
    /// What is missing, and how to get it.
    Missing(String),
}

/// Makes the environment where it isn't there yet.
///
/// # Errors
///
/// The packages can't be installed; or, in CI, there is no Python that can make environments.
pub fn with(packages: &Packages) -> anyhow::Result<Found> {
    let can_install = |python: &PathBuf| {
        let mut look = Command::new(python);
        look.args(["-c", "import ensurepip"]).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    };
    let Some(python) = find("python3").filter(can_install) else {
        let why = format!(
            "python3 with venv is missing, and {} needs it (Debian: apt-get install python3-venv; elsewhere: https://www.python.org)",
            packages.name
        );
        ensure!(env::var_os("CI").is_none(), "{why}");
        return Ok(Found::Missing(why));
    };
    let folder = project::tools()?.join(packages.name);
    let own = folder.join("bin").join("python");
    let done = folder.join("installed");
    let all = [packages.alone, packages.whole].concat().join(" ");
    if fs::read_to_string(&done).ok().as_deref() != Some(all.as_str()) {
        println!("Installing {all}.");
        run(Command::new(python).args(["-m", "venv", "--clear"]).arg(&folder))?;
        let pip = |arguments: &[&str]| {
            let mut pip = Command::new(&own);
            pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(arguments);
            run(&mut pip)
        };
        if !packages.alone.is_empty() {
            pip(&[&["--no-deps"], packages.alone].concat())?;
        }
        pip(packages.whole)?;
        fs::write(&done, all)?;
    }
    Ok(Found::Python(own))
}
