//! Programs that come by pip, at pinned versions, in environments of ours.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::ensure;

use crate::command::{find, run};
use crate::project;

/// The Python of an environment called `name` with `packages`; `Err` says how to get Python where there is none: in CI that is a failure,
/// elsewhere a step is skipped for it. Each of `packages` is a call of `pip install`.
///
/// # Errors
///
/// In CI Python is missing; pip fails.
pub fn install(name: &str, packages: &[&[&str]]) -> anyhow::Result<Result<PathBuf, String>> {
    let can_install = |python: &PathBuf| {
        let mut look = Command::new(python);
        look.args(["-c", "import ensurepip"]).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    };
    let Some(python) = find("python3").filter(can_install) else {
        let why = format!(
            "python3 with venv is missing, and {name} needs it (Debian: apt-get install python3-venv; elsewhere: https://www.python.org)"
        );
        ensure!(env::var_os("CI").is_none(), "{why}");
        return Ok(Err(why));
    };
    let folder = project::tools()?.join(name);
    let own = folder.join("bin").join("python");
    let (done, wanted) = (folder.join("installed"), packages.concat().join(" "));
    if fs::read_to_string(&done).ok().as_deref() != Some(wanted.as_str()) {
        println!("Installing {wanted}.");
        run(Command::new(python).args(["-m", "venv", "--clear"]).arg(&folder))?;
        for packages in packages {
            let mut pip = Command::new(&own);
            pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
            run(pip.args(*packages))?;
        }
        fs::write(&done, wanted)?;
    }
    Ok(Ok(own))
}
