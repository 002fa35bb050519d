//! Who changed the pointer, when, from what to what, and why: a list beside it in the store, to which each command appends a line.
//!
//! It is kept in entries without a `/`: what has one is part of a revision, and `prune` removes old revisions. The edge reads none of them.

mod author;
mod before;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use edge_personalizer::rules::entries::{MAX_CHARACTERS, MAX_ENTRIES};
use edge_personalizer::rules::pointer::Pointer;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::output::note;
use crate::target::Target;
pub use before::Before;

/// Entries that a history has at most. A full one gives its lines to the next; what is in the last is dropped then.
const PAGES: usize = 4;
/// Characters of a reason that are kept. With the pointer before and after, a line stays far below an entry's length.
const MAX_REASON: usize = 500;

/// One change of the pointer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Counts the changes, from 1.
    pub n: u64,
    /// When: RFC 3339 in seconds, UTC, by the clock of the machine that ran the command.
    pub at: String,
    /// Who, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// By which command: `promote r42`.
    pub did: String,
    /// The reason that was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The pointer before. In the store it is left out where it is what the record before left behind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Pointer>,
    /// The pointer after.
    pub to: Pointer,
    /// Whether the pointer had changed since the record before, by hand or by a command that could not record it.
    #[serde(default, skip_deserializing, skip_serializing_if = "std::ops::Not::not")]
    pub unrecorded_before: bool,
}

impl Record {
    /// The time; `None` where somebody wrote another thing there by hand.
    pub fn time(&self) -> Option<OffsetDateTime> {
        OffsetDateTime::parse(&self.at, &Rfc3339).ok()
    }

    /// Who did what, when and why, in a sentence.
    pub fn told(&self) -> String {
        let by = self.by.as_deref().unwrap_or("somebody");
        let why = self.why.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
        format!("{by} ran `{}` at {}{why}", self.did, self.at)
    }
}

/// Which command changes the pointer, and why.
#[derive(Debug, Clone, Default)]
pub struct Cause {
    /// The command, as one would type it.
    pub did: String,
    /// The reason, where one was given.
    pub why: Option<String>,
    /// When, where it isn't now.
    pub at: Option<OffsetDateTime>,
}

/// The changes of a pointer that are known, the oldest first.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// The changes.
    pub records: Vec<Record>,
    /// Lines that can't be read: somebody edited them.
    pub unreadable: usize,
}

/// The entry that holds a page of a pointer's history; the first page is the newest.
fn page(pointer: &str, index: usize) -> String {
    match index {
        0 => format!("{pointer}_history"),
        index => format!("{pointer}_history.{index}"),
    }
}

impl History {
    /// Reads the history of a pointer from a store's entries.
    pub fn read(entries: &BTreeMap<String, String>, pointer: &str) -> Self {
        let mut history = Self::default();
        let pages = (0..PAGES).rev().filter_map(|index| entries.get(&page(pointer, index)));
        for line in pages.flat_map(|text| text.lines()).filter(|line| !line.trim().is_empty()) {
            let Ok(mut record) = serde_json::from_str::<Record>(line) else {
                history.unreadable += 1;
                continue;
            };
            let before = history.records.last().map(|record| &record.to);
            record.unrecorded_before = record.from.is_some() && before.is_some();
            record.from = record.from.or_else(|| before.cloned());
            history.records.push(record);
        }
        history
    }

    /// The newest change.
    pub fn last(&self) -> Option<&Record> {
        self.records.last()
    }

