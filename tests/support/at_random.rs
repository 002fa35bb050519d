//! Random rule sets, from a seed: what promise 1 is tried on, by host tests (`tests/caches.rs`) and through the real service
//! (`dev/e2e/tests/caches.rs`).

use serde_json::{Value, json};

/// xorshift64*: small, seeded, the same everywhere.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn of<T: Copy>(&mut self, list: &[T]) -> T {
        let index = usize::try_from(self.next() >> 33).unwrap() % list.len();
        list[index]
    }

    pub fn chance(&mut self, percent: u64) -> bool {
        (self.next() >> 33) % 100 < percent
    }
}

/// Routes `/r0/{name}` to `/r3/{name}`, each shaped by whatever it likes, and what they name.
pub fn dictionaries(random: &mut Random) -> Value {
    json!({
        "settings": { "languages": ["en", "fr", "de", "ja"] },
        "features": { "features": {
            "f": { "defaultValue": "a", "rules": [
                { "condition": { "deviceType": "mobile" }, "force": "a,b" },
                { "key": "f-test", "variations": ["a", "b\"; x=1"], "hashVersion": 2, "coverage": 0.8 } ] },
            "g": { "defaultValue": true, "rules": [{ "condition": { "region": "EU-WEST" }, "force": false }] } } },
        "experiments": { "experiments": [{ "key": "e", "variations": [0, 1, 2], "hashVersion": 2 }] },
        "routes": { "routes": (0..4).map(|index| route(index, random)).collect::<Vec<_>>() }
    })
}

fn template(random: &mut Random) -> String {
    const SOURCES: [&str; 12] = [
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
    ];
    // An identity makes a route unshared, so it is seldom asked for.
    let source = if random.chance(3) { SOURCES[11] } else { random.of(&SOURCES[..11]) };
    format!("{{{source}}}")
}

fn route(index: usize, random: &mut Random) -> Value {
    let mut route = json!({ "id": format!("r{index}"), "path": format!("/r{index}/{{name}}") });
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
    if random.chance(50) {
        let values = [template(random), format!("b{}", template(random))];
        route["request_headers"] = json!({ "set": { "X-A": values[0], "X-B": values[1] } });
    }
    if random.chance(30) {
        route["features"] = json!([random.of(&["f", "g"])]);
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
        route["cache"] = cache;
    }
    route
}
