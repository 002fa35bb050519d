//! `personalizer replay` and `explain --trace-request`, as an engineer calls them, on lines that the service wrote.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may stop at a surprise")]

use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::process::Command;

use edge_personalizer::platform::memory::{Memory, MemoryBody};
use edge_personalizer::platform::{ClientRequest, Endpoint, Geo};
use edge_personalizer::service::{Sandbox, handle};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

fn personalizer(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_personalizer"))
        .current_dir(folder)
        .args(arguments)
        .env_remove("PERSONALIZER_TARGET")
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

/// Two revisions in a store: `r42` sends readers of French elsewhere, and mobiles; it gives more visitors the hero.
fn store() -> TempDir {
    let folder = TempDir::new().unwrap();
    let rules = |weights: [f64; 2], more: Value| {
        let mut routes = vec![
            json!({ "id": "shop", "path": "/shop/{sku}", "features": ["hero"], "rewrite": { "path": "/v1/{path.sku}" } }),
            json!({ "id": "plain", "path": "/plain", "rewrite": { "path": "/p" } }),
        ];
        routes.extend(more.as_array().unwrap().clone());
        [
            ("settings", json!({ "languages": ["en", "fr"], "log": { "facts": ["deviceType"] } })),
            ("routes", json!({ "routes": routes })),
            (
                "features",
                json!({ "features": { "hero": { "defaultValue": "old", "rules": [
                { "key": "hero-test", "variations": ["a", "b"], "weights": weights, "hashVersion": 2 }] } } }),
            ),
        ]
    };
    let fr = json!([
        { "id": "small", "path": "/shop/{sku}", "when": { "deviceType": "mobile" }, "rewrite": { "path": "/m/{path.sku}" } },
        { "id": "fr", "path": "/plain", "when": { "language": "fr" }, "rewrite": { "path": "/fr" } }]);
    // Of equals, the first in the list is tried first.
    let mut changed = rules([0.6, 0.4], json!([]));
    let list = changed[1].1["routes"].as_array().unwrap().clone();
    let list = [fr.as_array().unwrap().clone(), list].concat();
    changed[1].1 = json!({ "routes": list });
    for (name, dictionaries) in [("old", rules([0.5, 0.5], json!([]))), ("new", changed)] {
        fs::create_dir(folder.path().join(name)).unwrap();
        for (dictionary, value) in dictionaries {
            fs::write(folder.path().join(name).join(format!("{dictionary}.json")), value.to_string()).unwrap();
        }
    }
    for (rules, revision) in [("old", "r41"), ("new", "r42")] {
        let push = ["push", rules, "--to", "file:store.json", "--revision", revision];
        let (exit, _, stderr) = personalizer(folder.path(), &push);
        assert_eq!(exit, 0, "{stderr}");
    }
    assert_eq!(personalizer(folder.path(), &["promote", "r41", "--on", "file:store.json"]).0, 0);
    folder
}

/// What the service logs with `r42` as the shadow of `r41`: visitors of all kinds.
fn lines(folder: &Path) -> Vec<Value> {
    let host = Memory::with_origin(|_| Ok((StatusCode::OK, HeaderMap::new(), Vec::new())));
    let entries: Value = serde_json::from_str(&fs::read_to_string(folder.join("store.json")).unwrap()).unwrap();
    for (key, text) in entries.as_object().unwrap() {
        host.config.borrow_mut().insert(key.clone(), text.as_str().unwrap().to_owned());
    }
    host.set("active", &json!({ "enabled": true, "revision": "r41", "shadow": "r42", "manifest": true }));
    host.secrets.borrow_mut().insert("identity".to_owned(), b"an-identity-key-of-32-bytes-or-more".to_vec());
    let mut sandbox = Sandbox::default();
    for number in 0..60_u8 {
        let address = IpAddr::from([192, 0, 2, number]);
        let geo = Geo { country: Some("US".to_owned()), continent: Some("NA"), ..Geo::default() };
        host.geo.borrow_mut().insert(address, geo);
        let mut headers = HeaderMap::new();
        let agent = if number % 5 == 0 {
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) Mobile/15E148"
        } else {
            BROWSER
        };
        headers.insert("user-agent", HeaderValue::from_static(agent));
        headers.insert("accept-language", HeaderValue::from_static(if number % 4 == 0 { "fr" } else { "en" }));
        headers.insert("cookie", format!("ep_vid={:032x}", u32::from(number) + 1).parse().unwrap());
        let request = ClientRequest {
            method: Method::GET,
            scheme: "https".to_owned(),
            authority: "shop.example".to_owned(),
            path: if number % 3 == 0 { "/plain".to_owned() } else { format!("/shop/{}", number % 7) },
            query: None,
            headers,
            address: Some(address),
            body: MemoryBody::default(),
        };
        handle(&host, &mut sandbox, request);
        host.age.set(host.age.get() + std::time::Duration::from_millis(300));
    }
    host.lines_of(Endpoint::Decisions)
}

