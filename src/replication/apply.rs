//! Applying updates to the store: one read and one write a record, however many of a batch's items are about it.

use super::items::Item;
use crate::platform::{Kv, Platform, StoreError};
use crate::session::stamp::Update;
use crate::session::storage::{self, ChangeError, Changed, Known};
use crate::session::{SessionSettings, Subject};

/// Look-ups that are under way at once.
const TOGETHER: usize = 16;

/// Why an item must be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Retry {
    /// The store could not answer.
    Store(StoreError),
    /// Others kept writing the same record.
    Contended,
}

impl Retry {
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::Store(StoreError::Throttled) => "the store throttles",
            Self::Store(StoreError::NoStore) => "the KV store `sessions` is not linked to the service",
            Self::Store(StoreError::Failed) => "the store failed",
            Self::Contended => "others kept writing the same record",
        }
    }
}

/// What became of an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// Written.
    Stored,
    /// The record was already like that, or newer.
    Unchanged,
    /// It can't be used; here is why.
    Refused(String),
    /// It must be sent again.
    Retry(Retry),
}

/// The updates of one record, with their places in the batch.
struct Group {
    subject: Subject,
    updates: Vec<(usize, Update)>,
}

/// Applies a batch's items; the result has every item's place and end, in order. Once the store throttles or is
/// missing, it is left alone.
pub(super) fn apply<P: Platform>(platform: &P, items: Vec<Item>, settings: &SessionSettings) -> Vec<(usize, End)> {
    let mut ends = Vec::with_capacity(items.len());
    let mut groups: std::collections::BTreeMap<Subject, Vec<(usize, Update)>> = std::collections::BTreeMap::new();
    for (index, item) in items.into_iter().enumerate() {
        match item {
            Ok((subject, update)) => groups.entry(subject).or_default().push((index, update)),
            Err(reason) => ends.push((index, End::Refused(reason))),
        }
    }
    let mut groups = groups.into_iter().map(|(subject, updates)| Group { subject, updates });
    let mut stop = None;
    loop {
        let some: Vec<Group> = groups.by_ref().take(TOGETHER).collect();
        if some.is_empty() {
            break;
        }
        let reads: Vec<_> = some
            .iter()
            .map(|group| match stop {
                Some(error) => Err(error),
                None => platform.kv_start(Kv::Sessions, &group.subject.kv_key()),
            })
            .collect();
        for (group, read) in some.into_iter().zip(reads) {
            let known =
                read.and_then(|pending| platform.kv_wait(pending)).map(|value| Known::read(value, &settings.limits));
            let result = match (stop, known) {
                (Some(error), _) | (None, Err(error)) => Err(Retry::Store(error)),
                (None, Ok(known)) => one(platform, &group, known, settings),
            };
            if let Err(Retry::Store(error @ (StoreError::Throttled | StoreError::NoStore))) = result {
                stop = Some(error);
            }
            match result {
                Ok(applied) => {
                    let end = |changed| if changed { End::Stored } else { End::Unchanged };
                    ends.extend(group.updates.iter().zip(applied).map(|((index, _), changed)| (*index, end(changed))));
                }
                Err(retry) => ends.extend(group.updates.iter().map(|(index, _)| (*index, End::Retry(retry)))),
            }
        }
    }
    ends.sort_by_key(|(index, _)| *index);
    ends
}

/// Applies one record's updates; says of each whether it changed anything.
fn one<P: Platform>(platform: &P, group: &Group, known: Known, settings: &SessionSettings) -> Result<Vec<bool>, Retry> {
    let mut applied = Vec::new();
    let result = storage::change(platform, &group.subject.kv_key(), Some(known), settings, |stored| {
        applied = group.updates.iter().map(|(_, update)| stored.apply(update, &settings.limits)).collect();
        applied.contains(&true)
    });
    match result {
        Ok(Changed::Stored | Changed::Unchanged) => Ok(applied),
        Err(ChangeError::Store(error)) => Err(Retry::Store(error)),
        Err(ChangeError::Contended) => Err(Retry::Contended),
    }
}
