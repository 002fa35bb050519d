//! The names against what the edge plans, and the call against a server that answers as the documented API does.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use edge_personalizer::explain::{Described, Sent, explain, no_session};
use edge_personalizer::platform::{ClientRequest, Geo};
use edge_personalizer::rules::RuleSet;
use edge_personalizer::rules::set::Texts;
use http::{HeaderMap, Method};
use serde_json::{Value, json};
use tiny_http::{Response, Server};

use super::names::Names;
use super::{MAY, send};
use crate::api::Client;

struct Rules {
    folder: tempfile::TempDir,
}

impl Rules {
    fn new() -> Self {
        let rules = Self { folder: tempfile::tempdir().unwrap() };
        rules.write(
            "routes",
            &json!({ "routes": [
            { "id": "products", "path": "/p/*", "cache": { "ttl": 60, "surrogate_keys": ["catalogue"] },
              "features": ["hero"], "experiments": ["checkout"],
              "rewrite": { "set_query": { "r": "{region.id}", "d": "{deviceType}", "l": "{language|en}" } } },
            { "id": "account", "path": "/account" }] }),
        );
        rules
            .write("regions", &json!({ "regions": [{ "id": "APAC", "slug": "asia", "when": { "continent": "AS" } }] }));
        rules.write("settings", &json!({ "languages": ["en", "fr"] }));
        rules.write(
            "features",
            &json!({ "features": { "hero": { "defaultValue": "plain", "rules": [
            { "condition": { "country": "FR" }, "force": "ici et là" },
            { "key": "hero-2026", "hashVersion": 2, "variations": ["free shipping", null], "coverage": 1 }] },
            "idle": { "defaultValue": false } } }),
        );
        rules.write(
            "experiments",
            &json!({ "experiments": [
            { "key": "checkout", "hashVersion": 2, "variations": [{}, {}], "meta": [{ "key": "a" }, { "key": "b" }] },
            { "key": "away", "hashVersion": 2, "urlPatterns": [{ "type": "simple", "pattern": "/p/1", "include": true }],
              "variations": [{}, { "urlRedirect": "https://www.example.com/p/new?x=1" }] }] }),
        );
        rules
    }

