use serde_json::{Value as Json, json};

use super::{Attributes, Condition, Groups, PatternBudget, PatternWork, Value, lint};

fn holds(condition: &Json, attributes: &Json) -> bool {
    Condition::compile(condition).unwrap().matches(attributes, &Groups::default())
}

#[test]
fn the_empty_condition_holds_for_everybody() {
    assert!(holds(&json!({}), &json!({})));
    assert!(Condition::default().matches(&(), &Groups::default()));
}

#[test]
fn an_absent_attribute_is_null() {
    assert!(holds(&json!({ "a.b": null }), &json!({ "a": 5 })));
    assert!(holds(&json!({ "a": { "$exists": false } }), &json!({ "a": null })));
    // To the letter: JavaScript makes 0 of null, and "null" of it as text.
    assert!(holds(&json!({ "a": 0 }), &json!({})));
    assert!(holds(&json!({ "a": "null" }), &json!({})));
    assert!(holds(&json!({ "a": { "$regex": "^null$" } }), &json!({})));
}

#[test]
fn a_text_is_compared_with_a_number_as_javascript_does() {
    assert!(holds(&json!({ "n": "8" }), &json!({ "n": 8 })));
    assert!(holds(&json!({ "n": 8 }), &json!({ "n": " 8 " })));
    assert!(holds(&json!({ "n": 255 }), &json!({ "n": "0xff" })));
    assert!(holds(&json!({ "n": 1 }), &json!({ "n": true })));
    assert!(!holds(&json!({ "n": { "$eq": 8 } }), &json!({ "n": "8" })));
    assert!(!holds(&json!({ "n": { "$gt": 1 } }), &json!({ "n": "inf" })));
    assert!(!holds(&json!({ "n": { "$lte": 1 } }), &json!({ "n": "one" })));
    // Two texts are compared as texts, even if both look like numbers.
    assert!(holds(&json!({ "n": { "$lt": "9" } }), &json!({ "n": "10" })));
    assert!(holds(&json!({ "n": "1,2" }), &json!({ "n": [1, 2] })));
    assert!(holds(&json!({ "n": "1e+21" }), &json!({ "n": 1e21 })));
    assert!(holds(&json!({ "n": "1e-7" }), &json!({ "n": 1e-7 })));
}

#[test]
fn texts_are_ordered_by_utf_16_code_units() {
    // U+FF5E is after U+1F600 in JavaScript, before it in Rust.
    assert!(holds(&json!({ "t": { "$gt": "\u{1f600}" } }), &json!({ "t": "\u{ff5e}" })));
}

#[test]
fn the_order_of_keys_counts_for_an_object() {
    let condition = json!({ "o": { "a": 1, "b": 2 } });
    assert!(holds(&condition, &json!({ "o": { "a": 1.0, "b": 2 } })));
    assert!(!holds(&condition, &json!({ "o": { "b": 2, "a": 1 } })));
}

#[test]
fn a_path_walks_into_lists() {
    let attributes = json!({ "cart": { "items": [{ "sku": "x" }, { "sku": "y" }] } });
    assert!(holds(&json!({ "cart.items.1.sku": "y" }), &attributes));
    assert!(!holds(&json!({ "cart.items.01.sku": "y" }), &attributes));
    assert!(holds(&json!({ "cart.items.length": { "$gt": 1 } }), &attributes));
    assert!(holds(&json!({ "cart.items.length.x": null }), &attributes));
}

#[test]
fn a_pattern_that_backtracks_never_matches_and_is_named() {
    let condition = json!({ "ua": { "$regex": "(?=Mobile)" } });
    assert!(!holds(&condition, &json!({ "ua": "Mobile" })));
    let faults = lint(&condition, None);
    assert_eq!(faults.len(), 1);
    assert_eq!(faults[0].pointer, "/ua/$regex");
    assert!(faults[0].message.contains("linear time"));
}

#[test]
fn a_hostile_pattern_is_matched_in_linear_time() {
    let condition = Condition::compile(&json!({ "p": { "$regex": "^(a+)+$" } })).unwrap();
    let attributes = json!({ "p": format!("{}!", "a".repeat(20_000)) });
    assert!(!condition.matches(&attributes, &Groups::default()));
}

#[test]
fn brackets_read_as_in_javascript() {
    assert!(holds(&json!({ "p": { "$regex": "^[[&~/]+$" } }), &json!({ "p": "[&~/" })));
    assert!(holds(&json!({ "p": { "$regex": "^/a\\/b$" } }), &json!({ "p": "/a/b" })));
}

