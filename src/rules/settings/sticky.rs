//! `settings.sticky`: the cookie of remembered variations.

use serde::{Deserialize, Serialize};

use http::HeaderValue;

use crate::wire::cookies::{SameSite, SetCookie};

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
    #[cfg_attr(feature = "schema", schemars(range(max = super::visitor::MOST_DAYS)))]
    pub days: u32,
    /// Whether other sites' requests carry it.
    pub same_site: SameSite,
    /// Bytes of its value; every request carries them.
    pub max_bytes: usize,
}

impl StickySettings {
    /// The cookie's name where the settings give none.
    pub const COOKIE: &str = "ep_sticky";

    /// Whether a cookie can be made of these settings.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.cookie("1", 0).render().is_some()
    }

    /// The `Set-Cookie` value that makes a client keep `value` on `host` for so long; `None` where the settings make no valid cookie.
    pub(crate) fn render(&self, value: &str, seconds: u32, host: &str) -> Option<HeaderValue> {
        self.cookie(value, seconds).on(host).render()
    }

    fn cookie<'a>(&'a self, value: &'a str, seconds: u32) -> SetCookie<'a> {
        let domain = self.domain.as_deref();
        SetCookie { name: &self.cookie, value, domain, max_age: Some(seconds), same_site: self.same_site }
    }
}

impl Default for StickySettings {
    fn default() -> Self {
        Self { cookie: Self::COOKIE.to_owned(), domain: None, days: 180, same_site: SameSite::Lax, max_bytes: 2048 }
    }
}
