//! The rows of the bench: data, so that a new one is a line here.

use std::fs;

use edge_personalizer::rules::pack;
use local_server::rules::Rules;
use serde_json::{Map, Value, json};

use self::Temperature::{AsItComes, Cold, Warm};
use crate::project;

/// What one line of the table measures.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// As the table shows it.
    pub name: &'static str,
    /// Which service, with which rules.
    pub rules: RuleSet,
    /// What is asked for.
    pub path: &'static str,
    /// Whose CPU this row's is divided by.
    pub against: &'static str,
    /// The most that the ratio may be, one request at a time (design.md, section 8).
    pub target: Option<f64>,
    /// The most that it may be under load, and microseconds of the service's own code.
    pub busy_target: Option<f64>,
    pub guest_target: Option<f64>,
    /// Which requests count.
    pub temperature: Temperature,
}

/// Which requests of a sandbox count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Temperature {
    /// All, as the local server deals them out: six requests a sandbox. A bare service has one a sandbox.
    AsItComes,
    /// Only those that aren't the first of their sandbox.
    Warm,
    /// Only the first of each sandbox.
    Cold,
}

/// A service and its rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RuleSet {
    /// The bare pass-through service.
    Bare,
    /// The same, a sandbox for many requests.
    BareReused,
    /// JavaScript with the official SDKs, each request with its own sandbox.
    JavaScript,
    /// The same, a sandbox for many requests.
    JavaScriptReused,
    /// Eppo's evaluator in a bare service, a sandbox for many requests.
    Rust,
    /// Ours, switched off.
    Off,
    /// Ours, with one pass-through route.
    PassThrough,
    /// Ours, with the demo rules.
    Demo,
    /// Ours, with so many routes that rewrite, as entries of the config store.
    Routes(usize),
    /// Ours, with so many routes, each with three of so many features; a large one as one value of the KV store.
    Large(usize),
    /// Ours, with a rewritten path and three features of a hundred.
    Features,
    /// The same, with the visitor's session sent to the origin.
    Session,
    /// Ours, with a page rewritten by five selectors.
    Page,
    /// Ours, with so many products ranked anew by the visitor's affinities.
    Rerank,
}

/// The revision of the rules in the KV store.
pub const PACKED: &str = "r1";
const BARE: &str = "bare pass-through";
const TEN: &str = "10 routes, 10 features, warm";
const TEN_COLD: &str = "10 routes, 10 features, first request of a sandbox";
const BARE_FIFTY: &str = "bare pass-through, 50 products";
const BARE_MANY: &str = "bare pass-through, 500 products";
const FIFTY: &str = "/api/products?n=50";
const MANY: &str = "/api/products?n=500";
const BARE_PAGE: &str = "bare pass-through, 42 kB page";
const PAGE: &str = "/page/42k";
const PROMOTION: &str = "/api/products/promotions/east";
const ALL: &str = "/api/products/all";
const LAST_OF_TEN: &str = "/r/9/x";
const LAST_OF_THOUSAND: &str = "/r/999/x";

const fn row(name: &'static str, rules: RuleSet, path: &'static str, temperature: Temperature) -> Row {
    Row { name, rules, path, against: BARE, target: None, busy_target: None, guest_target: None, temperature }
}

impl Row {
    const fn at_most(self, target: f64, against: &'static str) -> Self {
        Self { target: Some(target), against, ..self }
    }

    const fn busy(self, target: f64, guest: Option<f64>) -> Self {
        Self { busy_target: Some(target), guest_target: guest, ..self }
    }

    const fn beside(self, against: &'static str) -> Self {
        Self { against, ..self }
    }
}

