//! Sticky buckets: what variation a visitor was given before (specification: "sticky bucketing").
//!
//! Assignments come in as a value and changes go out as data; where they are kept (a cookie, a session) is the caller's business.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::condition::{Attributes, Value, number_to_string};

/// What is remembered of one identifier of a visitor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StickyDocument {
    /// The identifier's attribute (`id`).
    pub attribute_name: String,
    /// Its value.
    pub attribute_value: String,
    /// The variation's key by `<experiment>__<bucket version>`.
    #[serde(default)]
    pub assignments: BTreeMap<String, String>,
}

/// Between an attribute's name and its value in a document's key (specification: "sticky bucketing").
const SEPARATOR: &str = "||";
/// Bytes of the longest text of a document: attribute, value, experiment, variation.
const LONGEST: usize = 256;

/// All that is remembered of a visitor, at most [`MOST`](Self::MOST) documents. Two are the same if they have the same documents in the same order.
///
/// As JSON it is a map of `attributeName||attributeValue` to assignments, in the order in which documents came in. Reading it leaves out documents and
/// assignments that can't be any (an empty text, one of more than 256 bytes, control characters), for a cookie is its sender's to write.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StickyBuckets {
    documents: Vec<StickyDocument>,
}

impl StickyBuckets {
    /// How many documents are kept: one each for the user, the visitor and the fallback attributes, with room to spare.
    pub const MOST: usize = 8;

    /// Nothing remembered.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes over those documents that belong to this visitor: see [`keep_belonging_to`](Self::keep_belonging_to).
    #[must_use]
    pub fn belonging_to(attributes: &dyn Attributes, documents: impl IntoIterator<Item = StickyDocument>) -> Self {
        let mut buckets = Self::default();
        for document in documents.into_iter().filter(|document| document.belongs_to(attributes)) {
            buckets.put(document);
        }
        buckets
    }

    /// Drops the documents of anybody else: those whose attribute doesn't have their value. A cookie may have been another
    /// visitor's, before a log-out for example. Returns whether any was dropped.
    pub fn keep_belonging_to(&mut self, attributes: &dyn Attributes) -> bool {
        let before = self.documents.len();
        self.documents.retain(|document| document.belongs_to(attributes));
        self.documents.len() < before
    }

    /// All documents, in the order they came in.
    pub fn documents(&self) -> impl Iterator<Item = &StickyDocument> {
        self.documents.iter()
    }

    /// Whether nothing is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.documents.is_empty()
    }

    /// Adds a document, or replaces the one of the same attribute and value. Where there is no room, the oldest goes. Returns whether anything changed.
    pub fn put(&mut self, document: StickyDocument) -> bool {
        match self.documents.iter_mut().find(|old| old.is_of(&document.attribute_name, &document.attribute_value)) {
            Some(old) if *old == document => return false,
            Some(old) => *old = document,
            None => {
                if self.documents.len() >= Self::MOST {
                    self.documents.remove(0);
                }
                self.documents.push(document);
            }
        }
        true
    }

    /// Keeps one assignment: of a variation's key, under `<experiment>__<bucket version>`. Returns whether anything changed; what can't be an assignment isn't kept.
    pub fn assign(&mut self, attribute: &str, value: &str, experiment: &str, variation: &str) -> bool {
        if ![attribute, value, experiment, variation].into_iter().all(is_text) {
            return false;
        }
        let mut document = self.get(attribute, value).cloned().unwrap_or_else(|| StickyDocument {
            attribute_name: attribute.to_owned(),
            attribute_value: value.to_owned(),
            assignments: BTreeMap::new(),
        });
        document.assignments.insert(experiment.to_owned(), variation.to_owned());
        self.put(document)
    }

    /// The document of an attribute's value.
    #[must_use]
    pub fn get(&self, name: &str, value: &str) -> Option<&StickyDocument> {
        self.documents.iter().find(|document| document.is_of(name, value))
    }
}

impl Serialize for StickyBuckets {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.documents.iter().map(|document| {
            let key = format!("{}{SEPARATOR}{}", document.attribute_name, document.attribute_value);
            (key, &document.assignments)
        }))
    }
}

impl<'de> Deserialize<'de> for StickyBuckets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Documents;
        impl<'de> Visitor<'de> for Documents {
            type Value = StickyBuckets;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object of sticky documents")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<StickyBuckets, A::Error> {
                let mut buckets = StickyBuckets::new();
                while let Some((key, mut assignments)) = map.next_entry::<String, BTreeMap<String, String>>()? {
                    assignments.retain(|experiment, variation| is_text(experiment) && is_text(variation));
                    if let Some((name, value)) = key.split_once(SEPARATOR)
                        && is_text(name)
                        && is_text(value)
                        && !assignments.is_empty()
                    {
                        buckets.put(StickyDocument {
                            attribute_name: name.to_owned(),
                            attribute_value: value.to_owned(),
                            assignments,
                        });
                    }
                }
                Ok(buckets)
            }
        }
        deserializer.deserialize_map(Documents)
    }
}

