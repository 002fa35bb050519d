//! Experiments: who was where, whether that can be trusted, and what came of it.

use std::collections::{BTreeMap, BTreeSet};

use super::metric::{Kind, Metric, Wanted, arms};
use super::model::{Count, Day, Experiment, MetricRow, Variation, Verdict, WeightsFrom};
use super::moment::{self, DAY, Micros};
use super::names::{Name, Names};
use super::read::Collected;
use super::rules::Rules;
use super::srm;
use super::statistics::{self, TUNING, compare, units_needed};
use super::units::{Block, Blocks, Done, Source, Unit};
use super::verdict::{Known, percent, verdict};

/// The share of units in several variations from which on that is a warning (GrowthBook's).
const MOST_IN_SEVERAL: f64 = 0.01;
/// Metrics that are chosen where none is named.
const MOST_CHOSEN: usize = 8;

/// What was asked for.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The metrics; empty where they are to be chosen.
    pub metrics: Vec<Metric>,
    /// How long after the first exposure a conversion counts.
    pub window: Micros,
    /// Once it and a window after it have passed, figures of units before it count, and the fixed interval.
    pub horizon: Option<Micros>,
    /// The relative difference that matters.
    pub least: f64,
}

impl Asked {
    /// The horizon, once the logs reach the end of the window of the last unit before it.
    pub fn passed(&self, reached: Micros) -> Option<Micros> {
        self.horizon.filter(|horizon| reached >= horizon.saturating_add(self.window))
    }
}

/// Everything that experiments are made from.
pub struct Material<'m> {
    /// What was asked for.
    pub asked: &'m Asked,
    /// What the rules say.
    pub rules: &'m Rules,
    /// All texts.
    pub names: &'m Names,
    /// What was read.
    pub collected: &'m Collected,
    /// What units did, in the order of units.
    pub done: &'m [Done],
    /// How far the logs go.
    pub reached: Micros,
}

/// What is compared.
struct Arms {
    /// Their names.
    names: Vec<String>,
    /// Which of them each variation belongs to, by its number.
    of: Vec<u16>,
}

