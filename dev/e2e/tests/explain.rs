//! `personalizer explain` says what the edge does: the same random requests through both, compared with what the shop was sent and the
//! visitor was shown.
#![allow(clippy::indexing_slicing, reason = "what is missing in a JSON value is null, and a surprise ends the test")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may stop at a surprise")]

use std::collections::{BTreeMap, HashMap};
use std::process::Command;
use std::rc::Rc;

use e2e::crowd::{Mix, Person};
use e2e::{Answer, Dice, Edge, Recorded, personalizer};
use edge_personalizer::explain::{Described, explain, no_session};
use edge_personalizer::platform::{ClientRequest, Device};
use edge_personalizer::rules::RuleSet;
use edge_personalizer::rules::set::Texts;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};
use tempfile::TempDir;
use time::OffsetDateTime;

const SEED: u64 = 20_261_127;
/// Requests; more where `EDGE_FULL` asks for the long run.
const REQUESTS: usize = 2_000;
const FULL_REQUESTS: usize = 10_000;
/// Of which so many are also explained by the program itself.
const COMMANDS: usize = 60;
/// What differs from request to request, belongs to the connection, or is the local server's own (the cache key for its cache).
const OWN: [&str; 6] =
    ["x-request-id", "traceparent", "host", "content-length", "transfer-encoding", "fastly-xqd-cache-key"];
const HOSTS: [&str; 3] = ["shop.example", "SHOP.example:8080", "de.shop.example"];
/// The platform's device detection knows this one, and nothing of the others.
const KNOWN_AGENT: &str = "Mozilla/5.0 (Mystery 1) Gecko/1";
const PATHS: [&str; 22] = [
    "/p/42",
    "/p/a%2Fb",
    "/p/a;x=y",
    "/p/",
    "/p/a/b",
    "//p/a",
    "/p/%C3%A9",
    "/d",
    "/n",
    "/l/here",
    "/me/cart",
    "/u",
    "/e/one",
    "/img/a.jpg",
    "/page/42k",
    "/api/products",
    "/landing",
    "/go/here",
    "/hi",
    "/off",
    "/through",
    "/nothing",
];

