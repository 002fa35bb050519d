//! The values that a route's templates are filled with, and the dimensions that filling them adds to the variant.

use std::borrow::Cow;

use super::variant::{self, Variant};
use crate::condition::{Attributes, Value};
use crate::context::{Context, RouteFacts};
use crate::decide::Decision;
use crate::rules::path::Captures;
use crate::rules::settings::attributes::OwnAttributes;
use crate::rules::template::{Placeholder, Template, Values};
use crate::rules::{Route, RuleSet};
use crate::transform::reads::Reads;

/// The dimension of the device class: `deviceType` can't be a Structured Fields key (RFC 9651 has small letters only).
pub const DEVICE_TYPE: &str = "device-type";

/// Facts and captures, as templates see them.
#[derive(Debug, Clone, Copy)]
pub struct PlanValues<'a> {
    /// Facts.
    pub context: &'a Context,
    /// The route that is planned.
    pub route: &'a Route,
    /// What the route's path captured.
    pub captures: &'a Captures,
    /// What was decided.
    pub decision: &'a Decision,
}

impl Values for PlanValues<'_> {
    fn value(&self, placeholder: &Placeholder) -> Option<Cow<'_, str>> {
        #[cfg(feature = "tools")]
        if let Some(unknown) = self.unknown(placeholder) {
            return unknown.map(Cow::Owned);
        }
        match placeholder {
            Placeholder::RegionId => Some(Cow::Borrowed(&self.context.region.id)),
            Placeholder::RegionSlug => Some(Cow::Borrowed(&self.context.region.slug)),
            Placeholder::Country => self.context.country().map(Cow::Borrowed),
            Placeholder::Language => self.context.language.as_deref().map(Cow::Borrowed),
            Placeholder::PathParameter(name) => self.captures.parameter(name),
            Placeholder::PathRest => self.captures.rest().map(Cow::Borrowed),
            Placeholder::Feature(key) => self.decision.feature(key)?.text.as_deref().map(Cow::Borrowed),
            Placeholder::Experiment(key) => self.decision.experiment(key)?.text.as_deref().map(Cow::Borrowed),
            Placeholder::UserId => self.context.person.user().map(|user| Cow::Borrowed(user.as_str())),
            Placeholder::Session(path) => session_value(self.context.session_json()?, path),
            Placeholder::DeviceType => self.context.device.as_ref().map(|device| Cow::Borrowed(device.class.as_str())),
            Placeholder::Network => Some(Cow::Borrowed(self.context.network.class.as_str())),
            Placeholder::Own(name) => own_text(&self.facts().attribute(name)?).map(Cow::Owned),
        }
    }
}

/// The same values but for those that are one visitor's own: what a log may say of a filled template.
#[derive(Debug, Clone, Copy)]
pub struct Redacted<'a>(pub &'a PlanValues<'a>, pub &'a OwnAttributes);

impl Values for Redacted<'_> {
    fn value(&self, placeholder: &Placeholder) -> Option<Cow<'_, str>> {
        match placeholder {
            Placeholder::UserId | Placeholder::Session(_) => Some(Cow::Borrowed("redacted")),
            Placeholder::Own(name) if self.1.find(name).is_some_and(|(_, own)| own.identifies) => {
                Some(Cow::Borrowed("redacted"))
            }
            other => self.0.value(other),
        }
    }
}

impl<'a> PlanValues<'a> {
    /// What stands for a value that isn't known ([`crate::context::replayed`]): absent, or its mark. `None` for one that is known.
    #[cfg(feature = "tools")]
    fn unknown(&self, placeholder: &Placeholder) -> Option<Option<String>> {
        let (name, is_always_there) = match placeholder {
            Placeholder::Country => ("country", false),
            Placeholder::Language => ("language", false),
            Placeholder::UserId => ("userId", false),
            Placeholder::Session(_) => ("session", false),
            Placeholder::Own(name) => (name.as_str(), false),
            Placeholder::DeviceType => ("deviceType", true),
            Placeholder::Network => ("network", true),
            _ => return None,
        };
        let facts = self.facts();
        let oracle = facts.unknown(name)?;
        let is_there = is_always_there || oracle.says(name, &format!("fills {placeholder:?}"));
        Some(is_there.then(|| crate::context::replayed::mark(name)))
    }

    /// The facts as the route may read them.
    pub fn facts(&self) -> RouteFacts<'a> {
        self.context.on(self.route)
    }
}

