//! What an evaluation gives.

use std::borrow::Cow;

use serde_json::Value as Json;

use super::compiled::Experiment;
use super::hash::Bucket;
use super::sticky::StickyDocument;
use crate::condition::Value;

/// What a feature is worth to a visitor, and why.
#[derive(Debug, Clone)]
pub struct FeatureResult<'a> {
    /// The value; `null` where there is none.
    pub value: &'a Json,
    /// Where it comes from.
    pub source: Source,
    /// The rule that gave it.
    pub rule: Option<RuleId<'a>>,
    /// The experiment that gave it, with its result.
    pub experiment: Option<(&'a Experiment, ExperimentResult<'a>)>,
}

/// A rule of a feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RuleId<'a> {
    /// From 0, in the feature's list.
    pub index: usize,
    /// Its own name; may be empty.
    pub id: &'a str,
}

impl FeatureResult<'_> {
    /// Whether the value is truthy in JavaScript's sense.
    #[must_use]
    pub fn on(&self) -> bool {
        Value::from(self.value).is_truthy()
    }
}

/// Where a feature's value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// There is no such feature.
    UnknownFeature,
    /// No rule applied.
    DefaultValue,
    /// A rule forced it.
    Force,
    /// The caller forced it.
    Override,
    /// A rule's experiment.
    Experiment,
    /// A prerequisite that gates the feature failed.
    Prerequisite,
    /// A prerequisite refers back to the feature.
    CyclicPrerequisite,
    /// Not of the specification: the feature's definition can't be used.
    Broken,
}

impl Source {
    /// As the specification spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnknownFeature => "unknownFeature",
            Self::DefaultValue => "defaultValue",
            Self::Force => "force",
            Self::Override => "override",
            Self::Experiment => "experiment",
            Self::Prerequisite => "prerequisite",
            Self::CyclicPrerequisite => "cyclicPrerequisite",
            Self::Broken => "broken",
        }
    }
}

/// What variation of an experiment a visitor gets.
#[derive(Debug, Clone)]
pub struct ExperimentResult<'a> {
    /// The variation's key: its own, or its index.
    pub key: Cow<'a, str>,
    /// The variation's index; 0, control, for those who don't take part.
    pub variation: usize,
    /// The variation's value.
    pub value: &'a Json,
    /// The feature whose rule ran the experiment.
    pub feature: Option<&'a str>,
    /// Whether the visitor takes part, assigned or forced.
    pub in_experiment: bool,
    /// Whether the variation was assigned by hash (or stickiness), and not forced.
    pub hash_used: bool,
    /// Which attribute was hashed.
    pub hash_attribute: &'a str,
    /// Its value; the empty text where it is absent.
    pub hash_value: Value<'a>,
    /// Where the visitor fell, if the hash was used.
    pub bucket: Option<Bucket>,
    /// Whether the variation was remembered.
    pub sticky_used: bool,
    /// The visitor goes on to the next rule.
    pub passthrough: bool,
    /// The variation's name, for people.
    pub name: Option<&'a str>,
    /// The leaf of the bandit that set the weights; see [`reported_bandit`](Self::reported_bandit).
    pub bandit: Option<BanditLeaf<'a>>,
}

impl<'a> ExperimentResult<'a> {
    /// The bandit's leaf, for visitors who were assigned by its weights.
    #[must_use]
    pub fn reported_bandit(&self) -> Option<&BanditLeaf<'a>> {
        self.bandit.as_ref().filter(|_| self.hash_used && self.in_experiment)
    }
}

/// What a contextual bandit said.
#[derive(Debug, Clone, PartialEq)]
pub struct BanditLeaf<'a> {
    /// -1 where no leaf matched and the rule's own weights hold.
    pub leaf_id: i64,
    /// A share for each variation.
    pub weights: Cow<'a, [f64]>,
    /// The version of the bandit's weights.
    pub version: Option<&'a serde_json::Number>,
}

impl BanditLeaf<'_> {
    /// The leaf that visitors are counted for whom no leaf of the bandit matched: the rule's own weights hold.
    pub const FALLBACK: i64 = -1;

    /// Whether no leaf matched.
    #[must_use]
    pub fn is_fallback(&self) -> bool {
        self.leaf_id == Self::FALLBACK
    }
}

/// What an evaluation leaves to be done.
#[derive(Debug, Clone, Default)]
pub struct Effects<'a> {
    /// Each variation that a visitor was assigned, once.
    pub exposures: Vec<Exposure<'a>>,
    /// Sticky documents that changed, whole.
    pub sticky: Vec<StickyDocument>,
}

/// A variation that a visitor was assigned: what the analysis counts.
#[derive(Debug, Clone)]
pub struct Exposure<'a> {
    /// The experiment's key.
    pub experiment: &'a str,
    /// The experiment's name, for people.
    pub experiment_name: Option<&'a str>,
    /// The variation's index.
    pub variation: usize,
    /// The variation's key.
    pub variation_key: Cow<'a, str>,
    /// The variation's name, for people.
    pub variation_name: Option<&'a str>,
    /// The feature whose rule ran the experiment.
    pub feature: Option<&'a str>,
    /// Which attribute was hashed.
    pub hash_attribute: &'a str,
    /// Its value.
    pub hash_value: Value<'a>,
    /// Where the visitor fell; absent where it was decided elsewhere.
    pub bucket: Option<Bucket>,
    /// Whether the variation was remembered.
    pub sticky_used: bool,
}

impl Exposure<'_> {
    /// Whether both say the same of the same visitor.
    pub(super) fn repeats(&self, other: &Exposure<'_>) -> bool {
        self.experiment == other.experiment
            && self.variation == other.variation
            && self.hash_attribute == other.hash_attribute
            && self.hash_value == other.hash_value
    }
}
