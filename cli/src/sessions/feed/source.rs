//! Where a feed's updates come from: the seam for Redis Streams, Kafka and the like (docs/FEEDS.md).

use std::time::Duration;

/// An entry of the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The source's own name for it: an id, or a partition and an offset.
    pub id: String,
    /// The update, JSON; or why there is none.
    pub update: Result<Vec<u8>, String>,
}

/// An entry that the edge will never take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The entry's id.
    pub id: String,
    /// Why, for people.
    pub reason: String,
}

/// How much there is still to do, as far as the source can say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Entries that no feed has read yet.
    pub lag: Option<u64>,
    /// Entries that were read and are not acknowledged, by any feed of the group.
    pub pending: Option<u64>,
}

/// Why a source did not do what it was asked for.
#[derive(Debug)]
pub enum Trouble {
    /// It may work later: no connection, a restart, a failover.
    Later(anyhow::Error),
    /// Waiting does not help: a wrong password, a key of another type.
    Never(anyhow::Error),
}

/// A stream of updates that remembers what was acknowledged.
///
/// It must give an entry again, now or after a restart, until that entry is settled. It may give one more than once: the edge keeps the
/// newest update by `updated_at`. One thread calls it.
pub trait Source {
    /// The next entries, at most `most` of them. Waits up to `wait` for the first. None means that there are none now, neither new ones
    /// nor any that were read before and are not settled. What was given and is not settled yet is not given again by the same value.
    fn read(&mut self, most: usize, wait: Duration) -> Result<Vec<Entry>, Trouble>;

    /// The edge has decided on these entries: first keep those that it refused, with their reasons, then acknowledge all of both lists.
    /// After [`Trouble::Later`] it is asked again for the same ones, and more.
    fn settle(&mut self, taken: &[String], refused: &[Refused]) -> Result<(), Trouble>;

    /// How much there is to do, for the status line.
    fn backlog(&mut self) -> Result<Backlog, Trouble>;
}
