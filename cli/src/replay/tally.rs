//! Lines, grouped and counted: identical ones are decided once.

use std::collections::{BTreeMap, HashMap};

use edge_personalizer::replay::{Changed, Pair, Part, Verdict};
use serde_json::Value;

use super::By;
use super::line::{Logged, Sight, text};
use super::model::{Apart, Change, Counts, Replay, VERSION, WhyNot};
use crate::diff::side::Which;
use crate::report::lines::{Log, Text, log_of, unwrapped};
use crate::report::members::Layout;
use crate::report::moment::{Micros, SECOND};
use crate::report::seen::{Map as Groups, Seen, hash};

/// Groups that are remembered; beyond, they are decided again.
const MOST_GROUPS: usize = 1 << 20;
/// Lines that are remembered to find those that came again.
const REMEMBERED: usize = 4 << 20;
/// Changes and reasons that are told apart.
const MOST_NAMED: usize = 1_000;
/// Examples of a change.
const EXAMPLES: usize = 10;
/// Values that are told apart of a country, a route, a POP.
const MOST_VALUES: usize = 10_000;
/// What stands for those beyond.
const OTHERS: &str = "(others)";

/// How a group of lines comes out.
#[derive(Debug, Clone)]
enum Fate {
    NotReproduced(usize),
    Unchanged,
    Changed(usize),
    Undetermined(Vec<String>),
    /// What they are decided by can't be read.
    Broken,
}

/// The moments between which time changes nothing.
#[derive(Debug)]
pub enum Eras {
    /// A condition reads the clock: each second may be another.
    Seconds,
    /// Schedules begin and end at these.
    Between(Vec<Micros>),
}

impl Eras {
    fn of(&self, at: Micros) -> u64 {
        match self {
            Self::Seconds => u64::try_from(at.div_euclid(SECOND)).unwrap_or_default(),
            Self::Between(moments) => {
                u64::try_from(moments.partition_point(|moment| *moment <= at)).unwrap_or_default()
            }
        }
    }
}

/// What was counted.
pub struct Tally<'r> {
    pair: Pair<'r>,
    which: &'r Which,
    eras: Eras,
    by: &'r [By],
    /// How each group comes out, by its place in `fates`.
    groups: Groups<Box<[u8]>, usize>,
    fates: Vec<Fate>,
    key: Vec<u8>,
    layout: Layout,
    seen: Seen,
    all: Counts,
    /// The same, each line weighed: changed, determined.
    weight: [f64; 2],
    unknown: BTreeMap<String, u64>,
    changes: Vec<Change>,
    places: HashMap<(Option<String>, Part, Part), usize>,
    changes_left_out: u64,
    why_not: Vec<WhyNot>,
    reasons: HashMap<String, usize>,
    by_value: BTreeMap<String, BTreeMap<String, Counts>>,
    apart: Apart,
}

impl<'r> Tally<'r> {
    /// Nothing yet. Lines of `which` are decided again by `pair`.
    pub fn new(pair: Pair<'r>, which: &'r Which, eras: Eras, by: &'r [By]) -> Self {
        Self {
            pair,
            which,
            eras,
            by,
            groups: HashMap::default(),
            fates: Vec::new(),
            key: Vec::new(),
            layout: Layout::default(),
            seen: Seen::new(REMEMBERED),
            all: Counts::default(),
            weight: [0.0; 2],
            unknown: BTreeMap::new(),
            changes: Vec::new(),
            places: HashMap::new(),
            changes_left_out: 0,
            why_not: Vec::new(),
            reasons: HashMap::new(),
            by_value: BTreeMap::new(),
            apart: Apart::default(),
        }
    }

    /// Lines that can't be one.
    pub fn broken(&mut self, lines: u64) {
        self.apart.broken += lines;
    }

    /// Takes a line of any log, or of another program.
    pub fn line(&mut self, line: &[u8]) {
        let Some((json, log)) = unwrapped(line) else { return };
        if log.or_else(|| log_of(json)) != Some(Log::Decisions) {
            return;
        }
        if let Some(sight) = Sight::of(json, &mut self.layout) {
            return self.seen(&sight, json);
        }
        // Another program may have written it anew: with tabs between its members, or with one of them twice, of which the last counts.
        let anew = serde_json::from_slice::<Value>(json).map(|value| value.to_string()).unwrap_or_default();
        match Sight::of(anew.as_bytes(), &mut Layout::default()) {
            Some(sight) => self.seen(&sight, anew.as_bytes()),
            None => self.apart.broken += 1,
        }
    }

    fn seen(&mut self, line: &Sight<'_>, json: &[u8]) {
        // The shield's pass of a request decides nothing.
        if line.pass > 1 {
            return;
        }
        if line.request_id.is_some_and(|id| !self.seen.is_new_alone(hash(&[id.as_bytes()]))) {
            self.apart.doubled += 1;
        } else if !line.is_of(self.which) {
            self.apart.other_revision += 1;
        } else if line.preview {
            self.apart.preview += 1;
        } else {
            self.count(line, json);
        }
    }