    fn write(&self, name: &str, value: &Value) {
        std::fs::write(self.path().join(format!("{name}.json")), value.to_string()).unwrap();
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn names(&self) -> Names {
        Names::read(self.path(), false).unwrap()
    }

    /// The keys of the answer that the edge would store for a visitor.
    fn stored(&self, country: &str, continent: &'static str, user_agent: &str, user: u128) -> BTreeSet<String> {
        let mut texts = Texts::default();
        for name in ["routes", "regions", "settings", "features", "experiments"] {
            texts.set(name, vec![std::fs::read_to_string(self.path().join(format!("{name}.json"))).unwrap()]);
        }
        let mut faults = Vec::new();
        let rules = RuleSet::compile(Some("r42"), &texts, None, &mut faults);
        assert!(faults.is_empty(), "{faults:?}");
        let mut headers = HeaderMap::new();
        headers.insert("user-agent", user_agent.parse().unwrap());
        headers.insert("accept-language", "fr".parse().unwrap());
        let request = ClientRequest {
            method: Method::GET,
            scheme: "https".to_owned(),
            authority: "www.example.com".to_owned(),
            path: "/p/1".to_owned(),
            query: None,
            headers,
            address: None,
            body: (),
        };
        let geo = Geo { country: Some(country.to_owned()), continent: Some(continent), ..Geo::default() };
        let now = time::OffsetDateTime::UNIX_EPOCH;
        let described = Described {
            request,
            geo: Some(geo),
            device: None,
            user: None,
            assumed: Default::default(),
            identity_keys: Rc::default(),
            session: no_session(),
            preview_keys: Rc::default(),
            now,
            random: [user, 1],
        };
        match explain(&rules, None, described).plan.unwrap().asks.unwrap().cache {
            Sent::Shared { surrogate_keys, .. } => surrogate_keys.into_iter().collect(),
            _ => panic!("expected a shared answer"),
        }
    }
}

#[test]
fn every_key_of_a_stored_answer_is_one_that_purge_names() {
    let rules = Rules::new();
    let names = rules.names();
    let mut nameable: BTreeSet<String> = [
        names.route("products").unwrap(),
        names.revision("r42").unwrap(),
        // The rule's own, which its author knows.
        "catalogue".to_owned(),
    ]
    .into();
    for id in ["APAC", "DEFAULT_REGION"] {
        nameable.extend(names.region(id).unwrap());
    }
    nameable.extend(names.feature("hero").unwrap());
    nameable.extend(names.experiment("checkout").unwrap());
    nameable.extend(names.experiment("away").unwrap());
    for class in ["mobile", "desktop", "bot"] {
        nameable.extend(names.variant("deviceType", class).unwrap());
    }
    nameable.extend(names.variant("language", "fr").unwrap());
    let mut met = BTreeSet::new();
    for (country, continent) in [("JP", "AS"), ("FR", "EU"), ("US", "NA")] {
        for agent in ["Mozilla/5.0 Firefox/145.0", "curl/8", "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0) Mobile Safari"] {
            met.extend((0..40).flat_map(|user: u128| rules.stored(country, continent, agent, user << 64 | 7)));
        }
    }
    let unnamed: Vec<_> = met.difference(&nameable).collect();
    assert!(unnamed.is_empty(), "{unnamed:?}");
    // The sample met the variations, the redirect's path and a value that is not plain ASCII.
    for key in [
        "route-products",
        "revision-r42",
        "variant-region-APAC",
        "variant-hero-free%20shipping",
        "variant-hero-ici%20et%20l%C3%A0",
        "variant-checkout-b",
        "variant-away-/p/new",
        "variant-device-type-mobile",
        "variant-language-fr",
    ] {
        assert!(met.contains(key), "{key}: {met:#?}");
    }
}

#[test]
fn a_feature_stands_for_all_its_values_and_a_variant_for_one() {
    let names = Rules::new().names();
    let hero = ["variant-hero-free%20shipping", "variant-hero-ici%20et%20l%C3%A0", "variant-hero-plain"];
    assert_eq!(names.feature("hero").unwrap(), hero);
    assert_eq!(names.experiment("hero-2026").unwrap(), hero, "its variations are the feature's values");
    assert_eq!(names.experiment("checkout").unwrap(), ["variant-checkout-a", "variant-checkout-b"]);
    assert_eq!(names.variant("hero", "plain").unwrap(), ["variant-hero-plain"]);
    assert_eq!(names.variant("region", "APAC").unwrap(), names.region("APAC").unwrap());
}

#[test]
fn a_key_that_another_dimension_has_is_purged_under_the_name_that_the_edge_gives_it() {
    let rules = Rules::new();
    rules.write("settings", &json!({ "attributes": { "group": { "cookie": "g", "values": ["a"] } } }));
    rules.write(
        "features",
        &json!({ "features": {
        "country": { "defaultValue": "x" }, "group": { "defaultValue": "y" }, "both": { "defaultValue": "z" } } }),
    );
    rules
        .write("experiments", &json!({ "experiments": [{ "key": "both", "hashVersion": 2, "variations": [{}, {}] }] }));
    let names = rules.names();
    assert_eq!(names.feature("country").unwrap(), ["variant-feature.country-x"]);
    assert_eq!(names.variant("feature.country", "x").unwrap(), ["variant-feature.country-x"]);
    assert_eq!(names.variant("country", "FR").unwrap(), ["variant-country-FR"]);
    assert_eq!(names.variant("group", "a").unwrap(), ["variant-group-a"]);
    assert_eq!(names.feature("group").unwrap(), ["variant-feature.group-y"]);
    assert_eq!(names.variant("both", "z").unwrap(), ["variant-both-z"]);
    let both = ["variant-both-0", "variant-both-1", "variant-experiment.both-0", "variant-experiment.both-1"];
    assert_eq!(names.experiment("both").unwrap(), both);
}

#[test]
fn a_name_that_the_rules_do_not_have_is_refused_unless_forced() {
    let rules = Rules::new();
    let names = rules.names();
    for (error, expected) in [
        (names.region("APCA").unwrap_err(), "is it 'APAC'?"),
        (names.route("product").unwrap_err(), "is it 'products'?"),
        (names.feature("hreo").unwrap_err(), "is it 'hero'?"),
        (names.experiment("chekout").unwrap_err(), "is it 'checkout'?"),
        (names.variant("hero", "2").unwrap_err(), "known are free shipping, ici et là, plain"),
        (names.variant("network", "4g").unwrap_err(), "known are fast, medium, slow"),
        (names.variant("country", "fr").unwrap_err(), "but found 'fr': is it 'FR'?"),
        (names.revision("a b").unwrap_err(), "but found 'a b'"),
    ] {
        assert!(error.to_string().contains(expected), "{error}");
    }
    let forced = Names::read(&PathBuf::from("nowhere"), true).unwrap();
    assert_eq!(forced.region("GONE").unwrap(), ["variant-region-GONE"]);
    assert_eq!(forced.variant("hero", "2").unwrap(), ["variant-hero-2"]);
    assert_eq!(forced.variant("country", "fr").unwrap(), ["variant-country-fr"]);
    assert!(forced.feature("hero").is_err(), "which values it had nobody knows");
    assert!(Names::read(&PathBuf::from("nowhere"), false).is_err());
}

/// What a call brought: method and path, the token, whether it was soft, the keys.
type Call = (String, String, bool, Vec<String>);

struct Api {
    base: String,
    calls: Arc<Mutex<Vec<Call>>>,
    server: Arc<Server>,
}

impl Drop for Api {
    fn drop(&mut self) {
        self.server.unblock();
    }
}

impl Api {
    /// Answers with these statuses, the last one for ever.
    fn start(statuses: &'static [u16]) -> Self {
        let server = Arc::new(Server::http("127.0.0.1:0").unwrap());
        let base = format!("http://{}", server.server_addr().to_ip().unwrap());
        let calls: Arc<Mutex<Vec<Call>>> = Arc::default();
        let (serving, noted) = (Arc::clone(&server), Arc::clone(&calls));
        std::thread::spawn(move || {
            for mut request in serving.incoming_requests() {
                let header = |name: &'static str| {
                    let found = request.headers().iter().find(|header| header.field.equiv(name));
                    found.map(|header| header.value.to_string())
                };
                let (token, soft) = (header("Fastly-Key").unwrap_or_default(), header("Fastly-Soft-Purge").is_some());
                let place = format!("{} {}", request.method(), request.url());
                let mut body = String::new();
                request.as_reader().read_to_string(&mut body).unwrap();
                let body: Value = serde_json::from_str(&body).unwrap();
                let keys =
                    body["surrogate_keys"].as_array().unwrap().iter().map(|key| key.as_str().unwrap().to_owned());
                let mut calls = noted.lock().unwrap();
                let status = statuses.get(calls.len()).or(statuses.last()).copied().unwrap_or(200);
                calls.push((place, token, soft, keys.collect()));
                let answer =
                    if status == 200 { json!({ "variant-region-APAC": "1-2-3" }) } else { json!({ "msg": "no" }) };
                request.respond(Response::from_string(answer.to_string()).with_status_code(status)).unwrap();
            }
        });
        Self { base, calls, server }
    }

