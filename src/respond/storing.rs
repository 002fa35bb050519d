//! What the edge's cache keeps of an origin's answer on a shared route.
//!
//! The platform asks before it stores (Fastly, [customizing cache behaviour]); a host without such a cache never does, and gives the
//! visitor what `respond::shape` makes of the same answer.
//!
//! [customizing cache behaviour]: https://www.fastly.com/documentation/guides/concepts/edge-state/cache/#customizing-cache-interaction-with-the-backend

use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::merged_vary;
use crate::wire::list;

/// What becomes of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Storing {
    /// It is stored as the platform would; a cache between the edge's own (shielding) reads this in its `Vary`.
    Keep {
        /// The origin's `Vary`, and `Edge-Variant`.
        vary: HeaderValue,
    },
    /// It is one visitor's own, or a failure: it is passed on and not stored.
    Skip,
    /// It is a failure, and an older answer is still good enough (RFC 5861 section 4): that one serves.
    Stale,
}

/// Decides over an answer; `stale` says whether an older one is within its stale-if-error time.
///
/// A route's `ttl` overrides how long the origin wants an answer kept, never *whether* it may be shared.
pub fn storing(status: StatusCode, headers: &HeaderMap, stale: bool) -> Storing {
    if status.is_server_error() {
        return if stale { Storing::Stale } else { Storing::Skip };
    }
    // A refusal is one client's (401, 403, 429, …); that something isn't there is everybody's.
    if status.is_client_error() && !matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE) {
        return Storing::Skip;
    }
    let vary = merged_vary(headers);
    let varies_by_all = list::members(vary.as_bytes()).any(|member| member == b"*");
    if headers.contains_key(header::SET_COOKIE) || is_private(headers) || varies_by_all {
        return Storing::Skip;
    }
    Storing::Keep { vary }
}

/// Whether an answer says that it is one visitor's own, or that nobody keeps it.
pub fn is_private(headers: &HeaderMap) -> bool {
    // The edge's own header outranks the one for everybody (Fastly, "Surrogate-Control").
    let edge = header::HeaderName::from_static("surrogate-control");
    let rules = if headers.contains_key(&edge) { edge } else { header::CACHE_CONTROL };
    ["private", "no-store"].iter().any(|directive| has(headers, &rules, directive))
}

/// Whether a list of directives has this one, qualified (`private="x"`) or not.
fn has(headers: &HeaderMap, name: &header::HeaderName, directive: &str) -> bool {
    let lines = headers.get_all(name).iter().map(HeaderValue::as_bytes);
    lines.flat_map(list::members).any(|member| list::directive_name(member).eq_ignore_ascii_case(directive.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(status: u16, lines: &[(&'static str, &'static str)], stale: bool) -> Storing {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        storing(StatusCode::from_u16(status).unwrap(), &headers, stale)
    }

    fn kept(vary: &'static str) -> Storing {
        Storing::Keep { vary: HeaderValue::from_static(vary) }
    }

    #[test]
    fn a_stored_answer_names_the_variant_in_vary() {
        assert_eq!(stored(200, &[("vary", "Origin"), ("vary", "Accept")], false), kept("Origin, Accept, Edge-Variant"));
        assert_eq!(stored(404, &[], false), kept("Edge-Variant"));
    }

    #[test]
    fn a_failure_is_not_stored_and_an_older_answer_serves() {
        assert_eq!(stored(503, &[], true), Storing::Stale);
        assert_eq!(stored(500, &[("cache-control", "max-age=60")], false), Storing::Skip);
        assert_eq!(stored(404, &[], true), kept("Edge-Variant"), "a page that is gone is gone");
    }

    #[test]
    fn what_is_one_visitors_own_is_not_stored() {
        assert_eq!(stored(200, &[("set-cookie", "a=b"), ("cache-control", "public")], false), Storing::Skip);
        assert_eq!(stored(200, &[("cache-control", "max-age=60"), ("cache-control", "Private")], false), Storing::Skip);
        assert_eq!(stored(200, &[("cache-control", "private=\"x-a\", max-age=60")], false), Storing::Skip);
        assert_eq!(stored(200, &[("cache-control", "no-store")], false), Storing::Skip);
        assert_eq!(stored(200, &[("vary", "*")], false), Storing::Skip);
        assert_eq!(stored(200, &[("vary", "Accept-Encoding, *")], false), Storing::Skip);
        for refusal in [401, 403, 407, 429] {
            assert_eq!(stored(refusal, &[("cache-control", "max-age=60")], false), Storing::Skip, "{refusal}");
        }
    }

    #[test]
    fn surrogate_control_outranks_cache_control() {
        let own = ("surrogate-control", "max-age=600");
        assert_eq!(stored(200, &[own, ("cache-control", "private, no-store")], false), kept("Edge-Variant"));
        assert_eq!(stored(200, &[("surrogate-control", "no-store")], false), Storing::Skip);
    }
}
