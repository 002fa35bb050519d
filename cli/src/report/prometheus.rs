//! The report as text for Prometheus (exposition format 0.0.4): for a textfile collector, after each run.
//!
//! Labels are places and names of the rules alone: never a path, an id or a cache key.

use std::fmt::Write as _;

use super::model::{Report, Slice};

/// The whole text.
pub fn text(report: &Report) -> String {
    let mut out = String::new();
    for (name, help, of) in TRAFFIC {
        family(&mut out, name, "gauge", help);
        for (label, slices) in [
            ("pop", &report.summary.pops),
            ("route", &report.summary.routes),
            ("revision", &report.summary.revisions),
            ("sandbox", &report.summary.cold),
        ] {
            for slice in slices {
                if let Some(value) = of(slice) {
                    sample(&mut out, name, &[("by", label), ("name", &slice.name)], value);
                }
            }
        }
    }
    family(&mut out, "edge_report_errors", "gauge", "Requests with an error code.");
    for row in &report.summary.codes {
        sample(&mut out, "edge_report_errors", &[("code", &row.code)], count(row.requests.max(row.lines)));
    }
    family(&mut out, "edge_report_lines", "gauge", "Lines that were read, by what became of them.");
    let read = &report.read;
    for (state, lines) in [
        ("read", read.lines),
        ("doubled", read.doubled),
        ("broken", read.broken),
        ("late", read.late),
        ("other", read.other),
    ] {
        sample(&mut out, "edge_report_lines", &[("state", state)], count(lines));
    }
    experiments(&mut out, report);
    out
}

type Figure = (&'static str, &'static str, fn(&Slice) -> Option<f64>);

const TRAFFIC: [Figure; 7] = [
    ("edge_report_requests", "Requests.", |slice| Some(count(slice.requests))),
    ("edge_report_failed", "Answers of a status of 500 and above.", |slice| Some(count(slice.failed))),
    ("edge_report_fallback", "Requests for which the fallback was taken.", |slice| Some(count(slice.fallback))),
    ("edge_report_cold", "Requests that were a sandbox's first.", |slice| Some(count(slice.cold))),
    ("edge_report_total_p99_seconds", "99th percentile to the answer's head.", |slice| Some(slice.total.p99? / 1000.0)),
    ("edge_report_own_p99_seconds", "The same without waiting for the backend.", |slice| Some(slice.own.p99? / 1000.0)),
    ("edge_report_vcpu_seconds_per_million", "vCPU seconds that a million requests cost.", |slice| {
        slice.vcpu_seconds_per_million
    }),
];

fn experiments(out: &mut String, report: &Report) {
    let labels = |id: &str, key: Option<&String>, more: &[(&'static str, String)]| {
        let mut labels = vec![("experiment", id.to_owned()), ("key", key.cloned().unwrap_or_default())];
        labels.extend(more.iter().cloned());
        labels
    };
    // One experiment may stand there for several phases of its rules.
    let phase = |index: usize| ("block", index.to_string());
    for (name, help) in [
        ("edge_report_units", "Units by their first exposure."),
        ("edge_report_srm_p", "p value of the sample ratio; below 0.001 nothing else counts."),
        ("edge_report_units_in_several", "Units that were seen in several variations."),
        ("edge_report_lift", "Relative difference from the first variation."),
        ("edge_report_lift_low", "Lower end of its 95 % confidence sequence."),
        ("edge_report_lift_high", "Upper end of it."),
        ("edge_report_verdict", "1 for the verdict that holds."),
    ] {
        family(out, name, "gauge", help);
        for (index, experiment) in report.experiments.iter().enumerate() {
            let own = |more: &[(&'static str, String)]| {
                labels(&experiment.id, experiment.key.as_ref(), &[&[phase(index)], more].concat())
            };
            match name {
                "edge_report_units" => {
                    for variation in &experiment.variations {
                        let labels = own(&[("variation", variation.id.clone())]);
                        sample(out, name, &borrowed(&labels), count(variation.units));
                    }
                }
                "edge_report_srm_p" => {
                    if let Some(p) = experiment.srm.p {
                        sample(out, name, &borrowed(&own(&[])), p);
                    }
                }
                "edge_report_units_in_several" => {
                    sample(out, name, &borrowed(&own(&[])), count(experiment.units_in_several));
                }
                _ => {
                    for row in &experiment.metrics {
                        let mut more = vec![("metric", row.name.clone()), ("variation", row.variation.clone())];
                        let value = match name {
                            "edge_report_lift" => row.lift,
                            "edge_report_lift_low" => row.sequence.map(|[low, _]| low),
                            "edge_report_lift_high" => row.sequence.map(|[_, high]| high),
                            _ => {
                                more.push(("verdict", row.verdict.as_str().to_owned()));
                                Some(1.0)
                            }
                        };
                        if let Some(value) = value {
                            sample(out, name, &borrowed(&own(&more)), value);
                        }
                    }
                }
            }
        }
    }
}

fn borrowed<'l>(labels: &'l [(&'static str, String)]) -> Vec<(&'l str, &'l str)> {
    labels.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

fn count(number: u64) -> f64 {
    number as f64
}

fn family(out: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

fn sample(out: &mut String, name: &str, labels: &[(&str, &str)], value: f64) {
    let labels: Vec<String> = labels
        .iter()
        .map(|(name, value)| {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            format!("{name}=\"{value}\"")
        })
        .collect();
    let _ = writeln!(out, "{name}{{{}}} {value}", labels.join(","));
}
