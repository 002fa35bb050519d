//! The result, for people.

use std::fmt::Write as _;

use edge_personalizer::attributes::{self, Kind};
use edge_personalizer::replay::Part;
use owo_colors::OwoColorize as _;
use serde_json::Value;

use super::model::{Change, Replay};

/// Changes and reasons that are shown; JSON has more.
const SHOWN: usize = 20;
/// Requests that are named of a change.
const NAMED: usize = 3;

/// The figures, then what changes, then what isn't known. `names`: the old rules are a revision, so that lines of others were left out.
pub fn render(replay: &Replay, names: bool) -> String {
    let mut text = String::new();
    // Writing to a String can't fail, here and below.
    let share = replay.changed_share.map_or("nothing is determined".to_owned(), |share| {
        format!("{:.2} % of what is determined changes", share * 100.0)
    });
    let _ = writeln!(text, "{}", format!("{} → {}: {share}", replay.from, replay.to).bold());
    let Replay { lines, changed, unchanged, undetermined, not_reproduced, apart, .. } = replay;
    let _ = writeln!(
        text,
        "  {lines} lines: {changed} changed, {unchanged} unchanged, {undetermined} undetermined, {not_reproduced} not reproduced"
    );
    let others = if names { "of other revisions" } else { "of requests that no rules served" };
    let _ = writeln!(
        text,
        "  left out: {} {others}, {} of previews, {} that came again, {} that can't be read",
        apart.other_revision, apart.preview, apart.doubled, apart.broken
    );
    for change in replay.changes.iter().take(SHOWN) {
        self::change(&mut text, change);
    }
    let hidden: u64 =
        replay.changes.iter().skip(SHOWN).map(|change| change.lines).sum::<u64>() + replay.changes_left_out;
    if hidden > 0 {
        let _ = writeln!(text, "\n{hidden} lines of further changes (--format json)");
    }
    unknown(&mut text, replay);
    if !replay.why_not.is_empty() {
        let _ = writeln!(text, "\n{}", "Not reproduced by the old rules".bold());
    }
    for why in replay.why_not.iter().take(SHOWN) {
        let _ = writeln!(text, "  {:>9}  {}", why.lines, why.why);
    }
    for (field, values) in &replay.by {
        let _ = writeln!(
            text,
            "\n{}\n  {:<24} {:>10} {:>10} {:>10} {:>12} {:>14}",
            format!("By {field}").bold(),
            field,
            "lines",
            "changed",
            "unchanged",
            "undetermined",
            "not reproduced"
        );
        let mut rows: Vec<_> = values.iter().collect();
        rows.sort_by_key(|(_, counts)| std::cmp::Reverse((counts.changed, counts.lines)));
        for (value, counts) in rows.into_iter().take(SHOWN) {
            let _ = writeln!(
                text,
                "  {value:<24} {:>10} {:>10} {:>10} {:>12} {:>14}",
                counts.lines, counts.changed, counts.unchanged, counts.undetermined, counts.not_reproduced
            );
        }
    }
    text
}

fn change(text: &mut String, change: &Change) {
    let route = change.route.as_deref().unwrap_or("no route");
    let _ = writeln!(text, "\n{:>9}  {}", change.lines, route.bold());
    let or_none = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".to_owned());
    let Part { route, region, features, path } = &change.from;
    for (what, from, to) in
        [("route", route, &change.to.route), ("region", region, &change.to.region), ("path", path, &change.to.path)]
    {
        if from.is_some() || to.is_some() {
            let _ = writeln!(text, "           {what}: {} → {}", or_none(from), or_none(to));
        }
    }
    for (key, to) in &change.to.features {
        let from = features.get(key).cloned().flatten();
        let _ = writeln!(text, "           {key}: {} → {}", or_none(&from), or_none(to));
    }
    let id = |example: &Value| Some(example.get("request_id")?.as_str()?.to_owned());
    let ids: Vec<String> = change.examples.iter().filter_map(id).take(NAMED).collect();
    let _ = writeln!(text, "           as in {}", ids.join(", "));
}

fn unknown(text: &mut String, replay: &Replay) {
    if replay.unknown.is_empty() {
        return;
    }
    let _ = writeln!(text, "\n{}", "Undetermined, for the lines don't say".bold());
    let mut names: Vec<_> = replay.unknown.iter().collect();
    names.sort_by_key(|(_, lines)| std::cmp::Reverse(**lines));
    for (name, lines) in &names {
        let _ = writeln!(text, "  {lines:>9}  {name}{}", advice(name));
    }
    let to_log: Vec<String> =
        names.iter().filter(|(name, _)| advice(name).is_empty()).map(|(name, _)| format!("\"{name}\"")).collect();
    if !to_log.is_empty() {
        let _ = writeln!(
            text,
            "  Log them from now on: \"log\": {{ \"facts\": [{}] }} in settings.json",
            to_log.join(", ")
        );
    }
}

/// What is to be said of an attribute that no line can have.
fn advice(name: &str) -> &'static str {
    match name {
        "path" => ": the line has it redacted or cut",
        "url" | "query" => ": no line has it; a shadow knows it",
        "settings.growthbook" => {
            ": the payload in the KV store isn't read here; push it with the rules, or use a shadow"
        }
        "X-Geo-Region" => ": settings.region_override lets clients choose their region",
        _ => match attributes::find(name) {
            Some(known) if known.identifies && known.kind != Kind::Truth && name != "segments" => {
                ": no line may have it; a shadow knows it"
            }
            _ => "",
        },
    }
}
