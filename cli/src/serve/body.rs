//! Bodies on their way: read piece by piece by the service, or handed on as they are.

use std::io::{self, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use edge_personalizer::platform::ClientStream;
use flate2::write::MultiGzDecoder;
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::Sleep;

/// A body as it comes.
pub type Pieces = UnsyncBoxBody<Bytes, io::Error>;
/// Pieces that wait for a slow client before the service waits, too.
const WAITING: usize = 16;

/// A body that the service reads, or hands on unread.
pub struct HostBody {
    ready: Bytes,
    /// What is still to come, and the runtime that brings it.
    rest: Option<(Pieces, Handle)>,
}

impl HostBody {
    /// A body that comes piece by piece.
    pub fn new(pieces: Pieces, runtime: Handle) -> Self {
        Self { ready: Bytes::new(), rest: Some((pieces, runtime)) }
    }

    /// What of it hasn't been read.
    pub fn into_pieces(self) -> Pieces {
        let rest = self.rest.map(|(rest, _)| rest);
        match rest {
            Some(rest) if self.ready.is_empty() => rest,
            rest => Chained { first: self.ready, rest }.boxed_unsync(),
        }
    }
}

impl From<Vec<u8>> for HostBody {
    fn from(bytes: Vec<u8>) -> Self {
        Self { ready: bytes.into(), rest: None }
    }
}

impl Read for HostBody {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.ready.is_empty() {
            let Some((rest, runtime)) = &mut self.rest else { return Ok(0) };
            match runtime.block_on(rest.frame()).transpose()? {
                None => self.rest = None,
                // Trailers are no part of the body.
                Some(frame) => self.ready = frame.into_data().unwrap_or_default(),
            }
        }
        let piece = self.ready.split_to(self.ready.len().min(buffer.len()));
        if let Some(place) = buffer.get_mut(..piece.len()) {
            place.copy_from_slice(&piece);
        }
        Ok(piece.len())
    }
}

/// Bytes that were read already, and the rest.
struct Chained {
    first: Bytes,
    rest: Option<Pieces>,
}

impl Body for Chained {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        if !this.first.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut this.first)))));
        }
        this.rest.as_mut().map_or(Poll::Ready(None), |rest| Pin::new(rest).poll_frame(cx))
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_empty() && self.rest.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let first = u64::try_from(self.first.len()).unwrap_or(u64::MAX);
        let rest = self.rest.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint);
        match rest.exact() {
            Some(rest) => SizeHint::with_exact(first.saturating_add(rest)),
            None => SizeHint::default(),
        }
    }
}

/// A body of a connection. A pause longer than `limit` ends it with an error.
pub fn watched(body: Incoming, limit: Duration) -> Pieces {
    Watched { body, limit, pause: None }.boxed_unsync()
}

struct Watched {
    body: Incoming,
    limit: Duration,
    pause: Option<Pin<Box<Sleep>>>,
}

impl Body for Watched {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) {
            this.pause = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(io::Error::other)));
        }
        let limit = this.limit;
        let pause = this.pause.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        ready!(pause.as_mut().poll(cx));
        Poll::Ready(Some(Err(io::ErrorKind::TimedOut.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The plain text of a body in gzip.
pub fn decompressed(body: Pieces) -> Pieces {
    Gunzip { body: Some(body), decoder: MultiGzDecoder::new(Vec::new()) }.boxed_unsync()
}

struct Gunzip {
    /// `None` once it has ended.
    body: Option<Pieces>,
    decoder: MultiGzDecoder<Vec<u8>>,
}

impl Body for Gunzip {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        while let Some(body) = &mut this.body {
            match ready!(Pin::new(body).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    this.decoder.write_all(&frame.into_data().unwrap_or_default())?;
                    this.decoder.flush()?;
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => {
                    this.body = None;
                    this.decoder.try_finish()?;
                }
            }
            let plain = std::mem::take(this.decoder.get_mut());
            if !plain.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(plain.into()))));
            }
        }
        Poll::Ready(None)
    }
}

/// What the service sends to a client.
enum Sent {
    Bytes(Bytes),
    /// A body, handed on.
    Rest(Pieces),
    /// The proper end: without it the connection is cut.
    End,
}

/// A body that the service writes, of `length` bytes where its head says so: the service's end of it, and the client's.
pub fn stream(length: Option<u64>) -> (HostStream, Pieces) {
    let (sender, receiver) = mpsc::channel(WAITING);
    let body = Streamed { receiver, rest: None, has_ended: false };
    (HostStream { sender, missing: length, is_handed_over: false }, body.boxed_unsync())
}

/// The service's end of a body to the client.
pub struct HostStream {
    sender: mpsc::Sender<Sent>,
    /// Bytes that its head promises beyond those that were sent.
    missing: Option<u64>,
    is_handed_over: bool,
}

