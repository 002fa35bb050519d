//! `personalizer judge`: whether a canary is worse than what everybody else gets, by what the logs say of both.
//!
//! Lines are gathered by visitor (`gather`), each metric is weighed (`metrics`, with the test of `evidence`), and the verdicts make one.

mod evidence;
pub mod gather;
pub mod metrics;
#[cfg(test)]
pub mod tests;

use std::{fs, io};

use anyhow::{Context as _, bail};
use clap::Args;
use indicatif::ProgressBar;
use memchr::memmem::Finder;
use serde::Serialize;
use tempfile::NamedTempFile;

use crate::output::{self, Format, Outcome};
use crate::report::input::Piece;
use crate::report::members::Layout;
use crate::report::moment::{self, MINUTE, Micros};
use crate::report::{input, percent};
use gather::{Buckets, Counts, Gathered, bucket, decision, rate};
use metrics::{Margins, Metric, Verdict};

/// The version of the JSON contract.
const VERSION: u32 = 1;

/// Say whether a canary does worse than the baseline: go, regression or inconclusive.
///
/// Logs are lines of decisions: files, folders, patterns in quotes, or - for standard input; plain, gzip or zstd; in any order. The local
/// server's output is read as it is. Visitors are told apart by the lines' slot.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  personalizer judge logs --baseline r41 --canary r42
  kubectl logs deploy/log-collector | personalizer judge - --baseline r41 --canary r42 --format json

A metric is a regression where the evidence reaches its threshold. It is go where even the upper bound of the difference is below the margin.
The test may be run as often as you like, on more and more lines: a false alarm stays below --alpha over all looks. Only the time counts in
which both revisions served. If they are logged with another log.sample, the better-logged one is thinned to the lower rate.

