use http::{HeaderMap, StatusCode};
use serde_json::json;
use time::OffsetDateTime;

use super::*;
use crate::platform::SendError;
use crate::platform::memory::{Answer, BodyDamage, Memory};
use crate::session::stored::Stored;
use crate::session::subject::UserId;
use crate::session::subject::VisitorId;

/// Now, in seconds since 1970.
const START: i64 = 1_800_000_000;
const NOW_MS: i64 = START * 1000;

/// How the session API behaves: after so many milliseconds it answers so, and this is wrong with its body.
#[derive(Debug, Clone)]
struct Api(u64, Answer, BodyDamage);

impl Api {
    fn fails(error: SendError) -> Self {
        Self(0, Err(error), BodyDamage::default())
    }

    fn with(bytes: Vec<u8>, faults: BodyDamage) -> Self {
        Self(0, Ok((StatusCode::OK, HeaderMap::new(), bytes)), faults)
    }

    fn resets(bytes: Vec<u8>) -> Self {
        let break_at = Some(bytes.len());
        Self::with(bytes, BodyDamage { break_at, ..BodyDamage::default() })
    }

    fn drips(ms: u64, bytes: Vec<u8>) -> Self {
        Self::with(bytes, BodyDamage { drip: Some(Duration::from_millis(ms)), ..BodyDamage::default() })
    }

    fn endless() -> Self {
        Self::with(Vec::new(), BodyDamage { endless: true, ..BodyDamage::default() })
    }
}

/// A host without a session API, whose look-ups take a millisecond.
fn host() -> Memory {
    let host = Memory::default();
    host.clock.set(Some(OffsetDateTime::from_unix_timestamp(START).unwrap()));
    host.kv_takes.set(Duration::from_millis(1));
    host
}

fn with_api(api: Api) -> Memory {
    let host = host();
    set_api(&host, api);
    host
}

fn set_api(host: &Memory, Api(ms, answer, faults): Api) {
    host.backend_takes.set(Duration::from_millis(ms));
    host.body_damage.set(faults);
    host.backends.borrow_mut().insert("session_api".to_owned(), Box::new(move |_| answer.clone()));
}

/// The URLs that the session API was asked for.
fn asked(host: &Memory) -> Vec<String> {
    host.asked.borrow().iter().map(|asked| asked.url.clone()).collect()
}

fn fail(host: &Memory, error: StoreError) {
    host.kv_fails.borrow_mut().insert(Kv::Sessions, error);
}

fn key(key: &str) -> (Kv, String) {
    (Kv::Sessions, key.to_owned())
}

fn text(host: &Memory, of: &str) -> String {
    String::from_utf8(host.kv.borrow()[&key(of)].bytes.clone()).unwrap()
}

fn alice() -> Subject {
    Subject::User(UserId::parse("alice").unwrap())
}

fn settings() -> SessionSettings {
    SessionSettings { path: Some("/sessions/{kind}/{id}".to_owned()), ..SessionSettings::default() }
}

fn record(seconds_old: i64) -> Vec<u8> {
    json!({ "v": 1, "updated_at": NOW_MS - seconds_old * 1000, "segments": ["kv"] }).to_string().into_bytes()
}

fn central() -> Vec<u8> {
    json!({ "updated_at": NOW_MS - 1000, "segments": ["central"] }).to_string().into_bytes()
}

fn answers(ms: u64, status: u16, body: impl Into<Vec<u8>>) -> Api {
    Api(ms, Ok((StatusCode::from_u16(status).unwrap(), HeaderMap::new(), body.into())), BodyDamage::default())
}

fn read(host: &Memory, settings: &SessionSettings, on_miss: OnMiss, breaker: &mut Breaker) -> Outcome {
    let started = start(host, vec![alice()]);
    finish(host, started, settings, on_miss, breaker)
}

fn segment(outcome: &Outcome) -> Option<&str> {
    outcome.record.as_ref().map(|record| record.segments[0].as_str())
}

