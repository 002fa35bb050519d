//! `personalizer prune`: removes old revisions, because a store holds 500 entries.

use clap::Args;
use edge_personalizer::rules::manifest::{MANIFEST, Manifest};
use serde::Serialize;

use crate::output::{self, Format, Outcome};
use crate::rollout::Store;
use crate::target::On;

/// Remove old revisions, but never one that a pointer names.
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  personalizer prune --keep 5 --on fastly:STORE_ID")]
pub struct Options {
    /// How many revisions that no pointer names are kept, the newest first.
    #[arg(long)]
    keep: usize,
    /// Remove nothing, only show what would be removed.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    on: On,
    /// How the result is written.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Serialize)]
struct Pruned {
    removed: Vec<String>,
    entries: usize,
    dry_run: bool,
}

/// Removes what may go.
pub fn run(options: &Options) -> anyhow::Result<Outcome> {
    let mut target = options.on.open()?;
    let store = Store::read(&mut *target)?;
    let pointers = [store.pointer("active")?, store.pointer("active_staging")?];
    let named: Vec<&str> = pointers.iter().flat_map(|pointer| pointer.revisions()).collect();
    let mut old: Vec<(String, bool, &str)> = store
        .revisions()
        .into_iter()
        .filter(|name| !named.contains(name))
        .map(|name| {
            let manifest = store.entries.get(&format!("{name}/{MANIFEST}")).and_then(|text| Manifest::read(text).ok());
            let packed = manifest.as_ref().is_some_and(|manifest| manifest.pack.is_some());
            (manifest.map(|manifest| manifest.created).unwrap_or_default(), packed, name)
        })
        .collect();
    // The newest first; those without a date are the oldest.
    old.sort_by(|one, other| other.cmp(one));
    let gone: Vec<&(String, bool, &str)> = old.iter().skip(options.keep).collect();
    let keys: Vec<String> = gone
        .iter()
        .flat_map(|(_, _, name)| store.entries_of(name).into_keys().map(move |entry| format!("{name}/{entry}")))
        .collect();
    if !options.dry_run && !keys.is_empty() {
        for (_, _, name) in gone.iter().filter(|(_, packed, _)| *packed) {
            target.remove_pack(name)?;
        }
        target.remove(&keys)?;
    }
    let removed = gone.iter().map(|(_, _, name)| (*name).to_owned()).collect();
    let pruned = Pruned { removed, entries: keys.len(), dry_run: options.dry_run };
    output::write(options.format, &pruned, || {
        let verb = if options.dry_run { "would be removed" } else { "removed" };
        let names = if pruned.removed.is_empty() { "nothing".to_owned() } else { pruned.removed.join(", ") };
        format!("{verb}: {names} ({} entries)", pruned.entries)
    })?;
    Ok(Outcome::Well)
}
