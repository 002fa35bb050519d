//! `action: respond` with a template, or with a body from the KV store: what a visitor gets from the edge alone, and what happens where the
//! edge can't make it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at a surprise")]

mod support;

use edge_personalizer::platform::memory::Memory;
use edge_personalizer::platform::{Endpoint, Kv, StoreError};
use serde_json::{Value, json};
use support::sessions::{VISITOR, browser, put, record, store};
use support::{NEW_YORK, PARIS, Visit, header, text, visit};

const JSON: &str = "application/json";

/// A shop with one route, and with templates.
fn site(route: Value, templates: Value) -> Memory {
    let host = store(support::echo);
    host.set("templates", &json!({ "templates": templates }));
    host.set(
        "features",
        &json!({ "features": { "hero": { "defaultValue": "plain", "rules": [
            { "key": "hero", "variations": ["plain", "big"], "hashVersion": 2 } ] } } }),
    );
    let mut route = route;
    route["id"] = "own".into();
    route["action"] = "respond".into();
    host.set("routes", &json!({ "routes": [route] }));
    host
}

fn page(template: &str) -> Memory {
    site(json!({ "path": "/own/{name}", "respond": { "body": { "template": "page" } } }), json!({ "page": template }))
}

fn document(template: &str) -> Memory {
    let respond = json!({ "headers": { "Content-Type": JSON }, "body": { "template": "page" } });
    site(json!({ "path": "/own/{name}", "respond": respond }), json!({ "page": template }))
}

fn known(target: &str) -> Visit {
    browser(NEW_YORK, target).with("Cookie", format!("ep_vid={VISITOR}; consent=yes"))
}

fn line(host: &Memory) -> Value {
    host.lines_of(Endpoint::Decisions).remove(0)
}

fn faults(host: &Memory) -> Vec<Value> {
    host.lines_of(Endpoint::Errors).into_iter().filter(|line| line["fault"].is_object()).collect()
}

