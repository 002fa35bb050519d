//! The long run of promise 1; `cargo xtask leak` starts it.
//!
//! Arguments: answers, seed, minutes (0: no limit), round (`-`: all of them).
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "started with whole arguments, by our own program")]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use e2e::leak::{Options, Outcome, run, write};
use e2e::programs;

/// Fewer answers are a look, no figure.
const FIGURE: usize = 50_000;
/// How often it says how far it is.
const EVERY: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let [responses, seed, minutes, round] = &given[..] else {
        eprintln!("expected answers, seed, minutes and round: run `cargo xtask leak`");
        return ExitCode::FAILURE;
    };
    let minutes: u64 = minutes.parse().expect("minutes are a number");
    let options = Options {
        responses: responses.parse().expect("answers are a number"),
        seed: seed.parse().expect("a seed is a number"),
        round: round.parse().ok(),
        limit: (minutes > 0).then(|| Duration::from_secs(minutes * 60)),
        careless: false,
    };
    println!("Starting the service, Varnish below it and an origin; seed {:#x}.", options.seed);
    let mut shown = Instant::now();
    let outcome = run(&options, |outcome| {
        if shown.elapsed() > EVERY {
            shown = Instant::now();
            println!("{}", progress(&options, outcome));
        }
    });
    println!("{}", progress(&options, &outcome));
    if !outcome.has_varnish {
        println!("Varnish is missing (Debian: apt-get install varnish): nothing below the service was tried.");
    }
    for what in outcome.seen.collisions.iter().chain(&outcome.seen.splits).take(3) {
        println!("\nKEYS: {what}");
    }
    if let Some(fault) = outcome.faults.first() {
        println!("\nRULES LEFT OUT: {fault}");
    }
    if let Some(again) = &outcome.again {
        println!("\nLEAK: {again}");
    }
    if outcome.responses() >= FIGURE {
        match write(&programs::root(), options.seed, &outcome) {
            Ok(page) => println!("Written to {}.", page.display()),
            Err(error) => eprintln!("error: {error}"),
        }
    } else {
        println!("docs/CACHING.md stays as it is: fewer than {FIGURE} answers are no figure.");
    }
    if outcome.is_well() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn progress(options: &Options, outcome: &Outcome) -> String {
    let (done, rate) = (outcome.responses(), outcome.rate());
    let left = options.responses.saturating_sub(done);
    #[allow(clippy::cast_precision_loss, reason = "an estimate")]
    let minutes = left as f64 / rate.max(1.0) / 60.0;
    format!(
        "{done} of {} answers under {} rule sets, {rate:.0} a second, some {minutes:.0} min left; leaks {}; {} through Varnish, {} \
         from its cache; {} keys ({} wrong), {} from the cache behind; unanswered {}",
        options.responses,
        outcome.rounds,
        outcome.leaks.len(),
        outcome.below,
        outcome.hits,
        outcome.seen.keys,
        outcome.seen.collisions.len() + outcome.seen.splits.len(),
        outcome.seen.stored,
        outcome.unanswered
    )
}
