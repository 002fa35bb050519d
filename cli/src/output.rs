//! What every subcommand says in the same way: text for people, JSON for machines, colours on a terminal only.

use std::process::ExitCode;
use std::time::Duration;

use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};
use owo_colors::OwoColorize as _;
use serde::Serialize;

/// How the result is written to standard output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For machines: one JSON document.
    Json,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All is well.
    Well,
    /// Faults were found.
    Faults,
    /// It could not run.
    CouldNotRun,
    /// It ran, and nothing can be told yet.
    Inconclusive,
    /// Somebody else changed the pointer meanwhile.
    Overtaken,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Well => Self::SUCCESS,
            Outcome::Faults => Self::from(1),
            Outcome::CouldNotRun => Self::from(2),
            Outcome::Inconclusive => Self::from(3),
            Outcome::Overtaken => Self::from(4),
        }
    }
}

/// Writes a result: `text` makes the lines for people.
pub fn write<T: Serialize>(format: Format, result: &T, text: impl FnOnce() -> String) -> anyhow::Result<()> {
    match format {
        Format::Text => anstream::println!("{}", text().trim_end()),
        Format::Json => anstream::println!("{}", serde_json::to_string_pretty(result)?),
    }
    Ok(())
}

/// Says why a command could not run.
pub fn error(error: &anyhow::Error) {
    anstream::eprintln!("{} {error:#}", "error:".red().bold());
}

/// Writes a line beside the result: on standard error, so that the result stays clean.
pub fn line(text: &str) {
    anstream::eprintln!("{text}");
}

/// Says something beside the result: on standard error, so that the result stays clean.
pub fn note(text: &str) {
    anstream::eprintln!("{} {text}", "note:".cyan().bold());
}

/// A bar for work of `steps` steps. It shows after a second only, and on a terminal only.
pub fn progress(title: &str, steps: usize) -> ProgressBar {
    let bar = ProgressBar::new(u64::try_from(steps).unwrap_or(u64::MAX));
    late(bar, title, "{msg} {bar:32} {pos}/{len} {elapsed}")
}

/// A bar for `length` bytes; where nobody knows how many there are, it says how many there were.
pub fn transfer(title: &str, length: Option<u64>) -> ProgressBar {
    match length {
        Some(length) => late(ProgressBar::new(length), title, "{msg} {bar:32} {bytes}/{total_bytes} {elapsed}"),
        None => late(ProgressBar::new_spinner(), title, "{spinner} {msg} {bytes} {elapsed}"),
    }
}

/// Shows a bar once it is worth showing.
fn late(bar: ProgressBar, title: &str, template: &str) -> ProgressBar {
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.set_message(title.to_owned());
    bar.set_draw_target(indicatif::ProgressDrawTarget::hidden());
    let late = bar.clone();
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(1));
        if !late.is_finished() {
            late.set_draw_target(indicatif::ProgressDrawTarget::stderr());
        }
    });
    bar
}
