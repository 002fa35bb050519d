//! Cookies: reading what a client sends, writing what it shall keep (RFC 6265, and its revision draft-ietf-httpbis-
//! rfc6265bis, "6265bis" below).

use std::fmt::Write as _;

use http::{HeaderMap, HeaderValue, header};
use serde::{Deserialize, Serialize};

/// Seconds a cookie may live at most: 400 days (6265bis, section 5.5).
pub const LONGEST_LIFE: u32 = 400 * 86_400;
/// Bytes of name and value together that user agents must take (6265bis, section 5.6).
pub const LARGEST_PAIR: usize = 4096;
/// Bytes of an attribute's value that user agents must take (6265bis, section 5.6).
const LARGEST_ATTRIBUTE: usize = 1024;

/// The cookies of a request, over all its `Cookie` lines (HTTP/2 may split them: RFC 9113, section 8.2.3).
///
/// Nothing is copied or decoded. A pair that makes no sense is skipped, so that one broken cookie of somebody else's
/// hides none of ours.
#[derive(Debug, Clone, Copy)]
pub struct Cookies<'a>(&'a HeaderMap);

impl<'a> Cookies<'a> {
    /// The cookies in `headers`.
    #[must_use]
    pub fn of(headers: &'a HeaderMap) -> Self {
        Self(headers)
    }

    /// Every pair in the order sent: name, value. Surrounding white space is gone, and so is one pair of double
    /// quotes around a value (RFC 6265, section 4.1.1).
    pub fn iter(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        self.pairs().filter_map(|pair| {
            let name = pair_name(pair);
            let value = pair.split_at_checked(pair.iter().position(|byte| *byte == b'=')? + 1)?.1;
            (!name.is_empty()).then_some((name, unquoted(value.trim_ascii())))
        })
    }

    /// Every value of the cookie `name`, in the order sent: a client may send a name twice, set for two paths or domains.
    pub fn all<'n>(&self, name: &'n str) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        self.iter().filter(move |(found, _)| *found == name.as_bytes()).map(|(_, value)| value)
    }

    /// Every pair as it was sent, quotes and all, in the order sent; what has no `=` too. For [`pair_name`], and for sending it on.
    pub fn pairs(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.0
            .get_all(header::COOKIE)
            .into_iter()
            .flat_map(|line| line.as_bytes().split(|byte| *byte == b';'))
            .map(<[u8]>::trim_ascii)
            .filter(|pair| !pair.is_empty())
    }

    /// The first value of the cookie `name` (names are case-sensitive), as bytes.
    #[must_use]
    pub fn bytes(&self, name: &str) -> Option<&'a [u8]> {
        self.iter().find(|(found, _)| *found == name.as_bytes()).map(|(_, value)| value)
    }

    /// The first value of the cookie `name`; `None` also where it isn't UTF-8.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.bytes(name).and_then(|value| std::str::from_utf8(value).ok())
    }
}

/// The name in a pair as it was sent; all of it where it has no `=`.
#[must_use]
pub fn pair_name(pair: &[u8]) -> &[u8] {
    pair.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii()
}

/// Takes a cookie out of a request; all others stay as they were sent.
pub fn remove(headers: &mut HeaderMap, name: &str) {
    let is_it = |pair: &&[u8]| pair_name(pair) == name.as_bytes();
    let cookies = Cookies::of(headers);
    if !cookies.pairs().any(|pair| is_it(&pair)) {
        return;
    }
    let rest: Vec<&[u8]> = cookies.pairs().filter(|pair| !is_it(pair)).collect();
    let rest = HeaderValue::from_bytes(&rest.join(&b"; "[..])).ok().filter(|rest| !rest.is_empty());
    headers.remove(header::COOKIE);
    if let Some(rest) = rest {
        headers.insert(header::COOKIE, rest);
    }
}

fn unquoted(value: &[u8]) -> &[u8] {
    value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(value)
}

/// When a browser sends a cookie along with requests from other sites (6265bis, section 5.5.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum SameSite {
    /// Never.
    Strict,
    /// With top-level navigation only.
    #[default]
    Lax,
    /// Always.
    None,
}

impl SameSite {
    fn as_str(self) -> &'static str {
        match self {
            Self::Strict => "Strict",
            Self::Lax => "Lax",
            Self::None => "None",
        }
    }
}

