//! `settings.replication`: what the central backend may send at once.

use serde::{Deserialize, Serialize};

/// Bytes of a body, whatever the settings say: more takes longer to check than the platform gives a request.
pub const LARGEST_BODY: usize = 4 * 1024 * 1024;
/// Items of a body, whatever the settings say.
const MOST_ITEMS: usize = 1_000;
/// Seconds that a signature may be old, or ahead, whatever the settings say: what the specification's libraries allow.
pub const MOST_TOLERANCE: u32 = 300;

/// `settings.replication`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct ReplicationSettings {
    /// Seconds that a signature may be old, or ahead; at most 300, which is what the specification's libraries allow.
    #[cfg_attr(feature = "schema", schemars(range(max = MOST_TOLERANCE)))]
    pub tolerance: u32,
    /// Bytes of a body.
    #[cfg_attr(feature = "schema", schemars(range(max = LARGEST_BODY)))]
    pub max_bytes: usize,
    /// Items of a body.
    #[cfg_attr(feature = "schema", schemars(range(max = MOST_ITEMS)))]
    pub max_items: usize,
}

impl Default for ReplicationSettings {
    fn default() -> Self {
        Self { tolerance: 300, max_bytes: 1024 * 1024, max_items: 250 }
    }
}

impl ReplicationSettings {
    /// Bytes of a body that are read; a caller reads one more, so that it sees when there are too many.
    #[must_use]
    pub fn max_bytes(&self) -> usize {
        self.max_bytes.min(LARGEST_BODY)
    }

    /// Items of a body that are read.
    #[must_use]
    pub fn max_items(&self) -> usize {
        self.max_items.min(MOST_ITEMS)
    }
}
