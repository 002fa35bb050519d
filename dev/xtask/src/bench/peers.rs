//! Services of other makes, driven in the same run. They come by npm: where that is missing their rows say so.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use crate::{command, npm, project};

/// Where the sources are, and which of them make a service each.
const FOLDER: &str = "benches/peer-js";
const SOURCES: [&str; 2] = ["src/index.js", "src/reused.js"];
/// What else belongs to a service.
const PACKAGES: [&str; 2] = ["package.json", "package-lock.json"];

/// JavaScript with the official SDKs: a service with a sandbox for each request, and one with a sandbox for many. `Err` says why there is
/// none.
///
/// # Errors
///
/// npm or the compiler fails; in CI, npm is missing.
pub fn javascript() -> anyhow::Result<Result<[PathBuf; 2], String>> {
    let from = project::root()?.join(FOLDER);
    // The repository stays as it is: what npm installs goes elsewhere.
    let folder = project::target()?.join("peer-js");
    fs::create_dir_all(folder.join("src"))?;
    let mut changed = false;
    for file in PACKAGES.into_iter().chain(SOURCES) {
        changed |= bring(&from.join(file), &folder.join(file))?;
    }
    if let Err(why) = npm::locked(&folder, changed)? {
        return Ok(Err(why));
    }
    let [alone, reused] = SOURCES.map(|source| build(&folder, source, changed));
    Ok(Ok([alone?, reused?]))
}

/// Copies a file; whether it was another one.
fn bring(from: &Path, to: &Path) -> anyhow::Result<bool> {
    let new = fs::read(from).with_context(|| format!("can't read {}", from.display()))?;
    if fs::read(to).is_ok_and(|old| old == new) {
        return Ok(false);
    }
    fs::write(to, new).with_context(|| format!("can't write {}", to.display()))?;
    Ok(true)
}

fn build(folder: &Path, source: &str, changed: bool) -> anyhow::Result<PathBuf> {
    let wasm = folder.join(source).with_extension("wasm");
    if changed || !wasm.is_file() {
        println!("Compiling {FOLDER}/{source}; this takes some 20 seconds.");
        let mut compiler = Command::new(folder.join("node_modules/.bin/js-compute-runtime"));
        command::run(compiler.arg(source).arg(&wasm).current_dir(folder))?;
    }
    Ok(wasm)
}
