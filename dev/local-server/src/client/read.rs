//! Reading an answer off a stream (RFC 9112, sections 6 and 7).

use std::io::{self, Read};
use std::time::Instant;

use super::Answer;

/// More header lines than the platform lets through.
const MAX_HEADERS: usize = 256;
/// What one read may bring.
const PIECE: usize = 16 * 1024;

/// What came and wasn't used yet.
#[derive(Debug, Default)]
pub(super) struct Reader {
    buffer: Vec<u8>,
}

/// How a body ends.
enum Framing {
    None,
    Length(usize),
    Chunked,
    Close,
}

/// An answer as it comes in.
struct Incoming<'a, S, F> {
    buffer: &'a mut Vec<u8>,
    stream: &'a mut S,
    started: Instant,
    answer: Answer,
    seen: F,
}

impl Reader {
    pub(super) fn answer(
        &mut self,
        stream: &mut impl Read,
        started: Instant,
        to_head: bool,
        seen: impl FnMut(&[u8]),
    ) -> io::Result<Answer> {
        let answer = Answer {
            status: 0,
            headers: Vec::new(),
            body: Vec::new(),
            complete: false,
            first_byte: started.elapsed(),
            total: started.elapsed(),
        };
        let mut incoming = Incoming { buffer: &mut self.buffer, stream, started, answer, seen };
        incoming.head()?;
        while (100..200).contains(&incoming.answer.status) && incoming.answer.status != 101 {
            incoming.answer.headers.clear();
            incoming.head()?;
        }
        let framing = framing(&incoming.answer, to_head)?;
        // From here on a broken connection is a finding, not an error.
        incoming.answer.complete = incoming.body(framing).unwrap_or(false);
        incoming.answer.total = started.elapsed();
        Ok(incoming.answer)
    }
}

impl<S: Read, F: FnMut(&[u8])> Incoming<'_, S, F> {
    /// Reads more; `false` at the end of the stream.
    fn more(&mut self) -> io::Result<bool> {
        let mut piece = [0; PIECE];
        let count = self.stream.read(&mut piece)?;
        self.buffer.extend_from_slice(piece.get(..count).unwrap_or_default());
        Ok(count > 0)
    }

    fn head(&mut self) -> io::Result<()> {
        let bad = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
        let mut first = true;
        loop {
            let mut lines = [httparse::EMPTY_HEADER; MAX_HEADERS];
            let mut response = httparse::Response::new(&mut lines);
            let parsed = response.parse(self.buffer).map_err(|error| bad(format!("not an HTTP answer: {error}")))?;
            if let httparse::Status::Complete(length) = parsed {
                self.answer.status = response.code.unwrap_or(0);
                for line in response.headers.iter() {
                    self.answer.headers.push((line.name.to_owned(), line.value.to_vec()));
                }
                self.buffer.drain(..length);
                return Ok(());
            }
            if !self.more()? {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "the connection closed before an answer's head",
                ));
            }
            if first {
                self.answer.first_byte = self.started.elapsed();
                first = false;
            }
        }
    }

    /// Reads the body; `false` where it broke off.
    fn body(&mut self, framing: Framing) -> io::Result<bool> {
        match framing {
            Framing::None => Ok(true),
            Framing::Length(length) => self.take(length),
            Framing::Chunked => loop {
                let Some(size) = self.line()?.and_then(|line| chunk_size(&line)) else { return Ok(false) };
                if size == 0 {
                    // Trailers end with an empty line.
                    loop {
                        match self.line()? {
                            Some(line) if line.is_empty() => return Ok(true),
                            Some(_) => {}
                            None => return Ok(false),
                        }
                    }
                }
                if !self.take(size)? || self.line()?.is_none() {
                    return Ok(false);
                }
            },
            Framing::Close => loop {
                let count = self.buffer.len();
                self.keep(count);
                if !self.more()? {
                    return Ok(true);
                }
            },
        }
    }

    /// Moves so many bytes of the buffer to the body.
    fn keep(&mut self, count: usize) {
        if count > 0 {
            self.answer.body.extend(self.buffer.drain(..count));
            (self.seen)(&self.answer.body);
        }
    }

    /// Reads so many bytes of body.
    fn take(&mut self, mut count: usize) -> io::Result<bool> {
        loop {
            let here = count.min(self.buffer.len());
            self.keep(here);
            count -= here;
            if count == 0 {
                return Ok(true);
            }
            if !self.more()? {
                return Ok(false);
            }
        }
    }

    /// Reads a line of framing, without its end.
    fn line(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\r\n") {
                let line = self.buffer.drain(..end).collect();
                self.buffer.drain(..2);
                return Ok(Some(line));
            }
            if !self.more()? {
                return Ok(None);
            }
        }
    }
}

fn chunk_size(line: &[u8]) -> Option<usize> {
    let digits = std::str::from_utf8(line).ok()?.split(';').next()?.trim();
    usize::from_str_radix(digits, 16).ok()
}

fn framing(answer: &Answer, to_head: bool) -> io::Result<Framing> {
    if to_head || matches!(answer.status, 101 | 204 | 304) {
        return Ok(Framing::None);
    }
    if answer.list("transfer-encoding").last().is_some_and(|coding| coding == "chunked") {
        return Ok(Framing::Chunked);
    }
    match answer.header("content-length") {
        None => Ok(Framing::Close),
        Some(length) => match length.trim().parse() {
            Ok(length) => Ok(Framing::Length(length)),
            Err(_) => Err(io::Error::new(io::ErrorKind::InvalidData, format!("Content-Length is {length:?}"))),
        },
    }
}
