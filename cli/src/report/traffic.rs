//! What `decisions` and `errors` tell of the traffic: how much, how fast, what failed, what it cost.

use std::collections::BTreeMap;

use super::lines::{Decision, ErrorLine, or_empty};
use super::moment::{HOUR, Micros};
use super::names::{Known, Name};
use super::seen::Map;
use super::sketch::Sketch;

/// A line counts in thousandths of a request, so that a sampled one counts exactly the same in every order of reading.
pub const THOUSAND: u64 = 1_000;
/// Combinations of POP, route and revision that are kept apart; in further ones the POP is one of the others.
const MOST_GROUPS: usize = 4_000;
/// Variants that are counted; a further one is one of the others.
const MOST_VARIANTS: usize = 50_000;
/// What further ones are called.
pub const OTHERS: &str = "(others)";

/// Where requests belong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Place {
    /// The data centre.
    pub pop: Name,
    /// The route; an empty text where none matched.
    pub route: Name,
    /// The revision; an empty text at bare names.
    pub revision: Name,
    /// A sandbox's first request.
    pub cold: bool,
}

/// Requests of one place. Counts are in thousandths.
#[derive(Debug, Clone, Default)]
pub struct Group {
    /// All.
    pub requests: u64,
    /// A status of 500 and above.
    pub failed: u64,
    /// The fallback was taken.
    pub fallback: u64,
    /// Those of whom the platform said the vCPU time.
    pub metered: u64,
    /// Their vCPU time in thousandths of a millisecond.
    pub vcpu: u64,
    /// To the head of the answer.
    pub total: Sketch,
    /// Without waiting for the backend.
    pub own: Sketch,
}

impl Group {
    /// Adds another's.
    pub fn merge(&mut self, other: &Self) {
        self.requests += other.requests;
        self.failed += other.failed;
        self.fallback += other.fallback;
        self.metered += other.metered;
        self.vcpu += other.vcpu;
        self.total.merge(&other.total);
        self.own.merge(&other.own);
    }
}

/// Requests of one hour, in thousandths.
#[derive(Debug, Clone, Copy, Default)]
pub struct Hour {
    /// All.
    pub requests: u64,
    /// A status of 500 and above.
    pub failed: u64,
    /// The fallback was taken.
    pub fallback: u64,
    /// A sandbox's first.
    pub cold: u64,
}

/// Lines of `errors` with one code.
#[derive(Debug, Clone, Default)]
pub struct Told {
    /// How many.
    pub lines: u64,
    /// The first of them.
    pub first: Micros,
    /// The last of them.
    pub last: Micros,
    /// What the last one says of a rule.
    pub fault: Option<String>,
}

/// Everything of `decisions` and `errors`.
#[derive(Debug, Clone, Default)]
pub struct Traffic {
    /// By place.
    pub groups: Map<Place, Group>,
    /// By hours since 1970.
    pub hours: BTreeMap<i64, Hour>,
    /// Requests with an error code (thousandths), by hour.
    pub codes: BTreeMap<(Name, i64), u64>,
    /// Lines of `errors`.
    pub told: BTreeMap<Name, Told>,
    /// States of sessions.
    pub sessions: BTreeMap<Name, u64>,
    /// Variants as their JSON.
    pub variants: Map<Box<str>, u64>,
    /// Requests that came by a shield as well: their second line.
    pub shield: u64,
    /// Requests whose line stands for others (thousandths of lines).
    pub sampled: u64,
}

/// The place that a quantity has in thousandths; a rate of 0.1 makes a line count for ten.
fn weight(sample: Option<f64>) -> u64 {
    match sample {
        // Below a millionth it is no rate that anybody meant.
        Some(rate) if (1e-6..1.0).contains(&rate) => (1_000.0 / rate).round() as u64,
        _ => THOUSAND,
    }
}

impl Traffic {
    /// Adds a line of `decisions`.
    pub fn decision(&mut self, line: &Decision<'_>, at: Micros, names: &mut Known) {
        let weight = weight(line.sample);
        if line.pass != 1 {
            // The shield decides nothing: the first pass has told the story.
            self.shield += weight;
            return;
        }
        self.sampled += if weight == THOUSAND { 0 } else { THOUSAND };
        let hour = at.div_euclid(HOUR);
        let failed = if line.status >= 500 { weight } else { 0 };
        let fallback = if line.fallback.is_some() { weight } else { 0 };
        let place = Place {
            pop: names.number(or_empty(&line.pop)),
            route: names.number(or_empty(&line.route)),
            revision: names.number(or_empty(&line.revision)),
            cold: line.cold,
        };
        let group = self.group(place, names);
        group.requests += weight;
        group.failed += failed;
        group.fallback += fallback;
        if let Some(vcpu) = line.vcpu_ms {
            group.metered += weight;
            group.vcpu = group.vcpu.saturating_add(vcpu.saturating_mul(weight));
        }
        if let Some(total) = line.total_ms {
            group.total.add(total, weight);
            group.own.add(total - line.origin_ms.unwrap_or_default(), weight);
        }
        let by_hour = self.hours.entry(hour).or_default();
        by_hour.requests += weight;
        by_hour.failed += failed;
        by_hour.fallback += fallback;
        by_hour.cold += if line.cold { weight } else { 0 };
        for code in &line.errors {
            *self.codes.entry((names.number(code.as_str()), hour)).or_default() += weight;
        }
        if let Some(state) = &line.session {
            *self.sessions.entry(names.number(state.as_str())).or_default() += weight;
        }
        if let Some(variant) = line.variant.map(|variant| variant.0).filter(|text| text.len() > 2) {
            self.variant(variant, weight);
        }
    }

