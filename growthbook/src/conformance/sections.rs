//! The sections, each with the way to run one of its cases. `None`: the case isn't of the section's form.

use serde_json::{Map, Value as Json, json};
use time::OffsetDateTime;

use super::Outcome;
use super::compare::cut;
use crate::condition::{Condition, Groups, Value};
use crate::{
    BanditLeaf, Context, Definition, Definitions, Evaluator, Experiment, ExperimentResult, FeatureResult, Fractions,
    StickyBuckets, StickyDocument, bucket_ranges, choose_variation, decrypt, equal_weights, hash, in_namespace,
    query_override,
};

type RunCase = fn(&[Json]) -> Option<Outcome>;

/// In the order of the specification's own file.
pub(super) const SECTIONS: [(&str, RunCase); 13] = [
    ("evalCondition", eval_condition),
    ("hash", hash_value),
    ("getBucketRange", bucket_range),
    ("feature", feature),
    ("run", run_experiment),
    ("chooseVariation", choose),
    ("getQueryStringOverride", override_by_query),
    ("inNamespace", namespace),
    ("getEqualWeights", weights),
    ("decrypt", decrypted),
    ("stickyBucket", sticky_bucket),
    ("urlRedirect", url_redirect),
    ("contextualBandit", feature),
];

fn eval_condition(case: &[Json]) -> Option<Outcome> {
    let [name, condition, attributes, expected, groups @ ..] = case else { return None };
    let groups = groups.first().map(|groups| Groups::from_json(groups).0).unwrap_or_default();
    let found = match Condition::compile(condition) {
        Ok(condition) => Json::from(condition.matches(attributes, &groups)),
        Err(fault) => Json::from(fault.to_string()),
    };
    outcome(name, expected, found)
}

fn hash_value(case: &[Json]) -> Option<Outcome> {
    let [seed, value, version, expected] = case else { return None };
    let found = hash(seed.as_str()?, value.as_str()?, u32::try_from(version.as_u64()?).ok()?);
    outcome(&json!([seed, value, version]), expected, json!(found))
}

fn bucket_range(case: &[Json]) -> Option<Outcome> {
    let [name, Json::Array(arguments), expected] = case else { return None };
    let [variations, coverage, weights] = arguments.as_slice() else { return None };
    let weights: Option<Vec<f64>> = serde_json::from_value(weights.clone()).ok()?;
    let variations = usize::try_from(variations.as_u64()?).ok()?;
    let ranges = bucket_ranges(variations, coverage.as_f64().unwrap_or(1.0), weights.as_deref());
    outcome(name, &cut(expected.clone()), cut(json!(ranges)))
}

fn choose(case: &[Json]) -> Option<Outcome> {
    let [name, n, ranges, expected] = case else { return None };
    let ranges: Vec<Fractions> = serde_json::from_value(ranges.clone()).ok()?;
    let found = choose_variation(n.as_f64()?, &ranges);
    outcome(name, expected, found.map_or(json!(-1), |variation| json!(variation)))
}

fn override_by_query(case: &[Json]) -> Option<Outcome> {
    let [name, key, url, variations, expected] = case else { return None };
    let found = query_override(key.as_str()?, url.as_str()?, usize::try_from(variations.as_u64()?).ok()?);
    outcome(name, expected, json!(found))
}

fn namespace(case: &[Json]) -> Option<Outcome> {
    let [name, value, namespace, expected] = case else { return None };
    let (id, from, to): (String, f64, f64) = serde_json::from_value(namespace.clone()).ok()?;
    outcome(name, expected, json!(in_namespace(value.as_str()?, &id, [from, to])))
}

fn weights(case: &[Json]) -> Option<Outcome> {
    let [variations, expected] = case else { return None };
    // A negative number of variations is none.
    let found = equal_weights(usize::try_from(variations.as_i64()?).unwrap_or(0));
    outcome(variations, &cut(expected.clone()), cut(json!(found)))
}

fn decrypted(case: &[Json]) -> Option<Outcome> {
    let [name, encrypted, key, expected] = case else { return None };
    outcome(name, expected, json!(decrypt(encrypted.as_str()?, key.as_str()?).ok()))
}

fn feature(case: &[Json]) -> Option<Outcome> {
    let [name, setting, key, expected] = case else { return None };
    let setting = Setting::read(setting)?;
    let context = setting.context(None);
    let result = Evaluator::new(&setting.definitions, &context).feature(key.as_str()?);
    outcome(name, expected, feature_json(&result))
}

fn run_experiment(case: &[Json]) -> Option<Outcome> {
    let [name, setting, experiment, value, in_experiment, hash_used] = case else { return None };
    let setting = Setting::read(setting)?;
    let context = setting.context(None);
    let found = match Experiment::compile(experiment.get("key")?.as_str()?, &experiment.to_string()) {
        Ok(experiment) => {
            let result = Evaluator::new(&setting.definitions, &context).experiment(&experiment);
            json!([result.value, result.in_experiment, result.hash_used])
        }
        Err(fault) => Json::from(fault.to_string()),
    };
    outcome(name, &json!([value, in_experiment, hash_used]), found)
}

fn sticky_bucket(case: &[Json]) -> Option<Outcome> {
    let [name, setting, documents, key, expected, expected_documents] = case else { return None };
    let setting = Setting::read(setting)?;
    let documents: Vec<StickyDocument> = serde_json::from_value(documents.clone()).ok()?;
    let mut buckets = StickyBuckets::belonging_to(&setting.attributes, documents);
    let context = setting.context(Some(&buckets));
    let mut evaluator = Evaluator::new(&setting.definitions, &context);
    let result = evaluator.feature(key.as_str()?);
    let result = result.experiment.map_or(Json::Null, |(_, result)| result_json(&result));
    let changed = evaluator.finish().sticky;
    drop(context);
    for document in changed {
        buckets.put(document);
    }
    let after: Map<String, Json> = buckets
        .documents()
        .map(|document| (format!("{}||{}", document.attribute_name, document.attribute_value), json!(document)))
        .collect();
    outcome(name, &json!([expected, expected_documents]), json!([result, after]))
}

