//! Fields that the newest update wins, whatever the order in which updates come.

use std::collections::BTreeMap;

use crate::session::stamp::Stamp;

/// A field that is set as a whole.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Register<T> {
    pub(super) stamp: Stamp,
    pub(super) value: Option<T>,
}

impl<T> Default for Register<T> {
    fn default() -> Self {
        Self { stamp: Stamp::NEVER, value: None }
    }
}

impl<T> Register<T> {
    pub(super) fn set(&mut self, stamp: Stamp, value: Option<T>) -> bool {
        let newer = stamp > self.stamp;
        if newer {
            *self = Self { stamp, value };
        }
        newer
    }
}

/// A field whose entries are set one by one. An entry without a value was removed, which must be remembered as long
/// as an older update may still arrive: until the whole field is set again, or [`cut`](Entries::cut) lets go of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entries<T> {
    pub(super) floor: Stamp,
    pub(super) entries: BTreeMap<String, Register<T>>,
}

impl<T> Default for Entries<T> {
    fn default() -> Self {
        Self { floor: Stamp::NEVER, entries: BTreeMap::new() }
    }
}

impl<T> Entries<T> {
    /// Removes everything older than `stamp`, now and for the future.
    pub(super) fn clear(&mut self, stamp: Stamp) -> bool {
        let newer = stamp > self.floor;
        if newer {
            self.floor = stamp;
            self.entries.retain(|_, entry| entry.stamp >= stamp);
        }
        newer
    }

    pub(super) fn set(&mut self, stamp: Stamp, name: String, value: Option<T>) -> bool {
        // Equal to the floor: the put that is the floor sets its own entries.
        stamp >= self.floor && self.entries.entry(name).or_default().set(stamp, value)
    }

    /// Keeps the `limit` newest entries, removed ones included.
    ///
    /// Whatever is let go of has `limit` newer ones beside it. Those only ever get newer, or go all at once under a
    /// floor that is newer than what was let go of: so it would be let go of in every other order too, and the orders
    /// still agree.
    pub(super) fn cut(&mut self, limit: usize) {
        if self.entries.len() <= limit {
            return;
        }
        let mut newest: Vec<(Stamp, String)> =
            self.entries.iter().map(|(name, entry)| (entry.stamp, name.clone())).collect();
        newest.sort_by(|a, b| b.cmp(a));
        for (_, name) in newest.split_off(limit) {
            self.entries.remove(&name);
        }
    }

    pub(super) fn live(&self) -> impl Iterator<Item = (&String, &T)> {
        self.entries.iter().filter_map(|(name, entry)| Some((name, entry.value.as_ref()?)))
    }
}
