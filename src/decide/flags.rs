//! Features asked for by their keys, and not by a route: for those who decide in a browser or a server of their own (OFREP). The evaluator,
//! and for a visitor the facts, are those of a page.

use std::borrow::Cow;

use serde_json::{Map, Value as Json};
use time::OffsetDateTime;

use super::variations::{self, Exposed, Variation};
use crate::attributes::FactSet;
use crate::condition::{Attributes, PatternWork, Value};
use crate::context::{Context, Needs};
use crate::growthbook::{self, Evaluator, RuleId, Source};
use crate::rules::RuleSet;
use crate::rules::stored::OnMiss;

/// What a feature is worth to who asks, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Flag {
    /// The feature's key.
    pub key: String,
    /// The value; `null` where there is none.
    pub value: Json,
    /// Where it comes from.
    pub source: Source,
    /// How the feature came to it.
    pub by: By,
    /// The rule that gave it: its name, or `rule-` and its place from 0.
    pub rule: Option<String>,
    /// The variation, where an experiment gave the value, and its key.
    pub variation: Option<(Variation, String)>,
}

/// How a feature came to its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// It has no rules: the value is everybody's.
    NoRules,
    /// It is switched off.
    Off,
    /// No rule applied.
    Default,
    /// A rule chose who gets it.
    Targeting,
    /// A hash divided those who get it from the others.
    Split,
}

/// Flags, and the variations that were assigned for them.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    /// One a key, in the order of the keys.
    pub flags: Vec<Flag>,
    /// The variations that were assigned, for who shows them.
    pub exposures: Vec<Exposed>,
}

/// What has to be known of a visitor before the features of `keys` can be evaluated.
pub fn needs<'k>(rules: &RuleSet, keys: impl Iterator<Item = &'k str>) -> Needs {
    let facts: FactSet = keys.map(|key| rules.facts_of_feature(key).all()).collect();
    let session = facts.meets(FactSet::OF_THE_SESSION);
    let keeps = session || facts.meets(FactSet::IDS);
    Needs { device: true, person: true, keeps, session, on_miss: OnMiss::Ask }
}

/// A visitor, with what the visitor's own program says beside.
#[derive(Debug, Clone, Copy)]
pub struct Visitor<'a> {
    /// The facts, as a page has them.
    pub context: &'a Context,
    /// What the program says.
    pub said: &'a Map<String, Json>,
    /// Of it, the attributes that count.
    pub allowed: &'a [String],
}

impl Attributes for Visitor<'_> {
    fn attribute(&self, name: &str) -> Option<Value<'_>> {
        let said = self.said.get(name).filter(|_| self.allowed.iter().any(|allowed| allowed == name));
        said.map(Value::from).or_else(|| self.context.attribute(name))
    }

    fn pattern_work(&self) -> Option<&PatternWork> {
        self.context.pattern_work()
    }
}

/// Somebody whom a trusted server describes. The edge adds the time, and the region where the description has a place.
#[derive(Debug)]
pub struct Described<'a> {
    /// What is hashed, as `id`.
    pub unit: &'a str,
    /// All other attributes.
    pub said: &'a Map<String, Json>,
    now: OffsetDateTime,
    region: Option<String>,
    work: PatternWork,
}

impl<'a> Described<'a> {
    /// Somebody known as `unit`, asked for at `now`.
    #[must_use]
    pub fn new(rules: &RuleSet, unit: &'a str, said: &'a Map<String, Json>, now: OffsetDateTime) -> Self {
        let mut described = Self { unit, said, now, region: None, work: PatternWork::default() };
        let has_place = ["country", "continent"].iter().any(|name| said.contains_key(*name));
        if has_place && !said.contains_key("region") {
            let region = rules.regions.resolve(&described, rules.groups()).unwrap_or_else(|| rules.default_region());
            described.region = Some(region.id.clone());
        }
        described
    }
}

impl Attributes for Described<'_> {
    fn attribute(&self, name: &str) -> Option<Value<'_>> {
        match name {
            "id" => Some(Value::String(Cow::Borrowed(self.unit))),
            // Seconds since 1970 stay exact in a double for some hundred million years.
            #[allow(clippy::cast_precision_loss)]
            "now" => Some(Value::Number(self.now.unix_timestamp() as f64)),
            "region" if self.region.is_some() => self.region.as_deref().map(|id| Value::String(Cow::Borrowed(id))),
            _ => self.said.get(name).map(Value::from),
        }
    }

    fn pattern_work(&self) -> Option<&PatternWork> {
        Some(&self.work)
    }
}

/// Evaluates features for a visitor: with the visitor's preview, remembered variations and permissions.
pub fn for_visitor<'k>(rules: &RuleSet, visitor: Visitor<'_>, keys: impl Iterator<Item = &'k str>) -> Flags {
    let context = visitor.context;
    let sticky = variations::sticky_buckets(rules, context);
    let arguments = variations::arguments(rules, context, &visitor, sticky.as_ref());
    let mut flags = evaluate(rules, &arguments, keys);
    if !context.person.permissions.expose {
        flags.exposures.clear();
    }
    flags
}

/// Evaluates features for somebody whom a trusted server describes.
pub fn for_described<'k>(rules: &RuleSet, described: &Described<'_>, keys: impl Iterator<Item = &'k str>) -> Flags {
    let mut arguments = growthbook::Context::new(described, described.now);
    arguments.url = described.said.get("url").and_then(Json::as_str).unwrap_or_default();
    evaluate(rules, &arguments, keys)
}

fn evaluate<'k>(rules: &RuleSet, arguments: &growthbook::Context<'_>, keys: impl Iterator<Item = &'k str>) -> Flags {
    let mut evaluator = Evaluator::new(&rules.definitions, arguments);
    let flags = keys.map(|key| {
        let result = evaluator.feature(key);
        let feature = rules.definitions.features.get(key).and_then(Result::ok);
        let splits = result.rule.is_some_and(|rule| feature.is_some_and(|feature| feature.divides(rule)));
        let by = match feature {
            _ if result.experiment.is_some() || splits => By::Split,
            _ if result.rule.is_some() => By::Targeting,
            Some(feature) if feature.is_off() => By::Off,
            Some(feature) if feature.has_rules() => By::Default,
            _ => By::NoRules,
        };
        let variation = result
            .experiment
            .as_ref()
            .map(|(experiment, result)| (Variation::of(experiment.key(), result), result.key.clone().into_owned()));
        let named =
            |rule: RuleId<'_>| if rule.id.is_empty() { format!("rule-{}", rule.index) } else { rule.id.to_owned() };
        let rule = result.rule.map(named);
        Flag { key: key.to_owned(), value: result.value.clone(), source: result.source, by, rule, variation }
    });
    let flags = flags.collect();
    Flags { flags, exposures: evaluator.finish().exposures.iter().map(variations::exposed).collect() }
}