fn url_redirect(case: &[Json]) -> Option<Outcome> {
    let [name, setting, expected] = case else { return None };
    let setting = Setting::read(setting)?;
    let context = setting.context(None);
    let redirect = Evaluator::new(&setting.definitions, &context).redirect();
    let found = redirect.filter(|redirect| redirect.result.hash_used).map(|redirect| {
        let mut found = Map::new();
        found.insert("inExperiment".to_owned(), redirect.result.in_experiment.into());
        if let Some(target) = redirect.result.value.get("urlRedirect") {
            found.insert("urlRedirect".to_owned(), target.clone());
        }
        found.insert("urlWithParams".to_owned(), redirect.target.unwrap_or_default().into());
        found
    });
    outcome(name, expected, found.into_iter().collect())
}

fn outcome(name: &Json, expected: &Json, found: Json) -> Option<Outcome> {
    let name = name.as_str().map_or_else(|| name.to_string(), str::to_owned);
    Some(Outcome { name, expected: expected.clone(), found })
}

/// What a case is evaluated in.
struct Setting {
    definitions: Definitions,
    attributes: Json,
    json: Json,
}

impl Setting {
    fn read(json: &Json) -> Option<Self> {
        let key = json.get("decryptionKey").and_then(Json::as_str);
        let mut definitions = Definitions::default();
        // Parts that can't be used show in the result.
        let _ = definitions.add_payload(&json.to_string(), key);
        let attributes = json.get("attributes").cloned().unwrap_or_else(|| json!({}));
        json.is_object().then(|| Self { definitions, attributes, json: json.clone() })
    }

    fn context<'a>(&'a self, sticky: Option<&'a StickyBuckets>) -> Context<'a> {
        let flag = |name| self.json.get(name).and_then(Json::as_bool);
        let part = |name| self.json.get(name).cloned().unwrap_or_else(|| json!({}));
        Context {
            url: self.json.get("url").and_then(Json::as_str).unwrap_or_default(),
            query_overrides: true,
            forced_variations: serde_json::from_value(part("forcedVariations")).unwrap_or_default(),
            forced_features: serde_json::from_value(part("forcedFeatureValues")).unwrap_or_default(),
            sticky,
            enabled: flag("enabled") != Some(false),
            qa_mode: flag("qaMode") == Some(true),
            ..Context::new(&self.attributes, OffsetDateTime::UNIX_EPOCH)
        }
    }
}

/// A feature's result as the specification writes it.
fn feature_json(result: &FeatureResult<'_>) -> Json {
    let mut json = json!({
        "value": result.value,
        "on": result.on(),
        "off": !result.on(),
        "source": result.source.as_str(),
        "ruleId": result.rule.map_or("", |rule| rule.id),
    });
    if let (Json::Object(members), Some((experiment, result))) = (&mut json, &result.experiment) {
        members.insert("experiment".to_owned(), experiment_json(experiment, result));
        members.insert("experimentResult".to_owned(), result_json(result));
    }
    json
}

/// An experiment as the specification writes it beside a result: with the weights that were used.
fn experiment_json(experiment: &Experiment, result: &ExperimentResult<'_>) -> Json {
    let mut json = json!(experiment.definition());
    if let Json::Object(members) = &mut json {
        if let Some(leaf) = result.bandit.as_ref().filter(|leaf| !leaf.is_fallback()) {
            members.insert("weights".to_owned(), json!(leaf.weights));
        }
        if let Some(leaf) = result.reported_bandit() {
            members.insert("contextualBandit".to_owned(), leaf_json(leaf).into());
        }
    }
    json
}

/// An experiment's result as the specification writes it.
fn result_json(result: &ExperimentResult<'_>) -> Json {
    let mut json = json!({
        "key": result.key,
        "featureId": result.feature,
        "inExperiment": result.in_experiment,
        "hashUsed": result.hash_used,
        "variationId": result.variation,
        "value": result.value,
        "hashAttribute": result.hash_attribute,
        "hashValue": value_json(&result.hash_value),
        "stickyBucketUsed": result.sticky_used,
    });
    if let Json::Object(members) = &mut json {
        let mut add = |name: &str, value: Option<Json>| {
            if let Some(value) = value {
                members.insert(name.to_owned(), value);
            }
        };
        add("bucket", result.bucket.map(|bucket| json!(bucket.as_f64())));
        add("name", result.name.map(|name| json!(name)));
        add("passthrough", result.passthrough.then_some(Json::Bool(true)));
        if let Some(leaf) = result.reported_bandit() {
            members.extend(leaf_json(leaf));
        }
    }
    json
}

fn leaf_json(leaf: &BanditLeaf<'_>) -> Map<String, Json> {
    let mut members = Map::new();
    members.insert("leafId".to_owned(), json!(leaf.leaf_id));
    members.insert("variationWeights".to_owned(), json!(leaf.weights));
    if let Some(version) = leaf.version {
        members.insert("banditVersion".to_owned(), json!(version));
    }
    members
}

fn value_json(value: &Value<'_>) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(truth) => json!(truth),
        Value::Number(number) => json!(number),
        Value::String(text) => json!(text),
        Value::Json(json) => (*json).clone(),
    }
}
