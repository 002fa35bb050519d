//! The body on its way to the client: as it comes, rewritten while it streams, or edited whole where it is small JSON.

use std::io::{Read, Write};

use http::{HeaderMap, HeaderName, HeaderValue, Method};

use crate::admit::accepts_encoding;
use crate::plan::body::BodyPlan;
use crate::platform::{ClientStream, Platform, Response};
use crate::rules::settings::Limits;
use crate::transform::charset::Charset;
use crate::transform::headers::{LeftAlone, Rewritable, fit_not_modified, fit_response, rewritable};
use crate::transform::html::{Ending, HtmlRewriter};

/// Bytes read of a body at a time.
const CHUNK: usize = 16 * 1024;
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
}

/// Says what is to be done with an answer's body, and makes its head fit. A code says why it is left alone, where that is a
/// surprise.
pub fn treat<B>(
    plan: &BodyPlan,
    method: &Method,
    client: &HeaderMap,
    response: &mut Response<B>,
) -> (Treatment, Option<&'static str>) {
    if response.status == http::StatusCode::NOT_MODIFIED {
        fit_not_modified(&mut response.headers, &plan.version);
        return (Treatment::Untouched, None);
    }
    let treatment = match rewritable(method, response.status, &response.headers) {
        Ok(Rewritable::Html(charset)) if !plan.html.is_empty() => Treatment::Html(charset),
        Ok(Rewritable::Json) if plan.edits_json() => Treatment::Json,
        Ok(_) => return (Treatment::Untouched, None),
        Err(LeftAlone::Encoding) => return (Treatment::Untouched, Some("body-encoded")),
        Err(LeftAlone::Charset) => return (Treatment::Untouched, Some("body-charset")),
        Err(LeftAlone::Method | LeftAlone::Status | LeftAlone::ContentType) => return (Treatment::Untouched, None),
    };
    fit_response(&mut response.headers, &plan.version);
    if accepts_encoding(client, "gzip") || accepts_encoding(client, "br") {
        response.headers.insert(COMPRESS_HINT, HeaderValue::from_static("on"));
    }
    (treatment, None)
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
    // A client that went away is no reason to stop reading the origin's answer early: the platform ends both.
    let sink = |bytes: &[u8]| drop(stream.write_all(bytes));
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

/// Sends an answer whose body is JSON, edited; one beyond the limit streams through untouched.
pub fn send_json<P: Platform>(
    platform: &P,
    plan: &BodyPlan,
    limits: &Limits,
    response: Response<P::Body>,
) -> Option<&'static str> {
    let Response { status, headers, mut body } = response;
    let limit = u64::try_from(limits.json_bytes).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    let read = (&mut body).take(limit.saturating_add(1)).read_to_end(&mut bytes);
    let (code, whole) = match read {
        Err(_) => (Some("body-broken"), false),
        Ok(_) if bytes.len() > limits.json_bytes => (Some("json-too-large"), false),
        Ok(_) => match plan.edit_json(&bytes) {
            Some(edited) => {
                bytes = edited;
                (None, true)
            }
            None => (Some("json-malformed"), true),
        },
    };
    let head = Response { status, headers, body: () };
    if whole {
        platform.respond(Response { status: head.status, headers: head.headers, body: bytes.into() });
        return code;
    }
    let mut stream = platform.respond_streaming(head);
    drop(stream.write_all(&bytes));
    let complete = read.is_ok() && read_chunks(&mut body, |chunk| drop(stream.write_all(chunk)));
    if complete {
        drop(stream.finish());
    }
    code
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
