//! The total order of updates, in which the last one wins wherever and however often they arrive.

use std::fmt;

use sha2::{Digest as _, Sha256};

use super::patch::Patch;

/// What an update does.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Replaces the whole record.
    Put(Patch),
    /// Changes the fields named.
    Merge(Patch),
    /// Removes the record, and remembers that.
    Delete,
}

/// The kinds of updates, in the order in which they count at the same instant: a change made in the same millisecond
/// as the record's creation came after it, and a delete is never undone by a tie.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    #[default]
    Put,
    Merge,
    Delete,
}

/// An update's place in the order: by time, then by kind, then by a digest of its content, so that two different
/// updates are never equal and a repeated one always is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp {
    ms: i64,
    rank: Rank,
    digest: u64,
}

impl Stamp {
    /// Before every update.
    pub const NEVER: Self = Self { ms: 0, rank: Rank::Put, digest: 0 };

    /// The record of somebody who writes to the store without us, at `ms`: any update of ours at the same time wins.
    pub(super) fn foreign(ms: i64) -> Self {
        Self { ms, ..Self::NEVER }
    }

    /// Milliseconds since 1970.
    #[must_use]
    pub fn ms(self) -> i64 {
        self.ms
    }

    pub(super) fn is_delete(self) -> bool {
        self.rank == Rank::Delete
    }

    /// Reads what [`Display`](fmt::Display) writes.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let ms = parts.next()?.parse().ok().filter(|ms| *ms >= 0)?;
        let rank = match parts.next()? {
            "0" => Rank::Put,
            "1" => Rank::Merge,
            "2" => Rank::Delete,
            _ => return None,
        };
        let digest = u64::from_str_radix(parts.next()?, 16).ok()?;
        parts.next().is_none().then_some(Self { ms, rank, digest })
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{:016x}", self.ms, self.rank as u8, self.digest)
    }
}

/// One update of a record.
#[derive(Debug, Clone, PartialEq)]
pub struct Update {
    stamp: Stamp,
    action: Action,
}

impl Update {
    /// An update made at `ms` (milliseconds since 1970).
    #[must_use]
    pub fn new(ms: i64, action: Action) -> Self {
        let (rank, content) = match &action {
            Action::Put(patch) => (Rank::Put, patch.canonical()),
            Action::Merge(patch) => (Rank::Merge, patch.canonical()),
            Action::Delete => (Rank::Delete, String::new()),
        };
        let hash: [u8; 32] = Sha256::digest(content.as_bytes()).into();
        let digest = hash.iter().take(8).fold(0, |digest, byte| digest << 8 | u64::from(*byte));
        Self { stamp: Stamp { ms: ms.max(0), rank, digest }, action }
    }

    /// Its place in the order.
    #[must_use]
    pub fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// What it does.
    #[must_use]
    pub fn action(&self) -> &Action {
        &self.action
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_counts_first_then_kind_then_content() {
        let put = |ms| Update::new(ms, Action::Put(Patch::default())).stamp();
        let merge = |ms| Update::new(ms, Action::Merge(Patch::default())).stamp();
        let delete = |ms| Update::new(ms, Action::Delete).stamp();
        assert!(Stamp::NEVER < put(0) && put(5) < merge(5) && merge(5) < delete(5) && delete(5) < put(6));
        assert!(Stamp::foreign(5) < put(5));
        let other = Patch { segments: super::super::patch::Change::Clear, ..Patch::default() };
        assert_ne!(put(5), Update::new(5, Action::Put(other)).stamp());
        assert_eq!(put(5), put(5));
    }

    #[test]
    fn a_stamp_reads_as_it_was_written() {
        let stamp = Update::new(1_764_000_000_000, Action::Delete).stamp();
        assert_eq!(Stamp::parse(&stamp.to_string()), Some(stamp));
        for bad in ["", "1", "1.0", "1.3.0", "-1.0.0", "1.0.0.0", "1.0.x", "1.0.11111111111111111"] {
            assert_eq!(Stamp::parse(bad), None, "{bad}");
        }
    }
}
