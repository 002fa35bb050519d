//! Which headers of a client count, and which don't (design.md section 5).

mod trusted;

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue, header};

use trusted::is_trusted;

/// Headers by which the edge tells an origin what it found out, or by which a client tells the edge who it is. Rules don't set
/// them, either.
const SPOOFABLE: [&str; 11] = [
    "forwarded",
    "true-client-ip",
    "client-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "cf-connecting-ip",
    "x-host",
    "x-user-id",
    "x-user-signature",
    "x-device-type",
    "x-network",
];

/// Prefixes of the same kind.
const SPOOFABLE_PREFIXES: [&str; 11] = [
    "edge-",
    "x-geo-",
    "x-forwarded-",
    "fastly-",
    "x-varnish-",
    "x-http-method",
    "x-method-override",
    "x-original-host",
    "x-original-url",
    "x-real-ip",
    "x-rewrite-url",
];

/// What the edge alone says to the origin, beside the spoofable ones.
const EDGE_ONLY: [&str; 6] = ["x-request-id", "traceparent", "tracestate", "cdn-loop", "via", "surrogate-control"];

/// What follows from the request itself or from the connection.
const FRAMING: [&str; 4] = ["host", "content-length", "expect", "max-forwards"];

/// A name as servers compare it: CGI, and what came after it (WSGI, Rack, PHP), makes a variable of it and writes `_` for whatever
/// is no letter and no digit (RFC 3875 section 4.1.18), so that `X.User_ID` is `X-User-ID` there. Lower case, `-` for all of those.
fn as_compared(name: &str) -> Cow<'_, str> {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if name.bytes().all(is_plain) {
        return Cow::Borrowed(name);
    }
    let compared = |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '-' };
    Cow::Owned(name.chars().map(compared).collect())
}

/// Whether a client could forge it, to an origin's harm.
pub fn is_spoofable(name: &str) -> bool {
    let compared = as_compared(name);
    let is_other_spelling = matches!(compared, Cow::Owned(_));
    is_edges_own(&compared) || is_trusted(&compared) || (is_other_spelling && is_reserved_name(&compared))
}

fn is_edges_own(name: &str) -> bool {
    SPOOFABLE.contains(&name) || SPOOFABLE_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// `name` as it is compared.
fn is_reserved_name(name: &str) -> bool {
    is_edges_own(name) || ends_here(name) || EDGE_ONLY.contains(&name) || FRAMING.contains(&name)
}

/// Whether rules may not edit the request header `name`: the edge alone sets it, or nobody does.
pub fn is_reserved(name: &HeaderName) -> bool {
    is_reserved_name(&as_compared(name.as_str()))
}

/// Hop-by-hop fields (RFC 9110 section 7.6.1), with the obsolete ones that some peers still act on.
fn ends_here(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
            | "http2-settings"
    )
}

/// The names that `Connection` lists: they end at this hop too (RFC 9110 section 7.6.1).
fn listed_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    headers
        .get_all(header::CONNECTION)
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .collect()
}

/// Removes the fields that end at this hop.
pub fn remove_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(header::CONNECTION) {
        for name in listed_by_connection(headers) {
            // A client can't have the edge's own or the framing fields removed by listing them.
            let compared = as_compared(name.as_str());
            if !EDGE_ONLY.contains(&&*compared) && !FRAMING.contains(&&*compared) {
                headers.remove(name);
            }
        }
    }
    remove_where(headers, ends_here);
}

/// Removes the fields with such names. A look at each field that is there costs less than a search for each that might be.
pub fn remove_where(headers: &mut HeaderMap, is_unwanted: impl Fn(&str) -> bool) {
    let unwanted: Vec<HeaderName> = headers.keys().filter(|name| is_unwanted(name.as_str())).cloned().collect();
    for name in unwanted {
        headers.remove(name);
    }
}

/// Removes `name` as a client may spell it: with `_` or `.` for `-`, an origin behind CGI can't tell it from what a rule sets.
pub fn remove_spellings(headers: &mut HeaderMap, name: &HeaderName) {
    let compared = as_compared(name.as_str());
    remove_where(headers, |other| other.len() == compared.len() && as_compared(other) == compared);
}

/// Joins several `Cookie` lines with `; ` (RFC 9113 section 8.2.3): what comes after sees one.
pub fn join_cookies(headers: &mut HeaderMap) {
    if headers.get_all(header::COOKIE).iter().nth(1).is_none() {
        return;
    }
    let lines: Vec<&[u8]> = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if let Ok(joined) = HeaderValue::from_bytes(&lines.join(&b"; "[..])) {
        headers.insert(header::COOKIE, joined);
    }
}

