//! A page is parsed once: *verified splice*.
//!
//! The first time that a sandbox rewrites a page, the parser runs with *blanks* in place of the request's values. What came in and what
//! went out are kept, the values' places open. Later the origin's bytes are compared with those that came then. As long as they are the
//! same, what was kept goes out, the request's own values in their places, and nothing is parsed. At the first byte that differs a parser
//! gets all that was the same, and what has been sent already is left out of what it gives.
//!
//! ```text
//! first request   origin ──▶ parser with blanks ──▶ parts ──▶ values put in ──▶ client
//!                   └────────────── kept ─────────────┘
//! later requests  origin ──▶ same bytes? ── yes ──▶ kept parts ──▶ values put in ──▶ client
//!                                  └─ no ──▶ parser from the start, less what was sent ──▶ client
//! ```
//!
//! Nobody's word is taken for it, no `ETag`'s either, and no byte differs from what the parser alone gives. Of a request's values nothing
//! is kept.

use std::cell::RefCell;
use std::rc::Rc;

use http::{HeaderMap, header};

use super::plan::HtmlPlan;
use super::rewriter::{Ending, HtmlRewriter, Output};
use crate::transform::charset::Charset;
use blanks::{Blanks, Values};
use kept::Found;
pub use kept::Pages;
use kept::{KeptPage, Key};
pub(super) use recording::Recorder;
use recording::Recording;

mod blanks;
mod kept;
mod recording;

/// Bytes of the longest page that is kept.
const MAX_PAGE: usize = 256 * 1024;
/// Bytes of a page between two points up to which it is known what has gone out.
const STEP: usize = 2 * 1024;

/// Asked whether there is budget left.
type Budget<'s> = Rc<RefCell<Box<dyn FnMut() -> bool + 's>>>;
/// Gets what goes to the client.
type Sink<'s> = Box<dyn FnMut(&[u8]) + 's>;

/// What a sandbox knows of a page when an answer's head is there.
#[derive(Debug, Default)]
pub enum Splice {
    /// The page is parsed, and nothing is kept.
    #[default]
    Off,
    /// It is parsed, and kept.
    Record(Box<Blanks>, Page),
    /// It was kept.
    Kept(Rc<KeptPage>, Page),
}

/// Which page this is, and where it is kept.
#[derive(Debug)]
pub struct Page {
    pages: Pages,
    key: Key,
}

impl Splice {
    /// Looks the page up. `asked` is what shapes it beside the plan: revision, backend, path, query. `headers` are the answer's.
    #[must_use]
    pub fn look_up(pages: &Pages, plan: &HtmlPlan, asked: &[u8], headers: &HeaderMap, charset: Charset) -> Self {
        // A value is written in UTF-8, and the kept page around it stays as it is. A page that declares nothing in its head may still do so
        // in itself: recording finds that out.
        if charset.encoding != Charset::utf_8().encoding {
            return Self::Off;
        }
        let key = pages.key(&Blanks::shape(plan), asked, charset.undeclared);
        let page = || Page { pages: pages.clone(), key };
        match pages.find(key) {
            Found::Page(kept) if kept.fits(&Values::of(plan)) => Self::Kept(kept, page()),
            Found::Nothing if may_keep(headers) => Self::Record(Box::new(Blanks::of(plan, pages.random())), page()),
            Found::Page(_) | Found::Nothing | Found::LeftAlone => Self::Off,
        }
    }
}

/// Whether an answer may be kept: one visitor's own isn't, nor one that is too long.
fn may_keep(headers: &HeaderMap) -> bool {
    let is_own = headers.contains_key(header::SET_COOKIE)
        || headers.get_all(header::CACHE_CONTROL).iter().any(|value| {
            let value = value.as_bytes().to_ascii_lowercase();
            value
                .split(|byte| *byte == b',')
                .any(|one| one.trim_ascii().starts_with(b"private") || one.trim_ascii() == b"no-store")
        });
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    !is_own && length.is_none_or(|length| length <= MAX_PAGE)
}

/// One page on its way, recorded or spliced where that can be done.
pub struct SplicedPage<'s> {
    plan: &'s HtmlPlan,
    charset: Charset,
    goes_on: Budget<'s>,
    /// `None` once a parser writes to the client itself.
    out: Option<Output<Sink<'s>>>,
    /// Bytes that have gone out.
    sent: usize,
    stage: Stage<'s>,
}

