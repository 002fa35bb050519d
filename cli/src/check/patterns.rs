//! Patterns that take most of what one request may spend on patterns.

use edge_personalizer::condition::longest_text;
use serde_json::Value;

use super::{Checked, escape};

/// A text that a pattern should still have room for: a URL with a campaign's parameters, in bytes.
const ORDINARY: usize = 1_024;

impl Checked<'_> {
    /// Names each pattern that, alone, has taken all the work of a request before an ordinary URL ends.
    pub(super) fn dear_patterns(&mut self) {
        let mut dear = Vec::new();
        for (name, value) in self.folder.values() {
            each_pattern(&value, &mut String::new(), &mut |pointer, pattern| {
                if let Some(longest) = longest_text(pattern).filter(|longest| *longest < ORDINARY) {
                    dear.push((name.clone(), pointer.to_owned(), longest));
                }
            });
        }
        for (dictionary, pointer, longest) in dear {
            let message = format!(
                "expected a pattern that is cheap to match, but found one that takes all the work of a request's patterns for a text of \
                 {longest} bytes, and doesn't match a longer one: bounds in bounds, such as (.{{0,20}}){{0,20}}, make it so large"
            );
            self.warn(&dictionary, pointer, message);
        }
    }
}

/// Calls `each` with the place and the text of every pattern below `value`.
fn each_pattern(value: &Value, pointer: &mut String, each: &mut dyn FnMut(&str, &str)) {
    let mut below = |step: &str, value: &Value, is_pattern: bool| {
        let length = pointer.len();
        pointer.push('/');
        pointer.push_str(&escape(step));
        match value.as_str().filter(|_| is_pattern) {
            Some(pattern) => each(pointer, pattern),
            None => each_pattern(value, pointer, each),
        }
        pointer.truncate(length);
    };
    match value {
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| below(&index.to_string(), item, false));
        }
        Value::Object(members) => {
            let is_target = members.get("type").and_then(Value::as_str) == Some("regex");
            for (key, value) in members {
                below(key, value, key == "$regex" || key == "$regexi" || (is_target && key == "pattern"));
            }
        }
        _ => {}
    }
}
