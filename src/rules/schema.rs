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

/// The keys that the object at `pointer` of a dictionary may have; `None` where any may be.
pub fn known_keys(dictionary: &str, pointer: &str) -> Option<Vec<String>> {
    let (_, schema) = schemas().into_iter().find(|(name, _)| *name == dictionary)?;
    let mut here = &schema;
    for step in pointer.split('/').skip(1) {
        let step = step.replace("~1", "/").replace("~0", "~");
        here = resolve(&schema, here)?;
        here = here
            .pointer("/properties")
            .and_then(|properties| properties.get(&step))
            .or_else(|| here.get("items"))
            .or_else(|| here.get("additionalProperties").filter(|schema| schema.is_object()))?;
    }
    let keys = resolve(&schema, here)?.get("properties")?.as_object()?;
    Some(keys.keys().filter(|key| !key.starts_with('$')).cloned().collect())
}

/// Follows `$ref`, and goes into what is an object or null.
fn resolve<'s>(root: &'s Value, mut here: &'s Value) -> Option<&'s Value> {
    loop {
        if let Some(reference) = here.get("$ref").and_then(Value::as_str) {
            here = root.pointer(reference.strip_prefix('#')?)?;
        } else if let Some(any) = here.get("anyOf").and_then(Value::as_array) {
            here = any.iter().find(|option| option.get("type").and_then(Value::as_str) != Some("null"))?;
        } else {
            return Some(here);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_keys_are_found_at_every_depth() {
        let has = |dictionary: &str, pointer: &str, key: &str| {
            let keys = known_keys(dictionary, pointer);
            assert!(keys.as_ref().is_some_and(|keys| keys.iter().any(|known| known == key)), "{pointer}: {keys:?}");
        };
        has("settings", "", "languages");
        has("settings", "/log", "sample");
        has("routes", "", "routes");
        has("routes", "/routes/3/cache", "ttl");
        has("routes", "/routes/3/rewrite", "set_query");
        has("features", "/features/hero/rules/0", "hashVersion");
        assert_eq!(known_keys("routes", "/routes/0/when"), None);
        assert_eq!(known_keys("nothing", ""), None);
    }
}
