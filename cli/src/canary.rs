//! `personalizer canary REVISION --auto PLAN`: a canary that grows by a plan while the logs say that it isn't worse, and ends when they say
//! that it is.
//!
//! There is no state beside the store: the pointer says which step it is, the history since when. So it goes on where it was after it was
//! killed.

mod annotate;
mod drive;
mod follow;
mod plan;
mod steer;
#[cfg(test)]
mod tests;

use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use clap::Args;
use time::OffsetDateTime;

use crate::judge::{alpha, metrics::Margins};
use crate::output::{Format, Outcome, note};
use crate::report::moment::Micros;
use crate::report::percent;
use crate::target::{On, Target};
use annotate::Annotations;
use drive::{Drive, Settings, Started};
use follow::Follower;
use plan::{Plan, length};

/// How often the logs are looked at for more lines.
const POLL: Duration = Duration::from_secs(1);

/// Reads a plan; what is wrong in it is told whole, for the command line shows the outermost message alone.
fn plan(text: &str) -> Result<Plan, String> {
    Plan::read(text).map_err(|error| format!("{error:#}"))
}

/// How a canary steers itself.
#[derive(Debug, Args)]
pub struct Options {
    /// Let it grow by a plan, judged by the logs: `default`, steps such as 1%:10m:200,5%:30m:1000,25%:1h,100% (share, least time, least
    /// visitors), or a JSON file.
    #[arg(long, value_name = "PLAN", requires = "logs", value_parser = plan, group = "how")]
    auto: Option<Plan>,
    /// Log lines of decisions that grow: files, folders or patterns; - is a stream.
    #[arg(long, value_name = "LOGS", requires = "auto")]
    logs: Vec<String>,
    /// How often it is looked at, in log time.
    #[arg(long, value_name = "LENGTH", default_value = "1m", value_parser = length, requires = "auto")]
    every: Micros,
    /// How long it may take; it holds at the share that it has then.
    #[arg(long = "for", value_name = "LENGTH", default_value = "24h", value_parser = length, requires = "auto")]
    limit: Micros,
    /// Promote it after the last step.
    #[arg(long, requires = "auto")]
    promote: bool,
    /// Try it again, though it was taken back before.
    #[arg(long, requires = "auto")]
    again: bool,
    /// Where annotations go: a file, to which lines are appended, or Grafana's API (https://…/api/annotations, token in GRAFANA_TOKEN).
    #[arg(long, value_name = "FILE|URL", requires = "auto")]
    annotate: Option<String>,
    /// How likely a false alarm may be, over all metrics and all looks.
    #[arg(long, value_name = "PROBABILITY", default_value_t = 0.01, value_parser = alpha, requires = "auto")]
    alpha: f64,
    /// How many more of a hundred visitors, of all, may fail before it matters: percentage points.
    #[arg(long, value_name = "POINTS", default_value_t = 1.0, value_parser = percent, requires = "auto")]
    margin: f64,
    /// How much longer a request may take before it matters: percent.
    #[arg(long, value_name = "PERCENT", default_value_t = 10.0, value_parser = percent, requires = "auto")]
    latency_margin: f64,
}

impl Options {
    /// The plan, where there is one.
    pub fn plan(&self) -> Option<&Plan> {
        self.auto.as_ref()
    }

    /// Lets the canary grow until it is done, taken back, overtaken, or out of time.
    pub fn run(
        &self,
        plan: &Plan,
        revision: &str,
        on: &On,
        reason: Option<&str>,
        format: Format,
    ) -> anyhow::Result<Outcome> {
        let settings = Settings {
            entry: on.pointer(),
            revision: revision.to_owned(),
            plan: plan.clone(),
            alpha: self.alpha,
            margins: Margins { share: self.margin / 100.0, latency: self.latency_margin / 100.0 },
            promotes: self.promote,
            again: self.again,
            reason: reason.map(str::to_owned),
            annotations: Annotations::new(self.annotate.clone()),
            format,
        };
        // Before anything changes: logs that aren't there would hold it for ever.
        Follower::new(&self.logs.iter().filter(|log| *log != "-").cloned().collect::<Vec<_>>(), SystemTime::now())?;
        let mut target = on.open()?;
        let began = now()?;
        let mut drive = match Drive::start(&mut *target, settings, began)? {
            Started::Runs(drive) => drive,
            Started::Ended(outcome) => return Ok(outcome),
        };
        let mut logs = Follower::new(&self.logs, before(drive.since()))?;
        let pause = POLL.min(Duration::from_micros(u64::try_from(self.every).unwrap_or_default()));
        let timing = Timing { every: self.every, end: began + self.limit, pause };
        go(&mut drive, &mut *target, timing, |drive| logs.poll(|line| drive.line(line)), now)
    }
}

/// When things are done.
#[derive(Debug, Clone, Copy)]
struct Timing {
    /// From look to look.
    every: Micros,
    /// When its time is over.
    end: Micros,
    /// How long it sleeps before it asks for more lines.
    pause: Duration,
}

/// Reads lines and looks until the canary is at its end, or nothing more can come of it. `poll` gives it the lines that have come, and says
/// whether more may come.
///
/// # Errors
///
/// The store can't be read or written, up to the end.
fn go(
    drive: &mut Drive,
    target: &mut dyn Target,
    timing: Timing,
    mut poll: impl FnMut(&mut Drive) -> anyhow::Result<bool>,
    clock: impl Fn() -> anyhow::Result<Micros>,
) -> anyhow::Result<Outcome> {
    let mut failed = None;
    loop {
        let goes_on = poll(drive).unwrap_or_else(|error| {
            note(&format!("{error:#}: it is tried again"));
            true
        });
        let now = clock()?;
        // All lines have come: the last look is at once, and again where it failed.
        if drive.is_due(now, timing.every) || (!goes_on && failed.is_none()) {
            failed = None;
            match drive.look(target, now) {
                Ok(None) => {}
                Ok(Some(outcome)) => return Ok(outcome),
                Err(error) => {
                    note(&format!("{error:#}: it is tried again at the next look"));
                    failed = Some(error);
                }
            }
        }
        let is_over = now >= timing.end;
        match failed.take() {
            // What the logs say may be a reason to roll back: it isn't left undone.
            Some(error) if is_over => return Err(error),
            Some(error) => failed = Some(error),
            None if !goes_on => return Ok(drive.holds(now, "the logs have ended")),
            None if is_over => return Ok(drive.holds(now, "the time is over")),
            None => {}
        }
        std::thread::sleep(timing.pause);
    }
}

fn now() -> anyhow::Result<Micros> {
    let micros = OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000;
    Micros::try_from(micros).context("expected a clock that works")
}

/// The time of a file that may have lines of then: one day before is surely too early.
fn before(since: Micros) -> SystemTime {
    let seconds = u64::try_from(since / 1_000_000).unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}
