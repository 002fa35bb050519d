//! The body on its way to the client: as it comes, changed while it streams, or changed whole where it is small.
//!
//! What is done to it, `transform` says; here it is read and written. Whoever breaks off, origin or client, ends it: half a page never
//! looks whole, and nobody is kept busy for a client that has gone.

use std::cell::RefCell;
use std::io::{Read, Write};

use http::{HeaderMap, HeaderName, HeaderValue, Method};

use crate::code::Code;
use crate::platform::{ClientStream, Platform, Response};
use crate::transform::body::{Answer, BodyMode, BodyPlan, Edits, Ended, Streams};
use crate::transform::headers::{LeftAlone, fit_not_modified, fit_response, fit_version};
use crate::wire::headers::accepts_encoding;

/// Bytes read of a body at a time: a host call, and one more to hand on what became of them.
const CHUNK: usize = 32 * 1024;
/// Bytes of an untouched body that are watched: an origin that breaks off tends to do so at once.
const WATCHED: usize = 64 * 1024;
/// Has the platform compress the answer again (Fastly, "Dynamic compression").
const COMPRESS_HINT: HeaderName = HeaderName::from_static("x-compress-hint");

/// Why a body, or what should have become of it, didn't reach the client whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyFault {
    /// The origin broke off: the client's connection is cut.
    Broken,
    /// The client went away: nothing more is read.
    ClientGone,
    /// The CPU budget ran out: the rest went on untouched.
    Budget,
    /// A page that the parser gave up: the rest went on untouched.
    Failed,
    /// In an encoding that can't be changed: untouched.
    Charset,
    /// Encoded, or not to be transformed: untouched.
    Encoded,
    /// Longer than what is edited whole: untouched.
    TooLarge,
    /// Not what its head says: untouched.
    Malformed,
}

impl BodyFault {
    /// The code of the log.
    pub fn code(self) -> Code {
        match self {
            BodyFault::Broken => Code::BodyBroken,
            BodyFault::ClientGone => Code::ClientGone,
            BodyFault::Budget => Code::HtmlBudget,
            BodyFault::Failed => Code::HtmlFailed,
            BodyFault::Charset => Code::BodyCharset,
            BodyFault::Encoded => Code::BodyEncoded,
            BodyFault::TooLarge => Code::BodyTooLarge,
            BodyFault::Malformed => Code::BodyMalformed,
        }
    }

    /// Why the visitor doesn't see what was decided, where that follows. Who leaves has seen the page begin.
    pub fn not_shown(self) -> Option<String> {
        (self != BodyFault::ClientGone).then(|| self.code().to_string())
    }
}

/// An answer's head, as its body's plan looks at it.
pub fn answer_of<'a, B>(method: &'a Method, response: &'a Response<B>) -> Answer<'a> {
    Answer { method, status: response.status, headers: &response.headers }
}

/// Says what happens to an answer's body (`None`: it streams through), and makes its head fit. A fault says why it is left alone, where
/// that is a surprise.
pub fn treat<B>(
    plan: &mut BodyPlan,
    method: &Method,
    client: &HeaderMap,
    response: &mut Response<B>,
) -> (Option<BodyMode>, Option<BodyFault>) {
    let is_head = *method == Method::HEAD;
    if response.status == http::StatusCode::NOT_MODIFIED {
        fit_not_modified(&mut response.headers, &plan.version);
        return (None, None);
    }
    // The head of an answer to HEAD is that of the answer to GET (RFC 9110 section 9.3.2).
    let method = if is_head { &Method::GET } else { method };
    if is_head && response.headers.get(http::header::CONTENT_ENCODING).is_some_and(|coding| coding == "gzip") {
        // The platform decodes a body, and with it the head; here there is none.
        response.headers.remove(http::header::CONTENT_ENCODING);
    }
    let answer = Answer { method, status: response.status, headers: &response.headers };
    let mode = match plan.mode(&answer) {
        Ok(mode) => mode,
        Err(reason) => {
            fit_version(&mut response.headers, &plan.version);
            let fault = match reason {
                LeftAlone::Encoding => Some(BodyFault::Encoded),
                LeftAlone::Charset => Some(BodyFault::Charset),
                LeftAlone::Method | LeftAlone::Status | LeftAlone::ContentType => None,
            };
            return (None, fault);
        }
    };
    plan.adopt(mode, &response.headers);
    fit_response(&mut response.headers, &plan.version);
    if is_head {
        return (None, None);
    }
    if mode.is_compressed && (accepts_encoding(client, "gzip") || accepts_encoding(client, "br")) {
        response.headers.insert(COMPRESS_HINT, HeaderValue::from_static("on"));
    }
    (Some(mode), None)
}

