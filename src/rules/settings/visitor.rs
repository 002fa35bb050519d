//! `settings.visitor`: the cookie of a visitor who isn't logged in.

use serde::{Deserialize, Serialize};

use crate::wire::cookies::SameSite;

/// Where the visitor id is kept; `settings.visitor`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct VisitorSettings {
    /// The cookie's name.
    pub cookie: String,
    /// The domain that all get it; the answering host alone without one.
    pub domain: Option<String>,
    /// Days it lives, at most 400 (6265bis, section 5.5).
    pub days: u32,
    /// Whether other sites' requests carry it.
    pub same_site: SameSite,
}

impl Default for VisitorSettings {
    fn default() -> Self {
        Self { cookie: "ep_vid".to_owned(), domain: None, days: 180, same_site: SameSite::Lax }
    }
}
