//! Ranges of buckets, and which variation a bucket belongs to.
//!
//! Rules speak of ranges in fractions, closed below and open above. The specification computes and compares them as 64-bit
//! floats. Here each bound becomes, once, the number of the first bucket that the float comparison puts on its upper side: the comparison of whole
//! numbers that is left gives the same answer for each of the buckets there are, and neighbouring ranges share a bound, so that nobody can fall between them.

use super::hash::{Bucket, HashVersion};

/// A range in fractions, closed below and open above, as rules write it.
pub type Fractions = [f64; 2];

/// A range of buckets, closed below and open above.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval {
    from: u32,
    to: u32,
}

impl Interval {
    /// The buckets of a range, for one version of the hash.
    #[must_use]
    pub fn new([from, to]: Fractions, version: HashVersion) -> Self {
        let buckets = version.buckets();
        Self { from: first_bucket(buckets, |n| n >= from), to: first_bucket(buckets, |n| n >= to) }
    }

    /// The buckets of a rollout to a share of visitors. The specification includes the bucket at the bound (`n <= coverage`).
    #[must_use]
    pub fn rollout(coverage: f64, version: HashVersion) -> Self {
        Self { from: 0, to: first_bucket(version.buckets(), |n| n > coverage) }
    }

    /// The number of the first bucket, and of the first after.
    #[cfg(feature = "tools")]
    #[must_use]
    pub fn bounds(self) -> (u32, u32) {
        (self.from, self.to)
    }

    /// Whether a bucket is in the range.
    #[must_use]
    pub fn contains(self, bucket: Bucket) -> bool {
        (self.from..self.to).contains(&bucket.index())
    }
}

/// The first bucket whose fraction is beyond a bound; the number of buckets if none is.
fn first_bucket(buckets: u32, is_beyond: impl Fn(f64) -> bool) -> u32 {
    let (mut low, mut high) = (0, buckets);
    while low < high {
        let middle = low.midpoint(high);
        if is_beyond(f64::from(middle) / f64::from(buckets)) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    low
}

/// The specification's `inRange`.
#[must_use]
pub fn in_range(n: f64, [from, to]: Fractions) -> bool {
    n >= from && n < to
}

/// The specification's `chooseVariation`: the first range that `n` is in.
#[must_use]
pub fn choose_variation(n: f64, ranges: &[Fractions]) -> Option<usize> {
    ranges.iter().position(|range| in_range(n, *range))
}

/// The specification's `getEqualWeights`.
#[must_use]
pub fn equal_weights(variations: usize) -> Vec<f64> {
    let count = u32::try_from(variations).map_or(f64::INFINITY, f64::from);
    vec![1.0 / count; variations]
}

/// The specification's `getBucketRanges`: the ranges of an experiment that gives weights and coverage. Weights of the wrong number or
/// with a sum other than 1 (± 0.01) are replaced by equal ones.
///
/// Each range keeps its start when coverage grows: a ramp only adds visitors.
#[must_use]
pub fn bucket_ranges(variations: usize, coverage: f64, weights: Option<&[f64]>) -> Vec<Fractions> {
    let coverage = coverage.clamp(0.0, 1.0);
    let equal;
    let weights = match weights.filter(|weights| weights_are_usable(variations, weights)) {
        Some(weights) => weights,
        None => {
            equal = equal_weights(variations);
            &equal
        }
    };
    let mut start = 0.0;
    let ranges = weights.iter().map(|weight| {
        let range = [start, start + coverage * weight];
        start += weight;
        range
    });
    ranges.collect()
}

/// Whether weights are used as they stand.
#[must_use]
pub fn weights_are_usable(variations: usize, weights: &[f64]) -> bool {
    weights.len() == variations && (0.99..=1.01).contains(&weights.iter().sum::<f64>())
}

/// The specification's `inNamespace`: whether a visitor is in a namespace's share. Always hash version 1.
#[must_use]
pub fn in_namespace(value: &str, name: &str, range: Fractions) -> bool {
    let version = HashVersion::One;
    let seed = super::hash::Seed::new(&format!("__{name}"), version);
    Interval::new(range, version).contains(seed.bucket(value))
}
