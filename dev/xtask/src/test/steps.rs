//! What each step of `cargo xtask test` does.

use super::{Outcome, Step};
use crate::command::{cargo, run as execute};
use crate::project::{self, WASM_TARGET};
use crate::{alerts, bots, fastly_cli, flags, gbstats, setup, sql, workflows};

/// Runs one step; `rest` goes to the end-to-end tests' program.
pub(super) fn run(step: Step, rest: &[String]) -> anyhow::Result<Outcome> {
    match step {
        Step::Format => {
            execute(&mut cargo(&["fmt", "--all", "--check"])?)?;
            // Workspaces of their own.
            for manifest in
                ["benches/passthrough/Cargo.toml", "benches/peer-rust/Cargo.toml", "benches/native/Cargo.toml"]
            {
                execute(&mut cargo(&["fmt", "--check", "--manifest-path", manifest])?)?;
            }
        }
        Step::Clippy => {
            let everything = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
            execute(&mut cargo(&everything)?)?;
        }
        Step::Tests => {
            // The end-to-end tests need the wasm and the local server: they have a step of their own.
            execute(&mut cargo(&["test", "--workspace", "--exclude", "e2e"])?)?;
        }
        Step::WasmClippy => {
            setup::wasm_target()?;
            let service = ["clippy", "--target", WASM_TARGET, "--bin", "edge-personalizer", "--", "-D", "warnings"];
            execute(&mut cargo(&service)?)?;
        }
        Step::Wasm => {
            setup::wasm_target()?;
            let wasm = setup::build_wasm()?;
            let size = std::fs::metadata(&wasm)?.len();
            println!("edge-personalizer.wasm has {} kB", size / 1000);
            let limit = project::WASM_LIMIT;
            anyhow::ensure!(size < limit, "expected a wasm below {} kB, but found {} kB", limit / 1000, size / 1000);
        }
        Step::E2e => end_to_end(rest)?,
        Step::Docs => {
            let mut docs = cargo(&["doc", "--workspace", "--no-deps"])?;
            execute(docs.env("RUSTDOCFLAGS", "-D warnings"))?;
        }
        Step::NativeBench => {
            let bench = ["clippy", "--locked", "--manifest-path", "benches/native/Cargo.toml", "--benches"];
            execute(cargo(&bench)?.args(["--", "-D", "warnings"]))?;
        }
        Step::Workflows => return workflows::check(),
        Step::Bots => return bots::check(),
        Step::Gbstats => return gbstats::check(),
        Step::Sql => return sql::check(),
        Step::Alerts => return alerts::check(),
        Step::Flags => return flags::check(),
        Step::FastlyCli => return fastly_cli::check(),
    }
    Ok(Outcome::Passed)
}

fn end_to_end(rest: &[String]) -> anyhow::Result<()> {
    execute(setup::end_to_end(&["test", "--package", "e2e", "--no-fail-fast", "--"])?.args(rest))
}
