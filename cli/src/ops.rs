//! `personalizer ops`: alerts and dashboards for the systems that people have. All are made from one list (`list`).

pub mod list;

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use serde_json::{Value, json};

use crate::output::Outcome;
use list::{ALERTS, BY_PEOPLE, CHARTS, PANELS, WATCHES};

/// The four log endpoints.
const LOGS: [&str; 4] = ["decisions", "exposures", "conversions", "errors"];
/// Where an alert sends people.
const GUIDE: &str = "docs/ROLLOUT.md#at-three-in-the-morning";

/// Write alerts and dashboards: for Fastly itself, Prometheus, Grafana and Vector.
///
/// Prometheus' rules and Grafana's panels read what `personalizer report --format prometheus` writes. Run it each minute over the last
/// minutes of logs, for node_exporter's textfile collector.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  personalizer ops --to ops
  sh ops/fastly.sh SERVICE_ID                     # Fastly's own alerts and dashboard, by its CLI
  promtool check rules ops/prometheus.rules.yml

Each minute:
  personalizer report logs --from \"$(date -u -d '-10 minutes' +%FT%TZ)\" --format prometheus --out /var/lib/node_exporter/edge.prom

Exit codes: 0 the files were written, 2 they could not be.")]
pub struct Options {
    /// The folder for the files. It is made; files of these names are replaced.
    #[arg(long, value_name = "DIR", default_value = "ops")]
    to: PathBuf,
}

/// Writes the files.
pub fn run(options: &Options) -> anyhow::Result<Outcome> {
    fs::create_dir_all(&options.to).with_context(|| format!("{}: can't be made", options.to.display()))?;
    for (name, text) in files() {
        let path = options.to.join(name);
        fs::write(&path, text).with_context(|| format!("{}: can't be written", path.display()))?;
        anstream::println!("{}", path.display());
    }
    Ok(Outcome::Well)
}

