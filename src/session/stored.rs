//! A record as the KV store holds it: the fields, and for each the update that last set it.
//!
//! ```json
//! { "v": 1, "updated_at": 1764000000000, "checked_at": 1764000000900,
//!   "recent_views": ["sku-1", { "sku": "sku-2", "at": 1764000000000 }],
//!   "cart": [{ "sku": "sku-3", "quantity": 2, "price": 9.5 }],
//!   "affinity": { "shoes": 0.8 }, "segments": ["vip"], "attributes": { "tier": "gold" },
//!   "sync": { "base": "<stamp>", "fields": { "cart": "<stamp>", "attributes/tier": "<stamp>" } } }
//! ```
//!
//! Every field (and in `affinity` and `attributes` every entry) is a register in which the update with the greatest
//! [`Stamp`] wins; a put and a delete set all of them. The greatest of a set doesn't depend on the order in which the
//! set is seen, nor on repeats: so all orders of arrival end in the same record. `base` is the last put or delete;
//! `fields` names what is newer. A record written by somebody else needs no `sync`: it is then a put at its
//! `updated_at`.

mod registers;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use self::registers::{Entries, Register};
use super::patch::{Change, Issue, Patch};
use super::record::{CartItem, Record, View, cart_json, time_ms, updated_ms, view_json};
use super::stamp::{Action, Stamp, Update};
use crate::rules::settings::session::RecordLimits;

/// The version written. Others are read as far as they go.
const VERSION: u64 = 1;

/// A record with what is needed to update it. The empty one is a record that doesn't exist.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stored {
    base: Stamp,
    recent_views: Register<Vec<View>>,
    cart: Register<Vec<CartItem>>,
    segments: Register<Vec<String>>,
    affinity: Entries<f64>,
    attributes: Entries<Value>,
    checked_at: i64,
}

/// Why bytes are no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// More bytes than a record within the limits can have.
    TooLarge,
    /// Not a JSON object.
    NotJson,
    /// No `updated_at` that can be read.
    NoTime,
}

impl Stored {
    /// Reads a stored record as far as it goes: what is unknown is ignored, what can't be used is left out.
    ///
    /// # Errors
    ///
    /// The bytes are no record at all.
    pub fn parse(bytes: &[u8], limits: &RecordLimits) -> Result<Self, Broken> {
        Self::parse_naming(bytes, limits, &mut Vec::new())
    }

    /// The same; what can't be used is named in `issues`.
    ///
    /// # Errors
    ///
    /// The bytes are no record at all.
    pub fn parse_naming(bytes: &[u8], limits: &RecordLimits, issues: &mut Vec<Issue>) -> Result<Self, Broken> {
        if bytes.len() > limits.stored_bytes() {
            return Err(Broken::TooLarge);
        }
        let object: Map<String, Value> = serde_json::from_slice(bytes).map_err(|_| Broken::NotJson)?;
        let updated_at = object.get("updated_at").and_then(updated_ms);
        let sync = object.get("sync").and_then(Value::as_object);
        let base = sync
            .and_then(|sync| Stamp::parse(sync.get("base")?.as_str()?))
            .or(updated_at.map(Stamp::foreign))
            .ok_or(Broken::NoTime)?;
        let fields = sync.and_then(|sync| sync.get("fields")?.as_object());
        let stamp = |name: &str| {
            let own = fields.and_then(|fields| Stamp::parse(fields.get(name)?.as_str()?));
            own.unwrap_or(base).max(base)
        };
        let patch = Patch::read(&object, limits, issues);
        let mut stored = Self {
            base,
            recent_views: Register { stamp: stamp("recent_views"), value: value(patch.recent_views) },
            cart: Register { stamp: stamp("cart"), value: value(patch.cart) },
            segments: Register { stamp: stamp("segments"), value: value(patch.segments) },
            affinity: entries("affinity", patch.affinity, &stamp),
            attributes: entries("attributes", patch.attributes, &stamp),
            checked_at: object.get("checked_at").and_then(time_ms).unwrap_or(0),
        };
        // Removed entries are named in `fields` alone.
        for name in fields.into_iter().flat_map(Map::keys) {
            match name.split_once('/') {
                Some(("affinity", entry)) => {
                    let _ = stored.affinity.set(stamp(name), entry.to_owned(), None);
                }
                Some(("attributes", entry)) => {
                    let _ = stored.attributes.set(stamp(name), entry.to_owned(), None);
                }
                _ => {}
            }
        }
        Ok(stored)
    }

