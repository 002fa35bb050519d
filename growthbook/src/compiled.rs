//! Features and experiments, ready to be evaluated.

use serde_json::Value as Json;

use super::hash::{HashVersion, Seed};
use super::range::{Fractions, Interval, bucket_ranges};
use super::reads::Reads;
use super::result::RuleId;
use super::schedule::Schedule;
use super::stored;
use super::table::Definition;
use super::target::Targets;
use crate::condition::{Attributes, Compiler, Condition, Fault, PatternWork};
use crate::read_json;

/// The attribute that is hashed unless a rule says otherwise.
const DEFAULT_ATTRIBUTE: &str = "id";

/// A feature.
#[derive(Debug, Clone)]
pub struct Feature {
    pub(super) default_value: Json,
    pub(super) rules: Vec<Rule>,
    is_off: bool,
    reads: Reads,
    weak: Vec<Fault>,
    cost: usize,
}

#[derive(Debug, Clone)]
pub(super) struct Rule {
    pub(super) id: Box<str>,
    pub(super) schedule: Schedule,
    pub(super) parents: Vec<Parent>,
    pub(super) filters: Vec<Filter>,
    pub(super) action: Action,
}

#[derive(Debug, Clone)]
pub(super) enum Action {
    Force(Box<Force>),
    Run(Box<Experiment>),
    /// Neither a value to force nor variations: the rule is passed over.
    Nothing,
}

#[derive(Debug, Clone)]
pub(super) struct Force {
    pub(super) value: Json,
    pub(super) condition: Condition,
    pub(super) rollout: Rollout,
    pub(super) tracks: Vec<stored::Track>,
}

/// Which share of visitors a value is forced for.
#[derive(Debug, Clone)]
pub(super) enum Rollout {
    Everybody,
    /// No coverage, or a hash version that doesn't exist.
    Nobody,
    Share {
        attributes: HashAttributes,
        seed: Seed,
        interval: Interval,
    },
}

/// A feature that must have a value that meets a condition.
#[derive(Debug, Clone)]
pub(super) struct Parent {
    pub(super) feature: Box<str>,
    pub(super) condition: Condition,
    /// Its failure ends the feature, not the rule alone.
    pub(super) gate: bool,
}

/// Includes visitors by a hash of its own.
#[derive(Debug, Clone)]
pub(super) struct Filter {
    pub(super) attribute: Box<str>,
    /// `None` for a hash version that doesn't exist: nobody is included.
    pub(super) seed: Option<Seed>,
    pub(super) intervals: Vec<Interval>,
}

/// Which attribute is hashed.
#[derive(Debug, Clone)]
pub(super) struct HashAttributes {
    pub(super) name: Box<str>,
    /// Instead of it where it is empty; with sticky buckets only.
    pub(super) fallback: Option<Box<str>>,
    /// Sticky buckets don't apply.
    pub(super) not_sticky: bool,
}

/// An experiment, in a rule or of its own.
#[derive(Debug, Clone)]
pub struct Experiment {
    pub(super) key: Box<str>,
    pub(super) definition: stored::Experiment,
    pub(super) attributes: HashAttributes,
    pub(super) schedule: Schedule,
    pub(super) targets: Option<Targets>,
    pub(super) parents: Vec<Parent>,
    pub(super) filters: Option<Vec<Filter>>,
    pub(super) namespace: Option<(Seed, Interval)>,
    pub(super) condition: Condition,
    /// `None` for a hash version that doesn't exist: nobody takes part.
    pub(super) hashing: Option<Hashing>,
    /// All who are included get this variation; the inner `None` is one that doesn't exist.
    pub(super) force: Option<Option<usize>>,
    pub(super) state: State,
    pub(super) persist_query: bool,
    pub(super) bandit: Option<Box<str>>,
    reads: Reads,
    weak: Vec<Fault>,
    cost: usize,
}

#[derive(Debug, Clone)]
pub(super) struct Hashing {
    pub(super) version: HashVersion,
    pub(super) seed: Seed,
    /// One a variation, in the same order.
    pub(super) intervals: Vec<Interval>,
}

/// What an experiment of its own says of its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Running,
    /// A draft, or switched off.
    Inactive,
    Stopped,
}

