//! Conversions: that something happened which a site counts, under the same pseudonym and the same consent as exposures.

use serde::Serialize;

use super::{SCHEMA, allowed_attributes, write};
use crate::admit::RequestHead;
use crate::context::Context;
use crate::context::identity::{LogKey, pseudonym};
use crate::platform::{Endpoint, Platform};
use crate::respond::events::{Event, Source};
use crate::rules::RuleSet;

/// The attribute whose value is a conversion's unit: what experiments hash unless they say otherwise.
const UNIT_TYPE: &str = "id";

/// A line of `conversions`.
#[derive(Debug, Serialize)]
pub struct ConversionLine<'a> {
    /// [`SCHEMA`].
    pub v: u32,
    /// When (RFC 3339, UTC).
    pub timestamp: &'a str,
    /// The request's id.
    pub request_id: &'a str,
    /// The revision of the rules.
    pub revision: Option<&'a str>,
    /// What happened.
    pub event: &'a str,
    /// Which one: an event with an id counts once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_id: Option<&'a str>,
    /// How much.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// Of what, ISO 4217.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<&'a str>,
    /// Who says so: `origin`, `route`, `browser`.
    pub source: &'a str,
    /// Which attribute the unit is.
    pub unit_type: &'a str,
    /// Its value's pseudonym.
    pub unit_id: String,
    /// The id of the key that made it.
    pub key: &'a str,
    /// Attributes that settings allow here.
    pub attributes: serde_json::Map<String, serde_json::Value>,
}

/// Whether the visitor's conversions may be logged, and under which id.
#[must_use]
pub fn unit(context: &Context) -> Option<&str> {
    context.unit().filter(|_| context.person.permissions.expose)
}

/// Writes a line for each event of a visitor; none for one who may not be counted. A `HEAD` is no visit.
pub fn conversions<P: Platform>(
    platform: &P,
    (head, time): (&RequestHead, &str),
    (rules, context): (&RuleSet, &Context),
    key: &LogKey,
    events: &[Event],
) {
    let Some(unit) = unit(context).filter(|_| head.method != http::Method::HEAD) else { return };
    let log = &rules.settings.log;
    for event in events {
        let mut attributes = allowed_attributes(context, &rules.own, log, &log.exposure_attributes);
        if event.source == Source::Browser {
            // It is the path that events are sent to.
            attributes.remove("path");
        }
        let line = ConversionLine {
            v: SCHEMA,
            timestamp: time,
            request_id: &head.request_id,
            revision: rules.revision.as_deref(),
            event: &event.name,
            event_id: event.id.as_deref(),
            value: event.value,
            currency: event.currency.as_deref(),
            source: event.source.as_str(),
            unit_type: UNIT_TYPE,
            unit_id: pseudonym(&key.key, UNIT_TYPE, unit),
            key: &key.id,
            attributes,
        };
        write(platform, Endpoint::Conversions, &line);
    }
}
