//! `settings.visitor`: the cookie of a visitor who isn't logged in.

use serde::{Deserialize, Serialize};

use http::HeaderValue;

use crate::wire::cookies::{SameSite, SetCookie};

/// Days that a cookie lives at most (6265bis, section 5.5): browsers cut what is longer.
#[cfg(feature = "schema")]
pub(super) const MOST_DAYS: u32 = crate::wire::cookies::LONGEST_LIFE / 86_400;

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
    #[cfg_attr(feature = "schema", schemars(range(max = MOST_DAYS)))]
    pub days: u32,
    /// Whether other sites' requests carry it.
    pub same_site: SameSite,
    /// The cookie in which another program keeps an id (`gbuuid` of GrowthBook's browser bundle). Where a visitor has that and no id of the
    /// edge's, it is the visitor's id.
    pub adopt: Option<String>,
    /// No cookie can be made of these: no id is made, kept or read, for it would be another one at every request.
    #[serde(skip)]
    pub unusable: bool,
}

impl Default for VisitorSettings {
    fn default() -> Self {
        Self {
            cookie: "ep_vid".to_owned(),
            domain: None,
            days: 180,
            same_site: SameSite::Lax,
            adopt: None,
            unusable: false,
        }
    }
}

impl VisitorSettings {
    /// Whether a cookie can be made of these settings.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        // As long as any id.
        self.cookie("00000000000000000000000000000000", 0).render().is_some()
    }

    /// The `Set-Cookie` value that makes a client forget the id that another program keeps; `None` where none is adopted.
    pub(crate) fn remove_adopted(&self, host: &str) -> Option<HeaderValue> {
        SetCookie { name: self.adopt.as_deref()?, ..self.cookie("", 0) }.on(host).render()
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
