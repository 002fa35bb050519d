//! Answers with every HTTP feature that a rewriting edge has to respect.

use std::io::Write;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::StatusCode;
use hyper::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_RANGE, ETAG, HeaderName, HeaderValue, IF_NONE_MATCH,
    RANGE, SET_COOKIE, VARY,
};
use hyper::http::request::Parts;

use crate::Behaviour;
use crate::answer::Answer;
use crate::shop::{number, parameter};

/// The validator of all pages of one deployment.
const DEPLOYMENT: &str = "\"deployment-7\"";

/// `/gzip/…`: the page behind it, compressed where the client takes gzip, or always with `?always=1`.
pub(crate) fn gzip(head: &Parts, mut answer: Answer) -> Answer {
    answer = answer.with(VARY, HeaderValue::from_static("Accept-Encoding"));
    let lines = head.headers.get_all(ACCEPT_ENCODING);
    let wanted = lines.iter().filter_map(|line| line.to_str().ok()).any(|line| line.contains("gzip"));
    if !wanted && number(head, "always").is_none() {
        return answer;
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    let Ok(body) = encoder.write_all(&answer.bytes()).and_then(|()| encoder.finish()) else {
        return Answer::status(StatusCode::INTERNAL_SERVER_ERROR);
    };
    answer.set_body(body.into());
    answer.with(CONTENT_ENCODING, HeaderValue::from_static("gzip"))
}

/// `/etag/…`: a strong validator for each path; answers 304 to its own. A path that ends with `.html` is a page.
pub(crate) fn etag(head: &Parts, path: &str) -> Answer {
    let length = path.len();
    let tag =
        format!("\"demo-{length}-{}\"", path.bytes().fold(0_u32, |sum, byte| sum.rotate_left(5) ^ u32::from(byte)));
    let lines = head.headers.get_all(IF_NONE_MATCH);
    let mut tags = lines.iter().filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(','));
    let known = tags.any(|found| found.trim().trim_start_matches("W/") == tag || found.trim() == "*");
    let answer = if path.ends_with(".html") {
        Answer::html(format!(
            "<!doctype html><html><head><title>{length}</title></head><body><h1>Page</h1></body></html>\n"
        ))
    } else {
        Answer::text(StatusCode::OK, format!("the page at {path}\n"))
    };
    let mut answer = answer.cached("public, max-age=60");
    if known {
        answer.status = StatusCode::NOT_MODIFIED;
        answer.headers.clear();
        answer.body.clear();
    }
    match HeaderValue::from_str(&tag) {
        Ok(value) => answer.with(ETAG, value),
        Err(_) => answer,
    }
}

/// `/etag-of-all/…`: pages of a deployment that gives every page one validator, as many do; answers 304 to that.
pub(crate) fn etag_of_all(head: &Parts, path: &str) -> Answer {
    let lines = head.headers.get_all(IF_NONE_MATCH);
    let known = lines.iter().any(|line| line.to_str().is_ok_and(|line| line.contains(DEPLOYMENT) || line == "*"));
    let mut answer = Answer::html(format!("<!doctype html><h1>{path}</h1>\n")).cached("public, max-age=60");
    if known {
        answer.status = StatusCode::NOT_MODIFIED;
        answer.headers.clear();
        answer.body.clear();
    }
    answer.with(ETAG, HeaderValue::from_static(DEPLOYMENT))
}

/// `/range`: a thousand bytes, of which one range may be asked for (RFC 9110, section 14).
pub(crate) fn range(head: &Parts) -> Answer {
    let bytes: Vec<u8> = (b'0'..=b'9').cycle().take(1000).collect();
    let accept = HeaderValue::from_static("bytes");
    let whole = Answer::text(StatusCode::OK, bytes.clone()).with(ACCEPT_RANGES, accept.clone());
    let Some(wanted) = head.headers.get(RANGE).and_then(|value| value.to_str().ok()) else { return whole };
    let Some((from, to)) = wanted.strip_prefix("bytes=").and_then(|range| range.split_once('-')) else { return whole };
    let last = bytes.len() - 1;
    let (from, to) = match (from.parse::<usize>(), to.parse::<usize>()) {
        (Ok(from), Ok(to)) => (from, to.min(last)),
        (Ok(from), Err(_)) if to.is_empty() => (from, last),
        (Err(_), Ok(count)) if from.is_empty() => (bytes.len().saturating_sub(count), last),
        _ => return whole,
    };
    let (status, part, place) = match bytes.get(from..=to) {
        Some(part) => (StatusCode::PARTIAL_CONTENT, part.to_vec(), format!("bytes {from}-{to}/{}", bytes.len())),
        None => (StatusCode::RANGE_NOT_SATISFIABLE, Vec::new(), format!("bytes */{}", bytes.len())),
    };
    let answer = Answer::text(status, part).with(ACCEPT_RANGES, accept);
    match HeaderValue::from_str(&place) {
        Ok(value) => answer.with(CONTENT_RANGE, value),
        Err(_) => answer,
    }
}

/// `/chunks?n=&ms=`: so many chunks, one each so many milliseconds.
pub(crate) fn chunks(head: &Parts) -> Answer {
    let count = usize::try_from(number(head, "n").unwrap_or(5)).unwrap_or(5).clamp(1, 1000);
    let every = Duration::from_millis(number(head, "ms").unwrap_or(100));
    let body: String = (1..=count).map(|number| format!("chunk {number:>4}\n")).collect();
    Behaviour::Chunks { count, every }.apply(Answer::text(StatusCode::OK, body))
}

/// `/set-cookie`: a page that sets two cookies and is careless about caches, as origins are.
pub(crate) fn set_cookie() -> Answer {
    Answer::html("<!doctype html><title>Welcome</title><p>Two cookies for you.</p>\n")
        .cached("public, max-age=60")
        .with(SET_COOKIE, HeaderValue::from_static("shop_session=abc123; Path=/; HttpOnly"))
        .with(SET_COOKIE, HeaderValue::from_static("shop_theme=dark; Path=/"))
}

/// `/headers?h=Name:value&h=…`: a page with these headers (values percent-decoded, so that spaces can be had).
pub(crate) fn headers(head: &Parts) -> Answer {
    let mut answer = Answer::text(StatusCode::OK, "headers on demand\n");
    let wanted = head.uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.strip_prefix("h="));
    for header in wanted {
        let Some((name, value)) = header.split_once(':') else { continue };
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(&decoded(value)))
        {
            answer = answer.with(name, value);
        }
    }
    if let Some(status) = parameter(head, "status").and_then(|status| status.parse().ok()) {
        answer.status = crate::behaviour::valid(status);
    }
    answer
}

fn decoded(text: &str) -> Vec<u8> {
    let mut bytes = text.bytes();
    let mut out = Vec::new();
    while let Some(byte) = bytes.next() {
        let digits: Option<u8> = match byte {
            b'%' => {
                let pair = [bytes.next().unwrap_or(b'0'), bytes.next().unwrap_or(b'0')];
                std::str::from_utf8(&pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok())
            }
            b'+' => Some(b' '),
            other => Some(other),
        };
        out.extend(digits);
    }
    out
}
