//! The same figures as GrowthBook's own program, on random inputs. `cargo xtask test --only gbstats` fetches it and runs this.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::*;

/// The Python that has gbstats 0.8.0.
const VARIABLE: &str = "PERSONALIZER_GBSTATS";
const CASES: usize = 600;
const NEAR: f64 = 1e-9;

/// SplitMix64, from 0 to 1.
struct Random(u64);

impl Random {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn arm(&mut self, is_rate: bool) -> Sample {
        let n = 10_f64.powf(1.0 + 5.0 * self.next()).round();
        if is_rate {
            let sum = (n * self.next()).round().clamp(1.0, n - 1.0);
            return Sample { n, sum, squares: sum, is_rate };
        }
        let (mean, deviation) = (10_f64.powf(4.0 * self.next() - 2.0), 10_f64.powf(2.0 * self.next() - 1.0));
        let variance = (mean * deviation).powi(2);
        Sample { n, sum: n * mean, squares: (n - 1.0) * variance + n * mean * mean, is_rate }
    }
}

#[test]
fn every_figure_is_that_of_gbstats() {
    let Some(python) = std::env::var_os(VARIABLE) else {
        println!("skipped: {VARIABLE} names no Python with gbstats 0.8.0 (`cargo xtask test --only gbstats` does)");
        return;
    };
    let mut random = Random(15);
    let mut cases: Vec<(Value, Vec<f64>)> = Vec::new();
    for index in 0..CASES {
        if index % 3 == 0 {
            let arms = 2 + (random.next() * 4.0) as usize;
            let weights: Vec<f64> = (0..arms).map(|_| 0.1 + random.next()).collect();
            let sum: f64 = weights.iter().sum();
            let total = 10_f64.powf(2.0 + 4.0 * random.next());
            let near = |weight: &f64| (weight / sum * total * (1.0 + 0.1 * (random.next() - 0.5))).round();
            let counts: Vec<f64> = weights.iter().map(near).collect();
            cases.push((json!({ "counts": counts, "weights": weights }), vec![sample_ratio(&counts, &weights)]));
            continue;
        }
        let is_rate = index % 3 == 1;
        let (a, b) = (random.arm(is_rate), random.arm(is_rate));
        let tuning = [5_000.0, 500.0, 100_000.0][index % 3];
        let found = compare(&a, &b, tuning).unwrap();
        let of = |arm: &Sample| json!([arm.n, arm.sum, arm.squares]);
        let case = json!({ "a": of(&a), "b": of(&b), "is_rate": is_rate, "tuning": tuning });
        let Comparison { lift, sequence, sequence_p, fixed, fixed_p } = found;
        cases.push((case, vec![lift, sequence[0], sequence[1], sequence_p, fixed[0], fixed[1], fixed_p]));
    }
    let input: String = cases.iter().map(|(case, _)| format!("{case}\n")).collect();
    let mut command = Command::new(python);
    command.args(["-c", include_str!("gbstats.py")]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut running = command.spawn().unwrap();
    let mut stdin = running.stdin.take().unwrap();
    let writing = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = running.wait_with_output().unwrap();
    writing.join().unwrap().unwrap();
    assert!(output.status.success(), "gbstats failed");
    let answers = String::from_utf8(output.stdout).unwrap();
    assert_eq!(answers.lines().count(), CASES);
    for ((case, own), line) in cases.iter().zip(answers.lines()) {
        let theirs: Vec<f64> = serde_json::from_str(line).unwrap();
        for (own, theirs) in own.iter().zip(&theirs) {
            // Relative where figures are large.
            assert!((own - theirs).abs() <= NEAR * theirs.abs().max(1.0), "{case}: {own:?} is not {theirs:?}");
        }
    }
}
