//! `personalizer sessions feed`: a stream of updates, delivered to an edge for as long as both live.

mod flow;
mod lane;
mod redis;
mod rest;
mod source;
#[cfg(test)]
mod tests;
mod watch;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;

use self::flow::{Flow, Plan};
use self::redis::Streams;
use self::watch::Watch;
use super::edge::{Takes, To};
use crate::backoff::Patience;
use crate::output::{self, Outcome};

/// The pause before the first repeat.
const PAUSE: Duration = Duration::from_millis(500);
/// How often the edge or the source may fail in a row when a feed is to end by itself: that is about a minute.
const ATTEMPTS_ONCE: u32 = 10;

/// Feed session updates from a Redis stream to an edge, for as long as both live.
///
/// The backend appends each change to a stream, as one update (put, merge, delete) in a field:
///
///   XADD sessions * update '{"op":"put","user":"alice","updated_at":1795780800000,"record":{"segments":["vip"]}}'
///
/// The feed reads as a consumer of a group. It acknowledges an entry only after the edge has decided on it. So nothing is lost when
/// the feed, Redis or the edge is stopped or killed: what was read and not decided on is read again, and the edge keeps the newest
/// update by `updated_at`. What the edge can never take goes to a stream of its own, with the reason. While Redis or the edge is
/// away (no connection, 429, 5xx) the feed tries again, with longer and longer pauses up to ten seconds.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  export PERSONALIZER_REPLICATION_SECRET=whsec_…
  personalizer sessions feed --redis redis://127.0.0.1 --stream sessions --group edge --to https://www.example.com
  personalizer sessions feed --redis rediss://redis.internal --consumer feed-2 --to https://www.example.com
  personalizer sessions feed --redis redis://127.0.0.1 --once --to https://www.example.com
  redis-cli XRANGE sessions:refused - +          # what the edge can't take, and why

SIGINT and SIGTERM end it: it waits for what is under way, at most ten seconds, and ends with 0.

Exit codes: 0 it was told to end, or (--once) the stream has nothing more; 1 the same with --once, but some entries were refused; 2 it
could not run: the edge or Redis refuses it, or stayed away for --attempts.")]
pub struct Options {
    /// The server: redis://USER:PASSWORD@HOST:PORT/DB (all but the host may be left out), or rediss:// for TLS. Redis 6.2 or newer, or
    /// Valkey. A URL with a password is better in the environment variable than in the list of processes.
    #[arg(long, value_name = "URL", env = "PERSONALIZER_REDIS", hide_env_values = true)]
    redis: String,
    /// The stream's key. An empty stream is made if there is none.
    #[arg(long, value_name = "KEY", default_value = "sessions")]
    stream: String,
    /// The consumer group. If there is none it is made, and reads the stream from its beginning.
    #[arg(long, value_name = "NAME", default_value = "edge")]
    group: String,
    /// This feed's name in the group. A feed that starts again under its name goes on at once with what it had read; feeds that run
    /// side by side need different names.
    #[arg(long, value_name = "NAME", default_value = "feed")]
    consumer: String,
    /// The entry's field with the update.
    #[arg(long, value_name = "NAME", default_value = "update")]
    field: String,
    /// The stream for entries that can never be taken: their id, the reason, and their own fields. Without it, the stream's name with
    /// :refused after it
    #[arg(long, value_name = "KEY")]
    refused: Option<String>,
    /// After how many seconds an entry that another consumer has read and not acknowledged is taken over: that consumer is dead.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    claim_after: u64,
    #[command(flatten)]
    to: To,
    /// Updates of a request; the edge's own bound is settings.replication.max_items (250).
    #[arg(long, value_name = "UPDATES", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    batch: u32,
    /// Bytes of a request, and of an update; the edge's own bound is settings.replication.max_bytes (1 MiB).
    #[arg(long, value_name = "BYTES", default_value_t = 262_144, value_parser = clap::value_parser!(u32).range(1_024..=4_194_304))]
    batch_bytes: u32,
    /// Requests under way at once. All updates of one visitor go the same way, so that no two requests write one record.
    #[arg(long, value_name = "REQUESTS", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=32))]
    in_flight: u32,
    /// Deliver what is there, and end.
    #[arg(long)]
    once: bool,
    /// How often in a row the edge or Redis may fail before the feed ends [default: 10 with --once, else without end]
    #[arg(long, value_name = "TIMES", value_parser = clap::value_parser!(u32).range(1..))]
    attempts: Option<u32>,
}

/// Feeds.
pub fn run(options: &Options) -> anyhow::Result<Outcome> {
    let edge = options.to.open()?;
    let address = edge.address().to_owned();
    let source = Streams::open(options)?;
    static STOP: AtomicBool = AtomicBool::new(false);
    let signalled = || {
        // Who asks twice doesn't want to wait. What the edge has not decided on stays in the stream.
        if STOP.swap(true, Ordering::SeqCst) {
            std::process::exit(2);
        }
    };
    ctrlc::set_handler(signalled).context("signals can't be heard")?;
    let attempts = options.attempts.unwrap_or(if options.once { ATTEMPTS_ONCE } else { u32::MAX });
    let plan = Plan {
        lanes: usize::try_from(options.in_flight)?,
        batch: usize::try_from(options.batch)?,
        bytes: usize::try_from(options.batch_bytes)?,
        patience: Patience { attempts, pause: PAUSE },
        once: options.once,
    };
    let mut watch = Watch::start();
    watch.note(&format!("{source}, to {address}"));
    let edge: Arc<dyn Takes> = Arc::new(edge);
    let ended = Flow::new(source, &edge, plan, &STOP, &mut watch).run();
    watch.end();
    let counts = ended?;
    output::line(&format!("{}.", counts.text()));
    Ok(if options.once && counts.refused > 0 { Outcome::Faults } else { Outcome::Well })
}
