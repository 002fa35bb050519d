//! Definitions by key, compiled one by one when they are first asked for.
//!
//! A rule set of a thousand features costs a cold request the scan of its text and the compilation of those it evaluates. A
//! definition that can't be compiled is isolated: it has no value, its fault is kept, the others serve.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use serde::de::{Deserializer as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::condition::{Fault, PatternBudget};
use crate::read_json;

/// What a table holds: something compiled from its JSON.
pub trait Definition: Sized {
    /// Compiles a definition.
    ///
    /// # Errors
    ///
    /// The fault, its pointer relative to the definition.
    fn compile(key: &str, json: &str) -> Result<Self, Fault>;

    /// What of it never holds, although it compiles (see [`Condition::faults`](crate::condition::Condition::faults)); pointers are relative to the definition.
    fn faults(&self) -> &[Fault] {
        &[]
    }

    /// The size of its patterns, as a [`PatternBudget`] counts them.
    fn cost(&self) -> usize {
        0
    }
}

/// Definitions that lie ready elsewhere: each is found by its key without a look at the others.
pub trait DefinitionSource: fmt::Debug + Send + Sync {
    /// How many there are.
    fn count(&self) -> usize;
    /// The place of a key.
    fn find(&self, key: &str) -> Option<usize>;
    /// Key and JSON at a place.
    fn entry(&self, place: usize) -> Option<(&str, &str)>;
}

/// Definitions by key: a source's first, then the table's own, each in their order.
///
/// The patterns of those that have been asked for share [`PatternBudget::SET`]; a definition for which no room is left has that fault.
pub struct Table<T> {
    /// Bytes of patterns that have been compiled.
    patterns: AtomicUsize,
    source: Option<Sourced<T>>,
    texts: Vec<Box<str>>,
    entries: Vec<Entry<T>>,
    positions: HashMap<Box<str>, usize, fnv::FnvBuildHasher>,
}

struct Entry<T> {
    key: Box<str>,
    /// Which of the texts, and where in it.
    text: usize,
    span: std::ops::Range<usize>,
    compiled: OnceLock<Result<T, Fault>>,
}

/// A source, and what of it has been asked for.
struct Sourced<T> {
    source: Arc<dyn DefinitionSource>,
    /// Boxed, for most of a large source is never compiled.
    compiled: Vec<OnceLock<Box<Result<T, Fault>>>>,
}

impl<T> Sourced<T> {
    fn new(source: Arc<dyn DefinitionSource>) -> Self {
        let compiled = (0..source.count()).map(|_| OnceLock::new()).collect();
        Self { source, compiled }
    }
}

impl<T: Definition> Sourced<T> {
    fn get(&self, place: usize, patterns: &AtomicUsize) -> Option<(&str, Result<&T, &Fault>)> {
        let (key, json) = self.source.entry(place)?;
        let compiled = self.compiled.get(place)?.get_or_init(|| Box::new(compile(key, json, patterns)));
        Some((key, (**compiled).as_ref()))
    }
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self {
            patterns: AtomicUsize::new(0),
            source: None,
            texts: Vec::new(),
            entries: Vec::new(),
            positions: HashMap::default(),
        }
    }
}

impl<T> fmt::Debug for Table<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.entries.iter().map(|entry| &entry.key)).finish()
    }
}

impl<T: Definition> Table<T> {
    /// The same definitions, none of them compiled: what is added to the copy doesn't show here.
    #[must_use]
    pub fn uncompiled(&self) -> Self {
        let entry = |entry: &Entry<T>| Entry {
            key: entry.key.clone(),
            text: entry.text,
            span: entry.span.clone(),
            compiled: OnceLock::new(),
        };
        Self {
            patterns: AtomicUsize::new(0),
            source: self.source.as_ref().map(|sourced| Sourced::new(Arc::clone(&sourced.source))),
            texts: self.texts.clone(),
            entries: self.entries.iter().map(entry).collect(),
            positions: self.positions.clone(),
        }
    }

