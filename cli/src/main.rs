//! `personalizer`: checks, explains and rolls out rule dictionaries.
//!
//! It links the library that the edge runs, so the two can't disagree. Exit codes: 0 all is well, 1 faults were found, 2 it could
//! not run, 3 nothing can be told yet, 4 somebody else changed the pointer meanwhile.

mod api;
mod backoff;
mod canary;
mod check;
mod client;
mod command;
mod conformance;
mod countries;
mod diff;
mod edit;
mod explain;
mod files;
mod folder;
mod history;
mod inspect;
mod judge;
mod ops;
mod output;
mod pointer;
mod preview;
mod privacy;
mod prune;
mod pseudonym;
mod purge;
mod push;
mod replay;
mod report;
mod reweight;
mod rollout;
mod schema;
mod secrets;
mod serve;
mod sessions;
mod span;
mod status;
mod target;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let arguments = command::Arguments::parse();
    match command::run(&arguments) {
        Ok(outcome) => outcome.into(),
        Err(error) => {
            output::error(&error);
            let is_overtaken = error.is::<rollout::Overtaken>();
            if is_overtaken { output::Outcome::Overtaken } else { output::Outcome::CouldNotRun }.into()
        }
    }
}
