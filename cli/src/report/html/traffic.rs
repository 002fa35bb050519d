//! The page's part on traffic.

use std::fmt::Write as _;

use super::super::model::{HourRow, Quantiles, Report, Slice};
use super::super::verdict::percent;
use super::svg::{Plot, Series, milliseconds, number};
use super::{MOST_ROWS, moment, table, whole};

/// Hours from which on plots show days.
const MOST_HOURS: usize = 96;
/// Error codes that have a colour of their own.
const MOST_CODES: usize = 5;

/// Figures, plots and tables.
pub fn traffic(out: &mut String, report: &Report) {
    let summary = &report.summary;
    let all = &summary.all;
    out.push_str("<section><h2>Traffic</h2>\n<dl class=\"figures\">");
    let share = |part: u64| percent(whole(part) / whole(all.requests.max(1))).trim_start_matches('+').to_owned();
    let time = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |value| format!("{} ms", milliseconds(value)));
    for (name, value) in [
        ("requests", number(whole(all.requests))),
        ("median to the answer's head", time(all.total.p50)),
        ("99th percentile", time(all.total.p99)),
        ("the edge's own median", time(all.own.p50)),
        ("the edge's own 99th percentile", time(all.own.p99)),
        ("cold starts", share(all.cold)),
        ("failed (5xx)", share(all.failed)),
        ("fell back", share(all.fallback)),
    ] {
        let _ = write!(out, "<div><dt>{name}</dt><dd>{value}</dd></div>");
    }
    out.push_str("</dl>\n");
    over_time(out, &summary.hours);
    speed(out, &summary.routes);
    slices(out, "By route", "route", &summary.routes);
    slices(out, "By POP", "POP", &summary.pops);
    slices(out, "By revision", "revision", &summary.revisions);
    slices(out, "Cold starts and the others", "sandbox", &summary.cold);
    if !summary.codes.is_empty() {
        let rows = summary.codes.iter().take(MOST_ROWS).map(|row| {
            vec![
                row.code.clone(),
                number(whole(row.requests)),
                number(whole(row.lines)),
                row.last.as_deref().map(moment).unwrap_or_default(),
                row.fault.clone().unwrap_or_default(),
            ]
        });
        table(out, "Error codes", &["code", "requests", "lines of errors", "last", "the rule"], rows);
    }
    for (title, name, counts) in
        [("Sessions", "state", &summary.sessions), ("The busiest variants", "variant", &summary.variants)]
    {
        if !counts.is_empty() {
            let rows = counts
                .iter()
                .take(MOST_ROWS)
                .map(|count| vec![count.name.clone(), number(whole(count.requests)), share(count.requests)]);
            table(out, title, &[name, "requests", "share"], rows);
        }
    }
    out.push_str("</section>\n");
}

/// Hours, or days where there are many.
fn buckets(hours: &[HourRow]) -> Vec<(String, Vec<&HourRow>)> {
    let length = if hours.len() > MOST_HOURS { 10 } else { 13 };
    let mut buckets: Vec<(String, Vec<&HourRow>)> = Vec::new();
    for hour in hours {
        let mut label = hour.hour.get(..length).unwrap_or(&hour.hour).replace('T', " ");
        if length == 13 {
            label.push('h');
        }
        match buckets.last_mut().filter(|(known, _)| *known == label) {
            Some((_, rows)) => rows.push(hour),
            None => buckets.push((label, vec![hour])),
        }
    }
    buckets
}

