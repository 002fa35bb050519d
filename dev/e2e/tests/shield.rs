//! Shielding by the real wasm: two local servers, one the other's shield, with a cache before the shop as Fastly has one.
#![allow(clippy::indexing_slicing, reason = "what is missing in a JSON value is null, and a surprise ends the test")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may stop at a surprise")]

use std::collections::{BTreeSet, HashMap};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use e2e::visitors::{NEW_YORK, PARIS};
use e2e::{DemoOrigin, Edge, Request};
use serde_json::{Value, json};
use toml::Table;

const SECRET: &str = "the-shield-secret-of-32-bytes-or-so";
const CODE: &str = "iad-va-us";

fn rules() -> Value {
    json!({
        "settings": { "backends": { "origin": { "shield": CODE } } },
        "regions": { "regions": [
            { "id": "FR", "slug": "fr", "when": { "country": "FR" } }, { "id": "US", "slug": "us", "when": { "country": "US" } } ] },
        "routes": { "routes": [
            { "id": "shared", "path": "/s", "rewrite": { "path": "/echo/{region.slug}" }, "cache": { "ttl": 60, "surrogate_keys": ["s"] } },
            { "id": "private", "path": "/p", "request_headers": { "set": { "X-C": "{country}" } }, "rewrite": { "path": "/echo/p" } } ] }
    })
}

/// A cache before the shop: what comes with a key (the local server tells it in a header) is asked for once a key. The local server
/// has no cache of its own.
fn cache_before(shop: SocketAddr) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let keys: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = Arc::clone(&keys);
    std::thread::spawn(move || {
        let mut kept: HashMap<String, Vec<u8>> = HashMap::new();
        for mut client in listener.incoming().flatten() {
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && client.read(&mut byte).is_ok_and(|count| count == 1) {
                head.push(byte[0]);
            }
            let text = String::from_utf8_lossy(&head).into_owned();
            let key = text.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("fastly-xqd-cache-key").then(|| value.trim().to_owned())
            });
            seen.lock().unwrap().extend(key.clone());
            let ask = || {
                let mut shop = TcpStream::connect(shop).unwrap();
                let closing = text.replacen("\r\n", "\r\nConnection: close\r\n", 1);
                shop.write_all(closing.as_bytes()).unwrap();
                let mut answer = Vec::new();
                shop.read_to_end(&mut answer).unwrap();
                answer
            };
            let answer = match key {
                Some(key) => kept.entry(key).or_insert_with(ask).clone(),
                None => ask(),
            };
            let _ = client.write_all(&answer);
        }
    });
    (address, keys)
}

fn site(name: &str, entry: impl Into<toml::Value>) -> Table {
    Table::from_iter([(name.to_owned(), entry.into())])
}

#[test]
fn the_edge_decides_once_and_the_shield_asks_for_what_was_decided() {
    // The shield has no rules to decide by.
    let shield = Edge::with_rules(&json!({})).secret("shield", SECRET);
    let shop = DemoOrigin::on_a_free_port().unwrap();
    let (cache, keys) = cache_before(shop.address());
    let shield = shield
        .backend("origin", &format!("http://{cache}"))
        .manifest(|manifest| *manifest.table(&["shielding_sites"]) = site(CODE, "Local"))
        .start();
    let url = format!("http://{}", shield.address());
    let there =
        Table::from_iter([("encrypted".to_owned(), url.clone().into()), ("unencrypted".to_owned(), url.into())]);
    let edge = Edge::with_rules(&rules())
        .secret("shield", SECRET)
        .backend("origin", &format!("http://{}", shop.address()))
        .manifest(|manifest| *manifest.table(&["shielding_sites"]) = site(CODE, there))
        .start();
    shop.forget();
    keys.lock().unwrap().clear();

    for _ in 0..2 {
        assert_eq!(edge.visitor(PARIS).send(&Request::get("/s?a=1")).status, 200);
    }
    let asked = shop.requests();
    assert_eq!(asked.len(), 1, "two requests of one key at the edge, one at the shop: {asked:#?}");
    assert_eq!(asked[0].target, "/echo/fr?a=1", "decided by the visitor's place at the edge");
    assert_eq!(asked[0].header("edge-pass"), None);
    assert_eq!(asked[0].header_lines("cdn-loop"), ["edge-personalizer"]);
    let lines = [edge.decision(), edge.decision(), shield.decision(), shield.decision()];
    let (first, second) = (&lines[0], &lines[2]);
    assert_eq!((&first["pass"], &first["shield"], &first["route"]), (&json!(1), &json!(CODE), &json!("shared")));
    assert_eq!((&second["pass"], &second["route"], &second["lookups"]), (&json!(2), &Value::Null, &json!(0)));
    assert_eq!(first["request_id"], second["request_id"]);
    let logged: BTreeSet<_> = lines.iter().map(|line| line["cache_key"].to_string()).collect();
    let used: BTreeSet<_> = keys.lock().unwrap().iter().cloned().collect();
    assert_eq!((logged.len(), used.len()), (1, 1), "one key at both: {logged:?} {used:?}");
    // Another variant is another object; what is one visitor's goes straight to the shop.
    assert_eq!(edge.visitor(NEW_YORK).send(&Request::get("/s?a=1")).status, 200);
    assert_eq!(edge.visitor(NEW_YORK).send(&Request::get("/p")).status, 200);
    assert_eq!(shop.requests().len(), 3);
    let (third, fourth) = (edge.decision(), edge.decision());
    assert_eq!((&third["shield"], &fourth["shield"]), (&json!(CODE), &Value::Null));
    println!("4 requests at the edge, {} passes at the shield, {} at the shop", 3, shop.requests().len());
    assert!(edge.errors().is_empty() && shield.errors().is_empty(), "{:#?} {:#?}", edge.errors(), shield.errors());
}

#[test]
fn a_loop_through_a_shield_is_508() {
    let shield = Edge::with_rules(&json!({})).secret("shield", SECRET);
    let shield = shield.manifest(|manifest| *manifest.table(&["shielding_sites"]) = site(CODE, "Local")).start();
    let url = format!("http://{}", shield.address());
    // The edge's proof is one that the shield doesn't know, and its origin leads back to the service.
    let there = Table::from_iter([
        ("encrypted".to_owned(), url.clone().into()),
        ("unencrypted".to_owned(), url.clone().into()),
    ]);
    let edge = Edge::with_rules(&rules())
        .secret("shield", "another-secret-of-32-bytes-or-more")
        .backend("origin", &url)
        .manifest(|manifest| *manifest.table(&["shielding_sites"]) = site(CODE, there))
        .start();
    // What starting asked for.
    shield.origin().forget();
    assert_eq!(edge.visitor(PARIS).send(&Request::get("/none")).status, 508);
    assert_eq!((edge.error()["code"].clone(), shield.error()["code"].clone()), (json!("shield-failed"), json!("loop")));
    let asked = shield.origin().requests();
    assert!(asked.is_empty(), "{asked:#?}");
}
