//! A page being parsed with blanks for values, and kept while it is.

use std::cell::RefCell;
use std::rc::Rc;

use lol_html::html_content::{ContentType, Element as Node};
use memchr::memmem;

use super::blanks::{BLANK, Blanks, Core, Kind, Values};
use super::kept::{KeptPage, Part, Tag};
use super::{Budget, Sink};
use crate::transform::charset::Charset;
use crate::transform::escape;
use crate::transform::html::edit::{Edit, add_class};
use crate::transform::html::rewriter::{Ending, HtmlRewriter, start};

/// The page can't be kept: what is done to it depends on values in a way that blanks don't show, or it isn't in UTF-8.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Spoiled;

/// Takes notes while a page is parsed: what of it depends on a request's values beside those in their places.
#[derive(Debug)]
pub(in crate::transform::html) struct Recorder {
    core: Core,
    notes: RefCell<Notes>,
}

#[derive(Debug, Default)]
struct Notes {
    tags: Vec<Tag>,
    /// Which tag a class belongs to, by the class's number.
    classes: Vec<usize>,
    /// Where the element starts whose attributes were edited last.
    edited: Option<usize>,
    is_spoiled: bool,
}

impl Recorder {
    /// An edit is about to be applied: does it read what a value wrote, or change a tag whose classes depend on values?
    pub(in crate::transform::html) fn looks(&self, node: &Node<'_, '_>, edit: &Edit) {
        let reads = match edit {
            Edit::AppendAttribute(name, _) => Some(&**name),
            Edit::AddClass(_) | Edit::RemoveClass(_) => Some("class"),
            Edit::SetAttribute(..) | Edit::RemoveAttribute(_) | Edit::SetClass(_) => None,
            // Recorded plans have places for these two; the others don't touch attributes.
            Edit::AddRenderedClass(_) | Edit::Mark { .. } => return self.notes.borrow_mut().is_spoiled = true,
            Edit::Insert(..)
            | Edit::InsertRendered(..)
            | Edit::Element(_)
            | Edit::ElementBefore(_)
            | Edit::ClassPlace { .. } => return,
        };
        let read = reads.and_then(|name| node.get_attribute(name));
        let mut notes = self.notes.borrow_mut();
        let at = start(node);
        notes.edited = Some(at);
        notes.is_spoiled |= notes.tags.last().is_some_and(|tag| tag.plain.start == at)
            || read.is_some_and(|read| self.core.is_in(&read));
    }

    /// Gives an element the blank of a class, where it has the attribute that decides on it.
    pub(in crate::transform::html) fn class(&self, node: &mut Node<'_, '_>, attribute: Option<&str>, place: usize) {
        let value = match attribute {
            None => None,
            Some(name) => match node.get_attribute(name) {
                Some(value) => Some(escape::unescaped(&value).into_owned()),
                None => return,
            },
        };
        let mut notes = self.notes.borrow_mut();
        let plain = node.source_location().bytes();
        notes.is_spoiled |= notes.edited == Some(plain.start);
        if notes.tags.last().is_none_or(|tag| tag.plain.start != plain.start) {
            let number = notes.tags.len();
            node.before(&self.core.blank(Kind::Front, number), ContentType::Html);
            let back = self.core.blank(Kind::Back, number);
            if node.can_have_content() {
                node.prepend(&back, ContentType::Html);
            } else {
                node.after(&back, ContentType::Html);
            }
            let classes = node.get_attribute("class").unwrap_or_default();
            notes.tags.push(Tag { plain, classes, ..Tag::default() });
        }
        let tag = notes.tags.len().saturating_sub(1);
        notes.tags.iter_mut().skip(tag).for_each(|tag| tag.may_get.push((place, value.clone())));
        let class = self.core.blank(Kind::Class, notes.classes.len());
        notes.classes.push(tag);
        drop(notes);
        add_class(node, &class);
    }
}

/// A page being recorded.
pub(super) struct Recording<'s> {
    rewriter: HtmlRewriter<'s, Sink<'s>>,
    recorder: Rc<Recorder>,
    /// What the parser has given since it was looked at last.
    output: Rc<RefCell<Vec<u8>>>,
    values: Values<'s>,
    kept: KeptPage,
}

