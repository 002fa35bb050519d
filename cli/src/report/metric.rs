//! What is compared: a share of units that did something, or what it was worth to them.

use std::fmt;
use std::str::FromStr;

use anyhow::bail;

use super::moment::Micros;
use super::names::Name;
use super::statistics::Sample;
use super::units::{Done, Source, Unit};

/// A metric: `order:rate`, `order:value`, `order:value:0.99`.
#[derive(Debug, Clone, PartialEq)]
pub struct Metric {
    /// The event.
    pub event: String,
    /// What of it.
    pub kind: Kind,
}

/// What of an event is counted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Whether a unit did it at all.
    Rate,
    /// What it was worth together; above this quantile of the units that have a value, a unit counts as that quantile.
    Value(Option<f64>),
}

impl FromStr for Metric {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        // An event's name may hold colons: what is asked of it stands at the end.
        let (event, kind) = if let Some(event) = text.strip_suffix(":rate") {
            (event, Kind::Rate)
        } else if let Some(event) = text.strip_suffix(":value") {
            (event, Kind::Value(None))
        } else if let Some((event, quantile)) = text.rsplit_once(":value:") {
            match quantile.parse().ok().filter(|quantile| (0.5..1.0).contains(quantile)) {
                Some(quantile) => (event, Kind::Value(Some(quantile))),
                None => bail!("expected a quantile from 0.5 to below 1, but found '{text}'"),
            }
        } else {
            bail!("expected NAME:rate, NAME:value or NAME:value:QUANTILE, but found '{text}'")
        };
        if event.is_empty() {
            bail!("expected the event's name before the colon, but found '{text}'");
        }
        Ok(Self { event: event.to_owned(), kind })
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Rate => write!(to, "{}:rate", self.event),
            Kind::Value(None) => write!(to, "{}:value", self.event),
            Kind::Value(Some(quantile)) => write!(to, "{}:value:{quantile}", self.event),
        }
    }
}

/// What is looked for in what a unit did.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// The event.
    pub event: Name,
    /// Who says so.
    pub source: Source,
    /// The money that values are in; `None` for all.
    pub currency: Option<Name>,
    /// How long after the first exposure.
    pub window: Micros,
}

/// An arm, and how many of its units did something.
#[derive(Debug, Clone, Copy, Default)]
pub struct Arm {
    /// For the comparison.
    pub sample: Sample,
    /// Units that did it.
    pub did: u64,
}

/// The arms of a metric, in the order of variations. `done` is in the order of units. Only units that were exposed before `until` count.
pub fn arms(
    kind: Kind,
    wanted: Wanted,
    units: &[(u128, Unit)],
    done: &[Done],
    variations: usize,
    until: Micros,
) -> Vec<Arm> {
    let is_rate = kind == Kind::Rate;
    let empty = Arm { sample: Sample { is_rate, ..Sample::default() }, did: 0 };
    let mut arms = vec![empty; variations];
    // Units that did nothing are most: the others' values alone are kept.
    let mut values: Vec<(u16, f64)> = Vec::new();
    let mut rest = done;
    for (number, unit) in units.iter().filter(|(_, unit)| unit.first < until) {
        let before = rest.partition_point(|done| done.unit < *number);
        rest = rest.get(before..).unwrap_or_default();
        let own = rest.iter().take_while(|done| done.unit == *number);
        let counted = own.filter(|done| {
            done.event == wanted.event
                && done.source == wanted.source
                && (unit.first..=unit.first.saturating_add(wanted.window)).contains(&done.at)
        });
        let (mut did, mut worth) = (false, 0.0);
        for done in counted {
            did = true;
            if wanted.currency.is_none_or(|currency| done.currency == currency) {
                worth += done.value.unwrap_or_default();
            }
        }
        if let Some(arm) = arms.get_mut(usize::from(unit.variation)) {
            arm.sample.n += 1.0;
            if did {
                arm.did += 1;
                values.push((unit.variation, if is_rate { 1.0 } else { worth }));
            }
        }
    }
    let most = match kind {
        Kind::Value(Some(quantile)) => quantile_of(&values, quantile),
        _ => f64::INFINITY,
    };
    for (variation, value) in values {
        if let Some(arm) = arms.get_mut(usize::from(variation)) {
            let n = arm.sample.n;
            arm.sample.add(value.min(most));
            arm.sample.n = n;
        }
    }
    arms
}

fn quantile_of(values: &[(u16, f64)], quantile: f64) -> f64 {
    let mut sorted: Vec<f64> = values.iter().map(|(_, value)| *value).collect();
    sorted.sort_by(f64::total_cmp);
    let rank = ((quantile * sorted.len() as f64).ceil() as usize).saturating_sub(1);
    sorted.get(rank).copied().unwrap_or(f64::INFINITY)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: Wanted = Wanted { event: 1, source: Source::Trusted, currency: Some(0), window: 100 };

    fn unit(first: Micros, variation: u16) -> Unit {
        Unit { first, variation, several: false, shown: true, fell_back: false, country: 0, device: 0, revision: 0 }
    }

    fn done(unit: u128, at: Micros, value: f64) -> Done {
        Done { unit, at, event: 1, value: Some(value), currency: 0, source: Source::Trusted }
    }

    #[test]
    fn only_what_follows_the_first_exposure_within_the_window_counts() {
        let units = [(1, unit(50, 0)), (2, unit(50, 1)), (3, unit(50, 1))];
        let did = [done(1, 49, 9.0), done(2, 50, 1.0), done(2, 150, 2.0), done(2, 151, 4.0)];
        let arms = arms(Kind::Value(None), WANTED, &units, &did, 2, Micros::MAX);
        let sums: Vec<(f64, f64, u64)> = arms.iter().map(|arm| (arm.sample.n, arm.sample.sum, arm.did)).collect();
        assert_eq!(sums, [(1.0, 0.0, 0), (2.0, 3.0, 1)]);
    }

    #[test]
    fn a_browsers_word_and_another_currency_dont_count_as_money() {
        let units = [(1, unit(0, 0))];
        let did = [
            Done { source: Source::Browser, ..done(1, 1, 5.0) },
            Done { currency: 9, ..done(1, 1, 70.0) },
            done(1, 2, 3.0),
        ];
        let arms = arms(Kind::Value(None), WANTED, &units, &did, 1, Micros::MAX);
        assert_eq!(arms[0].sample.sum, 3.0);
    }

    #[test]
    fn the_largest_values_count_as_the_quantile() {
        let units: Vec<_> = (1..=200).map(|number| (number, unit(0, (number % 2) as u16))).collect();
        let did: Vec<_> = (1..=100).map(|number| done(number, 1, number as f64)).collect();
        let arms = arms(Kind::Value(Some(0.9)), WANTED, &units, &did, 2, Micros::MAX);
        let sum: f64 = arms.iter().map(|arm| arm.sample.sum).sum();
        assert_eq!(sum, (1..=90).map(f64::from).sum::<f64>() + 10.0 * 90.0);
    }

    #[test]
    fn a_metric_is_read_as_it_is_shown() {
        for text in
            ["order:rate", "order:value", "order:value:0.99", "shop:order:rate", "a:value:value", "a:rate:value:0.9"]
        {
            assert_eq!(text.parse::<Metric>().unwrap().to_string(), text);
        }
        assert_eq!("shop:order:value:0.9".parse::<Metric>().unwrap().event, "shop:order");
        for text in ["order", ":rate", "order:mean", "order:rate:0.5", "order:value:1", "order:value:0.9:x"] {
            assert!(text.parse::<Metric>().is_err(), "{text}");
        }
    }
}