#[test]
fn the_attributes_of_a_condition_can_be_listed() {
    let condition = json!({
        "country": "US", "$or": [{ "session.tier": "gold" }, { "$not": { "session.cart.length": 0 } }],
        "$nor": [{ "deviceType": "bot" }], "$and": [{ "country": { "$ne": "FR" } }]
    });
    let condition = Condition::compile(&condition).unwrap();
    assert_eq!(condition.attributes_used().collect::<Vec<_>>(), ["country", "deviceType", "session"]);
}

#[test]
fn the_clause_that_blocks_is_named() {
    let condition = Condition::compile(&json!({ "country": "US", "a.b": 1, "$or": [{ "x": 1 }] })).unwrap();
    let groups = Groups::default();
    assert_eq!(condition.blocked_by(&json!({ "country": "US" }), &groups), Some("a.b"));
    assert_eq!(condition.blocked_by(&json!({ "country": "US", "a": { "b": 1 } }), &groups), Some("$or"));
    assert_eq!(condition.blocked_by(&json!({ "country": "US", "a": { "b": 1 }, "x": 1 }), &groups), None);
}

#[test]
fn a_fault_says_what_was_expected_where() {
    let fault = Condition::compile(&json!({ "$or": [{ "a": 1 }, 5] })).unwrap_err();
    assert_eq!(fault.to_string(), "/$or/1: expected a condition (an object), but found the number 5");
    let fault = Condition::compile(&json!({ "a/b": { "$not": { "$elemMatch": null } } })).unwrap_err();
    assert_eq!(fault.to_string(), "/a~1b/$not/$elemMatch: expected a condition (an object), but found null");
    let fault = Condition::compile(&json!({ "$and": {} })).unwrap_err();
    assert_eq!(fault.to_string(), "/$and: expected a list of conditions, but found an object");
}

#[test]
fn the_strict_reader_names_what_the_evaluator_forgives() {
    let (groups, faults) = Groups::from_json(&json!({ "vip": ["1"], "broken": 5 }));
    assert_eq!(faults.len(), 1);
    let condition = json!({
        "$and": [{ "a": { "$regx": "x" } }, { "id": { "$inGroup": "vip" } }, { "id": { "$inGroup": "vips" } }],
        "$nand": [], "b": { "$in": 1 }, "c": { "$gt": 1, "d": 2 }, "e": { "$type": "text" }, "f": { "$veq": 1.2 },
        "g": { "$all": [{ "$what": 1 }] }, "h": { "$elemMatch": { "i": { "$exists": "yes" } } }, "$or": 7
    });
    let faults = lint(&condition, Some(&groups));
    let pointers: Vec<_> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
    assert_eq!(
        pointers,
        [
            "/$and/0/a/$regx",
            "/$and/2/id/$inGroup",
            "/$nand",
            "/b/$in",
            "/c",
            "/e/$type",
            "/f/$veq",
            "/g/$all/0/$what",
            "/h/$elemMatch/i/$exists",
            "/$or"
        ]
    );
}

#[test]
fn the_paths_of_a_condition_can_be_listed() {
    let condition = json!({ "session.tier": 1, "$or": [{ "country": "FR" }, { "session.tier": 2, "cart": { "$elemMatch": { "sku": 1 } } }] });
    let condition = Condition::compile(&condition).unwrap();
    assert_eq!(condition.paths(), ["cart", "country", "session.tier"]);
}

#[test]
fn a_large_pattern_never_matches_and_is_named_where_it_stands() {
    let condition = json!({ "$or": [{ "path": { "$not": { "$regex": "(.{0,90}){0,90}z" } } }, { "a/b": { "$regexi": "x".repeat(2_000) } }] });
    let compiled = Condition::compile(&condition).unwrap();
    assert_eq!(compiled.cost(), 0);
    let pointers = |faults: &[super::Fault]| faults.iter().map(|fault| fault.pointer.clone()).collect::<Vec<_>>();
    assert_eq!(pointers(compiled.faults()), ["/$or/0/path/$not/$regex", "/$or/1/a~1b/$regexi"]);
    assert_eq!(compiled.faults(), lint(&condition, None));
    assert!(!holds(&json!({ "path": { "$regex": "(.{0,90}){0,90}z" } }), &json!({ "path": "z" })));
}

#[test]
fn an_unknown_operator_is_named_by_the_compiler_too() {
    for condition in [json!({ "a": { "$regx": "x" } }), json!({ "$zap": 1 }), json!({ "$or": [{ "$eq": 1 }] })] {
        let compiled = Condition::compile(&condition).unwrap();
        assert_eq!(compiled.faults(), lint(&condition, None), "{condition}");
        assert_eq!(compiled.faults().len(), 1, "{condition}");
    }
}

