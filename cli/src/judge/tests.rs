//! What the judge says of canaries whose truth is known.

use super::gather::{Arm, Gathered, SERVER_ERROR};
use super::metrics::{Margins, Verdict};
use super::{Judgement, compared, judge};
use crate::report::input;
use crate::report::moment::{self, MINUTE, Micros, SECOND};
use edge_personalizer::record::is_sampled;
use indicatif::ProgressBar;

const ALPHA: f64 = 0.01;
const MARGINS: Margins = Margins { share: 0.01, latency: 0.10 };
/// Beginning of the logs: some noon.
pub const NOON: Micros = 1_790_000_000 * SECOND / (86_400 * SECOND) * 86_400 * SECOND + 12 * 3_600 * SECOND;

/// SplitMix64: the same in every run.
pub struct Random(pub u64);

impl Random {
    /// 64 bits.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Whether something of this probability happens.
    pub fn has(&mut self, probability: f64) -> bool {
        #[allow(clippy::cast_precision_loss)]
        let unit = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        unit < probability
    }
}

/// A shop: 200 visitors a minute, of whom the canary has its share, and who fail at their arm's rate; whoever fails reloads three times.
struct Shop {
    random: Random,
    gathered: Gathered,
    share: f64,
    rates: [f64; 2],
    milliseconds: [f64; 2],
}

impl Shop {
    fn new(seed: u64, share: f64, rates: [f64; 2]) -> Self {
        Self { random: Random(seed), gathered: Gathered::new("r41", "r42"), share, rates, milliseconds: [2.0, 2.0] }
    }

    fn minute(&mut self, minute: i64) {
        for visitor in 0..200 {
            let is_canary = self.random.has(self.share);
            let arm = if is_canary { Arm::Canary } else { Arm::Baseline };
            let at = NOON + minute * MINUTE + visitor * MINUTE / 200;
            let slot = u16::try_from(self.random.next() & 0xffff).unwrap();
            let fails = self.random.has(self.rates[usize::from(is_canary)]);
            let edge = self.milliseconds[usize::from(is_canary)] * if self.random.has(0.1) { 5.0 } else { 1.0 };
            let times = Some((50.0 + edge, Some(50.0), false));
            for _ in 0..if fails { 4 } else { 1 } {
                self.gathered.request(arm, at, slot, if fails { &[SERVER_ERROR] } else { &[] }, times);
            }
        }
    }

    fn judged(&self) -> Judgement {
        judge(&self.gathered, ALPHA, MARGINS)
    }

    /// The first of so many minutes at which a look says that it is worse.
    fn stopped_at(&mut self, minutes: i64, every: i64) -> Option<i64> {
        (0..minutes).find(|minute| {
            self.minute(*minute);
            (minute + 1) % every == 0 && self.judged().verdict == Verdict::Regression
        })
    }
}

/// False alarms of so many sound canaries, each looked at through six hours. The evidence keeps its highest value, so that the last look says
/// what all looks said.
fn false_alarms(runs: u64) -> u64 {
    let alarm = |seed: u64| {
        let mut shop = Shop::new(seed, 0.05, [0.01, 0.01]);
        (0..360).for_each(|minute| shop.minute(minute));
        shop.judged().verdict == Verdict::Regression
    };
    (0..runs).map(|seed| u64::from(alarm(seed * 7_919 + 1))).sum()
}

#[test]
fn a_sound_canary_is_seldom_called_worse() {
    assert!(false_alarms(40) <= 2);
}

/// Visitors come back, one in twenty of them has a fault of the visitor's own, and the canary grows: nobody may be called worse for that.
#[test]
fn a_sound_canary_that_grows_among_visitors_who_come_back_is_not_called_worse() {
    const PEOPLE: u64 = 4_000;
    for seed in 0..8 {
        let mut random = Random(seed * 7_919 + 1);
        let mut gathered = Gathered::new("r41", "r42");
        for minute in 0..100 {
            let share = if minute < 10 {
                0.01
            } else if minute < 40 {
                0.05
            } else {
                0.25
            };
            for request in 0..200 {
                let person = u16::try_from(random.next() % PEOPLE).unwrap();
                // Where a visitor is, and whether the visitor has the fault, are the visitor's own.
                let lot = |salt: u64| {
                    f64::from(u32::try_from(Random(u64::from(person) * 31 + salt).next() >> 32).unwrap())
                        / 2_f64.powi(32)
                };
                let arm = if lot(seed) < share { Arm::Canary } else { Arm::Baseline };
                let fails = lot(999) < 0.05 && random.has(0.9);
                let at = NOON + minute * MINUTE + request * MINUTE / 200;
                gathered.request(arm, at, person, if fails { &["identity-expired"] } else { &[] }, None);
            }
        }
        let judged = judge(&gathered, ALPHA, MARGINS);
        assert_ne!(judged.verdict, Verdict::Regression, "seed {seed}: {judged:#?}");
    }
}

