//! `personalizer diff`: what another rule set means for visitors, not how its text differs.

mod change;
mod conditions;
mod names;
mod regions;
mod routes;
pub(crate) mod side;
#[cfg(test)]
mod tests;
mod text;
mod variations;

use clap::Args;
use serde::Serialize;
use time::OffsetDateTime;

use crate::folder::payload::PayloadOptions;
use crate::output::{self, Format, Outcome};
use crate::target::{Address, Api};
use change::Change;
use names::NamesDiff;
use regions::RegionsDiff;
use routes::RoutesDiff;
use side::Side;
use variations::VariationsDiff;

/// Show what changes for visitors from one rule set to another: routes, regions, features, experiments, settings.
///
/// Regions are compared for a visitor of every country, and of every place that a condition names. Features and experiments are evaluated
/// for some thousand visitors, as the edge does it.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  personalizer diff rules ../release/rules
  personalizer diff @active rules --on fastly:STORE_ID
  personalizer diff r42 r43 --on file:target/local/personalizer.json --format json

A folder is a path (write ./rules if a revision is also called rules). Any other word is a revision of --on. @active, @previous, @canary and
@shadow are the revisions that the pointer names, @bare are the entries at their bare names.

Exit codes: 0 nothing changes, 1 something changes, 2 the command could not run.")]
pub struct Options {
    /// A folder of rules, or a revision: the rules as they are.
    a: String,
    /// A folder of rules, or a revision: the rules as they will be.
    b: String,
    /// The store of revisions: file:PATH or fastly:STORE_ID.
    #[arg(long, visible_alias = "target", value_name = "TARGET", env = "PERSONALIZER_TARGET")]
    on: Option<Address>,
    #[command(flatten)]
    api: Api,
    #[command(flatten)]
    payload: PayloadOptions,
    /// How many visitors features and experiments are evaluated for.
    #[arg(long, value_name = "COUNT", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(100..=1_000_000))]
    visitors: u32,
    /// When (RFC 3339), for schedules; without it, now.
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// How the result is written.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// All changes.
#[derive(Debug, Serialize)]
struct Report {
    a: String,
    b: String,
    equal: bool,
    routes: RoutesDiff,
    regions: RegionsDiff,
    features: Vec<VariationsDiff>,
    experiments: Vec<VariationsDiff>,
    settings: Vec<Change>,
    templates: NamesDiff,
    segments: NamesDiff,
    /// What was left out of the comparison, and why.
    notes: Vec<String>,
}

/// Compares.
pub fn run(options: &Options) -> anyhow::Result<Outcome> {
    let now = match &options.at {
        Some(at) => crate::explain::moment(at)?,
        None => OffsetDateTime::now_utc(),
    };
    let mut sides = side::Reader::new(options.on.as_ref(), &options.api, &options.payload);
    let (a, b) = (sides.read(&options.a)?, sides.read(&options.b)?);
    let report = compare(&a, &b, options.visitors, now);
    output::write(options.format, &report, || text::render(&report))?;
    Ok(if report.equal { Outcome::Well } else { Outcome::Faults })
}

fn compare(a: &Side, b: &Side, visitors: u32, now: OffsetDateTime) -> Report {
    let routes = routes::compare(a, b);
    let regions = regions::compare(a, b);
    let (features, experiments) = variations::compare(a, b, visitors, now);
    let settings = change::settings(a, b);
    let templates = names::templates(a, b);
    let segments = names::segments(a, b);
    let equal = routes.is_empty()
        && regions.is_empty()
        && features.is_empty()
        && experiments.is_empty()
        && settings.is_empty()
        && templates.is_empty()
        && segments.is_empty();
    let notes = a.notes.iter().chain(&b.notes).cloned().collect();
    Report {
        a: a.name.clone(),
        b: b.name.clone(),
        equal,
        routes,
        regions,
        features,
        experiments,
        settings,
        templates,
        segments,
        notes,
    }
}