impl Material<'_> {
    /// Every experiment, in the order of names and first exposures.
    pub fn experiments(&self, blocks: Blocks) -> Vec<Experiment> {
        let metrics = self.metrics();
        let mut all: Vec<Experiment> = Vec::new();
        let mut blocks: Vec<(Block, Vec<(u128, Unit)>)> = blocks.into_iter().collect();
        let first = |units: &[(u128, Unit)]| units.iter().map(|(_, unit)| unit.first).min().unwrap_or_default();
        blocks.sort_by_cached_key(|(block, units)| {
            let text = |name: Name| self.names.text(name);
            (text(block.experiment), text(block.unit_type), first(units), block.key.map(text))
        });
        for (block, units) in blocks {
            all.push(self.experiment(block, &units, &metrics));
        }
        let mut times: BTreeMap<(String, String), usize> = BTreeMap::new();
        for experiment in &all {
            *times.entry((experiment.id.clone(), experiment.unit_type.clone())).or_default() += 1;
        }
        for experiment in &mut all {
            if times.get(&(experiment.id.clone(), experiment.unit_type.clone())).is_some_and(|times| *times > 1) {
                experiment.warnings.push(
                    "This experiment stands here more than once: the log key changed, or its seed, hash version, weights or variations' keys \
                     did. Figures of different ones are never put together, and a visitor may be in several."
                        .to_owned(),
                );
            }
        }
        all
    }

    /// The metrics that were named, else the events that the edge's own logs have.
    fn metrics(&self) -> Vec<Metric> {
        if !self.asked.metrics.is_empty() {
            return self.asked.metrics.clone();
        }
        let trusted = self.done.iter().filter(|done| done.source == Source::Trusted);
        let mut events: BTreeMap<Name, (u64, bool)> = BTreeMap::new();
        for done in trusted {
            let known = events.entry(done.event).or_default();
            known.0 += 1;
            known.1 |= done.value.is_some();
        }
        let mut events: Vec<_> = events.into_iter().map(|(name, found)| (self.names.text(name), found)).collect();
        events.sort_by(|a, b| (b.1.0, &a.0).cmp(&(a.1.0, &b.0)));
        let kinds = events.iter().take(MOST_CHOSEN).flat_map(|(event, (_, valued))| {
            let of = |kind| Metric { event: event.to_string(), kind };
            [Some(of(Kind::Rate)), valued.then(|| of(Kind::Value(None)))]
        });
        kinds.flatten().collect()
    }

    fn experiment(&self, block: Block, units: &[(u128, Unit)], metrics: &[Metric]) -> Experiment {
        let definition = self.rules.definition(block.phase);
        let seen = units.iter().map(|(_, unit)| usize::from(unit.variation) + 1).max().unwrap_or_default();
        let count = definition.map_or(0, |definition| definition.weights.len()).max(seen).max(1);
        let Arms { names, of } = self.arms(block, count);
        let mut weights = vec![0.0; names.len()];
        for (index, arm) in of.iter().enumerate() {
            let weight = match definition {
                Some(definition) => definition.weights.get(index).copied().unwrap_or_default(),
                None => 1.0 / count as f64,
            };
            if let Some(sum) = weights.get_mut(usize::from(*arm)) {
                *sum += weight;
            }
        }
        let count = names.len();
        let merged: Vec<(u128, Unit)>;
        let units = if count < of.len() {
            let arm = |variation: u16| of.get(usize::from(variation)).copied().unwrap_or(variation);
            merged = units.iter().map(|(id, unit)| (*id, Unit { variation: arm(unit.variation), ..*unit })).collect();
            merged.as_slice()
        } else {
            units
        };
        let variations = self.variations(block, units, (&names, &of), &weights);
        let from = if definition.is_some() { WeightsFrom::Rules } else { WeightsFrom::Equal };
        let srm = srm::test(units, &weights, from, self.names);
        let several = units.iter().filter(|(_, unit)| unit.several).count();
        let (first, last) = span(units);
        let mut experiment = Experiment {
            id: self.names.text(block.experiment).to_string(),
            unit_type: self.names.text(block.unit_type).to_string(),
            key: block.key.map(|key| self.names.text(key).to_string()),
            revisions: revisions(units, self.names),
            from: moment::second(first),
            to: moment::second(last),
            days: days(units, count),
            units_in_several: u64::try_from(several).unwrap_or(u64::MAX),
            warnings: Vec::new(),
            metrics: Vec::new(),
            variations,
            srm,
        };
        self.warn(&mut experiment, units.len(), definition.is_some_and(|definition| definition.redirects));
        for metric in metrics {
            self.metric(&mut experiment, metric, units, &names);
        }
        let nobody = !experiment.metrics.is_empty() && experiment.metrics.iter().all(|row| row.did == [0, 0]);
        if nobody && experiment.unit_type != "id" {
            experiment.warnings.push(format!(
                "No conversion is known by {kind}, the attribute that this experiment hashes: the edge reports them by id. --orders may have \
                 others (`personalizer pseudonym --unit-type {kind}`).",
                kind = experiment.unit_type
            ));
        }
        experiment
    }

    /// The arms of so many variations: those that the lines give one key are one. A variation with a second range is listed twice, as
    /// `personalizer reweight` writes it.
    fn arms(&self, block: Block, count: usize) -> Arms {
        let mut arms = Arms { names: Vec::with_capacity(count), of: Vec::with_capacity(count) };
        for index in 0..count {
            let said = u16::try_from(index).ok().and_then(|index| self.collected.variations.get(&(block, index)));
            let name = said.map_or_else(|| index.to_string(), |name| self.names.text(*name).to_string());
            let known = arms.names.iter().position(|known| *known == name);
            let arm = known.unwrap_or_else(|| {
                arms.names.push(name);
                arms.names.len() - 1
            });
            arms.of.push(u16::try_from(arm).unwrap_or(u16::MAX));
        }
        arms
    }

    fn variations(
        &self,
        block: Block,
        units: &[(u128, Unit)],
        (names, of): (&[String], &[u16]),
        weights: &[f64],
    ) -> Vec<Variation> {
        let mut variations: Vec<Variation> = names
            .iter()
            .zip(weights)
            .map(|(id, weight)| Variation {
                id: id.clone(),
                weight: *weight,
                units: 0,
                shown: 0,
                fallback: 0,
                reasons: Vec::new(),
            })
            .collect();
        for (_, unit) in units {
            if let Some(variation) = variations.get_mut(usize::from(unit.variation)) {
                variation.units += 1;
                variation.shown += u64::from(unit.shown);
                variation.fallback += u64::from(unit.fell_back);
            }
        }
        for ((own, index, reason), count) in &self.collected.reasons {
            let arm = of.get(usize::from(*index)).copied().unwrap_or(*index);
            if let Some(variation) = variations.get_mut(usize::from(arm)).filter(|_| *own == block) {
                let name = self.names.text(*reason).to_string();
                match variation.reasons.iter_mut().find(|known| known.name == name) {
                    Some(known) => known.requests += count,
                    None => variation.reasons.push(Count { name, requests: *count }),
                }
            }
        }
        for variation in &mut variations {
            variation.reasons.sort_by(|a, b| (b.requests, &a.name).cmp(&(a.requests, &b.name)));
        }
        variations
    }

    /// What is wrong, or to be known.
    fn warn(&self, experiment: &mut Experiment, units: usize, redirects: bool) {
        let mut warnings = Vec::new();
        if experiment.srm.flagged {
            warnings.push(srm::sentence(&experiment.srm, &experiment.variations, redirects));
        }
        warnings.extend(srm::part_sentence(&experiment.srm));
        if experiment.srm.weights == WeightsFrom::Equal {
            warnings.push(
                "No rules were given that define this experiment under these revisions: equal weights are assumed (--rules gives them)."
                    .to_owned(),
            );
        }
        if experiment.key.is_none() {
            warnings.push(
                "These lines are of version 1 and don't name their log key: had it been rotated, every visitor would be new afterwards."
                    .to_owned(),
            );
        }
        let share = experiment.units_in_several as f64 / units.max(1) as f64;
        if share > MOST_IN_SEVERAL {
            warnings.push(format!(
                "{} of the units were seen in several variations: the rules changed, or something else assigns them too. Each counts in \
                 its first.",
                percent(share).trim_start_matches('+')
            ));
        }
        warnings.extend(fallbacks(&experiment.variations));
        experiment.warnings = warnings;
    }

    /// Adds the rows of one metric.
    fn metric(&self, experiment: &mut Experiment, metric: &Metric, units: &[(u128, Unit)], names: &[String]) {
        let event = self.names.number(&metric.event);
        let trusted = self.done.iter().any(|done| done.event == event && done.source == Source::Trusted);
        let from_browsers = !trusted && self.done.iter().any(|done| done.event == event);
        let source = if from_browsers { Source::Browser } else { Source::Trusted };
        let (currency, left_out) = self.currency(event, source);
        let wanted = Wanted { event, source, currency, window: self.asked.window };
        let count = names.len();
        // Once the horizon has passed, all figures are of the same units: those before it.
        let horizon = self.asked.passed(self.reached);
        let judged = arms(metric.kind, wanted, units, self.done, count, horizon.unwrap_or(Micros::MAX));
        let name = metric.to_string();
        if let Some(left_out) = left_out.filter(|_| name.contains(":value")) {
            experiment.warnings.push(format!("{name}: {left_out}"));
        }
        let untrusted = if experiment.srm.flagged {
            Some("the sample ratio is off, so visitors of one variation are lost")
        } else if from_browsers {
            Some("only browsers report it, and anybody can send such a report")
        } else {
            None
        };
        let days = days_until(units, horizon).min(experiment.days.len());
        let (Some(baseline), others) = (judged.first(), judged.iter().enumerate().skip(1)) else { return };
        for (index, arm) in others {
            let compared = compare(&baseline.sample, &arm.sample, TUNING);
            let fixed = compared.filter(|_| horizon.is_some()).map(|compared| compared.fixed);
            let days_left = compared
                .and_then(|_| units_needed(&baseline.sample, &arm.sample, self.asked.least))
                .map(|factor| (factor - 1.0) * days as f64);
            let variation = names.get(index).map_or("", String::as_str);
            let (verdict, why) = verdict(&Known {
                metric: &name,
                kind: metric.kind,
                variation,
                baseline,
                arm,
                compared: compared.as_ref(),
                fixed,
                least: self.asked.least,
                days_left,
                untrusted,
            });
            experiment.metrics.push(MetricRow {
                name: name.clone(),
                variation: variation.to_owned(),
                baseline: baseline.sample.mean(),
                mean: arm.sample.mean(),
                lift: compared.map(|compared| compared.lift),
                sequence: compared.map(|compared| compared.sequence),
                fixed,
                days_left: days_left.filter(|_| matches!(verdict, Verdict::Undecided)),
                verdict,
                why,
                did: [baseline.did, arm.did],
            });
        }
    }

    /// The money that most values of an event are in, and what is left out for it.
    fn currency(&self, event: Name, source: Source) -> (Option<Name>, Option<String>) {
        let mut counts: BTreeMap<Name, u64> = BTreeMap::new();
        for done in self.done.iter().filter(|done| done.event == event && done.source == source && done.value.is_some())
        {
            *counts.entry(done.currency).or_default() += 1;
        }
        let most = counts.iter().max_by_key(|(name, count)| (**count, std::cmp::Reverse(self.names.text(**name))));
        let Some((most, _)) = most.filter(|_| counts.len() > 1) else { return (None, None) };
        let named = |name: &Name| {
            let text = self.names.text(*name);
            if text.is_empty() { "no currency".to_owned() } else { text.to_string() }
        };
        let others: BTreeSet<String> = counts.keys().filter(|name| *name != most).map(named).collect();
        let left_out = format!(
            "values in {} count, those in {} are left out: different money is never added up.",
            named(most),
            others.into_iter().collect::<Vec<_>>().join(", ")
        );
        (Some(*most), Some(left_out))
    }
}

