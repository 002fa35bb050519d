//! `personalizer`: checks, explains and rolls out rule dictionaries.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod conformance;

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
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Conformance(arguments) => conformance::run(&arguments),
    }
}