/// The table's lines, in order; a row comes after the one that it is compared with.
pub const ROWS: [Row; 32] = [
    row(BARE, RuleSet::Bare, PROMOTION, AsItComes),
    row("bare pass-through, reused sandbox", RuleSet::BareReused, PROMOTION, AsItComes),
    row("switched off", RuleSet::Off, PROMOTION, AsItComes).busy(0.95, Some(90.0)),
    row("switched off, warm", RuleSet::Off, PROMOTION, Warm).at_most(0.85, BARE),
    row("switched off, first request of a sandbox", RuleSet::Off, PROMOTION, Cold),
    row("pass-through route", RuleSet::PassThrough, PROMOTION, AsItComes),
    row("demo rewrite", RuleSet::Demo, ALL, AsItComes).busy(1.05, Some(140.0)),
    row("demo rewrite, warm", RuleSet::Demo, ALL, Warm).at_most(0.95, BARE),
    row("demo rewrite, first request of a sandbox", RuleSet::Demo, ALL, Cold),
    row("rewrite with 3 features of 100", RuleSet::Features, ALL, AsItComes).busy(1.15, Some(180.0)),
    row("rewrite with 3 features of 100, warm", RuleSet::Features, ALL, Warm).at_most(1.05, BARE),
    row("rewrite with 3 features of 100, first request of a sandbox", RuleSet::Features, ALL, Cold),
    row("the same with a session read from KV", RuleSet::Session, ALL, AsItComes).busy(1.25, Some(220.0)),
    row("the same with a session read from KV, warm", RuleSet::Session, ALL, Warm).at_most(1.15, BARE),
    row("the same with a session read from KV, first request of a sandbox", RuleSet::Session, ALL, Cold),
    row("JavaScript with the official SDKs, 3 features of 100", RuleSet::JavaScript, PROMOTION, AsItComes),
    row("JavaScript, reused sandbox, 3 features of 100", RuleSet::JavaScriptReused, PROMOTION, AsItComes),
    row("Rust with Eppo's evaluator, reused sandbox, 3 flags of 100", RuleSet::Rust, PROMOTION, AsItComes),
    row(TEN, RuleSet::Large(10), LAST_OF_TEN, Warm),
    row("1,000 routes, 1,000 features, warm", RuleSet::Large(1000), LAST_OF_THOUSAND, Warm).at_most(1.1, TEN),
    row("1,000 routes as config entries, warm", RuleSet::Routes(1000), LAST_OF_THOUSAND, Warm).at_most(1.1, TEN),
    row(TEN_COLD, RuleSet::Large(10), LAST_OF_TEN, Cold),
    row("1,000 routes, 1,000 features, first request of a sandbox", RuleSet::Large(1000), LAST_OF_THOUSAND, Cold)
        .at_most(3.0, TEN_COLD),
    row("1,000 routes as config entries, first request of a sandbox", RuleSet::Routes(1000), LAST_OF_THOUSAND, Cold)
        .at_most(3.0, TEN_COLD),
    row(BARE_PAGE, RuleSet::Bare, PAGE, AsItComes),
    row("42 kB page rewritten, 5 selectors", RuleSet::Page, PAGE, AsItComes).beside(BARE_PAGE).busy(1.45, None),
    row("42 kB page rewritten, warm", RuleSet::Page, PAGE, Warm).at_most(1.1, BARE_PAGE),
    row("42 kB page rewritten, first request of a sandbox", RuleSet::Page, PAGE, Cold).beside(BARE_PAGE),
    row(BARE_FIFTY, RuleSet::Bare, FIFTY, AsItComes),
    row("50 products of JSON ranked anew", RuleSet::Rerank, FIFTY, AsItComes).beside(BARE_FIFTY),
    row(BARE_MANY, RuleSet::Bare, MANY, AsItComes),
    row("500 products of JSON ranked anew", RuleSet::Rerank, MANY, AsItComes).beside(BARE_MANY),
];

impl Row {
    /// Whether it is a service of another make.
    pub fn is_a_peer(&self) -> bool {
        self.needs_npm() || self.rules == RuleSet::Rust
    }

    /// Whether it needs what not every machine has.
    pub fn needs_npm(&self) -> bool {
        matches!(self.rules, RuleSet::JavaScript | RuleSet::JavaScriptReused)
    }

    /// Whether it is one that others are compared with and that isn't ours.
    pub fn is_bare(&self) -> bool {
        matches!(self.rules, RuleSet::Bare | RuleSet::BareReused)
    }
}

impl RuleSet {
    /// The dictionaries.
    pub fn rules(self) -> anyhow::Result<Rules> {
        let mut rules = Rules::from_folder(&project::root()?.join("rules"))?;
        match self {
            Self::Bare | Self::BareReused | Self::Rust | Self::Demo => {}
            Self::Off => rules.set("active", &json!({ "enabled": false })),
            Self::PassThrough => {
                rules.set("routes", &json!({ "routes": [{ "id": "all", "path": "/*", "action": "passthrough" }] }));
            }
            Self::Routes(count) => rules.set("routes", &routes(count, false)),
            Self::Large(_) if self.is_packed() => {
                rules = Rules::default();
                rules.set("active", &json!({ "revision": PACKED, "store": "kv" }));
            }
            Self::Large(count) => rules = Rules::from_json(&large(count)?),
            Self::Features | Self::JavaScript | Self::JavaScriptReused => decided(&mut rules, &json!(null)),
            Self::Session => decided(&mut rules, &json!({ "header": ["recent_views", "cart"] })),
            Self::Page => {
                let operations = json!([
                    { "select": "div#hero p.promo", "inner": "{{ region.id }}" },
                    { "select": "section#recently-viewed p.empty", "inner": "{{ language }}" },
                    { "select": "section#recommendations p.empty", "inner": "{{ country }}" },
                    { "select": "title", "append": " {{ region.slug }}" },
                    { "select": "li.card", "class": { "add": ["seen"] } },
                ]);
                let route = json!({ "id": "page", "path": PAGE, "cache": {}, "html": operations });
                rules.set("routes", &json!({ "routes": [route] }));
            }
            Self::Rerank => {
                let rerank = json!({ "pointer": "/products", "key": "category", "id": "id",
                    "affinity": "session.affinity", "recent": "session.recent_views" });
                let route = json!({ "id": "list", "path": "/api/products", "cache": {}, "session": {},
                    "json": { "rerank": rerank } });
                rules.set("routes", &json!({ "routes": [route] }));
            }
        }
        Ok(rules)
    }

