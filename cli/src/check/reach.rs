//! Regions that nobody can be in, because earlier ones take everybody whom their conditions describe.

use std::collections::BTreeMap;

use edge_personalizer::condition::{Condition, Groups};
use serde_json::{Map, Value};

use super::Checked;
use crate::countries::continent_of;

/// Most combinations of values that are tried for one region.
const MOST: usize = 4_096;
/// Countries that databases put on different continents: nothing follows from them.
const BETWEEN: [&str; 5] = ["CY", "GE", "RU", "TL", "TR"];

impl Checked<'_> {
    /// Names regions that are never reached, with the earlier ones that come first.
    pub(super) fn unreachable_regions(&mut self) {
        let regions = self.rules_of("regions", "regions");
        let conditions: Vec<Value> =
            regions.iter().map(|region| region.get("when").cloned().unwrap_or_default()).collect();
        let mut found = Vec::new();
        for (index, condition) in conditions.iter().enumerate() {
            let earlier = conditions.get(..index).unwrap_or_default();
            if let Some(by) = covered(condition, earlier, self.rules.groups()) {
                let id = |index: &usize| {
                    let id = regions.get(*index).and_then(|region| region.get("id")?.as_str()).unwrap_or_default();
                    format!("'{id}' (/regions/{index})")
                };
                let by: Vec<String> = by.iter().map(id).collect();
                found.push((index, by.join(", ")));
            }
        }
        for (index, by) in found {
            let message = format!(
                "expected a region that some visitor is in, but found one that is never reached: {by} comes first and takes all of its visitors"
            );
            self.warn("regions", format!("/regions/{index}"), message);
        }
    }
}

/// The earlier conditions that together hold wherever `condition` does; `None` where that can't be shown.
fn covered(condition: &Value, earlier: &[Value], groups: &Groups) -> Option<Vec<usize>> {
    let own = conjuncts(condition);
    // Nothing but what this one asks for, too.
    let implied = |other: &Value| conjuncts(other).iter().all(|conjunct| own.contains(conjunct));
    if let Some(first) = earlier.iter().position(implied) {
        return Some(vec![first]);
    }
    let visitors = visitors(&own)?;
    let mut by = Vec::new();
    for visitor in &visitors {
        let visitor = Value::Object(visitor.clone());
        let takes = |other: &Value| {
            Condition::compile(other).is_ok_and(|other| {
                other.attributes_used().all(|name| visitor.get(name).is_some()) && other.matches(&visitor, groups)
            })
        };
        let first = earlier.iter().position(takes)?;
        if !by.contains(&first) {
            by.push(first);
        }
    }
    by.sort_unstable();
    Some(by)
}

/// The tests that must all hold: attribute and operand, `$and` opened, `$eq` and `$in` of one value written plainly.
fn conjuncts(condition: &Value) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for (key, value) in condition.as_object().into_iter().flatten() {
        match (key.as_str(), value) {
            ("$and", Value::Array(list)) => list.iter().for_each(|inner| found.extend(conjuncts(inner))),
            _ => {
                let only =
                    value.as_object().filter(|members| members.len() == 1).and_then(|members| members.iter().next());
                let plain = match only.map(|(operator, operand)| (operator.as_str(), operand)) {
                    Some(("$eq", operand)) => operand.clone(),
                    Some(("$in", Value::Array(list))) if list.len() == 1 => list.first().cloned().unwrap_or_default(),
                    _ => value.clone(),
                };
                found.push((key.clone(), plain));
            }
        }
    }
    found
}

/// Every combination of the values that the tests leave to an attribute, with a country's continent; `None` where there are none, or too many.
fn visitors(tests: &[(String, Value)]) -> Option<Vec<Map<String, Value>>> {
    let mut values: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for (name, operand) in tests {
        let listed = match operand {
            Value::String(_) => vec![operand.clone()],
            Value::Object(operators) => match operators.get("$in").and_then(Value::as_array) {
                Some(list) if operators.len() == 1 => list.clone(),
                _ => continue,
            },
            _ => continue,
        };
        // Two tests of one attribute: the values of the first; that the second leaves fewer changes nothing here.
        values.entry(name).or_insert(listed);
    }
    let mut visitors = vec![Map::new()];
    for (name, values) in &values {
        if visitors.len() * values.len() > MOST {
            return None;
        }
        let with = |visitor: &Map<String, Value>, value: &Value| {
            let mut visitor = visitor.clone();
            visitor.insert((*name).to_owned(), value.clone());
            visitor
        };
        visitors = visitors.iter().flat_map(|visitor| values.iter().map(move |value| with(visitor, value))).collect();
    }
    for visitor in &mut visitors {
        let country = visitor.get("country").and_then(Value::as_str).filter(|country| !BETWEEN.contains(country));
        if let Some(continent) = country.and_then(continent_of)
            && !visitor.contains_key("continent")
        {
            visitor.insert("continent".to_owned(), continent.into());
        }
    }
    (!values.is_empty()).then_some(visitors)
}