impl<'s> Recording<'s> {
    pub(super) fn start(blanks: &'s Blanks, values: Values<'s>, charset: Charset, goes_on: Budget<'s>) -> Self {
        let recorder = Rc::new(Recorder { core: blanks.core.clone(), notes: RefCell::default() });
        let output: Rc<RefCell<Vec<u8>>> = Rc::default();
        let to = Rc::clone(&output);
        let sink: Sink<'s> = Box::new(move |bytes| to.borrow_mut().extend_from_slice(bytes));
        let rewriter = HtmlRewriter::recorded(&blanks.plan, Rc::clone(&recorder), sink).charset(charset);
        let rewriter = rewriter.budget(move || (goes_on.borrow_mut())());
        Self { rewriter, recorder, output, values, kept: KeptPage::default() }
    }

    pub(super) fn page(&self) -> &[u8] {
        self.kept.page()
    }

    pub(super) fn parts(&self) -> usize {
        self.kept.parts()
    }

    pub(super) fn kept(&self) -> &KeptPage {
        &self.kept
    }

    pub(super) fn values(&self) -> &Values<'s> {
        &self.values
    }

    pub(super) fn is_passing(&self) -> bool {
        self.rewriter.is_passing()
    }

    /// Parses a step of the page.
    ///
    /// # Errors
    ///
    /// The page can't be kept. No part of this step counts.
    pub(super) fn write(&mut self, step: &[u8]) -> Result<(), Spoiled> {
        self.kept.push_page(step);
        self.rewriter.write(step);
        let output = self.output.take();
        self.recorder.cut(&output, &mut self.kept)?;
        let (inserted, is_cut) = self.rewriter.inserted();
        self.kept.mark(inserted);
        if is_cut || !self.kept.fits(&self.values) { Err(Spoiled) } else { Ok(()) }
    }

    /// Ends the recording; `is_whole`: at the page's end. Gives what is kept, the values, and how the rewriting ended.
    pub(super) fn end(self, is_whole: bool) -> (KeptPage, Values<'s>, Result<Ending, Spoiled>) {
        let Self { rewriter, recorder, output, values, mut kept } = self;
        let outcome = rewriter.end();
        let ended = recorder.cut(&output.take(), &mut kept);
        kept.finish(!is_whole, outcome.inserted);
        let is_well = ended.is_ok() && !outcome.insertions_cut && kept.fits(&values);
        (kept, values, if is_well { Ok(outcome.ending) } else { Err(Spoiled) })
    }
}

impl Recorder {
    /// Cuts output at its blanks into parts.
    fn cut(&self, output: &[u8], kept: &mut KeptPage) -> Result<(), Spoiled> {
        let notes = self.notes.borrow();
        if notes.is_spoiled {
            return Err(Spoiled);
        }
        // The tag that is open, and its number.
        let mut open: Option<(usize, Tag)> = None;
        let mut done = 0;
        for at in memmem::find_iter(output, self.core.as_bytes()) {
            let (start, kind, number) = Core::read(output, at).ok_or(Spoiled)?;
            let text = output.get(done..start).ok_or(Spoiled)?;
            done = start + BLANK;
            let class = if kind == Kind::Class { notes.classes.get(number).copied() } else { None };
            open = match (class, open.take()) {
                // The space between two classes.
                (Some(tag), Some((number, open))) if tag == number => Some((number, open)),
                (Some(tag), None) => {
                    let known = notes.tags.get(tag).ok_or(Spoiled)?;
                    Some((tag, Tag { before: kept.push_text(text), ..known.clone() }))
                }
                (Some(_), Some(_)) => return Err(Spoiled),
                (None, None) => {
                    push_text(kept, text);
                    None
                }
                (None, Some((_, open))) => {
                    let after = kept.push_text(text);
                    kept.push(Part::Tag(Box::new(Tag { after, ..open })));
                    None
                }
            };
            if kind == Kind::Value {
                kept.push(Part::Value(number));
            }
        }
        if open.is_some() {
            return Err(Spoiled);
        }
        push_text(kept, output.get(done..).unwrap_or_default());
        Ok(())
    }
}

fn push_text(kept: &mut KeptPage, text: &[u8]) {
    if !text.is_empty() {
        let range = kept.push_text(text);
        kept.push(Part::Text(range));
    }
}
