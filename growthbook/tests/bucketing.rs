//! Statistics of bucketing (promise 7), with fixed seeds: these tests give the same figures every time.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test may stop at a surprise, its helpers included")]

use growthbook::condition::Value;
use growthbook::{
    Bucket, Context, Definitions, Evaluator, HashVersion, Interval, Seed, bucket_ranges, in_range, reweight,
};
use serde_json::json;
use time::OffsetDateTime;

const EXPERIMENTS: usize = 50;
/// Upper 0.1 % points of the chi-square distribution.
const CRITICAL_1: f64 = 10.828;
const CRITICAL_99: f64 = 148.230;

/// SplitMix64: enough for ids, and the same on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Ids of four shapes, as sites have them: counted numbers, visitor cookies, addresses, UUIDs.
fn ids(count: usize) -> Vec<String> {
    let mut random = Random(42);
    let shape = |index: usize| match index % 4 {
        0 => (100_000 + index / 4).to_string(),
        1 => format!("{:016x}{:016x}", random.next(), random.next()),
        2 => format!("user{}@example.com", index / 4),
        _ => {
            let (high, low) = (random.next(), random.next());
            format!(
                "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
                high >> 32,
                high as u16,
                high >> 52,
                low >> 52,
                low & 0xffff_ffff_ffff
            )
        }
    };
    (0..count).map(shape).collect()
}

/// Which ids fall into the upper half, as bits: fifty experiments by a hundred thousand ids are compared in no time.
fn upper_half(key: &str, version: HashVersion, ids: &[String]) -> Vec<u64> {
    let seed = Seed::new(key, version);
    let upper = Interval::new([0.5, 1.0], version);
    let bit = |id: &String| u64::from(upper.contains(seed.bucket(id)));
    ids.chunks(64).map(|ids| ids.iter().fold(0, |bits, id| bits << 1 | bit(id))).collect()
}

/// Chi-square of a table of two by two.
fn independence(table: [[u64; 2]; 2]) -> f64 {
    let [[a, b], [c, d]] = table.map(|row| row.map(|count| count as f64));
    let total = a + b + c + d;
    total * (a * d - b * c).powi(2) / ((a + b) * (c + d) * (a + c) * (b + d))
}

fn failing_pairs(version: HashVersion, ids: &[String]) -> usize {
    let variations: Vec<Vec<u64>> =
        (0..EXPERIMENTS).map(|n| upper_half(&format!("experiment-{n}"), version, ids)).collect();
    let ones = |bits: &mut dyn Iterator<Item = u64>| bits.map(|bits| u64::from(bits.count_ones())).sum::<u64>();
    let mut failing = 0;
    for (index, first) in variations.iter().enumerate() {
        for second in &variations[index + 1..] {
            let both = ones(&mut first.iter().zip(second).map(|(a, b)| a & b));
            let (of_first, of_second) = (ones(&mut first.iter().copied()), ones(&mut second.iter().copied()));
            let neither = ids.len() as u64 + both - of_first - of_second;
            failing += usize::from(independence([[both, of_first - both], [of_second - both, neither]]) > CRITICAL_1);
        }
    }
    failing
}

#[test]
fn fifty_experiments_are_pairwise_independent() {
    let failing = failing_pairs(HashVersion::Two, &ids(100_000));
    println!("hash version 2: {failing} of 1225 pairs are dependent at p < 0.001");
    assert!(failing <= 4, "{failing} of 1225 pairs are dependent");
}

#[test]
fn hash_version_1_is_as_dependent_as_the_checker_warns() {
    let failing = failing_pairs(HashVersion::One, &ids(40_000));
    println!("hash version 1: {failing} of 1225 pairs are dependent at p < 0.001");
    assert!(failing > 300, "the warning against hash version 1 is out of date: {failing} of 1225 pairs");
}

#[test]
fn visitors_spread_evenly_over_the_buckets() {
    let ids = ids(100_000);
    let uneven = (0..EXPERIMENTS).filter(|n| {
        let seed = Seed::new(&format!("experiment-{n}"), HashVersion::Two);
        let mut cells = [0_u32; 100];
        ids.iter().for_each(|id| cells[seed.bucket(id).index() as usize / 100] += 1);
        let expected = ids.len() as f64 / 100.0;
        cells.iter().map(|count| (f64::from(*count) - expected).powi(2) / expected).sum::<f64>() > CRITICAL_99
    });
    let uneven = uneven.count();
    println!("{uneven} of {EXPERIMENTS} experiments are uneven at p < 0.001");
    assert!(uneven <= 1, "{uneven} of {EXPERIMENTS} experiments are uneven");
}

