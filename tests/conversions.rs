//! Conversions: what the origin says by `Edge-Event`, and what a route's `event` says, becomes one line under the visitor's pseudonym; the
//! client sees nothing of it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at a surprise")]

mod support;

use edge_personalizer::platform::Endpoint;
use edge_personalizer::platform::memory::{Asked, Memory, Received};
use edge_personalizer::record::fields::{CONVERSIONS, Presence};
use http::HeaderValue;
use serde_json::{Value, json};
use support::sessions::browser;
use support::{NEW_YORK, PARIS, Visit, header, ok, path_of, shop, status, visit};

const ORDER: &str = r#"order;id="o1";value=59.90;currency="EUR""#;

/// A shop whose origin says of `?says=…` what stands there, and of every path that it is private unless it is below `/public`.
fn site() -> Memory {
    let host = shop(origin);
    host.clock.set(Some(time::macros::datetime!(2026-11-24 04:53:30 UTC)));
    host.secrets.borrow_mut().insert("identity".to_owned(), b"a secret of thirty-two bytes or so".to_vec());
    host.set("settings", &json!({ "log": { "exposure_attributes": ["country"] } }));
    host.set("experiments", &json!({ "experiments": [{ "key": "e", "variations": ["a", "b"], "hashVersion": 2 }] }));
    host.set("routes", &json!({ "routes": [
        { "id": "page", "path": "/page", "experiments": ["e"] },
        { "id": "orders", "path": "/orders", "methods": ["POST"], "experiments": ["e"] },
        { "id": "thanks", "path": "/thanks/{code}", "methods": ["GET", "HEAD", "POST"], "action": "passthrough", "event": "thanks" },
        { "id": "signup", "path": "/signup", "event": "signup", "fallback": { "path": "/welcome" } },
        { "id": "away", "path": "/away", "action": "redirect", "event": "left", "redirect": { "status": 303, "location": "/bye" } } ] }));
    host
}

fn origin(asked: &Asked) -> edge_personalizer::platform::memory::Answer {
    let target = path_of(&asked.url);
    let code = target.split('?').next().unwrap().rsplit('/').next().and_then(|last| last.parse().ok());
    let (status, mut headers, body) = match code {
        Some(code) => status(code)?,
        None if target.starts_with("/signup") => status(503)?,
        None => ok(&target)?,
    };
    let private = if target.starts_with("/public") { "public, max-age=60" } else { "private, no-store" };
    headers.insert("cache-control", HeaderValue::from_static(private));
    for said in asked.headers.get_all("x-says") {
        headers.append("edge-event", said.clone());
    }
    Ok((status, headers, body))
}

/// A person with a visitor's cookie.
fn known(target: &str) -> Visit {
    browser(NEW_YORK, target).with("Cookie", "ep_vid=0000000000000000000000000000abcd")
}

fn lines(host: &Memory) -> Vec<Value> {
    host.lines_of(Endpoint::Conversions)
}

fn codes(host: &Memory) -> Vec<String> {
    host.lines_of(Endpoint::Errors).iter().map(|line| line["code"].as_str().unwrap().to_owned()).collect()
}

fn is_hidden(answer: &Received) {
    assert!(!answer.headers.contains_key("edge-event"), "{:?}", answer.headers);
}

#[test]
fn an_order_is_one_line_under_the_same_pseudonym_as_the_exposure() {
    let host = site();
    is_hidden(&known("/page").send(&host));
    for (method, target) in
        [("POST", "/orders"), ("GET", "/page"), ("POST", "/no/route/touches/this"), ("GET", "/nor-this")]
    {
        host.lines.borrow_mut().retain(|(endpoint, _)| *endpoint == Endpoint::Exposures);
        let answer = known(target).by(method).with("X-Says", ORDER).send(&host);
        is_hidden(&answer);
        assert_eq!(answer.status, 200);
        let exposed = &host.lines_of(Endpoint::Exposures)[0];
        let request = &host.lines_of(Endpoint::Decisions)[0]["request_id"];
        let expected = json!({ "v": 2, "timestamp": "2026-11-24T04:53:30Z", "request_id": request, "revision": null, "event": "order",
            "event_id": "o1", "value": 59.9, "currency": "EUR", "source": "origin", "unit_type": "id", "unit_id": exposed["unit_id"],
            "key": exposed["key"], "attributes": { "country": "US" } });
        assert_eq!(lines(&host), [expected], "{method} {target}");
        assert_eq!(codes(&host), [""; 0]);
    }
}

