//! An answer as a script: what is sent, when, and how it ends, so that faults are edits of ordinary answers.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{HeaderMap, Response, StatusCode};
use tokio::net::TcpStream;

use crate::MARK;
use crate::hold::Hold;

/// One thing that happens while a body is sent.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// These bytes, as one chunk.
    Send(Bytes),
    /// Nothing for a while.
    Wait(Duration),
    /// Nothing until it is let go.
    Hold(Hold),
    /// The connection closes (FIN), whatever was promised.
    Cut,
    /// The connection is reset (RST).
    Reset,
}

/// A planned answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<Step>,
    /// How long the head waits.
    pub(crate) delay: Duration,
    /// No answer at all: the connection is reset instead.
    pub(crate) reset: bool,
}

impl Answer {
    /// A whole body of a type, with its length.
    pub(crate) fn new(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        let mut answer = Self { status, headers, body: Vec::new(), delay: Duration::ZERO, reset: false };
        answer.set_body(body.into());
        answer
    }

    pub(crate) fn html(body: impl Into<Bytes>) -> Self {
        Self::new(StatusCode::OK, "text/html; charset=utf-8", body)
    }

    pub(crate) fn json(value: &serde_json::Value) -> Self {
        Self::new(StatusCode::OK, "application/json", format!("{value:#}\n"))
    }

    pub(crate) fn text(status: StatusCode, body: impl Into<Bytes>) -> Self {
        Self::new(status, "text/plain; charset=utf-8", body)
    }

    /// An error page of the origin's own.
    pub(crate) fn status(status: StatusCode) -> Self {
        let reason = status.canonical_reason().unwrap_or("no reason phrase");
        Self::text(status, format!("The shop says {}: {reason}\n", status.as_u16()))
    }

    pub(crate) fn not_found() -> Self {
        Self::status(StatusCode::NOT_FOUND)
    }

    pub(crate) fn cached(self, directives: &'static str) -> Self {
        self.with(CACHE_CONTROL, HeaderValue::from_static(directives))
    }

    pub(crate) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }

    /// Replaces the body, and the length with it.
    pub(crate) fn set_body(&mut self, body: Bytes) {
        self.headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        self.body = if body.is_empty() { Vec::new() } else { vec![Step::Send(body)] };
    }

    /// The bytes that the script would send.
    pub(crate) fn bytes(&self) -> Bytes {
        let mut all = Vec::new();
        for step in &self.body {
            if let Step::Send(bytes) = step {
                all.extend_from_slice(bytes);
            }
        }
        all.into()
    }

    /// The head, with a body that plays the script on this connection.
    pub(crate) async fn play(self, connection: Arc<Connection>) -> io::Result<Response<Script>> {
        if !self.delay.is_zero() {
            tokio::time::sleep(self.delay).await;
        }
        if self.reset {
            return Err(connection.reset());
        }
        let mut response = Response::new(Script { steps: self.body.into(), pause: None, connection });
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response.headers_mut().insert(MARK, HeaderValue::from_static("shop"));
        Ok(response)
    }
}

/// A second handle on a connection's socket, to reset it from within an answer.
#[derive(Debug)]
pub(crate) struct Connection(std::net::TcpStream);

impl Connection {
    /// The stream to serve, and the handle beside it.
    pub(crate) fn split(stream: TcpStream) -> io::Result<(TcpStream, Self)> {
        let stream = stream.into_std()?;
        let twin = stream.try_clone()?;
        Ok((TcpStream::from_std(stream)?, Self(twin)))
    }

    /// Makes the coming close a reset; the error ends the connection.
    fn reset(&self) -> io::Error {
        // A socket that lingers for no time answers with RST when it closes. If that fails, a plain close is left.
        let _ = socket2::SockRef::from(&self.0).set_linger(Some(Duration::ZERO));
        io::Error::new(io::ErrorKind::ConnectionReset, "reset on purpose")
    }
}

/// A body that plays [`Step`]s.
pub(crate) struct Script {
    steps: VecDeque<Step>,
    pause: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    connection: Arc<Connection>,
}

impl Body for Script {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        loop {
            if let Some(pause) = &mut self.pause {
                if pause.as_mut().poll(context).is_pending() {
                    return Poll::Pending;
                }
                self.pause = None;
            }
            match self.steps.pop_front() {
                None => return Poll::Ready(None),
                Some(Step::Send(bytes)) => return Poll::Ready(Some(Ok(Frame::data(bytes)))),
                Some(Step::Wait(time)) => self.pause = Some(Box::pin(tokio::time::sleep(time))),
                Some(Step::Hold(hold)) => self.pause = Some(Box::pin(hold.over())),
                Some(Step::Cut) => {
                    return Poll::Ready(Some(Err(io::Error::new(io::ErrorKind::UnexpectedEof, "cut on purpose"))));
                }
                Some(Step::Reset) => return Poll::Ready(Some(Err(self.connection.reset()))),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.steps.is_empty() && self.pause.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        // The length is said by the header alone: a script may promise more than it sends.
        SizeHint::default()
    }
}
