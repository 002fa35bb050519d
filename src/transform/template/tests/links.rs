//! No value chooses a scheme or a host, as a browser reads links.

use super::*;
use url::Url;

const PAGE: &str = "https://shop.example.com/list/?a=b";

const VALUES: [&str; 27] = [
    "shoes",
    "",
    "/",
    "//",
    "/evil.example/x",
    "//evil.example/x",
    "\\evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "@evil.example/",
    ".evil.example",
    ":443@evil.example/",
    "evil.example",
    "https://evil.example/",
    "https:evil.example",
    "javascript:alert(1)",
    "java\tscript:alert(1)",
    "\t/evil.example",
    "/\n/evil.example",
    " //evil.example",
    "data:text/html,x",
    ":",
    "?",
    "#",
    ",//evil.example",
    "%2F%2Fevil.example",
    "..//evil.example",
];

/// Each template with two values, and each pair of values: the link's host is the one of the template's text, or of the page.
#[test]
fn no_value_chooses_a_scheme_or_a_host() {
    let page = Url::parse(PAGE).unwrap();
    let templates = [
        ("{{ v }}", "shop.example.com"),
        ("{{ v }}{{ w }}", "shop.example.com"),
        ("{{ v }}/{{ w }}", "shop.example.com"),
        ("/{{ v }}", "shop.example.com"),
        ("/{{ v }}{{ w }}", "shop.example.com"),
        ("/{{ v }}/{{ w }}", "shop.example.com"),
        ("/ {{- v -}} / {{- w }}", "shop.example.com"),
        ("a{{ v }}{{ w }}", "shop.example.com"),
        ("a/{{ v }}/{{ w }}", "shop.example.com"),
        ("?q={{ v }}&r={{ w }}", "shop.example.com"),
        ("#{{ v }}{{ w }}", "shop.example.com"),
        ("//cdn.example/{{ v }}{{ w }}", "cdn.example"),
        ("https://cdn.example/{{ v }}/{{ w }}", "cdn.example"),
        ("https://cdn.example?{{ v }}{{ w }}", "cdn.example"),
        (" \n/{{ v }}/{{ w }}", "shop.example.com"),
    ];
    let attributes =
        [("a", "href"), ("script", "src"), ("form", "action"), ("button", "formaction"), ("img", "srcset")];
    for (template, host) in templates {
        for (element, attribute) in attributes {
            let source = if element == "script" {
                format!("<script {attribute}=\"{template}\"></script>")
            } else {
                format!("<{element} {attribute}=\"{template}\">")
            };
            for v in VALUES {
                for w in VALUES {
                    let out = html(&source, &json!({"v": v, "w": w}));
                    let link = out.split('"').nth(1).unwrap().replace("&amp;", "&").replace("&#39;", "'");
                    // A list of images is split at space; commas at the start are skipped.
                    let links: Vec<&str> = if attribute == "srcset" {
                        link.split_ascii_whitespace().map(|link| link.trim_start_matches(',')).collect()
                    } else {
                        vec![&link]
                    };
                    for link in links {
                        let url =
                            page.join(link).unwrap_or_else(|error| panic!("{source} {v:?} {w:?} {link}: {error}"));
                        assert_eq!(url.host_str(), Some(host), "{source} {v:?} {w:?} {link}");
                        assert_eq!(url.scheme(), "https", "{source} {v:?} {w:?} {link}");
                        assert!(url.username().is_empty() && url.port().is_none(), "{source} {v:?} {w:?} {link}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_value_in_a_host_or_where_a_page_is_sent_on_is_refused() {
    for source in [
        "<a href=\"https://shop.example.com{{ v }}\">",
        "<a href=\"https://{{ v }}/x\">",
        "<a href=\"https://{{ v }}.shop.example/x\">",
        "<a href=\"https:{{ v }}\">",
        "<a href=\"//{{ v }}\">",
        "<a href=\"/\\{{ v }}\">",
        "<a href=\"/&#47;{{ v }}\">",
        "<a href=\"/\n/{{ v }}\">",
        "<a href=\"{{ v }}//{{ w }}\">",
        "<a href=\"ht{{ v }}:x\">",
        "<img srcset=\"/a 1x, https://cdn.example{{ v }} 2x\">",
        "<meta http-equiv=\"refresh\" content=\"0; url=/{{ v }}\">",
        "<meta http-equiv=refresh content=\"{{ v }}\">",
        "<meta content=\"{{ v }}\" http-equiv=refresh>",
        "<p style=\"background: url(//{{ v }})\">",
        "<p style=\"background: url({{ v }})\">",
    ] {
        assert!(fault(source).starts_with("expected "), "{source}");
    }
    assert_eq!(
        html("<meta name=\"description\" content=\"{{ v }}\">", &json!({"v": "x"})),
        "<meta name=\"description\" content=\"x\">"
    );
    let kind = Kind::Attribute("href".to_owned());
    assert_eq!(render("/{{ v }}", kind, &json!({"v": "/evil.example/x"})).unwrap(), "/evil.example/x");
}
