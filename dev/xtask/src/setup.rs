//! What a fresh machine lacks: the wasm target, and the local server at the version that everything was tried with.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use local_server::VICEROY_VERSION;

use crate::command;
use crate::project::{self, WASM_TARGET};

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

/// The local server's program; installs it where it is missing.
pub fn viceroy() -> anyhow::Result<PathBuf> {
    let own = project::tools()?;
    let home = cargo_home();
    let places = [command::find("viceroy"), home.map(|home| program(&home)), Some(program(&own))];
    let found: Vec<PathBuf> = places.into_iter().flatten().filter(|path| path.is_file()).collect();
    if let Some(path) = found.iter().find(|path| is_right(path)) {
        return Ok(path.clone());
    }
    println!(
        "Installing the local server, Viceroy {VICEROY_VERSION}, from source. This happens once and takes some 10 to 15 \
         minutes; cargo shows how far it is."
    );
    let wanted = format!("viceroy@{VICEROY_VERSION}");
    let mut install = command::cargo(&["install", "--locked", &wanted])?;
    if !found.is_empty() {
        // Another version is in use here: leave it alone.
        install.arg("--root").arg(&own);
    }
    command::run(&mut install)?;
    let places = [cargo_home().map(|home| program(&home)), Some(program(&own)), command::find("viceroy")];
    match places.into_iter().flatten().find(|path| is_right(path)) {
        Some(path) => Ok(path),
        None => bail!("Viceroy {VICEROY_VERSION} was installed, but isn't where cargo installs programs"),
    }
}

fn program(root: &Path) -> PathBuf {
    root.join("bin").join("viceroy")
}

/// Where cargo installs programs, unless its configuration says otherwise.
fn cargo_home() -> Option<PathBuf> {
    let chosen = env::var_os("CARGO_INSTALL_ROOT").or_else(|| env::var_os("CARGO_HOME")).map(PathBuf::from);
    chosen.or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cargo")))
}

fn is_right(viceroy: &Path) -> bool {
    let version = command::output(Command::new(viceroy).arg("--version"));
    version.is_some_and(|version| version.split_whitespace().next_back() == Some(VICEROY_VERSION))
}

/// Builds the service as it is published.
pub fn build_wasm() -> anyhow::Result<PathBuf> {
    command::run(&mut command::cargo(&["build", "--release", "--target", WASM_TARGET, "--bin", "edge-personalizer"])?)?;
    project::wasm()
}

/// Builds the command `personalizer`, which end-to-end tests roll rules out with.
pub fn build_personalizer() -> anyhow::Result<PathBuf> {
    command::run(&mut command::cargo(&["build", "--package", "personalizer"])?)?;
    project::personalizer()
}

/// Cargo with these arguments, and with all that end-to-end tests need, built and named.
pub fn end_to_end(arguments: &[&str]) -> anyhow::Result<Command> {
    wasm_target()?;
    let viceroy = viceroy()?;
    let wasm = build_wasm()?;
    let personalizer = build_personalizer()?;
    let mut tests = command::cargo(arguments)?;
    tests.env("EDGE_WASM", wasm).env("EDGE_VICEROY", viceroy).env("EDGE_PERSONALIZER", personalizer);
    Ok(tests)
}
