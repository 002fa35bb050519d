//! Each alert of ops/ rings when its fault happens, and none in a healthy week: the local edge makes the lines, `personalizer report` the
//! figures, and Prometheus' own `promtool` decides. `cargo xtask test --only alerts` gets that; without it nothing is tested here, and the
//! test says so.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at a surprise"
)]

mod edge;

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use edge::Edge;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Names the program.
const VARIABLE: &str = "PERSONALIZER_PROMTOOL";
const RULES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../ops/prometheus.rules.yml");
/// Requests of a fault: more than the least that an alert wants to see.
const REQUESTS: usize = 60;

/// Prometheus' program, or a word that it isn't there.
fn promtool() -> Option<PathBuf> {
    let program = env::var_os(VARIABLE).map(PathBuf::from);
    if program.is_none() {
        eprintln!("NOT TESTED: {VARIABLE} names no promtool: cargo xtask test --only alerts");
    }
    program
}

/// A site on a free port, for as long as the test runs: `/error` fails, `/gone` isn't available, `/slow` takes its time.
fn origin() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || answer(&stream));
        }
    });
    url
}

/// Answers one request of a connection, and closes it.
fn answer(mut stream: &TcpStream) {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let first = lines.next().unwrap_or_default();
    if lines.find(|line| line.is_empty()).is_none() {
        return;
    }
    let status = match first.split(' ').nth(1) {
        Some("/error") => "500 Internal Server Error",
        Some("/gone") => "503 Service Unavailable",
        _ => "200 OK",
    };
    if first.contains("/slow") {
        std::thread::sleep(Duration::from_millis(2_300));
    }
    let _ = write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: text/html\r\nContent-Length: 8\r\nConnection: close\r\n\r\n<p>x</p>"
    );
}

/// What happens, and the alerts that ring.
struct Fault {
    rules: Value,
    /// What each visitor asks for.
    requests: &'static [&'static str],
    alerts: &'static [&'static str],
}

fn faults() -> Vec<Fault> {
    let home = json!({ "routes": [{ "id": "home", "path": "/" }] });
    let fault = |rules, requests, alerts| Fault { rules, requests, alerts };
    let all = json!({ "routes": [{ "id": "all", "path": "/*" }] });
    vec![
        fault(json!({ "routes": all }), &["GET /error"], &["EdgeErrors"]),
        fault(json!({ "routes": home }), &["GET /elsewhere"], &["EdgeUnpersonalized"]),
        fault(json!({ "routes": home, "settings": { "log": { "sample": 2 } } }), &["GET /"], &["EdgeRuleFault"]),
        fault(
            json!({ "routes": { "routes": [{ "id": "home", "path": "/", "rewrite": { "path": "/gone" } }] } }),
            &["GET /"],
            &["EdgeFallback"],
        ),
        fault(
            json!({ "routes": { "routes": [
                { "id": "home", "path": "/", "rewrite": { "set_query": { "tier": "{session.attributes.tier}" } } } ] } }),
            &["GET /"],
            &["EdgeTemplates"],
        ),
        fault(json!({ "routes": all }), &["GET /slow"], &["EdgeSlow"]),
        fault(
            json!({ "routes": home }),
            &[
                "GET /",
                "POST /.edge/sessions\nContent-Type: application/json\nwebhook-id: a\nwebhook-timestamp: 1\nwebhook-signature: v1,x\n\
                 Content-Length: 2\n\n{}",
            ],
            &["EdgeSessions"],
        ),
        fault(
            json!({
                "routes": { "routes": [{ "id": "home", "path": "/", "when": { "loggedIn": false } }] },
                "settings": { "identity": { "header": true } },
            }),
            &["GET /\nX-User-ID: 7\nX-User-Signature: t=1,v1=00\nUser-Agent: Mozilla/5.0 Firefox/140.0"],
            &["EdgeIdentity"],
        ),
        fault(
            json!({
                "routes": { "routes": [{ "id": "home", "path": "/", "features": ["line"] }] },
                "features": { "features": { "line": { "defaultValue": "a", "rules": [{ "key": "test", "variations": ["a", "b"] }] } } },
            }),
            &["GET /\nUser-Agent: Mozilla/5.0 Firefox/140.0"],
            &["EdgeExposuresWithoutKey"],
        ),
    ]
}

