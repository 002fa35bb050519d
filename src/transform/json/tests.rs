use serde_json::json;

use super::*;

fn compile(stored: &Value) -> (JsonRules, Templates) {
    let mut templates = Templates::new([]);
    let mut faults = Vec::new();
    let rules = JsonRules::compile(stored, "/json", &mut templates, &mut faults);
    assert!(faults.is_empty(), "{faults:?}");
    (rules, templates)
}

fn apply(stored: &Value, facts: &Value, body: &str) -> String {
    let (rules, templates) = compile(stored);
    let mut faults = Vec::new();
    let (out, _) = rules.apply(body.as_bytes(), &templates, &Facts::new(facts), &mut faults).unwrap();
    assert!(faults.is_empty(), "{faults:?}");
    String::from_utf8(out).unwrap()
}

fn set(pointer: &str, value: Value, body: &str) -> String {
    apply(
        &json!({"set": [{"pointer": pointer, "value": value}]}),
        &json!({"session": {"n": 3, "list": [1, {"a": 2.50}]}, "v": "</script>\u{2028}\""}),
        body,
    )
}

/// What a JSON library would change: long and odd numbers, order, repeated names, escapes, space.
const ODD: &str = " {\"z\" : 1.0 ,\n\t\"big\":12345678901234567890123, \"e\": 1e400, \"m\":-0.0E+1,\r\n \"\\u0061\":\"\\u00e9\\/\\ud83d\\ude00\", \"lone\":\"\\ud800\", \"a\": {\"b\":[ ], \"c\" : { } , \"k/~\":null}, \"dup\":1,\"dup\": 2 } \n";

#[test]
fn what_is_not_edited_keeps_its_bytes() {
    assert_eq!(set("/a/c", json!(7), ODD), ODD.replace("{ }", "7"));
    assert_eq!(set("/z", json!(null), ODD), ODD.replace("1.0 ", "null "));
    assert_eq!(set("/big", json!("x"), ODD), ODD.replace("12345678901234567890123", "\"x\""));
    assert_eq!(set("/lone", json!(1), ODD), ODD.replace("\"\\ud800\"", "1"));
    assert_eq!(set("/a/k~1~0", json!(false), ODD), ODD.replace("null", "false"));
    // Of a repeated name, the one that JavaScript reads.
    assert_eq!(set("/dup", json!(3), ODD), ODD.replace("\"dup\": 2", "\"dup\": 3"));
    assert_eq!(set("/none/x", json!(1), ODD), ODD);
    assert_eq!(set("/a/b/1", json!(1), ODD), ODD);
    assert_eq!(set("", json!([]), ODD), " [] \n");
}

#[test]
fn names_and_elements_are_added_at_the_end() {
    assert_eq!(set("/x", json!(1), "{}"), "{\"x\":1}");
    assert_eq!(set("/x", json!(1), "{ }"), "{\"x\":1 }");
    assert_eq!(set("/x", json!(1), "{ \"a\": 0 }"), "{ \"a\": 0,\"x\":1 }");
    assert_eq!(set("/x\"<", json!(1), "{}"), "{\"x\\\"\\u003c\":1}");
    assert_eq!(set("/-", json!(1), "[ ]"), "[1 ]");
    assert_eq!(set("/1", json!(1), "[ 0 ]"), "[ 0,1 ]");
    assert_eq!(set("/2", json!(1), "[ 0 ]"), "[ 0 ]");
    assert_eq!(set("/01", json!(1), "[ 0 ]"), "[ 0 ]");
    assert_eq!(set("/0", json!(1), "{\"0\":5}"), "{\"0\":1}");
    assert_eq!(set("/x", json!(1), "7"), "7");
}

