//! Promise 15: the service stays inside the platform's limits, counted on the worst requests that rules and clients can make.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may stop at a surprise")]
#![allow(clippy::indexing_slicing, reason = "what is missing in a JSON value is null, and a surprise ends the test")]

mod support;

use edge_personalizer::platform::SendError;
use edge_personalizer::platform::memory::{Answer, Memory, Received};
use edge_personalizer::respond::storing::{Storing, storing};
use edge_personalizer::service::Sandbox;
use http::HeaderMap;
use serde_json::{Value, json};
use support::sessions::{NOW, VISITOR, answers, api, by_user_from, put, store};
use support::{NEW_YORK, Visit, ok, status};

/// Fastly's limits (docs: "Compute resource limits"); look-ups as planned for in design.md section 3.1.
const CONFIG_LOOKUPS: usize = 16;
const BACKEND_REQUESTS: usize = 32;
/// On trial accounts.
const BACKEND_REQUESTS_TRIAL: usize = 10;
const HEADERS_BYTES: usize = 69 * 1024;
const HEADER_BYTES: usize = 8 * 1024;
const RESPONSE_HEADERS: usize = 85;
const URL_BYTES: usize = 8_192;
const VARY_RULES: usize = 8;
const LOG_LINE: usize = 16 * 1024;
const KV_KEY: usize = 1_024;
const SURROGATE_KEYS: usize = 16 * 1024;