    /// The pointer as it was right before a moment.
    ///
    /// # Errors
    ///
    /// Nothing is known of that time.
    pub fn at(&self, moment: &Before) -> anyhow::Result<Pointer> {
        let is_earlier = |record: &&Record| record.time().is_some_and(|time| time < moment.at);
        if let Some(record) = self.records.iter().rev().find(is_earlier) {
            return Ok(record.to.clone());
        }
        match self.records.first() {
            None => bail!(
                "expected a history of the pointer, but found none: name the revision instead (`personalizer status` lists them)"
            ),
            // Nothing has been dropped: what was there before the first change is known.
            Some(Record { n: 1, from: Some(from), .. }) if from.revision.is_some() => Ok(from.clone()),
            Some(first) => bail!(
                "expected a change of the pointer {moment}, but the history begins at {}: {}",
                first.at,
                first.told()
            ),
        }
    }
}

/// Appends a change. What can't be recorded is said, and stops nothing: a rollback counts for more than its record.
pub fn record(target: &mut dyn Target, pointer: &str, cause: &Cause, before: &Pointer, after: &Pointer) {
    let now = cause.at.unwrap_or_else(OffsetDateTime::now_utc);
    let mut fault = None;
    let written = target.update(&mut |entries| match appended(entries, pointer, cause, (before, after), now) {
        Ok(written) => written,
        Err(error) => {
            fault = Some(error);
            Vec::new()
        }
    });
    if let Some(error) = fault.or(written.err()) {
        note(&format!("the change is made, but it is not in the history: {error:#}"));
    }
}

/// The entries to be written for one more change.
fn appended(
    entries: &BTreeMap<String, String>,
    pointer: &str,
    cause: &Cause,
    (before, after): (&Pointer, &Pointer),
    now: OffsetDateTime,
) -> anyhow::Result<Vec<(String, String)>> {
    let history = History::read(entries, pointer);
    let known = history.last().is_some_and(|last| last.to == *before);
    let record = Record {
        n: history.records.iter().map(|record| record.n).max().unwrap_or_default() + 1,
        at: now.replace_nanosecond(0)?.format(&Rfc3339)?,
        by: author::name(),
        did: cause.did.clone(),
        why: cause.why.as_deref().map(|why| author::tidy(why, MAX_REASON)).filter(|why| !why.is_empty()),
        from: (!known).then(|| before.clone()),
        to: after.clone(),
        unrecorded_before: false,
    };
    let line = serde_json::to_string(&record)?;
    let length = |text: &str| text.chars().count();
    let newest = entries.get(&page(pointer, 0)).map(String::as_str).unwrap_or_default().trim_end();
    if newest.is_empty() && entries.len() >= MAX_ENTRIES {
        bail!(
            "expected room for an entry, but found {MAX_ENTRIES} of {MAX_ENTRIES} taken (`personalizer prune` makes room)"
        );
    }
    if newest.is_empty() {
        return Ok(vec![(page(pointer, 0), line)]);
    }
    if length(newest) + 1 + length(&line) <= MAX_CHARACTERS {
        return Ok(vec![(page(pointer, 0), format!("{newest}\n{line}"))]);
    }
    let mut written = vec![(page(pointer, 0), line)];
    let mut moved = newest;
    let mut room = MAX_ENTRIES.saturating_sub(entries.len());
    for index in 1..PAGES {
        let name = page(pointer, index);
        let there = entries.get(&name).map(String::as_str);
        if there.is_none() && room == 0 {
            // No room for another page: the oldest lines go.
            break;
        }
        room -= usize::from(there.is_none());
        written.push((name, moved.to_owned()));
        match there {
            Some(text) => moved = text,
            None => break,
        }
    }
    Ok(written)
}

/// The pointer as it stands, for people who want to know what somebody else made of it.
pub fn newest(entries: &BTreeMap<String, String>, pointer: &str) -> Option<Record> {
    let text = entries.get(pointer)?;
    let stands: Pointer = serde_json::from_str(text).ok()?;
    History::read(entries, pointer).records.pop().filter(|record| record.to == stands)
}

/// What `--to` says.
///
/// # Errors
///
/// It names no moment, or one that is still to come.
pub fn moment(text: &str) -> anyhow::Result<Before> {
    Before::read(text, OffsetDateTime::now_utc()).context("--to")
}