#[test]
fn values_come_from_templates_facts_and_literals() {
    assert_eq!(set("/x", json!("n={{ session.n }}"), "{\"x\":0}"), "{\"x\":\"n=3\"}");
    assert_eq!(set("/x", json!("{{ v }}"), "{\"x\":0}"), "{\"x\":\"\\u003c/script\\u003e\\u2028\\\"\"}");
    assert_eq!(set("/x", json!({"from": "session.list"}), "{\"x\":0}"), "{\"x\":[1,{\"a\":2.5}]}");
    assert_eq!(set("/x", json!({"from": "session.none"}), "{\"x\":0}"), "{\"x\":0}");
    assert_eq!(set("/x", json!({"from": "session.none", "default": []}), "{\"x\":0}"), "{\"x\":[]}");
    assert_eq!(set("/x", json!({"k": [1.0]}), "{\"x\":0}"), "{\"x\":{\"k\":[1.0]}}");
}

#[test]
fn a_byte_order_mark_is_no_reason_to_leave_an_answer_alone() {
    assert_eq!(set("/x", json!(1), "\u{feff}{\"x\":0}"), "{\"x\":1}");
}

#[test]
fn an_answer_that_is_not_json_is_refused() {
    let (rules, templates) = compile(&json!({"set": [{"pointer": "/x", "value": 1}]}));
    let facts = json!({});
    for body in
        [&b""[..], b"{", b"{\"a\":1,}", b"[1 2]", b"{} {}", b"nul", b"01", b"\"a\nb\"", b"{\"a\":\"\xff\"}", b"<html>"]
    {
        let result = rules.apply(body, &templates, &Facts::new(&facts), &mut Vec::new());
        assert!(result.is_err(), "{:?}", String::from_utf8_lossy(body));
    }
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    // Whatever the validator says of it, it is said without a crash.
    let _ = rules.apply(deep.as_bytes(), &templates, &Facts::new(&facts), &mut Vec::new());
}

const PRODUCTS: &str = r#"{"total": 5, "products": [ {"id":"p1","category":"hats","price":1.0}, {"id":"p2","category":"shoes"},
  {"id":3,"category":"bags"}, {"id":"p4","category":"shoes"} ,{"name":"odd"} ]}"#;

fn order(rerank: Value, session: Value) -> Vec<String> {
    let mut stored = json!({"pointer": "/products", "key": "category"});
    stored.as_object_mut().unwrap().extend(rerank.as_object().unwrap().clone());
    let out = apply(&json!({ "rerank": stored }), &json!({ "session": session }), PRODUCTS);
    let parsed: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(out.len(), PRODUCTS.len());
    assert_eq!(parsed["total"], 5);
    parsed["products"].as_array().unwrap().iter().map(|p| p["id"].to_string().trim_matches('"').to_owned()).collect()
}

#[test]
fn affinity_recency_and_pins_decide_the_order() {
    let affinity = json!({"affinity": "session.affinity"});
    assert_eq!(order(affinity.clone(), json!({"affinity": {"shoes": 3, "bags": 9}})), ["3", "p2", "p4", "p1", "null"]);
    assert_eq!(order(affinity.clone(), json!({"affinity": ["shoes", "hats"]})), ["p2", "p4", "p1", "3", "null"]);
    assert_eq!(order(affinity, json!({"affinity": {"shoes": "many"}})), ["p1", "p2", "3", "p4", "null"]);
    let recent = json!({"recent": "session.recent_views"});
    assert_eq!(order(recent.clone(), json!({"recent_views": ["p4", 3, "p4"]})), ["p4", "3", "p1", "p2", "null"]);
    assert_eq!(order(recent, json!({"recent_views": [{"id": "p2"}]})), ["p2", "p1", "3", "p4", "null"]);
    assert_eq!(order(json!({"pinned": ["p4", "gone", "3"]}), json!({})), ["p4", "3", "p1", "p2", "null"]);
    let all = json!({"pinned": ["p1"], "affinity": "session.a", "recent": "session.r", "weights": {"recent": 4.0}});
    assert_eq!(order(all, json!({"a": {"shoes": 1}, "r": ["3"]})), ["p1", "3", "p2", "p4", "null"]);
    let limited = json!({"limit": 2, "affinity": "session.a"});
    assert_eq!(order(limited, json!({"a": {"bags": 1, "shoes": 1}})), ["p2", "p1", "3", "p4", "null"]);
    assert_eq!(order(json!({"affinity": "session.a"}), json!({})), ["p1", "p2", "3", "p4", "null"]);
}

