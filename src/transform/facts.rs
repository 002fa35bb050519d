//! What rules may draw from: the facts of one request (region, language, session, features, …) as one JSON object.

use std::cell::OnceCell;

use serde_json::Value;

/// The facts of one request. The template engine's form is made once, and only if a template is rendered.
#[derive(Debug)]
pub struct Facts<'a> {
    json: &'a Value,
    template: OnceCell<minijinja::Value>,
}

impl<'a> Facts<'a> {
    /// Facts from a JSON object, by name: `region`, `country`, `session`, ….
    pub fn new(json: &'a Value) -> Self {
        Self { json, template: OnceCell::new() }
    }

    /// The facts as given.
    pub fn json(&self) -> &'a Value {
        self.json
    }

    /// The value at a dotted path (`session.cart.count`, `session.items.0.sku`); `None` where a step is absent.
    pub fn get(&self, path: &str) -> Option<&'a Value> {
        path.split('.').try_fold(self.json, step)
    }

    /// All values at a dotted path, where a name after a list means that name in each of its members: the path
    /// `session.cart.items.sku` gives every SKU. The last value, if it is a list, gives its members.
    pub fn get_all(&self, path: &str) -> Vec<&'a Value> {
        let mut found = vec![self.json];
        for name in path.split('.') {
            found = found
                .into_iter()
                .flat_map(|value| match (step(value, name), value) {
                    (Some(inner), _) => vec![inner],
                    (None, Value::Array(members)) => members.iter().filter_map(|member| step(member, name)).collect(),
                    (None, _) => Vec::new(),
                })
                .collect();
        }
        found
            .into_iter()
            .flat_map(|value| match value {
                Value::Array(members) => members.iter().collect(),
                value => vec![value],
            })
            .collect()
    }

    /// The facts as the template engine reads them.
    pub(super) fn template(&self) -> minijinja::Value {
        self.template.get_or_init(|| minijinja::value::Serde(self.json).into()).clone()
    }
}

fn step<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    match value {
        Value::Object(members) => members.get(name),
        Value::Array(members) => name.parse::<usize>().ok().and_then(|index| members.get(index)),
        _ => None,
    }
}

/// A string, number or truth value as text; `None` for the rest.
pub(super) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths_walk_objects_and_lists() {
        let json = json!({"session": {"cart": {"items": [{"sku": "a"}, {"sku": "b"}], "skus": ["x", 7]}}});
        let facts = Facts::new(&json);
        assert_eq!(facts.get("session.cart.items.1.sku"), Some(&json!("b")));
        assert_eq!(facts.get("session.none.items"), None);
        assert_eq!(facts.get_all("session.cart.items.sku"), [&json!("a"), &json!("b")]);
        assert_eq!(facts.get_all("session.cart.skus"), [&json!("x"), &json!(7)]);
        assert!(facts.get_all("session.none").is_empty());
    }
}