fn span(units: &[(u128, Unit)]) -> (Micros, Micros) {
    let times = units.iter().map(|(_, unit)| unit.first);
    (times.clone().min().unwrap_or_default(), times.max().unwrap_or_default())
}

/// New units of every day, days without any included.
fn days(units: &[(u128, Unit)], count: usize) -> Vec<Day> {
    /// A clock that was wrong must not make a table of centuries.
    const MOST: i64 = 1_000;
    let (first, last) = span(units);
    let (first, last) = (first.div_euclid(DAY), last.div_euclid(DAY));
    let first = first.max(last - MOST);
    let mut days: Vec<Day> =
        (first..=last).map(|day| Day { day: moment::day(day * DAY), units: vec![0; count] }).collect();
    for (_, unit) in units {
        let day = usize::try_from(unit.first.div_euclid(DAY) - first).ok().and_then(|day| days.get_mut(day));
        if let Some(count) = day.and_then(|day| day.units.get_mut(usize::from(unit.variation))) {
            *count += 1;
        }
    }
    days
}

/// How many days there are from the first unit on, up to a horizon.
fn days_until(units: &[(u128, Unit)], horizon: Option<Micros>) -> usize {
    let (first, last) = span(units);
    let last = horizon.map_or(last, |horizon| last.min(horizon.saturating_sub(1)));
    usize::try_from(last.div_euclid(DAY) - first.div_euclid(DAY) + 1).unwrap_or(1).max(1)
}

