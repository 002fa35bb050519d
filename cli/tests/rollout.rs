//! The program itself, on a file: push, canary, promote, roll back, the switch, prune; and what breaks off.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at a surprise"
)]

mod store;

use std::fs;

use serde_json::{Value, json};
use store::Shop;

#[test]
fn a_revision_goes_from_push_to_everybody_and_back() {
    let shop = Shop::new();
    shop.well(&["push", "rules", "--revision", "r1", "--activate"]);
    assert_eq!(shop.pointer(), json!({ "enabled": true, "revision": "r1", "manifest": true }));
    assert_eq!(shop.store()["r1/routes"], r#"{"routes":[{"id":"one","path":"/*"}]}"#);

    shop.route("two");
    shop.well(&["push", "rules", "--revision", "r2"]);
    assert_eq!(shop.pointer()["revision"], "r1", "a push alone changes nothing that serves");
    shop.well(&["canary", "r2", "--percent", "12.5"]);
    assert_eq!(shop.pointer()["canary"], json!({ "revision": "r2", "percent": 12.5 }));
    shop.well(&["promote"]);
    let promoted = json!({ "enabled": true, "revision": "r2", "previous": "r1", "manifest": true });
    assert_eq!(shop.pointer(), promoted);
    shop.well(&["rollback"]);
    assert_eq!((&shop.pointer()["revision"], &shop.pointer()["previous"]), (&json!("r1"), &json!("r2")));
    shop.well(&["rollback"]);
    assert_eq!(shop.pointer(), promoted, "a second one undoes the first");

    shop.well(&["rollback", "r2"]);
    assert_eq!(shop.pointer(), promoted, "what serves already leaves the way back");

    shop.well(&["disable"]);
    assert_eq!(shop.pointer()["enabled"], false);
    assert_eq!(shop.pointer()["revision"], "r2", "definitions stay");
    shop.well(&["enable"]);
    assert_eq!(shop.pointer(), promoted);
}

#[test]
fn a_rollback_ends_a_canary_first() {
    let shop = Shop::new();
    shop.well(&["push", "rules", "--revision", "r1", "--activate"]);
    shop.well(&["push", "rules", "--revision", "r2"]);
    shop.well(&["canary", "r2", "--percent", "5"]);
    shop.well(&["rollback"]);
    assert_eq!(shop.pointer(), json!({ "enabled": true, "revision": "r1", "manifest": true }));
}

#[test]
fn a_revision_that_exists_is_never_overwritten() {
    let shop = Shop::new();
    shop.well(&["push", "rules", "--revision", "r1"]);
    shop.route("two");
    shop.refused(&["push", "rules", "--revision", "r1"], 2, "a revision is never overwritten");
    shop.refused(&["push", "rules", "--revision", "a/b"], 2, "but found 'a/b'");
}

#[test]
fn rules_with_a_fault_are_not_pushed() {
    let shop = Shop::new();
    fs::write(shop.rules().join("routes.json"), r#"{"routes":[{"id":"a","path":"nowhere"}]}"#).unwrap();
    shop.refused(&["push", "rules", "--activate"], 1, "expected a path that starts with '/'");
    shop.refused(&["check", "rules"], 1, "routes.json:1:");
    shop.refused(&["check", "elsewhere"], 2, "expected a folder of rules");
}

#[test]
fn only_a_whole_revision_can_serve() {
    let shop = Shop::new();
    shop.well(&["push", "rules", "--revision", "r1", "--activate"]);
    shop.refused(&["canary", "r9", "--percent", "5"], 2, "there are: r1");
    shop.refused(&["promote", "r9"], 2, "expected a revision that `personalizer push` wrote");
    shop.refused(&["promote"], 2, "expected a canary");
    shop.refused(&["canary", "r1", "--percent", "5"], 2, "it already serves everybody");
    shop.refused(&["canary", "r1", "--percent", "101"], 2, "expected 0 to 100");
    shop.refused(&["rollback"], 2, "expected a canary or a previous revision");
    // An entry that got lost, or one that somebody edited.
    let mut store = shop.store();
    store["r2/manifest"] = store["r1/manifest"].clone();
    store["r2/routes"] = json!("{}");
    fs::write(shop.file(), store.to_string()).unwrap();
    shop.refused(&["canary", "r2", "--percent", "5"], 2, "r2/routes: expected the text that was pushed");
}

#[test]
fn the_switch_works_whatever_the_pointer_says() {
    let shop = Shop::new();
    for (pointer, left) in [
        (r#"{"revision":"#, json!({})),
        (r#"{"revision":42,"canary":"all"}"#, json!({ "revision": 42, "canary": "all" })),
        ("[]", json!({})),
    ] {
        fs::create_dir_all(shop.file().parent().unwrap()).unwrap();
        fs::write(shop.file(), json!({ "active": pointer }).to_string()).unwrap();
        shop.well(&["disable"]);
        let mut after = shop.pointer();
        assert_eq!(after["enabled"], false, "{pointer}");
        after.as_object_mut().unwrap().remove("enabled");
        assert_eq!(after, left, "{pointer}");
    }
}

#[test]
fn status_names_what_serves_and_what_is_missing() {
    let shop = Shop::new();
    shop.well(&["push", "rules", "--revision", "r1", "--activate"]);
    let status: Value = serde_json::from_str(&shop.well(&["status", "--format", "json"])).unwrap();
    assert_eq!(status["pointer"]["revision"], "r1");
    assert_eq!(status["revisions"][0]["roles"], json!(["revision"]));
    assert!(shop.well(&["status"]).contains("r1 serves"));
    let mut store = shop.store();
    store["active"] = json!(r#"{"revision":"r1","previous":"r0"}"#);
    fs::write(shop.file(), store.to_string()).unwrap();
    shop.refused(&["status"], 1, "r0: expected a revision");
}

#[test]
fn prune_keeps_what_pointers_name_and_the_newest() {
    let shop = Shop::new();
    for (number, created) in
        [(1, "2026-01-01"), (2, "2026-01-02"), (3, "2026-01-03"), (4, "2026-01-04"), (5, "2026-01-05")]
    {
        let revision = format!("r{number}");
        shop.well(&["push", "rules", "--revision", &revision]);
        let mut store = shop.store();
        let manifest = store[format!("{revision}/manifest")].as_str().unwrap().to_owned();
        let mut manifest: Value = serde_json::from_str(&manifest).unwrap();
        manifest["created"] = json!(format!("{created}T00:00:00Z"));
        store[format!("{revision}/manifest")] = json!(manifest.to_string());
        fs::write(shop.file(), store.to_string()).unwrap();
    }
    shop.well(&["promote", "r1"]);
    let dry: Value =
        serde_json::from_str(&shop.well(&["prune", "--keep", "2", "--dry-run", "--format", "json"])).unwrap();
    assert_eq!(dry["removed"], json!(["r3", "r2"]));
    shop.well(&["prune", "--keep", "2"]);
    let store = shop.store();
    let left: std::collections::BTreeSet<&str> =
        store.as_object().unwrap().keys().filter_map(|key| Some(key.split_once('/')?.0)).collect();
    assert_eq!(left.into_iter().collect::<Vec<_>>(), ["r1", "r4", "r5"]);
}

#[test]
fn staging_has_a_pointer_of_its_own() {
    let shop = Shop::new();
    shop.well(&["push", "rules", "--revision", "r1", "--activate"]);
    shop.well(&["push", "rules", "--revision", "r2", "--staging"]);
    assert_eq!(shop.pointer()["revision"], "r1");
    assert!(shop.store()["active_staging"].as_str().unwrap().contains("r2"));
}

#[test]
fn a_large_set_becomes_a_pack() {
    let shop = Shop::new();
    let routes: Vec<Value> =
        (0..1_000).map(|n| json!({ "id": format!("r{n}"), "path": format!("/r/{n}/*") })).collect();
    fs::write(shop.rules().join("routes.json"), json!({ "routes": routes }).to_string()).unwrap();
    let pack = shop.folder.path().join("r1.pack");
    shop.well(&["push", "rules", "--to", &format!("pack:{}", pack.display())]);
    assert!(fs::read(&pack).unwrap().starts_with(b"EPRULES1"));
    let (code, _, stderr) = shop.run(&["push", "rules", "--to", &format!("pack:{}", pack.display()), "--activate"]);
    assert!(code == 2 && stderr.contains("expected a store, but found a pack"), "{stderr}");
}

#[test]
fn a_share_by_hand_takes_nothing_of_the_plan() {
    let shop = Shop::new();
    let (code, _, stderr) = shop.run(&["canary", "r2", "--percent", "5", "--logs", "nowhere"]);
    assert!(code == 2 && stderr.contains("cannot be used with"), "{stderr}");
    let (code, _, stderr) = shop.run(&["canary", "r2"]);
    assert!(code == 2 && stderr.contains("--percent") && stderr.contains("--auto"), "{stderr}");
}

#[test]
fn output_for_machines_has_no_colours() {
    let shop = Shop::new();
    let (_, stdout, _) = shop.run(&["check", "rules"]);
    assert!(!stdout.contains('\u{1b}'), "{stdout:?}");
    let report: Value = serde_json::from_str(&shop.well(&["check", "rules", "--format", "json"])).unwrap();
    assert_eq!((&report["faults"], &report["variants"][0]["count"]), (&json!(0), &json!(1)));
}

#[test]
fn a_diff_of_revisions_and_folders_ends_with_1_where_something_changes() {
    let shop = Shop::new();
    shop.well(&["push", "rules", "--revision", "r1", "--activate"]);
    shop.route("two");
    shop.well(&["push", "rules", "--revision", "r2"]);
    for (a, b) in [("r1", "r2"), ("@active", "rules"), ("r1", "./rules")] {
        let (code, stdout, stderr) = shop.run(&["diff", a, b]);
        assert_eq!(code, 1, "{a} {b}: {stdout}{stderr}");
        assert!(stdout.contains("+ two /*") && stdout.contains("- one /*"), "{stdout}");
    }
    assert!(shop.well(&["diff", "r2", "rules"]).contains("Nothing changes"));
    let (code, stdout, _) = shop.run(&["diff", "@active", "r2", "--format", "json"]);
    let report: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((code, &report["equal"], &report["routes"]["added"][0]["id"]), (1, &json!(false), &json!("two")));
    shop.refused(&["diff", "r1", "r9"], 2, "there are: r1, r2");
    shop.refused(&["diff", "@canary", "r2"], 2, "@canary: expected a pointer that names one");
    shop.refused(&["diff", "rules", "elsewhere/rules"], 2, "expected a folder of rules");
    fs::write(shop.rules().join("routes.json"), "{").unwrap();
    shop.refused(&["diff", "r1", "rules"], 2, "routes.json:1:");
}

#[test]
fn a_diff_reads_large_sets_and_parts_whole() {
    let shop = Shop::new();
    let routes = |count: usize| -> Value {
        let routes = (0..count).map(|n| json!({ "id": format!("r{n}"), "path": format!("/r/{n}/*") }));
        json!({ "routes": routes.collect::<Vec<_>>() })
    };
    // Some four parts.
    fs::write(shop.rules().join("routes.json"), routes(800).to_string()).unwrap();
    shop.well(&["push", "rules", "--revision", "r1"]);
    assert!(shop.store().get("r1/routes.2").is_some());
    shop.well(&["diff", "r1", "rules"]);
    fs::write(shop.rules().join("routes.json"), routes(801).to_string()).unwrap();
    let (code, stdout, _) = shop.run(&["diff", "r1", "rules"]);
    assert_eq!(code, 1);
    assert!(stdout.contains("+ r800 /r/800/*") && !stdout.contains("- r"), "{stdout}");
}

#[test]
fn reweight_writes_what_check_accepts_and_diff_sees_the_least_move() {
    let shop = Shop::new();
    let features = json!({ "features": { "hero": { "defaultValue": "a", "rules": [
        { "key": "x", "hashVersion": 2, "variations": ["a", "b", "c"], "weights": [0.4, 0.3, 0.3] }] } } });
    let file = shop.rules().join("features.json");
    fs::write(&file, serde_json::to_string_pretty(&features).unwrap()).unwrap();
    shop.well(&["push", "rules", "--revision", "r1"]);
    let before = fs::read_to_string(&file).unwrap();
    let printed = shop.well(&["reweight", "rules/features.json", "x", "--weights", "0.2,0.3,0.5"]);
    assert!(printed.contains("warning: 20.00 % of visitors"), "{printed}");
    assert_eq!(fs::read_to_string(&file).unwrap(), before, "without --write the file stays");
    let json =
        shop.well(&["reweight", "rules/features.json", "x", "--weights", "0.2,0.3,0.5", "--write", "--format", "json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["least"], &json["moved"], &json["written"]), (&json!(0.2), &json!(0.2), &json!(true)), "{json}");
    let report: Value = serde_json::from_str(&shop.well(&["check", "rules", "--format", "json"])).unwrap();
    assert_eq!((&report["faults"], &report["warnings"]), (&json!(0), &json!(0)), "{report}");
    let (_, stdout, _) = shop.run(&["diff", "r1", "rules", "--format", "json"]);
    let report: Value = serde_json::from_str(&stdout).unwrap();
    let moved = report["features"][0]["visitors"][0]["changed"].as_f64().unwrap();
    assert!((moved - 0.2).abs() < 0.015, "{report:#}");
    shop.refused(&["reweight", "rules/features.json", "y", "--weights", "0.2,0.8"], 2, "there are x");
}

#[test]
fn purge_prints_keys_and_sends_nothing_unless_asked() {
    let shop = Shop::new();
    let (code, stdout, stderr) = shop.run(&["purge", "--route", "one", "--revision", "r42"]);
    assert_eq!((code, stdout.as_str()), (0, "revision-r42\nroute-one\n"), "{stderr}");
    assert!(stderr.contains("nothing was purged") && stderr.contains("route 'one' has no 'cache'"), "{stderr}");
    let json: Value = serde_json::from_str(&shop.well(&["purge", "--revision", "r42", "--format", "json"])).unwrap();
    assert_eq!(json, json!({ "surrogate_keys": ["revision-r42"], "soft": false, "sent": false }));
    shop.refused(&["purge"], 2, "expected something to purge");
    shop.refused(&["purge", "--route", "ones"], 2, "is it 'one'?");
    shop.refused(&["purge", "--route", "one", "--send"], 2, "--service");
    shop.refused(&["purge", "--variant", "region"], 2, "expected DIMENSION=VALUE");
}

#[test]
fn a_push_names_its_warnings_and_not_only_their_number() {
    let shop = Shop::new();
    let features = json!({ "features": { "f": { "defaultValue": 0, "rules": [
        { "key": "k", "variations": [0, 1], "hashVersion": 2, "weights": [0.5, 0.4] }] } } });
    fs::write(shop.rules().join("features.json"), features.to_string()).unwrap();
    let (code, _, stderr) = shop.run(&["push", "rules", "--revision", "r1"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(
        stderr.contains("features.json:1:") && stderr.contains("/features/f/rules/0/weights: expected"),
        "{stderr}"
    );
}

#[test]
fn settings_for_development_reach_fastly_by_force_alone() {
    let shop = Shop::new();
    fs::write(shop.rules().join("settings.json"), r#"{"region_override":"any"}"#).unwrap();
    shop.well(&["push", "rules", "--revision", "r1"]);
    let push = ["push", "rules", "--to", "fastly:STORE"];
    shop.refused(&push, 2, "settings/region_override: expected 'none' outside local development, but found 'any'");
    // Without a token it gets no further than the API.
    shop.refused(&[&push[..], &["--force"]].concat(), 2, "FASTLY_API_TOKEN");
}

#[test]
fn a_growthbook_payload_is_pinned_to_the_revision() {
    let shop = Shop::new();
    let own = json!({ "features": { "hero": { "defaultValue": "own" } } });
    fs::write(shop.rules().join("features.json"), own.to_string()).unwrap();
    fs::write(shop.rules().join("settings.json"), r#"{"languages":["en"],"growthbook":{"kv_key":"payload"}}"#).unwrap();
    let payload = |value: u32| {
        json!({ "status": 200,
            "features": { "hero": { "defaultValue": "theirs" }, "banner": { "defaultValue": value } },
            "experiments": [{ "key": "page", "variations": [{}, {}], "hashVersion": 2 }],
            "savedGroups": { "vip": ["a"] },
            "contextualBandits": { "cb": { "contexts": [] } } })
        .to_string()
    };
    fs::write(shop.rules().join("growthbook.json"), payload(1)).unwrap();
    let (code, _, stderr) = shop.run(&["push", "rules", "--revision", "r1", "--activate"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stderr.contains("growthbook.json: this GrowthBook payload becomes part of the revision"), "{stderr}");
    assert!(stderr.contains("settings.growthbook is left out"), "{stderr}");
    let entry = |name: &str| -> Value { serde_json::from_str(shop.store()[name].as_str().unwrap()).unwrap() };
    assert_eq!(
        entry("r1/features"),
        json!({ "features": { "hero": { "defaultValue": "own" }, "banner": { "defaultValue": 1 } },
            "contextualBandits": { "cb": { "contexts": [] } } })
    );
    assert_eq!(entry("r1/experiments")["experiments"][0]["key"], "page");
    assert_eq!(entry("r1/segments"), json!({ "segments": { "vip": ["a"] } }));
    assert_eq!(entry("r1/settings"), json!({ "languages": ["en"] }));

    // A newer payload is a difference, as any other change of the rules.
    assert!(shop.well(&["diff", "r1", "rules"]).contains("Nothing changes"));
    let newer = shop.folder.path().join("newer.json");
    fs::write(&newer, payload(2)).unwrap();
    let (code, stdout, stderr) = shop.run(&["diff", "r1", "rules", "--payload", &newer.display().to_string()]);
    assert!(code == 1 && stdout.contains("~ banner"), "{stdout}{stderr}");
}

#[test]
fn status_says_what_a_disabled_service_would_serve() {
    let shop = Shop::new();
    shop.well(&["push", "rules", "--revision", "r1", "--activate"]);
    shop.well(&["disable"]);
    let status = shop.well(&["status"]);
    assert!(status.contains("off: every request passes through; r1 serves once `enable` switches it on"), "{status}");
}

#[test]
fn a_place_that_does_not_exist_is_an_error_that_names_the_right_one() {
    let shop = Shop::new();
    let explain = |more: &[&str]| {
        [&["explain"], more, &["https://shop.example/"]]
            .concat()
            .iter()
            .map(|word| (*word).to_owned())
            .collect::<Vec<_>>()
    };
    for (more, expected) in [
        (
            &["--country", "Germany"][..],
            "--country: expected the code of a country (two letters, ISO 3166-1), but found 'Germany': did you mean DE?",
        ),
        (&["--continent", "Europe"], "--continent: expected one of AF, AN, AS, EU, NA, OC, SA, but found 'Europe'"),
        (&["--country", "US", "--subdivision", "California"], "but found 'California': did you mean CA (California)?"),
        (&["--subdivision", "CA"], "--subdivision: expected a country beside it"),
    ] {
        let words = explain(more);
        shop.refused(&words.iter().map(String::as_str).collect::<Vec<_>>(), 2, expected);
    }
    let words = explain(&["--country", "us", "--subdivision", "us-ca"]);
    let text = shop.well(&words.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(text.contains("country US, subdivision CA, continent NA"), "{text}");
}

#[test]
fn a_session_record_that_is_none_is_named() {
    let shop = Shop::new();
    let file = shop.folder.path().join("session.json");
    fs::write(&file, r#"{"cart":[]}"#).unwrap();
    let name = file.display().to_string();
    shop.refused(&["explain", "--session", &name, "https://shop.example/"], 2, "expected \"updated_at\"");
    fs::write(&file, r#"{"v":1,"updated_at":1795780800000,"cart":[{"sku":"a","quantity":1}]}"#).unwrap();
    shop.well(&["explain", "--session", &name, "https://shop.example/"]);
}

#[test]
fn a_session_decides_what_is_explained_with_it() {
    let shop = Shop::new();
    let rules = tempfile::tempdir().unwrap();
    let routes = r#"{"routes":[{"id":"cart","path":"/","when":{"session.cart_quantity":{"$gt":0}},
        "rewrite":{"set_query":{"sku":"{session.cart.0.sku}"}}},{"id":"plain","path":"/"}]}"#;
    fs::write(rules.path().join("routes.json"), routes).unwrap();
    let file = rules.path().join("session.txt");
    fs::write(&file, r#"{"v":1,"updated_at":1795780800000,"cart":[{"sku":"tea","quantity":2}]}"#).unwrap();
    let (rules, file) = (rules.path().display().to_string(), file.display().to_string());
    let person = [
        "explain",
        &rules,
        "https://shop.example/",
        "--user",
        "u1",
        "--country",
        "US",
        "--header",
        "User-Agent: Mozilla/5.0 Firefox/145.0",
    ];
    let without = shop.well(&person);
    assert!(without.contains("Route: plain") && without.contains("session: not asked"), "{without}");
    let with = shop.well(&[&person[..], &["--session", &file]].concat());
    assert!(with.contains("Route: cart") && with.contains("session: fresh") && with.contains("sku=tea"), "{with}");
}

#[test]
fn a_canary_that_steers_itself_ends_with_a_code_for_each_way() {
    let shop = Shop::new();
    shop.well(&["push", "rules", "--revision", "r1", "--activate"]);
    shop.route("two");
    shop.well(&["push", "rules", "--revision", "r2"]);
    shop.refused(&["canary", "r2"], 2, "--percent");
    shop.refused(&["canary", "r2", "--auto", "5%,4%", "--logs", "-"], 2, "expected shares that grow");
    let plan = shop.file().with_file_name("plan.json");
    fs::write(&plan, r#"{"steps":[{"percent":1,"tiem":"10m"}]}"#).unwrap();
    shop.refused(&["canary", "r2", "--auto", &plan.display().to_string(), "--logs", "-"], 2, "unknown field `tiem`");
    shop.refused(&["canary", "r2", "--auto", "5%,100%"], 2, "--logs");
    shop.refused(&["canary", "r2", "--auto", "5%,100%", "--logs", "none"], 2, "found nothing of that name");
    shop.refused(&["canary", "r3", "--auto", "5%,100%", "--logs", "-"], 2, "there are: r1, r2");
    // The stream ends before anything can be told: it holds.
    let auto = ["canary", "r2", "--auto", "5%,100%", "--logs", "-", "--promote"];
    let (code, stdout, _) = shop.run(&auto);
    assert_eq!((code, &shop.pointer()["canary"]["percent"]), (3, &json!(5.0)), "{stdout}");
    assert!(stdout.contains("held: the logs have ended: it stays at 5 %"), "{stdout}");
    // Started again it goes on, and writes nothing.
    let store = shop.store();
    let (code, stdout, _) = shop.run(&auto);
    assert_eq!((code, shop.store()), (3, store), "{stdout}");
    assert!(stdout.contains("resume"), "{stdout}");
    // Somebody ended it: a job that starts again leaves that.
    shop.well(&["rollback"]);
    shop.refused(&auto, 4, "ran `rollback`");
    shop.well(&["promote", "r2"]);
    shop.well(&auto);
}
