//! The central session source: what the shop's database knows of a visitor.

use serde_json::json;

use crate::answer::Answer;
use crate::catalog;

/// `/sessions/user/{id}` and `/sessions/visitor/{id}`. Ids that begin with `nobody` have no session; every other id
/// has one that follows from its letters, so that a test can expect it.
pub(crate) fn record(kind: &str, id: &str) -> Answer {
    if id.is_empty() || id.starts_with("nobody") {
        return Answer::not_found().cached("no-store");
    }
    let seed = id.bytes().fold(0_usize, |sum, byte| (sum * 31 + usize::from(byte)) % catalog::STOCK);
    let views: Vec<_> = (0..3).map(|step| format!("P{:04}", (seed + step * 5) % catalog::STOCK + 1)).collect();
    let categories: Vec<_> = views.iter().filter_map(|sku| catalog::product(sku)).map(|found| found.category).collect();
    let favourite = categories.first().copied().unwrap_or("books");
    Answer::json(&json!({
        "version": 1,
        "updated_at": "2026-01-01T00:00:00Z",
        "recent_views": views,
        "cart": { "items": [{ "sku": views.first(), "quantity": 1 }] },
        "affinity": { favourite: 0.8 },
        "segments": if kind == "user" { json!(["customer"]) } else { json!([]) },
        "attributes": { "tier": if kind == "user" { "gold" } else { "none" } },
    }))
    .cached("no-store")
}
