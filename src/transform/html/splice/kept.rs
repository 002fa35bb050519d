//! Pages that a sandbox keeps: bytes of the origin, what became of them, and holes where values were.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::ops::Range;
use std::rc::Rc;

use super::blanks::{BLANK, Values};
use crate::transform::html::plan::HtmlPlan;
use crate::transform::html::rewriter::MAX_INSERTED;

/// Bytes of all pages that a sandbox keeps.
const MAX_KEPT: usize = 8 * 1024 * 1024;
/// Pages that it keeps, or remembers to leave alone.
const MAX_PAGES: usize = 512;
/// Times in a row that a page may be another one than it was: then it is left alone.
const MAX_MISSES: u8 = 2;

/// The pages that a sandbox keeps. Clones are the same shelf.
#[derive(Debug, Clone, Default)]
pub struct Pages(Rc<RefCell<Shelf>>);

/// A page by its route's operations, by whatever else shapes it, and by where it came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key(u64, u64);

/// What a sandbox knows of a page.
pub(super) enum Found {
    /// It was kept.
    Page(Rc<KeptPage>),
    /// Nothing: it can be recorded.
    Nothing,
    /// It can't be kept, or changes with every request.
    LeftAlone,
}

#[derive(Debug, Default)]
struct Shelf {
    /// Two hashes with keys of this sandbox's own: nobody outside can make two pages share a place.
    hashers: [RandomState; 2],
    entries: BTreeMap<Key, Entry>,
    bytes: usize,
    clock: u64,
}

#[derive(Debug, Default)]
struct Entry {
    page: Option<Rc<KeptPage>>,
    misses: u8,
    used: u64,
}

impl Pages {
    pub(super) fn key(&self, shape: &HtmlPlan, asked: &[u8], undeclared: bool) -> Key {
        let [first, second] = self.0.borrow().hashers.each_ref().map(|one| one.hash_one((shape, asked, undeclared)));
        Key(first, second)
    }

    /// Bits that nobody outside can know.
    pub(super) fn random(&self) -> u128 {
        let bits = || u128::from(RandomState::new().hash_one(self.0.borrow().clock));
        bits() << 64 | bits()
    }

    pub(super) fn find(&self, key: Key) -> Found {
        let mut shelf = self.0.borrow_mut();
        let now = shelf.tick();
        match shelf.entries.get_mut(&key) {
            None => Found::Nothing,
            Some(entry) => {
                entry.used = now;
                match &entry.page {
                    Some(page) => Found::Page(Rc::clone(page)),
                    None if entry.misses < MAX_MISSES => Found::Nothing,
                    None => Found::LeftAlone,
                }
            }
        }
    }

    /// Keeps a page.
    pub(super) fn keep(&self, key: Key, page: KeptPage) {
        self.0.borrow_mut().change(key, |entry| entry.page = Some(Rc::new(page)));
    }

    /// The page was the kept one, to its end.
    pub(super) fn held(&self, key: Key) {
        self.0.borrow_mut().change(key, |entry| entry.misses = 0);
    }

    /// The page wasn't the kept one.
    pub(super) fn missed(&self, key: Key) {
        self.0.borrow_mut().change(key, |entry| {
            entry.page = None;
            entry.misses = entry.misses.saturating_add(1);
        });
    }

    /// The page can't be kept: it isn't tried again.
    pub(super) fn leave(&self, key: Key) {
        self.0.borrow_mut().change(key, |entry| *entry = Entry { misses: MAX_MISSES, ..Entry::default() });
    }

    /// Bytes kept, for tests.
    #[cfg(test)]
    pub(in crate::transform::html) fn bytes(&self) -> usize {
        self.0.borrow().bytes
    }

    /// All that is kept, for tests.
    #[cfg(test)]
    pub(in crate::transform::html) fn dump(&self) -> Vec<Rc<KeptPage>> {
        self.0.borrow().entries.values().filter_map(|entry| entry.page.clone()).collect()
    }
}

impl Shelf {
    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    /// Changes what is known of a page, and lets go of those unused for longest where that is too much.
    fn change(&mut self, key: Key, change: impl FnOnce(&mut Entry)) {
        let now = self.tick();
        let entry = self.entries.entry(key).or_default();
        let before = entry.size();
        change(entry);
        entry.used = now;
        self.bytes = (self.bytes + entry.size()).saturating_sub(before);
        while (self.bytes > MAX_KEPT || self.entries.len() > MAX_PAGES)
            && let Some(oldest) = self.entries.iter().min_by_key(|(_, entry)| entry.used).map(|(key, _)| *key)
        {
            let size = self.entries.remove(&oldest).map_or(0, |entry| entry.size());
            self.bytes = self.bytes.saturating_sub(size);
        }
    }
}

impl Entry {
    fn size(&self) -> usize {
        self.page.as_ref().map_or(0, |page| page.size())
    }
}

/// A page as the origin sent it, and what became of it.
#[derive(Debug, Default)]
pub struct KeptPage {
    /// The origin's bytes.
    page: Vec<u8>,
    /// What goes out and is no value.
    text: Vec<u8>,
    parts: Vec<Part>,
    /// So many bytes of the page → so many parts have gone out, both growing.
    marks: Vec<(usize, usize)>,
    /// Whether all that follows passes unchanged.
    passes: bool,
    /// How often each value stands in the page.
    times: Vec<usize>,
    /// Bytes that the parser added, with blanks for values; also to content that was left out then.
    inserted: usize,
}

