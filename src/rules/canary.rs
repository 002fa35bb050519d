//! A canary's share of visitors: integer buckets, sticky, independent of every experiment (design.md section 3.1).

use std::hash::Hasher;

use fnv::FnvHasher;

/// Buckets that visitors fall into: one is a ten-thousandth of a percent.
pub const BUCKETS: u32 = 1_000_000;

/// A share of visitors, in buckets: integers, so that no rounding moves a visitor in or out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(u32);

impl Share {
    /// Nobody.
    pub const NONE: Self = Self(0);
    /// Everybody, those included who can't be told apart.
    pub const ALL: Self = Self(BUCKETS);

    /// The share of `percent`; `None` where it isn't from 0 to 100.
    pub fn from_percent(percent: f64) -> Option<Self> {
        if !(0.0..=100.0).contains(&percent) {
            return None;
        }
        // From 0 to 1,000,000 after the check above: the conversion loses nothing but a fraction of a bucket.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let buckets = (percent * f64::from(BUCKETS / 100)).round() as u32;
        Some(Self(buckets))
    }

    /// Whether the visitor `unit` is within the share of `revision`. A larger share of the same revision has all of a smaller
    /// one's visitors.
    pub fn has(self, revision: &str, unit: &str) -> bool {
        bucket(revision, unit) < self.0
    }
}

/// The side of a canary that a visitor is on.
///
/// A visitor without a cookie is told apart by the address, and later by an id that is made at random. So that nobody changes sides
/// between two pages, an id is made that lies on the side of the address. It stays unpredictable, and as good as random for every experiment,
/// for they hash in another way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Side {
    /// The canary's revision.
    pub revision: String,
    /// Its share.
    pub share: Share,
    /// Whether the visitor is within it.
    pub is_within: bool,
}

impl Side {
    /// Ids that are tried: a thousandth of the visitors needs some thousand, which take a fraction of a millisecond. Of a share below a
    /// hundredth of a percent some newcomers leave the canary.
    const MOST_TRIES: u32 = 1 << 16;

    /// Bits of an id on this side: `bits`, or those of the first id after it that is. `write` gives the unit of an id.
    pub fn fit(&self, bits: u128, write: impl Fn(u128) -> String) -> u128 {
        let is_here = |bits: &u128| self.share.has(&self.revision, &write(*bits)) == self.is_within;
        // An odd step meets no id twice.
        let step = |tries| bits.wrapping_add(u128::from(tries).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835));
        (0..Self::MOST_TRIES).map(step).find(is_here).unwrap_or(bits)
    }
}

