//! `personalizer report`: what the logs say of the traffic, and of experiments.
//!
//! One direction: lines (`input`, `lines`) are collected (`traffic`, `units`), then looked at once (`summary`, `experiments`), and the result
//! (`model`) is written as a page, as JSON, or as metrics.

mod clickhouse;
mod experiments;
mod html;
pub mod input;
pub mod lines;
pub mod members;
mod metric;
pub mod model;
pub mod moment;
mod names;
mod orders;
mod prometheus;
mod read;
mod rules;
pub mod seen;
mod sketch;
mod srm;
pub mod statistics;
mod summary;
mod traffic;
mod units;
mod verdict;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};

use crate::files;
use crate::folder::payload::PayloadOptions;
use crate::output::{self, Outcome};
use crate::target::{Address, Api};
use clickhouse::Server;
use experiments::{Asked, Material};
use metric::Metric;
use model::Report;
use moment::Micros;
use names::Names;
use read::{Collected, Shared};
use rules::Rules;
use seen::Seen;
use units::Units;

/// Bytes that a remembered line takes, with two generations of them.
const BYTES_A_LINE: u64 = 52;
/// Bytes that a unit or a conversion takes, with its copy at the end.
const BYTES_A_UNIT: u64 = 260;

/// Say what the logs tell: how the traffic went, and which variation of each experiment is better.
///
/// Logs are the lines of the endpoints decisions, exposures, conversions and errors: files, folders, patterns in quotes, or - for standard
/// input; plain, gzip or zstd; in any order. The output of the local server is read as it is.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  personalizer report server.log
  personalizer report 'logs/2026-11-*.gz' --rules rules --metric order:rate --metric order:value:0.99
  personalizer report logs --rules @active --on fastly:STORE_ID --horizon 2026-12-08 --out week.html
  personalizer report logs --format json | jq '.experiments[].metrics[].why'
  zcat *.gz | personalizer report - --format prometheus
  personalizer report --from clickhouse:https://HOST:8443/?database=edge --from 2026-11-01

A conversion counts once (by event_id), after the first exposure of its unit, within --window. The baseline is the first variation. Larger
is better. docs/REPORT.md says how to read it.

Exit codes: 0 the report was written, 2 it could not be.")]
pub struct Options {
    /// Files, folders or patterns of log lines; - is standard input.
    #[arg(value_name = "LOGS")]
    logs: Vec<String>,
    /// The rules, for the weights of experiments: a folder for all revisions, REVISION=FOLDER for one (may be repeated), or @active for all
    /// that the store of --on holds. Without them equal weights are assumed.
    #[arg(long, value_name = "DIR|@active")]
    rules: Vec<String>,
    /// The store of revisions: file:PATH or fastly:STORE_ID.
    #[arg(long, visible_alias = "target", value_name = "TARGET", env = "PERSONALIZER_TARGET")]
    on: Option<Address>,
    #[command(flatten)]
    api: Api,
    #[command(flatten)]
    payload: PayloadOptions,
    /// Orders that are known elsewhere: a CSV file with unit_id and timestamp (and event_id, value, currency, event, unit_type).
    #[arg(long, value_name = "FILE.csv")]
    orders: Option<PathBuf>,
    /// A metric: the share of units with an event, or what it was worth to a unit, where larger values count as the quantile. May be given
    /// several times. Without any, the events of the logs are taken.
    #[arg(long = "metric", value_name = "NAME:rate|value[:quantile]")]
    metrics: Vec<Metric>,
    /// How long after the first exposure a conversion counts.
    #[arg(long, value_name = "LENGTH", default_value = "72h", value_parser = moment::length)]
    window: Micros,
    /// The day on which the experiment is judged, named in advance. Once the logs reach it and the --window after it, all figures of metrics
    /// are of units before it, and the fixed interval counts.
    #[arg(long, value_name = "DATE", value_parser = moment::argument)]
    horizon: Option<Micros>,
    /// The relative difference that matters, in percent: a smaller one is no difference.
    #[arg(long, value_name = "PERCENT", default_value_t = 2.0, value_parser = percent)]
    least: f64,
    /// Leave out lines before this day or time. Or read lines from a server of ClickHouse with the tables of sql/clickhouse, as
    /// CLICKHOUSE_USER with CLICKHOUSE_PASSWORD. May be given once for each.
    #[arg(long, value_name = "DATE|clickhouse:URL")]
    from: Vec<Since>,
    /// Leave out lines from this day or time on.
    #[arg(long, value_name = "DATE", value_parser = moment::argument)]
    to: Option<Micros>,
    /// Where the report goes; - is standard output. Without it report.html, or standard output for other formats.
    #[arg(long, value_name = "FILE|-")]
    out: Option<PathBuf>,
    /// How it is written.
    #[arg(long, value_enum, default_value_t)]
    format: Kind,
    /// Megabytes of memory for units and for lines that may come twice. Beyond it a fair share of the units is kept, and the report says so.
    #[arg(long, value_name = "MB", default_value_t = 512, value_parser = clap::value_parser!(u64).range(16..=1_000_000))]
    memory: u64,
    /// How many readers work at the same time. Without it, one for each processor.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
}

