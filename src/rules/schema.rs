//! JSON Schema (2020-12) of each dictionary, from the types that the edge reads: for editors, and for the checker's "did you mean".

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, generate::SchemaSettings};
use serde_json::{Value, json};

use super::regions::{Region, StoredRegion};
use super::{settings::Settings, stored::Route};
use crate::growthbook::stored::{Feature, Rule};

/// Region map: geography to region, the first match wins.
#[derive(JsonSchema)]
#[allow(dead_code, reason = "only its shape counts")]
struct Regions {
    /// Where nothing matches.
    default: Option<Region>,
    /// Tried in order.
    regions: Vec<StoredRegion>,
}

/// Routes: tried from the most specific path to the least, equals in this order.
#[derive(JsonSchema)]
#[allow(dead_code, reason = "only its shape counts")]
struct Routes {
    /// The routes.
    routes: Vec<Route>,
    /// How many entries the dictionary has: routes, routes.2, ….
    parts: Option<u32>,
}

/// Features by key, as GrowthBook's SDK payload has them.
#[derive(JsonSchema)]
#[allow(dead_code, reason = "only its shape counts")]
struct Features {
    /// The features.
    features: BTreeMap<String, Feature>,
    /// How many entries the dictionary has.
    parts: Option<u32>,
}

/// Experiments of their own, as GrowthBook's SDK payload has them.
#[derive(JsonSchema)]
#[allow(dead_code, reason = "only its shape counts")]
struct Experiments {
    /// The experiments.
    experiments: Vec<Rule>,
    /// How many entries the dictionary has.
    parts: Option<u32>,
}

/// Lists of values that conditions name by `$inGroup`.
#[derive(JsonSchema)]
#[allow(dead_code, reason = "only its shape counts")]
struct Segments {
    /// The lists by name.
    segments: Option<BTreeMap<String, Vec<Value>>>,
    /// The same, as GrowthBook names them.
    #[serde(rename = "savedGroups")]
    saved_groups: Option<BTreeMap<String, Vec<Value>>>,
    /// How many entries the dictionary has.
    parts: Option<u32>,
}

/// Templates of pages by name.
#[derive(JsonSchema)]
#[allow(dead_code, reason = "only its shape counts")]
struct Templates {
    /// The templates.
    templates: BTreeMap<String, String>,
    /// How many entries the dictionary has.
    parts: Option<u32>,
}

/// The schema of each dictionary, and of the pointer `active`, by name.
pub fn schemas() -> Vec<(&'static str, Value)> {
    vec![
        ("settings", finish(root::<Settings>(), "settings")),
        ("regions", finish(root::<Regions>(), "regions")),
        ("routes", finish(root::<Routes>(), "routes")),
        ("features", finish(root::<Features>(), "features")),
        ("experiments", finish(root::<Experiments>(), "experiments")),
        ("segments", finish(root::<Segments>(), "segments")),
        ("templates", finish(root::<Templates>(), "templates")),
        ("active", finish(root::<super::pointer::Pointer>(), "active")),
    ]
}

fn root<T: JsonSchema>() -> Schema {
    SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>()
}

/// Objects with known keys take no others, so that an editor marks a typing error; comments are welcome everywhere.
fn finish(schema: Schema, name: &str) -> Value {
    let mut schema = Value::from(schema);
    close(&mut schema);
    if let Some(root) = schema.as_object_mut() {
        root.insert("title".to_owned(), json!(name));
        let properties = root.entry("properties").or_insert_with(|| json!({}));
        if let Some(properties) = properties.as_object_mut() {
            properties
                .insert("$schema".to_owned(), json!({ "type": "string", "description": "For editors; ignored." }));
        }
    }
    schema
}

