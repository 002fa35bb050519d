//! `personalizer status`: what serves, and what else is there.

use std::fmt::Write as _;

use clap::Args;
use edge_personalizer::rules::pointer::Pointer;
use serde::Serialize;

use crate::history::{History, Record};
use crate::output::{self, Format, Outcome, note};
use crate::rollout::Store;
use crate::target::On;
use edge_personalizer::rules::entries::MAX_ENTRIES;

/// Show which revision serves, and which revisions are in the store.
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  personalizer status --on fastly:STORE_ID --format json")]
pub struct Options {
    #[command(flatten)]
    on: On,
    /// Show also who changed the pointer, when, from what to what and why, the newest change first.
    #[arg(long)]
    history: bool,
    /// How the result is written.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Debug, Serialize)]
struct Status {
    pointer: Pointer,
    /// What is wrong with the pointer or with what it names.
    faults: Vec<String>,
    entries: usize,
    revisions: Vec<Held>,
    /// The newest change.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_change: Option<Record>,
    /// With `--history`: all that are known, the newest first.
    #[serde(skip_serializing_if = "Option::is_none")]
    history: Option<Vec<Record>>,
}

#[derive(Debug, Serialize)]
struct Held {
    revision: String,
    created: String,
    entries: usize,
    characters: usize,
    /// `revision`, `previous`, `canary`, `shadow`.
    roles: Vec<&'static str>,
    whole: bool,
}

/// Reads the store.
pub fn run(options: &Options) -> anyhow::Result<Outcome> {
    let mut target = options.on.open()?;
    let store = Store::read(&mut *target)?;
    let mut faults = Vec::new();
    let pointer = store.pointer(options.on.pointer()).unwrap_or_else(|error| {
        faults.push(format!("{error:#}"));
        Pointer::default()
    });
    let mut revisions: Vec<Held> = store.revisions().into_iter().map(|name| held(&store, &pointer, name)).collect();
    revisions.sort_by(|one, other| other.created.cmp(&one.created).then(one.revision.cmp(&other.revision)));
    for name in pointer.revisions() {
        if let Err(error) = store.whole(name) {
            faults.push(format!("{error:#}"));
        }
    }
    let mut history = History::read(&store.entries, options.on.pointer());
    if history.unreadable > 0 {
        note(&format!("{} lines of the history can't be read: somebody edited them", history.unreadable));
    }
    let last_change = history.last().cloned();
    history.records.reverse();
    let history = options.history.then_some(history.records);
    let status = Status { pointer, faults, entries: store.entries.len(), revisions, last_change, history };
    output::write(options.format, &status, || text(&status))?;
    Ok(if status.faults.is_empty() { Outcome::Well } else { Outcome::Faults })
}

fn held(store: &Store, pointer: &Pointer, name: &str) -> Held {
    let entries = store.entries_of(name);
    let is = |other: Option<&String>| other.is_some_and(|other| other == name);
    let roles = [
        ("revision", is(pointer.revision.as_ref())),
        ("previous", is(pointer.previous.as_ref())),
        ("canary", is(pointer.canary.as_ref().map(|canary| &canary.revision))),
        ("shadow", is(pointer.shadow.as_ref())),
    ];
    let manifest = store.whole(name);
    Held {
        revision: name.to_owned(),
        created: manifest.as_ref().map(|manifest| manifest.created.clone()).unwrap_or_default(),
        entries: entries.len(),
        characters: entries.values().map(|text| text.chars().count()).sum(),
        roles: roles.iter().filter(|(_, is)| *is).map(|(role, _)| *role).collect(),
        whole: manifest.is_ok(),
    }
}

fn text(status: &Status) -> String {
    let mut text = format!("{}\n", describe(&status.pointer));
    for fault in &status.faults {
        // Writing to a String can't fail.
        let _ = writeln!(text, "fault: {fault}");
    }
    if let Some(record) = &status.last_change {
        let _ = writeln!(text, "last change: {}", record.told());
    }
    let _ = writeln!(text, "\n{} of {MAX_ENTRIES} entries", status.entries);
    for held in &status.revisions {
        let _ = writeln!(
            text,
            "  {:<24} {:>3} entries {:>7} characters  {:<20} {}{}",
            held.revision,
            held.entries,
            held.characters,
            held.created,
            held.roles.join(", "),
            if held.whole { "" } else { " (not whole)" }
        );
    }
    for (place, record) in status.history.iter().flatten().enumerate() {
        let _ = write!(text, "{}", if place == 0 { "\nhistory, the newest change first\n" } else { "" });
        let _ = writeln!(text, "  {:>3}  {}", record.n, record.told());
        if let Some(from) = &record.from {
            let hand = if record.unrecorded_before { " (set by hand, or not recorded)" } else { "" };
            let _ = writeln!(text, "       from: {}{hand}", describe(from));
        }
        let _ = writeln!(text, "       to:   {}", describe(&record.to));
    }
    if status.history.as_ref().is_some_and(Vec::is_empty) {
        let _ = writeln!(text, "\nno change is recorded yet");
    }
    text
}

/// A pointer in a sentence.
pub fn describe(pointer: &Pointer) -> String {
    let mut text = match (&pointer.revision, pointer.enabled) {
        (Some(revision), true) => format!("{revision} serves"),
        (None, true) => "the entries at their bare names serve".to_owned(),
        (Some(revision), false) => {
            format!("off: every request passes through; {revision} serves once `enable` switches it on")
        }
        (None, false) => {
            "off: every request passes through; the entries at their bare names serve once `enable` switches it on"
                .to_owned()
        }
    };
    if let Some(canary) = &pointer.canary {
        let _ = write!(text, ", the canary {} serves {} % of visitors", canary.revision, canary.percent);
    }
    if let Some(previous) = &pointer.previous {
        let _ = write!(text, ", previous is {previous}");
    }
    if let Some(shadow) = &pointer.shadow {
        let _ = write!(text, ", shadow is {shadow}");
    }
    text
}

#[derive(Serialize)]
struct Change<'a> {
    before: &'a Pointer,
    after: &'a Pointer,
    changed: bool,
}

/// Says what a change of the pointer did.
pub fn report_change(format: Format, (before, after): &(Pointer, Pointer), spreads: &str) -> anyhow::Result<Outcome> {
    let change = Change { before, after, changed: before != after };
    output::write(format, &change, || {
        let effect =
            if change.changed { format!("This takes effect {spreads}.") } else { "Nothing changed.".to_owned() };
        format!("before: {}\nnow:    {}\n{effect}", describe(before), describe(after))
    })?;
    Ok(Outcome::Well)
}
