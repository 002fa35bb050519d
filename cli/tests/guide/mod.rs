//! A guide in Markdown, read as far as its tests need it; and the program, run in a folder.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may stop at a surprise")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

/// The dictionaries, one file of rules each.
pub const DICTIONARIES: [&str; 7] =
    ["settings", "regions", "routes", "features", "experiments", "segments", "templates"];
/// A manifest with the backends that examples name.
pub const MANIFEST: &str = "[local_server.backends.origin]\nurl = \"http://127.0.0.1\"\n\
    [local_server.backends.session_api]\nurl = \"http://127.0.0.1\"\n";

/// A piece of a guide, in the order of the text.
#[derive(Debug, Clone)]
pub enum Piece {
    /// A heading's text.
    Heading(String),
    /// What a comment says of the table below it: `<!-- keys: settings.log -->`.
    Marker(String),
    /// A fenced block: the words after the fence, and its text.
    Block { info: String, text: String },
    /// A table: the cells of its head, and of each row.
    Table { head: Vec<String>, rows: Vec<Vec<String>> },
}

/// The text of a file of `docs/`.
pub fn text(name: &str) -> String {
    let path = repository().join("docs").join(name);
    std::fs::read_to_string(path).unwrap()
}

/// The repository's root.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// A folder as the repository is: its rules and its manifest.
pub fn workplace() -> TempDir {
    let folder = TempDir::new().unwrap();
    let root = repository();
    fs::create_dir(folder.path().join("rules")).unwrap();
    for entry in fs::read_dir(root.join("rules")).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_file() {
            fs::copy(entry.path(), folder.path().join("rules").join(entry.file_name())).unwrap();
        }
    }
    fs::copy(root.join("fastly.toml"), folder.path().join("fastly.toml")).unwrap();
    folder
}

/// Runs a block of a guide with the program on the path, and a target of rollouts.
pub fn shell(folder: &Path, target: &str, block: &str) -> Output {
    let program = Path::new(env!("CARGO_BIN_EXE_personalizer")).parent().unwrap().to_owned();
    let others = std::env::var_os("PATH").unwrap();
    let path = std::env::join_paths(std::iter::once(program).chain(std::env::split_paths(&others))).unwrap();
    let mut shell = Command::new("sh");
    shell.args(["-e", "-u", "-c", block]).current_dir(folder);
    shell.env("PATH", path).env("PERSONALIZER_TARGET", target).output().unwrap()
}

/// Takes a guide apart.
pub fn pieces(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some(info) = line.strip_prefix("```") {
            let block: Vec<&str> = lines.by_ref().take_while(|line| !line.starts_with("```")).collect();
            pieces.push(Piece::Block { info: info.to_owned(), text: block.join("\n") });
        } else if line.starts_with('#') {
            pieces.push(Piece::Heading(line.trim_start_matches('#').trim().to_owned()));
        } else if let Some(comment) = line.strip_prefix("<!-- ").and_then(|line| line.strip_suffix(" -->")) {
            pieces.push(Piece::Marker(comment.to_owned()));
        } else if line.starts_with('|') {
            let head = cells(line);
            let ruler = lines.next().unwrap();
            assert!(ruler.starts_with("| ---"), "expected a table's ruler, but found {ruler:?}");
            let mut rows = Vec::new();
            while let Some(row) = lines.next_if(|line| line.starts_with('|')) {
                rows.push(cells(row));
                assert_eq!(rows.last().unwrap().len(), head.len(), "{row}");
            }
            pieces.push(Piece::Table { head, rows });
        }
    }
    pieces
}

fn cells(line: &str) -> Vec<String> {
    let line = line.strip_prefix('|').unwrap().strip_suffix('|').unwrap();
    line.split('|').map(|cell| cell.trim().to_owned()).collect()
}

/// What stands in backticks.
pub fn code(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The words of a command line: quotes hold words together.
pub fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), String::new(), false);
    for character in line.chars() {
        match character {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.extend((!word.is_empty()).then(|| std::mem::take(&mut word))),
            other => word.push(other),
        }
    }
    words.extend((!word.is_empty()).then_some(word));
    words
}

/// Runs `personalizer`: exit code, standard output, standard error.
pub fn personalizer(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_personalizer")).args(arguments).current_dir(folder).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// What a column of a table says, taken from an explanation of a request to `host`.
pub fn explained(column: &str, explanation: &Value, host: &str) -> String {
    let plan = &explanation["plan"];
    let target =
        |asked: &Value| asked["url"].as_str().map_or("none", |url| url.strip_prefix(host).unwrap_or(url)).to_owned();
    match column {
        "region" => explanation["region"]["id"].as_str().unwrap().to_owned(),
        "route" => plan["route"].as_str().unwrap_or("none").to_owned(),
        "asks for" => target(&plan["asks"]),
        "falls back to" => target(&plan["falls_back_to"]),
        "answers" => {
            let answer = &plan["answers"];
            let headers = answer["headers"].as_array().unwrap();
            let location = headers.iter().find(|line| line[0] == "location").map(|line| &line[1]);
            format!("{} {}", answer["status"], location.unwrap_or(&answer["body"]).as_str().unwrap())
        }
        "shown" => {
            let shown = explanation["shown"].as_array().unwrap().iter();
            shown.map(|step| format!("{}={}", step["key"].as_str().unwrap(), step["value"].as_str().unwrap())).collect()
        }
        other => panic!("a column that nobody knows: {other}"),
    }
}