fn close(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            members.values_mut().for_each(close);
            if let Some(Value::Object(properties)) = members.get_mut("properties")
                && !properties.contains_key("$ref")
            {
                properties
                    .entry("$comment")
                    .or_insert_with(|| json!({ "type": "string", "description": "For people; ignored." }));
                members.entry("additionalProperties").or_insert(Value::Bool(false));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

/// A key that no schema knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownKey {
    /// Where: a JSON pointer, the key included.
    pub pointer: String,
    /// The key.
    pub key: String,
    /// The keys that its object may have.
    pub known: Vec<String>,
}

/// The keys of a dictionary that its schema doesn't know, at every depth, in their order; `$schema` and `$comment` are welcome. What a
/// schema leaves open (a condition, a value) is not looked into.
pub fn unknown_keys(dictionary: &str, json: &Value) -> Vec<UnknownKey> {
    let mut unknown = Vec::new();
    if let Some((_, schema)) = schemas().into_iter().find(|(name, _)| *name == dictionary) {
        look(&schema, &schema, json, "", &mut unknown);
    }
    unknown
}

fn look(root: &Value, node: &Value, json: &Value, pointer: &str, unknown: &mut Vec<UnknownKey>) {
    let shapes = resolve(root, node);
    match json {
        Value::Array(items) => {
            let Some(node) = shapes.iter().find_map(|shape| shape.get("items")) else { return };
            for (index, item) in items.iter().enumerate() {
                look(root, node, item, &format!("{pointer}/{index}"), unknown);
            }
        }
        Value::Object(entries) => {
            let of = |keyword: &str| shapes.iter().find_map(|shape| shape.get(keyword)?.as_object());
            let (properties, values) = (of("properties"), of("additionalProperties"));
            for (key, value) in entries {
                let below = format!("{pointer}/{}", crate::json_place::token(key));
                match (properties, properties.and_then(|known| known.get(key)), values) {
                    (_, Some(node), _) => look(root, node, value, &below, unknown),
                    (_, None, Some(_)) => {
                        let node = shapes.iter().find_map(|shape| shape.get("additionalProperties")).unwrap_or(node);
                        look(root, node, value, &below, unknown);
                    }
                    (Some(known), None, None) if !key.starts_with('$') => {
                        let known = known.keys().filter(|key| !key.starts_with('$')).cloned().collect();
                        unknown.push(UnknownKey { pointer: below, key: key.clone(), known });
                    }
                    (Some(_) | None, None, None) => {}
                }
            }
        }
        _ => {}
    }
}

/// What a node may be: `$ref` followed, `null` left out.
fn resolve<'s>(root: &'s Value, node: &'s Value) -> Vec<&'s Value> {
    if let Some(reference) = node.get("$ref").and_then(Value::as_str) {
        let target = reference.strip_prefix('#').and_then(|pointer| root.pointer(pointer));
        return target.map(|target| resolve(root, target)).unwrap_or_default();
    }
    let choices = ["anyOf", "oneOf"].iter().find_map(|choice| node.get(choice)?.as_array());
    match choices {
        Some(options) => options.iter().flat_map(|option| resolve(root, option)).collect(),
        None => vec![node],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pointers(dictionary: &str, json: Value) -> Vec<String> {
        unknown_keys(dictionary, &json).into_iter().map(|unknown| unknown.pointer).collect()
    }

    #[test]
    fn a_key_that_no_schema_knows_is_found_at_every_depth() {
        assert_eq!(pointers("settings", json!({ "log": { "sampel": 1 }, "langs": [] })), ["/log/sampel", "/langs"]);
        let route = json!({ "id": "a", "path": "/", "cache": { "tll": 1 },
            "html": [{ "select": "a", "onse": true, "inner": { "templat": "x" } }],
            "json": { "set": [{ "pointer": "/a", "valeu": 1 }] }, "adapt": { "image": { "width": [1] } } });
        let found = [
            "/routes/0/cache/tll",
            "/routes/0/html/0/onse",
            "/routes/0/html/0/inner/templat",
            "/routes/0/json/set/0/valeu",
            "/routes/0/adapt/image/width",
        ];
        assert_eq!(pointers("routes", json!({ "routes": [route] })), found);
        let unknown = unknown_keys("features", &json!({ "features": { "a/b": { "rules": [{ "weight": [] }] } } }));
        assert_eq!(unknown[0].pointer, "/features/a~1b/rules/0/weight");
        assert!(unknown[0].known.iter().any(|key| key == "weights"));
    }

    #[test]
    fn names_that_authors_give_conditions_and_comments_are_no_unknown_keys() {
        let route = json!({ "$comment": "x", "id": "a", "path": "/", "when": { "country": { "$in": [] } },
            "rewrite": { "$comment": "x", "set_query": { "any": "x" } }, "json": { "set": [{ "pointer": "", "value": { "own": 1 } }] } });
        assert!(pointers("routes", json!({ "$schema": "x", "routes": [route] })).is_empty());
        assert!(pointers("features", json!({ "features": { "any": { "defaultValue": { "own": 1 } } } })).is_empty());
        assert!(pointers("nothing", json!({ "a": 1 })).is_empty());
    }
}
