//! Names on the command line → surrogate keys, by the functions that the edge makes them with.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::bail;
use edge_personalizer::context::device::DeviceClass;
use edge_personalizer::decide::arms::as_text;
use edge_personalizer::plan::split_target;
use edge_personalizer::plan::surrogate;
use edge_personalizer::plan::values::DEVICE_TYPE;
use edge_personalizer::plan::variant::Variant;
use edge_personalizer::rules::pointer::is_revision_name;
use edge_personalizer::rules::route::{CompiledAction, Route};
use edge_personalizer::rules::{RuleSet, template::Source};

use crate::check::nearest;
use crate::explain::compile;
use crate::folder::Folder;
use crate::folder::payload::PayloadOptions;
use crate::output::note;

/// The device classes that a variant can say.
const DEVICES: [DeviceClass; 5] =
    [DeviceClass::Mobile, DeviceClass::Tablet, DeviceClass::Desktop, DeviceClass::Tv, DeviceClass::Bot];
/// The network classes that a variant can say.
const NETWORKS: [&str; 3] = ["slow", "medium", "fast"];

/// What the rules know.
pub struct Names {
    rules: RuleSet,
    force: bool,
}

impl Names {
    /// Reads a folder of rules. `force` takes names that it doesn't have.
    pub fn read(folder: &Path, force: bool) -> anyhow::Result<Self> {
        match Folder::read(folder, &PayloadOptions::default()) {
            Ok(folder) => {
                folder.parsed()?;
                Ok(Self { rules: compile(&folder), force })
            }
            Err(_) if force => Ok(Self { rules: compile(&Folder::default()), force }),
            Err(error) => Err(error.context("--rules: names are looked up there (--force takes them as they are)")),
        }
    }

    /// One value of one dimension.
    pub fn variant(&self, dimension: &str, value: &str) -> anyhow::Result<Vec<String>> {
        match dimension {
            "region" => self.region(value),
            "country" => Ok(self.of_context(dimension, value)),
            "language" => {
                self.known("--variant language", value, self.rules.settings.languages.iter().map(String::as_str))?;
                Ok(self.of_context(dimension, value))
            }
            "network" => {
                self.known("--variant network", value, NETWORKS.into_iter())?;
                Ok(self.of_context(dimension, value))
            }
            "deviceType" | DEVICE_TYPE => {
                self.known("--variant device-type", value, DEVICES.iter().map(|device| device.as_str()))?;
                Ok(self.of_context(DEVICE_TYPE, value))
            }
            key => {
                let (features, experiments) = (self.feature_keys(), self.experiment_keys());
                self.known("--variant", key, features.iter().chain(&experiments).copied())?;
                let values = self.values(key);
                self.known(&format!("--variant {key}"), value, values.iter().map(String::as_str))?;
                self.warn_unless_carried(key);
                Ok(variation(key, value))
            }
        }
    }

    /// A region.
    pub fn region(&self, id: &str) -> anyhow::Result<Vec<String>> {
        self.known("--region", id, self.rules.regions.all().map(|region| region.id.as_str()))?;
        Ok(self.of_context("region", id))
    }

    /// Every value of a feature.
    pub fn feature(&self, key: &str) -> anyhow::Result<Vec<String>> {
        self.all_values("--feature", key, &self.feature_keys())
    }

    /// Every variation of an experiment, whether it stands alone or in a feature's rule: then the feature's values are in the variant.
    pub fn experiment(&self, key: &str) -> anyhow::Result<Vec<String>> {
        let alone = self.experiment_keys();
        if alone.contains(&key) {
            return self.all_values("--experiment", key, &alone);
        }
        let features = &self.rules.definitions.features;
        let runs = |feature: &&str| {
            let compiled = features.get(feature).and_then(Result::ok);
            compiled.is_some_and(|compiled| compiled.experiments().any(|experiment| experiment.key() == key))
        };
        let running: Vec<&str> = features.keys().filter(runs).collect();
        let mut keys = Vec::new();
        for feature in &running {
            keys.extend(self.feature(feature)?);
        }
        if keys.is_empty() {
            let in_rules = features.iter().flat_map(|(_, feature)| feature.experiments());
            let in_rules: Vec<&str> = in_rules.map(|experiment| experiment.key()).collect();
            self.known("--experiment", key, alone.into_iter().chain(in_rules))?;
            bail!(
                "--experiment {key}: expected an experiment of the rules, for its variations are in the keys, but found none of that name"
            );
        }
        Ok(keys)
    }

    /// A route.
    pub fn route(&self, id: &str) -> anyhow::Result<String> {
        let routes: Vec<_> = self.rules.routes.all().map(|(route, _)| route).collect();
        self.known("--route", id, routes.iter().map(|route| route.id.as_str()))?;
        if routes.iter().any(|route| route.id == id && !is_shared(route)) {
            note(&format!("route '{id}' has no 'cache': none of its answers is stored under this key"));
        }
        Ok(surrogate::route(id))
    }