/// Sends an answer whose body is changed while it streams. `budget_left` is asked now and then.
///
/// The first bytes go out as soon as they are changed. As soon as nothing more is to be changed, the host hands on the rest.
///
/// # Errors
///
/// What didn't reach the client.
pub fn send_stream<P: Platform>(
    platform: &P,
    streams: &dyn Streams,
    mode: BodyMode,
    budget_left: &dyn Fn() -> bool,
    response: Response<P::Body>,
) -> Result<(), BodyFault> {
    let Response { status, headers, mut body } = response;
    let client = Client::new(platform.respond_streaming(Response { status, headers, body: () }));
    let mut changing =
        streams.start(mode, Box::new(budget_left), Box::new(|bytes: &[u8]| client.borrow_mut().hand_on(bytes)));
    let read = read_chunks(&mut body, |chunk| {
        changing.feed(chunk);
        if client.borrow().is_gone {
            return Next::Stop;
        }
        if changing.is_passing() { Next::HandOver } else { Next::More }
    });
    let ended = changing.end();
    client.into_inner().close(read, body)?;
    match ended {
        Ended::Complete => Ok(()),
        Ended::Budget => Err(BodyFault::Budget),
        Ended::Failed => Err(BodyFault::Failed),
        Ended::Encoding => Err(BodyFault::Charset),
    }
}

/// A body read to be edited whole.
#[derive(Debug)]
pub enum Whole<B> {
    /// All of it.
    Complete(Vec<u8>),
    /// Longer than the limit: its beginning, and the rest.
    TooLarge(Vec<u8>, B),
}

/// Reads a body whole, up to `limit` bytes, before anything is sent: where it breaks off, the answer can still be another one.
///
/// # Errors
///
/// The body broke off, or its coding is broken.
pub fn read_whole<B: Read>(mut body: B, limit: usize) -> Result<Whole<B>, BodyFault> {
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    (&mut body).take(most).read_to_end(&mut bytes).map_err(|_| BodyFault::Broken)?;
    Ok(if bytes.len() > limit { Whole::TooLarge(bytes, body) } else { Whole::Complete(bytes) })
}

/// Sends an answer whose body was read by [`read_whole`]: edited, or as it came where it is too large, or isn't what it says.
///
/// # Errors
///
/// Why the body isn't edited, or didn't reach the client.
pub fn send_whole<P: Platform>(
    platform: &P,
    edits: &dyn Edits,
    head: Response<()>,
    whole: Whole<P::Body>,
) -> Result<(), BodyFault> {
    let Response { status, headers, .. } = head;
    match whole {
        Whole::Complete(bytes) => {
            let edited = edits.edit(&bytes);
            let result = if edited.is_some() { Ok(()) } else { Err(BodyFault::Malformed) };
            platform.respond(Response { status, headers, body: edited.unwrap_or(bytes).into() });
            result
        }
        Whole::TooLarge(start, rest) => {
            let client = Client::new(platform.respond_streaming(Response { status, headers, body: () }));
            client.borrow_mut().hand_on(&start);
            client.into_inner().close(Progress::HandedOver, rest)?;
            Err(BodyFault::TooLarge)
        }
    }
}

/// Sends an answer untouched. Its first 64 kB go through here, so that a body that breaks off is noticed; the host hands on the rest.
///
/// # Errors
///
/// The body broke off, or the client went away.
pub fn pass_on<P: Platform>(platform: &P, response: Response<P::Body>) -> Result<(), BodyFault> {
    let Response { status, headers, mut body } = response;
    let client = Client::new(platform.respond_streaming(Response { status, headers, body: () }));
    let mut seen = 0;
    let read = read_chunks(&mut body, |chunk| {
        seen += chunk.len();
        client.borrow_mut().hand_on(chunk);
        match client.borrow().is_gone {
            true => Next::Stop,
            false if seen >= WATCHED => Next::HandOver,
            false => Next::More,
        }
    });
    client.into_inner().close(read, body)
}

/// The client's end.
struct Client<S> {
    stream: S,
    is_gone: bool,
}

impl<S> Client<S> {
    fn new(stream: S) -> RefCell<Self> {
        RefCell::new(Self { stream, is_gone: false })
    }

    /// Hands bytes to the client now: the SDK's stream would keep up to 8 kB until more come, which may take an origin a while.
    fn hand_on(&mut self, bytes: &[u8])
    where
        S: Write,
    {
        if !self.is_gone {
            self.is_gone = self.stream.write_all(bytes).and_then(|()| self.stream.flush()).is_err();
        }
    }

    /// Ends the answer as its body ended: in mid-body the connection is cut.
    fn close<B>(mut self, read: Progress, rest: B) -> Result<(), BodyFault>
    where
        S: ClientStream<B>,
    {
        if self.is_gone {
            return Err(BodyFault::ClientGone);
        }
        match read {
            Progress::Broken => return Err(BodyFault::Broken),
            Progress::HandedOver => self.stream.append(rest).map_err(|_| BodyFault::ClientGone)?,
            Progress::Whole => {}
        }
        self.stream.finish().map_err(|_| BodyFault::ClientGone)
    }
}

/// What follows after a chunk.
enum Next {
    More,
    /// The host reads the rest.
    HandOver,
    /// Nobody wants the rest.
    Stop,
}

/// How far a body was read.
enum Progress {
    Whole,
    HandedOver,
    Broken,
}

/// Reads a body chunk by chunk as they come.
fn read_chunks(body: &mut impl Read, mut each: impl FnMut(&[u8]) -> Next) -> Progress {
    let mut buffer = vec![0; CHUNK];
    loop {
        match body.read(&mut buffer) {
            Ok(0) => return Progress::Whole,
            Ok(count) => match each(buffer.get(..count).unwrap_or_default()) {
                Next::More => {}
                Next::HandOver | Next::Stop => return Progress::HandedOver,
            },
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return Progress::Broken,
        }
    }
}

#[cfg(test)]
mod tests;
