//! The features and experiments of a route, evaluated for one visitor.

use serde_json::Value as Json;

use super::Decision;
use crate::attributes::FactSet;
use crate::condition::{Attributes, PatternWork};
use crate::context::Context;
use crate::growthbook::{self, Evaluator, Experiment, ExperimentResult, Source, StickyBuckets};
use crate::rules::RuleSet;
use crate::rules::route::Route;
use crate::rules::settings::{PreviewMode, RedirectMode};
use crate::wire::url::AbsoluteUrl;

/// What a visual variation may have.
pub const VISUAL_PARTS: [&str; 3] = ["domMutations", "css", "js"];

/// What a visitor gets of a feature or an experiment.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    /// The feature's or the experiment's key.
    pub key: String,
    /// The feature's value, or the variation's key, as text; `None` where there is none.
    pub text: Option<String>,
    /// The value as JSON.
    pub value: Json,
    /// Where it comes from.
    pub source: ShownSource,
    /// The variation, where an experiment gave the value.
    pub variation: Option<Variation>,
    /// Whether the answer depends on it. A visual experiment's control changes nothing: its visitors get the page of those who
    /// don't take part, from the same place in the cache.
    pub shapes: bool,
}

/// Where a shown value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShownSource {
    /// A feature, and what decided its value.
    Feature(Source),
    /// An experiment of its own.
    Experiment,
}

/// A variation of an experiment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variation {
    /// The experiment's key.
    pub experiment: String,
    /// The variation's index.
    pub index: usize,
    /// Whether the visitor takes part; those who don't get control.
    pub in_experiment: bool,
}

/// A variation that a visitor was assigned, ready for the log but for the unit's pseudonym.
#[derive(Debug, Clone, PartialEq)]
pub struct Exposed {
    /// The experiment's key.
    pub experiment: String,
    /// The variation's index.
    pub variation: usize,
    /// The variation's key.
    pub variation_key: String,
    /// The feature whose rule ran the experiment.
    pub feature: Option<String>,
    /// Which attribute was hashed.
    pub unit_type: String,
    /// Its value, in clear: it is hashed before it is logged.
    pub unit: String,
    /// Whether the variation was remembered.
    pub sticky: bool,
}

impl Variation {
    pub(super) fn of(experiment: &str, result: &ExperimentResult<'_>) -> Self {
        Self { experiment: experiment.to_owned(), index: result.variation, in_experiment: result.in_experiment }
    }
}

impl Shown {
    /// Whether this is a feature, and not an experiment of its own.
    pub fn is_feature(&self) -> bool {
        matches!(self.source, ShownSource::Feature(_))
    }
}

/// The experiments of their own that may run on a request that `route` answers: those that it names, the visual ones of a page that is
/// rewritten, and those that lead to another URL; the last two where they are for the page.
pub fn experiments_on<'r>(
    rules: &'r RuleSet,
    route: &Route,
    is_for_page: &dyn Fn(&Experiment) -> bool,
) -> Vec<&'r Experiment> {
    if rules.definitions.experiments.is_empty() {
        return Vec::new();
    }
    let runs = |key: &str, experiment: &Experiment| {
        names(route, key)
            || (route.runs_visual_experiments() && is_visual(experiment) && is_for_page(experiment))
            || (route.is_personalized() && experiment.redirects() && is_for_page(experiment))
    };
    rules.definitions.experiments.iter().filter(|(key, experiment)| runs(key, experiment)).map(|(_, of)| of).collect()
}

fn names(route: &Route, key: &str) -> bool {
    route.experiment_keys.iter().any(|named| named == key)
}

