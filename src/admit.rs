//! Admit: the client's request, parsed once; what can't be trusted is gone, what can't be served is refused.

mod arrival;
pub mod trace;

use std::net::IpAddr;

use base16ct::lower::encode_string as hex;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

use crate::code::Code;
use crate::platform::ClientRequest;
use crate::wire::path::{has_control, normal_form};
use crate::wire::{authority, cookies, headers, url};
pub use arrival::{Arrival, microseconds, milliseconds};
use trace::Traceparent;

/// Longest URL in bytes (Fastly's limit for Compute).
pub const MAX_URL: usize = 8_192;
/// Most bytes in all headers together (Fastly's limit).
const MAX_HEADER_BYTES: usize = 69_000;
/// Most bytes in one header (Fastly's limit).
const MAX_HEADER: usize = 8_192;
/// Most header lines: no browser sends half as many, and a host call is paid for each.
const MAX_HEADER_LINES: usize = 128;
/// Longest client-chosen region or user id that is looked at.
const MAX_CLAIM: usize = 4_096;
/// Our name in `CDN-Loop` (RFC 8586).
pub const CDN_ID: &str = "edge-personalizer";
/// What the edge or the platform says anew to a backend.
const REMADE: [&str; 5] = ["host", "content-length", "expect", "x-request-id", "traceparent"];
/// The cookie that opens the inspector. `__Host-`: this host's own, over TLS alone (6265bis, section 4.1.3.2).
pub const INSPECT_COOKIE: &str = "__Host-ep_inspect";
/// Reserved paths start with this (design.md section 6).
const RESERVED_PATH: &str = "/.edge";

const CDN_LOOP: HeaderName = HeaderName::from_static("cdn-loop");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// Names the request: to the origin, and to the client.
pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const X_GEO_REGION: HeaderName = HeaderName::from_static("x-geo-region");
/// Names the user.
pub(crate) const X_USER_ID: HeaderName = HeaderName::from_static("x-user-id");
/// Proves it.
const X_USER_SIGNATURE: HeaderName = HeaderName::from_static("x-user-signature");

/// What a client says of itself and can't be believed as it is: each is proven later, or forgotten. What came several times, too long or
/// not as text is empty: two of a kind prove nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claims {
    /// `X-Geo-Region`: honoured where settings say so, or under a signed preview.
    pub region: Option<String>,
    /// `X-User-ID`: counts with a valid signature.
    pub user_id: Option<String>,
    /// `X-User-Signature`.
    pub user_signature: Option<String>,
    /// What the hop in front says.
    pub hop: HopClaims,
}

/// `Edge-…` headers and `Fastly-Client-IP`: they count where the hop in front proves itself. One of them is a secret, so they don't
/// print.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct HopClaims(Vec<(HeaderName, HeaderValue)>);

impl HopClaims {
    fn of(headers: &HeaderMap) -> Self {
        let counts = |name: &str| name.starts_with("edge-") || name == "fastly-client-ip";
        let lines = headers.iter().filter(|(name, _)| counts(name.as_str()));
        Self(lines.map(|(name, value)| (name.clone(), value.clone())).collect())
    }

    /// The value of a header (in lower case) that came once; two of a kind prove nothing.
    #[must_use]
    pub fn only(&self, name: &str) -> Option<&[u8]> {
        let mut lines = self.0.iter().filter(|(known, _)| known.as_str() == name);
        let (_, value) = lines.next()?;
        lines.next().is_none().then(|| value.as_bytes())
    }

    /// Whether a header (in lower case) came at all.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known.as_str() == name)
    }

    /// Whether nothing is said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl std::fmt::Debug for HopClaims {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HopClaims({} lines)", self.0.len())
    }
}