fn replay(folder: &Path, more: &[&str]) -> (i32, Value) {
    let to: &[&str] = if more.contains(&"--to") { &[] } else { &["--to", "r42"] };
    let command = ["replay", "logs", "--on", "file:store.json", "--format", "json"];
    let (exit, stdout, stderr) = personalizer(folder, &[&command, to, more].concat());
    (exit, serde_json::from_str(&stdout).unwrap_or_else(|_| panic!("{stderr}")))
}

#[test]
fn yesterday_is_decided_again() {
    let store = store();
    let folder = store.path();
    let lines = lines(folder);
    let mut log = String::new();
    for line in &lines {
        log += &format!("decisions :: {line}\n");
    }
    let mut other = lines[0].clone();
    (other["revision"], other["request_id"]) = ("r40".into(), "another".into());
    let mut wrong = lines[1].clone();
    (wrong["route"], wrong["request_id"]) = ("gone".into(), "wrong".into());
    let mut cut = lines[2].to_string();
    cut.truncate(cut.len() / 2);
    log += &format!("{}\n{other}\n{wrong}\nanother program\n{cut}", lines[0]);
    fs::create_dir(folder.join("logs")).unwrap();
    fs::write(folder.join("logs/a.ndjson"), log).unwrap();

    let (exit, json) = replay(folder, &["--by", "country,route"]);
    assert_eq!((exit, &json["v"], &json["from"]), (0, &json!(1), &json!("@active (r41)")));
    let count = |key: &str| json[key].as_u64().unwrap();
    assert_eq!(count("lines"), 61);
    assert_eq!(count("not_reproduced"), 1, "{}", json["why_not"]);
    assert!(json["why_not"][0]["why"].as_str().unwrap().contains("route: expected gone as logged, but found shop"));
    assert_eq!(json["apart"], json!({ "other_revision": 1, "preview": 0, "doubled": 1, "broken": 1 }));
    assert_eq!(count("changed") + count("unchanged") + count("undetermined"), 60);
    // Nobody logs the language, and nobody may log whom the larger share of the hero moves.
    assert_eq!(json["unknown"].as_object().unwrap().keys().collect::<Vec<_>>(), ["id", "language"]);
    assert_eq!(json["unknown"]["language"], 20, "every line of /plain");
    // The shadow knew everything: what is said for certain is what it said.
    let mobile = lines.iter().filter(|line| line["shadow"]["route"] == "small").count();
    assert!(mobile > 5 && count("changed") == u64::try_from(mobile).unwrap(), "{mobile}, {json:#}");
    assert_eq!(json["by"]["route"]["plain"]["undetermined"], 20);
    assert_eq!(json["by"]["country"]["US"]["changed"], json["changed"]);
    let change = &json["changes"][0];
    let expected =
        json!([{ "route": "shop", "path": "/v1/{path.sku}" }, { "route": "small", "path": "/m/{path.sku}" }]);
    assert_eq!((&change["from"], &change["to"]), (&expected[0], &expected[1]));
    let examples = change["examples"].as_array().unwrap();
    assert!(!examples.is_empty() && examples.len() <= 10 && lines.contains(&examples[0]));

    // How much may change.
    let share = json["changed_share"].as_f64().unwrap() * 100.0;
    assert_eq!(replay(folder, &["--max-changed", &format!("{}%", share + 0.1)]).0, 0);
    assert_eq!(replay(folder, &["--max-changed", &format!("{}%", share - 0.1)]).0, 1);
    // A folder decides as well; it has no name, so that a line of any revision is held against it.
    let (exit, by_folder) = replay(folder, &["--from", "./old"]);
    assert_eq!((exit, &by_folder["changed"], &by_folder["apart"]["other_revision"]), (0, &json["changed"], &json!(0)));
    // The same rules change nothing.
    let (_, same) = replay(folder, &["--to", "r41"]);
    assert_eq!((&same["changed"], &same["undetermined"], &same["unchanged"]), (&json!(0), &json!(0), &json!(60)));
    // Nothing is determined: nothing can be told.
    fs::write(folder.join("none.ndjson"), "").unwrap();
    let none = ["replay", "none.ndjson", "--to", "r42", "--on", "file:store.json", "--max-changed", "5%"];
    assert_eq!(personalizer(folder, &none).0, 3);
    // For people.
    let text = personalizer(folder, &["replay", "logs", "--to", "r42", "--on", "file:store.json"]).1;
    for said in
        ["@active (r41) → r42: ", "route: shop → small", "language", "\"facts\": [\"language\"]", "a shadow knows it"]
    {
        assert!(text.contains(said), "{said}:\n{text}");
    }
}

