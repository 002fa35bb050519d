//! The commands that change which revision serves: each edits the one entry `active`.

use anyhow::{Context as _, bail};
use clap::{ArgGroup, Args};
use edge_personalizer::rules::canary::Share;
use edge_personalizer::rules::pointer::{self, Pointer};
use serde_json::{Map, Value};

use crate::canary;
use crate::history::{self, Before, Cause, History};
use crate::output::{Format, Outcome, note};
use crate::rollout::{Overtaken, Store, point, repoint};
use crate::status;
use crate::target::{On, Target};

/// Where the entry is, and how the result is written.
#[derive(Debug, Args)]
struct Common {
    #[command(flatten)]
    on: On,
    /// Why: kept in the history (`personalizer status --history`).
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// How the result is written.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl Common {
    /// Opens the store, changes the pointer, and says what changed. `did` is the command, as one would type it.
    fn change(
        &self,
        did: String,
        change: impl FnOnce(&mut dyn Target, &str, &Cause) -> anyhow::Result<(Pointer, Pointer)>,
    ) -> anyhow::Result<Outcome> {
        let mut target = self.on.open()?;
        let changed = change(&mut *target, self.on.pointer(), &Cause { did, why: self.reason.clone(), at: None })?;
        status::report_change(self.format, &changed, target.spreads_in())
    }

    /// The same for a pointer that can be read: `change` gets the store and the pointer as it is.
    fn repoint(
        &self,
        did: String,
        change: impl FnOnce(&Store, &Pointer) -> anyhow::Result<Pointer>,
    ) -> anyhow::Result<Outcome> {
        self.change(did, |target, entry, cause| repoint(target, entry, cause, change))
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
#[command(after_long_help = "Examples:
  personalizer canary r43 --percent 5 --on fastly:STORE_ID
  personalizer canary r43 --auto 1%:10m:200,5%:30m:1000,25%:1h,100% --logs logs --promote --on fastly:STORE_ID

Exit codes of --auto: 0 done, 1 worse and rolled back, 2 it could not run, 3 it held until --for was over or the logs ended, 4 somebody
else changed the pointer.")]
#[command(group(ArgGroup::new("how").required(true)))]
pub struct Canary {
    /// The revision.
    revision: String,
    /// Percent of visitors, 0 to 100, in steps of 0.0001.
    #[arg(
        long,
        group = "how",
        value_parser = share,
        conflicts_with_all = ["logs", "every", "limit", "promote", "again", "annotate", "alpha", "margin", "latency_margin"]
    )]
    percent: Option<f64>,
    #[command(flatten)]
    auto: canary::Options,
    #[command(flatten)]
    common: Common,
}

/// A share of visitors; its bounds are told with what is below them.
fn share(text: &str) -> anyhow::Result<f64> {
    let number = text.trim_end_matches('%').trim();
    number.parse().map_err(|_| anyhow::anyhow!("expected a percentage from 0 to 100, but found '{text}'"))
}

