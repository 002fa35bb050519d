//! `personalizer sessions delete`: one session out, and it stays out.

use clap::Args;
use edge_personalizer::session::record::millis;
use serde_json::json;
use time::OffsetDateTime;

use super::delivery::Delivery;
use super::edge::To;
use super::input::Line;
use super::subject::Whose;
use crate::backoff::Patience;
use crate::output::{self, Format, Outcome};

/// How long the edge is asked again.
const PATIENCE: Patience = Patience { attempts: 5, pause: std::time::Duration::from_millis(500) };

/// Remove one session from the edge: a signed delete, dated now.
///
/// The edge remembers it for settings.session.tombstone_ttl (30 days), so that an older update which is still on its way can't bring
/// the session back. A newer one does; and where a session API is set, the edge asks it again.
#[derive(Debug, Args)]
#[command(after_long_help = "Exit codes: 0 it is removed, 1 the edge has a newer update, 2 it could not run.")]
pub struct Options {
    /// Whose session.
    #[arg(value_name = "USER|visitor/ID")]
    whose: Whose,
    #[command(flatten)]
    to: To,
    /// How the result is written.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Removes the session.
pub fn run(options: &Options) -> anyhow::Result<Outcome> {
    let edge = options.to.open()?;
    let subject = &options.whose.0;
    let update =
        json!({ "op": "delete", subject.kind(): subject.id(), "updated_at": millis(OffsetDateTime::now_utc()) });
    let mut delivery = Delivery::new(edge, 1, PATIENCE);
    delivery.deliver(&[Line { number: 1, read: 0, text: Ok(update.to_string()) }])?;
    let removed = delivery.tally.stored == 1;
    let result = json!({ "key": subject.kv_key(), "removed": removed });
    output::write(options.format, &result, || {
        let key = subject.kv_key();
        if removed { format!("{key}: removed") } else { format!("{key}: not removed, for the edge has a newer update") }
    })?;
    Ok(if removed { Outcome::Well } else { Outcome::Faults })
}
