//! The rules of a sandbox: one pointer read a request, and compiled sets that are kept.
//!
//! What serves is, in this order: the canary's revision for a visitor within its share, `revision`, `previous`, what served last in
//! this sandbox, and the request as it came. A request gets one set, whatever happens to the pointer meanwhile.

mod served;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use super::by_hand::ByHand;
use super::canary::{Share, Side};
use super::dictionary::{MAX_LOOKUPS, ReadError};
use super::fault::Fault;
use super::payload::Payloads;
use super::pointer::{Pointer, RuleStore, is_revision_name};
use super::revision::Revision;
use super::set::RuleSet;
use super::settings::Settings;
use super::stores::{Reader, RuleStores};
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
    /// Codes of what went wrong beside the config store: `growthbook-payload`.
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

/// One request's reading of rules: the stores, the sandbox's age, and what was learned.
pub(super) struct Pass<'a> {
    pub reader: Reader<'a>,
    pub uptime: Duration,
    pub notes: Notes,
}

/// The rules that a sandbox keeps.
#[derive(Debug, Default)]
pub struct RuleCache {
    seen: Option<(&'static str, Option<String>)>,
    pointer: Option<Rc<Pointer>>,
    bare: ByHand,
    revisions: BTreeMap<String, Revision>,
    last: Option<Rc<RuleSet>>,
    /// The revision that was asked for by name last, and that the pointer doesn't name: what one request's look-ups don't reach, the next
    /// one's do.
    other: Option<(String, Revision)>,
    payloads: Payloads,
    /// The entry `settings` alone, with the moment at which it was read: for a kill switch over entries at bare names.
    off: Option<(Duration, Option<String>, Rc<Settings>)>,
}

impl RuleCache {
    /// The rules for a request.
    ///
    /// `uptime` is the sandbox's age. `unit` gives what tells this visitor from others (a user's or visitor's id), under the settings of
    /// the stable rules, which it is passed; it is asked only where a canary needs it, and a visitor without one is in no canary below
    /// 100 percent.
    ///
    /// Where a store can't answer, what served last goes on serving.
    pub fn resolve(
        &mut self,
        stores: &mut dyn RuleStores,
        is_staging: bool,
        uptime: Duration,
        unit: impl FnOnce(&Settings) -> Option<String>,
    ) -> (Rules, Notes) {
        let mut pass = Pass { reader: Reader::new(stores, MAX_LOOKUPS), uptime, notes: Notes::default() };
        let rules = match self.read_pointer(is_staging, &mut pass) {
            Some(pointer) if !pointer.enabled => Rules::Off,
            Some(pointer) => self.serve(&pointer, unit, &mut pass),
            None => self.last(&mut pass),
        };
        pass.notes.lookups = MAX_LOOKUPS - pass.reader.left;
        (rules, pass.notes)
    }

    /// The settings of the rules that don't serve, where they can be read: the kill switch stops what is personalized, and not how
    /// backends are asked and what is logged. `None` where nothing can be read, and for a revision in the KV store that hasn't served here.
    /// Nothing is named.
    pub fn settings_unserved(&mut self, stores: &mut dyn RuleStores, uptime: Duration) -> Option<Rc<Settings>> {
        let mut pass = Pass { reader: Reader::new(stores, MAX_LOOKUPS), uptime, notes: Notes::default() };
        let pointer = self.pointer.clone().unwrap_or_default();
        match pointer.revision.as_deref() {
            None => self.bare_settings(&mut pass),
            Some(name) if pointer.store == RuleStore::Config => self.known(name).settings(&pointer, &mut pass),
            Some(name) => self.known(name).kept_settings(),
        }
    }

    fn bare_settings(&mut self, pass: &mut Pass<'_>) -> Option<Rc<Settings>> {
        let is_due =
            |(read_at, ..): &(Duration, _, _)| pass.uptime.saturating_sub(*read_at) >= super::revision::RECHECK;
        if self.off.as_ref().is_none_or(is_due)
            && let Ok(text) = pass.reader.entry("settings")
        {
            let same = self.off.take().filter(|(_, known, _)| *known == text).map(|(.., settings)| settings);
            let read =
                || Rc::new(text.as_deref().map(|text| Settings::read(text, &mut Vec::new())).unwrap_or_default());
            let settings = same.unwrap_or_else(read);
            self.off = Some((pass.uptime, text, settings));
        }
        self.off.as_ref().map(|(.., settings)| Rc::clone(settings))
    }

    /// The rules of one revision, whatever the pointer says of it; `None` where it can't serve (yet). A revision that the pointer doesn't
    /// name is kept until another one is asked for. `lookups`: how many the request has made.
    pub fn resolve_named(
        &mut self,
        name: &str,
        stores: &mut dyn RuleStores,
        is_staging: bool,
        uptime: Duration,
        lookups: u32,
    ) -> (Option<Rc<RuleSet>>, Notes) {
        let left = MAX_LOOKUPS.saturating_sub(lookups);
        let mut pass = Pass { reader: Reader::new(stores, left), uptime, notes: Notes::default() };
        let pointer = self.read_pointer(is_staging, &mut pass).unwrap_or_default();
        let set = if pointer.revisions().any(|known| known == name) {
            self.revision(name, &pointer, &mut pass)
        } else if is_revision_name(name) {
            // What the pointer says of manifests goes for the revisions that it names.
            let pointer = Pointer { manifest: false, ..(*pointer).clone() };
            let known = self.other.take().filter(|(known, _)| known == name).map(|(_, revision)| revision);
            let mut revision = known.unwrap_or_else(|| Revision::new(name));
            let set = revision.set(&pointer, &mut pass);
            self.other = Some((name.to_owned(), revision));
            set
        } else {
            None
        };
        let set = set.map(|set| self.with_payload(set, &mut pass));
        pass.notes.lookups = left.saturating_sub(pass.reader.left);
        (set, pass.notes)
    }