fn dictionaries() -> Value {
    json!({
        "settings": { "languages": ["en", "fr", "de", "ja"], "region_override": "any", "sticky": {}, "consent": { "cookie": { "name": "consent", "value": "yes" } } },
        "regions": { "default": { "id": "WORLD", "slug": "world" }, "regions": [
            { "id": "EU", "slug": "europe", "when": { "continent": "EU" } },
            { "id": "COAST", "slug": "coast", "when": { "country": "US", "subdivision": { "$in": ["CA", "WA"] } } },
            { "id": "US", "slug": "states", "when": { "country": "US" } },
            { "id": "TOKYO", "slug": "tokyo", "when": { "city": "tokyo" } } ] },
        "features": { "features": {
            "hero": { "defaultValue": "a", "rules": [
                { "condition": { "deviceType": "mobile" }, "force": "phone" },
                { "condition": { "loggedIn": true }, "force": "welcome back" },
                { "key": "hero-test", "variations": ["a", "b", "c é"], "weights": [0.4, 0.4, 0.2], "coverage": 0.9, "hashVersion": 2 } ] },
            "shipping": { "defaultValue": false, "rules": [
                { "condition": { "region": { "$in": ["US", "COAST"] } }, "force": true },
                { "condition": { "query.a": "1" }, "force": true },
                { "condition": { "utmSource": "mail" }, "coverage": 0.5, "hashVersion": 2, "force": true } ] },
            "off": { "defaultValue": "x", "enabled": false } } },
        "experiments": { "experiments": [
            { "key": "cta", "variations": [0, 1, 2], "hashVersion": 2, "condition": { "language": { "$ne": "ja" } } },
            { "key": "landing", "hashVersion": 2, "urlPatterns": [{ "include": true, "type": "simple", "pattern": "/landing" }],
              "variations": [{}, { "urlRedirect": "http://shop.example/echo/landing-b?from=test" }] } ] },
        "segments": { "segments": { "coins": ["EUR", "USD"] } },
        "templates": { "templates": { "badge": "<b>{{ region.id }}</b>" } },
        "routes": { "routes": [
            { "id": "french", "path": "/p/{sku}", "when": { "language": "fr", "$not": { "network": "slow" } },
              "rewrite": { "path": "/echo/fr/{path.sku}" }, "cache": { "ttl": 5 } },
            { "id": "german", "path": "/p/*", "host": "*.shop.example", "rewrite": { "path": "/echo/de/{path.rest}", "query": "drop" }, "cache": {} },
            { "id": "any", "path": "/p/*", "features": ["hero"],
              "rewrite": { "path": "/echo/x/{region.slug}/{path.rest}", "set_query": { "hero": "{feature.hero}", "free": "{feature.shipping}" }, "remove_query": ["utm_*"] },
              "cache": { "ttl": 60, "key_headers": ["x-tier", "accept-language"], "key_cookies": ["currency"] }, "fallback": { "path": "/echo/plain" } },
            { "id": "post", "path": "/p/*", "methods": ["POST"], "rewrite": { "set_query": { "r": "{region.id}" } } },
            { "id": "device", "path": "/d", "rewrite": { "path": "/echo/d/{deviceType}" }, "cache": {} },
            { "id": "old", "path": "/d", "schedule": { "until": "1999-01-01T00:00:00Z" }, "rewrite": { "path": "/echo/old" } },
            { "id": "network", "path": "/n", "request_headers": { "set": { "X-Net": "{network} {country|nowhere}" } }, "cache": { "downstream": "origin" } },
            { "id": "language", "path": "/l/{to}", "rewrite": { "path": "/echo/l/{path.to}", "query": "drop", "set_query": { "lang": "{language|en}", "to": "{path.to}" } }, "cache": {} },
            { "id": "me", "path": "/me/*", "features": ["hero", "off"], "rewrite": { "path": "/echo/me/{path.rest}" },
              "request_headers": { "set": { "X-Who": "{user.id|nobody}" }, "remove": ["X-Debug", "Authorization"] } },
            { "id": "user", "path": "/u", "request_headers": { "set": { "X-Who": "{user.id|nobody}" } }, "rewrite": { "path": "/echo/u" }, "cache": { "ttl": 9 } },
            { "id": "experiment", "path": "/e/{n}", "experiments": ["cta"], "rewrite": { "path": "/echo/e/{path.n}", "set_query": { "e": "{experiment.cta|0}" } }, "cache": {} },
            { "id": "images", "path": "/img/*", "rewrite": { "path": "/echo/img/{path.rest}" }, "cache": { "ttl": 3600 },
              "adapt": { "image": { "widths": [320, 640, 1280], "quality": { "slow": 45, "medium": 65, "fast": 80 }, "formats": ["avif", "webp"] },
                         "video": { "bitrates": { "slow": 800, "fast": 8000 }, "param": "max_bitrate" } } },
            { "id": "page", "path": "/page/42k", "cache": { "ttl": 60 }, "html": [{ "select": "h1", "append": { "template": "badge" } }] },
            { "id": "list", "path": "/api/products", "json": { "set": [{ "pointer": "/hero", "value": { "from": "feature.hero", "default": "?" } }] }, "features": ["hero"] },
            { "id": "landing", "path": "/landing", "rewrite": { "path": "/echo/landing" } },
            { "id": "go", "path": "/go/{to}", "action": "redirect", "redirect": { "location": "/{region.slug}/{path.to}", "status": 307 } },
            { "id": "hi", "path": "/hi", "action": "respond", "methods": ["GET", "HEAD", "POST"],
              "respond": { "status": 203, "headers": { "x-a": "{country|?} {deviceType}", "content-type": "text/plain" }, "body": "hi {region.id} {feature.hero}" } },
            { "id": "off", "path": "/off", "enabled": false, "rewrite": { "path": "/echo/never" } },
            { "id": "through", "path": "/through", "action": "passthrough" } ] }
    })
}

/// The rules, compiled as the edge compiles them.
fn rules() -> RuleSet {
    let mut texts = Texts::default();
    for (name, value) in dictionaries().as_object().unwrap() {
        texts.set(name, vec![value.to_string()]);
    }
    let mut faults = Vec::new();
    let rules = RuleSet::compile(None, &texts, None, &mut faults);
    rules.routes.all().for_each(drop);
    faults.extend(rules.routes.take_faults());
    assert!(faults.is_empty(), "{faults:#?}");
    rules
}

