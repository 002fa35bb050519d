//! A visitor's HTTP/1.1: whatever bytes a test wants to send, from whatever address, and everything that came back, with
//! the time of each piece.
//!
//! An ordinary client would put requests in order first: join headers, refuse odd bytes, follow redirects, hide a cut
//! connection behind an error. Here they are what is looked at.

mod read;

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::Value;
use socket2::{Domain, Socket, Type};

use read::Reader;

/// How long a silent server is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// A request, line by line.
#[derive(Debug, Clone)]
pub struct Request {
    method: String,
    target: Vec<u8>,
    headers: Vec<(Vec<u8>, Vec<u8>)>,
    body: Option<Vec<u8>>,
}

impl Request {
    /// Any method, any target (path and query as they go on the wire).
    #[must_use]
    pub fn new(method: &str, target: impl AsRef<[u8]>) -> Self {
        Self { method: method.to_owned(), target: target.as_ref().to_vec(), headers: Vec::new(), body: None }
    }

    /// `GET`.
    #[must_use]
    pub fn get(target: impl AsRef<[u8]>) -> Self {
        Self::new("GET", target)
    }

    /// Adds a header line; the same name again is another line, and any bytes go.
    #[must_use]
    pub fn header(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.as_ref().to_vec(), value.as_ref().to_vec()));
        self
    }

    /// A body, with its `Content-Length`.
    #[must_use]
    pub fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = Some(body.as_ref().to_vec());
        self
    }

    /// The header lines.
    #[must_use]
    pub fn headers(&self) -> &[(Vec<u8>, Vec<u8>)] {
        &self.headers
    }

    /// The bytes on the wire. `Host` and `Content-Length` are added where they are missing.
    #[must_use]
    pub fn bytes(&self, host: &str) -> Vec<u8> {
        let has = |name: &str| self.headers.iter().any(|(found, _)| found.eq_ignore_ascii_case(name.as_bytes()));
        let mut bytes = Vec::with_capacity(256);
        let mut line = |parts: &[&[u8]]| {
            for part in parts {
                bytes.extend_from_slice(part);
            }
            bytes.extend_from_slice(b"\r\n");
        };
        line(&[self.method.as_bytes(), b" ", &self.target, b" HTTP/1.1"]);
        if !has("host") {
            line(&[b"Host: ", host.as_bytes()]);
        }
        for (name, value) in &self.headers {
            line(&[name, b": ", value]);
        }
        if let Some(body) = self.body.as_ref().filter(|_| !has("content-length") && !has("transfer-encoding")) {
            line(&[b"Content-Length: ", body.len().to_string().as_bytes()]);
        }
        line(&[]);
        bytes.extend_from_slice(self.body.as_deref().unwrap_or_default());
        bytes
    }
}

/// An answer, with everything that could be seen of it.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Header lines in order, names as they came.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body, without its framing; as much of it as came.
    pub body: Vec<u8>,
    /// Whether the body came to its proper end: `false` is a truncated or reset answer.
    pub complete: bool,
    /// From the end of the request to the first byte of the answer.
    pub first_byte: Duration,
    /// From the end of the request to the end of the answer.
    pub total: Duration,
}

impl Answer {
    /// The first line of a header, by any spelling of its name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        self.header_lines(name).into_iter().next()
    }

    /// All lines of a header, by any spelling of its name.
    #[must_use]
    pub fn header_lines(&self, name: &str) -> Vec<String> {
        let same = |found: &&(String, Vec<u8>)| found.0.eq_ignore_ascii_case(name);
        self.headers.iter().filter(same).map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect()
    }

    /// The members of a comma-separated header over all its lines, trimmed, in lower case.
    #[must_use]
    pub fn list(&self, name: &str) -> Vec<String> {
        let lines = self.header_lines(name).join(",");
        lines.split(',').map(|item| item.trim().to_ascii_lowercase()).filter(|item| !item.is_empty()).collect()
    }

    /// The body as text, bytes that aren't UTF-8 replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; `null` where it isn't.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }
}

/// A connection from one address to the server. Requests go one after the other.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    reader: Reader,
    host: String,
}

impl Connection {
    /// Connects from `from`: a loopback address stands for a visitor's own.
    ///
    /// # Errors
    ///
    /// The address isn't this machine's, or nobody listens.
    pub fn open(from: IpAddr, to: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
        socket.bind(&SocketAddr::new(from, 0).into())?;
        socket.connect(&to.into())?;
        let stream: TcpStream = socket.into();
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream, reader: Reader::default(), host: to.to_string() })
    }

    /// Sends a request and reads its answer.
    ///
    /// # Errors
    ///
    /// There was no whole answer head. A body that breaks off is an answer that isn't [complete](Answer::complete).
    pub fn send(&mut self, request: &Request) -> io::Result<Answer> {
        self.send_watched(request, |_| ())
    }

    /// Sends a request and reads its answer; shows the body so far each time that a piece of it has come.
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send).
    pub fn send_watched(&mut self, request: &Request, seen: impl FnMut(&[u8])) -> io::Result<Answer> {
        let bytes = request.bytes(&self.host);
        self.write(&bytes)?;
        self.reader.answer(&mut Prompt(&self.stream), Instant::now(), request.method == "HEAD", seen)
    }

    /// Sends bytes: a request line of one's own, half a request, a piece of a body.
    ///
    /// # Errors
    ///
    /// The server has closed the connection.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Reads the next answer; one to a HEAD request has no body.
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send).
    pub fn read(&mut self, to_head: bool) -> io::Result<Answer> {
        self.reader.answer(&mut Prompt(&self.stream), Instant::now(), to_head, |_| ())
    }
}

/// Acknowledges what it reads at once. A small piece of an answer waits at the sender until the piece before is acknowledged (Nagle's
/// algorithm), and a kernel takes up to 40 ms for that: waiting that is nobody's work.
pub(crate) struct Prompt<'s>(pub(crate) &'s TcpStream);

impl Read for Prompt<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // The kernel forgets this wish, so it is told each time; without it an answer is only slower.
        #[cfg(target_os = "linux")]
        let _ = socket2::SockRef::from(self.0).set_tcp_quickack(true);
        self.0.read(buffer)
    }
}

/// One request on a connection of its own. A refused or cut connection is tried no second time.
///
/// # Errors
///
/// As for [`Connection::open`] and [`Connection::send`].
pub fn send(from: IpAddr, to: SocketAddr, request: &Request) -> io::Result<Answer> {
    Connection::open(from, to)?.send(request)
}
