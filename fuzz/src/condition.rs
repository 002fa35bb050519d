//! Any JSON as a condition on any attributes: no panic, an end, and what explains agrees with what decides.
//!
//! The input is a JSON array: the condition, the attributes, the groups.

use growthbook::condition::{Condition, Groups, lint};
use serde_json::Value;

/// One input.
pub fn run(data: &[u8]) {
    let Ok(Value::Array(parts)) = serde_json::from_slice(data) else { return };
    let [when, attributes, rest @ ..] = &parts[..] else { return };
    let groups = rest.first().map(|groups| Groups::from_json(groups).0).unwrap_or_default();
    let _ = lint(when, Some(&groups));
    let Ok(condition) = Condition::compile(when) else { return };
    let holds = condition.matches(attributes, &groups);
    assert_eq!(holds, condition.blocked_by(attributes, &groups).is_none());
    assert_eq!(holds, condition.matches(attributes, &groups), "the same the second time");
    for name in condition.attributes_used() {
        assert!(!name.contains('\u{0}') || data.contains(&b'u'));
    }
}
