//! How many variants a route can have: each is an object of its own in every cache that keeps the answer.

use std::collections::{BTreeMap, BTreeSet};

use edge_personalizer::attributes::{DeviceClass, NetworkClass, find};
use edge_personalizer::plan::values::DEVICE_TYPE;
use edge_personalizer::rules::Route;
use edge_personalizer::rules::route::CompiledAction;
use edge_personalizer::rules::settings::attributes::{OwnAttribute, OwnKind};
use edge_personalizer::rules::template::Placeholder;
use edge_personalizer::transform::media::Adapt;
use http::HeaderMap;
use serde::Serialize;
use serde_json::Value;

use super::Checked;

/// Countries that a visitor may be in (ISO 3166-1 has 249), and none.
const COUNTRIES: u64 = 250;

/// One route's variants.
#[derive(Debug, Clone, Serialize)]
pub struct RouteVariants {
    /// The route.
    pub route: String,
    /// Dimension → how many values it can have.
    pub factors: BTreeMap<String, u64>,
    /// Their product; `null` where a client's header or cookie, or an attribute whose values are not declared, adds any number.
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

/// What makes up the variants of a route.
struct Factors {
    factors: BTreeMap<String, u64>,
    /// Whether something has any number of values.
    is_open: bool,
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
            let Factors { mut factors, is_open } = self.factors(&route);
            let open = is_open
                || match &route.action {
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

    fn factors(&self, route: &Route) -> Factors {
        let (mut factors, mut is_open) = (BTreeMap::new(), false);
        let read = match &route.action {
            CompiledAction::Respond(answer) => answer.reads().into_iter().flatten().map(Placeholder::of_read).collect(),
            _ => Vec::new(),
        };
        let templates = route.templates();
        for placeholder in templates.iter().flat_map(|template| template.placeholders()).chain(&read) {
            let (dimension, count) = match placeholder {
                Placeholder::RegionId | Placeholder::RegionSlug => {
                    let ids: BTreeSet<&str> = self.rules.regions.all().map(|region| region.id.as_str()).collect();
                    ("region", as_count(ids.len()))
                }
                Placeholder::Country => ("country", COUNTRIES),
                Placeholder::Language => {
                    let languages: BTreeSet<&str> = self.rules.settings.all_languages().collect();
                    ("language", as_count(languages.len()).max(1))
                }
                Placeholder::DeviceType => (DEVICE_TYPE, values_of("deviceType")),
                Placeholder::Network => ("network", values_of("network")),
                Placeholder::Feature(key) => (key.as_str(), self.values_of_feature(key)),
                Placeholder::Experiment(key) => (key.as_str(), self.variations_of_experiment(key)),
                Placeholder::Own(name) => match self.rules.own.find(name) {
                    Some((_, own)) if !own.identifies => match values_of_own(own) {
                        Some(count) => (name.as_str(), count),
                        None => {
                            is_open = true;
                            continue;
                        }
                    },
                    // What is one visitor's own is no dimension.
                    _ => continue,
                },
                Placeholder::PathParameter(_)
                | Placeholder::PathRest
                | Placeholder::UserId
                | Placeholder::Session(_) => continue,
            };
            factors.insert(dimension.to_owned(), count);
        }
        for key in &route.feature_keys {
            factors.insert(key.clone(), self.values_of_feature(key));
        }
        for key in &route.experiment_keys {
            factors.insert(key.clone(), self.variations_of_experiment(key));
        }
        Factors { factors, is_open }
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

/// How many values an attribute of the service's own can have.
fn values_of(name: &str) -> u64 {
    as_count(find(name).map_or(1, |attribute| attribute.values.len()))
}

/// How many values a declared attribute can have, being absent included; `None` where the declaration doesn't say.
fn values_of_own(own: &OwnAttribute) -> Option<u64> {
    match own.kind {
        OwnKind::Truth => Some(3),
        OwnKind::Text if !own.values.is_empty() => Some(as_count(own.values.len()).saturating_add(1)),
        _ => None,
    }
}

fn as_count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
