//! GrowthBook in the browser: what a page hands to GrowthBook's own bundle, and what it keeps to itself.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may stop at a surprise")]
#![allow(clippy::indexing_slicing, reason = "what is missing in a JSON value is null, and a surprise ends the test")]

mod support;

use edge_personalizer::platform::memory::{Answer, Asked, Memory, Received};
use edge_personalizer::service::Sandbox;
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::{Value, json};
use support::{NEW_YORK, PARIS, header, shop, text, visit};

const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
const VISITOR: &str = "00000000000000000000000000000abc";
const PAGE: &str = "<!doctype html><html><head><title>t</title><script src=/gb.js async></script></head><body><p>x</p><script>1</script></body></html>";

fn page(_: &Asked) -> Answer {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert("content-security-policy", HeaderValue::from_static("script-src 'nonce-abc123'"));
    Ok((StatusCode::OK, headers, PAGE.as_bytes().to_vec()))
}

/// A page that hands over by this operation, and features with what nobody but the edge may know.
fn host(operation: &Value) -> Memory {
    let host = shop(page);
    host.set("settings", &json!({ "sticky": {}, "consent": { "cookie": { "name": "cc", "value": "yes" } } }));
    host.set(
        "features",
        &json!({ "features": {
            "hero": { "defaultValue": "old", "rules": [{ "key": "hero-test", "variations": ["old", "new"], "hashVersion": 2,
                "seed": "s3cret-seed", "hashAttribute": "id", "meta": [{ "key": "control" }, { "key": "treatment" }] }] },
            "plain": { "defaultValue": "</script><!--\u{2028}&" },
            "internal": { "defaultValue": "margin-42", "rules": [{ "condition": { "country": "FR" }, "force": "fr" }] },
            "nothing": { "defaultValue": null } } }),
    );
    host.set(
        "experiments",
        &json!({ "experiments": [
        { "key": "moved", "hashVersion": 2, "hashAttribute": "id", "seed": "moved", "weights": [0, 1],
          "urlPatterns": [{ "type": "simple", "pattern": "/", "include": true }],
          "variations": [{}, { "css": "p { color: red }", "domMutations": [
            { "selector": "p", "attribute": "class", "action": "append", "value": "seen" },
            { "selector": "p", "attribute": "position", "action": "set", "parentSelector": "body" }] }] }] }),
    );
    let internal = json!({ "select": "p", "append": "{{ feature.internal }}" });
    host.set(
        "routes",
        &json!({ "routes": [
        { "id": "home", "path": "/", "features": ["hero", "plain"], "cache": { "ttl": 60 },
          "html": [internal, { "growthbook": operation }] }] }),
    );
    host
}

fn open(host: &Memory, cookies: &str) -> Received {
    visit(NEW_YORK, "/").with("user-agent", FIREFOX).with("cookie", cookies).send(host)
}

fn known(host: &Memory) -> Received {
    open(host, &format!("ep_vid={VISITOR}"))
}

/// The configuration that a page hands over, and the features that are asked for.
fn handed(answer: &Received) -> (Value, Value) {
    let page = text(answer);
    let script = page.split("<script").nth(1).unwrap().split_once('>').unwrap().1.split("</script>").next().unwrap();
    let arguments = script.split_once("})})(window,").unwrap_or_else(|| panic!("{page}")).1.strip_suffix(')').unwrap();
    let list: Vec<Value> = serde_json::from_str(&format!("[{arguments}]")).unwrap();
    (list[0].clone(), list[1].clone())
}

#[test]
fn a_page_hands_over_what_was_decided_and_no_definition() {
    let host = host(&json!({ "features": ["hero", "plain", "nothing"] }));
    host.set("settings", &json!({}));
    let answer = known(&host);
    let page = text(&answer);
    let (config, asked) = handed(&answer);
    let hero = &config["payload"]["features"]["hero"];
    let shown = hero["defaultValue"].as_str().unwrap();
    assert!(["old", "new"].contains(&shown));
    let track = &hero["rules"][0]["tracks"][0];
    assert_eq!((&hero["rules"][0]["force"], &track["experiment"]["key"]), (&json!(shown), &json!("hero-test")));
    assert_eq!(track["result"]["key"], if shown == "new" { "treatment" } else { "control" });
    assert_eq!(track["result"]["hashValue"], "", "whose assignment it is, nobody is told");
    assert_eq!(config["payload"]["features"]["plain"], json!({ "defaultValue": "</script><!--\u{2028}&" }));
    assert_eq!((&config["payload"]["features"]["nothing"], asked), (&Value::Null, json!(["hero"])));
    assert_eq!(
        (&config["uuid"], &config["attributes"], &config["noStreaming"]),
        (&Value::Null, &Value::Null, &json!(true))
    );
    for secret in ["s3cret-seed", "internal\"", VISITOR, "condition"] {
        assert!(!page.contains(secret), "{secret} in {page}");
    }
    assert!(page.contains("<script nonce=\"abc123\">(function"), "{page}");
    assert_eq!(page.matches("growthbook_queue").count(), 2, "one script: {page}");
    assert!(page.find("growthbook_config").unwrap() < page.find("/gb.js").unwrap(), "in front of the bundle");
    assert_eq!(page.matches("</script>").count(), 3, "nothing ends the script early: {page}");
    assert_eq!(header(&answer, "cache-control"), Some("private"));
}