#[test]
fn nobody_to_look_up_means_no_look_up() {
    let host = host();
    let started = start(&host, Vec::new());
    let outcome = finish(&host, started, &settings(), OnMiss::Ask, &mut Breaker::default());
    assert_eq!(outcome, Outcome::none());
    assert_eq!(outcome.to_string(), "none");
    assert_eq!(host.looked_up("kv"), 0);
}

/// Every state of the store × every behaviour of the session API, with the state and the source expected.
#[test]
fn every_fault_has_its_outcome_within_the_budget_and_one_body_read() {
    use State::{Error, Fresh, Miss, Refreshed, Stale};
    let stores = ["fresh", "stale", "too old", "absent", "deleted", "broken", "failing", "throttled", "missing"];
    let apis: Vec<(&str, Option<Api>)> = vec![
        ("off", None),
        ("answers", Some(answers(20, 200, central()))),
        ("has none", Some(answers(20, 404, ""))),
        ("stalls", Some(answers(60_000, 200, central()))),
        ("500", Some(answers(5, 500, "oops"))),
        ("unreachable", Some(Api::fails(SendError::Unreachable))),
        ("no backend", Some(Api::fails(SendError::NoBackend))),
        ("resets", Some(Api::resets(central()[..20].to_vec()))),
        ("truncated", Some(answers(5, 200, &central()[..20]))),
        ("drips", Some(Api::drips(30, central()))),
        ("endless", Some(Api::endless())),
        ("no JSON", Some(answers(5, 200, "<html>"))),
        ("an array", Some(answers(5, 200, "[]"))),
        ("oversized", Some(answers(5, 200, format!("{{\"x\":\"{}\"}}", "x".repeat(70_000))))),
    ];
    let expected = |store: &str, api: &str| -> (State, Option<&str>) {
        match (store, api) {
            ("fresh", _) => (Fresh, Some("kv")),
            (_, "answers") => (Refreshed, Some("central")),
            (_, "has none") => (Miss, None),
            ("stale", _) => (Stale, Some("kv")),
            ("failing" | "throttled" | "missing", _) => (Error, None),
            (_, "off") => (Miss, None),
            _ => (Error, None),
        }
    };
    let mut wrong = Vec::new();
    let mut cells = 0;
    let mut longest = 0;
    for store in stores {
        let mut line = format!("{store:<10}");
        for (name, api) in &apis {
            let host = with_api(api.clone().unwrap_or(Api::endless()));
            match store {
                "fresh" => host.put(Kv::Sessions, "user/alice", record(10)),
                "stale" => host.put(Kv::Sessions, "user/alice", record(3600)),
                "too old" => host.put(Kv::Sessions, "user/alice", record(100_000)),
                "deleted" => {
                    let mut stored = Stored::default();
                    let update =
                        crate::session::stamp::Update::new(NOW_MS - 3_600_000, crate::session::stamp::Action::Delete);
                    stored.apply(&update, &settings().limits);
                    host.put(Kv::Sessions, "user/alice", stored.to_bytes());
                }
                "broken" => host.put(Kv::Sessions, "user/alice", "{\"updated_at\":"),
                "failing" => fail(&host, StoreError::Failed),
                "throttled" => fail(&host, StoreError::Throttled),
                "missing" => fail(&host, StoreError::NoStore),
                _ => {}
            }
            let settings = SessionSettings { path: settings().path.filter(|_| api.is_some()), ..settings() };
            let outcome = read(&host, &settings, OnMiss::Ask, &mut Breaker::default());
            cells += 1;
            longest = longest.max(host.age.get().as_millis());
            line.push_str(&format!(" {name}={}", outcome.state.as_str()));
            if (outcome.state, segment(&outcome)) != expected(store, name) {
                wrong.push(format!("{store} × {name}: {outcome} {:?}", outcome.faults));
            }
            let expected_asked = usize::from(api.is_some() && store != "fresh");
            assert_eq!(asked(&host).len(), expected_asked, "{store} × {name}");
            assert_eq!(
                outcome.write_back.len(),
                usize::from(matches!(*name, "answers" | "has none") && expected_asked == 1)
            );
            assert_eq!(host.looked_up("kv_write"), 0, "nothing is written before the answer");
        }
        println!("{line}");
    }
    println!("{cells} cells, the longest wait {longest} ms");
    assert_eq!(wrong, Vec::<String>::new());
    // One read of a dripping body ends after the budget: the platform's between-bytes time-out bounds it.
    assert!(longest <= 130, "{longest}");
}

