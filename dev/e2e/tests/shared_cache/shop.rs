//! Every kind of personalized route there is, before an origin that calls everything public.

use e2e::{Behaviour, Edge};
use serde_json::{Value, json};

use super::people;

/// What differs from visitor to visitor: the kind of route, and where it is.
pub const PERSONALIZED: [(&str, &str); 18] = [
    ("a shared page, slots filled from the session", "/page"),
    ("a page that is asked for one visitor", "/account"),
    ("the same below a `*`", "/account/orders"),
    ("shared JSON, edited", "/api/list"),
    ("JSON that is asked for one visitor", "/api/me"),
    ("a document by region", "/api/region"),
    ("a document by arm", "/api/hero"),
    ("a page by arm", "/hero"),
    ("an answer of the edge's own", "/hello"),
    ("a redirect by region", "/go"),
    ("a redirect by arm", "/landing"),
    ("a page on which the origin sets a cookie", "/welcome"),
    ("a route for some visitors alone", "/sale"),
    ("passed through for some visitors", "/plain"),
    ("media by device", "/media/P0001"),
    ("by region, declared shared", "/shared/region"),
    ("by arm, declared shared", "/shared/hero"),
    ("a filled page, declared shared", "/shared/page"),
];

/// What everybody may share, or all with the same header or cookie.
pub const SHAREABLE: [(&str, &str); 4] = [
    ("declared shared, the same for all", "/static/a"),
    ("declared shared, by a header that Vary names", "/by-language"),
    ("declared shared, by a cookie that Vary names", "/by-theme"),
    ("no route", "/style.css"),
];

/// Personalized routes whose origin fails, and says that everybody may keep it.
pub const FAILING: [&str; 4] = ["/gone", "/broken", "/shared/gone", "/shared/broken"];

/// The same target as a cache or an origin may misread it.
pub fn confusing(target: &str) -> Vec<String> {
    let suffixes =
        ["/x.css", ";.css", "%3b.css", "/..%2fx.css", "%2f..", "/.%2e/x.js", "/", "?x.css", "%00.css", "%23.css"];
    let prefixes = ["/", "/static/..%2f..", "/style.css/..", "/./"];
    let after = suffixes.iter().map(|suffix| format!("{target}{suffix}"));
    after.chain(prefixes.iter().map(|prefix| format!("{prefix}{target}"))).collect()
}

fn routes() -> Value {
    let shared = json!({ "ttl": 60, "downstream": "origin" });
    json!({ "routes": [
        { "id": "page", "path": "/page", "features": ["hero"], "session": {}, "cache": { "ttl": 60 },
          "rewrite": { "path": "/careless/page/home" }, "html": html() },
        { "id": "account", "path": "/account", "session": { "header": ["cart"] }, "rewrite": { "path": "/careless/page/account" } },
        { "id": "below", "path": "/account/*", "session": { "header": ["recent_views"] },
          "rewrite": { "path": "/careless/page/account/{path.rest}" } },
        { "id": "list", "path": "/api/list", "session": {}, "cache": { "ttl": 60 }, "rewrite": { "path": "/careless/list" },
          "json": { "set": [{ "pointer": "/cart", "value": { "from": "session.cart_skus" } }] } },
        { "id": "me", "path": "/api/me", "rewrite": { "path": "/careless/me" },
          "request_headers": { "set": { "X-Tier": "{session.attributes.tier|none}" } } },
        { "id": "region", "path": "/api/region", "cache": { "ttl": 60 }, "rewrite": { "path": "/careless/{region.slug}" } },
        { "id": "arm", "path": "/api/hero", "cache": { "ttl": 60 },
          "rewrite": { "path": "/careless/hero", "set_query": { "hero": "{feature.hero}" } } },
        { "id": "hero", "path": "/hero", "features": ["hero"], "cache": { "ttl": 60 },
          "rewrite": { "path": "/careless/page/hero" }, "html": [{ "select": "#line", "inner": "{{ feature.hero }}" }] },
        { "id": "hello", "path": "/hello", "action": "respond", "respond": { "status": 200,
          "headers": { "Content-Type": "text/plain", "Cache-Control": "public, max-age=300" },
          "body": "Hello {user.id|you} in {region.id}" } },
        { "id": "go", "path": "/go", "action": "redirect", "redirect": { "location": "/{region.slug}/shop" } },
        { "id": "landing", "path": "/landing", "rewrite": { "path": "/careless/page/landing" } },
        { "id": "welcome", "path": "/welcome", "cache": { "ttl": 60 },
          "rewrite": { "path": "/set-cookie", "set_query": { "region": "{region.id}" } } },
        { "id": "sale", "path": "/sale", "when": { "region": "APAC" }, "cache": { "ttl": 60 },
          "rewrite": { "path": "/careless/sale" } },
        { "id": "plain", "path": "/plain", "when": { "deviceType": "mobile" }, "action": "passthrough" },
        { "id": "not-plain", "path": "/plain", "cache": { "ttl": 60 }, "rewrite": { "path": "/careless/not-plain/{region.slug}" } },
        { "id": "media", "path": "/media/*", "cache": shared, "rewrite": { "path": "/img/{path.rest}" },
          "adapt": { "image": { "device_widths": { "mobile": 320, "desktop": 640 } } } },
        { "id": "shared-region", "path": "/shared/region", "cache": shared, "rewrite": { "path": "/careless/{region.slug}" } },
        { "id": "shared-hero", "path": "/shared/hero", "cache": shared,
          "rewrite": { "path": "/careless/hero", "set_query": { "hero": "{feature.hero}" } } },
        { "id": "shared-page", "path": "/shared/page", "features": ["hero"], "session": {}, "cache": shared,
          "rewrite": { "path": "/careless/page/shared" }, "html": html() },
        { "id": "static", "path": "/static/*", "cache": shared, "rewrite": { "path": "/careless/static/{path.rest}" } },
        { "id": "language", "path": "/by-language", "rewrite": { "path": "/careless/by-language" },
          "cache": { "ttl": 60, "downstream": "origin", "key_headers": ["accept-language"] } },
        { "id": "theme", "path": "/by-theme", "rewrite": { "path": "/careless/by-theme" },
          "cache": { "ttl": 60, "downstream": "origin", "key_cookies": ["theme"] } },
        { "id": "failing", "path": "/{how}", "cache": { "ttl": 60 }, "when": { "path": { "$in": ["/gone", "/broken"] } },
          "rewrite": { "path": "/failing/{path.how}/{region.slug}" } },
        { "id": "shared-failing", "path": "/shared/{how}", "cache": shared, "rewrite": { "path": "/failing/{path.how}" } } ] })
}

