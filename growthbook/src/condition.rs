//! The condition language: one for regions, routes, features and experiments (GrowthBook SDK specification 0.8.0,
//! "Condition syntax", a subset of MongoDB's query language).
//!
//! As stored, a condition is JSON. [`Condition::compile`] turns it, once, into a tree in which every operator has been
//! recognized and every pattern, version and list prepared; [`Condition::matches`] walks that tree over the facts of a request
//! and allocates nothing for the usual operators. [`lint`] is the strict reader of the same JSON, for the checker.
//!
//! Two rules of the specification surprise: an absent attribute is the same as `null`, and comparisons are
//! JavaScript's (module `javascript`), so that the edge and the browser agree on every visitor.

use std::borrow::Cow;

mod fault;
mod javascript;
#[cfg(feature = "tools")]
mod lint;
mod members;
mod operator;
mod path;
mod pattern;
mod version;

pub use fault::Fault;
pub use javascript::number_to_string;
#[cfg(feature = "tools")]
pub use lint::lint;
pub use members::Groups;

pub(crate) use pattern::Pattern;

use operator::Test;
use path::Path;

/// What is known of a visitor and a request, by name.
///
/// Values are borrowed, so that an evaluation allocates nothing.
pub trait Attributes {
    /// The attribute called `name` at the top level (`country`, `session`, …); `None` where it is absent. A condition walks dotted paths
    /// (`session.attributes.tier`) into [`Value::Json`] itself.
    fn attribute(&self, name: &str) -> Option<Value<'_>>;
}

/// An attribute's value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// JSON `null`.
    Null,
    /// A truth value.
    Bool(bool),
    /// Any number, as JavaScript has them.
    Number(f64),
    /// Text.
    String(Cow<'a, str>),
    /// A list or an object, as JSON.
    Json(&'a serde_json::Value),
}

impl<'a> From<&'a serde_json::Value> for Value<'a> {
    fn from(json: &'a serde_json::Value) -> Self {
        match json {
            serde_json::Value::Null => Value::Null,
            serde_json::Value::Bool(truth) => Value::Bool(*truth),
            serde_json::Value::Number(number) => Value::Number(number.as_f64().unwrap_or(f64::NAN)),
            serde_json::Value::String(text) => Value::String(Cow::Borrowed(text)),
            serde_json::Value::Array(_) | serde_json::Value::Object(_) => Value::Json(json),
        }
    }
}

impl Value<'_> {
    /// Whether JavaScript takes the value for true: all but `null`, `false`, 0, `NaN` and the empty text.
    #[must_use]
    pub fn is_truthy(&self) -> bool {
        javascript::Actual::from(self).is_truthy()
    }

    /// The value as JavaScript writes it in a text (`value + ""`).
    #[must_use]
    pub fn to_text(&self) -> Cow<'_, str> {
        javascript::Actual::from(self).to_text()
    }
}

/// A JSON object is a set of attributes: for the command line, for tests, and for what a condition looks into.
impl Attributes for serde_json::Value {
    fn attribute(&self, name: &str) -> Option<Value<'_>> {
        self.get(name).map(Value::from)
    }
}

/// No attributes at all.
impl Attributes for () {
    fn attribute(&self, _name: &str) -> Option<Value<'_>> {
        None
    }
}

/// A condition, ready to be evaluated any number of times. The default one, like `{}`, always holds.
#[derive(Debug, Clone, Default)]
pub struct Condition {
    /// All of them must hold.
    clauses: Vec<Clause>,
}

/// One key of a condition with its value.
#[derive(Debug, Clone)]
enum Clause {
    /// `$and`: every one.
    All(Vec<Condition>),
    /// `$or`: at least one; an empty list holds.
    Any(Vec<Condition>),
    /// `$nor`: the opposite of `$or`, so that an empty list does not hold.
    None(Vec<Condition>),
    /// `$not`.
    Not(Box<Condition>),
    /// Anything else is the path of an attribute.
    Attribute(Path, Test),
}