/// A cookie for the client to keep. Always `Secure; HttpOnly; Path=/`.
#[derive(Debug, Clone, Copy)]
pub struct SetCookie<'a> {
    /// The name: an RFC 9110 token.
    pub name: &'a str,
    /// The value: RFC 6265 `cookie-octet`s.
    pub value: &'a str,
    /// The domain whose hosts all get it; the answering host alone without one.
    pub domain: Option<&'a str>,
    /// Seconds it lives, at most [`LONGEST_LIFE`]; until the browser closes without one; 0 removes it.
    pub max_age: Option<u32>,
    /// Whether other sites' requests carry it.
    pub same_site: SameSite,
}

impl SetCookie<'_> {
    /// The cookie on `host`: its own alone where the domain is another one's, for no browser takes it then (RFC 6265, section 5.3, step 6), and
    /// an id that no browser keeps would be another one at every request.
    #[must_use]
    pub fn on(self, host: &str) -> Self {
        Self { domain: self.domain.filter(|domain| covers(domain, host)), ..self }
    }

    /// The `Set-Cookie` header's value; `None` where a browser would refuse the cookie or a part of it could break
    /// out of its place.
    #[must_use]
    pub fn render(&self) -> Option<HeaderValue> {
        let sound = is_token(self.name)
            && self.value.bytes().all(is_cookie_octet)
            && self.name.len() + self.value.len() <= LARGEST_PAIR
            && self.domain.is_none_or(is_domain)
            // A `__Host-` cookie is the answering host's own (6265bis, section 4.1.3.2).
            && (self.domain.is_none() || !starts_with_ignoring_case(self.name, "__Host-"));
        if !sound {
            return None;
        }
        let mut text = format!("{}={}; Path=/", self.name, self.value);
        if let Some(domain) = self.domain {
            let _ = write!(text, "; Domain={domain}");
        }
        if let Some(seconds) = self.max_age {
            let _ = write!(text, "; Max-Age={}", seconds.min(LONGEST_LIFE));
        }
        let _ = write!(text, "; Secure; HttpOnly; SameSite={}", self.same_site.as_str());
        HeaderValue::try_from(text).ok()
    }
}

/// Whether `host` lies within `domain` (RFC 6265, section 5.1.3).
#[must_use]
pub fn covers(domain: &str, host: &str) -> bool {
    if host.parse::<std::net::IpAddr>().is_ok() {
        return host == domain;
    }
    let before = host.len().checked_sub(domain.len());
    let ends = |at| host.get(at..).is_some_and(|end| end.eq_ignore_ascii_case(domain));
    before.is_some_and(|at| ends(at) && (at == 0 || host.as_bytes().get(at - 1) == Some(&b'.')))
}

