//! The command line and the inspector's page say the same of every visitor: the same words through both, at random, from one seed.

use clap::Parser;
use edge_personalizer::context::inspect::{InspectClaims, sign};
use edge_personalizer::mac::MacKey;
use edge_personalizer::platform::memory::Memory;
use edge_personalizer::platform::{ClientRequest, Endpoint, Kv};
use edge_personalizer::rules::set::Texts;
use edge_personalizer::service::{Sandbox, handle};
use http::{HeaderMap, Method};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::*;

#[path = "../../../tests/support/at_random.rs"]
mod at_random;
use at_random::{Random, dictionaries};

/// Cases; more where `EDGE_FULL` asks for the long run.
const CASES: usize = 400;
const FULL_CASES: usize = 10_000;
/// Visitors with a cookie: all of them, and all users, have the same session.
const VISITORS: u64 = 20;
/// Of one set of rules.
const CASES_A_SET: usize = 20;
const KEY: &[u8] = b"the-key-of-the-inspector-long-enough";
const NOW: i64 = 1_795_780_800;
const AGENTS: [&str; 3] = [
    "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) Mobile/15E148",
    "Googlebot/2.1",
];

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    options: Options,
}

/// Option and value, in the words of both: `country`, `US`.
fn said(random: &mut Random) -> Vec<(&'static str, String)> {
    let mut said = vec![("header", format!("User-Agent: {}", random.of(&AGENTS)))];
    let mut add = |name, value: &str| said.push((name, value.to_owned()));
    if random.chance(90) {
        let country = random.of(&["FR", "US", "JP", "AU", "DE", "BR"]);
        add("country", country);
        if country == "US" && random.chance(50) {
            add("subdivision", random.of(&["CA", "NY"]));
        }
    }
    for (name, values, percent) in [
        ("device", &["mobile", "tablet", "desktop", "tv", "bot"][..], 30),
        ("network", &["slow", "medium", "fast"], 30),
        ("language", &["fr", "de-AT,de;q=0.9", "ja", "xx"], 50),
        ("consent", &["granted", "refused", "silent"], 60),
        ("user", &["alice", "bob"], 40),
        ("at", &["2026-12-24T08:00:00Z", "2031-01-01T00:00:00+02:00"], 30),
        ("method", &["GET", "HEAD", "POST"], 30),
    ] {
        if random.chance(percent) {
            add(name, random.of(values));
        }
    }
    // A new visitor's id is thrown by dice, and the variations with it: everybody has one.
    let cookie =
        format!("Cookie: ep_vid={:032x}; currency={}", random.bits() % VISITORS + 1, random.of(&["EUR", "USD"]));
    said.push(("header", cookie));
    said
}

/// What differs from request to request, or is the edge's alone.
fn comparable(mut explained: Value) -> Value {
    let all = explained.as_object_mut().unwrap();
    for own in ["role", "canary", "timings", "faults"] {
        all.remove(own);
    }
    if let Some(visitor) = all["visitor"].as_object_mut() {
        visitor.retain(|name, _| !name.ends_with("_ms"));
    }
    for place in ["/plan/asks/headers", "/plan/falls_back_to/headers"] {
        if let Some(lines) = explained.pointer_mut(place).and_then(Value::as_array_mut) {
            // The inspector hides the values of cookies.
            lines.retain(|line| !["x-request-id", "traceparent", "cookie"].contains(&line[0].as_str().unwrap()));
        }
    }
    for place in ["/plan/adds", "/plan/answers/headers"] {
        if let Some(lines) = explained.pointer_mut(place).and_then(Value::as_array_mut) {
            // A new visitor's id is random.
            lines.retain(|line| line[0] != "set-cookie");
        }
    }
    explained
}