#[test]
fn the_header_says_state_and_age() {
    let host = host();
    host.put(Kv::Sessions, "user/alice", record(10));
    let outcome = read(&host, &settings(), OnMiss::Ask, &mut Breaker::default());
    assert_eq!(outcome.to_string(), "fresh;age=10");
    assert_eq!(outcome.timing, Timing { kv_ms: 1, api_ms: None });
}

#[test]
fn freshness_ends_exactly_at_its_age() {
    for (age, state) in [(299, State::Fresh), (300, State::Stale), (86_399, State::Stale), (86_401, State::Miss)] {
        let host = host();
        host.put(Kv::Sessions, "user/alice", record(age));
        host.kv_takes.set(Duration::ZERO);
        // One millisecond beyond the age.
        host.wait(Duration::from_millis(u64::from(age == 300)));
        let outcome = read(&host, &SessionSettings::default(), OnMiss::Ask, &mut Breaker::default());
        assert_eq!(outcome.state, state, "{age}");
    }
}

#[test]
fn a_refreshed_record_is_stored_afterwards_and_then_fresh() {
    let host = with_api(answers(20, 200, json!({ "updated_at": 5, "segments": ["central"] }).to_string()));
    let mut breaker = Breaker::default();
    let mut outcome = read(&host, &settings(), OnMiss::Ask, &mut breaker);
    assert_eq!(outcome.state, State::Refreshed);
    assert_eq!(outcome.age, Some(0), "known to be right just now, however long ago it changed");
    let reads = host.looked_up("kv");
    outcome.write_back.pop().unwrap().perform(&host, &settings()).unwrap();
    assert_eq!(host.looked_up("kv"), reads, "an undisturbed write needs no second look-up");
    assert_eq!(host.kv_ttls.borrow()[&key("user/alice")], 30 * 86_400);
    let again = read(&host, &settings(), OnMiss::Ask, &mut breaker);
    assert_eq!((again.state, segment(&again)), (State::Fresh, Some("central")));
    assert_eq!(asked(&host), ["https://session-api/sessions/user/alice"]);
}

#[test]
fn knowing_that_there_is_nothing_spares_the_central_backend_too() {
    let host = with_api(answers(20, 404, ""));
    let mut breaker = Breaker::default();
    let mut outcome = read(&host, &settings(), OnMiss::Ask, &mut breaker);
    outcome.write_back.pop().unwrap().perform(&host, &settings()).unwrap();
    assert_eq!(host.kv_ttls.borrow()[&key("user/alice")], 300);
    assert_eq!(read(&host, &settings(), OnMiss::Ask, &mut breaker).state, State::Miss);
    assert_eq!(asked(&host).len(), 1);
    host.wait(Duration::from_secs(301));
    read(&host, &settings(), OnMiss::Ask, &mut breaker);
    assert_eq!(asked(&host).len(), 2);
}

#[test]
fn what_the_replication_stored_in_the_meantime_stays() {
    let host = with_api(answers(20, 200, central()));
    let mut outcome = read(&host, &settings(), OnMiss::Ask, &mut Breaker::default());
    let newer = json!({ "updated_at": NOW_MS, "segments": ["replicated"] }).to_string();
    host.put(Kv::Sessions, "user/alice", newer);
    outcome.write_back.pop().unwrap().perform(&host, &settings()).unwrap();
    assert!(text(&host, "user/alice").contains("replicated"));
    assert!(!text(&host, "user/alice").contains("central"));
}

