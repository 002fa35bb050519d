//! Definitions by key, compiled one by one when they are first asked for.
//!
//! A rule set of a thousand features costs a cold request the scan of its text and the compilation of those it evaluates. A
//! definition that can't be compiled is isolated: it has no value, its fault is kept, the others serve.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use super::index::{Index, Places};
use crate::condition::{Fault, PatternBudget};

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
    own: Index,
    /// What of its own has been asked for.
    compiled: Vec<OnceLock<Result<T, Fault>>>,
}

/// A source, and what of it has been asked for.
struct Sourced<T> {
    source: Arc<dyn DefinitionSource>,
    /// By place; made when the first is asked for. Boxed, for most of a large source is never compiled.
    compiled: OnceLock<Vec<Sparse<T>>>,
}

/// A definition that most often stays uncompiled.
type Sparse<T> = OnceLock<Box<Result<T, Fault>>>;

impl<T> Sourced<T> {
    fn new(source: Arc<dyn DefinitionSource>) -> Self {
        Self { source, compiled: OnceLock::new() }
    }
}

impl<T: Definition> Sourced<T> {
    fn get(&self, place: usize, patterns: &AtomicUsize) -> Option<(&str, Result<&T, &Fault>)> {
        let (key, json) = self.source.entry(place)?;
        let all = self.compiled.get_or_init(|| (0..self.source.count()).map(|_| OnceLock::new()).collect());
        let compiled = all.get(place)?.get_or_init(|| Box::new(compile(key, json, patterns)));
        Some((key, (**compiled).as_ref()))
    }
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { patterns: AtomicUsize::new(0), source: None, own: Index::default(), compiled: Vec::new() }
    }
}

impl<T> fmt::Debug for Table<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.own.fmt(formatter)
    }
}

impl<T: Definition> Table<T> {
    /// The same definitions, none of them compiled: what is added to the copy doesn't show here.
    #[must_use]
    pub fn uncompiled(&self) -> Self {
        Self {
            patterns: AtomicUsize::new(0),
            source: self.source.as_ref().map(|sourced| Sourced::new(Arc::clone(&sourced.source))),
            own: self.own.clone(),
            compiled: self.compiled.iter().map(|_| OnceLock::new()).collect(),
        }
    }

    /// Adds the definitions of a JSON object (key: definition). A key that is there already keeps its definition: add the
    /// dictionaries before the payload.
    ///
    /// # Errors
    ///
    /// The text isn't a JSON object; nothing has been added then.
    pub fn add_object(&mut self, json: impl Into<Box<str>>) -> Result<(), Fault> {
        let json = json.into();
        let places = Places::of_object(&json)?;
        self.add(json, places);
        Ok(())
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
        let json = json.into();
        let (places, faults) = Places::of_array(&json)?;
        self.add(json, places);
        Ok(faults)
    }

    fn add(&mut self, text: Box<str>, places: Places) {
        self.own.add(text, places);
        self.compiled.resize_with(self.own.count(), OnceLock::new);
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
        self.own_at(self.own.find(key)?)
    }

    /// The JSON of a definition.
    #[must_use]
    pub fn json(&self, key: &str) -> Option<&str> {
        let source = self.source.as_ref().map(|sourced| &sourced.source);
        if let Some((_, json)) = source.and_then(|source| source.entry(source.find(key)?)) {
            return Some(json);
        }
        Some(self.own.entry(self.own.find(key)?)?.1)
    }

    /// All keys, in their order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        let source = self.source.iter().map(|sourced| &sourced.source);
        let sourced = source.flat_map(|source| (0..source.count()).filter_map(|place| source.entry(place)));
        sourced.chain(self.own().filter_map(|place| self.own.entry(place))).map(|(key, _)| key)
    }

    /// All definitions that can be compiled, in their order, with their keys. Compiles them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        let places = |sourced: &Sourced<T>| 0..sourced.source.count();
        let sourced = self
            .source
            .iter()
            .flat_map(move |sourced| places(sourced).filter_map(|place| sourced.get(place, &self.patterns)));
        let own = self.own().filter_map(|place| self.own_at(place));
        sourced.chain(own).filter_map(|(key, compiled)| Some((key, compiled.ok()?)))
    }

    /// The faults of those definitions that have been asked for, each under its key: what the errors' log names. A definition that can't be compiled
    /// has one; one that can, but part of which never holds, may have several.
    pub fn faults(&self) -> impl Iterator<Item = (&str, &Fault)> {
        let sourced = self.source.iter().flat_map(|sourced| {
            let all = sourced.compiled.get().into_iter().flatten().enumerate();
            let compiled = all.filter_map(|(place, compiled)| Some((place, compiled.get()?)));
            compiled.filter_map(|(place, compiled)| Some((sourced.source.entry(place)?.0, &**compiled)))
        });
        let own = self.compiled.iter().enumerate();
        let own = own.filter_map(|(place, compiled)| Some((self.own.entry(place)?.0, compiled.get()?)));
        sourced.chain(own).flat_map(|(key, compiled)| faults_of(compiled).iter().map(move |fault| (key, fault)))
    }

    /// How many definitions there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.source.as_ref().map_or(0, |sourced| sourced.source.count()) + self.own().count()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.own.count() == 0 && self.source.as_ref().is_none_or(|sourced| sourced.source.count() == 0)
    }

    /// The places of the table's own entries, those aside that a source has as well.
    fn own(&self) -> impl Iterator<Item = usize> {
        let hidden = |key: &str| self.source.as_ref().is_some_and(|sourced| sourced.source.find(key).is_some());
        (0..self.own.count()).filter(move |place| self.own.entry(*place).is_some_and(|(key, _)| !hidden(key)))
    }

    fn own_at(&self, place: usize) -> Option<(&str, Result<&T, &Fault>)> {
        let (key, json) = self.own.entry(place)?;
        let compiled = self.compiled.get(place)?.get_or_init(|| compile(key, json, &self.patterns));
        Some((key, compiled.as_ref()))
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