    fn send(&self, keys: usize, soft: bool) -> anyhow::Result<()> {
        let client = Client::new(&self.base, "t0k3n", MAY)?.with_pause(Duration::from_millis(1));
        send(&client, "SU1Z", &(0..keys).map(|key| format!("k{key:04}")).collect(), soft)
    }

    fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }
}

#[test]
fn keys_are_sent_as_the_api_takes_them_and_256_at_once() {
    let api = Api::start(&[200]);
    api.send(300, false).unwrap();
    let calls = api.calls();
    assert_eq!(calls.iter().map(|(.., keys)| keys.len()).collect::<Vec<_>>(), [256, 44]);
    assert_eq!((calls[0].0.as_str(), calls[0].1.as_str(), calls[0].2), ("POST /service/SU1Z/purge", "t0k3n", false));
    api.send(1, true).unwrap();
    assert!(api.calls()[2].2, "a soft purge says so");
}

#[test]
fn a_purge_is_tried_again_where_it_may_succeed_and_refusals_say_what_to_do() {
    let api = Api::start(&[503, 429, 200]);
    api.send(1, false).unwrap();
    assert_eq!(api.calls().len(), 3);
    for (statuses, calls, expected) in [
        (&[401][..], 1, "401: expected a valid token"),
        (&[403][..], 1, "403: expected a token that may purge this service"),
        (&[404][..], 1, "404: expected a service with id SU1Z"),
        (&[500][..], 5, "gave up after 5 attempts"),
    ] {
        let api = Api::start(statuses);
        let error = format!("{:#}", api.send(1, false).unwrap_err());
        assert!(error.contains(expected) && !error.contains("t0k3n"), "{error}");
        assert_eq!(api.calls().len(), calls, "{expected}");
    }
}
