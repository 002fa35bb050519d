//! `cargo xtask fuzz`: random input for every parser, from the seeds of the repository.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, bail};
use clap::Args;

use crate::{command, project};

/// Seconds that one input may take: a parser that is slower than this hangs.
const SLOWEST: u32 = 10;
/// Bytes of the longest input: what a config store's entry may have is less.
const LONGEST: u32 = 16_384;
/// Lines of a crash that are shown.
const SHOWN: usize = 60;

/// Fuzz every parser for a while (takes a nightly compiler and cargo-fuzz).
///
/// Starts from fuzz/seeds, keeps what it finds in fuzz/corpus, and leaves an input that crashes in fuzz/artifacts.
#[derive(Debug, Args)]
pub struct Options {
    /// Seconds for each target.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Only these targets.
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
}

/// What came of a target.
struct Outcome {
    target: String,
    executions: u64,
    crashed: bool,
}

/// Builds the targets, runs one after the other, and sums up.
pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    ready()?;
    let folder = project::root()?.join("fuzz");
    let known = targets(&folder)?;
    if let Some(unknown) = options.targets.iter().find(|target| !known.contains(target)) {
        bail!("expected one of {}, but found '{unknown}'", known.join(", "));
    }
    let wanted = if options.targets.is_empty() { known } else { options.targets.clone() };
    println!("Building {} fuzz targets; with their sanitizer that takes some minutes the first time.", wanted.len());
    for target in &wanted {
        command::run(nightly()?.args(["fuzz", "build", target]))?;
    }
    let outcomes: Vec<Outcome> =
        wanted.iter().map(|target| fuzz(&folder, target, options.seconds)).collect::<anyhow::Result<_>>()?;
    println!("\n{:<14} {:>12}  crashes", "target", "executions");
    for outcome in &outcomes {
        println!("{:<14} {:>12}  {}", outcome.target, outcome.executions, usize::from(outcome.crashed));
    }
    let executions: u64 = outcomes.iter().map(|outcome| outcome.executions).sum();
    let crashes = outcomes.iter().filter(|outcome| outcome.crashed).count();
    println!("\n{executions} executions of {} targets, {crashes} crashes", outcomes.len());
    Ok(if crashes == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Says what is missing.
fn ready() -> anyhow::Result<()> {
    let toolchains = command::output(Command::new("rustup").args(["toolchain", "list"])).unwrap_or_default();
    let has_nightly = toolchains.lines().any(|line| line.starts_with("nightly"));
    if !has_nightly || command::output(nightly()?.args(["fuzz", "--version"])).is_none() {
        bail!(
            "fuzzing needs a nightly compiler and cargo-fuzz, but found {}:\n  rustup toolchain install nightly --profile minimal\n  \
             cargo install --locked cargo-fuzz",
            if has_nightly { "no cargo-fuzz" } else { "no nightly compiler" }
        );
    }
    Ok(())
}

/// Cargo of the nightly toolchain, in the repository. The variables of the cargo that runs us would name the stable one.
fn nightly() -> anyhow::Result<Command> {
    let mut command = Command::new("rustup");
    command.args(["run", "nightly", "cargo"]).current_dir(project::root()?);
    for variable in ["RUSTUP_TOOLCHAIN", "CARGO", "RUSTC", "RUSTDOC", "CARGO_MANIFEST_DIR"] {
        command.env_remove(variable);
    }
    Ok(command)
}

/// The names of the targets: one file each.
fn targets(folder: &Path) -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    for file in fs::read_dir(folder.join("fuzz_targets"))? {
        let path = file?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            names.extend(path.file_stem().and_then(|name| name.to_str()).map(str::to_owned));
        }
    }
    names.sort();
    Ok(names)
}

fn fuzz(folder: &Path, target: &str, seconds: u64) -> anyhow::Result<Outcome> {
    println!("fuzzing {target} for {seconds} s");
    let corpus = folder.join("corpus").join(target);
    fs::create_dir_all(&corpus)?;
    let mut command = nightly()?;
    command.args(["fuzz", "run", target]).arg(corpus).arg(folder.join("seeds").join(target));
    command.args(["--", "-print_final_stats=1"]).arg(format!("-max_total_time={seconds}"));
    command.arg(format!("-timeout={SLOWEST}")).arg(format!("-max_len={LONGEST}"));
    let shown = command::show(&command);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("can't start `{shown}`"))?;
    let (mut executions, mut last) = (0, std::collections::VecDeque::with_capacity(SHOWN));
    for line in child.stderr.take().into_iter().flat_map(|pipe| BufReader::new(pipe).lines()).map_while(Result::ok) {
        if let Some(count) = line.strip_prefix("stat::number_of_executed_units:") {
            executions = count.trim().parse().unwrap_or(0);
        }
        if last.len() == SHOWN {
            last.pop_front();
        }
        last.push_back(line);
    }
    let crashed = !child.wait()?.success();
    if crashed {
        println!("{target} CRASHED:\n{}", last.into_iter().collect::<Vec<_>>().join("\n"));
    }
    Ok(Outcome { target: target.to_owned(), executions, crashed })
}
