//! Programs that come by npm, at a pinned version, in a folder of ours: nobody's installation is touched.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::ensure;
use serde_json::Value;

use crate::command::{find, run};
use crate::project;

/// The folder `node_modules` with a package at this version; installs it where it is missing. `Err` says how to get npm where there is none:
/// in CI that is a failure, elsewhere a step is skipped for it.
///
/// # Errors
///
/// In CI npm is missing; npm fails.
pub fn install(package: &str, version: &str) -> anyhow::Result<Result<PathBuf, String>> {
    let Some(npm) = find("npm") else {
        let why = format!(
            "npm is missing, and {package} {version} comes by npm (Debian: apt-get install npm; elsewhere: https://nodejs.org)"
        );
        ensure!(env::var_os("CI").is_none(), "{why}");
        return Ok(Err(why));
    };
    let folder = project::tools()?.join("npm").join(package.trim_start_matches('@').replace('/', "-"));
    let modules = folder.join("node_modules");
    if installed_version(&modules.join(package)).as_deref() != Some(version) {
        println!("Installing {package} {version}.");
        fs::create_dir_all(&folder)?;
        let mut install = Command::new(npm);
        install.args(["install", "--no-save", "--no-audit", "--no-fund", "--prefix"]).arg(&folder);
        run(install.arg(format!("{package}@{version}")))?;
    }
    Ok(Ok(modules))
}

fn installed_version(package: &Path) -> Option<String> {
    let text = fs::read_to_string(package.join("package.json")).ok()?;
    let package: Value = serde_json::from_str(&text).ok()?;
    Some(package.get("version")?.as_str()?.to_owned())
}
