//! A session as decisions see it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Milliseconds since 1970 at the end of the year 9999, the last that RFC 3339 can write.
const LAST_MS: i64 = 253_402_300_799_999;

/// Something looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// What.
    pub sku: String,
    /// When, in milliseconds since 1970, where known.
    pub at: Option<i64>,
}

/// A line of the cart.
#[derive(Debug, Clone, PartialEq)]
pub struct CartItem {
    /// What.
    pub sku: String,
    /// How many.
    pub quantity: u32,
    /// What one costs, where known.
    pub price: Option<f64>,
}

/// A session. Everything in it is data from elsewhere: whoever puts a part into a header, a URL or a page encodes it
/// for there.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Record {
    /// When the central backend last changed it, in milliseconds since 1970.
    pub updated_at: i64,
    /// What was looked at, the newest first.
    pub recent_views: Vec<View>,
    /// What is in the cart.
    pub cart: Vec<CartItem>,
    /// Category → weight.
    pub affinity: BTreeMap<String, f64>,
    /// Segments the visitor is in.
    pub segments: Vec<String>,
    /// Anything else, by name.
    pub attributes: BTreeMap<String, Value>,
}

impl Record {
    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.recent_views.is_empty()
            && self.cart.is_empty()
            && self.affinity.is_empty()
            && self.segments.is_empty()
            && self.attributes.is_empty()
    }

    /// The members of [`Self::to_attribute`].
    pub const MEMBERS: [&str; 9] = [
        "recent_views",
        "cart",
        "cart_skus",
        "cart_quantity",
        "cart_value",
        "affinity",
        "top_affinity",
        "segments",
        "attributes",
    ];

    /// The attribute `session` of conditions and templates: `recent_views` as a list of SKUs, `cart` as a list of
    /// `{sku, quantity, price?}`, `cart_skus`, `cart_quantity` (pieces), `cart_value` (where every price is known),
    /// `affinity`, `top_affinity` (the heaviest category), `segments`, `attributes`.
    #[must_use]
    pub fn to_attribute(&self) -> Value {
        let skus = |skus: &mut dyn Iterator<Item = &String>| skus.cloned().map(Value::String).collect::<Vec<_>>();
        let quantity: u64 = self.cart.iter().map(|item| u64::from(item.quantity)).sum();
        let mut lines = self.cart.iter().map(|item| Some(item.price? * f64::from(item.quantity)));
        // From 0, for the sum of no lines is -0.
        let value = lines.try_fold(0.0, |sum, line| Some(sum + line?)).map(without_binary_rest);
        let mut session = Map::new();
        session.insert("recent_views".into(), skus(&mut self.recent_views.iter().map(|view| &view.sku)).into());
        session.insert("cart".into(), self.cart.iter().map(cart_json).collect());
        session.insert("cart_skus".into(), skus(&mut self.cart.iter().map(|item| &item.sku)).into());
        session.insert("cart_quantity".into(), quantity.into());
        if let Some(value) = value {
            session.insert("cart_value".into(), json!(value));
        }
        session.insert("affinity".into(), json!(self.affinity));
        if let Some((category, _)) = self.top_affinities().first() {
            session.insert("top_affinity".into(), json!(category));
        }
        session.insert("segments".into(), json!(self.segments));
        session.insert("attributes".into(), json!(self.attributes));
        Value::Object(session)
    }

    /// Categories, the heaviest first; equals by name.
    #[must_use]
    pub fn top_affinities(&self) -> Vec<(&str, f64)> {
        let mut sorted: Vec<_> = self.affinity.iter().map(|(category, weight)| (category.as_str(), *weight)).collect();
        sorted.sort_by(|(_, a), (_, b)| b.total_cmp(a));
        sorted
    }
}

/// A view as JSON: its SKU, or an object where the time is known.
pub(super) fn view_json(view: &View) -> Value {
    match view.at {
        Some(at) => json!({ "sku": view.sku, "at": at }),
        None => Value::String(view.sku.clone()),
    }
}

/// A sum of money without what binary fractions add to it: 50 where the prices come to 50, so that it isn't below 50. A millionth is less
/// than any currency has.
fn without_binary_rest(sum: f64) -> f64 {
    const MILLION: f64 = 1e6;
    let rounded = (sum * MILLION).round() / MILLION;
    if rounded.is_finite() { rounded } else { sum }
}

