//! One canary on its way: what it has read, where it stands, and the writing of the pointer.

use anyhow::bail;
use edge_personalizer::rules::pointer::{Canary, Pointer};
use serde_json::json;
use time::OffsetDateTime;

use super::annotate::Annotations;
use super::plan::{Plan, Step};
use super::steer::{Decision, Sight, decide};
use crate::history::{Cause, History, Record};
use crate::judge::gather::{Gathered, decision};
use crate::judge::metrics::Margins;
use crate::judge::{self, judge};
use crate::output::{Format, Outcome, note};
use crate::report::members::Layout;
use crate::report::moment::{self, Micros};
use crate::rollout::{Overtaken, Store, repoint};
use crate::target::Target;

/// What doesn't change on the way.
#[derive(Debug)]
pub struct Settings {
    /// The pointer's entry.
    pub entry: &'static str,
    /// The revision on trial.
    pub revision: String,
    /// Its steps.
    pub plan: Plan,
    /// As for `judge`.
    pub alpha: f64,
    /// As for `judge`, of all visitors together.
    pub margins: Margins,
    /// Whether it is promoted after the last step.
    pub promotes: bool,
    /// Whether it is tried though it was taken back before.
    pub again: bool,
    /// Goes into the history before what the logs say.
    pub reason: Option<String>,
    /// Where annotations go.
    pub annotations: Annotations,
    /// How looks are shown.
    pub format: Format,
}

/// A canary on its way.
#[derive(Debug)]
pub struct Drive {
    settings: Settings,
    baseline: String,
    /// The place of the step in the plan.
    step: usize,
    /// When the canary began, and when this step did.
    since: [Micros; 2],
    /// The lines of all of its time, and of this step.
    gathered: [Gathered; 2],
    layout: Layout,
    /// When it was looked at last, by the clock and by the logs.
    looked: Option<(Micros, Option<Micros>)>,
}

/// How a start ended.
#[derive(Debug)]
pub enum Started {
    /// It runs.
    Runs(Box<Drive>),
    /// There is nothing to run.
    Ended(Outcome),
}

impl Drive {
    /// Starts a canary, or goes on with it where it is.
    ///
    /// # Errors
    ///
    /// It can't run: another canary is on, everything is off, the revision isn't whole, or the store fails.
    pub fn start(target: &mut dyn Target, settings: Settings, now: Micros) -> anyhow::Result<Started> {
        let store = Store::read(target)?;
        let pointer = store.pointer(settings.entry)?;
        let history = History::read(&store.entries, settings.entry);
        let revision = settings.revision.clone();
        let Some(baseline) = pointer.revision.clone() else {
            bail!("expected a revision that serves, to compare with, but found none: `personalizer promote` one first");
        };
        if !pointer.enabled {
            bail!("expected personalization to be on, but found it switched off (`personalizer enable` ends that)");
        }
        if baseline == revision {
            note(&format!("{revision} serves everybody already"));
            return Ok(Started::Ended(Outcome::Well));
        }
        let (step, since) = match &pointer.canary {
            Some(canary) if canary.revision != revision => {
                bail!("expected no canary, or {revision}, but found {} on trial", canary.revision)
            }
            Some(canary) => match settings.plan.step_of(canary.percent) {
                Some(step) => (Some(step), beginnings(&history, &pointer, now)),
                None => bail!(
                    "expected the canary at a step of the plan ({}), but found it at {} %",
                    settings.plan.shares(),
                    canary.percent
                ),
            },
            None => {
                if let Some(record) = taken_back(&history, &revision).filter(|_| !settings.again) {
                    let by_us = record.did == did(&revision);
                    note(&format!("{revision} was taken back: {} (`--again` tries it again)", record.told()));
                    return Ok(Started::Ended(if by_us { Outcome::Faults } else { Outcome::Overtaken }));
                }
                (None, [now, now])
            }
        };
        let gathered = since.map(|since| Gathered::new(&baseline, &revision).since(since));
        let mut drive = Self {
            settings,
            baseline,
            step: step.unwrap_or_default(),
            since,
            gathered,
            layout: Layout::default(),
            looked: None,
        };
        match step {
            Some(step) => drive.say(now, "resume", &format!("goes on with step {}", step + 1)),
            None => {
                store.whole(&revision)?;
                drive.enter(target, 0, None, now, "starts")?;
            }
        }
        Ok(Started::Runs(Box::new(drive)))
    }

    /// When the canary began.
    pub fn since(&self) -> Micros {
        let [since, _] = self.since;
        since
    }

    /// Takes a line of any log.
    pub fn line(&mut self, line: &[u8]) {
        if let Some(line) = decision(line, &mut self.layout) {
            self.gathered.iter_mut().for_each(|gathered| gathered.take(line.as_ref()));
        }
    }

    /// Whether it is time for a look: at first, and each time that so much log time or so much time has passed.
    pub fn is_due(&self, now: Micros, every: Micros) -> bool {
        let Some((at, newest)) = self.looked else { return true };
        let passed = |from: Option<Micros>, to: Option<Micros>| to.is_some_and(|to| to - from.unwrap_or(at) >= every);
        now - at >= every || passed(newest, self.newest(now))
    }

