//! The features and experiments of a route, evaluated for one visitor.

use serde_json::Value as Json;

use super::Decision;
use crate::context::Context;
use crate::growthbook::{self, Evaluator, ExperimentResult, Source, StickyBuckets};
use crate::rules::RuleSet;
use crate::rules::route::Route;
use crate::rules::settings::{PreviewMode, RedirectMode};

/// What a visual arm may have.
pub const VISUAL_PARTS: [&str; 3] = ["domMutations", "css", "js"];

/// What a visitor gets of a feature or an experiment.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    /// The feature's or the experiment's key.
    pub key: String,
    /// The feature's value, or the arm's key, as text; `None` where there is none.
    pub text: Option<String>,
    /// The value as JSON.
    pub value: Json,
    /// Where it comes from.
    pub source: ShownSource,
    /// The arm, where an experiment gave the value.
    pub arm: Option<Arm>,
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

/// An arm of an experiment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arm {
    /// The experiment's key.
    pub experiment: String,
    /// The arm's index.
    pub variation: usize,
    /// Whether the visitor takes part; those who don't get control.
    pub in_experiment: bool,
}

/// An arm that a visitor was assigned, ready for the log but for the unit's pseudonym.
#[derive(Debug, Clone, PartialEq)]
pub struct Exposed {
    /// The experiment's key.
    pub experiment: String,
    /// The arm's index.
    pub variation: usize,
    /// The arm's key.
    pub variation_key: String,
    /// The feature whose rule ran the experiment.
    pub feature: Option<String>,
    /// Which attribute was hashed.
    pub unit_type: String,
    /// Its value, in clear: it is hashed before it is logged.
    pub unit: String,
    /// Whether the arm was remembered.
    pub sticky: bool,
}

impl Shown {
    /// Whether this is a feature, and not an experiment of its own.
    pub fn is_feature(&self) -> bool {
        matches!(self.source, ShownSource::Feature(_))
    }
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
    let experiments = !definitions.experiments.is_empty() && route.is_personalized();
    if route.feature_keys.is_empty() && route.experiment_keys.is_empty() && !experiments {
        return;
    }
    let sticky = sticky_buckets(rules, context);
    let arguments = arguments(rules, context, sticky.as_ref());
    let mut evaluator = match steps {
        Some(steps) => Evaluator::explained(definitions, &arguments, steps),
        None => Evaluator::new(definitions, &arguments),
    };
    for key in &route.feature_keys {
        let result = evaluator.feature(key);
        decision.shown.push(Shown {
            key: key.clone(),
            text: as_text(result.value),
            value: result.value.clone(),
            source: ShownSource::Feature(result.source),
            arm: result.experiment.as_ref().map(|(experiment, arm)| arm_of(experiment.key(), arm)),
            shapes: true,
        });
    }
    let named = |key: &str| route.experiment_keys.iter().any(|named| named == key);
    for (key, experiment) in definitions.experiments.iter() {
        // A page's experiments find it by their URL; elsewhere they run where a route names them.
        if experiment.redirects() || !(named(key) || route.runs_visual_experiments()) {
            continue;
        }
        let result = evaluator.experiment(experiment);
        if !result.in_experiment && !named(key) {
            continue;
        }
        decision.shown.push(Shown {
            key: key.to_owned(),
            text: Some(result.key.clone().into_owned()),
            value: result.value.clone(),
            source: ShownSource::Experiment,
            arm: Some(arm_of(key, &result)),
            shapes: named(key) || changes_page(result.value),
        });
    }
    let redirect = if experiments { evaluator.redirect() } else { None };
    let redirect = redirect.and_then(|redirect| Some((redirect.experiment.key().to_owned(), redirect.target?)));
    let effects = evaluator.finish();
    if context.person.permissions.expose {
        decision.exposures = effects.exposures.iter().map(exposed).collect();
    }
    if context.person.permissions.store {
        decision.sticky = effects.sticky;
    }
    // A browser that lands where another experiment sends it on could be sent round in a circle: it stays, and was shown no arm.
    match redirect {
        Some((key, target)) if leaves_page(rules, context, &target) && starts_redirects(rules, &target) => {
            decision.exposures.retain(|exposed| exposed.experiment != key);
        }
        redirect => decision.redirect = redirect,
    }
}

/// Whether the browser itself goes to `target`, and not the edge in its place.
fn leaves_page(rules: &RuleSet, context: &Context, target: &str) -> bool {
    let authority = |url: &str| {
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        rest.split(['/', '?', '#']).next().unwrap_or_default().to_ascii_lowercase()
    };
    rules.settings.redirects == RedirectMode::Redirect || authority(target) != authority(&context.url)
}

/// Whether any experiment may send visitors away from `url`.
fn starts_redirects(rules: &RuleSet, url: &str) -> bool {
    rules.definitions.experiments.iter().any(|(_, experiment)| experiment.redirects_from(url))
}

fn arguments<'a>(rules: &RuleSet, context: &'a Context, sticky: Option<&'a StickyBuckets>) -> growthbook::Context<'a> {
    let mut arguments = growthbook::Context::new(context, context.now);
    arguments.url = &context.url;
    arguments.query_overrides = rules.settings.preview == PreviewMode::Open;
    arguments.sticky = sticky;
    if let Some(preview) = &context.preview {
        arguments.forced_features = preview.features.clone();
        arguments.forced_variations =
            preview.experiments.iter().map(|(key, variation)| (key.clone(), i64::from(*variation))).collect();
    }
    // Who may not be bucketed has no id to hash; forced arms need none.
    arguments.enabled = context.person.permissions.bucket || context.preview.is_some() || arguments.query_overrides;
    arguments
}

/// What the visitor's cookie remembers, as far as it is the visitor's own; `None` where nothing may be remembered, or nobody asks for it.
fn sticky_buckets(rules: &RuleSet, context: &Context) -> Option<StickyBuckets> {
    let remembers = rules.settings.sticky.is_some() && context.person.permissions.store;
    remembers.then(|| StickyBuckets::belonging_to(context, context.sticky.iter().cloned()))
}

fn arm_of(experiment: &str, result: &ExperimentResult<'_>) -> Arm {
    Arm { experiment: experiment.to_owned(), variation: result.variation, in_experiment: result.in_experiment }
}

fn exposed(exposure: &growthbook::Exposure<'_>) -> Exposed {
    Exposed {
        experiment: exposure.experiment.to_owned(),
        variation: exposure.variation,
        variation_key: exposure.variation_key.clone().into_owned(),
        feature: exposure.feature.map(str::to_owned),
        unit_type: exposure.hash_attribute.to_owned(),
        unit: match &exposure.hash_value {
            crate::condition::Value::String(text) => text.clone().into_owned(),
            crate::condition::Value::Number(number) => number.to_string(),
            crate::condition::Value::Json(json) => json.to_string(),
            crate::condition::Value::Bool(truth) => truth.to_string(),
            crate::condition::Value::Null => String::new(),
        },
        sticky: exposure.sticky_used,
    }
}

/// Whether a visual arm changes anything.
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
