//! Promise 15 on the real service: the heap and the vCPU of the worst requests that rules, origins and clients can make. A figure that the
//! platform doesn't tell is a failure, no pass.
#![allow(clippy::indexing_slicing, reason = "what is missing in a JSON value is null, and a surprise ends the test")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may stop at a surprise")]

use e2e::visitors::NEW_YORK;
use e2e::{Behaviour, Edge, Request, now};
use serde_json::{Value, json};

/// Fastly ends a request at either ("Compute resource limits").
const HEAP_MIB: u64 = 128;
const VCPU_MS: u64 = 50;
/// Each request is made so often. The local server counts the time that passes, so the least is nearest to what the work takes. It is shown:
/// how much that is depends on how busy this machine is.
const TIMES: usize = 8;
const VISITOR: &str = "00000000000000000000000000000abc";

/// A session as large as one may be.
fn session() -> Value {
    let names: Vec<String> = (0..256).map(|index| format!("{index:0>64}")).collect();
    let cart: Vec<Value> = names.iter().map(|sku| json!({ "sku": sku, "quantity": 9 })).collect();
    let attributes: Vec<(String, Value)> =
        names.iter().take(64).map(|name| (name.clone(), "x".repeat(1_000).into())).collect();
    json!({ "v": 1, "updated_at": now().as_millis(), "recent_views": names, "cart": cart, "segments": names,
        "attributes": attributes.into_iter().collect::<serde_json::Map<_, _>>() })
}

fn rules() -> Value {
    let mut routes: Vec<Value> = (0..60)
        .map(|index| {
            let when = json!({ "url": { "$regex": "(.{0,20}){0,20}z" }, "host": { "$ne": format!("{index}.example") } });
            json!({ "id": format!("pattern-{index}"), "path": "/patterns/*", "when": when, "rewrite": { "path": "/plain" } })
        })
        .collect();
    routes.extend([
        json!({ "id": "page", "path": "/page/*", "features": ["hero"], "session": {}, "rewrite": { "path": "/large" }, "cache": { "ttl": 60 }, "html": [
            { "select": "p", "append": "{{ feature.hero }}" }, { "select": "li", "class": { "add": ["seen"] } },
            { "select": "a[href]", "attribute": { "set": { "title": "{{ region.id }}" } } },
            { "mark": { "attribute": "data-sku", "in": "session.cart_skus", "class": "in-cart" } },
            { "select": "ul", "append": "{% for sku in session.cart_skus %}<li>{{ sku }}</li>{% endfor %}" }, { "json": {} } ] }),
        json!({ "id": "list", "path": "/list", "session": {}, "rewrite": { "path": "/long" },
          "json": { "set": [{ "pointer": "/cart", "value": { "from": "session.cart_skus" } }] } }),
        json!({ "id": "lists", "path": "/lists/*", "rewrite": { "path": "/plain", "set_query": { "rest": "{path.rest}" } },
          "session": { "query": { "recent": "recent_views", "cart": "cart" }, "header": ["recent_views", "cart"] } }),
    ]);
    json!({
        "settings": { "limits": { "vcpu_ms": 30 }, "session": { "which": "merged", "max_bytes": 1_000_000 } },
        "features": { "features": { "hero": { "defaultValue": "a", "rules": [{ "key": "t", "variations": ["a", "b"], "hashVersion": 2 }] } } },
        "routes": { "routes": routes } })
}

fn edge() -> Edge {
    let edge = Edge::with_rules(&rules()).kv("sessions", &format!("visitor/{VISITOR}"), &session().to_string()).start();
    let item =
        |index: usize| format!("<li data-sku=\"{index:0>64}\"><p>text</p><a href=\"/p/{index}\">more</a></li>\n");
    let page =
        format!("<!doctype html><html><body><ul>{}</ul></body></html>", (0..9_000).map(item).collect::<String>());
    let list = json!({ "cart": [], "products": (0..2_000).map(|sku| json!({ "sku": sku, "name": "a product's name" })).collect::<Vec<_>>() });
    let answer = |kind: &str, body: String| Behaviour::Answer {
        status: 200,
        headers: vec![("Content-Type".into(), kind.into()), ("Cache-Control".into(), "max-age=60".into())],
        body: body.into_bytes(),
    };
    assert!(page.len() > 1_000_000 && list.to_string().len() < 256 * 1024);
    // A later one wins.
    edge.origin().on("*", answer("text/plain", "ok".to_owned()));
    edge.origin().on("/large", answer("text/html", page));
    edge.origin().on("/long", answer("application/json", list.to_string()));
    edge
}

#[test]
fn the_worst_requests_stay_within_the_heap_and_their_vcpu_is_known() {
    let edge = edge();
    let slashes = "/".repeat(7_900);
    let requests = [
        ("8,000 slashes", format!("{slashes}a")),
        ("a page of 1 MB", "/page/a".to_owned()),
        ("the same below 7,900 slashes", format!("/page/{}", &slashes[..7_000])),
        ("JSON of 100 kB", "/list".to_owned()),
        ("lists that fill the URL", format!("/lists/{}", "p".repeat(6_000))),
        ("60 patterns, dear, a short URL", "/patterns/a".to_owned()),
        ("60 patterns, dear, a URL of 450 bytes", format!("/patterns/{}", "a".repeat(400))),
        ("60 patterns, dear, a URL of 7 kB", format!("/patterns/{}", "a".repeat(7_000))),
        ("a query of 7,100 bytes", format!("/lists/x?{}", "a=%C3%A9&".repeat(790))),
    ];
    println!("{:<34} {:>8} {:>10}", "request", "vCPU, ms", "heap, MiB");
    let mut beyond = Vec::new();
    for (what, target) in requests {
        let (mut vcpu, mut heap) = (Vec::new(), Vec::new());
        for _ in 0..TIMES {
            let request =
                Request::get(&target).header("Cookie", format!("ep_vid={VISITOR}; big={}", "c".repeat(6_000)));
            let request =
                request.header("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0");
            let answer = edge.visitor(NEW_YORK).send(&request);
            assert_eq!(answer.status, 200, "{what}: {answer:#?}");
            let line = edge.decision();
            vcpu.push(line["vcpu_ms"].as_u64().expect("the platform says what vCPU a request took"));
            heap.push(line["heap_mib"].as_u64().expect("the platform says what heap a sandbox uses"));
        }
        let (vcpu, heap) = (vcpu.into_iter().min().unwrap(), heap.into_iter().max().unwrap());
        println!("{what:<34} {vcpu:>8} {heap:>10}");
        if heap > HEAP_MIB {
            beyond.push(what);
        }
    }
    println!("{:<34} {VCPU_MS:>8} {HEAP_MIB:>10}", "limit");
    assert!(beyond.is_empty(), "{beyond:?}");
}
