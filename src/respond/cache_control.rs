//! `Cache-Control` of a personalized answer (RFC 9111 section 5.2.2): typed, rendered once, and asserted last.

use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::plan::Privacy;
use crate::wire::list;

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
    let lines = headers.get_all(header::CACHE_CONTROL).iter().map(HeaderValue::as_bytes);
    for directive in lines.flat_map(list::members) {
        let name = list::directive_name(directive);
        if !SHARED_ONLY.iter().any(|shared| shared.as_bytes().eq_ignore_ascii_case(name))
            && let Ok(directive) = std::str::from_utf8(directive)
        {
            directives.push(directive.to_owned());
        }
    }
    directives.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_qualified_directive_is_taken_out_whole() {
        let line = HeaderValue::from_static(r#"private="set-cookie, x-a", max-age=60, s-maxage=600, no-cache="b, c""#);
        let mut headers = HeaderMap::from_iter([(header::CACHE_CONTROL, line)]);
        apply(StatusCode::OK, &mut headers, Privacy::Private);
        assert_eq!(headers[header::CACHE_CONTROL], r#"private, max-age=60, no-cache="b, c""#);
    }
}
