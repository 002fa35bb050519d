//! `settings.ofrep`: what OpenFeature's providers get of the edge (OFREP). A browser is who its cookie and its address say; a server shows a
//! key, and says whom it asks for.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may stop at a surprise")]

mod support;

use edge_personalizer::platform::memory::{Memory, Received};
use edge_personalizer::platform::{Endpoint, StoreError};
use serde_json::{Value, json};
use support::sessions::{VISITOR, browser, put, record, store};
use support::{NEW_YORK, NOWHERE, PARIS, Visit, header, text, visit};

const ALL: &str = "/ofrep/v1/evaluate/flags";
const KEY: &str = "a-server-key-of-16-bytes-or-more";

fn site(ofrep: Value) -> Memory {
    let host = store(support::echo);
    host.secrets.borrow_mut().insert("ofrep".to_owned(), KEY.as_bytes().to_vec());
    host.set(
        "settings",
        &json!({ "ofrep": ofrep, "events": { "path": "/m" }, "consent": { "cookie": { "name": "consent", "value": "yes" } },
            "attributes": { "group": { "cookie": "group", "identifies": true } } }),
    );
    let features = json!({
        "all": { "defaultValue": { "title": "Hi" } },
        "none": { "defaultValue": null },
        "off": { "defaultValue": 1, "enabled": false, "rules": [{ "force": 2 }] },
        "place": { "defaultValue": "elsewhere", "rules": [{ "id": "us", "condition": { "country": "US" }, "force": "states" }] },
        "west": { "defaultValue": false, "rules": [{ "condition": { "region": "EU-WEST" }, "force": true }] },
        "plan": { "defaultValue": "free", "rules": [{ "condition": { "plan": "pro" }, "force": "paid" }] },
        "share": { "defaultValue": 0, "rules": [{ "force": 1, "coverage": 1, "hashVersion": 2, "seed": "s" }] },
        "test": { "defaultValue": "a", "rules": [{ "key": "exp", "variations": ["a", "b"], "hashVersion": 2 }] },
        "cart": { "defaultValue": "empty", "rules": [{ "condition": { "session.cart_quantity": { "$gt": 0 } }, "force": "full" }] },
        "loop": { "defaultValue": 1, "rules": [{ "parentConditions": [{ "id": "loop", "condition": { "value": 1 } }], "force": 2 }] },
        "broken": { "defaultValue": 1, "rules": "none" },
    });
    host.set("features", &json!({ "features": features }));
    host.set("routes", &json!({ "routes": [{ "id": "page", "path": "/page", "features": ["test", "place"] }] }));
    host
}

fn ask(request: Visit, context: Value) -> Visit {
    request.by("POST").with("Content-Type", "application/json").body(&json!({ "context": context }).to_string())
}

/// A visitor of the site who is known, in New York.
fn known(target: &str) -> Visit {
    browser(NEW_YORK, target)
        .with("Cookie", format!("ep_vid={VISITOR}; consent=yes"))
        .with("Origin", "https://shop.example")
        .with("Sec-Fetch-Site", "same-origin")
}

fn server(target: &str) -> Visit {
    visit(NOWHERE, target).with("Authorization", format!("Bearer {KEY}"))
}

fn body(answer: &Received) -> Value {
    serde_json::from_str(&text(answer)).unwrap_or_else(|_| panic!("{} {}", answer.status, text(answer)))
}

fn one(host: &Memory, flag: &str, request: fn(&str) -> Visit, context: Value) -> Value {
    body(&ask(request(&format!("{ALL}/{flag}")), context).send(host))
}