/// Each file's name and text.
pub fn files() -> [(&'static str, String); 4] {
    [
        ("prometheus.rules.yml", prometheus()),
        ("grafana.json", grafana()),
        ("fastly.sh", fastly()),
        ("vector.yaml", vector()),
    ]
}

/// A text as YAML reads it: JSON's strings are YAML's (YAML 1.2, section 1.3).
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn prometheus() -> String {
    let mut out =
        "# Made by `personalizer ops`. Over the gauges of `personalizer report --format prometheus`.\ngroups:\n  \
                   - name: edge-personalizer\n    rules:\n"
            .to_owned();
    for alert in ALERTS {
        let _ = write!(
            out,
            "      - alert: {}\n        expr: {}\n        for: {}m\n        labels:\n          severity: {}\n        annotations:\n          \
             summary: {}\n          action: {}\n          symptom: {}\n          runbook: {GUIDE}\n",
            alert.name,
            quoted(alert.expr),
            alert.minutes,
            alert.severity.word(),
            quoted(alert.summary),
            quoted(alert.action),
            quoted(&alert.rows.join("; ")),
        );
    }
    for (row, why) in BY_PEOPLE {
        let _ = writeln!(out, "# No alert for \"{row}\": {why}.");
    }
    out
}

fn grafana() -> String {
    let panels: Vec<Value> = PANELS
        .iter()
        .enumerate()
        .map(|(index, panel)| {
            json!({
                "id": index + 1,
                "type": "timeseries",
                "title": panel.title,
                "datasource": { "type": "prometheus", "uid": "${datasource}" },
                "gridPos": { "h": 8, "w": 12, "x": index % 2 * 12, "y": index / 2 * 8 },
                "fieldConfig": { "defaults": { "unit": panel.unit, "min": 0 }, "overrides": [] },
                "targets": [{ "refId": "A", "expr": panel.expr, "legendFormat": panel.legend }],
            })
        })
        .collect();
    let dashboard = json!({
        "title": "edge-personalizer",
        "uid": "edge-personalizer",
        "tags": ["edge"],
        "schemaVersion": 39,
        "refresh": "1m",
        "time": { "from": "now-6h", "to": "now" },
        "timezone": "utc",
        // Which Prometheus is asked is chosen on the page: no name of ours has to exist there.
        "templating": { "list": [{ "name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus" }] },
        "annotations": { "list": [] },
        "panels": panels,
    });
    format!("{dashboard:#}\n")
}

fn fastly() -> String {
    let mut out = "#!/bin/sh\n# Made by `personalizer ops`: Fastly's own alerts and dashboard, by Fastly's CLI.\n# sh fastly.sh \
                   SERVICE_ID [INTEGRATION_ID]   (where alerts go: `fastly` shows integrations on its web page)\nset -eu\n\
                   service=\"${1:?expected the id of the service}\"\n\n"
        .to_owned();
    for watch in WATCHES {
        let _ = write!(
            out,
            "fastly service alert create --service-id=\"$service\" --source=stats --type=above_threshold --period=5m \\\n  --metric={} \
             --threshold={} --name={} \\\n  --description={} \\\n  ${{2:+--integrations=\"$2\"}}\n\n",
            watch.metric,
            watch.threshold,
            shell(watch.name),
            shell(watch.description),
        );
    }
    out.push_str(
        "dashboard=$(fastly dashboard create --name=edge-personalizer --json | sed -n 's/.*\"id\": *\"\\([^\"]*\\)\".*/\\1/p' | head -n 1)\n",
    );
    for (title, metric, format) in CHARTS {
        let _ = write!(
            out,
            "fastly dashboard item create --dashboard-id=\"$dashboard\" --title={} --subtitle={} \\\n  --source-type=stats.edge \
             --metric={metric} --plot-type=line --format={format}\n",
            shell(title),
            shell("edge-personalizer"),
        );
    }
    out
}

fn shell(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn vector() -> String {
    let mut out = "# Made by `personalizer ops`: lines from Fastly's HTTPS log endpoints to ClickHouse (sql/clickhouse/tables.sql).\n# Give \
                   each endpoint its own path: https://HOST:8688/decisions, …\n# Fastly asks HOST for /.well-known/fastly/logging/challenge first: what stands in front of Vector answers that.\nsources:\n  edge:\n    type: http_server\n    address: \
                   0.0.0.0:8688\n    decoding:\n      codec: json\n    framing:\n      method: newline_delimited\n    strict_path: false\n    \
                   path_key: endpoint\n    auth:\n      strategy: basic\n      username: ${EDGE_LOG_USER}\n      password: \
                   ${EDGE_LOG_PASSWORD}\ntransforms:\n  logs:\n    type: route\n    inputs: [edge]\n    route:\n"
        .to_owned();
    for log in LOGS {
        let _ = writeln!(out, "      {log}: {}", quoted(&format!(".endpoint == \"/{log}\"")));
    }
    out.push_str("sinks:\n");
    for log in LOGS {
        let _ = write!(
            out,
            "  {log}:\n    type: clickhouse\n    inputs: [logs.{log}]\n    endpoint: ${{CLICKHOUSE_URL}}\n    database: edge\n    table: \
             {log}\n    skip_unknown_fields: true\n    date_time_best_effort: true\n    auth:\n      strategy: basic\n      user: \
             ${{CLICKHOUSE_USER}}\n      password: ${{CLICKHOUSE_PASSWORD}}\n    compression: gzip\n    acknowledgements:\n      enabled: true\n",
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use edge_personalizer::code::Code;

    #[test]
    fn the_folder_ops_is_what_the_list_makes() {
        for (name, text) in files() {
            let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../ops").join(name);
            let found = fs::read_to_string(&path).unwrap_or_default();
            assert!(found == text, "{}: make it anew with `personalizer ops --to ops`", path.display());
        }
    }

    #[test]
    fn each_row_of_the_table_has_an_alert_or_a_reason() {
        let guide = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/ROLLOUT.md")).unwrap();
        let (_, table) = guide.split_once("| symptom | look for | do |").unwrap();
        let rows: Vec<&str> = table
            .lines()
            .skip(2)
            .take_while(|line| line.starts_with('|'))
            .map(|line| line.split('|').nth(1).unwrap().trim())
            .collect();
        assert!(rows.len() >= 8, "{rows:?}");
        let alerts: Vec<&str> = ALERTS.iter().flat_map(|alert| alert.rows).copied().collect();
        for row in &rows {
            let by_people = BY_PEOPLE.iter().any(|(by_people, _)| by_people == row);
            assert!(alerts.contains(row) != by_people, "{row}");
        }
        for row in alerts.iter().chain(BY_PEOPLE.iter().map(|(row, _)| row)) {
            assert!(rows.contains(row), "{row}: no such row");
        }
    }

    #[test]
    fn codes_and_gauges_of_alerts_exist() {
        let gauges = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/report/prometheus.rs")).unwrap();
        let exprs = ALERTS.iter().map(|alert| alert.expr).chain(PANELS.iter().map(|panel| panel.expr));
        for expr in exprs {
            for gauge in expr.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_') {
                assert!(!gauge.starts_with("edge_") || gauges.contains(&format!("\"{gauge}\"")), "{expr}: {gauge}");
            }
            let codes = expr.split("code=").skip(1).filter_map(|rest| rest.split('"').nth(1));
            for pattern in codes.flat_map(|codes| codes.split('|')) {
                let start = pattern.trim_end_matches(".*");
                assert!(
                    Code::ALL.iter().any(|code| code.as_str().starts_with(start)),
                    "{expr}: no code is like {pattern}"
                );
            }
        }
    }
}
