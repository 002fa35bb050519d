//! The condition language: one for regions, routes, features and experiments (GrowthBook SDK specification 0.8.0,
//! "Condition syntax", a subset of MongoDB's query language).

use std::borrow::Cow;

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
