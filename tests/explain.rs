//! An explanation says what the service does: the same rules, visitors and requests through both, some thousand of them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may stop at a surprise")]
#![allow(clippy::indexing_slicing, reason = "what is missing in a JSON value is null, and a surprise ends the test")]

mod support;

use std::collections::BTreeSet;
use std::rc::Rc;

use edge_personalizer::explain::{Described, Explanation, explain};
use edge_personalizer::platform::memory::{Asked, MemoryBody};
use edge_personalizer::platform::{ClientRequest, Geo, Platform as _};
use edge_personalizer::rules::RuleSet;
use edge_personalizer::rules::set::Texts;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::json;
use support::{NEW_YORK, NOWHERE, PARIS, echo, shop, visit};
use time::OffsetDateTime;

/// Headers that differ from request to request.
const OWN: [&str; 2] = ["x-request-id", "traceparent"];

fn dictionaries() -> Vec<(&'static str, serde_json::Value)> {
    vec![
        ("settings", json!({ "languages": ["en", "fr", "de"], "region_override": "any", "preview": "signed" })),
        (
            "regions",
            json!({ "regions": [
            { "id": "EU", "slug": "europe", "when": { "continent": "EU" } },
            { "id": "NY", "slug": "york", "when": { "country": "US", "subdivision": "NY" } },
            { "id": "US", "slug": "states", "when": { "country": "US" } } ] }),
        ),
        (
            "features",
            json!({ "features": { "hero": { "defaultValue": "a", "rules": [
            { "condition": { "region": "EU" }, "force": "eu" },
            { "variations": ["a", "b"], "hashVersion": 2, "key": "hero-test" }] } } }),
        ),
        (
            "routes",
            json!({ "routes": [
            { "id": "sku", "path": "/p/{sku}", "when": { "language": "fr" }, "rewrite": { "path": "/fr/{path.sku}" }, "cache": { "ttl": 5 } },
            { "id": "any", "path": "/p/*", "features": ["hero"], "rewrite": { "path": "/x/{region.slug}/{path.rest}",
                "set_query": { "hero": "{feature.hero}" }, "remove_query": ["utm_*"] }, "cache": { "ttl": 60, "key_headers": ["x-tier"] },
                "fallback": { "path": "/plain" } },
            { "id": "post", "path": "/p/*", "methods": ["POST"], "rewrite": { "set_query": { "r": "{region.id}" } } },
            { "id": "device", "path": "/d", "rewrite": { "path": "/d/{deviceType}" }, "cache": {} },
            { "id": "old", "path": "/d", "schedule": { "until": "1969-01-01T00:00:00Z" } },
            { "id": "go", "path": "/go/{to}", "action": "redirect", "redirect": { "location": "/{region.slug}/{path.to}" } },
            { "id": "hi", "path": "/hi", "host": "shop.example", "action": "respond",
                "respond": { "status": 203, "headers": { "x-a": "{country|?}" }, "body": "hi {region.id}" } },
            { "id": "off", "path": "/off", "enabled": false } ] }),
        ),
    ]
}

fn rules() -> RuleSet {
    let mut texts = Texts::default();
    for (name, value) in dictionaries() {
        texts.set(name, vec![value.to_string()]);
    }
    let mut faults = Vec::new();
    let rules = RuleSet::compile(None, &texts, None, &mut faults);
    assert!(faults.is_empty(), "{faults:#?}");
    rules
}

