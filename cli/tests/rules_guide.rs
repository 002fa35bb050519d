//! `docs/RULES.md` says what the program does: each example is checked, each stated result asked for, each table compared.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may stop at a surprise")]

mod guide;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use edge_personalizer::attributes::{self, Kind};
use edge_personalizer::condition::{self, Condition, Groups};
use edge_personalizer::rules::path::Pattern;
use edge_personalizer::rules::pointer::Pointer;
use edge_personalizer::rules::settings::attributes::OwnAttributes;
use edge_personalizer::rules::template::{Place, Placeholder, Template, Values};
use edge_personalizer::wire::path::normal_form;
use guide::{DICTIONARIES, MANIFEST, Piece, code, explained, personalizer, pieces, words};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The host of every request in the guide.
const HOST: &str = "https://shop.example";

fn guide() -> Vec<Piece> {
    pieces(&guide::text("RULES.md"))
}

/// The dictionary that an example is, or is a part of; `None` for a block that is no example.
fn dictionary(info: &str, text: &str) -> Option<(String, Value)> {
    let name = info.strip_prefix("json ")?;
    let json: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in\n{text}"));
    Some(match name {
        "route" => ("routes".to_owned(), json!({ "routes": [json] })),
        "condition" => ("routes".to_owned(), json!({ "routes": [{ "id": "a", "path": "/", "when": json }] })),
        name => (name.to_owned(), json),
    })
}

/// Every example, with the tables that follow it up to the next.
fn examples(pieces: &[Piece]) -> Vec<(String, Value, Vec<Piece>)> {
    let mut examples: Vec<(String, Value, Vec<Piece>)> = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Block { info, text } => {
                examples.extend(dictionary(info, text).map(|(name, json)| (name, json, Vec::new())));
            }
            Piece::Table { .. } => {
                if let Some((_, _, tables)) = examples.last_mut() {
                    tables.push(piece.clone());
                }
            }
            Piece::Heading(_) | Piece::Marker(_) => {}
        }
    }
    examples
}

/// A folder with one example, the first of every other dictionary beside it. Templates and the routes that use them go together, or
/// they would be named as unused.
fn folder(examples: &[(String, Value, Vec<Piece>)], name: &str, json: &Value) -> TempDir {
    let folder = TempDir::new().unwrap();
    let rules = folder.path().join("rules");
    fs::create_dir(&rules).unwrap();
    fs::write(folder.path().join("fastly.toml"), MANIFEST).unwrap();
    let uses_templates = |json: &Value| json.to_string().contains("\"template\":");
    let with_templates = name == "templates" || uses_templates(json);
    for dictionary in DICTIONARIES {
        let mut known = examples.iter().filter(|(known, _, _)| known == dictionary).map(|(_, json, _)| json);
        let other = match dictionary {
            "templates" if !with_templates => None,
            "routes" if name == "templates" => known.find(|json| uses_templates(json)),
            _ => known.next(),
        };
        let mut text = if dictionary == name { Some(json) } else { other }.cloned().unwrap_or_else(|| json!({}));
        if let ("routes", Some(declared)) = (dictionary, json["attributes"].as_object().filter(|_| name == "settings"))
        {
            // An attribute that nothing reads would be named as unused.
            let query: Value = declared.keys().map(|name| (name.clone(), json!(format!("{{{name}}}")))).collect();
            let reader = json!({ "id": "reader", "path": "/reader", "rewrite": { "set_query": query } });
            text["routes"].as_array_mut().unwrap().push(reader);
        }
        let text = text.to_string();
        fs::write(rules.join(format!("{dictionary}.json")), text).unwrap();
    }
    folder
}

