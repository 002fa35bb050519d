//! Experiments through the real service: shares as they are logged, one visitor one arm on every kind of page, no trace where none
//! is permitted.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic,
    reason = "what is missing in a JSON value is null, and a surprise ends the test"
)]

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use e2e::visitors::{NEW_YORK, NOWHERE, PARIS, Visitor};
use e2e::{Answer, Behaviour, Edge, Request, personalizer};
use serde_json::{Value, json};

const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0";
const GOOGLEBOT: &str = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";
const ARMS: [(&str, f64); 3] = [("control", 0.5), ("bold", 0.3), ("calm", 0.2)];
/// Upper one-in-a-million point of the chi-square distribution with two degrees of freedom: new visitors' ids are random, and a test
/// should fail for a reason.
const CRITICAL: f64 = 27.631;
/// How long a log line may take.
const LOG_LIMIT: Duration = Duration::from_secs(20);

/// Three arms on the home page, and on a JSON answer.
fn rules() -> Value {
    json!({
        "settings": {},
        "features": { "features": { "hero": { "defaultValue": "control", "rules": [{
            "key": "hero-test", "variations": ["control", "bold", "calm"], "weights": [0.5, 0.3, 0.2], "hashVersion": 2,
            "meta": [{ "key": "control" }, { "key": "bold" }, { "key": "calm" }] }] } } },
        "routes": { "routes": [
            { "id": "home", "path": "/", "features": ["hero"], "cache": { "ttl": 60 },
              "html": [{ "select": "#hero h1", "inner": "{{ feature.hero }}" }] },
            { "id": "api", "path": "/api/hero", "rewrite": { "path": "/echo/hero", "set_query": { "hero": "{feature.hero}" } } } ] }
    })
}

fn person(target: &str, cookie: Option<&str>) -> Request {
    let request = Request::get(target).header("User-Agent", FIREFOX);
    match cookie {
        Some(id) => request.header("Cookie", format!("theme=dark; ep_vid={id}")),
        None => request,
    }
}

/// The arm that a page shows.
fn on_page(answer: &Answer) -> String {
    let text = answer.text();
    let shown = ARMS.iter().find(|(arm, _)| text.contains(&format!("<h1>{arm}</h1>")));
    shown.unwrap_or_else(|| panic!("no arm on {text}")).0.to_owned()
}

/// The arm that the origin was asked for.
fn in_json(answer: &Answer) -> String {
    let text = answer.text();
    let shown = ARMS.iter().find(|(arm, _)| text.contains(&format!("hero={arm}")));
    shown.unwrap_or_else(|| panic!("no arm in {text}")).0.to_owned()
}

/// The visitor's id that an answer sets.
fn id_set(answer: &Answer) -> Option<String> {
    let lines = answer.header_lines("set-cookie");
    let line = lines.iter().find(|line| line.starts_with("ep_vid="))?;
    Some(line.trim_start_matches("ep_vid=").split(';').next().unwrap().to_owned())
}

fn arm_of(answer: &Answer) -> String {
    let variant = answer.header("edge-variant").unwrap();
    variant.trim_start_matches("hero=\"").trim_end_matches('"').to_owned()
}

#[test]
fn shares_are_as_set_and_everybody_keeps_one_arm() {
    let visitors: u64 = if std::env::var_os("EDGE_FULL").is_some() { 20_000 } else { 2_000 };
    let edge = Edge::with_rules(&rules()).start();
    let home = edge.visitor(NEW_YORK);
    let mut shown: HashMap<String, String> = HashMap::new();
    let mut logged: BTreeMap<String, HashSet<String>> = BTreeMap::new();
    let mut position = 0;
    for number in 0..visitors {
        // Every other visitor comes for the first time.
        let known = (number % 2 == 0).then(|| format!("{:032x}", u128::from(number) << 40 | 0xabc));
        let page = home.send(&person("/", known.as_deref()));
        assert_eq!(page.status, 200);
        let id = match known {
            Some(id) => {
                assert!(id_set(&page).is_none(), "a known visitor needs no new id");
                id
            }
            None => id_set(&page).unwrap(),
        };
        let arm = on_page(&page);
        let api = home.send(&person("/api/hero", Some(&id)));
        assert_eq!((in_json(&api), arm_of(&api), arm_of(&page)), (arm.clone(), arm.clone(), arm.clone()));
        for _ in 0..2 {
            let (line, next) = edge.logs().wait("exposures", position, LOG_LIMIT, |_| true).unwrap();
            position = next;
            assert_eq!(line["variation_id"], *arm);
            assert!(!line.to_string().contains(&id));
            logged.entry(arm.clone()).or_default().insert(line["unit_id"].as_str().unwrap().to_owned());
        }
        shown.insert(id, arm);
    }
    let total: usize = logged.values().map(HashSet::len).sum();
    assert_eq!(total as u64, visitors, "one pseudonym a visitor, the same on both pages");
    let share = |arm: &str| logged.get(arm).map_or(0, HashSet::len) as f64;
    let chi_square: f64 = ARMS
        .iter()
        .map(|(arm, weight)| {
            let expected = weight * visitors as f64;
            (share(arm) - expected).powi(2) / expected
        })
        .sum();
    println!("{visitors} visitors, logged: {:?}, chi-square {chi_square:.3}", ARMS.map(|(arm, _)| (arm, share(arm))));
    assert!(chi_square < CRITICAL, "chi-square {chi_square}");
    drop(edge);
    let again = Edge::with_rules(&rules()).start();
    for (id, arm) in shown.iter().take(100) {
        let page = again.visitor(NEW_YORK).send(&person("/", Some(id)));
        assert_eq!(on_page(&page), *arm, "the same after a restart");
    }
}

