//! The right to look: a signed link opens `/.edge/inspect` of one host for a while. It can't change anything, and opens nothing else.
//!
//! The token comes in the link's fragment, which no browser sends. The page posts it once, and it becomes the cookie
//! [`COOKIE`], which no other site's request carries, no script reads and no origin sees.

use http::HeaderValue;
use serde::{Deserialize, Serialize};

use super::signed;
pub use crate::admit::INSPECT_COOKIE as COOKIE;
use crate::wire::cookies::{SameSite, SetCookie};
pub use signed::{TokenError, sign, verify};

/// The page's path.
pub const PATH: &str = "/.edge/inspect";
/// The fragment's parameter that brings the token.
pub const FRAGMENT: &str = "token";
/// Seconds that a token may be valid at most, 12 hours: a working day.
pub const LONGEST_LIFE: i64 = 12 * 3600;
/// Test users that one token names at most.
pub const MOST_USERS: usize = 20;

/// What a token permits.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct InspectClaims {
    /// The host whose pages may be looked at, without port, in small letters.
    pub host: String,
    /// Users whose sessions may be shown: test users. Nobody else's are.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<String>,
    /// Seconds since 1970 from which the token is void.
    pub exp: i64,
}

impl signed::Claims for InspectClaims {
    const CONTEXT: &'static [u8] = b"edge-personalizer inspect 1.";
    const LONGEST_LIFE: i64 = LONGEST_LIFE;

    fn expires(&self) -> i64 {
        self.exp
    }
}

/// The `Set-Cookie` value that keeps a verified `token` for so many seconds; 0 removes it.
#[must_use]
pub fn set_cookie(token: &str, seconds: u32) -> Option<HeaderValue> {
    let value = if seconds == 0 { "" } else { token };
    SetCookie { name: COOKIE, value, domain: None, max_age: Some(seconds), same_site: SameSite::Strict }.render()
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::*;
    use crate::context::preview::{self, PreviewClaims};
    use crate::mac::MacKey;

    const NOW: i64 = 1_800_000_000;

    #[test]
    fn a_token_of_one_kind_is_none_of_the_other() {
        let key = MacKey::new(&[1; 32]).unwrap();
        let now = OffsetDateTime::from_unix_timestamp(NOW).unwrap();
        let claims = InspectClaims { host: "shop.example".to_owned(), users: vec!["test".to_owned()], exp: NOW + 60 };
        let token = sign(&claims, &key).unwrap();
        assert_eq!(verify::<InspectClaims>(&token, std::slice::from_ref(&key), now), Ok(claims));
        let previews = preview::verify(&token, std::slice::from_ref(&key), now);
        assert_eq!(previews, Err(TokenError::Signature));
        let other = preview::sign(&PreviewClaims { exp: NOW + 60, ..PreviewClaims::default() }, &key).unwrap();
        assert_eq!(verify::<InspectClaims>(&other, &[key], now), Err(TokenError::Signature));
    }

    #[test]
    fn the_cookie_is_the_hosts_own_and_no_other_sites() {
        let cookie = set_cookie("1.a.b", 900).unwrap();
        assert_eq!(cookie, "__Host-ep_inspect=1.a.b; Path=/; Max-Age=900; Secure; HttpOnly; SameSite=Strict");
        assert!(
            set_cookie("1.a.b", 0).unwrap().to_str().unwrap().starts_with("__Host-ep_inspect=; Path=/; Max-Age=0;")
        );
    }
}
