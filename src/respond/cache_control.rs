//! `Cache-Control` of a personalized answer (RFC 9111 section 5.2.2): typed, rendered once, and asserted last.

use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::plan::Privacy;

/// Directives that only shared caches act on, or that invite them.
const SHARED_ONLY: [&str; 4] = ["public", "s-maxage", "proxy-revalidate", "private"];

/// Sets `Cache-Control` for `privacy`; errors are `no-store`.
pub fn apply(status: StatusCode, headers: &mut HeaderMap, privacy: Privacy) {
    let failed = status.is_client_error() || status.is_server_error();
    let value = match privacy {
        Privacy::Transparent => return,
        Privacy::NoStore => Some("private, no-store".to_owned()),
        Privacy::Origin if failed => Some("no-store".to_owned()),
        Privacy::Origin => None,
        Privacy::Private if failed => Some("private, no-store".to_owned()),
        Privacy::Private => Some(private(headers)),
    };
    if let Some(value) = value.and_then(|value| HeaderValue::from_str(&value).ok()) {
        headers.insert(header::CACHE_CONTROL, value);
        // HTTP/1.0 caches read these instead.
        headers.remove(header::PRAGMA);
        if privacy == Privacy::NoStore || failed {
            headers.remove(header::EXPIRES);
        }
    }
}

/// The origin's directives without what invites shared caches, and `private` in front.
fn private(headers: &HeaderMap) -> String {
    let mut directives = vec!["private".to_owned()];
    for line in headers.get_all(header::CACHE_CONTROL) {
        let Ok(line) = line.to_str() else { continue };
        for directive in line.split(',').map(str::trim).filter(|directive| !directive.is_empty()) {
            let name = directive.split('=').next().unwrap_or_default().trim();
            if !SHARED_ONLY.iter().any(|shared| shared.eq_ignore_ascii_case(name)) {
                directives.push(directive.to_owned());
            }
        }
    }
    directives.join(", ")
}