#[test]
fn the_visitors_cookie_is_set_as_it_should_be() {
    let edge = Edge::with_rules(&rules()).start();
    for target in ["/", "/api/hero"] {
        let answer = edge.visitor(NEW_YORK).send(&person(target, None));
        let lines = answer.header_lines("set-cookie");
        let cookie = lines.iter().find(|line| line.starts_with("ep_vid=")).unwrap();
        for attribute in ["Path=/", "Secure", "HttpOnly", "SameSite=Lax", "Max-Age=15552000"] {
            assert!(cookie.split("; ").any(|found| found == attribute), "{attribute} in {cookie}");
        }
        assert_eq!(answer.list("cache-control"), ["private", "no-store"]);
        let forged = edge.visitor(NEW_YORK).send(&person(target, Some("0000-not-an-id")));
        assert!(id_set(&forged).is_some(), "what isn't an id is replaced");
    }
}

#[test]
fn bots_and_refusals_share_control_and_every_arm_varies_alike() {
    let edge = Edge::with_rules(&rules()).start();
    let shows = |visitor: Visitor, request: &Request| {
        let answer = edge.visitor(visitor).send(request);
        assert_eq!(answer.header_lines("vary").len(), 1, "{answer:#?}");
        assert!(answer.list("vary").contains(&"edge-variant".to_owned()));
        assert!(answer.list("cache-control").contains(&"private".to_owned()));
        (arm_of(&answer), answer.header_lines("set-cookie").len())
    };
    let bot = Request::get("/").header("User-Agent", GOOGLEBOT);
    assert_eq!(shows(NEW_YORK, &bot), ("control".to_owned(), 0), "a bot");
    let refusing = person("/", None).header("Sec-GPC", "1");
    for (visitor, request) in [(PARIS, person("/", None)), (NOWHERE, person("/", None)), (NEW_YORK, refusing)] {
        assert_eq!(shows(visitor, &request), ("control".to_owned(), 0), "{}", visitor.city);
    }
    let mut arms = HashSet::new();
    for number in 0..40_u64 {
        arms.insert(shows(NEW_YORK, &person("/", Some(&format!("{:032x}", u128::from(number) << 40)))).0);
    }
    assert_eq!(arms.len(), 3);
    let exposed = edge.logs().wait("exposures", 0, LOG_LIMIT, |_| true).unwrap().0;
    assert_eq!(exposed["experiment_id"], "hero-test");
    assert!(edge.logs().of("exposures").len() <= 40, "nobody else was exposed");
}

#[test]
fn an_order_is_counted_under_the_pseudonym_of_its_exposure() {
    let edge = Edge::with_rules(&rules()).start();
    let id = "00000000000000000000000000abcdef";
    let home = edge.visitor(NEW_YORK).send(&person("/", Some(id)));
    let exposed = edge.logs().wait("exposures", 0, LOG_LIMIT, |_| true).unwrap().0;
    assert_eq!(home.header("x-request-id").as_deref(), exposed["request_id"].as_str(), "the answer names its line");
    let order = Request::new("POST", "/orders").header("User-Agent", FIREFOX).header("Cookie", format!("ep_vid={id}"));
    let answer = edge.visitor(NEW_YORK).send(&order);
    assert_eq!((answer.status, answer.header("location").as_deref()), (303, Some("/thanks")));
    assert_eq!(answer.header("edge-event"), None);
    let line = edge.logs().wait("conversions", 0, LOG_LIMIT, |_| true).unwrap().0;
    assert_eq!(
        (&line["v"], &line["event"], &line["value"], &line["currency"], &line["source"]),
        (&json!(2), &json!("order"), &json!(59.9), &json!("USD"), &json!("origin"))
    );
    assert_eq!((&line["unit_id"], &line["key"]), (&exposed["unit_id"], &exposed["key"]), "no route touched the order");
    // A request's line of decisions comes after its others.
    let slot = |path: &str| {
        let line = edge.logs().wait("decisions", 0, LOG_LIMIT, |line| line["path"] == path);
        line.unwrap_or_else(|| panic!("{path} has a line")).0["slot"].clone()
    };
    assert!(slot("/").is_u64());
    assert_eq!(slot("/"), slot("/orders"));
}

