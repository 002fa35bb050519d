//! Dictionaries as entries of a config store: minified, and in parts where they are longer than an entry may be.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::dictionary::part_name;

/// Characters that an entry may have (Fastly's resource limits, "Config store").
pub const MAX_CHARACTERS: usize = 8_000;
/// Characters that a key may have (the same page).
pub const MAX_KEY: usize = 255;
/// Entries that a store may have (the same page).
pub const MAX_ENTRIES: usize = 500;
/// Dictionaries that may continue in parts (design.md section 3.1).
pub const GROWING: [&str; 5] = ["routes", "features", "experiments", "segments", "templates"];

/// The entries of these dictionaries: name (`routes`, `routes.2`, …) → text.
///
/// # Errors
///
/// The dictionary and the wording: something in it is longer than an entry may be and can't be divided.
pub fn entries(dictionaries: &Map<String, Value>) -> Result<BTreeMap<String, String>, (String, String)> {
    let mut all = BTreeMap::new();
    for (name, value) in dictionaries {
        let parts = split(name, value).map_err(|message| (name.clone(), message))?;
        all.extend(parts.into_iter().enumerate().map(|(index, text)| (part_name(name, index + 1), text)));
    }
    Ok(all)
}

fn characters(value: &Value) -> usize {
    value.to_string().chars().count()
}

/// One dictionary as texts, each within the limit: the entry of its name, then those of its parts.
///
/// # Errors
///
/// The wording: something in it is longer than an entry may be and can't be divided.
pub fn split(name: &str, value: &Value) -> Result<Vec<String>, String> {
    let mut whole = value.clone();
    if let Some(members) = whole.as_object_mut() {
        // Whoever wrote it by hand counted other parts.
        members.shift_remove("parts");
    }
    let length = characters(&whole);
    if length <= MAX_CHARACTERS {
        return Ok(vec![whole.to_string()]);
    }
    let limit = format!("expected at most {MAX_CHARACTERS} characters an entry, but found {length}");
    let Value::Object(mut rest) = whole else { return Err(limit) };
    if !GROWING.contains(&name) {
        return Err(limit);
    }
    let items: Vec<(Option<String>, Value)> = match rest.shift_remove(name) {
        Some(Value::Array(items)) => items.into_iter().map(|item| (None, item)).collect(),
        Some(Value::Object(members)) => members.into_iter().map(|(key, item)| (Some(key), item)).collect(),
        _ => return Err(limit),
    };
    divide(name, &rest, items)
}

/// Fills part after part. The first also carries what isn't divided, and says how many there are.
fn divide(name: &str, rest: &Map<String, Value>, items: Vec<(Option<String>, Value)>) -> Result<Vec<String>, String> {
    let part = |items: &[(Option<String>, Value)], first: bool, count: usize| {
        let mut object = if first { rest.clone() } else { Map::new() };
        if first {
            object.insert("parts".to_owned(), json!(count));
        }
        let list = if items.iter().any(|(key, _)| key.is_some()) {
            Value::Object(items.iter().filter_map(|(key, item)| Some((key.clone()?, item.clone()))).collect())
        } else {
            Value::Array(items.iter().map(|(_, item)| item.clone()).collect())
        };
        object.insert(name.to_owned(), list);
        Value::Object(object)
    };
    // No dictionary comes near a thousand parts: four digits leave room for the real count.
    let frame = |first: bool| characters(&part(&[], first, 1_000));
    let mut groups: Vec<Vec<(Option<String>, Value)>> = vec![Vec::new()];
    let mut used = frame(true);
    for (key, item) in items {
        // The item, its key with quotes and colon, a comma.
        let length = characters(&item) + key.as_ref().map_or(0, |key| characters(&json!(key)) + 1) + 1;
        if length + frame(false) > MAX_CHARACTERS {
            let what = key.as_deref().or_else(|| item.get("id").and_then(Value::as_str)).unwrap_or("one of them");
            return Err(format!(
                "expected at most {MAX_CHARACTERS} characters an entry, but found {length} in '{what}' alone"
            ));
        }
        if used + length > MAX_CHARACTERS {
            groups.push(Vec::new());
            used = frame(false);
        }
        used += length;
        if let Some(group) = groups.last_mut() {
            group.push((key, item));
        }
    }
    let count = groups.len();
    let text = |(index, group): (usize, &Vec<_>)| part(group, index == 0, count).to_string();
    Ok(groups.iter().enumerate().map(text).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(value: Value) -> Result<BTreeMap<String, String>, (String, String)> {
        entries(value.as_object().unwrap())
    }

    #[test]
    fn parts_fit_and_lose_nothing_and_keep_their_order() {
        let routes: Vec<Value> =
            (0..700).map(|n| json!({ "id": format!("r{n}"), "path": format!("/é/{n}/*") })).collect();
        let entries = of(json!({ "routes": { "note": "kept", "parts": 99, "routes": routes } })).unwrap();
        let first: Value = serde_json::from_str(&entries["routes"]).unwrap();
        assert_eq!((first["note"].as_str(), first["parts"].as_u64()), (Some("kept"), Some(entries.len() as u64)));
        let mut together = Vec::new();
        for number in 1..=entries.len() {
            let text = &entries[&part_name("routes", number)];
            assert!(text.chars().count() <= MAX_CHARACTERS);
            let part: Value = serde_json::from_str(text).unwrap();
            together.extend(part["routes"].as_array().unwrap().clone());
        }
        assert_eq!(together, routes);
    }

    #[test]
    fn what_can_not_be_divided_is_a_fault() {
        let long = "x".repeat(MAX_CHARACTERS);
        assert_eq!(of(json!({ "settings": { "languages": [long] } })).unwrap_err().0, "settings");
        let (name, message) = of(json!({ "features": { "features": { "hero": { "a": long } } } })).unwrap_err();
        assert_eq!(name, "features");
        assert!(message.ends_with("in 'hero' alone"), "{message}");
    }

    #[test]
    fn every_length_around_the_limit_fits() {
        for length in 7_700..7_960 {
            let filler = "x".repeat(length);
            let entries =
                of(json!({ "routes": { "routes": [{ "id": filler }, { "id": "b" }, { "id": "c" }] } })).unwrap();
            assert!(entries.values().all(|text| text.chars().count() <= MAX_CHARACTERS), "{length}");
        }
    }
}
