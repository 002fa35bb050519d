//! Any bytes as an answer: no panic, and what is taken for JSON stays JSON.

use edge_personalizer::transform::facts::Facts;
use edge_personalizer::transform::json::JsonRules;
use edge_personalizer::transform::template::Templates;
use serde::de::IgnoredAny;
use serde_json::json;

/// One input.
pub fn run(body: &[u8]) {
    let mut templates = Templates::new([]);
    let mut faults = Vec::new();
    let stored = json!({
        "set": [{"pointer": "/a/0/b", "value": "{{ v }}"}, {"pointer": "/a/-", "value": {"from": "xs"}}, {"pointer": "/c", "value": 1}, {"pointer": "/a", "value": []}],
        "rerank": {"pointer": "/a", "key": "k", "affinity": "weights", "recent": "xs", "pinned": ["p"]}
    });
    let rules = JsonRules::compile(&stored, "", &mut templates, &mut faults);
    assert!(faults.is_empty());
    let facts = json!({"v": "\"</script>\u{0}", "xs": ["1", 2], "weights": {"x": 2, "y": -1.5}});
    if let Ok((out, outcome)) = rules.apply(body, &templates, &Facts::new(&facts), &mut faults) {
        assert!(serde_json::from_slice::<IgnoredAny>(&out).is_ok());
        assert!(outcome.edited > 0 || out == body);
    }
}
