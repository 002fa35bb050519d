//! Hashing visitors into buckets (GrowthBook SDK specification 0.8.0, "hash").
//!
//! 32-bit FNV-1a over the text's UTF-16 code units, each mixed in as one number, as the JavaScript SDK does: for ASCII that equals the
//! usual FNV-1a over bytes; for anything else it is what makes the edge agree with the browser.

/// Offset basis of 32-bit FNV-1a.
const BASIS: u32 = 0x811c_9dc5;
/// Prime of 32-bit FNV.
const PRIME: u32 = 0x0100_0193;

/// Which of the specification's two hash functions a rule uses. The version belongs to the rule: changing it moves nearly every
/// visitor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HashVersion {
    /// 1,000 buckets; experiments with similar seeds are correlated. Only for rules that have always used it.
    One,
    /// 10,000 buckets, unbiased.
    Two,
}

impl HashVersion {
    /// The version as rules number it; `None` for a number without a meaning.
    #[must_use]
    pub fn from_number(number: u32) -> Option<Self> {
        match number {
            1 => Some(Self::One),
            2 => Some(Self::Two),
            _ => None,
        }
    }

    /// How many buckets there are.
    #[must_use]
    pub const fn buckets(self) -> u32 {
        match self {
            Self::One => 1_000,
            Self::Two => 10_000,
        }
    }
}

/// Where a visitor falls for one seed.
///
/// The specification speaks of a fraction from 0 to below 1; here it is the whole number that the fraction comes from, so that
/// comparisons at the edge of a range can't depend on rounding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    index: u32,
    buckets: u32,
}

impl Bucket {
    /// From 0 to below the version's number of buckets.
    #[must_use]
    pub fn index(self) -> u32 {
        self.index
    }

    /// The specification's fraction, from 0 to below 1.
    #[must_use]
    pub fn as_f64(self) -> f64 {
        f64::from(self.index) / f64::from(self.buckets)
    }
}

/// A seed, hashed once as far as it goes, so that a request only hashes the visitor's part.
#[derive(Debug, Clone)]
pub struct Seed {
    version: HashVersion,
    /// For version 2 the state after the seed; version 1 hashes the visitor first and needs the text.
    state: u32,
    text: Box<str>,
}

impl Seed {
    /// Prepares a seed.
    #[must_use]
    pub fn new(seed: &str, version: HashVersion) -> Self {
        match version {
            HashVersion::One => Self { version, state: BASIS, text: seed.into() },
            HashVersion::Two => Self { version, state: mix(BASIS, seed), text: Box::default() },
        }
    }

    /// How many buckets there are.
    #[cfg(feature = "tools")]
    #[must_use]
    pub fn buckets(&self) -> u32 {
        self.version.buckets()
    }

    /// The bucket of a visitor. An empty value is a caller's mistake (all such visitors share one bucket): the evaluator never asks.
    #[must_use]
    pub fn bucket(&self, value: &str) -> Bucket {
        let hash = match self.version {
            HashVersion::One => mix(mix(BASIS, value), &self.text),
            HashVersion::Two => mix_decimal(mix(self.state, value)),
        };
        let buckets = self.version.buckets();
        Bucket { index: hash % buckets, buckets }
    }
}

/// The specification's `hash`: the bucket of `value` as a fraction; `None` for an unknown version.
#[must_use]
pub fn hash(seed: &str, value: &str, version: u32) -> Option<f64> {
    HashVersion::from_number(version).map(|version| Seed::new(seed, version).bucket(value).as_f64())
}

/// Mixes a text into the state.
fn mix(state: u32, text: &str) -> u32 {
    let step = |state: u32, unit: u16| (state ^ u32::from(unit)).wrapping_mul(PRIME);
    if text.is_ascii() { text.bytes().map(u16::from).fold(state, step) } else { text.encode_utf16().fold(state, step) }
}

/// The hash of a number written in decimal, which version 2 applies to the first hash.
fn mix_decimal(number: u32) -> u32 {
    let mut divisor = 1_000_000_000;
    let mut state = BASIS;
    let mut significant = false;
    while divisor > 0 {
        let digit = number / divisor % 10;
        significant |= digit != 0 || divisor == 1;
        if significant {
            state = (state ^ (u32::from(b'0') + digit)).wrapping_mul(PRIME);
        }
        divisor /= 10;
    }
    state
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ascii_hashes_as_the_usual_fnv_1a() {
        // Vectors of the FNV reference code.
        assert_eq!(mix(BASIS, ""), 0x811c_9dc5);
        assert_eq!(mix(BASIS, "a"), 0xe40c_292c);
        assert_eq!(mix(BASIS, "foobar"), 0xbf9c_f968);
    }

    #[test]
    fn other_text_hashes_by_utf_16_code_units() {
        // What JavaScript computes: "é" is the one unit 0xe9, the emoji two.
        assert_eq!(mix(BASIS, "é"), (BASIS ^ 0xe9).wrapping_mul(PRIME));
        let pair = (BASIS ^ 0xd83d).wrapping_mul(PRIME);
        assert_eq!(mix(BASIS, "😀"), (pair ^ 0xde00).wrapping_mul(PRIME));
    }

    #[test]
    fn the_second_round_hashes_decimal_digits() {
        for number in [0, 7, 10, 1_000_000_000, 4_294_967_295, 90_210] {
            assert_eq!(mix_decimal(number), mix(BASIS, &number.to_string()));
        }
    }
}
