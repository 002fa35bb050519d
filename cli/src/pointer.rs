//! The commands that change which revision serves: each edits the one entry `active`.

use anyhow::{Context as _, bail};
use clap::Args;
use edge_personalizer::rules::canary::Share;
use edge_personalizer::rules::pointer::{self, Pointer};
use serde_json::{Map, Value};

use crate::output::{Format, Outcome, note};
use crate::rollout::{Store, point, repoint};
use crate::status;
use crate::target::{On, Target};

/// Where the entry is, and how the result is written.
#[derive(Debug, Args)]
struct Common {
    #[command(flatten)]
    on: On,
    /// How the result is written.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl Common {
    /// Opens the store, changes the pointer, and says what changed.
    fn change(
        &self,
        change: impl FnOnce(&mut dyn Target, &str) -> anyhow::Result<(Pointer, Pointer)>,
    ) -> anyhow::Result<Outcome> {
        let mut target = self.on.open()?;
        let changed = change(&mut *target, self.on.pointer())?;
        status::report_change(self.format, &changed, target.spreads_in())
    }

    /// The same for a pointer that can be read: `change` gets the store and the pointer as it is.
    fn repoint(&self, change: impl FnOnce(&Store, &Pointer) -> anyhow::Result<Pointer>) -> anyhow::Result<Outcome> {
        self.change(|target, entry| repoint(target, entry, change))
    }
}

fn already_active(revision: &str) -> anyhow::Error {
    anyhow::anyhow!(
        "{revision}: expected another revision than the active one, but found the active one: it already serves everybody"
    )
}

/// Let a revision serve a share of visitors.
///
/// A visitor who gets the canary keeps it when the share grows: from 1 to 5, 20 and 100 percent visitors are only added. 0 percent ends
/// the canary.
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  personalizer canary r43 --percent 5 --on fastly:STORE_ID")]
pub struct Canary {
    /// The revision.
    revision: String,
    /// Percent of visitors, 0 to 100, in steps of 0.0001.
    #[arg(long)]
    percent: f64,
    #[command(flatten)]
    common: Common,
}

impl Canary {
    /// Names the canary in the pointer.
    pub fn run(&self) -> anyhow::Result<Outcome> {
        if Share::from_percent(self.percent).is_none() {
            bail!("--percent: expected 0 to 100, but found {}", self.percent);
        }
        self.common.repoint(|store, before| {
            let mut after = before.clone();
            if self.percent == 0.0 {
                after.canary = None;
                return Ok(after);
            }
            store.whole(&self.revision)?;
            if before.revision.as_ref() == Some(&self.revision) {
                return Err(already_active(&self.revision));
            }
            after.canary = Some(pointer::Canary { revision: self.revision.clone(), percent: self.percent });
            Ok(after)
        })
    }
}

/// Decide by a revision for every request without applying it: the log says where it differs.
#[derive(Debug, Args)]
#[command(
    after_long_help = "Examples:\n  personalizer shadow r43 --on fastly:STORE_ID\n  personalizer shadow --off --on fastly:STORE_ID"
)]
pub struct Shadow {
    /// The revision.
    #[arg(required_unless_present = "off", conflicts_with = "off")]
    revision: Option<String>,
    /// End the shadow.
    #[arg(long)]
    off: bool,
    #[command(flatten)]
    common: Common,
}

impl Shadow {
    /// Names the shadow in the pointer.
    pub fn run(&self) -> anyhow::Result<Outcome> {
        self.common.repoint(|store, before| {
            if let Some(revision) = &self.revision {
                store.whole(revision)?;
            }
            let mut after = before.clone();
            after.shadow.clone_from(&self.revision);
            Ok(after)
        })
    }
}

/// Let a revision serve everybody: the canary, or the one that is named.
///
/// The revision that served before becomes `previous`: `rollback` goes back to it in one step.
#[derive(Debug, Args)]
#[command(
    after_long_help = "Examples:\n  personalizer promote --on fastly:STORE_ID\n  personalizer promote r43 --on fastly:STORE_ID"
)]
pub struct Promote {
    /// The revision; without it, the canary.
    revision: Option<String>,
    #[command(flatten)]
    common: Common,
}