fn revisions(units: &[(u128, Unit)], names: &Names) -> Vec<String> {
    let mut first: BTreeMap<Name, Micros> = BTreeMap::new();
    for (_, unit) in units {
        let known = first.entry(unit.revision).or_insert(unit.first);
        *known = unit.first.min(*known);
    }
    let mut revisions: Vec<(Micros, String)> =
        first.into_iter().map(|(name, at)| (at, names.text(name).to_string())).collect();
    revisions.sort();
    revisions.into_iter().map(|(_, name)| name).filter(|name| !name.is_empty()).collect()
}

/// Whether one variation falls back more often than another.
fn fallbacks(variations: &[Variation]) -> Option<String> {
    let numbers =
        |of: fn(&Variation) -> u64| variations.iter().map(|variation| of(variation) as f64).collect::<Vec<_>>();
    let (fell, units) = (numbers(|variation| variation.fallback), numbers(|variation| variation.units));
    let p = statistics::same_share(&fell, &units)?;
    if p >= statistics::SRM {
        return None;
    }
    let share = |variation: &Variation| variation.fallback as f64 / variation.units.max(1) as f64;
    let most = variations.iter().max_by(|a, b| share(a).total_cmp(&share(b)))?;
    let least = variations.iter().min_by(|a, b| share(a).total_cmp(&share(b)))?;
    let reason = most.reasons.first().map(|reason| format!(", mostly for {}", reason.name)).unwrap_or_default();
    Some(format!(
        "Variation {} falls back for {} of its units, variation {} for {}{reason}. Visitors are compared by what they were assigned, so \
         its figures hold the harm.",
        most.id,
        percent(share(most)).trim_start_matches('+'),
        least.id,
        percent(share(least)).trim_start_matches('+'),
    ))
}
