//! What a store holds, seen as revisions, and the one entry that says which of them serve.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use anyhow::{Context as _, bail};
use edge_personalizer::rules::manifest::{MANIFEST, Manifest, digest};
use edge_personalizer::rules::pointer::{Pointer, is_revision_name};

use crate::history::{self, Cause, History, Record};
use crate::target::Target;

/// A store's entries, read at one moment.
#[derive(Debug)]
pub struct Store {
    /// Every entry.
    pub entries: BTreeMap<String, String>,
}

impl Store {
    /// Reads a store.
    pub fn read(target: &mut dyn Target) -> anyhow::Result<Self> {
        Ok(Self { entries: target.entries()? })
    }

    /// The pointer; the default where there is none.
    ///
    /// # Errors
    ///
    /// It can't be read, or a key of it can't: a change would lose what somebody meant.
    pub fn pointer(&self, entry: &str) -> anyhow::Result<Pointer> {
        let Some(text) = self.entries.get(entry) else { return Ok(Pointer::default()) };
        let mut faults = Vec::new();
        // While it is off the edge reads nothing else; here the rest must survive.
        let whole = serde_json::from_str::<Pointer>(text);
        let read = Pointer::read(entry, text, &mut faults);
        match (whole, faults.first()) {
            (Ok(pointer), None) => Ok(pointer),
            (_, Some(fault)) => bail!("{fault}"),
            (Err(error), None) => match read {
                Some(pointer) => Ok(pointer),
                None => Err(error).with_context(|| format!("{entry}: expected a pointer")),
            },
        }
    }

    /// The names of the revisions that have at least one entry.
    pub fn revisions(&self) -> BTreeSet<&str> {
        let names = self.entries.keys().filter_map(|key| key.split_once('/')).map(|(name, _)| name);
        names.filter(|name| is_revision_name(name)).collect()
    }

    /// A revision's entries, by their names below it.
    pub fn entries_of(&self, revision: &str) -> BTreeMap<String, String> {
        let below = |key: &str| key.strip_prefix(revision)?.strip_prefix('/').map(str::to_owned);
        self.entries.iter().filter_map(|(key, text)| Some((below(key)?, text.clone()))).collect()
    }

    /// The manifest of a revision that is there, whole.
    ///
    /// # Errors
    ///
    /// There is none, or an entry is missing or another one's.
    pub fn whole(&self, revision: &str) -> anyhow::Result<Manifest> {
        let entries = self.entries_of(revision);
        let Some(manifest) = entries.get(MANIFEST) else {
            let known: Vec<&str> = self.revisions().into_iter().collect();
            bail!(
                "{revision}: expected a revision that `personalizer push` wrote, but found none of that name; there are: {}",
                if known.is_empty() { "none".to_owned() } else { known.join(", ") }
            );
        };
        let manifest =
            Manifest::read(manifest).map_err(|message| anyhow::anyhow!("{revision}/{MANIFEST}: {message}"))?;
        for (name, expected) in &manifest.entries {
            match entries.get(name) {
                Some(text) if digest(text) == *expected => {}
                Some(_) => bail!("{revision}/{name}: expected the text that was pushed, but found another"),
                None => bail!("{revision}/{name}: expected an entry that the manifest names, but found none"),
            }
        }
        Ok(manifest)
    }
}

/// Somebody else changed the pointer between our reading and our writing it.
#[derive(Debug)]
pub struct Overtaken {
    entry: String,
    /// What is known of who did.
    who: Option<Record>,
    found: String,
    /// Whether our own was there in between.
    is_written: bool,
}

impl Overtaken {
    /// What a store holds that isn't what was read before; `known` is the newest record that was read then.
    pub fn new(entries: &BTreeMap<String, String>, entry: &str, known: Option<&Record>) -> Self {
        let who = history::newest(entries, entry).filter(|record| known.is_none_or(|known| known.n != record.n));
        let found = entries.get(entry).cloned().unwrap_or_else(|| "nothing".to_owned());
        Self { entry: entry.to_owned(), who, found, is_written: false }
    }
}

impl fmt::Display for Overtaken {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = self.who.as_ref().map_or_else(|| "somebody changed it".to_owned(), Record::told);
        write!(
            to,
            "{}: expected the pointer as this command had read it, but meanwhile {who}. It is {} now, and {}: look at \
             `personalizer status --history`, then decide anew",
            self.entry,
            self.found,
            if self.is_written { "what was written is gone" } else { "nothing was written" }
        )
    }
}

impl std::error::Error for Overtaken {}

/// Writes the pointer where it still is what was read (`None`: there was none), and reads it back. What is there then counts, also where the
/// store said that the writing failed: an answer may be lost after the store did what it was asked for.
///
/// # Errors
///
/// [`Overtaken`] where it isn't; the store's own where nothing was written.
pub fn point(target: &mut dyn Target, entry: &str, store: &Store, text: &str) -> anyhow::Result<()> {
    let expected = store.entries.get(entry);
    let (mut overtaken, mut is_sent) = (None, false);
    let written = target.update(&mut |entries| {
        if entries.get(entry) == expected {
            (overtaken, is_sent) = (None, true);
            return vec![(entry.to_owned(), text.to_owned())];
        }
        let known = History::read(&store.entries, entry);
        overtaken = Some(Overtaken::new(entries, entry, known.last()));
        Vec::new()
    });
    if let Some(overtaken) = overtaken {
        return Err(overtaken.into());
    }
    let is_there = |now: &BTreeMap<String, String>| now.get(entry).is_some_and(|found| found == text);
    let now = match (target.entries(), written) {
        (Ok(now), Ok(())) => now,
        (Ok(now), Err(_)) if is_sent && is_there(&now) => return Ok(()),
        (_, Err(error)) => return Err(error),
        // The store said yes, and can't say what it has.
        (Err(_), Ok(())) => return Ok(()),
    };
    match now.get(entry) {
        Some(found) if found == text => Ok(()),
        // Neither ours nor what was there before: somebody wrote over it at once.
        Some(found) if Some(found) != expected => {
            let known = History::read(&store.entries, entry);
            Err(Overtaken { is_written: true, ..Overtaken::new(&now, entry, known.last()) }.into())
        }
        found => bail!("{entry}: expected {text} after writing it, but found {}", found.map_or("nothing", |text| text)),
    }
}

/// Changes the pointer: reads the store, lets `change` decide, writes where nobody wrote meanwhile, and records it. Gives the pointer before
/// and after.
pub fn repoint(
    target: &mut dyn Target,
    entry: &str,
    cause: &Cause,
    change: impl FnOnce(&Store, &Pointer) -> anyhow::Result<Pointer>,
) -> anyhow::Result<(Pointer, Pointer)> {
    let store = Store::read(target)?;
    let before = store.pointer(entry)?;
    let mut after = change(&store, &before)?;
    // Where every revision has its manifest, the edge may insist on it.
    after.manifest = after.revision.is_some()
        && after.revisions().all(|revision| store.entries.contains_key(&format!("{revision}/{MANIFEST}")));
    if after != before {
        point(target, entry, &store, &serde_json::to_string(&after)?)?;
        history::record(target, entry, cause, &before, &after);
    }
    Ok((before, after))
}
