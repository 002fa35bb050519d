//! What each operation does, as a visitor sees it.

use super::*;

fn one(operation: Value, page: &str) -> String {
    rewritten(&json!([operation]), &json!({"v": "<&\"'", "xs": ["s1", 7], "js": "javascript:alert(1)"}), page)
}

#[test]
fn content_goes_where_the_operation_says() {
    let page = "<div><p id=x>old<b>er</b></p></div>";
    let cases = [
        ("inner", "<div><p id=x>[&lt;&amp;&#34;&#39;]</p></div>"),
        ("before", "<div>[&lt;&amp;&#34;&#39;]<p id=x>old<b>er</b></p></div>"),
        ("after", "<div><p id=x>old<b>er</b></p>[&lt;&amp;&#34;&#39;]</div>"),
        ("prepend", "<div><p id=x>[&lt;&amp;&#34;&#39;]old<b>er</b></p></div>"),
        ("append", "<div><p id=x>old<b>er</b>[&lt;&amp;&#34;&#39;]</p></div>"),
        ("replace", "<div>[&lt;&amp;&#34;&#39;]</div>"),
    ];
    for (field, expected) in cases {
        assert_eq!(one(json!({"select": "#x", field: "[{{ v }}]"}), page), expected, "{field}");
    }
}

#[test]
fn void_elements_have_no_content() {
    let page = "a<img id=x>b";
    assert_eq!(one(json!({"select": "#x", "inner": "1", "append": "2", "prepend": "3"}), page), page);
    assert_eq!(one(json!({"select": "#x", "after": "1", "before": "0"}), page), "a0<img id=x>1b");
    assert_eq!(one(json!({"select": "#x", "replace": "1"}), page), "a1b");
}

#[test]
fn one_end_tag_may_end_several_elements() {
    assert_eq!(one(json!({"select": "ul, li", "append": "+"}), "<ul><li>a<li>b</ul>c"), "<ul><li>a<li>b+++</ul>c");
}

#[test]
fn attributes_are_escaped_and_links_made_safe() {
    let page = "<a id=x href=/old title='t' data-k=1>y</a>";
    let set =
        json!({"select": "#x", "attribute": {"set": {"href": "{{ js }}", "title": "a {{ v }}"}, "remove": ["DATA-K"]}});
    assert_eq!(one(set, page), "<a id=x href=\"#\" title=\"a &lt;&amp;&#34;&#39;\">y</a>");
    // The author's text is text too: a reference in it can't hide a scheme.
    let set = json!({"select": "#x", "attribute": {"set": {"href": "javascript&colon;alert(1)"}}});
    assert!(one(set, page).contains("href=\"javascript&amp;colon;alert(1)\""));
}

#[test]
fn classes_are_added_once_and_removed() {
    let class = json!({"select": "p", "class": {"add": ["b", "c d"], "remove": ["a"]}});
    assert_eq!(
        one(class, "<p class='a  b'><p><p class=c>"),
        "<p class=\"b c d\"><p class=\"b c d\"><p class=\"c b d\">"
    );
    assert_eq!(
        one(json!({"select": "p", "class": {"add": ["b"], "remove": ["z"]}}), "<p class='a  b'>"),
        "<p class='a  b'>"
    );
}

#[test]
fn listed_elements_are_marked() {
    let mark = json!({"mark": {"attribute": "data-sku", "in": "xs", "class": "in-cart"}});
    assert_eq!(
        one(mark.clone(), "<p data-sku=s1><p data-sku=7 class=k><p data-sku=s2>"),
        "<p data-sku=s1 class=\"in-cart\"><p data-sku=7 class=\"k in-cart\"><p data-sku=s2>"
    );
    for written in ["it's", "it&#39;s", "it&#x27;s", "it&apos;s"] {
        let marked = rewritten(&json!([mark]), &json!({"xs": ["it's"]}), &format!("<p data-sku=\"{written}\">"));
        assert_eq!(marked, format!("<p data-sku=\"{written}\" class=\"in-cart\">"), "as it is written, the page stays");
    }
    let none = json!({"mark": {"attribute": "data-sku", "in": "absent.path", "class": "in-cart"}});
    assert!(plan(&json!([none]), &json!({})).is_empty());
}

#[test]
fn decisions_go_to_the_end_of_the_head_with_the_pages_nonce() {
    let script = "<script type=\"application/json\" id=\"d\" nonce=\"n1\">{\"hero\":\"\\u003c/script\\u003e\\u003c!--\",\"n\":1.5}</script>";
    let bare = script.replace(" nonce=\"n1\"", "");
    let json = json!({"json": {"id": "d"}});
    assert_eq!(
        one(json.clone(), "<html><head><script nonce=n1></script></head><body></body>"),
        format!("<html><head><script nonce=n1></script>{script}</head><body></body>")
    );
    // Optional tags left out.
    assert_eq!(
        one(json.clone(), "<html><head><title>x</title><body>y"),
        format!("<html><head><title>x</title><body>{bare}y")
    );
    assert_eq!(one(json.clone(), "<title>x</title><p>y"), format!("<title>x</title><p>y{bare}"));
    let meta = "<meta http-equiv='Content-Security-Policy' content=\"script-src 'nonce-n1' 'self'\">";
    assert_eq!(one(json, &format!("{meta}<body>y</body>")), format!("{meta}<body>{script}y</body>"));
    assert_eq!(one(json!({"json": {"id": "d"}, "select": "#x"}), "<b id=x></b>"), format!("<b id=x>{bare}</b>"));
}

