//! Load, and what each request of it cost.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use local_server::client::{Connection, Request};
use local_server::process::LocalServer;
use local_server::visitors::NEW_YORK;
use serde_json::Value;

use super::rows::{Row, Temperature};

/// A pause after each answer: what the sandbox does after it (logging, ending) is counted with its request.
const PAUSE: Duration = Duration::from_micros(300);
/// How long log lines may be under way.
const LOG_LIMIT: Duration = Duration::from_secs(20);

/// What a row cost in a round.
#[derive(Debug, Default, Clone)]
pub struct Sample {
    /// Milliseconds of CPU of the local server's process, a request (mean).
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

/// Requests one after the other on one connection; those that the row is about are averaged.
pub fn sequence(server: &LocalServer, row: &Row, requests: usize) -> anyhow::Result<Sample> {
    let request = Request::get(row.path);
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
        pause();
        let after = cpu_time(server.process_id())?;
        costs.push(Cost { cpu: after.saturating_sub(before), total: answer.total, first_byte: answer.first_byte });
        before = after;
    }
    match row.temperature {
        Temperature::AsItComes => Ok(sample(costs.iter())),
        Temperature::Warm => Ok(sample(with_cold(server, logged, &costs, false)?.into_iter())),
        Temperature::Cold => Ok(sample(with_cold(server, logged, &costs, true)?.into_iter())),
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

/// Waits without sleeping: a machine that falls asleep between requests is slower at each of them.
fn pause() {
    let start = Instant::now();
    while start.elapsed() < PAUSE {
        std::hint::spin_loop();
    }
}

fn sample<'a>(costs: impl Iterator<Item = &'a Cost>) -> Sample {
    let milliseconds = |time: Duration| time.as_secs_f64() * 1000.0;
    let mut sample = Sample::default();
    for cost in costs {
        sample.cpu_ms += milliseconds(cost.cpu);
        sample.total_ms.push(milliseconds(cost.total));
        sample.first_byte_ms.push(milliseconds(cost.first_byte));
    }
    sample.cpu_ms /= sample.total_ms.len().max(1) as f64;
    sample
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
