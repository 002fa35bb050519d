//! Experiments through the real service: shares as they are logged, one visitor one arm on every kind of page, no trace where none
//! is permitted.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic,
    reason = "what is missing in a JSON value is null, and a surprise ends the test"
)]

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use e2e::lint::{self, Expectation};
use e2e::visitors::{NEW_YORK, NOWHERE, PARIS, Visitor};
use e2e::{Answer, Behaviour, Connection, Edge, Request};
use edge_personalizer::context::identity::{IdentityKeys, pseudonym};
use edge_personalizer::context::preview::{self, PreviewClaims};
use edge_personalizer::mac::MacKey;
use serde_json::{Value, json};

const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0";
const GOOGLEBOT: &str = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";
const ARMS: [(&str, f64); 3] = [("control", 0.5), ("bold", 0.3), ("calm", 0.2)];
/// Upper one-in-a-million point of the chi-square distribution with two degrees of freedom: new visitors' ids are random, and a test
/// should fail for a reason.
const CRITICAL: f64 = 27.631;
/// The local server's own, of `fastly.toml`.
const LOCAL_SECRET: &[u8] = b"local-identity-key-of-32-bytes-or-more";
/// How long a log line may take.
const LOG_LIMIT: Duration = Duration::from_secs(20);

/// Three arms on the home page, and on a JSON answer.
fn rules() -> Value {
    json!({
        "settings": { "languages": ["en", "fr"] },
        "features": { "features": {
            "half": { "defaultValue": "control", "rules": [{
                "key": "half-test", "variations": ["control", "bold"], "coverage": 0.4, "hashVersion": 2, "condition": { "language": "en" },
                "meta": [{ "key": "control" }, { "key": "bold" }] }] },
            "hero": { "defaultValue": "control", "rules": [{
            "key": "hero-test", "variations": ["control", "bold", "calm"], "weights": [0.5, 0.3, 0.2], "hashVersion": 2,
            "meta": [{ "key": "control" }, { "key": "bold" }, { "key": "calm" }] }] } } },
        "routes": { "routes": [
            { "id": "home", "path": "/", "features": ["hero"], "cache": { "ttl": 60 },
              "html": [{ "select": "#hero h1", "inner": "{{ feature.hero }}" }] },
            { "id": "half", "path": "/products", "features": ["half"], "cache": { "ttl": 60 } },
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

/// What one thread's visitors were shown: id → arm.
fn visit_all(address: SocketAddr, numbers: impl Iterator<Item = u64>) -> HashMap<String, String> {
    let linted = |answer: Answer| {
        let violations = lint::violations(&answer, &Expectation::default());
        assert!(violations.is_empty() && answer.status == 200, "{violations:#?} by {answer:#?}");
        answer
    };
    let mut connection = Connection::open(NEW_YORK.address, address).unwrap();
    let mut shown = HashMap::new();
    for number in numbers {
        // Every other visitor comes for the first time.
        let known = (number % 2 == 0).then(|| format!("{:032x}", u128::from(number) << 40 | 0xabc));
        let page = linted(connection.send(&person("/", known.as_deref())).unwrap());
        let id = match known {
            Some(id) => {
                assert!(id_set(&page).is_none(), "a known visitor needs no new id");
                id
            }
            None => id_set(&page).unwrap(),
        };
        let arm = on_page(&page);
        let api = linted(connection.send(&person("/api/hero", Some(&id))).unwrap());
        assert_eq!((in_json(&api), arm_of(&api), arm_of(&page)), (arm.clone(), arm.clone(), arm.clone()));
        shown.insert(id, arm);
    }
    shown
}

/// `EDGE_FULL=1 cargo xtask test --only e2e -- shares_are_as_set` takes 20,000 visitors; the suite's form takes 2,000.
#[test]
fn shares_are_as_set_and_everybody_keeps_one_arm() {
    let visitors: u64 = if std::env::var_os("EDGE_FULL").is_some() { 20_000 } else { 2_000 };
    let edge = Edge::with_rules(&rules()).start();
    let address = edge.address();
    let started = Instant::now();
    let threads: Vec<_> = [0..visitors / 2, visitors / 2..visitors]
        .map(|half| std::thread::spawn(move || visit_all(address, half)))
        .into();
    let shown: HashMap<String, String> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
    let took = started.elapsed();
    assert_eq!(shown.len() as u64, visitors);
    // The log knows visitors by pseudonym: who has the key can tell whose they are.
    let keys = IdentityKeys::parse(LOCAL_SECRET).0;
    let key = keys.log_key().unwrap();
    let names: HashMap<String, &String> = shown.iter().map(|(id, arm)| (pseudonym(key, "id", id), arm)).collect();
    let wanted = 2 * usize::try_from(visitors).unwrap();
    let end = Instant::now() + LOG_LIMIT;
    while edge.logs().of("exposures").len() < wanted && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(200));
    }
    let lines = edge.logs().of("exposures");
    assert_eq!(lines.len(), wanted, "one line for each of two pages");
    let mut logged: BTreeMap<String, HashSet<String>> = BTreeMap::new();
    for line in &lines {
        let unit = line["unit_id"].as_str().unwrap();
        let arm = line["variation_id"].as_str().unwrap();
        assert_eq!(names.get(unit).map(|arm| arm.as_str()), Some(arm), "{line}");
        logged.entry(arm.to_owned()).or_default().insert(unit.to_owned());
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
    println!(
        "{visitors} visitors in {took:.1?}, logged: {:?}, chi-square {chi_square:.3} (bound {CRITICAL})",
        ARMS.map(|(arm, _)| (arm, share(arm)))
    );
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

/// Each way to be shown control, or nothing of the experiment at all, on a route where half of the visitors take no part.
#[test]
fn whoever_takes_no_part_is_answered_as_honestly_as_who_does() {
    let edge = Edge::with_rules(&rules()).start();
    let speaks = |request: Request, language: &str| request.header("Accept-Language", language);
    let known = |number: u64| speaks(person("/products", Some(&format!("{:032x}", u128::from(number) << 40))), "en");
    let honest = |name: &str, answer: &Answer| {
        assert_eq!(answer.header_lines("vary").len(), 1, "{name}: {answer:#?}");
        assert!(answer.list("vary").contains(&"edge-variant".to_owned()), "{name}: {answer:#?}");
        let cache = answer.list("cache-control");
        assert!(cache.contains(&"private".to_owned()), "{name}: {cache:?}");
        assert!(answer.status < 400 || cache.contains(&"no-store".to_owned()), "{name}: {cache:?}");
        for header in ["surrogate-control", "cdn-cache-control", "surrogate-key"] {
            assert_eq!(answer.header(header), None, "{name}");
        }
    };
    // Which entry of the cache each one is given, by what is shown.
    let mut keys: BTreeMap<String, HashSet<String>> = BTreeMap::new();
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    let mut note = |kind: &'static str, answer: &Answer| {
        honest(kind, answer);
        let line = edge.decision();
        let shown = line["variant"]["half"].as_str().unwrap().to_owned();
        keys.entry(shown.clone()).or_default().insert(line["cache_key"].as_str().unwrap().to_owned());
        *kinds.entry(kind).or_default() += 1;
        shown
    };
    for number in 0..60 {
        let before = edge.logs().of("exposures").len();
        let answer = edge.visitor(NEW_YORK).send(&known(number));
        let shown = arm_of(&answer).trim_start_matches("half=\"").to_owned();
        // The exposure is logged before the decision, which `note` waits for.
        let kind = if shown == "bold" { "treatment" } else { "control or not in traffic" };
        assert_eq!(note(kind, &answer), shown);
        let exposed = edge.logs().of("exposures").len() - before;
        assert!(exposed <= 1 && (shown != "bold" || exposed == 1));
        *kinds.entry(if exposed == 1 { "in traffic" } else { "not in traffic" }).or_default() += 1;
    }
    let person = || person("/products", Some(&format!("{:032x}", 7_u128 << 40)));
    let excluded = edge.visitor(NEW_YORK).send(&speaks(person(), "fr"));
    assert_eq!(note("excluded by the condition", &excluded), "control");
    let bot = Request::get("/products").header("User-Agent", GOOGLEBOT);
    assert_eq!(note("bot", &edge.visitor(NEW_YORK).send(&speaks(bot, "en"))), "control");
    let silent = speaks(Request::get("/products").header("User-Agent", FIREFOX), "en");
    assert_eq!(note("no consent", &edge.visitor(PARIS).send(&silent)), "control");
    println!(
        "{kinds:?}; entries in the cache: {:?}",
        keys.iter().map(|(arm, keys)| (arm, keys.len())).collect::<Vec<_>>()
    );
    assert!(kinds["in traffic"] > 5 && kinds["not in traffic"] > 15 && kinds["treatment"] > 2, "{kinds:?}");
    assert_eq!(keys.len(), 2);
    assert!(keys.values().all(|keys| keys.len() == 1), "who gets the same shares it: {keys:?}");
    for status in [404, 500, 503] {
        edge.origin().on("/products", Behaviour::Status(status));
        let failed = edge.visitor(NEW_YORK).send(&known(1));
        assert_eq!(failed.status, status);
        honest("an error", &failed);
    }
    edge.origin().on("/products", Behaviour::Reset);
    let broken = edge.visitor(NEW_YORK).send(&known(1));
    assert!(broken.status >= 500);
    honest("no answer", &broken);
}

/// The link is signed as `personalizer preview` signs it, with the same call.
#[test]
fn a_preview_link_shows_its_arm_for_the_session_and_counts_for_nobody() {
    let edge = Edge::with_rules(&rules()).start();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let claims = PreviewClaims {
        features: [("hero".to_owned(), json!("calm"))].into(),
        exp: i64::try_from(now).unwrap() + 3600,
        ..PreviewClaims::default()
    };
    let token = preview::sign(&claims, &MacKey::new(b"local-preview-key-of-32-bytes-or-more").unwrap()).unwrap();
    let opened = edge.visitor(NEW_YORK).send(&person(&format!("/?edge_preview={token}&q=1"), None));
    let cookies = opened.header_lines("set-cookie");
    assert_eq!(cookies.len(), 1, "{cookies:?}");
    assert!(
        cookies[0].starts_with("ep_preview=") && !cookies[0].contains("Max-Age") && !cookies[0].contains("Expires")
    );
    let cookie = cookies[0].split(';').next().unwrap();
    let asked = edge.origin().last_request().unwrap();
    assert_eq!(asked.target, "/?q=1", "the origin's URL is clean");
    let kept = edge.visitor(PARIS).send(&Request::get("/").header("User-Agent", FIREFOX).header("Cookie", cookie));
    for answer in [&opened, &kept] {
        assert_eq!((on_page(answer).as_str(), answer.header("edge-preview").as_deref()), ("calm", Some("?1")));
        assert_eq!(answer.list("cache-control"), ["private", "no-store"]);
        assert!(answer.list("vary").contains(&"edge-variant".to_owned()));
        assert_eq!(edge.decision()["preview"], true);
    }
    assert!(edge.logs().of("exposures").is_empty());
    let ended = edge
        .visitor(NEW_YORK)
        .send(&Request::get("/?edge_preview=off").header("User-Agent", FIREFOX).header("Cookie", cookie));
    assert!(ended.header_lines("set-cookie").iter().any(|line| line.starts_with("ep_preview=;")), "{ended:#?}");
    let forged = format!("{}x", token);
    let nothing = edge.visitor(NEW_YORK).send(&person(&format!("/?edge_preview={forged}"), None));
    assert_eq!(nothing.header("edge-preview"), None);
}
