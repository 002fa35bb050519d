//! The page on its way: chunks in, chunks out.
//!
//! Whatever happens in mid-stream, every byte of the page that came in and wasn't replaced goes out once. Three things
//! end the rewriting early, and the rest of the page follows as it came: the caller's budget, the memory limit, and
//! having nothing left to do.

use std::cell::RefCell;
use std::rc::Rc;

use html_parser::Parser;
use lol_html::MemorySettings;

use super::plan::HtmlPlan;
use super::splice::Recorder;
use crate::transform::charset::Charset;

mod handlers;
mod output;
mod progress;

pub(in crate::transform) use handlers::policy_nonce;
pub(super) use output::Output;
pub(super) use progress::{MAX_INSERTED, Progress, start};

/// Bytes given to the parser at a time: often enough to ask for the budget, seldom enough to cost nothing.
const SLICE: usize = 16 * 1024;
/// What the parser may hold: an unfinished tag (whose attributes may carry an inlined image) and the open elements.
const MAX_PARSER_MEMORY: usize = 1024 * 1024;

/// How the rewriting ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// At the page's end, or with nothing left to do.
    Complete,
    /// The budget said stop: from this byte of the page on, it streamed untouched.
    Stopped {
        /// Bytes of the page.
        at: u64,
    },
    /// The parser gave up: from about this byte of the page on, it streamed untouched.
    Failed {
        /// Bytes of the page.
        at: u64,
        /// The parser's reason.
        reason: String,
    },
    /// The page isn't in an encoding that can be rewritten (UTF-16): it streamed untouched.
    Encoding,
}

/// What became of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// How the rewriting ended.
    pub ending: Ending,
    /// Elements edited.
    pub edited: u32,
    /// Bytes added.
    pub inserted: usize,
    /// Whether something was left out because the page had been given as much as one may get.
    pub insertions_cut: bool,
}

/// Rewrites one page. Bytes of a page go in by [`write`](Self::write); the sink gets them, changed or not, in few, large
/// chunks, and at the latest when `write` returns.
pub struct HtmlRewriter<'p, S: FnMut(&[u8]) + 'p> {
    stage: Stage<'p>,
    plan: &'p HtmlPlan,
    charset: Charset,
    goes_on: Option<Box<dyn FnMut() -> bool + 'p>>,
    output: Rc<RefCell<Output<S>>>,
    progress: Rc<Progress>,
    ending: Ending,
    /// Bytes of the page so far.
    read: u64,
    /// Smaller in tests.
    pub(super) max_memory: usize,
}

enum Stage<'p> {
    Fresh,
    Rewriting(Box<Parser<'p>>),
    Passing,
}

