//! Evaluating features (specification: `evalFeature`).

use std::collections::BTreeMap;

use serde_json::Value as Json;
use time::OffsetDateTime;

use super::compiled::{Action, Feature, Filter, Force, HashAttributes, Parent, Rollout, Rule};
use super::hash::{Bucket, Seed};
use super::payload::Definitions;
use super::range::Interval;
use super::result::{Effects, Exposure, FeatureResult, RuleId, Source};
use super::schedule::{Moment, Schedule};
use super::sticky::StickyBuckets;
use super::trace::{Exclusion, Step, Trace};
use crate::condition::{Attributes, Condition, PatternWork, Value};

/// What a value is where there is none.
static NULL: Json = Json::Null;

/// Prerequisites nest this deep at most: beyond it a chain counts as cyclic, before it can fill the stack.
const DEEPEST_PREREQUISITE: usize = 32;

/// The facts of a request that an evaluation reads.
pub struct Context<'a> {
    /// What is known of the visitor.
    pub attributes: &'a dyn Attributes,
    /// The time, for schedules.
    pub now: OffsetDateTime,
    /// The page, for URL targeting and query overrides; absolute, or empty.
    pub url: &'a str,
    /// Whether `?<experiment>=<variation>` forces a variation: unsigned, so for local work only.
    pub query_overrides: bool,
    /// Variations to force, by experiment.
    pub forced_variations: BTreeMap<String, i64>,
    /// Values to force, by feature.
    pub forced_features: BTreeMap<String, Json>,
    /// What is remembered of the visitor; `None` where nothing is to be remembered (then fallback attributes don't apply either).
    pub sticky: Option<&'a StickyBuckets>,
    /// `false` excludes everybody from every experiment.
    pub enabled: bool,
    /// Only forced variations are shown.
    pub qa_mode: bool,
}

impl<'a> Context<'a> {
    /// A context with nothing forced and nothing remembered.
    #[must_use]
    pub fn new(attributes: &'a dyn Attributes, now: OffsetDateTime) -> Self {
        Self {
            attributes,
            now,
            url: "",
            query_overrides: false,
            forced_variations: BTreeMap::new(),
            forced_features: BTreeMap::new(),
            sticky: None,
            enabled: true,
            qa_mode: false,
        }
    }
}

/// Evaluates features and experiments for one request.
pub struct Evaluator<'a, 't> {
    pub(super) definitions: &'a Definitions,
    pub(super) context: &'a Context<'a>,
    pub(super) effects: Effects<'a>,
    /// Prerequisites that have been evaluated: a chain in which each refers to the next one twice would otherwise double with each link.
    prerequisites: Vec<(&'a str, &'a Json)>,
    /// How many cycles were met: a result that depends on one depends on where the evaluation began, and is not kept.
    cycles: usize,
    trace: Option<&'t mut dyn Trace>,
}

/// A feature that is being evaluated, with those that need it. It lives on the stack: most evaluations allocate nothing.
#[derive(Clone, Copy)]
pub(super) struct Chain<'c> {
    key: &'c str,
    above: Option<&'c Chain<'c>>,
}

impl Chain<'_> {
    fn may_lead_to(&self, key: &str) -> bool {
        let links = std::iter::successors(Some(self), |link| link.above);
        // One link too many ends the walk, a key that is there already too.
        links.enumerate().all(|(depth, link)| depth + 1 < DEEPEST_PREREQUISITE && link.key != key)
    }
}

/// How a list of prerequisites came out.
pub(super) enum Prerequisites<'a> {
    Met,
    Unmet { feature: &'a str, gate: bool },
    Cyclic { feature: &'a str },
}

/// What a prerequisite's condition is about.
struct ParentValue<'a> {
    value: &'a Json,
    /// What the visitor's own attributes may take, too.
    work: Option<&'a PatternWork>,
}

impl Attributes for ParentValue<'_> {
    fn attribute(&self, name: &str) -> Option<Value<'_>> {
        (name == "value").then(|| Value::from(self.value))
    }

    fn pattern_work(&self) -> Option<&PatternWork> {
        self.work
    }
}

impl<'a, 't> Evaluator<'a, 't> {
    /// An evaluation that doesn't explain itself.
    #[must_use]
    pub fn new(definitions: &'a Definitions, context: &'a Context<'a>) -> Self {
        Self { definitions, context, effects: Effects::default(), prerequisites: Vec::new(), cycles: 0, trace: None }
    }

