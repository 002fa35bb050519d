//! The body on its way to the client: as it comes, rewritten while it streams, or edited whole where it is small JSON.

use std::io::{Read, Write};

use http::{HeaderMap, HeaderName, HeaderValue, Method};

use crate::adapt::HlsLimits;
use crate::adapt::hls::{filter, is_playlist};
use crate::plan::body::BodyPlan;
use crate::platform::{ClientStream, Platform, Response};
use crate::rules::settings::Limits;
use crate::transform::charset::Charset;
use crate::transform::headers::{LeftAlone, Rewritable, fit_not_modified, fit_response, fit_version, rewritable};
use crate::transform::html::{Ending, HtmlRewriter};
use crate::wire::headers::accepts_encoding;

/// Bytes read of a body at a time: a host call, and one more to hand on what became of them.
const CHUNK: usize = 32 * 1024;
/// Has the platform compress the answer again (Fastly, "Dynamic compression").
const COMPRESS_HINT: HeaderName = HeaderName::from_static("x-compress-hint");

/// What is to be done with a body.
#[derive(Debug, Clone, Copy)]
pub enum Treatment {
    /// It streams through.
    Untouched,
    /// It is rewritten as a page.
    Html(Charset),
    /// It is edited as JSON.
    Json,
    /// It is filtered as an HLS playlist.
    Playlist(HlsLimits),
}

/// Says what is to be done with an answer's body, and makes its head fit. A code says why it is left alone, where that is a
/// surprise.
pub fn treat<B>(
    plan: &BodyPlan,
    method: &Method,
    client: &HeaderMap,
    response: &mut Response<B>,
) -> (Treatment, Option<&'static str>) {
    let is_head = *method == Method::HEAD;
    if response.status == http::StatusCode::NOT_MODIFIED {
        fit_not_modified(&mut response.headers, &plan.version);
        return (Treatment::Untouched, None);
    }
    // The head of an answer to HEAD is that of the answer to GET (RFC 9110 section 9.3.2).
    let method = if is_head { &Method::GET } else { method };
    if is_head && response.headers.get(http::header::CONTENT_ENCODING).is_some_and(|coding| coding == "gzip") {
        // The platform decodes a body, and with it the head; here there is none.
        response.headers.remove(http::header::CONTENT_ENCODING);
    }
    let treatment = match treatment(plan, method, response) {
        Ok(treatment) => treatment,
        Err(code) => {
            fit_version(&mut response.headers, &plan.version);
            return (Treatment::Untouched, code);
        }
    };
    fit_response(&mut response.headers, &plan.version);
    if is_head {
        return (Treatment::Untouched, None);
    }
    let compresses = !matches!(treatment, Treatment::Playlist(_));
    if compresses && (accepts_encoding(client, "gzip") || accepts_encoding(client, "br")) {
        response.headers.insert(COMPRESS_HINT, HeaderValue::from_static("on"));
    }
    (treatment, None)
}

/// What may be done with the body; or why nothing is, where that is a surprise.
fn treatment<B>(plan: &BodyPlan, method: &Method, response: &Response<B>) -> Result<Treatment, Option<&'static str>> {
    let playlist = plan.hls.filter(|_| {
        let kind = response.headers.get(http::header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let whole = response.status == http::StatusCode::OK && *method == Method::GET;
        whole && kind.is_some_and(is_playlist) && !response.headers.contains_key(http::header::CONTENT_ENCODING)
    });
    if let Some(limits) = playlist {
        return Ok(Treatment::Playlist(limits));
    }
    match rewritable(method, response.status, &response.headers) {
        Ok(Rewritable::Html(charset)) if !plan.html.is_empty() => Ok(Treatment::Html(charset)),
        Ok(Rewritable::Json) if plan.edits_json() => Ok(Treatment::Json),
        Err(LeftAlone::Encoding) => Err(Some("body-encoded")),
        Err(LeftAlone::Charset) => Err(Some("body-charset")),
        Ok(_) | Err(LeftAlone::Method | LeftAlone::Status | LeftAlone::ContentType) => Err(None),
    }
}

