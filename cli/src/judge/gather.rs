//! Lines of decisions, gathered by visitor.
//!
//! Requests of one visitor are not independent: whoever meets an error reloads. So a visitor counts once a day for each way to fail, by the
//! line's `slot`, which names nobody.

use std::collections::{BTreeMap, HashMap, HashSet};

use edge_personalizer::record::is_sampled;
use fnv::FnvBuildHasher;
use indicatif::ProgressBar;
use serde::Serialize;

use crate::report::input::{self, Piece};
use crate::report::lines::{Decision, Log, Text, log_of, unwrapped};
use crate::report::members::{self, Layout};
use crate::report::moment::{self, DAY, Micros, SECOND};
use crate::report::seen::{Seen, hash};
use crate::report::statistics::Sample;

/// Which of the two a line is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arm {
    /// What everybody else gets.
    Baseline,
    /// What is on trial.
    Canary,
}

impl Arm {
    fn index(self) -> usize {
        usize::from(self == Self::Canary)
    }
}

/// Ways to fail that have a name of their own beside the error codes.
pub const SERVER_ERROR: &str = "5xx";
/// The origin's personalized answer was replaced.
pub const FALLBACK: &str = "fallback";
/// The request came near the platform's limit of vCPU.
pub const VCPU: &str = "vcpu";
/// Milliseconds of vCPU from which a request counts as near the limit: the platform ends a request at 50.
const NEAR_VCPU_MS: u64 = 40;
/// Length of the time in which the canary's share of visitors is taken as one.
const BUCKET: Micros = 600 * SECOND;
/// Slots there are: 16 bits.
const SLOTS: f64 = 65_536.0;
/// Lines that are remembered to find those that came again.
const REMEMBERED: usize = 4 << 20;

/// A visitor of a day.
pub type Visitor = (i64, u16);
type Map<K, V> = HashMap<K, V, FnvBuildHasher>;

/// What is counted of the lines.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Counts {
    /// Lines of decisions of the two revisions.
    pub lines: u64,
    /// Of these, without a slot: nobody knows whose they are, and they don't count.
    pub without_slot: u64,
    /// Lines of other revisions, of none, and of previews.
    pub other_revisions: u64,
    /// Lines that came again.
    pub doubled: u64,
    /// Lines that can't be read.
    pub broken: u64,
}

/// What is known of the times of one visitor: sums of logarithms, so that one slow request isn't everything.
#[derive(Debug, Clone, Copy, Default)]
struct Times {
    /// Requests.
    count: f64,
    /// Sum of the natural logarithms of milliseconds.
    logs: f64,
}

impl Times {
    /// Adds a request of a visitor, whose mean counts among all.
    fn add(&mut self, milliseconds: f64, all: &mut Sample) {
        /// What is below can't be measured.
        const LEAST: f64 = 0.01;
        if self.count > 0.0 {
            all.take_back(self.logs / self.count);
        }
        self.count += 1.0;
        self.logs += milliseconds.max(LEAST).ln();
        all.add(self.logs / self.count);
    }
}

/// By what is compared with what: the times of a visitor, or what they come to over all visitors.
#[derive(Debug, Clone, Copy, Default)]
pub struct Measured<T> {
    /// The edge's own share, in warm sandboxes.
    pub edge: T,
    /// The same in cold ones.
    pub edge_cold: T,
    /// The whole, in warm sandboxes.
    pub total: T,
}

/// One revision's visitors.
#[derive(Debug, Default)]
pub struct Side {
    /// Each visitor of a day.
    visitors: Map<Visitor, Measured<Times>>,
    /// The means of the visitors' logarithms: kept up to date, so that a look doesn't go through all visitors.
    pub times: Measured<Sample>,
    /// When a visitor first failed, by the way.
    pub failures: BTreeMap<String, Map<Visitor, Micros>>,
    /// The slots that were seen, by time.
    active: BTreeMap<i64, HashSet<u16, FnvBuildHasher>>,
}

