//! The statistics of experiments, as GrowthBook's `gbstats` 0.8.0 computes them: a test compares the two.

#[cfg(test)]
mod gbstats;

use statrs::distribution::{ChiSquared, Continuous as _, ContinuousCDF as _, StudentsT};

/// The confidence that intervals have: 95 %.
pub const ALPHA: f64 = 0.05;
/// Units for which the confidence sequence is narrowest (GrowthBook's default for sequential testing).
pub const TUNING: f64 = 5_000.0;
/// Below this a sample ratio mismatch is flagged (GrowthBook's threshold).
pub const SRM: f64 = 0.001;
/// Fewest units that an arm of a chi-square test should expect (Cochran's rule).
const LEAST_EXPECTED: f64 = 5.0;

/// What is known of one arm: how many units, and the sum and the sum of squares of what each is worth.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Sample {
    /// Units.
    pub n: f64,
    /// Sum.
    pub sum: f64,
    /// Sum of squares.
    pub squares: f64,
    /// Every value is 0 or 1.
    pub is_rate: bool,
}

impl Sample {
    /// Adds one unit.
    pub fn add(&mut self, value: f64) {
        self.n += 1.0;
        self.sum += value;
        self.squares += value * value;
    }

    /// Takes back a unit that was added.
    pub fn take_back(&mut self, value: f64) {
        self.n -= 1.0;
        self.sum -= value;
        self.squares -= value * value;
    }

    /// The mean; 0 of nothing.
    pub fn mean(&self) -> f64 {
        if self.n > 0.0 { self.sum / self.n } else { 0.0 }
    }

    /// The variance of one unit's value.
    pub fn variance(&self) -> f64 {
        if self.is_rate {
            self.mean() * (1.0 - self.mean())
        } else if self.n <= 1.0 {
            0.0
        } else {
            (self.squares - self.sum.powi(2) / self.n) / (self.n - 1.0)
        }
    }
}

/// An interval.
pub type Interval = [f64; 2];

/// An arm beside the baseline: the relative difference of the means (delta method).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Comparison {
    /// (arm − baseline) / baseline.
    pub lift: f64,
    /// The asymptotic confidence sequence: it holds at every look at once (Waudby-Smith et al., arXiv 2103.06476, equation 9).
    pub sequence: Interval,
    /// The p value that belongs to it.
    pub sequence_p: f64,
    /// Welch's interval: it holds at one look that was named in advance.
    pub fixed: Interval,
    /// The p value that belongs to it.
    pub fixed_p: f64,
}

/// Compares an arm `b` with the baseline `a`; `None` where there is nothing to compare: a baseline of 0, or no variance.
pub fn compare(a: &Sample, b: &Sample, tuning: f64) -> Option<Comparison> {
    let (mean_a, mean_b, var_a, var_b) = (a.mean(), b.mean(), a.variance(), b.variance());
    if mean_a == 0.0 || !(var_a > 0.0 && var_b > 0.0) || a.n < 2.0 || b.n < 2.0 {
        return None;
    }
    let lift = (mean_b - mean_a) / mean_a;
    let variance = lift_variance(a, b);
    let error = variance.sqrt();
    let freedom = (var_b / b.n + var_a / a.n).powi(2)
        / (var_b.powi(2) / (b.n.powi(2) * (b.n - 1.0)) + var_a.powi(2) / (a.n.powi(2) * (a.n - 1.0)));
    let student = StudentsT::new(0.0, 1.0, freedom).ok()?;
    let around = |width: f64| [lift - width, lift + width];

    let n = a.n + b.n;
    let rho = rho(tuning);
    let grown = n * rho.powi(2) + 1.0;
    let evidence = (rho.powi(2) * (lift.powi(2) * n / variance) / (2.0 * grown)).exp() / grown.sqrt();
    Some(Comparison {
        lift,
        sequence: around(half_width(variance, n, tuning)),
        sequence_p: (1.0 / evidence).min(1.0),
        fixed: around(quantile(&student) * error),
        fixed_p: 2.0 * student.sf((lift / error).abs()),
    })
}

/// The variance of the relative difference (delta method).
fn lift_variance(a: &Sample, b: &Sample) -> f64 {
    let (mean_a, mean_b) = (a.mean(), b.mean());
    b.variance() / (mean_a.powi(2) * b.n) + a.variance() * mean_b.powi(2) / (mean_a.powi(4) * a.n)
}

/// The sequence's parameter (the same paper, equation 161).
fn rho(tuning: f64) -> f64 {
    ((-2.0 * ALPHA.ln() + (-2.0 * ALPHA.ln() + 1.0).ln()) / tuning).sqrt()
}

/// Half the width of the sequence of an estimate with this variance, from `n` units.
pub fn half_width(variance: f64, n: f64, tuning: f64) -> f64 {
    let rho = rho(tuning);
    let grown = n * rho.powi(2) + 1.0;
    (variance * n).sqrt() * (2.0 * grown * (grown.sqrt() / ALPHA).ln() / (n * rho).powi(2)).sqrt()
}

