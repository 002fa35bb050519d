//! Names that lead nowhere: attributes and values that nobody has, and parts of a route that its action reads past. All of it works at the edge, and does nothing.

use std::collections::BTreeSet;

use edge_personalizer::attributes::{self, Kind};
use edge_personalizer::rules::RuleSet;
use edge_personalizer::rules::route::CompiledAction;
use edge_personalizer::rules::route::answer::AnswerBody;
use edge_personalizer::rules::settings::attributes::OwnKind;
use serde_json::Value;

use super::Checked;
use super::compile::{escape, nearest};
use crate::countries;

/// What operations on a page read beside attributes.
const SHOWN: [&str; 2] = ["feature", "experiment"];

/// What only a personalized route reads.
const PERSONALIZE: [&str; 8] = ["rewrite", "request_headers", "cache", "fallback", "html", "json", "adapt", "backend"];

/// A test of an attribute: its pointer, its name, what it is compared with.
struct Tested<'a> {
    pointer: String,
    name: &'a str,
    operand: &'a Value,
}

impl<'a> Checked<'a> {
    /// Every condition on a visitor's attributes: dictionary, pointer, condition.
    pub(super) fn all_conditions(&self) -> Vec<(&'static str, String, &'a Value)> {
        let mut all = Vec::new();
        let mut add = |dictionary, pointer: String, condition: Option<&'a Value>| {
            all.extend(condition.map(|condition| (dictionary, pointer, condition)));
        };
        for (index, region) in self.rules_of("regions", "regions").into_iter().enumerate() {
            add("regions", format!("/regions/{index}/when"), region.get("when"));
        }
        for (index, route) in self.rules_of("routes", "routes").into_iter().enumerate() {
            add("routes", format!("/routes/{index}/when"), route.get("when"));
            for (number, operation) in route.get("html").and_then(Value::as_array).into_iter().flatten().enumerate() {
                add("routes", format!("/routes/{index}/html/{number}/when"), operation.get("when"));
            }
        }
        for (key, feature) in
            self.json("features").and_then(|json| json.get("features")?.as_object()).into_iter().flatten()
        {
            for (index, rule) in feature.get("rules").and_then(Value::as_array).into_iter().flatten().enumerate() {
                add("features", format!("/features/{}/rules/{index}/condition", escape(key)), rule.get("condition"));
            }
        }
        for (index, experiment) in self.rules_of("experiments", "experiments").into_iter().enumerate() {
            add("experiments", format!("/experiments/{index}/condition"), experiment.get("condition"));
        }
        all
    }
}

