//! Regions: whose visitors are in another one.

use std::collections::{BTreeMap, BTreeSet};

use edge_personalizer::rules::Region;
use serde::Serialize;
use serde_json::{Value, json};

use super::change::{Change, canonical, changes};
use super::conditions::{self, Facts};
use super::side::Side;
use crate::countries;

/// What can be said of regions without asking a visitor in.
const PLACE: [&str; 2] = ["country", "continent"];

/// Most combinations of facts that are tried in each country.
const MOST_FACTS: usize = 512;

/// Regions that differ.
#[derive(Debug, Default, Serialize)]
pub struct RegionsDiff {
    /// Only in the second.
    pub added: Vec<String>,
    /// Only in the first.
    pub removed: Vec<String>,
    /// In both, and not the same.
    pub changed: Vec<RegionChange>,
    /// Visitors who are in another region than before.
    pub visitors: Vec<Moved>,
}

/// A region that isn't what it was.
#[derive(Debug, Serialize)]
pub struct RegionChange {
    /// Its id; `default` is what holds where nothing matches.
    pub id: String,
    /// What of it.
    pub changes: Vec<Change>,
}

/// Visitors who move from one region to another.
#[derive(Debug, Serialize)]
pub struct Moved {
    /// Where they were.
    pub from: Region,
    /// Where they are to be.
    pub to: Region,
    /// What else is so of them, beside their country.
    #[serde(rename = "where")]
    pub facts: Facts,
    /// Their countries; empty for visitors of whom no place is known.
    pub countries: BTreeSet<String>,
}

impl RegionsDiff {
    /// Whether all are the same.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty() && self.visitors.is_empty()
    }
}

/// Compares.
pub fn compare(a: &Side, b: &Side) -> RegionsDiff {
    let (old, new) = (defined(a), defined(b));
    let only = |one: &BTreeMap<String, Value>, other: &BTreeMap<String, Value>| {
        one.keys().filter(|id| !other.contains_key(*id)).cloned().collect()
    };
    let changed = old.iter().filter_map(|(id, old)| {
        let changes = changes(old, new.get(id)?);
        (!changes.is_empty()).then(|| RegionChange { id: id.clone(), changes })
    });
    RegionsDiff {
        added: only(&new, &old),
        removed: only(&old, &new),
        changed: changed.collect(),
        visitors: moved(a, b),
    }
}

/// The regions of a dictionary by their ids; a second condition of one region has a name of its own.
fn defined(side: &Side) -> BTreeMap<String, Value> {
    let default = &side.rules.regions.default;
    let mut defined = BTreeMap::from([("default".to_owned(), json!({ "id": default.id, "slug": default.slug }))]);
    for region in listed(side) {
        let id = region.get("id").and_then(Value::as_str).unwrap_or_default();
        let again = (2..).map(|number| format!("{id} (condition {number})"));
        let name =
            std::iter::once(id.to_owned()).chain(again).find(|name| !defined.contains_key(name)).unwrap_or_default();
        let when = region.get("when").map(canonical).unwrap_or_default();
        defined.insert(name, json!({ "slug": region.get("slug"), "when": when }));
    }
    defined
}

fn listed(side: &Side) -> &[Value] {
    side.content("regions").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// Which visitors move: those of every country, and of each place and fact that a condition of either side names.
fn moved(a: &Side, b: &Side) -> Vec<Moved> {
    let conditions: Vec<&Value> = [a, b].into_iter().flat_map(listed).filter_map(|region| region.get("when")).collect();
    let segments = [a, b].map(|side| side.content("segments"));
    let mut facts: BTreeSet<Vec<(String, String)>> = BTreeSet::new();
    let mut all: Vec<Facts> = Vec::new();
    for condition in &conditions {
        for visitor in segments.iter().flat_map(|segments| conditions::visitors(condition, *segments, &PLACE)) {
            let key = visitor.iter().map(|(name, value)| (name.clone(), value.to_string())).collect();
            if facts.insert(key) {
                all.push(visitor);
            }
        }
    }
    if all.is_empty() {
        all.push(Facts::new());
    }
    // The fewest facts first: what a part of them explains is said once.
    all.sort_by_key(BTreeMap::len);
    all.truncate(MOST_FACTS);
    let mut places: Vec<(Option<String>, Option<String>)> =
        countries::all().map(|(country, continent)| (Some(country.to_owned()), Some(continent.to_owned()))).collect();
    let literals = conditions.iter().flat_map(|condition| conditions::named(condition, "country"));
    let unknown = literals.filter_map(|country| country.as_str().map(str::to_owned));
    let unknown: BTreeSet<String> = unknown.filter(|country| countries::continent_of(country).is_none()).collect();
    places.extend(unknown.into_iter().map(|country| (Some(country), None)));
    places.push((None, None));

    let mut groups: BTreeMap<(String, String, String), Moved> = BTreeMap::new();
    for (country, continent) in &places {
        let mut seen: Vec<(&Facts, (&Region, &Region))> = Vec::new();
        for facts in &all {
            let both = (region(a, country, continent, facts), region(b, country, continent, facts));
            let explained = seen.iter().any(|(fewer, found)| {
                *found == both
                    && fewer.len() + 1 == facts.len()
                    && fewer.iter().all(|(name, value)| facts.get(name) == Some(value))
            });
            seen.push((facts, both));
            if both.0 == both.1 || explained {
                continue;
            }
            let name = |region: &Region| format!("{}/{}", region.id, region.slug);
            let what = facts.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(",");
            // Nowhere is no country: it stands alone.
            let what = if country.is_none() { format!("nowhere,{what}") } else { what };
            let group = groups.entry((name(both.0), name(both.1), what)).or_insert_with(|| Moved {
                from: both.0.clone(),
                to: both.1.clone(),
                facts: facts.clone(),
                countries: BTreeSet::new(),
            });
            group.countries.extend(country.clone());
        }
    }
    groups.into_values().collect()
}

/// The region of a visitor, as the edge finds it: who can't be located matches none.
fn region<'s>(side: &'s Side, country: &Option<String>, continent: &Option<String>, facts: &Facts) -> &'s Region {
    let regions = &side.rules.regions;
    if country.is_none() && continent.is_none() {
        return &regions.default;
    }
    let mut attributes = conditions::attributes(facts);
    for (name, value) in [("country", country), ("continent", continent)] {
        if let Some(value) = value {
            attributes.insert(name.to_owned(), value.as_str().into());
        }
    }
    regions.resolve(&Value::Object(attributes), side.rules.groups()).unwrap_or(&regions.default)
}
