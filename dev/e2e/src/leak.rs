//! Promise 1 as a figure: leaked answers ÷ answers.
//!
//! Round by round, random rules are put into the running service, and marked visitors ask for the same URLs: of the service itself, and of
//! a Varnish below it. Behind the service stands the cache that Fastly has there ([`origin`]). Each answer is compared with what this
//! visitor has to get ([`truth`]), and searched for the marks of all others ([`judge`]).

pub mod judge;
pub mod origin;
mod report;
mod stand;
pub mod truth;
pub mod visitors;

use std::time::{Duration, Instant};

use serde_json::Value;

use judge::Finding;
use origin::Seen;
pub use report::{describe, write};
use stand::{CROWD, Stand};

/// The host that everybody asks.
pub(crate) const HOST: &str = "shop.example";
/// What is run.
#[derive(Debug, Clone)]
pub struct Options {
    /// At least so many answers, to the end of a round.
    pub responses: usize,
    /// Everything random follows from it.
    pub seed: u64,
    /// Only this round.
    pub round: Option<usize>,
    /// Ends after this time, with whatever was tried.
    pub limit: Option<Duration>,
    /// The Varnish keeps everything for everybody: leaks must be found then.
    pub careless: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { responses: 1_000_000, seed: 0x5eed, round: None, limit: None, careless: false }
    }
}

/// Which way a request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Way {
    /// To the service.
    Direct,
    /// To a Varnish below it.
    Below,
}

/// One answer that is somebody else's.
#[derive(Debug, Clone)]
pub struct Leak {
    /// The round.
    pub round: usize,
    /// Who got it.
    pub visitor: usize,
    /// By which way.
    pub way: Way,
    /// Method and target.
    pub asked: String,
    /// What is wrong.
    pub findings: Vec<Finding>,
}

/// What was found so far.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Rule sets.
    pub rounds: usize,
    /// Answers of the service itself.
    pub direct: usize,
    /// Answers that came through Varnish.
    pub below: usize,
    /// Those of them that were in its cache.
    pub hits: usize,
    /// Answers whose truth names a variant.
    pub variants: usize,
    /// Requests that got no answer.
    pub unanswered: usize,
    /// Rules that were left out; none should be.
    pub faults: Vec<Value>,
    /// Cache keys of the service's own requests.
    pub seen: Seen,
    /// The leaks.
    pub leaks: Vec<Leak>,
    /// How the first leak is seen again, in words.
    pub again: Option<String>,
    /// Whether there was a Varnish.
    pub has_varnish: bool,
    /// How long it took.
    pub took: Duration,
}

impl Outcome {
    /// All answers.
    #[must_use]
    pub fn responses(&self) -> usize {
        self.direct + self.below
    }

    /// Whether the promise was kept, and was tried.
    #[must_use]
    pub fn is_well(&self) -> bool {
        let keys = self.seen.collisions.is_empty() && self.seen.splits.is_empty();
        keys && self.leaks.is_empty() && self.faults.is_empty() && self.unanswered == 0
    }

    /// Answers a second.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "exact up to 2^53 answers")]
    pub fn rate(&self) -> f64 {
        self.responses() as f64 / self.took.as_secs_f64().max(0.001)
    }

    fn add(&mut self, other: Self) {
        self.direct += other.direct;
        self.below += other.below;
        self.hits += other.hits;
        self.variants += other.variants;
        self.unanswered += other.unanswered;
        self.leaks.extend(other.leaks);
        self.faults.extend(other.faults);
    }
}

/// Runs it; `progress` is called after each round.
///
/// # Panics
///
/// The programs can't be started.
pub fn run(options: &Options, mut progress: impl FnMut(&Outcome)) -> Outcome {
    let mut stand = Stand::start(options);
    let begun = Instant::now();
    let mut outcome = Outcome { has_varnish: stand.has_varnish(), ..Outcome::default() };
    let everybody: Vec<usize> = (0..CROWD).collect();
    for round in options.round.map_or(0..usize::MAX, |round| round..round + 1) {
        let of_round = stand.round(round, &everybody);
        outcome.rounds += 1;
        outcome.add(of_round);
        outcome.seen = stand.seen();
        outcome.took = begun.elapsed();
        progress(&outcome);
        let late = options.limit.is_some_and(|limit| outcome.took >= limit);
        if late || outcome.responses() >= options.responses || !outcome.is_well() {
            break;
        }
    }
    if let Some(leak) = outcome.leaks.first() {
        outcome.again = Some(stand.again(leak));
    }
    outcome
}
