//! How many variants a route can have: each is an object of its own in every cache that keeps the answer.

use std::collections::{BTreeMap, BTreeSet};

use edge_personalizer::adapt::Adapt;
use edge_personalizer::context::device::DeviceClass;
use edge_personalizer::context::network::NetworkClass;
use edge_personalizer::rules::Route;
use edge_personalizer::rules::route::CompiledAction;
use edge_personalizer::rules::template::Source;
use http::HeaderMap;
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
            let mut factors = self.factors(&route);
            let open = match &route.action {
                CompiledAction::Personalize(personalize) => personalize
                    .cache
                    .as_ref()
                    .is_some_and(|cache| !cache.key_headers.is_empty() || !cache.key_cookies.is_empty()),
                _ => false,
            };
            if let Some(adapt) = &route.adapt {
                let stored = self.json("routes").and_then(|json| json.pointer(&format!("{pointer}/adapt/image")));
                let count = media(adapt, stored.unwrap_or(&Value::Null));
                if count > 1 {
                    factors.insert("media".to_owned(), count);
                }
            }
            let product = factors.values().fold(1_u64, |product, factor| product.saturating_mul(*factor));
            if product > budget && !self.is_broken("settings") {
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
                Source::Experiment(key) => (key.as_str(), self.variations_of_experiment(key)),
                Source::PathParameter(_) | Source::PathRest | Source::UserId | Source::Session(_) => continue,
            };
            factors.insert(dimension.to_owned(), count);
        }
        for key in &route.feature_keys {
            factors.insert(key.clone(), self.values_of_feature(key));
        }
        for key in &route.experiment_keys {
            factors.insert(key.clone(), self.variations_of_experiment(key));
        }
        factors
    }

    /// Distinct values that a feature can have.
    fn values_of_feature(&self, key: &str) -> u64 {
        let feature = self.rules.definitions.features.get(key).and_then(Result::ok);
        let values: BTreeSet<String> =
            feature.iter().flat_map(|feature| feature.values()).map(Value::to_string).collect();
        as_count(values.len()).max(1)
    }

    fn variations_of_experiment(&self, key: &str) -> u64 {
        let experiments = self.rules_of("experiments", "experiments");
        let found = experiments.iter().find(|experiment| experiment.get("key").and_then(Value::as_str) == Some(key));
        let variations = found.and_then(|experiment| experiment.get("variations")?.as_array()).map_or(1, Vec::len);
        // And none, for who doesn't take part: they get what the first variation gets.
        as_count(variations.max(1))
    }
}

/// How many sets of parameters `adapt` makes of all that clients can say: the edge's own function is asked with every hint that makes a
/// difference.
fn media(adapt: &Adapt, image: &Value) -> u64 {
    let list = |name: &str| image.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let widths: Vec<String> = list("widths").iter().map(Value::to_string).chain([String::new()]).collect();
    let formats: Vec<String> = list("formats")
        .iter()
        .filter_map(|format| Some(format!("image/{}", format.as_str()?)))
        .chain([String::new()])
        .collect();
    let mut sets = BTreeSet::new();
    for (width, format) in widths.iter().flat_map(|width| formats.iter().map(move |format| (width, format))) {
        let mut headers = HeaderMap::new();
        for (name, value) in [("sec-ch-width", width), ("accept", format)] {
            if let Ok(value) = value.parse() {
                headers.insert(name, value);
            }
        }
        for device in
            [DeviceClass::Mobile, DeviceClass::Tablet, DeviceClass::Desktop, DeviceClass::Tv, DeviceClass::Bot]
        {
            for network in [NetworkClass::Slow, NetworkClass::Medium, NetworkClass::Fast] {
                let parameters = adapt.parameters(&headers, device, network);
                sets.insert(parameters.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<Vec<_>>());
            }
        }
    }
    as_count(sets.len())
}

fn as_count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