impl Condition {
    /// Compiles a condition from its JSON.
    ///
    /// As forgiving as the specification: an unknown operator, a list operator without a list or a pattern that
    /// can't be compiled does not fail here but never holds ([`lint`] names them).
    ///
    /// # Errors
    ///
    /// The first place whose shape makes no condition at all; the pointer is relative to `json`.
    pub fn compile(json: &serde_json::Value) -> Result<Self, Fault> {
        let serde_json::Value::Object(entries) = json else {
            return Err(Fault::expected("a condition (an object)", json));
        };
        let clauses = entries.iter().map(|(key, value)| Clause::compile(key, value).map_err(|fault| fault.under(key)));
        Ok(Self { clauses: clauses.collect::<Result<_, _>>()? })
    }

    /// Whether the condition holds for these attributes; `groups` are what `$inGroup` and `$notInGroup` refer to.
    #[must_use]
    pub fn matches(&self, attributes: &dyn Attributes, groups: &Groups) -> bool {
        self.clauses.iter().all(|clause| clause.holds(attributes, groups))
    }

    /// For explanations: the first key that keeps the condition from holding (`country`, `$or`); `None` where it holds.
    #[must_use]
    pub fn blocked_by(&self, attributes: &dyn Attributes, groups: &Groups) -> Option<&str> {
        self.clauses.iter().find(|clause| !clause.holds(attributes, groups)).map(Clause::key)
    }

    /// The names of the top-level attributes that the condition may read, sorted, each once: an answer that depends on the
    /// condition depends on nothing else, apart from the groups.
    pub fn attributes_used(&self) -> impl Iterator<Item = &str> {
        let mut names = Vec::new();
        self.collect_attributes(&mut names);
        names.sort_unstable();
        names.dedup();
        names.into_iter()
    }

    fn collect_attributes<'a>(&'a self, names: &mut Vec<&'a str>) {
        for clause in &self.clauses {
            match clause {
                Clause::All(conditions) | Clause::Any(conditions) | Clause::None(conditions) => {
                    conditions.iter().for_each(|condition| condition.collect_attributes(names));
                }
                Clause::Not(condition) => condition.collect_attributes(names),
                Clause::Attribute(path, _) => names.push(path.attribute()),
            }
        }
    }
}

impl Clause {
    fn compile(key: &str, value: &serde_json::Value) -> Result<Self, Fault> {
        Ok(match key {
            "$and" => Self::All(compile_list(value)?),
            "$or" => Self::Any(compile_list(value)?),
            "$nor" => Self::None(compile_list(value)?),
            "$not" => Self::Not(Box::new(Condition::compile(value)?)),
            path => Self::Attribute(Path::new(path), Test::compile(value)?),
        })
    }

    fn holds(&self, attributes: &dyn Attributes, groups: &Groups) -> bool {
        let any = |conditions: &[Condition]| {
            conditions.is_empty() || conditions.iter().any(|condition| condition.matches(attributes, groups))
        };
        match self {
            Self::All(conditions) => conditions.iter().all(|condition| condition.matches(attributes, groups)),
            Self::Any(conditions) => any(conditions),
            Self::None(conditions) => !any(conditions),
            Self::Not(condition) => !condition.matches(attributes, groups),
            Self::Attribute(path, test) => path.with_value(attributes, |actual| test.holds(actual, groups)),
        }
    }

    fn key(&self) -> &str {
        match self {
            Self::All(_) => "$and",
            Self::Any(_) => "$or",
            Self::None(_) => "$nor",
            Self::Not(_) => "$not",
            Self::Attribute(path, _) => path.as_str(),
        }
    }
}

/// The operand of `$and`, `$or` and `$nor`.
fn compile_list(json: &serde_json::Value) -> Result<Vec<Condition>, Fault> {
    let serde_json::Value::Array(items) = json else {
        return Err(Fault::expected("an array of conditions", json));
    };
    let compiled = items.iter().enumerate();
    compiled.map(|(index, item)| Condition::compile(item).map_err(|fault| fault.under(index))).collect()
}

#[cfg(test)]
mod tests;
