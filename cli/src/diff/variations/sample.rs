//! Some thousand visitors, the same ones each time, evaluated on both sides.

use std::collections::{BTreeMap, BTreeSet};

use edge_personalizer::condition::{Attributes, Value};
use edge_personalizer::growthbook::{Context, Definitions, Evaluator, Experiment};
use time::OffsetDateTime;

use super::{Facts, Shares, Transition};
use crate::diff::conditions;

/// Transitions that are told apart; the rest are few.
const MOST_TRANSITIONS: usize = 8;

/// Visitors by their ids: 128 bits in hexadecimal, as the edge makes them.
pub struct Sample {
    ids: Vec<String>,
    now: OffsetDateTime,
}

/// What is evaluated on both sides.
pub enum Both<'s> {
    /// A feature, by its key.
    Features(&'s Definitions, &'s Definitions, &'s str),
    /// An experiment of its own.
    Experiments((&'s Definitions, &'s Experiment), (&'s Definitions, &'s Experiment)),
}

/// What a visitor gets.
#[derive(PartialEq)]
struct Got {
    value: String,
    /// Experiment and variation, for those who take part.
    variation: Option<String>,
}

struct Visitor<'v> {
    id: &'v str,
    units: &'v BTreeSet<String>,
    facts: &'v serde_json::Map<String, serde_json::Value>,
}

impl Attributes for Visitor<'_> {
    fn attribute(&self, name: &str) -> Option<Value<'_>> {
        match self.facts.get(name) {
            Some(value) => Some(Value::from(value)),
            None if self.units.contains(name) => Some(Value::String(self.id.into())),
            None => None,
        }
    }
}

impl Sample {
    /// So many visitors.
    pub fn new(visitors: u32, now: OffsetDateTime) -> Self {
        let mut state = 0_u64;
        // SplitMix64 (Steele, Lea, Flood 2014): seeded, so that two runs say the same.
        let mut next = || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^ (mixed >> 31)
        };
        Self { ids: (0..visitors).map(|_| format!("{:016x}{:016x}", next(), next())).collect(), now }
    }

    /// What changes for each kind of visitors; a kind for which the same changes as for one before is left out.
    pub fn shares(&self, kinds: &[Facts], units: &BTreeSet<String>, both: &Both<'_>) -> Vec<Shares> {
        let mut all: Vec<Shares> = Vec::new();
        for facts in kinds {
            let shares = self.of_kind(facts, units, both);
            let same = |other: &Shares| Shares { facts: facts.clone(), ..other.clone() } == shares;
            if !all.iter().any(same) {
                all.push(shares);
            }
        }
        // Where nothing changes for anybody, there is nothing to tell apart.
        if all.iter().all(|shares| shares.changed == 0.0 && shares.moved + shares.left + shares.joined == 0.0) {
            all.truncate(1);
        }
        all
    }

    fn of_kind(&self, facts: &Facts, units: &BTreeSet<String>, both: &Both<'_>) -> Shares {
        let attributes = conditions::attributes(facts);
        let mut counts: BTreeMap<(String, String), u32> = BTreeMap::new();
        let [mut changed, mut moved, mut left, mut joined] = [0_u32; 4];
        for id in &self.ids {
            let visitor = Visitor { id, units, facts: &attributes };
            let context = Context::new(&visitor, self.now);
            let (old, new) = both.got(&context);
            match (&old.variation, &new.variation) {
                (Some(old), Some(new)) => moved += u32::from(old != new),
                (Some(_), None) => left += 1,
                (None, Some(_)) => joined += 1,
                (None, None) => {}
            }
            if old.value != new.value {
                changed += 1;
                *counts.entry((old.value, new.value)).or_default() += 1;
            }
        }
        let visitors = u32::try_from(self.ids.len()).unwrap_or(u32::MAX);
        let share = |count: u32| f64::from(count) / f64::from(visitors);
        let mut transitions: Vec<Transition> =
            counts.into_iter().map(|((from, to), count)| Transition { from, to, share: share(count) }).collect();
        transitions.sort_by(|one, other| other.share.total_cmp(&one.share));
        transitions.truncate(MOST_TRANSITIONS);
        Shares {
            facts: facts.clone(),
            visitors,
            changed: share(changed),
            moved: share(moved),
            left: share(left),
            joined: share(joined),
            transitions,
        }
    }
}

impl Both<'_> {
    fn got(&self, context: &Context<'_>) -> (Got, Got) {
        match self {
            Both::Features(old, new, key) => (feature(old, context, key), feature(new, context, key)),
            Both::Experiments((old_definitions, old), (new_definitions, new)) => {
                (experiment(old_definitions, context, old), experiment(new_definitions, context, new))
            }
        }
    }
}

fn feature(definitions: &Definitions, context: &Context<'_>, key: &str) -> Got {
    let mut evaluator = Evaluator::new(definitions, context);
    let result = evaluator.feature(key);
    let variation = result.experiment.as_ref().filter(|(_, variation)| variation.in_experiment);
    Got {
        value: result.value.to_string(),
        variation: variation.map(|(experiment, variation)| format!("{}:{}", experiment.key(), variation.key)),
    }
}

fn experiment(definitions: &Definitions, context: &Context<'_>, experiment: &Experiment) -> Got {
    let mut evaluator = Evaluator::new(definitions, context);
    let result = evaluator.experiment(experiment);
    let variation = result.in_experiment.then(|| result.key.clone().into_owned());
    let value = variation.as_ref().map_or_else(|| "not in it".to_owned(), |key| format!("variation {key}"));
    Got { value, variation }
}
