//! One revision in a sandbox: from its first sight to a compiled set.
//!
//! A revision with a manifest never changes: each entry is read once, however many requests it takes until all have arrived, and
//! the compiled set is kept. A revision written by hand has no manifest, so it is read again every second, as entries at their
//! bare names are.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;
use std::rc::Rc;
use std::time::Duration;

use super::by_hand::ByHand;
use super::cache::{Notes, Pass};
use super::dictionary::{MAX_LOOKUPS, ReadError};
use super::fault::Fault;
use super::manifest::{MANIFEST, Manifest, digest};
use super::pack::Pack;
use super::pointer::{Pointer, RuleStore};
use super::set::{RuleSet, Texts, read_once};
use super::settings::Settings;

/// How long what was read is trusted before it is looked at again: an edit by hand, or an entry that was late, counts within a second.
pub const RECHECK: Duration = Duration::from_secs(1);

/// Look-ups that are left for the dictionaries of a revision that is tried first: the pointer and the manifest took one each.
const LEFT_FOR_ONE: u32 = MAX_LOOKUPS - 2;

/// A fault at a dictionary's root: nothing of the entry can be used.
pub(super) fn is_of_a_whole_entry(fault: &Fault) -> bool {
    fault.pointer.is_empty()
}

pub(super) fn below(prefix: &str, mut fault: Fault) -> Fault {
    fault.dictionary.insert_str(0, prefix);
    fault
}

/// A revision that a pointer names.
#[derive(Debug)]
pub struct Revision {
    /// Its name.
    pub name: String,
    state: State,
    /// What is known of it where it has no manifest.
    by_hand: ByHand,
    tried_at: Option<Duration>,
    named: Option<Fault>,
    /// The settings alone, with the moment at which they were read: a canary asks for them before anything else.
    settings: Option<(Duration, Rc<Settings>)>,
    /// Whether entries were found, and no manifest.
    is_by_hand: bool,
    /// Whether it is read as one written by hand without a look for its manifest.
    skips_manifest: bool,
    /// Whether it was read so, and nobody has looked for its manifest yet.
    is_unasked: bool,
}

#[derive(Debug)]
enum State {
    /// Not all of it has been seen. What has been is kept.
    Arriving { manifest: Option<Manifest>, texts: BTreeMap<String, String> },
    /// All of it, compiled.
    Kept(Rc<RuleSet>),
    /// All of it, and it can't be used.
    Broken,
    /// Without manifest: see `Revision::by_hand`.
    ByHand,
}

