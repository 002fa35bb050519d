//! `personalizer replay`: log lines of yesterday, decided again by other rules.

pub mod line;
pub mod model;
mod tally;
mod text;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use edge_personalizer::replay::Pair;
use serde_json::{Map, Value};

use crate::diff::side::{Reader, Side, Which};
use crate::folder::payload::PayloadOptions;
use crate::output::{self, Format, Outcome};
use crate::report::{input, moment, percentage};
use crate::target::{Address, Api};
use tally::{Eras, Tally};

/// Decide yesterday's requests again: by the rules that the log lines name, and by others.
///
/// A line doesn't say everything. Where it depends on what it doesn't say how it would come out, it counts as undetermined, under the
/// attribute to log (`settings.log.facts`). Where the old rules don't do what the line says, it says nothing and is counted apart.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  personalizer replay logs --from @active --to ./rules --on fastly:STORE_ID
  personalizer replay 'logs/2026-11-*.gz' --from r41 --to r42 --on fastly:STORE_ID --by country,route --max-changed 5%
  zstdcat logs/*.zst | personalizer replay - --from ../old/rules --to ./rules --format json

A folder is a path (write ./rules if a revision is also called rules); a line of any revision is held against it. Any other word is a
revision of --on, or @active, @previous, @canary, @shadow, @bare, as for diff.

An experiment's visitor is in no line, but for the variation. Where experiment and ranges are as they were, the variation is, too; where
they moved, those whom the new ranges may put elsewhere are undetermined (id). A shadow knows them.

Exit codes: 0 replayed, 1 more changed than --max-changed, 2 the command could not run, 3 no line is determined.")]
pub struct Options {
    /// Log lines: files, folders, patterns, - for standard input; plain, gzip or zstd.
    #[arg(value_name = "LOGS", required = true)]
    logs: Vec<String>,
    /// The rules that decided the lines: a revision, or a folder.
    #[arg(long, value_name = "RULES", default_value = "@active")]
    from: String,
    /// The rules to decide by again.
    #[arg(long, value_name = "RULES")]
    to: String,
    /// The store of revisions: file:PATH or fastly:STORE_ID.
    #[arg(long, visible_alias = "target", value_name = "TARGET", env = "PERSONALIZER_TARGET")]
    on: Option<Address>,
    #[command(flatten)]
    api: Api,
    #[command(flatten)]
    payload: PayloadOptions,
    /// Count by these as well.
    #[arg(long, value_name = "FIELDS", value_enum, value_delimiter = ',')]
    by: Vec<By>,
    /// The most that may change, in percent of the determined lines; sampled lines weigh by their sample.
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    max_changed: Option<f64>,
    /// How the result is written.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// What lines are counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum By {
    /// The visitor's country.
    Country,
    /// The route.
    Route,
    /// The data centre.
    Pop,
}

impl By {
    fn name(self) -> &'static str {
        match self {
            Self::Country => "country",
            Self::Route => "route",
            Self::Pop => "pop",
        }
    }
}

fn percent(text: &str) -> anyhow::Result<f64> {
    percentage(text, 0.0)
}

/// Reads, decides, says.
pub fn run(options: &Options) -> anyhow::Result<Outcome> {
    let mut sides = Reader::new(options.on.as_ref(), &options.api, &options.payload);
    let from = sides.read(&options.from).context("--from")?;
    let to = sides.read(&options.to).context("--to")?;
    for side in [&from, &to] {
        side.notes.iter().for_each(|note| output::note(note));
        if side.rules.settings.growthbook.is_some() {
            output::note(&format!(
                "{}: settings.growthbook names a payload in the KV store, which isn't read here: what it defines is unknown",
                side.name
            ));
        }
    }
    let (pieces, length) = input::pieces(&options.logs)?;
    let bar = output::transfer("replaying", length);
    let mut tally = Tally::new(pair(&from, &to), &from.which, eras(&[&from, &to]), &options.by);
    for piece in &pieces {
        let ended = input::lines(piece, &bar, |line| tally.line(line))?;
        tally.broken(ended.too_long);
    }
    bar.finish_and_clear();
    let result = tally.result(&from.name, &to.name);
    let names = matches!(from.which, Which::Revision(_));
    output::write(options.format, &result, || text::render(&result, names))?;
    Ok(match (options.max_changed, result.changed_share) {
        (_, None) => Outcome::Inconclusive,
        (Some(most), Some(share)) if is_more(share, most) => {
            output::line(&format!("{:.2} % changed, more than {most} %", share * 100.0));
            Outcome::Faults
        }
        _ => Outcome::Well,
    })
}

/// Whether a share is more than so many percent. 7 of 100 lines are 7 %, though 0.07 · 100 is a little more in floating point.
fn is_more(share: f64, most: f64) -> bool {
    share * 100.0 > most * (1.0 + 1e-9)
}

/// The two, ready to decide by.
pub fn pair<'s>(from: &'s Side, to: &'s Side) -> Pair<'s> {
    Pair::new(&from.rules, &to.rules, from.content("segments") == to.content("segments"))
}

/// When something in these rules begins or ends. Every time that stands in them counts, whatever it is for.
fn eras(sides: &[&Side]) -> Eras {
    let mut moments = Vec::new();
    let mut reads_clock = false;
    for side in sides {
        each_time(&side.dictionaries, &mut moments, &mut reads_clock);
    }
    moments.sort_unstable();
    moments.dedup();
    if reads_clock { Eras::Seconds } else { Eras::Between(moments) }
}

fn each_time(members: &Map<String, Value>, moments: &mut Vec<moment::Micros>, reads_clock: &mut bool) {
    let mut open: Vec<&Value> = members.values().collect();
    while let Some(value) = open.pop() {
        match value {
            Value::String(text) => moments.extend(moment::read(text)),
            Value::Array(items) => open.extend(items),
            Value::Object(members) => {
                *reads_clock |= members.contains_key("now");
                open.extend(members.values());
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_more;

    #[test]
    fn exactly_the_limit_is_not_more() {
        for lines in 1..=100 {
            let share = f64::from(lines) / 100.0;
            assert!(!is_more(share, f64::from(lines)), "{lines}");
            assert!(is_more(share, f64::from(lines) - 0.01), "{lines}");
        }
        assert!(!is_more(0.0, 0.0) && is_more(1e-9, 0.0));
    }
}
