//! What a fresh machine lacks, and what is built here.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use crate::project::{self, WASM_TARGET};
use crate::{command, viceroy};

/// Installs the wasm target where it is missing.
pub fn wasm_target() -> anyhow::Result<()> {
    let rustc = || Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    let sysroot = command::output(rustc().args(["--print", "sysroot"])).context("`rustc --print sysroot` failed")?;
    if Path::new(&sysroot).join("lib/rustlib").join(WASM_TARGET).is_dir() {
        return Ok(());
    }
    println!("Installing the Rust target {WASM_TARGET}.");
    command::run(Command::new("rustup").args(["target", "add", WASM_TARGET])).with_context(|| {
        format!(
            "the Rust target {WASM_TARGET} is missing and rustup couldn't add it (https://rustup.rs installs rustup)"
        )
    })
}

/// Builds the service as it is published.
pub fn build_wasm() -> anyhow::Result<PathBuf> {
    command::run(&mut command::cargo(&["build", "--release", "--target", WASM_TARGET, "--bin", "edge-personalizer"])?)?;
    project::wasm()
}

/// Builds the command `personalizer`.
pub fn build_personalizer() -> anyhow::Result<PathBuf> {
    command::run(&mut command::cargo(&["build", "--package", "personalizer"])?)?;
    project::personalizer()
}

/// Cargo with these arguments, and with all that end-to-end tests need, built and named.
pub fn end_to_end(arguments: &[&str]) -> anyhow::Result<Command> {
    wasm_target()?;
    let viceroy = viceroy::program(None)?;
    let wasm = build_wasm()?;
    let personalizer = build_personalizer()?;
    let mut tests = command::cargo(arguments)?;
    tests.env("EDGE_WASM", wasm).env("EDGE_VICEROY", viceroy).env("EDGE_PERSONALIZER", personalizer);
    Ok(tests)
}
