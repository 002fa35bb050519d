//! lol_html's parser, at an optimization level of its own.
//!
//! lol_html is generic over where its output goes, so its state machines, all of the work on a page, are compiled with the crate
//! that first says where. That crate is this one: the workspace's release profile chooses its level apart from the service's.

use lol_html::errors::RewritingError;
use lol_html::{HtmlRewriter, Settings};

/// Takes the page's bytes, changed or not, in the parser's many small pieces.
pub type Sink<'h> = Box<dyn FnMut(&[u8]) + 'h>;

/// A page being parsed.
pub struct Parser<'h>(HtmlRewriter<'h, Sink<'h>>);

impl<'h> Parser<'h> {
    /// Starts a page.
    #[must_use]
    pub fn new(settings: Settings<'h, '_>, sink: Sink<'h>) -> Self {
        Self(HtmlRewriter::new(settings, sink))
    }

    /// Takes a chunk of the page.
    ///
    /// # Errors
    ///
    /// The parser gave up. It must not be used again.
    pub fn write(&mut self, chunk: &[u8]) -> Result<(), RewritingError> {
        self.0.write(chunk)
    }

    /// Ends the page; hands out what is held of an unfinished tag.
    ///
    /// # Errors
    ///
    /// The parser gave up.
    pub fn end(self) -> Result<(), RewritingError> {
        self.0.end()
    }
}
