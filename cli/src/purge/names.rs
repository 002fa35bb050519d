//! Names on the command line → surrogate keys, by the functions that the edge makes them with.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::bail;
use edge_personalizer::attributes;
use edge_personalizer::decide::variations::as_text;
use edge_personalizer::plan::surrogate;
use edge_personalizer::plan::values::{DEVICE_TYPE, is_taken};
use edge_personalizer::plan::variant::Variant;
use edge_personalizer::rules::pointer::is_revision_name;
use edge_personalizer::rules::route::{CompiledAction, Route};
use edge_personalizer::rules::{RuleSet, template::Placeholder};
use edge_personalizer::wire::url::AbsoluteUrl;

use crate::check::nearest;
use crate::countries;
use crate::explain::compile;
use crate::folder::Folder;
use crate::folder::payload::PayloadOptions;
use crate::output::note;

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
            "country" => {
                if !self.force && !countries::is_country(value) {
                    let meant = countries::meant(value).map(|code| format!(": is it '{code}'?")).unwrap_or_default();
                    bail!(
                        "--variant country: expected two capital letters (ISO 3166-1), but found '{value}'{meant} (--force takes it as it is)"
                    );
                }
                Ok(self.of_context(dimension, value))
            }
            "language" => {
                self.known("--variant language", value, self.rules.settings.all_languages())?;
                Ok(self.of_context(dimension, value))
            }
            "network" => {
                self.known("--variant network", value, values_of("network"))?;
                Ok(self.of_context(dimension, value))
            }
            "deviceType" | DEVICE_TYPE => {
                self.known("--variant device-type", value, values_of("deviceType"))?;
                Ok(self.of_context(DEVICE_TYPE, value))
            }
            declared if self.rules.own.find(declared).is_some() => {
                let values = self.rules.own.find(declared).map_or(&[][..], |(_, own)| &own.values);
                if !values.is_empty() {
                    self.known(&format!("--variant {declared}"), value, values.iter().map(String::as_str))?;
                }
                Ok(self.of_context(declared, value))
            }
            dimension => self.variation(dimension, value),
        }
    }

    /// One value of a feature or an experiment, by its key or by the dimension that it has where another takes its key.
    fn variation(&self, dimension: &str, value: &str) -> anyhow::Result<Vec<String>> {
        let mut all = self.definitions();
        all.retain(|definition| definition.key == dimension || definition.dimension == dimension);
        if all.is_empty() {
            let every = self.definitions();
            let named = every.iter().flat_map(|definition| [definition.key, &definition.dimension]);
            self.known("--variant", dimension, named)?;
            return Ok(name(dimension, value));
        }
        let values: BTreeSet<String> = all.iter().flat_map(|definition| self.values(definition)).collect();
        self.known(&format!("--variant {dimension}"), value, values.iter().map(String::as_str))?;
        all.retain(|definition| self.force || self.values(definition).contains(value));
        self.warn_unless_carried(&all);
        Ok(all.iter().flat_map(|definition| name(&definition.dimension, value)).collect())
    }

    /// A region.
    pub fn region(&self, id: &str) -> anyhow::Result<Vec<String>> {
        self.known("--region", id, self.rules.regions.all().map(|region| region.id.as_str()))?;
        Ok(self.of_context("region", id))
    }

    /// Every value of a feature.
    pub fn feature(&self, key: &str) -> anyhow::Result<Vec<String>> {
        self.all_values("--feature", key, true)
    }

    /// Every variation of an experiment, whether it stands alone or in a feature's rule: then the feature's values are in the variant.
    pub fn experiment(&self, key: &str) -> anyhow::Result<Vec<String>> {
        let alone: Vec<&str> = self.rules.definitions.experiments.keys().collect();
        if alone.contains(&key) {
            return self.all_values("--experiment", key, false);
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
        if !self.is_carried(|route| fills(route, dimension)) {
            not_carried(dimension);
        }
        name(dimension, value)
    }

    fn all_values(&self, option: &str, key: &str, is_feature: bool) -> anyhow::Result<Vec<String>> {
        let mut all = self.definitions();
        all.retain(|definition| definition.is_feature == is_feature);
        self.known(option, key, all.iter().map(|definition| definition.key))?;
        all.retain(|definition| definition.key == key);
        let keys = all.iter().flat_map(|definition| {
            self.values(definition).into_iter().flat_map(|value| name(&definition.dimension, &value))
        });
        let keys: Vec<String> = keys.collect();
        if keys.is_empty() {
            bail!(
                "{option} {key}: expected a definition in the rules, for its values are in the keys, but found none that can be used"
            );
        }
        self.warn_unless_carried(&all);
        Ok(keys)
    }

    /// Every feature and experiment with each dimension that it may have. An experiment with the key of a feature has another on routes
    /// that show both.
    fn definitions(&self) -> Vec<Defined<'_>> {
        let definitions = &self.rules.definitions;
        let mut all = Vec::new();
        for key in definitions.features.keys() {
            let dimension = if is_taken(&self.rules, key) { format!("feature.{key}") } else { key.to_owned() };
            all.push(Defined { key, dimension, is_feature: true });
        }
        for key in definitions.experiments.keys() {
            let taken = is_taken(&self.rules, key);
            if !taken {
                all.push(Defined { key, dimension: key.to_owned(), is_feature: false });
            }
            if taken || definitions.features.get(key).is_some() {
                all.push(Defined { key, dimension: format!("experiment.{key}"), is_feature: false });
            }
        }
        all
    }

    /// What a feature or an experiment can be in a variant. `null` is no value: it is in no key.
    fn values(&self, definition: &Defined<'_>) -> BTreeSet<String> {
        let definitions = &self.rules.definitions;
        let mut values = BTreeSet::new();
        if definition.is_feature {
            if let Some(Ok(feature)) = definitions.features.get(definition.key) {
                values.extend(feature.values().filter_map(as_text));
            }
        } else if let Some(Ok(experiment)) = definitions.experiments.get(definition.key) {
            let variations = experiment.variations().iter().enumerate();
            values.extend(variations.filter_map(|(index, variation)| match variation.get("urlRedirect") {
                // A variation that leads to another URL is known by its path; one that stays leaves no trace.
                target if experiment.redirects() => {
                    Some(AbsoluteUrl::split(target?.as_str()?)?.path_and_query().0.to_owned())
                }
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
    fn warn_unless_carried(&self, definitions: &[Defined<'_>]) {
        let Some(Defined { key, .. }) = definitions.first() else { return };
        if !self.is_carried(|route| definitions.iter().any(|definition| self.carries(route, definition))) {
            not_carried(key);
        }
    }

    fn is_carried(&self, carries: impl Fn(&Route) -> bool) -> bool {
        self.rules.routes.all().any(|(route, _)| is_shared(&route) && carries(&route))
    }

    /// Whether a feature or an experiment may be in the variants of a route.
    fn carries(&self, route: &Route, definition: &Defined<'_>) -> bool {
        let named = |keys: &[String]| keys.iter().any(|key| key == definition.key);
        if definition.is_feature {
            return named(&route.feature_keys);
        }
        // These find a page by its URL, without being named.
        let by_url = match self.rules.definitions.experiments.get(definition.key) {
            Some(Ok(experiment)) => experiment.redirects() || route.runs_visual_experiments(),
            _ => false,
        };
        by_url || named(&route.experiment_keys)
    }
}

/// A feature or an experiment, and a dimension under which its values stand in variants.
struct Defined<'r> {
    key: &'r str,
    dimension: String,
    is_feature: bool,
}

fn not_carried(dimension: &str) {
    note(&format!("no route with 'cache' uses {dimension}: under these rules no stored answer has this key"));
}

/// Whether a template of the route adds the dimension.
fn fills(route: &Route, dimension: &str) -> bool {
    let fills = |placeholder: &Placeholder| match placeholder {
        Placeholder::RegionId | Placeholder::RegionSlug => dimension == "region",
        Placeholder::Country => dimension == "country",
        Placeholder::Language => dimension == "language",
        Placeholder::DeviceType => dimension == DEVICE_TYPE,
        Placeholder::Network => dimension == "network",
        Placeholder::Own(name) => dimension == name,
        _ => false,
    };
    route.templates().iter().flat_map(|template| template.placeholders()).any(fills)
}

/// The key of one value of one dimension, as the edge makes it.
fn name(dimension: &str, value: &str) -> Vec<String> {
    let mut variant = Variant::default();
    variant.add(dimension, value);
    surrogate::variant(&variant).collect()
}

/// All values of one of the service's own attributes.
fn values_of(attribute: &str) -> impl Iterator<Item = &'static str> {
    attributes::find(attribute).into_iter().flat_map(|attribute| attribute.values.iter().copied())
}

fn is_shared(route: &Route) -> bool {
    matches!(&route.action, CompiledAction::Personalize(personalize) if personalize.cache.is_some())
}
