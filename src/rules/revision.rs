//! One revision in a sandbox: from its first sight to a compiled set.
//!
//! A revision with a manifest never changes: each entry is read once, however many requests it takes until all have arrived, and
//! the compiled set is kept. A revision written by hand has no manifest, so it is read again every second, as entries at their
//! bare names are.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use super::cache::{Notes, Stores};
use super::dictionary::{MAX_LOOKUPS, ReadError, Reader};
use super::fault::Fault;
use super::manifest::{MANIFEST, Manifest, digest};
use super::pack::Pack;
use super::pointer::{Pointer, RuleStore};
use super::set::{RuleSet, Texts};

/// How long what was read is trusted before it is looked at again: an edit by hand, or an entry that was late, counts within a second.
pub const RECHECK: Duration = Duration::from_secs(1);

/// Look-ups that are left for the dictionaries of a revision that is tried first: the pointer and the manifest took one each.
const LEFT_FOR_ONE: u32 = MAX_LOOKUPS - 2;

/// Dictionaries that somebody edits in place: at bare names, or a revision without manifest.
#[derive(Debug, Default)]
pub struct ByHand {
    known: Option<(Texts, Rc<RuleSet>)>,
    read_at: Duration,
}

impl ByHand {
    /// The set below `prefix` (empty, or `<revision>/`), read again where a second has passed. `None` where there is none yet.
    ///
    /// At bare names everything serves, and one bad dictionary is an empty one. A `revision` serves whole or not at all.
    pub fn set(
        &mut self,
        revision: Option<&str>,
        reader: &mut Reader<'_>,
        uptime: Duration,
        notes: &mut Notes,
    ) -> Option<Rc<RuleSet>> {
        if self.known.is_none() || uptime.saturating_sub(self.read_at) >= RECHECK {
            self.read(revision, reader, uptime, notes);
        }
        self.known.as_ref().map(|(_, set)| Rc::clone(set))
    }

    fn read(&mut self, revision: Option<&str>, reader: &mut Reader<'_>, uptime: Duration, notes: &mut Notes) {
        let prefix = revision.map(|revision| format!("{revision}/")).unwrap_or_default();
        let mut faults = Vec::new();
        let texts = match Texts::read(&prefix, reader, &mut faults) {
            Ok(texts) => texts,
            Err(error) => return notes.failed(error),
        };
        self.read_at = uptime;
        if self.known.as_ref().is_some_and(|(known, _)| *known == texts) {
            return;
        }
        if revision.is_some() && texts.is_empty() {
            return;
        }
        let old = self.known.as_ref().map(|(known, set)| (known, &**set));
        let set = RuleSet::compile(revision, &texts, old, &mut faults);
        let usable = revision.is_none() || !faults.iter().any(is_of_a_whole_entry);
        notes.faults.extend(faults.into_iter().map(|fault| below(&prefix, fault)));
        if usable {
            self.known = Some((texts, Rc::new(set)));
        }
    }
}

/// A fault at a dictionary's root: nothing of the entry can be used.
fn is_of_a_whole_entry(fault: &Fault) -> bool {
    fault.pointer.is_empty()
}

fn below(prefix: &str, mut fault: Fault) -> Fault {
    fault.dictionary.insert_str(0, prefix);
    fault
}

/// A revision that a pointer names.
#[derive(Debug)]
pub struct Revision {
    /// Its name.
    pub name: String,
    state: State,
    tried_at: Option<Duration>,
    named: Option<Fault>,
}

#[derive(Debug)]
enum State {
    /// Not all of it has been seen. What has been is kept.
    Arriving { manifest: Option<Manifest>, texts: BTreeMap<String, String> },
    /// All of it, compiled.
    Kept(Rc<RuleSet>),
    /// All of it, and it can't be used.
    Broken,
    /// Without manifest.
    ByHand(ByHand),
}

impl Revision {
    /// A revision that has not been looked at.
    pub fn new(name: &str) -> Self {
        let state = State::Arriving { manifest: None, texts: BTreeMap::new() };
        Self { name: name.to_owned(), state, tried_at: None, named: None }
    }

    /// Its rules; `None` where it can't serve (yet).
    pub fn set(
        &mut self,
        pointer: &Pointer,
        stores: &mut Stores<'_, '_>,
        uptime: Duration,
        notes: &mut Notes,
    ) -> Option<Rc<RuleSet>> {
        match &mut self.state {
            State::Kept(set) => return Some(Rc::clone(set)),
            State::Broken => return None,
            State::ByHand(by_hand) if by_hand.known.is_some() => {
                return by_hand.set(Some(&self.name), &mut stores.config, uptime, notes);
            }
            State::Arriving { .. } | State::ByHand(_) => {}
        }
        if self.tried_at.is_some_and(|tried| uptime.saturating_sub(tried) < RECHECK) {
            return None;
        }
        self.tried_at = Some(uptime);
        match self.arrive(pointer, stores, uptime, notes) {
            Ok(set) => set,
            Err(Missed::Look(ReadError::TooManyLookups)) => {
                // What was read is kept: the next request goes on from there.
                self.tried_at = None;
                None
            }
            Err(Missed::Look(error)) => {
                notes.failed(error);
                None
            }
            Err(Missed::Fault(fault)) => {
                if self.named.as_ref() != Some(&fault) {
                    notes.faults.push(fault.clone());
                    self.named = Some(fault);
                }
                None
            }
        }
    }