impl Definition for Feature {
    fn compile(key: &str, json: &str) -> Result<Self, Fault> {
        let stored: stored::Feature = read_json(json)?;
        // A switched-off feature is worth its default even where its rules are what broke.
        let is_off = stored.enabled == Some(false);
        let rules = stored.rules.filter(|_| !is_off).unwrap_or_default().into_iter().enumerate();
        let mut compiler = Compiler::default();
        let rules = rules.map(|(index, rule)| {
            compiler.at(["rules", &index.to_string()], |compiler| Rule::compile(key, rule, compiler))
        });
        let rules = rules.collect::<Result<_, _>>()?;
        let cost = compiler.budget.used();
        let (default_value, reads) = (stored.default_value, Reads::default());
        let compiled = Self { default_value, rules, is_off, reads, weak: compiler.faults, cost };
        Ok(Self { reads: Reads::of_feature(&compiled), ..compiled })
    }

    fn faults(&self) -> &[Fault] {
        &self.weak
    }

    fn cost(&self) -> usize {
        self.cost
    }
}

impl Definition for Experiment {
    fn compile(key: &str, json: &str) -> Result<Self, Fault> {
        let mut stored: stored::Rule = read_json(json)?;
        let force = stored.force.take().map(|index| index.as_u64().and_then(|index| usize::try_from(index).ok()));
        let mut compiler = Compiler::default();
        let compiled = Self::from_rule(key, stored, &mut compiler)?;
        Ok(Self { force, weak: compiler.faults, cost: compiler.budget.used(), ..compiled })
    }

    fn faults(&self) -> &[Fault] {
        &self.weak
    }

    fn cost(&self) -> usize {
        self.cost
    }
}

impl Feature {
    /// What deciding it reads; what its prerequisites read is theirs ([`Definitions::reads_of_feature`](super::Definitions::reads_of_feature) has both).
    #[must_use]
    pub fn reads(&self) -> &Reads {
        &self.reads
    }

    /// Every value that the feature can have: its default, what rules force, the variations of its experiments. A value may come twice.
    pub fn values(&self) -> impl Iterator<Item = &Json> {
        std::iter::once(&self.default_value).chain(self.rules.iter().flat_map(Rule::values))
    }

    /// Whether it is switched off: its value is its default, whatever its rules say.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.is_off
    }

    /// Whether it has rules that may apply.
    #[must_use]
    pub fn has_rules(&self) -> bool {
        !self.rules.is_empty()
    }

    /// Whether a rule gives its value by a hash: by an experiment, or to a share of visitors.
    #[must_use]
    pub fn divides(&self, rule: RuleId<'_>) -> bool {
        self.rules.get(rule.index).is_some_and(|rule| match &rule.action {
            Action::Run(_) => true,
            Action::Force(force) => matches!(force.rollout, Rollout::Share { .. }),
            Action::Nothing => false,
        })
    }

    /// The experiments that the feature's rules run, in their order.
    pub fn experiments(&self) -> impl Iterator<Item = &Experiment> {
        self.rules.iter().filter_map(|rule| match &rule.action {
            Action::Run(experiment) => Some(&**experiment),
            Action::Force(_) | Action::Nothing => None,
        })
    }
}

impl Rule {
    fn values(&self) -> &[Json] {
        match &self.action {
            Action::Force(force) => std::slice::from_ref(&force.value),
            Action::Run(experiment) => experiment.variations(),
            Action::Nothing => &[],
        }
    }

    fn compile(feature: &str, mut stored: stored::Rule, compiler: &mut Compiler) -> Result<Self, Fault> {
        let id = stored.id.take().unwrap_or_default().into();
        let schedule = compile_schedule(stored.schedule.take())?;
        let parents = compile_parents(stored.parent_conditions.take(), compiler)?;
        let filters = stored.filters.as_deref().map(compile_filters).unwrap_or_default();
        let action = if let Some(value) = stored.force.take() {
            Action::Force(Box::new(Force::compile(feature, value, stored, compiler)?))
        } else if stored.contextual_variations.is_some() || stored.variations.is_some() {
            Action::Run(Box::new(Experiment::from_rule(feature, stored, compiler)?))
        } else {
            Action::Nothing
        };
        Ok(Self { id, schedule, parents, filters, action })
    }
}