impl Canary {
    /// Names the canary in the pointer.
    pub fn run(&self) -> anyhow::Result<Outcome> {
        if let Some(plan) = self.auto.plan() {
            let Common { on, reason, format } = &self.common;
            return self.auto.run(plan, &self.revision, on, reason.as_deref(), *format);
        }
        let percent = self.percent.unwrap_or_default();
        match Share::from_percent(percent) {
            None => bail!("--percent: expected 0 to 100, but found {percent}"),
            Some(Share::NONE) if percent > 0.0 => {
                bail!("--percent: expected 0, or 0.0001 and more, but found {percent}: that is nobody")
            }
            Some(_) => {}
        }
        self.common.repoint(format!("canary {} --percent {percent}", self.revision), |store, before| {
            let mut after = before.clone();
            if percent == 0.0 {
                after.canary = None;
                return Ok(after);
            }
            store.whole(&self.revision)?;
            if before.revision.as_ref() == Some(&self.revision) {
                return Err(already_active(&self.revision));
            }
            after.canary = Some(pointer::Canary { revision: self.revision.clone(), percent });
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
        let did = format!("shadow {}", self.revision.as_deref().unwrap_or("--off"));
        self.common.repoint(did, |store, before| {
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
        self.common.repoint(named("promote", self.revision.as_deref()), |store, before| {
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
#[command(after_long_help = "Examples:
  personalizer rollback --on fastly:STORE_ID
  personalizer rollback r41 --on fastly:STORE_ID
  personalizer rollback --to 'before 14:30' --reason 'empty pages' --on fastly:STORE_ID")]
pub struct Rollback {
    /// The revision to go back to; without it, the canary ends, or `previous` serves.
    revision: Option<String>,
    /// Go back to the revision that served before a time, as the history has it: 'before 14:30' (today, by this machine's time zone) or
    /// 'before 2026-11-27T14:30:00Z'. The canary ends.
    #[arg(long, value_name = "TIME", conflicts_with = "revision")]
    to: Option<String>,
    #[command(flatten)]
    common: Common,
}

impl Rollback {
    /// Ends the canary, or swaps the active revision.
    pub fn run(&self) -> anyhow::Result<Outcome> {
        let moment = self.to.as_deref().map(history::moment).transpose()?;
        let to = moment.as_ref().map(|moment| format!("--to '{moment}'"));
        self.common.repoint(named("rollback", self.revision.as_deref().or(to.as_deref())), |store, before| {
            let mut after = before.clone();
            after.canary = None;
            let named = match &moment {
                Some(moment) => Some(served(store, self.common.on.pointer(), moment)?),
                None => self.revision.clone(),
            };
            if named.is_some() && named == before.revision {
                return Ok(after);
            }
            if named.is_none() && before.canary.is_some() {
                return Ok(after);
            }
            let Some(revision) = named.or_else(|| before.previous.clone()) else {
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

/// A command with what it was given.
fn named(command: &str, argument: Option<&str>) -> String {
    argument.map_or_else(|| command.to_owned(), |argument| format!("{command} {argument}"))
}

/// The revision that served everybody right before a moment.
fn served(store: &Store, entry: &str, moment: &Before) -> anyhow::Result<String> {
    let pointer = History::read(&store.entries, entry).at(moment)?;
    pointer.revision.with_context(|| {
        format!("expected a revision that served {moment}, but found the entries at their bare names, which have no revision to go back to")
    })
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
        self.common.change("enable".to_owned(), |target, entry, cause| switch(target, entry, cause, true))
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
        self.common.change("disable".to_owned(), |target, entry, cause| switch(target, entry, cause, false))
    }
}

/// How often the switch is tried where others keep changing the pointer.
const TRIES: usize = 5;

/// Sets `enabled`, and leaves every other key of the pointer as it is. It must work whatever else is broken, so it looks at the pointer alone;
/// and what others change meanwhile is none of its business, so it is set in what they wrote. Gives the pointer before and after.
fn switch(target: &mut dyn Target, entry: &str, cause: &Cause, enabled: bool) -> anyhow::Result<(Pointer, Pointer)> {
    for _ in 1..TRIES {
        match switch_once(target, entry, cause, enabled) {
            Err(error) if error.is::<Overtaken>() => {}
            done => return done,
        }
    }
    switch_once(target, entry, cause, enabled)
}

fn switch_once(
    target: &mut dyn Target,
    entry: &str,
    cause: &Cause,
    enabled: bool,
) -> anyhow::Result<(Pointer, Pointer)> {
    let store = Store::read(target)?;
    let text = store.entries.get(entry).map_or("{}", String::as_str);
    let fields = serde_json::from_str::<Map<String, Value>>(text);
    if fields.is_err() {
        note(&format!("{entry}: expected JSON, but found '{text}': a new pointer is written"));
    }
    let mut fields = fields.unwrap_or_default();
    let before = read(&fields);
    fields.insert("enabled".to_owned(), enabled.into());
    let after = read(&fields);
    let text = match serde_json::from_value::<Pointer>(Value::Object(fields.clone())) {
        Ok(pointer) => serde_json::to_string(&pointer)?,
        // Keys that can't be read stay for somebody to mend.
        Err(_) => Value::Object(fields).to_string(),
    };
    point(target, entry, &store, &text)?;
    if before != after {
        history::record(target, entry, cause, &before, &after);
    }
    Ok((before, after))
}

fn read(fields: &Map<String, Value>) -> Pointer {
    let whole = Value::Object(fields.clone());
    let lenient = || Pointer::read("active", &whole.to_string(), &mut Vec::new()).unwrap_or_default();
    serde_json::from_value(whole.clone()).unwrap_or_else(|_| lenient())
}
