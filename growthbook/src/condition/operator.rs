//! What is asked of one attribute.

use std::cmp::Ordering;

use super::Clauses;
use super::compile::Compiler;
use super::fault::Fault;
use super::javascript::{Actual, compare_text, equals_folded};
use super::members::Members;
use super::path::length;
use super::pattern::Pattern;
use super::version::padded;
use super::work::Scope;

/// The value side of a condition: a plain value to equal, or operators.
#[derive(Debug, Clone)]
pub(super) enum Test {
    /// Equal as text.
    Text(Box<str>),
    /// Equal as a number.
    Number(f64),
    /// As truthy as this; `null` is neither.
    Truth(bool),
    /// `null`, or absent.
    Null,
    /// A list or an object that is the same, written as JSON.
    Json(serde_json::Value),
    /// All of them hold.
    Operators(Vec<Operator>),
}

/// An operator with its operand.
#[derive(Debug, Clone)]
pub(super) enum Operator {
    /// `$eq`, `$ne` (negated).
    Equal { operand: serde_json::Value, negated: bool },
    /// `$lt`, `$lte`, `$gt`, `$gte`.
    Compare { comparison: Comparison, operand: serde_json::Value },
    /// `$veq`, `$vne`, `$vlt`, `$vlte`, `$vgt`, `$vgte`.
    Version { comparison: Comparison, padded: Box<str> },
    /// `$exists`.
    Exists(bool),
    /// `$in`, `$nin`.
    In { members: Members, negated: bool },
    /// `$ini`, `$nini`.
    InFolded { members: Members, negated: bool },
    /// `$inGroup`, `$notInGroup`.
    InGroup { name: Box<str>, negated: bool },
    /// `$all`, `$alli`: each of the tests is met by some element.
    All { tests: Vec<Test>, insensitive: bool },
    /// `$elemMatch` with operators: some element meets them.
    ElementTest(Box<Test>),
    /// `$elemMatch` with a condition: some element's members meet it.
    ElementCondition(Clauses),
    /// `$size`.
    Size(Box<Test>),
    /// `$not`.
    Not(Box<Test>),
    /// `$regex`, `$regexi`.
    Pattern(Pattern),
    /// `$type`.
    Type(Box<str>),
    /// Unknown, or with an operand it can do nothing with.
    Never,
}

/// How two values are to stand to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    fn accepts(self, ordering: Ordering) -> bool {
        match self {
            Self::Equal => ordering.is_eq(),
            Self::NotEqual => ordering.is_ne(),
            Self::Less => ordering.is_lt(),
            Self::LessOrEqual => ordering.is_le(),
            Self::Greater => ordering.is_gt(),
            Self::GreaterOrEqual => ordering.is_ge(),
        }
    }

    /// The comparison an operator's name ends with.
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "eq" => Self::Equal,
            "ne" => Self::NotEqual,
            "lt" => Self::Less,
            "lte" => Self::LessOrEqual,
            "gt" => Self::Greater,
            "gte" => Self::GreaterOrEqual,
            _ => return None,
        })
    }
}

/// Whether an object consists of operators: it has keys, and each of them starts with `$`.
pub(super) fn is_operators(entries: &serde_json::Map<String, serde_json::Value>) -> bool {
    !entries.is_empty() && entries.keys().all(|key| key.starts_with('$'))
}

impl Test {
    pub(super) fn compile(json: &serde_json::Value, compiler: &mut Compiler) -> Result<Self, Fault> {
        Ok(match json {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(truth) => Self::Truth(*truth),
            serde_json::Value::Number(number) => Self::Number(number.as_f64().unwrap_or(f64::NAN)),
            serde_json::Value::String(text) => Self::Text(text.as_str().into()),
            serde_json::Value::Object(entries) if is_operators(entries) => {
                let operators = entries.iter();
                let operators = operators
                    .map(|(name, operand)| compiler.under(name, |compiler| Operator::compile(name, operand, compiler)));
                Self::Operators(operators.collect::<Result<_, _>>()?)
            }
            serde_json::Value::Array(_) | serde_json::Value::Object(_) => Self::Json(json.clone()),
        })
    }

    pub(super) fn holds(&self, actual: Actual<'_>, scope: Scope<'_>) -> bool {
        match self {
            Self::Text(text) => match actual {
                Actual::String(actual) => *actual == **text,
                other => *other.to_text() == **text,
            },
            Self::Number(number) => actual.to_number() == *number,
            Self::Truth(truth) => !matches!(actual, Actual::Null) && actual.is_truthy() == *truth,
            Self::Null => matches!(actual, Actual::Null),
            Self::Json(json) => actual.same_json(json),
            Self::Operators(operators) => operators.iter().all(|operator| operator.holds(actual, scope)),
        }
    }

    /// The same, where a plain text is compared without regard to case: `text` of [`Test::Text`] is in lower case.
    fn holds_folded(&self, actual: Actual<'_>, scope: Scope<'_>) -> bool {
        match self {
            Self::Text(text) => equals_folded(&actual.to_text(), text),
            other => other.holds(actual, scope),
        }
    }