impl Side {
    /// How many visitors there are, one of two days twice.
    pub fn visitors(&self) -> usize {
        self.visitors.len()
    }
}

/// Pieces of ten minutes.
pub type Buckets = HashSet<i64, FnvBuildHasher>;

/// The ten minutes that a time is in.
pub fn bucket(at: Micros) -> i64 {
    at.div_euclid(BUCKET)
}

/// The rate that kept a sound line; `None` for a line that is kept in any case, because it failed or fell back.
pub fn rate(line: &Decision<'_>) -> Option<f64> {
    let is_sound = line.status < 500 && line.fallback.is_none();
    is_sound.then(|| line.sample.filter(|rate| *rate > 0.0 && *rate < 1.0).unwrap_or(1.0))
}

/// All that is judged.
#[derive(Debug)]
pub struct Gathered {
    names: [String; 2],
    /// The baseline, the canary.
    pub sides: [Side; 2],
    /// How many lines.
    pub counts: Counts,
    seen: Seen,
    layout: Layout,
    /// Earlier lines don't count.
    since: Option<Micros>,
    /// Nor do later ones.
    until: Option<Micros>,
    /// Nor do those of other ten minutes, where this is known.
    buckets: Option<Buckets>,
    /// Lines of the two that don't count because of their time, and those of them that are of other ten minutes.
    left_out: [u64; 2],
    /// The lowest rate of each side's sound lines: the better-logged side is thinned to the lower one.
    rates: [f64; 2],
    /// Sound lines that don't count, for the lower rate wouldn't have kept them.
    thinned: u64,
    /// The time of each side's newest line that counts.
    newest: [Option<Micros>; 2],
}

impl Gathered {
    /// Nothing yet of two revisions.
    pub fn new(baseline: &str, canary: &str) -> Self {
        Self {
            names: [baseline.to_owned(), canary.to_owned()],
            sides: [Side::default(), Side::default()],
            counts: Counts::default(),
            seen: Seen::new(REMEMBERED),
            layout: Layout::default(),
            since: None,
            until: None,
            buckets: None,
            left_out: [0, 0],
            rates: [1.0; 2],
            thinned: 0,
            newest: [None, None],
        }
    }

    /// Only lines from then on count.
    pub fn since(mut self, since: Micros) -> Self {
        self.since = Some(since);
        self
    }

    /// Only lines up to then count.
    pub fn until(mut self, until: Micros) -> Self {
        self.until = Some(until);
        self
    }

    /// Only lines of these ten minutes count.
    pub fn within(mut self, buckets: Buckets) -> Self {
        self.buckets = Some(buckets);
        self
    }

    /// The lowest rates of both sides' sound lines are known already: where they differ, only those lines count that the lower one would have
    /// kept.
    pub fn logged_at(mut self, rates: [f64; 2]) -> Self {
        self.rates = rates;
        self
    }

    /// The lowest rate of each side's sound lines, as far as it is known.
    pub fn rates(&self) -> [f64; 2] {
        self.rates
    }

    /// The rate at which both are compared.
    pub fn rate(&self) -> f64 {
        let [baseline, canary] = self.rates;
        baseline.min(canary)
    }

    /// Sound lines that don't count, for the other side's rate wouldn't have kept them.
    pub fn thinned(&self) -> u64 {
        self.thinned
    }

    /// Lines of the two that don't count because of their time, and those of them that are of other ten minutes.
    pub fn left_out(&self) -> [u64; 2] {
        self.left_out
    }

    /// The time of the newest line of the two.
    pub fn newest(&self) -> Option<Micros> {
        let [baseline, canary] = self.newest;
        baseline.max(canary)
    }

    /// The time of the newest line of the canary.
    pub fn newest_of_canary(&self) -> Option<Micros> {
        let [_, canary] = self.newest;
        canary
    }

