//! `personalizer conformance FILE`: whether assignments are those of every GrowthBook SDK.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use edge_personalizer::growthbook::conformance::{self, Report};

use crate::output::Outcome;

/// Run a conformance file of the GrowthBook SDK specification.
///
/// Exits with 0 if every case passes, with 1 if one fails, with 2 if the file can't be read.
#[derive(Debug, Args)]
pub struct Arguments {
    /// JSON in the layout of the specification's own file; sections may be absent.
    file: PathBuf,
    /// How the result is written.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// One line for each section, and each failing case with what was expected and what was found.
    Text,
    /// One JSON object.
    Json,
}

/// Runs the file and prints the outcome.
pub fn run(arguments: &Arguments) -> Outcome {
    let report = match read(&arguments.file) {
        Ok(file) => conformance::run(&file),
        Err(message) => {
            eprintln!("{}: {message}", arguments.file.display());
            return Outcome::CouldNotRun;
        }
    };
    let mut output = std::io::stdout().lock();
    let printed = match arguments.format {
        Format::Text => print_text(&report, &mut output),
        Format::Json => print_json(&report, &mut output),
    };
    // A reader that went away (`| head`) doesn't change the outcome.
    drop(printed);
    if report.failed() == 0 { Outcome::Well } else { Outcome::Faults }
}

fn read(path: &Path) -> Result<serde_json::Value, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let file: serde_json::Value =
        serde_json::from_str(&text).map_err(|error| format!("expected JSON, but found {error}"))?;
    if file.is_object() { Ok(file) } else { Err("expected an object of sections, but found other JSON".to_owned()) }
}

fn print_text(report: &Report, output: &mut impl Write) -> std::io::Result<()> {
    for section in &report.sections {
        writeln!(output, "{:<24}{:>4} passed {:>4} failed", section.name, section.passed, section.failed.len())?;
        for failure in &section.failed {
            writeln!(output, "  case {}: {}", failure.index, failure.name)?;
            writeln!(output, "    expected {}", failure.expected)?;
            writeln!(output, "    found    {}", failure.found)?;
        }
    }
    for name in &report.unknown {
        writeln!(output, "{name:<24}not run: no such section is known")?;
    }
    writeln!(output, "{} passed, {} failed", report.passed(), report.failed())
}

fn print_json(report: &Report, output: &mut impl Write) -> std::io::Result<()> {
    let summary = serde_json::json!({
        "specVersion": report.spec_version,
        "sections": report.sections,
        "unknown": report.unknown,
        "passed": report.passed(),
        "failed": report.failed(),
    });
    writeln!(output, "{summary:#}")
}
