//! What a replay says against the truth: random pairs of rule sets and random visitors go through the service, which decides by both (one
//! serves, the other is its shadow) and knows everything; the replay gets the lines. What it says for certain must be so.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may stop at a surprise")]
#![allow(clippy::indexing_slicing, reason = "what is missing in a JSON value is null, and a surprise ends the test")]

mod support;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use edge_personalizer::platform::memory::Memory;
use edge_personalizer::platform::{Endpoint, Geo};
use edge_personalizer::record::timestamp;
use edge_personalizer::replay::{Line, Pair, Verdict, shown_path};
use edge_personalizer::rules::RuleSet;
use edge_personalizer::rules::set::Texts;
use edge_personalizer::service::Sandbox;
use serde_json::{Map, Value, json};
use support::at_random::{Random, dictionaries};
use support::sessions::{KEY, NOW, put, record};
use support::{Visit, echo, visit};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A condition of one to three parts over whatever a rule may read.
fn condition(random: &mut Random, depth: u32) -> Value {
    match random.bits() % if depth == 0 { 14 } else { 18 } {
        0 => json!({ "country": random.of(&["FR", "US", "JP", "DE"]) }),
        1 => json!({ "country": { "$in": [random.of(&["FR", "DE"]), "US"] } }),
        2 => json!({ "continent": random.of(&["EU", "NA"]) }),
        3 => json!({ "subdivision": random.of(&["NY", "CA", "IDF"]) }),
        4 => json!({ "deviceType": random.of(&["mobile", "desktop", "bot"]) }),
        5 => json!({ "language": random.of(&["fr", "en", "ja"]) }),
        6 => json!({ "network": { "$ne": "slow" } }),
        7 => json!({ "region": random.of(&["EU", "US", "WORLD"]) }),
        8 => json!({ "loggedIn": random.chance(50) }),
        9 => json!({ "session.attributes.name": random.of(&["Alice", "Bob"]) }),
        10 => json!({ "segments": { "$elemMatch": { "$eq": "vip" } } }),
        11 => json!({ "query.a": "1" }),
        12 => json!({ "group": random.of(&["a", "b"]) }),
        13 => json!({ "country": { "$inGroup": "near" } }),
        14 => json!({ "$not": condition(random, depth - 1) }),
        15 => json!({ "$or": [condition(random, depth - 1), condition(random, depth - 1)] }),
        16 => json!({ "$and": [condition(random, depth - 1), condition(random, depth - 1)] }),
        _ => json!({ "$nor": [condition(random, depth - 1), condition(random, depth - 1)] }),
    }
}

fn chance_of_condition(random: &mut Random, percent: u64) -> Value {
    if random.chance(percent) { condition(random, 2) } else { json!({}) }
}

