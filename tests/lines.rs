//! The log lines, as readers rely on them: `record::fields` is the table, and the lines that requests write have its fields.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at a surprise")]

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use edge_personalizer::platform::Endpoint;
use edge_personalizer::platform::memory::{Answer, Asked, Memory};
use edge_personalizer::record::fields::{Field, Kind, LINES, Presence};
use edge_personalizer::service::Sandbox;
use serde_json::{Value, json};
use support::sessions::browser;
use support::{NEW_YORK, PARIS, echo, header, shop, status, visit};

const IDENTITY: &[u8] = b"a secret of thirty-two bytes or so";

/// A page whose feature runs an experiment; one that reads the region alone; one that fails.
fn site(log: &Value, origin: impl Fn(&Asked) -> Answer + 'static) -> Memory {
    let host = shop(origin);
    host.clock.set(Some(time::macros::datetime!(2026-11-24 12:00 UTC)));
    host.secrets.borrow_mut().insert("identity".to_owned(), IDENTITY.to_vec());
    host.set("settings", &json!({ "log": log }));
    host.set(
        "features",
        &json!({ "features": { "hero": { "defaultValue": "old", "rules": [{ "key": "hero-test", "variations": ["old", "new"], "hashVersion": 2 }] } } }),
    );
    host.set("routes", &json!({ "routes": [
        { "id": "page", "path": "/page", "features": ["hero"] },
        { "id": "place", "path": "/place", "rewrite": { "path": "/place/{region.slug}" }, "cache": { "ttl": 60 } },
        { "id": "shaky", "path": "/shaky", "rewrite": { "path": "/broken" }, "fallback": { "path": "/plain" }, "cache": {} },
        { "id": "here", "path": "/here", "action": "respond", "respond": { "body": "{country|none}" } },
        { "id": "through", "path": "/through", "action": "passthrough" } ] }));
    host
}

fn shaky(asked: &Asked) -> Answer {
    if asked.url.ends_with("/broken") || asked.url.ends_with("/down") {
        return status(503);
    }
    let (status, mut headers, body) = echo(asked)?;
    if asked.method == "POST" || asked.url.ends_with("/page") {
        headers.insert("edge-event", "order;id=\"o1\";value=59.90;currency=\"EUR\"".parse().unwrap());
    }
    Ok((status, headers, body))
}

fn cookie(number: u32) -> String {
    format!("ep_vid={:032x}", 0xabcd_0000_0000_u128 + u128::from(number))
}

/// A person with a visitor's cookie.
fn known(number: u32, target: &str) -> support::Visit {
    browser(NEW_YORK, target).with("Cookie", cookie(number))
}

fn line(host: &Memory) -> Value {
    host.lines_of(Endpoint::Decisions).pop().unwrap()
}

fn is_of(kind: Kind, value: &Value) -> bool {
    match kind {
        Kind::Text => value.is_string(),
        Kind::Time => value.as_str().is_some_and(|text| text.ends_with('Z') && text.contains('T')),
        Kind::Integer => value.is_u64() || value.is_i64(),
        Kind::Number => value.is_number(),
        Kind::Truth => value.is_boolean(),
        Kind::List => value.is_array(),
        Kind::Object => value.is_object(),
    }
}

/// What is wrong with a line, by the table.
fn wrong(fields: &[Field], line: &Value) -> Vec<String> {
    let members = line.as_object().unwrap();
    let known = |name: &String| fields.iter().any(|field| field.name == name.as_str());
    let mut wrong: Vec<String> = members.keys().filter(|name| !known(name)).map(|name| format!("{name}?")).collect();
    for field in fields {
        let fits = match members.get(field.name) {
            None => field.presence == Presence::Absent,
            Some(Value::Null) => field.presence == Presence::Null,
            Some(value) => is_of(field.kind, value),
        };
        if !fits {
            wrong.push(format!("{}: {:?}", field.name, members.get(field.name)));
        }
    }
    let place = |name: &String| fields.iter().position(|field| field.name == name.as_str());
    let order: Vec<_> = members.keys().filter_map(place).collect();
    if !order.is_sorted() {
        wrong.push(format!("in another order: {:?}", members.keys()));
    }
    wrong
}

