//! Definitions as they are stored: the shapes of GrowthBook's SDK payload, field by field, unknown fields ignored.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value as Json;

use super::Fractions;

/// A feature.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, rename_all = "camelCase")]
pub struct Feature {
    /// What it is worth when no rule applies; absent: `null`.
    pub default_value: Json,
    /// Not of the specification: `false` is the kill switch. No rule applies then, whatever they say.
    pub enabled: Option<bool>,
    /// Tried in order.
    pub rules: Option<Vec<Rule>>,
}

/// A rule of a feature (forces a value, or runs an experiment), or an experiment of its own: the format has one set of fields for both.
///
/// Flat, since a fault then has an exact place.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, rename_all = "camelCase")]
pub struct Rule {
    /// Reported with the value.
    pub id: Option<String>,
    /// Not of the specification: when the rule holds.
    pub schedule: Option<Schedule>,
    /// Other features that must have a value first.
    pub parent_conditions: Option<Vec<ParentCondition>>,
    /// In a rule, the value to force; in an experiment, the index of the variation that all who are included get. `null` is a value, so that absence needs
    /// a level of its own.
    #[serde(deserialize_with = "present")]
    pub force: Option<Json>,
    /// For `force`: the share of buckets.
    pub range: Option<Fractions>,
    /// Exposures of an experiment that was decided elsewhere.
    pub tracks: Option<Vec<Track>>,
    /// The contextual bandit that sets the weights.
    pub contextual_bandit_ref: Option<String>,
    /// The variations of a contextual bandit, under a name that older SDKs skip.
    pub contextual_variations: Option<Vec<Json>>,
    /// In an experiment: on which pages it runs.
    pub url_patterns: Option<Vec<UrlTarget>>,
    /// In an experiment: `false` stops it.
    pub active: Option<bool>,
    /// In an experiment, the older form: `draft`, `running`, `stopped`.
    pub status: Option<String>,
    /// In an experiment that redirects: the request's query is added to the target's.
    pub persist_query_string: Option<bool>,
    /// Names the experiment in exposures; in a rule it defaults to the feature's key.
    pub key: Option<String>,
    /// The variations' values; the first is control.
    pub variations: Option<Vec<Json>>,
    /// A share for each variation.
    pub weights: Option<Vec<f64>>,
    /// The share of visitors who take part.
    pub coverage: Option<f64>,
    /// Ranges of buckets, instead of weights and coverage.
    pub ranges: Option<Vec<Fractions>>,
    /// More of each variation.
    pub meta: Option<Vec<VariationMeta>>,
    /// Who is included, by hash.
    pub filters: Option<Vec<Filter>>,
    /// The older form of a filter: name, from, to.
    pub namespace: Option<(String, f64, f64)>,
    /// Which attribute is hashed; `id` by default.
    pub hash_attribute: Option<String>,
    /// Which attribute is hashed where that one is empty; with sticky buckets only.
    pub fallback_attribute: Option<String>,
    /// 1 or 2.
    pub hash_version: Option<u32>,
    /// Hashed with the visitor; defaults to the key.
    pub seed: Option<String>,
    /// Assign anew at every visit.
    pub disable_sticky_bucketing: Option<bool>,
    /// A new number forgets sticky buckets.
    pub bucket_version: Option<u32>,
    /// Visitors with a sticky bucket of an older number are excluded.
    pub min_bucket_version: Option<u32>,
    /// For people.
    pub name: Option<String>,
    /// For analysis.
    pub phase: Option<String>,
    /// Who takes part.
    pub condition: Option<Json>,
}