#[test]
fn a_nonce_cannot_leave_its_attribute() {
    let out = one(json!({"json": {"id": "d"}}), "<head><script nonce='a\" onload=x'></script></head>");
    assert!(!out.contains("nonce=\"a"), "{out}");
}

#[test]
fn markup_in_comments_scripts_and_text_is_left_alone() {
    for page in [
        "<!-- <p id=x> -->",
        "<script>'<p id=x>'</script>",
        "<style><p id=x></style>",
        "<textarea><p id=x></textarea>",
        "<title><p id=x></title>",
    ] {
        assert_eq!(one(json!({"select": "#x", "inner": "no"}), page), page);
    }
}

#[test]
fn content_left_out_is_not_edited() {
    let operations = json!([
        {"select": "#x", "inner": "new"},
        {"select": "#x", "class": {"add": ["c"]}},
        {"select": "b", "after": "no", "append": "no"}
    ]);
    assert_eq!(
        rewritten(&operations, &json!({}), "<p id=x><b>old</b></p><b>o</b>"),
        "<p id=x class=\"c\">new</p><b>ono</b>no"
    );
}

#[test]
fn a_legacy_page_gets_its_own_encoding() {
    let plan = plan(&json!([{"select": "p", "inner": "\u{e9}\u{20ac}\u{1f600}"}]), &json!({}));
    let mut out = Vec::new();
    let mut rewriter = HtmlRewriter::new(&plan, |bytes: &[u8]| out.extend_from_slice(bytes))
        .charset(Charset::from_label(Some("latin1")).unwrap());
    rewriter.write(b"<p>\xe8</p>\xe8");
    rewriter.end();
    assert_eq!(out, b"<p>\xe9\x80&#128512;</p>\xe8");
}

#[test]
fn bad_operations_are_left_out_and_named() {
    let stored = json!([
        {"select": "a:hover", "inner": "x"},
        {"select": "a", "inner": 5},
        {"select": "a"},
        {"inner": "x"},
        {"select": "a", "attribute": {"set": {"on click": "x"}}},
        {"select": "a", "attribute": {"set": {"onclick": "{{ x }}"}}},
        {"select": "a + b", "inner": "x"},
        {"select": "a", "inner": {"template": "nope"}},
        {"select": "p", "inner": "good"},
        7
    ]);
    let mut faults = Vec::new();
    let mut templates = Templates::new([]);
    let rules = HtmlRules::compile(stored.as_array().unwrap(), "/html", &mut templates, &mut faults);
    assert_eq!(rules.operations().len(), 1);
    let pointers: Vec<&str> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
    assert_eq!(
        pointers,
        [
            "/html/0/select",
            "/html/1/inner",
            "/html/2",
            "/html/3/select",
            "/html/4/attribute/set/on click",
            "/html/5/attribute/set/onclick",
            "/html/6/select",
            "/html/7/inner",
            "/html/9"
        ]
    );
    assert!(faults.iter().all(|fault| fault.message.starts_with("expected ")), "{faults:#?}");
}

#[test]
fn plans_differ_where_pages_differ() {
    let stored =
        json!([{"select": "p", "inner": "{{ v }}"}, {"mark": {"attribute": "data-sku", "in": "xs", "class": "c"}}]);
    let prints: Vec<[u8; 16]> = [
        json!({"v": 1}),
        json!({"v": 2}),
        json!({"v": 1, "xs": ["a"]}),
        json!({"v": 1, "xs": ["a", "b"]}),
        json!({"v": 1, "xs": ["ab"]}),
    ]
    .iter()
    .map(|facts| plan(&stored, facts).fingerprint())
    .collect();
    for (index, print) in prints.iter().enumerate() {
        assert!(!prints[..index].contains(print), "{index}");
    }
    assert_eq!(prints[0], plan(&stored, &json!({"v": 1, "other": 5})).fingerprint());
}

/// The checker's messages: the field at fault, and what to write instead.
#[test]
fn a_fault_names_its_field_and_what_to_do() {
    for (operation, pointer, words) in [
        (json!({"select": "p", "once": "yes", "inner": "x"}), "/html/0/once", "true or false"),
        (
            json!({"select": "li:nth-last-child(2)", "inner": "x"}),
            "/html/0/select",
            "`:nth-last-child` in `li:nth-last-child(2)`",
        ),
        (json!({"select": "div:has(img)", "inner": "x"}), "/html/0/select", "a class or an attribute of its own"),
        (json!({"select": "h1 + p", "inner": "x"}), "/html/0/select", "`+` in `h1 + p`"),
        (json!({"select": "a:hover", "inner": "x"}), "/html/0/select", "only a browser knows it"),
        (json!({"select": "a:contains('x')", "inner": "x"}), "/html/0/select", "`:contains`"),
        (json!({"select": "p", "prepend": {"template": "broken"}}), "/html/0/prepend", "in the template `broken`"),
        (json!({"select": "p", "append": "a\n{{ 1 + }}"}), "/html/0/append", "(line 2)"),
        (
            json!({"select": "p", "append": "x", "when": {"feature.a": {"$elemMatch": null}}}),
            "/html/0/when/feature.a/$elemMatch",
            "a condition",
        ),
    ] {
        let mut templates = Templates::new([("broken".to_owned(), "{{ a b }}".to_owned())]);
        let mut faults = Vec::new();
        HtmlRules::compile(std::slice::from_ref(&operation), "/html", &mut templates, &mut faults);
        let [fault] = faults.as_slice() else { panic!("{operation}: {faults:?}") };
        assert!(fault.pointer == pointer && fault.message.contains(words), "{operation}: {fault}");
    }
}