    /// The JSON to store.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut object = Map::new();
        let mut fields = Map::new();
        object.insert("v".into(), VERSION.into());
        object.insert("updated_at".into(), self.updated_at().into());
        if self.checked_at > 0 {
            object.insert("checked_at".into(), self.checked_at.into());
        }
        if self.is_tombstone() {
            object.insert("deleted".into(), true.into());
        }
        let mut write = |name: String, stamp: Stamp, value: Option<Value>, at: Stamp| {
            if stamp > at {
                fields.insert(name.clone(), stamp.to_string().into());
            }
            if let Some(value) = value {
                object.insert(name, value);
            }
        };
        let list = |list: Option<Vec<Value>>| list.map(Value::Array);
        let views = self.recent_views.value.as_ref().map(|views| views.iter().map(view_json).collect());
        write("recent_views".into(), self.recent_views.stamp, list(views), self.base);
        let cart = self.cart.value.as_ref().map(|cart| cart.iter().map(cart_json).collect());
        write("cart".into(), self.cart.stamp, list(cart), self.base);
        let segments = self.segments.value.as_ref();
        let segments = segments.map(|all| all.iter().cloned().map(Value::String).collect());
        write("segments".into(), self.segments.stamp, list(segments), self.base);
        let affinity = object_of(self.affinity.live().map(|(name, weight)| (name, Value::from(*weight))));
        write("affinity".into(), self.affinity.floor, affinity, self.base);
        let attributes = object_of(self.attributes.live().map(|(name, value)| (name, value.clone())));
        write("attributes".into(), self.attributes.floor, attributes, self.base);
        for (name, entry) in &self.affinity.entries {
            stamp_entry(&mut fields, "affinity", name, entry, self.affinity.floor);
        }
        for (name, entry) in &self.attributes.entries {
            stamp_entry(&mut fields, "attributes", name, entry, self.attributes.floor);
        }
        let mut sync = Map::new();
        sync.insert("base".into(), self.base.to_string().into());
        if !fields.is_empty() {
            sync.insert("fields".into(), fields.into());
        }
        object.insert("sync".into(), sync.into());
        Value::Object(object).to_string().into_bytes()
    }

    /// Applies an update; whether anything is different now. Updates may come in any order and any number of times.
    pub fn apply(&mut self, update: &Update, limits: &RecordLimits) -> bool {
        let stamp = update.stamp();
        let changed = match update.action() {
            Action::Put(patch) => self.replace(stamp, patch),
            Action::Merge(patch) => self.merge(stamp, patch),
            Action::Delete => self.replace(stamp, &Patch::default()),
        };
        let limits = limits.bounded();
        self.affinity.cut(limits.affinity);
        self.attributes.cut(limits.attributes);
        changed
    }

    fn replace(&mut self, stamp: Stamp, patch: &Patch) -> bool {
        let newer = stamp > self.base;
        if newer {
            self.base = stamp;
            self.recent_views.set(stamp, value(patch.recent_views.clone()));
            self.cart.set(stamp, value(patch.cart.clone()));
            self.segments.set(stamp, value(patch.segments.clone()));
            self.affinity.clear(stamp);
            self.attributes.clear(stamp);
            set_entries(&mut self.affinity, stamp, &patch.affinity, Removals::Forget);
            set_entries(&mut self.attributes, stamp, &patch.attributes, Removals::Forget);
        }
        newer
    }

    fn merge(&mut self, stamp: Stamp, patch: &Patch) -> bool {
        // Not `||`: each has its effect.
        set_field(&mut self.recent_views, stamp, &patch.recent_views)
            | set_field(&mut self.cart, stamp, &patch.cart)
            | set_field(&mut self.segments, stamp, &patch.segments)
            | set_entries(&mut self.affinity, stamp, &patch.affinity, Removals::Remember)
            | set_entries(&mut self.attributes, stamp, &patch.attributes, Removals::Remember)
    }

    /// Notes that the central backend was asked at `ms`, and that this is what it knows.
    pub fn check(&mut self, ms: i64) {
        self.checked_at = self.checked_at.max(ms);
    }

    /// The time of the newest update, in milliseconds since 1970.
    #[must_use]
    pub fn updated_at(&self) -> i64 {
        let affinity = self.affinity.entries.values().map(|entry| entry.stamp);
        let attributes = self.attributes.entries.values().map(|entry| entry.stamp);
        [self.base, self.recent_views.stamp, self.cart.stamp, self.segments.stamp]
            .into_iter()
            .chain([self.affinity.floor, self.attributes.floor])
            .chain(affinity)
            .chain(attributes)
            .max()
            .unwrap_or(Stamp::NEVER)
            .ms()
    }

    /// Since when nothing is known of the record, in milliseconds since 1970: the later of the newest update and the
    /// last question.
    #[must_use]
    pub fn known_at(&self) -> i64 {
        self.updated_at().max(self.checked_at)
    }

    /// Whether the record was deleted, and nothing came after.
    #[must_use]
    pub fn is_tombstone(&self) -> bool {
        self.base.is_delete() && self.record().is_empty()
    }

    /// Whether there is a session, an empty one included: somebody put it there, and nobody deleted it since.
    #[must_use]
    pub fn exists(&self) -> bool {
        !self.is_blank() && !self.is_tombstone()
    }

    /// Whether no update has ever been seen: only that the central backend knows of no session.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        self.updated_at() == 0
    }

    /// The session as decisions see it.
    #[must_use]
    pub fn record(&self) -> Record {
        Record {
            updated_at: self.updated_at(),
            recent_views: self.recent_views.value.clone().unwrap_or_default(),
            cart: self.cart.value.clone().unwrap_or_default(),
            segments: self.segments.value.clone().unwrap_or_default(),
            affinity: self.affinity.live().map(|(name, weight)| (name.clone(), *weight)).collect(),
            attributes: self.attributes.live().map(|(name, value)| (name.clone(), value.clone())).collect(),
        }
    }
}

