//! On which condition an operation applies: the condition language, over the visitor's attributes and what the visitor is shown.
//!
//! `feature.<key>` and `experiment.<key>` read what the request was decided to show. A key may have dots, which the condition language
//! takes for steps: so such a path is compiled as one name, and read here.

use std::borrow::Cow;

use serde_json::{Map, Value as Json};

use super::reads::Reads;
use crate::condition::{Attributes, Condition, Fault, Groups, PatternWork, Value};

/// Stands for a dot in the name of `feature.<key>`: no rule holds it.
const DOT: char = '\u{1}';
const SHOWN: [&str; 2] = ["feature.", "experiment."];

/// A condition of an operation, compiled.
#[derive(Debug, Clone)]
pub struct When {
    condition: Condition,
    reads: Reads,
}

impl When {
    /// Compiles a condition.
    ///
    /// # Errors
    ///
    /// The first place that makes no condition; the pointer is relative to `stored`.
    pub fn compile(stored: &Json) -> Result<Self, Fault> {
        let mut reads = Reads::new();
        let named = name_shown(stored, &mut reads);
        let condition = Condition::compile(&named).map_err(|fault| Fault {
            pointer: fault.pointer.replace(DOT, "."),
            message: fault.message.replace(DOT, "."),
        })?;
        Ok(Self { condition, reads })
    }

    /// Whether the operation applies.
    #[must_use]
    pub fn holds(&self, known: &Known<'_>, groups: &Groups) -> bool {
        self.condition.matches(known, groups)
    }

    /// What the condition reads, whether it holds or not.
    #[must_use]
    pub fn reads(&self) -> &Reads {
        &self.reads
    }
}

/// What a condition of an operation may read: the visitor's attributes, and what the visitor is shown.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    /// The visitor's attributes.
    pub attributes: &'a dyn Attributes,
    /// An object: the values of the shown features by key. Anything else means none.
    pub features: &'a Json,
    /// An object: the variations of the shown experiments by key. Anything else means none.
    pub experiments: &'a Json,
}

impl Attributes for Known<'_> {
    fn attribute(&self, name: &str) -> Option<Value<'_>> {
        match (name.split_once(DOT), name) {
            (Some(("feature", path)), _) => shown(self.features, path),
            (Some(("experiment", path)), _) => shown(self.experiments, path),
            (_, "feature") => Some(Value::from(self.features)),
            (_, "experiment") => Some(Value::from(self.experiments)),
            _ => self.attributes.attribute(name),
        }
    }

    fn pattern_work(&self) -> Option<&PatternWork> {
        self.attributes.pattern_work()
    }
}

/// The value of the longest key that the path begins with, or what is in it.
fn shown<'j>(shown: &'j Json, path: &str) -> Option<Value<'j>> {
    let members = shown.as_object()?;
    let mut ends: Vec<usize> = path.match_indices(DOT).map(|(at, _)| at).chain([path.len()]).collect();
    ends.reverse();
    ends.into_iter().find_map(|end| {
        let value = members.get(&path.get(..end)?.replace(DOT, "."))?;
        let rest = path.get(end..)?.strip_prefix(DOT);
        rest.map_or_else(|| Some(Value::from(value)), |rest| inside(value, rest))
    })
}

/// What is at the steps, as the condition language walks them.
fn inside<'j>(value: &'j Json, steps: &str) -> Option<Value<'j>> {
    let (step, rest) = steps.split_once(DOT).map_or((steps, None), |(step, rest)| (step, Some(rest)));
    let next = match value {
        Json::Array(items) if step == "length" && rest.is_none() => {
            return Some(Value::Number(u32::try_from(items.len()).map_or(f64::INFINITY, f64::from)));
        }
        Json::Array(items) => items.get(step.parse::<usize>().ok()?)?,
        value => value.get(step)?,
    };
    rest.map_or_else(|| Some(Value::from(next)), |rest| inside(next, rest))
}

/// The condition with each `feature.<key>` as one name; notes every path.
fn name_shown<'j>(condition: &'j Json, reads: &mut Reads) -> Cow<'j, Json> {
    let Some(members) = condition.as_object() else { return Cow::Borrowed(condition) };
    let mut named = Map::with_capacity(members.len());
    for (key, value) in members {
        match (key.as_str(), value) {
            ("$and" | "$or" | "$nor", Json::Array(list)) => {
                let list = list.iter().map(|condition| name_shown(condition, reads).into_owned()).collect();
                named.insert(key.clone(), Json::Array(list));
            }
            ("$not", condition) => {
                named.insert(key.clone(), name_shown(condition, reads).into_owned());
            }
            (path, _) => {
                reads.add_dotted(path);
                let is_shown = SHOWN.iter().any(|prefix| path.starts_with(prefix));
                named.insert(if is_shown { path.replace('.', &DOT.to_string()) } else { key.clone() }, value.clone());
            }
        }
    }
    Cow::Owned(Json::Object(named))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn holds(condition: &Json) -> bool {
        let known = Known {
            attributes: &json!({"country": "DE"}),
            features: &json!({"de-banner": "on", "a.b": {"c": [1, "x"]}, "a": {"b": {"d": 5}}, "off": false}),
            experiments: &json!({"checkout.v2": "treatment"}),
        };
        When::compile(condition).unwrap().holds(&known, &Groups::default())
    }

    #[test]
    fn a_condition_reads_what_is_shown() {
        for condition in [
            json!({"feature.de-banner": "on", "country": "DE"}),
            json!({"experiment.checkout.v2": "treatment"}),
            json!({"feature.a.b.c.1": "x"}),
            json!({"feature.a.b.c.length": 2}),
            json!({"feature.a.b.d": 5}),
            json!({"feature.off": false}),
            json!({"feature.none": null}),
            json!({"$or": [{"country": "FR"}, {"$not": {"feature.de-banner": "off"}}]}),
            json!({"feature.de-banner": {"$in": ["on"]}}),
        ] {
            assert!(holds(&condition), "{condition}");
        }
        assert!(!holds(&json!({"feature.de-banner": "off"})));
        assert!(!holds(&json!({"experiment.checkout": "treatment"})));
    }

    #[test]
    fn a_condition_says_what_it_reads() {
        let when = json!({
            "$or": [{"session.cart.count": {"$gt": 1}}, {"$not": {"feature.hero": {"$elemMatch": {"x": 1}}}}],
            "segments": "vip"
        });
        let reads: Vec<String> = When::compile(&when).unwrap().reads().iter().map(str::to_owned).collect();
        assert_eq!(reads, ["feature.hero", "segments", "session.cart.count"]);
    }

    #[test]
    fn a_fault_names_the_path_as_it_was_written() {
        let fault = When::compile(&json!({"feature.a.b": {"$not": {"$elemMatch": null}}})).unwrap_err();
        assert_eq!(fault.pointer, "/feature.a.b/$not/$elemMatch");
    }
}
