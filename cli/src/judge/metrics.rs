//! Each metric, weighed for itself.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::evidence::Test;
use super::gather::{FALLBACK, Gathered, Measured, SERVER_ERROR, Shares, Side, VCPU, Visitor};
use crate::report::moment::Micros;
use crate::report::statistics::{Sample, TUNING, half_width};

/// Ways to fail that are looked at in any case; error codes as they come.
const FIXED: [&str; 3] = [SERVER_ERROR, FALLBACK, VCPU];
/// The share of alpha that the fixed ways have together; the codes have the rest.
const OF_FIXED: f64 = 0.5;
/// Visitors that each side needs before its times count: below, a normal approximation says nothing.
const FEWEST: f64 = 100.0;

/// What comes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Not worse by more than the margin.
    Go,
    /// Worse.
    Regression,
    /// It can't be told.
    Inconclusive,
}

impl Verdict {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Go => "go",
            Self::Regression => "regression",
            Self::Inconclusive => "inconclusive",
        }
    }
}

/// What a metric is measured in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Failing visitors of all visitors; differences are absolute.
    Share,
    /// Milliseconds, as the geometric mean over visitors; differences are relative.
    Milliseconds,
}

impl Unit {
    /// A value, for people.
    pub fn shown(self, value: f64) -> String {
        match self {
            Self::Share => format!("{:.2} %", value * 100.0),
            Self::Milliseconds => format!("{value:.2} ms"),
        }
    }

    /// What a difference is in, times a hundred.
    pub fn of_difference(self) -> &'static str {
        match self {
            Self::Share => "pp",
            Self::Milliseconds => "%",
        }
    }
}

/// One metric.
#[derive(Debug, Clone, Serialize)]
pub struct Metric {
    /// `5xx`, `fallback`, `vcpu`, an error code, `edge_ms`, `edge_ms:cold`, `total_ms`.
    pub name: String,
    /// What it is measured in.
    pub unit: Unit,
    /// The baseline's value.
    pub baseline: f64,
    /// The canary's value.
    pub canary: f64,
    /// For shares the test's evidence (1 is none); for times the lower bound of the relative difference.
    pub evidence: f64,
    /// What the evidence must reach for a regression.
    pub threshold: f64,
    /// The upper bound of the difference (95 %, at every look); `None` where nothing can be said.
    pub upper: Option<f64>,
    /// What the upper bound must be below for go.
    pub margin: f64,
    /// What comes out.
    pub verdict: Verdict,
    /// Whether the whole verdict depends on it.
    pub counts: bool,
}

/// What differences matter.
#[derive(Debug, Clone, Copy)]
pub struct Margins {
    /// Of the share of failing visitors, absolute.
    pub share: f64,
    /// Of times, relative.
    pub latency: f64,
}

/// Weighs every metric of what was gathered.
pub fn weigh(gathered: &Gathered, alpha: f64, margins: Margins) -> Vec<Metric> {
    let fixed = f64::from(u32::try_from(FIXED.len()).unwrap_or(1));
    let shares = gathered.shares();
    let share = |name: &str, alpha: f64| share(gathered, &shares, name, alpha, margins.share);
    let mut metrics: Vec<Metric> = FIXED.iter().map(|name| share(name, alpha * OF_FIXED / fixed)).collect();
    for (place, name) in codes(gathered).into_iter().enumerate() {
        // In the order of their first appearance, which is known before they are weighed: 6/π² · 1/k² adds up to 1.
        let k = f64::from(u32::try_from(place + 1).unwrap_or(u32::MAX));
        let own = alpha * (1.0 - OF_FIXED) * 6.0 / (std::f64::consts::PI * k).powi(2);
        metrics.push(share(name, own));
    }
    for (name, times) in [
        ("edge_ms", (|times| times.edge) as fn(&Measured<Sample>) -> Sample),
        ("edge_ms:cold", |times| times.edge_cold),
        ("total_ms", |times| times.total),
    ] {
        metrics.push(latency(name, gathered.sides.each_ref().map(|side| times(&side.times)), margins.latency));
    }
    metrics
}

