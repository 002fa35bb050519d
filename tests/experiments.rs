//! Promises 1, 7 and 13 for features and experiments: every arm varies alike, the same visitor keeps the same arm, and who may not
//! be bucketed leaves no trace.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may stop at a surprise")]
#![allow(clippy::indexing_slicing, reason = "what is missing in a JSON value is null, and a surprise ends the test")]

mod support;

use std::collections::{BTreeMap, HashSet};

use edge_personalizer::platform::memory::{Answer, Asked, BodyDamage, Memory, Received};
use edge_personalizer::platform::{Caching, Endpoint};
use edge_personalizer::service::{Sandbox, handle};
use http::Method;
use serde_json::{Value, json};
use support::{NEW_YORK, NOWHERE, PARIS, Visit, echo, header, ok, path_of, shop, status, text, visit};

const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0";
const GOOGLEBOT: &str = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";

/// Feature `hero` (an experiment for those who read English, on half of the traffic), experiments `menu` and `menu_underline`; a
/// shared page and a private one.
fn lab() -> Memory {
    lab_with(echo)
}

fn lab_with(origin: impl Fn(&Asked) -> Answer + 'static) -> Memory {
    let host = shop(origin);
    host.secrets.borrow_mut().insert("identity".to_owned(), b"a secret of thirty-two bytes or so".to_vec());
    host.set(
        "settings",
        &json!({ "languages": ["en", "fr"], "log": { "exposure_attributes": ["country"] }, "sticky": {} }),
    );
    host.set("features", &json!({ "features": { "hero": { "defaultValue": "old", "rules": [{
        "key": "hero-test", "variations": ["old", "new"], "coverage": 0.5, "hashVersion": 2, "condition": { "language": "en" },
        "meta": [{ "key": "control" }, { "key": "bold" }] }] } } }));
    let menu = |key: &str| json!({ "key": key, "variations": ["a", "b"], "hashVersion": 2, "meta": [{ "key": "0" }, { "key": "1" }] });
    host.set("experiments", &json!({ "experiments": [menu("menu"), menu("menu_underline")] }));
    host.set("routes", &json!({ "routes": [
        { "id": "page", "path": "/page", "rewrite": { "path": "/page/{feature.hero}" }, "cache": { "ttl": 60 } },
        { "id": "own", "path": "/own", "features": ["hero"] },
        { "id": "menus", "path": "/menus", "rewrite": { "path": "/m/{experiment.menu}/{experiment.menu_underline}" }, "cache": {} },
        { "id": "through", "path": "/through", "action": "passthrough" } ] }));
    host
}

fn id(number: u32) -> String {
    format!("{:032x}", 0x1234_5678_0000_0000_u128 + u128::from(number))
}

/// Somebody with a browser.
fn person(address: std::net::IpAddr, target: &str) -> Visit {
    visit(address, target).with("User-Agent", FIREFOX)
}

fn american(number: u32, target: &str) -> Visit {
    american_by(FIREFOX, number, target)
}

fn american_by(agent: &str, number: u32, target: &str) -> Visit {
    let cookie = format!("ep_vid={}", id(number));
    visit(NEW_YORK, target).with("User-Agent", agent).with("Accept-Language", "en").with("Cookie", cookie)
}

fn exposures(host: &Memory) -> Vec<Value> {
    host.lines_of(Endpoint::Exposures)
}

fn cookies(received: &Received) -> Vec<String> {
    received.headers.get_all("set-cookie").iter().map(|line| line.to_str().unwrap().to_owned()).collect()
}

fn last_key(host: &Memory) -> [u8; 32] {
    match host.asked.borrow().last().unwrap().caching {
        Caching::Keyed { key, .. } => key,
        ref other => panic!("expected a shared request, but found {other:?}"),
    }
}

/// A visitor who is shown this arm of `hero-test` by assignment.
fn visitor_in(arm: &str) -> u32 {
    let found = (0..200).find(|number| {
        let host = lab();
        american(*number, "/page").send(&host);
        exposures(&host).first().is_some_and(|line| line["variation_id"] == arm)
    });
    found.unwrap()
}

