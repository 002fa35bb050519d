//! `personalizer push`: a folder becomes a revision.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use edge_personalizer::rules::manifest::{MANIFEST, Manifest};
use edge_personalizer::rules::pack::{self, Pack};
use edge_personalizer::rules::pointer::is_revision_name;
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::folder::Folder;
use crate::folder::payload::PayloadOptions;
use crate::history::Cause;
use crate::output::{self, Format, Outcome};
use crate::rollout::{Store, repoint};
use crate::target::{self, Address, Api, Target};
use crate::{check, explain};
use edge_personalizer::rules::entries::{self, MAX_ENTRIES};

/// Above this a rule set goes to the KV store (design.md section 3.1): in bytes.
const LARGE: usize = 100_000;

/// Check a folder of rules, write it as a new revision, and read it back.
///
/// A revision that exists is never overwritten. A push changes nothing for visitors: `--activate`, `canary` or `promote` do that.
///
/// A GrowthBook payload (--payload, or growthbook.json in the folder) becomes part of the revision. The dictionaries win where both define
/// something. settings.growthbook is then left out.
#[derive(Debug, Args)]
#[command(
    after_long_help = "Examples:\n  personalizer push rules --to fastly:STORE_ID\n  personalizer push rules --to file:target/local/personalizer.json --revision r42 --activate\n  personalizer push rules --to pack:target/local/r42.pack"
)]
pub struct Options {
    /// The folder of rules.
    #[arg(default_value = "rules")]
    folder: PathBuf,
    /// The target: file:PATH, fastly:STORE_ID, or pack:PATH for a large rule set as one file.
    #[arg(long, value_name = "TARGET", env = "PERSONALIZER_TARGET")]
    to: Address,
    /// The revision's name. Without it, the time makes the name: r20261127T090000Z.
    #[arg(long)]
    revision: Option<String>,
    /// Let the revision serve everybody once it is written.
    #[arg(long)]
    activate: bool,
    /// Activate it on staging deployments only.
    #[arg(long)]
    staging: bool,
    /// Why it is activated: kept in the history (`personalizer status --history`).
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Which store holds the rules.
    #[arg(long, value_enum, default_value_t)]
    store: StoreChoice,
    /// Where backends are named; without it, the fastly.toml beside or above the folder.
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    #[command(flatten)]
    api: Api,
    #[command(flatten)]
    payload: PayloadOptions,
    /// Push settings that are for local development (region_override "any", preview "open") to Fastly all the same.
    #[arg(long)]
    force: bool,
    /// How the result is written.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum StoreChoice {
    /// The config store, and the KV store above 100 kB.
    #[default]
    Auto,
    /// The config store.
    Config,
    /// The KV store `rules`.
    Kv,
}

#[derive(Debug, Serialize)]
struct Pushed {
    revision: String,
    store: &'static str,
    entries: usize,
    bytes: usize,
    activated: bool,
    /// What served before, where it was activated.
    #[serde(skip)]
    previous: Option<String>,
}

