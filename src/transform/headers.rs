//! The headers of an answer whose body changes, and of the request that asks for it.

use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use super::charset::Charset;

mod etag;

pub use etag::Version;

/// Headers that describe bytes which a rewritten body no longer has (RFC 9110, RFC 9530, RFC 3230, RFC 1864), or
/// promise ranges of them. `Last-Modified` goes too: it says nothing of the session that shaped the body, and an
/// `If-Modified-Since` built on it would get a wrong 304.
const STALE: [HeaderName; 7] = [
    header::CONTENT_LENGTH,
    header::ACCEPT_RANGES,
    header::LAST_MODIFIED,
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
];

/// Request headers that ask for a part of the origin's bytes, or compare with its times.
const MISLEADING: [HeaderName; 5] =
    [header::RANGE, header::IF_RANGE, header::IF_MODIFIED_SINCE, header::IF_UNMODIFIED_SINCE, header::IF_MATCH];

/// What kind of body it is that may be rewritten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rewritable {
    /// A page, in this encoding.
    Html(Charset),
    /// JSON: `application/json` or a type that ends in `+json`.
    Json,
}

/// Why a body is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeftAlone {
    /// The request's method gives no body to rewrite (HEAD), or isn't GET or POST.
    Method,
    /// Another status than 200: 204, 206 and 304 have no whole body.
    Status,
    /// Neither HTML nor JSON.
    ContentType,
    /// HTML in an encoding that can't be rewritten.
    Charset,
    /// The body is encoded (brotli, …), or says `no-transform` (RFC 9110 section 7.7 and RFC 9111 section 5.2.2.6).
    Encoding,
}

/// Whether a body may be rewritten, and as what.
///
/// # Errors
///
/// Why not.
pub fn rewritable(method: &Method, status: StatusCode, headers: &HeaderMap) -> Result<Rewritable, LeftAlone> {
    if !matches!(*method, Method::GET | Method::POST) {
        return Err(LeftAlone::Method);
    }
    if status != StatusCode::OK || headers.contains_key(header::CONTENT_RANGE) {
        return Err(LeftAlone::Status);
    }
    let mut encodings = headers.get_all(header::CONTENT_ENCODING).iter();
    if !encodings.all(|value| value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity"))
        || forbids_transforms(headers)
    {
        return Err(LeftAlone::Encoding);
    }
    let content_type =
        headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).ok_or(LeftAlone::ContentType)?;
    let (essence, parameters) = content_type.split_once(';').unwrap_or((content_type, ""));
    let essence = essence.trim().to_ascii_lowercase();
    if essence == "text/html" {
        Charset::from_label(charset(parameters)).map(Rewritable::Html).ok_or(LeftAlone::Charset)
    } else if essence == "application/json" || (essence.ends_with("+json") && essence.contains('/')) {
        Ok(Rewritable::Json)
    } else {
        Err(LeftAlone::ContentType)
    }
}

fn forbids_transforms(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(header::CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|directive| directive.trim().eq_ignore_ascii_case("no-transform"))
}

/// The value of the `charset` parameter (RFC 9110 section 8.3.1), quotes taken off.
fn charset(parameters: &str) -> Option<&str> {
    parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"'))
    })
}

/// Whether a request only reads: then its conditions save bytes. Those of others guard what somebody else wrote meanwhile, and none of
/// them may get lost (RFC 9110 section 13.1).
pub fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// Makes a request one whose answer can be rewritten: the whole body, unencoded or in gzip (which the platform
/// decodes), compared by the origin's own `ETag` if the client's is of this version.
pub fn prepare_request(method: &Method, headers: &mut HeaderMap, version: &Version) {
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
    if !is_read(method) {
        return version.translate_match(headers);
    }
    for name in MISLEADING {
        headers.remove(name);
    }
    version.translate(headers);
}

/// Makes a conditional request compare with this version alone, where the body itself is not rewritten. Dates tell no version from
/// another, so they can't be compared; a part is asked for only without a condition.
pub fn prepare_conditions(method: &Method, headers: &mut HeaderMap, version: &Version) {
    if !is_read(method) {
        return version.translate_match(headers);
    }
    headers.remove(header::IF_MODIFIED_SINCE);
    if headers.remove(header::IF_RANGE).is_some() {
        headers.remove(header::RANGE);
    }
    if headers.contains_key(header::IF_NONE_MATCH) {
        version.translate(headers);
    }
    if headers.contains_key(header::IF_MATCH) {
        version.translate_match(headers);
    }
}

/// Gives an answer whose body is not rewritten the `ETag` of this version.
pub fn fit_version(headers: &mut HeaderMap, version: &Version) {
    version.derive(headers);
}

/// Makes the head of an answer fit its rewritten body. The version's `ETag` is weak: the bytes depend on how they were compressed
/// and on where a budget ended.
pub fn fit_response(headers: &mut HeaderMap, version: &Version) {
    for name in STALE {
        headers.remove(name);
    }
    version.derive(headers);
}

/// Makes the origin's 304 one of this version. It is right only after [`prepare_request`], for that let through no
/// other version's `ETag`.
pub fn fit_not_modified(headers: &mut HeaderMap, version: &Version) {
    headers.remove(header::LAST_MODIFIED);
    version.derive(headers);
}

/// The nonce of a response's Content Security Policy, if it has one (CSP Level 3 section 2.3.1). The first `nonce-source` counts.
pub fn csp_nonce(headers: &HeaderMap) -> Option<&str> {
    let names = [header::CONTENT_SECURITY_POLICY, header::CONTENT_SECURITY_POLICY_REPORT_ONLY];
    let policies = names.iter().flat_map(|name| headers.get_all(name)).filter_map(|value| value.to_str().ok());
    policies.into_iter().find_map(super::html::policy_nonce)
}

#[cfg(test)]
mod tests;