impl PlanValues<'_> {
    /// The dimensions that the route's templates use, and what was decided of features and experiments.
    pub fn variant(&self, rules: &RuleSet) -> Variant {
        let mut variant = Variant::default();
        self.add_dimensions(rules, self.route.templates().into_iter(), &mut variant);
        self.add_variations(rules, &mut variant);
        variant
    }

    /// Adds what was decided of features and experiments.
    pub fn add_variations(&self, rules: &RuleSet, variant: &mut Variant) {
        for shown in self.decision.shown.iter().filter(|shown| shown.shapes) {
            if let Some(text) = &shown.text {
                variant.add(&self.dimension(rules, &shown.key, shown.is_feature()), text);
            }
        }
    }

    /// The dimension of a feature or an experiment: its key; with `feature.` or `experiment.` in front where another dimension has that
    /// name, so that no value hides another.
    pub fn dimension<'k>(&self, rules: &RuleSet, key: &'k str, is_feature: bool) -> Cow<'k, str> {
        let beside_feature = !is_feature && self.decision.feature(key).is_some();
        if beside_feature || is_taken(rules, key) {
            Cow::Owned(format!("{}.{key}", if is_feature { "feature" } else { "experiment" }))
        } else {
            Cow::Borrowed(key)
        }
    }

    /// Adds the dimensions that `templates` use to the variant. The path is part of the URL already; what is one visitor's own is no
    /// dimension.
    pub fn add_dimensions<'t>(
        &self,
        rules: &RuleSet,
        templates: impl Iterator<Item = &'t Template>,
        variant: &mut Variant,
    ) {
        templates.flat_map(Template::placeholders).for_each(|one| self.add_dimension(rules, one, variant));
    }

    /// Adds the dimensions that a template of a page reads, by the paths that it reads them at.
    pub fn add_read_dimensions(&self, rules: &RuleSet, reads: &Reads, variant: &mut Variant) {
        reads.iter().for_each(|path| self.add_dimension(rules, &Placeholder::of_read(path), variant));
    }

    fn add_dimension(&self, rules: &RuleSet, placeholder: &Placeholder, variant: &mut Variant) {
        let dimension = match placeholder {
            // The id says the slug as well: a rule set has one slug for each.
            Placeholder::RegionId | Placeholder::RegionSlug => return variant.add("region", &self.context.region.id),
            Placeholder::Country => "country",
            Placeholder::Language => "language",
            Placeholder::DeviceType => DEVICE_TYPE,
            Placeholder::Network => "network",
            Placeholder::Own(name) if rules.own.find(name).is_some_and(|(_, own)| !own.identifies) => name,
            // Features and experiments are in the variant already, whether a template names them or not.
            Placeholder::Feature(_)
            | Placeholder::Experiment(_)
            | Placeholder::PathParameter(_)
            | Placeholder::PathRest
            | Placeholder::UserId
            | Placeholder::Session(_)
            | Placeholder::Own(_) => return,
        };
        if let Some(value) = self.value(placeholder) {
            variant.add(dimension, &value);
        }
    }
}

/// Whether another dimension than that of a feature or an experiment may have this name.
#[must_use]
pub fn is_taken(rules: &RuleSet, key: &str) -> bool {
    variant::CONTEXT_DIMENSIONS.contains(&key)
        || rules.own.find(key).is_some()
        || ["feature.", "experiment."].iter().any(|prefix| key.starts_with(prefix))
}

/// A declared attribute as text: a list is its members, separated by commas.
fn own_text(value: &Value<'_>) -> Option<String> {
    match value {
        Value::Null => None,
        Value::Json(serde_json::Value::Array(members)) => {
            Some(members.iter().filter_map(serde_json::Value::as_str).collect::<Vec<_>>().join(","))
        }
        other => Some(other.to_text().into_owned()),
    }
}

/// A scalar of the session at a dotted path.
fn session_value<'s>(session: &'s serde_json::Value, path: &str) -> Option<Cow<'s, str>> {
    let step = |value: &'s serde_json::Value, name: &str| match value {
        serde_json::Value::Array(list) => list.get(name.parse::<usize>().ok()?),
        other => other.get(name),
    };
    match path.split('.').try_fold(session, step)? {
        serde_json::Value::String(text) => Some(Cow::Borrowed(text)),
        scalar @ (serde_json::Value::Number(_) | serde_json::Value::Bool(_)) => Some(Cow::Owned(scalar.to_string())),
        _ => None,
    }
}