#[test]
fn every_arm_says_the_same_of_vary_and_shares_what_it_shows() {
    let mut keys: BTreeMap<&str, HashSet<[u8; 32]>> = BTreeMap::new();
    let mut note = |name, host: &Memory, answer: &Received, shows: &str| {
        assert_eq!(header(answer, "vary"), Some("Edge-Variant"), "{name}");
        assert_eq!(header(answer, "edge-variant"), Some(format!("hero=\"{shows}\"").as_str()), "{name}");
        assert!(header(answer, "cache-control").unwrap().starts_with("private"), "{name}");
        keys.entry(shows.to_owned().leak()).or_default().insert(last_key(host));
    };
    let mut seen = BTreeMap::<&str, u32>::new();
    for number in 0..200 {
        let host = lab();
        let answer = american(number, "/page").send(&host);
        let arm = match exposures(&host).first().map(|line| line["variation"].as_u64().unwrap()) {
            Some(0) => "control",
            Some(_) => "bold",
            None => "not in traffic",
        };
        *seen.entry(arm).or_default() += 1;
        note(arm, &host, &answer, if arm == "bold" { "new" } else { "old" });
    }
    assert!(seen.len() == 3 && seen.values().all(|count| *count > 20), "{seen:?}");
    for (name, request) in [
        (
            "excluded by the condition",
            person(NEW_YORK, "/page").with("Cookie", format!("ep_vid={}", id(1))).with("Accept-Language", "fr"),
        ),
        ("bot", american_by(GOOGLEBOT, 1, "/page")),
        ("no consent", person(PARIS, "/page").with("Accept-Language", "en")),
    ] {
        let host = lab();
        let answer = request.send(&host);
        note(name, &host, &answer, "old");
    }
    let counts: Vec<_> = keys.iter().map(|(shows, keys)| (*shows, keys.len())).collect();
    assert_eq!(counts, [("new", 1), ("old", 1)], "one entry in the cache for each value shown, whoever gets it");
    let host = lab_with(|_| status(503));
    let answer = american(1, "/page").send(&host);
    assert_eq!((answer.status.as_u16(), header(&answer, "vary")), (503, Some("Edge-Variant")));
    assert!(header(&answer, "cache-control").unwrap().contains("no-store"));
}

#[test]
fn a_bot_gets_control_and_leaves_no_trace() {
    for number in [visitor_in("bold"), visitor_in("control")] {
        for target in ["/page", "/own", "/menus"] {
            let host = lab();
            let answer = american_by(GOOGLEBOT, number, target).send(&host);
            assert!(!text(&answer).contains("new") && !text(&answer).contains("/1"), "{}", text(&answer));
            assert_eq!((cookies(&answer).len(), exposures(&host).len()), (0, 0), "{target}");
            assert_eq!(host.lookups.borrow().get("kv"), None);
        }
    }
}

#[test]
fn without_consent_there_is_no_trace_of_the_visitor() {
    let refused = |target: &str| {
        [
            ("France, nothing said", person(PARIS, target)),
            ("nowhere", person(NOWHERE, target)),
            ("Sec-GPC", person(NEW_YORK, target).with("Sec-GPC", "1")),
        ]
    };
    for target in ["/page", "/own", "/menus"] {
        for (name, request) in refused(target) {
            let host = lab();
            let answer = request.with("Accept-Language", "en").with("X-User-ID", "canary-user").send(&host);
            assert_eq!((cookies(&answer).len(), exposures(&host).len()), (0, 0), "{name} at {target}");
            assert_eq!(host.lookups.borrow().get("kv"), None, "{name}");
            let sent = host.asked.borrow()[0].headers.clone();
            assert!(!sent.contains_key("x-user-id") && !sent.contains_key("edge-visitor-id"), "{name}: {sent:?}");
        }
        // An id from before the refusal is taken back, and not passed on either.
        for (name, request) in refused(target) {
            let host = lab();
            let answer = request.with("Cookie", format!("ep_vid={}", id(1))).send(&host);
            let removed = cookies(&answer);
            // Where nobody knows where the visitor is, the id is not used, and not taken away either.
            if name == "nowhere" {
                assert!(removed.is_empty(), "{removed:?}");
                assert!(!format!("{:?}", host.asked.borrow()).contains(&id(1)), "{name}");
                continue;
            }
            assert!(
                removed.len() == 1 && removed[0].starts_with("ep_vid=;") && removed[0].contains("Max-Age=0"),
                "{name}: {removed:?}"
            );
            assert_eq!(header(&answer, "cache-control"), Some("private, no-store"));
            assert!(exposures(&host).is_empty());
            assert!(!format!("{:?}", host.asked.borrow()).contains(&id(1)), "{name}");
        }
    }
}