enum Stage<'s> {
    Parsing(HtmlRewriter<'s, Sink<'s>>),
    Recording(Box<Recording<'s>>, &'s Page),
    Splicing(Splicing<'s>, &'s Page),
    /// Nothing more is changed.
    Passing(Ending),
}

/// A kept page, compared with the one that comes.
struct Splicing<'s> {
    kept: Rc<KeptPage>,
    values: Values<'s>,
    /// Bytes of the page that were the same.
    same: usize,
    /// Parts that have gone out.
    parts: usize,
}

impl<'s> SplicedPage<'s> {
    /// Starts a page. `goes_on` is asked now and then whether there is budget left for a parser.
    #[must_use]
    pub fn new(
        plan: &'s HtmlPlan,
        splice: &'s Splice,
        charset: Charset,
        goes_on: Box<dyn FnMut() -> bool + 's>,
        sink: Sink<'s>,
    ) -> Self {
        let goes_on: Budget<'s> = Rc::new(RefCell::new(goes_on));
        let (stage, out) = match splice {
            Splice::Off => (Stage::Parsing(parser(plan, charset, &goes_on, &[], 0, sink)), None),
            Splice::Record(blanks, page) => {
                let recording = Recording::start(blanks, Values::of(plan), charset, Rc::clone(&goes_on));
                (Stage::Recording(Box::new(recording), page), Some(Output::new(sink)))
            }
            Splice::Kept(kept, page) => {
                let splicing = Splicing { kept: Rc::clone(kept), values: Values::of(plan), same: 0, parts: 0 };
                (Stage::Splicing(splicing, page), Some(Output::new(sink)))
            }
        };
        Self { plan, charset, goes_on, out, sent: 0, stage }
    }

    /// Takes a chunk of the page.
    pub fn write(&mut self, chunk: &[u8]) {
        let mut rest = chunk;
        while !rest.is_empty() {
            rest = match &mut self.stage {
                Stage::Parsing(parser) => {
                    parser.write(rest);
                    &[]
                }
                Stage::Passing(_) => {
                    self.send(rest);
                    &[]
                }
                Stage::Recording(..) => self.record(rest),
                Stage::Splicing(..) => self.splice(rest),
            };
        }
        self.out.iter_mut().for_each(Output::flush);
    }

    /// Whether nothing more will be changed, and all of the page so far is out.
    pub fn is_passing(&self) -> bool {
        match &self.stage {
            Stage::Parsing(parser) => parser.is_passing(),
            Stage::Passing(_) => true,
            Stage::Recording(..) | Stage::Splicing(..) => false,
        }
    }

    /// Ends the page.
    pub fn end(mut self) -> Ending {
        match std::mem::replace(&mut self.stage, Stage::Passing(Ending::Complete)) {
            Stage::Parsing(parser) => return parser.end().ending,
            Stage::Passing(ending) => self.stage = Stage::Passing(ending),
            Stage::Recording(recording, page) => self.end_recording(*recording, page, true),
            Stage::Splicing(splicing, page) if splicing.is_at_end() => {
                page.pages.held(page.key);
                self.send_parts(&splicing.kept, &splicing.values, splicing.parts, splicing.kept.parts());
            }
            // The page is shorter than it was.
            Stage::Splicing(splicing, page) => {
                page.pages.missed(page.key);
                self.parse(splicing.kept.page().get(..splicing.same).unwrap_or_default());
            }
        }
        self.out.iter_mut().for_each(Output::flush);
        match self.stage {
            Stage::Parsing(parser) => parser.end().ending,
            Stage::Passing(ending) => ending,
            Stage::Recording(..) | Stage::Splicing(..) => Ending::Complete,
        }
    }

