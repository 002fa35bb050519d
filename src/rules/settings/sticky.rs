//! `settings.sticky`: the cookie of remembered variations.

use serde::{Deserialize, Serialize};

use crate::wire::cookies::SameSite;

/// Where sticky buckets are kept; `settings.sticky`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct StickySettings {
    /// The cookie's name.
    pub cookie: String,
    /// The domain that all get it; the answering host alone without one.
    pub domain: Option<String>,
    /// Days it lives, at most 400 (6265bis, section 5.5).
    pub days: u32,
    /// Whether other sites' requests carry it.
    pub same_site: SameSite,
    /// Bytes of its value; every request carries them.
    pub max_bytes: usize,
}

impl Default for StickySettings {
    fn default() -> Self {
        Self { cookie: "ep_sticky".to_owned(), domain: None, days: 180, same_site: SameSite::Lax, max_bytes: 2048 }
    }
}
