//! `settings.session`: how long a record is good, whom to ask, how much is read.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Entries that one list or map of a record may have, whatever the settings say.
const MOST_ENTRIES: usize = 256;
/// Bytes of one name or value in a record, whatever the settings say.
const LARGEST_VALUE: usize = 4096;
/// Milliseconds that a visitor may be made to wait, whatever the settings say.
const LONGEST_BUDGET: u64 = 2_000;
/// Bytes of a record's JSON beside its entries.
const FRAME: usize = 1_024;
/// Bytes that an entry's stamp, quotes and punctuation take in JSON.
const ENTRY_FRAME: usize = 96;
/// JSON writes one byte of text as six at most (`\u0000`).
const ESCAPED: usize = 6;

/// Which record counts when a visitor has logged in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Which {
    /// The user's; the visitor's while nobody is logged in.
    #[default]
    User,
    /// The visitor's; the user's where there is no visitor id.
    Visitor,
    /// Both, the user's first.
    Merged,
}

/// `settings.session`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct SessionSettings {
    /// Which record counts when a visitor has logged in.
    pub which: Which,
    /// Seconds for which a record is fresh.
    pub max_age: u32,
    /// Seconds after which a record is no longer used, even where nothing better can be had.
    pub stale_max: u32,
    /// Seconds a record is kept after its last write.
    pub ttl: u32,
    /// Seconds for which a delete is remembered, so that a late update can't bring the user back.
    pub tombstone_ttl: u32,
    /// The path to ask the central backend, `{kind}` and `{id}` filled in (`/sessions/{kind}/{id}`). Nobody is asked
    /// without one.
    pub path: Option<String>,
    /// The backend to ask.
    pub backend: String,
    /// The host name in the request to it.
    pub host: String,
    /// Milliseconds a request waits for its session in all; at most 2,000.
    #[cfg_attr(feature = "schema", schemars(range(max = LONGEST_BUDGET)))]
    pub budget_ms: u64,
    /// Bytes of an answer of the session API.
    pub max_bytes: usize,
    /// Failures in a row after which the session API is left alone.
    pub breaker_failures: u32,
    /// Milliseconds for which it is left alone.
    pub breaker_ms: u64,
    /// How much of a record counts.
    pub limits: RecordLimits,
}

impl Default for SessionSettings {
    fn default() -> Self {
        Self {
            which: Which::User,
            max_age: 300,
            stale_max: 86_400,
            ttl: 30 * 86_400,
            tombstone_ttl: 30 * 86_400,
            path: None,
            backend: "session_api".to_owned(),
            host: "session-api".to_owned(),
            budget_ms: 100,
            max_bytes: 64 * 1024,
            breaker_failures: 3,
            breaker_ms: 10_000,
            limits: RecordLimits::default(),
        }
    }
}

impl SessionSettings {
    /// How long a request waits for its session.
    #[must_use]
    pub fn budget(&self) -> Duration {
        Duration::from_millis(self.budget_ms.min(LONGEST_BUDGET))
    }
}

/// How much of a record counts; `settings.session.limits`. An update beyond is refused, a record beyond is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct RecordLimits {
    /// Recent views.
    #[cfg_attr(feature = "schema", schemars(range(max = MOST_ENTRIES)))]
    pub recent_views: usize,
    /// Lines in the cart.
    #[cfg_attr(feature = "schema", schemars(range(max = MOST_ENTRIES)))]
    pub cart: usize,
    /// Categories with a weight.
    #[cfg_attr(feature = "schema", schemars(range(max = MOST_ENTRIES)))]
    pub affinity: usize,
    /// Segments.
    #[cfg_attr(feature = "schema", schemars(range(max = MOST_ENTRIES)))]
    pub segments: usize,
    /// Attributes.
    #[cfg_attr(feature = "schema", schemars(range(max = MOST_ENTRIES)))]
    pub attributes: usize,
    /// Bytes of a SKU, segment, category or attribute's name.
    #[cfg_attr(feature = "schema", schemars(range(max = LARGEST_VALUE)))]
    pub name_bytes: usize,
    /// Bytes of an attribute's value, as JSON.
    #[cfg_attr(feature = "schema", schemars(range(max = LARGEST_VALUE)))]
    pub value_bytes: usize,
}

impl Default for RecordLimits {
    fn default() -> Self {
        Self {
            recent_views: 50,
            cart: 100,
            affinity: 64,
            segments: 64,
            attributes: 64,
            name_bytes: 128,
            value_bytes: 1024,
        }
    }
}

impl RecordLimits {
    /// These limits, none above what the service is built for.
    #[must_use]
    pub fn bounded(self) -> Self {
        Self {
            recent_views: self.recent_views.min(MOST_ENTRIES),
            cart: self.cart.min(MOST_ENTRIES),
            affinity: self.affinity.min(MOST_ENTRIES),
            segments: self.segments.min(MOST_ENTRIES),
            attributes: self.attributes.min(MOST_ENTRIES),
            name_bytes: self.name_bytes.min(LARGEST_VALUE),
            value_bytes: self.value_bytes.min(LARGEST_VALUE),
        }
    }

    /// Bytes of the largest record that can be stored within these limits; a larger one wasn't written by us.
    #[must_use]
    pub fn stored_bytes(&self) -> usize {
        let limits = self.bounded();
        let named = limits.recent_views + limits.cart + limits.affinity * 2 + limits.segments + limits.attributes * 2;
        FRAME + named * (limits.name_bytes * ESCAPED + ENTRY_FRAME) + limits.attributes * limits.value_bytes
    }
}
