//! What a line of `decisions` says of the request and the visitor, and what of it is true for another rule set as well.

use std::collections::BTreeSet;

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value as Json};
use time::OffsetDateTime;

use crate::attributes::{self, Cost, Kind};
use crate::context::replayed::Known;
use crate::plan::variant::key_of;
use crate::rules::RuleSet;
use crate::rules::settings::Settings;
use crate::rules::settings::attributes::{Origin, OwnKind};

/// A line of `decisions`, as far as a request is decided by it.
#[derive(Debug, Clone, Default)]
pub struct Line<'a> {
    /// The version of its shape.
    pub v: u32,
    /// When the request came; 1970 where it doesn't matter.
    pub time: Option<OffsetDateTime>,
    /// The route.
    pub route: Option<&'a str>,
    /// The method.
    pub method: &'a str,
    /// The path as the line shows it.
    pub path: &'a str,
    /// The region; `None` where no rule asked.
    pub region: Option<&'a str>,
    /// The country.
    pub country: Option<&'a str>,
    /// The class of the device.
    pub device: Option<&'a str>,
    /// Dimension → value.
    pub variant: Map<String, Json>,
    /// Attribute → value.
    pub facts: Map<String, Json>,
    /// The path that the backend was asked for.
    pub backend_path: Option<&'a str>,
    /// Whether the fallback was taken: the line has its path then.
    pub has_fallen_back: bool,
    /// Whether the line has a slot: there was an `id`.
    pub has_slot: bool,
}

/// Attributes that are said elsewhere in the line, or that no line has whole.
const NOT_FACTS: [&str; 6] = ["path", "region", "now", "url", "query", "session"];

impl Line<'_> {
    /// What the line says of attributes, where `rules` decided it. `path` is left out where it isn't known whole.
    #[must_use]
    pub fn known(&self, rules: &RuleSet, path: Option<&str>) -> Known {
        let mut known: Known = self.facts.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        known.retain(|name, _| !NOT_FACTS.contains(&name.as_str()));
        // Where facts were gathered, what may be logged and isn't there is absent.
        if self.v >= 2 && self.region.is_some() {
            for name in rules.settings.log.facts.iter().filter(|name| is_absent_unless_logged(rules, name)) {
                known.entry(name.clone()).or_insert(Json::Null);
            }
        }
        self.add_dimensions(rules, &mut known);
        if self.country.is_some() || self.region.is_some() {
            known.entry("country".to_owned()).or_insert_with(|| self.country.into());
        }
        if let Some(device) = self.device {
            known.entry("deviceType".to_owned()).or_insert_with(|| device.into());
        }
        if let Some(path) = path {
            known.insert("path".to_owned(), path.into());
        }
        if known.get("deviceType").is_some_and(|class| class == "bot") {
            // Nothing is permitted with a bot, whatever it sends.
            for name in of_the_person(rules).into_iter().filter(|name| name != "loggedIn") {
                known.insert(name, Json::Null);
            }
            known.insert("loggedIn".to_owned(), false.into());
        }
        known
    }

    /// What shaped the answer is in its variant.
    fn add_dimensions(&self, rules: &RuleSet, known: &mut Known) {
        let text = |dimension: &str| {
            let value = self.variant.get(&key_of(dimension))?.as_str().filter(|value| value.len() < 256)?;
            Some(Json::from(percent_decode_str(value).decode_utf8().ok()?))
        };
        let own = rules.own.iter().filter(|own| !own.identifies && own.kind == OwnKind::Text);
        let own = own.map(|own| (own.name.as_str(), own.name.as_str()));
        let known_ones =
            [("country", "country"), ("language", "language"), ("device-type", "deviceType"), ("network", "network")];
        for (dimension, name) in known_ones.into_iter().chain(own) {
            if let Some(value) = text(dimension) {
                known.entry(name.to_owned()).or_insert(value);
            }
        }
    }
}

/// Whether an attribute that settings allow in `facts` has no value where the line has none.
fn is_absent_unless_logged(rules: &RuleSet, name: &str) -> bool {
    if NOT_FACTS.contains(&name) {
        return false;
    }
    match (attributes::find(name), rules.own.find(name)) {
        (Some(known), _) => known.kind == Kind::Text && known.cost < Cost::Person,
        (None, Some((_, own))) => {
            !own.identifies && own.kind != OwnKind::List && !matches!(own.origin, Origin::Claim(_))
        }
        (None, None) => false,
    }
}

/// The attributes that take knowing who asks.
fn of_the_person(rules: &RuleSet) -> BTreeSet<String> {
    let known = attributes::TABLE.iter().filter(|attribute| attribute.cost >= Cost::Person);
    let own = rules.own.iter().filter(|own| own.identifies || matches!(own.origin, Origin::Claim(_)));
    known.map(|attribute| attribute.name.to_owned()).chain(own.map(|own| own.name.clone())).collect()
}

/// Settings that say nothing of how facts are gathered.
const HARMLESS: [&str; 10] = [
    "log",
    "limits",
    "backends",
    "growthbook",
    "redirects",
    "region_override",
    "preview",
    "replication",
    "events",
    "attributes",
];

/// Attributes that `to` gathers in another way than `from`: what a line of `from` says of them says nothing to `to`.
#[must_use]
pub fn apart(from: &RuleSet, to: &RuleSet) -> BTreeSet<String> {
    let members = |settings: &Settings| match serde_json::to_value(settings) {
        Ok(Json::Object(members)) => members,
        _ => Map::new(),
    };
    let (ours, theirs) = (members(&from.settings), members(&to.settings));
    let names: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
    let mut apart = BTreeSet::new();
    let person = || of_the_person(from).into_iter().chain(of_the_person(to));
    for name in names.into_iter().filter(|name| ours.get(*name) != theirs.get(*name)) {
        match name.as_str() {
            name if HARMLESS.contains(&name) => {}
            "languages" => drop(apart.insert("language".to_owned())),
            "bots" => apart.extend(person().chain(["deviceType".to_owned()])),
            "identity" | "consent" | "visitor" | "sticky" | "session" => apart.extend(person()),
            "hosts" => apart.extend(person().chain(["language".to_owned()])),
            _ => apart.extend(attributes::TABLE.iter().map(|attribute| attribute.name.to_owned()).chain(person())),
        }
    }
    let (ours, theirs) = (&from.settings.attributes, &to.settings.attributes);
    let declared = ours.keys().chain(theirs.keys());
    apart.extend(declared.filter(|name| ours.get(*name) != theirs.get(*name)).cloned());
    apart
}