Exit codes: 0 go, 1 regression, 2 it could not run, 3 inconclusive.")]
pub struct Options {
    /// Files, folders or patterns of log lines; - is standard input.
    #[arg(value_name = "LOGS", required = true)]
    logs: Vec<String>,
    /// The revision that everybody else gets.
    #[arg(long, value_name = "REVISION")]
    baseline: String,
    /// The revision that is on trial.
    #[arg(long, value_name = "REVISION")]
    canary: String,
    /// How likely a false alarm may be, over all metrics and all looks.
    #[arg(long, value_name = "PROBABILITY", default_value_t = 0.01, value_parser = alpha)]
    alpha: f64,
    /// How many more of a hundred visitors may fail before it matters: percentage points.
    #[arg(long, value_name = "POINTS", default_value_t = 1.0, value_parser = percent)]
    margin: f64,
    /// How much longer a request may take before it matters: percent.
    #[arg(long, value_name = "PERCENT", default_value_t = 10.0, value_parser = percent)]
    latency_margin: f64,
    /// How the result is written.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Reads `--alpha`.
///
/// # Errors
///
/// It is no probability that makes sense.
pub fn alpha(text: &str) -> anyhow::Result<f64> {
    match text.parse() {
        Ok(number) if (1e-6..=0.2).contains(&number) => Ok(number),
        _ => bail!("expected a probability from 0.000001 to 0.2, but found '{text}'"),
    }
}

/// What came out: the contract of `--format json`.
#[derive(Debug, Serialize)]
pub struct Judgement {
    v: u32,
    /// All metrics together.
    pub verdict: Verdict,
    /// In one sentence.
    pub why: String,
    visitors: Visitors,
    /// What was read.
    read: Counts,
    /// Each for itself.
    pub metrics: Vec<Metric>,
}

/// How many visitors there were.
#[derive(Debug, Serialize)]
struct Visitors {
    baseline: u64,
    canary: u64,
}

/// Reads, weighs, says.
pub fn run(options: &Options) -> anyhow::Result<Outcome> {
    if options.baseline == options.canary {
        bail!("expected two revisions, but found {} twice", options.canary);
    }
    let (logs, _kept) = readable_twice(&options.logs)?;
    let (pieces, length) = input::pieces(&logs)?;
    let bar = output::transfer("reading", length.map(|length| 2 * length));
    let (gathered, notes) = compared(&pieces, [&options.baseline, &options.canary], &bar)?;
    bar.finish_and_clear();
    notes.iter().for_each(|text| output::note(text));
    let margins = Margins { share: options.margin / 100.0, latency: options.latency_margin / 100.0 };
    let judgement = judge(&gathered, options.alpha, margins);
    output::write(options.format, &judgement, || text(&judgement, &options.baseline, &options.canary))?;
    Ok(match judgement.verdict {
        Verdict::Go => Outcome::Well,
        Verdict::Regression => Outcome::Faults,
        Verdict::Inconclusive => Outcome::Inconclusive,
    })
}

/// Reads what can be compared of two revisions, the baseline first; what is left out is said in notes.
fn compared(pieces: &[Piece], revisions: [&str; 2], bar: &ProgressBar) -> anyhow::Result<(Gathered, Vec<String>)> {
    let [baseline, canary] = revisions;
    let mut gathered = Gathered::new(baseline, canary);
    // Over different lengths of time, different shares of the visitors fail: only the time counts in which both served.
    let mut served = revisions.map(Served::of);
    for piece in pieces {
        input::lines(piece, bar, |line| served.iter_mut().for_each(|served| served.line(line)))?;
    }
    gathered = gathered.logged_at(served.each_ref().map(|served| served.rate));
    let mut span = None;
    if let [Served { span: Some((from, to)), .. }, Served { span: Some((since, until)), .. }] = served {
        // By whole minutes: a small canary has seconds without a visitor.
        let minute = |at: Micros| at.div_euclid(MINUTE) * MINUTE;
        let (first, last) = (minute(from.max(since)), minute(to.min(until)) + MINUTE - 1);
        span = Some((moment::second(first), moment::second(last)));
        gathered = gathered.since(first).until(last);
        // And without the time in which the canary was off, between two times on.
        let [of_baseline, of_canary] = served.map(|served| served.buckets);
        gathered = gathered.within(of_baseline.intersection(&of_canary).copied().collect());
    }
    for piece in pieces {
        gathered.read(piece, bar)?;
    }
    let mut notes = Vec::new();
    let [outside, of_gaps] = gathered.left_out();
    if let Some((first, last)) = span.filter(|_| outside > 0) {
        let gaps = if of_gaps > 0 { ", without the ten-minute pieces in which one of them has no line" } else { "" };
        notes.push(format!("both revisions served from {first} to {last}{gaps}: other lines are left out ({outside})"));
    }
    if gathered.thinned() > 0 {
        notes.push(format!(
            "the revisions have different log.sample: both are compared at {} ({} lines of successful requests are left out)",
            gathered.rate(),
            gathered.thinned()
        ));
    }
    Ok((gathered, notes))
}

/// The same logs, standard input and pipes in files of their own; those files, which go when they are dropped.
fn readable_twice(logs: &[String]) -> anyhow::Result<(Vec<String>, Vec<NamedTempFile>)> {
    let (mut names, mut kept) = (Vec::with_capacity(logs.len()), Vec::new());
    for log in logs {
        let is_pipe = |about: fs::Metadata| !about.is_file() && !about.is_dir();
        if log != "-" && !fs::metadata(log).is_ok_and(is_pipe) {
            names.push(log.clone());
            continue;
        }
        let copy = || -> io::Result<NamedTempFile> {
            let mut file = NamedTempFile::new()?;
            match log.as_str() {
                "-" => io::copy(&mut io::stdin().lock(), file.as_file_mut())?,
                pipe => io::copy(&mut fs::File::open(pipe)?, file.as_file_mut())?,
            };
            Ok(file)
        };
        let file = copy().with_context(|| format!("{log}: can't be kept in a temporary file"))?;
        names.push(file.path().display().to_string());
        kept.push(file);
    }
    Ok((names, kept))
}

/// When a revision served, by the lines of it.
struct Served<'r> {
    revision: &'r str,
    /// Most lines are of others: these are passed by at a glance.
    name: Finder<'r>,
    layout: Layout,
    span: Option<(Micros, Micros)>,
    /// The ten minutes that have lines.
    buckets: Buckets,
    /// The lowest rate of its sound lines.
    rate: f64,
}

impl<'r> Served<'r> {
    fn of(revision: &'r str) -> Self {
        let (name, layout) = (Finder::new(revision), Layout::default());
        Self { revision, name, layout, span: None, buckets: Buckets::default(), rate: 1.0 }
    }