#[test]
fn a_page_is_made_from_a_template_without_the_origin() {
    let host =
        page("<!DOCTYPE html><title>{{ region.id }}</title><a href=\"/go?to={{ path }}\">{{ feature.hero }}</a>");
    let answer = known("/own/x").send(&host);
    let hero = host.lines_of(Endpoint::Exposures)[0]["variation_id"].as_str().unwrap().to_owned();
    let shown = if hero == "1" { "big" } else { "plain" };
    assert_eq!(
        text(&answer),
        format!("<!DOCTYPE html><title>US-EAST</title><a href=\"/go?to=%2Fown%2Fx\">{shown}</a>")
    );
    assert_eq!(header(&answer, "content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(header(&answer, "vary"), Some("Edge-Variant"));
    assert_eq!(header(&answer, "edge-variant"), Some(format!("hero=\"{shown}\", region=\"US-EAST\"").as_str()));
    assert!(header(&answer, "cache-control").unwrap().starts_with("private"), "{answer:?}");
    assert!(host.asked.borrow().is_empty() && line(&host)["errors"].as_array().unwrap().is_empty());
}

#[test]
fn what_a_visitor_sends_stays_in_its_place() {
    let host = page("<p title=\"{{ path }}\">{{ path }}</p>");
    let answer = visit(NEW_YORK, "/own/%3Cscript%3E\"'&").send(&host);
    assert!(!text(&answer).contains("<script>") && !text(&answer).contains("\"'"), "{}", text(&answer));
    for hostile in ["\"", "\\", "\",\"admin\":true,\"x\":\"", "1,\"admin\":true", "</script>"] {
        let host = document("{\"in\": \"at {{ session.attributes.name }}!\", \"out\": {{ session.attributes.name }}}");
        let mut stored = record(1);
        stored["attributes"]["name"] = hostile.into();
        put(&host, &format!("visitor/{VISITOR}"), stored.to_string());
        let answer = text(&known("/own/x").send(&host));
        let read: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(read, json!({ "in": format!("at {hostile}!"), "out": hostile }), "{answer}");
        assert!(!answer.contains("</script>"), "{answer}");
    }
}

#[test]
fn a_document_has_values_of_their_own_kind() {
    let host = document(
        "{\"quantity\": {{ session.cart_quantity }}, \"skus\": {{ session.cart_skus }}, \"nothing\": {{ session.attributes.none }},
         \"views\": [{% for sku in session.recent_views %}{{ sku }}{% if not loop.last %},{% endif %}{% endfor %}],
         \"text\": \"{% if loggedIn %}in{% else %}out{% endif %}\"}",
    );
    put(&host, &format!("visitor/{VISITOR}"), record(1).to_string());
    let answer = known("/own/x").send(&host);
    let read: Value = serde_json::from_str(&text(&answer)).unwrap();
    let expected =
        json!({ "quantity": 2, "skus": ["kv-3"], "nothing": null, "views": ["kv-1", "kv-2"], "text": "out" });
    assert_eq!(read, expected);
    assert_eq!(header(&answer, "cache-control"), Some("private, no-store"), "a session is one visitor's");
    assert_eq!(line(&host)["errors"], json!(["template-absent"]), "what is absent is named");
}

#[test]
fn without_consent_a_template_knows_no_session() {
    let host = page("<p>{{ session.cart_quantity|default('none') }}</p>");
    put(&host, &format!("visitor/{VISITOR}"), record(1).to_string());
    let answer = browser(PARIS, "/own/x").with("Cookie", format!("ep_vid={VISITOR}")).send(&host);
    assert_eq!(text(&answer), "<p>none</p>");
    assert_eq!(header(&answer, "cache-control"), Some("private, no-store"));
    assert_eq!(line(&host)["errors"], json!([]), "a default is a value");
}

#[test]
fn what_cannot_be_made_is_the_origins_page_and_named() {
    let endless = "{% for a in range(5000) %}{% for b in range(5000) %}x{% endfor %}{% endfor %}";
    for (name, host, code) in [
        ("no JSON", document("{\"a\": [{% for sku in session.cart_skus %}1,{% endfor %}]"), "body-malformed"),
        ("two values", document("{\"a\": 1{{ region.id }}}"), "body-malformed"),
        ("too much", page(endless), "template-failed"),
        ("no filter", page("<p>{{ region.id|nothing }}</p>"), "template-failed"),
    ] {
        let answer = known("/own/x?a=1").send(&host);
        assert_eq!((answer.status.as_u16(), text(&answer).as_str()), (200, "GET /own/x?a=1"), "{name}");
        let line = line(&host);
        assert!(line["errors"].as_array().unwrap().contains(&code.into()), "{name}: {line}");
        assert_eq!(line["route"], "own", "{name}");
        assert_eq!(faults(&host)[0]["fault"]["pointer"], "/routes/0/respond/body/template", "{name}");
        assert_eq!(header(&answer, "vary"), Some("Edge-Variant"), "{name}");
    }
}

#[test]
fn who_gets_the_origins_page_was_shown_no_variation() {
    let host =
        site(json!({ "path": "/own", "respond": { "body": { "kv": "none", "reads": ["feature.hero"] } } }), json!({}));
    let answer = known("/own").send(&host);
    assert_eq!(text(&answer), "GET /own");
    let exposed = host.lines_of(Endpoint::Exposures).remove(0);
    assert_eq!((&exposed["shown"], &exposed["fallback"]), (&json!(false), &json!("stored-body-missing")));
}

#[test]
fn a_body_comes_from_the_store_as_it_is() {
    let respond = json!({ "body": { "kv": "landing/{language|en}" }, "headers": { "Content-Type": "image/svg+xml" } });
    let host = site(json!({ "path": "/own", "respond": respond }), json!({}));
    host.put(Kv::Rules, "page/landing/en", "<svg>{{ region.id }}</svg>");
    let answer = visit(NEW_YORK, "/own").send(&host);
    assert_eq!(
        (text(&answer).as_str(), header(&answer, "content-type")),
        ("<svg>{{ region.id }}</svg>", Some("image/svg+xml"))
    );
    assert!(host.asked.borrow().is_empty());
    let head = visit(NEW_YORK, "/own").by("HEAD").send(&host);
    assert_eq!((head.status.as_u16(), text(&head).len()), (200, 0));
}

#[test]
fn a_template_of_the_store_reads_what_the_route_says_and_nothing_else() {
    let host = site(
        json!({ "path": "/own/{slug}", "respond": { "body": { "kv": "{path.slug}", "reads": ["region.id", "feature.hero"] } } }),
        json!({}),
    );
    host.put(Kv::Rules, "page/a", "<p>{{ region.id }} {{ feature.hero }}</p>");
    host.put(Kv::Rules, "page/b", "<p>{{ region.id }}|{{ country }}|{{ session.cart_quantity }}</p>");
    put(&host, &format!("visitor/{VISITOR}"), record(1).to_string());
    let answer = known("/own/a").send(&host);
    assert!(["<p>US-EAST plain</p>", "<p>US-EAST big</p>"].contains(&text(&answer).as_str()), "{}", text(&answer));
    assert_ne!(header(&answer, "cache-control"), Some("private, no-store"), "no session is read");
    assert!(header(&answer, "edge-variant").unwrap().ends_with("region=\"US-EAST\""));
    host.lines.take();
    assert_eq!(text(&known("/own/b").send(&host)), "<p>US-EAST||</p>");
    assert_eq!(line(&host)["errors"], json!(["template-absent"]));
}

#[test]
fn without_a_usable_value_the_fallback_is_asked() {
    let route = json!({ "path": "/own/{slug}", "methods": ["GET", "POST"], "fallback": { "path": "/plain?x=1" },
        "respond": { "body": { "kv": "{path.slug}", "reads": [] } } });
    let long = "x".repeat(65 * 1024);
    for (name, target, value, code) in [
        ("no value", "/own/none", None, "stored-body-missing"),
        ("a mistake", "/own/a", Some("<p>{{ </p>"), "template-failed"),
        ("a place that can't be made safe", "/own/a", Some("<script>{{ path }}</script>"), "template-failed"),
        ("too long", "/own/a", Some(long.as_str()), "template-failed"),
        ("a key that is none", "/own/..", None, "template-absent"),
    ] {
        let host = site(route.clone(), json!({}));
        value.iter().for_each(|value| host.put(Kv::Rules, "page/a", *value));
        let answer = visit(NEW_YORK, target).send(&host);
        assert_eq!((answer.status.as_u16(), text(&answer).as_str()), (200, "GET /plain?x=1"), "{name}");
        assert!(line(&host)["errors"].as_array().unwrap().contains(&code.into()), "{name}: {}", line(&host));
    }
    let host = site(route, json!({}));
    host.kv_fails.borrow_mut().insert(Kv::Rules, StoreError::Failed);
    let answer = visit(NEW_YORK, "/own/a").by("POST").body("order=1").send(&host);
    assert_eq!(text(&answer), "POST /own/a", "it goes where the client sent it");
    assert_eq!(line(&host)["errors"], json!(["stored-body-failed"]));
    assert_eq!(host.asked.borrow().len(), 1);
}

#[test]
fn a_text_has_the_type_that_it_is_encoded_for() {
    for (respond, expected) in [
        (json!({ "body": "<p>{country}</p>" }), Some("text/html; charset=utf-8")),
        (json!({ "body": "{country}", "headers": { "content-type": "text/plain" } }), Some("text/plain")),
        (json!({ "status": 204 }), None),
    ] {
        let host = site(json!({ "path": "/own/*", "respond": respond }), json!({}));
        let answer = visit(NEW_YORK, "/own/a").send(&host);
        let found = answer.headers.get("content-type").map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(found.as_deref(), expected, "{respond}");
    }
}

#[test]
fn no_key_leads_to_the_rules() {
    let host = site(json!({ "path": "/own/*", "respond": { "body": { "kv": "{path.rest}" } } }), json!({}));
    host.put(Kv::Rules, "r42", "the rules");
    host.put(Kv::Rules, "page/a/b", "a page");
    for target in ["/own/r42", "/own/../r42", "/own/%2e%2e/r42", "/own/..%2fr42"] {
        assert!(!text(&visit(NEW_YORK, target).send(&host)).contains("the rules"), "{target}");
    }
    assert_eq!(text(&visit(NEW_YORK, "/own/a/b").send(&host)), "a page");
}

#[test]
fn a_body_in_no_form_leaves_its_route_out() {
    let templates = json!({ "page": "<p>x</p>", "open": "{\"a\": \"{{ country }}" });
    for (name, respond, pointer) in [
        ("an unknown name", json!({ "body": { "template": "none" } }), "/respond/body/template"),
        ("an unknown key", json!({ "body": { "template": "page", "kvv": 1 } }), "/respond/body"),
        ("a number", json!({ "body": 7 }), "/respond/body"),
        ("an empty key", json!({ "body": { "kv": "" } }), "/respond/body/kv"),
        ("an unknown placeholder", json!({ "body": { "kv": "{nobody}" } }), "/respond/body/kv"),
        (
            "a script",
            json!({ "body": { "template": "page" }, "headers": { "content-type": "text/javascript" } }),
            "/respond/headers/content-type",
        ),
        (
            "any type",
            json!({ "body": { "template": "page" }, "headers": { "content-type": "{country}" } }),
            "/respond/headers/content-type",
        ),
        (
            "an open text",
            json!({ "body": { "template": "open" }, "headers": { "content-type": JSON } }),
            "/respond/body/template",
        ),
    ] {
        let host = site(json!({ "path": "/own", "respond": respond }), templates.clone());
        assert_eq!(text(&visit(NEW_YORK, "/own").send(&host)), "GET /own", "{name}");
        assert_eq!(faults(&host)[0]["fault"]["pointer"], format!("/routes/0{pointer}"), "{name}");
    }
}