    /// Reads the lines of a piece.
    ///
    /// # Errors
    ///
    /// The file can't be read.
    pub fn read(&mut self, piece: &Piece, bar: &ProgressBar) -> anyhow::Result<()> {
        let ended = input::lines(piece, bar, |line| self.line(line))?;
        self.counts.broken += ended.too_long;
        Ok(())
    }

    /// Takes a line of any log, or of another program.
    pub fn line(&mut self, line: &[u8]) {
        if let Some(line) = decision(line, &mut self.layout) {
            self.take(line.as_ref());
        }
    }

    /// Takes a line of `decisions`; `None` for one that can't be read. A preview shows one person a revision, and says nothing of it.
    pub fn take(&mut self, line: Option<&Decision<'_>>) {
        let Some(line) = line else {
            self.counts.broken += 1;
            return;
        };
        let revision = line.revision.as_ref().map(Text::as_str);
        let [baseline, canary] = &self.names;
        let arm = match revision {
            _ if line.preview => {
                self.counts.other_revisions += 1;
                return;
            }
            Some(name) if name == baseline => Arm::Baseline,
            Some(name) if name == canary => Arm::Canary,
            _ => {
                self.counts.other_revisions += 1;
                return;
            }
        };
        let Some(at) = moment::read(line.time.as_str()) else {
            self.counts.broken += 1;
            return;
        };
        let [outside, of_gaps] = &mut self.left_out;
        if self.since.is_some_and(|since| at < since) || self.until.is_some_and(|until| at > until) {
            *outside += 1;
            return;
        }
        if self.buckets.as_ref().is_some_and(|buckets| !buckets.contains(&bucket(at))) {
            (*outside, *of_gaps) = (*outside + 1, *of_gaps + 1);
            return;
        }
        if let Some(newest) = self.newest.get_mut(arm.index()) {
            *newest = (*newest).max(Some(at));
        }
        // The shield's pass of a request is no request of its own.
        if line.pass > 1 {
            return;
        }
        let id = line.request_id.as_ref().map(|id| hash(&[id.as_str().as_bytes()]));
        if id.is_some_and(|id| !self.seen.is_new(id)) {
            self.counts.doubled += 1;
            return;
        }
        if !self.is_kept(arm, line) {
            self.thinned += 1;
            return;
        }
        self.counts.lines += 1;
        let Some(slot) = line.slot else {
            self.counts.without_slot += 1;
            return;
        };
        let mut failed: Vec<&str> = line.errors.iter().map(Text::as_str).collect();
        failed.extend((line.status >= 500).then_some(SERVER_ERROR));
        failed.extend(line.fallback.is_some().then_some(FALLBACK));
        failed.extend(line.vcpu_ms.is_some_and(|used| used >= NEAR_VCPU_MS).then_some(VCPU));
        let times = line.total_ms.map(|total| (total, line.origin_ms));
        self.request(arm, at, slot, &failed, times.map(|(total, origin)| (total, origin, line.cold)));
    }

    /// Whether the lower rate of the two would have kept a line. The id decides that, as it does at the edge.
    ///
    /// Where the rate turns out to be lower than it was known to be, all begins anew: what has been counted can't be thinned any more. A
    /// revision's rate never changes, so that happens at the beginning.
    fn is_kept(&mut self, arm: Arm, line: &Decision<'_>) -> bool {
        let Some(rate) = rate(line) else { return true };
        let before = self.rate();
        if let Some(lowest) = self.rates.get_mut(arm.index()) {
            *lowest = lowest.min(rate);
        }
        if self.rate() < before {
            self.sides = [Side::default(), Side::default()];
            self.thinned += std::mem::take(&mut self.counts.lines);
            self.counts.without_slot = 0;
        }
        let [of_baseline, of_canary] = self.rates;
        // What went wrong with a page is logged in any case, too, as a line of its own rate: where both have one rate, nothing is thinned.
        if rate <= self.rate() || of_baseline.total_cmp(&of_canary).is_eq() {
            return true;
        }
        is_sampled(line.request_id.as_ref().map_or("", Text::as_str), self.rate())
    }

