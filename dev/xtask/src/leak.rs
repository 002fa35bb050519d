//! `cargo xtask leak`: leaked answers ÷ answers, through the real service.

use std::process::ExitCode;

use clap::Args;

use crate::{command, setup};

/// Look for answers that are another visitor's: random rules, fifty marked visitors, through the real wasm and a Varnish below it.
///
/// Every answer is compared with what this visitor has to get, and searched for the marks of all others. Cache keys are compared with what is
/// asked for under them. Ends with 1, the rules and the visitors where one leaks. A run of 50,000 answers and more writes its figures to
/// docs/CACHING.md. A round can be run again by its number; in which order answers of several connections come is the machine's choice.
#[derive(Debug, Args)]
pub struct Options {
    /// At least so many answers.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    responses: u64,
    /// Everything random follows from it.
    #[arg(long, default_value_t = 0x5eed)]
    seed: u64,
    /// Ends after so many minutes, with what was tried until then; 0 for no limit.
    #[arg(long, default_value_t = 0)]
    minutes: u64,
    /// Only the round of this number, as a leak names it.
    #[arg(long)]
    round: Option<u64>,
}

/// Builds everything and runs it.
pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let mut tool = setup::end_to_end(&["run", "--profile", "test", "--package", "e2e", "--bin", "leak", "--"])?;
    tool.args([options.responses, options.seed, options.minutes].map(|number| number.to_string()));
    tool.arg(options.round.map_or("-".to_owned(), |round| round.to_string()));
    let done = command::run(&mut tool);
    if let Err(error) = &done {
        eprintln!("error: {error:#}");
    }
    Ok(if done.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
