//! The condition language: one for regions, routes, features and experiments (GrowthBook SDK specification 0.8.0,
//! "Condition syntax", a subset of MongoDB's query language).
//!
//! As stored, a condition is JSON. [`Condition::compile`] turns it, once, into a tree in which every operator has been
//! recognized and every pattern, version and list prepared; [`Condition::matches`] walks that tree over the facts of a request
//! and allocates nothing for the usual operators. [`lint()`] is the strict reader of the same JSON, for the checker.
//!
//! Two rules of the specification surprise: an absent attribute is the same as `null`, and comparisons are
//! JavaScript's (module `javascript`), so that the edge and the browser agree on every visitor.

use std::borrow::Cow;

mod compile;
mod fault;
mod javascript;
#[cfg(feature = "tools")]
mod lint;
mod members;
mod operator;
#[cfg(feature = "tools")]
mod oracle;
mod path;
mod pattern;
mod version;
mod work;

pub use compile::PatternBudget;
pub use fault::Fault;
pub use javascript::number_to_string;
#[cfg(feature = "tools")]
pub use lint::lint;
pub use members::Groups;
#[cfg(feature = "tools")]
pub use oracle::Oracle;
pub use work::PatternWork;

pub(crate) use compile::Compiler;
pub(crate) use pattern::Pattern;

use operator::Test;
use path::Path;
use work::Scope;

/// What is known of a visitor and a request, by name.
///
/// Values are borrowed, so that an evaluation allocates nothing.
pub trait Attributes {
    /// The attribute called `name` at the top level (`country`, `session`, …); `None` where it is absent. A condition walks dotted paths
    /// (`session.attributes.tier`) into [`Value::Json`] itself.
    fn attribute(&self, name: &str) -> Option<Value<'_>>;

    /// What the patterns of conditions over these attributes may take; `None`, which is the default, where nothing bounds it.
    fn pattern_work(&self) -> Option<&PatternWork> {
        None
    }

    /// Who answers for the attribute called `name`, where nobody knows whether it is there and what it is; `None`, which is the default,
    /// where [`attribute`](Self::attribute) knows.
    #[cfg(feature = "tools")]
    fn unknown(&self, _name: &str) -> Option<&dyn Oracle> {
        None
    }
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
    clauses: Clauses,
    cost: usize,
    faults: Vec<Fault>,
}

/// The clauses of an object: all of them must hold.
#[derive(Debug, Clone, Default)]
struct Clauses(Vec<Clause>);

/// One key of a condition with its value.
#[derive(Debug, Clone)]
enum Clause {
    /// `$and`: every one.
    All(Vec<Clauses>),
    /// `$or`: at least one; an empty list holds.
    Any(Vec<Clauses>),
    /// `$nor`: the opposite of `$or`, so that an empty list does not hold.
    None(Vec<Clauses>),
    /// `$not`.
    Not(Clauses),
    /// Anything else is the path of an attribute.
    Attribute(Path, Test),
}

impl Condition {
    /// Compiles a condition from its JSON, with a [`PatternBudget`] of its own.
    ///
    /// As forgiving as the specification: an unknown operator, a list operator without a list or a pattern that
    /// can't be compiled does not fail here but never holds. [`faults`](Self::faults) names unknown operators and such patterns,
    /// `lint` (cargo feature `tools`) all of it.
    ///
    /// # Errors
    ///
    /// The first place whose shape makes no condition at all, that nests too deep, or whose pattern is more than the budget has room for; the
    /// pointer is relative to `json`.
    pub fn compile(json: &serde_json::Value) -> Result<Self, Fault> {
        Self::compile_within(json, &mut PatternBudget::default())
    }

    /// The same within a budget that the conditions of a set share.
    ///
    /// # Errors
    ///
    /// As [`compile`](Self::compile).
    pub fn compile_within(json: &serde_json::Value, budget: &mut PatternBudget) -> Result<Self, Fault> {
        let mut compiler = Compiler::new(budget.clone());
        let compiled = Self::compile_with(json, &mut compiler);
        *budget = compiler.budget;
        compiled.map(|condition| Self { faults: compiler.faults, ..condition })
    }

    /// The same as a part of a definition, which keeps the faults.
    pub(crate) fn compile_with(json: &serde_json::Value, compiler: &mut Compiler) -> Result<Self, Fault> {
        let used = compiler.budget.used();
        let clauses = Clauses::compile(json, compiler)?;
        Ok(Self { clauses, cost: compiler.budget.used() - used, faults: Vec::new() })
    }

    /// Whether the condition holds for these attributes; `groups` are what `$inGroup` and `$notInGroup` refer to.
    #[must_use]
    pub fn matches(&self, attributes: &dyn Attributes, groups: &Groups) -> bool {
        self.clauses.hold(attributes, Scope { groups, work: attributes.pattern_work() })
    }

