//! Rules in the config store, and in KV store `rules`.

use std::fs;
use std::thread;

use e2e::Rules;
use edge_personalizer::rules::manifest::Manifest;
use edge_personalizer::rules::pack;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::matrix::{ALL, Matrix, user};
use crate::{REREAD, dictionaries, record, shop};

const OWN: &str = "the origin's own page";

type Change<'a> = &'a dyn Fn(&mut Rules);

pub fn cells() -> Matrix {
    let mut matrix = Matrix::default();
    config(&mut matrix);
    packed(&mut matrix);
    matrix
}

fn config(matrix: &mut Matrix) {
    let good = record(0).to_string();
    let edge = shop(false).kv("sessions", "user/good", &good).without_config_store().start();
    matrix.cell(&edge, "config", "missing: the store", user("good"), OWN);
    let mut edge = shop(false).kv("sessions", "user/good", &good).start();
    let named = Rules::from_json(dictionaries(false).as_object().unwrap());
    let pushed = |rules: &mut Rules| {
        for (name, text) in named.entries() {
            rules.set_entry(&format!("r1/{name}"), text);
        }
        let entries = named.entries().iter().map(|(name, text)| (name.as_str(), text.as_str()));
        rules.set_entry("r1/manifest", &serde_json::to_string(&Manifest::of(entries, "")).unwrap());
        let pointer = json!({ "enabled": true, "revision": "r0", "previous": "r1", "manifest": true });
        rules.set_entry("active", &pointer.to_string());
    };
    let long = |key: &'static str, count: usize| {
        move |rules: &mut Rules| {
            let mut routes = dictionaries(false)["routes"].clone();
            routes["routes"][0][key.repeat(count)] = 1.into();
            rules.set("routes", &routes);
        }
    };
    let changes: [(&str, &str, Change<'_>, &str); 10] = [
        ("config", "missing: every entry", &|rules| *rules = Rules::default(), OWN),
        ("config", "malformed", &|rules| each(rules, |_, text| text[..text.len() / 2].to_owned()), OWN),
        ("config", "malformed: wrong types", &|rules| each(rules, |name, _| json!({ name: 7 }).to_string()), OWN),
        ("config", "oversized: more parts than look-ups", &many_parts, ALL),
        ("config", "older version", &|rules| each(rules, older), "user"),
        ("config", "newer version", &|rules| each(rules, newer), ALL),
        ("config", "stale: the revision is gone, previous serves", &pushed, ALL),
        ("log", "oversized: a fault of 20 kB", &long("\u{5b57}", 7_000), ALL),
        ("log", "oversized: a fault of quotes", &long("\"", 3_500), ALL),
        ("none", "none any more", &|_| (), ALL),
    ];
    for (part, fault, change, left) in changes {
        edge.edit(|rules| {
            *rules = named.clone();
            change(rules);
        });
        thread::sleep(REREAD);
        matrix.cell(&edge, part, fault, user("good"), left);
    }
    matrix.note(
        "config",
        "oversized: an entry of 8,001 characters",
        "not possible: the platform and the local server take none",
    );
}

/// A rule set in KV store `rules`, which the pointer names. No rules have served before: nothing is left of them in a sandbox.
fn packed(matrix: &mut Matrix) {
    let pointer = |revision: &str| json!({ "enabled": true, "revision": revision, "store": "kv" }).to_string();
    let none = shop(false).manifest(|manifest| manifest.without(&[], "kv_stores"));
    let mut edge = none.entry("active", &pointer("malformed")).start();
    matrix.cell(&edge, "KV (rules)", "missing: the store", user("good"), OWN);
    edge.edit(|rules| rules.set_entry("active", "{\"enabled\":"));
    matrix.cell(&edge, "config", "malformed: the pointer", user("good"), OWN);
    edge.edit(|rules| rules.remove_entry("active"));
    matrix.cell(&edge, "KV", "missing: the store", user("good"), "rules, region, user");
    let folder = TempDir::new().unwrap();
    let pack = folder.path().join("r1");
    fs::write(&pack, pack::write(dictionaries(false).as_object().unwrap()).unwrap()).unwrap();
    let mut edge = shop(false)
        .manifest(|manifest| manifest.kv_file("rules", "r1", &pack))
        .kv("sessions", "user/good", &record(0).to_string())
        .kv("rules", "malformed", "\u{0}{")
        .kv("rules", "oversized", &"[".repeat(2_000_000))
        .kv("rules", "cut", "EPRULES1\u{1}\u{0}\u{0}\u{0}")
        .kv("rules", "older", &json!({ "v": 0, "routes": [] }).to_string())
        .entry("active", &pointer("gone"))
        .start();
    for (fault, revision) in [
        ("missing: the revision", "gone"),
        ("malformed", "malformed"),
        ("malformed: cut short", "cut"),
        ("oversized", "oversized"),
        ("older version", "older"),
    ] {
        edge.edit(|rules| rules.set_entry("active", &pointer(revision)));
        matrix.cell(&edge, "KV (rules)", fault, user("good"), OWN);
    }
    let stale = json!({ "enabled": true, "revision": "late", "previous": "r1", "store": "kv" });
    edge.edit(|rules| rules.set_entry("active", &stale.to_string()));
    matrix.cell(&edge, "KV (rules)", "stale: the revision is late, previous serves", user("good"), ALL);
}

fn each(rules: &mut Rules, make: impl Fn(&str, &str) -> String) {
    for (name, text) in rules.entries().clone() {
        rules.set_entry(&name, &make(&name, &text));
    }
}

/// Segments in more parts than a request has look-ups.
fn many_parts(rules: &mut Rules) {
    rules.set_entry("segments", "{\"parts\":40,\"segments\":{}}");
    for part in 2..=40 {
        rules.set_entry(&format!("segments.{part}"), "{\"segments\":{}}");
    }
}

fn older(name: &str, _: &str) -> String {
    let routes = json!({ "version": 0, "routes": [{ "id": "page", "path": "/echo/page", "target": "/old" }] });
    if name == "routes" { routes.to_string() } else { json!({ "version": 0 }).to_string() }
}

fn newer(name: &str, text: &str) -> String {
    let mut whole: Value = serde_json::from_str(text).unwrap();
    whole["version"] = 99.into();
    if name == "routes" {
        whole["routes"][1]["action"] = "teleport".into();
    }
    whole.to_string()
}
