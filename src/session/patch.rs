//! The fields of a record as somebody sends them: which are to be set, which to be cleared.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::record::{CartItem, View, cart_json, time_ms, view_json};
use crate::rules::settings::session::RecordLimits;

/// Faults of one record that are told; the rest would only repeat them.
const MOST_ISSUES: usize = 8;

/// What happens to a field.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Change<T> {
    /// The field wasn't named.
    #[default]
    Keep,
    /// The field was `null`.
    Clear,
    /// The field has a value.
    Set(T),
}

/// What happens to the fields of a record. In the two maps every entry stands for itself; `None` removes it (the
/// semantics of RFC 7396, JSON Merge Patch, one level deep).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Patch {
    /// What was looked at, the newest first.
    pub recent_views: Change<Vec<View>>,
    /// What is in the cart, as a whole.
    pub cart: Change<Vec<CartItem>>,
    /// Segments, as a whole.
    pub segments: Change<Vec<String>>,
    /// Category → weight.
    pub affinity: Change<BTreeMap<String, Option<f64>>>,
    /// Attributes by name.
    pub attributes: Change<BTreeMap<String, Option<Value>>>,
}

/// A part of a record that can't be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// Where, as `cart[3].quantity`.
    pub path: String,
    /// What was expected.
    pub expected: String,
    /// Whether there is only more of it than counts.
    pub is_limit: bool,
}

impl std::fmt::Display for Issue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: expected {}", self.path, self.expected)
    }
}

impl Patch {
    /// Reads the known fields of a record's JSON as far as they go, within `limits`; unknown ones are ignored. What
    /// can't be used is left out and named in `issues`: a strict reader refuses the record then, a lenient one goes
    /// on.
    #[must_use]
    pub fn read(object: &Map<String, Value>, limits: &RecordLimits, issues: &mut Vec<Issue>) -> Self {
        let limits = limits.bounded();
        let mut reader = Reader { limits, issues };
        Self {
            recent_views: reader.list(object, "recent_views", limits.recent_views, Reader::view),
            cart: reader.list(object, "cart", limits.cart, Reader::cart_item),
            segments: reader.list(object, "segments", limits.segments, Reader::name),
            affinity: reader.map(object, "affinity", limits.affinity, Reader::weight),
            attributes: reader.map(object, "attributes", limits.attributes, Reader::attribute),
        }
    }

    /// One spelling for equal patches, whatever the order and spacing of the JSON they came from.
    #[must_use]
    pub fn canonical(&self) -> String {
        let mut fields = Map::new();
        let mut put = |name: &str, change: Option<Value>| {
            if let Some(value) = change {
                fields.insert(name.to_owned(), value);
            }
        };
        put("affinity", field(&self.affinity, |map| json!(map)));
        put(
            "attributes",
            field(&self.attributes, |map| {
                map.iter().map(|(name, value)| (name.clone(), value.as_ref().map_or(Value::Null, sorted))).collect()
            }),
        );
        put("cart", field(&self.cart, |items| items.iter().map(cart_json).collect()));
        put("recent_views", field(&self.recent_views, |views| views.iter().map(view_json).collect()));
        put("segments", field(&self.segments, |segments| json!(segments)));
        Value::Object(fields).to_string()
    }
}

fn field<T>(change: &Change<T>, json: impl FnOnce(&T) -> Value) -> Option<Value> {
    match change {
        Change::Keep => None,
        Change::Clear => Some(Value::Null),
        Change::Set(value) => Some(json(value)),
    }
}

/// The same value with the members of every object in order.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let ordered: BTreeMap<_, _> = members.iter().collect();
            ordered.into_iter().map(|(name, value)| (name.clone(), sorted(value))).collect()
        }
        Value::Array(items) => items.iter().map(sorted).collect(),
        other => other.clone(),
    }
}

struct Reader<'i> {
    limits: RecordLimits,
    issues: &'i mut Vec<Issue>,
}