impl Promote {
    /// Makes it the active revision.
    pub fn run(&self) -> anyhow::Result<Outcome> {
        self.common.repoint(|store, before| {
            let canary = before.canary.as_ref().map(|canary| canary.revision.clone());
            let revision = self
                .revision
                .clone()
                .or(canary)
                .context("expected a canary, or the name of a revision, but found neither")?;
            if before.revision.as_ref() == Some(&revision) {
                return Err(already_active(&revision));
            }
            store.whole(&revision)?;
            let mut after = before.clone();
            // A shadow of itself would show no difference.
            after.shadow = after.shadow.filter(|shadow| *shadow != revision);
            after.previous = after.revision.replace(revision);
            after.canary = None;
            Ok(after)
        })
    }
}

/// Go back: end the canary if there is one, else let the previous revision serve everybody again.
///
/// The revision that served before the rollback becomes `previous`: a second rollback undoes the first.
#[derive(Debug, Args)]
#[command(
    after_long_help = "Examples:\n  personalizer rollback --on fastly:STORE_ID\n  personalizer rollback r41 --on fastly:STORE_ID"
)]
pub struct Rollback {
    /// The revision to go back to; without it, the canary ends, or `previous` serves.
    revision: Option<String>,
    #[command(flatten)]
    common: Common,
}

impl Rollback {
    /// Ends the canary, or swaps the active revision.
    pub fn run(&self) -> anyhow::Result<Outcome> {
        self.common.repoint(|store, before| {
            let mut after = before.clone();
            after.canary = None;
            if self.revision.is_none() && before.canary.is_some() {
                return Ok(after);
            }
            let Some(revision) = self.revision.clone().or_else(|| before.previous.clone()) else {
                bail!("expected a canary or a previous revision to go back from, but found neither");
            };
            if let Err(error) = store.whole(&revision) {
                // A rollback must work in an emergency; the edge serves what it can of the revision.
                if store.entries_of(&revision).is_empty() {
                    return Err(error);
                }
                note(&format!("{error:#}"));
            }
            after.previous = after.revision.replace(revision);
            Ok(after)
        })
    }
}

/// Switch personalization on again, as it was before `disable`.
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  personalizer enable --on fastly:STORE_ID")]
pub struct Enable {
    #[command(flatten)]
    common: Common,
}

impl Enable {
    /// Switches on.
    pub fn run(&self) -> anyhow::Result<Outcome> {
        self.common.change(|target, entry| switch(target, entry, true))
    }
}

/// The kill switch: every request passes through, nothing is personalized, no cookie is set. All rules stay in place.
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  personalizer disable --on fastly:STORE_ID")]
pub struct Disable {
    #[command(flatten)]
    common: Common,
}

impl Disable {
    /// Switches off.
    pub fn run(&self) -> anyhow::Result<Outcome> {
        self.common.change(|target, entry| switch(target, entry, false))
    }
}

/// Sets `enabled`, and leaves every other key of the pointer as it is. It must work whatever else is broken, so it looks at the pointer alone.
/// Gives the pointer before and after.
fn switch(target: &mut dyn Target, entry: &str, enabled: bool) -> anyhow::Result<(Pointer, Pointer)> {
    let text = target.entries()?.remove(entry).unwrap_or_else(|| "{}".to_owned());
    let fields = serde_json::from_str::<Map<String, Value>>(&text);
    if fields.is_err() {
        note(&format!("{entry}: expected JSON, but found '{text}': a new pointer is written"));
    }
    let mut fields = fields.unwrap_or_default();
    let before = read(&fields);
    fields.insert("enabled".to_owned(), enabled.into());
    let after = read(&fields);
    match serde_json::from_value(Value::Object(fields.clone())) {
        Ok(pointer) => point(target, entry, &pointer)?,
        // Keys that can't be read stay for somebody to mend.
        Err(_) => target.put(&[(entry.to_owned(), Value::Object(fields).to_string())])?,
    }
    Ok((before, after))
}

fn read(fields: &Map<String, Value>) -> Pointer {
    let whole = Value::Object(fields.clone());
    let lenient = || Pointer::read("active", &whole.to_string(), &mut Vec::new()).unwrap_or_default();
    serde_json::from_value(whole.clone()).unwrap_or_else(|_| lenient())
}
