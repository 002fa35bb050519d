//! `docs/COOKBOOK.md` works: each recipe's dictionaries pass the check, and each of its visitors gets what the recipe states, by
//! `personalizer explain` and, where a recipe states a page or a log line, by the service itself.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may stop at a surprise")]

mod guide;

use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;

use edge_personalizer::platform::memory::{Memory, MemoryBody};
use edge_personalizer::platform::{ClientRequest, Endpoint, Geo, Kv, KvValue};
use edge_personalizer::service::{Sandbox, handle};
use guide::{DICTIONARIES, Piece, code, explained, pieces, words};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde_json::Value;
use tempfile::TempDir;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

const RECIPES: usize = 10;
const HOST: &str = "https://shop.example";
/// Where the visitors of a recipe are.
const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

/// A recipe: what stands below one numbered heading.
#[derive(Debug, Default)]
struct Recipe {
    title: String,
    dictionaries: BTreeMap<String, String>,
    /// The record that `--session session.json` stands for.
    session: Option<String>,
    /// The page that the origin has.
    origin: Option<String>,
    tables: Vec<(Vec<String>, Vec<Vec<String>>)>,
    /// The text's last sentences say what the visitor gets.
    promises: bool,
}

fn recipes() -> Vec<Recipe> {
    let text = guide::text("COOKBOOK.md");
    let mut recipes: Vec<Recipe> = Vec::new();
    for part in text.split("\n## ").skip(1) {
        let mut recipe = Recipe { title: part.lines().next().unwrap().to_owned(), ..Recipe::default() };
        recipe.promises = part.contains("\nYou want: ") && part.contains("\nThe visitor gets: ");
        for piece in pieces(part) {
            match piece {
                Piece::Block { info, text } if info == "json session" => recipe.session = Some(text),
                Piece::Block { info, text } if info == "html origin" => recipe.origin = Some(text),
                Piece::Block { info, text } => {
                    let name = info.strip_prefix("json ").unwrap_or_else(|| panic!("{}: {info}", recipe.title));
                    assert!(DICTIONARIES.contains(&name), "{}: {name}", recipe.title);
                    assert!(recipe.dictionaries.insert(name.to_owned(), text).is_none(), "{}: {name} twice", recipe.title);
                }
                Piece::Table { head, rows } => recipe.tables.push((head, rows)),
                Piece::Heading(_) | Piece::Marker(_) => {}
            }
        }
        recipes.push(recipe);
    }
    recipes
}

/// The recipe as a reader has it after copying.
fn folder(recipe: &Recipe) -> TempDir {
    let folder = TempDir::new().unwrap();
    fs::create_dir(folder.path().join("rules")).unwrap();
    fs::write(folder.path().join("fastly.toml"), guide::MANIFEST).unwrap();
    for (name, text) in &recipe.dictionaries {
        fs::write(folder.path().join("rules").join(format!("{name}.json")), text).unwrap();
    }
    if let Some(session) = &recipe.session {
        fs::write(folder.path().join("session.json"), session).unwrap();
    }
    folder
}

#[test]
fn there_are_ten_recipes_and_each_says_what_it_is_for_and_what_the_visitor_gets() {
    let recipes = recipes();
    assert_eq!(recipes.len(), RECIPES);
    for (number, recipe) in (1..).zip(&recipes) {
        assert!(recipe.title.starts_with(&format!("{number}. ")), "{}", recipe.title);
        assert!(recipe.promises && !recipe.tables.is_empty(), "{}", recipe.title);
        assert!(recipe.dictionaries.contains_key("routes"), "{}", recipe.title);
    }
}

#[test]
fn every_recipe_passes_the_check_without_a_warning() {
    for recipe in recipes() {
        let (exit, stdout, stderr) = guide::personalizer(folder(&recipe).path(), &["check", "rules", "--deny-warnings"]);
        assert_eq!(exit, 0, "{}\n{stdout}{stderr}", recipe.title);
    }
}

