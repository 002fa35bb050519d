//! `cargo xtask`: serves, tests, fuzzes and measures the service. Each command does its own set-up.

mod alerts;
mod bench;
mod bench_report;
mod bots;
mod command;
mod fastly_cli;
mod flags;
mod fuzz;
mod gbstats;
mod leak;
mod map;
mod npm;
mod pictures;
mod project;
mod serve;
mod setup;
mod sql;
mod test;
mod venv;
mod viceroy;
mod workflows;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Serves, tests, fuzzes and measures edge-personalizer.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    Serve(serve::Options),
    Test(test::Options),
    Bench(bench::Options),
    Map(map::Options),
    BenchReport(bench_report::Options),
    Fuzz(fuzz::Options),
    Leak(leak::Options),
    Bots(bots::Options),
    /// Put the rules of rules/ where the local server reads them, for `fastly compute serve`.
    Rules,
    /// Take the README's pictures of the demo shop anew. Needs Chromium.
    Pictures,
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Task::Serve(options) => serve::run(&options),
        Task::Test(options) => test::run(&options),
        Task::Bench(options) => bench::run(&options),
        Task::Map(options) => map::run(&options),
        Task::BenchReport(options) => bench_report::run(&options),
        Task::Fuzz(options) => fuzz::run(&options),
        Task::Leak(options) => leak::run(&options),
        Task::Bots(options) => bots::run(&options),
        Task::Rules => serve::write_rules().map(|store| {
            println!("The rules are in {}", store.display());
            ExitCode::SUCCESS
        }),
        Task::Pictures => pictures::run().map(|()| ExitCode::SUCCESS),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
