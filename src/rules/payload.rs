//! Definitions from a GrowthBook SDK payload in the KV store `rules`, beside those of the dictionaries, which win.
//!
//! Every set that a cache gives out has them: what serves, its shadow, `previous`. Sets that name the same payload share one reading of
//! it, so that they never differ by the moment at which they looked.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use super::cache::Notes;
use super::fault::Fault;
use super::set::RuleSet;
use super::settings::GrowthBookSettings;
use super::stores::Reader;
use crate::code::Code;
use crate::growthbook::Definitions;

/// How long a payload is trusted before it is read again: GrowthBook's webhook writes it when something is published.
const RECHECK: Duration = Duration::from_secs(30);
/// How soon a payload that could not be read is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// Rule sets that serve side by side: a pointer names at most four revisions, and what served last may be a fifth.
const KEPT: usize = 5;
/// The code of a payload that can't be read.
const UNREADABLE: Code = Code::GrowthBookPayload;

/// The payloads that a sandbox keeps, and the rule sets with their definitions.
#[derive(Debug, Default)]
pub struct Payloads {
    kept: Vec<KvPayload>,
    extended: Vec<Extended>,
}

/// One key of the KV store.
#[derive(Debug)]
struct KvPayload {
    settings: GrowthBookSettings,
    /// The last one that could be used.
    payload: Option<Rc<Payload>>,
    /// The bytes that were refused last: they are complained of once.
    refused: Option<Vec<u8>>,
    next_at: Duration,
}

#[derive(Debug)]
struct Payload {
    text: String,
    key: Option<String>,
    /// Whether its faults have been named.
    is_named: Cell<bool>,
}

#[derive(Debug)]
struct Extended {
    base: Rc<RuleSet>,
    payload: Rc<Payload>,
    set: Rc<RuleSet>,
}

impl Payloads {
    /// `base` with the payload's definitions, where its settings name one. A payload that can't be read or used leaves the one before it.
    pub fn extend(
        &mut self,
        base: Rc<RuleSet>,
        reader: &mut Reader<'_>,
        uptime: Duration,
        notes: &mut Notes,
    ) -> Rc<RuleSet> {
        let Some(settings) = &base.settings.growthbook else { return base };
        let Some(payload) = self.payload(settings, reader, uptime, notes) else { return base };
        let known = self.extended.iter().find(|known| Rc::ptr_eq(&known.base, &base));
        if let Some(known) = known.filter(|known| Rc::ptr_eq(&known.payload, &payload)) {
            return Rc::clone(&known.set);
        }
        let mut definitions = base.definitions.uncompiled();
        let faults = definitions.add_payload(&payload.text, payload.key.as_deref()).err().unwrap_or_default();
        if !payload.is_named.replace(true) {
            notes.faults.extend(faults.into_iter().map(|fault| named(settings, fault)));
        }
        let set = Rc::new(base.with_payload(&settings.kv_key, definitions));
        self.extended.retain(|known| !Rc::ptr_eq(&known.base, &base));
        if self.extended.len() >= KEPT {
            // The one that was made longest ago belongs to rules that serve no more.
            self.extended.remove(0);
        }
        self.extended.push(Extended { base, payload, set: Rc::clone(&set) });
        set
    }

    fn payload(
        &mut self,
        settings: &GrowthBookSettings,
        reader: &mut Reader<'_>,
        uptime: Duration,
        notes: &mut Notes,
    ) -> Option<Rc<Payload>> {
        let index = self.kept.iter().position(|entry| entry.settings == *settings).unwrap_or_else(|| {
            if self.kept.len() >= KEPT {
                self.kept.remove(0);
            }
            self.kept.push(KvPayload::new(settings));
            self.kept.len() - 1
        });
        let entry = self.kept.get_mut(index)?;
        if uptime >= entry.next_at {
            let is_read = entry.read(reader, notes);
            notes.codes.extend((!is_read).then_some(UNREADABLE));
            entry.next_at = uptime.saturating_add(if is_read { RECHECK } else { RETRY });
        }
        entry.payload.clone()
    }
}

impl KvPayload {
    fn new(settings: &GrowthBookSettings) -> Self {
        Self { settings: settings.clone(), payload: None, refused: None, next_at: Duration::ZERO }
    }

    /// Reads the payload anew; `false` where it, or its key, can't be read.
    fn read(&mut self, reader: &mut Reader<'_>, notes: &mut Notes) -> bool {
        let Ok(Some(bytes)) = reader.kv(&self.settings.kv_key) else { return false };
        let key = match self.settings.secret.as_deref().map(|name| reader.secret(name)) {
            None => None,
            Some(Ok(secret)) => secret.and_then(|secret| Some(std::str::from_utf8(&secret).ok()?.trim().to_owned())),
            Some(Err(_)) => return false,
        };
        let same = |payload: &Rc<Payload>| payload.text.as_bytes() == bytes && payload.key == key;
        if self.payload.as_ref().is_some_and(same) {
            self.refused = None;
            return true;
        }
        match Payload::new(&bytes, key, self.payload.is_some()) {
            Ok(payload) => {
                self.payload = Some(Rc::new(payload));
                self.refused = None;
            }
            Err(faults) => {
                if self.refused.as_ref() != Some(&bytes) {
                    notes.faults.extend(faults.into_iter().map(|fault| named(&self.settings, fault)));
                }
                self.refused = Some(bytes);
            }
        }
        true
    }
}

impl Payload {
    /// A payload from its bytes. Where another one serves (`has_other`), this one must be usable in all its parts; the first one serves
    /// with the parts that can.
    fn new(bytes: &[u8], key: Option<String>, has_other: bool) -> Result<Self, Vec<crate::condition::Fault>> {
        let text = std::str::from_utf8(bytes).map_err(|error| {
            vec![crate::condition::Fault::new(format!("expected a payload in UTF-8, but found {error}"))]
        })?;
        if has_other && let Err(faults) = Definitions::default().add_payload(text, key.as_deref()) {
            // Half a payload is none, wherever it breaks off. One step (`/features`) or none: a part as a whole, or all of it.
            if serde_json::from_str::<serde::de::IgnoredAny>(text).is_err()
                || faults.iter().any(|fault| fault.pointer.matches('/').count() <= 1)
            {
                return Err(faults);
            }
        }
        Ok(Self { text: text.to_owned(), key, is_named: Cell::new(false) })
    }
}

fn named(settings: &GrowthBookSettings, fault: crate::condition::Fault) -> Fault {
    Fault::new(&settings.kv_key, fault.pointer, fault.message)
}
