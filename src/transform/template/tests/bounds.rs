//! Templates that would exhaust the stack are refused, and those just within the bounds fit a quarter of it.

use super::*;

/// Compiles and renders on a stack a quarter of the wasm's.
fn on_a_small_stack(source: String) -> Result<String, String> {
    let run = move || render(&source, Kind::Html, &json!({"a": {"b": 1}}));
    std::thread::Builder::new().stack_size(256 * 1024).spawn(run).unwrap().join().unwrap()
}

#[test]
fn what_would_exhaust_the_stack_is_refused_with_its_bound() {
    type Hostile<'f> = (&'static str, Box<dyn Fn(usize) -> String + 'f>);
    let deep = |open: &str, middle: &str, close: &str, times: usize| {
        format!("{}{middle}{}", open.repeat(times), close.repeat(times))
    };
    let value = |inner: String| format!("{{{{ {inner} }}}}");
    let hostile: [Hostile<'_>; 12] = [
        ("200 names", Box::new(|n| value(format!("{}1", "- ".repeat(n))))),
        ("200 names", Box::new(|n| value(format!("{}1", "not ".repeat(n))))),
        ("200 names", Box::new(|n| value(format!("a{}", ".b".repeat(n / 2))))),
        ("200 names", Box::new(|n| value(format!("1{}", "+1".repeat(n / 2))))),
        ("200 names", Box::new(|n| value(format!("2{}", "**1".repeat(n / 2))))),
        ("200 names", Box::new(|n| value(format!("a{}", "|upper".repeat(n / 2))))),
        ("200 names", Box::new(|n| value(format!("1{}", " if a else 1".repeat(n / 4))))),
        ("24 brackets", Box::new(|n| value(deep("[", "1", "]", n)))),
        ("24 brackets", Box::new(|n| value(deep("(", "1", ")", n)))),
        ("24 brackets", Box::new(|n| value(deep("{1:", "1", "}", n)))),
        ("24 `if`", Box::new(|n| deep("{% if a %}", "x", "{% endif %}", n))),
        ("24 `if`", Box::new(|n| format!("{{% if b %}}{}{{% endif %}}", "{% elif b %}".repeat(n)))),
    ];
    for (bound, source) in &hostile {
        for n in [400, 2_000] {
            let error = on_a_small_stack(source(n)).unwrap_err();
            assert!(error.starts_with(&format!("expected at most {bound}")), "{error}");
        }
        // Just within: whatever comes of it, it fits.
        let within = if bound.starts_with("200") { 190 } else { 22 };
        if let Err(error) = on_a_small_stack(source(within)) {
            assert!(!error.contains("at most"), "{error}");
        }
    }
    let all = format!("{{% if a %}}{}{{% endif %}}", "{{a}}".repeat(6_000));
    assert!(on_a_small_stack(all).unwrap_err().starts_with("expected at most 10000 names"));
}

#[test]
fn the_worst_of_all_bounds_together_fits_the_stack() {
    for inner in [format!("{}1", "-".repeat(170)), format!("a{}", ".b".repeat(85)), format!("1{}", "+1".repeat(85))] {
        let brackets = format!("{}{inner}{}", "(".repeat(12), ")".repeat(12));
        let source = format!("{}{{{{ {brackets} }}}}{}", "{% if a %}".repeat(24), "{% endif %}".repeat(24));
        assert!(on_a_small_stack(source).is_ok());
    }
}

/// Values that hold themselves, again and again, are as deep as what is written: dropping them recurses.
#[test]
fn no_loop_builds_a_deep_value() {
    for source in [
        "{% set ns = namespace(x=1) %}{% for i in range(5000) %}{% set ns.x = [ns.x] %}{% endfor %}",
        "{% set x = 1 %}{% for i in range(5000) %}{% set x = [x] %}{% endfor %}{{ 1 }}",
        "{% for i in range(5000) %}{% set y = [y] %}{% endfor %}{{ 1 }}",
        "{% for i in range(5000) %}{% set y = {'a': y} %}{% endfor %}{{ 1 }}",
    ] {
        let _ = on_a_small_stack(source.to_owned());
    }
}

#[test]
fn a_page_cannot_look_into_the_engine() {
    for source in
        ["{{ debug() }}", "{{ a|pprint }}", "{{ a|attr('b') }}", "{{ namespace() }}", "{{ dict(x=1) }}", "{{ a|safe }}"]
    {
        assert!(render(source, Kind::Html, &json!({"a": {"b": 1}})).is_err(), "{source}");
    }
}
