//! What goes over the wire of a host in memory: bodies of backends, what they were asked, and what the client received.

use std::cell::{Cell, RefCell};
use std::io::{Cursor, Read, Write};
use std::rc::Rc;
use std::time::Duration;

use http::{HeaderMap, Method, StatusCode};

use crate::platform::{Caching, ClientStream, SendError};

/// A body in memory.
#[derive(Debug, Clone, Default)]
pub struct MemoryBody {
    pub(super) bytes: Cursor<Vec<u8>>,
    pub(super) damage: BodyDamage,
    /// Bytes that went through the guest.
    pub(super) read: Rc<Cell<usize>>,
    /// The host's age, which a slow body adds to.
    pub(super) age: Rc<Cell<Duration>>,
}

/// What is wrong with the bodies of backends.
#[derive(Debug, Clone, Copy, Default)]
pub struct BodyDamage {
    /// Where they break off, if they do.
    pub break_at: Option<usize>,
    /// How long each byte takes, if they come byte by byte.
    pub drip: Option<Duration>,
    /// Whether they go on in spaces for ever.
    pub endless: bool,
}

impl Read for MemoryBody {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let BodyDamage { break_at, drip, endless } = self.damage;
        let at = usize::try_from(self.bytes.position()).unwrap_or(usize::MAX);
        let mut most = break_at.map_or(buffer.len(), |end| end.saturating_sub(at).min(buffer.len()));
        if most == 0 && !buffer.is_empty() {
            return Err(std::io::ErrorKind::ConnectionReset.into());
        }
        if let Some(takes) = drip {
            self.age.set(self.age.get() + takes);
            most = most.min(1);
        }
        let buffer = buffer.get_mut(..most).unwrap_or_default();
        let mut count = self.bytes.read(buffer)?;
        if count == 0 && endless {
            buffer.fill(b' ');
            count = buffer.len();
        }
        self.read.set(self.read.get() + count);
        Ok(count)
    }
}

impl From<Vec<u8>> for MemoryBody {
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes: Cursor::new(bytes), ..Self::default() }
    }
}

/// What a backend was asked.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The backend's name.
    pub backend: String,
    /// Method.
    pub method: Method,
    /// URL.
    pub url: String,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Vec<u8>,
    /// How the cache was to treat it.
    pub caching: Caching,
}

/// What a backend does with a request.
pub type Answer = Result<(StatusCode, HeaderMap, Vec<u8>), SendError>;
pub(super) type Backend = Box<dyn Fn(&Asked) -> Answer>;

/// What the client received.
#[derive(Debug, Clone)]
pub struct Received {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Vec<u8>,
    /// How many of them never went through the guest.
    pub appended: usize,
}

/// The client's end of a streamed body.
pub struct MemoryStream {
    pub(super) head: Option<Received>,
    pub(super) leaves_at: Option<usize>,
    pub(super) received: Rc<RefCell<Vec<Received>>>,
}

impl Write for MemoryStream {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if let Some(head) = &mut self.head {
            if self.leaves_at.is_some_and(|most| head.body.len() >= most) {
                return Err(std::io::ErrorKind::BrokenPipe.into());
            }
            head.body.extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl ClientStream<MemoryBody> for MemoryStream {
    fn append(&mut self, mut body: MemoryBody) -> std::io::Result<()> {
        // The host reads it, not the guest.
        body.read = Rc::default();
        if let Some(head) = &mut self.head {
            head.appended += body.read_to_end(&mut head.body)?;
        }
        Ok(())
    }

    fn finish(mut self) -> std::io::Result<()> {
        self.received.borrow_mut().extend(self.head.take());
        Ok(())
    }
}
