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
    let npm = match npm(&format!("{package} {version}"))? {
        Ok(npm) => npm,
        Err(why) => return Ok(Err(why)),
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

/// Installs what `package-lock.json` of a folder names into that folder, where it is missing or the lock has changed. No package's own script
/// runs. `Err` is as for [`install`].
///
/// # Errors
///
/// As for [`install`].
pub fn locked(folder: &Path, changed: bool) -> anyhow::Result<Result<(), String>> {
    let npm = match npm("the compiler of a service in JavaScript")? {
        Ok(npm) => npm,
        Err(why) => return Ok(Err(why)),
    };
    // npm writes this file last.
    if changed || !folder.join("node_modules/.package-lock.json").is_file() {
        println!("Installing what {} needs; this takes a minute.", folder.display());
        let mut install = Command::new(npm);
        install.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix"]).arg(folder);
        run(&mut install)?;
    }
    Ok(Ok(()))
}

/// The program. `Err` says how to get it, and for what.
fn npm(what: &str) -> anyhow::Result<Result<PathBuf, String>> {
    if let Some(npm) = find("npm") {
        return Ok(Ok(npm));
    }
    let why =
        format!("npm is missing, and {what} comes by npm (Debian: apt-get install npm; elsewhere: https://nodejs.org)");
    ensure!(env::var_os("CI").is_none(), "{why}");
    Ok(Err(why))
}

fn installed_version(package: &Path) -> Option<String> {
    let text = fs::read_to_string(package.join("package.json")).ok()?;
    let package: Value = serde_json::from_str(&text).ok()?;
    Some(package.get("version")?.as_str()?.to_owned())
}
