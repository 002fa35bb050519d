//! Canaries whose truth is known, on their way: the clock and the logs are the test's own.

use std::cell::Cell;
use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

use edge_personalizer::record::is_sampled;
use edge_personalizer::rules::manifest::{MANIFEST, Manifest};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::annotate::Annotations;
use super::drive::{Drive, Settings, Started};
use super::plan::Plan;
use super::{Timing, go};
use crate::history::{Cause, History};
use crate::judge::metrics::Margins;
use crate::judge::tests::{NOON, Random};
use crate::output::{Format, Outcome};
use crate::report::moment::{self, MINUTE, Micros};
use crate::rollout::{Store, repoint};
use crate::target::{Target, file::File};

/// A store with r41 serving and r42 pushed, and the shop's traffic.
struct World {
    folder: TempDir,
    target: File,
    random: Random,
    /// Visitors a minute, and how many of a baseline's and of a canary's fail.
    visitors: u32,
    rates: [f64; 2],
    is_silent: bool,
    is_canary_silent: bool,
    /// The rates that keep sound lines of the baseline and of the canary.
    samples: [f64; 2],
    now: Micros,
    requests: u64,
}

impl World {
    fn new(seed: u64, rates: [f64; 2]) -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("store.json");
        let manifest = Manifest::of([("routes", "{}")], "2026-09-21T00:00:00Z");
        let manifest = serde_json::to_string(&manifest).unwrap();
        let mut entries = json!({ "active": r#"{"enabled":true,"revision":"r41","manifest":true}"# });
        for revision in ["r40", "r41", "r42"] {
            entries[format!("{revision}/routes")] = json!("{}");
            entries[format!("{revision}/{MANIFEST}")] = json!(manifest);
        }
        fs::write(&path, entries.to_string()).unwrap();
        let target = File::new(path);
        let (random, is_silent, is_canary_silent) = (Random(seed), false, false);
        let (visitors, samples, now, requests) = (200, [1.0, 1.0], NOON, 0);
        Self { folder, target, random, visitors, rates, is_silent, is_canary_silent, samples, now, requests }
    }

    fn settings(&self, plan: &str) -> Settings {
        Settings {
            entry: "active",
            revision: "r42".to_owned(),
            plan: Plan::read(plan).unwrap(),
            alpha: 0.01,
            margins: Margins { share: 0.01, latency: 0.10 },
            promotes: true,
            again: false,
            reason: Some("a bigger hero".to_owned()),
            annotations: Annotations::new(Some(self.annotations().display().to_string())),
            format: Format::Text,
        }
    }

    fn annotations(&self) -> std::path::PathBuf {
        self.folder.path().join("annotations.ndjson")
    }

    fn start(&mut self, plan: &str) -> Result<Drive, Outcome> {
        let settings = self.settings(plan);
        match Drive::start(&mut self.target, settings, self.now).unwrap() {
            Started::Runs(drive) => Ok(*drive),
            Started::Ended(outcome) => Err(outcome),
        }
    }

    fn pointer(&mut self) -> Value {
        serde_json::from_str(&self.target.entries().unwrap()["active"]).unwrap()
    }

    fn percent(&mut self) -> Option<f64> {
        self.pointer()["canary"]["percent"].as_f64()
    }

    fn history(&mut self) -> History {
        History::read(&Store::read(&mut self.target).unwrap().entries, "active")
    }

    /// A minute of traffic by what the pointer says, then a look.
    fn minute(&mut self, drive: &mut Drive) -> Option<Outcome> {
        let share = self.percent().unwrap_or_default() / 100.0;
        for visitor in 0..self.visitors {
            let at = self.now + i64::from(visitor) * MINUTE / i64::from(self.visitors);
            let is_canary = self.random.has(share);
            let fails = self.random.has(self.rates[usize::from(is_canary)]);
            let slot = self.random.next() & 0xffff;
            let edge = if self.random.has(0.1) { 10.0 } else { 2.0 };
            for _ in 0..if fails { 4 } else { 1 } {
                self.requests += 1;
                let mut line = String::new();
                let (revision, status) = (if is_canary { "r42" } else { "r41" }, if fails { 503 } else { 200 });
                let (time, total) = (moment::second(at), 50.0 + edge);
                let id = format!("{:016x}", Random(self.requests).next());
                let sample = if fails { 1.0 } else { self.samples[usize::from(is_canary)] };
                write!(
                    line,
                    r#"{{"v":2,"time":"{time}","request_id":"{id}","trace_id":"t","revision":"{revision}","status":{status},"total_ms":{total},"origin_ms":50,"errors":[],"slot":{slot},"sample":{sample}}}"#
                )
                .unwrap();
                if !(self.is_silent || self.is_canary_silent && is_canary) && is_sampled(&id, sample) {
                    drive.line(line.as_bytes());
                }
            }
        }
        self.now += MINUTE;
        assert!(drive.is_due(self.now, MINUTE));
        drive.look(&mut self.target, self.now).unwrap()
    }

    /// So many minutes at most; how it ended, and after how many.
    fn minutes(&mut self, drive: &mut Drive, count: i64) -> (Option<Outcome>, i64) {
        for minute in 1..=count {
            if let Some(outcome) = self.minute(drive) {
                return (Some(outcome), minute);
            }
        }
        (None, count)
    }

    fn by_hand(&mut self, pointer: &Value) {
        self.target.put(&[("active".to_owned(), pointer.to_string())]).unwrap();
    }
}

#[test]
fn a_sound_canary_goes_through_all_steps_and_is_promoted() {
    let mut world = World::new(1, [0.005, 0.005]);
    let mut drive = world.start("5%:10m:100,25%:10m:500,50%:10m:1000,100%:5m").unwrap();
    assert_eq!(world.percent(), Some(5.0));
    let (outcome, minutes) = world.minutes(&mut drive, 240);
    assert_eq!(outcome, Some(Outcome::Well));
    assert!(minutes >= 35, "every step has its least time: {minutes}");
    let pointer = json!({ "enabled": true, "revision": "r42", "previous": "r41", "manifest": true });
    assert_eq!(world.pointer(), pointer);
    let history = world.history();
    let shares: Vec<Option<f64>> =
        history.records.iter().map(|record| record.to.canary.as_ref().map(|canary| canary.percent)).collect();
    assert_eq!(shares, [Some(5.0), Some(25.0), Some(50.0), Some(100.0), None]);
    assert!(history.records.iter().all(|record| record.did == "canary r42 --auto"));
    assert!(history.records[1].why.as_deref().unwrap().starts_with("a bigger hero; "), "{:?}", history.records[1]);
    // A job that starts once more finds its work done.
    assert_eq!(world.start("default").unwrap_err(), Outcome::Well);
}

#[test]
fn a_sound_canary_is_not_rolled_back() {
    for seed in 0..8 {
        let mut world = World::new(seed * 7_919 + 1, [0.01, 0.01]);
        let mut drive = world.start("5%:24h").unwrap();
        assert_eq!(world.minutes(&mut drive, 120), (None, 120), "seed {seed}");
        assert_eq!(world.percent(), Some(5.0));
    }
}

#[test]
fn half_of_its_visitors_broken_it_is_rolled_back_within_two_minutes() {
    for seed in 0..5 {
        let mut world = World::new(seed, [0.01, 0.5]);
        let mut drive = world.start("5%:10m:200,100%").unwrap();
        let (outcome, minutes) = world.minutes(&mut drive, 10);
        assert_eq!(outcome, Some(Outcome::Faults));
        assert!(minutes <= 2, "seed {seed}: {minutes}");
        assert_eq!(world.pointer(), json!({ "enabled": true, "revision": "r41", "manifest": true }));
        let why = world.history().last().unwrap().why.clone().unwrap();
        assert!(why.contains("5xx: ") && why.contains("evidence"), "{why}");
        let annotations = fs::read_to_string(world.annotations()).unwrap();
        let last: Value = serde_json::from_str(annotations.lines().last().unwrap()).unwrap();
        assert_eq!(last["tags"], json!(["edge-personalizer", "canary", "r42", "rollback"]));
        assert_eq!(last["time"], json!(world.now / 1_000));
        // A job that starts once more leaves it.
        assert_eq!(world.start("5%:10m:200,100%").unwrap_err(), Outcome::Faults);
        assert_eq!(world.percent(), None);
    }
}

#[test]
fn silent_logs_and_logs_that_fall_silent_promote_nothing() {
    let mut world = World::new(1, [0.0, 0.0]);
    world.is_silent = true;
    let mut drive = world.start("5%:1m,25%:1m,100%:1m").unwrap();
    assert_eq!(world.minutes(&mut drive, 600), (None, 600));
    assert_eq!((world.percent(), world.history().records.len()), (Some(5.0), 1));
    let mut world = World::new(2, [0.0, 0.0]);
    let mut drive = world.start("25%:2h,100%:1m").unwrap();
    world.minutes(&mut drive, 60);
    world.is_silent = true;
    assert_eq!(world.minutes(&mut drive, 600), (None, 600), "no log time passes");
    assert_eq!(world.percent(), Some(25.0));
}

/// Lines of the baseline say nothing of a canary that nobody reaches.
#[test]
fn a_canary_that_falls_silent_while_the_baseline_goes_on_does_not_grow() {
    let mut world = World::new(2, [0.0, 0.0]);
    let mut drive = world.start("25%:2h:100,100%:1m").unwrap();
    assert_eq!(world.minutes(&mut drive, 60), (None, 60));
    world.is_canary_silent = true;
    assert_eq!(world.minutes(&mut drive, 240), (None, 240));
    assert_eq!((world.percent(), world.history().records.len()), (Some(25.0), 1));
    world.is_canary_silent = false;
    world.minute(&mut drive);
    assert_eq!(world.percent(), Some(100.0), "it is back, and its time is over");
}

#[test]
fn a_canary_that_is_logged_at_another_rate_is_judged_at_the_lower_one() {
    for (samples, seed) in [([1.0, 0.1], 0), ([0.1, 1.0], 0), ([1.0, 0.1], 1), ([0.1, 1.0], 1)] {
        let mut world = World::new(seed * 7_919 + 1, [0.02, 0.02]);
        world.samples = samples;
        let mut drive = world.start("25%:24h,100%").unwrap();
        assert_eq!(world.minutes(&mut drive, 120), (None, 120), "{samples:?}");
        let mut world = World::new(seed * 7_919 + 1, [0.02, 0.06]);
        world.samples = samples;
        let mut drive = world.start("25%:1h,50%:24h,100%").unwrap();
        assert_eq!(world.minutes(&mut drive, 240).0, Some(Outcome::Faults), "{samples:?}");
    }
}

/// Where the store fails while there is a reason to roll back, the end of the stream is no reason to leave it.
#[test]
fn after_the_streams_end_it_looks_until_the_store_works_or_the_time_is_over() {
    for works_after in [Some(3 * MINUTE), None] {
        let mut world = World::new(4, [0.0, 0.0]);
        let mut drive = world.start("50%:10m,100%").unwrap();
        world.minute(&mut drive);
        let path = world.folder.path().join("store.json");
        let whole = fs::read_to_string(&path).unwrap();
        // The lines come, and with them the end.
        for request in 0..200 {
            let (is_canary, id) = (world.random.has(0.5), format!("{:016x}", world.random.next()));
            let (revision, status) = if is_canary { ("r42", 503) } else { ("r41", 200) };
            let time = moment::second(world.now);
            drive.line(
                format!(r#"{{"v":2,"time":"{time}","request_id":"{id}","revision":"{revision}","status":{status},"total_ms":52,"slot":{request}}}"#)
                    .as_bytes(),
            );
        }
        fs::write(&path, "{").unwrap();
        let (began, now) = (world.now, Cell::new(world.now));
        let clock = || {
            now.set(now.get() + MINUTE / 6);
            if works_after.is_some_and(|after| now.get() - began >= after) {
                fs::write(&path, &whole).unwrap();
            }
            Ok(now.get())
        };
        let timing = Timing { every: MINUTE, end: began + 10 * MINUTE, pause: Duration::ZERO };
        let ended = go(&mut drive, &mut world.target, timing, |_| Ok(false), clock);
        if works_after.is_some() {
            assert_eq!(ended.unwrap(), Outcome::Faults);
            assert_eq!(world.percent(), None);
        } else {
            assert!(format!("{:#}", ended.unwrap_err()).contains("store.json: expected an object of texts"));
            assert!(now.get() - began >= 10 * MINUTE, "not before its time is over");
        }
    }
}

#[test]
fn where_it_cannot_be_told_it_holds() {
    // Some visitors fail, and five of a hundred more may: too few to know.
    let mut world = World::new(3, [0.05, 0.05]);
    world.visitors = 4;
    let mut drive = world.start("25%:1m,100%:1m").unwrap();
    assert_eq!(world.minutes(&mut drive, 240), (None, 240));
    assert_eq!(world.percent(), Some(25.0));
}

#[test]
fn who_changes_the_pointer_takes_over_and_nothing_of_theirs_is_overwritten() {
    for theirs in [
        json!({ "enabled": true, "revision": "r40", "manifest": true }),
        json!({ "enabled": true, "revision": "r41", "canary": { "revision": "r42", "percent": 10.0 }, "manifest": true }),
        json!({ "enabled": true, "revision": "r41", "manifest": true }),
        json!({ "enabled": false, "revision": "r41", "canary": { "revision": "r42", "percent": 5.0 }, "manifest": true }),
    ] {
        // All of its visitors fail: there would be a reason to write.
        let mut world = World::new(4, [0.0, 1.0]);
        let mut drive = world.start("5%:10m,100%").unwrap();
        world.by_hand(&theirs);
        assert_eq!(world.minute(&mut drive), Some(Outcome::Overtaken), "{theirs}");
        assert_eq!(world.pointer(), theirs);
    }
    // Somebody's shadow is no reason to stop, and it stays.
    let mut world = World::new(5, [0.0, 1.0]);
    let mut drive = world.start("50%:10m,100%").unwrap();
    let cause = Cause { did: "shadow r40".to_owned(), ..Cause::default() };
    repoint(&mut world.target, "active", &cause, |_, before| {
        let mut after = before.clone();
        after.shadow = Some("r40".to_owned());
        Ok(after)
    })
    .unwrap();
    assert_eq!(world.minutes(&mut drive, 5).0, Some(Outcome::Faults));
    assert_eq!(world.pointer(), json!({ "enabled": true, "revision": "r41", "shadow": "r40", "manifest": true }));
}

#[test]
fn killed_in_mid_step_it_goes_on_there_and_the_steps_time_counts_from_its_beginning() {
    let plan = "5%:10m:100,25%:30m:500,100%:5m";
    let mut world = World::new(6, [0.002, 0.002]);
    let mut drive = world.start(plan).unwrap();
    while world.percent() == Some(5.0) {
        assert_eq!(world.minute(&mut drive), None);
    }
    let grew = world.now;
    world.minutes(&mut drive, 10);
    drop(drive);
    let mut drive = world.start(plan).unwrap();
    assert_eq!((world.percent(), world.history().records.len()), (Some(25.0), 2), "nothing is written");
    assert_eq!(drive.since(), NOON, "all lines of the canary are read again");
    while world.percent() == Some(25.0) {
        assert_eq!(world.minute(&mut drive), None);
    }
    let minutes = (world.now - grew) / MINUTE;
    assert!((30..=36).contains(&minutes), "not thirty minutes more: {minutes}");
}

#[test]
fn what_somebody_took_back_is_not_started_by_a_job_that_starts_again() {
    let mut world = World::new(7, [0.0, 0.0]);
    world.start("5%:10m,100%").unwrap();
    let cause = Cause { did: "rollback".to_owned(), ..Cause::default() };
    repoint(&mut world.target, "active", &cause, |_, before| {
        let mut after = before.clone();
        after.canary = None;
        Ok(after)
    })
    .unwrap();
    assert_eq!(world.start("5%:10m,100%").unwrap_err(), Outcome::Overtaken);
    let mut settings = world.settings("5%:10m,100%");
    settings.again = true;
    assert!(matches!(Drive::start(&mut world.target, settings, world.now).unwrap(), Started::Runs(_)));
    assert_eq!(world.percent(), Some(5.0));
}

#[test]
fn what_cannot_run_is_said_and_changes_nothing() {
    for (pointer, said) in [
        (json!({ "enabled": true }), "expected a revision that serves"),
        (json!({ "enabled": false, "revision": "r41" }), "switched off"),
        (json!({ "revision": "r41", "canary": { "revision": "r40", "percent": 5.0 } }), "but found r40 on trial"),
        (
            json!({ "revision": "r41", "canary": { "revision": "r42", "percent": 7.0 } }),
            "a step of the plan (5, 100 %)",
        ),
    ] {
        let mut world = World::new(8, [0.0, 0.0]);
        world.by_hand(&pointer);
        let settings = world.settings("5%:10m,100%");
        let error = Drive::start(&mut world.target, settings, NOON).unwrap_err();
        assert!(format!("{error:#}").contains(said), "{error:#}");
        assert_eq!(world.pointer(), pointer);
    }
    let mut world = World::new(9, [0.0, 0.0]);
    let settings = Settings { revision: "r43".to_owned(), ..world.settings("5%") };
    let error = Drive::start(&mut world.target, settings, NOON).unwrap_err();
    assert!(format!("{error:#}").contains("there are: r40, r41, r42"), "{error:#}");
}

/// The figures: `cargo test --release -p personalizer canary -- --ignored --nocapture`. Of sound canaries, `judge`'s own test has them.
#[test]
#[ignore = "some minutes"]
fn one_in_twenty_broken_is_rolled_back_in_the_median_within_twenty_minutes() {
    let stopped = |rates: [f64; 2]| {
        let run = |seed: u64| {
            let mut world = World::new(seed * 7_919 + 1, rates);
            let mut drive = world.start("5%:24h,100%").unwrap();
            let (outcome, minutes) = world.minutes(&mut drive, 120);
            if outcome == Some(Outcome::Faults) { minutes } else { i64::MAX }
        };
        let mut stopped: Vec<i64> = (0..101).map(run).collect();
        stopped.sort_unstable();
        stopped
    };
    let (broken, half) = (stopped([0.002, 0.052]), stopped([0.01, 0.5]));
    println!("5 % broken: median {} minutes, slowest {}; half broken: slowest {}", broken[50], broken[100], half[100]);
    assert!(broken[50] <= 20 && half[100] <= 2);
}

/// The figure of `--auto`, started as above. Each run is six hours with a look a minute, in which the job itself reads lines and pointer.
#[test]
#[ignore = "half an hour on two cores"]
fn of_three_thousand_sound_canaries_at_most_one_in_a_hundred_is_rolled_back() {
    const RUNS: u64 = 3_000;
    let next = std::sync::atomic::AtomicU64::new(0);
    let rolled_back = std::sync::atomic::AtomicU64::new(0);
    let count = std::sync::atomic::Ordering::Relaxed;
    let run = || {
        while let seed @ 0..RUNS = next.fetch_add(1, count) {
            let mut world = World::new(seed * 7_919 + 1, [0.01, 0.01]);
            let mut drive = world.start("5%:24h,100%").unwrap();
            let (outcome, _) = world.minutes(&mut drive, 360);
            let backs = rolled_back.fetch_add(u64::from(outcome == Some(Outcome::Faults)), count);
            if seed % 100 == 99 {
                println!("{} runs, some {backs} rolled back", seed + 1);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(run);
        }
    });
    let rolled_back = rolled_back.into_inner();
    println!("{rolled_back} of {RUNS} rolled back");
    assert!(rolled_back * 100 <= RUNS, "{rolled_back}");
}
