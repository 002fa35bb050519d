//! JSON answers edited in place: only what a rule names changes its bytes. Numbers keep their spelling, objects
//! their order, unknown members and white space their place.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::facts::Facts;
use super::reads::Reads;
use super::template::{Content, Kind, Template, Templates};
use super::{Fault, escape, fault, misread};

mod pointer;
mod rerank;
mod span;
mod stored;

use pointer::Pointer;
use rerank::{CompiledRerank, Order};
pub use stored::{JsonOperations, JsonSet, Rerank};

/// Values set on one answer: each copies it once.
const MAX_SET: usize = 64;
/// Elements that a re-ranking looks at.
pub const MAX_RERANKED: usize = 1000;

/// A route's `json`, compiled.
#[derive(Debug, Clone, Default)]
pub struct JsonRules {
    rerank: Option<CompiledRerank>,
    set: Vec<(Pointer, SetValue, String)>,
}

/// Where a value comes from.
#[derive(Debug, Clone)]
enum SetValue {
    Template(Template),
    Fact {
        path: String,
        default: Option<String>,
    },
    /// JSON text.
    Literal(String),
}

/// The values of one request's edits, resolved before its answer comes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct JsonValues {
    order: Option<Order>,
    /// JSON text, one an edit; `None` where there is none to set.
    set: Vec<Option<String>>,
}

/// What could not be done to an answer, beside what could.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JsonOutcome {
    /// Edits made.
    pub edited: usize,
    /// Edits whose place isn't in the answer, as pointers into the route.
    pub absent: Vec<String>,
}

impl JsonRules {
    /// Compiles a route's `json`, which stands at `pointer`. An edit that can't be used is left out and named.
    pub fn compile(stored: &Value, pointer: &str, templates: &mut Templates, faults: &mut Vec<Fault>) -> Self {
        let mut rules = Self::default();
        let Some(stored) = stored.as_object() else {
            faults.push(fault(pointer, "expected an object with `set` or `rerank`, but found something else"));
            return rules;
        };
        if let Some(rerank) = stored.get("rerank").filter(|rerank| !rerank.is_null()) {
            let compiled =
                Rerank::deserialize(rerank).map_err(|error| ("", misread(&error))).and_then(CompiledRerank::compile);
            match compiled {
                Ok(compiled) => rules.rerank = Some(compiled),
                Err((field, message)) => faults.push(fault(format!("{pointer}/rerank{field}"), message)),
            }
        }
        let sets = match stored.get("set") {
            None | Some(Value::Null) => &[],
            Some(Value::Array(sets)) => sets.as_slice(),
            Some(_) => {
                faults.push(fault(format!("{pointer}/set"), "expected a list, but found something else"));
                &[]
            }
        };
        for (index, set) in sets.iter().enumerate() {
            let pointer = format!("{pointer}/set/{index}");
            if index >= MAX_SET {
                faults.push(fault(pointer, format!("expected at most {MAX_SET} values, but found {}", sets.len())));
                break;
            }
            let compiled = JsonSet::deserialize(set).map_err(|error| ("", misread(&error))).and_then(|set| {
                let place = Pointer::parse(&set.pointer).map_err(|message| ("/pointer", message))?;
                Ok((place, SetValue::compile(set.value, templates).map_err(|message| ("/value", message))?))
            });
            match compiled {
                Ok((place, source)) => rules.set.push((place, source, pointer)),
                Err((field, message)) => faults.push(fault(format!("{pointer}{field}"), message)),
            }
        }
        rules
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.rerank.is_none() && self.set.is_empty()
    }

    /// What the edits read.
    pub fn reads(&self) -> Reads {
        let mut reads = Reads::new();
        self.rerank.iter().for_each(|rerank| rerank.add_reads(&mut reads));
        for (_, source, _) in &self.set {
            match source {
                SetValue::Template(template) => reads.extend(template.reads()),
                SetValue::Fact { path, .. } => reads.add_dotted(path),
                SetValue::Literal(_) => {}
            }
        }
        reads
    }

    /// Resolves the values of one request. An edit whose value can't be rendered is left out and named.
    pub fn resolve(&self, templates: &Templates, facts: &Facts<'_>, faults: &mut Vec<Fault>) -> JsonValues {
        let set = self.set.iter().map(|(_, source, pointer)| match source.json(templates, facts) {
            Ok(json) => json,
            Err(message) => {
                faults.push(fault(pointer, message));
                None
            }
        });
        JsonValues { set: set.collect(), order: self.rerank.as_ref().and_then(|rerank| rerank.order(facts)) }
    }

