//! When what was found is what was expected.

use serde_json::Value as Json;

/// Members that older files don't name yet: absent from what is expected, they aren't compared.
const NEWER_MEMBERS: [&str; 2] = ["ruleId", "stickyBucketUsed"];

/// Whether two values are the same: numbers by value, whether written as 1 or as 1.0; objects without regard to the order of keys.
pub(super) fn agree(expected: &Json, found: &Json) -> bool {
    match (expected, found) {
        (Json::Number(expected), Json::Number(found)) => expected.as_f64() == found.as_f64(),
        (Json::Array(expected), Json::Array(found)) => {
            expected.len() == found.len() && expected.iter().zip(found).all(|(expected, found)| agree(expected, found))
        }
        (Json::Object(expected), Json::Object(found)) => {
            let may_lack = |key: &String| NEWER_MEMBERS.contains(&key.as_str()) || expected.contains_key(key);
            found.keys().all(may_lack)
                && expected.iter().all(|(key, value)| found.get(key).is_some_and(|found| agree(value, found)))
        }
        (expected, found) => expected == found,
    }
}

/// A list of numbers, or of such lists, cut to eight decimals: the file writes thirds in this way.
pub(super) fn cut(json: Json) -> Json {
    const DECIMALS: f64 = 1e8;
    match json {
        Json::Number(number) => {
            number.as_f64().map_or(Json::Null, |number| Json::from((number * DECIMALS).floor() / DECIMALS))
        }
        Json::Array(items) => items.into_iter().map(cut).collect(),
        other => other,
    }
}
