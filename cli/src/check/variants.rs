//! How many variants a route can have: each is an object of its own in every cache that keeps the answer.

use std::collections::{BTreeMap, BTreeSet};

use edge_personalizer::rules::Route;
use edge_personalizer::rules::route::CompiledAction;
use edge_personalizer::rules::template::Source;
use serde::Serialize;
use serde_json::Value;

use super::Checked;

/// Countries that a visitor may be in (ISO 3166-1 has 249), and none.
const COUNTRIES: u64 = 250;
/// mobile, tablet, desktop, tv, bot.
const DEVICES: u64 = 5;
/// slow, medium, fast.
const NETWORKS: u64 = 3;

/// One route's variants.
#[derive(Debug, Clone, Serialize)]
pub struct RouteVariants {
    /// The route.
    pub route: String,
    /// Dimension → how many values it can have.
    pub factors: BTreeMap<String, u64>,
    /// Their product; `null` where a client's header or cookie adds any number.
    pub count: Option<u64>,
}

impl RouteVariants {
    /// The count, for people.
    pub fn count_text(&self) -> String {
        self.count.map_or_else(|| "any".to_owned(), |count| count.to_string())
    }

    /// `4 region × 2 hero`.
    pub fn factors_text(&self) -> String {
        let factors = self.factors.iter();
        factors.map(|(dimension, count)| format!("{count} {dimension}")).collect::<Vec<_>>().join(" × ")
    }
}

impl Checked<'_> {
    /// Counts, and warns above the budget of `settings.limits.max_variants`.
    pub(super) fn variants(&mut self) -> Vec<RouteVariants> {
        let budget = self.rules.settings.limits.max_variants;
        let mut all = Vec::new();
        for (route, pointer) in self.routes() {
            if matches!(route.action, CompiledAction::Passthrough) {
                continue;
            }
            let factors = self.factors(&route);
            let open = match &route.action {
                CompiledAction::Personalize(personalize) => personalize
                    .cache
                    .as_ref()
                    .is_some_and(|cache| !cache.key_headers.is_empty() || !cache.key_cookies.is_empty()),
                _ => false,
            };
            let product = factors.values().fold(1_u64, |product, factor| product.saturating_mul(*factor));
            if product > budget {
                let message = format!(
                    "expected at most {budget} variants (settings: limits.max_variants), but found {product}: {}",
                    RouteVariants { route: String::new(), factors: factors.clone(), count: None }.factors_text()
                );
                self.warn("routes", pointer, message);
            }
            all.push(RouteVariants { route: route.id.clone(), factors, count: (!open).then_some(product) });
        }
        all
    }

    fn factors(&self, route: &Route) -> BTreeMap<String, u64> {
        let mut factors = BTreeMap::new();
        for source in route.templates().iter().flat_map(|template| template.sources()) {
            let (dimension, count) = match source {
                Source::RegionId | Source::RegionSlug => {
                    let ids: BTreeSet<&str> = self.rules.regions.all().map(|region| region.id.as_str()).collect();
                    ("region", as_count(ids.len()))
                }
                Source::Country => ("country", COUNTRIES),
                Source::Language => ("language", as_count(self.rules.settings.languages.len()).max(1)),
                Source::DeviceType => ("device-type", DEVICES),
                Source::Network => ("network", NETWORKS),
                Source::Feature(key) => (key.as_str(), self.values_of_feature(key)),
                Source::Experiment(key) => (key.as_str(), self.arms_of_experiment(key)),
                Source::PathParameter(_) | Source::PathRest | Source::UserId | Source::Session(_) => continue,
            };
            factors.insert(dimension.to_owned(), count);
        }
        for key in &route.feature_keys {
            factors.insert(key.clone(), self.values_of_feature(key));
        }
        for key in &route.experiment_keys {
            factors.insert(key.clone(), self.arms_of_experiment(key));
        }
        factors
    }

    /// Distinct values that a feature can have.
    fn values_of_feature(&self, key: &str) -> u64 {
        let feature = self.json("features").and_then(|json| json.get("features")?.get(key));
        let Some(feature) = feature else { return 1 };
        let mut values = BTreeSet::from([feature.get("defaultValue").unwrap_or(&Value::Null).to_string()]);
        for rule in feature.get("rules").and_then(Value::as_array).into_iter().flatten() {
            match rule.get("force") {
                Some(value) => {
                    values.insert(value.to_string());
                }
                None => values.extend(
                    rule.get("variations").and_then(Value::as_array).into_iter().flatten().map(Value::to_string),
                ),
            }
        }
        as_count(values.len())
    }

    fn arms_of_experiment(&self, key: &str) -> u64 {
        let experiments = self.rules_of("experiments", "experiments");
        let found = experiments.iter().find(|experiment| experiment.get("key").and_then(Value::as_str) == Some(key));
        let arms = found.and_then(|experiment| experiment.get("variations")?.as_array()).map_or(1, Vec::len);
        // And none, for who doesn't take part: they get what the first arm gets.
        as_count(arms.max(1))
    }
}

fn as_count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