fn lines(headers: &HeaderMap) -> BTreeSet<(String, String)> {
    let line = |(name, value): (&HeaderName, &HeaderValue)| {
        (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    headers.iter().map(line).filter(|(name, _)| !OWN.contains(&name.as_str())).collect()
}

fn same_request(asked: &Asked, explanation: &Explanation) {
    let planned = explanation.plan.as_ref().and_then(|plan| plan.asks.as_ref()).expect("a request to the origin");
    assert_eq!(
        (asked.method.as_str(), &asked.url, &asked.backend),
        (planned.method.as_str(), &planned.url, &planned.backend)
    );
    let headers: BTreeSet<(String, String)> =
        planned.headers.iter().filter(|(name, _)| !OWN.contains(&name.as_str())).cloned().collect();
    assert_eq!(lines(&asked.headers), headers, "{}", asked.url);
}

#[test]
fn an_explanation_agrees_with_the_service() {
    let paths = [
        "/p/42?utm_source=x&a=1",
        "/p/a%2Fb",
        "/p/",
        "/p/a/b?q=%20",
        "/d",
        "/go/here",
        "/hi",
        "/off",
        "/nothing?x=1",
        "/p/..%2f",
        // Not a preview that is on: the origin isn't told, and an explanation neither.
        "/p/42?edge_preview=off&a=1",
        "/nothing?x=1&edge%5Fpreview=1.e30.AAAA",
    ];
    let languages = ["", "fr", "de;q=0.5, en", "*"];
    let agents = ["", "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X)", "Googlebot/2.1"];
    let rules = rules();
    // Every shop below throws the same dice: a new visitor is the same to the service and to the explanation.
    let dice = shop(echo);
    let (for_id, for_visitor) = (dice.random(), dice.random());
    let (mut count, mut fetched, mut answered) = (0, 0, 0);
    for (index, path) in paths.iter().enumerate() {
        for address in [PARIS, NEW_YORK, NOWHERE] {
            for language in languages {
                for agent in agents {
                    for method in ["GET", "HEAD", "POST"] {
                        for visitor in [0, 1, 7] {
                            let host = shop(echo);
                            for (name, value) in dictionaries() {
                                host.set(name, &value);
                            }
                            let mut headers = HeaderMap::new();
                            let mut add = |name: &'static str, value: String| {
                                if !value.is_empty() {
                                    headers.append(name, value.parse().unwrap());
                                }
                            };
                            add("accept-language", language.to_owned());
                            add("user-agent", agent.to_owned());
                            add(
                                "cookie",
                                if visitor == 0 {
                                    String::new()
                                } else {
                                    format!("ep_vid={:032x}; other=1", visitor * 7_919 + index)
                                },
                            );
                            add("x-tier", "gold".to_owned());
                            let mut request = visit(address, path).by(method);
                            for (name, value) in &headers {
                                request = request.with(name.as_str(), value.as_bytes());
                            }
                            let answer = request.send(&host);
                            let (route, query) =
                                path.split_once('?').map_or((*path, None), |(path, query)| (path, Some(query)));
                            let request = ClientRequest {
                                method: method.parse::<Method>().unwrap(),
                                scheme: "https".to_owned(),
                                authority: "shop.example".to_owned(),
                                path: route.to_owned(),
                                query: query.map(str::to_owned),
                                headers,
                                address: Some(address),
                                body: (),
                            };
                            let geo: Option<Geo> = host.geo(address);
                            let described = Described {
                                request,
                                geo,
                                device: None,
                                user: None,
                                assumed: Default::default(),
                                identity_keys: Default::default(),
                                session: edge_personalizer::explain::no_session(),
                                preview_keys: Rc::default(),
                                now: OffsetDateTime::UNIX_EPOCH,
                                random: [for_visitor, for_id],
                            };
                            let explanation = explain(&rules, None, described);
                            let plan = explanation.plan.as_ref().unwrap();
                            count += 1;
                            match host.asked.borrow().first() {
                                Some(asked) => {
                                    fetched += 1;
                                    same_request(asked, &explanation);
                                }
                                None => {
                                    answered += 1;
                                    let planned = plan.answers.as_ref().expect("an answer of the edge");
                                    assert_eq!(answer.status.as_u16(), planned.status, "{path}");
                                }
                            }
                            let line = host.lines_of(edge_personalizer::platform::Endpoint::Decisions).remove(0);
                            assert_eq!(line["route"].as_str(), plan.route.as_deref(), "{path}");
                            if line["route"].is_string() && plan.route.as_deref() != Some("off") {
                                let region = explanation.region.as_ref().unwrap();
                                assert_eq!(line["region"].as_str(), Some(region.id.as_str()), "{path}");
                            }
                        }
                    }
                }
            }
        }
    }
    println!("{count} requests, {fetched} to the origin, {answered} answered: no explanation differed");
    let _ = MemoryBody::default();
}

#[test]
fn every_route_has_its_reason() {
    let mut request = ClientRequest {
        method: Method::GET,
        scheme: "https".to_owned(),
        authority: "shop.example".to_owned(),
        path: "/p/42".to_owned(),
        query: None,
        headers: HeaderMap::new(),
        address: None,
        body: (),
    };
    request.headers.insert("accept-language", HeaderValue::from_static("de"));
    let geo = Geo {
        country: Some("US".to_owned()),
        continent: Some("NA"),
        subdivision: Some("CA".to_owned()),
        ..Geo::default()
    };
    let now = OffsetDateTime::UNIX_EPOCH;
    let described = Described {
        request,
        geo: Some(geo),
        device: None,
        user: None,
        assumed: Default::default(),
        identity_keys: Default::default(),
        session: edge_personalizer::explain::no_session(),
        preview_keys: Rc::default(),
        now,
        random: [1, 2],
    };
    let explanation = explain(&rules(), None, described);
    let text = serde_json::to_value(&explanation).unwrap();
    assert_eq!(
        text["region"]["considered"],
        json!([{ "id": "EU", "holds": false, "blocked_by": "continent" }, { "id": "NY", "holds": false, "blocked_by": "subdivision" },
            { "id": "US", "holds": true, "blocked_by": null }])
    );
    assert_eq!(
        text["routes"],
        json!([{ "id": "sku", "matched": false, "why_not": "when", "blocked_by": "language" },
            { "id": "any", "matched": true, "why_not": null, "blocked_by": null },
            { "id": "post", "matched": false, "why_not": null, "blocked_by": null }])
    );
    assert_eq!(text["shown"][0]["key"], "hero");
    assert!(text["plan"]["asks"]["cache"]["shared"]["key"].as_str().unwrap().len() == 64, "{text:#}");
}

#[test]
fn a_previews_parameter_is_no_part_of_what_the_origin_is_asked() {
    let explained = |query: &str| {
        let request = ClientRequest {
            method: Method::GET,
            scheme: "https".to_owned(),
            authority: "shop.example".to_owned(),
            path: "/p/42".to_owned(),
            query: Some(query.to_owned()),
            headers: HeaderMap::new(),
            address: None,
            body: (),
        };
        let now = OffsetDateTime::UNIX_EPOCH;
        explain(
            &rules(),
            None,
            Described {
                request,
                geo: None,
                device: None,
                user: None,
                assumed: Default::default(),
                identity_keys: Default::default(),
                session: edge_personalizer::explain::no_session(),
                preview_keys: Rc::default(),
                now,
                random: [1, 2],
            },
        )
    };
    let (plain, previewed) = (explained("a=1"), explained("edge_preview=1.e30.AAAA&a=1"));
    let key = |explanation: &Explanation| serde_json::to_value(&explanation.plan).unwrap()["asks"]["cache"].clone();
    let url = |explanation: &Explanation| explanation.plan.as_ref().unwrap().asks.as_ref().unwrap().url.clone();
    assert_eq!((url(&previewed), key(&previewed)), (url(&plain), key(&plain)));
    assert!(previewed.steps[0].contains("preview"), "whoever asks is told that it is left out: {:?}", previewed.steps);
    assert!(!plain.steps.iter().any(|step| step.contains("preview")), "{:?}", plain.steps);
}