/// The lines that the local edge writes while so many visitors meet the fault.
fn lines(fault: &Fault) -> String {
    let origin = origin();
    let folder = TempDir::new().unwrap();
    for (name, dictionary) in fault.rules.as_object().unwrap() {
        fs::write(folder.path().join(format!("{name}.json")), dictionary.to_string()).unwrap();
    }
    let mut arguments = vec!["--origin", &origin, "--country", "US"];
    if fault.alerts.contains(&"EdgeIdentity") {
        // Where nobody has a key, nobody claims to be anybody.
        fs::create_dir(folder.path().join("secrets")).unwrap();
        fs::write(folder.path().join("secrets/identity"), "a-key-of-32-bytes-or-more-for-this-test").unwrap();
        arguments.extend(["--secrets", "secrets"]);
    }
    let edge = Edge::start(folder.path(), &arguments);
    std::thread::scope(|scope| {
        // Slow ones at the same time, the others as the machine can.
        let edge = &edge;
        let each = if fault.requests.contains(&"GET /slow") { 1 } else { REQUESTS / 6 };
        for _ in 0..REQUESTS / each {
            scope.spawn(move || {
                (0..each).for_each(|_| fault.requests.iter().for_each(|request| drop(edge.ask(request))))
            });
        }
    });
    // An answer is there before its line.
    let end = Instant::now() + edge::PATIENCE;
    loop {
        let printed = edge.printed.lock().unwrap().join("\n");
        if printed.matches("decisions :: ").count() >= REQUESTS {
            return printed;
        }
        assert!(Instant::now() < end, "{:?}: {printed}", fault.alerts);
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The gauges that the report makes of lines.
fn gauges(lines: &str) -> BTreeMap<String, f64> {
    let mut report = Command::new(env!("CARGO_BIN_EXE_personalizer"))
        .args(["report", "-", "--format", "prometheus"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    report.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let output = report.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    samples
        .map(|line| {
            let (series, value) = line.rsplit_once(' ').unwrap();
            (series.to_owned(), value.parse().unwrap())
        })
        .collect()
}

/// A test of `promtool`: gauges minute by minute, and the alerts that ring at any time of it, with whatever labels.
struct Trial {
    /// A series and its values, in `promtool`'s notation: `3x59` stands for an hour of 3.
    series: BTreeMap<String, String>,
    /// How long it takes.
    length: &'static str,
    ringing: BTreeSet<&'static str>,
}

impl Trial {
    /// A quarter of an hour of the same figures.
    fn steady(gauges: BTreeMap<String, f64>, ringing: &[&'static str]) -> Self {
        let series = gauges.into_iter().map(|(series, value)| (series, format!("{value}x20"))).collect();
        Self { series, length: "15m", ringing: ringing.iter().copied().collect() }
    }
}

fn alerts() -> Vec<String> {
    let rules = fs::read_to_string(RULES).unwrap();
    rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ").map(str::to_owned)).collect()
}

fn decide(promtool: &Path, trial: &Trial) {
    let folder = TempDir::new().unwrap();
    let mut text = format!("rule_files: [{}]\nevaluation_interval: 1m\ntests:\n", json!(RULES));
    text.push_str("  - interval: 1m\n    input_series:\n");
    for (series, values) in &trial.series {
        let _ = writeln!(text, "      - series: {}\n        values: {}", json!(series), json!(values));
    }
    text.push_str("    promql_expr_test:\n");
    for alert in alerts() {
        let Trial { length, ringing, .. } = trial;
        // How long an answer takes is the machine's affair too: a busy one may be slow in any trial of a few requests.
        if alert == "EdgeSlow" && !ringing.is_empty() && !ringing.contains("EdgeSlow") {
            continue;
        }
        let firing =
            format!("count(count_over_time(ALERTS{{alertname=\"{alert}\",alertstate=\"firing\"}}[{length}])) > bool 0");
        let samples = if ringing.contains(alert.as_str()) { "[{ labels: '{}', value: 1 }]" } else { "[]" };
        let _ = writeln!(
            text,
            "      - expr: {}\n        eval_time: {length}\n        exp_samples: {samples}",
            json!(firing)
        );
    }
    let file = folder.path().join("trials.yml");
    fs::write(&file, &text).unwrap();
    let output = Command::new(promtool).args(["test", "rules"]).arg(&file).output().unwrap();
    assert!(
        output.status.success(),
        "{:?}: {}\n{}\n{text}",
        trial.ringing,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn each_alert_rings_when_its_fault_happens_and_the_others_dont() {
    let Some(promtool) = promtool() else { return };
    let mut trials: Vec<Trial> =
        faults().iter().map(|fault| Trial::steady(gauges(&lines(fault)), fault.alerts)).collect();
    trials.push(Trial::steady(gauges(""), &["EdgeLogsSilent"]));
    let rung: BTreeSet<&str> = trials.iter().flat_map(|trial| &trial.ringing).copied().collect();
    assert_eq!(rung, alerts().iter().map(String::as_str).collect(), "each alert has its fault");
    trials.iter().for_each(|trial| decide(&promtool, trial));
}

#[test]
fn no_alert_rings_in_a_healthy_week() {
    let Some(promtool) = promtool() else { return };
    let mut random = 7_u64;
    let mut next = move || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as f64 / f64::from(1_u32 << 31)
    };
    // An hour of lines for each hour of the day: nights are quiet, and something fails now and then.
    let days: Vec<BTreeMap<String, f64>> = (0..24_usize)
        .map(|hour| {
            let requests = if (1..6).contains(&hour) { 120 } else { 600 };
            let lines: Vec<String> = (0..requests)
                .map(|number| {
                    let chance = next();
                    let line = json!({
                        "v": 2, "time": format!("2026-11-24T{hour:02}:00:00Z"), "request_id": format!("{hour}-{number}"), "pop": "FRA",
                        "route": if chance < 0.6 { json!("home") } else { Value::Null }, "revision": "r41", "pass": 1, "sample": 1,
                        "status": if chance < 0.003 { 502 } else { 200 }, "errors": if chance < 0.002 { json!(["identity-expired"]) } else { json!([]) },
                        "fallback": if (0.003..0.008).contains(&chance) { json!("status-503") } else { Value::Null },
                        "total_ms": 20.0 + 200.0 * chance, "origin_ms": 15.0, "cold": chance > 0.95, "variant": {},
                    });
                    line.to_string()
                })
                .collect();
            gauges(&lines.join("\n"))
        })
        .collect();
    let names: BTreeSet<&String> = days.iter().flat_map(BTreeMap::keys).collect();
    let week = |name: &String| -> String {
        let hour = |hour: usize| format!("{}x59", days[hour % 24].get(name).copied().unwrap_or_default());
        (0..168).map(hour).collect::<Vec<_>>().join(" ")
    };
    let series = names.into_iter().map(|name| (name.clone(), week(name))).collect();
    decide(&promtool, &Trial { series, length: "168h", ringing: BTreeSet::new() });
}

#[test]
fn every_panel_and_alert_is_prometheus_language() {
    let Some(promtool) = promtool() else { return };
    let dashboard: Value =
        serde_json::from_str(&fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../ops/grafana.json")).unwrap())
            .unwrap();
    let mut rules = "groups:\n  - name: panels\n    rules:\n".to_owned();
    for (index, panel) in dashboard["panels"].as_array().unwrap().iter().enumerate() {
        let _ = writeln!(rules, "      - record: panel:{index}\n        expr: {}", panel["targets"][0]["expr"]);
    }
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("panels.yml");
    fs::write(&file, rules).unwrap();
    for file in [file.as_path(), Path::new(RULES)] {
        let output = Command::new(&promtool).args(["check", "rules"]).arg(file).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
}