impl Force {
    fn compile(feature: &str, value: Json, stored: stored::Rule, compiler: &mut Compiler) -> Result<Self, Fault> {
        let condition = compile_condition(stored.condition.as_ref(), compiler)?;
        let tracks = stored.tracks.unwrap_or_default();
        let version = HashVersion::from_number(filled_number(stored.hash_version).unwrap_or(1));
        let rollout = match (stored.range, stored.coverage, version) {
            (None, None, _) => Rollout::Everybody,
            // The specification includes a rollout's upper bound, so that coverage 0 would let the first bucket in.
            (None, Some(0.0), _) | (_, _, None) => Rollout::Nobody,
            (range, coverage, Some(version)) => Rollout::Share {
                attributes: HashAttributes::new(
                    stored.hash_attribute,
                    stored.fallback_attribute,
                    stored.disable_sticky_bucketing,
                ),
                seed: Seed::new(&filled(stored.seed).unwrap_or_else(|| feature.to_owned()), version),
                interval: match range {
                    Some(range) => Interval::new(range, version),
                    None => Interval::rollout(coverage.unwrap_or(1.0), version),
                },
            },
        };
        Ok(Self { value, condition, rollout, tracks })
    }
}

impl HashAttributes {
    fn new(name: Option<String>, fallback: Option<String>, not_sticky: Option<bool>) -> Self {
        Self {
            name: filled(name).map_or_else(|| DEFAULT_ATTRIBUTE.into(), Into::into),
            fallback: filled(fallback).map(Into::into),
            not_sticky: not_sticky == Some(true),
        }
    }
}

impl Experiment {
    fn from_rule(default_key: &str, mut stored: stored::Rule, compiler: &mut Compiler) -> Result<Self, Fault> {
        let schedule = compile_schedule(stored.schedule.take())?;
        let parents = compile_parents(stored.parent_conditions.take(), compiler)?;
        let condition = compile_condition(stored.condition.as_ref(), compiler)?;
        let targets = stored.url_patterns.take();
        let targets = targets
            .map(|patterns| compiler.at(["urlPatterns"], |compiler| Targets::compile(&patterns, compiler)))
            .transpose()?;
        let state = match (stored.active, stored.status.as_deref()) {
            (Some(false), _) | (_, Some("draft")) => State::Inactive,
            (_, Some("stopped")) => State::Stopped,
            _ => State::Running,
        };
        let persist_query = stored.persist_query_string == Some(true);
        let bandit = filled(stored.contextual_bandit_ref.take()).map(Into::into);
        let mut definition = stored.into_experiment();
        // Empty texts and zeros are absent ones, also where the experiment is reported.
        for text in [
            &mut definition.seed,
            &mut definition.hash_attribute,
            &mut definition.fallback_attribute,
            &mut definition.name,
            &mut definition.phase,
        ] {
            *text = filled(text.take());
        }
        definition.hash_version = filled_number(definition.hash_version);
        let key = filled(definition.key.take()).unwrap_or_else(|| default_key.to_owned());
        definition.key = Some(key.clone());
        let hashing = HashVersion::from_number(definition.hash_version.unwrap_or(1)).map(|version| {
            let seed = definition.seed.as_deref().unwrap_or(&key);
            let variations = definition.variations.as_ref().map_or(0, Vec::len);
            let ranges = match &definition.ranges {
                Some(ranges) => ranges.clone(),
                None => bucket_ranges(variations, definition.coverage.unwrap_or(1.0), definition.weights.as_deref()),
            };
            Hashing { version, seed: Seed::new(seed, version), intervals: intervals(&ranges, version) }
        });
        let compiled = Self {
            key: key.into(),
            attributes: HashAttributes::new(
                definition.hash_attribute.clone(),
                definition.fallback_attribute.clone(),
                definition.disable_sticky_bucketing,
            ),
            schedule,
            targets,
            parents,
            filters: definition.filters.as_deref().map(compile_filters),
            namespace: definition.namespace.as_ref().map(|(name, from, to)| {
                let version = HashVersion::One;
                (Seed::new(&format!("__{name}"), version), Interval::new([*from, *to], version))
            }),
            condition,
            hashing,
            force: None,
            state,
            persist_query,
            bandit,
            definition,
            reads: Reads::default(),
            weak: Vec::new(),
            cost: 0,
        };
        Ok(Self { reads: Reads::of_experiment(&compiled), ..compiled })
    }

    /// What deciding it reads; what its prerequisites read is theirs ([`Definitions::reads_of_experiment`](super::Definitions::reads_of_experiment) has both).
    #[must_use]
    pub fn reads(&self) -> &Reads {
        &self.reads
    }

    /// Whether it is for some pages only.
    #[must_use]
    pub fn has_url_targets(&self) -> bool {
        self.targets.is_some()
    }

