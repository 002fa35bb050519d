//! The rows of the bench: data, so that a new one is a line here.

use local_server::rules::Rules;
use serde_json::{Value, json};

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
    /// The most that the ratio may be (design.md, section 8).
    pub target: Option<f64>,
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
    /// Ours, switched off.
    Off,
    /// Ours, with one pass-through route.
    PassThrough,
    /// Ours, with the demo rules.
    Demo,
    /// Ours, with so many routes that rewrite.
    Routes(usize),
    /// Ours, with a rewritten path and three features of ten.
    Features,
    /// The same, with the visitor's session sent to the origin.
    Session,
    /// Ours, with a page rewritten by five selectors.
    Page,
}

const BARE: &str = "bare pass-through";
const TEN: &str = "10 routes, warm";
const TEN_COLD: &str = "10 routes, first request of a sandbox";
const BARE_PAGE: &str = "bare pass-through, 42 kB page";
const PAGE: &str = "/page/42k";
const PROMOTION: &str = "/api/products/promotions/east";
const ALL: &str = "/api/products/all";
const LAST_OF_TEN: &str = "/r/9/x";
const LAST_OF_THOUSAND: &str = "/r/999/x";

const fn row(name: &'static str, rules: RuleSet, path: &'static str, temperature: Temperature) -> Row {
    Row { name, rules, path, against: BARE, target: None, temperature }
}

impl Row {
    const fn at_most(self, target: f64, against: &'static str) -> Self {
        Self { target: Some(target), against, ..self }
    }
}

/// The table's lines, in order; a row comes after the one that it is compared with.
pub const ROWS: [Row; 14] = [
    row(BARE, RuleSet::Bare, PROMOTION, AsItComes),
    row("switched off", RuleSet::Off, PROMOTION, AsItComes),
    row("pass-through route", RuleSet::PassThrough, PROMOTION, AsItComes),
    row("demo rewrite", RuleSet::Demo, ALL, AsItComes).at_most(1.0, BARE),
    row("demo rewrite, warm", RuleSet::Demo, ALL, Warm),
    row("demo rewrite, first request of a sandbox", RuleSet::Demo, ALL, Cold),
    row(TEN, RuleSet::Routes(10), LAST_OF_TEN, Warm),
    row("1,000 routes, warm", RuleSet::Routes(1000), LAST_OF_THOUSAND, Warm).at_most(1.1, TEN),
    row(TEN_COLD, RuleSet::Routes(10), LAST_OF_TEN, Cold),
    row("1,000 routes, first request of a sandbox", RuleSet::Routes(1000), LAST_OF_THOUSAND, Cold)
        .at_most(3.0, TEN_COLD),
    row("rewrite with 3 features", RuleSet::Features, ALL, AsItComes).at_most(1.0, BARE),
    row("the same with a session read from KV", RuleSet::Session, ALL, AsItComes).at_most(1.3, BARE),
    row(BARE_PAGE, RuleSet::Bare, PAGE, AsItComes),
    row("42 kB page rewritten, 5 selectors", RuleSet::Page, PAGE, AsItComes).at_most(2.0, BARE_PAGE),
];

impl Row {
    /// Whether it is one that others are compared with and that isn't ours.
    pub fn is_bare(&self) -> bool {
        self.rules == RuleSet::Bare
    }
}

impl RuleSet {
    /// The dictionaries.
    pub fn rules(self) -> anyhow::Result<Rules> {
        let mut rules = Rules::from_folder(&project::root()?.join("rules"))?;
        match self {
            Self::Bare | Self::Demo => {}
            Self::Off => rules.set("active", &json!({ "enabled": false })),
            Self::PassThrough => {
                rules.set("routes", &json!({ "routes": [{ "id": "all", "path": "/*", "action": "passthrough" }] }));
            }
            Self::Routes(count) => rules.set("routes", &routes(count)),
            Self::Features => decided(&mut rules, &json!(null)),
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
        }
        Ok(rules)
    }
}

/// Geography, a rewritten path, three features of ten (one of them an experiment), and a session where `session` says so.
fn decided(rules: &mut Rules, session: &Value) {
    let mut features = serde_json::Map::new();
    for number in 0..10 {
        let rule = match number % 3 {
            0 => json!({ "condition": { "country": "US" }, "force": "b" }),
            1 => json!({ "force": "b", "coverage": 0.5, "hashAttribute": "id" }),
            _ => {
                json!({ "key": format!("e{number}"), "hashVersion": 2, "variations": ["a", "b"], "weights": [0.5, 0.5] })
            }
        };
        features.insert(format!("f{number}"), json!({ "defaultValue": "a", "rules": [rule] }));
    }
    rules.set("features", &json!({ "features": features }));
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

/// Short ones: a thousand of them must fit into the look-ups that one request may make.
fn routes(count: usize) -> Value {
    let route = |number| {
        json!({
            "id": format!("r{number}"),
            "path": format!("/r/{number}/*"),
            "rewrite": { "path": "/{region.slug}" },
        })
    };
    json!({ "routes": (0..count).map(route).collect::<Vec<_>>() })
}
