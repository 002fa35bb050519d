//! The command line.

use clap::{Parser, Subcommand};

use crate::output::Outcome;
use crate::{
    check, conformance, diff, explain, inspect, judge, ops, pointer, preview, privacy, prune, pseudonym, purge, push,
    replay, report, reweight, schema, secrets, serve, sessions, status,
};

/// Check, explain and roll out the rules of edge-personalizer.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, after_long_help = EXAMPLES)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  personalizer check rules
  personalizer serve rules --origin https://www.example.com
  personalizer explain rules --country FR https://www.example.com/api/products/all
  personalizer push rules --to fastly:STORE_ID --revision r42
  personalizer canary r42 --percent 5 --on fastly:STORE_ID
  personalizer promote --on fastly:STORE_ID
  personalizer rollback --on fastly:STORE_ID
  personalizer disable --on fastly:STORE_ID
  personalizer sessions push feed.ndjson --to https://www.example.com

A target is file:PATH (the JSON file that the local server reads) or fastly:STORE_ID (a config store). The environment variable
FASTLY_API_TOKEN has the API token.

Exit codes: 0 all is well, 1 faults were found, 2 the command could not run, 3 it can't be told yet (judge, replay,
canary --auto), 4 somebody else changed the pointer meanwhile.";

#[derive(Debug, Subcommand)]
enum Command {
    Check(check::Options),
    Serve(serve::Options),
    Explain(explain::Options),
    Diff(diff::Options),
    Push(push::Options),
    Status(status::Options),
    Canary(pointer::Canary),
    Shadow(pointer::Shadow),
    Preview(preview::Options),
    Inspect(inspect::Options),
    Promote(pointer::Promote),
    Rollback(pointer::Rollback),
    Enable(pointer::Enable),
    Disable(pointer::Disable),
    Reweight(reweight::Options),
    Prune(prune::Options),
    Sessions(sessions::Options),
    Secrets(secrets::Options),
    Privacy(privacy::Options),
    Purge(purge::Options),
    Schema(schema::Options),
    Report(report::Options),
    Judge(judge::Options),
    Replay(replay::Options),
    Pseudonym(pseudonym::Options),
    Ops(ops::Options),
    Conformance(conformance::Arguments),
}

/// Runs what was asked for.
pub fn run(arguments: &Arguments) -> anyhow::Result<Outcome> {
    match &arguments.command {
        Command::Check(options) => check::run(options),
        Command::Serve(options) => serve::run(options),
        Command::Explain(options) => explain::run(options),
        Command::Diff(options) => diff::run(options),
        Command::Replay(options) => replay::run(options),
        Command::Push(options) => push::run(options),
        Command::Status(options) => status::run(options),
        Command::Canary(options) => options.run(),
        Command::Shadow(options) => options.run(),
        Command::Preview(options) => preview::run(options),
        Command::Inspect(options) => inspect::run(options),
        Command::Promote(options) => options.run(),
        Command::Rollback(options) => options.run(),
        Command::Enable(options) => options.run(),
        Command::Disable(options) => options.run(),
        Command::Reweight(options) => reweight::run(options),
        Command::Prune(options) => prune::run(options),
        Command::Sessions(options) => sessions::run(options),
        Command::Secrets(options) => secrets::run(options),
        Command::Privacy(options) => privacy::run(options),
        Command::Purge(options) => purge::run(options),
        Command::Schema(options) => schema::run(options),
        Command::Report(options) => report::run(options),
        Command::Judge(options) => judge::run(options),
        Command::Pseudonym(options) => pseudonym::run(options),
        Command::Ops(options) => ops::run(options),
        Command::Conformance(options) => Ok(conformance::run(options)),
    }
}