/// A part of what goes out.
#[derive(Debug, Clone)]
pub(super) enum Part {
    /// Of the kept text.
    Text(Range<usize>),
    /// A value, by its place.
    Value(usize),
    /// A start tag whose classes depend on values.
    Tag(Box<Tag>),
}

/// A start tag whose classes depend on values.
#[derive(Debug, Clone, Default)]
pub(super) struct Tag {
    /// As it came: of the page.
    pub(super) plain: Range<usize>,
    /// With classes: what stands in front of them, and behind; of the kept text.
    pub(super) before: Range<usize>,
    pub(super) after: Range<usize>,
    /// The classes that it has.
    pub(super) classes: String,
    /// Those that it may get: the class's place, and the value of the element's attribute where that decides.
    pub(super) may_get: Vec<(usize, Option<String>)>,
}

impl KeptPage {
    pub(super) fn page(&self) -> &[u8] {
        &self.page
    }

    pub(super) fn parts(&self) -> usize {
        self.parts.len()
    }

    pub(super) fn passes(&self) -> bool {
        self.passes
    }

    /// How many parts have gone out once `read` bytes of the page have come; at least `from`, as it was known before.
    pub(super) fn parts_by(&self, read: usize, from: usize) -> usize {
        let known = self.marks.partition_point(|(bytes, _)| *bytes <= read);
        known.checked_sub(1).and_then(|last| self.marks.get(last)).map_or(from, |(_, parts)| (*parts).max(from))
    }

    /// Whether values don't add more to the page than may be added: then a parser decides which of them stay out.
    pub(super) fn fits(&self, values: &Values<'_>) -> bool {
        let added = self.times.iter().zip(&values.values).filter(|(_, value)| value.is_added);
        let (mut bytes, mut blanks) = (0, 0);
        for (times, value) in added {
            bytes += times * value.text.len();
            blanks += times * BLANK;
        }
        // What else the parser added may have been values in content that was left out: at most so many, at most so long.
        let beside = self.inserted.saturating_sub(blanks);
        let longest = values.values.iter().map(|value| value.text.len()).max().unwrap_or(0);
        bytes + beside + (beside / BLANK + 1) * longest <= MAX_INSERTED
    }

    /// Writes parts with a request's values.
    pub(super) fn write(&self, values: &Values<'_>, parts: Range<usize>, mut sink: impl FnMut(&[u8])) {
        let text = |range: &Range<usize>| self.text.get(range.clone()).unwrap_or_default();
        for part in self.parts.get(parts).unwrap_or_default() {
            match part {
                Part::Text(range) => sink(text(range)),
                Part::Value(place) => sink(values.values.get(*place).map_or(&[], |value| value.text.as_bytes())),
                Part::Tag(tag) => {
                    let classes = tag.gets(values);
                    if classes.is_empty() {
                        sink(self.page.get(tag.plain.clone()).unwrap_or_default());
                    } else {
                        sink(text(&tag.before));
                        sink(classes.join(" ").as_bytes());
                        sink(text(&tag.after));
                    }
                }
            }
        }
    }

    pub(super) fn push_page(&mut self, bytes: &[u8]) {
        self.page.extend_from_slice(bytes);
    }

    pub(super) fn push_text(&mut self, bytes: &[u8]) -> Range<usize> {
        let start = self.text.len();
        self.text.extend_from_slice(bytes);
        start..self.text.len()
    }

    pub(super) fn push(&mut self, part: Part) {
        if let Part::Value(place) = part {
            if self.times.len() <= place {
                self.times.resize(place + 1, 0);
            }
            self.times.iter_mut().skip(place).take(1).for_each(|times| *times += 1);
        }
        self.parts.push(part);
    }

    /// All of the page so far has gone out, as far as it can; `inserted` bytes were added to it.
    pub(super) fn mark(&mut self, inserted: usize) {
        self.inserted = inserted;
        self.marks.push((self.page.len(), self.parts.len()));
    }

    /// Ends it; `passes`: what follows is left as it is.
    pub(super) fn finish(&mut self, passes: bool, inserted: usize) {
        self.passes = passes;
        self.inserted = inserted;
        self.page.shrink_to_fit();
        self.text.shrink_to_fit();
        self.parts.shrink_to_fit();
    }

    /// Bytes of memory, nearly.
    fn size(&self) -> usize {
        let tags = self.parts.iter().map(|part| match part {
            Part::Tag(tag) => size_of::<Tag>() + tag.classes.len() + tag.may_get.len() * 64,
            Part::Text(_) | Part::Value(_) => 0,
        });
        let lists = self.parts.len() * size_of::<Part>() + self.marks.len() * size_of::<(usize, usize)>();
        self.page.len() + self.text.len() + lists + tags.sum::<usize>()
    }
}

impl Tag {
    /// The classes that it gets with a request's values, in their order, each once.
    fn gets<'v>(&self, values: &Values<'v>) -> Vec<&'v str> {
        let mut gets: Vec<&str> = Vec::new();
        for (place, attribute) in &self.may_get {
            let Some(class) = values.classes.get(*place) else { continue };
            let is_listed = match (class.of, attribute) {
                (Some(listed), Some(attribute)) => listed.binary_search(attribute).is_ok(),
                (Some(_), None) => false,
                (None, _) => true,
            };
            let has = |known: &str| known == class.class;
            if is_listed && !self.classes.split_ascii_whitespace().any(has) && !gets.iter().copied().any(has) {
                gets.push(class.class);
            }
        }
        gets
    }
}
