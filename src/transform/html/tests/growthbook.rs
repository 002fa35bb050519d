//! GrowthBook's visual experiments.

use super::*;

fn visual(variation: &Value, page: &str) -> (String, Vec<String>) {
    let mut faults = Vec::new();
    let changes = VisualChanges::compile(variation, "", &mut faults);
    let mut plan = HtmlPlan::default();
    plan.add_visual(&changes);
    let (out, _) = rewrite(&plan, [page.as_bytes()]);
    (String::from_utf8(out).unwrap(), faults.iter().map(ToString::to_string).collect())
}

fn mutation(selector: &str, attribute: &str, action: &str, value: &str) -> Value {
    json!({"selector": selector, "attribute": attribute, "action": action, "value": value})
}

#[test]
fn mutations_apply_as_in_a_browser() {
    let page = "<p id=x class='a b' title=t>old</p>";
    let cases = [
        (mutation("#x", "html", "set", "<b>n</b>"), "<p id=x class='a b' title=t><b>n</b></p>"),
        (mutation("#x", "html", "append", "<b>n</b>"), "<p id=x class='a b' title=t>old<b>n</b></p>"),
        (mutation("#x", "class", "append", "c"), "<p id=x class=\"a b c\" title=t>old</p>"),
        (mutation("#x", "class", "remove", "a"), "<p id=x class=\"b\" title=t>old</p>"),
        (mutation("#x", "className", "set", "z"), "<p id=x class=\"z\" title=t>old</p>"),
        (mutation("#x", "title", "append", "\"<"), "<p id=x class='a b' title=\"t&#34;&lt;\">old</p>"),
        (mutation("#x", "title", "set", "n"), "<p id=x class='a b' title=\"n\">old</p>"),
        (mutation("#x", "title", "remove", ""), "<p id=x class='a b'>old</p>"),
        (mutation("#x", "href", "append", "n"), "<p id=x class='a b' title=t href=\"n\">old</p>"),
    ];
    for (mutation, expected) in cases {
        let (out, faults) = visual(&json!({ "domMutations": [mutation] }), page);
        assert_eq!((out.as_str(), faults.len()), (expected, 0), "{mutation}");
    }
    let both = json!({"domMutations": [mutation("#x", "html", "append", "1"), mutation("#x", "html", "set", "2"), mutation("#x", "html", "append", "3")]});
    assert_eq!(visual(&both, page).0, "<p id=x class='a b' title=t>23</p>");
}

#[test]
fn style_and_script_go_into_the_head() {
    let variation = json!({"css": "a{content:'</style>'}", "js": "f('</script><!--')", "domMutations": []});
    let (out, faults) = visual(&variation, "<head><script nonce=N></script></head><body>x</body>");
    assert!(faults.is_empty());
    assert_eq!(
        out,
        "<head><script nonce=N></script><style nonce=\"N\">a{content:'<\\/style>'}</style>\
         <script nonce=\"N\">f('<\\/script>\\u003c!--')</script></head><body>x</body>"
    );
}

#[test]
fn what_a_stream_cannot_do_is_named() {
    let variation = json!({"css": 5, "domMutations": [
        {"selector": "#x", "attribute": "position", "action": "set", "parentSelector": "body"},
        mutation("#x + p", "html", "set", "y"),
        mutation("#x", "html", "remove", ""),
        mutation("#x", "a b", "set", ""),
        mutation("#x", "title", "swap", ""),
        mutation("", "title", "set", ""),
        7
    ]});
    let (out, faults) = visual(&variation, "<p id=x>");
    assert_eq!(out, "<p id=x>");
    assert_eq!(faults.len(), 8, "{faults:#?}");
    assert!(faults.iter().all(|fault| fault.contains("expected ")), "{faults:#?}");
    assert!(faults.iter().any(|fault| fault.starts_with("/domMutations/0/attribute: ")), "{faults:#?}");
    assert_eq!(visual(&json!("x"), "<p>").1.len(), 1);
}