#[test]
fn the_fields_are_those_of_the_table() {
    let host = site();
    known("/page").with("X-Says", format!("{ORDER}, newsletter")).send(&host);
    let lines = lines(&host);
    let names = |line: &Value| line.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let all: Vec<_> = CONVERSIONS.iter().map(|field| field.name.to_owned()).collect();
    let always = CONVERSIONS.iter().filter(|field| field.presence != Presence::Absent);
    assert_eq!(names(&lines[0]), all);
    assert_eq!(names(&lines[1]), always.map(|field| field.name.to_owned()).collect::<Vec<_>>());
}

#[test]
fn who_may_not_be_counted_has_no_line_and_sees_no_header() {
    let order = |request: Visit| request.by("POST").with("X-Says", ORDER);
    let cookie = "ep_vid=0000000000000000000000000000abcd";
    for (name, request) in [
        ("consent comes first", order(browser(PARIS, "/orders").with("Cookie", cookie))),
        ("a refusal", order(known("/orders").with("Sec-GPC", "1"))),
        ("a bot", order(visit(NEW_YORK, "/orders").with("User-Agent", "curl/8.5.0").with("Cookie", cookie))),
        ("nobody is known, and no rule gives an id", order(browser(NEW_YORK, "/no/route"))),
        (
            "a bot where no route is",
            order(visit(NEW_YORK, "/x").with("User-Agent", "Googlebot/2.1").with("Cookie", cookie)),
        ),
        ("HEAD shows nobody anything", known("/page").by("HEAD").with("X-Says", ORDER)),
    ] {
        let host = site();
        is_hidden(&request.send(&host));
        assert_eq!((lines(&host).len(), codes(&host)), (0, vec![]), "{name}");
    }
    let keyless = site();
    keyless.secrets.borrow_mut().clear();
    is_hidden(&order(known("/x")).send(&keyless));
    assert_eq!((lines(&keyless).len(), codes(&keyless)), (0, vec!["exposure-no-key".to_owned()]));
}

#[test]
fn a_client_that_says_it_is_ignored() {
    let host = site();
    for target in ["/orders", "/no/route"] {
        known(target).by("POST").with("Edge-Event", ORDER).with("edge_event", ORDER).send(&host);
    }
    let said = |asked: &Asked| asked.headers.keys().any(|name| matches!(name.as_str(), "edge-event" | "edge_event"));
    assert!(host.asked.borrow().len() == 2 && !host.asked.borrow().iter().any(said));
    assert!(lines(&host).is_empty());
}

#[test]
fn with_the_kill_switch_on_nothing_is_counted_and_the_header_still_goes() {
    let host = site();
    host.set("active", &json!({ "enabled": false }));
    for (method, target) in [("POST", "/orders"), ("GET", "/thanks/200")] {
        is_hidden(&known(target).by(method).with("X-Says", ORDER).send(&host));
    }
    assert!(lines(&host).is_empty());
    host.config_fails.set(Some(edge_personalizer::platform::StoreError::Failed));
    is_hidden(&known("/orders").by("POST").with("X-Says", ORDER).send(&host));
    assert!(lines(&host).is_empty());
}