impl Revision {
    /// A revision that has not been looked at.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            state: State::new(),
            by_hand: ByHand::default(),
            tried_at: None,
            named: None,
            settings: None,
            is_by_hand: false,
            skips_manifest: false,
            is_unasked: false,
        }
    }

    /// Whether it has entries, and no manifest.
    pub fn is_by_hand(&self) -> bool {
        self.is_by_hand
    }

    /// Reads it, at first, as one that was written by hand.
    pub fn skip_manifest(&mut self) {
        self.skips_manifest = matches!(&self.state, State::Arriving { manifest: None, .. } | State::ByHand);
    }

    /// Its rules; `None` where it can't serve (yet).
    pub(super) fn set(&mut self, pointer: &Pointer, pass: &mut Pass<'_>) -> Option<Rc<RuleSet>> {
        match &self.state {
            State::Kept(set) => return Some(Rc::clone(set)),
            State::Broken => return None,
            State::ByHand => {
                if let Some(known) = self.by_hand.known().cloned() {
                    return Some(self.follow_edits(pass).unwrap_or(known));
                }
            }
            State::Arriving { .. } => {}
        }
        if self.tried_at.is_some_and(|tried| pass.uptime.saturating_sub(tried) < RECHECK) {
            return None;
        }
        self.tried_at = Some(pass.uptime);
        let arrived = self.arrive(pointer, pass);
        self.skips_manifest = false;
        self.heard(arrived, pass).flatten()
    }

    /// Notes why something could not be read, once.
    fn heard<T>(&mut self, read: Result<T, Missed>, pass: &mut Pass<'_>) -> Option<T> {
        match read {
            Ok(read) => {
                self.named = None;
                return Some(read);
            }
            // What was read is kept: the next request goes on from there.
            Err(Missed::Look(ReadError::TooManyLookups)) => self.tried_at = None,
            Err(Missed::Look(error)) => pass.notes.failed(error),
            Err(Missed::Fault(fault)) => {
                if self.named.as_ref() != Some(&fault) {
                    pass.notes.faults.push(fault.clone());
                    self.named = Some(fault);
                }
            }
        }
        None
    }

    /// The set of a revision written by hand that serves: read again where a second has passed.
    fn follow_edits(&mut self, pass: &mut Pass<'_>) -> Option<Rc<RuleSet>> {
        if !self.by_hand.is_due(pass.uptime) {
            return None;
        }
        if self.is_unasked {
            match self.ask_for_manifest(pass) {
                // It was pushed, and never changes: from the next request on it is read as that.
                Ok(true) => {
                    self.tried_at = None;
                    return None;
                }
                Ok(false) => self.is_unasked = false,
                Err(missed) => return self.heard(Err(missed), pass),
            }
        }
        let read = self.by_hand.read_revision(&self.name, pass);
        self.heard(read, pass)?;
        self.by_hand.known().cloned()
    }

    /// Whether there is a manifest; what arrives by it is then waited for.
    fn ask_for_manifest(&mut self, pass: &mut Pass<'_>) -> Result<bool, Missed> {
        let at = format!("{}/{MANIFEST}", self.name);
        let Some(text) = pass.reader.entry(&at)? else { return Ok(false) };
        let manifest = Manifest::read(&text).map_err(|message| Missed::at(&at, message))?;
        self.state = State::Arriving { manifest: Some(manifest), texts: BTreeMap::new() };
        self.is_unasked = false;
        Ok(true)
    }

    /// Its settings alone, by as few look-ups as they take; `None` where it isn't there. What is read for them is kept for the rest.
    pub(super) fn settings(&mut self, pointer: &Pointer, pass: &mut Pass<'_>) -> Option<Rc<Settings>> {
        match &self.state {
            State::Kept(set) => return Some(Rc::clone(&set.settings)),
            State::Broken => return None,
            State::ByHand if self.by_hand.known().is_some() => {
                return self.set(pointer, pass).map(|set| Rc::clone(&set.settings));
            }
            State::ByHand | State::Arriving { .. } => {}
        }
        if let Some((read_at, settings)) = &self.settings
            && pass.uptime.saturating_sub(*read_at) < RECHECK
        {
            return Some(Rc::clone(settings));
        }
        if pointer.store == RuleStore::Kv {
            return self.set(pointer, pass).map(|set| Rc::clone(&set.settings));
        }
        if self.tried_at.is_some_and(|tried| pass.uptime.saturating_sub(tried) < RECHECK) {
            return None;
        }
        let settings = match self.read_settings(pointer, pass) {
            Ok(Some(settings)) => settings,
            // A pack: it is one value, and read whole.
            Ok(None) => return self.set(pointer, pass).map(|set| Rc::clone(&set.settings)),
            Err(Missed::Look(error)) => {
                pass.notes.failed(error);
                return None;
            }
            // It is named where the revision is read whole.
            Err(Missed::Fault(_)) => return None,
        };
        self.settings = Some((pass.uptime, Rc::clone(&settings)));
        Some(settings)
    }

    /// Its settings, where all of it has been seen.
    pub(super) fn kept_settings(&self) -> Option<Rc<Settings>> {
        match &self.state {
            State::Kept(set) => Some(Rc::clone(&set.settings)),
            _ => None,
        }
    }

    fn read_settings(&mut self, pointer: &Pointer, pass: &mut Pass<'_>) -> Result<Option<Rc<Settings>>, Missed> {
        const SETTINGS: &str = "settings";
        let name = self.name.clone();
        let at = |entry: &str| format!("{name}/{entry}");
        let text = if let Some(manifest) = self.manifest(pointer, pass)? {
            if manifest.pack.is_some() {
                return Ok(None);
            }
            let State::Arriving { texts, .. } = &mut self.state else { return Ok(None) };
            match manifest.entries.get(SETTINGS) {
                None => None,
                Some(expected) => Some(arrived(&name, SETTINGS, expected, texts, pass)?.to_owned()),
            }
        } else {
            let begun = &mut self.by_hand.begun;
            // What was read for a visitor before this one may have been edited since.
            if self.settings.take().is_some() {
                begun.clear();
            }
            let text = read_once(&at(SETTINGS), &mut pass.reader, begun)?;
            if text.is_none() && read_once(&at("routes"), &mut pass.reader, begun)?.is_none() {
                return Err(Missed::at(&at("*"), "expected the revision's entries, but found none"));
            }
            if let Some(text) = &text {
                super::dictionary::is_whole(SETTINGS, text).map_err(|message| Missed::at(&at(SETTINGS), message))?;
            }
            text
        };
        // Their faults are named where the revision is read whole.
        let read = |text: &String| Settings::read(text, &mut Vec::new());
        Ok(Some(Rc::new(text.as_ref().map(read).unwrap_or_default())))
    }

    /// The manifest; `None` where there is none and need be none.
    fn manifest(&mut self, pointer: &Pointer, pass: &mut Pass<'_>) -> Result<Option<Manifest>, Missed> {
        if let State::Arriving { manifest: Some(manifest), .. } = &self.state {
            return Ok(Some(manifest.clone()));
        }
        // Between the requests of one reading nobody asks twice.
        let has_begun = !self.by_hand.begun.is_empty();
        if (has_begun || self.skips_manifest) && !pointer.manifest {
            self.is_unasked |= self.skips_manifest;
            return Ok(None);
        }
        if self.ask_for_manifest(pass)? {
            self.by_hand.begun.clear();
        } else if pointer.manifest || pointer.store == RuleStore::Kv {
            let at = format!("{}/{MANIFEST}", self.name);
            return Err(Missed::at(&at, "expected the revision's manifest, but found no entry"));
        }
        match &self.state {
            State::Arriving { manifest, .. } => Ok(manifest.clone()),
            _ => Ok(None),
        }
    }

    fn arrive(&mut self, pointer: &Pointer, pass: &mut Pass<'_>) -> Result<Option<Rc<RuleSet>>, Missed> {
        let name = self.name.clone();
        if pointer.store == RuleStore::Kv
            && let Some(bytes) = pass.reader.kv(&name)?
        {
            return Ok(self.unpack(bytes, &mut pass.notes));
        }
        let Some(manifest) = self.manifest(pointer, pass)? else { return self.arrive_by_hand(pass) };
        if let Some(length) = manifest.pack {
            let bytes = pass.reader.kv(&name)?.unwrap_or_default();
            if bytes.len() != length {
                let message = format!("expected {length} bytes in the KV store, but found {}", bytes.len());
                return Err(Missed::at(&name, message));
            }
            return Ok(self.unpack(bytes, &mut pass.notes));
        }
        let State::Arriving { texts, .. } = &mut self.state else { return Ok(None) };
        for (entry, expected) in &manifest.entries {
            arrived(&name, entry, expected, texts, pass)?;
        }
        let texts = Texts::from_entries(std::mem::take(texts));
        let mut faults = Vec::new();
        let set = RuleSet::compile(Some(&name), &texts, None, &mut faults);
        Ok(self.keep(set, faults, &mut pass.notes))
    }

    fn arrive_by_hand(&mut self, pass: &mut Pass<'_>) -> Result<Option<Rc<RuleSet>>, Missed> {
        let left = pass.reader.left;
        let name = self.name.clone();
        self.state = State::ByHand;
        let by_hand = &mut self.by_hand;
        let is_whole_try = by_hand.begun.is_empty() && left >= LEFT_FOR_ONE;
        let read = by_hand.read_revision(&name, pass);
        let known = by_hand.known().cloned();
        if is_whole_try && matches!(read, Err(Missed::Look(ReadError::TooManyLookups))) {
            by_hand.begun.clear();
            let message = format!("expected at most {MAX_LOOKUPS} look-ups a request, but found more entries");
            return Err(Missed::at(&format!("{name}/*"), message));
        }
        self.is_by_hand = !matches!(&read, Err(Missed::Fault(fault)) if fault.dictionary.ends_with("/*"));
        read.map(|()| known)
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

impl State {
    fn new() -> Self {
        Self::Arriving { manifest: None, texts: BTreeMap::new() }
    }
}

/// The text of an entry that a manifest names, from what has arrived already or from the store.
fn arrived<'t>(
    revision: &str,
    entry: &str,
    expected: &str,
    texts: &'t mut BTreeMap<String, String>,
    pass: &mut Pass<'_>,
) -> Result<&'t str, Missed> {
    let text = match texts.entry(entry.to_owned()) {
        Slot::Occupied(known) => known.into_mut(),
        Slot::Vacant(slot) => {
            let at = format!("{revision}/{entry}");
            let text = pass.reader.entry(&at)?;
            let text =
                text.ok_or_else(|| Missed::at(&at, "expected an entry that the manifest names, but found none"))?;
            let found = digest(&text);
            if found != *expected {
                let message = format!("expected the text of digest {expected}, but found one of {found}");
                return Err(Missed::at(&at, message));
            }
            slot.insert(text)
        }
    };
    Ok(text)
}

/// Why a revision can't serve yet.
#[derive(Debug)]
pub(super) enum Missed {
    Look(ReadError),
    Fault(Fault),
}

impl Missed {
    pub fn at(entry: &str, message: impl Into<String>) -> Self {
        Self::Fault(Fault::new(entry, "", message))
    }
}

impl From<ReadError> for Missed {
    fn from(error: ReadError) -> Self {
        Self::Look(error)
    }
}