impl Checked<'_> {
    /// Names what leads nowhere.
    pub(super) fn names(&mut self) {
        self.attributes();
        self.handed_over();
        self.read_past();
    }

    fn attributes(&mut self) {
        let rules = self.rules;
        let known: Vec<&str> = names_of(rules).collect();
        let regions: BTreeSet<&str> = rules.regions.all().map(|region| region.id.as_str()).collect();
        for (dictionary, pointer, condition) in self.all_conditions() {
            let mut tested = Vec::new();
            collect(condition, &pointer, &mut tested);
            for Tested { pointer, name, operand } in tested {
                // Who can't read the settings can't know which attributes they declare.
                let may_be_declared = self.is_broken("settings");
                if SHOWN.contains(&name) && pointer.starts_with("/routes/") && pointer.contains("/html/") {
                    continue;
                }
                if !known.contains(&name) {
                    // What apps and servers say of themselves when they ask for flags.
                    let ofrep = rules.settings.ofrep.as_ref().filter(|_| dictionary == "features");
                    let is_said = ofrep.is_some_and(|ofrep| ofrep.context.iter().any(|said| said == name));
                    if may_be_declared || is_said {
                        continue;
                    }
                    let near = nearest(name, known.iter().copied());
                    // A server says whatever it wants of whom it asks for.
                    if ofrep.is_some() && near.is_none() {
                        continue;
                    }
                    let hint = near.map(|name| format!(": is it '{name}'?")).unwrap_or_default();
                    let message = format!("expected an attribute, but found '{name}', which no visitor has{hint}");
                    self.warn(dictionary, pointer, message);
                } else if dictionary == "regions" && name == "region" {
                    let message = "expected another attribute, but found 'region', which is what this looks for: it is always absent here";
                    self.warn(dictionary, pointer, message);
                } else if let Some(word) = operator_without_sign(operand) {
                    let message = format!(
                        "expected an operator such as ${word}, but found '{word}': this compares with the object as it stands"
                    );
                    self.warn(dictionary, format!("{pointer}/{}", escape(word)), message);
                } else {
                    let mut values = Vec::new();
                    compared(operand, &mut values);
                    for value in values {
                        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                        let expected = match name {
                            "region" => (!regions.contains(text.as_str()) && !self.is_broken("regions")).then(|| {
                                format!(
                                    "the id of a region ({})",
                                    regions.iter().copied().collect::<Vec<_>>().join(", ")
                                )
                            }),
                            "language" if may_be_declared => None,
                            // A server spells the city of whom it asks for as it likes.
                            "city" if dictionary == "features" && rules.settings.ofrep.is_some() => None,
                            name if is_truth(rules, name) => (!value.is_boolean()).then(|| "true or false".to_owned()),
                            _ => closed_value(rules, name, &text),
                        };
                        if let Some(expected) = expected {
                            let message = format!(
                                "expected {expected}, but found '{text}', which no visitor has{}",
                                meant(rules, name, &text)
                            );
                            self.warn(dictionary, pointer.clone(), message);
                        }
                    }
                }
            }
        }
    }

    /// Attributes that `growthbook` hands to the browser, and that no visitor has.
    fn handed_over(&mut self) {
        if self.is_broken("settings") {
            return;
        }
        let known: Vec<&str> = names_of(self.rules).collect();
        for (index, route) in self.rules_of("routes", "routes").into_iter().enumerate() {
            for (number, operation) in route.get("html").and_then(Value::as_array).into_iter().flatten().enumerate() {
                let named = operation.pointer("/growthbook/attributes").and_then(Value::as_array);
                for (place, name) in named.into_iter().flatten().enumerate() {
                    let Some(name) = name.as_str().filter(|name| !known.contains(name)) else { continue };
                    let hint = nearest(name, known.iter().copied());
                    let hint = hint.map(|name| format!(": is it '{name}'?")).unwrap_or_default();
                    let message = format!("expected an attribute, but found '{name}', which no visitor has{hint}");
                    self.warn(
                        "routes",
                        format!("/routes/{index}/html/{number}/growthbook/attributes/{place}"),
                        message,
                    );
                }
            }
        }
    }

    /// Keys that say something which the route's action never reads.
    fn read_past(&mut self) {
        for (route, pointer) in self.routes() {
            let (action, read) = match &route.action {
                CompiledAction::Personalize(_) => ("personalize", PERSONALIZE.as_slice()),
                CompiledAction::Passthrough => ("passthrough", &[] as &[&str]),
                // A text can always be made: nothing is asked for in its place.
                CompiledAction::Respond(answer) if matches!(answer.body, AnswerBody::Text(_)) => {
                    ("respond", &["respond"] as &[&str])
                }
                CompiledAction::Respond(_) => ("respond", &["respond", "fallback"] as &[&str]),
                CompiledAction::Redirect { .. } => ("redirect", &["redirect"] as &[&str]),
            };
            let unread = PERSONALIZE.iter().chain(&["respond", "redirect"]).filter(|key| !read.contains(key));
            let written = self.json("routes").and_then(|json| json.pointer(&pointer)?.as_object());
            for key in unread.filter(|key| written.is_some_and(|route| route.contains_key(**key))) {
                let message = match *key {
                    "respond" | "redirect" => {
                        format!("expected \"action\": \"{key}\" beside it, but found '{action}', which ignores it")
                    }
                    _ => format!(
                        "expected \"action\": \"personalize\" beside it, but found '{action}', which ignores it"
                    ),
                };
                self.warn("routes", format!("{pointer}/{key}"), message);
            }
        }
    }
}

/// Every test of an attribute in a condition.
fn collect<'c>(condition: &'c Value, pointer: &str, tested: &mut Vec<Tested<'c>>) {
    for (key, value) in condition.as_object().into_iter().flatten() {
        let below = format!("{pointer}/{}", escape(key));
        match key.as_str() {
            "$and" | "$or" | "$nor" => {
                for (index, condition) in value.as_array().into_iter().flatten().enumerate() {
                    collect(condition, &format!("{below}/{index}"), tested);
                }
            }
            "$not" => collect(value, &below, tested),
            key if key.starts_with('$') => {}
            key => {
                let name = key.split('.').next().unwrap_or_default();
                // What stands deeper has values of its own.
                let operand = if name == key { value } else { &Value::Null };
                tested.push(Tested { pointer: below, name, operand });
            }
        }
    }
}