/// Random rules: those of the promise about caches, with conditions, hosts, schedules and experiments of all kinds added.
fn rules(random: &mut Random) -> Value {
    let mut rules = dictionaries(random);
    for index in 0..4 {
        let route = &mut rules["routes"]["routes"][index];
        if random.chance(60) {
            route["when"] = condition(random, 2);
        }
        if random.chance(10) {
            route["host"] = random.of(&["shop.example", "*.example", "other.example"]).into();
        }
        if random.chance(10) {
            let day = random.of(&["2026-11-26T00:00:00Z", "2026-11-28T00:00:00Z"]);
            route["schedule"] = json!({ random.of(&["from", "until"]): day });
        }
        let catch_all = json!({ "id": format!("all{index}"), "path": format!("/r{index}/*"),
            "when": condition(random, 1), "rewrite": { "path": random.of(&["/all/{path.rest}", "/{language|xx}/all", "/{region.slug}"]) } });
        rules["routes"]["routes"].as_array_mut().unwrap().push(catch_all);
    }
    let coverage = random.of(&[0.3, 0.8, 1.0]);
    let weights = random.of(&[[0.5, 0.5], [0.2, 0.8], [0.9, 0.1]]);
    let features = &mut rules["features"]["features"];
    features["f"]["rules"][0]["condition"] = chance_of_condition(random, 70);
    features["f"]["rules"][1]["coverage"] = coverage.into();
    features["f"]["rules"][1]["weights"] = json!(weights);
    features["f"]["rules"][1]["condition"] = chance_of_condition(random, 40);
    features["g"]["rules"] = json!([
        { "condition": condition(random, 2), "coverage": random.of(&[0.1, 0.5]), "force": false },
        { "key": "g-test", "variations": [true, false], "namespace": ["n", 0.0, random.of(&[0.4, 0.7])], "hashVersion": 1,
            "parentConditions": [{ "id": "f", "condition": { "value": random.of(&["a", "a,b"]) } }] }]);
    rules["experiments"]["experiments"][0]["weights"] = json!(random.of(&[[0.2, 0.4, 0.4], [0.3, 0.3, 0.4]]));
    rules["experiments"]["experiments"][0]["condition"] = chance_of_condition(random, 40);
    rules["segments"] = json!({ "savedGroups": { "near": random.of(&[["FR", "DE"], ["FR", "JP"]]) } });
    let settings = &mut rules["settings"];
    settings["attributes"] = json!({ "group": { "cookie": "group", "values": ["a", "b"] } });
    settings["session"]["which"] = "merged".into();
    settings["redirects"] = "rewrite".into();
    if random.chance(10) {
        settings["hosts"] = json!({ "shop.example": { "languages": ["ja", "en"] } });
    }
    if random.chance(15) {
        settings["sticky"] = json!({});
    }
    if random.chance(10) {
        settings["languages"] = json!(["de", "en"]);
    }
    if random.chance(10) {
        settings["consent"] = json!({ "cookie": { "name": "consent", "value": "yes" } });
    }
    rules
}

/// Other rules: some dictionaries are new, some are changed here and there, some stay.
fn others(random: &mut Random, rules: &Value) -> Value {
    let mut others = rules.clone();
    let fresh = self::rules(random);
    for name in ["regions", "routes", "features", "experiments", "segments", "settings"] {
        if random.chance(if name == "settings" { 20 } else { 35 }) {
            others[name] = fresh[name].clone();
        }
    }
    if random.chance(60) {
        let routes = others["routes"]["routes"].as_array_mut().unwrap();
        let index = usize::try_from(random.bits() % 8).unwrap() % routes.len();
        routes[index]["when"] = condition(random, 2);
    }
    others
}

/// What a line may say of attributes.
fn facts(random: &mut Random) -> Value {
    let all = [
        "subdivision",
        "continent",
        "language",
        "network",
        "deviceType",
        "loggedIn",
        "segments",
        "host",
        "group",
        "path",
    ];
    Value::from(all.into_iter().filter(|_| random.chance(40)).collect::<Vec<_>>())
}

fn compiled(rules: &Value) -> RuleSet {
    let mut texts = Texts::default();
    for name in edge_personalizer::rules::dictionary::DICTIONARIES {
        if !rules[name].is_null() {
            texts.set(name, vec![rules[name].to_string()]);
        }
    }
    RuleSet::compile(None, &texts, None, &mut Vec::new())
}

