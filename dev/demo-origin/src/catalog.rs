//! What the shop sells.

use serde_json::{Value, json};

/// Names by category; stock beyond these is numbered.
const SHELVES: [(&str, [&str; 4]); 5] = [
    ("electronics", ["Wireless headphones", "Reading lamp", "Pocket radio", "Travel charger"]),
    ("kitchen", ["Cast-iron pan", "Espresso maker", "Bread knife", "Pour-over kettle"]),
    ("outdoor", ["Two-person tent", "Trail backpack", "Enamel mug", "Rain jacket"]),
    ("books", ["Atlas of rivers", "A field guide to birds", "The long road", "Notes on bread"]),
    ("toys", ["Wooden train", "Kite", "Marble run", "Picture puzzle"]),
];

/// How many products have pages.
pub(crate) const STOCK: usize = 500;

/// One product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Product {
    /// `P0001` and up.
    pub sku: String,
    /// For people.
    pub name: String,
    /// One of the shop's five.
    pub category: &'static str,
    /// In US cents.
    pub price_cents: usize,
}

impl Product {
    /// As the shop's API answers it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({ "id": self.sku, "name": self.name, "category": self.category, "price": self.price() })
    }

    /// With two decimals, without a currency.
    #[must_use]
    pub fn price(&self) -> String {
        format!("{}.{:02}", self.price_cents / 100, self.price_cents % 100)
    }
}

/// The first `count` products.
#[must_use]
pub fn products(count: usize) -> Vec<Product> {
    (0..count.min(STOCK)).filter_map(numbered).collect()
}

/// The product of that number, if there is one.
#[must_use]
pub fn product(sku: &str) -> Option<Product> {
    let number: usize = sku.strip_prefix('P')?.parse().ok()?;
    let found = numbered(number.checked_sub(1)?)?;
    (found.sku == sku).then_some(found)
}

fn numbered(index: usize) -> Option<Product> {
    let (category, names) = SHELVES.get(index % SHELVES.len())?;
    let round = index / SHELVES.len();
    let name = names.get(round % names.len())?;
    let edition = round / names.len();
    (index < STOCK).then(|| Product {
        sku: format!("P{:04}", index + 1),
        name: if edition == 0 { (*name).to_owned() } else { format!("{name} No. {}", edition + 1) },
        category,
        // Prices between 4.99 and 203.99, in no visible order.
        price_cents: 499 + (index * 7919 % 200) * 100,
    })
}
