//! Budgets as wide as a busy machine needs. The local server takes the time that passes for vCPU time, so that a page would stream on
//! unrewritten wherever a neighbour had the processor for 30 ms; what a test says of a budget itself counts.

use std::time::Duration;

use local_server::rules::Rules;
use serde_json::{Map, Value};

/// No backend of a test is given up before the test is.
pub(crate) const WIDE_TIMEOUT: Duration = Duration::from_secs(60);
const DICTIONARY: &str = "settings";
/// Milliseconds of vCPU, and milliseconds a session is waited for (the most that counts).
const WIDE: [(&str, &str, u64); 2] = [("limits", "vcpu_ms", 60_000), ("session", "budget_ms", 2_000)];

/// The rules with wide budgets where their settings name none. Settings that can't be read stay as they are.
pub(crate) fn patient(rules: &Rules) -> Rules {
    let mut rules = rules.clone();
    let settings = rules.entries().get(DICTIONARY).and_then(|text| serde_json::from_str(text).ok());
    if let Some(Value::Object(mut settings)) = settings {
        for (group, name, wide) in WIDE {
            let group = settings.entry(group).or_insert_with(|| Map::new().into());
            if let Some(group) = group.as_object_mut() {
                group.entry(name).or_insert_with(|| wide.into());
            }
        }
        rules.set(DICTIONARY, &settings.into());
    }
    rules
}
