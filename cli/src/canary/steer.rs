//! What to do about a canary, by what is known of it. Nothing is read or written here.

use crate::judge::Judgement;
use crate::judge::metrics::{Metric, Unit, Verdict};
use crate::report::moment::Micros;

use super::plan::{Step, shown};

/// What is known at one look.
#[derive(Debug)]
pub struct Sight<'s> {
    /// All of the canary's time: a test of who fails that takes the share of each time into account.
    pub whole: &'s Judgement,
    /// The lines of this step alone: rates and times at different shares can't be put together.
    pub step: &'s Judgement,
    /// Where it stands.
    pub at: Step,
    /// The share that is next, in percent; 100 after the last step.
    pub next: f64,
    /// Log time in this step, up to the canary's newest line.
    pub elapsed: Micros,
    /// Visitors of the canary in this step.
    pub visitors: u64,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Wait, for this.
    Hold(String),
    /// Go to the next step.
    GoOn(String),
    /// Roll back, because of this.
    RollBack(String),
}

impl Decision {
    /// The word for machines.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Hold(_) => "hold",
            Self::GoOn(_) => "go",
            Self::RollBack(_) => "rollback",
        }
    }

    /// Why.
    pub fn why(&self) -> &str {
        match self {
            Self::Hold(why) | Self::GoOn(why) | Self::RollBack(why) => why,
        }
    }
}

/// Decides.
///
/// The margins are for all visitors together: where 5 % of them get the canary, it may be twenty times as much worse without doing more harm.
/// So the bound that must be kept before a step is the margin divided by the share that follows. To be worse for sure is a regression at any
/// share.
pub fn decide(sight: &Sight<'_>) -> Decision {
    let has_baseline = sight.at.percent < 100.0;
    let by_visitors = sight.whole.metrics.iter().filter(|metric| metric.unit == Unit::Share);
    let by_times = sight.step.metrics.iter().filter(|metric| metric.unit == Unit::Milliseconds && has_baseline);
    let worse: Vec<String> = by_visitors
        .chain(by_times)
        .filter(|metric| metric.counts && metric.verdict == Verdict::Regression)
        .map(figures)
        .collect();
    if !worse.is_empty() {
        return Decision::RollBack(worse.join("; "));
    }
    let mut lacking = Vec::new();
    if sight.elapsed < sight.at.time {
        lacking.push(format!("{} of {}", shown(sight.elapsed.max(0)), shown(sight.at.time)));
    }
    if sight.visitors < sight.at.visitors.max(1) {
        lacking.push(format!("{} of {} visitors", sight.visitors, sight.at.visitors.max(1)));
    }
    // At 100 % nobody is left to compare with.
    if has_baseline {
        let factor = 100.0 / sight.next;
        let unsure: Vec<String> = sight
            .step
            .metrics
            .iter()
            .filter(|metric| metric.counts && metric.upper.is_none_or(|upper| upper >= metric.margin * factor))
            .map(|metric| unsure(metric, factor))
            .collect();
        if !unsure.is_empty() {
            lacking.push(format!("not sure yet: {}", unsure.join(", ")));
        }
    }
    if lacking.is_empty() {
        return Decision::GoOn(format!("{}, {} visitors, not worse", shown(sight.elapsed), sight.visitors));
    }
    Decision::Hold(lacking.join("; "))
}

/// A metric's values and what they are worth.
fn figures(metric: &Metric) -> String {
    let change =
        format!("{}: {} → {}", metric.name, metric.unit.shown(metric.baseline), metric.unit.shown(metric.canary));
    match metric.unit {
        Unit::Share => {
            // As in the table of `judge`: beyond a million its size says all.
            let evidence = match metric.evidence {
                huge if huge >= 1e6 => format!("{huge:.1e}"),
                evidence => format!("{evidence:.0}"),
            };
            format!("{change} of visitors (evidence {evidence}, threshold {:.0})", metric.threshold)
        }
        Unit::Milliseconds => {
            format!("{change} (at least {:+.0} %, margin {:.0} %)", metric.evidence * 100.0, metric.threshold * 100.0)
        }
    }
}

fn unsure(metric: &Metric, factor: f64) -> String {
    let unit = metric.unit.of_difference();
    let may = metric.margin * factor * 100.0;
    match metric.upper {
        Some(upper) => format!("{} (at most {:+.1} {unit}, may be {may:.1})", metric.name, upper * 100.0),
        None => format!("{} (too few visitors)", metric.name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_beyond_a_million_is_told_by_its_size() {
        let told = |evidence: f64| {
            let (name, unit, verdict) = ("5xx".to_owned(), Unit::Share, Verdict::Regression);
            let (baseline, canary, threshold, margin) = (0.01, 0.5, 600.0, 0.01);
            let upper = None;
            figures(&Metric { name, unit, baseline, canary, evidence, threshold, upper, margin, verdict, counts: true })
        };
        assert_eq!(told(4_321.4), "5xx: 1.00 % → 50.00 % of visitors (evidence 4321, threshold 600)");
        assert_eq!(told(1.234e300), "5xx: 1.00 % → 50.00 % of visitors (evidence 1.2e300, threshold 600)");
    }
}
