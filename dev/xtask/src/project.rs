//! Where things are.

use std::env;
use std::path::PathBuf;

use anyhow::Context;

/// The target of Fastly Compute.
pub const WASM_TARGET: &str = "wasm32-wasip1";

/// Bytes that the service may have: Fastly's limit is far above, this one keeps cold starts short (design.md, section 8).
pub const WASM_LIMIT: u64 = 4_500_000;

/// The repository. Cargo says where this package lies, also when the repository was moved after it was built.
pub fn root() -> anyhow::Result<PathBuf> {
    let here =
        env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    Ok(here.ancestors().nth(2).context("the package xtask lies in dev/ of the repository")?.to_path_buf())
}

/// Cargo's output folder.
pub fn target() -> anyhow::Result<PathBuf> {
    let chosen = env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    Ok(root()?.join(chosen.unwrap_or_else(|| PathBuf::from("target"))))
}

/// The service, as `cargo build --release` leaves it.
pub fn wasm() -> anyhow::Result<PathBuf> {
    Ok(target()?.join(WASM_TARGET).join("release").join("edge-personalizer.wasm"))
}

/// Where the local server reads the rules (as `fastly.toml` says).
pub fn rules_store() -> anyhow::Result<PathBuf> {
    Ok(root()?.join("target").join("local").join("personalizer.json"))
}

/// Programs that are ours alone: pinned, and out of the user's way.
pub fn tools() -> anyhow::Result<PathBuf> {
    Ok(target()?.join("tools"))
}

/// The command `personalizer`, as `cargo build` leaves it.
pub fn personalizer() -> anyhow::Result<PathBuf> {
    Ok(target()?.join("debug").join(format!("personalizer{}", env::consts::EXE_SUFFIX)))
}