/// Whether a text may stand in a document.
fn is_text(text: &str) -> bool {
    !text.is_empty() && text.len() <= LONGEST && !text.chars().any(char::is_control)
}

impl StickyDocument {
    fn belongs_to(&self, attributes: &dyn Attributes) -> bool {
        attributes.attribute(&self.attribute_name).is_some_and(|value| {
            let text = identifier(&value);
            !text.is_empty() && text == self.attribute_value.as_str()
        })
    }

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
    /// The key of the variation.
    Variation(&'a str),
}

/// Looks an experiment up in the documents of the hash attribute and of the fallback; the former wins.
pub(super) fn remembered<'a>(
    experiment: &str,
    bucket_version: u32,
    min_bucket_version: u32,
    documents: [Option<&'a StickyDocument>; 2],
) -> Remembered<'a> {
    let assignments = documents.into_iter().flatten().flat_map(|document| &document.assignments);
    let mut found = None;
    for (key, variation) in assignments {
        match version_of(key, experiment) {
            Some(version) if version < min_bucket_version => return Remembered::Blocked,
            Some(version) if version == bucket_version && found.is_none() => found = Some(variation.as_str()),
            _ => {}
        }
    }
    found.map_or(Remembered::Nothing, Remembered::Variation)
}

impl StickyDocument {
    /// Leaves out what is remembered of an experiment, in all its bucket versions.
    pub fn forget(&mut self, experiment: &str) {
        self.assignments.retain(|key, _| version_of(key, experiment).is_none());
    }
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
        let assignments =
            assignments.iter().map(|(key, variation)| ((*key).to_owned(), (*variation).to_owned())).collect();
        StickyDocument { attribute_name: attribute.into(), attribute_value: value.into(), assignments }
    }

    #[test]
    fn experiments_with_a_common_prefix_are_apart() {
        let document = document("id", "1", &[("menu_underline__0", "1"), ("menu__0__1", "2"), ("menu__01", "3")]);
        assert_eq!(remembered("menu", 0, 0, [Some(&document), None]), Remembered::Nothing);
        assert_eq!(remembered("menu", 1, 5, [Some(&document), None]), Remembered::Nothing);
        assert_eq!(remembered("menu_underline", 0, 0, [Some(&document), None]), Remembered::Variation("1"));
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

    #[test]
    fn buckets_survive_the_round_trip_through_json() {
        let mut buckets = StickyBuckets::new();
        assert!(buckets.assign("id", "ü||1", "menu__0", "control"));
        assert!(buckets.assign("id", "ü||1", "menu_underline__0", "1"));
        assert!(!buckets.assign("id", "ü||1", "menu__0", "control"), "nothing new");
        assert!(buckets.assign("account", "7", "menu__0", "2"));
        let json = serde_json::to_string(&buckets).unwrap();
        assert_eq!(json, r#"{"id||ü||1":{"menu__0":"control","menu_underline__0":"1"},"account||7":{"menu__0":"2"}}"#);
        assert_eq!(serde_json::from_str::<StickyBuckets>(&json).unwrap(), buckets);
        assert!(buckets.keep_belonging_to(&json!({ "account": 7, "id": "next" })));
        assert_eq!(serde_json::to_value(&buckets).unwrap(), json!({ "account||7": { "menu__0": "2" } }));
        assert!(!buckets.keep_belonging_to(&json!({ "account": "7" })));
    }

    #[test]
    fn what_can_be_no_document_is_left_out() {
        for bad in [
            json!({ "id": { "a__0": "x" } }),
            json!({ "||1": { "a__0": "x" } }),
            json!({ "id||": { "a__0": "x" } }),
            json!({ "id||1": { "a__0": "\r\n" } }),
            json!({ "id||1": { "a__0": "x".repeat(300) } }),
            json!({ "id||1": {} }),
        ] {
            assert!(serde_json::from_value::<StickyBuckets>(bad.clone()).unwrap().is_empty(), "{bad}");
        }
        for bad in [json!([]), json!({ "id||1": { "a__0": 1 } })] {
            assert!(serde_json::from_value::<StickyBuckets>(bad).is_err());
        }
        assert!(!StickyBuckets::new().assign("id", "", "a__0", "x"));
    }

    #[test]
    fn the_oldest_document_goes_where_there_is_no_room() {
        let mut buckets = StickyBuckets::new();
        for n in 0..20 {
            assert!(buckets.assign("id", &n.to_string(), "a__0", "x"));
        }
        assert_eq!(buckets.documents().count(), StickyBuckets::MOST);
        assert!(buckets.get("id", "11").is_none() && buckets.get("id", "12").is_some());
    }
}