#[test]
fn sampled_lines_weigh_more() {
    let store = store();
    let folder = store.path();
    let mut lines = lines(folder);
    let place = lines.iter().position(|line| line["shadow"]["route"] == "small").unwrap();
    let unchanged = lines.iter().position(|line| line["shadow"].is_null() && line["variant"]["hero"] == "a").unwrap();
    let mut kept = [lines[place].clone(), lines[unchanged].clone()];
    kept[1]["sample"] = 0.1.into();
    lines.clear();
    fs::create_dir(folder.join("logs")).unwrap();
    fs::write(folder.join("logs/a"), format!("{}\n{}\n", kept[0], kept[1])).unwrap();
    let (_, json) = replay(folder, &[]);
    assert_eq!((&json["changed"], &json["unchanged"]), (&json!(1), &json!(1)), "{json:#}");
    assert!((json["changed_share"].as_f64().unwrap() - 1.0 / 11.0).abs() < 1e-9);
}

#[test]
fn a_line_is_explained_by_the_revision_that_it_names_and_by_what_it_says() {
    let store = store();
    let folder = store.path();
    let lines = lines(folder);
    let explain = |line: &Value, more: &[&str]| {
        fs::write(folder.join("line.json"), line.to_string()).unwrap();
        personalizer(folder, &[&["explain", "--trace-request", "line.json"], more].concat())
    };
    for line in &lines {
        let (exit, _, stderr) = explain(line, &["--on", "file:store.json"]);
        assert_eq!(exit, 0, "the revision that decided it: {line:#}\n{stderr}");
    }
    // The variation is what the line says, though the visitor isn't in it; and that is said.
    let line = lines.iter().find(|line| line["variant"]["hero"] == "b").unwrap();
    let (_, stdout, _) = explain(line, &["--on", "file:store.json", "--format", "json"]);
    let json: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(json["shown"][0]["value"], "b");
    assert!(json["assumed"].as_array().unwrap().iter().any(|assumed| assumed["attribute"] == "id"), "{json:#}");
    let (_, stdout, _) = explain(line, &["--on", "file:store.json"]);
    assert!(stdout.contains("Not in the line") && stdout.contains("is in buckets"), "{stdout}");
    assert!(stdout.contains("who asked: not logged") && !stdout.contains(", bucket "), "{stdout}");
    // Another revision, a folder, a variant that these rules don't have: a difference is exit code 1.
    let mobile = lines.iter().find(|line| line["shadow"]["route"] == "small").unwrap();
    let (exit, _, stderr) = explain(mobile, &["--revision", "r42", "--on", "file:store.json"]);
    assert!(exit == 1 && stderr.contains("route: expected shop as logged, but found small"), "{exit} {stderr}");
    let (exit, _, stderr) = explain(mobile, &["new"]);
    assert!(exit == 1 && stderr.contains("is held against new"), "{exit} {stderr}");
    let mut other = line.clone();
    other["variant"]["hero"] = "c".into();
    let (exit, _, stderr) = explain(&other, &["--on", "file:store.json"]);
    assert!(exit == 1 && stderr.contains("hero: expected c as logged"), "{exit} {stderr}");
    // A line as `jq` spreads it; with more said of the visitor, by the line's own revision.
    fs::write(folder.join("line.json"), serde_json::to_string_pretty(line).unwrap()).unwrap();
    let (exit, _, stderr) =
        personalizer(folder, &["explain", "--trace-request", "line.json", "--on", "file:store.json"]);
    assert_eq!(exit, 0, "{stderr}");
    let command = ["explain", "--trace-request", "line.json", "--on", "file:store.json", "--country", "US"];
    let (_, stdout, stderr) = personalizer(folder, &command);
    assert!(stdout.contains("Route: shop"), "{stdout}{stderr}");
    let (exit, _, stderr) = personalizer(folder, &["explain", "--trace-request", "line.json", "https://a.example/"]);
    assert!(exit == 2 && stderr.contains("the line has its own path"), "{stderr}");
    // A path that settings took out.
    let mut redacted = line.clone();
    (redacted["path"], redacted["backend_path"]) = ("/shop/*".into(), "/a/redacted".into());
    let (exit, _, stderr) = explain(&redacted, &["--on", "file:store.json"]);
    assert!(exit == 0 && stderr.contains("path: the line has it redacted or cut"), "{exit} {stderr}");
    // A revision without a line.
    let url = "https://shop.example/shop/1";
    let command = ["explain", "--revision", "@active", "--on", "file:store.json", "--country", "US", url];
    let (exit, stdout, stderr) = personalizer(folder, &command);
    assert!(exit == 0 && stdout.contains("Route: shop"), "{stdout}{stderr}");
    let (exit, _, stderr) =
        personalizer(folder, &["explain", "new", url, "--revision", "r42", "--on", "file:store.json"]);
    assert!(exit == 2 && stderr.contains("expected a folder or --revision"), "{stderr}");
}
