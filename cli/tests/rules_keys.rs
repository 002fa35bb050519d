//! `docs/RULES.md` names every key of every schema, with its type and default, and no key that no schema has.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may stop at a surprise")]

mod guide;

use std::collections::{BTreeMap, BTreeSet};

use edge_personalizer::rules::schema;
use guide::{Piece, code, pieces};
use serde_json::Value;

/// One key, as a schema has it.
#[derive(Debug, Default)]
struct Key {
    /// The guide's words for its types.
    types: BTreeSet<&'static str>,
    default: Option<Value>,
    /// The values that it, or each member of it, may have.
    values: BTreeSet<String>,
    required: bool,
}

/// One row of the guide.
#[derive(Debug)]
struct Row {
    kind: String,
    default: String,
    text: String,
}

/// A schema node without `$ref` and `null`: more than one where several shapes are allowed.
fn resolve<'s>(root: &'s Value, node: &'s Value) -> Vec<&'s Value> {
    if let Some(reference) = node["$ref"].as_str() {
        return resolve(root, root.pointer(reference.strip_prefix('#').unwrap()).unwrap());
    }
    for choice in ["anyOf", "oneOf"] {
        if let Some(options) = node[choice].as_array() {
            return options.iter().flat_map(|option| resolve(root, option)).filter(|o| o["type"] != "null").collect();
        }
    }
    vec![node]
}

fn types(node: &Value) -> BTreeSet<&'static str> {
    let names: Vec<&str> = match &node["type"] {
        Value::String(name) => vec![name],
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
        _ if node["const"].is_string() => vec!["string"],
        _ => vec!["any"],
    };
    let word = |name: &&str| match *name {
        "string" => Some("text"),
        "integer" | "number" => Some("number"),
        "boolean" => Some("true/false"),
        "array" => Some("list"),
        "object" => Some("object"),
        "null" => None,
        _ => Some("any"),
    };
    names.iter().filter_map(word).collect()
}

