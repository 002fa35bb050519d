//! The rules of a sandbox: one pointer read a request, and compiled sets that are kept.
//!
//! What serves is, in this order: the canary's revision for a visitor within its share, `revision`, `previous`, what served last in
//! this sandbox, and the request as it came. A request gets one set, whatever happens to the pointer meanwhile.

mod served;
#[cfg(test)]
mod tests;

use std::rc::Rc;
use std::time::Duration;

use super::canary::Share;
use super::dictionary::{MAX_LOOKUPS, ReadError, Reader};
use super::fault::Fault;
use super::pointer::Pointer;
use super::revision::{ByHand, Revision};
use super::set::RuleSet;
use super::settings::Settings;
use crate::code::Code;
use crate::platform::StoreError;

pub use served::{Role, Rules, Served};

/// What a request learned while it resolved its rules.
#[derive(Debug, Default)]
pub struct Notes {
    /// Faults to name in the `errors` log.
    pub faults: Vec<Fault>,
    /// Why the store could not answer, if so.
    pub store_error: Option<StoreError>,
    /// Look-ups made in the config store.
    pub lookups: u32,
    /// Codes of what else went wrong.
    pub codes: Vec<Code>,
}

impl Notes {
    /// Notes that a store could not answer.
    pub(super) fn failed(&mut self, error: ReadError) {
        if let ReadError::Store(error) = error {
            self.store_error = Some(error);
        }
    }
}

/// Reads an entry of the config store.
pub type ConfigGet<'a> = dyn FnMut(&str) -> Result<Option<String>, StoreError> + 'a;
/// Reads a value of the KV store `rules`.
pub type KvGet<'a> = dyn FnMut(&str) -> Result<Option<Vec<u8>>, StoreError> + 'a;

/// The stores, as one request may read them.
pub struct Stores<'a, 's> {
    /// The config store, within the limit of look-ups.
    pub config: Reader<'a>,
    /// The KV store `rules`.
    pub kv: &'a mut KvGet<'s>,
}

/// The rules that a sandbox keeps.
#[derive(Debug, Default)]
pub struct RuleCache {
    seen: Option<(&'static str, Option<String>)>,
    pointer: Option<Rc<Pointer>>,
    bare: ByHand,
    revisions: Vec<Revision>,
    last: Option<Rc<RuleSet>>,
}

impl RuleCache {
    /// The rules for a request.
    ///
    /// `config` and `kv` read the stores, `uptime` is the sandbox's age. `unit` gives what tells this visitor from others
    /// (a user's or visitor's id), under the rules that it is passed; it is asked only where a canary needs it, and a visitor without
    /// one is in no canary below 100 percent.
    ///
    /// Where a store can't answer, what served last goes on serving.
    pub fn resolve(
        &mut self,
        config: &mut ConfigGet<'_>,
        kv: &mut KvGet<'_>,
        is_staging: bool,
        uptime: Duration,
        unit: impl FnOnce(&Settings) -> Option<String>,
    ) -> (Rules, Notes) {
        let mut notes = Notes::default();
        let mut stores = Stores { config: Reader::new(config, MAX_LOOKUPS), kv };
        let rules = match self.read_pointer(&mut stores.config, is_staging, &mut notes) {
            Some(pointer) if !pointer.enabled => Rules::Off,
            Some(pointer) => self.serve(&pointer, &mut stores, uptime, unit, &mut notes),
            None => self.last(),
        };
        notes.lookups = MAX_LOOKUPS - stores.config.left;
        (rules, notes)
    }

    /// What served last, where nothing else can.
    fn last(&self) -> Rules {
        let serve = |set: &Rc<RuleSet>| Rules::Set(Served { set: Rc::clone(set), role: Role::Last, shadow: None });
        self.last.as_ref().map_or(Rules::Unusable, serve)
    }

