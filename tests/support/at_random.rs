//! Random rule sets, from a seed: what promise 1 is tried on, by host tests (`tests/caches.rs`) and through the real service
//! (`cargo xtask leak`).

use serde_json::{Value, json};

/// xorshift64*: small, seeded, the same everywhere.
pub struct Random(pub u64);

impl Random {
    /// 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// One of a list.
    pub fn of<T: Copy>(&mut self, list: &[T]) -> T {
        let index = usize::try_from(self.bits() >> 33).unwrap() % list.len();
        list[index]
    }

    /// `true` so many times of a hundred.
    pub fn chance(&mut self, percent: u64) -> bool {
        (self.bits() >> 33) % 100 < percent
    }
}

/// Routes `/r0/{name}` to `/r3/{name}`, each shaped by whatever it likes, and what they name: features, experiments, URL experiments,
/// regions, sessions, adapted images, edited pages and JSON, redirects, answers made here, fallbacks.
///
/// A route says in `X-Kind` what it wants of the origin: `html`, `json`, or nothing.
pub fn dictionaries(random: &mut Random) -> Value {
    json!({
        "settings": { "languages": ["en", "fr", "de", "ja"], "redirects": random.of(&["rewrite", "redirect"]),
            "session": { "which": random.of(&["user", "visitor", "merged"]) } },
        "regions": { "default": { "id": "WORLD", "slug": "world" }, "regions": [
            { "id": "EU", "slug": "europe", "when": { "continent": "EU" } },
            { "id": "US", "slug": "states", "when": { "country": "US" } } ] },
        "features": { "features": {
            "f": { "defaultValue": "a", "rules": [
                { "condition": { "deviceType": "mobile" }, "force": "a,b" },
                { "key": "f-test", "variations": ["a", "b\"; x=1"], "hashVersion": 2, "coverage": 0.8 } ] },
            "g": { "defaultValue": true, "rules": [{ "condition": { "region": "EU" }, "force": false }] } } },
        "experiments": { "experiments": [
            { "key": "e", "variations": [0, 1, 2], "hashVersion": 2 },
            { "key": "u", "hashVersion": 2, "urlPatterns": [{ "type": "simple", "pattern": random.of(&["/r2/*", "/r3/b", "/none"]), "include": true }],
              "variations": [{}, { "urlRedirect": "http://shop.example/moved/b?to=b" }] },
            { "key": "v", "hashVersion": 2, "urlPatterns": [{ "type": "simple", "pattern": random.of(&["/r0/*", "/r1/*"]), "include": true }],
              "variations": [{}, { "domMutations": [{ "selector": "#line", "action": "append", "attribute": "html", "value": "<i>v</i>" }] }] } ] },
        "routes": { "routes": (0..4).map(|index| route(index, random)).collect::<Vec<_>>() }
    })
}

fn template(random: &mut Random) -> String {
    const SOURCES: [&str; 13] = [
        "region.slug",
        "region.id",
        "country|xx",
        "language|en",
        "path.name",
        "path.name|x",
        "deviceType|any",
        "network",
        "feature.f",
        "feature.g",
        "experiment.e|0",
        "user.id|nobody",
        "session.attributes.tier|none",
    ];
    // An identity makes a route unshared, so it is seldom asked for.
    let source = if random.chance(4) { random.of(&SOURCES[11..]) } else { random.of(&SOURCES[..11]) };
    format!("{{{source}}}")
}

/// What chooses among visitors, seldom.
fn when(random: &mut Random) -> Value {
    match random.bits() % 4 {
        0 => json!({ "region": "EU" }),
        1 => json!({ "deviceType": "mobile" }),
        2 => json!({ "loggedIn": true }),
        _ => json!({ "session.attributes.plan": "gold" }),
    }
}