    fn count(&mut self, line: &Sight<'_>, json: &[u8]) {
        let mut key = std::mem::take(&mut self.key);
        line.key(self.eras.of(line.at), &mut key);
        let known = self.groups.get(key.as_slice()).copied();
        let fate = known.unwrap_or_else(|| {
            if self.groups.len() >= MOST_GROUPS {
                self.groups.clear();
                self.fates.clear();
            }
            let logged = Logged::read(json, &mut Layout::default());
            let fate = logged.map_or(Fate::Broken, |logged| self.decide(&logged, line.at, json));
            self.fates.push(fate);
            self.groups.insert(key.as_slice().into(), self.fates.len() - 1);
            self.fates.len() - 1
        });
        let mut counts = Counts { lines: 1, ..Counts::default() };
        let weight = line.sample.filter(|sample| *sample > 0.0 && *sample <= 1.0).map_or(1.0, |sample| 1.0 / sample);
        let [changed, determined] = &mut self.weight;
        match self.fates.get(fate) {
            None => {}
            Some(Fate::Broken) => {
                self.apart.broken += 1;
                self.key = key;
                return;
            }
            Some(Fate::Unchanged) => {
                counts.unchanged = 1;
                *determined += weight;
            }
            Some(Fate::Changed(place)) => {
                counts.changed = 1;
                *determined += weight;
                *changed += weight;
                match self.changes.get_mut(*place) {
                    Some(change) => {
                        change.lines += 1;
                        if change.examples.len() < EXAMPLES {
                            change.examples.extend(serde_json::from_slice::<Value>(json));
                        }
                    }
                    None => self.changes_left_out += 1,
                }
            }
            Some(Fate::Undetermined(attributes)) => {
                counts.undetermined = 1;
                for name in attributes {
                    match self.unknown.get_mut(name) {
                        Some(lines) => *lines += 1,
                        None => drop(self.unknown.insert(name.clone(), 1)),
                    }
                }
            }
            Some(Fate::NotReproduced(place)) => {
                counts.not_reproduced = 1;
                if let Some(why) = self.why_not.get_mut(*place) {
                    why.lines += 1;
                }
            }
        }
        self.all.add(counts);
        for by in self.by {
            let value = line.value(*by);
            let values = self.by_value.entry(by.name().to_owned()).or_default();
            let value = value.as_ref().map_or("none", Text::as_str);
            match values.get_mut(value) {
                Some(known) => known.add(counts),
                None => {
                    let value = if values.len() < MOST_VALUES { value } else { OTHERS };
                    values.entry(value.to_owned()).or_default().add(counts);
                }
            }
        }
        self.key = key;
    }

    fn decide(&mut self, logged: &Logged<'_>, at: Micros, json: &[u8]) -> Fate {
        match self.pair.replay(&logged.line(at)) {
            Verdict::Unchanged => Fate::Unchanged,
            Verdict::Undetermined(attributes) => Fate::Undetermined(attributes.into_iter().collect()),
            Verdict::Changed(changed) => {
                let route = text(&logged.route).map(str::to_owned);
                let Changed { from, to, .. } = *changed;
                let place = (route.clone(), from.clone(), to.clone());
                let known = self.places.get(&place).copied();
                Fate::Changed(known.unwrap_or_else(|| {
                    if self.changes.len() >= MOST_NAMED {
                        return usize::MAX;
                    }
                    self.places.insert(place, self.changes.len());
                    self.changes.push(Change { route, from, to, lines: 0, examples: Vec::new() });
                    self.changes.len() - 1
                }))
            }
            Verdict::NotReproduced(why) => {
                let why = why.join("; ");
                let known = self.reasons.get(&why).copied();
                Fate::NotReproduced(known.unwrap_or_else(|| {
                    if self.why_not.len() >= MOST_NAMED {
                        return usize::MAX;
                    }
                    let example = serde_json::from_slice(json).unwrap_or_default();
                    self.reasons.insert(why.clone(), self.why_not.len());
                    self.why_not.push(WhyNot { why, lines: 0, example });
                    self.why_not.len() - 1
                }))
            }
        }
    }

    /// What came out.
    pub fn result(self, from: &str, to: &str) -> Replay {
        let Self { all, weight: [changed, determined], mut changes, mut why_not, .. } = self;
        changes.sort_by_key(|change| std::cmp::Reverse(change.lines));
        why_not.sort_by_key(|why| std::cmp::Reverse(why.lines));
        Replay {
            v: VERSION,
            from: from.to_owned(),
            to: to.to_owned(),
            lines: all.lines,
            not_reproduced: all.not_reproduced,
            changed: all.changed,
            unchanged: all.unchanged,
            undetermined: all.undetermined,
            unknown: self.unknown,
            changed_share: (determined > 0.0).then(|| changed / determined),
            changes,
            changes_left_out: self.changes_left_out,
            why_not,
            by: self.by_value,
            apart: self.apart,
        }
    }
}

impl Counts {
    fn add(&mut self, other: Self) {
        self.lines += other.lines;
        self.not_reproduced += other.not_reproduced;
        self.changed += other.changed;
        self.unchanged += other.unchanged;
        self.undetermined += other.undetermined;
    }
}
