//! Rules that somebody broke, one after the other, in the store of a running edge.

use std::time::Duration;

use e2e::visitors::{NOWHERE, PARIS};
use e2e::{Request, Rules};
use serde_json::{Value, json};

use super::{Expected, Stand, gets};

/// A warm sandbox looks at entries at their bare names again after a second.
const SPREADS: Duration = Duration::from_millis(1_100);
const GENERIC: &str = "\"generic\": true";
const EUROPE: &str = "\"region\": \"europe\"";
const GLOBAL: &str = "\"region\": \"global\"";

/// The demo's route of promotions, as long as an entry may be.
fn as_long_as_it_may_be(rules: &Rules) -> Value {
    let mut routes: Value = serde_json::from_str(&rules.entries()["routes"]).unwrap();
    let room = 8_000 - routes.to_string().chars().count() - r#","$comment":"""#.len();
    routes["$comment"] = "é".repeat(room).into();
    assert_eq!(routes.to_string().chars().count(), 8_000);
    routes
}

/// The promotions behind so many other routes that the dictionary needs parts.
fn in_parts(rules: &Rules) -> Value {
    let mut routes: Value = serde_json::from_str(&rules.entries()["routes"]).unwrap();
    let more = (0..300).map(
        |n| json!({ "id": format!("more-{n}"), "path": format!("/more/{n}/*"), "rewrite": { "path": "/echo/more" } }),
    );
    let list = routes["routes"].as_array_mut().unwrap();
    let own = std::mem::take(list);
    list.extend(more);
    list.extend(own);
    routes
}

type Change = Box<dyn Fn(&mut Rules)>;

fn entry(name: &'static str, text: &'static str) -> Change {
    Box::new(move |rules| rules.set_entry(name, text))
}

/// Every fault: its name, what is done to the rules, and what a visitor in Paris gets then.
fn faults() -> Vec<(&'static str, Change, Expected<'static>)> {
    let route = |edit: fn(&mut Value)| -> Change {
        Box::new(move |rules| {
            let mut routes: Value = serde_json::from_str(&rules.entries()["routes"]).unwrap();
            edit(&mut routes["routes"][0]);
            rules.set("routes", &routes);
        })
    };
    let emptied: Change = Box::new(|rules| *rules = Rules::default());
    let longest: Change = Box::new(|rules| rules.set("routes", &as_long_as_it_may_be(rules)));
    let parts: Change = Box::new(|rules| rules.set("routes", &in_parts(rules)));
    let lost: Change = Box::new(|rules| {
        rules.set("routes", &in_parts(rules));
        rules.remove_entry("routes.2");
    });
    vec![
        ("an empty store", emptied, gets(200, GENERIC, "\"route\":null")),
        (
            "half of routes",
            entry("routes", "{\"routes\": [{\"id\": \"pro"),
            gets(200, GENERIC, "\"dictionary\":\"routes\""),
        ),
        (
            "half of regions",
            entry("regions", "{\"regions\": [{\"id\": \"EU\""),
            gets(200, GLOBAL, "\"dictionary\":\"regions\""),
        ),
        ("half of features", entry("features", "{\"features\": {"), gets(200, EUROPE, "\"dictionary\":\"features\"")),
        ("half of settings", entry("settings", "{"), gets(200, EUROPE, "\"dictionary\":\"settings\"")),
        ("a dictionary that is a number", entry("routes", "42"), gets(200, GENERIC, "\"dictionary\":\"routes\"")),
        ("an empty entry", entry("routes", ""), gets(200, GENERIC, "\"dictionary\":\"routes\"")),
        (
            "an unknown key in settings",
            entry("settings", "{\"colour\":\"red\"}"),
            gets(200, EUROPE, "expected a known key"),
        ),
        (
            "an unknown key in a route",
            route(|route| route["colour"] = "red".into()),
            gets(200, EUROPE, "expected a known key"),
        ),
        (
            "an unknown backend",
            route(|route| route["backend"] = "nowhere".into()),
            gets(200, GLOBAL, "backend-unknown"),
        ),
        (
            "a template that names nothing",
            route(|route| route["rewrite"]["path"] = "/{regoin.slug}".into()),
            gets(200, GENERIC, "/routes/0/rewrite/path"),
        ),
        ("a blank id", route(|route| route["id"] = "".into()), gets(200, GENERIC, "/routes/0/id")),
        ("an entry of 8,000 characters", longest, gets(200, EUROPE, "\"route\":\"promotions\"")),
        ("routes in several parts", parts, gets(200, EUROPE, "\"route\":\"promotions\"")),
        ("a part that is missing", lost, gets(200, EUROPE, "\"dictionary\":\"routes.2\"")),
        ("half a pointer", entry("active", "{\"enabled\": fal"), gets(200, "", "\"dictionary\":\"active\"")),
        ("a pointer to nothing", entry("active", "{\"revision\":\"r9\"}"), gets(200, "", "\"dictionary\":\"r9/")),
        // Nobody can say which revision was meant: what served before goes on, or the page as the origin has it.
        (
            "a pointer whose revision is a number",
            entry("active", "{\"revision\":7}"),
            gets(200, "", "\"dictionary\":\"active\""),
        ),
        (
            "a pointer of other wrong types",
            entry("active", "{\"canary\":[],\"shadow\":{},\"store\":7,\"colour\":1}"),
            gets(200, EUROPE, "\"dictionary\":\"active\""),
        ),
        (
            "everything broken, and switched off",
            Box::new(|rules| {
                for name in ["settings", "regions", "routes", "features"] {
                    rules.set_entry(name, "{");
                }
                rules.set_entry("active", "{\"enabled\":false,\"revision\":7}");
            }),
            gets(200, GENERIC, "\"route\":null"),
        ),
    ]
}

/// Breaks the rules, and mends them.
pub fn broken(stand: &mut Stand) {
    let page = Request::get("/api/products/all");
    let mut good = None;
    stand.edge.edit(|rules| good = Some(rules.clone()));
    let good = good.unwrap();
    for (name, change, expected) in faults() {
        stand.edge.edit(|rules| change(rules));
        std::thread::sleep(SPREADS);
        stand.meets(name, PARIS, &page, &expected);
        stand.edge.edit(|rules| *rules = good.clone());
    }
    std::thread::sleep(SPREADS);
    stand.meets("none: the rules are mended", PARIS, &page, &gets(200, EUROPE, "\"region\":\"EU-WEST\""));
    stand.meets(
        "an address that nobody has located",
        NOWHERE,
        &page,
        &gets(200, GLOBAL, "\"region\":\"DEFAULT_REGION\""),
    );
}
