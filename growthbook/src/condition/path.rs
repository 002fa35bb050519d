//! The path of an attribute.

use super::javascript::Actual;
use super::{Attributes, Value};

/// A dotted path: the name of an attribute, then steps into its JSON.
#[derive(Debug, Clone)]
pub(super) struct Path {
    text: Box<str>,
    /// Where the attribute's name ends in `text`.
    name: usize,
}

impl Path {
    pub(super) fn new(text: &str) -> Self {
        Self { text: text.into(), name: text.find('.').unwrap_or(text.len()) }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// The top-level attribute that the path starts from.
    pub(super) fn attribute(&self) -> &str {
        self.text.get(..self.name).unwrap_or_default()
    }

    /// Calls `test` with what is at the path; with `null` where nothing is.
    pub(super) fn with_value(&self, attributes: &dyn Attributes, test: impl FnOnce(Actual<'_>) -> bool) -> bool {
        let Some(value) = attributes.attribute(self.attribute()) else {
            return test(Actual::Null);
        };
        let Some(rest) = self.text.get(self.name + 1..) else {
            return test(Actual::from(&value));
        };
        let Value::Json(mut json) = value else {
            return test(Actual::Null);
        };
        let mut steps = rest.split('.');
        while let Some(step) = steps.next() {
            let next = match json {
                serde_json::Value::Object(entries) => entries.get(step),
                // In JavaScript the length of a list is a member of it; a number has none itself.
                serde_json::Value::Array(items) if step == "length" && steps.clone().next().is_none() => {
                    return test(length(items));
                }
                serde_json::Value::Array(items) => index(step).and_then(|index| items.get(index)),
                _ => None,
            };
            let Some(next) = next else {
                return test(Actual::Null);
            };
            json = next;
        }
        test(Actual::from(json))
    }
}

/// The index that a step spells, in the one spelling that JavaScript takes for an index.
fn index(step: &str) -> Option<usize> {
    let canonical = step == "0" || (!step.starts_with('0') && step.bytes().all(|b| b.is_ascii_digit()));
    if canonical { step.parse().ok() } else { None }
}

/// The length of a list as a number.
pub(super) fn length(items: &[serde_json::Value]) -> Actual<'static> {
    Actual::Number(u32::try_from(items.len()).map_or(f64::INFINITY, f64::from))
}