#[test]
fn a_header_that_cannot_be_read_costs_no_page_and_is_named() {
    let host = site();
    for said in ["order;", "order;value=\"59.90\"", "(order)", "order;currency=euro", "a b"] {
        host.lines.borrow_mut().clear();
        let answer = known("/orders").by("POST").with("X-Says", said).send(&host);
        is_hidden(&answer);
        assert_eq!(
            (answer.status.as_u16(), lines(&host).len(), codes(&host)),
            (200, 0, vec!["event-malformed".to_owned()]),
            "{said}"
        );
    }
    host.lines.borrow_mut().clear();
    known("/orders").by("POST").with("X-Says", vec!["view"; 20].join(",")).send(&host);
    assert_eq!((lines(&host).len(), codes(&host)), (16, vec!["event-too-many".to_owned()]));
}

#[test]
fn an_answer_that_a_cache_may_keep_reports_nothing() {
    // What is kept would be counted for everybody who gets it.
    for (target, counts) in
        [("/shared", true), ("/public/shared", false), ("/elsewhere", true), ("/public/elsewhere", false)]
    {
        let host = site();
        host.set(
            "routes",
            &json!({ "routes": [
            { "id": "shared", "path": "/shared", "cache": { "key_headers": ["x-says"] } },
            { "id": "kept", "path": "/public/shared", "cache": { "key_headers": ["x-says"] } } ] }),
        );
        is_hidden(&known(target).with("X-Says", ORDER).send(&host));
        let expected = if counts { (1, vec![]) } else { (0, vec!["event-shared".to_owned()]) };
        assert_eq!((lines(&host).len(), codes(&host)), expected, "{target}");
    }
    // A cookie of the shop's own, or another method, passes the cache.
    let host = site();
    known("/public/cart").with("Cookie", "basket=7").with("X-Says", ORDER).send(&host);
    known("/public/cart").by("POST").with("X-Says", ORDER).send(&host);
    assert_eq!((lines(&host).len(), codes(&host)), (2, vec![]));
}

#[test]
fn a_routes_event_is_counted_for_its_good_answers() {
    let counted = |method: &str, target: &str| {
        let host = site();
        known(target).by(method).send(&host);
        let lines = lines(&host);
        assert!(lines.iter().all(|line| line["source"] == "route" && line.get("event_id").is_none()), "{lines:?}");
        lines.iter().map(|line| line["event"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    for (method, target, event) in [
        ("GET", "/thanks/200", Some("thanks")),
        ("POST", "/thanks/201", Some("thanks")),
        ("POST", "/thanks/303", Some("thanks")),
        ("GET", "/thanks/302", None),
        ("GET", "/thanks/404", None),
        ("GET", "/thanks/500", None),
        ("HEAD", "/thanks/200", None),
        // The visitor came there, whichever page was shown.
        ("GET", "/signup", Some("signup")),
        ("GET", "/away", Some("left")),
        ("GET", "/page", None),
    ] {
        assert_eq!(counted(method, target), event.into_iter().collect::<Vec<_>>(), "{method} {target}");
    }
    let host = site();
    known("/thanks/200").with("X-Says", r#"thanks;id="t1", order"#).send(&host);
    let said: Vec<_> = lines(&host).iter().map(|line| (line["event"].clone(), line["source"].clone())).collect();
    assert_eq!(
        said,
        [(json!("thanks"), json!("origin")), (json!("order"), json!("origin"))],
        "what the origin says counts"
    );
}

#[test]
fn an_event_that_is_no_name_leaves_the_route_out() {
    let host = site();
    host.set("routes", &json!({ "routes": [{ "id": "thanks", "path": "/thanks/{code}", "event": "an order" }] }));
    let answer = known("/thanks/200").send(&host);
    assert_eq!((answer.status.as_u16(), header(&answer, "vary")), (200, None), "the page comes, untouched");
    let named = host.lines_of(Endpoint::Errors);
    assert_eq!(named[0]["fault"]["pointer"], "/routes/0/event", "{named:?}");
}
