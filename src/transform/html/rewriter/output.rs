//! Output in few, large pieces.

/// Bytes collected before they are handed on: a host call a tag would cost more than the rewriting. A chunk of the page fits, with
/// what was added to it.
const BUFFER: usize = 40 * 1024;

/// Collects the parser's many small pieces.
pub(in crate::transform::html) struct Output<S> {
    buffer: Vec<u8>,
    sink: S,
}

impl<S: FnMut(&[u8])> Output<S> {
    pub(in crate::transform::html) fn new(sink: S) -> Self {
        Self { buffer: Vec::new(), sink }
    }

    pub(in crate::transform::html) fn push(&mut self, bytes: &[u8]) {
        if self.buffer.is_empty() && bytes.len() >= BUFFER {
            (self.sink)(bytes);
            return;
        }
        if self.buffer.len() + bytes.len() > BUFFER {
            self.flush();
        }
        if bytes.len() >= BUFFER {
            (self.sink)(bytes);
        } else {
            if self.buffer.capacity() == 0 {
                // Once a page: what it holds never outgrows this.
                self.buffer.reserve_exact(BUFFER);
            }
            self.buffer.extend_from_slice(bytes);
        }
    }

    pub(in crate::transform::html) fn flush(&mut self) {
        if !self.buffer.is_empty() {
            (self.sink)(&self.buffer);
            self.buffer.clear();
        }
    }

    /// Where everything has gone.
    pub(in crate::transform::html) fn into_sink(mut self) -> S {
        self.flush();
        self.sink
    }
}
