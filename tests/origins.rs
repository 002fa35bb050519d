//! What an origin is told of where a request came from, and by which host it is asked.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at a surprise")]

mod support;

use edge_personalizer::platform::memory::{Asked, Memory};
use edge_personalizer::platform::{Caching, ClientRequest, Endpoint};
use edge_personalizer::service::{Sandbox, handle};
use http::{HeaderMap, Method};
use serde_json::json;
use support::{NEW_YORK, PARIS, echo, header, shop, visit};

/// What is told of a request's way.
const TOLD: [&str; 4] = ["x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "forwarded"];

fn site() -> Memory {
    let host = shop(echo);
    host.set("settings", &json!({}));
    host.set(
        "routes",
        &json!({ "routes": [
            { "id": "shared", "path": "/shared", "rewrite": { "path": "/s/{region.slug}" }, "cache": { "ttl": 60 } },
            { "id": "private", "path": "/private", "request_headers": { "set": { "X-C": "{country|none}" } } },
            { "id": "through", "path": "/through", "action": "passthrough" } ] }),
    );
    host
}

fn told(asked: &Asked) -> Vec<String> {
    let line = |name: &&str| Some(format!("{name}: {}", asked.headers.get(*name)?.to_str().unwrap()));
    TOLD.iter().filter_map(line).collect()
}

#[test]
fn every_origin_learns_scheme_host_and_address_from_the_edge_alone() {
    let own = [
        "x-forwarded-for: 192.0.2.1",
        "x-forwarded-host: shop.example",
        "x-forwarded-proto: https",
        "forwarded: for=192.0.2.1;host=shop.example;proto=https",
    ];
    let shared =
        ["x-forwarded-host: shop.example", "x-forwarded-proto: https", "forwarded: host=shop.example;proto=https"];
    let mut tried = 0;
    for target in ["/private", "/through", "/none", "/shared", "off", "unusable"] {
        let host = site();
        match target {
            "off" => host.set("active", &json!({ "enabled": false })),
            "unusable" => host.config_fails.set(Some(edge_personalizer::platform::StoreError::Failed)),
            _ => {}
        }
        let expected: &[&str] = if target == "/shared" { &shared } else { &own };
        let path = if target.starts_with('/') { target } else { "/private" };
        visit(PARIS, path).send(&host);
        assert_eq!(told(&host.asked.take()[0]), expected, "{target}");
        for name in TOLD {
            for spelling in [name.to_owned(), name.to_ascii_uppercase(), name.replace('-', "_"), name.replace('-', ".")]
            {
                for value in ["198.51.100.9", "evil.example", "for=198.51.100.9;host=evil.example;proto=http", ""] {
                    let forged = visit(PARIS, path).with(&spelling, value);
                    for forged in
                        [forged, visit(PARIS, path).with(&spelling, value).with(name, "http").with("Connection", name)]
                    {
                        forged.send(&host);
                        tried += 1;
                        let asked = host.asked.take();
                        assert_eq!(told(&asked[0]), expected, "{spelling}: {value} on {target}");
                        let sent = format!("{:?}", asked[0].headers);
                        assert!(!sent.contains("198.51.100.9") && !sent.contains("evil"), "{sent}");
                        assert_eq!(asked[0].headers.get_all("forwarded").iter().count(), 1);
                    }
                }
            }
        }
    }
    println!("{tried} forgeries of where a request came from, accepted 0");
}

#[test]
fn a_shared_request_is_the_same_for_visitors_from_everywhere() {
    let host = site();
    host.set("regions", &json!({}));
    for address in [PARIS, NEW_YORK] {
        visit(address, "/shared").send(&host);
    }
    let asked = host.asked.take();
    assert_eq!(asked[0].caching, asked[1].caching);
    assert_eq!(told(&asked[0]), told(&asked[1]));
    assert!(!format!("{:?}", asked[0].headers).contains("192.0.2."));
}

/// A GET on another of the site's hosts.
fn visit_host(host: &Memory, authority: &str, path: &str) {
    let request = ClientRequest {
        method: Method::GET,
        scheme: "https".to_owned(),
        authority: authority.to_owned(),
        path: path.to_owned(),
        query: Some("a=1".to_owned()),
        headers: HeaderMap::new(),
        address: Some(PARIS),
        body: Vec::new().into(),
    };
    handle(host, &mut Sandbox::default(), request);
}

#[test]
fn a_backend_is_asked_by_the_host_that_it_wants() {
    let host = site();
    host.set("settings", &json!({ "backends": { "origin": { "host": "origin.internal:8443" } } }));
    let mut keys = std::collections::HashSet::new();
    for path in ["/shared", "/private", "/through", "/none"] {
        for authority in ["shop.example", "shop.example.fr", "shop.example:444"] {
            visit_host(&host, authority, path);
            let asked = host.asked.take().remove(0);
            assert!(asked.url.starts_with("https://origin.internal:8443/"), "{}", asked.url);
            assert!(asked.url.ends_with("?a=1"), "{}", asked.url);
            assert_eq!(asked.headers["x-forwarded-host"], authority);
            // One host to the backend, but two of the site's: their pages may differ, so no cache may mix them.
            match asked.caching {
                Caching::Keyed { key, .. } | Caching::Origin { key: Some(key) } => assert!(keys.insert(key), "{path}"),
                Caching::Pass => assert_eq!(path, "/private"),
                Caching::Origin { key: None } => panic!("{authority}{path} would share the platform's key"),
            }
        }
    }
    // Another host at the backend is another request.
    visit_host(&host, "shop.example", "/shared");
    let before = host.asked.take().remove(0).caching;
    host.set("settings", &json!({ "backends": { "origin": { "host": "other.internal" } } }));
    visit_host(&host, "shop.example", "/shared");
    assert_ne!(host.asked.take().remove(0).caching, before);
}

#[test]
fn the_origins_own_page_keeps_its_version_behind_another_host() {
    let host = shop(|_| {
        let headers = HeaderMap::from_iter([(http::header::ETAG, "\"v1\"".parse().unwrap())]);
        Ok((http::StatusCode::OK, headers, b"page".to_vec()))
    });
    host.set("settings", &json!({ "backends": { "origin": { "host": "origin.internal" } } }));
    host.set("routes", &json!({ "routes": [{ "id": "a", "path": "/a" }] }));
    let answer = visit(PARIS, "/a").send(&host);
    assert_eq!(header(&answer, "etag"), Some("\"v1\""));
}

#[test]
fn a_host_that_is_none_is_named_and_the_page_is_served() {
    let host = site();
    host.set("settings", &json!({ "backends": { "origin": { "host": "https://origin.internal" } } }));
    let answer = visit(PARIS, "/through").send(&host);
    assert_eq!(answer.status, 200);
    assert_eq!(host.asked.borrow()[0].url, "https://shop.example/through");
    let named = &host.lines_of(Endpoint::Errors)[0];
    assert_eq!((&named["code"], &named["fault"]["pointer"]), (&json!("rule-fault"), &json!("/backends/origin/host")));
}
