//! A shop whose routes use sessions.

use std::net::IpAddr;

use edge_personalizer::context::identity::{UserId, sign};
use edge_personalizer::mac::MacKey;
use edge_personalizer::platform::memory::{Answer, Asked, Memory};
use edge_personalizer::platform::{Endpoint, Kv};
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::{NEW_YORK, Visit, path_of, shop, visit};

/// 27 November 2026, 12:00:00 UTC.
pub const NOW: i64 = 1_795_780_800;
pub const KEY: &str = "an-identity-key-of-32-bytes-or-more";
pub const VISITOR: &str = "00000000000000000000000000000abc";

/// A shop with a session API; `session.max_age` is 300, `stale_max` 86,400, the budget 100 ms.
pub fn store(origin: impl Fn(&Asked) -> Answer + 'static) -> Memory {
    let host = shop(origin);
    host.clock.set(Some(OffsetDateTime::from_unix_timestamp(NOW).unwrap()));
    host.secrets.borrow_mut().insert("identity".to_owned(), KEY.as_bytes().to_vec());
    host.set(
        "settings",
        &json!({ "session": { "path": "/sessions/{kind}/{id}" }, "consent": { "cookie": { "name": "consent", "value": "yes" } } }),
    );
    host.set(
        "routes",
        &json!({ "routes": [
            { "id": "lists", "path": "/lists", "cache": { "ttl": 60 },
              "session": { "query": { "recent": "recent_views", "cart": "cart" }, "header": ["affinity", "cart", "recent_views"] } },
            { "id": "page", "path": "/page", "session": {} },
            { "id": "lazy", "path": "/lazy", "session": { "on_miss": "origin" } },
            { "id": "greet", "path": "/greet", "rewrite": { "set_query": { "name": "{session.attributes.name|nobody}" } },
              "request_headers": { "set": { "X-Name": "{session.attributes.name|nobody}" } } },
            { "id": "shared", "path": "/shared", "rewrite": { "path": "/shared/{region.slug}" }, "cache": { "ttl": 60 } },
            { "id": "plain", "path": "/plain", "request_headers": { "set": { "X-Region": "{region.id}" } } },
        ]}),
    );
    host
}

/// Puts what the store holds at a key.
pub fn put(host: &Memory, key: &str, bytes: impl Into<Vec<u8>>) {
    host.put(Kv::Sessions, key, bytes);
}

/// A record that was right `age` seconds ago.
pub fn record(age: i64) -> Value {
    json!({ "version": 1, "updated_at": (NOW - age) * 1000, "recent_views": ["kv-1", "kv-2"],
        "cart": [{ "sku": "kv-3", "quantity": 2, "price": 9.5 }], "affinity": { "shoes": 0.8, "hats": 0.2 },
        "segments": ["vip"], "attributes": { "name": "Alice" } })
}

/// Has the session API answer so.
pub fn api(host: &Memory, answer: impl Fn(&Asked) -> Answer + 'static) {
    host.backends.borrow_mut().insert("session_api".to_owned(), Box::new(answer));
}

/// A GET by somebody with a browser: without a User-Agent, it would be a crawler's.
pub fn browser(address: IpAddr, target: &str) -> Visit {
    visit(address, target).with("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
}

/// A GET by a user who proves it, with a browser in New York.
pub fn by_user(user: &str, target: &str) -> Visit {
    prove(browser(NEW_YORK, target), user)
}

/// A GET by a user who proves it; who else it is, and with what, the test says.
pub fn by_user_from(address: IpAddr, user: &str, target: &str) -> Visit {
    prove(visit(address, target), user)
}

fn prove(request: Visit, user: &str) -> Visit {
    let key = MacKey::new(KEY.as_bytes()).unwrap();
    let signature = sign(&key, &UserId::parse(user).unwrap(), u64::try_from(NOW).unwrap());
    request.with("x-user-id", user).with("x-user-signature", signature)
}

/// A 200 with JSON.
pub fn answers(body: &Value) -> Answer {
    Ok((http::StatusCode::OK, http::HeaderMap::new(), body.to_string().into_bytes()))
}

/// A GET by somebody who isn't logged in.
pub fn by_visitor(target: &str) -> Visit {
    browser(NEW_YORK, target).with("cookie", format!("ep_vid={VISITOR}"))
}

/// What a backend was asked last.
pub fn last_asked(host: &Memory, backend: &str) -> Asked {
    host.asked.borrow().iter().rev().find(|asked| asked.backend == backend).unwrap().clone()
}

/// A header as it was sent to the origin last.
pub fn sent(host: &Memory, name: &str) -> Option<String> {
    last_asked(host, "origin").headers.get(name).map(|value| value.to_str().unwrap().to_owned())
}

/// Path and query as sent to the origin last.
pub fn sent_path(host: &Memory) -> String {
    path_of(&last_asked(host, "origin").url)
}

/// The codes of the last request's line.
pub fn codes(host: &Memory) -> Vec<String> {
    let lines = host.lines_of(Endpoint::Decisions);
    let errors = lines.last().and_then(|line| line["errors"].as_array().cloned()).unwrap_or_default();
    errors.iter().map(|code| code.as_str().unwrap().to_owned()).collect()
}

/// How often a store was asked.
pub fn lookups(host: &Memory, store: &str) -> u32 {
    host.looked_up(store)
}