#[test]
fn every_example_passes_the_check_without_a_warning() {
    let examples = examples(&guide());
    let mut checked = BTreeMap::new();
    for (name, json, _) in &examples {
        if name == "active" {
            let mut faults = Vec::new();
            let read = Pointer::read("active", &json.to_string(), &mut faults);
            assert!(read.is_some() && faults.is_empty(), "{json}: {faults:?}");
        } else {
            let folder = folder(&examples, name, json);
            let (exit, stdout, stderr) = personalizer(folder.path(), &["check", "rules", "--deny-warnings"]);
            assert_eq!(exit, 0, "{name} {json}\n{stdout}{stderr}");
        }
        *checked.entry(name.as_str()).or_insert(0) += 1;
    }
    println!("examples checked: {checked:?}");
    let missing: Vec<&str> = DICTIONARIES.into_iter().chain(["active"]).filter(|n| !checked.contains_key(n)).collect();
    assert!(missing.is_empty(), "no example of {missing:?}");
}

#[test]
fn every_stated_result_is_what_explain_says() {
    let examples = examples(&guide());
    let mut asked = 0;
    for (name, json, tables) in &examples {
        let folder = folder(&examples, name, json);
        for table in tables {
            let Piece::Table { head, rows } = table else { continue };
            if head[0] != "request" {
                continue;
            }
            for row in rows {
                let explanation = explain(&folder, &code(&row[0])[0]);
                for (column, cell) in head.iter().zip(row).skip(1) {
                    let expected = code(cell).first().cloned().unwrap_or_else(|| cell.clone());
                    assert_eq!(explained(column, &explanation, HOST), expected, "{} of {}", column, row[0]);
                    asked += 1;
                }
            }
        }
    }
    println!("{asked} stated results hold");
    assert!(asked > 20, "{asked}: where have the tables gone?");
}

fn explain(folder: &TempDir, request: &str) -> Value {
    let mut words = words(request);
    let path = words.pop().unwrap();
    words.extend([format!("{HOST}{path}"), "--format".to_owned(), "json".to_owned()]);
    let arguments: Vec<&str> = ["explain", "rules"].into_iter().chain(words.iter().map(String::as_str)).collect();
    let (exit, stdout, stderr) = personalizer(folder.path(), &arguments);
    assert_eq!(exit, 0, "{request}: {stderr}");
    serde_json::from_str(&stdout).unwrap()
}

/// The rows of the table whose first head cell is `name`.
fn table(name: &str) -> Vec<Vec<String>> {
    let rows = guide().into_iter().find_map(|piece| match piece {
        Piece::Table { head, rows } if head[0] == name => Some(rows),
        _ => None,
    });
    rows.unwrap_or_else(|| panic!("no table of {name}"))
}

#[test]
fn every_operator_does_what_its_row_says() {
    let mut groups = Groups::default();
    groups.add_missing(&json!({ "nordics": ["SE", "NO", "DK", "FI", "IS"] }));
    let mut named = BTreeSet::new();
    for row in table("operator") {
        named.extend(code(&row[0]));
        let condition: Value = serde_json::from_str(&code(&row[1])[0]).unwrap();
        assert_eq!(condition::lint(&condition, Some(&groups)), [], "{row:?}");
        let compiled = Condition::compile(&condition).unwrap();
        for (cell, expected) in [(&row[2], true), (&row[3], false)] {
            let attributes: Value = serde_json::from_str(&code(cell)[0]).unwrap();
            assert_eq!(compiled.matches(&attributes, &groups), expected, "{condition} for {attributes}");
        }
    }
    let known = ["condition/operator.rs", "condition/lint.rs", "condition/compile.rs"].map(source).join("\n");
    let known: BTreeSet<String> = known.split('"').filter(|text| is_operator(text)).map(str::to_owned).collect();
    assert!(known.len() > 25, "{known:?}: where have the operators gone?");
    assert_eq!(named, known);
}

fn is_operator(text: &str) -> bool {
    text.strip_prefix('$').is_some_and(|name| name.len() > 1 && name.bytes().all(|byte| byte.is_ascii_alphabetic()))
}