/// A shop that serves `rules`, with `others` as its shadow.
fn shop(rules: &Value, others: &Value) -> Memory {
    let host = Memory::with_origin(echo);
    host.clock.set(Some(OffsetDateTime::from_unix_timestamp(NOW).unwrap()));
    host.secrets.borrow_mut().insert("identity".to_owned(), KEY.as_bytes().to_vec());
    for (revision, dictionaries) in [("r1", rules), ("r2", others)] {
        for (name, dictionary) in dictionaries.as_object().unwrap() {
            host.set(&format!("{revision}/{name}"), dictionary);
        }
    }
    host.set("active", &json!({ "revision": "r1", "shadow": "r2" }));
    let places = [("FR", "EU", "IDF"), ("US", "NA", "NY"), ("US", "NA", "CA"), ("JP", "AS", "13"), ("DE", "EU", "BE")];
    for (index, (country, continent, subdivision)) in places.into_iter().enumerate() {
        let geo = Geo {
            country: Some(country.to_owned()),
            continent: Some(continent),
            subdivision: Some(subdivision.to_owned()),
            ..Geo::default()
        };
        host.geo.borrow_mut().insert(address(u64::try_from(index).unwrap()), geo);
    }
    put(&host, "user/anna", record(1).to_string());
    put(&host, &format!("visitor/{:032x}", 7), record(1).to_string());
    host
}

fn address(index: u64) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(198, 51, 100, u8::try_from(index).unwrap()))
}

fn visitor(random: &mut Random) -> Visit {
    let address = address(random.bits() % 6);
    let names = ["a", "b", "c%20d", "0123456789", "anna@example"];
    let target = format!("/r{}/{}{}", random.bits() % 5, random.of(&names), random.of(&["", "?a=1", "?x=2"]));
    let mut visit = match random.chance(20) {
        true => support::sessions::by_user_from(address, random.of(&["anna", "berta"]), &target),
        false => visit(address, &target),
    };
    if random.chance(70) {
        let id = random.bits() % 40;
        let more = random.of(&["", "; group=a", "; group=b", "; consent=yes"]);
        visit = visit.with("Cookie", format!("ep_vid={id:032x}{more}"));
    }
    for (name, values) in [
        ("Accept-Language", &["fr", "de, en;q=0.5", "ja"][..]),
        (
            "User-Agent",
            &[
                "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 Version/17.0 Mobile/15E148 Safari/604.1",
                "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
                "Googlebot/2.1",
            ],
        ),
        ("Save-Data", &["on"]),
        ("X-Geo-Region", &["US"]),
    ] {
        if random.chance(if name == "User-Agent" { 95 } else { 50 }) {
            visit = visit.with(name, random.of(values));
        }
    }
    visit.by(random.of(&["GET", "GET", "GET", "HEAD", "POST"])).on(random.of(&["shop.example", "other.example:8080"]))
}

/// A line as the replay takes it.
fn read(line: &Value) -> Line<'_> {
    let object = |key: &str| line[key].as_object().cloned().unwrap_or_default();
    let at = line["time"].as_str().unwrap();
    assert_eq!(timestamp(OffsetDateTime::parse(at, &Rfc3339).unwrap()), at);
    Line {
        v: 2,
        time: OffsetDateTime::parse(at, &Rfc3339).ok(),
        route: line["route"].as_str(),
        method: line["method"].as_str().unwrap(),
        path: line["path"].as_str().unwrap(),
        region: line["region"].as_str(),
        country: line["country"].as_str(),
        device: line["device"].as_str(),
        variant: object("variant"),
        facts: object("facts"),
        backend_path: line["backend_path"].as_str(),
        has_fallen_back: line["fallback"].is_string(),
        has_slot: line["slot"].is_u64(),
    }
}

#[derive(Debug, Default)]
struct Score {
    lines: usize,
    changed: usize,
    unchanged: usize,
    undetermined: usize,
    not_reproduced: usize,
    by: BTreeMap<String, usize>,
}

