//! `personalizer`: checks, explains and rolls out rule dictionaries.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod conformance;
#[allow(dead_code, reason = "the other subcommands use the rest")]
mod output;
mod preview;

/// Checks, explains and rolls out the rules of edge-personalizer.
#[derive(Parser)]
#[command(name = "personalizer", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Conformance(conformance::Arguments),
    Preview(preview::Options),
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Conformance(arguments) => conformance::run(&arguments),
        Command::Preview(options) => match preview::run(&options) {
            Ok(outcome) => outcome.into(),
            Err(error) => {
                output::error(&error);
                output::Outcome::CouldNotRun.into()
            }
        },
    }
}
