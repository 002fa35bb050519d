//! Host calls live in one room: nothing outside `src/platform` names the SDK.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at a surprise")]

use std::path::{Path, PathBuf};

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

#[test]
fn a_host_call_stands_in_the_platform_room_only() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    sources(&root, &mut found);
    assert!(found.len() > 20, "the walk finds the sources");
    let mut outside = Vec::new();
    for path in found {
        let inside = path.strip_prefix(&root).unwrap();
        // `main.rs` hands the sandbox to the SDK's loop, and does nothing else.
        if inside.starts_with("platform") || inside == Path::new("main.rs") {
            continue;
        }
        for (number, line) in std::fs::read_to_string(&path).unwrap().lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            let names_host = [
                "fastly::",
                "use fastly",
                "log_fastly",
                "getrandom",
                "SystemTime",
                "Instant::now",
                "std::fs",
                "std::net::Tcp",
            ]
            .iter()
            .any(|name| code.contains(name) && !code.contains("platform::fastly"));
            if names_host {
                outside.push(format!("{}:{}: {}", inside.display(), number + 1, line.trim()));
            }
        }
    }
    assert!(outside.is_empty(), "host calls outside src/platform:\n{}", outside.join("\n"));
}