/// Plays pairs of rule sets, and compares what the replay says with what the shadow said.
fn play(seed: u64, pairs: usize, visitors: usize) -> Score {
    let mut random = Random(seed);
    let mut score = Score::default();
    for pair in 0..pairs {
        let mut from = rules(&mut random);
        from["settings"]["log"] = json!({ "facts": facts(&mut random) });
        let mut to = others(&mut random, &from);
        to["settings"]["log"] = from["settings"]["log"].clone();
        let host = shop(&from, &to);
        let (old, new) = (compiled(&from), compiled(&to));
        let replay = Pair::new(&old, &new, from["segments"] == to["segments"]);
        let sandbox = &mut Sandbox::default();
        for _ in 0..4 {
            visit(address(0), "/warm").send_in(&host, sandbox);
        }
        for _ in 0..visitors {
            visitor(&mut random).send_in(&host, sandbox);
            let line = host.lines_of(Endpoint::Decisions).pop().unwrap();
            host.lines.borrow_mut().clear();
            host.asked.borrow_mut().clear();
            let verdict = replay.replay(&read(&line));
            let about = || format!("seed {seed}, pair {pair}\n{line:#}\n{verdict:?}\nfrom {from}\nto {to}");
            score.lines += 1;
            match &verdict {
                Verdict::Unchanged => {
                    assert_eq!(line["shadow"], Value::Null, "{}", about());
                    score.unchanged += 1;
                }
                Verdict::Changed(changed) => {
                    let mut said = changed.difference.clone();
                    said.revision = "r2".to_owned();
                    said.path = said.path.map(|path| shown_path::shown(&path, &old));
                    assert_eq!(serde_json::to_value(&said).unwrap(), line["shadow"], "{}", about());
                    score.changed += 1;
                }
                Verdict::Undetermined(attributes) => {
                    assert!(!attributes.is_empty(), "{}", about());
                    for attribute in attributes {
                        *score.by.entry(attribute.clone()).or_default() += 1;
                    }
                    score.undetermined += 1;
                }
                // The line is the old rules' own: nothing else decided it.
                Verdict::NotReproduced(why) => {
                    score.not_reproduced += 1;
                    panic!("{why:?}\n{}", about());
                }
            }
        }
    }
    score
}

#[test]
fn what_a_replay_says_for_certain_is_what_the_shadow_said() {
    let score = play(0x5eed, 60, 25);
    assert_eq!(score.lines, 60 * 25, "{score:?}");
    let determined = score.changed + score.unchanged;
    assert!(score.changed > 100 && determined * 2 > score.lines, "{score:?}");
}

/// `cargo test -p edge-personalizer --features tools --test replay -- --ignored --nocapture` with REPLAY_SEEDS=40: the same for longer.
#[test]
#[ignore = "takes minutes"]
fn what_a_replay_says_for_certain_is_so_over_many_seeds() {
    let seeds = std::env::var("REPLAY_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(20_u64);
    for seed in 1..=seeds {
        println!("{seed}: {:?}", play(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15), 100, 40));
    }
}

/// What is there of a visitor decides: with all that a line can say, far more is certain.
#[test]
fn who_logs_more_facts_knows_more() {
    let rules = |facts: Value| {
        json!({ "settings": { "languages": ["en", "fr"], "log": { "facts": facts } },
            "routes": { "routes": [{ "id": "a", "path": "/r0/*", "rewrite": { "path": "/plain" } }] } })
    };
    let mut to = rules(json!([]));
    to["routes"]["routes"][0]["when"] = json!({ "language": "fr", "continent": "EU" });
    for (facts, expected) in
        [(json!([]), "continent"), (json!(["continent"]), "language"), (json!(["continent", "language"]), "")]
    {
        let from = rules(facts);
        let host = shop(&from, &to);
        let sandbox = &mut Sandbox::default();
        for _ in 0..4 {
            visit(address(0), "/r0/x").with("Accept-Language", "fr").send_in(&host, sandbox);
        }
        let line: Map<String, Value> = host.lines_of(Endpoint::Decisions).pop().unwrap().as_object().cloned().unwrap();
        let line = Value::Object(line);
        let (old, new) = (compiled(&from), compiled(&to));
        let verdict = Pair::new(&old, &new, true).replay(&read(&line));
        match verdict {
            Verdict::Undetermined(attributes) => assert!(attributes.contains(expected), "{attributes:?}"),
            other => assert!(expected.is_empty() && other == Verdict::Unchanged, "{other:?}"),
        }
    }
}