/// What becomes of `null` entries: a put has nothing before it that they could remove.
#[derive(Clone, Copy, PartialEq)]
enum Removals {
    Forget,
    Remember,
}

fn value<T>(change: Change<T>) -> Option<T> {
    match change {
        Change::Set(value) => Some(value),
        Change::Keep | Change::Clear => None,
    }
}

fn set_field<T: Clone>(register: &mut Register<T>, stamp: Stamp, change: &Change<T>) -> bool {
    match change {
        Change::Keep => false,
        Change::Clear => register.set(stamp, None),
        Change::Set(value) => register.set(stamp, Some(value.clone())),
    }
}

fn set_entries<T: Clone>(
    entries: &mut Entries<T>,
    stamp: Stamp,
    change: &Change<BTreeMap<String, Option<T>>>,
    removals: Removals,
) -> bool {
    match change {
        Change::Keep => false,
        Change::Clear => entries.clear(stamp),
        Change::Set(map) => map
            .iter()
            .filter(|(_, value)| value.is_some() || removals == Removals::Remember)
            .fold(false, |changed, (name, value)| entries.set(stamp, name.clone(), value.clone()) | changed),
    }
}

fn entries<T>(field: &str, change: Change<BTreeMap<String, Option<T>>>, stamp: &impl Fn(&str) -> Stamp) -> Entries<T> {
    let floor = stamp(field);
    let entries = value(change)
        .unwrap_or_default()
        .into_iter()
        .map(|(name, value)| {
            let stamp = stamp(&format!("{field}/{name}")).max(floor);
            (name, Register { stamp, value })
        })
        .collect();
    Entries { floor, entries }
}

fn stamp_entry<T>(fields: &mut Map<String, Value>, field: &str, name: &str, entry: &Register<T>, floor: Stamp) {
    if entry.stamp > floor {
        fields.insert(format!("{field}/{name}"), entry.stamp.to_string().into());
    }
}

fn object_of<'a>(members: impl Iterator<Item = (&'a String, Value)>) -> Option<Value> {
    let object: Map<String, Value> = members.map(|(name, value)| (name.clone(), value)).collect();
    (!object.is_empty()).then_some(Value::Object(object))
}

#[cfg(test)]
mod tests;
