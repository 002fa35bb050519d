//! Promise 12: session data can't inject, in any sink of the rewriter.

use lol_html::{Settings, element};

use super::*;

const HOSTILE: [&str; 14] = [
    "</script><script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "' onmouseover='alert(1)",
    "x onclick=alert(1) y",
    "<!--",
    "--><script>alert(1)</script>",
    "</style></title></textarea><svg onload=alert(1)>",
    "\u{2028}alert(1)\u{2029}",
    "a\r\nb",
    "a\0b<\0script>",
    "javascript:alert(1)",
    "JAVA\tSCRIPT:alert(1)",
    "&lt;script&gt;&#60;b&#62;&quot; onload=x",
    "{{ 7 * 7 }}{% raw %}",
];

fn operations() -> Value {
    json!([
        {"select": "#a", "inner": "<p title=\"{{ v }}\" data-x='{{ v }}'>{{ v }}</p><a href=\"{{ v }}\">{{ v }}</a><!-- {{ v }} -->"},
        {"select": "#b", "before": "{{ v }}", "after": "{{ v }}", "prepend": "{{ v }}", "append": "{{ v }}"},
        {"select": "#c", "replace": "<textarea>{{ v }}</textarea><script type=\"application/json\">[{{ v }}]</script>"},
        {"select": "#d", "attribute": {"set": {"title": "{{ v }}", "href": "{{ v }}", "style": "color: {{ v }}"}}, "class": {"add": ["x-{{ v }}"]}},
        {"mark": {"attribute": "data-sku", "in": "list", "class": "in"}},
        {"json": {"id": "d"}}
    ])
}

/// Every tag of a page with the names of its attributes, and every link.
fn shape(page: &str) -> Vec<String> {
    let mut shape = Vec::new();
    let settings: Settings<'_, '_> = Settings::new().append_element_content_handler(element!("*", |node| {
        let names: Vec<String> = node.attributes().iter().map(lol_html::html_content::Attribute::name).collect();
        shape.push(format!("{} {}", node.tag_name(), names.join(" ")));
        if let Some(link) = node.get_attribute("href") {
            assert!(!link.to_ascii_lowercase().contains("script:"), "{link}");
        }
        Ok(())
    }));
    let mut rewriter = lol_html::HtmlRewriter::new(settings, |_: &[u8]| {});
    rewriter.write(page.as_bytes()).unwrap();
    rewriter.end().unwrap();
    shape
}

fn page_with(value: &str) -> String {
    let mut templates = Templates::new([]);
    let rules = rules(&operations(), &mut templates);
    let facts = json!({"v": value, "list": [value, "s"]});
    let mut faults = Vec::new();
    let circumstances = Circumstances { decisions: Some(&facts), nonce: Some(value), ..Circumstances::default() };
    let plan = rules.plan(&templates, &Facts::new(&facts), circumstances, |_| true, &mut faults);
    assert!(faults.is_empty(), "{faults:?}");
    let page = "<head></head><body><i id=a></i><i id=b></i><i id=c></i><a id=d>x</a><u data-sku=s></u></body>";
    String::from_utf8(rewrite(&plan, [page.as_bytes()]).0).unwrap()
}

#[test]
fn hostile_values_add_no_tag_no_attribute_and_no_code() {
    // The nonce of the plain page isn't one either, so that the shapes compare.
    let plain = shape(&page_with("plain value"));
    assert_eq!(plain.len(), 11, "{plain:?}");
    for value in HOSTILE {
        let page = page_with(value);
        assert_eq!(shape(&page), plain, "{value:?}\n{page}");
        assert!(!page.contains('\0'));
    }
}