    fn fold(self) -> Self {
        match self {
            Self::Text(text) => Self::Text(text.to_lowercase().into()),
            other => other,
        }
    }
}

impl Operator {
    fn compile(name: &str, operand: &serde_json::Value, compiler: &mut Compiler) -> Result<Self, Fault> {
        if let Some(comparison) = name.strip_prefix("$v").and_then(Comparison::named) {
            return Ok(Self::Version { comparison, padded: padded(Actual::from(operand)).into() });
        }
        let insensitive = name.ends_with('i');
        Ok(match name {
            "$eq" => Self::Equal { operand: operand.clone(), negated: false },
            "$ne" => Self::Equal { operand: operand.clone(), negated: true },
            "$lt" | "$lte" | "$gt" | "$gte" => {
                let comparison = name.strip_prefix('$').and_then(Comparison::named);
                comparison.map_or(Self::Never, |comparison| Self::Compare { comparison, operand: operand.clone() })
            }
            "$exists" => Self::Exists(Actual::from(operand).is_truthy()),
            "$in" | "$nin" => operand
                .as_array()
                .map_or(Self::Never, |items| Self::In { members: Members::new(items), negated: name == "$nin" }),
            "$ini" | "$nini" => operand.as_array().map_or(Self::Never, |items| Self::InFolded {
                members: Members::folded(items),
                negated: name == "$nini",
            }),
            "$inGroup" | "$notInGroup" => {
                Self::InGroup { name: Actual::from(operand).to_text().into(), negated: name == "$notInGroup" }
            }
            "$all" | "$alli" => match operand {
                serde_json::Value::Array(items) => {
                    Self::All { tests: compile_tests(items, insensitive, compiler)?, insensitive }
                }
                _ => Self::Never,
            },
            "$elemMatch" => match operand {
                serde_json::Value::Object(entries) if is_operators(entries) => {
                    Self::ElementTest(Box::new(Test::compile(operand, compiler)?))
                }
                _ => Self::ElementCondition(Clauses::compile(operand, compiler)?),
            },
            "$size" => Self::Size(Box::new(Test::compile(operand, compiler)?)),
            "$not" => Self::Not(Box::new(Test::compile(operand, compiler)?)),
            "$regex" | "$regexi" => Self::Pattern(match operand.as_str() {
                Some(source) => Pattern::compile(source, insensitive, compiler)?,
                None => Pattern::never(),
            }),
            "$type" => operand.as_str().map_or(Self::Never, |name| Self::Type(name.into())),
            unknown => {
                compiler.note(Fault::unknown_operator(unknown));
                Self::Never
            }
        })
    }

    fn holds(&self, actual: Actual<'_>, scope: Scope<'_>) -> bool {
        match self {
            Self::Equal { operand, negated } => actual.strictly_equals(Actual::from(operand)) != *negated,
            Self::Compare { comparison, operand } => {
                actual.compare(Actual::from(operand)).is_some_and(|ordering| comparison.accepts(ordering))
            }
            Self::Version { comparison, padded: operand } => comparison.accepts(compare_text(&padded(actual), operand)),
            Self::Exists(exists) => !matches!(actual, Actual::Null) == *exists,
            Self::In { members, negated } => members.contain(actual) != *negated,
            Self::InFolded { members, negated } => members.contain_folded(actual) != *negated,
            Self::InGroup { name, negated } => {
                scope.groups.look_up(name, actual).is_some_and(|found| found != *negated)
            }
            Self::All { tests, insensitive } => {
                let Actual::Array(items) = actual else {
                    return false;
                };
                tests.iter().all(|test| {
                    items.iter().map(Actual::from).any(|item| match insensitive {
                        true => test.holds_folded(item, scope),
                        false => test.holds(item, scope),
                    })
                })
            }
            Self::ElementTest(test) => any_element(actual, |item| test.holds(Actual::from(item), scope)),
            Self::ElementCondition(condition) => any_element(actual, |item| condition.hold(item, scope)),
            Self::Size(test) => {
                matches!(actual, Actual::Array(items) if test.holds(length(items), scope))
            }
            Self::Not(test) => !test.holds(actual, scope),
            Self::Pattern(pattern) => pattern.is_found_in(&actual.to_text(), scope.work),
            Self::Type(name) => actual.type_name() == &**name,
            Self::Never => false,
        }
    }
}

fn compile_tests(items: &[serde_json::Value], insensitive: bool, compiler: &mut Compiler) -> Result<Vec<Test>, Fault> {
    let tests = items.iter().enumerate().map(|(index, item)| {
        let test = compiler.under(index, |compiler| Test::compile(item, compiler))?;
        Ok(if insensitive { test.fold() } else { test })
    });
    tests.collect()
}

/// Whether some element passes; `null` never does. (Specification: `elemMatch`. Its first wording passed over every falsy element; the SDKs in use test 0, `false` and the
/// empty text too.)
fn any_element(actual: Actual<'_>, passes: impl Fn(&serde_json::Value) -> bool) -> bool {
    matches!(actual, Actual::Array(items)
        if items.iter().any(|item| !item.is_null() && passes(item)))
}
