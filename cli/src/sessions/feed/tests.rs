//! The feed between a source and an edge that fail in every way, at every step.

mod fakes;

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use serde_json::json;

use self::fakes::{Fault, Kind, World, entry};
use super::flow::{Flow, Plan};
use super::lane::number;
use super::watch::{Counts, Watch};
use crate::backoff::Patience;

const PLAN: Plan = Plan {
    lanes: 2,
    batch: 5,
    bytes: 4_096,
    patience: Patience { attempts: 1_000, pause: Duration::from_millis(1) },
    once: true,
};

/// Runs a feed until the source has nothing more, or it fails.
fn feed(world: &World, plan: Plan) -> anyhow::Result<Counts> {
    Flow::new(world.source(), &world.edge(), plan, &AtomicBool::new(false), &mut Watch::silent()).run()
}

/// 60 updates of ten users, in no order of their times, and two that no edge takes.
fn sixty() -> World {
    let world = World::default();
    for n in 0..60_u64 {
        world.add(&entry(&format!("u{}", n % 10), (n * 37) % 61));
        if n % 30 == 7 {
            world.add(&json!({ "user": "bad" }).to_string());
        }
    }
    world
}

/// Every user's newest update, every entry acknowledged, and what was refused kept.
fn assert_all_is_well(world: &World, told: &str) {
    for user in 0..10_u64 {
        let newest = (0..60).filter(|n| n % 10 == user).map(|n| (n * 37) % 61).max();
        assert_eq!(world.with(|inner| inner.records.get(&format!("u{user}")).copied()), newest, "{told}: u{user}");
    }
    world.with(|inner| {
        assert_eq!(inner.acknowledged.len(), inner.entries.len(), "{told}");
        let kept: std::collections::BTreeSet<_> = inner.refused.iter().map(|one| one.id.as_str()).collect();
        assert_eq!(kept.len(), 2, "{told}: {kept:?}");
    });
}

#[test]
fn everything_is_delivered_and_acknowledged_in_batches() {
    let world = sixty();
    let counts = feed(&world, PLAN).unwrap();
    assert_eq!((counts.decided(), counts.refused, counts.repeats), (62, 2, 0));
    assert_all_is_well(&world, "nothing failed");
    world.with(|inner| assert!(inner.sizes.iter().all(|size| *size <= 5) && inner.sizes.len() >= 12));
    assert_eq!(feed(&world, PLAN).unwrap(), Counts::default(), "nothing is left for the next run");
}

#[test]
fn a_feed_that_is_killed_at_any_step_loses_nothing() {
    for kind in [Kind::KilledBefore, Kind::KilledAfter] {
        let mut killed = 0;
        for step in 0..80 {
            let world = sixty();
            world.fail(step, kind);
            killed += usize::from(feed(&world, PLAN).is_err());
            world.revive();
            feed(&world, PLAN).unwrap();
            assert_all_is_well(&world, &format!("{kind:?} at step {step}"));
        }
        assert!(killed > 20, "{kind:?}: only {killed} steps were reached");
    }
}

#[test]
fn a_source_and_an_edge_that_fail_at_any_step_are_asked_again() {
    for kind in [Kind::FailsBefore, Kind::FailsAfter] {
        for step in 0..40 {
            let world = sixty();
            for more in 0..3 {
                world.fail(step + more, kind);
            }
            feed(&world, PLAN).unwrap();
            assert_all_is_well(&world, &format!("{kind:?} at step {step}"));
        }
    }
}

#[test]
fn what_the_edge_puts_off_is_sent_again_and_not_acknowledged_before() {
    let world = sixty();
    world.with(|inner| inner.faults = (0..20).map(|_| Fault::PutOffHalf).collect());
    feed(&world, PLAN).unwrap();
    assert_all_is_well(&world, "put off");
    world.with(|inner| assert!(inner.early.is_empty(), "acknowledged before a decision: {:?}", inner.early));
}

#[test]
fn a_message_is_repeated_under_its_id() {
    let world = World::default();
    world.add(&entry("u1", 1));
    world.with(|inner| inner.faults = vec![Fault::Busy, Fault::Busy]);
    let counts = feed(&world, PLAN).unwrap();
    assert_eq!((counts.requests, counts.repeats, counts.stored), (3, 2, 1));
    world.with(|inner| assert!(inner.ids.iter().all(|id| *id == inner.ids[0]), "{:?}", inner.ids));
}