#[test]
fn a_new_visitor_is_known_from_the_second_page_on() {
    for target in ["/page", "/own", "/menus"] {
        let host = lab();
        let first = person(NEW_YORK, target).with("Accept-Language", "en").send(&host);
        let set = cookies(&first);
        let cookie = set.iter().find(|line| line.starts_with("ep_vid=")).unwrap();
        let (pair, attributes) = cookie.split_once("; ").unwrap();
        let mut attributes: Vec<_> = attributes.split("; ").collect();
        attributes.sort_unstable();
        assert_eq!(attributes, ["HttpOnly", "Max-Age=15552000", "Path=/", "SameSite=Lax", "Secure"]);
        assert!(
            pair.len() == 7 + 32 && pair[7..].bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')),
            "{pair}"
        );
        assert_eq!(header(&first, "cache-control"), Some("private, no-store"));
        let pairs: Vec<_> = set.iter().map(|line| line.split(';').next().unwrap()).collect();
        let second =
            person(NEW_YORK, target).with("Accept-Language", "en").with("Cookie", pairs.join("; ")).send(&host);
        assert!(cookies(&second).is_empty(), "{:?}", cookies(&second));
        assert_eq!((text(&second), header(&second, "edge-variant")), (text(&first), header(&first, "edge-variant")));
        let lines = exposures(&host);
        let (before, after) = lines.split_at(lines.len() / 2);
        let arm = |line: &Value| (line["experiment_id"].clone(), line["variation"].clone(), line["unit_id"].clone());
        assert_eq!(before.iter().map(arm).collect::<Vec<_>>(), after.iter().map(arm).collect::<Vec<_>>());
    }
}

#[test]
fn an_exposure_is_one_line_that_says_what_the_analysis_needs_and_no_id() {
    let number = visitor_in("bold");
    let host = lab();
    american(number, "/own").send(&host);
    let lines = exposures(&host);
    assert_eq!(lines.len(), 1, "{lines:?}");
    let line = &lines[0];
    assert_eq!(
        (&line["experiment_id"], &line["variation_id"], &line["variation"], &line["feature_id"], &line["unit_type"]),
        (&json!("hero-test"), &json!("bold"), &json!(1), &json!("hero"), &json!("id"))
    );
    assert_eq!(line["attributes"], json!({ "country": "US" }));
    assert_eq!(line["request_id"], host.lines_of(Endpoint::Decisions)[0]["request_id"]);
    assert!(line["unit_id"].as_str().unwrap().len() >= 16);
    for (endpoint, logged) in host.lines.borrow().iter() {
        assert!(!logged.contains(&id(number)), "{endpoint:?}: {logged}");
    }
}

#[test]
fn what_was_not_shown_is_said_so_and_not_remembered() {
    let number = visitor_in("bold");
    let broken = lab_with(|asked| if asked.url.contains("/page/new") { status(500) } else { ok(&path_of(&asked.url)) });
    let answer = american(number, "/page").send(&broken);
    assert_eq!(text(&answer), "/page", "the fallback");
    let not_shown = |host: &Memory, reason: &str| {
        let lines = exposures(host);
        assert_eq!(
            (lines.len(), &lines[0]["shown"], &lines[0]["fallback"]),
            (1, &json!(false), &json!(reason)),
            "{lines:?}"
        );
    };
    not_shown(&broken, "status-500");
    assert!(cookies(&answer).is_empty());
    // A dead origin, and one whose failure no fallback rescues.
    let down = lab_with(|_| Err(edge_personalizer::platform::SendError::Failed));
    let answer = american(number, "/page").send(&down);
    assert_eq!((answer.status.as_u16(), cookies(&answer).len()), (502, 0));
    not_shown(&down, "backend-failed");
    let failing = lab_with(|_| status(503));
    let answer = american(number, "/own").send(&failing);
    assert_eq!((answer.status.as_u16(), cookies(&answer).len()), (503, 0));
    not_shown(&failing, "status-503");
    // A path without its value, and a page that breaks off.
    let lost = lab();
    lost.set(
        "routes",
        &json!({ "routes": [{ "id": "page", "path": "/page", "rewrite": { "path": "/{user.id}/{feature.hero}" } }] }),
    );
    let answer = american(number, "/page").send(&lost);
    assert_eq!((text(&answer), cookies(&answer).len()), ("GET /page".to_owned(), 0));
    not_shown(&lost, "template-absent");
    let half = lab();
    half.body_damage.set(BodyDamage { break_at: Some(2), ..BodyDamage::default() });
    handle(&half, &mut Sandbox::default(), american(number, "/own").request);
    assert!(half.received.borrow().is_empty(), "it isn't ended");
    not_shown(&half, "body-broken");
    // HEAD shows nobody anything.
    let host = lab();
    american(number, "/own").by("HEAD").send(&host);
    assert!(exposures(&host).is_empty());
    american(number, "/own").send(&host);
    assert_eq!(exposures(&host)[0]["shown"], true);
}