impl<'p, S: FnMut(&[u8]) + 'p> HtmlRewriter<'p, S> {
    /// Starts a page.
    pub fn new(plan: &'p HtmlPlan, sink: S) -> Self {
        Self {
            stage: Stage::Fresh,
            plan,
            charset: Charset::utf_8(),
            goes_on: None,
            output: Rc::new(RefCell::new(Output::new(sink))),
            progress: Rc::new(Progress::new(plan, None)),
            ending: Ending::Complete,
            read: 0,
            max_memory: MAX_PARSER_MEMORY,
        }
    }

    /// Starts a page of which `recorder` takes notes.
    pub(super) fn recorded(plan: &'p HtmlPlan, recorder: Rc<Recorder>, sink: S) -> Self {
        Self { progress: Rc::new(Progress::new(plan, Some(recorder))), ..Self::new(plan, sink) }
    }

    /// The page's encoding, where it isn't UTF-8.
    #[must_use]
    pub fn charset(mut self, charset: Charset) -> Self {
        self.charset = charset;
        self
    }

    /// Asks before every 16 kB of the page, and for each chunk, whether to go on rewriting. An element whose content
    /// is being replaced is still finished.
    #[must_use]
    pub fn budget(mut self, goes_on: impl FnMut() -> bool + 'p) -> Self {
        self.goes_on = Some(Box::new(goes_on));
        self
    }

    /// Takes a chunk of the page.
    pub fn write(&mut self, chunk: &[u8]) {
        if let (Stage::Fresh, Some(0xfe | 0xff)) = (&self.stage, chunk.first()) {
            // A UTF-16 byte order mark outranks what the headers say (Encoding Standard, "BOM sniff").
            self.ending = Ending::Encoding;
            self.stage = Stage::Passing;
        }
        let mut rest = chunk;
        while !rest.is_empty() {
            let (slice, after) = rest.split_at(rest.len().min(SLICE));
            match self.prepared() {
                Some(parser) => {
                    let result = parser.write(slice);
                    self.read += slice.len() as u64;
                    if let Err(error) = result {
                        self.failed(&error);
                    }
                    rest = after;
                }
                None => {
                    self.output.borrow_mut().push(rest);
                    self.read += rest.len() as u64;
                    break;
                }
            }
        }
        self.output.borrow_mut().flush();
    }

    /// Whether nothing more will be changed, and all of the page so far is out: the rest may go on as it comes.
    pub fn is_passing(&self) -> bool {
        matches!(self.stage, Stage::Passing)
    }

    /// Bytes added so far, and whether something was left out of them.
    pub(super) fn inserted(&self) -> (usize, bool) {
        (self.progress.inserted.get(), self.progress.insertions_cut.get())
    }

    /// Ends the page, and says what became of it.
    pub fn end(mut self) -> Outcome {
        if let Stage::Fresh = self.stage {
            // A page without a byte stays one.
            self.stage = Stage::Passing;
        }
        if let Stage::Rewriting(parser) = std::mem::replace(&mut self.stage, Stage::Passing)
            && let Err(error) = parser.end()
        {
            self.failed(&error);
        }
        self.output.borrow_mut().flush();
        Outcome {
            ending: self.ending,
            edited: self.progress.edited.get(),
            inserted: self.progress.inserted.get(),
            insertions_cut: self.progress.insertions_cut.get(),
        }
    }

    /// The parser, if the next slice is for it.
    fn prepared(&mut self) -> Option<&mut Parser<'p>> {
        if let Stage::Fresh = self.stage {
            self.stage = if self.plan.is_empty() { Stage::Passing } else { Stage::Rewriting(Box::new(self.parser())) };
        }
        if let Stage::Rewriting(_) = self.stage {
            let is_spent = self.goes_on.as_mut().is_some_and(|goes_on| !goes_on());
            if is_spent && !self.progress.is_removing() {
                self.ending = Ending::Stopped { at: self.read };
                self.stop();
            } else if self.progress.is_done() {
                self.stop();
            }
        }
        match &mut self.stage {
            Stage::Rewriting(parser) => Some(parser),
            _ => None,
        }
    }

    /// Lets go of the parser. At its end it hands out what it holds of an unfinished tag, and no handler acts any more.
    fn stop(&mut self) {
        self.progress.stop();
        if let Stage::Rewriting(parser) = std::mem::replace(&mut self.stage, Stage::Passing)
            && let Err(error) = parser.end()
        {
            self.failed(&error);
        }
    }

    /// The parser has handed out all that it held before it gave up (lol_html's graceful bail-out).
    fn failed(&mut self, error: &lol_html::errors::RewritingError) {
        self.ending = Ending::Failed { at: self.read, reason: error.to_string() };
        self.progress.stop();
        self.stage = Stage::Passing;
    }

    fn parser(&self) -> Parser<'p> {
        let memory = MemorySettings::new()
            // Room for a slice behind an unfinished tag, so that most pages never grow it.
            .with_preallocated_parsing_buffer_size((SLICE + 1024).min(self.max_memory))
            .with_max_allowed_memory_usage(self.max_memory)
            .with_graceful_bail_out_on_memory_limit_exceeded(true);
        let output = Rc::clone(&self.output);
        Parser::new(
            handlers::settings(self.plan, &self.progress, self.charset, memory),
            Box::new(move |bytes| {
                // Nothing else borrows it while the parser runs.
                if let Ok(mut output) = output.try_borrow_mut() {
                    output.push(bytes);
                }
            }),
        )
    }
}
