//! `personalizer sessions`: streams session records to an edge, reads one back, removes one, signs for others.

mod delete;
mod delivery;
mod edge;
mod feed;
mod get;
mod input;
mod position;
mod push;
mod sign;
mod signing;
mod subject;

use clap::{Args, Subcommand};
pub use get::{describe, store_id};
pub use subject::Whose;

use crate::output::Outcome;

/// Stream session records to an edge from a file or from Redis, read one, remove one, or sign a batch for another program.
#[derive(Debug, Args)]
pub struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Push(push::Options),
    Feed(feed::Options),
    Get(get::Options),
    Delete(delete::Options),
    Sign(sign::Options),
}

/// Runs what was asked for.
pub fn run(options: &Options) -> anyhow::Result<Outcome> {
    match &options.command {
        Command::Push(options) => push::run(options),
        Command::Feed(options) => feed::run(options),
        Command::Get(options) => get::run(options),
        Command::Delete(options) => delete::run(options),
        Command::Sign(options) => sign::run(options),
    }
}
