//! `personalizer sessions push`: an input of updates, delivered to an edge.

use std::fs::File;
use std::io::{BufReader, Read, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;

use super::delivery::{Delivery, Rejected, Tally};
use super::edge::To;
use super::input::{Input, Limits, Line};
use super::position::Position;
use crate::backoff::Patience;
use crate::output::{self, Format, Outcome};

/// The pause before the first repeat.
const PAUSE: Duration = Duration::from_millis(500);

/// Send session updates (NDJSON: put, merge, delete) to an edge, in signed batches.
///
/// Every update may be sent any number of times, in any order: the edge keeps the newest by `updated_at`. So whatever goes wrong, run
/// it again. A batch that the edge can't take now (429, 503, no connection) is repeated with longer and longer pauses; a line that it
/// can never take is named with its number, and the others go on.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  personalizer sessions push sessions.ndjson --to https://www.example.com --resume sessions.state
  change-feed | personalizer sessions push - --to https://www.example.com

To feed from Redis Streams: personalizer sessions feed.

Exit codes: 0 every update is stored, or was already; 1 some lines can't be used; 2 it could not run, or gave up.")]
pub struct Options {
    /// The file; - is standard input, which may stay open.
    #[arg(value_name = "FILE|-")]
    file: PathBuf,
    #[command(flatten)]
    to: To,
    /// Keep the position that the edge has taken in this file, and go on from there next time. Standard input has to start from
    /// its beginning then; a feed that knows its own position uses --acknowledge.
    #[arg(long, value_name = "STATE_FILE")]
    resume: Option<PathBuf>,
    /// Updates of a batch; the edge's own bound is settings.replication.max_items (250).
    #[arg(long, value_name = "LINES", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    batch: u32,
    /// Bytes of a batch, and of a line; the edge's own bound is settings.replication.max_bytes (1 MiB).
    #[arg(long, value_name = "BYTES", default_value_t = 262_144, value_parser = clap::value_parser!(u32).range(1_024..=4_194_304))]
    batch_bytes: u32,
    /// How long, in milliseconds, an update waits for others to share its batch.
    #[arg(long, value_name = "MS", default_value_t = 200, value_parser = clap::value_parser!(u64).range(0..=60_000))]
    linger: u64,
    /// How often a batch of which nothing is taken is sent before giving up: 10 attempts are some three minutes.
    #[arg(long, value_name = "TIMES", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    attempts: u32,
    /// Write a line of JSON to standard output whenever the edge has decided on all lines so far: {"line":N,"rejected":[…]}. A feed
    /// that acknowledges its source by them loses nothing.
    #[arg(long, conflicts_with = "format")]
    acknowledge: bool,
    /// How the result is written.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// What the edge has decided on.
#[derive(Debug, Serialize)]
struct Acknowledged<'a> {
    line: u64,
    rejected: &'a [Rejected],
}

/// The result, for machines.
#[derive(Debug, Serialize)]
struct Summary<'a> {
    /// Whether the whole input was delivered.
    complete: bool,
    /// The last line that the edge has decided on; lines of an earlier run count.
    line: u64,
    #[serde(flatten)]
    tally: &'a Tally,
}

/// Delivers the input.
pub fn run(options: &Options) -> anyhow::Result<Outcome> {
    let edge = options.to.open()?;
    let (reader, length) = open(&options.file)?;
    let longest = usize::try_from(options.batch_bytes).unwrap_or(usize::MAX) - 1;
    let mut input = Input::start(BufReader::new(reader), longest);
    let position = options.resume.clone().map(Position::new);
    let mut last = match &position {
        Some(position) => position.skip(&mut input)?,
        None => None,
    };
    let bar = output::transfer(edge.address(), length);
    if let Some(line) = &last {
        output::note(&format!("going on after line {}", line.number));
        bar.set_position(line.read);
    }
    let patience = Patience { attempts: options.attempts, pause: PAUSE };
    let mut delivery = Delivery::new(edge, usize::try_from(options.batch).unwrap_or(usize::MAX), patience);
    let ended = deliver(options, &mut input, &mut delivery, |line, rejected| {
        if let Some(position) = &position {
            position.save(&line)?;
        }
        if options.acknowledge {
            acknowledge(&Acknowledged { line: line.number, rejected })?;
        }
        bar.set_position(line.read);
        last = Some(line);
        Ok(())
    });
    bar.finish_and_clear();
    let line = last.map(|line| line.number).unwrap_or_default();
    report(options, &Summary { complete: ended.is_ok(), line, tally: &delivery.tally })?;
    ended?;
    Ok(if delivery.tally.refused == 0 { Outcome::Well } else { Outcome::Faults })
}

/// Delivers batch by batch; `taken` hears of the last line of each.
fn deliver(
    options: &Options,
    input: &mut Input,
    delivery: &mut Delivery,
    mut taken: impl FnMut(Line, &[Rejected]) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let (bytes, linger) = (usize::try_from(options.batch_bytes)?, Duration::from_millis(options.linger));
    let place = options.file.display();
    loop {
        let limits = Limits { lines: delivery.most(), bytes, linger };
        let Some(batch) = input.batch(limits).with_context(|| format!("{place}: can't be read"))? else {
            return Ok(());
        };
        let rejected = delivery.deliver(&batch)?;
        if let Some(line) = batch.into_iter().last() {
            taken(line, &rejected)?;
        }
    }
}

/// The input, and its length where it has one.
fn open(path: &Path) -> anyhow::Result<(Box<dyn Read + Send>, Option<u64>)> {
    if path == Path::new("-") {
        return Ok((Box::new(std::io::stdin()), None));
    }
    let place = path.display();
    let file = File::open(path).with_context(|| format!("{place}: can't be read"))?;
    let about = file.metadata().with_context(|| format!("{place}: can't be read"))?;
    let length = about.is_file().then_some(about.len());
    Ok((Box::new(file), length))
}

fn acknowledge(acknowledged: &Acknowledged<'_>) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let written = writeln!(out, "{}", serde_json::to_string(acknowledged)?).and_then(|()| out.flush());
    written.context("nobody reads the acknowledgements on standard output any more")
}

fn report(options: &Options, summary: &Summary<'_>) -> anyhow::Result<()> {
    let text = || {
        let Tally { stored, unchanged, refused, requests, repeats, .. } = summary.tally;
        let end = if summary.complete { "" } else { "; not all were delivered" };
        format!(
            "{stored} stored, {unchanged} unchanged, {refused} refused, up to line {}, in {requests} requests ({repeats} \
             repeated){end}.",
            summary.line
        )
    };
    if options.acknowledge {
        // Standard output is the feed's.
        output::note(&text());
        return Ok(());
    }
    output::write(options.format, summary, text)
}