fn starts_with_ignoring_case(text: &str, prefix: &str) -> bool {
    text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// Whether a text is a token (RFC 9110, section 5.6.2), and so may name a cookie.
#[must_use]
pub fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// Whether a byte may stand in a cookie's value without quotes (RFC 6265, section 4.1.1).
fn is_cookie_octet(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"\",;\\".contains(&byte)
}

/// Whether a text may stand as a cookie's domain: host labels (RFC 1123, section 2.1), without the leading dot that
/// user agents ignore.
fn is_domain(text: &str) -> bool {
    text.len() <= 253.min(LARGEST_ATTRIBUTE)
        && text.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[&[u8]]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::COOKIE, HeaderValue::from_bytes(line).unwrap());
        }
        headers
    }

    #[test]
    fn the_first_value_wins_over_several_lines() {
        let headers = headers(&[b"a=1; b=2", b"b=3;c = 4 ", b"b=5"]);
        let cookies = Cookies::of(&headers);
        assert_eq!(cookies.get("a"), Some("1"));
        assert_eq!(cookies.get("b"), Some("2"));
        assert_eq!(cookies.get("c"), Some("4"));
        assert_eq!(cookies.get("d"), None);
        assert_eq!(cookies.iter().count(), 5);
    }

    #[test]
    fn every_value_of_a_name_and_every_pair_can_be_had_as_sent() {
        let headers = headers(&[b"a=1; b=\"2\"", b"a = 3;; odd ;a="]);
        let cookies = Cookies::of(&headers);
        assert_eq!(cookies.all("a").collect::<Vec<_>>(), [&b"1"[..], b"3", b""]);
        assert_eq!(cookies.all("c").count(), 0);
        let pairs: Vec<_> = cookies.pairs().collect();
        assert_eq!(pairs, [&b"a=1"[..], b"b=\"2\"", b"a = 3", b"odd", b"a="]);
        assert_eq!(pairs.iter().map(|pair| pair_name(pair)).collect::<Vec<_>>(), [&b"a"[..], b"b", b"a", b"odd", b"a"]);
    }

    #[test]
    fn broken_pairs_hide_nothing() {
        let headers = headers(&[b";;=x; nothing; \xff\xfe=\xff; ok=\"a=b\"; bad=\xff; A=upper; q=\""]);
        let cookies = Cookies::of(&headers);
        assert_eq!(cookies.get("ok"), Some("a=b"));
        assert_eq!(cookies.get("bad"), None);
        assert_eq!(cookies.bytes("bad"), Some(&b"\xff"[..]));
        assert_eq!(cookies.get("a"), None, "names are case-sensitive");
        assert_eq!(cookies.get("q"), Some("\""));
        assert_eq!(cookies.get(""), None);
    }

    #[test]
    fn one_cookie_goes_and_all_others_stay() {
        let mut sent = headers(&[b"a=1; __Host-x=2; b=\"3\"", b"__Host-x=4;c"]);
        remove(&mut sent, "nothing");
        assert_eq!(sent.get_all(header::COOKIE).iter().count(), 2, "nothing to do");
        remove(&mut sent, "__Host-x");
        assert_eq!(sent.get_all(header::COOKIE).iter().collect::<Vec<_>>(), ["a=1; b=\"3\"; c"]);
        let mut alone = headers(&[b" __Host-x=1 ;"]);
        remove(&mut alone, "__Host-x");
        assert!(alone.is_empty());
    }

    #[test]
    fn a_cookie_renders_with_all_its_attributes() {
        let cookie = SetCookie {
            name: "ep_vid",
            value: "00ff",
            domain: Some("shop.example"),
            max_age: Some(u32::MAX),
            same_site: SameSite::None,
        };
        assert_eq!(
            cookie.render().unwrap(),
            "ep_vid=00ff; Path=/; Domain=shop.example; Max-Age=34560000; Secure; HttpOnly; SameSite=None"
        );
        let session = SetCookie { domain: None, max_age: None, same_site: SameSite::Lax, ..cookie };
        assert_eq!(session.render().unwrap(), "ep_vid=00ff; Path=/; Secure; HttpOnly; SameSite=Lax");
    }

    #[test]
    fn a_domain_of_somebody_else_is_left_out() {
        let cookie =
            SetCookie { name: "n", value: "v", domain: Some("shop.example"), max_age: None, same_site: SameSite::Lax };
        for host in ["shop.example", "SHOP.example", "www.shop.example", "a.b.shop.example"] {
            assert_eq!(cookie.on(host).domain, Some("shop.example"), "{host}");
        }
        for host in ["", "example", "shop.example.com", "myshop.example", "shop.de", "127.0.0.1"] {
            assert_eq!(cookie.on(host).domain, None, "{host}");
        }
    }

    #[test]
    fn nothing_breaks_out_of_a_cookie() {
        let good = SetCookie { name: "n", value: "v", domain: None, max_age: None, same_site: SameSite::Lax };
        for value in ["a;b", "a b", "a\r\nX: y", "a\"", "a,b", "a\\b", "é", "\0"] {
            assert!(SetCookie { value, ..good }.render().is_none(), "{value:?}");
        }
        for name in ["", "a=b", "a b", "a;", "é", "a\n"] {
            assert!(SetCookie { name, ..good }.render().is_none(), "{name:?}");
        }
        for domain in ["", ".x", "x.", "a b", "x;Path=/", "-x.y", "x\r\n"] {
            assert!(SetCookie { domain: Some(domain), ..good }.render().is_none(), "{domain:?}");
        }
        assert!(SetCookie { name: "__host-x", domain: Some("a.b"), ..good }.render().is_none());
        assert!(SetCookie { value: &"x".repeat(LARGEST_PAIR), ..good }.render().is_none());
    }
}
