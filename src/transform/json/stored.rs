//! JSON edits as stored on a route.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A route's `json`: `rerank` comes first, then `set` in order, so that a pointer like `/products/0` means the new first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct JsonOperations {
    /// Values put at JSON pointers.
    pub set: Vec<JsonSet>,
    /// An array put into another order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rerank: Option<Rerank>,
}

/// One value at one place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct JsonSet {
    /// Where: a JSON pointer (RFC 6901). What is there is replaced; a name that its object lacks is added, and `-` or
    /// the length adds to an array. Where the holder itself is missing, nothing happens.
    pub pointer: String,
    /// What: a string is a template whose output becomes a JSON string, `{"from": "session.cart.count"}` is a fact
    /// (with `"default"` where it is absent; without one nothing happens), anything else is itself.
    pub value: serde_json::Value,
}

/// An array put into the order that a visitor's session suggests. Stable: elements that the session says nothing of
/// keep their order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Rerank {
    /// Where the array is.
    pub pointer: String,
    /// The member of each element that names its category, a name or a JSON pointer.
    pub key: String,
    /// The member of each element that names itself, a name or a JSON pointer.
    #[serde(default = "Rerank::default_id")]
    pub id: String,
    /// A dotted path to weights by category (`{"shoes": 3}`), or to a list of categories, the dearest first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affinity: Option<String>,
    /// A dotted path to a list of ids, the latest first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recent: Option<String>,
    /// Ids that come first whatever the session says, in this order.
    #[serde(default)]
    pub pinned: Vec<String>,
    /// Elements looked at, from the start; those behind keep their places.
    #[serde(default = "Rerank::default_limit")]
    pub limit: usize,
    /// How much each part counts: `affinity` 1, `recent` 0.5 where nothing is said. A negative one sinks.
    #[serde(default)]
    pub weights: BTreeMap<String, f64>,
}

impl Rerank {
    fn default_id() -> String {
        "id".to_owned()
    }

    fn default_limit() -> usize {
        super::MAX_RERANKED
    }
}
