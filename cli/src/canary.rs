//! `personalizer canary`: another revision for a share of visitors.

use anyhow::bail;
use clap::Args;
use edge_personalizer::rules::canary::Share;
use edge_personalizer::rules::pointer::Canary;

use crate::output::{Format, Outcome};
use crate::rollout::repoint;
use crate::status;
use crate::target::On;

/// Let a revision serve a share of visitors.
///
/// The same visitors stay within as the share grows: 1, 5, 20 and 100 percent only add some. 0 percent ends the trial.
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  personalizer canary r43 --percent 5 --on fastly:STORE_ID")]
pub struct Options {
    /// The revision on trial.
    revision: String,
    /// Percent of visitors, 0 to 100, in steps of 0.0001.
    #[arg(long)]
    percent: f64,
    #[command(flatten)]
    on: On,
    /// How the result is written.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Moves the pointer.
pub fn run(options: &Options) -> anyhow::Result<Outcome> {
    if Share::from_percent(options.percent).is_none() {
        bail!("--percent: expected 0 to 100, but found {}", options.percent);
    }
    let mut target = options.on.open()?;
    let changed = repoint(&mut *target, options.on.pointer(), |store, before| {
        let mut after = before.clone();
        if options.percent == 0.0 {
            after.canary = None;
            return Ok(after);
        }
        store.whole(&options.revision)?;
        if before.revision.as_ref() == Some(&options.revision) {
            bail!("{}: expected a revision that isn't everybody's already, but found the active one", options.revision);
        }
        after.canary = Some(Canary { revision: options.revision.clone(), percent: options.percent });
        Ok(after)
    })?;
    status::report_change(options.format, &changed, target.spreads_in())
}