/// From when, or from where.
#[derive(Debug, Clone, PartialEq)]
enum Since {
    Time(Micros),
    Server(Server),
}

impl FromStr for Since {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        if Server::is_named_by(text) { text.parse().map(Self::Server) } else { moment::argument(text).map(Self::Time) }
    }
}

impl Options {
    /// From when lines count.
    fn first(&self) -> anyhow::Result<Option<Micros>> {
        let times: Vec<Micros> =
            self.from.iter().filter_map(|since| if let Since::Time(at) = since { Some(*at) } else { None }).collect();
        match times.as_slice() {
            [] => Ok(None),
            [at] => Ok(Some(*at)),
            _ => bail!("expected one day or time in --from, but found {}", times.len()),
        }
    }

    fn servers(&self) -> impl Iterator<Item = &Server> {
        self.from.iter().filter_map(|since| if let Since::Server(server) = since { Some(server) } else { None })
    }
}

/// How a report is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// A page for people: one file, without scripts.
    #[default]
    Html,
    /// The contract: rules/schema/report.json.
    Json,
    /// Text for Prometheus' collectors.
    Prometheus,
}

/// Reads a percentage, with its sign or without.
///
/// # Errors
///
/// It is none from 0.01 to 100.
pub fn percent(text: &str) -> anyhow::Result<f64> {
    percentage(text, 0.01)
}

/// The same from `least` on.
///
/// # Errors
///
/// It is none from `least` to 100.
pub fn percentage(text: &str, least: f64) -> anyhow::Result<f64> {
    match text.trim_end_matches('%').trim().parse() {
        Ok(number) if (least..=100.0).contains(&number) => Ok(number),
        _ => bail!("expected a percentage from {least} to 100, but found '{text}'"),
    }
}

/// Reads, looks, writes.
pub fn run(options: &Options) -> anyhow::Result<Outcome> {
    let from = options.first()?;
    if from.zip(options.to).is_some_and(|(from, to)| from >= to) {
        bail!("expected --from before --to, but found it at the same time or later");
    }
    if options.logs.is_empty() && options.servers().next().is_none() {
        bail!("expected logs: files, folders, patterns, - for standard input, or --from clickhouse:URL");
    }
    let report = made(options, from)?;
    for warning in &report.warnings {
        output::note(warning);
    }
    let text = match options.format {
        Kind::Html => html::page(&report),
        Kind::Json => format!("{}\n", serde_json::to_string_pretty(&report)?),
        Kind::Prometheus => prometheus::text(&report),
    };
    let out = match (&options.out, options.format) {
        (Some(out), _) => out.as_path(),
        (None, Kind::Html) => Path::new("report.html"),
        (None, _) => Path::new("-"),
    };
    if out == Path::new("-") {
        std::io::stdout().write_all(text.as_bytes()).context("standard output: can't be written")?;
        return Ok(Outcome::Well);
    }
    // Whoever collects the file each minute must never read half of it.
    files::replace(out, text.as_bytes())?;
    for row in report.experiments.iter().flat_map(|experiment| &experiment.metrics) {
        anstream::println!("{}: {}", row.verdict.as_str(), row.why);
    }
    anstream::println!("The report is in {}.", out.display());
    Ok(Outcome::Well)
}