/// The person, as [`explain`] wants one described. A new visitor's id is random: the one that the edge took goes in.
fn described(person: &Person, host: &str, answer: &Answer) -> Described<'static> {
    let mut headers = HeaderMap::new();
    for (name, value) in &person.headers {
        headers.append(
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            HeaderValue::from_bytes(value.as_bytes()).unwrap(),
        );
    }
    let (path, query) = match person.target.split_once('?') {
        Some((path, query)) => (path, Some(query.to_owned())),
        None => (person.target.as_str(), None),
    };
    let lines = answer.header_lines("set-cookie");
    let new = lines.iter().find_map(|line| line.strip_prefix("ep_vid=")?.get(..32).map(str::to_owned));
    // A visitor who withdrew consent is told to forget the id: that line has none.
    let new = new.and_then(|id| u128::from_str_radix(&id, 16).ok()).unwrap_or(1);
    let known = headers.get("user-agent").is_some_and(|agent| agent == KNOWN_AGENT);
    Described {
        request: ClientRequest {
            method: person.method.parse().unwrap(),
            scheme: "http".to_owned(),
            authority: host.to_owned(),
            path: path.to_owned(),
            query,
            headers,
            address: Some(person.visitor.address),
            body: (),
        },
        geo: person.geo(),
        device: known.then(|| Device { is_mobile: Some(true), ..Device::default() }),
        user: person.user.clone(),
        assumed: Default::default(),
        identity_keys: Rc::default(),
        session: no_session(),
        preview_keys: Rc::default(),
        now: OffsetDateTime::now_utc(),
        random: [new, 2],
    }
}

/// Header lines by name, in their order, without those that are each request's [`OWN`].
fn lines<'l>(lines: impl Iterator<Item = (&'l str, String)>) -> BTreeMap<String, Vec<String>> {
    let mut by_name: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in lines.filter(|(name, _)| !OWN.contains(name)) {
        by_name.entry(name.to_ascii_lowercase()).or_default().push(value);
    }
    by_name
}

/// As the demo shop shows what it received.
fn escaped(value: &str) -> String {
    let shown = |byte: u8| match byte {
        b'"' | b'\'' | b'\\' => char::from(byte).to_string(),
        byte => byte.escape_ascii().to_string(),
    };
    value.bytes().map(shown).collect()
}

fn planned_lines(value: &Value) -> BTreeMap<String, Vec<String>> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let pairs = value.as_array().into_iter().flatten();
    let pairs: Vec<(String, String)> = pairs.map(|pair| (text(&pair[0]), escaped(&text(&pair[1])))).collect();
    lines(pairs.iter().map(|(name, value)| (name.as_str(), value.clone())))
}

/// Everything in which an explanation and what happened differ.
fn differences(explanation: &Value, sent: Option<&Recorded>, answer: &Answer, logged: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let mut same = |what: &str, planned: Value, real: Value| {
        if planned != real {
            found.push(format!("{what}: explained {planned}, but was {real}"));
        }
    };
    let plan = &explanation["plan"];
    let target = |url: &str| url.splitn(4, '/').nth(3).map(|rest| format!("/{rest}"));
    match sent {
        Some(sent) => {
            let asks = &plan["asks"];
            same("method", asks["method"].clone(), json!(sent.method));
            same("target", json!(asks["url"].as_str().and_then(target)), json!(sent.target));
            let real = lines(sent.headers.iter().map(|(name, value)| (name.as_str(), value.clone())));
            same("headers to the origin", json!(planned_lines(&asks["headers"])), json!(real));
            same("cache key", asks["cache"]["shared"]["key"].clone(), logged["cache_key"].clone());
            let adds = planned_lines(&plan["adds"]);
            for name in ["edge-variant", "edge-revision", "set-cookie", "accept-ch"] {
                // The shop says none of these itself.
                same(name, json!(adds.get(name).cloned().unwrap_or_default()), json!(answer.header_lines(name)));
            }
        }
        None => {
            let answers = &plan["answers"];
            same("status", answers["status"].clone(), json!(answer.status));
            let head = answer.body.is_empty();
            same("body", if head { json!("") } else { answers["body"].clone() }, json!(answer.text()));
            let real = planned_lines(&json!(
                answer
                    .headers
                    .iter()
                    .map(|(name, value)| (name.to_ascii_lowercase(), String::from_utf8_lossy(value).into_owned()))
                    .collect::<Vec<_>>()
            ));
            for (name, value) in planned_lines(&answers["headers"]) {
                same(&name, json!(value), json!(real.get(&name)));
            }
        }
    }
    same("variant", plan["variant"].clone(), logged["variant"].clone());
    same("route", plan["route"].clone(), logged["route"].clone());
    if logged["region"].is_string() {
        same("region", explanation["region"]["id"].clone(), logged["region"].clone());
    }
    found
}