/// Maxima over all requests: name, limit, the most that was seen.
#[derive(Default)]
struct Maxima(Vec<(&'static str, usize, usize)>);

impl Maxima {
    fn see(&mut self, name: &'static str, limit: usize, value: usize) {
        match self.0.iter_mut().find(|(known, _, _)| *known == name) {
            Some((_, _, most)) => *most = (*most).max(value),
            None => self.0.push((name, limit, value)),
        }
    }

    fn headers(&mut self, names: [&'static str; 2], headers: &HeaderMap) {
        let size = |(name, value): (&http::HeaderName, &http::HeaderValue)| name.as_str().len() + value.len() + 4;
        self.see(names[0], HEADERS_BYTES, headers.iter().map(size).sum());
        self.see(names[1], HEADER_BYTES, headers.iter().map(size).max().unwrap_or(0));
    }

    fn request(&mut self, host: &Memory, answer: &Received) {
        let looked = |store| host.lookups.borrow().get(store).map_or(0, |count| *count as usize);
        self.see("config-store look-ups", CONFIG_LOOKUPS, looked("config"));
        self.see("KV look-ups and writes", BACKEND_REQUESTS_TRIAL, looked("kv"));
        self.see("secret-store look-ups", BACKEND_REQUESTS_TRIAL, looked("secret"));
        let asked = host.asked.borrow();
        self.see("backend requests", BACKEND_REQUESTS_TRIAL, asked.len());
        for asked in asked.iter() {
            self.headers(["headers to a backend, bytes in all", "a header to a backend, bytes"], &asked.headers);
            self.see("URL to a backend, bytes", URL_BYTES, asked.url.len());
            if let edge_personalizer::platform::Caching::Keyed { surrogate_keys, .. } = &asked.caching {
                self.see("surrogate keys, bytes", SURROGATE_KEYS, surrogate_keys.len());
            }
        }
        self.headers(["headers to the client, bytes in all", "a header to the client, bytes"], &answer.headers);
        self.see("header lines to the client", RESPONSE_HEADERS, answer.headers.len());
        // What is stored names the origin's and the variant; the rest of what an answer varies by is in the key.
        if let Ok((status, headers, _)) = loud()
            && let Storing::Keep { vary } = storing(status, &headers, false)
        {
            self.see("members of Vary, as stored", VARY_RULES, vary.as_bytes().split(|byte| *byte == b',').count());
        }
        for (_, line) in host.lines.borrow().iter() {
            self.see("a log line, bytes", LOG_LINE, line.len());
        }
        for (_, key) in host.kv.borrow().keys() {
            self.see("KV key, bytes", KV_KEY, key.len());
        }
    }
}

/// A session as large as the settings let it be.
fn large_record() -> Value {
    let name = |index: usize| format!("{index:0>128}");
    let names: Vec<String> = (0..1_000).map(name).collect();
    let attributes: serde_json::Map<String, Value> =
        (0..64).map(|index| (name(index), "x".repeat(1_000).into())).collect();
    let cart: Vec<Value> = names.iter().map(|sku| json!({ "sku": sku, "quantity": 9 })).collect();
    let affinity: serde_json::Map<String, Value> = names.iter().map(|name| (name.clone(), 0.5.into())).collect();
    json!({ "version": 1, "updated_at": (NOW - 9_000) * 1000, "recent_views": names, "cart": cart, "affinity": affinity,
        "segments": names, "attributes": attributes })
}

/// Rules that use everything at once, in as many entries as there may be.
fn worst(origin: fn() -> Answer) -> Memory {
    let host = store(move |_| origin());
    let user = "u".repeat(128);
    put(&host, &format!("user/{user}"), large_record().to_string());
    put(&host, &format!("visitor/{VISITOR}"), large_record().to_string());
    api(&host, |_| answers(&large_record()));
    host.set("settings", &json!({ "languages": ["en", "fr"], "log": { "server_timing": true, "exposure_attributes": ["country", "city", "path", "deviceType", "browser", "os", "language", "network"] },
        "session": { "path": "/sessions/{kind}/{id}", "which": "merged", "max_bytes": 1_000_000 } }));
    let keys: Vec<String> = (0..60).map(|index| format!("feature-{index:0>40}")).collect();
    let feature = |key: &String| {
        (
            key.clone(),
            json!({ "defaultValue": "x".repeat(2_000), "rules": [{ "key": format!("test-{key}"), "hashVersion": 2,
            "variations": ["a".repeat(2_000), "b".repeat(2_000)], "meta": [{ "key": "0" }, { "key": "1" }] }] }),
        )
    };
    let features: serde_json::Map<String, Value> = keys.iter().map(feature).collect();
    host.set("features", &json!({ "features": features }));
    let few: Vec<&String> = keys.iter().take(12).collect();
    host.set("routes", &json!({ "parts": 200, "routes": [
        { "id": "all", "path": "/all/*", "features": few, "backend": "origin",
          "rewrite": { "path": "/{region.slug}/{path.rest}", "set_query": { "name": "{session.attributes.name|none}" } },
          "request_headers": { "set": { "X-Language": "{language|none}", "X-Device": "{deviceType}", "X-Net": "{network}" } },
          "session": { "query": { "recent": "recent_views", "cart": "cart", "affinity": "affinity" }, "header": ["recent_views", "cart", "affinity"] },
          "cache": { "ttl": 60, "surrogate_keys": ["a", "b"] }, "fallback": { "path": "/plain" } },
        { "id": "shared", "path": "/shared/*", "features": few, "cache": { "ttl": 60, "key_headers": ["accept", "accept-language"] } } ] }));
    for name in ["routes", "features", "experiments", "segments", "templates"] {
        for part in 2..=200 {
            host.set(&format!("{name}.{part}"), &json!({ name: if name == "routes" { json!([]) } else { json!({}) } }));
        }
    }
    host
}

/// An origin that sends as much as it may.
fn loud() -> Answer {
    let mut headers = HeaderMap::new();
    for index in 0..60 {
        let name: http::HeaderName = format!("x-origin-{index}").parse().unwrap();
        headers.insert(name, "v".repeat(200).parse().unwrap());
    }
    headers.insert("vary", "Origin, Accept-Encoding, Accept, User-Agent, Cookie, X-A, X-B".parse().unwrap());
    headers.insert("content-type", "text/html".parse().unwrap());
    Ok((http::StatusCode::OK, headers, b"<h1>x</h1>".to_vec()))
}

fn request(target: &str, heavy: bool) -> Visit {
    let mut request = by_user_from(NEW_YORK, &"u".repeat(128), target)
        .with("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
        .with("accept-language", "fr;q=0.9, en")
        .with("cookie", format!("ep_vid={VISITOR}; big={}", "c".repeat(if heavy { 6_000 } else { 10 })));
    if heavy {
        for index in 0..40 {
            request = request.with(&format!("x-client-{index}"), "h".repeat(1_000));
        }
    }
    request
}

#[test]
fn the_worst_request_stays_within_every_limit_of_the_platform() {
    let mut maxima = Maxima::default();
    let origins: [fn() -> Answer; 4] = [loud, || ok("x"), || status(503), || Err(SendError::TimedOut)];
    let long = format!("/all/{}", "p".repeat(6_000));
    let query = format!("/shared/x?{}", "q".repeat(7_000));
    let mut requests = 0;
    for origin in origins {
        for target in ["/all/x", long.as_str(), "/shared/x", query.as_str(), "/none"] {
            for heavy in [false, true] {
                let mut sandbox = Sandbox::default();
                // Cold, warm, and after a second, when dictionaries are read again.
                for age in [0, 0, 2] {
                    let host = worst(origin);
                    host.age.set(std::time::Duration::from_secs(age));
                    let answer = request(target, heavy).send_in(&host, &mut sandbox);
                    maxima.request(&host, &answer);
                    requests += 1;
                }
            }
        }
    }
    println!("{requests} requests\n{:<38} {:>8} {:>8}", "counted", "maximum", "limit");
    let mut beyond = Vec::new();
    for (name, limit, most) in &maxima.0 {
        println!("{name:<38} {most:>8} {limit:>8}");
        if most > limit {
            beyond.push(format!("{name}: {most} of {limit}"));
        }
        assert!(*most > 0, "{name} was never counted");
    }
    println!("(backend requests: {BACKEND_REQUESTS} where the account is no trial)");
    assert!(beyond.is_empty(), "{beyond:#?}");
}
