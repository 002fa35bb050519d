//! Context: plain facts about the visitor and the request, from the head and the platform. It decides nothing.

pub mod consent;
pub mod cookies;
pub mod device;
pub mod hints;
pub mod identity;
pub mod language;
pub mod network;
pub mod policy;
pub mod preview;
pub mod sticky;
pub mod visitor;

use std::borrow::Cow;

use time::OffsetDateTime;

use crate::admit::RequestHead;
use crate::condition::{Attributes, Value};
use crate::platform::{Geo, Platform};
use crate::rules::settings::RegionOverride;
use crate::rules::{Region, RuleSet};

/// Why the visitor is in a region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegionReason {
    /// The first region whose condition holds.
    Rule,
    /// None holds, or nothing is known of the address.
    Default,
    /// `X-Geo-Region`, where settings allow it.
    Override,
}

/// Facts, ready for conditions and templates.
#[derive(Debug, Clone)]
pub struct Context {
    /// When the request came.
    pub now: OffsetDateTime,
    /// Where the address is.
    pub geo: Option<Geo>,
    /// The region.
    pub region: Region,
    /// And why.
    pub region_reason: RegionReason,
    /// The negotiated language.
    pub language: Option<String>,
    /// The host, without port.
    pub host: String,
    /// The path as the client sent it.
    pub path: String,
}

impl Context {
    /// Gathers the facts of a request.
    pub fn gather<P: Platform>(platform: &P, head: &RequestHead, rules: &RuleSet, now: OffsetDateTime) -> Self {
        let geo = head.address.and_then(|address| platform.geo(address));
        Self::from_facts(head, rules, now, geo)
    }

    /// The same from facts that are known already: for the command line, which describes a visitor.
    pub fn from_facts(head: &RequestHead, rules: &RuleSet, now: OffsetDateTime, geo: Option<Geo>) -> Self {
        let language = crate::context::language::negotiate(&head.headers, &rules.settings.languages).map(str::to_owned);
        let mut context = Self {
            now,
            geo,
            region: Region::default(),
            region_reason: RegionReason::Default,
            language,
            host: head.host().to_owned(),
            path: head.path.clone(),
        };
        (context.region, context.region_reason) = context.resolve_region(head, rules);
        context
    }

    fn resolve_region(&self, head: &RequestHead, rules: &RuleSet) -> (Region, RegionReason) {
        if rules.settings.region_override == RegionOverride::Any
            && let Some(region) = head.claims.region.as_deref().and_then(|id| rules.regions.by_id(id))
        {
            return (region.clone(), RegionReason::Override);
        }
        // An unlocated visitor matches no region, not even by a negation.
        if self.geo.as_ref().is_none_or(|geo| geo.country.is_none() && geo.continent.is_none()) {
            return (rules.regions.default.clone(), RegionReason::Default);
        }
        match rules.regions.resolve(self, &rules.groups) {
            Some(region) => (region.clone(), RegionReason::Rule),
            None => (rules.regions.default.clone(), RegionReason::Default),
        }
    }

    /// The visitor's country, ISO 3166-1 alpha-2.
    pub fn country(&self) -> Option<&str> {
        self.geo.as_ref()?.country.as_deref()
    }
}

/// A text attribute, borrowed.
fn text(value: Option<&str>) -> Option<Value<'_>> {
    value.map(|value| Value::String(Cow::Borrowed(value)))
}

impl Attributes for Context {
    fn attribute(&self, name: &str) -> Option<Value<'_>> {
        let geo = self.geo.as_ref();
        match name {
            "country" => text(self.country()),
            "subdivision" => text(geo?.subdivision.as_deref()),
            "continent" => text(geo?.continent),
            "city" => text(geo?.city.as_deref()),
            "region" => text(Some(&self.region.id)),
            "language" => text(self.language.as_deref()),
            "host" => text(Some(&self.host)),
            "path" => text(Some(&self.path)),
            // Seconds since 1970 stay exact in a double for some hundred million years.
            #[allow(clippy::cast_precision_loss)]
            "now" => Some(Value::Number(self.now.unix_timestamp() as f64)),
            _ => None,
        }
    }
}
