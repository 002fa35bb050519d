//! `personalizer reweight`: another split for an experiment that runs, moving as few visitors as possible.

mod place;
mod split;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::Args;
use serde::Serialize;
use serde_json::{Value, json};

use crate::folder::Source;
use crate::output::{self, Format, Outcome, note};
use crate::{edit, files};
use place::Place;
use split::{Change, Split, Variation};

/// Weights are meant to sum up to one, as far as people write thirds.
const TOLERANCE: f64 = 0.001;

/// Compute bucket ranges for new weights of a running experiment, so that few visitors change their variation.
///
/// New weights alone move the bounds between all variations. These ranges move only the visitors who must move.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  personalizer reweight rules/features.json hero-line-2026 --weights 0.3,0.7
  personalizer reweight rules/experiments.json checkout --weights 0.8,0.1,0.1 --write

A visitor who changes the variation has seen two of them. That biases the results, however the ranges are cut. For results that can be
trusted start a new phase: a new 'seed' puts all visitors in a new order.

A variation that needs a second range is listed a second time, with the same 'key' in 'meta'. Variations that visitors' cookies remember
(sticky buckets) stay as they are.")]
pub struct Options {
    /// features.json or experiments.json.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The experiment's key; or the feature's, where one of its rules alone is an experiment.
    #[arg(value_name = "KEY")]
    key: String,
    /// The variations' new shares among those who take part, in the order of the variations, with the sum 1: 0.3,0.7.
    #[arg(long, value_name = "LIST", value_delimiter = ',', required = true)]
    weights: Vec<f64>,
    /// Another share of visitors who take part; without it, as many as now.
    #[arg(long, value_name = "SHARE")]
    coverage: Option<f64>,
    /// Which one, by JSON pointer, where several have this key.
    #[arg(long, value_name = "POINTER")]
    at: Option<String>,
    /// Change the file; the rest of it stays as it is written.
    #[arg(long)]
    write: bool,
    /// How the result is written.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Debug, Serialize)]
struct Reweighted {
    experiment: String,
    /// Where it stands in the file.
    pointer: String,
    variations: Vec<Variation>,
    /// What is to be written into the experiment.
    members: serde_json::Map<String, Value>,
    /// Shares of all visitors.
    #[serde(flatten)]
    change: Change,
    written: bool,
    warnings: Vec<String>,
}

/// Computes the ranges, and writes them if asked to.
pub fn run(options: &Options) -> anyhow::Result<Outcome> {
    let text = fs::read_to_string(&options.file).with_context(|| {
        format!("{}: expected features.json or experiments.json, but can't read it", options.file.display())
    })?;
    let (result, edited) = reweight(options, &text)?;
    if options.write {
        files::replace(&options.file, edited.as_bytes())?;
    }
    output::write(options.format, &result, || show(&result))?;
    if options.format == Format::Text && !options.write {
        note("the file is unchanged: --write writes the members above into it");
    }
    Ok(Outcome::Well)
}

/// The result, and the file's text with it.
fn reweight(options: &Options, text: &str) -> anyhow::Result<(Reweighted, String)> {
    let source = Source::new(options.file.clone(), text.to_owned());
    let json = source.json.map_err(|(position, message)| {
        anyhow::anyhow!("{}:{}:{}: {message}", options.file.display(), position.line, position.column)
    })?;
    let place =
        Place::find(&json, &options.key, options.at.as_deref()).with_context(|| options.file.display().to_string())?;
    let split = Split::read(place.rule).with_context(|| format!("{}: {}", options.file.display(), place.pointer))?;
    let sum: f64 = options.weights.iter().sum();
    if options.weights.len() != split.variations.len() {
        bail!(
            "--weights: expected {} weights, one a variation, but found {}",
            split.variations.len(),
            options.weights.len()
        );
    }
    if !options.weights.iter().all(|weight| (0.0..=1.0).contains(weight)) || (sum - 1.0).abs() > TOLERANCE {
        bail!("--weights: expected shares from 0 to 1 with the sum 1, but found the sum {}", (sum * 1e6).round() / 1e6);
    }
    let weights: Vec<f64> = options.weights.iter().map(|weight| weight / sum).collect();
    if let Some(coverage) = options.coverage.filter(|coverage| !(0.0..=1.0).contains(coverage)) {
        bail!("--coverage: expected a share from 0 to 1, but found {coverage}");
    }
    let next = split.reweighted(&weights, options.coverage).context("expected numbers that make a split")?;
    let members = next.members(place.rule);
    let mut expected = json.clone();
    let mut edited = source.text;
    for (key, value) in &members {
        edited = edit::set(&edited, &place.pointer, key, &split::written(value), place.behind())
            .with_context(|| format!("{}: expected an object to edit, but found none", place.pointer))?;
        if let Some(rule) = expected.pointer_mut(&place.pointer).and_then(Value::as_object_mut) {
            rule.insert(key.clone(), value.clone());
        }
    }
    // What the edit says is what was meant, or nothing is written.
    if serde_json::from_str::<Value>(&edited).ok().as_ref() != Some(&expected) {
        bail!(
            "{}: expected to change {} alone, but the text came out otherwise",
            options.file.display(),
            place.pointer
        );
    }
    let warnings = warnings(&next.change, place.rule);
    let pointer = place.pointer.clone();
    let experiment = place.key.clone();
    let result = Reweighted {
        experiment,
        pointer,
        variations: next.variations,
        members,
        change: next.change,
        written: options.write,
        warnings,
    };
    Ok((result, edited))
}

fn warnings(change: &Change, rule: &Value) -> Vec<String> {
    let mut warnings = Vec::new();
    let changed = change.moved + change.left;
    if changed > 0.0 {
        let moved = format!("{} of visitors will have seen two variations", percent(change.moved));
        let left = format!("{} leave the experiment after they have seen one", percent(change.left));
        let who = match (change.moved > 0.0, change.left > 0.0) {
            (true, true) => format!("{moved}, and {left}"),
            (true, false) => moved,
            (false, _) => left,
        };
        warnings.push(format!(
            "{who}: results from before and after the change are biased. A new phase with a new 'seed' gives clean results."
        ));
    } else if change.joined > 0.0 {
        warnings.push(
            "nobody changes the variation, but some visitors join later than others: compare variations from the day of the change."
                .to_owned(),
        );
    }
    if rule.get("hashVersion") != Some(&json!(2)) {
        warnings.push("hash version 1 has 1,000 buckets: shares are rounded to 0.1 %.".to_owned());
    }
    warnings
}

fn percent(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}

fn show(result: &Reweighted) -> String {
    let mut text = format!("{} at {}\n\n", result.experiment, result.pointer);
    // Writing to a String can't fail.
    let _ = writeln!(text, "  {:<28} {:>9} {:>9}", "variation", "now", "new");
    for variation in &result.variations {
        let name =
            variation.name.as_ref().map_or_else(|| variation.key.clone(), |name| format!("{} ({name})", variation.key));
        let _ = writeln!(text, "  {name:<28} {:>9} {:>9}", percent(variation.now), percent(variation.new));
    }
    let _ = writeln!(text);
    for (key, value) in &result.members {
        let _ = writeln!(text, "  \"{key}\": {}", split::written(value));
    }
    let Change { moved, left, joined, least, by_weights_alone } = &result.change;
    let _ = writeln!(text, "\nOf all visitors");
    let rows = [
        ("go to another variation", moved, ""),
        ("leave the experiment", left, ""),
        ("join it", joined, ""),
        ("get something else, together", &(moved + left), "(the first two)"),
        ("the least that this change can do", least, ""),
        ("what new weights alone would do", by_weights_alone, ""),
    ];
    for (what, share, remark) in rows {
        let _ = writeln!(text, "  {what:<36} {:>9} {remark}", percent(*share));
    }
    for warning in &result.warnings {
        let _ = writeln!(text, "\nwarning: {warning}");
    }
    if result.written {
        let _ = writeln!(text, "\nWritten.");
    }
    text
}
