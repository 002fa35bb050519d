//! Values that differ, each named by its place.

use edge_personalizer::rules::settings::Settings;
use serde::Serialize;
use serde_json::Value;

use super::side::Side;

/// One value that isn't what it was.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// Where: `cache.ttl`, `rules[0].weights`.
    pub what: String,
    /// What it was; `null` where there was nothing.
    pub from: Value,
    /// What it is to be; `null` where there is nothing any more.
    pub to: Value,
}

/// Where `a` and `b` differ, as deep as both are objects, or lists of as many objects. `null` and nothing are the same. Conditions stay
/// whole: half of one says nothing.
pub fn changes(a: &Value, b: &Value) -> Vec<Change> {
    let mut found = Vec::new();
    walk("", a, b, &mut found);
    found
}

fn walk(place: &str, a: &Value, b: &Value, found: &mut Vec<Change>) {
    if a == b {
        return;
    }
    let is_condition = ["when", "condition"].iter().any(|name| place == *name || place.ends_with(&format!(".{name}")));
    let below = |key: &str| if place.is_empty() { key.to_owned() } else { format!("{place}.{key}") };
    match (a, b) {
        (Value::Object(old), Value::Object(new)) if !is_condition => {
            for (key, old) in old {
                walk(&below(key), old, new.get(key).unwrap_or(&Value::Null), found);
            }
            for (key, new) in new.iter().filter(|(key, _)| !old.contains_key(*key)) {
                walk(&below(key), &Value::Null, new, found);
            }
        }
        (Value::Array(old), Value::Array(new))
            if old.len() == new.len() && old.iter().chain(new).all(Value::is_object) =>
        {
            for (index, (old, new)) in old.iter().zip(new).enumerate() {
                walk(&format!("{place}[{index}]"), old, new, found);
            }
        }
        // Lists that lost or won members: those, and not the whole of both.
        (Value::Array(old), Value::Array(new)) if old.iter().chain(new).all(Value::is_object) => {
            let before = found.len();
            let only = |list: &[Value], other: &[Value]| -> Vec<(String, Value)> {
                let only = list.iter().enumerate().filter(|(_, member)| !other.contains(member));
                only.map(|(index, member)| (format!("{place}[{index}]"), member.clone())).collect()
            };
            found.extend(only(old, new).into_iter().map(|(what, from)| Change { what, from, to: Value::Null }));
            found.extend(only(new, old).into_iter().map(|(what, to)| Change { what, from: Value::Null, to }));
            if found.len() == before {
                found.push(Change { what: place.to_owned(), from: a.clone(), to: b.clone() });
            }
        }
        _ => found.push(Change { what: place.to_owned(), from: a.clone(), to: b.clone() }),
    }
}

/// Settings that differ, with the defaults of those that nobody set.
pub fn settings(a: &Side, b: &Side) -> Vec<Change> {
    let read = |side: &Side| serde_json::to_value::<&Settings>(&side.rules.settings).unwrap_or_default();
    changes(&read(a), &read(b))
}

/// A condition, so that two spellings of one meaning are equal: the order of a set's members doesn't matter, and `{"$eq": x}` is `x`.
pub fn canonical(condition: &Value) -> Value {
    match condition {
        Value::Object(members) => match members.iter().collect::<Vec<_>>().as_slice() {
            [(key, value)] if *key == "$eq" && !value.is_object() => (*value).clone(),
            all => all
                .iter()
                .map(|(key, value)| ((*key).clone(), member(key, value)))
                .collect::<serde_json::Map<_, _>>()
                .into(),
        },
        Value::Array(list) => list.iter().map(canonical).collect(),
        scalar => scalar.clone(),
    }
}

fn member(key: &str, value: &Value) -> Value {
    match (key, value) {
        ("$in" | "$nin" | "$ini" | "$nini", Value::Array(list)) => {
            let mut list = list.clone();
            list.sort_by_key(Value::to_string);
            list.dedup();
            list.into()
        }
        _ => canonical(value),
    }
}