    /// The newest line's time; a clock that is ahead makes no time pass.
    fn newest(&self, now: Micros) -> Option<Micros> {
        let [whole, _] = &self.gathered;
        whole.newest().map(|newest| newest.min(now))
    }

    /// Looks at what is known, says it in a line, and acts. Gives how it ended, where it did.
    ///
    /// # Errors
    ///
    /// The store can't be read or written; the next look tries again.
    pub fn look(&mut self, target: &mut dyn Target, now: Micros) -> anyhow::Result<Option<Outcome>> {
        let newest = self.newest(now);
        self.looked = Some((now, newest));
        let store = Store::read(target)?;
        if !store.pointer(self.settings.entry).is_ok_and(|pointer| self.is_ours(&pointer)) {
            let overtaken = Overtaken::new(&store.entries, self.settings.entry, None);
            return Ok(Some(self.stops(now, &overtaken)));
        }
        let [whole, step] =
            self.gathered.each_ref().map(|gathered| judge(gathered, self.settings.alpha, self.settings.margins));
        let [_, step_since] = self.since;
        let of_canary = self.gathered.each_ref().map(Gathered::newest_of_canary).into_iter().flatten().max();
        let [_, visitors] = step.visitors();
        let sight = Sight {
            whole: &whole,
            step: &step,
            at: self.at(),
            next: self.settings.plan.steps.get(self.step + 1).map_or(100.0, |step| step.percent),
            // By its own lines: those of the baseline go on also where the canary has fallen silent.
            elapsed: of_canary.map_or(0, |newest| (newest.min(now) - step_since).max(0)),
            visitors,
        };
        let decision = decide(&sight);
        self.say(now, decision.as_str(), decision.why());
        let acted = match &decision {
            Decision::Hold(_) => return Ok(None),
            Decision::GoOn(why) => self.goes_on(target, now, why),
            Decision::RollBack(why) => self.rolls_back(target, now, why).inspect(|_| {
                if self.settings.format == Format::Text {
                    anstream::println!("{}", judge::text(&whole, &self.baseline, &self.settings.revision));
                }
            }),
        };
        match acted {
            Err(error) => match error.downcast::<Overtaken>() {
                Ok(overtaken) => Ok(Some(self.stops(now, &overtaken))),
                Err(error) => Err(error),
            },
            acted => acted,
        }
    }

    fn at(&self) -> Step {
        let none = Step { percent: 0.0, time: 0, visitors: 0 };
        self.settings.plan.steps.get(self.step).copied().unwrap_or(none)
    }

    /// Whether the pointer is as we left it, in what decides who gets what. A shadow, for one, is somebody else's business.
    fn is_ours(&self, pointer: &Pointer) -> bool {
        let canary = Canary { revision: self.settings.revision.clone(), percent: self.at().percent };
        pointer.enabled && pointer.revision.as_ref() == Some(&self.baseline) && pointer.canary == Some(canary)
    }

    fn goes_on(&mut self, target: &mut dyn Target, now: Micros, why: &str) -> anyhow::Result<Option<Outcome>> {
        if self.step + 1 < self.settings.plan.steps.len() {
            self.enter(target, self.step + 1, Some(self.step), now, why)?;
            return Ok(None);
        }
        let revision = self.settings.revision.clone();
        if !self.settings.promotes {
            let percent = self.at().percent;
            self.settings.annotations.write(now, &revision, "done", &format!("{revision} at {percent} %: {why}"));
            note(&format!("the plan is done. `personalizer promote {revision}` makes it the revision of everybody"));
            return Ok(Some(Outcome::Well));
        }
        self.write(target, now, why, |after| {
            after.shadow = after.shadow.take().filter(|shadow| *shadow != revision);
            after.previous = after.revision.replace(revision.clone());
            after.canary = None;
        })?;
        self.settings.annotations.write(now, &self.settings.revision, "promote", why);
        self.say(now, "promote", "serves everybody");
        Ok(Some(Outcome::Well))
    }

    fn rolls_back(&mut self, target: &mut dyn Target, now: Micros, why: &str) -> anyhow::Result<Option<Outcome>> {
        self.write(target, now, &format!("worse: {why}"), |after| after.canary = None)?;
        self.settings.annotations.write(now, &self.settings.revision, "rollback", why);
        self.say(now, "rolled back", &format!("{} serves everybody, {}", self.baseline, target.spreads_in()));
        note(&format!(
            "caches may still have pages of {0}: `fastly purge --key revision-{0}` removes them",
            self.settings.revision
        ));
        Ok(Some(Outcome::Faults))
    }