/// Evaluates what `route` asks for.
pub fn evaluate(
    rules: &RuleSet,
    route: &Route,
    context: &Context,
    decision: &mut Decision,
    steps: Option<&mut Vec<String>>,
) {
    let definitions = &*rules.definitions;
    let facts = context.on(route);
    let experiments = experiments_on(rules, route, &|experiment| experiment.is_for_page(&context.url, &facts));
    if route.feature_keys.is_empty() && experiments.is_empty() {
        return;
    }
    let sticky = sticky_buckets(rules, context);
    let arguments = arguments(rules, context, &facts, sticky.as_ref());
    let mut evaluator = match steps {
        Some(steps) => Evaluator::explained(definitions, &arguments, steps),
        None => Evaluator::new(definitions, &arguments),
    };
    let mut looked_at = FactSet::NONE;
    for key in &route.feature_keys {
        looked_at = looked_at.and(rules.facts_of_feature(key).looked_at);
        let result = evaluator.feature(key);
        decision.shown.push(Shown {
            key: key.clone(),
            text: as_text(result.value),
            value: result.value.clone(),
            source: ShownSource::Feature(result.source),
            variation: result.experiment.as_ref().map(|(experiment, result)| Variation::of(experiment.key(), result)),
            shapes: true,
        });
    }
    let mut leads_away = false;
    for experiment in experiments {
        let key = experiment.key();
        looked_at = looked_at.and(rules.facts_of_experiment(key).looked_at);
        if experiment.redirects() {
            leads_away = true;
            continue;
        }
        let named = names(route, key);
        let result = evaluator.experiment(experiment);
        if !result.in_experiment && !named {
            continue;
        }
        decision.shown.push(Shown {
            key: key.to_owned(),
            text: Some(result.key.clone().into_owned()),
            value: result.value.clone(),
            source: ShownSource::Experiment,
            variation: Some(Variation::of(key, &result)),
            shapes: named || changes_page(result.value),
        });
    }
    let redirect = if leads_away { evaluator.redirect() } else { None };
    let redirect = redirect.and_then(|redirect| Some((redirect.experiment.key().to_owned(), redirect.target?)));
    let effects = evaluator.finish();
    decision.evaluated_by = rules.followed(looked_at);
    if context.person.permissions.expose {
        decision.exposures = effects.exposures.iter().map(exposed).collect();
    }
    if context.person.permissions.store {
        decision.sticky = effects.sticky;
    }
    // A browser that lands where another experiment sends it on could be sent round in a circle: it stays, and was shown no variation.
    match redirect {
        Some((key, target))
            if leaves_page(rules, context, &target) && starts_redirects(rules, &target, &context.pattern_work) =>
        {
            decision.exposures.retain(|exposed| exposed.experiment != key);
            decision.sticky.iter_mut().for_each(|document| document.forget(&key));
        }
        redirect => decision.redirect = redirect,
    }
}

/// Whether an experiment has a variation that edits the page.
fn is_visual(experiment: &Experiment) -> bool {
    let edits = |variation: &Json| VISUAL_PARTS.iter().any(|part| variation.get(part).is_some());
    experiment.variations().iter().any(edits)
}

/// Whether the browser itself goes to `target`, and not the edge in its place.
fn leaves_page(rules: &RuleSet, context: &Context, target: &str) -> bool {
    let own = AbsoluteUrl::split(&context.url).map_or("", |url| url.authority);
    rules.settings.redirects == RedirectMode::Redirect || !AbsoluteUrl::split(target).is_some_and(|url| url.is_on(own))
}

/// Whether any experiment may send visitors away from `url`.
fn starts_redirects(rules: &RuleSet, url: &str, work: &PatternWork) -> bool {
    rules.definitions.experiments.iter().any(|(_, experiment)| experiment.redirects_from(url, Some(work)))
}

/// What an evaluation for a visitor looks at: `facts`, and what the visitor's context permits and forces.
pub(super) fn arguments<'a>(
    rules: &RuleSet,
    context: &'a Context,
    facts: &'a dyn Attributes,
    sticky: Option<&'a StickyBuckets>,
) -> growthbook::Context<'a> {
    let mut arguments = growthbook::Context::new(facts, context.now);
    arguments.url = &context.url;
    arguments.query_overrides = rules.settings.preview == PreviewMode::Open;
    arguments.sticky = sticky;
    if let Some(preview) = &context.preview {
        arguments.forced_features = preview.features.clone();
        arguments.forced_variations =
            preview.experiments.iter().map(|(key, variation)| (key.clone(), i64::from(*variation))).collect();
    }
    // Who may not be bucketed has no id to hash; forced variations need none.
    arguments.enabled = context.person.permissions.bucket || context.preview.is_some() || arguments.query_overrides;
    arguments
}

/// What the visitor's cookie remembers, as far as it is the visitor's own; `None` where nothing may be remembered, or nobody asks for it.
pub(super) fn sticky_buckets(rules: &RuleSet, context: &Context) -> Option<StickyBuckets> {
    let remembers = rules.settings.sticky.is_some() && context.person.permissions.store;
    remembers.then(|| StickyBuckets::belonging_to(context, context.sticky.iter().cloned()))
}

/// An assignment, for the log.
pub(super) fn exposed(exposure: &growthbook::Exposure<'_>) -> Exposed {
    Exposed {
        experiment: exposure.experiment.to_owned(),
        variation: exposure.variation,
        variation_key: exposure.variation_key.clone().into_owned(),
        feature: exposure.feature.map(str::to_owned),
        unit_type: exposure.hash_attribute.to_owned(),
        unit: exposure.hash_value.to_text().into_owned(),
        sticky: exposure.sticky_used,
    }
}

/// Whether a visual variation changes anything.
fn changes_page(value: &Json) -> bool {
    VISUAL_PARTS.iter().filter_map(|part| value.get(part)).any(|part| match part {
        Json::Null => false,
        Json::String(text) => !text.is_empty(),
        Json::Array(mutations) => !mutations.is_empty(),
        _ => true,
    })
}

/// A value as templates and the variant write it; `None` for `null`, which is no value.
#[must_use]
pub fn as_text(value: &Json) -> Option<String> {
    match value {
        Json::Null => None,
        Json::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}
