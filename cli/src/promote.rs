//! `personalizer promote`: a revision for everybody.

use anyhow::{Context as _, bail};
use clap::Args;

use crate::output::{Format, Outcome};
use crate::rollout::repoint;
use crate::status;
use crate::target::On;

/// Let a revision serve everybody: the canary, or the one that is named.
///
/// What served before is kept as `previous`: `rollback` goes back to it in one step.
#[derive(Debug, Args)]
#[command(
    after_long_help = "Examples:\n  personalizer promote --on fastly:STORE_ID\n  personalizer promote r43 --on fastly:STORE_ID"
)]
pub struct Options {
    /// The revision; without it, the canary's.
    revision: Option<String>,
    #[command(flatten)]
    on: On,
    /// How the result is written.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Moves the pointer.
pub fn run(options: &Options) -> anyhow::Result<Outcome> {
    let mut target = options.on.open()?;
    let changed = repoint(&mut *target, options.on.pointer(), |store, before| {
        let canary = before.canary.as_ref().map(|canary| canary.revision.clone());
        let revision = options
            .revision
            .clone()
            .or(canary)
            .context("expected a canary, or the name of a revision, but found neither")?;
        if before.revision.as_ref() == Some(&revision) {
            bail!("{revision}: expected a revision that isn't everybody's already, but found the active one");
        }
        store.whole(&revision)?;
        let mut after = before.clone();
        // What serves everybody has nothing to be compared with.
        after.shadow = after.shadow.filter(|shadow| *shadow != revision);
        after.previous = after.revision.replace(revision);
        after.canary = None;
        Ok(after)
    })?;
    status::report_change(options.format, &changed, target.spreads_in())
}
