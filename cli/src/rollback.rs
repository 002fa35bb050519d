//! `personalizer rollback`: back, in one step.

use anyhow::bail;
use clap::Args;

use crate::output::{Format, Outcome, note};
use crate::rollout::repoint;
use crate::status;
use crate::target::On;

/// Go back: end a canary, else let the previous revision serve everybody again.
///
/// What served before the rollback becomes `previous`, so that a second rollback undoes the first.
#[derive(Debug, Args)]
#[command(
    after_long_help = "Examples:\n  personalizer rollback --on fastly:STORE_ID\n  personalizer rollback r41 --on fastly:STORE_ID"
)]
pub struct Options {
    /// The revision to go back to; without it, the canary ends, or `previous` serves.
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
        let mut after = before.clone();
        after.canary = None;
        if options.revision.is_none() && before.canary.is_some() {
            return Ok(after);
        }
        let Some(revision) = options.revision.clone().or_else(|| before.previous.clone()) else {
            bail!("expected a canary or a previous revision to go back from, but found neither");
        };
        if let Err(error) = store.whole(&revision) {
            // Going back must not wait for a perfect world; the edge serves what it can.
            if store.entries_of(&revision).is_empty() {
                return Err(error);
            }
            note(&format!("{error:#}"));
        }
        after.previous = after.revision.replace(revision);
        Ok(after)
    })?;
    status::report_change(options.format, &changed, target.spreads_in())
}