#[test]
fn a_set_of_conditions_shares_one_budget_for_its_patterns() {
    let mut budget = PatternBudget::default();
    // The largest that a single pattern may be.
    let condition = json!({ "path": { "$regex": "(.{0,25}){0,25}z" } });
    let compiled = (0..60).map(|_| Condition::compile_within(&condition, &mut budget)).collect::<Vec<_>>();
    let fitting = compiled.iter().filter(|compiled| compiled.is_ok()).count();
    assert_eq!(fitting, PatternBudget::SET / compiled[0].as_ref().unwrap().cost());
    assert!(fitting < 20, "{fitting}");
    let fault = compiled[59].as_ref().unwrap_err();
    assert_eq!(fault.pointer, "/path/$regex");
    assert!(fault.message.contains("no room left"), "{fault}");
    // Patterns as people write them are small.
    let mut budget = PatternBudget::default();
    let usual = json!({ "path": { "$regex": "^/shop/(men|women)/[a-z0-9-]+$" } });
    assert!((0..250).all(|_| Condition::compile_within(&usual, &mut budget).is_ok()));
}

#[test]
fn a_condition_that_nests_too_deep_is_refused_before_the_stack_is_full() {
    let nested = |levels: usize, wrap: fn(Json) -> Json| (0..levels).fold(json!({ "a": 1 }), |inner, _| wrap(inner));
    let wraps: [fn(Json) -> Json; 4] = [
        |inner| json!({ "$not": inner }),
        |inner| json!({ "$or": [inner] }),
        |inner| json!({ "a": { "$elemMatch": inner } }),
        |inner| json!({ "a": { "$not": { "$size": inner["a"] } } }),
    ];
    // A quarter of the stack that Fastly's sandboxes have.
    let small_stack = std::thread::Builder::new().stack_size(256 << 10);
    let walk = move || {
        for wrap in wraps {
            let condition = Condition::compile(&nested(20, wrap)).unwrap();
            let _ = condition.matches(&json!({ "a": [[1]] }), &Groups::default());
            let fault = Condition::compile(&nested(65, wrap)).unwrap_err();
            assert!(fault.message.contains("at most 64 levels"), "{fault}");
            assert!(lint(&nested(65, wrap), None).iter().any(|found| found.message == fault.message));
        }
        let _ = Condition::compile(&nested(63, wraps[0])).unwrap().matches(&json!({}), &Groups::default());
    };
    small_stack.spawn(walk).unwrap().join().unwrap();
}

/// Attributes with a bound on what patterns may take.
struct Bounded(serde_json::Value, PatternWork);

impl Attributes for Bounded {
    fn attribute(&self, name: &str) -> Option<Value<'_>> {
        self.0.attribute(name)
    }

    fn pattern_work(&self) -> Option<&PatternWork> {
        Some(&self.1)
    }
}

#[test]
fn the_patterns_of_a_request_share_an_end() {
    let condition = |pattern: &str| Condition::compile(&json!({ "p": { "$regex": pattern } })).unwrap();
    let (dear, cheap) = (condition("(.{0,20}){0,20}z"), condition("/shop/"));
    let groups = Groups::default();
    let holds = |condition: &Condition, facts: &Bounded| condition.matches(facts, &groups);
    let facts = |text: &str| Bounded(json!({ "p": text }), PatternWork::default());
    let short = facts("/shop/z");
    for _ in 0..20 {
        assert!(holds(&dear, &short) && holds(&cheap, &short) && !short.1.is_exhausted());
    }
    let long = facts(&format!("/shop/{}z", "a".repeat(7_000)));
    assert!(holds(&cheap, &long) && !long.1.is_exhausted());
    assert!(!holds(&dear, &long) && long.1.is_exhausted());
    // What comes later doesn't match either, so that the order of cheap and dear ones doesn't matter.
    assert!(!holds(&cheap, &long));
}

#[test]
fn a_plain_start_that_differs_costs_nothing() {
    let matches = |pattern: &str, facts: &Bounded| {
        Condition::compile(&json!({ "p": { "$regex": pattern } })).unwrap().matches(facts, &Groups::default())
    };
    for (pattern, costs) in
        [("^/shop/.*$", false), ("^/shop$", false), ("^/sh{2}x", false), ("^/s?x", true), ("^/shop|zzz", true)]
    {
        let facts = Bounded(json!({ "p": "/blog/a" }), PatternWork::new(0));
        assert!(!matches(pattern, &facts));
        assert_eq!(facts.1.is_exhausted(), costs, "{pattern}");
    }
    for (pattern, text) in
        [("^/shops?x", "/shopx"), ("^ab*c", "ac"), ("^ab{0}c", "ac"), ("^/a|b", "b"), ("^a\\.b", "a.b"), ("^é", "éa")]
    {
        assert!(matches(pattern, &Bounded(json!({ "p": text }), PatternWork::default())), "{pattern}");
    }
}