#[test]
fn every_line_has_the_fields_of_the_table_in_its_order() {
    let host =
        site(&json!({ "facts": ["country", "deviceType"], "exposure_attributes": ["country"], "sampel": 1 }), shaky);
    let mut sandbox = Sandbox::default();
    for target in ["/page", "/place", "/shaky", "/here", "/through", "/elsewhere?q=1", "/down"] {
        known(1, target).send_in(&host, &mut sandbox);
        visit(PARIS, target).by("POST").send_in(&host, &mut sandbox);
    }
    host.set("active", &json!({ "enabled": false }));
    known(1, "/page").send(&host);
    let mut seen = BTreeMap::new();
    for (endpoint, text) in host.lines.borrow().iter() {
        let name = match endpoint {
            Endpoint::Decisions => "decisions",
            Endpoint::Exposures => "exposures",
            Endpoint::Errors => "errors",
            Endpoint::Conversions => "conversions",
        };
        let (_, fields) = LINES.iter().find(|(known, _)| *known == name).unwrap();
        let line: Value = serde_json::from_str(text).unwrap();
        assert_eq!(wrong(fields, &line), [""; 0], "{name}: {text}");
        assert_eq!(line["v"], 2, "{text}");
        *seen.entry(name).or_insert(0) += 1;
    }
    println!("{seen:?}");
    assert_eq!(seen.len(), LINES.len(), "{seen:?}");
    // Of what need not be there, everything was.
    for (name, fields) in LINES {
        for field in fields.iter().filter(|field| field.presence == Presence::Absent) {
            let has = |text: &String| text.contains(&format!("\"{}\":", field.name));
            assert!(host.lines.borrow().iter().any(|(_, text)| has(text)), "{name}.{}", field.name);
        }
    }
}

#[test]
fn lines_of_one_visitor_are_in_one_slot_and_name_nobody() {
    let host = site(&json!({}), shaky);
    let slot = |number: u32| {
        known(number, "/page").send(&host);
        line(&host)["slot"].as_u64()
    };
    let first = slot(1).unwrap();
    assert!(first < 65_536);
    assert_eq!(slot(1), Some(first));
    let others: std::collections::BTreeSet<_> = (2..52).filter_map(slot).collect();
    assert!(others.len() > 45, "visitors spread: {others:?}");
    for (_, text) in host.lines.borrow().iter() {
        assert!(!text.contains("abcd0000"), "{text}");
    }
    // Another day, another slot; without a key, a cookie or a permission, none.
    host.wait(Duration::from_secs(24 * 3600));
    assert_ne!(slot(1), Some(first));
    let slot_of = |host: &Memory, request: support::Visit| {
        request.send(host);
        line(host)["slot"].as_u64()
    };
    assert_eq!(slot_of(&host, known(1, "/page").with("Sec-GPC", "1")), None);
    assert_eq!(slot_of(&host, browser(PARIS, "/page").with("Cookie", cookie(1))), None, "consent comes first there");
    assert_eq!(slot_of(&host, visit(NEW_YORK, "/page").with("User-Agent", "curl/8").with("Cookie", cookie(1))), None);
    let keyless = site(&json!({}), shaky);
    keyless.secrets.borrow_mut().clear();
    assert_eq!(slot_of(&keyless, known(1, "/page")), None);
}

#[test]
fn what_failed_has_its_slot_where_no_rule_asked_who_it_was() {
    let host = site(&json!({}), shaky);
    let slot = |target: &str| {
        let answer = known(7, target).send(&host);
        (line(&host)["slot"].as_u64(), header(&answer, "set-cookie").map(str::to_owned))
    };
    let (known_by_rule, _) = slot("/page");
    assert_eq!(slot("/place"), (None, None), "nobody asked");
    assert_eq!(slot("/shaky"), (known_by_rule, None), "it fell back");
    assert_eq!(slot("/down"), (known_by_rule, None), "no route, and a failure");
}