    /// A revision: whether it ever served, the rules can't say.
    #[allow(clippy::unused_self)]
    pub fn revision(&self, name: &str) -> anyhow::Result<String> {
        if !is_revision_name(name) {
            bail!("--revision: expected 1 to 64 of A-Z a-z 0-9 . _ -, but found '{name}'");
        }
        Ok(surrogate::revision(name))
    }

    fn of_context(&self, dimension: &str, value: &str) -> Vec<String> {
        self.warn_unless_carried(dimension);
        let mut variant = Variant::default();
        variant.add(dimension, value);
        surrogate::variant(&variant).collect()
    }

    fn all_values(&self, option: &str, key: &str, known: &[&str]) -> anyhow::Result<Vec<String>> {
        self.known(option, key, known.iter().copied())?;
        let values = self.values(key);
        if values.is_empty() {
            bail!(
                "{option} {key}: expected a definition in the rules, for its values are in the keys, but found none that can be used"
            );
        }
        self.warn_unless_carried(key);
        Ok(values.iter().flat_map(|value| variation(key, value)).collect())
    }

    fn feature_keys(&self) -> Vec<&str> {
        self.rules.definitions.features.keys().collect()
    }

    fn experiment_keys(&self) -> Vec<&str> {
        self.rules.definitions.experiments.keys().collect()
    }

    /// What a feature or an experiment can be in a variant. `null` is no value: it is in no key.
    fn values(&self, key: &str) -> BTreeSet<String> {
        let definitions = &self.rules.definitions;
        let mut values = BTreeSet::new();
        if let Some(Ok(feature)) = definitions.features.get(key) {
            values.extend(feature.values().filter_map(as_text));
        }
        if let Some(Ok(experiment)) = definitions.experiments.get(key) {
            let variations = experiment.variations().iter().enumerate();
            values.extend(variations.filter_map(|(index, variation)| match variation.get("urlRedirect") {
                // A variation that leads to another URL is known by its path; one that stays leaves no trace.
                target if experiment.redirects() => Some(split_target(target?.as_str()?)?.1.to_owned()),
                _ => Some(experiment.variation_key(index).into_owned()),
            }));
        }
        values
    }

    fn known<'n>(&self, option: &str, name: &str, known: impl Iterator<Item = &'n str>) -> anyhow::Result<()> {
        let all: BTreeSet<&str> = known.collect();
        if self.force || all.contains(name) {
            return Ok(());
        }
        let listed = all.iter().copied().collect::<Vec<_>>().join(", ");
        let hint = match nearest(name, all) {
            Some(known) => format!(": is it '{known}'?"),
            None if listed.is_empty() => ": the rules have none".to_owned(),
            None => format!(": known are {listed}"),
        };
        bail!("{option}: expected a name that the rules have, but found '{name}'{hint} (--force takes it as it is)")
    }

    /// A purge of a key that no answer has succeeds, and does nothing.
    fn warn_unless_carried(&self, dimension: &str) {
        let carried = self.rules.routes.all().any(|(route, _)| is_shared(&route) && self.carries(&route, dimension));
        if !carried {
            note(&format!("no route with 'cache' uses {dimension}: under these rules no stored answer has this key"));
        }
    }

    /// Whether a dimension may be in the variants of a route.
    fn carries(&self, route: &Route, dimension: &str) -> bool {
        let named = |keys: &[String]| keys.iter().any(|key| key == dimension);
        // These find a page by its URL, without being named.
        let by_url = match self.rules.definitions.experiments.get(dimension) {
            Some(Ok(experiment)) => experiment.redirects() || route.runs_visual_experiments(),
            _ => false,
        };
        let fills = |source: &Source| match source {
            Source::RegionId | Source::RegionSlug => dimension == "region",
            Source::Country => dimension == "country",
            Source::Language => dimension == "language",
            Source::DeviceType => dimension == DEVICE_TYPE,
            Source::Network => dimension == "network",
            _ => false,
        };
        by_url
            || named(&route.feature_keys)
            || named(&route.experiment_keys)
            || route.templates().iter().flat_map(|template| template.sources()).any(fills)
    }
}

/// A feature's or an experiment's value, as the edge adds it to a variant.
fn variation(key: &str, value: &str) -> Vec<String> {
    let mut variant = Variant::default();
    variant.add_arm(key, value);
    surrogate::variant(&variant).collect()
}

fn is_shared(route: &Route) -> bool {
    matches!(&route.action, CompiledAction::Personalize(personalize) if personalize.cache.is_some())
}