fn made(options: &Options, from: Option<Micros>) -> anyhow::Result<Report> {
    let rules = Rules::read(&options.rules, options.on.as_ref(), &options.api, &options.payload)?;
    let (mut pieces, mut length) = input::pieces(&options.logs)?;
    for server in options.servers() {
        pieces.extend(server.pieces(from, options.to));
        length = None;
    }
    let bytes = options.memory << 20;
    let parts = |share: u64, each: u64| usize::try_from(bytes / 10 * share / each).unwrap_or(usize::MAX);
    let names = Names::default();
    let shared = Shared {
        names: names.clone(),
        units: Units::new(parts(6, BYTES_A_UNIT), names.number("")),
        seen: Seen::new(parts(3, BYTES_A_LINE)),
        rules: &rules,
        from,
        to: options.to,
    };
    let threads =
        options.threads.map_or_else(|| std::thread::available_parallelism().map_or(1, usize::from), usize::from);
    let bar = output::transfer("reading", length);
    let collected = read::all(pieces, &shared, threads, &bar);
    bar.finish_and_clear();
    let collected = collected?;
    let orders = match &options.orders {
        Some(path) => orders::read(path, (from, options.to), &names, &shared.units)?,
        None => orders::Orders::default(),
    };
    let Shared { units, seen, .. } = shared;
    let (repeated, share) = (units.repeated(), units.share());
    let mut warnings = warnings(options, &rules, &collected, &orders, seen.forgot(), share);
    drop(seen);
    let (blocks, done) = units.taken();
    let mut exposed = blocks.values().flatten().map(|(unit, _)| unit);
    if !blocks.is_empty() && !orders.units.is_empty() && !exposed.any(|unit| orders.units.contains(unit)) {
        warnings.push(
            "Nobody in --orders was in an experiment: is unit_id made with the log key that these lines have, and of the attribute that the \
             experiments hash (`personalizer pseudonym --help`)?"
                .to_owned(),
        );
    }
    // What is asked for twice is told once.
    let mut metrics: Vec<Metric> = Vec::with_capacity(options.metrics.len());
    for metric in &options.metrics {
        if !metrics.contains(metric) {
            metrics.push(metric.clone());
        }
    }
    let asked = Asked { metrics, window: options.window, horizon: options.horizon, least: options.least / 100.0 };
    // What comes from --to on doesn't count: the logs go no further.
    let reached = collected.reached.unwrap_or(Micros::MIN);
    let reached = options.to.map_or(reached, |to| reached.min(to));
    let material =
        Material { asked: &asked, rules: &rules, names: &names, collected: &collected, done: &done, reached };
    if let Some(horizon) = asked.horizon.filter(|horizon| reached >= *horizon && asked.passed(reached).is_none()) {
        let end = horizon.saturating_add(asked.window);
        warnings.push(format!(
            "The logs reach --horizon, but not the end of --window after it ({}): the sequence counts until then.",
            moment::second(end)
        ));
    }
    for metric in &asked.metrics {
        let event = names.number(&metric.event);
        if !done.iter().any(|done| done.event == event) {
            warnings.push(format!("--metric {metric}: no line has the event '{}'.", metric.event));
        }
    }
    let counts = collected.counts;
    Ok(Report {
        v: model::VERSION,
        read: model::Read {
            lines: counts.lines,
            bytes: counts.bytes,
            doubled: counts.doubled,
            broken: counts.broken + orders.broken,
            late: counts.late,
            other: counts.other,
            outside: counts.outside + orders.outside,
            repeated: u64::try_from(repeated).unwrap_or(u64::MAX),
            units_share: share,
        },
        from: collected.span.map(|(first, _)| moment::second(first)),
        to: collected.span.map(|(_, last)| moment::second(last)),
        traffic: summary::rows(&collected.traffic, &names),
        summary: summary::summary(&collected.traffic, &names),
        experiments: material.experiments(blocks),
        warnings,
    })
}

/// What limits all that the report says.
fn warnings(
    options: &Options,
    rules: &Rules,
    collected: &Collected,
    orders: &orders::Orders,
    forgot: bool,
    share: f64,
) -> Vec<String> {
    let counts = collected.counts;
    let mut warnings = Vec::new();
    if counts.lines == 0 {
        warnings.push(
            "No log line was found: expected lines of decisions, exposures, conversions or errors, one JSON object each.".to_owned(),
        );
    }
    if counts.lines > 0 && collected.span.is_none() {
        warnings.push(format!("No line is within --from and --to: {} lines are of another time.", counts.outside));
    }
    if counts.broken > 0 {
        warnings.push(format!(
            "{} lines can't be read: they are cut, of a later version, or not the edge's.",
            counts.broken
        ));
    }
    if counts.cut_off > 0 {
        warnings.push(format!("{} compressed files end in the middle: what came before counts.", counts.cut_off));
    }
    if orders.broken > 0 {
        let first = orders.first_broken.as_deref().unwrap_or("no reason is known");
        warnings
            .push(format!("{} rows of --orders can't be read, and don't count. The first is {first}.", orders.broken));
    }
    if share < 1.0 {
        warnings.push(format!(
            "The units don't fit into --memory {}: {} of them are kept, by the first bits of their pseudonyms. Shares and lifts hold, counts of \
             units are of those.",
            options.memory,
            verdict::percent(share).trim_start_matches('+')
        ));
    }
    if forgot {
        warnings.push(
            "There are more lines than --memory can remember: one that came again much later counts twice.".to_owned(),
        );
    }
    if counts.unknown_units > 0 {
        warnings.push(format!("{} conversions name no unit, and count in no experiment.", counts.unknown_units));
    }
    if collected.traffic.sampled > 0 {
        warnings.push("Lines of decisions are sampled: each counts for those that it stands for.".to_owned());
    }
    if let Some(folder) = options.rules.iter().find(|name| !name.starts_with('@') && !name.contains('=')) {
        warnings.push(format!("The weights of {folder} are taken for all revisions: REVISION=FOLDER names others."));
    }
    if !rules.given && counts.exposures > 0 {
        warnings.push("Without --rules equal weights are assumed for every experiment.".to_owned());
    }
    warnings
}