    fn group(&mut self, place: Place, names: &mut Known) -> &mut Group {
        let full = self.groups.len() >= MOST_GROUPS && !self.groups.contains_key(&place);
        let place = if full { Place { pop: names.number(OTHERS), ..place } } else { place };
        self.groups.entry(place).or_default()
    }

    fn variant(&mut self, variant: &str, weight: u64) {
        if let Some(count) = self.variants.get_mut(variant) {
            *count += weight;
        } else {
            let variant = if self.variants.len() < MOST_VARIANTS { variant } else { OTHERS };
            *self.variants.entry(variant.into()).or_default() += weight;
        }
    }

    /// Adds a line of `errors`.
    pub fn error(&mut self, line: &ErrorLine<'_>, at: Micros, names: &mut Known) {
        let fault = line.fault.as_ref().filter(|fault| !fault.dictionary.as_str().is_empty()).map(|fault| {
            format!("{} {}: {}", fault.dictionary.as_str(), fault.pointer.as_str(), fault.message.as_str())
        });
        let told = Told { lines: 1, first: at, last: at, fault };
        self.told.entry(names.number(line.code.as_str())).or_default().merge(told);
    }

    /// Adds what another reader read.
    pub fn merge(&mut self, other: Self) {
        for (place, group) in other.groups {
            self.groups.entry(place).or_default().merge(&group);
        }
        for (hour, more) in other.hours {
            let hour = self.hours.entry(hour).or_default();
            hour.requests += more.requests;
            hour.failed += more.failed;
            hour.fallback += more.fallback;
            hour.cold += more.cold;
        }
        for (code, more) in other.codes {
            *self.codes.entry(code).or_default() += more;
        }
        for (code, more) in other.told {
            self.told.entry(code).or_default().merge(more);
        }
        for (state, more) in other.sessions {
            *self.sessions.entry(state).or_default() += more;
        }
        for (variant, more) in other.variants {
            *self.variants.entry(variant).or_default() += more;
        }
        self.shield += other.shield;
        self.sampled += other.sampled;
    }
}

impl Told {
    fn merge(&mut self, other: Self) {
        if self.lines == 0 {
            *self = other;
            return;
        }
        self.first = self.first.min(other.first);
        // Of two faults at one time the same is kept in every run.
        if (other.last, &other.fault) > (self.last, &self.fault) {
            self.fault = other.fault;
            self.last = other.last;
        }
        self.lines += other.lines;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::names::Names;

    fn line(more: &str) -> String {
        format!(
            r#"{{"v":2,"time":"2026-11-24T04:53:30Z","pop":"FRA","route":"home","status":200,"total_ms":10,"origin_ms":8{more}}}"#
        )
    }

    fn traffic(lines: &[String]) -> (Traffic, Known) {
        let mut names = Known::new(&Names::default());
        let mut traffic = Traffic::default();
        for line in lines {
            traffic.decision(&serde_json::from_str(line).unwrap(), 0, &mut names);
        }
        (traffic, names)
    }

    #[test]
    fn a_sampled_line_stands_for_the_others_and_a_failed_one_for_itself() {
        let (traffic, _) =
            traffic(&[line(r#","sample":0.1"#), line(""), line(r#","sample":1,"fallback":"status-503""#)]);
        let group = traffic.groups.values().next().unwrap();
        assert_eq!((group.requests, group.fallback), (12 * THOUSAND, THOUSAND));
        assert!((group.own.quantile(0.5).unwrap() - 2.0).abs() < 0.03);
    }

    #[test]
    fn a_request_by_a_shield_counts_once() {
        let (traffic, _) = traffic(&[line(""), line(r#","pass":2"#)]);
        assert_eq!(traffic.groups.values().map(|group| group.requests).sum::<u64>(), THOUSAND);
        assert_eq!(traffic.shield, THOUSAND);
    }

    #[test]
    fn too_many_places_are_others() {
        let mut names = Known::new(&Names::default());
        let mut traffic = Traffic::default();
        for number in 0..5_000 {
            let line = line("").replace("FRA", &format!("P{number}"));
            traffic.decision(&serde_json::from_str(&line).unwrap(), 0, &mut names);
        }
        assert_eq!(traffic.groups.len(), MOST_GROUPS + 1);
        let others =
            Place { pop: names.number(OTHERS), route: names.number("home"), revision: names.number(""), cold: false };
        assert_eq!(traffic.groups[&others].requests, 1_000 * THOUSAND);
    }
}