#[test]
fn a_megabyte_is_left_out_and_named() {
    let mut templates = Templates::new([]);
    let rules =
        rules(&json!([{"select": "#a", "inner": "{{ v }}"}, {"select": "#b", "inner": "kept"}]), &mut templates);
    let facts = json!({"v": "<".repeat(1 << 20)});
    let mut faults = Vec::new();
    let plan = rules.plan(&templates, &Facts::new(&facts), Circumstances::default(), |_| true, &mut faults);
    assert_eq!(faults.len(), 1);
    assert_eq!(faults[0].pointer, "/html/0");
    let (out, _) = rewrite(&plan, [&b"<i id=a>old</i><i id=b>old</i>"[..]]);
    assert_eq!(out, b"<i id=a>old</i><i id=b>kept</i>");
}

#[test]
fn an_operation_whose_condition_fails_does_nothing() {
    let mut templates = Templates::new([]);
    let rules = rules(
        &json!([{"select": "i", "inner": "1", "when": {"country": "DE"}}, {"select": "b", "inner": "2"}]),
        &mut templates,
    );
    let facts = json!({});
    let plan = rules.plan(
        &templates,
        &Facts::new(&facts),
        Circumstances::default(),
        |operation| operation.when().is_none(),
        &mut Vec::new(),
    );
    assert_eq!(rewrite(&plan, [&b"<i></i><b></b>"[..]]).0, b"<i></i><b>2</b>");
}

#[test]
fn a_value_never_becomes_code_of_a_script_or_a_style() {
    for (select, page) in [
        ("#a", "<script id=a>var x</script>"),
        ("#a", "<SCRIPT id=a type=\"application/json\">{}</SCRIPT>"),
        ("#a", "<style id=a>b{}</style>"),
        ("head > *", "<head><script>1</script><style></style></head>"),
    ] {
        for position in ["inner", "prepend", "append"] {
            let plan =
                plan(&json!([{"select": select, position: "{{ session.v }}"}]), &json!({"session": {"v": "alert(1)"}}));
            assert_eq!(rewrite(&plan, [page.as_bytes()]).0, page.as_bytes(), "{position}");
        }
        // What the rules say themselves is their own affair, and beside an element is markup.
        let plan = plan(
            &json!([{"select": select, "inner": "x", "after": "{{ session.v }}"}]),
            &json!({"session": {"v": "<i>"}}),
        );
        let out = String::from_utf8(rewrite(&plan, [page.as_bytes()]).0).unwrap();
        assert!(out.contains(">x</") && out.contains("&lt;i"), "{out}");
    }
    let sends = plan(
        &json!([{"select": "meta", "attribute": {"set": {"content": "{{ session.v }}"}}}]),
        &json!({"session": {"v": "0;url=https://evil.example"}}),
    );
    let page = "<meta HTTP-EQUIV=Refresh content=5><meta name=a content=b>";
    let out = String::from_utf8(rewrite(&sends, [page.as_bytes()]).0).unwrap();
    assert_eq!(out, "<meta HTTP-EQUIV=Refresh content=5><meta name=a content=\"0;url=https://evil.example\">");
}

#[test]
fn a_value_in_an_element_that_is_named_as_code_is_a_fault() {
    for (select, is_fault) in [
        ("script", true),
        ("head > style.hero", true),
        ("p, body script#cfg[type]", true),
        ("SCRIPT:first-child", true),
        ("script + p", false),
        ("scripted", false),
        ("#script", false),
    ] {
        let mut faults = Vec::new();
        let stored = [json!({"select": select, "append": "{{ country }}"})];
        HtmlRules::compile(&stored, "/html", &mut Templates::new([]), &mut faults);
        let named =
            faults.iter().any(|fault| fault.pointer == "/html/0/append" && fault.message.contains("reads no value"));
        assert_eq!(named, is_fault, "{select}: {faults:?}");
        let own = [json!({"select": select, "append": "a", "before": "{{ country }}"})];
        faults.clear();
        HtmlRules::compile(&own, "/html", &mut Templates::new([]), &mut faults);
        assert!(!faults.iter().any(|fault| fault.message.contains("no value")), "{select}: {faults:?}");
    }
}
