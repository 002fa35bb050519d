//! Traffic, as the report shows it: by POP, route, revision, hour.

use std::collections::BTreeMap;

use super::model::{CodeRow, Count, HourRow, Quantiles, Slice, Summary, TrafficRow};
use super::moment::{self, HOUR};
use super::names::{Name, Names};
use super::sketch::Sketch;
use super::traffic::{Group, Place, THOUSAND, Traffic};

/// Variants that are shown.
const MOST_VARIANTS: usize = 20;

/// Requests of thousandths.
fn whole(thousandths: u64) -> u64 {
    thousandths.saturating_add(THOUSAND / 2) / THOUSAND
}

fn rounded(milliseconds: f64) -> f64 {
    let scale = if milliseconds >= 100.0 { 10.0 } else { 1_000.0 };
    (milliseconds * scale).round() / scale
}

fn quantiles(sketch: &Sketch) -> Quantiles {
    let at = |q| sketch.quantile(q).map(rounded);
    Quantiles { p50: at(0.5), p95: at(0.95), p99: at(0.99) }
}

fn named(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// One row for each POP, route and revision.
pub fn rows(traffic: &Traffic, names: &Names) -> Vec<TrafficRow> {
    let mut groups: BTreeMap<(Name, Name, Name), (Group, u64)> = BTreeMap::new();
    for (place, group) in &traffic.groups {
        let (known, cold) = groups.entry((place.pop, place.route, place.revision)).or_default();
        known.merge(group);
        *cold += if place.cold { group.requests } else { 0 };
    }
    let mut rows: Vec<TrafficRow> = groups
        .into_iter()
        .map(|((pop, route, revision), (group, cold))| {
            let Quantiles { p50, p95, p99 } = quantiles(&group.total);
            TrafficRow {
                pop: names.text(pop).to_string(),
                route: named(&names.text(route)),
                revision: named(&names.text(revision)),
                requests: whole(group.requests),
                p50,
                p95,
                p99,
                cold: whole(cold),
                failed: whole(group.failed),
                fallback: whole(group.fallback),
            }
        })
        .collect();
    rows.sort_by(|a, b| (b.requests, &a.pop, &a.route, &a.revision).cmp(&(a.requests, &b.pop, &b.route, &b.revision)));
    rows
}

/// Everything else.
pub fn summary(traffic: &Traffic, names: &Names) -> Summary {
    let text = |name: Name, empty: &str| {
        let text = names.text(name).to_string();
        if text.is_empty() { empty.to_owned() } else { text }
    };
    let all = slices(traffic, &|_| "all".to_owned()).pop();
    Summary {
        all: all.unwrap_or_else(|| slice("all".to_owned(), &Group::default(), 0)),
        pops: slices(traffic, &|place| text(place.pop, "unknown")),
        routes: slices(traffic, &|place| text(place.route, "no route")),
        revisions: slices(traffic, &|place| text(place.revision, "bare names")),
        cold: slices(traffic, &|place| if place.cold { "cold" } else { "warm" }.to_owned()),
        hours: hours(traffic, names),
        codes: codes(traffic, names),
        sessions: counts(traffic.sessions.iter().map(|(name, count)| (names.text(*name).to_string(), *count))),
        variants: {
            let named = traffic.variants.iter().map(|(variant, count)| (variant_text(variant), *count));
            counts(named).into_iter().take(MOST_VARIANTS).collect()
        },
        shield: whole(traffic.shield),
    }
}

/// `{"hero":"1","region":"EU"}` as `hero=1, region=EU`.
fn variant_text(json: &str) -> String {
    match serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(json) {
        Ok(dimensions) => {
            let part = |(name, value): (&String, &serde_json::Value)| {
                format!("{name}={}", value.as_str().map_or_else(|| value.to_string(), str::to_owned))
            };
            dimensions.iter().map(part).collect::<Vec<_>>().join(", ")
        }
        Err(_) => json.to_owned(),
    }
}

fn slices(traffic: &Traffic, name: &dyn Fn(&Place) -> String) -> Vec<Slice> {
    let mut groups: BTreeMap<String, (Group, u64)> = BTreeMap::new();
    for (place, group) in &traffic.groups {
        let (known, cold) = groups.entry(name(place)).or_default();
        known.merge(group);
        *cold += if place.cold { group.requests } else { 0 };
    }
    let mut slices: Vec<Slice> = groups.into_iter().map(|(name, (group, cold))| slice(name, &group, cold)).collect();
    slices.sort_by(|a, b| (b.requests, &a.name).cmp(&(a.requests, &b.name)));
    slices
}

fn slice(name: String, group: &Group, cold: u64) -> Slice {
    // A millisecond a request is a thousand seconds a million.
    let vcpu = (group.metered > 0).then(|| (group.vcpu as f64 / group.metered as f64 * 1_000.0).round());
    Slice {
        name,
        requests: whole(group.requests),
        total: quantiles(&group.total),
        own: quantiles(&group.own),
        cold: whole(cold),
        failed: whole(group.failed),
        fallback: whole(group.fallback),
        vcpu_seconds_per_million: vcpu,
    }
}

fn hours(traffic: &Traffic, names: &Names) -> Vec<HourRow> {
    let mut hours: Vec<HourRow> = Vec::new();
    for (hour, found) in &traffic.hours {
        let codes = traffic.codes.iter().filter(|((_, at), _)| at == hour);
        hours.push(HourRow {
            hour: moment::second(hour.saturating_mul(HOUR)),
            requests: whole(found.requests),
            failed: whole(found.failed),
            fallback: whole(found.fallback),
            cold: whole(found.cold),
            codes: codes.map(|((code, _), count)| (names.text(*code).to_string(), whole(*count))).collect(),
        });
    }
    hours
}

fn codes(traffic: &Traffic, names: &Names) -> Vec<CodeRow> {
    let mut rows: BTreeMap<Name, CodeRow> = BTreeMap::new();
    let empty =
        |code: Name| CodeRow { code: names.text(code).to_string(), requests: 0, lines: 0, last: None, fault: None };
    for ((code, _), count) in &traffic.codes {
        rows.entry(*code).or_insert_with(|| empty(*code)).requests += count;
    }
    for (code, told) in &traffic.told {
        let row = rows.entry(*code).or_insert_with(|| empty(*code));
        row.lines = told.lines;
        row.last = Some(moment::second(told.last));
        row.fault.clone_from(&told.fault);
    }
    let mut rows: Vec<CodeRow> = rows.into_values().collect();
    for row in &mut rows {
        row.requests = whole(row.requests);
    }
    rows.sort_by(|a, b| (b.requests.max(b.lines), &a.code).cmp(&(a.requests.max(a.lines), &b.code)));
    rows
}

fn counts(named: impl Iterator<Item = (String, u64)>) -> Vec<Count> {
    let mut together: BTreeMap<String, u64> = BTreeMap::new();
    for (name, count) in named {
        *together.entry(name).or_default() += count;
    }
    let mut counts: Vec<Count> =
        together.into_iter().map(|(name, count)| Count { name, requests: whole(count) }).collect();
    counts.sort_by(|a, b| (b.requests, &a.name).cmp(&(a.requests, &b.name)));
    counts
}
