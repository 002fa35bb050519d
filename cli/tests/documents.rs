//! The documents hold together: every link leads somewhere, every picture is there and described, every command and option that is
//! shown exists, and the examples of JSON are what the program reads and writes.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may stop at a surprise")]

mod guide;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use edge_personalizer::record::{ExposureLine, fields};
use guide::{Piece, personalizer, pieces};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

/// The README and every page of `docs/`.
fn pages() -> BTreeMap<PathBuf, String> {
    let root = guide::repository();
    let docs = fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let pages = docs.filter(|path| path.extension().is_some_and(|kind| kind == "md")).chain([root.join("README.md")]);
    pages.map(|path| (path.canonicalize().unwrap(), fs::read_to_string(path).unwrap())).collect()
}

/// A page without its blocks of code.
fn prose(text: &str) -> String {
    text.split("```").step_by(2).collect::<Vec<_>>().join("\n")
}

/// The name that GitHub gives to a heading.
fn anchor(heading: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    heading.to_lowercase().chars().filter(kept).map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn every_link_leads_somewhere_and_every_picture_is_described() {
    let pages = pages();
    let (mut wrong, mut links) = (Vec::new(), 0);
    for (path, text) in &pages {
        let text = prose(text);
        for (before, link) in text.split("](").zip(text.split("](").skip(1)) {
            let target = link.split(')').next().unwrap();
            links += 1;
            if target.starts_with("https://") {
                continue;
            }
            let (file, part) = target.split_once('#').map_or((target, None), |(file, part)| (file, Some(part)));
            let file = if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            let Ok(file) = file.canonicalize() else {
                wrong.push(format!("{}: no file {target}", path.display()));
                continue;
            };
            if let Some(part) = part {
                let there = pages[&file].lines().filter(|line| line.starts_with('#'));
                if !there.map(|line| anchor(line.trim_start_matches('#').trim())).any(|name| name == part) {
                    wrong.push(format!("{}: no heading {target}", path.display()));
                }
            }
            if let Some(alt) = before.rsplit_once("![").map(|(_, alt)| alt).filter(|alt| !alt.contains(']')) {
                let drawing = file.extension().is_some_and(|kind| kind == "svg");
                let described = !drawing || {
                    let svg = fs::read_to_string(&file).unwrap();
                    ["<title", "<desc"].iter().all(|part| svg.contains(part)) && !svg.contains("font-face")
                };
                if alt.len() < 15 || !described {
                    wrong.push(format!("{}: {target} says nothing to who can't see it", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(links > 60, "{links}: where have the links gone?");
}

/// The command lines of `personalizer` in a text: in blocks of code, and in backticks.
fn command_lines(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for (number, part) in text.split("```").enumerate() {
        if number % 2 == 1 {
            lines.extend(part.replace("\\\n", " ").lines().map(str::to_owned));
        } else {
            lines.extend(part.split('`').skip(1).step_by(2).map(|code| code.replace('\n', " ")));
        }
    }
    let commands = lines.iter().filter_map(|line| {
        let line =
            line.split(" #").next()?.trim_start_matches("$ ").replace("cargo run -p personalizer -- ", "personalizer ");
        let at = line.find("personalizer ").filter(|at| *at == 0 || line.contains("| personalizer "))?;
        let command = line.get(at..)?.rsplit("| personalizer ").next()?;
        Some(command.trim_start_matches("personalizer ").split('>').next()?.trim().to_owned())
    });
    commands.collect()
}

#[test]
fn every_command_and_option_that_is_shown_exists() {
    let folder = TempDir::new().unwrap();
    let help = |words: &[&str]| {
        let (exit, stdout, _) = personalizer(folder.path(), &[words, &["--help"]].concat());
        (exit == 0).then_some(stdout)
    };
    let (mut wrong, mut seen, mut helps) = (Vec::new(), BTreeSet::new(), BTreeMap::new());
    for (path, text) in pages() {
        for line in command_lines(&text) {
            let words = guide::words(&line);
            let Some(first) = words.first().filter(|word| !word.starts_with('-') && word.as_str() != "serve") else {
                continue;
            };
            let depth =
                if ["sessions", "privacy", "secrets"].contains(&first.as_str()) && words.len() > 1 { 2 } else { 1 };
            let command: Vec<&str> = words.iter().take(depth).map(String::as_str).collect();
            let text = helps.entry(command.join(" ")).or_insert_with(|| help(&command)).clone();
            let Some(text) = text else {
                wrong.push(format!("{}: no command {line}", path.display()));
                continue;
            };
            for option in words.iter().filter(|word| word.starts_with("--")) {
                let option = option.split('=').next().unwrap();
                if !text.split([' ', '\n', ',', '=', '[', '<']).any(|word| word == option) {
                    wrong.push(format!("{}: no option {option} in {line}", path.display()));
                }
                seen.insert(option.to_owned());
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(helps.len() > 15 && seen.len() > 15, "{:?} {seen:?}: where have the commands gone?", helps.keys());
}

/// The blocks of a page that are `json`, as they stand.
fn examples(page: &str) -> Vec<String> {
    let blocks = pieces(&guide::text(page)).into_iter().filter_map(|piece| match piece {
        Piece::Block { info, text } if info == "json" => Some(text),
        _ => None,
    });
    blocks.collect()
}

/// A folder with these files of rules.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().unwrap();
    fs::create_dir(folder.path().join("rules")).unwrap();
    fs::write(folder.path().join("fastly.toml"), guide::MANIFEST).unwrap();
    for (name, text) in files {
        fs::write(folder.path().join("rules").join(name), text).unwrap();
    }
    folder
}

#[test]
fn the_experiment_of_the_guide_passes_the_check_and_its_line_has_the_fields_that_are_logged() {
    let examples = examples("EXPERIMENTS.md");
    let [definition, line] = examples.as_slice() else { panic!("{examples:?}") };
    let route = r#"{ "routes": [{ "id": "home", "path": "/", "features": ["hero-line"] }] }"#;
    let folder = folder(&[("features.json", definition), ("routes.json", route)]);
    let (exit, stdout, stderr) = personalizer(folder.path(), &["check", "rules", "--deny-warnings"]);
    assert_eq!(exit, 0, "{stdout}{stderr}");
    let logged = ExposureLine {
        v: edge_personalizer::record::SCHEMA,
        timestamp: "",
        request_id: "",
        revision: None,
        experiment_id: "",
        variation_id: "",
        variation: 0,
        feature_id: None,
        unit_type: "",
        unit_id: String::new(),
        key: "",
        sticky: false,
        shown: true,
        fallback: None,
        attributes: Map::new(),
    };
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(keys(&serde_json::from_str(line).unwrap()), keys(&serde_json::to_value(logged).unwrap()));
}

#[test]
fn the_tables_of_fields_are_those_of_the_lines() {
    let page = guide::text("LOGS.md");
    for (endpoint, of) in fields::LINES {
        let (_, table) = page.split_once(&format!("<!-- fields: {endpoint} -->\n")).unwrap();
        let rows: String =
            table.lines().skip(2).take_while(|row| row.starts_with('|')).map(|row| format!("{row}\n")).collect();
        assert!(rows == fields::rows(of), "LOGS.md, {endpoint}: expected these rows\n{}", fields::rows(of));
    }
}

#[test]
fn the_tables_of_every_database_have_the_fields_of_the_lines() {
    let types = |dialect: &str, kind: fields::Kind| -> &[&str] {
        use fields::Kind::{Integer, List, Number, Object, Text, Time, Truth};
        match (dialect, kind) {
            ("clickhouse", Text) => &["String", "LowCardinality(String)"],
            ("clickhouse", Time) => &["DateTime64(6"],
            ("clickhouse", Integer) => {
                &["UInt8", "UInt16", "UInt32", "Nullable(UInt16)", "Nullable(UInt32)", "Nullable(UInt64)"]
            }
            ("clickhouse", Number) => &["Float64", "Nullable(Float64)"],
            ("clickhouse", Truth) => &["Bool"],
            ("clickhouse", List) => &["Array(LowCardinality(String))"],
            ("clickhouse", Object) => &["String"],
            ("duckdb", Text) => &["'VARCHAR'"],
            ("duckdb", Time) => &["'TIMESTAMP'"],
            ("duckdb", Integer) => &["'BIGINT'"],
            ("duckdb", Number) => &["'DOUBLE'"],
            ("duckdb", Truth) => &["'BOOLEAN'"],
            ("duckdb", List) => &["'VARCHAR[]'"],
            ("duckdb", Object) => &["'JSON'"],
            (_, Text) => &["STRING"],
            (_, Time) => &["TIMESTAMP"],
            (_, Integer) => &["INT64"],
            (_, Number) => &["FLOAT64"],
            (_, Truth) => &["BOOL"],
            (_, List) => &["ARRAY<STRING>"],
            (_, Object) => &["JSON"],
        }
    };
    for (dialect, begin) in [
        ("clickhouse", "CREATE TABLE IF NOT EXISTS "),
        ("duckdb", "CREATE OR REPLACE VIEW "),
        ("bigquery", "CREATE TABLE IF NOT EXISTS edge."),
    ] {
        let path = format!("{}/../sql/{dialect}/tables.sql", env!("CARGO_MANIFEST_DIR"));
        let tables = fs::read_to_string(&path).unwrap();
        for (endpoint, of) in fields::LINES {
            let (_, table) = tables.split_once(&format!("{begin}{endpoint}")).unwrap();
            let (table, _) = table.split_once(';').unwrap();
            // A column's line is indented, and begins with the name.
            let columns: Vec<(&str, &str)> = table
                .lines()
                .filter_map(|line| {
                    let mut words = line.strip_prefix("    ")?.split([' ', ',']).filter(|word| !word.is_empty());
                    let name = words.next()?.trim_end_matches(':');
                    of.iter()
                        .any(|field| field.name == name)
                        .then(|| (name, words.find(|word| *word != ":").unwrap_or_default()))
                })
                .collect();
            let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
            assert_eq!(names, of.iter().map(|field| field.name).collect::<Vec<_>>(), "{path}, {endpoint}");
            for ((name, column), field) in columns.iter().zip(*of) {
                let allowed = types(dialect, field.kind);
                assert!(
                    allowed.contains(column),
                    "{path}, {endpoint}.{name}: expected one of {allowed:?}, but found {column}"
                );
            }
        }
    }
}

#[test]
fn explain_takes_lines_of_both_versions_and_no_later_one() {
    let folder = folder(&[("routes.json", r#"{ "routes": [{ "id": "home", "path": "/" }] }"#)]);
    let explain = |more: Value| {
        let mut line =
            json!({ "time": "2026-11-27T12:00:00Z", "method": "GET", "path": "/", "country": "US", "route": "home" });
        line.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        fs::write(folder.path().join("line.json"), line.to_string()).unwrap();
        personalizer(folder.path(), &["explain", "rules", "--format", "json", "--trace-request", "line.json"])
    };
    let first = explain(json!({ "v": 1, "arm": "active" }));
    assert!(first.1.contains("\"route\": \"home\""), "{first:?}");
    assert_eq!(explain(json!({ "v": 2, "role": "active", "slot": 7, "sample": 0.5, "facts": {} })), first);
    let (exit, _, stderr) = explain(json!({ "v": 3 }));
    assert!(exit != 0 && stderr.contains("expected a line of version 1 to 2, but found version 3"), "{stderr}");
}

#[test]
fn the_record_of_the_guide_is_one_that_explain_takes() {
    let examples = examples("SESSIONS.md");
    let route = r#"{ "routes": [{ "id": "home", "path": "/", "when": { "session.attributes.tier": "gold", "session.cart_quantity": 2 } }] }"#;
    let folder = folder(&[("routes.json", route)]);
    fs::write(folder.path().join("session.json"), &examples[0]).unwrap();
    let arguments = [
        "explain",
        "rules",
        "--format",
        "json",
        "--country",
        "US",
        "--header",
        "User-Agent: Mozilla/5.0 Firefox/145.0",
        "--cookie",
        "ep_vid=00000000000000000000000000000001",
        "--session",
        "session.json",
        "--at",
        "2026-11-27T12:00:01Z",
        "https://shop.example/",
    ];
    let (exit, stdout, stderr) = personalizer(folder.path(), &arguments);
    assert_eq!(exit, 0, "{stderr}");
    let explanation: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(explanation["plan"]["route"], "home", "{stdout}");
}

/// The dependencies that the manifests of the repository name, but for its own packages.
fn dependencies() -> BTreeSet<String> {
    let (mut named, mut own, mut folders) = (BTreeSet::new(), BTreeSet::new(), vec![guide::repository()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let hidden = entry.file_name().to_string_lossy().starts_with('.') || entry.file_name() == "target";
            if entry.file_type().unwrap().is_dir() && !hidden {
                folders.push(entry.path());
            } else if entry.file_name() == "Cargo.toml" {
                let manifest: toml::Table = fs::read_to_string(entry.path()).unwrap().parse().unwrap();
                own.extend(manifest.get("package").map(|package| package["name"].as_str().unwrap().to_owned()));
                let targets =
                    manifest.get("target").and_then(toml::Value::as_table).into_iter().flat_map(toml::Table::values);
                for table in targets.filter_map(toml::Value::as_table).chain([&manifest]) {
                    for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
                        let listed = table.get(kind).and_then(toml::Value::as_table).into_iter().flatten();
                        named.extend(listed.map(|(name, how)| {
                            how.get("package").and_then(toml::Value::as_str).unwrap_or(name).to_owned()
                        }));
                    }
                }
            }
        }
    }
    &named - &own
}

#[test]
fn every_dependency_has_its_reason_and_no_reason_stands_without_one() {
    let table = pieces(&guide::text("DEPENDENCIES.md")).into_iter().find_map(|piece| match piece {
        Piece::Table { rows, .. } => Some(rows),
        _ => None,
    });
    let named: BTreeSet<String> = table.unwrap().iter().flat_map(|row| guide::code(&row[0])).collect();
    assert_eq!(named, dependencies());
}
