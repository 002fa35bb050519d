//! `cargo xtask test`: everything that says whether this works, in one command.

mod steps;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};

/// Run every check: format, clippy, host tests, the wasm, end-to-end tests, documentation, workflows, Fastly's CLI.
#[derive(Debug, Args)]
pub struct Options {
    /// Only what needs no wasm and no local server: format, clippy, host tests. Seconds when warm.
    #[arg(long)]
    host: bool,
    /// Only these steps (the wasm is built for those that need it).
    #[arg(long, value_name = "STEP", conflicts_with = "host")]
    only: Vec<Step>,
    /// For the end-to-end tests: a filter, and options of the test program.
    #[arg(last = true, value_name = "TEST ARGUMENTS")]
    rest: Vec<String>,
}

/// The steps, in the order in which they run: the quick ones first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Step {
    /// rustfmt
    Format,
    /// clippy of everything, warnings are errors
    Clippy,
    /// host tests
    Tests,
    /// clippy of the service for wasm
    WasmClippy,
    /// the release build of the service
    Wasm,
    /// the real wasm under the real local server
    E2e,
    /// rustdoc, warnings are errors
    Docs,
    /// clippy of the native bench, a workspace of its own
    NativeBench,
    /// actionlint on GitHub's workflows
    Workflows,
    /// how many real crawlers are known, and real browsers mistaken
    Bots,
    /// statistics of experiments, beside GrowthBook's own program
    Gbstats,
    /// sql/ in ClickHouse's and DuckDB's engines, beside the report
    Sql,
    /// each alert of ops/ rings when its fault happens, and none in a healthy week
    Alerts,
    /// OpenFeature's own providers ask for flags; GrowthBook's own bundle takes them over
    Flags,
    /// Fastly's own CLI builds, validates and serves it
    FastlyCli,
}

impl Step {
    fn title(self) -> &'static str {
        match self {
            Self::Format => "format",
            Self::Clippy => "clippy",
            Self::Tests => "host tests",
            Self::WasmClippy => "clippy of the wasm",
            Self::Wasm => "wasm build",
            Self::E2e => "end-to-end tests",
            Self::Docs => "documentation",
            Self::NativeBench => "native bench's clippy",
            Self::Workflows => "workflows",
            Self::Bots => "crawlers, browsers",
            Self::Gbstats => "gbstats",
            Self::Sql => "sql",
            Self::Alerts => "alerts",
            Self::Flags => "OpenFeature's providers",
            Self::FastlyCli => "Fastly's CLI",
        }
    }

    fn is_for_host(self) -> bool {
        matches!(self, Self::Format | Self::Clippy | Self::Tests)
    }
}

/// How a step ended.
pub enum Outcome {
    Passed,
    /// It couldn't run here; this says why, and what helps.
    Skipped(String),
    Failed(anyhow::Error),
}

/// Runs the steps, all of them even when one fails, and sums up.
pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let all = Step::value_variants().iter().copied();
    let wanted = |step: &Step| options.only.is_empty() || options.only.contains(step);
    let steps: Vec<Step> = all.filter(|step| wanted(step) && (step.is_for_host() || !options.host)).collect();
    let start = Instant::now();
    let mut done = Vec::new();
    for (number, step) in steps.iter().enumerate() {
        println!("\n=== {} of {}: {} ===", number + 1, steps.len(), step.title());
        let begin = Instant::now();
        let outcome = steps::run(*step, &options.rest).unwrap_or_else(Outcome::Failed);
        match &outcome {
            Outcome::Passed => {}
            Outcome::Skipped(why) => println!("skipped: {why}"),
            Outcome::Failed(error) => println!("FAILED: {error:#}"),
        }
        done.push((*step, outcome, begin.elapsed()));
    }
    Ok(sum_up(&done, start.elapsed()))
}

fn sum_up(done: &[(Step, Outcome, Duration)], total: Duration) -> ExitCode {
    println!();
    let (mut passed, mut skipped, mut failed) = (0, 0, Vec::new());
    for (step, outcome, time) in done {
        let word = match outcome {
            Outcome::Passed => {
                passed += 1;
                "ok"
            }
            Outcome::Skipped(_) => {
                skipped += 1;
                "skipped"
            }
            Outcome::Failed(_) => {
                failed.push(step.title());
                "FAILED"
            }
        };
        println!("{:<20} {word:<8} {:>7.1} s", step.title(), time.as_secs_f64());
    }
    let skips = if skipped > 0 { format!(", {skipped} skipped") } else { String::new() };
    let total = total.as_secs_f64();
    if failed.is_empty() {
        println!("\nPASSED: {passed} of {} steps{skips}, in {total:.1} s", done.len());
        ExitCode::SUCCESS
    } else {
        println!("\nFAILED: {} ({passed} of {} steps passed{skips}), in {total:.1} s", failed.join(", "), done.len());
        ExitCode::FAILURE
    }
}