    /// Records a step of the page; gives what is left of the chunk.
    fn record<'c>(&mut self, chunk: &'c [u8]) -> &'c [u8] {
        let Stage::Recording(recording, page) = &mut self.stage else { return chunk };
        let (step, rest) = chunk.split_at(chunk.len().min(STEP));
        let was = recording.parts();
        let outcome = recording.write(step);
        if outcome.is_err() || recording.page().len() > MAX_PAGE {
            // Nothing of this step has gone out: a parser takes over.
            page.pages.leave(page.key);
            if let Stage::Recording(recording, _) = std::mem::replace(&mut self.stage, Stage::Passing(Ending::Complete))
            {
                self.parse(recording.page());
            }
            return rest;
        }
        let is_passing = recording.is_passing();
        if let Stage::Recording(recording, page) = std::mem::replace(&mut self.stage, Stage::Passing(Ending::Complete))
        {
            self.send_parts(recording.kept(), recording.values(), was, recording.parts());
            if is_passing {
                self.end_recording(*recording, page, false);
            } else {
                self.stage = Stage::Recording(recording, page);
            }
        }
        rest
    }

    /// Ends a recording: at the page's end, or where the rest of it passes.
    fn end_recording(&mut self, recording: Recording<'s>, page: &Page, is_whole: bool) {
        let was = recording.parts();
        let (kept, values, ended) = recording.end(is_whole);
        match ended {
            Ok(ending) => {
                self.send_parts(&kept, &values, was, kept.parts());
                if ending == Ending::Complete && !kept.page().is_empty() {
                    page.pages.keep(page.key, kept);
                } else {
                    page.pages.leave(page.key);
                }
                self.stage = Stage::Passing(ending);
            }
            Err(recording::Spoiled) => {
                page.pages.leave(page.key);
                self.parse(kept.page());
            }
        }
    }

    /// Compares a chunk with the kept page; gives what is left of it where that is all there is to compare.
    fn splice<'c>(&mut self, chunk: &'c [u8]) -> &'c [u8] {
        let Stage::Splicing(splicing, page) = &mut self.stage else { return chunk };
        let same = splicing.compare(chunk);
        splicing.same += same;
        let rest = chunk.get(same..).unwrap_or_default();
        let page = *page;
        let Stage::Splicing(mut splicing, _) = std::mem::replace(&mut self.stage, Stage::Passing(Ending::Complete))
        else {
            return chunk;
        };
        if splicing.is_at_end() && splicing.kept.passes() {
            page.pages.held(page.key);
            self.send_parts(&splicing.kept, &splicing.values, splicing.parts, splicing.kept.parts());
        } else if rest.is_empty() {
            let until = splicing.kept.parts_by(splicing.same, splicing.parts);
            self.send_parts(&splicing.kept, &splicing.values, splicing.parts, until);
            splicing.parts = until;
            self.stage = Stage::Splicing(splicing, page);
        } else {
            page.pages.missed(page.key);
            self.parse(splicing.kept.page().get(..splicing.same).unwrap_or_default());
        }
        rest
    }

    /// Has a parser take over, after `prefix`, of whose result `sent` bytes have gone out.
    fn parse(&mut self, prefix: &[u8]) {
        let Some(out) = self.out.take() else { return };
        self.stage = Stage::Parsing(parser(self.plan, self.charset, &self.goes_on, prefix, self.sent, out.into_sink()));
    }

    fn send(&mut self, bytes: &[u8]) {
        self.sent += bytes.len();
        self.out.iter_mut().for_each(|out| out.push(bytes));
    }

    fn send_parts(&mut self, kept: &KeptPage, values: &Values<'_>, from: usize, to: usize) {
        kept.write(values, from..to, |bytes| self.send(bytes));
    }
}

impl Splicing<'_> {
    /// How many bytes of a chunk are those of the kept page.
    fn compare(&self, chunk: &[u8]) -> usize {
        let kept = self.kept.page().get(self.same..).unwrap_or_default();
        match kept.get(..chunk.len()) {
            // The usual case, fast: one comparison of memory.
            Some(all) if all == chunk => chunk.len(),
            _ => kept.iter().zip(chunk).take_while(|(kept, now)| kept == now).count(),
        }
    }

    fn is_at_end(&self) -> bool {
        self.same == self.kept.page().len()
    }
}

/// A parser that has read `prefix`, of whose result the first `sent` bytes aren't sent again. For these no budget is asked: half of what
/// they became has gone out.
fn parser<'s>(
    plan: &'s HtmlPlan,
    charset: Charset,
    goes_on: &Budget<'s>,
    prefix: &[u8],
    sent: usize,
    mut sink: Sink<'s>,
) -> HtmlRewriter<'s, Sink<'s>> {
    let mut left_out = sent;
    let sink: Sink<'s> = if sent == 0 {
        sink
    } else {
        Box::new(move |bytes: &[u8]| {
            let skipped = left_out.min(bytes.len());
            left_out -= skipped;
            if let Some(new @ [_, ..]) = bytes.get(skipped..) {
                sink(new);
            }
        })
    };
    let mut parser = HtmlRewriter::new(plan, sink).charset(charset);
    if !prefix.is_empty() {
        parser.write(prefix);
    }
    let goes_on = Rc::clone(goes_on);
    parser.budget(move || (goes_on.borrow_mut())())
}