fn source(file: &str) -> String {
    fs::read_to_string(guide::repository().join("growthbook/src").join(file)).unwrap()
}

#[test]
fn every_pattern_matches_what_its_row_says() {
    for row in table("pattern") {
        let pattern = Pattern::compile(&code(&row[0])[0]).unwrap();
        for (cell, expected) in [(&row[1], true), (&row[2], false)] {
            for path in code(cell) {
                assert_eq!(pattern.captures(&normal_form(&path)).is_some(), expected, "{} of {path}", row[0]);
            }
        }
    }
}

struct Fixed(String);

impl Values for Fixed {
    fn value(&self, _: &Placeholder) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(&self.0))
    }
}

#[test]
fn every_value_is_encoded_as_its_row_says() {
    let template = Template::compile("{country}", &OwnAttributes::default()).unwrap();
    let rows = table("where");
    assert_eq!(rows.len(), 6);
    for row in rows {
        let place = match row[0].as_str() {
            "path" => Place::Path,
            "query" => Place::Query,
            "header" => Place::Header,
            "body, JSON" => Place::Json,
            "body, HTML" => Place::Html,
            "body, plain text" => Place::Text,
            other => panic!("a place that nobody knows: {other}"),
        };
        let filled = template.fill(&Fixed(code(&row[1])[0].clone()), place).unwrap();
        assert_eq!(filled, code(&row[2])[0], "{row:?}");
    }
}

#[test]
fn every_placeholder_has_its_row_and_every_row_a_placeholder() {
    let named: Vec<String> = table("placeholder").iter().flat_map(|row| code(&row[0])).collect();
    let declared = json!({ "customerGroup": { "cookie": "customer_group" } });
    let own = OwnAttributes::compile(declared.as_object().unwrap(), &mut Vec::new());
    for placeholder in &named {
        Template::compile(placeholder, &own).unwrap();
    }
    let kinds: BTreeSet<&str> =
        named.iter().map(|name| name.trim_start_matches('{').split(['.', '}']).next().unwrap()).collect();
    // The compiler's own list, which it gives to who misspells one.
    let message = Template::compile("{?}", &own).unwrap_err();
    let listed = message.strip_prefix("expected ").unwrap().split(", but").next().unwrap().replace(" or ", ", ");
    let known = listed.split(", ").map(|name| match name {
        "an attribute of settings.attributes" => "customerGroup",
        name => name.split('.').next().unwrap(),
    });
    assert_eq!(kinds, known.collect());
}

#[test]
fn every_attribute_has_its_row_with_type_values_and_whether_it_identifies() {
    let mut named = Vec::new();
    for row in table("attribute") {
        for name in code(&row[0]) {
            let known = attributes::find(&name).unwrap_or_else(|| panic!("{name}: an attribute that nobody has"));
            let kind = match known.kind {
                Kind::Text => "text",
                Kind::Number => "number",
                Kind::Truth => "true/false",
                Kind::List => "list",
                Kind::Object => "object",
            };
            assert_eq!(row[1], kind, "{name}");
            assert_eq!(row[2].starts_with("**Identifies.**"), known.identifies, "{name}");
            let values = code(&row[2]);
            assert!(
                known.values.iter().all(|value| values.iter().any(|said| said == value)),
                "{name}: {:?}",
                known.values
            );
            named.push(name);
        }
    }
    assert_eq!(named, attributes::TABLE.map(|attribute| attribute.name));
    // And the context gives each.
    let source = fs::read_to_string(guide::repository().join("src/context.rs")).unwrap();
    let arms = source.split("impl Attributes for Context").nth(1).unwrap().split('"').collect::<Vec<_>>();
    let read = arms.windows(2).filter(|pair| pair[1].starts_with(" =>")).map(|pair| pair[0].to_owned());
    assert_eq!(read.collect::<BTreeSet<_>>(), named.into_iter().collect());
}
