//! `cargo xtask map`: what a visitor waits for, by how far away the decision is made.
//!
//! The same page of the demo shop, personalized beside the visitor and in one data centre. The service is the same both ways, so that
//! nothing differs but the way: which bytes have to travel how often between which cities.

mod cache;
mod cities;
mod drawing;
mod measure;
mod report;
mod stand;
mod ways;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Args;

use crate::{project, setup, viceroy};
use cities::Latencies;
use measure::Measured;
use stand::Stand;

/// Measure what visitors in ten cities wait for: personalized in one data centre, and at the edge.
///
/// The demo shop's home page is asked for from each city, in ten ways: at the edge (page in its cache or not, session at hand or not), and by
/// a backend that makes one, two or three calls. The round trips between cities are put in by a relay on this machine; docs/MAP.md says what
/// else is simulated. Prints a table, and writes docs/MAP.md and docs/images/map.svg. It takes some eight minutes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cargo xtask map                     the whole measurement
  cargo xtask map --quick             a look, in two minutes; the documents stay as they are
  cargo xtask map --central Dallas    another data centre; the documents stay as they are")]
pub struct Options {
    /// The city of the central data centre; a wrong name lists the ten.
    #[arg(long, default_value = CENTRAL, value_name = "CITY")]
    central: String,
    /// Pages asked for in each city, in each way, on a new and on an open connection.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pages: u32,
    /// Milliseconds of a round trip from a visitor to the nearest data centre, in every way the same.
    #[arg(long, default_value_t = LAST_MILE, value_name = "MS", value_parser = clap::value_parser!(u32).range(0..=1000))]
    last_mile: u32,
    /// Milliseconds of a round trip between two servers of one data centre.
    #[arg(long, default_value_t = BESIDE, value_name = "MS", value_parser = clap::value_parser!(u32).range(0..=1000))]
    beside: u32,
    /// A look, not a measurement: few pages, and the documents stay as they are.
    #[arg(long)]
    quick: bool,
    /// The service, compiled; without it, it is built.
    #[arg(long, value_name = "FILE")]
    wasm: Option<PathBuf>,
}

const CENTRAL: &str = "Frankfurt";
const LAST_MILE: u32 = 10;
const BESIDE: u32 = 1;
/// Pages of a quick look.
const QUICK: u32 = 5;
/// How often the progress is shown.
const WATCH: Duration = Duration::from_secs(1);

impl Options {
    /// Whether the documents are about a run like this.
    fn is_the_documents(&self) -> bool {
        let map = (self.central.as_str(), self.last_mile, self.beside) == (CENTRAL, LAST_MILE, BESIDE);
        map && !self.quick
    }
}

/// Runs the command.
pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let latencies = Latencies::published()?;
    let central = latencies.city(&options.central)?;
    let pages = if options.quick { QUICK.min(options.pages) } else { options.pages };
    let viceroy = viceroy::program(None)?;
    let wasm = match &options.wasm {
        Some(file) => file.canonicalize().with_context(|| format!("can't read {}", file.display()))?,
        None => {
            setup::wasm_target()?;
            setup::build_wasm()?
        }
    };
    let near = stand::Near {
        last_mile: Duration::from_millis(options.last_mile.into()),
        beside: Duration::from_millis(options.beside.into()),
    };
    let mut stands = Vec::new();
    for (place, city) in latencies.cities().iter().enumerate() {
        println!("A local server for {} ({} of {})", city.name, place + 1, latencies.cities().len());
        let apart = latencies.round_trip(city, central)?;
        stands.push(Stand::raise(&viceroy, &wasm, city, apart, near)?);
    }
    let measured = measure(&stands, pages)?;
    let report = report::Report { central, near, pages, measured: &measured };
    println!("\n{}", report.tables()?);
    println!("{}\n{}\n", report.summary()?, report.left_out());
    for one in measured.iter().filter(|one| !one.errors.is_empty()) {
        println!("{}: the service said {:?}", one.city.name, one.errors);
    }
    if options.is_the_documents() {
        let docs = project::root()?.join("docs");
        std::fs::write(docs.join("MAP.md"), report.document()?)?;
        std::fs::write(docs.join("images").join("map.svg"), drawing::draw(&report)?)?;
        println!(
            "Written to docs/MAP.md and docs/images/map.svg. README.md says how much it is, too: a test compares."
        );
    } else {
        println!("docs/MAP.md stays as it is: this was not its measurement.");
    }
    Ok(ExitCode::SUCCESS)
}

/// All cities at the same time: next to all of it is waiting.
fn measure(stands: &[Stand], pages: u32) -> anyhow::Result<Vec<Measured>> {
    let longest = stands.iter().map(Stand::a_round).max().unwrap_or_default() * (pages + 1);
    println!("\n{pages} pages in each way from each city; the farthest takes {} s at least.", longest.as_secs());
    let done = AtomicUsize::new(0);
    let all = stands.len() * pages as usize;
    std::thread::scope(|scope| {
        let visitors: Vec<_> =
            stands.iter().map(|stand| scope.spawn(|| measure::from_city(stand, pages, &done))).collect();
        let (start, mut shown) = (Instant::now(), 0);
        while !visitors.iter().all(|visitor| visitor.is_finished()) {
            std::thread::sleep(WATCH);
            let tenths = done.load(Ordering::Relaxed) * 10 / all.max(1);
            if tenths > shown {
                shown = tenths;
                println!("{tenths}0 % of the pages are there, after {} s", start.elapsed().as_secs());
            }
        }
        let results = visitors.into_iter().map(|visitor| match visitor.join() {
            Ok(result) => result,
            Err(_) => anyhow::bail!("a visitor's thread panicked"),
        });
        let measured: Vec<_> = results.collect::<anyhow::Result<_>>()?;
        ensure!(!measured.is_empty(), "no city was measured");
        Ok(measured)
    })
}