    /// An evaluation that says each step.
    #[must_use]
    pub fn explained(definitions: &'a Definitions, context: &'a Context<'a>, trace: &'t mut dyn Trace) -> Self {
        Self { trace: Some(trace), ..Self::new(definitions, context) }
    }

    /// What is left to be done.
    #[must_use]
    pub fn finish(self) -> Effects<'a> {
        self.effects
    }

    /// What a feature is worth to the visitor.
    pub fn feature(&mut self, key: &str) -> FeatureResult<'a> {
        self.feature_below(key, None)
    }

    fn feature_below(&mut self, key: &str, above: Option<&Chain<'_>>) -> FeatureResult<'a> {
        self.note(|| Step::Begins { feature: key });
        let result = self.evaluate(key, above);
        self.note(|| Step::Ends { feature: key, source: result.source.as_str(), value: result.value });
        result
    }

    fn evaluate(&mut self, key: &str, above: Option<&Chain<'_>>) -> FeatureResult<'a> {
        let plain = |value, source| FeatureResult { value, source, rule: None, experiment: None };
        if above.is_some_and(|chain| !chain.may_lead_to(key)) {
            self.cycles += 1;
            return plain(&NULL, Source::CyclicPrerequisite);
        }
        if let Some(value) = self.context.forced_features.get(key) {
            return plain(value, Source::Override);
        }
        match self.definitions.features.get_entry(key) {
            None => plain(&NULL, Source::UnknownFeature),
            Some((_, Err(fault))) => {
                self.note(|| Step::Broken(fault));
                plain(&NULL, Source::Broken)
            }
            Some((key, Ok(feature))) => {
                let result = self.apply_rules(key, feature, &Chain { key, above });
                result.unwrap_or_else(|| plain(&feature.default_value, Source::DefaultValue))
            }
        }
    }

    /// The result of the first rule that gives one.
    fn apply_rules(&mut self, key: &'a str, feature: &'a Feature, chain: &Chain<'_>) -> Option<FeatureResult<'a>> {
        for (index, rule) in feature.rules.iter().enumerate() {
            let id = RuleId { index, id: &rule.id };
            match self.apply(key, id, rule, chain) {
                Ok(result) => {
                    self.note(|| Step::RuleApplies(id));
                    return Some(result);
                }
                Err(reason) => {
                    self.note(|| Step::RuleSkipped { rule: id, reason });
                    let source = match reason {
                        Exclusion::Cycle { .. } => Source::CyclicPrerequisite,
                        Exclusion::Prerequisite { gate: true, .. } => Source::Prerequisite,
                        _ => continue,
                    };
                    return Some(FeatureResult { value: &NULL, source, rule: None, experiment: None });
                }
            }
        }
        None
    }

    /// What a rule gives, or why it doesn't apply.
    fn apply(
        &mut self,
        key: &'a str,
        id: RuleId<'a>,
        rule: &'a Rule,
        chain: &Chain<'_>,
    ) -> Result<FeatureResult<'a>, Exclusion<'a>> {
        self.check_schedule(&rule.schedule)?;
        match self.check_prerequisites(&rule.parents, Some(chain)) {
            Prerequisites::Met => {}
            Prerequisites::Unmet { feature, gate } => return Err(Exclusion::Prerequisite { feature, gate }),
            Prerequisites::Cyclic { feature } => return Err(Exclusion::Cycle { feature }),
        }
        if !self.passes_filters(&rule.filters) {
            return Err(Exclusion::Filtered);
        }
        match &rule.action {
            Action::Force(force) => {
                self.check_force(force)?;
                for track in &force.tracks {
                    self.expose(Exposure::from_track(track, key));
                }
                Ok(FeatureResult { value: &force.value, source: Source::Force, rule: Some(id), experiment: None })
            }
            Action::Run(experiment) => {
                let result = self.run(experiment, Some((key, chain)));
                if !result.in_experiment {
                    Err(Exclusion::NotInExperiment)
                } else if result.passthrough {
                    Err(Exclusion::Passthrough)
                } else {
                    let (value, source) = (result.value, Source::Experiment);
                    Ok(FeatureResult { value, source, rule: Some(id), experiment: Some((experiment, result)) })
                }
            }
            Action::Nothing => Err(Exclusion::NothingToDo),
        }
    }

    fn check_force(&self, force: &'a Force) -> Result<(), Exclusion<'a>> {
        self.check_condition(&force.condition)?;
        match &force.rollout {
            Rollout::Everybody => Ok(()),
            Rollout::Nobody => Err(Exclusion::OutsideRollout { bucket: None }),
            Rollout::Share { attributes, seed, interval } => {
                let (name, value) = self.hash_value(attributes);
                let value = value.ok_or(Exclusion::NoHashValue { attribute: name })?;
                let bucket = seed.bucket(&value.to_text());
                let included = self.is_in(name, seed, bucket, *interval);
                if included { Ok(()) } else { Err(Exclusion::OutsideRollout { bucket: Some(bucket) }) }
            }
        }
    }

    pub(super) fn check_schedule(&self, schedule: &Schedule) -> Result<(), Exclusion<'a>> {
        match schedule.at(self.context.now) {
            Moment::Before => Err(Exclusion::NotYet),
            Moment::During => Ok(()),
            Moment::After => Err(Exclusion::Over),
        }
    }

    pub(super) fn check_condition(&self, condition: &'a Condition) -> Result<(), Exclusion<'a>> {
        let (attributes, groups) = (self.context.attributes, &self.definitions.groups);
        if condition.matches(attributes, groups) {
            return Ok(());
        }
        let key = if self.trace.is_some() { condition.blocked_by(attributes, groups) } else { None };
        Err(Exclusion::Condition { key: key.unwrap_or_default() })
    }

    pub(super) fn check_prerequisites(
        &mut self,
        parents: &'a [Parent],
        chain: Option<&Chain<'_>>,
    ) -> Prerequisites<'a> {
        for parent in parents {
            let feature = &*parent.feature;
            let known = self.prerequisites.iter().find(|(key, _)| *key == feature).map(|(_, value)| *value);
            let value = match known {
                Some(value) => value,
                None => {
                    let cycles = self.cycles;
                    let result = self.feature_below(feature, chain);
                    if result.source == Source::CyclicPrerequisite {
                        return Prerequisites::Cyclic { feature };
                    }
                    if self.cycles == cycles {
                        self.prerequisites.push((feature, result.value));
                    }
                    result.value
                }
            };
            let parent_value = ParentValue { value, work: self.context.attributes.pattern_work() };
            if !parent.condition.matches(&parent_value, &self.definitions.groups) {
                return Prerequisites::Unmet { feature, gate: parent.gate };
            }
        }
        Prerequisites::Met
    }

    pub(super) fn passes_filters(&self, filters: &[Filter]) -> bool {
        filters.iter().all(|filter| {
            let Some((value, seed)) = self.filled(&filter.attribute).zip(filter.seed.as_ref()) else { return false };
            let bucket = seed.bucket(&value.to_text());
            filter.intervals.iter().any(|interval| self.is_in(&filter.attribute, seed, bucket, *interval))
        })
    }

    /// The attribute to hash and its value; `None` where the visitor has none or an empty one, who is then never bucketed.
    pub(super) fn hash_value(&self, attributes: &'a HashAttributes) -> (&'a str, Option<Value<'a>>) {
        let filled = |name: &str| self.filled(name);
        if let Some(value) = filled(&attributes.name) {
            return (&attributes.name, Some(value));
        }
        let may_fall_back = self.context.sticky.is_some() && !attributes.not_sticky;
        let fallback = attributes.fallback.as_deref().filter(|_| may_fall_back);
        match fallback.and_then(|name| Some((name, filled(name)?))) {
            Some((name, value)) => (name, Some(value)),
            None => (&attributes.name, None),
        }
    }

    /// The value of an attribute, where there is one that can be hashed.
    fn filled(&self, name: &str) -> Option<Value<'a>> {
        #[cfg(feature = "tools")]
        if let Some(oracle) = self.context.attributes.unknown(name) {
            return oracle.says(name, "is there").then(|| Value::String("unknown".into()));
        }
        self.context.attributes.attribute(name).filter(Value::is_truthy)
    }

    /// Whether the bucket of the attribute called `name` is in an interval.
    #[cfg_attr(not(feature = "tools"), allow(unused_variables))]
    pub(super) fn is_in(&self, name: &str, seed: &Seed, bucket: Bucket, interval: Interval) -> bool {
        #[cfg(feature = "tools")]
        if let Some(oracle) = self.context.attributes.unknown(name) {
            return oracle.is_in(name, seed, interval);
        }
        interval.contains(bucket)
    }

    /// Counts an assignment, once.
    pub(super) fn expose(&mut self, exposure: Exposure<'a>) {
        if !self.effects.exposures.iter().any(|earlier| earlier.repeats(&exposure)) {
            self.effects.exposures.push(exposure);
        }
    }

    pub(super) fn note<'s>(&mut self, step: impl FnOnce() -> Step<'s>) {
        if let Some(trace) = &mut self.trace {
            trace.record(step());
        }
    }
}