/// Whether the client accepts `coding` (RFC 9110 section 12.5.3).
pub fn accepts_encoding(headers: &HeaderMap, coding: &str) -> bool {
    let mut accepted = false;
    for line in headers.get_all(header::ACCEPT_ENCODING) {
        let Ok(line) = line.to_str() else { continue };
        for member in line.split(',') {
            let (name, parameters) = member.split_once(';').unwrap_or((member, ""));
            if !name.trim().eq_ignore_ascii_case(coding) {
                continue;
            }
            let quality = parameters.trim().strip_prefix("q=").map_or(Ok(1.0), str::parse::<f32>);
            accepted = quality.is_ok_and(|quality| quality > 0.0);
        }
    }
    accepted
}

/// The token of `Authorization: Bearer …` (RFC 6750 section 2.1), the scheme in any case (RFC 9110 section 11.1); `None` for several lines
/// or another scheme.
pub fn bearer_token(headers: &HeaderMap) -> Option<&[u8]> {
    const SCHEME: &[u8] = b"Bearer";
    let mut lines = headers.get_all(header::AUTHORIZATION).into_iter();
    let (line, None) = (lines.next()?, lines.next()) else {
        return None;
    };
    let (scheme, token) = line.as_bytes().split_at_checked(SCHEME.len())?;
    let token = token.strip_prefix(b" ").filter(|_| scheme.eq_ignore_ascii_case(SCHEME))?;
    Some(token.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn what_connection_lists_ends_here() {
        let mut map = headers(&[
            ("Connection", "close, X-Private"),
            ("connection", "x-other"),
            ("X-Private", "1"),
            ("x-other", "1"),
            ("Accept", "*/*"),
        ]);
        remove_hop_by_hop(&mut map);
        assert_eq!(map.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["accept"]);
    }

    #[test]
    fn a_client_cannot_list_the_host_away() {
        let mut map = headers(&[("Connection", "host, cdn-loop, TE"), ("Host", "a"), ("CDN-Loop", "x"), ("te", "x")]);
        remove_hop_by_hop(&mut map);
        assert!(map.len() == 2 && map.contains_key("host") && map.contains_key("cdn-loop"), "{map:?}");
    }

    #[test]
    fn every_spelling_of_a_forgery_goes() {
        let mut map = headers(&[
            ("EDGE-Variant", "a"),
            ("edge-variant", "b"),
            ("X-GEO-region", "c"),
            ("x-user-id", "d"),
            ("X-Forwarded-Host", "e"),
            ("Fastly-Client-IP", "f"),
            ("X_User_ID", "g"),
            ("edge_variant", "h"),
            ("X-Forwarded_For", "i"),
            ("Content_Length", "7"),
            ("X.User.ID", "j"),
            ("Edge.Variant", "k"),
            ("X~Forwarded~For", "l"),
            ("X!Device'Type", "m"),
            ("X-RealIP", "n"),
            ("X.RealIP", "o"),
            ("X-HTTP-Host-Override", "p"),
            ("Front-End-Https", "q"),
            ("X-Original-URI", "r"),
            ("Proxy", "s"),
            ("X-Sendfile-Type", "t"),
            ("X-Middleware-Subrequest", "u"),
            ("x_middleware_subrequest", "v"),
        ]);
        remove_where(&mut map, is_spoofable);
        assert!(map.is_empty(), "{map:?}");
    }

    #[test]
    fn what_a_rule_sets_or_removes_has_no_other_spelling_left() {
        let mut map = headers(&[("X-Who", "a"), ("x_who", "b"), ("X.WHO", "c"), ("x_whom", "d"), ("x~who", "e")]);
        remove_spellings(&mut map, &HeaderName::from_static("x-who"));
        assert_eq!(map.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["x_whom"]);
    }

    #[test]
    fn an_underscore_alone_is_no_forgery() {
        let mut map = headers(&[("sec_token", "a"), ("x_tier", "b"), ("x.tier", "c")]);
        remove_where(&mut map, is_spoofable);
        assert_eq!(map.len(), 3);
    }

    #[test]
    fn rules_may_set_what_other_networks_write_but_not_what_this_edge_does() {
        for name in ["x-original-uri", "front-end-https", "x-accel-mapping", "cf-access-jwt-assertion"] {
            assert!(!is_reserved(&HeaderName::from_static(name)), "{name}");
        }
        for name in
            ["x-user-id", "edge.variant", "x_forwarded_for", "x-rewrite-url", "x-http-method-override", "host", "te"]
        {
            assert!(is_reserved(&HeaderName::from_static(name)), "{name}");
        }
    }

    #[test]
    fn several_cookie_lines_become_one() {
        let mut map = headers(&[("Cookie", "a=1"), ("cookie", "b=2; c=3")]);
        join_cookies(&mut map);
        assert_eq!(map.get_all("cookie").iter().collect::<Vec<_>>(), ["a=1; b=2; c=3"]);
    }
}
