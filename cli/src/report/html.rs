//! The report as a page: one file, no script, nothing fetched. Light and dark as the reader has it; fit for paper, and for who can't see plots.

mod svg;
mod traffic;

use std::fmt::Write as _;

use super::model::{Experiment, MetricRow, Report, Verdict, WeightsFrom};
use super::verdict::percent;
use svg::{Plot, Series, escaped, number};

/// Rows of a table or plot; the JSON has all.
const MOST_ROWS: usize = 20;
const STYLE: &str = include_str!("html/style.css");

/// The whole page.
pub fn page(report: &Report) -> String {
    let mut body = String::new();
    head(&mut body, report);
    for (index, experiment) in report.experiments.iter().enumerate() {
        self::experiment(&mut body, experiment, index);
    }
    if report.summary.all.requests > 0 || !report.summary.codes.is_empty() {
        traffic::traffic(&mut body, report);
    }
    read(&mut body, report);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>What the edge did</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n{body}</main>\n</body>\n</html>\n"
    )
}

fn head(out: &mut String, report: &Report) {
    let span = match (&report.from, &report.to) {
        (Some(from), Some(to)) => format!("{} to {} (UTC)", moment(from), moment(to)),
        _ => "no lines".to_owned(),
    };
    let _ = writeln!(
        out,
        "<header><h1>What the edge did</h1><p>{span} · {} requests · {} experiment{}</p></header>",
        number(whole(report.summary.all.requests)),
        report.experiments.len(),
        if report.experiments.len() == 1 { "" } else { "s" }
    );
    if !report.warnings.is_empty() {
        let _ = writeln!(out, "<ul class=\"warnings\">{}</ul>", items(&report.warnings));
    }
    let rows: Vec<&MetricRow> = report.experiments.iter().flat_map(|experiment| &experiment.metrics).collect();
    if !rows.is_empty() {
        out.push_str("<section><h2>Verdicts</h2><ul class=\"verdicts\">");
        for experiment in &report.experiments {
            for row in &experiment.metrics {
                let _ = write!(
                    out,
                    "<li>{} <b>{}</b>: {}</li>",
                    badge(row.verdict),
                    escaped(&experiment.id),
                    escaped(&row.why)
                );
            }
        }
        out.push_str("</ul></section>\n");
    }
}

/// A time without its seconds.
fn moment(text: &str) -> String {
    escaped(&text.get(..16).unwrap_or(text).replace('T', " "))
}

fn badge(verdict: Verdict) -> String {
    let word = verdict.as_str();
    format!("<span class=\"badge v-{word}\">{word}</span>")
}

fn items(texts: &[String]) -> String {
    texts.iter().map(|text| format!("<li>{}</li>", escaped(text))).collect()
}

fn whole(count: u64) -> f64 {
    count as f64
}

fn experiment(out: &mut String, experiment: &Experiment, index: usize) {
    let key = experiment.key.as_ref().map_or_else(|| "lines of version 1".to_owned(), |key| format!("log key {key}"));
    let revisions = if experiment.revisions.is_empty() {
        String::new()
    } else {
        format!(" · revisions {}", experiment.revisions.join(", "))
    };
    let _ = writeln!(
        out,
        "<section><h2>Experiment {}</h2><p>by {} · {} · {} to {}{}</p>",
        escaped(&experiment.id),
        escaped(&experiment.unit_type),
        escaped(&key),
        moment(&experiment.from),
        moment(&experiment.to),
        escaped(&revisions)
    );
    if !experiment.warnings.is_empty() {
        let _ = writeln!(out, "<ul class=\"warnings\">{}</ul>", items(&experiment.warnings));
    }
    if !experiment.metrics.is_empty() {
        metrics(out, experiment, index);
    }
    let total: u64 = experiment.variations.iter().map(|variation| variation.units).sum();
    let rows = experiment.variations.iter().map(|variation| {
        let share = |part: u64, of: u64| percent(whole(part) / whole(of.max(1))).trim_start_matches('+').to_owned();
        let reasons: Vec<String> =
            variation.reasons.iter().take(3).map(|reason| format!("{} ({})", reason.name, reason.requests)).collect();
        vec![
            variation.id.clone(),
            number(whole(variation.units)),
            share(variation.units, total),
            percent(variation.weight).trim_start_matches('+').to_owned(),
            number(whole(variation.shown)),
            format!("{} ({})", number(whole(variation.fallback)), share(variation.fallback, variation.units)),
            reasons.join(", "),
        ]
    });
    let head = ["variation", "units", "share", "weight", "shown", "fell back", "why"];
    table(out, "Units by their first exposure", &head, rows);
    let srm = match experiment.srm.p {
        Some(p) if experiment.srm.flagged => format!("Sample ratio: off (p = {p:.1e})."),
        Some(p) => format!("Sample ratio: as the weights say (p = {p:.3})."),
        None => "Sample ratio: too few units to test.".to_owned(),
    };
    let from = if experiment.srm.weights == WeightsFrom::Rules {
        "The weights are the rules'."
    } else {
        "The weights are assumed equal."
    };
    let _ = writeln!(
        out,
        "<p>{srm} {from} {} units were seen in several variations.</p>",
        number(whole(experiment.units_in_several))
    );
    if !experiment.srm.by.is_empty() {
        let rows = experiment.srm.by.iter().take(MOST_ROWS).map(|part| {
            let units: Vec<String> = part.units.iter().map(|units| number(whole(*units))).collect();
            vec![part.dimension.clone(), part.value.clone(), units.join(" / "), format!("{:.1e}", part.p)]
        });
        table(out, "Where the ratio is off", &["by", "value", "units", "p"], rows);
    }
    days(out, experiment, index);
    out.push_str("</section>\n");
}