#[test]
fn an_edge_that_takes_smaller_batches_gets_them_and_one_update_that_is_too_large_is_refused() {
    let world = sixty();
    world.with(|inner| inner.most = 2);
    feed(&world, PLAN).unwrap();
    assert_all_is_well(&world, "two at a time");

    let world = sixty();
    world.add(&json!({ "user": "u1", "at": 0, "huge": true }).to_string());
    feed(&world, PLAN).unwrap();
    world.with(|inner| {
        let reasons: Vec<&str> = inner.refused.iter().map(|one| one.reason.as_str()).collect();
        assert!(reasons.contains(&"send smaller batches"), "{reasons:?}");
        assert_eq!(inner.acknowledged.len(), inner.entries.len());
    });
}

#[test]
fn entries_that_hold_no_update_are_refused_with_the_reason() {
    let world = World::default();
    world.add_entry(Err("expected field 'update', but found none".to_owned()));
    for bytes in [b"".as_slice(), b" \r\n ", b"\xff\xfe", "x".repeat(5_000).as_bytes()] {
        world.add_entry(Ok(bytes.to_vec()));
    }
    world.add("{\"user\":\r\n\"u1\",\n\"at\":7}\n");
    let counts = feed(&world, PLAN).unwrap();
    assert_eq!((counts.stored, counts.refused), (1, 5));
    let reasons = world.with(|inner| inner.refused.iter().map(|one| one.reason.clone()).collect::<Vec<_>>());
    assert_eq!(
        reasons,
        [
            "expected field 'update', but found none",
            "expected an update, but found nothing",
            "expected an update, but found nothing",
            "expected UTF-8, but found other bytes",
            "expected at most 4095 bytes, but found 5000",
        ]
    );
}

#[test]
fn an_edge_or_a_source_that_refuses_ends_the_feed_and_nothing_is_acknowledged() {
    for (fault, expected) in [(Fault::Unauthorized, "401"), (Fault::Away, "gave up after 3 attempts: nobody is there")]
    {
        let world = sixty();
        world.with(|inner| inner.faults = vec![fault; 100]);
        let plan = Plan { patience: Patience { attempts: 3, ..PLAN.patience }, ..PLAN };
        let error = format!("{:#}", feed(&world, plan).unwrap_err());
        assert!(error.contains(expected), "{error}");
        // What this feed itself refused, or the edge, is decided on.
        world.with(|inner| assert!(inner.acknowledged.is_empty(), "{:?}", inner.acknowledged));
    }
}

#[test]
fn a_feed_that_is_told_to_end_waits_for_what_is_under_way_and_leaves_the_rest() {
    let world = sixty();
    let stop = AtomicBool::new(false);
    world.with(|inner| inner.faults = vec![Fault::Slow; 2]);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while world.with(|inner| inner.ids.is_empty()) {
                std::thread::yield_now();
            }
            stop.store(true, std::sync::atomic::Ordering::SeqCst);
        });
        let plan = Plan { once: false, ..PLAN };
        Flow::new(world.source(), &world.edge(), plan, &stop, &mut Watch::silent()).run().unwrap();
    });
    let sent = world.with(|inner| inner.sizes.iter().sum::<usize>());
    world.with(|inner| {
        assert!(sent > 0 && sent < inner.entries.len(), "{sent}");
        assert_eq!(inner.acknowledged.len(), sent, "what was sent is acknowledged");
    });
    feed(&world, PLAN).unwrap();
    assert_all_is_well(&world, "the next run");
}

#[test]
fn no_two_requests_at_once_are_about_one_user() {
    let world = sixty();
    world.with(|inner| inner.faults = vec![Fault::Slow; 12]);
    feed(&world, Plan { lanes: 4, ..PLAN }).unwrap();
    world.with(|inner| assert_eq!((inner.clashes, inner.most_at_once > 1), (0, true)));
}

#[test]
fn a_subjects_updates_go_one_way_and_subjects_are_spread() {
    let of = |text: &str| number(text, 8);
    assert_eq!(of(r#"{"user":"a","op":"put"}"#), of(r#"{"op":"delete","user":"a"}"#));
    let used: std::collections::BTreeSet<usize> = (0..100).map(|n| of(&entry(&format!("u{n}"), 1))).collect();
    assert_eq!(used.len(), 8);
    assert!(of("no JSON") < 8);
}