#[test]
fn an_experiment_costs_nothing_on_a_route_that_does_not_use_it() {
    let host = lab();
    host.set("routes", &json!({ "routes": [
        { "id": "pictures", "path": "/img/*", "cache": { "ttl": 60 }, "rewrite": { "set_query": { "r": "{region.slug}" } } },
        { "id": "pages", "path": "/pages/*", "cache": { "ttl": 60 }, "html": [{ "select": "p", "inner": "{{ region.id }}" }] } ] }));
    host.set("experiments", &json!({ "experiments": [
        { "key": "menu", "variations": ["a", "b"] },
        { "key": "look", "variations": [{ "css": "" }, { "css": "p { color: red }" }], "urlPatterns": [{ "type": "simple", "include": true, "pattern": "/pages/one" }] } ] }));
    // Who takes part is given an id, and is remembered.
    for (target, sets) in [("/img/a.png", 0), ("/pages/two", 0), ("/pages/one", 2)] {
        let answer = person(NEW_YORK, target).send(&host);
        assert_eq!(cookies(&answer).len(), sets, "{target}");
        let keeps = if sets == 0 { "private, max-age=60" } else { "private, no-store" };
        assert_eq!(header(&answer, "cache-control"), Some(keeps), "{target}");
    }
}

#[test]
fn a_remembered_arm_outlives_a_change_of_weights() {
    let mut kept = 0;
    for number in 0..40 {
        let host = lab();
        let first = american(number, "/menus").send(&host);
        let sticky = cookies(&first)
            .iter()
            .find(|line| line.starts_with("ep_sticky="))
            .unwrap()
            .split(';')
            .next()
            .unwrap()
            .to_owned();
        let all_b = |key: &str| json!({ "key": key, "variations": ["a", "b"], "weights": [0, 1], "hashVersion": 2, "meta": [{ "key": "0" }, { "key": "1" }] });
        host.set("experiments", &json!({ "experiments": [all_b("menu"), all_b("menu_underline")] }));
        let again = person(NEW_YORK, "/menus").with("Cookie", format!("ep_vid={}; {sticky}", id(number))).send(&host);
        assert_eq!(text(&again), text(&first));
        assert!(cookies(&again).is_empty());
        assert!(exposures(&host).iter().skip(2).all(|line| line["sticky"] == true), "{:?}", exposures(&host));
        let forgotten = american(number, "/menus").send(&host);
        assert_eq!(text(&forgotten), "GET /m/1/1", "without the cookie the new weights count");
        kept += usize::from(text(&first) != "GET /m/1/1");
        // The cookie of somebody else on the same browser says nothing of this visitor.
        let other =
            person(NEW_YORK, "/menus").with("Cookie", format!("ep_vid={}; {sticky}", id(number + 1000))).send(&host);
        assert_eq!(text(&other), "GET /m/1/1");
    }
    assert!(kept > 10, "{kept}");
}

#[test]
fn experiments_whose_names_begin_alike_are_two() {
    let mut seen = HashSet::new();
    for number in 0..60 {
        let host = lab();
        let answer = american(number, "/menus").send(&host);
        let shown = text(&answer);
        let lines = exposures(&host);
        let arm = |key: &str| lines.iter().find(|line| line["experiment_id"] == key).unwrap()["variation"].clone();
        assert_eq!(shown, format!("GET /m/{}/{}", arm("menu"), arm("menu_underline")));
        seen.insert(shown);
    }
    assert_eq!(seen.len(), 4, "each arm of one meets each arm of the other");
}