impl HostStream {
    fn send(&self, sent: Sent) -> io::Result<()> {
        self.sender.blocking_send(sent).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl Write for HostStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !bytes.is_empty() {
            self.send(Sent::Bytes(Bytes::copy_from_slice(bytes)))?;
            let sent = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            self.missing = self.missing.map(|missing| missing.saturating_sub(sent));
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl ClientStream<HostBody> for HostStream {
    fn append(&mut self, body: HostBody) -> io::Result<()> {
        self.is_handed_over = true;
        self.send(Sent::Rest(body.into_pieces()))
    }

    fn finish(self) -> io::Result<()> {
        let ended = self.send(Sent::End);
        // Once the promised length is reached, nobody waits for the end; and of what was handed on, nobody here hears.
        if self.is_handed_over || self.missing == Some(0) { Ok(()) } else { ended }
    }
}

/// The client's end.
struct Streamed {
    receiver: mpsc::Receiver<Sent>,
    rest: Option<Pieces>,
    has_ended: bool,
}

impl Body for Streamed {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        loop {
            if this.has_ended {
                return Poll::Ready(None);
            }
            if let Some(rest) = &mut this.rest {
                match ready!(Pin::new(rest).poll_frame(cx)) {
                    Some(frame) => return Poll::Ready(Some(frame)),
                    None => this.rest = None,
                }
            }
            match ready!(this.receiver.poll_recv(cx)) {
                Some(Sent::Bytes(bytes)) => return Poll::Ready(Some(Ok(Frame::data(bytes)))),
                Some(Sent::Rest(rest)) => this.rest = Some(rest),
                Some(Sent::End) => this.has_ended = true,
                // The service gave the answer up: half of it must not look whole.
                None => return Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into()))),
            }
        }
    }
}

/// A body that is there already.
pub fn whole(bytes: impl Into<Bytes>) -> Pieces {
    let bytes = bytes.into();
    if bytes.is_empty() {
        return Empty::new().map_err(|never| match never {}).boxed_unsync();
    }
    Chained { first: bytes, rest: None }.boxed_unsync()
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn pieces(texts: &[&[u8]], is_whole: bool) -> Pieces {
        let (mut stream, body) = stream(None);
        for text in texts {
            stream.write_all(text).unwrap();
        }
        if is_whole {
            stream.finish().unwrap();
        }
        body
    }

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap()
    }

    #[test]
    fn what_was_read_is_gone_from_what_is_handed_on() {
        let runtime = runtime();
        let mut body = HostBody::new(pieces(&[b"abc", b"def"], true), runtime.handle().clone());
        let mut first = [0; 2];
        body.read_exact(&mut first).unwrap();
        let mut rest = HostBody::new(body.into_pieces(), runtime.handle().clone());
        let mut text = String::new();
        rest.read_to_string(&mut text).unwrap();
        assert_eq!((&first, text.as_str()), (b"ab", "cdef"));
    }

    #[test]
    fn an_answer_that_was_given_up_does_not_look_whole() {
        let runtime = runtime();
        let mut body = HostBody::new(pieces(&[b"abc"], false), runtime.handle().clone());
        let mut text = Vec::new();
        assert!(body.read_to_end(&mut text).is_err());
        assert_eq!(text, b"abc");
    }

    #[test]
    fn a_client_that_has_all_of_an_answer_has_not_gone() {
        let (mut whole, body) = stream(Some(3));
        whole.write_all(b"abc").unwrap();
        drop(body);
        assert!(whole.finish().is_ok());
        let (mut half, body) = stream(Some(3));
        half.write_all(b"ab").unwrap();
        drop(body);
        assert!(half.finish().is_err());
    }

    #[test]
    fn gzip_is_decoded_in_whatever_pieces_it_comes() {
        let runtime = runtime();
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all("a page, a page, a page".as_bytes()).unwrap();
        let packed = encoder.finish().unwrap();
        for size in [1, 7, 1000] {
            let parts: Vec<&[u8]> = packed.chunks(size).collect();
            // No more than wait at once.
            let parts = if parts.len() > 15 { vec![&packed[..4], &packed[4..]] } else { parts };
            let mut body = HostBody::new(decompressed(pieces(&parts, true)), runtime.handle().clone());
            let mut text = String::new();
            body.read_to_string(&mut text).unwrap();
            assert_eq!(text, "a page, a page, a page", "{size}");
        }
        let half = pieces(&[&packed[..packed.len() - 4]], true);
        let mut body = HostBody::new(decompressed(half), runtime.handle().clone());
        assert!(body.read_to_end(&mut Vec::new()).is_err(), "half a body is an error");
    }
}
