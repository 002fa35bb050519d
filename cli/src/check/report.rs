//! What was found, for people and for machines.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use owo_colors::OwoColorize as _;
use serde::Serialize;
use serde_json::{Map, Value};

use super::variants::RouteVariants;
use crate::folder::Folder;
use crate::output::{self, Format};
use crate::span::Position;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The edge skips it or reads it otherwise than it is meant, or the store refuses it.
    Fault,
    /// Valid, but probably a mistake.
    Warning,
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// The file.
    pub file: PathBuf,
    /// Line and column, from 1.
    #[serde(flatten)]
    pub position: Position,
    /// JSON pointer (RFC 6901) within the file.
    pub pointer: String,
    /// "expected …, but found …".
    pub message: String,
    /// Whether the whole file can't be read: such findings come first.
    #[serde(skip)]
    pub hides_others: bool,
}

impl Finding {
    /// Places a finding in its dictionary's file.
    pub fn new(folder: &Folder, level: Level, dictionary: &str, pointer: String, message: String) -> Self {
        let (source, pointer) = folder.place(dictionary, &pointer);
        let file = source.map_or_else(|| PathBuf::from(dictionary), |source| source.file.clone());
        let position = source.map_or(Position { line: 1, column: 1 }, |source| source.position(&pointer));
        Self { level, file, position, pointer, message, hides_others: false }
    }
}

/// The outcome of a check.
#[derive(Debug, Serialize)]
pub struct Report {
    faults: usize,
    warnings: usize,
    /// In the order of files and lines.
    pub findings: Vec<Finding>,
    /// How many variants each route can have.
    pub variants: Vec<RouteVariants>,
    /// What each entry of `settings.hosts` ends up with: its own over the site's.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub hosts: BTreeMap<String, Map<String, Value>>,
}

impl Report {
    /// Puts findings in order; one that was made twice is named once.
    pub fn new(
        mut findings: Vec<Finding>,
        variants: Vec<RouteVariants>,
        hosts: BTreeMap<String, Map<String, Value>>,
    ) -> Self {
        let key = |finding: &Finding| {
            (!finding.hides_others, finding.file.clone(), finding.position, finding.pointer.clone(), finding.level)
        };
        findings.sort_by(|one, other| key(one).cmp(&key(other)).then_with(|| one.message.cmp(&other.message)));
        findings.dedup_by(|one, other| {
            one.file == other.file && one.pointer == other.pointer && one.message == other.message
        });
        let count = |level| findings.iter().filter(|finding| finding.level == level).count();
        Self { faults: count(Level::Fault), warnings: count(Level::Warning), findings, variants, hosts }
    }

    /// How many faults there are.
    pub fn faults(&self) -> usize {
        self.faults
    }

    /// How many warnings there are.
    pub fn warnings(&self) -> usize {
        self.warnings
    }
}

/// Writes a report.
pub fn print(format: Format, report: &Report) -> anyhow::Result<()> {
    output::write(format, report, || text(report))
}

/// All of it, a line each.
pub fn lines(report: &Report) -> Vec<String> {
    report.findings.iter().map(line).chain([summary(report)]).collect()
}

/// The warnings, a line each: for who pushes in spite of them.
pub fn warnings(report: &Report) -> Vec<String> {
    report.findings.iter().filter(|finding| finding.level == Level::Warning).map(line).collect()
}

fn line(finding: &Finding) -> String {
    let level = match finding.level {
        Level::Fault => "fault".red().bold().to_string(),
        Level::Warning => "warning".yellow().bold().to_string(),
    };
    let Position { line, column } = finding.position;
    format!("{level} {}:{line}:{column} {}: {}", finding.file.display(), finding.pointer, finding.message)
}

fn summary(report: &Report) -> String {
    let many = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let summary = format!("{}, {}", many(report.faults, "fault"), many(report.warnings, "warning"));
    match (report.faults, report.warnings) {
        (0, 0) => summary.green().to_string(),
        (0, _) => summary.yellow().to_string(),
        _ => summary.red().to_string(),
    }
}

fn text(report: &Report) -> String {
    let mut text = String::new();
    for finding in &report.findings {
        // Writing to a String can't fail.
        let _ = writeln!(text, "{}", line(finding));
    }
    let _ = writeln!(text, "{}", summary(report));
    if !report.variants.is_empty() {
        let _ = writeln!(text, "\nVariants a route can have:");
    }
    for route in &report.variants {
        let _ = writeln!(text, "  {:<32} {:>8}  {}", route.route, route.count_text(), route.factors_text());
    }
    for (host, members) in &report.hosts {
        let _ = writeln!(text, "\nSettings on {host}:");
        for (name, value) in members {
            let _ = writeln!(text, "  {name:<14} {value}");
        }
    }
    text
}
