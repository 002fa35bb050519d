//! The order of the house: a module imports only what stands below it, and host calls live in one room, `src/host`, which is
//! plugged in from outside.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at a surprise")]

use std::path::{Path, PathBuf};

/// The modules of `src`, the lowest first. Each may import those before it, and itself.
const LAYERS: [&str; 20] = [
    "platform",
    "code",
    "wire",
    "attributes",
    "mac",
    "json_place",
    "json_words",
    "condition",
    "growthbook",
    "transform",
    "rules",
    "admit",
    "session",
    "replication",
    "context",
    "decide",
    "plan",
    "fetch",
    "respond",
    "record",
];
/// Above them all.
const TOP: [&str; 3] = ["replay", "explain", "service"];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Every source below `src`: its path there, and its text.
fn house() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    sources(&root, &mut found);
    assert!(found.len() > 20, "the walk finds the sources");
    found.sort();
    found
        .iter()
        .map(|path| (path.strip_prefix(&root).unwrap().to_owned(), std::fs::read_to_string(path).unwrap()))
        .collect()
}

/// The module that a file belongs to: `rules` for `rules/route.rs` and `rules.rs`.
fn module(file: &Path) -> String {
    let first = file.components().next().unwrap().as_os_str().to_str().unwrap();
    first.strip_suffix(".rs").unwrap_or(first).to_owned()
}

/// The lines without comments.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(index, line)| (index + 1, line.split("//").next().unwrap_or_default()))
}

/// The modules of this crate that a source names, each with its line: `crate::rules::…`, and each member of `crate::{rules::…,
/// wire}`.
fn imports(text: &str) -> Vec<(usize, String)> {
    let mut code_only = String::new();
    for (_, line) in code(text) {
        code_only.push_str(line);
        code_only.push('\n');
    }
    let mut found = Vec::new();
    for (at, name) in code_only.match_indices("crate::") {
        // `$crate::` and `some_crate::` are no import of ours.
        let before = code_only[..at].chars().next_back();
        if before.is_some_and(|letter| letter.is_alphanumeric() || matches!(letter, '_' | '$')) {
            continue;
        }
        let line = code_only[..at].matches('\n').count() + 1;
        let rest = &code_only[at + name.len()..];
        let named = |text: &str| {
            let word: String = text.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect();
            (!word.is_empty()).then_some((line, word))
        };
        match rest.strip_prefix('{') {
            Some(group) => found.extend(members(group).iter().filter_map(|member| named(member))),
            None => found.extend(named(rest)),
        }
    }
    found
}

/// The members of a group whose opening brace is gone.
fn members(group: &str) -> Vec<String> {
    let mut members = vec![String::new()];
    let mut depth = 0;
    for letter in group.chars() {
        match letter {
            '}' if depth == 0 => break,
            ',' if depth == 0 => members.push(String::new()),
            _ => {
                depth += i32::from(letter == '{') - i32::from(letter == '}');
                members.last_mut().unwrap().push(letter);
            }
        }
    }
    members.into_iter().map(|member| member.trim().to_owned()).collect()
}

#[test]
fn imports_are_found_in_every_form() {
    let text = "use crate::a::B;\nuse crate::{\n    b::{C, d::E},\n    c,\n};\nfn f() -> crate::d::G { $crate::no(); other_crate::no() }\n// crate::no";
    let found: Vec<_> = imports(text).into_iter().map(|(line, name)| format!("{line} {name}")).collect();
    assert_eq!(found, ["1 a", "2 b", "2 c", "6 d"]);
}

#[test]
fn a_module_imports_only_what_stands_below_it() {
    let place = |name: &str| LAYERS.iter().chain(&TOP).position(|layer| *layer == name);
    let mut up = Vec::new();
    for (file, text) in house() {
        let from = module(&file);
        // The service's entry and its host stand outside; `lib.rs` lists the modules.
        if ["main", "host", "lib"].contains(&from.as_str()) {
            continue;
        }
        let own = place(&from).unwrap_or_else(|| panic!("{}: '{from}' has no place in the table", file.display()));
        // Tests of a module may look at the whole house.
        let product = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        if file.components().any(|part| part.as_os_str() == "tests" || part.as_os_str() == "tests.rs") {
            continue;
        }
        for (line, to) in imports(product) {
            // A macro or an item of the crate's root.
            let Some(theirs) = place(&to) else { continue };
            if theirs > own {
                up.push(format!("{}:{line}: {from} → {to}", file.display()));
            }
        }
    }
    assert!(up.is_empty(), "imports that run up:\n{}", up.join("\n"));
}

#[test]
fn a_host_call_stands_in_the_hosts_room_only() {
    const HOST: [&str; 8] =
        ["fastly::", "use fastly", "log_fastly", "getrandom", "SystemTime", "Instant::now", "std::fs", "std::net::Tcp"];
    let mut outside = Vec::new();
    for (file, text) in house() {
        // `main.rs` hands the sandbox to the SDK's loop, and does nothing else.
        if ["host", "main"].contains(&module(&file).as_str()) {
            continue;
        }
        for (number, line) in code(&text) {
            if HOST.iter().any(|name| line.contains(name)) {
                outside.push(format!("{}:{number}: {}", file.display(), line.trim()));
            }
        }
    }
    assert!(outside.is_empty(), "host calls outside src/host:\n{}", outside.join("\n"));
}
