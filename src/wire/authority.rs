//! Authorities: host and port, as `Host` has them (RFC 3986 section 3.2, RFC 9110 section 7.2).

use std::net::{Ipv4Addr, Ipv6Addr};

/// Longest host name in bytes, without a dot at its end (RFC 1035 section 2.3.4).
const MAX_HOST: usize = 253;

/// The host and the digits of the port of an authority; `None` where it isn't one. An IPv6 address keeps its brackets. Names
/// are ASCII (Unicode ones come in Punycode); a host whose last label is a number must be an IPv4 address, for URL parsers take
/// it for one.
#[must_use]
pub fn split(authority: &str) -> Option<(&str, Option<&str>)> {
    let end = match authority.starts_with('[') {
        true => authority.find(']')? + 1,
        false => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, rest) = authority.split_at_checked(end)?;
    let port = match rest.strip_prefix(':') {
        Some(port) => Some(port),
        None if rest.is_empty() => None,
        None => return None,
    };
    // `parse` takes a sign before the digits; no port after the colon means the scheme's own (RFC 3986 section 3.2.3).
    let is_port =
        |port: &str| port.is_empty() || (port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok());
    (is_host(host) && port.is_none_or(is_port)).then_some((host, port))
}

/// The host as it is compared: without port, and without the dot that ends a fully qualified name. What is no authority is
/// given back as it is.
#[must_use]
pub fn host(authority: &str) -> &str {
    match split(authority) {
        Some((host, _)) => host.strip_suffix('.').unwrap_or(host),
        None => authority,
    }
}

fn is_host(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return address.parse::<Ipv6Addr>().is_ok();
    }
    let name = host.strip_suffix('.').unwrap_or(host);
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    (1..=MAX_HOST).contains(&name.len())
        && name.bytes().all(plain)
        && (!ends_in_a_number(name) || name.parse::<Ipv4Addr>().is_ok())
}

/// WHATWG URL, "ends in a number checker".
fn ends_in_a_number(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or_default();
    let hexadecimal = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
    let digits = !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit());
    digits || hexadecimal.is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_and_port_come_apart() {
        assert_eq!(split("shop.example"), Some(("shop.example", None)));
        assert_eq!(split("shop.example:8080"), Some(("shop.example", Some("8080"))));
        assert_eq!(split("[::1]"), Some(("[::1]", None)));
        assert_eq!(split("[2001:db8::7]:7878"), Some(("[2001:db8::7]", Some("7878"))));
        assert_eq!(split("192.0.2.1:80"), Some(("192.0.2.1", Some("80"))));
        assert_eq!(split("a_b.example.:"), Some(("a_b.example.", Some(""))));
    }

    #[test]
    fn what_is_no_authority_is_refused() {
        for bad in [
            "",
            ".",
            ":80",
            "a:65536",
            "a:b",
            "a:+80",
            "a:1:2",
            "a b",
            "a/b",
            "a@b",
            "é",
            "[",
            "[]",
            "[::1",
            "::1",
            "[::1]x",
            "[::1]:99999",
            "[::1]:x",
            "[fe80::1%eth0]",
            "[::g]",
            "x[::1]",
            "1.2.3.4.5",
            "256.1.1.1",
            "127.1",
            "0x7f",
            "a.0x1",
        ] {
            assert_eq!(split(bad), None, "{bad}");
        }
        assert_eq!(split(&"a".repeat(254)), None);
        assert!(split(&format!("{}.", "a".repeat(253))).is_some());
    }

    #[test]
    fn a_host_is_compared_without_its_port_and_its_last_dot() {
        assert_eq!(host("shop.example.com.:443"), "shop.example.com");
        assert_eq!(host("shop.example.com."), "shop.example.com");
        assert_eq!(host("[::1]:7878"), "[::1]");
        assert_eq!(host("[::1]"), "[::1]");
    }
}