fn route(index: usize, random: &mut Random) -> Value {
    let mut route = json!({ "id": format!("r{index}"), "path": format!("/r{index}/{{name}}") });
    if random.chance(12) {
        route["when"] = when(random);
    }
    match random.bits() % 100 {
        0..3 => {
            route["action"] = "respond".into();
            let headers = json!({ "Content-Type": "text/plain", "Cache-Control": "public, max-age=300" });
            route["respond"] =
                json!({ "body": format!("{} and {}", template(random), template(random)), "headers": headers });
            return route;
        }
        3..6 => {
            route["action"] = "redirect".into();
            route["redirect"] = json!({ "location": format!("/to/{}/{}", template(random), template(random)) });
            return route;
        }
        // The same for everybody, and shared with caches below.
        6..20 => {
            route["rewrite"] = json!({ "path": "/same/{path.name}" });
            route["cache"] = match random.bits() % 3 {
                0 => json!({ "ttl": 60, "downstream": "origin", "key_headers": ["X-Client"] }),
                1 => json!({ "ttl": 60, "downstream": "origin", "key_cookies": ["theme"] }),
                _ => json!({ "ttl": 60, "downstream": "origin" }),
            };
        }
        _ => personalized(&mut route, random),
    }
    route
}

fn personalized(route: &mut Value, random: &mut Random) {
    let mut rewrite = json!({ "query": random.of(&["keep", "drop"]) });
    if random.chance(70) {
        rewrite["path"] = format!("/x{}/{}", random.of(&["", "a", "-"]), template(random)).into();
    }
    if random.chance(50) {
        rewrite["set_query"] = json!({ "a": template(random), "b": template(random) });
    }
    if random.chance(50) {
        rewrite["remove_query"] = json!(["utm_*"]);
    }
    route["rewrite"] = rewrite;
    let mut headers = json!({});
    if random.chance(50) {
        headers = json!({ "X-A": template(random), "X-B": format!("b{}", template(random)) });
    }
    match random.bits() % 10 {
        0..3 => {
            headers["X-Kind"] = "html".into();
            route["html"] = html(random);
        }
        3..5 => {
            headers["X-Kind"] = "json".into();
            let value = random.of(&["session.cart_skus", "session.attributes.tier", "feature.f", "region.id"]);
            route["json"] = json!({ "set": [{ "pointer": "/line", "value": { "from": value, "default": "-" } }] });
        }
        _ => {}
    }
    route["request_headers"] = json!({ "set": headers });
    if random.chance(30) {
        route["features"] = json!([random.of(&["f", "g"])]);
    }
    if random.chance(15) {
        route["session"] = match random.bits() % 3 {
            0 => json!({}),
            1 => json!({ "header": ["cart"] }),
            _ => json!({ "query": { "recent": "recent_views" } }),
        };
    }
    if random.chance(20) {
        route["adapt"] =
            json!({ "image": { "widths": [320, 1280], "quality": { "slow": 40, "fast": 80 }, "formats": ["webp"] } });
    }
    if random.chance(80) {
        let mut cache = json!({ "ttl": 60 });
        if random.chance(50) {
            cache["key_headers"] = json!(["X-Client", "Accept-Language"]);
        }
        if random.chance(50) {
            cache["key_cookies"] = json!(["currency", "theme"]);
        }
        if random.chance(30) {
            cache["downstream"] = "origin".into();
        }
        route["cache"] = cache;
    }
    if random.chance(20) {
        route["fallback"] = json!({ "path": "/plain" });
    }
}

/// Operations on a page: some show what everybody of a variant gets, some what is one visitor's own.
fn html(random: &mut Random) -> Value {
    let mut operations =
        vec![json!({ "select": "#line", "inner": "{{ region.id }} {{ feature.f }} {{ experiment.e }}" })];
    if random.chance(40) {
        operations.push(
            json!({ "select": "#cart", "append": "{% for sku in session.cart_skus %}<li>{{ sku }}</li>{% endfor %}" }),
        );
    }
    if random.chance(20) {
        operations.push(
            json!({ "select": "#line", "append": "{{ session.attributes.tier }}", "when": { "loggedIn": true } }),
        );
    }
    if random.chance(40) {
        operations.push(json!({ "json": { "id": "decisions" } }));
    }
    operations.into()
}