    fn enter(
        &mut self,
        target: &mut dyn Target,
        step: usize,
        from: Option<usize>,
        now: Micros,
        why: &str,
    ) -> anyhow::Result<()> {
        let Some(next) = self.settings.plan.steps.get(step).copied() else { return Ok(()) };
        let canary = Canary { revision: self.settings.revision.clone(), percent: next.percent };
        let cause = self.cause(now, why);
        let ours = |pointer: &Pointer| {
            if from.is_none() { pointer.enabled && pointer.canary.is_none() } else { self.is_ours(pointer) }
        };
        repoint(target, self.settings.entry, &cause, |store, before| {
            if !ours(before) || before.revision.as_ref() != Some(&self.baseline) {
                return Err(Overtaken::new(&store.entries, self.settings.entry, None).into());
            }
            let mut after = before.clone();
            after.canary = Some(canary.clone());
            Ok(after)
        })?;
        self.step = step;
        let [began, _] = self.since;
        self.since = [began, now];
        let [whole, of_step] = &mut self.gathered;
        *of_step = Gathered::new(&self.baseline, &self.settings.revision).since(now).logged_at(whole.rates());
        let text = format!("{} % of the visitors: {why}", canary.percent);
        self.settings.annotations.write(now, &self.settings.revision, "step", &text);
        self.say(now, "step", &format!("{} % of the visitors get it", canary.percent));
        Ok(())
    }

    /// Writes the pointer, where it is still ours.
    fn write(
        &self,
        target: &mut dyn Target,
        now: Micros,
        why: &str,
        change: impl Fn(&mut Pointer),
    ) -> anyhow::Result<()> {
        repoint(target, self.settings.entry, &self.cause(now, why), |store, before| {
            if !self.is_ours(before) {
                return Err(Overtaken::new(&store.entries, self.settings.entry, None).into());
            }
            let mut after = before.clone();
            change(&mut after);
            Ok(after)
        })
        .map(drop)
    }

    fn cause(&self, now: Micros, why: &str) -> Cause {
        let reason = self.settings.reason.as_deref().map(|reason| format!("{reason}; ")).unwrap_or_default();
        let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(now) * 1_000).ok();
        Cause { did: did(&self.settings.revision), why: Some(format!("{reason}{why}")), at }
    }

    /// It holds where it is, for good.
    pub fn holds(&self, now: Micros, why: &str) -> Outcome {
        let text = format!("{why}: it stays at {} %", self.at().percent);
        self.say(now, "held", &text);
        self.settings.annotations.write(now, &self.settings.revision, "held", &text);
        Outcome::Inconclusive
    }

    fn stops(&self, now: Micros, overtaken: &Overtaken) -> Outcome {
        self.say(now, "stopped", &overtaken.to_string());
        self.settings.annotations.write(now, &self.settings.revision, "stopped", &overtaken.to_string());
        Outcome::Overtaken
    }

    /// A line of progress: the logs' newest time, where it stands, what is done.
    fn say(&self, now: Micros, what: &str, why: &str) {
        let step = self.at();
        let (place, steps) = (self.step + 1, self.settings.plan.steps.len());
        let newest = self.newest(now).map(moment::second);
        match self.settings.format {
            Format::Text => {
                let at = newest.unwrap_or_else(|| "(no lines yet)".to_owned());
                let revision = &self.settings.revision;
                anstream::println!("{at}  {revision} {} %  step {place} of {steps}  {what}: {why}", step.percent);
            }
            Format::Json => {
                let line = json!({ "v": 1, "time": moment::second(now), "newest_line": newest, "revision": self.settings.revision,
                    "percent": step.percent, "step": place, "steps": steps, "what": what, "why": why });
                anstream::println!("{line}");
            }
        }
    }
}

/// How the history calls it.
fn did(revision: &str) -> String {
    format!("canary {revision} --auto")
}

/// When the canary that is on began, and when it got the share that it has. A change that isn't in the history is taken to be new.
fn beginnings(history: &History, pointer: &Pointer, now: Micros) -> [Micros; 2] {
    let same = |to: &Pointer| to.enabled && to.revision == pointer.revision;
    let name = |pointer: &Pointer| pointer.canary.as_ref().map(|canary| canary.revision.clone());
    let earliest = |is: &dyn Fn(&Pointer) -> bool| {
        let records = history.records.iter().rev().take_while(|record| is(&record.to)).last();
        let time = records.and_then(Record::time)?;
        Micros::try_from(time.unix_timestamp_nanos() / 1_000).ok()
    };
    let step = earliest(&|to| same(to) && to.canary == pointer.canary).unwrap_or(now);
    let whole = earliest(&|to| same(to) && name(to) == name(pointer)).unwrap_or(step);
    [whole.min(step), step]
}

/// The change that took a revision back, where that is the last thing that happened to it.
fn taken_back<'h>(history: &'h History, revision: &str) -> Option<&'h Record> {
    let has = |pointer: &Pointer| {
        let canary = pointer.canary.as_ref().map(|canary| canary.revision.as_str());
        pointer.revision.as_deref() == Some(revision) || canary == Some(revision)
    };
    let concerns = |record: &&Record| has(&record.to) || record.from.as_ref().is_some_and(has);
    history.records.iter().rev().find(concerns).filter(|record| !has(&record.to))
}
