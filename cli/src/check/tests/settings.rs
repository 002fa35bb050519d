//! Settings.

use serde_json::json;

use super::{Level, findings, found, report_of, routes};

#[test]
fn settings_for_development_are_named() {
    let settings = r#"{"region_override":"any","preview":"open"}"#;
    found(
        Level::Warning,
        &[("settings", settings)],
        "/region_override: expected 'none' outside local development, but found 'any'",
    );
    found(
        Level::Warning,
        &[("settings", settings)],
        "/preview: expected 'signed' or 'off' outside local development, but found 'open'",
    );
}

#[test]
fn a_cookie_that_no_browser_keeps_is_a_fault() {
    for (settings, expected) in [
        (
            json!({ "visitor": { "cookie": "a b" } }),
            "/visitor/cookie: expected a cookie's name without spaces, ';' and '=', but found 'a b'",
        ),
        (json!({ "sticky": { "cookie": "a;b" } }), "Write 'a_b'"),
        (
            json!({ "visitor": { "domain": ".example.com" } }),
            "/visitor/domain: expected a domain such as 'example.com'",
        ),
        (json!({ "sticky": { "domain": "a b" } }), "/sticky/domain: expected a domain"),
        (
            json!({ "visitor": { "cookie": "__Host-v", "domain": "example.com" } }),
            "/visitor/domain: expected no domain beside",
        ),
    ] {
        found(Level::Fault, &[("settings", &settings.to_string())], expected);
    }
}

#[test]
fn a_cookie_that_is_read_has_a_name_and_is_nobody_elses() {
    for (settings, expected) in [
        (
            json!({ "identity": { "jwt": { "cookie": "au th", "algorithms": ["RS256"] } } }),
            "/identity/jwt/cookie: expected a cookie's name without spaces",
        ),
        (json!({ "visitor": { "adopt": "a b" } }), "/visitor/adopt: expected a cookie's name without spaces"),
        (
            json!({ "visitor": { "cookie": "auth" }, "identity": { "jwt": { "cookie": "auth", "algorithms": ["RS256"] } } }),
            "/visitor/cookie: expected a cookie of its own, but found 'auth', which /identity/jwt/cookie names",
        ),
        (
            json!({ "visitor": { "cookie": "cc" }, "consent": { "cookie": { "name": "cc", "value": "yes" } } }),
            "found 'cc', which /consent/cookie/name names",
        ),
        (json!({ "sticky": { "cookie": "ep_vid" } }), "/sticky/cookie: expected a cookie of its own"),
    ] {
        found(Level::Fault, &[("settings", &settings.to_string())], expected);
    }
    let apart = json!({ "sticky": {}, "visitor": { "adopt": "gbuuid" }, "identity": { "jwt": { "cookie": "auth", "algorithms": ["RS256"] } } });
    let lines = findings(&[("settings", &apart.to_string())]);
    assert!(lines.iter().all(|(_, line)| !line.contains("cookie")), "{lines:?}");
}

