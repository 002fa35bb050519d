//! What a run found, in words and in `docs/CACHING.md`.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;
use time::OffsetDateTime;

use super::judge::Finding;
use super::visitors::Marked;
use super::{Leak, Outcome, Way};

/// The page, and the lines between which the figures stand.
const PAGE: &str = "docs/CACHING.md";
const BEGIN: &str = "<!-- figures of `cargo xtask leak` -->\n";
const END: &str = "<!-- end of figures -->\n";

/// A leak, and all that is needed to see it again: seed, rules, visitors.
pub fn describe<'v>(seed: u64, leak: &Leak, rules: &Value, visitors: impl Iterator<Item = &'v Marked>) -> String {
    let mut text = String::new();
    let way = if leak.way == Way::Direct { "of the service itself" } else { "of the Varnish below it" };
    let _ = writeln!(text, "visitor {} asked {way}: {}", leak.visitor, leak.asked);
    for finding in &leak.findings {
        let _ = match finding {
            Finding::Mark(owner) => writeln!(text, "the answer holds the mark of visitor {owner}"),
            Finding::Variant(what) => writeln!(text, "the answer isn't this visitor's: {what}"),
        };
    }
    let _ = writeln!(text, "\nas few visitors as leak as well:");
    for visitor in visitors {
        let place = visitor.place.address;
        let _ = writeln!(text, "  {} from {place} (below Varnish: nowhere)", visitor.number);
        for (name, value) in visitor.headers() {
            let _ = writeln!(text, "    {name}: {value}");
        }
    }
    let rules = serde_json::to_string_pretty(&reduced(rules, &leak.asked)).unwrap_or_default();
    let _ = writeln!(text, "\nthe rules, other routes left out:\n{rules}");
    let _ = writeln!(text, "\nagain: cargo xtask leak --seed {seed} --round {}", leak.round);
    text
}

/// The rules with the one route that a request meets.
fn reduced(rules: &Value, asked: &str) -> Value {
    let mut rules = rules.clone();
    if let Some(routes) = rules.pointer_mut("/routes/routes").and_then(Value::as_array_mut) {
        let meets = |route: &Value| {
            let path = route.get("path").and_then(Value::as_str).unwrap_or_default();
            asked.contains(path.split('{').next().unwrap_or_default())
        };
        routes.retain(meets);
    }
    rules
}

/// Writes the figures of a run into the repository's page about caches.
///
/// # Errors
///
/// The page can't be read or written, or has no place for them.
pub fn write(root: &Path, seed: u64, outcome: &Outcome) -> io::Result<PathBuf> {
    let page = root.join(PAGE);
    let text = fs::read_to_string(&page)?;
    let parts = text.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let (before, after) =
        parts.ok_or_else(|| io::Error::other(format!("expected the lines {BEGIN}and {END}in {PAGE}")))?;
    fs::write(&page, format!("{before}{BEGIN}{}{END}{after}", table(seed, outcome)))?;
    Ok(page)
}

fn table(seed: u64, outcome: &Outcome) -> String {
    let Outcome { rounds, direct, below, hits, seen, leaks, .. } = outcome;
    let today = OffsetDateTime::now_utc().date();
    let minutes = outcome.took.as_secs_f64() / 60.0;
    let responses = outcome.responses();
    format!(
        "\n| {today}, seed {seed:#x} | |\n| --- | --- |\n\
         | leaked ÷ answers | **{} ÷ {responses}** |\n\
         | answers of the service itself; through Varnish below it; of these from its cache | {direct}; {below}; {hits} |\n\
         | rule sets, visitors each | {rounds}, {} |\n\
         | requests to the origin with a cache key; keys; answered from the cache behind the edge | {}; {}; {} |\n\
         | one key for different requests; different keys for one | {}; {} |\n\
         | answers a second, minutes | {:.0}, {minutes:.1} |\n\n",
        leaks.len(),
        super::CROWD,
        seen.keyed,
        seen.keys,
        seen.stored,
        seen.collisions.len(),
        seen.splits.len(),
        outcome.rate(),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_leak_is_described_with_seed_rules_and_visitors() {
        let crowd = Marked::crowd(3, 1);
        let leak = Leak {
            round: 5,
            visitor: 1,
            way: Way::Below,
            asked: "GET /r2/a?run=6".to_owned(),
            findings: vec![Finding::Mark(2)],
        };
        let rules = json!({ "routes": { "routes": [{ "id": "r1", "path": "/r1/{name}" }, { "id": "r2", "path": "/r2/{name}" }] } });
        let text = describe(77, &leak, &rules, crowd.iter().skip(1));
        for part in ["--seed 77 --round 5", "mark of visitor 2", "mk01q-header", "mk02q-header", "\"r2\""] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
        assert!(!text.contains("\"r1\"") && !text.contains("mk00q"), "{text}");
    }
}
