//! Respond: the answer's head, honest to every cache below; the body streams.

mod answered;
pub mod body;
pub mod cache_control;
pub mod conditional;
pub mod error_page;
pub mod events;
pub mod storing;

pub use answered::{Answered, respond};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use crate::context::preview;
use crate::plan::variant::{EDGE_VARIANT, Variant};
use crate::plan::{Privacy, Terms};
use crate::wire::headers::{remove_hop_by_hop, remove_where};

/// The header that tells the client which revision of the rules served it.
pub const EDGE_REVISION: HeaderName = HeaderName::from_static("edge-revision");

/// What an origin has no say in, and headers for the edge's own cache: a client has no business with those.
const NOT_THE_ORIGINS: [&str; 10] = [
    "edge-variant",
    "edge-revision",
    "edge-preview",
    "edge-session",
    "edge-session-data",
    "edge-visitor-id",
    "surrogate-control",
    "surrogate-key",
    "cdn-cache-control",
    "cloudflare-cdn-cache-control",
];

/// Finishes the head of an answer: cookies, `Edge-Variant`, `Edge-Revision`, `Vary`, `Cache-Control`. `shown`: it is the answer that was
/// decided. What isn't personalized stays as the origin sent it, hop-by-hop fields aside.
///
/// Every answer of a personalized route says the same of `Vary`, control variation, errors and redirects included.
pub fn finish_head(status: StatusCode, headers: &mut HeaderMap, terms: &Terms, variant: &Variant, shown: bool) {
    // What was not shown is nothing to remember.
    let remembered = terms.remembered.iter().filter(|_| shown);
    let mut own = terms.is_preview;
    for cookie in terms.cookies.iter().chain(remembered) {
        headers.append(header::SET_COOKIE, cookie.clone());
        own = true;
    }
    // A preview is nobody's to keep, nor is what carries a cookie of the edge's.
    let privacy = if own { terms.privacy.max(Privacy::NoStore) } else { terms.privacy };
    shape(status, headers, variant, privacy);
    if terms.is_preview {
        preview::mark(headers);
    }
    if terms.privacy != Privacy::Transparent
        && let Some(value) = terms.revision.as_deref().and_then(|revision| HeaderValue::from_str(revision).ok())
    {
        headers.insert(EDGE_REVISION, value);
    }
}

fn shape(status: StatusCode, headers: &mut HeaderMap, variant: &Variant, privacy: Privacy) {
    remove_hop_by_hop(headers);
    if privacy == Privacy::Transparent {
        return;
    }
    remove_where(headers, |name| NOT_THE_ORIGINS.contains(&name));
    if !variant.is_empty()
        && let Ok(value) = HeaderValue::from_str(&variant.header())
    {
        headers.insert(EDGE_VARIANT, value);
    }
    headers.insert(header::VARY, merged_vary(headers));
    let privacy = if headers.contains_key(header::SET_COOKIE) { Privacy::NoStore } else { privacy };
    cache_control::apply(status, headers, privacy);
}

/// Asks for client hints (RFC 8942 section 3.1), beside those that the origin asks for.
pub fn ask_for_hints(headers: &mut HeaderMap, hints: &[&str]) {
    if hints.is_empty() {
        return;
    }
    if let Ok(value) = HeaderValue::from_str(&hints.join(", ")) {
        headers.append(const { HeaderName::from_static("accept-ch") }, value);
    }
}

/// What the origin varies by, and `Edge-Variant` (RFC 9110 section 12.5.5); several lines become one, nothing is lost.
fn merged_vary(headers: &HeaderMap) -> HeaderValue {
    let mut members: Vec<String> = Vec::new();
    for line in headers.get_all(header::VARY) {
        for member in line.as_bytes().split(|byte| *byte == b',') {
            let member = String::from_utf8_lossy(member.trim_ascii()).into_owned();
            if !member.is_empty() && !members.iter().any(|known| known.eq_ignore_ascii_case(&member)) {
                members.push(member);
            }
        }
    }
    if !members.iter().any(|member| member.eq_ignore_ascii_case("edge-variant")) {
        members.push("Edge-Variant".to_owned());
    }
    HeaderValue::from_str(&members.join(", ")).unwrap_or(HeaderValue::from_static("*, Edge-Variant"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shaped(status: u16, lines: &[(&'static str, &'static str)], privacy: Privacy) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        let mut variant = Variant::default();
        variant.add("region", "APAC");
        shape(StatusCode::from_u16(status).unwrap(), &mut headers, &variant, privacy);
        headers
    }

    #[test]
    fn vary_is_merged_never_replaced() {
        let headers =
            shaped(200, &[("vary", "Origin, accept-encoding"), ("vary", "Accept-Encoding")], Privacy::Private);
        assert_eq!(headers.get_all("vary").iter().collect::<Vec<_>>(), ["Origin, accept-encoding, Edge-Variant"]);
    }

    #[test]
    fn a_personalized_answer_is_private_and_keeps_its_age() {
        let headers = shaped(
            200,
            &[("cache-control", "public, max-age=60, s-maxage=600"), ("surrogate-control", "max-age=9")],
            Privacy::Private,
        );
        assert_eq!(headers["cache-control"], "private, max-age=60");
        assert!(!headers.contains_key("surrogate-control"));
        assert_eq!(headers["edge-variant"], "region=\"APAC\"");
    }

    #[test]
    fn a_cookie_makes_an_answer_nobodys_to_keep() {
        let headers = shaped(200, &[("cache-control", "public, max-age=60"), ("set-cookie", "a=b")], Privacy::Origin);
        assert_eq!(headers["cache-control"], "private, no-store");
    }

    #[test]
    fn an_error_is_not_stored() {
        assert_eq!(shaped(503, &[("cache-control", "max-age=60")], Privacy::Origin)["cache-control"], "no-store");
        assert_eq!(shaped(404, &[], Privacy::Private)["cache-control"], "private, no-store");
    }

    #[test]
    fn what_is_not_personalized_stays_as_it_came() {
        let headers = shaped(
            200,
            &[("cache-control", "public"), ("vary", "Origin"), ("connection", "close"), ("set-cookie", "a=b")],
            Privacy::Transparent,
        );
        assert_eq!(headers["cache-control"], "public");
        assert_eq!(headers["vary"], "Origin");
        assert!(!headers.contains_key("connection") && !headers.contains_key("edge-variant"));
    }
}