/// The whole figure: `cargo test --release -p personalizer judge -- --ignored --nocapture`.
#[test]
#[ignore = "some minutes"]
fn of_three_thousand_sound_canaries_at_most_one_in_a_hundred_is_called_worse() {
    let alarms = false_alarms(3_000);
    println!("{alarms} of 3,000");
    assert!(alarms <= 30, "{alarms}");
}

#[test]
fn half_of_the_visitors_broken_is_seen_within_two_minutes() {
    for seed in 0..20 {
        let stopped = Shop::new(seed, 0.05, [0.01, 0.5]).stopped_at(5, 1);
        assert!(stopped.is_some_and(|minute| minute < 2), "seed {seed}: {stopped:?}");
    }
}

#[test]
fn one_in_twenty_broken_is_seen_in_the_median_within_twenty_minutes() {
    let mut stopped: Vec<i64> =
        (0..21).map(|seed| Shop::new(seed, 0.05, [0.002, 0.052]).stopped_at(120, 2).unwrap_or(i64::MAX)).collect();
    stopped.sort_unstable();
    assert!(stopped[10] < 20, "{stopped:?}");
}

#[test]
fn a_sound_canary_goes_once_there_were_enough_visitors() {
    let mut shop = Shop::new(3, 0.25, [0.002, 0.002]);
    shop.minute(0);
    assert_eq!(shop.judged().verdict, Verdict::Inconclusive, "fifty visitors say nothing");
    (1..120).for_each(|minute| shop.minute(minute));
    let judged = shop.judged();
    assert_eq!(judged.verdict, Verdict::Go, "{judged:#?}");
    assert!(
        judged.metrics.iter().all(|metric| !metric.counts || metric.upper.is_some_and(|upper| upper < metric.margin))
    );
}

#[test]
fn a_slower_canary_is_worse_and_a_slow_request_is_not_everything() {
    let mut shop = Shop::new(5, 0.25, [0.002, 0.002]);
    shop.milliseconds = [2.0, 3.0];
    (0..60).for_each(|minute| shop.minute(minute));
    let judged = shop.judged();
    assert_eq!(judged.verdict, Verdict::Regression);
    let metric = judged.metrics.iter().find(|metric| metric.name == "edge_ms").unwrap();
    assert_eq!(metric.verdict, Verdict::Regression);
    assert!((metric.canary / metric.baseline - 1.5).abs() < 0.1, "{metric:?}");
}

#[test]
fn a_canary_that_grew_is_compared_with_its_share_of_the_time() {
    // Sound all the time; an error of the origin hits everybody while the canary has a quarter of the visitors.
    let mut alarms = 0;
    for seed in 0..10 {
        let mut shop = Shop::new(seed, 0.01, [0.002, 0.002]);
        (0..60).for_each(|minute| shop.minute(minute));
        shop.share = 0.25;
        shop.rates = [0.2, 0.2];
        (60..90).for_each(|minute| shop.minute(minute));
        alarms += u32::from(shop.judged().verdict == Verdict::Regression);
    }
    assert!(alarms <= 1, "{alarms} of 10");
}

#[test]
fn nothing_is_said_of_a_silent_canary() {
    let mut shop = Shop::new(1, 0.0, [0.01, 0.01]);
    (0..60).for_each(|minute| shop.minute(minute));
    let judged = shop.judged();
    assert_eq!(judged.verdict, Verdict::Inconclusive);
    assert!(judged.why.contains("canary"), "{}", judged.why);
    assert_eq!(Gathered::new("a", "b").visitors(), [0, 0]);
}