    /// Edits an answer with the values resolved for its request.
    ///
    /// # Errors
    ///
    /// The answer isn't JSON (RFC 8259) in UTF-8: send it on as it came.
    pub fn edit(&self, body: &[u8], values: &JsonValues) -> Result<(Vec<u8>, JsonOutcome), String> {
        // Nothing is meant by a byte order mark, and nobody shall send one (RFC 8259 section 8.1).
        let body = body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body);
        let text = std::str::from_utf8(body).map_err(|_| "expected UTF-8, but found other bytes".to_owned())?;
        serde_json::from_str::<IgnoredAny>(text)
            .map_err(|error| format!("expected JSON, but found a mistake: {error}"))?;

        let mut outcome = JsonOutcome::default();
        let mut text = text.to_owned();
        let order = self.rerank.as_ref().zip(values.order.as_ref());
        if let Some(reranked) = order.and_then(|(rerank, order)| rerank.apply(&text, order)) {
            text = reranked;
            outcome.edited += 1;
        }
        for ((place, _, pointer), json) in self.set.iter().zip(&values.set) {
            let Some(json) = json else { continue };
            match set(&text, place, json) {
                Some(changed) => {
                    text = changed;
                    outcome.edited += 1;
                }
                None => outcome.absent.push(pointer.clone()),
            }
        }
        Ok((text.into_bytes(), outcome))
    }

    /// Resolves the values and edits an answer.
    ///
    /// # Errors
    ///
    /// The answer isn't JSON (RFC 8259) in UTF-8: send it on as it came.
    pub fn apply(
        &self,
        body: &[u8],
        templates: &Templates,
        facts: &Facts<'_>,
        faults: &mut Vec<Fault>,
    ) -> Result<(Vec<u8>, JsonOutcome), String> {
        self.edit(body, &self.resolve(templates, facts, faults))
    }
}

impl JsonValues {
    /// Bytes that differ where two requests' values differ: what an `ETag` must know of them.
    pub fn fingerprint(&self) -> Vec<u8> {
        format!("{:?}{:?}", self.set, self.order).into_bytes()
    }
}

impl SetValue {
    fn compile(value: Value, templates: &mut Templates) -> Result<Self, String> {
        match value {
            Value::String(template) => templates.compile(&Content::Inline(template), Kind::Text).map(Self::Template),
            Value::Object(mut members) if members.contains_key("from") => {
                let default = members.remove("default").map(|default| safe(&default));
                match (members.remove("from"), members.keys().next()) {
                    (Some(Value::String(path)), None) => Ok(Self::Fact { path, default }),
                    (_, Some(other)) => Err(format!("expected `from` and `default` alone, but found `{other}`")),
                    _ => Err("expected a path in `from`, but found something else".to_owned()),
                }
            }
            literal => Ok(Self::Literal(safe(&literal))),
        }
    }

    /// The value as JSON text; `None` where there is none to set.
    fn json(&self, templates: &Templates, facts: &Facts<'_>) -> Result<Option<String>, String> {
        match self {
            SetValue::Template(template) => {
                Ok(Some(safe(&Value::String(templates.render(template, facts)?.into_owned()))))
            }
            SetValue::Fact { path, default } => Ok(facts.get(path).map(safe).or_else(|| default.clone())),
            SetValue::Literal(json) => Ok(Some(json.clone())),
        }
    }
}

/// JSON text that stays harmless where an answer is taken for HTML or pasted into a script.
fn safe(value: &Value) -> String {
    escape::json_in_script(&value.to_string()).into_owned()
}

/// The text with `json` at its place; `None` where its holder is missing.
fn set(text: &str, place: &Pointer, json: &str) -> Option<String> {
    let (at, insert) = match place.find(text) {
        Some(found) => (found, json.to_owned()),
        None => {
            let (holder, name) = place.parent(text)?;
            added(text, holder, name, json)?
        }
    };
    let mut out = String::with_capacity(text.len() + insert.len());
    out.push_str(text.get(..at.start)?);
    out.push_str(&insert);
    out.push_str(text.get(at.end..)?);
    Some(out)
}

/// Where a new member or element goes, and its text: behind the last one.
fn added(text: &str, holder: usize, name: &str, json: &str) -> Option<(span::Span, String)> {
    let inside = holder + 1;
    let (last, item) = if text.as_bytes().get(holder) == Some(&b'[') {
        let elements: Vec<span::Span> = span::elements(text, holder)?.collect();
        let is_next = name == "-" || pointer::index(name) == Some(elements.len());
        (
            elements
                .last()
                .filter(|_| is_next)
                .cloned()
                .or_else(|| (is_next && elements.is_empty()).then_some(inside..inside))?,
            json.to_owned(),
        )
    } else {
        let last = span::members(text, holder)?.last().map(|member| member.value);
        (last.unwrap_or(inside..inside), format!("{}:{json}", safe(&Value::String(name.to_owned()))))
    };
    // An empty holder gets it behind its bracket.
    let is_first = last.end == inside;
    Some((last.end..last.end, if is_first { item } else { format!(",{item}") }))
}

#[cfg(test)]
mod tests;
