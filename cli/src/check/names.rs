//! Names that lead nowhere: attributes and values that nobody has, and parts of a route that its action reads past. All of it works at the edge, and does nothing.

use std::collections::BTreeSet;

use edge_personalizer::context::ATTRIBUTES;
use edge_personalizer::rules::route::CompiledAction;
use serde_json::Value;

use super::Checked;
use super::compile::{escape, nearest};
use crate::countries;

/// What is not known yet while a region is looked for: who asks, and the region itself.
const AFTER_REGIONS: [&str; 7] = ["id", "userId", "visitorId", "loggedIn", "segments", "session", "region"];
/// Attributes with few values, and those values.
const CLOSED: [(&str, &[&str]); 3] = [
    ("deviceType", &["mobile", "tablet", "desktop", "tv", "bot"]),
    ("network", &["slow", "medium", "fast"]),
    ("continent", &["AF", "AN", "AS", "EU", "NA", "OC", "SA"]),
];

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
        self.read_past();
    }

    fn attributes(&mut self) {
        let regions: BTreeSet<String> = self.rules.regions.all().map(|region| region.id.clone()).collect();
        let languages = self.rules.settings.languages.clone();
        for (dictionary, pointer, condition) in self.all_conditions() {
            let mut tested = Vec::new();
            collect(condition, &pointer, &mut tested);
            for Tested { pointer, name, operand } in tested {
                if !ATTRIBUTES.contains(&name) {
                    let hint = nearest(name, ATTRIBUTES).map(|name| format!(": is it '{name}'?")).unwrap_or_default();
                    let message = format!("expected an attribute, but found '{name}', which no visitor has{hint}");
                    self.warn(dictionary, pointer, message);
                } else if dictionary == "regions" && AFTER_REGIONS.contains(&name) {
                    let message = format!(
                        "expected a fact that is known before the region, but found '{name}', which is always absent here"
                    );
                    self.warn(dictionary, pointer, message);
                } else {
                    let mut values = Vec::new();
                    compared(operand, &mut values);
                    for value in values {
                        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                        let expected = match name {
                            "region" => (!regions.contains(&text) && !self.is_broken("regions")).then(|| {
                                format!(
                                    "the id of a region ({})",
                                    regions.iter().cloned().collect::<Vec<_>>().join(", ")
                                )
                            }),
                            "language" if self.is_broken("settings") => None,
                            _ => closed_value(name, &text, &languages),
                        };
                        if let Some(expected) = expected {
                            let message = format!(
                                "expected {expected}, but found '{text}', which no visitor has{}",
                                meant(name, &text)
                            );
                            self.warn(dictionary, pointer.clone(), message);
                        }
                    }
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
                CompiledAction::Respond { .. } => ("respond", &["respond"] as &[&str]),
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
            let draws_session = route.html.iter().chain(&route.json).any(|operation| self.draws_session(operation));
            if draws_session && !route.needs.session {
                let message = "expected \"session\": {} on this route, but found none: a template reads the session, which is always empty here";
                self.warn("routes", pointer, message);
            }
        }
    }

    /// Whether a template that the operation names draws from the session.
    fn draws_session(&self, operation: &Value) -> bool {
        match operation {
            Value::Object(members) => members.iter().any(|(key, value)| match (key.as_str(), value) {
                ("template", Value::String(name)) => {
                    let source = self.json("templates").and_then(|json| json.get("templates")?.get(name)?.as_str());
                    source.is_some_and(|source| source.contains("session."))
                }
                _ => self.draws_session(value),
            }),
            Value::Array(items) => items.iter().any(|item| self.draws_session(item)),
            _ => false,
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

/// What the value of an attribute (or of a template's value of that name) looks like, where it is never `value`.
pub(super) fn closed_value(name: &str, value: &str, languages: &[String]) -> Option<String> {
    if let Some((_, known)) = CLOSED.iter().find(|(closed, _)| *closed == name) {
        return (!known.contains(&value)).then(|| format!("one of {}", known.join(", ")));
    }
    match name {
        "country" => (!countries::is_country(value)).then(|| "two capital letters (ISO 3166-1)".to_owned()),
        "language" if languages.is_empty() => Some("a language of settings.languages, which names none".to_owned()),
        "language" => (!languages.iter().any(|known| known == value))
            .then(|| format!("a language of settings.languages ({})", languages.join(", "))),
        _ => None,
    }
}

/// The value that was probably meant.
fn meant(name: &str, value: &str) -> String {
    let meant = match CLOSED.iter().find(|(closed, _)| *closed == name) {
        Some((_, known)) => nearest(value, known.iter().copied()),
        None if name == "country" => countries::meant(value),
        None => None,
    };
    meant.map(|meant| format!(": is it '{meant}'?")).unwrap_or_default()
}