/// One hash for both left 100 of 1,000 groups reachable in another SDK.
#[test]
fn a_rollout_and_an_experiment_behind_it_are_independent() {
    let mut definitions = Definitions::default();
    let features = json!({
        "gate": { "defaultValue": false, "rules": [{ "force": true, "coverage": 0.1, "hashVersion": 2 }] },
        "button": { "defaultValue": "none", "rules": [{
            "key": "button-colour", "variations": ["red", "blue"], "hashVersion": 2,
            "parentConditions": [{ "id": "gate", "condition": { "value": true } }]
        }] }
    });
    definitions.features.add_object(features.to_string()).unwrap();
    let (mut red, mut blue, mut none) = (0_u32, 0_u32, 0_u32);
    for id in ids(100_000) {
        let attributes = json!({ "id": id });
        let context = Context::new(&attributes, OffsetDateTime::UNIX_EPOCH);
        match Evaluator::new(&definitions, &context).feature("button").value.as_str() {
            Some("red") => red += 1,
            Some("blue") => blue += 1,
            _ => none += 1,
        }
    }
    let included = f64::from(red + blue);
    assert!((included / f64::from(red + blue + none) - 0.1).abs() < 0.004, "{included} are in a rollout of 10 %");
    let chi_square = (f64::from(red) - f64::from(blue)).powi(2) / included;
    assert!(chi_square < CRITICAL_1, "{red} red, {blue} blue behind the rollout");
}

#[test]
fn a_ramp_loses_nobody_and_moves_nobody() {
    let ids = ids(20_000);
    for version in [HashVersion::One, HashVersion::Two] {
        let seed = Seed::new("ramp", version);
        let buckets: Vec<Bucket> = ids.iter().map(|id| seed.bucket(id)).collect();
        let variation = |coverage: f64, bucket: Bucket| {
            let ranges = bucket_ranges(3, coverage, Some(&[0.5, 0.3, 0.2]));
            ranges.iter().position(|range| Interval::new(*range, version).contains(bucket))
        };
        let steps = [0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.99, 1.0];
        for (before, after) in steps.iter().zip(&steps[1..]) {
            for bucket in buckets.iter().step_by(7) {
                let earlier = variation(*before, *bucket);
                assert!(
                    earlier.is_none() || earlier == variation(*after, *bucket),
                    "{bucket:?} changes from {before} to {after}"
                );
                let rollout = |coverage| Interval::rollout(coverage, version).contains(*bucket);
                assert!(!rollout(*before) || rollout(*after));
            }
        }
        assert!(buckets.iter().all(|bucket| variation(1.0, *bucket).is_some()));
    }
}

/// Every bucket, not just those that some visitor falls into.
fn all_buckets(version: HashVersion) -> Vec<Bucket> {
    let seed = Seed::new("all", version);
    let mut found = vec![None; version.buckets() as usize];
    let mut missing = found.len();
    for id in 0_u32.. {
        let bucket = seed.bucket(&id.to_string());
        if found[bucket.index() as usize].replace(bucket).is_none() {
            missing -= 1;
        }
        if missing == 0 {
            break;
        }
    }
    found.into_iter().flatten().collect()
}

#[test]
fn nobody_is_lost_at_the_edge_of_a_range() {
    let splits: [&[f64]; 7] = [
        &[0.5, 0.5],
        &[0.3334, 0.3333, 0.3333],
        &[1.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0],
        &[0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1],
        &[0.7, 0.1, 0.1, 0.1],
        &[0.0001, 0.9999],
        &[0.2, 0.0, 0.8],
    ];
    for version in [HashVersion::One, HashVersion::Two] {
        let buckets = all_buckets(version);
        for weights in splits {
            let ranges = bucket_ranges(weights.len(), 1.0, Some(weights));
            let intervals: Vec<_> = ranges.iter().map(|range| Interval::new(*range, version)).collect();
            for bucket in &buckets {
                let holding = intervals.iter().filter(|interval| interval.contains(*bucket)).count();
                assert_eq!(holding, 1, "{weights:?} have {holding} variations for {bucket:?}");
            }
        }
    }
}

