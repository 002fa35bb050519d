//! Running experiments (specification: `run`, "running inline experiments"; the order of its steps decides).

use std::borrow::Cow;

use super::compiled::{Experiment, State, intervals};
use super::evaluate::{Chain, Evaluator, Prerequisites};
use super::hash::Bucket;
use super::query_override::query_override;
use super::range::{Interval, bucket_ranges, equal_weights};
use super::result::{BanditLeaf, ExperimentResult, Exposure};
use super::sticky::{Remembered, StickyDocument, assignment_key, identifier, remembered};
use super::stored;
use super::trace::{Exclusion, Step};
use crate::condition::Value;

static NULL: serde_json::Value = serde_json::Value::Null;

/// How a visitor came to a variation.
enum Choice {
    /// By force: not an assignment.
    Forced { variation: Option<usize>, by: &'static str },
    /// By hash or by memory.
    Assigned { variation: usize, bucket: Bucket, sticky: bool },
}

/// What an experiment remembers of a visitor.
enum Memory {
    Nothing,
    Blocked,
    Variation(usize),
}

impl<'a> Evaluator<'a, '_> {
    /// What variation of an experiment of its own the visitor gets.
    pub fn experiment(&mut self, experiment: &'a Experiment) -> ExperimentResult<'a> {
        self.run(experiment, None)
    }

    /// The same for the experiment of a feature's rule.
    pub(super) fn run(
        &mut self,
        experiment: &'a Experiment,
        feature: Option<(&'a str, &Chain<'_>)>,
    ) -> ExperimentResult<'a> {
        let (feature, chain) = feature.unzip();
        let bandit = self.bandit_leaf(experiment);
        let key = experiment.key();
        match self.choose(experiment, bandit.as_ref(), chain) {
            Err(reason) => {
                self.note(|| Step::Excluded { experiment: key, reason });
                let mut result = self.result(experiment, feature, bandit, None);
                // The specification says so of this exclusion alone.
                result.sticky_used = reason == Exclusion::BlockedByBucketVersion;
                result
            }
            Ok(Choice::Forced { variation, by }) => {
                match variation.filter(|variation| *variation < experiment.variations().len()) {
                    Some(variation) => self.note(|| Step::Forced { experiment: key, variation, by }),
                    None => {
                        let reason = Exclusion::NoSuchVariation;
                        self.note(|| Step::Excluded { experiment: key, reason });
                    }
                }
                self.result(experiment, feature, bandit, variation)
            }
            Ok(Choice::Assigned { variation, bucket, sticky }) => {
                self.note(|| Step::Assigned { experiment: key, variation, bucket, sticky });
                let mut result = self.result(experiment, feature, bandit, Some(variation));
                result.hash_used = true;
                result.bucket = Some(bucket);
                result.sticky_used = sticky;
                self.remember(experiment, &result);
                self.expose(Exposure::from_result(experiment, &result));
                result
            }
        }
    }

