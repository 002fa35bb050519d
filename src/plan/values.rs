//! The values that a route's templates are filled with, and the dimensions that filling them adds to the variant.

use std::borrow::Cow;

use super::variant::Variant;
use crate::context::Context;
use crate::rules::path::Captures;
use crate::rules::template::{Source, Template, Values};

/// The dimension of the device class: `deviceType` can't be a Structured Fields key (RFC 9651 has small letters only).
pub const DEVICE_TYPE: &str = "device-type";

/// Facts and captures, as templates see them.
#[derive(Debug, Clone, Copy)]
pub struct PlanValues<'a> {
    /// Facts.
    pub context: &'a Context,
    /// What the route's path captured.
    pub captures: &'a Captures,
}

impl Values for PlanValues<'_> {
    fn value(&self, source: &Source) -> Option<Cow<'_, str>> {
        match source {
            Source::RegionId => Some(Cow::Borrowed(&self.context.region.id)),
            Source::RegionSlug => Some(Cow::Borrowed(&self.context.region.slug)),
            Source::Country => self.context.country().map(Cow::Borrowed),
            Source::Language => self.context.language.as_deref().map(Cow::Borrowed),
            Source::PathParameter(name) => self.captures.parameter(name),
            Source::PathRest => self.captures.rest().map(Cow::Borrowed),
            Source::DeviceType
            | Source::Network
            | Source::Feature(_)
            | Source::Experiment(_)
            | Source::UserId
            | Source::Session(_) => None,
        }
    }
}

impl PlanValues<'_> {
    /// Adds the dimensions that `templates` use to the variant. The path is part of the URL already.
    pub fn add_dimensions<'t>(&self, templates: impl Iterator<Item = &'t Template>, variant: &mut Variant) {
        for source in templates.flat_map(Template::sources) {
            let dimension = match source {
                // The id says the slug as well: a rule set has one slug for each.
                Source::RegionId | Source::RegionSlug => {
                    variant.add("region", &self.context.region.id);
                    continue;
                }
                Source::Country => "country",
                Source::Language => "language",
                Source::DeviceType => DEVICE_TYPE,
                Source::Network => "network",
                Source::Feature(key) | Source::Experiment(key) => key,
                Source::PathParameter(_) | Source::PathRest | Source::UserId | Source::Session(_) => continue,
            };
            if let Some(value) = self.value(source) {
                variant.add(dimension, &value);
            }
        }
    }

    /// Whether a template makes the request one visitor's own.
    pub fn identify<'t>(&self, mut templates: impl Iterator<Item = &'t Template>) -> bool {
        templates.any(|template| template.sources().any(|source| matches!(source, Source::UserId | Source::Session(_))))
    }
}