/// The program itself, with the person on its command line.
fn by_command(person: &Person, host: &str, folder: &TempDir, edge: &Edge) -> Value {
    let mut command = Command::new(personalizer());
    command.args(["explain", "--format", "json", "--method", person.method]).arg("--manifest");
    command.arg(edge.store().with_file_name("fastly.toml")).args(["--address", &person.visitor.address.to_string()]);
    for (name, value) in person.headers.iter().filter(|(name, _)| !name.starts_with("X-User-")) {
        command.args(["--header", &format!("{name}: {value}")]);
    }
    if let Some(user) = &person.user {
        command.args(["--user", user.as_str()]);
    }
    let output = command.arg(folder.path()).arg(format!("http://{host}{}", person.target)).output().unwrap();
    assert!(output.status.success(), "{person:#?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn an_explanation_is_what_the_shop_was_sent_and_the_visitor_was_shown() {
    let device = "user_agent = {}\nos = {}\n[device]\nname = \"Mystery\"\nbrand = \"Mystery\"\nmodel = \"1\"\nhwtype = \"Mobile Phone\"\n\
        is_ereader = false\nis_gameconsole = false\nis_mediaplayer = false\nis_mobile = true\nis_smarttv = false\nis_tablet = false\n\
        is_tvplayer = false\nis_desktop = false\nis_touchscreen = true\n";
    let edge = Edge::with_rules(&dictionaries()).device(KNOWN_AGENT, device).start();
    let folder = TempDir::new().unwrap();
    for (name, value) in dictionaries().as_object().unwrap() {
        std::fs::write(folder.path().join(format!("{name}.json")), value.to_string()).unwrap();
    }
    let rules = rules();
    let mut dice = Dice::new(SEED);
    let mix = Mix {
        paths: &PATHS,
        methods: &["GET", "GET", "GET", "HEAD", "POST"],
        header_percent: 35,
        user_percent: 15,
        cookie_percent: 60,
    };
    let requests = if std::env::var_os("EDGE_FULL").is_some() { FULL_REQUESTS } else { REQUESTS };
    // What each visitor's browser keeps.
    let mut sticky: HashMap<u128, String> = HashMap::new();
    let (mut fetched, mut answered, mut shared, mut commands) = (0, 0, 0, 0);
    let mut routes: BTreeMap<String, usize> = BTreeMap::new();
    let mut mismatches = Vec::new();
    for number in 0..requests {
        let mut person = Person::next(&mut dice, mix);
        let host = *dice.one(&HOSTS);
        if dice.chance(5) {
            person.headers.retain(|(name, _)| name != "User-Agent");
            person.headers.push(("User-Agent".to_owned(), KNOWN_AGENT.to_owned()));
        }
        if let Some(kept) = person.id.and_then(|id| sticky.get(&id)).filter(|_| dice.chance(70)) {
            person.headers.push(("Cookie".to_owned(), kept.clone()));
        }
        edge.origin().forget();
        let answer = edge.visitor(person.visitor).send(&person.request().header("Host", host));
        let sent = edge.origin().requests();
        assert!(sent.len() < 2, "{person:#?} made {sent:#?}");
        let logged = edge.decision();
        let explanation = serde_json::to_value(explain(&rules, None, described(&person, host, &answer))).unwrap();
        let mut different = differences(&explanation, sent.first(), &answer, &logged);
        let told = person.headers.iter().all(|(name, value)| name != "User-Agent" || value != KNOWN_AGENT);
        // A stranger's id is random, and the program has no way to know it.
        if commands < COMMANDS && person.id.is_some() && told && number % 7 == 0 {
            commands += 1;
            let explanation = by_command(&person, host, &folder, &edge);
            let by_command = differences(&explanation, sent.first(), &answer, &logged);
            different.extend(by_command.into_iter().map(|difference| format!("by command: {difference}")));
        }
        match sent.first() {
            Some(_) => fetched += 1,
            None => answered += 1,
        }
        shared += usize::from(logged["cache_key"].is_string());
        *routes.entry(logged["route"].as_str().unwrap_or("none").to_owned()).or_default() += 1;
        let set = answer.header_lines("set-cookie").into_iter().find(|line| line.starts_with("ep_sticky="));
        if let (Some(id), Some(line)) = (person.id, set) {
            sticky.insert(id, line.split(';').next().unwrap().to_owned());
        }
        if !different.is_empty() {
            mismatches.push(format!("request {number}, {host}, {person:#?}\n{}", different.join("\n")));
        }
    }
    println!("requests by route: {routes:?}");
    println!(
        "seed {SEED}: {requests} requests, {fetched} sent to the origin ({shared} of them shared), {answered} answered here, {commands} by the \
         program too; explanations that differ: {}",
        mismatches.len()
    );
    assert!(
        mismatches.is_empty(),
        "{} of {requests}:\n{}",
        mismatches.len(),
        mismatches[..mismatches.len().min(5)].join("\n\n")
    );
    assert_eq!(routes.len(), 19, "every route that can match was met, and none: {routes:?}");
    assert!(fetched > requests / 2 && answered > requests / 50 && shared > requests / 4 && commands > 20);
}