fn html() -> Value {
    json!([
        { "select": "#line", "inner": "{{ feature.hero }} {{ region.id }}" },
        { "select": "#cart", "append": "{% for sku in session.cart_skus %}<li>{{ sku }}</li>{% endfor %}" },
        { "json": { "id": "decisions" } }
    ])
}

/// Starts the edge, with sessions for everybody whom a test may choose.
pub fn start() -> Edge {
    let rules = json!({
        "settings": { "region_override": "any", "redirects": "redirect", "languages": ["en", "fr"],
                      "consent": { "cookie": { "name": "consent", "value": "yes" } } },
        "regions": { "default": { "id": "NOWHERE", "slug": "nowhere" }, "regions": [
            { "id": "US-EAST", "slug": "east", "when": { "country": "US" } },
            { "id": "APAC", "slug": "asia", "when": { "continent": "AS" } } ] },
        "features": { "features": { "hero": { "defaultValue": "control", "rules": [{
            "key": "hero-test", "variations": ["control", "bold"], "weights": [0.5, 0.5], "hashVersion": 2,
            "meta": [{ "key": "control" }, { "key": "bold" }] }] } } },
        "experiments": { "experiments": [ { "key": "landing", "seed": "hero-test", "hashVersion": 2,
            "urlPatterns": [{ "type": "simple", "pattern": "/landing", "include": true }],
            "variations": [{}, { "urlRedirect": "http://shop.example/landing-b" }] } ] },
        "routes": routes(),
    });
    let start = people::sessions()
        .iter()
        .fold(Edge::with_rules(&rules), |edge, (key, record)| edge.kv("sessions", key, &record.to_string()));
    let edge = start.start();
    let public = |status, body: &str| Behaviour::Answer {
        status,
        headers: vec![("Cache-Control".to_owned(), "public, max-age=300".to_owned())],
        body: body.as_bytes().to_vec(),
    };
    edge.origin().on("/failing/gone*", public(404, "gone"));
    edge.origin().on("/failing/broken*", public(500, "broken"));
    for target in ["/gone", "/shared/gone"] {
        edge.origin().on(target, public(404, "gone"));
    }
    for target in ["/broken", "/shared/broken"] {
        edge.origin().on(target, public(500, "broken"));
    }
    // Who is excluded from a route gets the origin's own.
    edge.origin().on("/sale", public(200, "no sale"));
    edge.origin().on("/plain", public(200, "plain"));
    edge
}