impl Reader<'_> {
    fn issue(&mut self, path: impl FnOnce() -> String, expected: impl FnOnce() -> String) {
        if self.issues.len() < MOST_ISSUES {
            self.issues.push(Issue { path: path(), expected: expected(), is_limit: false });
        }
    }

    fn beyond(&mut self, field: &str, limit: usize, what: &str, found: usize) {
        if self.issues.len() < MOST_ISSUES {
            let expected = format!("at most {limit} {what}, but found {found}");
            self.issues.push(Issue { path: field.to_owned(), expected, is_limit: true });
        }
    }

    fn list<T>(
        &mut self,
        object: &Map<String, Value>,
        field: &str,
        limit: usize,
        read: impl Fn(&Self, &Value) -> Result<T, String>,
    ) -> Change<Vec<T>> {
        let items = match object.get(field) {
            None => return Change::Keep,
            Some(Value::Null) => return Change::Clear,
            Some(Value::Array(items)) => items,
            // A cart that is an object with its items in it, as shops often have it.
            Some(Value::Object(cart)) if field == "cart" && cart.get("items").is_some_and(Value::is_array) => {
                match cart.get("items") {
                    Some(Value::Array(items)) => items,
                    _ => return Change::Keep,
                }
            }
            Some(other) => {
                self.issue(|| field.to_owned(), || format!("a list, but found {}", kind(other)));
                return Change::Keep;
            }
        };
        if items.len() > limit {
            self.beyond(field, limit, "items", items.len());
        }
        let mut list = Vec::with_capacity(items.len().min(limit));
        for (index, item) in items.iter().take(limit).enumerate() {
            match read(self, item) {
                Ok(value) => list.push(value),
                Err(expected) => self.issue(|| format!("{field}[{index}]"), || expected),
            }
        }
        // An empty list would say that there is nothing in it.
        if list.is_empty() && !items.is_empty() && limit > 0 { Change::Keep } else { Change::Set(list) }
    }

    fn map<T>(
        &mut self,
        object: &Map<String, Value>,
        field: &str,
        limit: usize,
        read: impl Fn(&Self, &Value) -> Result<T, String>,
    ) -> Change<BTreeMap<String, Option<T>>> {
        let members = match object.get(field) {
            None => return Change::Keep,
            Some(Value::Null) => return Change::Clear,
            Some(Value::Object(members)) => members,
            Some(other) => {
                self.issue(|| field.to_owned(), || format!("an object, but found {}", kind(other)));
                return Change::Keep;
            }
        };
        if members.len() > limit {
            self.beyond(field, limit, "entries", members.len());
        }
        let mut map = BTreeMap::new();
        for (name, value) in members.iter().take(limit) {
            if let Err(expected) = self.named(name) {
                self.issue(|| format!("{field}: a name"), || expected);
                continue;
            }
            match (value, read(self, value)) {
                (Value::Null, _) => drop(map.insert(name.clone(), None)),
                (_, Ok(value)) => drop(map.insert(name.clone(), Some(value))),
                (_, Err(expected)) => self.issue(|| format!("{field}.{name}"), || expected),
            }
        }
        if map.is_empty() && !members.is_empty() && limit > 0 { Change::Keep } else { Change::Set(map) }
    }

    fn named(&self, text: &str) -> Result<(), String> {
        let most = self.limits.name_bytes;
        if (1..=most).contains(&text.len()) {
            Ok(())
        } else {
            Err(format!("a text of 1 to {most} bytes, but found {}", text.len()))
        }
    }

    fn name(&self, value: &Value) -> Result<String, String> {
        let text = value.as_str().ok_or_else(|| format!("a text, but found {}", kind(value)))?;
        self.named(text)?;
        Ok(text.to_owned())
    }

    fn sku(&self, members: &Map<String, Value>) -> Result<String, String> {
        let sku = members.get("sku").or_else(|| members.get("id")).ok_or("a `sku`, but found none")?;
        self.name(sku)
    }

    fn view(&self, value: &Value) -> Result<View, String> {
        match value {
            Value::Object(members) => {
                let at = match members.get("at") {
                    None | Some(Value::Null) => None,
                    Some(at) => Some(time_ms(at).ok_or("milliseconds since 1970 or RFC 3339 under `at`")?),
                };
                Ok(View { sku: self.sku(members)?, at })
            }
            other => Ok(View { sku: self.name(other)?, at: None }),
        }
    }

    fn cart_item(&self, value: &Value) -> Result<CartItem, String> {
        let Value::Object(members) = value else {
            return Ok(CartItem { sku: self.name(value)?, quantity: 1, price: None });
        };
        let quantity = match members.get("quantity") {
            None => 1,
            Some(quantity) => quantity
                .as_u64()
                .or_else(|| quantity.as_f64().and_then(whole))
                .and_then(|quantity| u32::try_from(quantity).ok())
                .filter(|quantity| *quantity > 0)
                .ok_or_else(|| format!("a `quantity` of 1 or more, but found {quantity}"))?,
        };
        let price = match members.get("price") {
            None | Some(Value::Null) => None,
            Some(price) => Some(
                price
                    .as_f64()
                    .filter(|price| *price >= 0.0)
                    .ok_or("a `price` of 0 or more, but found something else")?,
            ),
        };
        Ok(CartItem { sku: self.sku(members)?, quantity, price })
    }

    fn weight(&self, value: &Value) -> Result<f64, String> {
        value.as_f64().ok_or_else(|| format!("a number, but found {}", kind(value)))
    }

    fn attribute(&self, value: &Value) -> Result<Value, String> {
        let (bytes, most) = (value.to_string().len(), self.limits.value_bytes);
        if bytes <= most { Ok(value.clone()) } else { Err(format!("at most {most} bytes of JSON, but found {bytes}")) }
    }
}