    /// Adds the definitions of a JSON object (key: definition). A key that is there already keeps its definition: add the
    /// dictionaries before the payload.
    ///
    /// # Errors
    ///
    /// The text isn't a JSON object; nothing has been added then.
    pub fn add_object(&mut self, json: impl Into<Box<str>>) -> Result<(), Fault> {
        self.add(json.into(), |deserializer| deserializer.deserialize_map(Spans))
    }

    /// Has a source's definitions, nothing of which is copied or scanned. They win over those that are added.
    pub fn set_source(&mut self, source: Arc<dyn DefinitionSource>) {
        self.source = Some(Sourced::new(source));
    }

    /// Adds the definitions of a JSON array, whose keys are their own members `key`. Those without
    /// a key are left out and named in the faults returned.
    ///
    /// # Errors
    ///
    /// The text isn't a JSON array; nothing has been added then.
    pub fn add_array(&mut self, json: impl Into<Box<str>>) -> Result<Vec<Fault>, Fault> {
        let mut faults = Vec::new();
        self.add(json.into(), |deserializer| {
            let items: Vec<&RawValue> = deserializer.deserialize_seq(Items)?;
            let keyed = items.into_iter().enumerate().filter_map(|(index, item)| match key_of(item.get()) {
                Ok(key) => Some((key, item)),
                Err(fault) => {
                    faults.push(fault.under(index));
                    None
                }
            });
            Ok(keyed.collect())
        })?;
        Ok(faults)
    }

    fn add(
        &mut self,
        text: Box<str>,
        read: impl for<'de> FnOnce(
            &mut serde_json::Deserializer<serde_json::de::StrRead<'de>>,
        ) -> serde_json::Result<Vec<(Box<str>, &'de RawValue)>>,
    ) -> Result<(), Fault> {
        let mut deserializer = serde_json::Deserializer::from_str(&text);
        let found = read(&mut deserializer).and_then(|found| deserializer.end().map(|()| found));
        let found = found.map_err(|error| Fault::new(format!("expected definitions as JSON, but found {error}")))?;
        let base = text.as_ptr().addr();
        for (key, raw) in found {
            // The raw value borrows from the text: its place there stands for it.
            let start = raw.get().as_ptr().addr() - base;
            let span = start..start + raw.get().len();
            match self.positions.entry(key.clone()) {
                Slot::Vacant(slot) => {
                    slot.insert(self.entries.len());
                    self.entries.push(Entry { key, text: self.texts.len(), span, compiled: OnceLock::new() });
                }
                // Within one text the last of a key counts, as for every reader of JSON.
                Slot::Occupied(slot) => {
                    if let Some(entry) =
                        self.entries.get_mut(*slot.get()).filter(|entry| entry.text == self.texts.len())
                    {
                        entry.span = span;
                    }
                }
            }
        }
        self.texts.push(text);
        Ok(())
    }

