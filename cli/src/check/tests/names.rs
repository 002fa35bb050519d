//! Names and values that lead nowhere: attributes, templates, features.

use serde_json::json;

use super::{Level, findings, found, routes};

#[test]
fn names_that_lead_nowhere_are_named() {
    let text = routes(json!([
        { "id": "a", "path": "/a", "when": { "contry": "FR", "$not": { "deviceType": "phone" }, "region": "MARS" } },
        { "id": "b", "path": "/b", "features": ["heroo"], "redirect": { "location": "/c" } },
        { "id": "c", "path": "/c", "html": [{ "select": "p", "inner": { "template": "cart" } },
            { "growthbook": { "attributes": ["country", "contry"] } }] },
    ]));
    let regions = r#"{"regions":[{"id":"EU","slug":"eu","when":{"country":"fr","loggedIn":"yes","region":"EU"}}]}"#;
    let features = r#"{"features":{"hero":{"defaultValue":1}}}"#;
    let templates = r#"{"templates":{"cart":"{{ session.cart_quantity }}"}}"#;
    let all = [("routes", text.as_str()), ("regions", regions), ("features", features), ("templates", templates)];
    for expected in [
        "/routes/0/when/contry: expected an attribute, but found 'contry', which no visitor has: is it 'country'?",
        "/routes/0/when/$not/deviceType: expected one of mobile, tablet, desktop, tv, bot, but found 'phone'",
        "/routes/0/when/region: expected the id of a region (DEFAULT_REGION, EU), but found 'MARS'",
        "/routes/1/features/0: expected a feature of features.json, but found 'heroo'",
        "/routes/2/html/1/growthbook/attributes/1: expected an attribute, but found 'contry', which no visitor has: is it 'country'?",
        r#"/routes/1/redirect: expected "action": "redirect" beside it, but found 'personalize'"#,
        "/regions/0/when/country: expected two capital letters (ISO 3166-1), but found 'fr'",
        "/regions/0/when/region: expected another attribute, but found 'region'",
        "/regions/0/when/loggedIn: expected true or false, but found 'yes'",
    ] {
        found(Level::Warning, &all, expected);
    }
    let faults: Vec<_> = findings(&all).into_iter().filter(|(level, _)| *level == Level::Fault).collect();
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn what_a_template_reads_in_vain_is_named() {
    let text = routes(json!([{ "id": "a", "path": "/a", "session": {}, "html": [
        { "select": "p", "inner": { "template": "t" } },
        { "select": "h1", "inner": "{{ regoin.slug }} {{ session.cart_quantiy }}" }] }]));
    let templates = json!({ "templates": { "t": "{% if feature['de-baner'] %}{% if region.id == 'NORDIC' %}{{ feature.hero }}{% endif %}\
        {% if deviceType == 'phone' or country == 'fr' %}{{ region.slug }}{% for x in session.cart %}{{ x.sku }}{% endfor %}{% endif %}{% endif %}" } })
    .to_string();
    let features = r#"{"features":{"de-banner":{"defaultValue":1},"hero":{"defaultValue":1}}}"#;
    let regions = r#"{"regions":[{"id":"NORDICS","slug":"n","when":{"country":"SE"}}]}"#;
    let all = [("routes", text.as_str()), ("templates", &templates), ("features", features), ("regions", regions)];
    for expected in [
        "/templates/t: expected a feature that is defined, but found feature['de-baner'], which is always empty: is it feature['de-banner']?",
        "/templates/t: expected the id of a region (DEFAULT_REGION, NORDICS), but found region.id compared with 'NORDIC', which it never is",
        "expected one of mobile, tablet, desktop, tv, bot, but found deviceType compared with 'phone'",
        "expected two capital letters (ISO 3166-1), but found country compared with 'fr'",
        "/routes/0/html/1/inner: expected a value that templates have, but found regoin.slug, which is always empty: is it region.slug?",
        "but found session.cart_quantiy, which is always empty: is it session.cart_quantity?",
    ] {
        found(Level::Warning, &all, expected);
    }
    assert_eq!(findings(&all).len(), 6, "{:#?}", findings(&all));
}

#[test]
fn values_that_no_visitor_has_are_named() {
    let text = routes(json!([{ "id": "a", "path": "/a", "when": { "$or": [
        { "country": { "$in": ["DE", "UK"] } }, { "network": { "$ne": "4g" } }, { "continent": "Europe" },
        { "language": "de" }, { "deviceType": { "$not": { "$in": ["moblie"] } } }, { "country": 49 }] } }]));
    let settings = r#"{"languages":["en","fr"]}"#;
    let all = [("routes", text.as_str()), ("settings", settings)];
    for expected in [
        "/routes/0/when/$or/0/country: expected two capital letters (ISO 3166-1), but found 'UK', which no visitor has: is it 'GB'?",
        "expected one of slow, medium, fast, but found '4g'",
        "expected one of AF, AN, AS, EU, NA, OC, SA, but found 'Europe'",
        "/language: expected a language of settings.languages (en, fr), but found 'de', which no visitor has",
        "but found 'moblie', which no visitor has: is it 'mobile'?",
        "/country: expected two capital letters (ISO 3166-1), but found '49'",
    ] {
        found(Level::Warning, &all, expected);
    }
    assert_eq!(findings(&all).len(), 6, "{:#?}", findings(&all));
}

#[test]
fn what_a_route_asks_for_and_nobody_defines_is_named() {
    let text = routes(json!([{ "id": "a", "path": "/a", "features": ["hreo"],
        "rewrite": { "set_query": { "c": "{experiment.checkout|0}" } } }]));
    let features = r#"{"features":{"hero":{"defaultValue":1}}}"#;
    let both = [("routes", text.as_str()), ("features", features)];
    found(
        Level::Warning,
        &both,
        "/routes/0/features/0: expected a feature of features.json, but found 'hreo', which is always null: is it 'hero'?",
    );
    found(Level::Warning, &both, "/routes/0: expected an experiment of experiments.json, but found 'checkout'");
    let settings = r#"{"growthbook":{"kv_key":"payload"}}"#;
    assert!(findings(&[both[0], both[1], ("settings", settings)]).is_empty(), "a payload may define them");
}

#[test]
fn places_methods_and_operators_that_no_request_has_are_named() {
    for (routes, expected) in [
        (
            json!([{ "id": "a", "path": "/a", "methods": ["get"] }]),
            "/routes/0/methods/0: expected a method in capitals, but found 'get', which nobody sends: is it 'GET'?",
        ),
        (json!([{ "id": "a", "path": "/a", "methods": ["GET", "PSOT"] }]), "/routes/0/methods/1: expected a method"),
        (
            json!([{ "id": "a", "path": "/a", "when": { "subdivision": "DE-BY" } }]),
            "but found 'DE-BY', which no visitor has: is it 'BY'?",
        ),
        (json!([{ "id": "a", "path": "/a", "when": { "subdivision": { "$in": ["by"] } } }]), "is it 'BY'?"),
        (json!([{ "id": "a", "path": "/a", "when": { "city": "München" } }]), "is it 'münchen'?"),
        (
            json!([{ "id": "a", "path": "/a", "when": { "country": { "in": ["DE"] } } }]),
            "/routes/0/when/country/in: expected an operator such as $in, but found 'in'",
        ),
    ] {
        found(Level::Warning, &[("routes", &json!({ "routes": routes }).to_string())], expected);
    }
    let right = json!([{ "id": "a", "path": "/a", "methods": ["GET", "POST"],
        "when": { "subdivision": { "$in": ["BY", "12", "ENG"] }, "city": "münchen" } }]);
    let right = json!({ "routes": right }).to_string();
    assert!(findings(&[("routes", &right)]).is_empty(), "{:?}", findings(&[("routes", &right)]));
}

#[test]
fn words_of_a_template_that_the_engine_would_stumble_over_are_faults() {
    for (template, expected) in [
        (
            "{% if country == 'FR' %}\n{{ country | truncate(9) }}{% endif %}",
            "/templates/a: expected a filter that templates have, but found 'truncate' (line 2)",
        ),
        ("{{ country | uppercase }}", "'uppercase'"),
        ("{{ country | safe }}", "'safe'"),
        ("{{ now() }}", "expected a function that templates have, but found 'now'"),
        ("{% if country is german %}x{% endif %}", "expected a test that templates have, but found 'german'"),
    ] {
        found(Level::Fault, &[("templates", &json!({ "templates": { "a": template } }).to_string())], expected);
    }
    let right = "{% for n in range(3) %}{{ n }}{% endfor %}{{ country | upper | default('x') }}{% if country is defined %}{% endif %}";
    let right = json!({ "templates": { "a": right } }).to_string();
    assert!(!findings(&[("templates", &right)]).iter().any(|(level, _)| *level == Level::Fault));
}

#[test]
fn what_servers_say_of_users_is_an_attribute_where_they_ask_for_flags() {
    let settings = r#"{"ofrep":{}}"#;
    let feature = |name: &str| {
        json!({ "features": { "a": { "defaultValue": 1, "rules": [{ "condition": { name: "x" }, "force": 2 }] } } })
            .to_string()
    };
    let all = |feature: &str| findings(&[("settings", settings), ("features", feature)]);
    assert!(!all(&feature("companySize")).iter().any(|(_, text)| text.contains("companySize")));
    assert!(all(&feature("contry")).iter().any(|(_, text)| text.contains("is it 'country'?")));
}

#[test]
fn flags_that_are_offered_and_not_defined_are_named() {
    let settings = r#"{"ofrep":{"features":["*","shop-*","hero","heroo","news-*"]}}"#;
    let features = r#"{"features":{"hero":{"defaultValue":1},"shop-bar":{"defaultValue":1}}}"#;
    let all = [("settings", settings), ("features", features)];
    for expected in [
        "/ofrep/features/3: expected a feature of features.json, but found 'heroo', which it doesn't have: is it 'hero'?",
        "/ofrep/features/4: expected the beginning of a feature's key, but found 'news-', with which none begins",
    ] {
        found(Level::Warning, &all, expected);
    }
    assert_eq!(findings(&all).iter().filter(|(_, text)| text.contains("/ofrep/")).count(), 2);
    let elsewhere = r#"{"growthbook":{"kv_key":"payload"},"ofrep":{"features":["heroo"]}}"#;
    assert!(!findings(&[("settings", elsewhere)]).iter().any(|(_, text)| text.contains("/ofrep/")));
}
