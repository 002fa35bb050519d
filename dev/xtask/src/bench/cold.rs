//! What a sandbox's first request costs more than the next ones, by part.

use super::load::Sample;
use super::report::percentile;
use super::rows::{Row, RuleSet, Temperature};

/// A Markdown table: a sandbox's start alone, and for each set of rules the first request beside the next ones, with the part of the rules.
pub fn table(rows: &[&Row], samples: &[Vec<Sample>]) -> String {
    let median = |rules: RuleSet, path: &str, temperature: Temperature, of: fn(&Sample) -> Option<f64>| {
        let is_it = |row: &&Row| row.rules == rules && row.path == path && row.temperature == temperature;
        let taken = samples.get(rows.iter().position(is_it)?)?;
        let values: Vec<f64> = taken.iter().filter_map(of).collect();
        (!values.is_empty()).then(|| percentile(values, 50.0))
    };
    let cpu: fn(&Sample) -> Option<f64> = |sample| Some(sample.cpu_ms);
    let mut lines = vec![
        "| first request of a sandbox | more CPU than the next | of it for reading and compiling rules |".to_owned(),
        "| --- | ---: | ---: |".to_owned(),
    ];
    if let Some(bare) = rows.iter().find(|row| row.rules == RuleSet::Bare) {
        let [alone, reused] =
            [RuleSet::Bare, RuleSet::BareReused].map(|rules| median(rules, bare.path, Temperature::AsItComes, cpu));
        if let (Some(alone), Some(reused)) = (alone, reused) {
            lines.push(format!("| a sandbox of the bare pass-through | {:.2} ms | |", alone - reused));
        }
    }
    for row in rows.iter().filter(|row| row.temperature == Temperature::Cold) {
        let [first, next] = [Temperature::Cold, Temperature::Warm].map(|of| median(row.rules, row.path, of, cpu));
        let [rules, again] =
            [Temperature::Cold, Temperature::Warm].map(|of| median(row.rules, row.path, of, |sample| sample.rules_ms));
        let (Some(first), Some(next)) = (first, next) else { continue };
        let rules = rules.zip(again).map_or_else(String::new, |(first, next)| format!("{:.2} ms", first - next));
        let name = row.name.trim_end_matches(", first request of a sandbox");
        lines.push(format!("| {name} | {:.2} ms | {rules} |", first - next));
    }
    lines.push(String::new());
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::super::rows::ROWS;
    use super::*;

    #[test]
    fn the_first_request_is_held_against_the_next_ones() {
        let rows: Vec<&Row> = ROWS.iter().collect();
        let samples: Vec<Vec<Sample>> = rows
            .iter()
            .map(|row| {
                let (cpu_ms, rules_ms) = if row.temperature == Temperature::Cold { (3.0, 0.5) } else { (1.0, 0.125) };
                vec![Sample { cpu_ms, rules_ms: Some(rules_ms), ..Sample::default() }]
            })
            .collect();
        let table = table(&rows, &samples);
        assert!(table.contains("| a sandbox of the bare pass-through | 0.00 ms | |"), "{table}");
        assert!(table.contains("| demo rewrite | 2.00 ms | 0.38 ms |"), "{table}");
    }
}
