//! What a change of an experiment does to its results.

use edge_personalizer::growthbook::Experiment;
use serde_json::{Value, json};

use super::Shares;

/// Warnings for an experiment that both sides have.
pub fn warnings(was: &Experiment, is: &Experiment, visitors: &[Shares]) -> Vec<String> {
    let key = is.key();
    let (old, new) = (was.definition(), is.definition());
    let seed =
        |experiment: &Experiment| experiment.definition().seed.clone().unwrap_or_else(|| experiment.key().to_owned());
    let of = |text: &Option<String>| text.clone().unwrap_or_else(|| "id".to_owned());
    let order = [
        ("seed", json!(seed(was)), json!(seed(is))),
        ("hashVersion", json!(old.hash_version.unwrap_or(1)), json!(new.hash_version.unwrap_or(1))),
        ("hashAttribute", json!(of(&old.hash_attribute)), json!(of(&new.hash_attribute))),
    ];
    let order: Vec<String> =
        order.iter().filter(|(_, was, is)| was != is).map(|(what, was, is)| format!("{what} {was} → {is}")).collect();
    let mut warnings = Vec::new();
    if !order.is_empty() {
        warnings.push(format!(
            "experiment '{key}' puts its visitors in a new order ({}): each is assigned anew, and what was measured before doesn't add up \
             with what comes after. Right for a new phase, wrong for anything else.",
            order.join(", ")
        ));
    }
    if old.bucket_version.unwrap_or(0) != new.bucket_version.unwrap_or(0) {
        warnings.push(format!(
            "experiment '{key}' forgets the variations that visitors' cookies remember (bucketVersion)."
        ));
    }
    let split = |definition: &edge_personalizer::growthbook::stored::Experiment| -> Value {
        json!([definition.weights, definition.coverage, definition.ranges, definition.namespace, definition.filters])
    };
    let most = visitors.iter().map(|shares| shares.moved + shares.left).fold(0.0, f64::max);
    if order.is_empty() && split(old) != split(new) && most > 0.0 {
        warnings.push(format!(
            "experiment '{key}' is split otherwise while it runs: up to {:.1} % of visitors have seen two variations, which biases its results. \
             `personalizer reweight` finds the ranges that move the fewest; a new seed starts a clean phase.",
            most * 100.0
        ));
    }
    warnings
}
