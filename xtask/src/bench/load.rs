//! Load, and what each request of it cost.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use local_server::client::{Connection, Request};
use local_server::process::LocalServer;
use local_server::visitors::NEW_YORK;
use serde_json::Value;

use super::report::percentile;
use super::rows::{Row, Temperature};

/// After each answer the process is watched in steps of this, until it has done next to nothing for one step: what a
/// sandbox does after its answer (logging, ending) is counted with its request.
const STEP: Duration = Duration::from_micros(250);
/// Next to nothing: the local server's clock thread ticks all the time.
const QUIET: Duration = Duration::from_micros(25);
/// It is watched no longer than this.
const WATCH: Duration = Duration::from_millis(50);
/// How long log lines may be under way.
const LOG_LIMIT: Duration = Duration::from_secs(20);

/// What a row cost in a round.
#[derive(Debug, Default, Clone)]
pub struct Sample {
    /// Milliseconds of CPU of the local server's process, a request.
    pub cpu_ms: f64,
    /// Milliseconds to the end of each answer.
    pub total_ms: Vec<f64>,
    /// Milliseconds to the first byte of each answer.
    pub first_byte_ms: Vec<f64>,
}

/// One request's cost.
struct Cost {
    cpu: Duration,
    total: Duration,
    first_byte: Duration,
}

/// The visitor who asks; its session is in the KV store.
pub const VISITOR: &str = "0123456789abcdef0123456789abcdef";

/// Requests one after the other on one connection; those that the row is about are averaged.
pub fn sequence(server: &LocalServer, row: &Row, requests: usize) -> anyhow::Result<Sample> {
    // A browser, known from an earlier visit: bots and new visitors are answered otherwise.
    let request = Request::get(row.path)
        .header(
            "User-Agent",
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0 Safari/537.36",
        )
        .header("Cookie", format!("ep_vid={VISITOR}"));
    let mut connection = Connection::open(NEW_YORK.address, server.address())?;
    let logged = server.logs().position();
    let mut costs = Vec::with_capacity(requests);
    let mut before = cpu_time(server.process_id())?;
    for _ in 0..requests {
        let answer = connection.send(&request)?;
        let (status, complete) = (answer.status, answer.complete);
        ensure!(
            status == 200 && complete,
            "{} was answered {status} (complete: {complete}): {}",
            row.path,
            answer.text()
        );
        let after = when_quiet(server.process_id())?;
        costs.push(Cost { cpu: after.saturating_sub(before), total: answer.total, first_byte: answer.first_byte });
        before = after;
    }
    match row.temperature {
        // Everything counts here, what happens once in a sandbox's life too.
        Temperature::AsItComes => Ok(sample(costs.iter(), mean)),
        // Requests of one kind: the median leaves out those that a sandbox's end, or another program, fell upon.
        Temperature::Warm => Ok(sample(with_cold(server, logged, &costs, false)?.into_iter(), median)),
        Temperature::Cold => Ok(sample(with_cold(server, logged, &costs, true)?.into_iter(), median)),
    }
}

/// The requests of which the decisions log says that they were, or weren't, the first of their sandbox.
fn with_cold<'a>(server: &LocalServer, logged: usize, costs: &'a [Cost], cold: bool) -> anyhow::Result<Vec<&'a Cost>> {
    let mut position = logged;
    let mut chosen = Vec::new();
    for cost in costs {
        let line = server.logs().wait("decisions", position, LOG_LIMIT, |_| true);
        let (line, next) = line.context("fewer log lines than requests: do the rules sample the decisions log?")?;
        position = next;
        if line.get("cold") == Some(&Value::Bool(cold)) {
            chosen.push(cost);
        }
    }
    ensure!(!chosen.is_empty() || costs.is_empty(), "no request had \"cold\": {cold} in the decisions log");
    Ok(chosen)
}

/// The process's CPU time when it has come to rest. Waits without sleeping: a machine that falls asleep between requests
/// is slower at each of them.
fn when_quiet(process: u32) -> anyhow::Result<Duration> {
    let start = Instant::now();
    let mut before = cpu_time(process)?;
    loop {
        let step = Instant::now();
        while step.elapsed() < STEP {
            std::hint::spin_loop();
        }
        let now = cpu_time(process)?;
        if now.saturating_sub(before) < QUIET || start.elapsed() > WATCH {
            return Ok(now);
        }
        before = now;
    }
}

fn sample<'a>(costs: impl Iterator<Item = &'a Cost>, middle: fn(Vec<f64>) -> f64) -> Sample {
    let milliseconds = |time: Duration| time.as_secs_f64() * 1000.0;
    let mut sample = Sample::default();
    let mut cpu = Vec::new();
    for cost in costs {
        cpu.push(milliseconds(cost.cpu));
        sample.total_ms.push(milliseconds(cost.total));
        sample.first_byte_ms.push(milliseconds(cost.first_byte));
    }
    sample.cpu_ms = middle(cpu);
    sample
}

fn mean(values: Vec<f64>) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

fn median(values: Vec<f64>) -> f64 {
    percentile(values, 50.0)
}

/// CPU time of all threads of a process, those that have ended included: what `/proc/<pid>/stat` counts as utime and
/// stime in hundredths of a second, by the clock that has nanoseconds.
#[cfg(target_os = "linux")]
fn cpu_time(process: u32) -> anyhow::Result<Duration> {
    let clock = nix::time::clock_getcpuclockid(nix::unistd::Pid::from_raw(i32::try_from(process)?))?;
    Ok(Duration::from(clock.now()?))
}

#[cfg(not(target_os = "linux"))]
fn cpu_time(_process: u32) -> anyhow::Result<Duration> {
    anyhow::bail!("the bench reads another process's CPU clock, which only Linux shows")
}
