//! `personalizer check`: strict where the edge is forgiving.

mod attributes;
mod backends;
mod bodies;
mod broken;
mod compile;
mod names;
mod patterns;
mod placeholders;
mod reach;
mod references;
mod repeated;
mod report;
mod routes;
mod settings;
mod sizes;
mod splits;
mod templates;
#[cfg(test)]
mod tests;
mod units;
mod variants;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::Args;
use edge_personalizer::rules::RuleSet;

use crate::folder::Folder;
use crate::folder::payload::PayloadOptions;
use crate::output::{Format, Outcome};

pub use backends::beside;
pub use compile::{escape, nearest};
use report::Finding;
pub use report::{Level, Report, lines, print, warnings};
pub use settings::open_settings;

/// Name every fault and warning of a folder of rules, each with its place.
///
/// A fault is a rule that the edge would skip or read otherwise than it is meant, or that the store would refuse. A warning is valid, but
/// probably a mistake.
#[derive(Debug, Args)]
#[command(
    after_long_help = "Examples:\n  personalizer check\n  personalizer check rules --manifest fastly.toml --format json\n  personalizer check rules --deny-warnings"
)]
pub struct Options {
    /// The folder of rules: one JSON file a dictionary.
    #[arg(default_value = "rules")]
    folder: PathBuf,
    /// Where backends are named; without it, the fastly.toml beside or above the folder.
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// Count warnings as faults.
    #[arg(long)]
    deny_warnings: bool,
    #[command(flatten)]
    payload: PayloadOptions,
    /// How the result is written.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Checks a folder.
pub fn run(options: &Options) -> anyhow::Result<Outcome> {
    let folder = Folder::read(&options.folder, &options.payload)?;
    let report = check(&folder, &options.folder, options.manifest.as_deref())?;
    print(options.format, &report)?;
    let found = report.faults() + if options.deny_warnings { report.warnings() } else { 0 };
    Ok(if found == 0 { Outcome::Well } else { Outcome::Faults })
}

/// What the parts of the check look at.
struct Checked<'a> {
    folder: &'a Folder,
    rules: &'a RuleSet,
    /// Dictionaries that can't be read.
    broken: BTreeSet<String>,
    findings: Vec<Finding>,
}

impl Checked<'_> {
    fn add(&mut self, level: Level, dictionary: &str, pointer: impl Into<String>, message: impl Into<String>) {
        self.findings.push(Finding::new(self.folder, level, dictionary, pointer.into(), message.into()));
    }

    fn fault(&mut self, dictionary: &str, pointer: impl Into<String>, message: impl Into<String>) {
        self.add(Level::Fault, dictionary, pointer, message);
    }

    fn warn(&mut self, dictionary: &str, pointer: impl Into<String>, message: impl Into<String>) {
        self.add(Level::Warning, dictionary, pointer, message);
    }
}

/// Every fault and warning. `manifest` is where backends are named; without one it is looked for.
///
/// # Errors
///
/// The manifest that was named can't be read.
pub fn check(folder: &Folder, place: &Path, manifest: Option<&Path>) -> anyhow::Result<Report> {
    let misshapen = broken::misshapen(folder);
    let unparsable = folder.dictionaries.iter().filter(|(_, source)| source.json.is_err());
    let broken: BTreeSet<String> =
        unparsable.map(|(name, _)| name.clone()).chain(misshapen.iter().map(|(name, ..)| name.clone())).collect();
    let (rules, faults) = folder.compile(&broken::stand_ins(folder, &broken));

    let mut checked = Checked { folder, rules: &rules, broken, findings: Vec::new() };
    checked.unparsable(misshapen);
    checked.misfits();
    checked.compiled(&faults);
    checked.settings();
    checked.conditions();
    checked.splits();
    checked.definitions();
    checked.names();
    checked.declared();
    checked.duplicates();
    checked.repeated();
    checked.bodies();
    checked.placeholders();
    checked.template_reads();
    checked.references();
    checked.schedules();
    checked.backends(place, manifest)?;
    checked.sizes();
    checked.dear_patterns();
    checked.unreachable();
    checked.unreachable_regions();
    checked.shared();
    checked.units();
    checked.remembered();
    checked.alike();
    let variants = checked.variants();
    let hosts = rules.settings.hosts.iter().map(|host| (host.name.clone(), host.effective())).collect();
    Ok(Report::new(checked.findings, variants, hosts))
}