#[test]
fn a_new_order_keeps_every_byte_of_the_elements() {
    let stored = json!({"rerank": {"pointer": "", "key": "/c/d", "id": "/k~1", "pinned": ["b"]}});
    assert_eq!(
        apply(&stored, &json!({}), " [ {\"k/\":\"a\" , \"n\":1.0},\n{\"k/\":\"\\u0062\",\"e\":1e400} ] "),
        " [ {\"k/\":\"\\u0062\",\"e\":1e400},\n{\"k/\":\"a\" , \"n\":1.0} ] "
    );
}

#[test]
fn bad_edits_are_left_out_and_named() {
    let mut faults = Vec::new();
    let mut templates = Templates::new([]);
    let stored = json!({"set": [{"pointer": "x", "value": 1}, {"pointer": "/x"}, {"pointer": "/~2", "value": 1}, {"pointer": "/x", "value": "{{"},
        {"pointer": "/x", "value": {"from": 5}}, {"pointer": "/x", "value": {"from": "a", "b": 1}}, {"pointer": "/ok", "value": 1}],
        "rerank": {"pointer": "/x", "key": "", "limit": 5}});
    let rules = JsonRules::compile(&stored, "/json", &mut templates, &mut faults);
    assert_eq!((rules.set.len(), rules.rerank.is_none()), (1, true));
    let pointers: Vec<&str> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
    assert_eq!(
        pointers,
        [
            "/json/rerank/key",
            "/json/set/0/pointer",
            "/json/set/1",
            "/json/set/2/pointer",
            "/json/set/3/value",
            "/json/set/4/value",
            "/json/set/5/value"
        ]
    );
    assert!(faults.iter().all(|fault| fault.message.starts_with("expected ")), "{faults:#?}");
    for bad in [
        json!(7),
        json!({"set": 7}),
        json!({"rerank": {"pointer": "/x", "key": "a", "limit": 0}}),
        json!({"rerank": {"pointer": "/x", "key": "a", "weights": {"x": 1}}}),
    ] {
        let before = faults.len();
        JsonRules::compile(&bad, "/json", &mut templates, &mut faults);
        assert_eq!(faults.len(), before + 1, "{bad}");
    }
}

/// The short form of the fuzz target `json`: whatever is taken for JSON stays JSON, and loses nothing else.
#[test]
fn mangled_answers_neither_panic_nor_stop_being_json() {
    let (rules, templates) = compile(&json!({
        "set": [{"pointer": "/products/0/badge", "value": "{{ session.n }}"}, {"pointer": "/a/b/-", "value": 1}, {"pointer": "/total", "value": null}],
        "rerank": {"pointer": "/products", "key": "category", "affinity": "session.a"}
    }));
    let facts = json!({"session": {"a": {"shoes": 1}, "n": "\u{0}\"<"}});
    let mut state = 1u64;
    let mut below = |bound: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((state >> 33) % bound as u64).unwrap()
    };
    let mut taken = 0;
    for _ in 0..20_000 {
        let mut body = if below(2) == 0 { ODD } else { PRODUCTS }.as_bytes().to_vec();
        for _ in 0..below(4) {
            let at = below(body.len());
            match below(3) {
                0 => body[at] = b"{}[]\",:\\0e \x00\xff"[below(13)],
                1 => drop(body.remove(at)),
                _ => body.insert(at, b"{}[]\",:\\0e "[below(11)]),
            }
        }
        if let Ok((out, _)) = rules.apply(&body, &templates, &Facts::new(&facts), &mut Vec::new()) {
            taken += 1;
            assert!(
                serde_json::from_slice::<IgnoredAny>(&out).is_ok(),
                "{}\n{}",
                String::from_utf8_lossy(&body),
                String::from_utf8_lossy(&out)
            );
        }
    }
    assert!(taken > 1000, "{taken}");
}