    /// The definition of a key, compiled; its fault where it can't be.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Result<&T, &Fault>> {
        self.get_entry(key).map(|(_, compiled)| compiled)
    }

    /// The same with the key as the table has it.
    pub(super) fn get_entry(&self, key: &str) -> Option<(&str, Result<&T, &Fault>)> {
        if let Some(sourced) = &self.source
            && let Some(found) = sourced.source.find(key).and_then(|place| sourced.get(place, &self.patterns))
        {
            return Some(found);
        }
        let entry = self.entries.get(*self.positions.get(key)?)?;
        Some((&entry.key, self.compiled(entry)))
    }

    /// The JSON of a definition.
    #[must_use]
    pub fn json(&self, key: &str) -> Option<&str> {
        let source = self.source.as_ref().map(|sourced| &sourced.source);
        if let Some((_, json)) = source.and_then(|source| source.entry(source.find(key)?)) {
            return Some(json);
        }
        Some(self.text(self.entries.get(*self.positions.get(key)?)?))
    }

    /// All keys, in their order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        let source = self.source.iter().map(|sourced| &sourced.source);
        let sourced = source.flat_map(|source| (0..source.count()).filter_map(|place| source.entry(place)));
        sourced.map(|(key, _)| key).chain(self.own().map(|entry| &*entry.key))
    }

    /// All definitions that can be compiled, in their order, with their keys. Compiles them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        let places = |sourced: &Sourced<T>| 0..sourced.compiled.len();
        let sourced = self
            .source
            .iter()
            .flat_map(move |sourced| places(sourced).filter_map(|place| sourced.get(place, &self.patterns)));
        let own = self.own().map(|entry| (&*entry.key, self.compiled(entry)));
        sourced.chain(own).filter_map(|(key, compiled)| Some((key, compiled.ok()?)))
    }

    /// The faults of those definitions that have been asked for, each under its key: what the errors' log names. A definition that can't be compiled
    /// has one; one that can, but part of which never holds, may have several.
    pub fn faults(&self) -> impl Iterator<Item = (&str, &Fault)> {
        let sourced = self.source.iter().flat_map(|sourced| {
            let compiled =
                sourced.compiled.iter().enumerate().filter_map(|(place, compiled)| Some((place, compiled.get()?)));
            compiled.filter_map(|(place, compiled)| Some((sourced.source.entry(place)?.0, &**compiled)))
        });
        let own = self.entries.iter().filter_map(|entry| Some((&*entry.key, entry.compiled.get()?)));
        sourced.chain(own).flat_map(|(key, compiled)| faults_of(compiled).iter().map(move |fault| (key, fault)))
    }

    /// How many definitions there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.source.as_ref().map_or(0, |sourced| sourced.compiled.len()) + self.own().count()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.source.as_ref().is_none_or(|sourced| sourced.compiled.is_empty())
    }

    /// The table's own entries, those aside that a source has as well.
    fn own(&self) -> impl Iterator<Item = &Entry<T>> {
        let hidden = |key: &str| self.source.as_ref().is_some_and(|sourced| sourced.source.find(key).is_some());
        self.entries.iter().filter(move |entry| !hidden(&entry.key))
    }

    fn compiled<'a>(&'a self, entry: &'a Entry<T>) -> Result<&'a T, &'a Fault> {
        entry.compiled.get_or_init(|| compile(&entry.key, self.text(entry), &self.patterns)).as_ref()
    }

    fn text(&self, entry: &Entry<T>) -> &str {
        self.texts.get(entry.text).and_then(|text| text.get(entry.span.clone())).unwrap_or_default()
    }
}

/// Compiles a definition, if there is room for its patterns.
fn compile<T: Definition>(key: &str, json: &str, patterns: &AtomicUsize) -> Result<T, Fault> {
    let compiled = T::compile(key, json)?;
    let cost = compiled.cost();
    if patterns.fetch_add(cost, Ordering::Relaxed).saturating_add(cost) <= PatternBudget::SET {
        Ok(compiled)
    } else {
        Err(PatternBudget::default().exhausted())
    }
}

fn faults_of<T: Definition>(compiled: &Result<T, Fault>) -> &[Fault] {
    match compiled {
        Ok(definition) => definition.faults(),
        Err(fault) => std::slice::from_ref(fault),
    }
}

fn key_of(json: &str) -> Result<Box<str>, Fault> {
    #[derive(serde::Deserialize)]
    struct Keyed {
        key: Box<str>,
    }
    read_json::<Keyed>(json).map(|keyed| keyed.key)
}

/// Reads an object into its keys and the raw text of its values.
struct Spans;

impl<'de> Visitor<'de> for Spans {
    type Value = Vec<(Box<str>, &'de RawValue)>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = Vec::new();
        while let Some(entry) = map.next_entry()? {
            found.push(entry);
        }
        Ok(found)
    }
}

/// Reads an array into the raw text of its items.
struct Items;

impl<'de> Visitor<'de> for Items {
    type Value = Vec<&'de RawValue>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut found = Vec::new();
        while let Some(item) = items.next_element()? {
            found.push(item);
        }
        Ok(found)
    }
}
