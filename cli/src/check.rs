//! `personalizer check`: strict where the edge is forgiving.

mod backends;
mod bodies;
mod compile;
mod names;
mod references;
mod repeated;
mod report;
mod routes;
mod sizes;
#[cfg(test)]
mod tests;
mod units;
mod variants;

use std::path::{Path, PathBuf};

use clap::Args;
use edge_personalizer::rules::RuleSet;
use edge_personalizer::rules::set::Texts;

use crate::folder::Folder;
use crate::output::{Format, Outcome};

pub use backends::beside;
pub use compile::{escape, nearest};
use report::Finding;
pub use report::{Level, Report, print};

/// Name every fault and warning of a folder of rules, each with its place.
///
/// A fault is what the edge would leave out, or the store refuse. A warning is what works, and was hardly meant.
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
    /// How the result is written.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Checks a folder.
pub fn run(options: &Options) -> anyhow::Result<Outcome> {
    let folder = Folder::read(&options.folder)?;
    let report = check(&folder, &options.folder, options.manifest.as_deref())?;
    print(options.format, &report)?;
    let found = report.faults() + if options.deny_warnings { report.warnings() } else { 0 };
    Ok(if found == 0 { Outcome::Well } else { Outcome::Faults })
}

/// What the parts of the check look at.
struct Checked<'a> {
    folder: &'a Folder,
    rules: &'a RuleSet,
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
    let mut texts = Texts::default();
    for (name, source) in &folder.dictionaries {
        // What isn't JSON is named with its line and column; the edge would only say that it isn't.
        if source.json.is_ok() {
            texts.set(name, vec![source.text.clone()]);
        }
    }
    let mut faults = Vec::new();
    let rules = RuleSet::compile(None, &texts, None, &mut faults);
    rules.routes.all().for_each(drop);
    faults.extend(rules.routes.take_faults());

    let mut checked = Checked { folder, rules: &rules, findings: Vec::new() };
    checked.unparsable();
    let misshapen = checked.misshapen();
    faults.retain(|fault| !misshapen.contains(&fault.dictionary));
    checked.compiled(&faults);
    checked.conditions();
    checked.definitions();
    checked.names();
    checked.duplicates();
    checked.repeated();
    checked.bodies();
    checked.references();
    checked.schedules();
    checked.backends(place, manifest)?;
    checked.sizes();
    checked.unreachable();
    checked.unreachable_regions();
    checked.shared();
    checked.units();
    let variants = checked.variants();
    Ok(Report::new(checked.findings, variants))
}
