//! Numbers of rollouts and experiments that are outside their range: a percentage where a share belongs, a share below 0.

use serde_json::Value;

use super::Checked;
use super::compile::escape;

impl Checked<'_> {
    /// Names `coverage`, `weights`, `namespace` and ranges that aren't shares from 0 to 1.
    pub(super) fn splits(&mut self) {
        let mut found = Vec::new();
        for (dictionary, pointer, rule) in self.all_rules() {
            for (below, message) in faults(rule) {
                found.push((dictionary, format!("{pointer}{below}"), message));
            }
        }
        for (dictionary, pointer, message) in found {
            self.fault(dictionary, pointer, message);
        }
    }

    /// Every rule of a feature and every experiment: dictionary, pointer, definition.
    pub(super) fn all_rules(&self) -> Vec<(&'static str, String, &Value)> {
        let mut all = Vec::new();
        let features = self.json("features").and_then(|json| json.get("features")?.as_object());
        for (key, feature) in features.into_iter().flatten() {
            for (index, rule) in feature.get("rules").and_then(Value::as_array).into_iter().flatten().enumerate() {
                all.push(("features", format!("/features/{}/rules/{index}", escape(key)), rule));
            }
        }
        for (index, experiment) in self.rules_of("experiments", "experiments").into_iter().enumerate() {
            all.push(("experiments", format!("/experiments/{index}"), experiment));
        }
        all
    }
}

/// The faults of one rule: pointer below it, message.
fn faults(rule: &Value) -> Vec<(String, String)> {
    let mut found = Vec::new();
    if let Some(coverage) = rule.get("coverage").and_then(Value::as_f64).filter(|share| !is_share(*share)) {
        found.push((
            "/coverage".to_owned(),
            format!("expected a share from 0 to 1, but found {coverage}{}", percent(coverage)),
        ));
    }
    if let Some(weights) = numbers(rule.get("weights")) {
        found.extend(weights_fault(&weights).map(|message| ("/weights".to_owned(), message)));
    }
    if let Some([Value::String(name), from, to]) = rule.get("namespace").and_then(Value::as_array).map(Vec::as_slice)
        && let (Some(from), Some(to)) = (from.as_f64(), to.as_f64())
    {
        found.extend(
            range_fault(from, to)
                .map(|message| ("/namespace".to_owned(), format!("{message}, in the namespace '{name}'"))),
        );
    }
    let mut ranges = vec![("/range".to_owned(), rule.get("range"))];
    let list = |name: &str| rule.get(name).and_then(Value::as_array).into_iter().flatten();
    ranges.extend(list("ranges").enumerate().map(|(index, range)| (format!("/ranges/{index}"), Some(range))));
    for (index, filter) in list("filters").enumerate() {
        let of = filter.get("ranges").and_then(Value::as_array).into_iter().flatten().enumerate();
        ranges.extend(of.map(|(number, range)| (format!("/filters/{index}/ranges/{number}"), Some(range))));
    }
    for (pointer, range) in ranges {
        if let Some([from, to]) = numbers(range).as_deref() {
            // An empty range is a variation that nobody gets, and is written on purpose.
            let fault = range_fault(*from, *to).filter(|_| from != to);
            found.extend(fault.map(|message| (pointer, message)));
        }
    }
    found
}

fn is_share(number: f64) -> bool {
    (0.0..=1.0).contains(&number)
}

fn numbers(list: Option<&Value>) -> Option<Vec<f64>> {
    list?.as_array()?.iter().map(Value::as_f64).collect()
}

/// What was probably meant by a number of percent.
fn percent(number: f64) -> String {
    if number > 1.0 && number <= 100.0 { format!(": {number} % is {}", short(number / 100.0)) } else { String::new() }
}

/// A number as people write it: 0.7, and not 0.7000000000000001.
fn short(number: f64) -> f64 {
    (number * 1e6).round() / 1e6
}

fn weights_fault(weights: &[f64]) -> Option<String> {
    if weights.iter().all(|weight| is_share(*weight)) {
        return None;
    }
    let listed = |weights: &[f64]| format!("[{}]", weights.iter().map(f64::to_string).collect::<Vec<_>>().join(", "));
    let sum: f64 = weights.iter().sum();
    let found = format!("expected weights from 0 to 1 with the sum 1, but found {}", listed(weights));
    Some(if weights.iter().all(|weight| *weight >= 0.0) && sum > 1.0 {
        let shares: Vec<f64> = weights.iter().map(|weight| short(weight / sum)).collect();
        format!("{found}: write {}. As they are, all variations get the same share", listed(&shares))
    } else {
        found
    })
}

fn range_fault(from: f64, to: f64) -> Option<String> {
    if !is_share(from) || !is_share(to) {
        let outside = if is_share(from) { to } else { from };
        return Some(format!("expected a range within 0 and 1, but found {from} to {to}{}", percent(outside)));
    }
    (from >= to).then(|| {
        format!("expected a range from a lower to a higher share, but found {from} to {to}, which holds nobody")
    })
}
