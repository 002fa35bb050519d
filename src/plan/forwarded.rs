//! Where a request came from, as the edge tells the origin: `X-Forwarded-For`, `-Host`, `-Proto`, and `Forwarded` (RFC 7239) with the
//! same. What a client says of it was removed when the request was admitted.

use std::fmt::Write as _;
use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::admit::RequestHead;

/// Adds them. `address` is the visitor's, where the request is that visitor's own.
pub(super) fn add(head: &RequestHead, address: Option<IpAddr>, headers: &mut HeaderMap) {
    const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
    const HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
    const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
    const FORWARDED: HeaderName = HeaderName::from_static("forwarded");
    let address = address.map(|address| address.to_string());
    let mut insert = |name: HeaderName, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    insert(PROTO, &head.scheme);
    insert(HOST, &head.authority);
    insert(FORWARDED, &forwarded(address.as_deref(), &head.authority, &head.scheme));
    if let Some(address) = &address {
        insert(FOR, address);
    }
}

/// The element of this hop (RFC 7239 section 4).
fn forwarded(address: Option<&str>, host: &str, proto: &str) -> String {
    let mut element = String::with_capacity(64);
    // Writing to a String can't fail. A colon may stand in quotes alone, and so do brackets (section 6).
    let _ = match address {
        Some(address) if address.contains(':') => write!(element, "for=\"[{address}]\";"),
        Some(address) => write!(element, "for={address};"),
        None => Ok(()),
    };
    let quote = if host.contains([':', '[']) { "\"" } else { "" };
    let _ = write!(element, "host={quote}{host}{quote};proto={proto}");
    element
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_element_is_quoted_where_the_grammar_asks_for_it() {
        for (address, host, element) in [
            (Some("192.0.2.1"), "shop.example", "for=192.0.2.1;host=shop.example;proto=https"),
            (Some("2001:db8::7"), "shop.example:8443", r#"for="[2001:db8::7]";host="shop.example:8443";proto=https"#),
            (None, "[::1]", r#"host="[::1]";proto=https"#),
        ] {
            assert_eq!(forwarded(address, host, "https"), element);
        }
    }
}
