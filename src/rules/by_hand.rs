//! Dictionaries that somebody edits in place: at their bare names, or below a revision without manifest. They are read again every second.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use super::cache::{Notes, Pass};
use super::dictionary::{DICTIONARIES, ReadError, dictionary_of, is_whole, part_name};
use super::fault::Fault;
use super::revision::{Missed, RECHECK, below, is_of_a_whole_entry};
use super::set::{RuleSet, Texts};

/// What is known of such dictionaries.
#[derive(Debug, Default)]
pub struct ByHand {
    /// The texts as they were read last: what is wrong with them has been named.
    seen: Option<Texts>,
    /// The texts that serve, and what they compile to.
    known: Option<(Texts, Rc<RuleSet>)>,
    read_at: Duration,
    /// What has been read of a revision, where the look-ups didn't reach to its end.
    pub(super) begun: BTreeMap<String, Option<String>>,
}

impl ByHand {
    /// What serves, as it was read last.
    pub fn known(&self) -> Option<&Rc<RuleSet>> {
        self.known.as_ref().map(|(_, set)| set)
    }

    /// Whether it is time to read again.
    pub fn is_due(&self, uptime: Duration) -> bool {
        self.known.is_none() || uptime.saturating_sub(self.read_at) >= RECHECK
    }

    /// The set at bare names, read again where a second has passed. Everything there serves: a dictionary that can't be used leaves its
    /// last text that could, and in a new sandbox it is an empty one.
    pub(super) fn set(&mut self, pass: &mut Pass<'_>) -> Option<Rc<RuleSet>> {
        if self.is_due(pass.uptime)
            && let Err(error) = self.read_bare(pass)
        {
            pass.notes.failed(error);
        }
        self.known().cloned()
    }

    fn read_bare(&mut self, pass: &mut Pass<'_>) -> Result<(), ReadError> {
        let mut faults = Vec::new();
        let texts = Texts::read("", &mut pass.reader, &mut faults)?;
        self.read_at = pass.uptime;
        if self.seen.as_ref() == Some(&texts) {
            return Ok(());
        }
        let is_new = |name: &str| self.seen.as_ref().is_none_or(|seen| seen.of(name) != texts.of(name));
        let is_torn = |name: &str| faults.iter().any(|fault| dictionary_of(&fault.dictionary) == name);
        let mut serving = texts.clone();
        let mut named = Vec::new();
        for name in DICTIONARIES {
            let mut wrong = mistakes(name, &texts);
            if let Some((known, _)) = &self.known
                && (!wrong.is_empty() || is_torn(name))
                && mistakes(name, known).is_empty()
            {
                serving.set(name, known.of(name).to_vec());
                named.append(&mut wrong);
            }
        }
        faults.append(&mut named);
        faults.retain(|fault| is_new(dictionary_of(&fault.dictionary)));
        self.compile(None, serving, &mut faults);
        pass.notes.faults.append(&mut faults);
        self.seen = Some(texts);
        Ok(())
    }

    /// Reads the entries of a revision again. It serves whole or not at all: where it doesn't, what is known stays.
    ///
    /// # Errors
    ///
    /// Why it could not be read as a whole.
    pub(super) fn read_revision(&mut self, name: &str, pass: &mut Pass<'_>) -> Result<(), Missed> {
        let read = Texts::read_whole(name, &mut pass.reader, &mut self.begun);
        if !matches!(read, Err(Missed::Look(_))) {
            self.begun.clear();
            self.read_at = pass.uptime;
        }
        let texts = read?;
        if self.seen.as_ref() == Some(&texts) {
            return Ok(());
        }
        let mut faults = Vec::new();
        self.compile(Some(name), texts.clone(), &mut faults);
        self.seen = Some(texts);
        self.name(name, faults, &mut pass.notes);
        Ok(())
    }

    fn name(&self, revision: &str, faults: Vec<Fault>, notes: &mut Notes) {
        let prefix = format!("{revision}/");
        notes.faults.extend(faults.into_iter().map(|fault| below(&prefix, fault)));
    }

    fn compile(&mut self, revision: Option<&str>, texts: Texts, faults: &mut Vec<Fault>) {
        let old = self.known.as_ref().map(|(known, set)| (known, &**set));
        let set = RuleSet::compile(revision, &texts, old, faults);
        if revision.is_none() || !faults.iter().any(is_of_a_whole_entry) {
            self.known = Some((texts, Rc::new(set)));
        }
    }
}

/// What is wrong with the entries of a dictionary as wholes.
fn mistakes(name: &str, texts: &Texts) -> Vec<Fault> {
    let parts = texts.of(name).iter().enumerate();
    parts
        .filter_map(|(index, text)| Some(Fault::new(&part_name(name, index + 1), "", is_whole(name, text).err()?)))
        .collect()
}