impl Claims {
    /// The claims in the headers as they came.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let claim = |name: HeaderName| {
            let mut lines = headers.get_all(name).iter();
            let first = lines.next()?.to_str().ok().filter(|value| value.len() <= MAX_CLAIM);
            let only = first.filter(|_| lines.next().is_none());
            Some(only.unwrap_or_default().trim().to_owned())
        };
        Self {
            region: claim(X_GEO_REGION),
            user_id: claim(X_USER_ID),
            user_signature: claim(X_USER_SIGNATURE),
            hop: HopClaims::of(headers),
        }
    }
}

/// A reserved path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reserved {
    /// `/.edge/health`
    Health,
    /// `/.edge/explain`
    Explain,
    /// `/.edge/sessions`
    Sessions,
    /// `/.edge/inspect`
    Inspect,
    /// Anything else below `/.edge`, and every other spelling of it.
    Unknown,
}

/// The head of a request that may be served.
#[derive(Debug, Clone)]
pub struct RequestHead {
    /// The method.
    pub method: Method,
    /// `http` or `https`.
    pub scheme: String,
    /// Lower case, with the port where the client named one.
    pub authority: String,
    /// As the client sent it, dot segments resolved.
    pub path: String,
    /// In normal form, for matching.
    pub normal_path: String,
    /// Without its `?`.
    pub query: Option<String>,
    /// Hop-by-hop and spoofable ones are gone.
    pub headers: HeaderMap,
    /// The peer's, as the platform says; the visitor's, where the hop in front has proven itself and said so.
    pub address: Option<IpAddr>,
    /// What the client says of itself.
    pub claims: Claims,
    /// 32 hexadecimal digits, made here.
    pub request_id: String,
    /// The place in a trace.
    pub trace: Traceparent,
    /// Where the request is for the edge itself.
    pub reserved: Option<Reserved>,
}

impl RequestHead {
    /// The host as rules name it: without its port and without a dot at its end; an IPv6 address in its brackets.
    pub fn host(&self) -> &str {
        authority::host(&self.authority)
    }

    /// The URL as the client sent it.
    pub fn url(&self) -> String {
        self.url_of(&self.path, self.query.as_deref())
    }

    /// The URL of a path and query on the host that was asked for.
    pub fn url_of(&self, path: &str, query: Option<&str>) -> String {
        url::join(&self.scheme, &self.authority, path, query)
    }

    /// Whether the method may be repeated and rewritten without asking (RFC 9110 section 9.2.1).
    pub fn is_safe(&self) -> bool {
        matches!(self.method, Method::GET | Method::HEAD | Method::OPTIONS)
    }
}

/// Why a request is not served, in words for the client that say nothing of the inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The status: 400, 405, 414, 431 or 508.
    pub status: StatusCode,
    /// The code in the log.
    pub code: Code,
    /// The request's id.
    pub request_id: String,
}

