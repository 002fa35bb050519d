//! Sample ratio mismatch: whether visitors of one variation are lost, and where.

use std::collections::BTreeMap;

use super::model::{Srm, SrmPart, Variation, WeightsFrom};
use super::moment::{self, DAY};
use super::names::Names;
use super::statistics::{SRM, is_enough, sample_ratio};
use super::units::Unit;

/// Parts that are named.
const MOST_NAMED: usize = 20;
/// Parts of a dimension that are tested: the largest.
const MOST_TESTED: usize = 50;

/// Tests the ratio of all units, and of every part of them.
pub fn test(units: &[(u128, Unit)], weights: &[f64], from: WeightsFrom, names: &Names) -> Srm {
    let mut counts = vec![0; weights.len()];
    units.iter().for_each(|(_, unit)| count(&mut counts, unit));
    let p = p_value(&counts, weights);
    let text = |name| {
        let text = names.text(name).to_string();
        if text.is_empty() { "unknown".to_owned() } else { text }
    };
    let mut tested: Vec<SrmPart> = Vec::new();
    let mut by = |dimension: &str, value: &dyn Fn(&Unit) -> String, key: &dyn Fn(&Unit) -> i64| {
        let mut parts: BTreeMap<i64, (String, Vec<u64>)> = BTreeMap::new();
        for (_, unit) in units {
            let part = parts.entry(key(unit)).or_insert_with(|| (value(unit), vec![0; weights.len()]));
            count(&mut part.1, unit);
        }
        let mut parts: Vec<(String, Vec<u64>)> = parts.into_values().collect();
        parts.sort_by(|a, b| (b.1.iter().sum::<u64>(), &a.0).cmp(&(a.1.iter().sum::<u64>(), &b.0)));
        // What all units have in common tells nothing more.
        if parts.len() > 1 {
            for (value, units) in parts.into_iter().take(MOST_TESTED) {
                if let Some(p) = p_value(&units, weights) {
                    tested.push(SrmPart { dimension: dimension.to_owned(), value, units, p });
                }
            }
        }
    };
    by("country", &|unit| text(unit.country), &|unit| i64::from(unit.country));
    by("device", &|unit| text(unit.device), &|unit| i64::from(unit.device));
    by("revision", &|unit| text(unit.revision), &|unit| i64::from(unit.revision));
    by("day", &|unit| moment::day(unit.first), &|unit| unit.first.div_euclid(DAY));
    by("fallback", &|unit| if unit.fell_back { "fallback" } else { "shown" }.to_owned(), &|unit| {
        i64::from(unit.fell_back)
    });
    // Many parts are tested: each at its share of the threshold.
    let threshold = SRM / tested.len().max(1) as f64;
    let flagged = p.is_some_and(|p| p < SRM);
    // Those who fell back are no random part: an arm that fails more often has more of them, which loses nobody.
    tested.retain(|part| part.p < threshold && (flagged || part.dimension != "fallback"));
    tested.sort_by(|a, b| a.p.total_cmp(&b.p).then_with(|| (&a.dimension, &a.value).cmp(&(&b.dimension, &b.value))));
    tested.truncate(MOST_NAMED);
    Srm { p, flagged, weights: from, by: tested }
}

fn count(counts: &mut [u64], unit: &Unit) {
    if let Some(count) = counts.get_mut(usize::from(unit.variation)) {
        *count += 1;
    }
}

/// The test of the variations that have a weight; `None` where there are too few units.
fn p_value(counts: &[u64], weights: &[f64]) -> Option<f64> {
    let (counts, weights): (Vec<f64>, Vec<f64>) = counts
        .iter()
        .zip(weights)
        .filter(|(_, weight)| **weight > 0.0)
        .map(|(count, weight)| (*count as f64, *weight))
        .unzip();
    is_enough(&counts, &weights).then(|| sample_ratio(&counts, &weights))
}