/// The quantile of Student's t that a two-sided interval needs. Newton's steps from the normal quantile, which is never above it, stay below
/// and come closer, for the distribution is concave there; the crate's own quantile is slow, and exact to some digits only.
fn quantile(student: &StudentsT) -> f64 {
    /// The normal quantile of 1 − α/2.
    const NORMAL: f64 = 1.959_963_984_540_054;
    let mut at = NORMAL;
    for _ in 0..100 {
        let step = (1.0 - ALPHA / 2.0 - student.cdf(at)) / student.pdf(at);
        if !step.is_finite() || step.abs() <= 1e-15 * at {
            break;
        }
        at += step;
    }
    at
}

/// The p value of a sample ratio: chi-square of what was counted against the weights. 1 where nothing was counted; arms of weight 0 are
/// left out.
pub fn sample_ratio(counts: &[f64], weights: &[f64]) -> f64 {
    let (counted, weight): (f64, f64) = (counts.iter().sum(), weights.iter().sum());
    if counted <= 0.0 || weight <= 0.0 {
        return 1.0;
    }
    let parts = counts.iter().zip(weights).filter(|(_, weight)| **weight > 0.0);
    let square = parts
        .map(|(count, own)| {
            let expected = own / weight * counted;
            (count - expected).powi(2) / expected
        })
        .sum();
    chi_square(square, counts.len())
}

/// Whether every arm expects enough units for [`sample_ratio`].
pub fn is_enough(counts: &[f64], weights: &[f64]) -> bool {
    let (counted, weight): (f64, f64) = (counts.iter().sum(), weights.iter().sum());
    counts.len() > 1 && weight > 0.0 && weights.iter().all(|own| own / weight * counted >= LEAST_EXPECTED)
}

/// The p value of a share that should be the same in every arm: chi-square of `hits` of `totals`. `None` where there are too few.
pub fn same_share(hits: &[f64], totals: &[f64]) -> Option<f64> {
    let (hit, total): (f64, f64) = (hits.iter().sum(), totals.iter().sum());
    let share = hit / total;
    if !(total > 0.0 && share > 0.0 && share < 1.0) {
        return None;
    }
    let mut square = 0.0;
    for (hit, total) in hits.iter().zip(totals) {
        let expected = share * total;
        if expected < LEAST_EXPECTED || total - expected < LEAST_EXPECTED {
            return None;
        }
        square += (hit - expected).powi(2) / expected + (hit - expected).powi(2) / (total - expected);
    }
    Some(chi_square(square, hits.len()))
}

fn chi_square(square: f64, arms: usize) -> f64 {
    let freedom = arms as f64 - 1.0;
    ChiSquared::new(freedom).map_or(1.0, |distribution| distribution.sf(square))
}

/// How many times the present units it takes until an effect of `least` could be told; `None` beyond a thousand times.
pub fn units_needed(a: &Sample, b: &Sample, least: f64) -> Option<f64> {
    let (variance, n) = (lift_variance(a, b), a.n + b.n);
    if !(variance.is_finite() && variance > 0.0) {
        return None;
    }
    let mut factor = 1.0;
    while factor <= 1_000.0 {
        if half_width(variance / factor, n * factor, TUNING) <= least {
            return Some(factor);
        }
        factor *= 1.02;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-9, "{found} is not {expected}");
    }

    #[test]
    fn a_share_of_half_is_compared_as_gbstats_does() {
        near(sample_ratio(&[1_000.0, 1_200.0], &[0.5, 0.5]), 2.007_865_612_426_481e-5);
        near(sample_ratio(&[0.0, 0.0], &[0.5, 0.5]), 1.0);
    }

    #[test]
    fn nothing_is_told_of_nothing() {
        let rate = |n: f64, sum: f64| Sample { n, sum, squares: sum, is_rate: true };
        assert_eq!(compare(&rate(10.0, 0.0), &rate(10.0, 5.0), TUNING), None);
        assert_eq!(compare(&rate(10.0, 10.0), &rate(10.0, 5.0), TUNING), None);
        assert_eq!(compare(&rate(0.0, 0.0), &rate(0.0, 0.0), TUNING), None);
        assert_eq!(same_share(&[0.0, 0.0], &[5.0, 5.0]), None);
    }

    #[test]
    fn more_units_narrow_the_sequence_until_an_effect_shows() {
        let arm = Sample { n: 10_000.0, sum: 300.0, squares: 300.0, is_rate: true };
        let factor = units_needed(&arm, &arm, 0.05).unwrap();
        let more = Sample { n: arm.n * factor, sum: arm.sum * factor, squares: arm.squares * factor, ..arm };
        let found = compare(&more, &more, TUNING).unwrap();
        assert!(found.sequence[1] <= 0.05 && found.sequence[1] > 0.048, "{factor} {found:?}");
        assert_eq!(units_needed(&arm, &arm, 0.000_01), None);
    }
}