#[test]
fn what_failed_or_fell_back_is_kept_and_weighs_one() {
    let host = site(&json!({ "sample": 0.25 }), shaky);
    let mut sandbox = Sandbox::default();
    for number in 0..200 {
        for target in ["/page", "/shaky", "/down"] {
            known(number, target).send_in(&host, &mut sandbox);
        }
    }
    let mut kept: BTreeMap<String, (u32, f64)> = BTreeMap::new();
    for line in host.lines_of(Endpoint::Decisions) {
        let (count, weight) = kept.entry(line["path"].as_str().unwrap().to_owned()).or_default();
        *count += 1;
        *weight += 1.0 / line["sample"].as_f64().unwrap();
    }
    assert_eq!((kept["/shaky"], kept["/down"]), ((200, 200.0), (200, 200.0)));
    let (count, weight) = kept["/page"];
    assert!((25..80).contains(&count) && (100.0..320.0).contains(&weight), "{count} lines that stand for {weight}");
}

#[test]
fn only_named_facts_are_logged_and_never_who_somebody_is() {
    let named = ["country", "deviceType", "path", "utmSource", "id", "visitorId", "url", "query", "session", "nobody"];
    let host = site(&json!({ "facts": named, "redact": ["/reset/{token}"] }), echo);
    host.set(
        "routes",
        &json!({ "routes": [{ "id": "all", "path": "/*", "rewrite": { "set_query": { "r": "{region.id}" } } }] }),
    );
    known(1, "/reset/s3cret?utm_source=mail").send(&host);
    let facts = line(&host)["facts"].clone();
    let expected = json!({ "country": "US", "deviceType": "desktop", "path": "/reset/{token}", "utmSource": "mail" });
    assert_eq!(facts, expected);
    // A fact that doesn't fit is unknown, not another one.
    known(1, &format!("/page?utm_source={}", "x".repeat(600))).send(&host);
    assert_eq!(line(&host)["facts"].get("utmSource"), None);
    let quiet = site(&json!({}), echo);
    known(1, "/place").send(&quiet);
    assert_eq!((&line(&quiet)["facts"], &line(&quiet)["device"]), (&json!({}), &Value::Null));
    let asked = site(&json!({ "facts": ["deviceType"] }), echo);
    known(1, "/place").send(&asked);
    assert_eq!(line(&asked)["device"], "desktop", "the log asks where no rule does");
}

#[test]
fn the_answer_of_a_personalized_route_carries_the_id_of_its_line() {
    // An origin that echoes what it was sent, or what a cache kept of somebody else's.
    let host = site(&json!({}), |asked| {
        let (status, mut headers, body) = shaky(asked)?;
        headers.insert("x-request-id", "somebody-elses".parse().unwrap());
        Ok((status, headers, body))
    });
    for (target, personalized) in
        [("/page", true), ("/place", true), ("/shaky", true), ("/here", true), ("/through", false), ("/other", false)]
    {
        let answer = known(1, target).send(&host);
        let id = line(&host)["request_id"].as_str().unwrap().to_owned();
        let expected = if personalized { id.as_str() } else { "somebody-elses" };
        assert_eq!(header(&answer, "x-request-id"), Some(expected), "{target}");
    }
    let off = site(&json!({ "request_id": false }), echo);
    assert_eq!(header(&known(1, "/page").send(&off), "x-request-id"), None);
}

#[test]
fn exposures_name_the_key_and_a_new_key_has_another_name() {
    let host = site(&json!({}), echo);
    let exposed = |secret: &[u8]| {
        host.secrets.borrow_mut().insert("identity".to_owned(), secret.to_vec());
        known(1, "/page").send(&host);
        let line = host.lines_of(Endpoint::Exposures).pop().unwrap();
        (line["key"].as_str().unwrap().to_owned(), line["unit_id"].as_str().unwrap().to_owned())
    };
    let (first, unit) = exposed(IDENTITY);
    assert_eq!((first.len(), exposed(IDENTITY)), (8, (first.clone(), unit.clone())));
    let (second, other) = exposed(b"another secret of thirty-two bytes");
    assert!(first != second && unit != other);
    let named = r#"{ "keys": [], "log": { "kid": "2026-11", "secret": "bG9nLWtleS1vZi1zaXh0ZWVuLWJ5dGVz" } }"#;
    let plain = r#"{ "keys": [], "log": "bG9nLWtleS1vZi1zaXh0ZWVuLWJ5dGVz" }"#;
    let (named, plain) = (exposed(named.as_bytes()), exposed(plain.as_bytes()));
    assert_eq!((named.0.as_str(), &named.1), ("2026-11", &plain.1), "a name changes no pseudonym");
}
