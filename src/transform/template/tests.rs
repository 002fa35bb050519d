use serde_json::json;

mod bounds;
mod links;

use super::*;

fn render(source: &str, kind: Kind, facts: &serde_json::Value) -> Result<String, String> {
    let mut templates = Templates::new([]);
    let template = templates.compile(&Content::Inline(source.to_owned()), kind)?;
    templates.render(&template, &Facts::new(facts)).map(Cow::into_owned)
}

fn html(source: &str, facts: &serde_json::Value) -> String {
    render(source, Kind::Html, facts).unwrap()
}

fn fault(source: &str) -> String {
    render(source, Kind::Html, &json!({})).unwrap_err()
}

const HOSTILE: [&str; 12] = [
    "</script><script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "' onmouseover='alert(1)",
    "<!--",
    "-->",
    "\u{2028}\u{2029}",
    "a\r\nb",
    "a\0b",
    "javascript:alert(1)",
    "&lt;script&gt;",
    "{{ 7 * 7 }}",
    "`${alert(1)}`",
];

/// Promise 12: a value stays in its place, whatever it is.
#[test]
fn hostile_values_stay_in_their_place() {
    for value in HOSTILE {
        let facts = json!({ "v": value });
        let text = html("<p>{{ v }}</p>", &facts);
        let inner = text.strip_prefix("<p>").unwrap().strip_suffix("</p>").unwrap();
        assert!(!inner.contains(['<', '>', '\0']), "{text}");

        for quote in ['"', '\''] {
            let attribute = html(&format!("<p title={quote}{{{{ v }}}}{quote}></p>"), &facts);
            assert_eq!(attribute.matches(quote).count(), 2, "{attribute}");
            assert_eq!(attribute.matches('<').count(), 2, "{attribute}");
        }

        let link = html(r#"<a href="{{ v }}">x</a>"#, &facts);
        assert!(!link.to_lowercase().contains("script:"), "{link}");
        assert_eq!(link.matches('"').count(), 2, "{link}");

        let script = html(r#"<script type="application/json">{"a":{{ v }}}</script>"#, &facts);
        let inner = script.split_once('>').unwrap().1.strip_suffix("</script>").unwrap();
        assert!(!inner.contains(['<', '>', '\u{2028}', '\u{2029}']), "{script}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(inner).unwrap(), json!({ "a": value }));

        let comment = html("<!-- {{ v }} -->", &facts);
        assert_eq!(comment.matches("-->").count(), 1, "{comment}");

        let style = html(r#"<p style="width: {{ v }}"></p>"#, &facts);
        assert!(!style.contains("alert"), "{style}");
    }
}

#[test]
fn a_megabyte_is_refused_not_rendered() {
    let facts = json!({ "v": "<".repeat(1 << 20) });
    assert!(render("{{ v }}", Kind::Html, &facts).is_err());
    assert!(render("{% for i in range(100000000) %}x{% endfor %}", Kind::Html, &facts).is_err());
    assert!(render("{% for a in v %}{% for b in v %}{{ v }}{% endfor %}{% endfor %}", Kind::Html, &facts).is_err());
}

#[test]
fn absent_values_are_empty() {
    assert_eq!(
        html("a{{ no.such.thing }}b{% for x in nothing %}{{ x }}{% endfor %}c{{ none }}", &json!({"none": null})),
        "abc"
    );
}

#[test]
fn links_know_path_and_query() {
    let facts = json!({"id": "a/b?c&d=\"e\"", "base": "https://shop.example/x"});
    assert_eq!(
        html(r#"<a href="/p/{{ id }}?q={{ id }}">"#, &facts),
        r#"<a href="/p/a/b%3Fc%26d=%22e%22?q=a%2Fb%3Fc%26d%3D%22e%22">"#
    );
    // A value brings no host of its own: the template's text names it.
    assert_eq!(html(r#"<img src='{{ base }}/y.png'>"#, &facts), r#"<img src='#/y.png'>"#);
    assert_eq!(
        html(r#"<img src='https://shop.example/{{ id }}'>"#, &facts),
        r#"<img src='https://shop.example/a/b%3Fc&d=%22e%22'>"#.replace('&', "%26")
    );
    assert_eq!(
        html(r#"<a href="{{ a }}{{ b }}">"#, &json!({"a": "java", "b": "script:alert(1)"})),
        r#"<a href="javascript%3Aalert%281%29">"#
    );
}

#[test]
fn attributes_are_plain_text_and_links_are_safe() {
    let kind = |name: &str| Kind::Attribute(name.to_owned());
    let facts = json!({"v": "a \"b\" & c", "js": "javascript:alert(1)", "n": 3});
    assert_eq!(render("x {{ v }}", kind("title"), &facts).unwrap(), "x a \"b\" & c");
    assert_eq!(render("{{ js }}", kind("href"), &facts).unwrap(), "#");
    assert_eq!(render("javascript:alert(1)", kind("src"), &facts).unwrap(), "#");
    assert_eq!(render("/p/{{ n }}", kind("href"), &facts).unwrap(), "/p/3");
    assert!(render("{{ v }}", kind("onclick"), &facts).is_err());
    assert!(render("{{ v }}", kind("srcdoc"), &facts).is_err());
    assert_eq!(render("width:{{ v }}", kind("style"), &facts).unwrap(), "width:");
}

#[test]
fn values_are_refused_where_no_escaping_is_safe() {
    for source in [
        "<a {{ v }}>",
        "<{{ v }}>",
        "</{{ v }}>",
        "<a title={{ v }}>",
        "<a title=x{{ v }}>",
        "<a onclick=\"f('{{ v }}')\">",
        "<a OnClick = '{{ v }}'>",
        "<iframe srcdoc=\"{{ v }}\"></iframe>",
        "<script>var a = {{ v }};</script>",
        "<script type=\"module\">{{ v }}</script>",
        "<style>{{ v }}</style>",
        "<xmp>{{ v }}</xmp>",
        "<a href=\"javascript:f({{ v }})\">",
        "<a href=\"javascript&colon;{{ v }}\">",
        "<a href=\"{{ v }}:{{ v }}\">",
    ] {
        assert!(fault(source).starts_with("expected "), "{source}: {}", fault(source));
    }
}

#[test]
fn branches_end_where_they_began() {
    assert_eq!(
        html("<p{% if a %} class=\"{{ a }}\"{% else %} class='x'{% endif %}>", &json!({"a": "y"})),
        "<p class=\"y\">"
    );
    assert_eq!(
        html("<ul>{% for x in xs %}<li>{{ x }}</li>{% else %}none{% endfor %}</ul>", &json!({"xs": ["<", "b"]})),
        "<ul><li>&lt;</li><li>b</li></ul>"
    );
    for source in [
        "<p title=\"{% if a %}\"{% endif %}>",
        "{% if a %}<a href=\"{% else %}<b title=\"{% endif %}{{ v }}\">",
        "{% for x in xs %}<!--{% endfor %}",
        "{% if a %}",
        "{% endif %}",
        "{% for x in xs %}{% endif %}",
        "<p",
        "<!-- ",
        "<script type=\"application/json\">",
        "<textarea>",
        "{{ v",
    ] {
        assert!(fault(source).starts_with("expected "), "{source}: {}", fault(source));
    }
}

#[test]
fn nothing_turns_escaping_off() {
    let facts = json!({"v": "<b>"});
    for source in [
        "{{ v|safe }}",
        "{% autoescape false %}{{ v }}{% endautoescape %}",
        "{% raw %}{{ v }}{% endraw %}",
        "{% set x %}{{ v }}{% endset %}{{ x }}",
        "{% include 'x' %}",
        "{% macro m() %}{% endmacro %}",
    ] {
        assert!(render(source, Kind::Html, &facts).is_err(), "{source}");
    }
    assert_eq!(html("{{ v|e }}{{ v|upper }}{{ '}}' }}{{ [v]|join('<') }}", &facts), "&lt;b&gt;&lt;B&gt;}}&lt;b&gt;");
    assert_eq!(html("{{- v -}} x", &facts), "&lt;b&gt;x");
    assert_eq!(
        html("<title>{{ v }}</title><textarea>{{ v }}</textarea>", &facts),
        "<title>&lt;b&gt;</title><textarea>&lt;b&gt;</textarea>"
    );
}

#[test]
fn named_templates_come_from_the_dictionary() {
    let mut templates = Templates::new([("hero".to_owned(), "<h1>{{ x }}</h1>".to_owned())]);
    let hero: Content = serde_json::from_value(json!({"template": "hero"})).unwrap();
    let template = templates.compile(&hero, Kind::Html).unwrap();
    assert_eq!(templates.render(&template, &Facts::new(&json!({"x": 1.5}))).unwrap(), "<h1>1.5</h1>");
    let other: Content = serde_json::from_value(json!({"template": "other"})).unwrap();
    assert_eq!(
        templates.compile(&other, Kind::Html).unwrap_err(),
        "expected a template of the dictionary, but found `other`"
    );
    let error = serde_json::from_value::<Content>(json!(5)).unwrap_err();
    assert_eq!(error.to_string(), "expected a string or {\"template\": \"<name>\"}");
}

/// The short form of the fuzz target `template`: whatever compiles lets no value out of its place.
#[test]
fn mangled_templates_neither_panic_nor_let_values_out() {
    let sources = [
        "<ul>{% for x in xs %}<li title=\"{{ x }}\"><a href=\"/p/{{ x }}?q={{ v }}\">{{ v|upper }}</a></li>{% else %}-{% endfor %}</ul>",
        "{% if v == \"a\" %}<b>{% else %}<b class='x'>{% endif %}{{- o.a|default(\"z\") ~ v -}}</b><!-- {{ v }} --><script type=\"application/json\">{\"a\":{{ v }}}</script>",
        "<a href=\"{{ v }}\">{% set y = [1, {\"a\": {}}] %}{{ y }}</a><p style=\"width:{{ v }}\">{# no #}",
    ];
    let facts = json!({"v": ".\u{e000}<\u{e000}\"\u{e000}'\u{e000}>\u{e000}.", "xs": [1, ".\u{e000}<\u{e000}."], "o": {"a": null}});
    let mut state = 1u64;
    let mut below = |bound: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((state >> 33) % bound as u64).unwrap()
    };
    let mut rendered = 0;
    for _ in 0..6000 {
        let mut source = sources[below(3)].as_bytes().to_vec();
        for _ in 0..below(5) {
            let at = below(source.len());
            match below(3) {
                0 => source[at] = b"<>\"'{}%#=/ -!"[below(13)],
                1 => drop(source.remove(at)),
                _ => source.insert(at, b"<>\"'{}%#=/ -!"[below(13)]),
            }
        }
        let source = String::from_utf8(source).unwrap();
        if let Ok(out) = render(&source, Kind::Html, &facts) {
            rendered += 1;
            // An apostrophe is nothing special in a script's JSON.
            let is_scripted = source.to_ascii_lowercase().contains("<script");
            let ends = ["\u{e000}<\u{e000}", "\u{e000}\"\u{e000}", "\u{e000}>\u{e000}", "\u{e000}'\u{e000}"];
            for ends in ends.iter().take(if is_scripted { 3 } else { 4 }) {
                assert!(!out.contains(*ends), "{source}\n{out}");
            }
        }
    }
    assert!(rendered > 500, "{rendered}");
}