#[test]
fn what_a_stream_cannot_move_is_left_to_the_bundle() {
    let host = host(&json!({}));
    let answer = known(&host);
    assert!(text(&answer).contains("<p class=\"seen\">"), "the rest is done at the edge");
    let (config, _) = handed(&answer);
    let experiment = &config["payload"]["experiments"][0];
    assert_eq!((&experiment["key"], &experiment["ranges"]), (&json!("moved"), &json!([[0, 0], [0, 1]])));
    assert_eq!(experiment["variations"][0], json!({ "domMutations": [] }));
    let left = experiment["variations"][1]["domMutations"].as_array().unwrap();
    assert_eq!((left.len(), &left[0]["attribute"]), (1, &json!("position")));
    let names: Vec<_> = config["payload"]["features"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["hero", "internal", "plain"], "without a list, what the route depends on");
}

#[test]
fn an_id_is_handed_over_by_choice_and_makes_the_page_one_visitors() {
    let host =
        host(&json!({ "features": ["hero"], "attributes": ["country", "deviceType"], "id": true, "sticky": true }));
    let answer = known(&host);
    let (config, _) = handed(&answer);
    assert_eq!(config["uuid"], VISITOR);
    assert_eq!(config["attributes"], json!({ "country": "US", "deviceType": "desktop" }));
    assert_eq!(config["payload"]["features"]["hero"]["rules"][0]["tracks"][0]["result"]["hashValue"], VISITOR);
    let remembered = &config["stickyBucketAssignmentDocs"][format!("id||{VISITOR}")];
    assert_eq!((&config["useStickyBucketService"], &remembered["attributeName"]), (&json!("cookie"), &json!("id")));
    assert!(remembered["assignments"]["hero-test__0"].is_string(), "{remembered}");
    assert_eq!(header(&answer, "cache-control"), Some("private, no-store"));
}

#[test]
fn what_the_bundle_has_remembered_decides_at_the_edge_too() {
    for (key, value) in [("control", "old"), ("treatment", "new")] {
        let document =
            json!({ "attributeName": "id", "attributeValue": VISITOR, "assignments": { "hero-test__0": key } });
        let document = document.to_string().replace('"', "%22").replace(',', "%2C");
        let cookies = format!("ep_vid={VISITOR}; gbStickyBuckets__id||{VISITOR}={document}");
        let (config, _) = handed(&open(&host(&json!({ "features": ["hero"], "sticky": true })), &cookies));
        assert_eq!(config["payload"]["features"]["hero"]["defaultValue"], value);
        let host = host(&json!({ "features": ["hero"] }));
        host.set("settings", &json!({}));
        let (first, _) = handed(&known(&host));
        let (same, _) = handed(&open(&host, &cookies));
        assert_eq!(first["payload"], same["payload"], "sticky buckets are off until they are asked for");
    }
}

#[test]
fn who_takes_part_in_nothing_gets_the_page_as_it_is() {
    let host = host(&json!({ "id": true }));
    let untouched = |answer: &Received| !text(answer).contains("growthbook");
    let from = |address| visit(address, "/").with("user-agent", FIREFOX).with("cookie", format!("ep_vid={VISITOR}"));
    assert!(untouched(&from(PARIS).send(&host)), "nobody agreed");
    assert!(untouched(&open(&host, "cc=no")), "refused");
    assert!(untouched(&visit(NEW_YORK, "/").with("user-agent", "Googlebot/2.1").send(&host)), "a bot");
    assert!(!untouched(&from(PARIS).with("cookie", "cc=yes").send(&host)), "agreed");
    assert!(!untouched(&known(&host)));
    host.config.borrow_mut().remove("features");
    host.config.borrow_mut().remove("experiments");
    assert!(untouched(&known(&host)), "no features");
    let off = self::host(&json!({}));
    off.set("active", &json!({ "enabled": false }));
    assert!(untouched(&known(&off)), "the kill switch");
}

#[test]
fn a_sandbox_that_knows_the_page_hands_each_visitor_ones_own() {
    let host = host(&json!({ "id": true }));
    let mut sandbox = Sandbox::default();
    for round in 0..4 {
        for number in 0..8 {
            let id = format!("{number:032x}").replace("00000000", "0000000f");
            let request = visit(NEW_YORK, "/").with("user-agent", FIREFOX).with("cookie", format!("ep_vid={id}"));
            let fresh = visit(NEW_YORK, "/").with("user-agent", FIREFOX).with("cookie", format!("ep_vid={id}"));
            let (known, new) = (request.send_in(&host, &mut sandbox), fresh.send(&host));
            assert_eq!(handed(&known).0["uuid"], json!(id), "round {round}");
            assert_eq!(text(&known), text(&new), "round {round}: as a new sandbox answers");
        }
    }
}

#[test]
fn an_id_of_the_bundle_is_adopted_with_consent_and_forgotten_with_a_refusal() {
    const UUID: &str = "0e2c4d1a-98b7-4f3e-8a01-00000000beef";
    let host = host(&json!({ "id": true }));
    host.set(
        "settings",
        &json!({ "visitor": { "adopt": "gbuuid" }, "consent": { "cookie": { "name": "cc", "value": "yes" } } }),
    );
    let answer = open(&host, &format!("gbuuid={UUID}"));
    assert_eq!(handed(&answer).0["uuid"], UUID);
    assert_eq!(answer.headers.get("set-cookie"), None, "there is an id: none is made");
    let refused = open(&host, &format!("gbuuid={UUID}; cc=no"));
    let removed = refused.headers.get("set-cookie").unwrap().to_str().unwrap();
    assert!(removed.starts_with("gbuuid=; Path=/; Max-Age=0"), "{removed}");
}
