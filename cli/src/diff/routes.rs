//! Routes: which ones are new, gone, others, or tried in another order.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::rc::Rc;

use edge_personalizer::rules::route::{DEFAULT_BACKEND, FALLBACK_STATUSES};
use edge_personalizer::rules::{Route, stored};
use serde::Serialize;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::change::{Change, canonical, changes};
use super::side::Side;

/// Routes that differ.
#[derive(Debug, Default, Serialize)]
pub struct RoutesDiff {
    /// Only in the second.
    pub added: Vec<RouteLine>,
    /// Only in the first.
    pub removed: Vec<RouteLine>,
    /// In both, and not the same.
    pub changed: Vec<RouteChange>,
    /// The first is now tried before the second, and takes what both match.
    pub order: Vec<(String, String)>,
}

/// A route in a line.
#[derive(Debug, Serialize)]
pub struct RouteLine {
    /// Its name.
    pub id: String,
    /// Its path.
    pub path: String,
    /// What it does.
    pub action: Value,
}

/// A route that isn't what it was.
#[derive(Debug, Serialize)]
pub struct RouteChange {
    /// Its name.
    pub id: String,
    /// What of it.
    pub changes: Vec<Change>,
}

impl RoutesDiff {
    /// Whether all are the same.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty() && self.order.is_empty()
    }
}

/// A usable route: its place in the list, compiled, and as stored with what its author left to defaults.
struct Known {
    place: usize,
    route: Rc<Route>,
    json: Value,
}

/// Compares the routes that the edge can use.
pub fn compare(a: &Side, b: &Side) -> RoutesDiff {
    let (old, new) = (known(a), known(b));
    let line = |known: &Known| RouteLine {
        id: known.route.id.clone(),
        path: known.json.get("path").and_then(Value::as_str).unwrap_or_default().to_owned(),
        action: known.json.get("action").cloned().unwrap_or_default(),
    };
    let only = |one: &BTreeMap<(String, usize), Known>, other: &BTreeMap<(String, usize), Known>| {
        let mut only: Vec<&Known> =
            one.iter().filter(|(key, _)| !other.contains_key(*key)).map(|(_, known)| known).collect();
        only.sort_by_key(|known| known.place);
        only.into_iter().map(line).collect()
    };
    let mut both: Vec<(&Known, &Known)> = old.iter().filter_map(|(key, old)| Some((old, new.get(key)?))).collect();
    both.sort_by_key(|(_, new)| new.place);
    let changed = both.iter().filter_map(|(old, new)| {
        let changes = changes(&old.json, &new.json);
        (!changes.is_empty()).then(|| RouteChange { id: new.route.id.clone(), changes })
    });
    RoutesDiff { added: only(&new, &old), removed: only(&old, &new), changed: changed.collect(), order: order(&both) }
}

/// Pairs that changed places and can match the same request.
fn order(both: &[(&Known, &Known)]) -> Vec<(String, String)> {
    let mut swapped = Vec::new();
    for (index, (old, new)) in both.iter().enumerate() {
        for (other_old, other_new) in both.get(index + 1..).unwrap_or_default() {
            let equal =
                |one: &Known, other: &Known| one.route.pattern.specificity(&other.route.pattern) == Ordering::Equal;
            let overlap = |one: &Known, other: &Known| {
                one.route.pattern.covers(&other.route.pattern) || other.route.pattern.covers(&one.route.pattern)
            };
            // In the new list this one comes first; it matters where the list decides, and did before.
            if old.place > other_old.place
                && equal(old, other_old)
                && equal(new, other_new)
                && overlap(new, other_new)
                && new.route.methods.iter().any(|method| other_new.route.methods.contains(method))
            {
                swapped.push((new.route.id.clone(), other_new.route.id.clone()));
            }
        }
    }
    swapped
}

fn known(side: &Side) -> BTreeMap<(String, usize), Known> {
    let stored = side.content("routes").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let mut known = BTreeMap::new();
    for (route, place) in side.rules.routes.all() {
        let index = place.rsplit('/').next().and_then(|index| index.parse::<usize>().ok());
        let Some((index, json)) = index.and_then(|index| Some((index, normal(stored.get(index)?, &route)?))) else {
            continue;
        };
        // An id that stands twice is two routes.
        let again = known.keys().filter(|(id, _): &&(String, usize)| *id == route.id).count();
        known.insert((route.id.clone(), again), Known { place: index, route, json });
    }
    known
}

/// A route with its defaults spelled out, and one spelling for one meaning.
fn normal(stored: &Value, route: &Route) -> Option<Value> {
    let read: stored::Route = serde_json::from_value(stored.clone()).ok()?;
    let mut value = serde_json::to_value(&read).ok()?;
    let members = value.as_object_mut()?;
    members.insert("methods".to_owned(), sorted(route.methods.iter().map(|method| method.as_str())));
    // Templates add theirs, so that naming one twice changes nothing.
    members.insert("features".to_owned(), sorted(route.feature_keys.iter().map(String::as_str)));
    members.insert("experiments".to_owned(), sorted(route.experiment_keys.iter().map(String::as_str)));
    members.insert("host".to_owned(), json!(read.host.map(|host| host.to_ascii_lowercase())));
    if let Some(when) = read.when.as_ref().filter(|when| !when.is_null()) {
        members.insert("when".to_owned(), canonical(when));
    }
    let time = |moment: Option<OffsetDateTime>| {
        moment.and_then(|moment| moment.to_offset(time::UtcOffset::UTC).format(&Rfc3339).ok())
    };
    let schedule = json!({ "from": time(route.schedule.from()), "until": time(route.schedule.until()) });
    members.insert("schedule".to_owned(), schedule);
    if route.is_personalized() {
        members.insert("backend".to_owned(), json!(read.backend.as_deref().unwrap_or(DEFAULT_BACKEND)));
        let fallback = read.fallback.unwrap_or_default();
        let mut statuses = fallback.statuses.unwrap_or_else(|| FALLBACK_STATUSES.to_vec());
        statuses.sort_unstable();
        statuses.dedup();
        let backend = fallback.backend.as_deref().unwrap_or(DEFAULT_BACKEND);
        members
            .insert("fallback".to_owned(), json!({ "path": fallback.path, "backend": backend, "statuses": statuses }));
    }
    for (name, default) in [("respond", 200), ("redirect", 302)] {
        if let Some(answer) = members.get_mut(name).and_then(Value::as_object_mut)
            && answer.get("status").is_none_or(Value::is_null)
        {
            answer.insert("status".to_owned(), json!(default));
        }
    }
    if let Some(cache) = members.get_mut("cache").and_then(Value::as_object_mut) {
        for name in ["surrogate_keys", "key_headers", "key_cookies"] {
            let list = cache.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
            let lower = |text: &str| if name == "key_headers" { text.to_ascii_lowercase() } else { text.to_owned() };
            let names: Vec<String> = list.iter().filter_map(Value::as_str).map(lower).collect();
            cache.insert(name.to_owned(), sorted(names.iter().map(String::as_str)));
        }
    }
    Some(value)
}

fn sorted<'n>(names: impl Iterator<Item = &'n str>) -> Value {
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    names.dedup();
    json!(names)
}
