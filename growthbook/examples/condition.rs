//! Who meets a condition? The condition language can be used without features.

use std::error::Error;

use growthbook::condition::{Condition, Groups};
use serde_json::json;

fn main() -> Result<(), Box<dyn Error>> {
    let condition = Condition::compile(&json!({
        "country": { "$in": ["FR", "BE"] },
        "$or": [{ "session.tier": "gold" }, { "id": { "$inGroup": "testers" } }]
    }))?;
    let (groups, _) = Groups::from_json(&json!({ "testers": ["7"] }));
    println!("It reads {:?}.", condition.attributes_used().collect::<Vec<_>>());
    for visitor in [
        json!({ "id": "7", "country": "FR" }),
        json!({ "id": "8", "country": "FR", "session": { "tier": "gold" } }),
        json!({ "id": "9", "country": "FR" }),
        json!({ "id": "7", "country": "US" }),
    ] {
        match condition.blocked_by(&visitor, &groups) {
            None => println!("{visitor}: yes"),
            Some(key) => println!("{visitor}: no, because of {key}"),
        }
    }
    Ok(())
}
