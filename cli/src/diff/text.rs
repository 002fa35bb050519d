//! A comparison, for people.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use owo_colors::OwoColorize as _;
use serde_json::Value;

use super::Report;
use super::change::Change;
use super::conditions::Facts;
use super::names::NamesDiff;
use super::regions::{Moved, RegionsDiff};
use super::routes::RoutesDiff;
use super::variations::{Presence, Shares, VariationsDiff};
use crate::countries::CONTINENTS;

/// Longest value in a line.
const WIDTH: usize = 96;
/// Most countries that are named one by one.
const MOST: usize = 12;

/// The report as lines. Writing to a String can't fail.
pub fn render(report: &Report) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "from {} to {}", report.a, report.b);
    for note in &report.notes {
        let _ = writeln!(text, "{} {note}", "note:".cyan().bold());
    }
    if report.equal {
        let _ = writeln!(text, "\nNothing changes for any visitor.");
        return text;
    }
    routes(&mut text, &report.routes);
    regions(&mut text, &report.regions);
    variations(&mut text, "Features", &report.features);
    variations(&mut text, "Experiments", &report.experiments);
    if !report.settings.is_empty() {
        title(&mut text, "Settings");
        changes(&mut text, "  ", &report.settings);
    }
    names(&mut text, "Templates", &report.templates);
    names(&mut text, "Segments", &report.segments);
    text
}

fn title(text: &mut String, name: &str) {
    let _ = writeln!(text, "\n{}", name.bold());
}

fn added(text: &mut String, line: &str) {
    let _ = writeln!(text, "  {} {line}", "+".green());
}

fn removed(text: &mut String, line: &str) {
    let _ = writeln!(text, "  {} {line}", "-".red());
}

fn changed(text: &mut String, line: &str) {
    let _ = writeln!(text, "  {} {line}", "~".yellow());
}

fn warning(text: &mut String, line: &str) {
    let _ = writeln!(text, "      {} {line}", "warning:".yellow().bold());
}

fn short(value: &Value) -> String {
    let text = if value.is_null() { "nothing".to_owned() } else { value.to_string() };
    if text.chars().count() <= WIDTH { text } else { text.chars().take(WIDTH).chain(['…']).collect() }
}

fn changes(text: &mut String, margin: &str, changes: &[Change]) {
    for Change { what, from, to } in changes {
        let _ = writeln!(text, "{margin}{what}: {} → {}", short(from), short(to));
    }
}

fn routes(text: &mut String, diff: &RoutesDiff) {
    if diff.is_empty() {
        return;
    }
    title(text, "Routes");
    let line = |route: &super::routes::RouteLine| {
        format!("{} {} ({})", route.id, route.path, route.action.as_str().unwrap_or("personalize"))
    };
    diff.added.iter().for_each(|route| added(text, &line(route)));
    diff.removed.iter().for_each(|route| removed(text, &line(route)));
    for route in &diff.changed {
        changed(text, &route.id);
        changes(text, "      ", &route.changes);
    }
    for (first, second) in &diff.order {
        changed(text, &format!("{first} is now tried before {second}"));
    }
}

fn regions(text: &mut String, diff: &RegionsDiff) {
    if diff.is_empty() {
        return;
    }
    title(text, "Regions");
    diff.added.iter().for_each(|id| added(text, id));
    diff.removed.iter().for_each(|id| removed(text, id));
    for region in &diff.changed {
        changed(text, &region.id);
        changes(text, "      ", &region.changes);
    }
    if diff.visitors.is_empty() {
        let _ = writeln!(text, "  No visitor who was tried is in another region.");
        return;
    }
    let _ = writeln!(text, "  Visitors in another region:");
    for moved in &diff.visitors {
        let name = |this: &edge_personalizer::rules::Region, other: &edge_personalizer::rules::Region| {
            if this.id == other.id { format!("{} ({})", this.id, this.slug) } else { this.id.clone() }
        };
        let (from, to) = (name(&moved.from, &moved.to), name(&moved.to, &moved.from));
        let _ = writeln!(text, "    {from} → {to}: {}", whom(moved));
    }
}

/// Whose visitors, in as few words as can be.
fn whom(moved: &Moved) -> String {
    let facts = facts(&moved.facts);
    let mut left: BTreeSet<&str> = moved.countries.iter().map(String::as_str).collect();
    let mut parts: Vec<String> = Vec::new();
    for (continent, countries) in CONTINENTS {
        let all: BTreeSet<&str> = countries.split_ascii_whitespace().collect();
        if all.is_subset(&left) {
            left.retain(|country| !all.contains(country));
            parts.push(format!("all of {continent}"));
        }
    }
    if parts.len() == CONTINENTS.len() {
        parts = vec!["every country".to_owned()];
    }
    let count = left.len();
    let mut named: Vec<&str> = left.into_iter().take(MOST).collect();
    let more = format!("and {} more countries", count.saturating_sub(MOST));
    if count > MOST {
        named.push(&more);
    }
    if !named.is_empty() {
        parts.push(named.join(" "));
    }
    let place = if parts.is_empty() { "who can't be located".to_owned() } else { parts.join(", ") };
    if facts.is_empty() { place } else { format!("{place}, where {facts}") }
}

fn facts(facts: &Facts) -> String {
    let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    facts.iter().map(|(name, value)| format!("{name} is {}", plain(value))).collect::<Vec<_>>().join(" and ")
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

fn variations(text: &mut String, name: &str, all: &[VariationsDiff]) {
    if all.is_empty() {
        return;
    }
    title(text, name);
    for diff in all {
        match diff.is {
            Presence::Added => added(text, &diff.key),
            Presence::Removed => removed(text, &diff.key),
            Presence::Changed => {
                let by = diff.by.as_ref().map(|by| format!(" (by {by})")).unwrap_or_default();
                changed(text, &format!("{}{by}", diff.key));
            }
        }
        changes(text, "      ", &diff.changes);
        diff.visitors.iter().for_each(|shares| visitors(text, shares, diff.visitors.len() > 1));
        diff.warnings.iter().for_each(|line| warning(text, line));
    }
}

fn visitors(text: &mut String, shares: &Shares, several: bool) {
    let who = match facts(&shares.facts) {
        facts if !facts.is_empty() => format!("visitors where {facts}"),
        _ if several => "other visitors".to_owned(),
        _ => "visitors".to_owned(),
    };
    let variations =
        [("go to another variation", shares.moved), ("leave the experiment", shares.left), ("join it", shares.joined)];
    let variations: Vec<String> = variations
        .iter()
        .filter(|(_, share)| *share > 0.0)
        .map(|(what, share)| format!("{} {what}", percent(*share)))
        .collect();
    let variations = if variations.is_empty() { String::new() } else { format!(" ({})", variations.join(", ")) };
    let _ = writeln!(text, "      {who}: {} get something else{variations}", percent(shares.changed));
    for transition in &shares.transitions {
        let _ = writeln!(text, "        {} → {}: {}", transition.from, transition.to, percent(transition.share));
    }
}

fn names(text: &mut String, name: &str, diff: &NamesDiff) {
    if diff.is_empty() {
        return;
    }
    title(text, name);
    diff.added.iter().for_each(|name| added(text, name));
    diff.removed.iter().for_each(|name| removed(text, name));
    diff.changed.iter().for_each(|name| changed(text, name));
}