    /// Whether it is for the page at `url` (absolute); without URL targets it is for every page. `work` is what its patterns may take.
    #[must_use]
    pub fn includes_url(&self, url: &str, work: Option<&PatternWork>) -> bool {
        self.targets.as_ref().is_none_or(|targets| targets.include(url, work))
    }

    /// The same for the page that these attributes are of: where its `url` isn't known, its oracle says.
    #[must_use]
    pub fn is_for_page(&self, url: &str, attributes: &dyn Attributes) -> bool {
        #[cfg(feature = "tools")]
        if let (Some(targets), Some(oracle)) = (&self.targets, attributes.unknown("url")) {
            return oracle.says("url", &format!("is among {targets:?}"));
        }
        self.includes_url(url, attributes.pattern_work())
    }

    /// What names it in exposures.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// As it is stored, with its key filled in.
    #[must_use]
    pub fn definition(&self) -> &stored::Experiment {
        &self.definition
    }

    /// The variations' values.
    #[must_use]
    pub fn variations(&self) -> &[Json] {
        self.definition.variations.as_deref().unwrap_or_default()
    }

    /// How a variation is called in exposures and variants: its own key, or its index.
    #[must_use]
    pub fn variation_key(&self, variation: usize) -> std::borrow::Cow<'_, str> {
        let own = self.meta(variation).and_then(|meta| meta.key.as_deref()).filter(|key| !key.is_empty());
        own.map_or_else(|| super::experiment::index_text(variation), std::borrow::Cow::Borrowed)
    }

    /// More of a variation.
    pub(super) fn meta(&self, variation: usize) -> Option<&stored::VariationMeta> {
        self.definition.meta.as_ref()?.get(variation)
    }

    /// Whether a variation sends the visitor to another URL.
    #[must_use]
    pub fn redirects(&self) -> bool {
        self.targets.is_some() && self.variations().iter().any(|variation| variation.get("urlRedirect").is_some())
    }

    /// Whether this experiment may send a visitor away from the page at `url`. `work` is what its patterns may take.
    #[must_use]
    pub fn redirects_from(&self, url: &str, work: Option<&PatternWork>) -> bool {
        self.redirects() && self.includes_url(url, work)
    }
}

/// The buckets of ranges.
pub(super) fn intervals(ranges: &[Fractions], version: HashVersion) -> Vec<Interval> {
    ranges.iter().map(|range| Interval::new(*range, version)).collect()
}

fn compile_condition(json: Option<&Json>, compiler: &mut Compiler) -> Result<Condition, Fault> {
    match json {
        None | Some(Json::Null) => Ok(Condition::default()),
        Some(json) => compiler.at(["condition"], |compiler| Condition::compile_with(json, compiler)),
    }
}

fn compile_schedule(stored: Option<stored::Schedule>) -> Result<Schedule, Fault> {
    let schedule = stored.as_ref().map(Schedule::compile).transpose();
    Ok(schedule.map_err(|fault| fault.under("schedule"))?.unwrap_or_default())
}

fn compile_parents(
    stored: Option<Vec<stored::ParentCondition>>,
    compiler: &mut Compiler,
) -> Result<Vec<Parent>, Fault> {
    let parents = stored.unwrap_or_default().into_iter().enumerate().map(|(index, parent)| {
        let condition = compiler.at(["parentConditions", &index.to_string()], |compiler| {
            compile_condition(parent.condition.as_ref(), compiler)
        });
        Ok(Parent { feature: parent.id.into(), condition: condition?, gate: parent.gate == Some(true) })
    });
    parents.collect()
}

fn compile_filters(stored: &[stored::Filter]) -> Vec<Filter> {
    let compile = |filter: &stored::Filter| {
        let version = HashVersion::from_number(filled_number(filter.hash_version).unwrap_or(2));
        Filter {
            attribute: filled(filter.attribute.clone()).map_or_else(|| DEFAULT_ATTRIBUTE.into(), Into::into),
            seed: version.map(|version| Seed::new(&filter.seed, version)),
            intervals: version.map(|version| intervals(&filter.ranges, version)).unwrap_or_default(),
        }
    };
    stored.iter().map(compile).collect()
}

/// The specification takes an empty text for an absent one.
fn filled(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

/// The specification takes 0 for an absent number.
fn filled_number(number: Option<u32>) -> Option<u32> {
    number.filter(|number| *number != 0)
}
