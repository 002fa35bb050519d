//! The rules of a sandbox: read once, kept, and read again only as far as it takes to notice an edit.

use std::rc::Rc;
use std::time::Duration;

use super::dictionary::{MAX_LOOKUPS, Reader};
use super::fault::Fault;
use super::pointer::Pointer;
use super::set::{RuleSet, Texts};
use crate::platform::StoreError;

/// How long entries at bare names are trusted before they are read again: an edit is seen within a second.
const BARE_RECHECK: Duration = Duration::from_secs(1);

/// What serves a request.
#[derive(Debug, Clone)]
pub enum Rules {
    /// A rule set.
    Set(Rc<RuleSet>),
    /// The kill switch is on.
    Off,
    /// Nothing is usable: the request passes through.
    Unusable,
}

/// What a request learned while it resolved its rules.
#[derive(Debug, Default)]
pub struct Notes {
    /// Faults to name in the `errors` log.
    pub faults: Vec<Fault>,
    /// Why the store could not answer, if so.
    pub store_error: Option<StoreError>,
    /// Look-ups made.
    pub lookups: u32,
}

/// The rules that a sandbox keeps.
#[derive(Debug, Default)]
pub struct RuleCache {
    pointer: Option<(Option<String>, Rc<Pointer>)>,
    bare: Option<Loaded>,
    checked_at: Duration,
}

#[derive(Debug)]
struct Loaded {
    texts: Texts,
    set: Rc<RuleSet>,
}

impl RuleCache {
    /// The rules for a request: `get` reads an entry of the config store, `uptime` is the sandbox's age.
    ///
    /// Where the store can't answer, what served last goes on serving.
    pub fn resolve(
        &mut self,
        get: &mut dyn FnMut(&str) -> Result<Option<String>, StoreError>,
        is_staging: bool,
        uptime: Duration,
    ) -> (Rules, Notes) {
        let mut notes = Notes::default();
        let mut reader = Reader::new(get, MAX_LOOKUPS);
        let rules = self.resolve_within(&mut reader, is_staging, uptime, &mut notes);
        notes.lookups = MAX_LOOKUPS - reader.left;
        (rules, notes)
    }

    fn resolve_within(
        &mut self,
        reader: &mut Reader<'_>,
        is_staging: bool,
        uptime: Duration,
        notes: &mut Notes,
    ) -> Rules {
        let pointer = self.read_pointer(reader, is_staging, notes);
        match pointer {
            Some(pointer) if !pointer.enabled => Rules::Off,
            Some(_) => self.bare_set(reader, uptime, notes),
            None => self.last(),
        }
    }

    fn last(&self) -> Rules {
        self.bare.as_ref().map_or(Rules::Unusable, |loaded| Rules::Set(Rc::clone(&loaded.set)))
    }

    /// The pointer as it is now, or as it was where it can't be read.
    fn read_pointer(&mut self, reader: &mut Reader<'_>, is_staging: bool, notes: &mut Notes) -> Option<Rc<Pointer>> {
        let mut text = Ok(None);
        if is_staging {
            text = reader.entry("active_staging");
        }
        if let Ok(None) = text {
            text = reader.entry("active");
        }
        let known = self.pointer.as_ref();
        let text = match text {
            Ok(text) => text,
            Err(error) => {
                if let super::dictionary::ReadError::Store(error) = error {
                    notes.store_error = Some(error);
                }
                return known.map(|(_, pointer)| Rc::clone(pointer));
            }
        };
        if let Some((_, pointer)) = known.filter(|(known, _)| *known == text) {
            return Some(Rc::clone(pointer));
        }
        match text.as_deref().map_or_else(|| Ok(Pointer::default()), Pointer::read) {
            Ok(pointer) => {
                let pointer = Rc::new(pointer);
                self.pointer = Some((text, Rc::clone(&pointer)));
                Some(pointer)
            }
            Err(message) => {
                notes.faults.push(Fault::new("active", "", message));
                known.map(|(_, pointer)| Rc::clone(pointer))
            }
        }
    }

    /// The set at bare names, read again where a second has passed.
    fn bare_set(&mut self, reader: &mut Reader<'_>, uptime: Duration, notes: &mut Notes) -> Rules {
        if self.bare.is_some() && uptime.saturating_sub(self.checked_at) < BARE_RECHECK {
            return self.last();
        }
        let mut faults = Vec::new();
        match Texts::read("", reader, &mut faults) {
            Ok(texts) => {
                self.checked_at = uptime;
                match &self.bare {
                    Some(known) if known.texts == texts => {}
                    known => {
                        let old = known.as_ref().map(|known| (&known.texts, &*known.set));
                        let set = Rc::new(RuleSet::compile(None, &texts, old, &mut faults));
                        self.bare = Some(Loaded { texts, set });
                        notes.faults.append(&mut faults);
                    }
                }
            }
            Err(error) => {
                if let super::dictionary::ReadError::Store(error) = error {
                    notes.store_error = Some(error);
                }
            }
        }
        self.last()
    }
}