/// What rules and experiments of their own have in common: the experiment, as it is reported with a result.
#[derive(Debug, Default, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Experiment {
    /// Names the experiment in exposures; in a rule it defaults to the feature's key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The variations' values; the first is control.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variations: Option<Vec<Json>>,
    /// A share for each variation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weights: Option<Vec<f64>>,
    /// The share of visitors who take part.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coverage: Option<f64>,
    /// Ranges of buckets, instead of weights and coverage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ranges: Option<Vec<Fractions>>,
    /// More of each variation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meta: Option<Vec<VariationMeta>>,
    /// Who is included, by hash.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filters: Option<Vec<Filter>>,
    /// The older form of a filter: name, from, to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<(String, f64, f64)>,
    /// Which attribute is hashed; `id` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash_attribute: Option<String>,
    /// Which attribute is hashed where that one is empty; with sticky buckets only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback_attribute: Option<String>,
    /// 1 or 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash_version: Option<u32>,
    /// Hashed with the visitor; defaults to the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<String>,
    /// Assign anew at every visit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disable_sticky_bucketing: Option<bool>,
    /// A new number forgets sticky buckets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bucket_version: Option<u32>,
    /// Visitors with a sticky bucket of an older number are excluded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_bucket_version: Option<u32>,
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// For analysis.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// Who takes part.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub condition: Option<Json>,
}

impl Rule {
    /// The experiment of the rule, as it is reported: a bandit's variations stand in place of the others.
    #[must_use]
    pub fn into_experiment(self) -> Experiment {
        Experiment {
            variations: self.contextual_variations.or(self.variations),
            key: self.key,
            weights: self.weights,
            coverage: self.coverage,
            ranges: self.ranges,
            meta: self.meta,
            filters: self.filters,
            namespace: self.namespace,
            hash_attribute: self.hash_attribute,
            fallback_attribute: self.fallback_attribute,
            hash_version: self.hash_version,
            seed: self.seed,
            disable_sticky_bucketing: self.disable_sticky_bucketing,
            bucket_version: self.bucket_version,
            min_bucket_version: self.min_bucket_version,
            name: self.name,
            phase: self.phase,
            condition: self.condition,
        }
    }
}

/// When a rule or a route holds: RFC 3339 times, either may be absent; `until` is not included.
#[derive(Debug, Default, Clone, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Schedule {
    /// The first moment.
    pub from: Option<String>,
    /// The first moment after.
    pub until: Option<String>,
}

/// A feature that must have a value that meets a condition.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ParentCondition {
    /// The feature's key.
    pub id: String,
    /// About the one attribute `value`.
    pub condition: Option<Json>,
    /// The rule's whole feature is off where this fails, instead of the rule alone.
    pub gate: Option<bool>,
}

/// Who is included, by hash.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Filter {
    /// Hashed with the visitor.
    pub seed: String,
    /// Any of these.
    pub ranges: Vec<Fractions>,
    /// 2 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash_version: Option<u32>,
    /// `id` by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attribute: Option<String>,
}

/// More of a variation.
#[derive(Debug, Default, Clone, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct VariationMeta {
    /// Names it in exposures and sticky buckets; its index by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The visitor goes on to the next rule (holdouts).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub passthrough: Option<bool>,
}

/// A pattern of pages.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UrlTarget {
    /// `false` excludes the pages.
    pub include: Option<bool>,
    /// `simple` or `regex`.
    #[serde(rename = "type")]
    pub kind: String,
    /// In the syntax of its kind.
    pub pattern: String,
}

/// An exposure of an experiment that was decided elsewhere.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Track {
    /// Which experiment.
    pub experiment: TrackedExperiment,
    /// With which result.
    pub result: TrackedResult,
}

/// The experiment of a [`Track`].
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TrackedExperiment {
    /// Its key.
    pub key: String,
    /// For people.
    pub name: Option<String>,
}

/// The result of a [`Track`].
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct TrackedResult {
    /// The variation's key.
    pub key: String,
    /// The variation's index.
    pub variation_id: usize,
    /// What was hashed.
    pub hash_attribute: String,
    /// Its value.
    #[serde(default)]
    pub hash_value: Json,
}

/// A contextual bandit: weights that depend on who is asking.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, rename_all = "camelCase")]
pub struct Bandit {
    /// Counts up with each update of the weights.
    pub bandit_version: Option<serde_json::Number>,
    /// Tried in order.
    pub contexts: Option<Vec<BanditContext>>,
}

/// A leaf of a contextual bandit's tree.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct BanditContext {
    /// Reported with the result.
    pub leaf_id: i64,
    /// Who belongs to it.
    pub condition: Option<Json>,
    /// A share for each variation.
    pub weights: Vec<f64>,
}

/// Tells `null` from absent.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Json>, D::Error> {
    Json::deserialize(deserializer).map(Some)
}