    fn arrive(
        &mut self,
        pointer: &Pointer,
        stores: &mut Stores<'_, '_>,
        uptime: Duration,
        notes: &mut Notes,
    ) -> Result<Option<Rc<RuleSet>>, Missed> {
        let name = self.name.clone();
        let at = |entry: &str| format!("{name}/{entry}");
        if pointer.store == RuleStore::Kv
            && let Some(bytes) = (stores.kv)(&name).map_err(ReadError::Store)?
        {
            return Ok(self.unpack(bytes, notes));
        }
        if let State::ByHand(_) = self.state {
            self.state = State::Arriving { manifest: None, texts: BTreeMap::new() };
        }
        let State::Arriving { manifest: known, texts } = &mut self.state else { return Ok(None) };
        let manifest = match known {
            Some(manifest) => manifest,
            None => match stores.config.entry(&at(MANIFEST))? {
                Some(text) => {
                    let manifest = Manifest::read(&text).map_err(|message| Missed::at(&at(MANIFEST), message))?;
                    known.insert(manifest)
                }
                None if pointer.manifest || pointer.store == RuleStore::Kv => {
                    return Err(Missed::at(&at(MANIFEST), "expected the revision's manifest, but found no entry"));
                }
                None => {
                    let mut by_hand = ByHand::default();
                    let (left, named) = (stores.config.left, notes.faults.len());
                    let set = by_hand.set(Some(&name), &mut stores.config, uptime, notes);
                    if set.is_none() && stores.config.left == 0 && left < LEFT_FOR_ONE {
                        // Another revision has used up the look-ups. It isn't tried within this second: the next request has them all.
                        notes.faults.truncate(named);
                        return Err(ReadError::TooManyLookups.into());
                    }
                    self.state = State::ByHand(by_hand);
                    if set.is_none() && notes.store_error.is_none() {
                        return Err(Missed::at(&at("*"), "expected the revision's entries, but found none that serve"));
                    }
                    return Ok(set);
                }
            },
        };
        if let Some(length) = manifest.pack {
            let bytes = (stores.kv)(&name).map_err(ReadError::Store)?.unwrap_or_default();
            if bytes.len() != length {
                let message = format!("expected {length} bytes in the KV store, but found {}", bytes.len());
                return Err(Missed::at(&name, message));
            }
            return Ok(self.unpack(bytes, notes));
        }
        for (entry, expected) in &manifest.entries {
            if texts.contains_key(entry) {
                continue;
            }
            let text = stores
                .config
                .entry(&at(entry))?
                .ok_or_else(|| Missed::at(&at(entry), "expected an entry that the manifest names, but found none"))?;
            let found = digest(&text);
            if found != *expected {
                let message = format!("expected the text of digest {expected}, but found one of {found}");
                return Err(Missed::at(&at(entry), message));
            }
            texts.insert(entry.clone(), text);
        }
        let texts = Texts::from_entries(std::mem::take(texts));
        let mut faults = Vec::new();
        let set = RuleSet::compile(Some(&name), &texts, None, &mut faults);
        Ok(self.keep(set, faults, notes))
    }

    fn unpack(&mut self, bytes: Vec<u8>, notes: &mut Notes) -> Option<Rc<RuleSet>> {
        match Pack::read(bytes) {
            Ok(pack) => {
                let mut faults = Vec::new();
                let set = RuleSet::from_pack(&self.name, pack, &mut faults);
                self.keep(set, faults, notes)
            }
            Err(message) => {
                notes.faults.push(Fault::new(&self.name, "", message));
                self.state = State::Broken;
                None
            }
        }
    }

    /// Keeps a set for good, or the knowledge that it can't be used.
    fn keep(&mut self, mut set: RuleSet, faults: Vec<Fault>, notes: &mut Notes) -> Option<Rc<RuleSet>> {
        let usable = !faults.iter().any(is_of_a_whole_entry);
        let prefix = format!("{}/", self.name);
        notes.faults.extend(faults.into_iter().map(|fault| below(&prefix, fault)));
        set.is_checked = true;
        let set = Rc::new(set);
        self.state = if usable { State::Kept(Rc::clone(&set)) } else { State::Broken };
        usable.then_some(set)
    }
}

/// Why a revision can't serve yet.
enum Missed {
    Look(ReadError),
    Fault(Fault),
}

impl Missed {
    fn at(entry: &str, message: impl Into<String>) -> Self {
        Self::Fault(Fault::new(entry, "", message))
    }
}

impl From<ReadError> for Missed {
    fn from(error: ReadError) -> Self {
        Self::Look(error)
    }
}