/// A line of the cart as JSON.
pub(super) fn cart_json(item: &CartItem) -> Value {
    let mut json = Map::new();
    json.insert("sku".into(), item.sku.clone().into());
    json.insert("quantity".into(), item.quantity.into());
    if let Some(price) = item.price {
        json.insert("price".into(), json!(price));
    }
    Value::Object(json)
}

/// A point in time: whole milliseconds since 1970, which is what we write, or RFC 3339, which people do. `None`
/// outside the years 1970 to 9999.
#[must_use]
pub fn time_ms(value: &Value) -> Option<i64> {
    let ms = match value {
        Value::Number(number) => number.as_i64()?,
        Value::String(text) => {
            let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
            i64::try_from(time.unix_timestamp_nanos().div_euclid(1_000_000)).ok()?
        }
        _ => return None,
    };
    (0..=LAST_MS).contains(&ms).then_some(ms)
}

/// What a program means that gives seconds since 1970: from March 1973 on. In milliseconds these are times before 2001.
const SECONDS: std::ops::Range<i64> = 100_000_000..978_307_200_000;

/// When a record was last changed: as [`time_ms`], but for a number that is in seconds. Such a record would be older than any other.
#[must_use]
pub fn updated_ms(value: &Value) -> Option<i64> {
    time_ms(value).filter(|ms| !(value.is_number() && SECONDS.contains(ms)))
}

/// Milliseconds since 1970; 0 before.
#[must_use]
pub fn millis(time: OffsetDateTime) -> i64 {
    i64::try_from(time.unix_timestamp_nanos() / 1_000_000).unwrap_or(LAST_MS).clamp(0, LAST_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_milliseconds_or_rfc_3339() {
        assert_eq!(time_ms(&json!(1_764_000_000_123_i64)), Some(1_764_000_000_123));
        assert_eq!(time_ms(&json!("2025-11-24T16:00:00.123456Z")), Some(1_764_000_000_123));
        assert_eq!(time_ms(&json!("2025-11-24T17:00:00.123+01:00")), Some(1_764_000_000_123));
        for bad in [json!(-1), json!(1.5), json!(u64::MAX), json!(LAST_MS + 1), json!("now"), json!(null), json!([1])] {
            assert_eq!(time_ms(&bad), None, "{bad}");
        }
        assert_eq!(time_ms(&json!("1969-12-31T23:59:59.999Z")), None);
    }

    #[test]
    fn conditions_see_sums_and_the_heaviest_category() {
        let record = Record {
            recent_views: vec![View { sku: "a".into(), at: Some(1) }, View { sku: "b".into(), at: None }],
            cart: vec![
                CartItem { sku: "c".into(), quantity: 2, price: Some(1.5) },
                CartItem { sku: "d".into(), quantity: 1, price: Some(4.0) },
            ],
            affinity: BTreeMap::from([("hats".into(), 0.2), ("shoes".into(), 0.9)]),
            ..Record::default()
        };
        let session = record.to_attribute();
        assert_eq!(session["recent_views"], json!(["a", "b"]));
        assert_eq!(session["cart_skus"], json!(["c", "d"]));
        assert_eq!(session["cart_quantity"], json!(3));
        assert_eq!(session["cart_value"], json!(7.0));
        // Money, not what binary fractions make of it.
        let cart = |lines: &[(u32, f64)]| {
            let item =
                |(quantity, price): &(u32, f64)| CartItem { sku: "x".into(), quantity: *quantity, price: Some(*price) };
            let record = Record { cart: lines.iter().map(item).collect(), ..Record::default() };
            record.to_attribute()["cart_value"].to_string()
        };
        assert_eq!(cart(&[]), "0.0");
        assert_eq!(cart(&[(3, 0.1), (1, 59.9)]), "60.2");
        assert_eq!(cart(&[(2, 12.43), (2, 6.76), (1, 11.62)]), "50.0");
        assert_eq!(cart(&[(1, f64::MAX)]), json!(f64::MAX).to_string());
        assert_eq!(session["top_affinity"], json!("shoes"));
        assert_eq!(session.as_object().unwrap().keys().collect::<Vec<_>>(), Record::MEMBERS.each_ref());
        let unpriced = Record { cart: vec![CartItem { sku: "c".into(), quantity: 1, price: None }], ..record };
        assert!(unpriced.to_attribute().get("cart_value").is_none());
    }
}
