//! Quantiles of lines that stand for several requests: DDSketch (Masson, Rim, Lee, VLDB 2019), with weights and a bounded relative error.

/// The relative error: a quantile is off by at most this share of itself.
pub const ERROR: f64 = 0.008;
/// Milliseconds below which a time counts as this one.
const LEAST: f64 = 0.001;
/// Bins from `LEAST` to an hour: none can grow without bound.
const MOST_BINS: usize = 1_500;

/// How often each time occurred, in bins whose borders grow by a constant factor.
#[derive(Debug, Clone, Default)]
pub struct Sketch {
    /// The place of the first bin that is kept.
    first: usize,
    bins: Vec<u64>,
    total: u64,
}

fn gamma() -> f64 {
    (1.0 + ERROR) / (1.0 - ERROR)
}

impl Sketch {
    /// Adds a time in milliseconds that occurred `weight` times.
    pub fn add(&mut self, milliseconds: f64, weight: u64) {
        if !milliseconds.is_finite() {
            return;
        }
        let place = (milliseconds.max(LEAST) / LEAST).ln() / gamma().ln();
        // At most `MOST_BINS`, and never negative.
        let place = (place.ceil() as usize).min(MOST_BINS - 1);
        self.cover(place, place + 1);
        if let Some(bin) = self.bins.get_mut(place - self.first) {
            *bin = bin.saturating_add(weight);
        }
        self.total = self.total.saturating_add(weight);
    }

    /// Adds another's.
    pub fn merge(&mut self, other: &Self) {
        if other.bins.is_empty() {
            return;
        }
        self.cover(other.first, other.first + other.bins.len());
        for (bin, more) in self.bins.iter_mut().skip(other.first - self.first).zip(&other.bins) {
            *bin = bin.saturating_add(*more);
        }
        self.total = self.total.saturating_add(other.total);
    }

    /// Makes room for the bins from `from` to before `to`.
    fn cover(&mut self, from: usize, to: usize) {
        if self.bins.is_empty() {
            self.first = from;
        }
        if from < self.first {
            self.bins.splice(0..0, std::iter::repeat_n(0, self.first - from));
            self.first = from;
        }
        if self.first + self.bins.len() < to {
            self.bins.resize(to - self.first, 0);
        }
    }

    /// The quantile `q` (0 to 1) in milliseconds; `None` where there is nothing.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let rank = (q.clamp(0.0, 1.0) * self.total as f64).ceil().max(1.0) as u64;
        // Rounding may have made it one that isn't there.
        let rank = rank.min(self.total);
        let mut below = 0_u64;
        let place = self.bins.iter().position(|bin| {
            below = below.saturating_add(*bin);
            *bin > 0 && below >= rank
        })?;
        let power = gamma().powi(i32::try_from(place + self.first).ok()?);
        Some(LEAST * 2.0 * power / (1.0 + gamma()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_within_the_error_of_the_exact_ones() {
        let mut sketch = Sketch::default();
        let mut exact = Vec::new();
        let mut state = 7_u64;
        for _ in 0..50_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let uniform = (state >> 11) as f64 / (1_u64 << 53) as f64;
            let time = (uniform * 9.0 - 3.0).exp();
            sketch.add(time, 3);
            exact.push(time);
        }
        exact.sort_by(f64::total_cmp);
        for q in [0.01, 0.5, 0.95, 0.99, 0.999, 1.0] {
            let rank = ((q * exact.len() as f64).ceil() as usize).max(1) - 1;
            let found = sketch.quantile(q).unwrap();
            assert!((found / exact[rank] - 1.0).abs() <= 0.01, "{q}: {found} is not {}", exact[rank]);
        }
    }

    #[test]
    fn a_merged_sketch_is_that_of_all_lines() {
        let (mut all, mut left, mut right) = (Sketch::default(), Sketch::default(), Sketch::default());
        for time in 1..500_u32 {
            all.add(f64::from(time), 1);
            if time < 100 { &mut left } else { &mut right }.add(f64::from(time), 1);
        }
        left.merge(&right);
        assert_eq!(left.quantile(0.99), all.quantile(0.99));
        assert_eq!(Sketch::default().quantile(0.5), None);
    }

    #[test]
    fn no_time_breaks_it() {
        let mut sketch = Sketch::default();
        for time in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e300] {
            sketch.add(time, u64::MAX / 4);
        }
        assert!(sketch.quantile(0.5).unwrap() < 0.01 && sketch.quantile(1.0).unwrap() > 1e6);
    }
}