    /// For explanations: the first key that keeps the condition from holding (`country`, `$or`); `None` where it holds.
    #[must_use]
    pub fn blocked_by(&self, attributes: &dyn Attributes, groups: &Groups) -> Option<&str> {
        let scope = Scope { groups, work: attributes.pattern_work() };
        self.clauses.0.iter().find(|clause| !clause.holds(attributes, scope)).map(Clause::key)
    }

    /// What of the condition never holds, although it compiles: unknown operators, and patterns that can't be compiled. Pointers are relative to the condition.
    #[must_use]
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// The size of the condition's patterns, in bytes, as a [`PatternBudget`] counts them.
    #[must_use]
    pub fn cost(&self) -> usize {
        self.cost
    }

    /// Calls `each` with every path that the condition may read (`country`, `session.attributes.tier`), in its order; a path may come twice. Allocates nothing.
    pub fn each_path<'a>(&'a self, each: &mut dyn FnMut(&'a str)) {
        self.clauses.each_path(each);
    }

    /// The paths that the condition may read, sorted, each once.
    #[must_use]
    pub fn paths(&self) -> Vec<&str> {
        let mut paths = Vec::new();
        self.each_path(&mut |path| paths.push(path));
        paths.sort_unstable();
        paths.dedup();
        paths
    }

    /// The names of the top-level attributes that the condition may read, sorted, each once: an answer that depends on the
    /// condition depends on nothing else, apart from the groups.
    pub fn attributes_used(&self) -> impl Iterator<Item = &str> {
        let mut names = Vec::new();
        self.each_path(&mut |path| names.push(attribute_of(path)));
        names.sort_unstable();
        names.dedup();
        names.into_iter()
    }
}

/// How long a text a pattern can be matched against before it has taken, alone, all the work that a request's patterns may take
/// ([`PatternWork::REQUEST`]); in bytes. `None` for a pattern that never matches.
#[cfg(feature = "tools")]
#[must_use]
pub fn longest_text(pattern: &str) -> Option<usize> {
    Pattern::longest_text(pattern)
}

/// The top-level attribute of a path: `session` of `session.attributes.tier`.
#[must_use]
pub fn attribute_of(path: &str) -> &str {
    path.split_once('.').map_or(path, |(name, _)| name)
}

impl Clauses {
    fn compile(json: &serde_json::Value, compiler: &mut Compiler) -> Result<Self, Fault> {
        let serde_json::Value::Object(entries) = json else {
            return Err(Fault::expected("a condition (an object)", json));
        };
        let clauses = entries
            .iter()
            .map(|(key, value)| compiler.under(key, |compiler| Clause::compile(key, value, compiler)))
            .collect::<Result<_, _>>()?;
        Ok(Self(clauses))
    }

    fn hold(&self, attributes: &dyn Attributes, scope: Scope<'_>) -> bool {
        self.0.iter().all(|clause| clause.holds(attributes, scope))
    }

    fn each_path<'a>(&'a self, each: &mut dyn FnMut(&'a str)) {
        for clause in &self.0 {
            match clause {
                Clause::All(list) | Clause::Any(list) | Clause::None(list) => {
                    list.iter().for_each(|clauses| clauses.each_path(each));
                }
                Clause::Not(clauses) => clauses.each_path(each),
                Clause::Attribute(path, _) => each(path.as_str()),
            }
        }
    }
}

impl Clause {
    fn compile(key: &str, value: &serde_json::Value, compiler: &mut Compiler) -> Result<Self, Fault> {
        Ok(match key {
            "$and" => Self::All(compile_list(value, compiler)?),
            "$or" => Self::Any(compile_list(value, compiler)?),
            "$nor" => Self::None(compile_list(value, compiler)?),
            "$not" => Self::Not(Clauses::compile(value, compiler)?),
            path => {
                if path.starts_with('$') {
                    compiler.note(Fault::read_as_attribute(path));
                }
                Self::Attribute(Path::new(path), Test::compile(value, compiler)?)
            }
        })
    }

    fn holds(&self, attributes: &dyn Attributes, scope: Scope<'_>) -> bool {
        let any = |list: &[Clauses]| list.is_empty() || list.iter().any(|clauses| clauses.hold(attributes, scope));
        match self {
            Self::All(list) => list.iter().all(|clauses| clauses.hold(attributes, scope)),
            Self::Any(list) => any(list),
            Self::None(list) => !any(list),
            Self::Not(clauses) => !clauses.hold(attributes, scope),
            Self::Attribute(path, test) => {
                #[cfg(feature = "tools")]
                if let Some(oracle) = attributes.unknown(path.attribute()) {
                    return oracle.says(path.attribute(), &format!("{} {test:?}", path.as_str()));
                }
                path.with_value(attributes, |actual| test.holds(actual, scope))
            }
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
fn compile_list(json: &serde_json::Value, compiler: &mut Compiler) -> Result<Vec<Clauses>, Fault> {
    let serde_json::Value::Array(items) = json else {
        return Err(Fault::expected("a list of conditions", json));
    };
    let compiled = items.iter().enumerate();
    compiled.map(|(index, item)| compiler.under(index, |compiler| Clauses::compile(item, compiler))).collect()
}

#[cfg(test)]
mod tests;
