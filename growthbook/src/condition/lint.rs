//! The strict reader of conditions: what the evaluator forgives, the checker names.

use serde_json::Value as Json;

use super::operator::is_operators;
use super::pattern::Pattern;
use super::{Condition, Fault, Groups};

const TYPES: [&str; 6] = ["string", "number", "boolean", "array", "object", "null"];

/// Every fault of a condition, in its order: the shapes that don't compile, and what compiles but can't have been meant (unknown operators,
/// patterns that never match, operands of the wrong type, and, where `groups` are given, groups that don't exist).
#[must_use]
pub fn lint(json: &Json, groups: Option<&Groups>) -> Vec<Fault> {
    let mut lint = Lint { groups, at: Vec::new(), faults: Vec::new() };
    lint.condition(json);
    // The compiler's own limits, where it stops at a place that nothing was said of.
    if let Err(fault) = Condition::compile(json)
        && !lint.faults.iter().any(|found| found.pointer == fault.pointer)
    {
        lint.faults.push(fault);
    }
    lint.faults
}

struct Lint<'a> {
    groups: Option<&'a Groups>,
    at: Vec<String>,
    faults: Vec<Fault>,
}

impl Lint<'_> {
    fn report(&mut self, fault: Fault) {
        let placed = self.at.iter().rev().fold(fault, Fault::under);
        self.faults.push(placed);
    }

    fn below(&mut self, step: impl ToString, look: impl FnOnce(&mut Self)) {
        self.at.push(step.to_string());
        look(self);
        self.at.pop();
    }

    fn condition(&mut self, json: &Json) {
        let Json::Object(entries) = json else {
            // The compiler's own words.
            if let Err(fault) = Condition::compile(json) {
                self.report(fault);
            }
            return;
        };
        for (key, value) in entries {
            self.below(key, |lint| match key.as_str() {
                "$and" | "$or" | "$nor" => lint.conditions(value),
                "$not" => lint.condition(value),
                _ => {
                    if key.starts_with('$') {
                        lint.report(Fault::read_as_attribute(key));
                    }
                    lint.test(value);
                }
            });
        }
    }

    fn conditions(&mut self, json: &Json) {
        match json {
            Json::Array(items) if items.is_empty() => {
                self.report(Fault::new("expected at least one condition, but found an empty array"));
            }
            Json::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.below(index, |lint| lint.condition(item));
                }
            }
            other => self.report(Fault::expected("a list of conditions", other)),
        }
    }

    fn test(&mut self, json: &Json) {
        let Json::Object(entries) = json else { return };
        if is_operators(entries) {
            for (name, operand) in entries {
                self.below(name, |lint| lint.operator(name, operand));
            }
        } else if let Some(operator) = entries.keys().find(|key| key.starts_with('$')) {
            self.report(Fault::new(format!(
                "expected operators alone or members alone, but found the operator {operator} beside other keys: all of it is compared as JSON"
            )));
        }
    }

    fn operator(&mut self, name: &str, operand: &Json) {
        match name {
            "$eq" | "$ne" if operand.is_array() || operand.is_object() => {
                self.report(Fault::expected(
                    "text, a number, true, false or null (no two lists or objects are the same)",
                    operand,
                ));
            }
            "$eq" | "$ne" => {}
            "$lt" | "$lte" | "$gt" | "$gte" if operand.is_number() || operand.is_string() => {}
            "$lt" | "$lte" | "$gt" | "$gte" => self.report(Fault::expected("a number or text", operand)),
            "$veq" | "$vne" | "$vlt" | "$vlte" | "$vgt" | "$vgte" if operand.is_string() => {}
            "$veq" | "$vne" | "$vlt" | "$vlte" | "$vgt" | "$vgte" => {
                self.report(Fault::expected("a version in quotes", operand));
            }
            "$exists" if operand.is_boolean() => {}
            "$exists" => self.report(Fault::expected("true or false", operand)),
            "$in" | "$nin" | "$ini" | "$nini" if operand.is_array() => {}
            "$in" | "$nin" | "$ini" | "$nini" => self.report(Fault::expected("a list of values", operand)),
            "$inGroup" | "$notInGroup" => self.group(operand),
            "$all" | "$alli" => match operand {
                Json::Array(items) => {
                    for (index, item) in items.iter().enumerate() {
                        self.below(index, |lint| lint.test(item));
                    }
                }
                other => self.report(Fault::expected("a list of values", other)),
            },
            "$elemMatch" => match operand {
                Json::Object(entries) if is_operators(entries) => self.test(operand),
                other => self.condition(other),
            },
            "$size" | "$not" => self.test(operand),
            "$regex" | "$regexi" => self.pattern(operand, name == "$regexi"),
            "$type" if operand.as_str().is_some_and(|name| TYPES.contains(&name)) => {}
            "$type" => self.report(Fault::expected(&format!("one of {}", TYPES.join(", ")), operand)),
            unknown => self.report(Fault::unknown_operator(unknown)),
        }
    }

    fn group(&mut self, operand: &Json) {
        match operand {
            Json::String(name) => {
                if self.groups.is_some_and(|groups| !groups.contains(name)) {
                    self.report(Fault::new(format!(
                        "expected the name of a segment, but found {name:?}, and there is none of that name"
                    )));
                }
            }
            other => self.report(Fault::expected("the name of a segment", other)),
        }
    }

    fn pattern(&mut self, operand: &Json, insensitive: bool) {
        match operand {
            Json::String(source) => {
                if let Some(fault) = Pattern::check(source, insensitive) {
                    self.report(fault);
                }
            }
            other => self.report(Fault::expected("a pattern", other)),
        }
    }
}