    /// Which variation, or why none. A forced variation goes before all that could exclude the visitor, apart from the page.
    fn choose(
        &mut self,
        experiment: &'a Experiment,
        bandit: Option<&BanditLeaf<'a>>,
        chain: Option<&Chain<'_>>,
    ) -> Result<Choice, Exclusion<'a>> {
        let context = self.context;
        let variations = experiment.variations().len();
        if variations < 2 {
            return Err(Exclusion::NothingToDo);
        }
        if !context.enabled || !self.may_take_part() {
            return Err(Exclusion::Disabled);
        }
        if !experiment.is_for_page(context.url, context.attributes) {
            return Err(Exclusion::Page);
        }
        if context.query_overrides
            && let Some(variation) = self.by_query(experiment.key(), variations)
        {
            return Ok(Choice::Forced { variation: Some(variation), by: "the query" });
        }
        if let Some(variation) = context.forced_variations.get(experiment.key()) {
            return Ok(Choice::Forced { variation: usize::try_from(*variation).ok(), by: "the caller" });
        }
        if experiment.state == State::Inactive {
            return Err(Exclusion::Inactive);
        }
        self.check_schedule(&experiment.schedule)?;
        let (attribute, value) = self.hash_value(&experiment.attributes);
        let value = value.ok_or(Exclusion::NoHashValue { attribute })?;
        let value = value.to_text();
        let memory = self.memory(experiment);
        if !matches!(memory, Memory::Variation(_)) {
            self.check_included(experiment, (attribute, &value), chain)?;
        }
        let hashing = experiment.hashing.as_ref().ok_or(Exclusion::HashVersion)?;
        let bucket = hashing.seed.bucket(&value);
        let is_in = |interval: &Interval| self.is_in(attribute, &hashing.seed, bucket, *interval);
        let sticky = match memory {
            Memory::Blocked => return Err(Exclusion::BlockedByBucketVersion),
            Memory::Variation(variation) => Some(variation),
            Memory::Nothing => None,
        };
        let hashed = || match bandit.filter(|leaf| !leaf.is_fallback() && experiment.definition.ranges.is_none()) {
            Some(leaf) => {
                let coverage = experiment.definition.coverage.unwrap_or(1.0);
                let ranges = bucket_ranges(variations, coverage, Some(&leaf.weights));
                intervals(&ranges, hashing.version).iter().position(is_in)
            }
            None => hashing.intervals.iter().position(is_in),
        };
        let variation = sticky.or_else(hashed).ok_or(Exclusion::NotCovered { bucket })?;
        if let Some(variation) = experiment.force {
            return Ok(Choice::Forced { variation, by: "the experiment" });
        }
        if context.qa_mode {
            return Err(Exclusion::QaMode);
        }
        if experiment.state == State::Stopped {
            return Err(Exclusion::Inactive);
        }
        if variation >= variations {
            // More ranges than variations.
            return Err(Exclusion::NoSuchVariation);
        }
        Ok(Choice::Assigned { variation, bucket, sticky: sticky.is_some() })
    }

    /// What doesn't concern visitors with a remembered variation.
    fn check_included(
        &mut self,
        experiment: &'a Experiment,
        (attribute, value): (&str, &str),
        chain: Option<&Chain<'_>>,
    ) -> Result<(), Exclusion<'a>> {
        let included = match (&experiment.filters, &experiment.namespace) {
            (Some(filters), _) => self.passes_filters(filters),
            (None, Some((seed, interval))) => self.is_in(attribute, seed, seed.bucket(value), *interval),
            (None, None) => true,
        };
        if !included {
            return Err(Exclusion::Filtered);
        }
        self.check_condition(&experiment.condition)?;
        match self.check_prerequisites(&experiment.parents, chain) {
            Prerequisites::Met => Ok(()),
            Prerequisites::Unmet { feature, .. } => Err(Exclusion::Prerequisite { feature, gate: false }),
            Prerequisites::Cyclic { feature } => Err(Exclusion::Cycle { feature }),
        }
    }

    /// The result for a variation; `None`, like a variation that doesn't exist, gives control to a visitor who doesn't take part.
    fn result(
        &self,
        experiment: &'a Experiment,
        feature: Option<&'a str>,
        bandit: Option<BanditLeaf<'a>>,
        variation: Option<usize>,
    ) -> ExperimentResult<'a> {
        let variation = variation.and_then(|index| Some((index, experiment.variations().get(index)?)));
        let in_experiment = variation.is_some();
        let (variation, value) = variation.unwrap_or_else(|| (0, experiment.variations().first().unwrap_or(&NULL)));
        let (hash_attribute, hash_value) = self.hash_value(&experiment.attributes);
        let meta = experiment.meta(variation);
        ExperimentResult {
            key: experiment.variation_key(variation),
            variation,
            value,
            feature,
            in_experiment,
            hash_used: false,
            hash_attribute,
            hash_value: hash_value.unwrap_or(Value::String(Cow::Borrowed(""))),
            bucket: None,
            sticky_used: false,
            passthrough: meta.is_some_and(|meta| meta.passthrough == Some(true)),
            name: meta.and_then(|meta| filled(meta.name.as_deref())),
            bandit,
        }
    }

    /// The weights for this visitor; `None` where the experiment isn't a bandit, or one that isn't defined.
    fn bandit_leaf(&self, experiment: &'a Experiment) -> Option<BanditLeaf<'a>> {
        let bandit = self.definitions.bandits.get(experiment.bandit.as_deref()?)?.ok()?;
        let version = bandit.version.as_ref();
        Some(match bandit.leaf(self.context.attributes, &self.definitions.groups) {
            Some(leaf) => BanditLeaf { leaf_id: leaf.id, weights: Cow::Borrowed(&leaf.weights), version },
            None => {
                let weights = match &experiment.definition.weights {
                    Some(weights) => Cow::Borrowed(weights.as_slice()),
                    None => Cow::Owned(equal_weights(experiment.variations().len())),
                };
                BanditLeaf { leaf_id: BanditLeaf::FALLBACK, weights, version }
            }
        })
    }

    fn memory(&self, experiment: &Experiment) -> Memory {
        if self.context.sticky.is_none() || experiment.attributes.not_sticky {
            return Memory::Nothing;
        }
        let attributes = &experiment.attributes;
        #[cfg(feature = "tools")]
        if let Some(memory) = self.unknown_memory(experiment) {
            return memory;
        }
        // Without a fallback attribute the specification looks `id` up in its place.
        let fallback = attributes.fallback.as_deref().unwrap_or("id");
        let documents = [self.document(&attributes.name), self.document(fallback)];
        let definition = &experiment.definition;
        let (version, minimum) = (definition.bucket_version.unwrap_or(0), definition.min_bucket_version.unwrap_or(0));
        match remembered(experiment.key(), version, minimum, documents) {
            Remembered::Blocked => Memory::Blocked,
            Remembered::Nothing => Memory::Nothing,
            Remembered::Variation(key) => {
                let mut metas = definition.meta.iter().flatten();
                let found = metas.position(|meta| meta.key.as_deref() == Some(key));
                found.map_or(Memory::Nothing, Memory::Variation)
            }
        }
    }

    /// Whether the visitor may take part in experiments at all: where who asks isn't known, that isn't either.
    fn may_take_part(&self) -> bool {
        #[cfg(feature = "tools")]
        if let Some(oracle) = self.context.attributes.unknown("id") {
            return oracle.says("id", "may take part");
        }
        true
    }

    /// The variation that the query forces.
    fn by_query(&self, key: &str, variations: usize) -> Option<usize> {
        #[cfg(feature = "tools")]
        if let Some(oracle) = self.context.attributes.unknown("query") {
            return oracle.answer("query", &format!("forces {key} of {variations}"), variations + 1).checked_sub(1);
        }
        query_override(key, self.context.url, variations)
    }

    /// What may be remembered of a visitor who isn't known.
    #[cfg(feature = "tools")]
    fn unknown_memory(&self, experiment: &Experiment) -> Option<Memory> {
        let attributes = &experiment.attributes;
        let names = [&*attributes.name, attributes.fallback.as_deref().unwrap_or("id")];
        let (name, oracle) = names.into_iter().find_map(|name| Some((name, self.context.attributes.unknown(name)?)))?;
        let definition = &experiment.definition;
        let keys: Vec<_> = definition.meta.iter().flatten().map(|meta| meta.key.as_deref()).collect();
        let (version, minimum) = (definition.bucket_version.unwrap_or(0), definition.min_bucket_version.unwrap_or(0));
        let question = format!("remembers {} {version} {minimum} {keys:?}", experiment.key());
        Some(match oracle.answer(name, &question, keys.len() + 1 + usize::from(minimum > 0)) {
            0 => Memory::Nothing,
            place if place <= keys.len() => Memory::Variation(place - 1),
            _ => Memory::Blocked,
        })
    }

    /// What is remembered of the visitor's value of an attribute, with this evaluation's changes.
    fn document(&self, attribute: &str) -> Option<&StickyDocument> {
        let value = self.context.attributes.attribute(attribute).filter(Value::is_truthy)?;
        let value = identifier(&value);
        let changed = self.effects.sticky.iter().find(|document| document.is_of(attribute, &value));
        changed.or_else(|| self.context.sticky?.get(attribute, &value))
    }

    fn remember(&mut self, experiment: &Experiment, result: &ExperimentResult<'_>) {
        if self.context.sticky.is_none() || experiment.attributes.not_sticky {
            return;
        }
        let key = assignment_key(experiment.key(), experiment.definition.bucket_version.unwrap_or(0));
        let existing = self.document(result.hash_attribute);
        if existing
            .and_then(|document| document.assignments.get(&key))
            .is_some_and(|variation| *variation == result.key)
        {
            return;
        }
        let mut document = existing.cloned().unwrap_or_else(|| StickyDocument {
            attribute_name: result.hash_attribute.to_owned(),
            attribute_value: identifier(&result.hash_value).into_owned(),
            assignments: std::collections::BTreeMap::new(),
        });
        document.assignments.insert(key, result.key.clone().into_owned());
        let is_same = |other: &&mut StickyDocument| other.is_of(&document.attribute_name, &document.attribute_value);
        match self.effects.sticky.iter_mut().find(is_same) {
            Some(earlier) => *earlier = document,
            None => self.effects.sticky.push(document),
        }
    }
}

