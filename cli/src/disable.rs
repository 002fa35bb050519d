//! `personalizer disable`: the switch for everything.

use clap::Args;

use crate::output::{Format, Outcome};
use crate::status;
use crate::switch;
use crate::target::On;

/// The kill switch: plain pass-through, nothing personalized, no cookie set. All definitions stay in place.
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  personalizer disable --on fastly:STORE_ID")]
pub struct Options {
    #[command(flatten)]
    on: On,
    /// How the result is written.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Moves the switch.
pub fn run(options: &Options) -> anyhow::Result<Outcome> {
    let mut target = options.on.open()?;
    let changed = switch::turn(&mut *target, options.on.pointer(), false)?;
    status::report_change(options.format, &changed, target.spreads_in())
}