    /// The pointer as it is now, or as it was where it can't be read.
    fn read_pointer(&mut self, reader: &mut Reader<'_>, is_staging: bool, notes: &mut Notes) -> Option<Rc<Pointer>> {
        let mut entry = "active";
        let mut text = Ok(None);
        if is_staging {
            entry = "active_staging";
            text = reader.entry(entry);
        }
        if let Ok(None) = text {
            entry = "active";
            text = reader.entry(entry);
        }
        match text {
            Err(error) => notes.failed(error),
            // The same text says the same: it is neither parsed nor complained of again.
            Ok(text) if self.seen.as_ref().is_some_and(|(from, seen)| *from == entry && *seen == text) => {}
            Ok(text) => {
                let read = match text.as_deref() {
                    None => Some(Pointer::default()),
                    Some(text) => Pointer::read(entry, text, &mut notes.faults),
                };
                if let Some(pointer) = read {
                    // Bounded: at most the four revisions that a pointer names. A kill switch keeps them for the time after.
                    if pointer.enabled {
                        self.revisions.retain(|known| pointer.revisions().any(|name| name == known.name));
                    }
                    self.pointer = Some(Rc::new(pointer));
                }
                self.seen = Some((entry, text));
            }
        }
        self.pointer.clone()
    }

    fn serve(
        &mut self,
        pointer: &Pointer,
        stores: &mut Stores<'_, '_>,
        uptime: Duration,
        unit: impl FnOnce(&Settings) -> Option<String>,
        notes: &mut Notes,
    ) -> Rules {
        let mut stable = None;
        let share = pointer.canary.as_ref().map_or(Share::NONE, super::pointer::Canary::share);
        if let Some(canary) = pointer.canary.as_ref().filter(|_| share != Share::NONE) {
            let mut within = share == Share::ALL;
            if !within {
                // Who the visitor is follows from the rules that everybody else gets.
                stable = self.stable(pointer, stores, uptime, notes);
                let unit = stable.as_ref().and_then(|(set, _)| unit(&set.settings));
                within = unit.is_some_and(|unit| share.has(&canary.revision, &unit));
            }
            if within && let Some(set) = self.revision(&canary.revision, pointer, stores, uptime, notes) {
                return self.served(set, Role::Canary, pointer, stores, uptime, notes);
            }
        }
        match stable.or_else(|| self.stable(pointer, stores, uptime, notes)) {
            Some((set, role)) => {
                self.last = Some(Rc::clone(&set));
                self.served(set, role, pointer, stores, uptime, notes)
            }
            None => self.last(),
        }
    }

    /// What visitors outside the canary get.
    fn stable(
        &mut self,
        pointer: &Pointer,
        stores: &mut Stores<'_, '_>,
        uptime: Duration,
        notes: &mut Notes,
    ) -> Option<(Rc<RuleSet>, Role)> {
        let Some(active) = pointer.revision.as_deref() else {
            return self.bare.set(None, &mut stores.config, uptime, notes).map(|set| (set, Role::Active));
        };
        if let Some(set) = self.revision(active, pointer, stores, uptime, notes) {
            return Some((set, Role::Active));
        }
        let set = self.revision(pointer.previous.as_deref()?, pointer, stores, uptime, notes)?;
        Some((set, Role::Previous))
    }

    fn revision(
        &mut self,
        name: &str,
        pointer: &Pointer,
        stores: &mut Stores<'_, '_>,
        uptime: Duration,
        notes: &mut Notes,
    ) -> Option<Rc<RuleSet>> {
        let index = self.revisions.iter().position(|known| known.name == name).unwrap_or_else(|| {
            self.revisions.push(Revision::new(name));
            self.revisions.len() - 1
        });
        self.revisions.get_mut(index)?.set(pointer, stores, uptime, notes)
    }

    /// What serves, with the shadow beside it where it is there and is another set.
    fn served(
        &mut self,
        set: Rc<RuleSet>,
        role: Role,
        pointer: &Pointer,
        stores: &mut Stores<'_, '_>,
        uptime: Duration,
        notes: &mut Notes,
    ) -> Rules {
        let shadow = pointer.shadow.as_deref().filter(|name| set.revision.as_deref() != Some(name));
        let shadow = shadow.and_then(|name| self.revision(name, pointer, stores, uptime, notes));
        Rules::Set(Served { set, role, shadow })
    }
}