/// The bucket of a visitor, 0 to 999,999: 64-bit FNV-1a over the revision and the unit, each with its length in front.
///
/// The revision is in it, so that two canaries try two different groups of visitors; an experiment hashes other bytes in
/// another way, so that no variation of one is over-represented.
pub fn bucket(revision: &str, unit: &str) -> u32 {
    let mut first = FnvHasher::default();
    for part in [revision, unit] {
        // `Hash for str` adds a byte of its own: these are exactly the bytes that other programs can hash, too.
        first.write(&(part.len() as u64).to_be_bytes());
        first.write(part.as_bytes());
    }
    // Revisions of nearly the same name leave traces of each other in one round; a second round, over the eight bytes of the
    // first, leaves none.
    let mut second = FnvHasher::default();
    second.write(&first.finish().to_be_bytes());
    u32::try_from(second.finish() % u64::from(BUCKETS)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ids as they occur: a random one, a number, an e-mail address, a time-ordered one.
    fn units(shape: usize, count: usize) -> impl Iterator<Item = String> {
        (0..count).map(move |number| match shape {
            0 => format!("{:032x}", (number as u128 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)),
            1 => number.to_string(),
            2 => format!("visitor.{number}@example.com"),
            _ => format!("0190{number:08x}-7000-8000-000000000000"),
        })
    }

    #[test]
    fn the_ends_are_exact() {
        let units: Vec<String> = units(1, 20_000).collect();
        assert!(units.iter().all(|unit| !Share::NONE.has("r2", unit)));
        assert!(units.iter().all(|unit| Share::ALL.has("r2", unit)));
        assert_eq!(Share::from_percent(0.0), Some(Share::NONE));
        assert_eq!(Share::from_percent(100.0), Some(Share::ALL));
        for percent in [-0.1, 100.1, f64::NAN, f64::INFINITY] {
            assert_eq!(Share::from_percent(percent), None, "{percent}");
        }
        assert_eq!(Share::from_percent(0.0001), Some(Share(1)));
    }

    #[test]
    fn growing_from_1_to_5_to_20_to_100_percent_only_adds_visitors() {
        let steps: Vec<Share> = [1.0, 5.0, 20.0, 100.0].iter().filter_map(|step| Share::from_percent(*step)).collect();
        for unit in units(2, 50_000) {
            let within: Vec<bool> = steps.iter().map(|share| share.has("r2", &unit)).collect();
            assert!(within.is_sorted(), "{unit}: {within:?}");
        }
    }

    #[test]
    fn a_share_has_about_as_many_visitors_as_it_says() {
        let share = Share::from_percent(10.0).unwrap();
        for shape in 0..4 {
            let within = units(shape, 100_000).filter(|unit| share.has("r42", unit)).count();
            // Five standard deviations of a binomial with p = 0.1.
            assert!(within.abs_diff(10_000) < 475, "shape {shape}: {within} of 100,000");
        }
    }

    #[test]
    fn an_id_can_be_made_on_either_side_of_any_usual_share() {
        let write = |bits: u128| format!("{bits:032x}");
        let mut random = 1_u128;
        for (percent, count) in [(50.0, 2_000), (5.0, 500), (1.0, 200), (99.0, 200), (0.1, 20)] {
            let share = Share::from_percent(percent).unwrap();
            for is_within in [false, true] {
                let side = Side { revision: "r43".to_owned(), share, is_within };
                let mut made = std::collections::BTreeSet::new();
                for _ in 0..count {
                    random = random.wrapping_mul(0x2360_ed05_1fc6_5da4_4385_df64_9fcc_f645).wrapping_add(1);
                    let id = side.fit(random, write);
                    assert_eq!(share.has("r43", &write(id)), is_within, "{percent}");
                    made.insert(id);
                }
                assert_eq!(made.len(), count, "no id twice");
            }
        }
        // Nobody is within: the id is made all the same.
        let nobody = Side { revision: "r43".to_owned(), share: Share::NONE, is_within: true };
        assert_eq!(nobody.fit(7, write), 7);
    }

    /// Promise 7: pairs of canaries are independent, as are a canary and a 32-bit FNV-1a experiment, at p < 0.001.
    #[test]
    fn canaries_are_independent_of_each_other_and_of_experiments() {
        // Unoptimised, a quarter of them: 20 million hashes take a quarter of a minute.
        let visitors = if cfg!(debug_assertions) { 25_000 } else { 100_000 };
        let half = Share::from_percent(50.0).unwrap();
        // Revision names as they are given: numbered, dated, nearly the same.
        let names: Vec<String> =
            (0..25).map(|n| format!("r{n}")).chain((0..25).map(|n| format!("r20261124T0359{:02}Z", n))).collect();
        let mut worst = 0.0_f64;
        let (mut failing, mut pairs) = (0, 0);
        for shape in 0..4 {
            let units: Vec<String> = units(shape, visitors).collect();
            let mut arms: Vec<Vec<u64>> = names.iter().map(|name| bits(&units, &|unit| half.has(name, unit))).collect();
            // An experiment of hash version 2: FNV-1a (32 bits) twice, over seed and id (GrowthBook SDK specification).
            arms.push(bits(&units, &|unit| experiment("hero", unit) < 5_000));
            for (index, one) in arms.iter().enumerate() {
                for other in arms.iter().skip(index + 1) {
                    let chi_square = chi_square(one, other, visitors);
                    pairs += 1;
                    worst = worst.max(chi_square);
                    // One degree of freedom at p = 0.001.
                    failing += usize::from(chi_square > 10.828);
                }
            }
        }
        println!("{failing} of {pairs} pairs above 10.828; worst {worst:.1}");
        // By chance one pair in a thousand fails; three standard deviations above that.
        let chance = f64::from(pairs) / 1_000.0;
        assert!((failing as f64) < chance + 3.0 * chance.sqrt() + 1.0, "{failing} of {pairs}, worst {worst:.1}");
        assert!(worst < 25.0, "{worst:.1}");
    }

    fn experiment(seed: &str, unit: &str) -> u32 {
        let fnv = |text: &str| {
            text.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
        };
        fnv(&fnv(&format!("{seed}{unit}")).to_string()) % 10_000
    }

    /// One bit a visitor: pairs of arms are then counted 64 visitors at a time.
    fn bits(units: &[String], within: &dyn Fn(&str) -> bool) -> Vec<u64> {
        let word = |units: &[String]| {
            units.iter().enumerate().fold(0, |word, (bit, unit)| word | (u64::from(within(unit)) << bit))
        };
        units.chunks(64).map(word).collect()
    }

    fn chi_square(one: &[u64], other: &[u64], visitors: usize) -> f64 {
        let count = |words: &mut dyn Iterator<Item = u64>| f64::from(words.map(u64::count_ones).sum::<u32>());
        let both = count(&mut one.iter().zip(other).map(|(a, b)| a & b));
        let (a, b) = (count(&mut one.iter().copied()), count(&mut other.iter().copied()));
        let total = visitors as f64;
        let counts = [[total - a - b + both, b - both], [a - both, both]];
        let (rows, columns) = ([total - a, a], [total - b, b]);
        let mut sum = 0.0;
        for row in 0..2 {
            for column in 0..2 {
                let expected = rows[row] * columns[column] / total;
                sum += (counts[row][column] - expected).powi(2) / expected;
            }
        }
        sum
    }
}