#[test]
fn the_command_line_and_the_inspector_say_the_same() {
    let cases = if std::env::var_os("EDGE_FULL").is_some() { FULL_CASES } else { CASES };
    let session = json!({ "version": 1, "updated_at": NOW * 1000, "cart": [{ "sku": "kv-3", "quantity": 2, "price": 9.5 }],
        "attributes": { "tier": "gold", "plan": "gold" } });
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), session.to_string()).unwrap();
    let now = time::OffsetDateTime::from_unix_timestamp(NOW).unwrap();
    let claims =
        InspectClaims { host: "shop.example".into(), users: vec!["alice".into(), "bob".into()], exp: NOW + 60 };
    let cookie = format!("__Host-ep_inspect={}", sign(&claims, &MacKey::new(KEY).unwrap()).unwrap());
    let mut random = Random(0x5eed);
    let (mut compared, mut of_users) = (0, 0);
    while compared < cases {
        let mut rules = dictionaries(&mut random);
        rules["settings"]["session"]["which"] = "user".into();
        let host = Memory::default();
        host.clock.set(Some(now));
        host.secrets.borrow_mut().insert("inspect".to_owned(), KEY.to_vec());
        for user in ["alice", "bob"] {
            host.put(Kv::Sessions, &format!("user/{user}"), session.to_string());
        }
        for visitor in 1..=VISITORS {
            host.put(Kv::Sessions, &format!("visitor/{visitor:032x}"), session.to_string());
        }
        let mut texts = Texts::default();
        for (name, dictionary) in rules.as_object().unwrap() {
            host.set(name, dictionary);
            texts.set(name, vec![dictionary.to_string()]);
        }
        let set = RuleSet::compile(None, &texts, None, &mut Vec::new());
        let mut sandbox = Sandbox::default();
        for _ in 0..CASES_A_SET {
            let said = said(&mut random);
            let name = random.of(&["a", "b", "a%2Fb", "%C3%A9", "x;y"]);
            let query = random.of(&["", "?a=1", "?utm_source=x&a=%31", "?f=1"]);
            let url = format!("https://shop.example/r{}/{name}{query}", random.bits() % 5);

            let mut words = vec!["explain".to_owned(), "rules".to_owned(), url.clone()];
            let is_known = said.iter().any(|(name, _)| *name == "user");
            of_users += usize::from(is_known);
            words.extend(["--session".to_owned(), file.path().display().to_string()]);
            if said.iter().all(|(name, _)| *name != "at") {
                words.extend(["--at".to_owned(), "2026-11-27T12:00:00Z".to_owned()]);
            }
            words.extend(said.iter().flat_map(|(name, value)| [format!("--{name}"), value.clone()]));
            let line = Line::try_parse_from(&words).unwrap();
            let described =
                line.options.visitor.describe(Some(&url), std::path::Path::new("/nowhere"), None).unwrap().described;
            let here = serde_json::to_value(explain(&set, None, described)).unwrap();

            let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
            let mut asked = format!("url={}", encoded(&url));
            for (name, value) in &said {
                asked.push_str(&format!("&{name}={}", encoded(value)));
            }
            let mut headers = HeaderMap::new();
            headers.insert("cookie", cookie.parse().unwrap());
            headers.insert("sec-fetch-site", "same-origin".parse().unwrap());
            let request = ClientRequest {
                method: Method::GET,
                scheme: "https".to_owned(),
                authority: "shop.example".to_owned(),
                path: "/.edge/explain".to_owned(),
                query: Some(asked.clone()),
                headers,
                address: None,
                body: Vec::new().into(),
            };
            handle(&host, &mut sandbox, request);
            let answer = host.received.borrow().last().unwrap().clone();
            assert_eq!(answer.status, 200, "{asked}: {}", String::from_utf8_lossy(&answer.body));
            let there: Value = serde_json::from_slice(&answer.body).unwrap();
            assert_eq!(comparable(here), comparable(there), "{words:?}\n{rules:#}");
            compared += 1;
        }
        assert!(host.lines_of(Endpoint::Exposures).is_empty() && host.lines_of(Endpoint::Decisions).is_empty());
        assert_eq!(host.looked_up("kv_write"), 0);
    }
    assert!(of_users > cases / 5, "{of_users} of {compared} had a session");
}