fn over_time(out: &mut String, hours: &[HourRow]) {
    if hours.is_empty() {
        return;
    }
    let buckets = buckets(hours);
    let labels: Vec<String> = buckets.iter().map(|(label, _)| label.clone()).collect();
    let series = |name: &str, of: &dyn Fn(&HourRow) -> u64| Series {
        name: name.to_owned(),
        values: buckets.iter().map(|(_, rows)| whole(rows.iter().map(|row| of(row)).sum())).collect(),
    };
    let most = buckets.iter().map(|(label, rows)| (rows.iter().map(|row| row.requests).sum::<u64>(), label)).max();
    let most =
        most.map(|(count, label)| format!("The most were {} in {label}.", number(whole(count)))).unwrap_or_default();
    let requests = [
        series("as planned", &|row| row.requests.saturating_sub(row.failed).saturating_sub(row.fallback)),
        series("failed", &|row| row.failed),
        series("fell back", &|row| row.fallback),
    ];
    out.push_str(&Plot { id: "requests", title: "Requests over time", description: &most }.columns(&labels, &requests));
    let mut totals: std::collections::BTreeMap<&str, u64> = std::collections::BTreeMap::new();
    for (code, count) in hours.iter().flat_map(|hour| &hour.codes) {
        *totals.entry(code).or_default() += count;
    }
    if totals.is_empty() {
        return;
    }
    let mut totals: Vec<(&str, u64)> = totals.into_iter().collect();
    totals.sort_by_key(|(code, count)| (std::cmp::Reverse(*count), *code));
    let codes: Vec<Series> = totals
        .iter()
        .take(MOST_CODES)
        .map(|(code, _)| series(code, &|row| row.codes.get(*code).copied().unwrap_or_default()))
        .collect();
    let description: Vec<String> =
        totals.iter().map(|(code, count)| format!("{code} in {} requests", number(whole(*count)))).collect();
    let plot = Plot { id: "codes", title: "Error codes over time", description: &description.join(", ") };
    out.push_str(&plot.columns(&labels, &codes));
}

fn speed(out: &mut String, routes: &[Slice]) {
    let three = |times: Quantiles| Some([times.p50?, times.p95?, times.p99?]);
    for (id, title, of) in [
        (
            "total",
            "Time to the answer's head, by route",
            &(|slice: &Slice| slice.total) as &dyn Fn(&Slice) -> Quantiles,
        ),
        ("own", "The edge's own share of it: without waiting for the backend", &|slice: &Slice| slice.own),
    ] {
        let rows: Vec<(String, [f64; 3])> =
            routes.iter().take(MOST_ROWS).filter_map(|slice| Some((slice.name.clone(), three(of(slice))?))).collect();
        if rows.is_empty() {
            continue;
        }
        let description: Vec<String> = rows
            .iter()
            .map(|(name, [p50, p95, p99])| {
                format!("{name}: {}, {} and {} ms", milliseconds(*p50), milliseconds(*p95), milliseconds(*p99))
            })
            .collect();
        let description = format!("Median, 95th and 99th percentile. {}", description.join("; "));
        out.push_str(&Plot { id, title, description: &description }.ranges(&rows));
    }
}

fn slices(out: &mut String, title: &str, name: &str, slices: &[Slice]) {
    let time = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), milliseconds);
    let rows = slices.iter().take(MOST_ROWS).map(|slice| {
        let share = |part: u64| percent(whole(part) / whole(slice.requests.max(1))).trim_start_matches('+').to_owned();
        vec![
            slice.name.clone(),
            number(whole(slice.requests)),
            time(slice.total.p50),
            time(slice.total.p95),
            time(slice.total.p99),
            time(slice.own.p50),
            time(slice.own.p99),
            share(slice.cold),
            share(slice.failed),
            share(slice.fallback),
            slice.vcpu_seconds_per_million.map_or_else(|| "–".to_owned(), number),
        ]
    });
    let head = [
        name,
        "requests",
        "p50 ms",
        "p95 ms",
        "p99 ms",
        "own p50",
        "own p99",
        "cold",
        "failed",
        "fell back",
        "vCPU s per million",
    ];
    let title = if slices.len() > MOST_ROWS {
        format!("{title}: the first {MOST_ROWS} of {}", slices.len())
    } else {
        title.to_owned()
    };
    table(out, &title, &head, rows);
}