/// Checks, writes, reads back, activates.
pub fn run(options: &Options) -> anyhow::Result<Outcome> {
    let folder = Folder::read(&options.folder, &options.payload)?;
    let report = check::check(&folder, &options.folder, options.manifest.as_deref())?;
    if report.faults() > 0 {
        check::print(options.format, &report)?;
        return Ok(Outcome::Faults);
    }
    check::warnings(&report).iter().for_each(|warning| output::line(warning));
    if matches!(options.to, Address::Fastly(_)) && !options.force {
        let open = check::open_settings(&explain::compile(&folder).settings);
        if let Some((pointer, message)) = open.first() {
            bail!("settings{pointer}: {message} (--force pushes it all the same)");
        }
    }
    if let Some(payload) = &folder.payload {
        output::note(&format!(
            "{}: this GrowthBook payload becomes part of the revision, so that canary, shadow and rollback cover it. A newer payload needs \
             another push",
            payload.source.file.display()
        ));
        let settings = folder.dictionaries.get("settings").and_then(|settings| settings.json.as_ref().ok());
        if settings.is_some_and(|settings| settings.get("growthbook").is_some()) {
            output::note("settings.growthbook is left out of the revision: no other payload is read on top");
        }
    }
    if matches!(options.to, Address::Pack(_)) && (options.activate || options.staging) {
        bail!("--activate: expected a store, but found a pack, which is a file: push it to the store that serves");
    }
    let now = OffsetDateTime::now_utc().replace_nanosecond(0)?;
    let revision = options.revision.clone().unwrap_or_else(|| default_name(now));
    if !is_revision_name(&revision) {
        bail!("--revision: expected 1 to 64 of A-Z a-z 0-9 . _ -, but found '{revision}'");
    }
    let values = folder.values();
    let bytes: usize = values.values().map(|value| value.to_string().len()).sum();
    let packed = match (options.store, &options.to) {
        (StoreChoice::Kv, _) | (_, Address::Pack(_)) => true,
        (StoreChoice::Config, _) => false,
        (StoreChoice::Auto, _) => bytes > LARGE,
    };
    let created = now.format(&Rfc3339)?;
    if let Address::Pack(path) = &options.to {
        let bytes = write_pack(&values)?;
        fs::write(path, &bytes).with_context(|| format!("{}: can't write it", path.display()))?;
        let pushed =
            Pushed { revision, store: "pack", entries: 1, bytes: bytes.len(), activated: false, previous: None };
        return report_push(options, &pushed, &path.display().to_string());
    }

    let mut target = target::open(&options.to, &options.api)?;
    let store = Store::read(&mut *target)?;
    let taken = store.entries_of(&revision);
    if !taken.is_empty() && !taken.contains_key(MANIFEST) {
        bail!(
            "{revision}: expected a new revision's name, but found one that an earlier push did not finish, or that was written by hand. Choose another \
             name (`personalizer prune --keep 0` removes it, with all that no pointer names)"
        );
    }
    if !taken.is_empty() {
        bail!("{revision}: expected a new revision's name, but found one that exists; a revision is never overwritten");
    }
    let (written, manifest) = if packed {
        let bytes = write_pack(&values)?;
        push_pack(&mut *target, &revision, &bytes)?;
        (Vec::new(), Manifest::of_pack(bytes.len(), &created))
    } else {
        let entries = entries::entries(&values)
            .map_err(|(name, message)| anyhow::anyhow!("{name}: {message} (--store kv has room)"))?;
        let manifest = Manifest::of(entries.iter().map(|(name, text)| (name.as_str(), text.as_str())), &created);
        let entries: Vec<_> = entries.into_iter().map(|(name, text)| (format!("{revision}/{name}"), text)).collect();
        (entries, manifest)
    };
    let count = written.len() + 1;
    if store.entries.len() + count > MAX_ENTRIES {
        bail!(
            "expected room for {count} entries, but found {} of {MAX_ENTRIES} taken: `personalizer prune` removes old revisions",
            store.entries.len()
        );
    }
    if !written.is_empty() {
        target.put(&written)?;
    }
    // Last: without it the edge takes the revision for one that has not arrived.
    target.put(&[(format!("{revision}/{MANIFEST}"), serde_json::to_string(&manifest)?)])?;
    Store::read(&mut *target)?.whole(&revision).context("reading the revision back")?;
    let mut previous = None;
    if options.activate || options.staging {
        let entry = if options.staging { "active_staging" } else { "active" };
        let cause =
            Cause { did: format!("push --revision {revision} --activate"), why: options.reason.clone(), at: None };
        let (_, after) = repoint(&mut *target, entry, &cause, |_, before| {
            let mut after = before.clone();
            after.previous = after.revision.replace(revision.clone());
            after.canary = None;
            Ok(after)
        })?;
        previous = after.previous;
    }
    let pushed = Pushed {
        revision,
        store: if packed { "kv" } else { "config" },
        entries: count,
        bytes,
        activated: options.activate || options.staging,
        previous,
    };
    report_push(options, &pushed, "the store")
}

fn default_name(now: OffsetDateTime) -> String {
    let (date, time) = (now.date(), now.time());
    let (year, month, day) = (date.year(), u8::from(date.month()), date.day());
    let (hour, minute, second) = time.as_hms();
    format!("r{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

fn write_pack(values: &serde_json::Map<String, serde_json::Value>) -> anyhow::Result<Vec<u8>> {
    let bytes = pack::write(values).map_err(anyhow::Error::msg)?;
    // What can't be read here can't be read there.
    Pack::read(bytes.clone()).map_err(anyhow::Error::msg)?;
    Ok(bytes)
}

fn push_pack(target: &mut dyn Target, revision: &str, bytes: &[u8]) -> anyhow::Result<()> {
    if let Some(known) = target.pack(revision)?
        && known != bytes
    {
        bail!("{revision}: expected a new revision's name, but found another rule set in the KV store");
    }
    target.put_pack(revision, bytes)?;
    match target.pack(revision)? {
        Some(found) if found == bytes => Ok(()),
        _ => {
            bail!("{revision}: expected the rule set in the KV store after writing it, but found another, or none yet")
        }
    }
}

fn report_push(options: &Options, pushed: &Pushed, place: &str) -> anyhow::Result<Outcome> {
    output::write(options.format, pushed, || {
        let next = if pushed.activated {
            match &pushed.previous {
                Some(previous) => format!("It serves everybody now; `personalizer rollback` goes back to {previous}."),
                None => "It serves everybody now, and is the first to do so: `personalizer disable` would stop it."
                    .to_owned(),
            }
        } else if pushed.store == "pack" {
            "Name the file as a value of the KV store 'rules', and the revision in the pointer with \"store\": \"kv\"."
                .to_owned()
        } else {
            format!(
                "Nothing that serves has changed. Next: `personalizer canary {0} --percent 5`, or `personalizer promote {0}`.",
                pushed.revision
            )
        };
        format!(
            "{}: {} bytes in {} entries, written to {place} and read back.\n{next}",
            pushed.revision, pushed.bytes, pushed.entries
        )
    })?;
    Ok(Outcome::Well)
}
