//! A visitor's and a user's record as one, for shoppers who looked around before they logged in.

use super::record::Record;

/// Both records together. Views are put in the order of time, the undated ones after their dated neighbours' record;
/// carts, segments, weights and attributes are united, and where both have the same SKU, category or name, `first`
/// (the user's) counts.
#[must_use]
pub fn joined(first: Record, second: Record) -> Record {
    let mut both = first;
    both.updated_at = both.updated_at.max(second.updated_at);
    both.recent_views.extend(second.recent_views);
    // Stable: views without a time stay in the order they came.
    both.recent_views.sort_by_key(|view| std::cmp::Reverse(view.at));
    let mut seen = std::collections::BTreeSet::new();
    both.recent_views.retain(|view| seen.insert(view.sku.clone()));
    for item in second.cart {
        if both.cart.iter().all(|own| own.sku != item.sku) {
            both.cart.push(item);
        }
    }
    for segment in second.segments {
        if !both.segments.contains(&segment) {
            both.segments.push(segment);
        }
    }
    for (category, weight) in second.affinity {
        both.affinity.entry(category).or_insert(weight);
    }
    for (name, value) in second.attributes {
        both.attributes.entry(name).or_insert(value);
    }
    both
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::record::{CartItem, View};
    use serde_json::json;
    use std::collections::BTreeMap;

    #[test]
    fn the_users_record_counts_where_both_know_something() {
        let view = |sku: &str, at| View { sku: sku.into(), at };
        let item = |sku: &str, quantity| CartItem { sku: sku.into(), quantity, price: None };
        let user = Record {
            updated_at: 5,
            recent_views: vec![view("a", Some(10)), view("b", Some(5)), view("z", None)],
            cart: vec![item("x", 1)],
            affinity: BTreeMap::from([("shoes".into(), 1.0)]),
            segments: vec!["vip".into()],
            attributes: BTreeMap::from([("tier".into(), json!("gold"))]),
        };
        let visitor = Record {
            updated_at: 9,
            recent_views: vec![view("b", Some(7)), view("c", Some(6))],
            cart: vec![item("x", 9), item("y", 2)],
            affinity: BTreeMap::from([("shoes".into(), 0.1), ("hats".into(), 0.5)]),
            segments: vec!["vip".into(), "new".into()],
            attributes: BTreeMap::from([("tier".into(), json!("none")), ("ref".into(), json!(1))]),
        };
        let both = joined(user, visitor);
        assert_eq!(both.updated_at, 9);
        let skus: Vec<_> = both.recent_views.iter().map(|view| view.sku.as_str()).collect();
        assert_eq!(skus, ["a", "b", "c", "z"]);
        assert_eq!(both.cart, [item("x", 1), item("y", 2)]);
        assert_eq!(both.affinity["shoes"], 1.0);
        assert_eq!(both.affinity["hats"], 0.5);
        assert_eq!(both.segments, ["vip", "new"]);
        assert_eq!(both.attributes["tier"], json!("gold"));
        assert_eq!(both.attributes["ref"], json!(1));
    }
}