/// The error codes of both, the first to appear first.
fn codes(gathered: &Gathered) -> Vec<&str> {
    let names: BTreeSet<&str> =
        gathered.sides.iter().flat_map(|side| side.failures.keys()).map(String::as_str).collect();
    let first = |name: &str| {
        let of = |side: &Side| side.failures.get(name).and_then(|visitors| visitors.values().min().copied());
        gathered.sides.iter().filter_map(of).min()
    };
    let mut codes: Vec<&str> = names.into_iter().filter(|name| !FIXED.contains(name)).collect();
    codes.sort_by_key(|name| first(name));
    codes
}

fn share(gathered: &Gathered, shares: &Shares, name: &str, alpha: f64, margin: f64) -> Metric {
    let failures = |index: usize| gathered.sides.get(index).and_then(|side| side.failures.get(name));
    // Whoever has failed under the one can't fail for the first time under the other: visitors change sides while the canary grows.
    let mut earliest: BTreeMap<Visitor, (Micros, bool)> = BTreeMap::new();
    for (index, is_canary) in [(0, false), (1, true)] {
        for (visitor, at) in failures(index).into_iter().flatten() {
            let known = earliest.entry(*visitor).or_insert((*at, is_canary));
            *known = (*known).min((*at, is_canary));
        }
    }
    let mut first: Vec<(Micros, bool)> = earliest.into_values().collect();
    first.sort_unstable();
    let mut test = Test::default();
    for (at, is_canary) in first {
        test.failed(is_canary, shares.at(at));
    }
    let count = |index: usize| failures(index).map_or(0.0, |visitors| as_f64(visitors.len()));
    let [people_a, people_b] = gathered.sides.each_ref().map(|side| as_f64(side.visitors()));
    let rate = |failed: f64, people: f64| if people > 0.0 { failed / people } else { 0.0 };
    let (baseline, canary) = (rate(count(0), people_a), rate(count(1), people_b));
    // With one failing and one sound visitor more on each side: none of a hundred isn't none at all.
    let guarded = |failed: f64, people: f64| {
        let share = (failed + 1.0) / (people + 2.0);
        share * (1.0 - share) / people.max(1.0)
    };
    let variance = guarded(count(0), people_a) + guarded(count(1), people_b);
    let known = people_a > 0.0 && people_b > 0.0;
    let upper = known.then(|| canary - baseline + half_width(variance, people_a + people_b, TUNING));
    let (evidence, threshold) = (test.evidence(), 1.0 / alpha);
    let verdict = verdict(evidence >= threshold, upper, margin);
    Metric {
        name: name.to_owned(),
        unit: Unit::Share,
        baseline,
        canary,
        evidence,
        threshold,
        upper,
        margin,
        verdict,
        counts: true,
    }
}

fn latency(name: &str, [a, b]: [Sample; 2], margin: f64) -> Metric {
    let counts = a.n >= FEWEST && b.n >= FEWEST;
    let difference = b.mean() - a.mean();
    // Where all are the same, rounding may leave less than nothing.
    let variance = |sample: &Sample| sample.variance().max(0.0) / sample.n;
    let width = counts.then(|| half_width(variance(&a) + variance(&b), a.n + b.n, TUNING));
    let relative = |logarithm: f64| logarithm.exp() - 1.0;
    let evidence = width.map_or(0.0, |width| relative(difference - width));
    let upper = width.map(|width| relative(difference + width));
    let mean = |sample: &Sample| if sample.n > 0.0 { sample.mean().exp() } else { 0.0 };
    // What is few in cold sandboxes stays few: it doesn't hold everything up.
    let counts = counts || name == "edge_ms";
    Metric {
        name: name.to_owned(),
        unit: Unit::Milliseconds,
        baseline: mean(&a),
        canary: mean(&b),
        evidence,
        threshold: margin,
        upper,
        margin,
        verdict: verdict(width.is_some() && evidence > margin, upper, margin),
        counts,
    }
}

fn verdict(is_worse: bool, upper: Option<f64>, margin: f64) -> Verdict {
    match upper {
        _ if is_worse => Verdict::Regression,
        Some(upper) if upper < margin => Verdict::Go,
        _ => Verdict::Inconclusive,
    }
}

fn as_f64(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::from(u32::MAX), f64::from)
}