/// Admits a request, or refuses it; takes all of the request but its body. `random` makes the ids: a trace that
/// begins here is called as the request is. Never panics, touches no store.
///
/// # Errors
///
/// The refusal.
pub fn admit<B>(request: &mut ClientRequest<B>, random: u128) -> Result<RequestHead, Refusal> {
    let request_id = hex(&random.to_be_bytes());
    let refuse = |status, code| Err(Refusal { status, code, request_id: request_id.clone() });

    let url_length = request.path.len() + request.query.as_ref().map_or(0, |query| query.len() + 1);
    if url_length + request.authority.len() + request.scheme.len() + 3 > MAX_URL {
        return refuse(StatusCode::URI_TOO_LONG, Code::UrlTooLong);
    }
    let lines = request.headers.len();
    let bytes: usize = request.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    let longest = request.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).max().unwrap_or(0);
    if lines > MAX_HEADER_LINES || bytes > MAX_HEADER_BYTES || longest > MAX_HEADER {
        return refuse(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, Code::HeadersTooLarge);
    }
    if matches!(request.method, Method::CONNECT | Method::TRACE) {
        return refuse(StatusCode::METHOD_NOT_ALLOWED, Code::MethodNotAllowed);
    }
    let authority = request.authority.to_ascii_lowercase();
    if authority::split(&authority).is_none() {
        return refuse(StatusCode::BAD_REQUEST, Code::BadHost);
    }
    // What a query means is the origin's business; only what can't stand on a line is refused.
    let breaks_line = |query: &String| query.bytes().any(|byte| byte.is_ascii_control());
    if !request.path.starts_with('/') || has_control(&request.path) || request.query.as_ref().is_some_and(breaks_line) {
        return refuse(StatusCode::BAD_REQUEST, Code::BadPath);
    }
    if has_loop(&request.headers) {
        return refuse(StatusCode::LOOP_DETECTED, Code::Loop);
    }

    let claims = Claims::of(&request.headers);
    let mut headers = std::mem::take(&mut request.headers);
    let parent = headers.get(TRACEPARENT).map(HeaderValue::as_bytes);
    let trace = Traceparent::new(parent, random);
    let continued = trace.continued;
    headers::remove_hop_by_hop(&mut headers);
    headers::remove_where(&mut headers, |name| {
        headers::is_spoofable(name) || REMADE.contains(&name) || (name == "tracestate" && !continued)
    });
    headers::join_cookies(&mut headers);
    let normal_path = normal_form(&request.path).into_owned();
    let reserved = reserved(&request.path, &normal_path);
    if reserved.is_none() {
        // It opens the inspector alone: no rule, no log and no origin may meet it.
        cookies::remove(&mut headers, INSPECT_COOKIE);
    }
    Ok(RequestHead {
        method: std::mem::take(&mut request.method),
        scheme: std::mem::take(&mut request.scheme),
        authority,
        reserved,
        path: std::mem::take(&mut request.path),
        normal_path,
        query: request.query.take(),
        headers,
        address: request.address,
        claims,
        request_id,
        trace,
    })
}

/// Whether our own name is in `CDN-Loop` (RFC 8586 section 2): the request has been here before.
fn has_loop(headers: &HeaderMap) -> bool {
    headers.get_all(CDN_LOOP).iter().any(|line| {
        line.as_bytes()
            .split(|byte| *byte == b',')
            .filter_map(|member| member.split(|byte| *byte == b';').next())
            .any(|id| id.trim_ascii() == CDN_ID.as_bytes())
    })
}

/// Which reserved path this is. A spelling that some server would read as one below `/.edge` is not forwarded, either.
fn reserved(path: &str, normal_path: &str) -> Option<Reserved> {
    match path {
        "/.edge/health" => return Some(Reserved::Health),
        "/.edge/explain" => return Some(Reserved::Explain),
        "/.edge/sessions" => return Some(Reserved::Sessions),
        "/.edge/inspect" => return Some(Reserved::Inspect),
        _ => {}
    }
    let mut plain = percent_encoding::percent_decode_str(normal_path).decode_utf8_lossy().to_ascii_lowercase();
    plain = plain.replace('\\', "/");
    let mut segments = plain.split('/').filter(|segment| !segment.is_empty() && *segment != ".");
    let first = segments.next().map(|segment| segment.split(';').next().unwrap_or(segment));
    (first == RESERVED_PATH.strip_prefix('/')).then_some(Reserved::Unknown)
}

/// Adds what every request to a backend carries: the loop guard, the trail, the ids.
pub fn add_hop_headers(head: &RequestHead, headers: &mut HeaderMap) {
    headers.append(CDN_LOOP, HeaderValue::from_static(CDN_ID));
    headers.append(header::VIA, HeaderValue::from_static("1.1 edge-personalizer"));
    for (name, id) in [(X_REQUEST_ID, head.request_id.clone()), (TRACEPARENT, head.trace.traceparent())] {
        if let Ok(value) = HeaderValue::try_from(id) {
            headers.append(name, value);
        }
    }
}

#[cfg(test)]
mod tests;