    fn line(&mut self, line: &[u8]) {
        if self.name.find(line).is_none() {
            return;
        }
        let Some(Some(line)) = decision(line, &mut self.layout) else { return };
        let is_ours =
            line.revision.as_ref().is_some_and(|revision| revision.as_str() == self.revision) && !line.preview;
        if let Some(at) = moment::read(line.time.as_str()).filter(|_| is_ours) {
            let (first, last) = self.span.unwrap_or((at, at));
            self.span = Some((first.min(at), last.max(at)));
            self.buckets.insert(bucket(at));
            // The shield's pass says nothing of the request.
            if let Some(rate) = rate(&line).filter(|_| line.pass <= 1) {
                self.rate = self.rate.min(rate);
            }
        }
    }
}

/// Weighs what was gathered.
pub fn judge(gathered: &Gathered, alpha: f64, margins: Margins) -> Judgement {
    let metrics = metrics::weigh(gathered, alpha, margins);
    let [baseline, canary] = gathered.visitors();
    let counted = || metrics.iter().filter(|metric| metric.counts);
    let named = |verdict: Verdict| {
        let names: Vec<&str> =
            counted().filter(|metric| metric.verdict == verdict).map(|metric| metric.name.as_str()).collect();
        names.join(", ")
    };
    let (verdict, why) = if baseline == 0 || canary == 0 {
        let which = if canary == 0 { "the canary" } else { "the baseline" };
        (
            Verdict::Inconclusive,
            format!("No visitor of {which} can be told apart: its lines are missing, or have no slot."),
        )
    } else if counted().any(|metric| metric.verdict == Verdict::Regression) {
        (Verdict::Regression, format!("The canary is worse: {}.", named(Verdict::Regression)))
    } else if counted().all(|metric| metric.verdict == Verdict::Go) {
        (Verdict::Go, "No metric of the canary is worse by more than its margin.".to_owned())
    } else {
        (Verdict::Inconclusive, format!("It can't be told yet: {}.", named(Verdict::Inconclusive)))
    };
    Judgement { v: VERSION, verdict, why, visitors: Visitors { baseline, canary }, read: gathered.counts, metrics }
}

impl Judgement {
    /// How many visitors the baseline and the canary had.
    pub fn visitors(&self) -> [u64; 2] {
        [self.visitors.baseline, self.visitors.canary]
    }
}

/// Every figure, for people, with the revisions' names.
pub fn text(judgement: &Judgement, baseline_name: &str, canary_name: &str) -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    // Writing to a String can't fail.
    let _ = writeln!(text, "{}: {}", judgement.verdict.as_str(), judgement.why);
    let Visitors { baseline, canary } = judgement.visitors;
    let _ = writeln!(text, "{baseline} visitors of {baseline_name}, {canary} of {canary_name}");
    let _ = writeln!(
        text,
        "\n  {:<26} {:>10} {:>10} {:>12} {:>12} {:>10} {:>10}  verdict",
        "metric", "baseline", "canary", "evidence", "threshold", "at most", "margin"
    );
    for metric in &judgement.metrics {
        let shown = |value: f64| metric.unit.shown(value);
        let difference = |value: f64| format!("{:+.2} {}", value * 100.0, metric.unit.of_difference());
        let (evidence, threshold) = match metric.unit {
            // Evidence multiplies with every failure: beyond a million its size says all.
            metrics::Unit::Share if metric.evidence >= 1e6 => {
                (format!("{:.1e}", metric.evidence), format!("{:.0}", metric.threshold))
            }
            metrics::Unit::Share => (format!("{:.3}", metric.evidence), format!("{:.0}", metric.threshold)),
            metrics::Unit::Milliseconds => (difference(metric.evidence), difference(metric.threshold)),
        };
        let _ = writeln!(
            text,
            "  {:<26} {:>10} {:>10} {evidence:>12} {threshold:>12} {:>10} {:>10}  {}{}",
            metric.name,
            shown(metric.baseline),
            shown(metric.canary),
            metric.upper.map_or_else(|| "–".to_owned(), difference),
            difference(metric.margin),
            metric.verdict.as_str(),
            if metric.counts { "" } else { " (too few to count)" }
        );
    }
    let read = &judgement.read;
    let _ = writeln!(
        text,
        "\n{} lines of the two; {} without a slot; {} of other revisions; {} came again; {} can't be read",
        read.lines, read.without_slot, read.other_revisions, read.doubled, read.broken
    );
    text
}
