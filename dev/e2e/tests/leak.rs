//! Promise 1, in a short run of `cargo xtask leak`: leaked answers ÷ answers, through the real service and a Varnish below it.
#![allow(clippy::expect_used, reason = "a test may stop at a surprise")]

use e2e::leak::{Options, run};

const RESPONSES: usize = 5_000;
/// A round and a bit: a cache that keeps everything leaks at once.
const FEW: usize = 500;

#[test]
fn nobody_gets_what_is_anothers_under_random_rules() {
    let options = Options { responses: RESPONSES, ..Options::default() };
    let outcome = run(&options, |_| ());
    println!(
        "seed {:#x}: {} leaks in {} answers of {} rule sets; {} through Varnish, {} from its cache; {} keys, {} from the cache behind",
        options.seed,
        outcome.leaks.len(),
        outcome.responses(),
        outcome.rounds,
        outcome.below,
        outcome.hits,
        outcome.seen.keys,
        outcome.seen.stored
    );
    assert!(outcome.leaks.is_empty(), "{}", outcome.again.unwrap_or_default());
    assert!(outcome.is_well(), "{:#?} {:#?} {:#?}", outcome.seen, outcome.faults, outcome.unanswered);
    assert!(
        outcome.seen.stored > outcome.seen.keyed / 10,
        "the cache behind the edge was of no use: {:?}",
        outcome.seen
    );
    assert!(
        outcome.variants > outcome.responses() / 2,
        "{} of {} were variants",
        outcome.variants,
        outcome.responses()
    );
    assert!(!outcome.has_varnish || outcome.hits > outcome.below / 100, "Varnish was of no use: {outcome:?}");
}

#[test]
fn a_cache_that_keeps_everything_is_caught_leaking() {
    let outcome = run(&Options { responses: FEW, careless: true, ..Options::default() }, |_| ());
    if !outcome.has_varnish {
        return;
    }
    let again = outcome.again.as_deref().expect("it leaks");
    println!("{} leaks in {} answers; the first one:\n{again}", outcome.leaks.len(), outcome.responses());
    assert!(again.contains("--seed") && again.contains("visitor"), "{again}");
}