/// The operator that an operand has without its `$`.
fn operator_without_sign(operand: &Value) -> Option<&str> {
    const OPERATORS: [&str; 17] = [
        "eq",
        "ne",
        "in",
        "nin",
        "ini",
        "nini",
        "gt",
        "gte",
        "lt",
        "lte",
        "regex",
        "exists",
        "size",
        "not",
        "elemMatch",
        "all",
        "inGroup",
    ];
    let operators = operand.as_object()?;
    let here = operators.keys().map(String::as_str).find(|key| OPERATORS.contains(key));
    here.or_else(|| operator_without_sign(operators.get("$not")?))
}

/// The scalars that an attribute is compared with.
fn compared<'c>(operand: &'c Value, found: &mut Vec<&'c Value>) {
    match operand {
        Value::String(_) | Value::Number(_) | Value::Bool(_) => found.push(operand),
        Value::Object(operators) => {
            for (operator, operand) in operators {
                match (operator.as_str(), operand) {
                    ("$eq" | "$ne" | "$not", operand) => compared(operand, found),
                    ("$in" | "$nin", Value::Array(list)) => list.iter().for_each(|value| compared(value, found)),
                    _ => {}
                }
            }
        }
        _ => {}
    }
}

/// The names of all attributes: the service's own, and those that the settings declare.
pub(super) fn names_of(rules: &RuleSet) -> impl Iterator<Item = &str> {
    attributes::TABLE.iter().map(|attribute| attribute.name).chain(rules.own.iter().map(|own| own.name.as_str()))
}

/// All values that an attribute can have; empty where they are not closed.
fn closed(rules: &RuleSet, name: &str) -> Vec<String> {
    match (attributes::find(name), rules.own.find(name)) {
        (Some(attribute), _) => attribute.values.iter().map(|value| (*value).to_owned()).collect(),
        (None, Some((_, own))) if matches!(own.kind, OwnKind::Text | OwnKind::List) => own.values.clone(),
        _ => Vec::new(),
    }
}

fn is_truth(rules: &RuleSet, name: &str) -> bool {
    match (attributes::find(name), rules.own.find(name)) {
        (Some(attribute), _) => attribute.kind == Kind::Truth,
        (None, Some((_, own))) => own.kind == OwnKind::Truth,
        (None, None) => false,
    }
}

/// What the value of an attribute (or of a template's value of that name) looks like, where it is never `value`.
pub(super) fn closed_value(rules: &RuleSet, name: &str, value: &str) -> Option<String> {
    let known = closed(rules, name);
    if !known.is_empty() {
        return (!known.iter().any(|known| known == value)).then(|| format!("one of {}", known.join(", ")));
    }
    let languages: Vec<&str> = rules.settings.all_languages().collect();
    match name {
        "country" => (!countries::is_country(value)).then(|| "two capital letters (ISO 3166-1)".to_owned()),
        "subdivision" => (!is_subdivision(value))
            .then(|| "1 to 3 capital letters or digits (ISO 3166-2, without the country)".to_owned()),
        "city" => value.chars().any(char::is_uppercase).then(|| "small letters, as Fastly writes cities".to_owned()),
        "language" if languages.is_empty() => Some("a language of settings.languages, which names none".to_owned()),
        "language" => (!languages.contains(&value))
            .then(|| format!("a language of settings.languages ({})", languages.join(", "))),
        _ => None,
    }
}

fn is_subdivision(text: &str) -> bool {
    let is_one = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
    (1..=3).contains(&text.len()) && text.bytes().all(is_one)
}

/// The value that was probably meant.
fn meant(rules: &RuleSet, name: &str, value: &str) -> String {
    let known = closed(rules, name);
    let meant = match name {
        "country" => countries::meant(value).map(str::to_owned),
        // `DE-BY` as ISO 3166-2 has it.
        "subdivision" => value.rsplit('-').next().map(str::to_ascii_uppercase).filter(|code| is_subdivision(code)),
        "city" => Some(value.to_lowercase()),
        _ => nearest(value, known.iter().map(String::as_str)).map(str::to_owned),
    };
    meant.map(|meant| format!(": is it '{meant}'?")).unwrap_or_default()
}