/// The whole numbers give the answer of the specification's floats, for every bucket.
#[test]
fn whole_buckets_agree_with_the_specifications_floats() {
    let mut random = Random(7);
    for version in [HashVersion::One, HashVersion::Two] {
        let buckets = all_buckets(version);
        for round in 0..40 {
            let mut bound = || match round % 2 {
                // On a bucket's very edge, as people write them.
                0 => (random.fraction() * 10_000.0).round() / 10_000.0,
                _ => random.fraction() * 1.2 - 0.1,
            };
            let range = [bound(), bound()];
            let interval = Interval::new(range, version);
            let rollout = Interval::rollout(range[0], version);
            for bucket in &buckets {
                assert_eq!(interval.contains(*bucket), in_range(bucket.as_f64(), range), "{bucket:?} in {range:?}");
                assert_eq!(
                    rollout.contains(*bucket),
                    bucket.as_f64() <= range[0],
                    "{bucket:?} in a rollout to {}",
                    range[0]
                );
            }
        }
    }
}

#[test]
fn an_empty_id_is_in_no_variation() {
    let mut definitions = Definitions::default();
    definitions.features.add_object(r#"{"f":{"defaultValue":"d","rules":[{"variations":["a","b"]}]}}"#).unwrap();
    for attributes in [json!({}), json!({ "id": "" }), json!({ "id": null })] {
        let context = Context::new(&attributes, OffsetDateTime::UNIX_EPOCH);
        let mut evaluator = Evaluator::new(&definitions, &context);
        assert_eq!(Value::from(evaluator.feature("f").value), Value::from(&json!("d")));
        assert!(evaluator.finish().exposures.is_empty());
    }
}

#[test]
fn a_new_split_of_two_variations_moves_the_difference_alone() {
    let changed = reweight(&[[0.0, 0.5], [0.5, 1.0]], &[0.6, 0.4]).unwrap();
    let pieces: Vec<_> = changed.pieces.iter().map(|piece| (piece.variation, piece.range)).collect();
    assert_eq!(pieces, [(0, [0.0, 0.6]), (1, [0.6, 1.0])]);
    assert_eq!(changed.moved, 0.1);
    let changed = reweight(&[[0.0, 0.25], [0.5, 0.75]], &[0.5, 0.5]).unwrap();
    assert_eq!(changed.moved, 0.0);
}

#[test]
fn a_split_that_is_none_is_refused() {
    let ranges = [[0.0, 0.5], [0.5, 1.0]];
    assert_eq!(reweight(&ranges, &[1.0]), None);
    assert_eq!(reweight(&ranges, &[0.7, 0.7]), None);
    assert_eq!(reweight(&ranges, &[-0.1, 0.5]), None);
    assert_eq!(reweight(&ranges, &[f64::NAN, 0.5]), None);
}

#[test]
fn every_new_split_moves_the_minimum() {
    let mut random = Random(11);
    for _ in 0..60 {
        let variations = 2 + (random.next() % 4) as usize;
        let mut shares = || {
            let raw: Vec<f64> = (0..variations).map(|_| random.fraction()).collect();
            let total = raw.iter().sum::<f64>() / (0.5 + random.fraction() / 2.0);
            raw.iter().map(|share| share / total).collect::<Vec<_>>()
        };
        let (before, after) = (shares(), shares());
        let mut start = 0.0;
        let ranges: Vec<[f64; 2]> = before
            .iter()
            .map(|share| {
                let from = start;
                start += share;
                [from, start]
            })
            .collect();
        let changed = reweight(&ranges, &after).unwrap();
        let old = |bucket: u32| ranges.iter().position(|range| in_range(f64::from(bucket) / 10_000.0, *range));
        let new = |bucket: u32| {
            let n = f64::from(bucket) / 10_000.0;
            changed.pieces.iter().find(|piece| in_range(n, piece.range)).map(|piece| piece.variation)
        };
        let (mut left, mut moved) = (0, 0);
        let (mut sizes, mut olds) = (vec![0_i32; variations], vec![0_i32; variations]);
        for bucket in 0..10_000 {
            let (old, new) = (old(bucket), new(bucket));
            new.into_iter().for_each(|variation| sizes[variation] += 1);
            old.into_iter().for_each(|variation| olds[variation] += 1);
            left += i32::from(old.is_some() && old != new);
            moved += i32::from(old.is_some() && new.is_some() && old != new);
        }
        for (size, share) in sizes.iter().zip(&after) {
            assert!((f64::from(*size) - share * 10_000.0).abs() <= 1.0, "{sizes:?} for {after:?}");
        }
        let least: i32 = olds.iter().zip(&sizes).map(|(old, new)| (old - new).max(0)).sum();
        assert_eq!(left, least, "from {before:?} to {after:?}");
        assert_eq!(changed.moved, f64::from(moved) / 10_000.0);
    }
}