#[test]
fn every_visitor_gets_what_the_recipe_states() {
    let mut stated = 0;
    for recipe in recipes() {
        let folder = folder(&recipe);
        for (head, rows) in &recipe.tables {
            assert_eq!(head[0], "request", "{}", recipe.title);
            for row in rows {
                let words = words(&code(&row[0])[0]);
                let arguments = ["explain", "rules", "--format", "json"].into_iter().chain(words.iter().map(String::as_str));
                let (exit, stdout, stderr) = guide::personalizer(folder.path(), &arguments.collect::<Vec<_>>());
                assert_eq!(exit, 0, "{}: {}\n{stderr}", recipe.title, row[0]);
                let explanation: Value = serde_json::from_str(&stdout).unwrap();
                for (column, cell) in head.iter().zip(row).skip(1) {
                    let expected = code(cell).first().cloned().unwrap_or_else(|| cell.clone());
                    match column.as_str() {
                        "the page has" => {
                            let page = served(&recipe, &words).0;
                            assert!(page.contains(&expected), "{}: {}\n{page}", recipe.title, row[0]);
                        }
                        "counts" => assert_eq!(served(&recipe, &words).1, expected, "{}: {}", recipe.title, row[0]),
                        column => {
                            let found = explained(column, &explanation, HOST);
                            assert_eq!(found, expected, "{}: {column} of {}", recipe.title, row[0]);
                        }
                    }
                    stated += 1;
                }
            }
        }
    }
    println!("{stated} outcomes as stated");
    assert!(stated > 35, "{stated}: where have the tables gone?");
}

/// What the service itself answers to a described visitor, and the exposure that it logs.
fn served(recipe: &Recipe, words: &[String]) -> (String, String) {
    let page = recipe.origin.clone().unwrap_or_else(|| "<html><head></head><body></body></html>".to_owned());
    let host = Memory::with_origin(move |_| {
        let headers = HeaderMap::from_iter([(http::header::CONTENT_TYPE, HeaderValue::from_static("text/html"))]);
        Ok((StatusCode::OK, headers, page.clone().into_bytes()))
    });
    host.secrets.borrow_mut().insert("identity".to_owned(), b"a secret of thirty-two bytes or so".to_vec());
    for (name, text) in &recipe.dictionaries {
        host.set(name, &serde_json::from_str(text).unwrap());
    }
    let (mut headers, mut cookies, mut geo) = (HeaderMap::new(), Vec::new(), Geo::default());
    let mut target = None;
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let Some(option) = word.strip_prefix("--") else {
            target = Some(word.strip_prefix(HOST).unwrap().to_owned());
            continue;
        };
        let value = words.next().unwrap().as_str();
        match option {
            "country" => geo.country = Some(value.to_owned()),
            "cookie" => cookies.push(value),
            "at" => host.clock.set(Some(OffsetDateTime::parse(value, &Rfc3339).unwrap())),
            "session" => {
                let record = recipe.session.as_ref().unwrap();
                for number in [1, 3] {
                    let value = KvValue { bytes: record.clone().into_bytes(), generation: 1 };
                    host.kv.borrow_mut().insert((Kv::Sessions, format!("visitor/{number:032x}")), value);
                }
            }
            "header" => {
                let (name, value) = value.split_once(": ").unwrap();
                headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
            }
            other => panic!("{}: an option that this test doesn't know: --{other}", recipe.title),
        }
    }
    if !cookies.is_empty() {
        headers.insert(http::header::COOKIE, HeaderValue::from_str(&cookies.join("; ")).unwrap());
    }
    host.geo.borrow_mut().insert(ADDRESS, geo);
    let target = target.unwrap();
    let (path, query) = target.split_once('?').map_or((target.as_str(), None), |(path, query)| (path, Some(query)));
    let request = ClientRequest {
        method: Method::GET,
        scheme: "https".to_owned(),
        authority: "shop.example".to_owned(),
        path: path.to_owned(),
        query: query.map(str::to_owned),
        headers,
        address: Some(ADDRESS),
        body: MemoryBody::default(),
    };
    handle(&host, &mut Sandbox::default(), request);
    let page = String::from_utf8(host.received.borrow()[0].body.clone()).unwrap();
    let exposures = host.lines_of(Endpoint::Exposures);
    let exposure = exposures.first().map_or("nothing".to_owned(), |line| {
        assert_eq!(line["shown"], true, "{line}");
        format!("{} {}", line["experiment_id"].as_str().unwrap(), line["variation"])
    });
    (page, exposure)
}
