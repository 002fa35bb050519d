//! Visitors worth trying: the values that conditions name, alone and together.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// Most visitors that one condition gives.
const MOST: usize = 256;

/// Attribute (dotted path) → values.
pub type Facts = BTreeMap<String, Value>;

/// Visitors that tell a condition's branches apart: every combination of the values that it names, each attribute being absent too. Numbers
/// come with their neighbours, for `$gt` and the like; a group (`$inGroup`) with its first member. `without` are attributes that the caller sets.
/// What a pattern matches is not guessed.
pub fn visitors(condition: &Value, segments: Option<&Value>, without: &[&str]) -> Vec<Facts> {
    let mut named = BTreeMap::new();
    collect(condition, segments, &mut named);
    let mut visitors = vec![Facts::new()];
    for (attribute, values) in named.iter().filter(|(attribute, _)| !without.contains(&attribute.as_str())) {
        let before = visitors.clone();
        for value in values {
            let with = |facts: &Facts| {
                let mut facts = facts.clone();
                facts.insert(attribute.clone(), value.clone());
                facts
            };
            visitors.extend(before.iter().map(with).take(MOST.saturating_sub(visitors.len())));
        }
    }
    visitors
}

/// The values that a condition names of one attribute.
pub fn named(condition: &Value, attribute: &str) -> Vec<Value> {
    let mut named = BTreeMap::new();
    collect(condition, None, &mut named);
    named.remove(attribute).unwrap_or_default()
}

/// Facts as attributes: a dotted path leads into objects.
pub fn attributes(facts: &Facts) -> Map<String, Value> {
    let mut attributes = Map::new();
    for (path, value) in facts {
        let mut steps: Vec<&str> = path.split('.').collect();
        let last = steps.pop().unwrap_or_default();
        let inner = steps.into_iter().try_fold(&mut attributes, |object, step| {
            object.entry(step).or_insert_with(|| Value::Object(Map::new())).as_object_mut()
        });
        if let Some(inner) = inner {
            inner.insert(last.to_owned(), value.clone());
        }
    }
    attributes
}

fn collect(condition: &Value, segments: Option<&Value>, named: &mut BTreeMap<String, Vec<Value>>) {
    for (key, value) in condition.as_object().into_iter().flatten() {
        match (key.as_str(), value) {
            ("$and" | "$or" | "$nor", Value::Array(list)) => {
                list.iter().for_each(|each| collect(each, segments, named))
            }
            ("$not", inner) => collect(inner, segments, named),
            (attribute, value) if !attribute.starts_with('$') => {
                let mut values = Vec::new();
                literals(value, segments, &mut values);
                let known = named.entry(attribute.to_owned()).or_default();
                values.into_iter().for_each(|value| {
                    if !known.contains(&value) {
                        known.push(value);
                    }
                });
            }
            _ => {}
        }
    }
}

fn literals(value: &Value, segments: Option<&Value>, found: &mut Vec<Value>) {
    let Some(operators) = value.as_object().filter(|members| members.keys().any(|key| key.starts_with('$'))) else {
        return found.push(value.clone());
    };
    for (operator, operand) in operators {
        match (operator.as_str(), operand) {
            ("$in" | "$nin" | "$ini" | "$nini" | "$all", Value::Array(list)) => found.extend(list.iter().cloned()),
            ("$gt" | "$gte" | "$lt" | "$lte", Value::Number(number)) => {
                let number = number.as_f64().unwrap_or_default();
                found.extend([-1.0, 0.0, 1.0].map(|step| whole(number + step)));
            }
            ("$inGroup" | "$notInGroup", Value::String(name)) => {
                let group = segments.and_then(|segments| segments.get(name));
                let ids = group.and_then(|group| group.as_array().or_else(|| group.get("values")?.as_array()));
                found.extend(ids.and_then(|ids| ids.first()).cloned());
            }
            ("$exists", _) => found.push(Value::from("something")),
            ("$not" | "$elemMatch", inner) => literals(inner, segments, found),
            ("$regex" | "$regexi" | "$notRegex" | "$notRegexi" | "$type" | "$size", _) => {}
            (_, operand) => found.push(operand.clone()),
        }
    }
}

/// Whole numbers as such, so that they print without a point.
fn whole(number: f64) -> Value {
    #[allow(clippy::cast_possible_truncation)]
    let integer = number as i64;
    if number.fract() == 0.0 { integer.into() } else { number.into() }
}