#[test]
fn lines_are_read_as_the_edge_writes_them() {
    let mut gathered = Gathered::new("r41", "r42");
    let line = |id: &str, revision: &str, more: &str| {
        format!(
            r#"{{"v":2,"time":"2026-11-24T04:53:30.5Z","request_id":"{id}","trace_id":"t","revision":"{revision}","status":200,"total_ms":12.5,"origin_ms":10.0{more}}}"#
        )
    };
    let lines = [
        line("1", "r41", r#","slot":7"#),
        format!(
            "decisions :: {}",
            line("2", "r42", r#","slot":8,"fallback":"status 503","errors":["backend-status"],"vcpu_ms":41"#)
        ),
        line("2", "r42", r#","slot":8"#),
        line("3", "r42", r#","slot":8,"pass":2"#),
        line("4", "r42", ""),
        line("5", "r40", r#","slot":9"#),
        r#"{"v":2,"time":"2026-11-24T04:53:30Z","code":"rule-fault"}"#.to_owned(),
        line("6", "r41", "").replace("200", "\"x\""),
        "other program".to_owned(),
    ];
    lines.iter().for_each(|line| gathered.line(line.as_bytes()));
    let counts = gathered.counts;
    assert_eq!((counts.lines, counts.without_slot, counts.other_revisions), (3, 1, 1));
    assert_eq!((counts.doubled, counts.broken), (1, 1));
    assert_eq!(gathered.visitors(), [1, 1]);
    let names: Vec<&String> = gathered.sides[1].failures.keys().collect();
    assert_eq!(names, ["backend-status", "fallback", "vcpu"]);
}

/// Lines of r41 and r42 as the edge writes them: 200 visitors a minute, half of them the canary's in the minutes in which it is on.
fn written(seed: u64, minutes: i64, is_on: impl Fn(i64) -> bool, rates: [f64; 2], samples: [f64; 2]) -> Vec<String> {
    let (mut random, mut lines) = (Random(seed), Vec::new());
    for (minute, visitor) in (0..minutes).flat_map(|minute| (0..200).map(move |visitor| (minute, visitor))) {
        let is_canary = random.has(0.5) && is_on(minute);
        let (arm, revision) = (usize::from(is_canary), if is_canary { "r42" } else { "r41" });
        let (slot, id) = (random.next() & 0xffff, format!("{:016x}", random.next()));
        let fails = random.has(rates[arm]);
        let (status, sample) = if fails { (503, 1.0) } else { (200, samples[arm]) };
        if is_sampled(&id, sample) {
            let time = moment::second(NOON + minute * MINUTE + visitor * MINUTE / 200);
            lines.push(format!(
                r#"{{"v":2,"time":"{time}","request_id":"{id}","trace_id":"t","revision":"{revision}","status":{status},"total_ms":52.0,"origin_ms":50,"errors":[],"slot":{slot},"sample":{sample}}}"#
            ));
        }
    }
    lines
}

/// What `personalizer judge` gathers of these lines, and what it says beside.
fn read(lines: &[String]) -> (Gathered, Vec<String>) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), lines.join("\n") + "\n").unwrap();
    let (pieces, _) = input::pieces(&[file.path().display().to_string()]).unwrap();
    compared(&pieces, ["r41", "r42"], &ProgressBar::hidden()).unwrap()
}

#[test]
fn revisions_that_are_logged_at_other_rates_are_compared_at_the_lower_one() {
    let verdict = |seed: u64, rates, samples| {
        let (gathered, notes) = read(&written(seed, 120, |_| true, rates, samples));
        assert!(notes[0].contains("both are compared at 0.1"), "{notes:?}");
        judge(&gathered, ALPHA, MARGINS).verdict
    };
    for seed in 0..5 {
        // The same of both fail, though the canary's log has ten times fewer of those who don't.
        assert_ne!(verdict(seed, [0.02, 0.02], [1.0, 0.1]), Verdict::Regression, "seed {seed}");
        assert_ne!(verdict(seed, [0.02, 0.02], [0.1, 1.0]), Verdict::Regression, "seed {seed}");
        // Twice as many, though the log of the baseline has ten times fewer of those who don't.
        assert_eq!(verdict(seed, [0.02, 0.04], [0.1, 1.0]), Verdict::Regression, "seed {seed}");
        assert_eq!(verdict(seed, [0.02, 0.04], [1.0, 0.1]), Verdict::Regression, "seed {seed}");
    }
    // At one rate nothing is left out.
    let mut lines = written(1, 60, |_| true, [0.02, 0.02], [0.1, 0.1]);
    // Nor of pages that broke off, which are logged in any case, with status 200.
    let broken = lines.iter().filter(|line| line.contains("r42") && line.contains("\"status\":200"));
    let broken = broken.map(|line| line.replace("\"errors\":[]", "\"errors\":[\"html-failed\"]").replace("0.1}", "1}"));
    let broken: Vec<String> = broken.map(|line| line.replace("\"request_id\":\"", "\"request_id\":\"b")).collect();
    assert!(broken.len() > 100 && broken.iter().all(|line| line.contains("\"sample\":1}")));
    lines.extend(broken);
    let (gathered, notes) = read(&lines);
    assert_eq!((gathered.counts.lines, notes), (lines.len() as u64, Vec::new()));
}

#[test]
fn the_time_in_which_the_canary_was_off_counts_for_nobody() {
    let is_on = |minute: i64| minute < 20 || (120..140).contains(&minute);
    let (gathered, notes) = read(&written(1, 160, is_on, [0.01, 0.01], [1.0, 1.0]));
    assert_eq!(gathered.counts.lines, 40 * 200);
    let said = "both revisions served from 2026-09-21T12:00:00Z to 2026-09-21T14:19:59Z, without the ten-minute pieces in which one \
                of them has no line: other lines are left out (24000)";
    assert_eq!(notes, [said]);
    // Without a gap, the note says nothing of one.
    let (_, notes) = read(&written(1, 60, |minute| minute >= 30, [0.01, 0.01], [1.0, 1.0]));
    assert!(notes[0].ends_with("12:59:59Z: other lines are left out (6000)"), "{notes:?}");
}