#[test]
fn consent_of_a_wrong_form_is_a_fault_that_says_the_right_one() {
    for (consent, expected) in [
        (json!([]), "/consent: expected an object { … }, but found a list"),
        (
            json!({ "countries": "DE" }),
            r#"/consent/countries: expected a list of countries, such as ["DE"], but found "DE""#,
        ),
        (json!({ "countries": "Germany" }), r#"such as ["DE"], but found "Germany""#),
        (
            json!({ "countries": ["AT", "fr"] }),
            r#"/consent/countries/1: expected two capital letters (ISO 3166-1) or "*", but found "fr": did you mean "FR"?"#,
        ),
        (json!({ "countries": ["France"] }), r#"but found "France": did you mean "FR"?"#),
        (
            json!({ "countries": [49] }),
            r#"/consent/countries/0: expected two capital letters (ISO 3166-1) or "*", but found 49"#,
        ),
    ] {
        let settings = json!({ "consent": consent }).to_string();
        found(Level::Fault, &[("settings", &settings)], expected);
        assert_eq!(
            findings(&[("settings", &settings)]).len(),
            1,
            "{settings}: {:#?}",
            findings(&[("settings", &settings)])
        );
    }
    assert!(findings(&[("settings", r#"{"consent":{"countries":["*"]}}"#)]).is_empty());
}

#[test]
fn a_declared_attribute_is_known_everywhere_and_closed_where_it_has_values() {
    let settings = json!({ "attributes": {
        "group": { "cookie": "customer_group", "values": ["retail", "business"] }, "store": { "query": "store" } } });
    let text =
        routes(json!([{ "id": "a", "path": "/a", "when": { "group": { "$in": ["retail", "busines"] }, "stroe": "x" },
        "rewrite": { "set_query": { "s": "{store|none}" } },
        "html": [{ "select": "p", "inner": "{{ store }}{% if group == 'whole' %}x{% endif %}{{ grop }}" }] }]));
    let all = [("settings", settings.to_string()), ("routes", text)];
    let all: Vec<_> = all.iter().map(|(name, text)| (*name, text.as_str())).collect();
    for expected in [
        "/routes/0/when/group: expected one of retail, business, but found 'busines', which no visitor has: is it 'business'?",
        "/routes/0/when/stroe: expected an attribute, but found 'stroe', which no visitor has: is it 'store'?",
        "/routes/0/html/0/inner: expected one of retail, business, but found group compared with 'whole', which it never is",
        "/routes/0/html/0/inner: expected a value that templates have, but found grop, which is always empty: is it group?",
    ] {
        found(Level::Warning, &all, expected);
    }
    assert_eq!(findings(&all).len(), 4, "{:#?}", findings(&all));
}

#[test]
fn a_declaration_that_does_nothing_is_named() {
    let settings = json!({ "attributes": {
        "wrong": { "cookie": "a", "query": "b" }, "typed": { "query": "q", "type": "date" }, "unread": { "query": "q" },
        "store": { "header": "X-Store" }, "hop": { "header": "X-Hop", "trusted": true }, "tier": { "claim": "tier" } } })
    .to_string();
    let text = routes(json!([
        { "id": "a", "path": "/a", "cache": { "ttl": 60 }, "when": { "store": "x", "hop": "y", "tier": "gold" } },
        { "id": "b", "path": "/b", "cache": { "ttl": 60, "key_headers": ["X-Store"] }, "when": { "store": "x" } },
        { "id": "c", "path": "/c", "cache": { "ttl": 60 }, "features": ["hero"],
          "rewrite": { "set_query": { "t": "{tier|none}" } } }]));
    let features = json!({ "features": { "hero": { "defaultValue": 1, "rules": [
        { "condition": { "userId": { "$exists": true } }, "force": 2 }] } } });
    let features = features.to_string();
    let all = [("settings", settings.as_str()), ("routes", &text), ("features", &features)];
    for expected in [
        "settings.json:1:",
        "/attributes/wrong: expected one of cookie, header, query and claim",
        "/attributes/typed/type: expected",
    ] {
        found(Level::Fault, &all, expected);
    }
    for expected in [
        "/attributes/unread: expected an attribute that something reads, but found 'unread', which nothing reads",
        "/routes/0/cache: expected 'x-store' in cache.key_headers, but found none: 'store' is read from this header",
        "/routes/0/when: expected an answer for many visitors, but found that this condition looks at 'tier'",
        "/routes/2/cache: expected an answer for many visitors, but found 'tier' in it",
        "/routes/2/cache: expected an answer for many visitors, but found that a feature or an experiment looks at 'userId'",
    ] {
        found(Level::Warning, &all, expected);
    }
    let warnings: Vec<_> = findings(&all).into_iter().filter(|(level, _)| *level == Level::Warning).collect();
    assert_eq!(warnings.len(), 5, "{warnings:#?}");
}

#[test]
fn how_backends_are_asked_is_checked() {
    for (settings, expected) in [
        (
            r#"{"front":{"header":"X-Front"}}"#,
            "/front/header: expected a header's name that begins with Edge-, such as 'Edge-Front', but found 'X-Front'",
        ),
        (r#"{"front":true}"#, "/front: expected"),
        (r#"{"front":{"secret":"x"}}"#, "/front/secret: expected a known key"),
        (r#"{"backends":{"origin":{"host":"https://a"}}}"#, "/backends/origin/host: expected a host such as"),
        (
            r#"{"backends":{"origin":{"shield":"IAD"}}}"#,
            "/backends/origin/shield: expected a shield's code such as 'iad-va-us', but found 'IAD'",
        ),
        (r#"{"backends":{"origin":{"sheild":"iad-va-us"}}}"#, "is it 'shield'?"),
        (r#"{"backends":{"orgin":{}}}"#, "/backends/orgin: expected a backend of"),
    ] {
        found(Level::Fault, &[("settings", settings)], expected);
    }
    let right = r#"{"front":{},"backends":{"origin":{"host":"shop.internal:8443","shield":"iad-va-us"}}}"#;
    assert!(findings(&[("settings", right)]).is_empty(), "{:#?}", findings(&[("settings", right)]));
}

#[test]
fn what_a_host_ends_up_with_is_said() {
    let settings = json!({ "languages": ["en"], "visitor": { "cookie": "vid" }, "hosts": {
        "www.example.de": { "languages": ["de"], "visitor": { "days": 30 }, "default_region": "DE" } } });
    let regions = json!({ "regions": [{ "id": "DE", "slug": "de", "when": { "country": "DE" } }] });
    let report = report_of(&[("settings", &settings.to_string()), ("regions", &regions.to_string())], None);
    assert_eq!(report.faults(), 0, "{:?}", report.findings);
    let host = &report.hosts["www.example.de"];
    assert_eq!((&host["languages"], &host["default_region"]), (&json!(["de"]), &json!("DE")));
    assert_eq!((&host["visitor"]["cookie"], &host["visitor"]["days"]), (&json!("vid"), &json!(30)));
}

#[test]
fn a_hosts_mistakes_are_faults_at_their_place() {
    let settings =
        r#"{"hosts":{"www.example.de":{"default_region":"MARS","visitor":{"cookie":"a b"}},"*example.com":{}}}"#;
    for expected in [
        "/hosts/www.example.de/default_region: expected the id of a region, but found 'MARS'",
        "/hosts/www.example.de/visitor: expected",
        "/hosts/*example.com: expected 'www.example.com' or '*.example.com'",
    ] {
        found(Level::Fault, &[("settings", settings)], expected);
    }
}

#[test]
fn numbers_above_the_most_that_counts_are_named_with_what_counts() {
    for (settings, expected) in [
        (
            r#"{"identity":{"tolerance":7200}}"#,
            "/identity/tolerance: expected 3600 at most, but found 7200: the edge takes 3600",
        ),
        (
            r#"{"identity":{"jwt":{"cookie":"t","algorithms":["RS256"],"leeway":4000}}}"#,
            "/identity/jwt/leeway: expected 3600 at most",
        ),
        (
            r#"{"identity":{"jwt":{"cookie":"t","algorithms":["RS256"],"max_bytes":9000}}}"#,
            "/identity/jwt/max_bytes: expected 8000 at most",
        ),
        (r#"{"visitor":{"days":401}}"#, "/visitor/days: expected 400 at most"),
        (r#"{"sticky":{"days":9999}}"#, "/sticky/days: expected 400 at most"),
        (r#"{"hosts":{"a.example":{"visitor":{"days":500}}}}"#, "/hosts/a.example/visitor/days: expected 400 at most"),
        (r#"{"session":{"budget_ms":5000}}"#, "/session/budget_ms: expected 2000 at most"),
        (r#"{"session":{"limits":{"cart":257}}}"#, "/session/limits/cart: expected 256 at most"),
        (r#"{"session":{"limits":{"name_bytes":5000}}}"#, "/session/limits/name_bytes: expected 4096 at most"),
        (r#"{"replication":{"tolerance":301}}"#, "/replication/tolerance: expected 300 at most"),
        (r#"{"replication":{"max_bytes":4194305}}"#, "/replication/max_bytes: expected 4194304 at most"),
        (r#"{"replication":{"max_items":1001}}"#, "/replication/max_items: expected 1000 at most"),
    ] {
        found(Level::Warning, &[("settings", settings)], expected);
    }
    let most = r#"{"visitor":{"days":400},"session":{"budget_ms":2000},"replication":{"tolerance":300}}"#;
    assert!(findings(&[("settings", most)]).is_empty(), "{:#?}", findings(&[("settings", most)]));
}

#[test]
fn languages_and_tokens_that_no_request_can_bring_are_faults() {
    for (settings, expected) in [
        (r#"{"languages":["de","xx-bad!!"]}"#, "/languages/1: expected a language tag (RFC 5646)"),
        (r#"{"languages":["en_US"]}"#, "but found 'en_US'"),
        (
            r#"{"hosts":{"a.example":{"languages":["german language"]}}}"#,
            "/hosts/a.example/languages/0: expected a language tag",
        ),
        (
            r#"{"identity":{"jwt":{"algorithms":["RS256"],"issuer":"https://id.example"}}}"#,
            "/identity/jwt: expected `cookie` or `bearer`, but found neither",
        ),
    ] {
        found(Level::Fault, &[("settings", settings)], expected);
    }
    let right = r#"{"languages":["de","pt-BR","zh-Hant-TW","es-419"],"identity":{"jwt":{"bearer":true,"algorithms":["RS256"]}}}"#;
    assert!(!findings(&[("settings", right)]).iter().any(|(level, _)| *level == Level::Fault));
}

#[test]
fn a_hosts_own_settings_are_looked_at_like_the_sites() {
    let host = |own: serde_json::Value| {
        json!({ "consent": { "cookie": { "name": "cc", "value": "yes" } }, "hosts": { "a.example": own } }).to_string()
    };
    for (own, expected) in [
        (
            json!({ "consent": { "countries": ["UK"] } }),
            "/hosts/a.example/consent/countries/0: expected two capital letters (ISO 3166-1) or \"*\", but found \"UK\": did you mean \"GB\"?",
        ),
        (
            json!({ "consent": { "countries": ["EU"] } }),
            "/hosts/a.example/consent/countries/0: expected two capital letters",
        ),
        (json!({ "visitor": { "domain": ".example.com" } }), "/hosts/a.example/visitor: expected"),
        (json!({ "sticky": { "domain": ".example.com" } }), "/hosts/a.example/sticky: expected"),
        (
            json!({ "visitor": { "cookie": "cc" } }),
            "/hosts/a.example/visitor/cookie: expected a cookie of its own, but found 'cc'",
        ),
        (json!({ "identity": { "jwt": { "cookie": "t" } } }), "/hosts/a.example/identity/jwt: expected `algorithms`"),
    ] {
        found(Level::Fault, &[("settings", &host(own))], expected);
    }
    for own in [json!({ "visitor": { "domain": "other.example" } }), json!({ "sticky": { "domain": "b.a.example" } })] {
        found(Level::Warning, &[("settings", &host(own))], "expected a domain that 'a.example' lies in, but found");
    }
    let right = host(json!({ "visitor": { "domain": "example" }, "consent": { "countries": ["GB"] } }));
    assert!(!findings(&[("settings", &right)]).iter().any(|(_, text)| text.contains("/hosts/")));
}

#[test]
fn a_session_api_that_nobody_can_be_asked_of_is_a_fault() {
    for (session, expected) in [
        (json!({ "path": "/session" }), "/session/path: expected '{id}' in it"),
        (json!({ "path": "s/{kind}/{id}" }), "/session/path: expected a path that begins with '/'"),
        (json!({ "path": "/s/{kind}/{id}", "host": "https://x" }), "/session/host: expected a host such as"),
    ] {
        found(Level::Fault, &[("settings", &json!({ "session": session }).to_string())], expected);
    }
}