#[test]
fn a_schedule_opens_and_closes_a_rule_at_the_edge() {
    let host = lab();
    host.set(
        "features",
        &json!({ "features": { "hero": { "defaultValue": "old", "rules": [
        { "force": "sale", "schedule": { "from": "2026-11-27T00:00:00Z", "until": "2026-12-01T00:00:00Z" } }] } } }),
    );
    for (now, shows) in [
        ("2026-11-26T23:59:59Z", "old"),
        ("2026-11-27T00:00:00Z", "sale"),
        ("2026-11-30T23:59:59Z", "sale"),
        ("2026-12-01T00:00:00Z", "old"),
    ] {
        host.clock.set(Some(time::OffsetDateTime::parse(now, &time::format_description::well_known::Rfc3339).unwrap()));
        assert_eq!(text(&visit(NOWHERE, "/page").send(&host)), format!("GET /page/{shows}"), "at {now}");
    }
}

#[test]
fn a_feature_that_is_switched_off_keeps_its_definition_and_gives_its_default() {
    let number = visitor_in("bold");
    let host = lab();
    let entry = host.config.borrow()["features"].clone();
    let mut features: Value = serde_json::from_str(&entry).unwrap();
    features["features"]["hero"]["enabled"] = false.into();
    host.set("features", &features);
    let answer = american(number, "/page").send(&host);
    assert_eq!(text(&answer), "GET /page/old");
    assert!(exposures(&host).is_empty());
    // The switch works where the rules themselves are what broke.
    features["features"]["hero"]["rules"] = json!([{ "force": "x", "condition": { "$regexp": 1 } }]);
    host.set("features", &features);
    assert_eq!(text(&american(number, "/page").send(&host)), "GET /page/old");
    features["features"]["hero"]["enabled"] = true.into();
    host.config.borrow_mut().insert("features".to_owned(), entry);
    assert_eq!(text(&american(number, "/page").send(&host)), "GET /page/new");
}

#[test]
fn a_route_that_passes_through_sets_no_cookie() {
    let host = lab();
    let answer = person(NEW_YORK, "/through").send(&host);
    assert_eq!((cookies(&answer).len(), header(&answer, "vary")), (0, None));
    assert_eq!(header(&answer, "cache-control"), Some("public, max-age=60"), "as the origin says");
    assert_eq!(host.asked.borrow()[0].method, Method::GET);
}

#[test]
fn nothing_is_remembered_unless_a_setting_asks() {
    let host = lab();
    host.set("settings", &json!({ "languages": ["en", "fr"] }));
    for number in 0..5 {
        assert!(cookies(&american(number, "/menus").send(&host)).is_empty());
    }
    // A cookie of before counts no longer, and goes to no origin.
    let old = lab();
    let first = american(7, "/menus").send(&old);
    let sticky =
        cookies(&first).iter().find_map(|line| Some(line.strip_prefix("ep_sticky=")?.split(';').next()?.to_owned()));
    let sent = format!("ep_vid={}; ep_sticky={}", id(7), sticky.unwrap());
    let all_b = |key: &str| json!({ "key": key, "variations": ["a", "b"], "weights": [0, 1], "hashVersion": 2, "meta": [{ "key": "0" }, { "key": "1" }] });
    host.set("experiments", &json!({ "experiments": [all_b("menu"), all_b("menu_underline")] }));
    let answer = person(NEW_YORK, "/menus").with("Cookie", sent).send(&host);
    assert!(text(&answer).starts_with("GET /m/1"), "{}", text(&answer));
    assert!(host.asked.borrow().iter().all(|asked| !asked.headers.contains_key("cookie")));
}

#[test]
fn the_cookie_keeps_nobody_elses_variations() {
    let mut sticky = String::new();
    for number in 0..12 {
        let host = lab();
        let sent = format!("ep_vid={}{sticky}", id(number));
        let answer = person(NEW_YORK, "/menus").with("Cookie", sent).send(&host);
        let set = cookies(&answer).iter().find(|line| line.starts_with("ep_sticky=")).cloned();
        let pair = set.expect("each who comes is remembered").split(';').next().unwrap().to_owned();
        let documents = edge_personalizer::context::sticky::decode(pair.strip_prefix("ep_sticky=").unwrap());
        let people: Vec<_> = documents.iter().map(|document| document.attribute_value.clone()).collect();
        assert_eq!(people, [id(number)]);
        sticky = format!("; {pair}");
    }
}
