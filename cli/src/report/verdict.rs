//! What a comparison means, in a word and in a sentence.

use super::metric::{Arm, Kind};
use super::model::Verdict;
use super::statistics::{Comparison, Interval};

/// Fewest units with a value in each arm before a mean of values is judged: below it an interval of 95 % holds less often, for a few large
/// orders decide.
pub const LEAST_VALUES: u64 = 500;
/// Fewest units in each arm that did it before a share is judged.
pub const LEAST_RATE: u64 = 30;

/// What is known of a comparison.
#[derive(Debug, Clone, Copy)]
pub struct Known<'k> {
    /// The metric's name.
    pub metric: &'k str,
    /// What of the event is counted.
    pub kind: Kind,
    /// The variation's key.
    pub variation: &'k str,
    /// The baseline's arm.
    pub baseline: &'k Arm,
    /// The variation's.
    pub arm: &'k Arm,
    /// The comparison, if there is one.
    pub compared: Option<&'k Comparison>,
    /// The interval at the horizon, once it has passed.
    pub fixed: Option<Interval>,
    /// The relative difference that matters.
    pub least: f64,
    /// Days until one of that size could be told.
    pub days_left: Option<f64>,
    /// Why nothing of this experiment or metric can be trusted.
    pub untrusted: Option<&'k str>,
}

/// The verdict, and why.
pub fn verdict(known: &Known<'_>) -> (Verdict, String) {
    let Known { metric, variation, .. } = *known;
    if let Some(why) = known.untrusted {
        return (Verdict::Untrusted, format!("{metric} of variation {variation} can't be trusted: {why}"));
    }
    let fewest = known.baseline.did.min(known.arm.did);
    let needed = if known.kind == Kind::Rate { LEAST_RATE } else { LEAST_VALUES };
    let cant =
        |why: String| (Verdict::Undecided, format!("{metric} of variation {variation} can't be told because {why}"));
    if fewest < needed {
        return cant(format!("there are too few: {fewest} units did it in the smaller arm, and {needed} are needed"));
    }
    let Some(compared) = known.compared else {
        return cant("there is nothing to compare: the baseline is 0, or all units are alike".to_owned());
    };
    if known.baseline.sample.mean() < 0.0 {
        return cant(
            "the baseline's mean is below 0, and a share of that has no direction: send the values without their sign"
                .to_owned(),
        );
    }
    let (interval, how) = match known.fixed {
        Some(fixed) => (fixed, "95 % interval at the horizon"),
        None => (compared.sequence, "95 % confidence sequence"),
    };
    let [low, high] = interval;
    let figures = format!("{} ({how} {} to {})", percent(compared.lift), percent(low), percent(high));
    let farthest = low.abs().max(high.abs());
    if low > 0.0 || high < 0.0 {
        let (verdict, word) = if low > 0.0 { (Verdict::Better, "better") } else { (Verdict::Worse, "worse") };
        return (verdict, format!("{metric} of variation {variation} is {word} than the baseline: {figures}"));
    }
    if farthest <= known.least {
        let above = percent(farthest).trim_start_matches('+').to_owned();
        return (
            Verdict::Flat,
            format!("{metric} of variation {variation}: no difference above {above} so far: {figures}"),
        );
    }
    let least = percent(known.least).trim_start_matches('+').to_owned();
    let wait = match known.days_left {
        Some(days) if days < 1.0 => format!("a difference of {least} could be told within a day"),
        Some(days) => format!("a difference of {least} could be told in some {days:.0} days at this traffic"),
        None => format!("at this traffic a difference of {least} can't be told in any useful time"),
    };
    cant(format!("the interval holds 0: {figures}; {wait}"))
}

/// A share with its sign: `+1.2 %`.
pub fn percent(share: f64) -> String {
    let percent = share * 100.0;
    let digits = if percent.abs() >= 100.0 {
        0
    } else if percent.abs() >= 0.1 {
        1
    } else {
        2
    };
    let text = format!("{percent:+.digits$} %");
    if text.chars().any(|c| ('1'..='9').contains(&c)) { text } else { "0 %".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::super::statistics::{Sample, TUNING, compare};
    use super::*;

    fn arm(n: f64, did: u32) -> Arm {
        let sum = f64::from(did);
        Arm { sample: Sample { n, sum, squares: sum, is_rate: true }, did: u64::from(did) }
    }

    fn told(baseline: (f64, u32), other: (f64, u32), change: impl FnOnce(&mut Known<'_>)) -> (Verdict, String) {
        told_of(arm(baseline.0, baseline.1), arm(other.0, other.1), change)
    }

    fn told_of(baseline: Arm, arm: Arm, change: impl FnOnce(&mut Known<'_>)) -> (Verdict, String) {
        let compared = compare(&baseline.sample, &arm.sample, TUNING);
        let mut known = Known {
            metric: "order:rate",
            kind: Kind::Rate,
            variation: "1",
            baseline: &baseline,
            arm: &arm,
            compared: compared.as_ref(),
            fixed: None,
            least: 0.02,
            days_left: Some(12.3),
            untrusted: None,
        };
        change(&mut known);
        verdict(&known)
    }

    #[test]
    fn every_verdict_says_why() {
        for (baseline, other, verdict, said) in [
            ((20_000.0, 1_000), (20_000.0, 1_400), Verdict::Better, "is better than the baseline: +40.0 % ("),
            ((20_000.0, 1_400), (20_000.0, 1_000), Verdict::Worse, "is worse than the baseline: -28.6 % ("),
            ((2e6, 1_000_000), (2e6, 1_000_100), Verdict::Flat, "no difference above 0.4 % so far"),
            (
                (20_000.0, 1_000),
                (20_000.0, 1_010),
                Verdict::Undecided,
                "a difference of 2.0 % could be told in some 12 days",
            ),
            ((200.0, 29), (200.0, 60), Verdict::Undecided, "there are too few: 29 units"),
        ] {
            let (found, why) = told(baseline, other, |_| {});
            assert!(found == verdict && why.contains(said), "{found:?}: {why}");
        }
    }

    #[test]
    fn nothing_is_said_of_figures_that_cant_be_trusted() {
        let found = told((20_000.0, 1_000), (20_000.0, 1_400), |known| known.untrusted = Some("visitors are lost"));
        assert_eq!(found.0, Verdict::Untrusted);
        assert!(found.1.ends_with("can't be trusted: visitors are lost") && !found.1.contains('+'), "{}", found.1);
    }

    #[test]
    fn money_needs_five_hundred_orders_an_arm() {
        let found = told((20_000.0, 499), (20_000.0, 900), |known| known.kind = Kind::Value(None));
        assert!(found.0 == Verdict::Undecided && found.1.contains("500 are needed"), "{}", found.1);
    }

    #[test]
    fn a_mean_below_zero_has_no_better_and_no_worse() {
        let refunds = |sum| Arm { sample: Sample { n: 2_000.0, sum, squares: 300_000.0, is_rate: false }, did: 2_000 };
        let (verdict, why) = told_of(refunds(-20_000.0), refunds(-10_000.0), |known| known.kind = Kind::Value(None));
        assert!(verdict == Verdict::Undecided && why.contains("mean is below 0"), "{why}");
    }

    #[test]
    fn shares_are_short() {
        for (share, text) in
            [(0.0123, "+1.2 %"), (-0.5, "-50.0 %"), (2.0, "+200 %"), (0.000_5, "+0.05 %"), (-0.000_001, "0 %")]
        {
            assert_eq!(percent(share), text);
        }
    }
}