    /// The revisions that the pointer names, as it was read last.
    pub fn revisions(&self) -> impl Iterator<Item = &str> {
        self.pointer.iter().flat_map(|pointer| pointer.revisions())
    }

    /// The canary that the pointer names, as it was read last.
    pub fn canary(&self) -> Option<&super::pointer::Canary> {
        self.pointer.as_ref()?.canary.as_ref()
    }

    fn with_payload(&mut self, set: Rc<RuleSet>, pass: &mut Pass<'_>) -> Rc<RuleSet> {
        self.payloads.extend(set, &mut pass.reader, pass.uptime, &mut pass.notes)
    }

    /// What served last, where nothing else can.
    fn last(&mut self, pass: &mut Pass<'_>) -> Rules {
        let Some(set) = self.last.clone() else { return Rules::Unusable };
        Rules::Set(Served { set: self.with_payload(set, pass), role: Role::Last, shadow: None, side: None })
    }

    /// The pointer as it is now, or as it was where it can't be read.
    fn read_pointer(&mut self, is_staging: bool, pass: &mut Pass<'_>) -> Option<Rc<Pointer>> {
        let Pass { reader, notes, .. } = pass;
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
                        self.revisions.retain(|known, _| pointer.revisions().any(|name| name == known));
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
        unit: impl FnOnce(&Settings) -> Option<String>,
        pass: &mut Pass<'_>,
    ) -> Rules {
        let share = pointer.canary.as_ref().map_or(Share::NONE, super::pointer::Canary::share);
        let mut side = None;
        if let Some(canary) = pointer.canary.as_ref().filter(|_| share != Share::NONE) {
            // Who the visitor is follows from the rules that everybody else gets: from their settings alone, so that the look-ups of a cold
            // request are left to the revision that serves it.
            let is_within = share == Share::ALL || {
                let unit = self.stable_settings(pointer, pass).and_then(|settings| unit(&settings));
                unit.is_some_and(|unit| share.has(&canary.revision, &unit))
            };
            if share != Share::ALL {
                side = Some(Side { revision: canary.revision.clone(), share, is_within });
            }
            if is_within && let Some(set) = self.revision(&canary.revision, pointer, pass) {
                return self.served(set, Role::Canary, side, pointer, pass);
            }
        }
        match self.stable(pointer, pass) {
            Some((set, role)) => {
                self.last = Some(Rc::clone(&set));
                self.served(set, role, side, pointer, pass)
            }
            None => self.last(pass),
        }
    }

    /// The settings of what visitors outside the canary get.
    fn stable_settings(&mut self, pointer: &Pointer, pass: &mut Pass<'_>) -> Option<Rc<Settings>> {
        let Some(active) = pointer.revision.as_deref() else {
            return self.bare.set(pass).map(|set| Rc::clone(&set.settings));
        };
        let settings = self.known(active).settings(pointer, pass);
        settings.or_else(|| self.known(pointer.previous.as_deref()?).settings(pointer, pass))
    }

    /// What visitors outside the canary get.
    fn stable(&mut self, pointer: &Pointer, pass: &mut Pass<'_>) -> Option<(Rc<RuleSet>, Role)> {
        let Some(active) = pointer.revision.as_deref() else {
            return self.bare.set(pass).map(|set| (set, Role::Active));
        };
        if let Some(set) = self.revision(active, pointer, pass) {
            return Some((set, Role::Active));
        }
        let previous = pointer.previous.as_deref()?;
        // Who writes one revision by hand writes the other by hand: the look-up of its manifest would be the one too many.
        let is_by_hand = self.known(active).is_by_hand();
        let known = self.known(previous);
        if is_by_hand {
            known.skip_manifest();
        }
        known.set(pointer, pass).map(|set| (set, Role::Previous))
    }

    fn known(&mut self, name: &str) -> &mut Revision {
        self.revisions.entry(name.to_owned()).or_insert_with(|| Revision::new(name))
    }

    fn revision(&mut self, name: &str, pointer: &Pointer, pass: &mut Pass<'_>) -> Option<Rc<RuleSet>> {
        self.known(name).set(pointer, pass)
    }

    /// What serves, with the shadow beside it where it is there and is another set.
    fn served(
        &mut self,
        set: Rc<RuleSet>,
        role: Role,
        side: Option<Side>,
        pointer: &Pointer,
        pass: &mut Pass<'_>,
    ) -> Rules {
        let shadow = pointer.shadow.as_deref().filter(|name| set.revision.as_deref() != Some(name));
        let shadow = shadow.and_then(|name| self.revision(name, pointer, pass));
        let set = self.with_payload(set, pass);
        let shadow = shadow.map(|shadow| self.with_payload(shadow, pass));
        Rules::Set(Served { set, role, shadow, side })
    }
}