fn codes(host: &Memory) -> Vec<String> {
    host.lines_of(Endpoint::Errors).iter().map(|line| line["code"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn it_is_off_unless_settings_say_so() {
    let host = site(Value::Null);
    assert_eq!(text(&ask(known(ALL), json!({})).send(&host)), format!("POST {ALL}"), "the origin's");
    let host = site(json!({}));
    let target = "/ofrep/v2/evaluate/flags";
    assert_eq!(text(&ask(known(target), json!({})).send(&host)), format!("POST {target}"), "the origin's");
    // A server's key may be in the request: what the protocol doesn't have is nobody's.
    for target in ["/ofrep/v1/evaluate", "/ofrep/v1/evaluate/", "/ofrep/v1/evaluate/flagsx", "//ofrep/v1/configuration"]
    {
        let answer = ask(known(target), json!({})).with("x-api-key", "a-key-of-a-server").send(&host);
        assert_eq!((answer.status.as_u16(), body(&answer)["errorCode"].clone()), (404, json!("GENERAL")), "{target}");
    }
    // A base URL with a slash at its end.
    for target in [format!("/{ALL}"), format!("{ALL}/")] {
        assert!(body(&ask(known(&target), json!({})).send(&host))["flags"].is_array(), "{target}");
    }
    assert!(host.asked.borrow().iter().all(|asked| asked.url.contains("/v2/")), "{:?}", host.asked.borrow().len());
}

#[test]
fn a_flag_has_its_value_and_the_reason_of_it() {
    let host = site(json!({}));
    for (flag, value, reason) in [
        ("all", json!({ "title": "Hi" }), "STATIC"),
        ("none", Value::Null, "STATIC"),
        ("off", json!(1), "DISABLED"),
        ("place", json!("states"), "TARGETING_MATCH"),
        ("west", json!(false), "DEFAULT"),
        ("share", json!(1), "SPLIT"),
    ] {
        let answer = one(&host, flag, known, json!({}));
        assert_eq!(
            (&answer["key"], &answer["value"], &answer["reason"]),
            (&json!(flag), &value, &json!(reason)),
            "{flag}"
        );
        assert_eq!(answer.get("value").is_some(), flag != "none", "without a value the code's default counts");
    }
    assert_eq!(one(&host, "place", known, json!({}))["metadata"], json!({ "source": "force", "rule": "us" }));
    let test = one(&host, "test", known, json!({}));
    let index = test["metadata"]["variation"].as_u64().unwrap();
    assert_eq!(
        test,
        json!({ "key": "test", "value": if index == 0 { "a" } else { "b" }, "reason": "SPLIT", "variant": index.to_string(),
            "metadata": { "source": "experiment", "rule": "rule-0", "experiment": "exp", "variation": index } })
    );
    assert!(host.asked.borrow().is_empty(), "the origin hears nothing of it");
}

#[test]
fn all_flags_come_at_once_and_are_nobodys_to_keep() {
    let host = site(json!({}));
    let answer = ask(known(ALL), json!({ "targetingKey": "x" })).with("Accept", "*/*").send(&host);
    assert_eq!(answer.status, 200);
    assert_eq!(header(&answer, "cache-control"), Some("private, no-store"));
    assert_eq!(header(&answer, "content-type"), Some("application/json"));
    let flags = body(&answer)["flags"].as_array().unwrap().clone();
    let keys: Vec<&str> = flags.iter().map(|flag| flag["key"].as_str().unwrap()).collect();
    assert_eq!(keys, ["all", "broken", "cart", "loop", "none", "off", "place", "plan", "share", "test", "west"]);
    for flag in &flags {
        let failed = ["broken", "loop"].contains(&flag["key"].as_str().unwrap());
        assert_eq!(flag["errorCode"].as_str(), failed.then_some("GENERAL"), "{flag}");
        assert_eq!(flag["reason"].is_string(), !failed, "{flag}");
    }
    assert!(host.lines_of(Endpoint::Exposures).is_empty(), "asking is no exposure");
    assert!(codes(&host).contains(&"rule-fault".to_owned()), "the broken one is named");
}

#[test]
fn an_answer_has_a_version() {
    let host = site(json!({}));
    let version = |request: Visit| {
        let answer = ask(request, json!({})).send(&host);
        header(&answer, "etag").unwrap().to_owned()
    };
    let tag = version(known(ALL));
    assert_eq!(version(known(ALL)), tag);
    let same = ask(known(ALL), json!({})).with("If-None-Match", &tag).send(&host);
    assert_eq!((same.status.as_u16(), text(&same).len(), header(&same, "etag")), (304, 0, Some(tag.as_str())));
    assert_eq!(ask(known(ALL), json!({})).with("If-None-Match", format!("\"x\", W/{tag}")).send(&host).status, 304);
    put(&host, &format!("visitor/{VISITOR}"), record(1).to_string());
    let changed = ask(known(ALL), json!({})).with("If-None-Match", &tag).send(&host);
    assert_eq!(changed.status, 200, "the same visitor has another cart now");
    assert_ne!(header(&changed, "etag"), Some(tag.as_str()));
    let one = ask(known(&format!("{ALL}/all")), json!({})).with("If-None-Match", "*").send(&host);
    assert_eq!((one.status.as_u16(), header(&one, "etag")), (200, None));
}

#[test]
fn a_browser_is_who_its_cookie_and_address_say() {
    let host = site(
        json!({ "context": ["plan", "country", "id", "session", "now", "region", "loggedIn", "group", "language"] }),
    );
    let faults = host_faults(&host);
    assert_eq!(
        faults,
        [1, 2, 3, 4, 5, 6, 7].map(|index| format!("/ofrep/context/{index}")),
        "what a client may not choose is named"
    );
    put(&host, &format!("visitor/{VISITOR}"), record(1).to_string());
    let said = json!({ "targetingKey": "somebody", "id": "else", "country": "FR", "region": "EU-WEST", "plan": "pro",
        "session": { "cart_quantity": 0 } });
    assert_eq!(one(&host, "place", known, said.clone())["value"], "states");
    assert_eq!(one(&host, "west", known, said.clone())["value"], false);
    assert_eq!(one(&host, "cart", known, said.clone())["value"], "full");
    assert_eq!(one(&host, "plan", known, said.clone())["value"], "paid", "it is in the list");
    assert_eq!(one(&site(json!({})), "plan", known, said.clone())["value"], "free", "no list, no say");
    let page = known("/page").send(&host);
    let shown = host.lines_of(Endpoint::Exposures).remove(0)["variation"].clone();
    assert_eq!(page.status, 200);
    assert_eq!(one(&host, "test", known, said)["metadata"]["variation"], shown, "the page's own variation");
}

fn host_faults(host: &Memory) -> Vec<String> {
    visit(NEW_YORK, "/").send(host);
    let lines = host.lines_of(Endpoint::Errors);
    let pointers = lines.iter().filter_map(|line| line["fault"]["pointer"].as_str());
    let found = pointers.filter(|pointer| pointer.starts_with("/ofrep")).map(str::to_owned).collect();
    host.lines.take();
    found
}

#[test]
fn who_may_not_be_told_apart_is_not() {
    let host = site(json!({}));
    let refused =
        browser(NEW_YORK, &format!("{ALL}/test")).with("Cookie", format!("ep_vid={VISITOR}")).with("Sec-GPC", "1");
    let silent = browser(PARIS, &format!("{ALL}/test")).with("Cookie", format!("ep_vid={VISITOR}"));
    let bot = visit(NEW_YORK, &format!("{ALL}/test"))
        .with("User-Agent", "Googlebot/2.1")
        .with("Cookie", format!("ep_vid={VISITOR}"));
    for (name, request) in [("a refusal", refused), ("consent comes first", silent), ("a bot", bot)] {
        let answer = ask(request, json!({})).send(&host);
        assert_eq!(
            (body(&answer)["value"].clone(), body(&answer)["reason"].clone()),
            (json!("a"), json!("DEFAULT")),
            "{name}"
        );
        assert_eq!(header(&answer, "set-cookie"), None, "{name}");
    }
    let new = ask(browser(NEW_YORK, ALL).with("Cookie", "consent=yes"), json!({})).send(&host);
    assert!(header(&new, "set-cookie").unwrap().starts_with("ep_vid="), "a new visitor is the same on the next page");
    let plain = ask(browser(NEW_YORK, &format!("{ALL}/place")), json!({})).send(&host);
    assert_eq!(header(&plain, "set-cookie"), None, "nobody has to be known for that");
}

#[test]
fn browsers_see_the_features_that_settings_name() {
    let host = site(json!({ "features": ["place", "pl*", "off"] }));
    let flags = body(&ask(known(ALL), json!({})).send(&host))["flags"].as_array().unwrap().clone();
    assert_eq!(flags.iter().map(|flag| flag["key"].as_str().unwrap()).collect::<Vec<_>>(), ["off", "place", "plan"]);
    let hidden = ask(known(&format!("{ALL}/test")), json!({})).send(&host);
    assert_eq!((hidden.status.as_u16(), body(&hidden)["errorCode"].clone()), (404, json!("FLAG_NOT_FOUND")));
    assert_eq!(one(&host, "test", server, json!({ "targetingKey": "a" }))["reason"], "SPLIT", "servers see all");
    let host = site(json!({ "features": "all" }));
    assert_eq!(
        ask(known(&format!("{ALL}/place")), json!({})).send(&host).status,
        404,
        "what can't be read shows nothing"
    );
}

#[test]
fn a_server_says_whom_it_asks_for() {
    let host = site(json!({}));
    for scheme in ["bearer", "BEARER"] {
        let asked = visit(NOWHERE, &format!("{ALL}/place")).with("Authorization", format!("{scheme} {KEY}"));
        let answer = ask(asked, json!({ "targetingKey": "user-1", "country": "US" })).send(&host);
        assert_eq!(body(&answer)["value"], "states", "a scheme has no case");
        assert!(!answer.headers.contains_key("set-cookie"));
    }
    let said = json!({ "targetingKey": "user-1", "country": "US", "plan": "pro", "session": { "cart_quantity": 2 }, "id": "ignored" });
    for (flag, value) in [("place", "states"), ("plan", "paid"), ("cart", "full")] {
        assert_eq!(one(&host, flag, server, said.clone())["value"], value);
    }
    assert_eq!(
        one(&host, "west", server, json!({ "targetingKey": "", "country": "FR", "continent": "EU" }))["value"],
        true,
        "the region follows"
    );
    assert_eq!(
        one(&host, "place", server, json!({ "targetingKey": "x" }))["value"],
        "elsewhere",
        "the server's address is nobody's place"
    );
    let mut variations = std::collections::BTreeSet::new();
    for number in 0..40 {
        let test = one(&host, "test", server, json!({ "targetingKey": format!("user-{number}") }));
        variations.insert(test["value"].as_str().unwrap().to_owned());
    }
    assert_eq!(variations.len(), 2, "the key is the unit");
    assert_eq!(one(&host, "test", server, json!({ "targetingKey": "" }))["reason"], "DEFAULT", "nobody in particular");
    let by_header = ask(visit(NOWHERE, ALL).with("X-API-Key", KEY), json!({ "targetingKey": "a" })).send(&host);
    assert_eq!((by_header.status.as_u16(), header(&by_header, "set-cookie")), (200, None));
}

#[test]
fn errors_are_the_protocols() {
    let host = site(json!({}));
    let raw = |request: Visit, body: &str| request.by("POST").body(body);
    let long = format!("{{\"context\":{{\"a\":\"{}\"}}}}", "x".repeat(17_000));
    let target = format!("{ALL}/place");
    for (name, request, status, code) in [
        ("no JSON", raw(known(&target), "{"), 400, "PARSE_ERROR"),
        ("nothing", raw(known(&target), ""), 400, "PARSE_ERROR"),
        ("a list", raw(known(&target), "[]"), 400, "PARSE_ERROR"),
        ("no context", raw(known(&target), "{}"), 400, "INVALID_CONTEXT"),
        ("a text for it", raw(known(ALL), "{\"context\":\"a\"}"), 400, "INVALID_CONTEXT"),
        ("no targeting key", ask(server(ALL), json!({ "a": 1 })), 400, "TARGETING_KEY_MISSING"),
        ("a number for it", ask(server(&target), json!({ "targetingKey": 1 })), 400, "INVALID_CONTEXT"),
        ("no such flag", ask(known(&format!("{ALL}/no%20such")), json!({})), 404, "FLAG_NOT_FOUND"),
        ("a broken flag", ask(known(&format!("{ALL}/broken")), json!({})), 500, "GENERAL"),
        ("a loop", ask(known(&format!("{ALL}/loop")), json!({})), 500, "GENERAL"),
        ("too long", raw(known(&target), &long), 413, "GENERAL"),
    ] {
        let answer = request.send(&host);
        assert_eq!((answer.status.as_u16(), body(&answer)["errorCode"].as_str()), (status, Some(code)), "{name}");
        assert!(body(&answer)["errorDetails"].is_string(), "{name}");
        assert_eq!(header(&answer, "cache-control"), Some("private, no-store"), "{name}");
    }
    assert_eq!(body(&ask(known(&format!("{ALL}/no%20such")), json!({})).send(&host))["key"], "no such");
    let extra = known(ALL).by("POST").body("{\"context\":{\"deep\":{\"er\":[1]}},\"later\":true}");
    assert_eq!(extra.send(&host).status, 200, "what a later version may say");
}

#[test]
fn a_key_that_is_none_and_a_page_of_another_site_get_nothing() {
    let host = site(json!({}));
    for (name, request, status) in [
        ("another key", visit(NOWHERE, ALL).with("Authorization", "Bearer guessed-key-of-16-bytes"), 401),
        ("another key in the other header", visit(NOWHERE, ALL).with("X-API-Key", "guessed-key-of-16-bytes"), 401),
        ("another site", browser(NEW_YORK, ALL).with("Origin", "https://evil.example"), 403),
        ("its browser says so", browser(NEW_YORK, ALL).with("Sec-Fetch-Site", "cross-site"), 403),
        ("no browser at all", visit(NEW_YORK, ALL), 200),
    ] {
        let answer = ask(request, json!({ "targetingKey": "x" })).send(&host);
        assert_eq!(answer.status, status, "{name}");
        assert_eq!(header(&answer, "access-control-allow-origin"), None, "{name}");
    }
    assert_eq!(codes(&host).iter().filter(|code| *code == "ofrep-key").count(), 2);
    let read = known(ALL).send(&host);
    assert_eq!((read.status.as_u16(), header(&read, "allow")), (405, Some("POST")));
    host.secrets.borrow_mut().clear();
    assert_eq!(ask(server(ALL), json!({ "targetingKey": "x" })).send(&host).status, 401, "no secret, no server");
    host.secrets_fail.set(Some(StoreError::Failed));
    assert_eq!(ask(server(ALL), json!({ "targetingKey": "x" })).send(&host).status, 401);
    assert!(codes(&host).contains(&"secret-store".to_owned()));
    assert!(host.asked.borrow().is_empty());
}

#[test]
fn with_the_kill_switch_the_codes_defaults_count() {
    let host = site(json!({}));
    host.set("active", &json!({ "enabled": false }));
    let answer = ask(known(ALL), json!({})).send(&host);
    assert_eq!((answer.status.as_u16(), header(&answer, "retry-after")), (503, Some("30")));
    assert!(body(&answer)["errorDetails"].is_string() && host.asked.borrow().is_empty());
}

#[test]
fn using_a_flag_is_an_exposure_that_the_edge_itself_decides() {
    let host = site(json!({ "context": ["plan"] }));
    known("/page").send(&host);
    let page = host.lines_of(Endpoint::Exposures).remove(0);
    host.lines.take();
    let used = |body: &str| known("/m").by("POST").with("Content-Type", "text/plain").body(body);
    let answer = used(r#"{"name":"exposure","flag":"test","variation":7}"#).send(&host);
    assert_eq!(answer.status, 204);
    let line = host.lines_of(Endpoint::Exposures).remove(0);
    for field in ["experiment_id", "variation_id", "variation", "unit_id", "unit_type", "feature_id", "key"] {
        assert_eq!(line[field], page[field], "{field}");
    }
    assert_eq!((&line["shown"], host.lines_of(Endpoint::Conversions).len()), (&json!(true), 0));
    host.lines.take();
    for body in [
        r#"{"name":"exposure","flag":"place"}"#,
        r#"{"name":"exposure","flag":"no such"}"#,
        r#"{"name":"exposure"}"#,
        r#"{"name":"exposure","flag":1}"#,
    ] {
        assert_eq!(used(body).send(&host).status, 204);
    }
    assert!(host.lines_of(Endpoint::Exposures).is_empty());
    let gone = site(Value::Null);
    assert_eq!(used(r#"{"name":"exposure","flag":"test"}"#).send(&gone).status, 204);
    assert!(gone.lines_of(Endpoint::Exposures).is_empty());
    assert_eq!(codes(&gone), ["beacon-malformed"]);
}

/// The specification's own cases of features, each through the endpoint, as a server asks.
#[test]
fn the_conformance_file_passes_through_the_endpoint() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/conformance/growthbook-cases.json");
    let Ok(file) = std::fs::read_to_string(path) else {
        println!("not run: no conformance file beside this repository");
        return;
    };
    let file: Value = serde_json::from_str(&file).unwrap();
    let (mut passed, mut left_out) = (0, Vec::new());
    let cases = file["feature"].as_array().unwrap();
    for case in cases {
        let (name, given, flag, expected) = (case[0].as_str().unwrap(), &case[1], case[2].as_str().unwrap(), &case[3]);
        let mut context = given["attributes"].as_object().cloned().unwrap_or_default();
        // The endpoint's unit is a text, and nobody forces a variation by it.
        let id = context.remove("id").unwrap_or_else(|| json!(""));
        let (Some(unit), true) = (id.as_str(), given.get("forcedVariations").is_none()) else {
            left_out.push(name);
            continue;
        };
        context.insert("targetingKey".to_owned(), unit.into());
        let host = site(json!({}));
        host.set("features", &json!({ "features": given.get("features").cloned().unwrap_or(json!({})) }));
        host.set("segments", &json!({ "segments": given.get("savedGroups").cloned().unwrap_or(json!({})) }));
        let answer = one(&host, flag, server, Value::Object(context));
        let source = expected["source"].as_str().unwrap();
        match source {
            "unknownFeature" => assert_eq!(answer["errorCode"], "FLAG_NOT_FOUND", "{name}"),
            "cyclicPrerequisite" => assert_eq!(answer["errorCode"], "GENERAL", "{name}"),
            _ => {
                assert_eq!(
                    (&answer["value"], &answer["metadata"]["source"]),
                    (&expected["value"], &json!(source)),
                    "{name}"
                );
            }
        }
        passed += 1;
    }
    println!("{passed} cases passed, left out: {left_out:?}");
    assert_eq!((passed, left_out.len()), (cases.len() - 6, 6));
}