fn metrics(out: &mut String, experiment: &Experiment, index: usize) {
    let drawn: Vec<(String, f64, [f64; 2], &str)> = experiment
        .metrics
        .iter()
        .filter_map(|row| {
            let interval = row.fixed.or(row.sequence)?;
            Some((format!("{}, {}", row.name, row.variation), row.lift?, interval, row.verdict.as_str()))
        })
        .collect();
    if !drawn.is_empty() {
        let description: Vec<String> = experiment.metrics.iter().map(|row| row.why.clone()).collect();
        let plot = Plot {
            id: &format!("lift{index}"),
            title: "Lift against the first variation, with its 95 % interval",
            description: &description.join(". "),
        };
        out.push_str(&plot.lifts(&drawn));
    }
    let interval = |interval: Option<[f64; 2]>| {
        interval.map_or_else(|| "–".to_owned(), |[low, high]| format!("{} to {}", percent(low), percent(high)))
    };
    let rows = experiment.metrics.iter().map(|row| {
        vec![
            row.name.clone(),
            row.variation.clone(),
            row.verdict.as_str().to_owned(),
            format!("{} / {}", number(whole(row.did[0])), number(whole(row.did[1]))),
            mean(row.baseline),
            mean(row.mean),
            row.lift.map_or_else(|| "–".to_owned(), percent),
            interval(row.sequence),
            interval(row.fixed),
            row.days_left.map_or_else(|| "–".to_owned(), |days| format!("{days:.0}")),
        ]
    });
    let head = [
        "metric",
        "variation",
        "verdict",
        "did it",
        "baseline",
        "mean",
        "lift",
        "sequence",
        "at the horizon",
        "days to tell",
    ];
    table(out, "Metrics", &head, rows);
}

fn mean(value: f64) -> String {
    if value.abs() >= 100.0 { number(value) } else { format!("{value:.4}") }
}

fn days(out: &mut String, experiment: &Experiment, index: usize) {
    let labels: Vec<String> = experiment.days.iter().map(|day| day.day.clone()).collect();
    let series: Vec<Series> = experiment
        .variations
        .iter()
        .enumerate()
        .map(|(at, variation)| {
            let mut sum = 0.0;
            let values = experiment.days.iter().map(|day| {
                sum += whole(day.units.get(at).copied().unwrap_or_default());
                sum
            });
            Series { name: variation.id.clone(), values: values.collect() }
        })
        .collect();
    let ends: Vec<String> = experiment
        .variations
        .iter()
        .map(|variation| format!("variation {} {}", variation.id, number(whole(variation.units))))
        .collect();
    let plot = Plot {
        id: &format!("units{index}"),
        title: "Units so far, by day of their first exposure",
        description: &format!("At the end: {}.", ends.join(", ")),
    };
    out.push_str(&plot.lines(&labels, &series));
}

/// A table; the first cell of a row is its name.
fn table(out: &mut String, title: &str, head: &[&str], rows: impl Iterator<Item = Vec<String>>) {
    let _ = write!(out, "<div class=\"wide\"><table><caption>{}</caption><thead><tr>", escaped(title));
    for name in head {
        let _ = write!(out, "<th scope=\"col\">{}</th>", escaped(name));
    }
    out.push_str("</tr></thead><tbody>");
    for row in rows {
        out.push_str("<tr>");
        for (index, cell) in row.iter().enumerate() {
            let cell = escaped(cell);
            let _ =
                if index == 0 { write!(out, "<th scope=\"row\">{cell}</th>") } else { write!(out, "<td>{cell}</td>") };
        }
        out.push_str("</tr>");
    }
    out.push_str("</tbody></table></div>\n");
}

fn read(out: &mut String, report: &Report) {
    let read = &report.read;
    let rows = [
        ("lines", read.lines),
        ("bytes, unpacked", read.bytes),
        ("lines that came again, and don't count", read.doubled),
        ("lines that can't be read", read.broken),
        ("lines more than an hour late, which count", read.late),
        ("lines of other programs", read.other),
        ("lines outside of the time asked for", read.outside),
        ("events that came again under their id, and don't count", read.repeated),
        ("second lines of requests that came by a shield", report.summary.shield),
    ];
    out.push_str("<section><h2>What was read</h2>\n");
    table(
        out,
        "Lines",
        &["what", "how many"],
        rows.into_iter().map(|(name, count)| vec![name.to_owned(), number(whole(count))]),
    );
    out.push_str("</section>\n");
}