    /// Takes a request of a visitor: when it was, in which ways it failed, and its times (total and the origin's milliseconds, cold).
    pub fn request(
        &mut self,
        arm: Arm,
        at: Micros,
        slot: u16,
        failed: &[&str],
        times: Option<(f64, Option<f64>, bool)>,
    ) {
        let Some(side) = self.sides.get_mut(arm.index()) else { return };
        let visitor = (at.div_euclid(DAY), slot);
        let measured = side.visitors.entry(visitor).or_default();
        if let Some((total, origin, cold)) = times.filter(|(total, ..)| total.is_finite()) {
            let edge = total - origin.unwrap_or_default();
            if cold {
                measured.edge_cold.add(edge, &mut side.times.edge_cold);
            } else {
                measured.edge.add(edge, &mut side.times.edge);
                measured.total.add(total, &mut side.times.total);
            }
        }
        side.active.entry(bucket(at)).or_default().insert(slot);
        for name in failed {
            if !side.failures.contains_key(*name) {
                side.failures.insert((*name).to_owned(), Map::default());
            }
            if let Some(visitors) = side.failures.get_mut(*name) {
                let first = visitors.entry(visitor).or_insert(at);
                *first = (*first).min(at);
            }
        }
    }

    /// How many visitors each has, a visitor of two days twice.
    pub fn visitors(&self) -> [u64; 2] {
        self.sides.each_ref().map(|side| u64::try_from(side.visitors()).unwrap_or(u64::MAX))
    }

    /// The canary's share of the visitors around a time: of its ten minutes, with the share of all times as two hundred visitors more, so that a
    /// quiet hour isn't taken for another share.
    pub fn shares(&self) -> Shares {
        let mut buckets: BTreeMap<i64, [f64; 2]> = BTreeMap::new();
        for (index, side) in self.sides.iter().enumerate() {
            for (bucket, slots) in &side.active {
                if let Some(count) = buckets.entry(*bucket).or_default().get_mut(index) {
                    *count = people(slots.len());
                }
            }
        }
        let whole = buckets.values().fold([0.0, 0.0], |[a, b], [x, y]| [a + x, b + y]);
        Shares { buckets, whole: share_of(whole) }
    }
}

/// A line of `decisions`, read: `None` for a line of another log or program, and within it `None` for one that can't be read. `layout` is
/// that of the last line.
pub fn decision<'l>(line: &'l [u8], layout: &mut Layout) -> Option<Option<Decision<'l>>> {
    let (json, log) = unwrapped(line)?;
    (log.or_else(|| log_of(json)) == Some(Log::Decisions)).then(|| members::read(json, layout).ok())
}

/// How many visitors leave so many slots behind (linear counting): two of them may have one slot.
fn people(slots: usize) -> f64 {
    let used = u32::try_from(slots).map_or(SLOTS, f64::from).min(SLOTS - 1.0);
    -SLOTS * (1.0 - used / SLOTS).ln()
}

fn share_of([baseline, canary]: [f64; 2]) -> f64 {
    if baseline + canary > 0.0 { canary / (baseline + canary) } else { 0.0 }
}

/// The canary's share of visitors, by time.
#[derive(Debug)]
pub struct Shares {
    buckets: BTreeMap<i64, [f64; 2]>,
    whole: f64,
}

impl Shares {
    /// The share around a time, above 0 and below 1.
    pub fn at(&self, at: Micros) -> f64 {
        const PRIOR: f64 = 200.0;
        let [baseline, canary] = self.buckets.get(&bucket(at)).copied().unwrap_or_default();
        let share = (canary + PRIOR * self.whole) / (baseline + canary + PRIOR);
        share.clamp(1e-6, 1.0 - 1e-6)
    }
}