impl<'a> Exposure<'a> {
    fn from_result(experiment: &'a Experiment, result: &ExperimentResult<'a>) -> Self {
        Self {
            experiment: experiment.key(),
            experiment_name: experiment.definition.name.as_deref(),
            variation: result.variation,
            variation_key: result.key.clone(),
            variation_name: result.name,
            feature: result.feature,
            hash_attribute: result.hash_attribute,
            hash_value: result.hash_value.clone(),
            bucket: result.bucket,
            sticky_used: result.sticky_used,
        }
    }

    pub(super) fn from_track(track: &'a stored::Track, feature: &'a str) -> Self {
        Self {
            experiment: &track.experiment.key,
            experiment_name: track.experiment.name.as_deref(),
            variation: track.result.variation_id,
            variation_key: Cow::Borrowed(&track.result.key),
            variation_name: None,
            feature: Some(feature),
            hash_attribute: &track.result.hash_attribute,
            hash_value: Value::from(&track.result.hash_value),
            bucket: None,
            sticky_used: false,
        }
    }
}

fn filled(text: Option<&str>) -> Option<&str> {
    text.filter(|text| !text.is_empty())
}

/// An index as text; those that occur are ready-made.
pub(super) fn index_text(index: usize) -> Cow<'static, str> {
    const READY: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
    READY.get(index).map_or_else(|| Cow::Owned(index.to_string()), |text| Cow::Borrowed(*text))
}