/// The values that a node lists.
fn values(node: &Value) -> Vec<String> {
    let listed = node["enum"].as_array().into_iter().flatten().chain(node.get("const"));
    listed.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The nodes that stand below a node without a key of their own: a list's members, a map's values.
fn members<'s>(root: &'s Value, node: &'s Value) -> Vec<&'s Value> {
    let below = [&node["items"], &node["additionalProperties"]];
    below.into_iter().filter(|below| below.is_object()).flat_map(|below| resolve(root, below)).collect()
}

fn walk(root: &Value, node: &Value, path: &str, keys: &mut BTreeMap<String, Key>) {
    for node in resolve(root, node) {
        for (name, property) in node["properties"].as_object().into_iter().flatten() {
            if name.starts_with('$') {
                continue;
            }
            let path = format!("{path}.{name}");
            let key = keys.entry(path.clone()).or_default();
            key.required |=
                node["required"].as_array().is_some_and(|names| names.contains(&Value::from(name.as_str())));
            key.default = property.get("default").cloned().or(key.default.take());
            for option in resolve(root, property) {
                key.types.extend(types(option));
                key.values.extend(values(option));
                key.values.extend(members(root, option).into_iter().flat_map(values));
            }
            // A host's members are the site's own, whose keys stand at their own place.
            if !path.starts_with("settings.hosts.") {
                walk(root, property, &path, keys);
            }
        }
        for member in members(root, node) {
            walk(root, member, path, keys);
        }
    }
}

fn schema_keys() -> BTreeMap<String, Key> {
    let mut keys = BTreeMap::new();
    for (name, schema) in schema::schemas() {
        walk(&schema, &schema, name, &mut keys);
    }
    keys
}

/// The rows of every table below a marker, by the full path of their keys.
fn guide_keys() -> BTreeMap<String, Row> {
    let mut rows_by_key = BTreeMap::new();
    let mut marker = None;
    for piece in pieces(&guide::text("RULES.md")) {
        match piece {
            Piece::Marker(text) => marker = text.strip_prefix("keys: ").map(str::to_owned),
            Piece::Table { head, rows } => {
                let Some(prefixes) = marker.take() else {
                    assert_ne!(head[0], "key", "a table of keys needs a marker");
                    continue;
                };
                for row in rows {
                    for path in names(&row[0]).iter().flat_map(|name| paths(&prefixes, name)) {
                        let row = Row { kind: row[1].clone(), default: row[2].clone(), text: row[3].clone() };
                        assert!(rows_by_key.insert(path.clone(), row).is_none(), "{path} stands twice");
                    }
                }
            }
            Piece::Heading(_) | Piece::Block { .. } => {}
        }
    }
    rows_by_key
}

/// The keys of a row's first cell: `a.b`, `.c` stands for `a.b` and `a.c`.
fn names(cell: &str) -> Vec<String> {
    let written = code(cell);
    let parent = written[0].rsplit_once('.').map_or("", |(parent, _)| parent).to_owned();
    written.into_iter().map(|name| if name.starts_with('.') { format!("{parent}{name}") } else { name }).collect()
}

/// A row's keys with their full paths. A marker of `settings.identity settings.consent` names what the table is about: its rows say the rest of the path.
fn paths(prefixes: &str, name: &str) -> Vec<String> {
    let prefixes: Vec<&str> = prefixes.split(' ').collect();
    let parts = prefixes.iter().filter(|prefix| prefix.starts_with("settings."));
    if parts.count() > 0 {
        vec![format!("settings.{name}")]
    } else {
        prefixes.iter().map(|p| format!("{p}.{name}")).collect()
    }
}

#[test]
fn every_key_has_a_row_and_every_row_a_key() {
    let known: BTreeSet<String> = schema_keys().into_keys().collect();
    let named: BTreeSet<String> = guide_keys().into_keys().collect();
    let missing: Vec<_> = known.difference(&named).collect();
    let invented: Vec<_> = named.difference(&known).collect();
    assert!(missing.is_empty(), "RULES.md doesn't name {missing:#?}");
    assert!(invented.is_empty(), "RULES.md names what no schema has: {invented:#?}");
    println!("{} keys, each with its row", known.len());
}

#[test]
fn every_row_has_the_types_the_default_and_the_values_of_its_key() {
    let rows = guide_keys();
    let mut wrong = Vec::new();
    for (path, key) in schema_keys() {
        let Some(row) = rows.get(&path) else { continue };
        let kind = if key.types.len() == 1 { key.types.first().unwrap() } else { "any" };
        if row.kind != *kind {
            wrong.push(format!("{path}: expected the type {kind} ({:?}), but found {}", key.types, row.kind));
        }
        let plain = |value: &Value| match value {
            Value::Null => None,
            Value::Object(members) if !members.is_empty() => None,
            Value::String(text) if !text.is_empty() => Some(text.clone()),
            other => Some(other.to_string()),
        };
        if let Some(default) = key.default.as_ref().and_then(plain)
            && code(&row.default) != [default.as_str()]
        {
            wrong.push(format!("{path}: expected the default {default}, but found {}", row.default));
        }
        for value in key.values.iter().filter(|value| !code(&row.text).contains(value)) {
            wrong.push(format!("{path}: expected the value {value} to be named, but found {}", row.text));
        }
        // The list of a dictionary may be left out at the edge, where its absence means that there is none.
        let is_list_of_a_dictionary = path.matches('.').count() == 1;
        if !is_list_of_a_dictionary
            && !path.ends_with(".template")
            && key.required != row.text.contains("**Required.**")
        {
            wrong.push(format!("{path}: expected it to be said whether it is required ({})", key.required));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The keys that `json` uses.
fn used(root: &Value, node: &Value, json: &Value, path: &str, keys: &mut BTreeSet<String>) {
    for node in resolve(root, node) {
        match json {
            Value::Object(entries) => {
                for (name, json) in entries {
                    let path_below = format!("{path}.{name}");
                    if let Some(property) = node["properties"].get(name) {
                        used(root, property, json, &path_below, keys);
                        keys.insert(path_below);
                    } else if node["additionalProperties"].is_object() {
                        used(root, &node["additionalProperties"], json, path, keys);
                    }
                }
            }
            Value::Array(items) if node["items"].is_object() => {
                items.iter().for_each(|json| used(root, &node["items"], json, path, keys));
            }
            _ => {}
        }
    }
}

#[test]
fn every_key_has_an_example() {
    let schemas: BTreeMap<&str, Value> = schema::schemas().into_iter().collect();
    let mut keys = BTreeSet::new();
    for piece in pieces(&guide::text("RULES.md")) {
        let Piece::Block { info, text } = piece else { continue };
        let Some(name) = info.strip_prefix("json ") else { continue };
        let json: Value = serde_json::from_str(&text).unwrap();
        let (name, json) = match name {
            "route" => ("routes", serde_json::json!({ "routes": [json] })),
            "condition" => continue,
            name => (name, json),
        };
        used(&schemas[name], &schemas[name], &json, name, &mut keys);
    }
    // One shape of keys for both dictionaries: an example of one is an example of the other.
    let (one, other) = ("features.features.rules.", "experiments.experiments.");
    let also: Vec<String> = keys
        .iter()
        .filter_map(|key| {
            let to_other = key.strip_prefix(one).map(|rest| format!("{other}{rest}"));
            to_other.or_else(|| key.strip_prefix(other).map(|rest| format!("{one}{rest}")))
        })
        .collect();
    keys.extend(also);
    // A contextual bandit's rule is GrowthBook's to write, with a definition of its own in the payload: nobody writes one by hand.
    let is_written_by_hand = |key: &String| !key.contains(".contextual");
    let missing: Vec<String> =
        schema_keys().into_keys().filter(is_written_by_hand).filter(|key| !keys.contains(key)).collect();
    assert!(missing.is_empty(), "no example of {missing:#?}");
}

#[test]
fn every_file_of_rules_names_its_schema() {
    for entry in std::fs::read_dir(guide::repository().join("rules")).unwrap() {
        let file = entry.unwrap().path();
        if file.extension().is_some_and(|extension| extension == "json") {
            let json: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
            let schema = json["$schema"].as_str().unwrap_or_else(|| panic!("{}: no $schema", file.display()));
            assert!(file.parent().unwrap().join(schema).exists(), "{}: {schema}", file.display());
            assert_eq!(schema, format!("schema/{}", file.file_name().unwrap().to_str().unwrap()));
        }
    }
}
