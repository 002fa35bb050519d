//! What is wrong with a piece of JSON, and where.

use std::fmt;

/// A fault of a definition, with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// RFC 6901, relative to the JSON that was compiled; empty for its root.
    pub pointer: String,
    /// "expected …, but found …", or a sentence of that kind.
    pub message: String,
}

impl Fault {
    /// A fault at the root.
    pub fn new(message: impl Into<String>) -> Self {
        Self { pointer: String::new(), message: message.into() }
    }

    /// The fault of a value that isn't what was expected there.
    #[must_use]
    pub fn expected(what: &str, found: &serde_json::Value) -> Self {
        Self::new(format!("expected {what}, but found {}", describe(found)))
    }

    /// A key in an attribute's place that looks like an operator.
    pub(super) fn read_as_attribute(key: &str) -> Self {
        Self::new(format!(
            "expected $and, $or, $nor, $not or an attribute's name, but found {key:?}, which is read as an attribute's name"
        ))
    }

    pub(super) fn unknown_operator(name: &str) -> Self {
        Self::new(format!("expected an operator, but found {name:?}, which never holds"))
    }

    /// The same fault seen from one level further up: `step` is the key or the index that leads to it.
    #[must_use]
    pub fn under(mut self, step: impl fmt::Display) -> Self {
        self.add_step(&step);
        self
    }

    pub(crate) fn add_step(&mut self, step: &dyn fmt::Display) {
        let step = crate::json_place::token(&step.to_string());
        self.pointer.insert_str(0, &step);
        self.pointer.insert(0, '/');
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.pointer.is_empty() {
            return formatter.write_str(&self.message);
        }
        write!(formatter, "{}: {}", self.pointer, self.message)
    }
}

impl std::error::Error for Fault {}

/// Names a value in a message without printing all of it.
fn describe(json: &serde_json::Value) -> String {
    /// Longer texts are cut: a message is read by people.
    const LONGEST: usize = 40;
    match json {
        serde_json::Value::Null => "null".to_owned(),
        serde_json::Value::Bool(truth) => truth.to_string(),
        serde_json::Value::Number(number) => format!("the number {number}"),
        serde_json::Value::String(text) if text.chars().count() > LONGEST => {
            format!("the string {:?}…", text.chars().take(LONGEST).collect::<String>())
        }
        serde_json::Value::String(text) => format!("the string {text:?}"),
        serde_json::Value::Array(_) => "a list".to_owned(),
        serde_json::Value::Object(_) => "an object".to_owned(),
    }
}