/// Sends an answer whose body is a page, rewritten. Gives a code where not all of it could be.
///
/// The first bytes go out as soon as they are rewritten. An origin that breaks off in mid-body ends the client's connection, so that
/// half a page never looks whole.
pub fn send_html<P: Platform>(
    platform: &P,
    plan: &BodyPlan,
    charset: Charset,
    limits: &Limits,
    response: Response<P::Body>,
) -> Option<&'static str> {
    let Response { status, headers, mut body } = response;
    let mut stream = platform.respond_streaming(Response { status, headers, body: () });
    let started = platform.vcpu_ms();
    let goes_on = || {
        let used = platform.vcpu_ms().zip(started).map(|(now, then)| now.saturating_sub(then));
        used.is_none_or(|used| used < limits.vcpu_ms)
    };
    let sink = |bytes: &[u8]| hand_on(&mut stream, bytes);
    let mut rewriter = HtmlRewriter::new(&plan.html, sink).charset(charset).budget(goes_on);
    let complete = read_chunks(&mut body, |chunk| rewriter.write(chunk));
    let outcome = rewriter.end();
    if complete {
        // The client went away; there is nobody to tell.
        drop(stream.finish());
    }
    match outcome.ending {
        _ if !complete => Some("body-broken"),
        Ending::Complete => None,
        Ending::Stopped { .. } => Some("html-budget"),
        Ending::Failed { .. } => Some("html-failed"),
        Ending::Encoding => Some("body-charset"),
    }
}

/// Sends an answer whose body is edited whole: JSON, or an HLS playlist. One beyond the limit streams through untouched, and one that
/// isn't what it says is sent as it came.
pub fn send_edited<P: Platform>(
    platform: &P,
    limits: &Limits,
    response: Response<P::Body>,
    edit: impl FnOnce(&[u8]) -> Option<Vec<u8>>,
) -> Option<&'static str> {
    let Response { status, headers, mut body } = response;
    let limit = u64::try_from(limits.json_bytes).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    let read = (&mut body).take(limit.saturating_add(1)).read_to_end(&mut bytes);
    if read.is_ok() && bytes.len() <= limits.json_bytes {
        let edited = edit(&bytes);
        let code = edited.is_none().then_some("body-malformed");
        platform.respond(Response { status, headers, body: edited.unwrap_or(bytes).into() });
        return code;
    }
    let mut stream = platform.respond_streaming(Response { status, headers, body: () });
    hand_on(&mut stream, &bytes);
    let complete = read.is_ok() && read_chunks(&mut body, |chunk| hand_on(&mut stream, chunk));
    if complete {
        drop(stream.finish());
    }
    Some(if complete { "body-too-large" } else { "body-broken" })
}

/// An HLS playlist without what can't be played.
pub fn filter_playlist(limits: HlsLimits, bytes: &[u8]) -> Option<Vec<u8>> {
    std::str::from_utf8(bytes).ok().map(|playlist| filter(playlist, limits).into_owned().into_bytes())
}

/// Hands bytes to the client now: the SDK's stream would keep up to 8 kB until more come, which may take an origin a while.
fn hand_on(stream: &mut impl Write, bytes: &[u8]) {
    // A client that went away is no reason to stop reading the origin's answer early: the platform ends both.
    let _ = stream.write_all(bytes).and_then(|()| stream.flush());
}

/// Reads a body to its end, chunk by chunk as they come; `false` where it breaks off.
fn read_chunks(body: &mut impl Read, mut each: impl FnMut(&[u8])) -> bool {
    let mut buffer = vec![0; CHUNK];
    loop {
        match body.read(&mut buffer) {
            Ok(0) => return true,
            Ok(count) => each(buffer.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return false,
        }
    }
}
