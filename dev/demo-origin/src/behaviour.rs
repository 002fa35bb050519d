//! How a path can misbehave.

use std::time::Duration;

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{CONTENT_LENGTH, HeaderName, HeaderValue};

use crate::answer::{Answer, Step};
use crate::hold::Hold;

/// What to do instead of, or to, a path's ordinary answer.
#[derive(Debug, Clone)]
pub enum Behaviour {
    /// An error page with this status.
    Status(u16),
    /// The ordinary answer, its head late.
    StallHead(Duration),
    /// Head and first half at once, the second half late.
    StallBody(Duration),
    /// Head and first half at once, the second half when the [`Hold`] is let go.
    HoldBody(Hold),
    /// The connection is reset before the head.
    Reset,
    /// Head and first half, then the connection is reset.
    ResetBody,
    /// `Content-Length` of the whole, half of the body, then the connection closes.
    Truncate,
    /// The ordinary body in so many chunks (no `Content-Length`), one each interval.
    Chunks {
        /// How many.
        count: usize,
        /// The pause before each chunk but the first.
        every: Duration,
    },
    /// This answer, whatever the path.
    Answer {
        /// Its status.
        status: u16,
        /// Its headers, duplicates allowed; what isn't a header's name or value is left out.
        headers: Vec<(String, String)>,
        /// Its body, with its true `Content-Length`.
        body: Vec<u8>,
    },
    /// The ordinary answer with these headers beside its own.
    Headers(Vec<(String, String)>),
}

impl Behaviour {
    /// Applies this to an ordinary answer.
    pub(crate) fn apply(&self, mut answer: Answer) -> Answer {
        match self {
            Self::Status(status) => return Answer::status(valid(*status)),
            Self::StallHead(time) => answer.delay = *time,
            Self::StallBody(time) => pause_halfway(&mut answer, Step::Wait(*time)),
            Self::HoldBody(hold) => pause_halfway(&mut answer, Step::Hold(hold.clone())),
            Self::Reset => answer.reset = true,
            Self::ResetBody => {
                // The pause lets the first half arrive: a reset throws away what the receiver hasn't read.
                answer.body = vec![Step::Send(halves(&answer).0), Step::Wait(SETTLE), Step::Reset];
            }
            Self::Truncate => answer.body = vec![Step::Send(halves(&answer).0), Step::Wait(SETTLE), Step::Cut],
            Self::Chunks { count, every } => chunk(&mut answer, *count, *every),
            Self::Answer { status, headers, body } => {
                let mut other = Answer::text(valid(*status), body.clone());
                other.headers.clear();
                other.set_body(body.clone().into());
                return with_headers(other, headers);
            }
            Self::Headers(headers) => return with_headers(answer, headers),
        }
        answer
    }
}

/// How long a first half is given to arrive.
const SETTLE: Duration = Duration::from_millis(50);

/// A status for any number: what isn't one is a 500.
pub(crate) fn valid(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn with_headers(mut answer: Answer, headers: &[(String, String)]) -> Answer {
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value.as_bytes()))
        {
            answer.headers.append(name, value);
        }
    }
    answer
}

fn pause_halfway(answer: &mut Answer, pause: Step) {
    let (first, second) = halves(answer);
    answer.body = vec![Step::Send(first), pause, Step::Send(second)];
}

fn halves(answer: &Answer) -> (Bytes, Bytes) {
    let mut first = answer.bytes();
    let second = first.split_off(first.len() / 2);
    (first, second)
}

fn chunk(answer: &mut Answer, count: usize, every: Duration) {
    let bytes = answer.bytes();
    let size = bytes.len().div_ceil(count.max(1)).max(1);
    answer.headers.remove(CONTENT_LENGTH);
    answer.body = Vec::new();
    for (index, piece) in bytes.chunks(size).enumerate() {
        if index > 0 {
            answer.body.push(Step::Wait(every));
        }
        answer.body.push(Step::Send(Bytes::copy_from_slice(piece)));
    }
}
