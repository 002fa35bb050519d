//! Sticky buckets: what arm a visitor was given before (specification: "sticky bucketing").
//!
//! Assignments come in as a value and changes go out as data; where they are kept (a cookie, a session) is the caller's business.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::condition::{Attributes, Value, number_to_string};

/// What is remembered of one identifier of a visitor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StickyDocument {
    /// The identifier's attribute (`id`).
    pub attribute_name: String,
    /// Its value.
    pub attribute_value: String,
    /// The arm's key by `<experiment>__<bucket version>`.
    #[serde(default)]
    pub assignments: BTreeMap<String, String>,
}

/// All that is remembered of a visitor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StickyBuckets {
    documents: Vec<StickyDocument>,
}

impl StickyBuckets {
    /// Nothing remembered.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes over those documents that belong to this visitor: whose attribute has their value. A cookie may have been another
    /// visitor's, before a log-out for example.
    #[must_use]
    pub fn belonging_to(attributes: &dyn Attributes, documents: impl IntoIterator<Item = StickyDocument>) -> Self {
        let mut buckets = Self::default();
        for document in documents {
            let belongs = attributes.attribute(&document.attribute_name).is_some_and(|value| {
                let text = identifier(&value);
                !text.is_empty() && text == document.attribute_value.as_str()
            });
            if belongs {
                buckets.put(document);
            }
        }
        buckets
    }

    /// All documents, in the order they came in.
    pub fn documents(&self) -> impl Iterator<Item = &StickyDocument> {
        self.documents.iter()
    }

    /// Adds a document, or replaces the one of the same attribute and value.
    pub fn put(&mut self, document: StickyDocument) {
        match self.documents.iter_mut().find(|old| old.is_of(&document.attribute_name, &document.attribute_value)) {
            Some(old) => *old = document,
            None => self.documents.push(document),
        }
    }

    /// The document of an attribute's value.
    #[must_use]
    pub fn get(&self, name: &str, value: &str) -> Option<&StickyDocument> {
        self.documents.iter().find(|document| document.is_of(name, value))
    }
}

impl StickyDocument {
    pub(super) fn is_of(&self, name: &str, value: &str) -> bool {
        self.attribute_name == name && self.attribute_value == value
    }
}

/// The text of an identifier, as sticky documents have it: a text as it is, anything else as JSON.
pub(super) fn identifier<'a>(value: &'a Value<'_>) -> Cow<'a, str> {
    match value {
        Value::String(text) => Cow::Borrowed(text),
        Value::Number(number) => Cow::Owned(number_to_string(*number)),
        Value::Bool(true) => Cow::Borrowed("true"),
        Value::Bool(false) => Cow::Borrowed("false"),
        Value::Null => Cow::Borrowed("null"),
        Value::Json(json) => Cow::Owned(json.to_string()),
    }
}

/// What the documents say of one experiment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remembered<'a> {
    /// Nothing, or nothing of this bucket version.
    Nothing,
    /// The visitor took part when the bucket version was one that is now excluded.
    Blocked,
    /// The key of the arm.
    Arm(&'a str),
}

/// Looks an experiment up in the documents of the hash attribute and of the fallback; the former wins.
pub(super) fn remembered<'a>(
    experiment: &str,
    bucket_version: u32,
    min_bucket_version: u32,
    documents: [Option<&'a StickyDocument>; 2],
) -> Remembered<'a> {
    let assignments = documents.into_iter().flatten().flat_map(|document| &document.assignments);
    let mut arm = None;
    for (key, variation) in assignments {
        match version_of(key, experiment) {
            Some(version) if version < min_bucket_version => return Remembered::Blocked,
            Some(version) if version == bucket_version && arm.is_none() => arm = Some(variation.as_str()),
            _ => {}
        }
    }
    arm.map_or(Remembered::Nothing, Remembered::Arm)
}

/// The key of an assignment.
pub(super) fn assignment_key(experiment: &str, bucket_version: u32) -> String {
    format!("{experiment}__{bucket_version}")
}

/// The bucket version in an assignment's key, if it is this experiment's: `menu` and `menu__x` don't get into each other's way.
fn version_of(key: &str, experiment: &str) -> Option<u32> {
    let digits = key.strip_prefix(experiment)?.strip_prefix("__")?;
    let canonical = digits == "0" || (!digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit()));
    if canonical { digits.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn document(attribute: &str, value: &str, assignments: &[(&str, &str)]) -> StickyDocument {
        let assignments = assignments.iter().map(|(key, arm)| ((*key).to_owned(), (*arm).to_owned())).collect();
        StickyDocument { attribute_name: attribute.into(), attribute_value: value.into(), assignments }
    }

    #[test]
    fn experiments_with_a_common_prefix_are_apart() {
        let document = document("id", "1", &[("menu_underline__0", "1"), ("menu__0__1", "2"), ("menu__01", "3")]);
        assert_eq!(remembered("menu", 0, 0, [Some(&document), None]), Remembered::Nothing);
        assert_eq!(remembered("menu", 1, 5, [Some(&document), None]), Remembered::Nothing);
        assert_eq!(remembered("menu_underline", 0, 0, [Some(&document), None]), Remembered::Arm("1"));
    }

    #[test]
    fn another_visitors_documents_are_left_behind() {
        let mine = document("id", "7", &[("a__0", "1")]);
        let other = document("id", "8", &[("a__0", "0")]);
        let empty = document("deviceId", "", &[("a__0", "0")]);
        let attributes = json!({ "id": 7, "deviceId": "" });
        let buckets = StickyBuckets::belonging_to(&attributes, [other, mine.clone(), empty]);
        assert_eq!(buckets.documents().collect::<Vec<_>>(), [&mine]);
    }
}