/// A whole number that was written as `2.0`, as programs do that know one kind of number.
fn whole(number: f64) -> Option<u64> {
    (number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&number)).then_some(number as u64)
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: Value) -> (Patch, Vec<String>) {
        let mut issues = Vec::new();
        let patch = Patch::read(value.as_object().unwrap(), &RecordLimits::default(), &mut issues);
        (patch, issues.iter().map(Issue::to_string).collect())
    }

    #[test]
    fn every_accepted_spelling_reads_alike() {
        let (a, issues) = read(json!({
            "recent_views": ["x", { "sku": "y", "at": "1970-01-01T00:00:01Z" }],
            "cart": { "items": [{ "sku": "c", "quantity": 2, "price": 3 }, "d"] },
            "segments": ["vip"], "affinity": { "shoes": 1 }, "attributes": { "tier": { "b": 1, "a": 2 } },
            "something else": 1,
        }));
        let (b, _) = read(json!({
            "attributes": { "tier": { "a": 2, "b": 1 } }, "affinity": { "shoes": 1.0 }, "segments": ["vip"],
            "cart": [{ "price": 3.0, "sku": "c", "quantity": 2 }, { "id": "d" }],
            "recent_views": [{ "sku": "x" }, { "at": 1000, "sku": "y" }],
        }));
        assert_eq!(issues, Vec::<String>::new());
        assert_eq!(a.canonical(), b.canonical());
        assert_ne!(a.canonical(), read(json!({})).0.canonical());
    }

    #[test]
    fn what_cannot_be_used_is_named_and_the_rest_counts() {
        let (patch, issues) = read(json!({
            "recent_views": "x",
            "cart": [{ "sku": "a", "quantity": 0 }, { "sku": "b" }, { "quantity": 1 }],
            "segments": [1, "ok", ""],
            "affinity": { "a": "heavy", "b": null, "c": 1 },
            "attributes": { "": 1, "big": "x".repeat(2000), "t": true },
        }));
        assert_eq!(
            issues,
            [
                "recent_views: expected a list, but found a text",
                "cart[0]: expected a `quantity` of 1 or more, but found 0",
                "cart[2]: expected a `sku`, but found none",
                "segments[0]: expected a text, but found a number",
                "segments[2]: expected a text of 1 to 128 bytes, but found 0",
                "affinity.a: expected a number, but found a text",
                "attributes: a name: expected a text of 1 to 128 bytes, but found 0",
                "attributes.big: expected at most 1024 bytes of JSON, but found 2002",
            ]
        );
        assert_eq!(patch.recent_views, Change::Keep);
        assert_eq!(patch.segments, Change::Set(vec!["ok".to_owned()]));
        assert_eq!(patch.affinity, Change::Set(BTreeMap::from([("b".into(), None), ("c".into(), Some(1.0))])));
        assert_eq!(patch.attributes, Change::Set(BTreeMap::from([("t".into(), Some(json!(true)))])));
        assert_eq!(read(json!({ "cart": null })).0.cart, Change::Clear);
    }

    #[test]
    fn too_many_are_cut() {
        let many: Vec<String> = (0..1000).map(|n| n.to_string()).collect();
        let (patch, issues) = read(json!({ "segments": many }));
        assert_eq!(issues, ["segments: expected at most 64 items, but found 1000"]);
        assert!(matches!(patch.segments, Change::Set(list) if list.len() == 64));
    }
}