    /// Whether `personalizer push` would put it into the KV store: it has more than 100 kB.
    fn is_packed(self) -> bool {
        matches!(self, Self::Large(count) if count > 100)
    }

    /// The value of the KV store `rules` under [`PACKED`], where the rules are there.
    pub fn pack(self) -> anyhow::Result<Option<Vec<u8>>> {
        match self {
            Self::Large(count) if self.is_packed() => pack::write(&large(count)?).map(Some).map_err(anyhow::Error::msg),
            _ => Ok(None),
        }
    }
}

/// Geography, a rewritten path, three features of a hundred (one of them an experiment), and a session where `session` says so.
fn decided(rules: &mut Rules, session: &Value) {
    rules.set("features", &features(100));
    // Fresh for as long as the bench takes.
    rules.set("settings", &json!({ "languages": ["en"], "session": { "max_age": 86_400 } }));
    let route = json!({
        "id": "products",
        "path": ALL,
        "rewrite": { "path": "/api/products/promotions/{region.slug}", "query": "drop" },
        "features": ["f0", "f1", "f2"],
        "session": session,
        "cache": { "ttl": 60 },
    });
    rules.set("routes", &json!({ "routes": [route] }));
}

/// The demo's regions, and so many routes and features.
fn large(count: usize) -> anyhow::Result<Map<String, Value>> {
    let regions = fs::read_to_string(project::root()?.join("rules/regions.json"))?;
    let mut dictionaries = Map::new();
    dictionaries.insert("regions".to_owned(), serde_json::from_str(&regions)?);
    dictionaries.insert("routes".to_owned(), routes(count, true));
    dictionaries.insert("features".to_owned(), features(count));
    Ok(dictionaries)
}

/// By turns a condition, a rollout and an experiment.
fn features(count: usize) -> Value {
    let feature = |number: usize| {
        let rule = match number % 3 {
            0 => json!({ "condition": { "country": "US" }, "force": "b" }),
            1 => json!({ "force": "b", "coverage": 0.5, "hashAttribute": "id" }),
            _ => {
                json!({ "key": format!("e{number}"), "hashVersion": 2, "variations": ["a", "b"], "weights": [0.5, 0.5] })
            }
        };
        (format!("f{number}"), json!({ "defaultValue": "a", "rules": [rule] }))
    };
    json!({ "features": (0..count).map(feature).collect::<Map<_, _>>() })
}

/// The same as flags of Eppo's (Universal Flag Configuration).
pub fn eppo(count: usize) -> Value {
    let half = json!([{ "salt": "s", "ranges": [{ "start": 0, "end": 5_000 }] }]);
    let rest = json!([{ "salt": "s", "ranges": [{ "start": 5_000, "end": 10_000 }] }]);
    let allocation = |key: &str, rules: Value, splits: Value| json!({ "key": key, "rules": rules, "splits": splits, "doLog": false });
    let all = |arm: &str| json!([{ "variationKey": arm, "shards": [] }]);
    let flag = |number: usize| {
        let american = json!([{ "conditions": [{ "operator": "ONE_OF", "attribute": "country", "value": ["US"] }] }]);
        let allocations = match number % 3 {
            0 => json!([allocation("us", american, all("b")), allocation("rest", json!([]), all("a"))]),
            1 => json!([
                allocation("half", json!([]), json!([{ "variationKey": "b", "shards": half }])),
                allocation("rest", json!([]), all("a"))
            ]),
            _ => json!([allocation(
                "test",
                json!([]),
                json!([
                    { "variationKey": "a", "shards": half }, { "variationKey": "b", "shards": rest }
                ])
            )]),
        };
        let arms = json!({ "a": { "key": "a", "value": "a" }, "b": { "key": "b", "value": "b" } });
        let key = format!("f{number}");
        let flag = json!({ "key": key, "enabled": true, "variationType": "STRING", "variations": arms, "allocations": allocations,
            "totalShards": 10_000 });
        (key, flag)
    };
    let flags: Map<_, _> = (0..count).map(flag).collect();
    json!({ "createdAt": "2026-11-24T00:00:00Z", "format": "SERVER", "environment": { "name": "bench" }, "flags": flags })
}

/// Short ones: a thousand of them must fit into the look-ups that one request may make.
fn routes(count: usize, with_features: bool) -> Value {
    let route = |number: usize| {
        let mut route = json!({
            "id": format!("r{number}"),
            "path": format!("/r/{number}/*"),
            "rewrite": { "path": "/{region.slug}" },
        });
        if with_features && let Some(route) = route.as_object_mut() {
            let keys: Vec<_> = (number..number + 3).map(|feature| format!("f{}", feature % count)).collect();
            route.insert("features".to_owned(), json!(keys));
        }
        route
    };
    json!({ "routes": (0..count).map(route).collect::<Vec<_>>() })
}