#[test]
fn the_newer_of_the_store_and_the_central_backend_counts() {
    let host = with_api(answers(20, 200, json!({ "updated_at": 5, "segments": ["central"] }).to_string()));
    host.put(Kv::Sessions, "user/alice", record(3600));
    let outcome = read(&host, &settings(), OnMiss::Ask, &mut Breaker::default());
    assert_eq!((outcome.state, segment(&outcome)), (State::Refreshed, Some("kv")));
}

#[test]
fn a_central_clock_far_ahead_does_not_win_for_ever() {
    let body = json!({ "updated_at": "9999-01-01T00:00:00Z", "segments": ["central"] }).to_string();
    let host = with_api(answers(20, 200, body));
    let outcome = read(&host, &settings(), OnMiss::Ask, &mut Breaker::default());
    assert_eq!(outcome.record.unwrap().updated_at, NOW_MS + 1);
}

#[test]
fn a_slow_store_leaves_the_central_backend_less_time() {
    let host = with_api(answers(60, 200, central()));
    host.kv_takes.set(Duration::from_millis(60));
    let outcome = read(&host, &settings(), OnMiss::Ask, &mut Breaker::default());
    assert_eq!(outcome.faults, [SessionFault::TimedOut]);
    assert_eq!(outcome.timing, Timing { kv_ms: 60, api_ms: Some(40) });
    let host = with_api(answers(60, 200, central()));
    host.kv_takes.set(Duration::from_millis(300));
    let outcome = read(&host, &settings(), OnMiss::Ask, &mut Breaker::default());
    assert_eq!(outcome.faults, [SessionFault::Budget]);
    assert!(asked(&host).is_empty());
}

#[test]
fn an_open_breaker_asks_nobody() {
    let host = with_api(Api::fails(SendError::Unreachable));
    let mut breaker = Breaker::default();
    for _ in 0..5 {
        read(&host, &settings(), OnMiss::Ask, &mut breaker);
    }
    assert_eq!(asked(&host).len(), 3);
    let outcome = read(&host, &settings(), OnMiss::Ask, &mut breaker);
    assert_eq!((outcome.state, outcome.faults), (State::Error, vec![SessionFault::BreakerOpen]));
    host.wait(Duration::from_secs(10));
    set_api(&host, answers(1, 200, central()));
    assert_eq!(read(&host, &settings(), OnMiss::Ask, &mut breaker).state, State::Refreshed);
}

#[test]
fn a_route_may_leave_a_miss_to_the_origin() {
    for old in [3600, 100_000] {
        let host = with_api(answers(1, 200, central()));
        host.put(Kv::Sessions, "user/alice", record(old));
        let outcome = read(&host, &settings(), OnMiss::Origin, &mut Breaker::default());
        assert_eq!((outcome.to_string().as_str(), outcome.record), ("miss", None));
        assert!(asked(&host).is_empty());
    }
}

#[test]
fn a_visitors_and_a_users_session_become_one() {
    let visitor = Subject::Visitor(VisitorId::from_random(7));
    let host = host();
    host.put(Kv::Sessions, "user/alice", json!({ "updated_at": NOW_MS - 5000, "cart": ["a"] }).to_string());
    host.put(Kv::Sessions, &visitor.kv_key(), json!({ "updated_at": NOW_MS - 400_000, "cart": ["b"] }).to_string());
    let both = |host: &Memory| {
        let started = start(host, vec![alice(), visitor.clone()]);
        finish(host, started, &SessionSettings::default(), OnMiss::Ask, &mut Breaker::default())
    };
    let outcome = both(&host);
    assert_eq!(outcome.to_string(), "stale;age=400", "as good as the worse of the two");
    assert_eq!(outcome.record.unwrap().cart.len(), 2);
    host.kv.borrow_mut().remove(&key("user/alice"));
    assert_eq!(both(&host).record.unwrap().cart[0].sku, "b");
    host.kv.borrow_mut().clear();
    assert_eq!(both(&host).to_string(), "miss");
}