/// Waits until an endpoint has so many lines, and no more.
fn wait_for(edge: &Edge, endpoint: &str, count: usize, wanted: fn(&Value) -> bool) {
    let end = Instant::now() + LOG_LIMIT;
    let found = || edge.logs().of(endpoint).iter().filter(|line| wanted(line)).count();
    while found() < count {
        assert!(Instant::now() < end, "{} of {count} lines of {endpoint}", found());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(found(), count, "{endpoint}");
}

#[test]
fn the_report_of_a_small_shop_says_what_its_visitors_saw_and_bought() {
    const VISITORS: usize = 60;
    let edge = Edge::with_rules(&rules()).start();
    let (mut units, mut bought, mut cents) = ([0_u64; 3], [0_u64; 3], [0_u64; 3]);
    let (mut views, mut orders, mut retries) = (0, 0, 0_u64);
    let order = |number: usize, id: &str| {
        let value = 10.0 + number as f64 * 0.25;
        let event = format!("order;id=\"o{number}\";value={value:.2};currency=\"EUR\"");
        let headers = vec![("Edge-Event".to_owned(), event)];
        edge.origin().on(&format!("/orders/{number}"), Behaviour::Answer { status: 200, headers, body: Vec::new() });
        let request = Request::new("POST", format!("/orders/{number}"));
        let answer = edge
            .visitor(NEW_YORK)
            .send(&request.header("User-Agent", FIREFOX).header("Cookie", format!("ep_vid={id}")));
        assert_eq!((answer.status, answer.header("edge-event")), (200, None));
        (value * 100.0).round() as u64
    };
    let id_of = |number: usize| format!("{:032x}", (number as u128) << 40 | 0xdef);
    // Before anything was seen: nobody's doing. Lines tell whole seconds apart.
    for number in (9..VISITORS).step_by(10) {
        order(1_000 + number, &id_of(number));
        orders += 1;
    }
    std::thread::sleep(Duration::from_millis(1_100));
    for number in 0..VISITORS {
        let id = id_of(number);
        let arm = on_page(&edge.visitor(NEW_YORK).send(&person("/", Some(&id))));
        let at = ARMS.iter().position(|(name, _)| *name == arm).unwrap();
        views += 1;
        units[at] += 1;
        if number % 3 == 0 {
            assert_eq!(in_json(&edge.visitor(NEW_YORK).send(&person("/api/hero", Some(&id)))), arm);
            views += 1;
        }
        if number % 2 == 0 {
            cents[at] += order(number, &id);
            bought[at] += 1;
            orders += 1;
            // An impatient visitor sends it again, and once more: one order.
            for _ in 0..number % 3 {
                order(number, &id);
                orders += 1;
                retries += 1;
            }
        }
    }
    // Who is in no experiment is in no figure of one.
    for (visitor, agent) in [(NEW_YORK, GOOGLEBOT), (PARIS, FIREFOX)] {
        assert_eq!(edge.visitor(visitor).send(&Request::get("/").header("User-Agent", agent)).status, 200);
    }
    wait_for(&edge, "exposures", views, |_| true);
    wait_for(&edge, "conversions", orders, |_| true);
    wait_for(&edge, "decisions", views + orders + 2, |line| line["path"] != "/.edge/health");

    let folder = tempfile::TempDir::new().unwrap();
    fs::create_dir(folder.path().join("rules")).unwrap();
    fs::write(folder.path().join("rules/features.json"), rules()["features"].to_string()).unwrap();
    fs::write(folder.path().join("server.log"), edge.logs().all().join("\n")).unwrap();
    let mut command = Command::new(personalizer());
    command.args(["report", "server.log", "--rules", "rules", "--format", "json"]).current_dir(folder.path());
    let output = command.args(["--metric", "order:rate", "--metric", "order:value"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();

    assert_eq!((&report["read"]["broken"], &report["read"]["doubled"]), (&json!(0), &json!(0)), "{}", report["read"]);
    assert_eq!(report["read"]["repeated"], retries, "{}", report["read"]);
    assert_eq!(report["summary"]["all"]["requests"], edge.logs().of("decisions").len());
    let experiments = report["experiments"].as_array().unwrap();
    assert_eq!(experiments.len(), 1, "{experiments:#?}");
    let hero = &experiments[0];
    assert_eq!((&hero["id"], &hero["srm"]["flagged"]), (&json!("hero-test"), &json!(false)));
    for (at, (arm, weight)) in ARMS.iter().enumerate() {
        let variation = &hero["variations"][at];
        assert_eq!(
            (&variation["id"], &variation["weight"], &variation["units"], &variation["fallback"]),
            (&json!(arm), &json!(weight), &json!(units[at]), &json!(0))
        );
    }
    for at in [1, 2] {
        let row = |name: &str| {
            let rows = hero["metrics"].as_array().unwrap().iter();
            rows.clone().find(|row| row["name"] == name && row["variation"] == ARMS[at].0).unwrap()
        };
        assert_eq!(row("order:rate")["did"], json!([bought[0], bought[at]]));
        assert_eq!(row("order:rate")["verdict"], "undecided", "nothing is told of so few");
        for (figure, of) in [("baseline", 0), ("mean", at)] {
            let worth = row("order:value")[figure].as_f64().unwrap() * units[of] as f64 * 100.0;
            assert!((worth - cents[of] as f64).abs() < 1e-6, "{figure}: {worth} instead of {} cents", cents[of]);
        }
    }
}
