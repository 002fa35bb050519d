//! `personalizer shadow`: a revision that is decided and not applied.

use clap::Args;

use crate::output::{Format, Outcome};
use crate::rollout::repoint;
use crate::status;
use crate::target::On;

/// Have a revision decided for every request, and applied to none: the log says where it differs.
#[derive(Debug, Args)]
#[command(
    after_long_help = "Examples:\n  personalizer shadow r43 --on fastly:STORE_ID\n  personalizer shadow --off --on fastly:STORE_ID"
)]
pub struct Options {
    /// The revision.
    #[arg(required_unless_present = "off", conflicts_with = "off")]
    revision: Option<String>,
    /// End it.
    #[arg(long)]
    off: bool,
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
        if let Some(revision) = &options.revision {
            store.whole(revision)?;
        }
        let mut after = before.clone();
        after.shadow.clone_from(&options.revision);
        Ok(after)
    })?;
    status::report_change(options.format, &changed, target.spreads_in())
}