#[test]
fn ids_are_encoded_for_the_path_they_land_in() {
    let host = with_api(answers(1, 404, ""));
    let odd = Subject::User(UserId::parse("auth0|a+b@c:d").unwrap());
    let started = start(&host, vec![odd]);
    finish(&host, started, &settings(), OnMiss::Ask, &mut Breaker::default());
    assert_eq!(asked(&host), ["https://session-api/sessions/user/auth0%7Ca%2Bb%40c%3Ad"]);
    let wrong = SessionSettings { path: Some("no slash {id}".to_owned()), ..settings() };
    let outcome = read(&host, &wrong, OnMiss::Ask, &mut Breaker::default());
    assert_eq!(outcome.faults, [SessionFault::NoBackend]);
}

#[test]
fn a_body_that_breaks_off_is_not_one_that_is_no_record() {
    for (api, fault) in [
        (Api::resets(central()[..20].to_vec()), SessionFault::BrokenOff),
        (Api::drips(30, central()), SessionFault::TimedOut),
        (answers(5, 200, "<html>"), SessionFault::Malformed),
        (answers(5, 200, "{\"cart\":1}"), SessionFault::Malformed),
    ] {
        let outcome = read(&with_api(api), &settings(), OnMiss::Ask, &mut Breaker::default());
        assert_eq!(outcome.faults, [fault]);
    }
}

#[test]
fn an_empty_record_is_known_and_a_deleted_one_is_none() {
    let empty = |fields: serde_json::Value| json!({ "updated_at": NOW_MS - 5000, "sync": fields["sync"], "cart": fields["cart"] });
    let host = host();
    host.put(Kv::Sessions, "user/alice", empty(json!({ "cart": [] })).to_string());
    let outcome = read(&host, &settings(), OnMiss::Ask, &mut Breaker::default());
    assert_eq!(
        (outcome.to_string().as_str(), outcome.record.map(|record| record.cart)),
        ("fresh;age=5", Some(Vec::new()))
    );
    let host = with_api(answers(1, 200, "{}"));
    assert_eq!(read(&host, &settings(), OnMiss::Ask, &mut Breaker::default()).state, State::Refreshed);
}

#[test]
fn what_of_a_record_cannot_be_used_is_named_and_never_an_empty_list() {
    let codes = |record: serde_json::Value| {
        let host = host();
        host.put(Kv::Sessions, "user/alice", record.to_string());
        let outcome = read(&host, &settings(), OnMiss::Ask, &mut Breaker::default());
        let cart = outcome.record.map(|record| record.cart.len());
        (cart, outcome.faults)
    };
    let with = |cart: serde_json::Value| json!({ "updated_at": NOW_MS, "cart": cart, "segments": ["vip"] });
    for wrong in [json!([{ "sku": 1 }, { "sku": "a", "price": "9.50" }]), json!("none"), json!({ "items": [1] })] {
        assert_eq!(codes(with(wrong.clone())), (Some(0), vec![SessionFault::Broken]), "{wrong}");
    }
    assert_eq!(
        codes(with(json!([{ "sku": 1 }, { "sku": "a", "quantity": 2.0 }]))),
        (Some(1), vec![SessionFault::Broken])
    );
    // More than counts is cut, as it is said; and an empty list is one.
    let many: Vec<_> = (0..300).map(|number| json!({ "sku": format!("p{number}") })).collect();
    assert_eq!(codes(with(json!(many))), (Some(100), vec![]));
    assert_eq!(codes(with(json!([]))), (Some(0), vec![]));
}