/// What a flag means, and where to look.
pub fn sentence(srm: &Srm, variations: &[Variation], redirects: bool) -> String {
    let total: u64 = variations.iter().map(|variation| variation.units).sum();
    let shares: Vec<String> = variations
        .iter()
        .map(|variation| {
            let share = 100.0 * variation.units as f64 / total.max(1) as f64;
            format!("{} has {share:.1} % instead of {:.1} %", variation.id, 100.0 * variation.weight)
        })
        .collect();
    let p = srm.p.map(|p| format!(" (p = {p:.1e})")).unwrap_or_default();
    let strongest = match srm.by.first() {
        Some(part) => format!(" It is strongest where {} is {}.", part.dimension, part.value),
        None => " It is about the same everywhere.".to_owned(),
    };
    let cause = if redirects {
        " A variation redirects: visitors who leave before the second page are lost."
    } else if srm.weights == WeightsFrom::Equal {
        " The weights aren't known: give --rules, in case they aren't equal."
    } else {
        ""
    };
    format!(
        "Sample ratio mismatch{p}: {}.{strongest}{cause} No other figure of this experiment can be trusted.",
        shares.join(", ")
    )
}

/// What to look at where the ratio is off in a part alone.
pub fn part_sentence(srm: &Srm) -> Option<String> {
    let part = srm.by.first().filter(|_| !srm.flagged)?;
    Some(format!(
        "The sample ratio is off where {} is {} (p = {:.1e}), though not over all: something may lose visitors there.",
        part.dimension, part.value, part.p
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(counts: &[(u64, u16, &str)], names: &Names) -> Vec<(u128, Unit)> {
        let mut units = Vec::new();
        for (count, variation, device) in counts {
            for _ in 0..*count {
                let unit = Unit {
                    first: 0,
                    variation: *variation,
                    several: false,
                    shown: true,
                    fell_back: false,
                    country: 0,
                    device: names.number(device),
                    revision: 0,
                };
                units.push((units.len() as u128, unit));
            }
        }
        units
    }

    #[test]
    fn a_loss_on_one_device_is_found_and_named() {
        let names = Names::default();
        let units =
            units(&[(5_000, 0, "desktop"), (5_010, 1, "desktop"), (5_000, 0, "mobile"), (4_400, 1, "mobile")], &names);
        let srm = test(&units, &[0.5, 0.5], WeightsFrom::Rules, &names);
        assert!(srm.flagged && srm.by.len() == 1, "{srm:?}");
        assert_eq!((srm.by[0].dimension.as_str(), srm.by[0].value.as_str()), ("device", "mobile"));
        let variation =
            |units, weight| Variation { id: "x".to_owned(), weight, units, shown: 0, fallback: 0, reasons: Vec::new() };
        let said = sentence(&srm, &[variation(10_000, 0.5), variation(9_410, 0.5)], true);
        assert!(said.contains("strongest where device is mobile. A variation redirects"), "{said}");
    }

    #[test]
    fn uneven_weights_are_no_mismatch_and_few_units_no_test() {
        let names = Names::default();
        let found = test(
            &units(&[(5_030, 0, "tv"), (2_970, 1, "tv"), (2_000, 2, "tv")], &names),
            &[0.5, 0.3, 0.2],
            WeightsFrom::Rules,
            &names,
        );
        assert!(!found.flagged && found.p.is_some_and(|p| p > 0.5) && found.by.is_empty(), "{found:?}");
        let found = test(&units(&[(6, 0, "tv")], &names), &[0.5, 0.5], WeightsFrom::Rules, &names);
        assert_eq!((found.p, found.flagged), (None, false));
    }

    #[test]
    fn a_variation_that_nobody_saw_is_a_mismatch() {
        let names = Names::default();
        let found = test(&units(&[(100, 0, "tv")], &names), &[0.5, 0.5], WeightsFrom::Rules, &names);
        assert!(found.flagged);
    }
}
