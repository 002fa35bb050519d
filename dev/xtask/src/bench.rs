//! `cargo xtask bench`: what the edge costs, beside a bare pass-through service in the same run.
//!
//! Figures of a machine mean little, ratios of one run mean much: every round drives every row, a ratio is
//! taken within a round, and the median over the rounds is shown. Every row is driven in two ways: on a server that is always busy, which
//! is what a busy site pays, and one request at a time, which tells a sandbox's first request from the others.

mod cold;
mod guest;
mod load;
mod peers;
pub mod report;
mod rows;
mod stand;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::process::ExitCode;

use clap::Args;

use crate::command::{cargo, run as execute};
use crate::project::{self, WASM_TARGET};
use crate::{setup, viceroy};
use load::{Busy, Sample};
use rows::ROWS;
use stand::Stands;

/// Measure the service against a bare pass-through: CPU a request, latency, first byte, size.
///
/// Prints a table and writes it to docs/BENCH.md. Run it on a machine that has nothing else to do.
#[derive(Debug, Args)]
pub struct Options {
    /// How often every row is driven; medians are taken over the rounds.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// A look, not a measurement: few requests, and docs/BENCH.md stays as it is.
    #[arg(long)]
    quick: bool,
    /// Only rows whose name contains this (the bare ones stay).
    #[arg(long, value_name = "TEXT")]
    row: Option<String>,
}

/// Requests to a row in a round, one after the other, and those before them that aren't measured. Rounds are short and
/// many, so that whatever else the machine does meets every row alike.
const REQUESTS: usize = 120;
const WARM_UP: usize = 12;
/// Requests of all connections together to a row in a round, under load.
const BUSY_REQUESTS: usize = 400;
/// Rounds of a quick look.
const QUICK_ROUNDS: u32 = 3;

/// Runs the bench.
pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    setup::wasm_target()?;
    let viceroy = viceroy::program(None)?;
    let ours = setup::build_wasm()?;
    let bare = [build("passthrough", None)?, build("passthrough", Some("reused"))?];
    let rounds = if options.quick { QUICK_ROUNDS.min(options.rounds) } else { options.rounds };
    let wanted = |row: &&rows::Row| row.is_bare() || options.row.as_ref().is_none_or(|text| row.name.contains(text));
    let rows: Vec<_> = ROWS.iter().filter(wanted).collect();
    let rust = build("peer-rust", None)?;
    let javascript = if rows.iter().any(|row| row.needs_npm()) { peers::javascript()? } else { Err(String::new()) };
    if let Err(why) = javascript.as_ref()
        && !why.is_empty()
    {
        println!("{why}: rows of JavaScript are not run.");
    }
    let runs = |row: &rows::Row| !row.needs_npm() || javascript.is_ok();

    let mut stands = Stands::new(viceroy, ours.clone(), bare.clone(), rust, javascript.clone())?;
    for row in rows.iter().filter(|row| runs(row)) {
        stands.raise(row.rules)?;
    }
    let mut samples: Vec<Vec<Sample>> = rows.iter().map(|_| Vec::new()).collect();
    let mut busy: Vec<Vec<Busy>> = rows.iter().map(|_| Vec::new()).collect();
    if guest::is_missing() {
        println!("perf is missing (Debian: apt-get install linux-perf): no guest CPU is measured.");
    }
    for round in 1..=rounds {
        println!("round {round} of {rounds}");
        // Rows that differ by which requests count are about the same requests.
        let mut driven = HashMap::new();
        for place in order(round, rows.len()) {
            let (Some(row), Some(taken)) = (rows.get(place), samples.get_mut(place)) else { continue };
            if !runs(row) {
                continue;
            }
            let places = match driven.entry((row.rules, row.path)) {
                Entry::Occupied(places) => places.into_mut(),
                Entry::Vacant(none) => none.insert(stands.drive(row, WARM_UP, REQUESTS)?),
            };
            let sample = places.sample(row.temperature);
            println!("  {:<44} {:>7.3} ms of CPU a request", row.name, sample.cpu_ms);
            taken.push(sample);
        }
        for place in order(round, rows.len()) {
            let (Some(row), Some(taken)) = (rows.get(place), busy.get_mut(place)) else { continue };
            if row.temperature == rows::Temperature::AsItComes && runs(row) {
                let load = stands.burden(row, BUSY_REQUESTS)?;
                println!("  {:<44} {:>7.3} ms under load", row.name, load.cpu_ms);
                taken.push(load);
            }
        }
    }
    let table = report::table(&rows, &samples, &busy);
    let [alone, _] = &bare;
    let mut sizes = report::sizes(&ours, alone)?;
    if let Some((all, spared)) = stands.sessions() {
        sizes.push_str(&format!("\n{spared} of {all} look-ups of a session were spared the central backend.\n"));
    }
    let cold = cold::table(&rows, &samples);
    println!("\n{table}\n{sizes}\n{cold}");
    if options.quick || options.row.is_some() {
        println!("docs/BENCH.md stays as it is: this was not the whole measurement.");
    } else {
        let file = report::write(&table, &sizes, &cold, rounds, [REQUESTS, BUSY_REQUESTS])?;
        println!("Written to {}.", file.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// The rows of a round, each round in an order of its own: what stands behind a heavy row is slower, and should not always be the same.
fn order(round: u32, rows: usize) -> Vec<usize> {
    let hasher = BuildHasherDefault::<DefaultHasher>::default();
    let mut places: Vec<usize> = (0..rows).collect();
    places.sort_by_key(|place| hasher.hash_one((round, place)));
    places
}

/// Builds a service of `benches/`, with a feature of it.
fn build(name: &str, feature: Option<&str>) -> anyhow::Result<std::path::PathBuf> {
    let target = project::target()?.join(name).join(feature.unwrap_or("alone"));
    let mut build = cargo(&["build", "--release", "--locked", "--target", WASM_TARGET])?;
    build.arg("--manifest-path").arg(format!("benches/{name}/Cargo.toml")).arg("--target-dir").arg(&target);
    build.args(feature.into_iter().flat_map(|feature| ["--features", feature]));
    execute(&mut build)?;
    Ok(target.join(WASM_TARGET).join("release").join(format!("{name}.wasm")))
}
