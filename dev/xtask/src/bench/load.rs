//! Load, and what each request of it cost.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use local_server::client::{Answer, Connection, Request};
use local_server::process::LocalServer;
use local_server::visitors::NEW_YORK;
use serde_json::Value;

use super::guest::Watch;
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
    /// Milliseconds that the rules took, as the service says (`rules_ms`): the median.
    pub rules_ms: Option<f64>,
}

/// What a row cost in a round on a busy server.
#[derive(Debug, Clone, Copy)]
pub struct Busy {
    /// Milliseconds of CPU of the local server's process, a request.
    pub cpu_ms: f64,
    /// Microseconds of them in the service's own code, where that could be measured.
    pub guest_us: Option<f64>,
}

/// Connections that are always busy: one for each core of a small machine.
const CONNECTIONS: usize = 2;

/// Requests on a few connections, each sent as soon as the answer before it is there: the server never rests.
pub fn busy(server: &LocalServer, row: &Row, requests: usize) -> anyhow::Result<Busy> {
    let watch = Watch::start(server.process_id())?;
    let before = cpu_time(server.process_id())?;
    let each = requests / CONNECTIONS;
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CONNECTIONS)
            .map(|_| {
                scope.spawn(|| -> anyhow::Result<()> {
                    let mut browser = Browser::new(row.path);
                    let mut connection = Connection::open(NEW_YORK.address, server.address())?;
                    for _ in 0..each {
                        browser.ask(&mut connection)?;
                    }
                    Ok(())
                })
            })
            .collect();
        clients.into_iter().try_for_each(|client| client.join().unwrap_or_else(|_| anyhow::bail!("a client panicked")))
    })?;
    let cpu = when_quiet(server.process_id())?.saturating_sub(before);
    let cpu_ms = cpu.as_secs_f64() * 1000.0 / (each * CONNECTIONS) as f64;
    Ok(Busy { cpu_ms, guest_us: watch.guest_share().map(|share| share * cpu_ms * 1000.0) })
}

/// One request's cost.
struct Cost {
    cpu: Duration,
    total: Duration,
    first_byte: Duration,
    rules_ms: Option<f64>,
}

/// The visitor who asks; its session is in the KV store.
pub const VISITOR: &str = "0123456789abcdef0123456789abcdef";

/// What requests cost, by their place in their sandbox's life: those that were the first of one come first. A bare service's requests
/// and a peer's are all the first.
pub struct Places(Vec<Vec<Cost>>);

/// Requests one after the other on one connection.
pub fn sequence(server: &LocalServer, row: &Row, requests: usize) -> anyhow::Result<Places> {
    // A browser, known from an earlier visit: bots and new visitors are answered otherwise.
    let mut browser = Browser::new(row.path);
    let mut connection = Connection::open(NEW_YORK.address, server.address())?;
    let logged = server.logs().position();
    let mut costs = Vec::with_capacity(requests);
    let mut before = cpu_time(server.process_id())?;
    for _ in 0..requests {
        let answer = browser.ask(&mut connection)?;
        ensure!(!row.is_a_peer() || has_decided(&answer), "{} decides nothing", row.name);
        let after = when_quiet(server.process_id())?;
        let cpu = after.saturating_sub(before);
        costs.push(Cost { cpu, total: answer.total, first_byte: answer.first_byte, rules_ms: None });
        before = after;
    }
    // Only ours logs which request of its sandbox each is.
    let others = row.is_bare() || row.is_a_peer();
    if others { Ok(Places(vec![costs])) } else { by_place(server, logged, costs).map(Places) }
}

/// Whether a peer names an arm of each of the three features: that it answers isn't enough.
fn has_decided(answer: &Answer) -> bool {
    let arms = answer.list("edge-variant");
    arms.len() == 3 && arms.iter().all(|arm| arm.ends_with("=a") || arm.ends_with("=b"))
}

/// Asks for one path again and again, and keeps what it is given: arms are remembered for it from its second request on.
struct Browser {
    path: &'static str,
    cookies: String,
    request: Request,
}

impl Browser {
    fn new(path: &'static str) -> Self {
        let cookies = format!("ep_vid={VISITOR}");
        Self { path, request: asking(path, &cookies), cookies }
    }

    fn ask(&mut self, connection: &mut Connection) -> anyhow::Result<Answer> {
        let answer = connection.send(&self.request)?;
        let (path, status, complete) = (self.path, answer.status, answer.complete);
        ensure!(status == 200 && complete, "{path} was answered {status} (complete: {complete}): {}", answer.text());
        if let Some((pair, _)) = answer.header("set-cookie").as_deref().and_then(|cookie| cookie.split_once(';')) {
            self.cookies = format!("{}; {pair}", self.cookies);
            self.request = asking(self.path, &self.cookies);
        }
        Ok(answer)
    }
}

/// What a browser asks.
fn asking(path: &str, cookies: &str) -> Request {
    let agent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0 Safari/537.36";
    Request::get(path).header("User-Agent", agent).header("Cookie", cookies)
}

/// As the decisions log tells.
fn by_place(server: &LocalServer, logged: usize, costs: Vec<Cost>) -> anyhow::Result<Vec<Vec<Cost>>> {
    let mut position = logged;
    let mut places: Vec<Vec<Cost>> = vec![Vec::new()];
    // A sandbox may have begun before these requests: until a first one comes, the place is unknown.
    let mut place = None;
    for mut cost in costs {
        let line = server.logs().wait("decisions", position, LOG_LIMIT, |_| true);
        let (line, next) = line.context("fewer log lines than requests: do the rules sample the decisions log?")?;
        position = next;
        cost.rules_ms = line.get("rules_ms").and_then(Value::as_f64);
        let is_first = line.get("cold") == Some(&Value::Bool(true));
        place = if is_first { Some(0) } else { place.map(|place| place + 1) };
        let Some(place) = place else { continue };
        match places.get_mut(place) {
            Some(same) => same.push(cost),
            None => places.push(vec![cost]),
        }
    }
    ensure!(places.len() > 1, "by the decisions log no sandbox was seen from its first request to a second");
    Ok(places)
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

impl Places {
    /// What a row says of these requests: the median of each place that counts, so that what another program fell upon is left out, and
    /// the mean of those places, each for as many requests as it had.
    pub fn sample(&self, temperature: Temperature) -> Sample {
        let counts: &[Vec<Cost>] = match temperature {
            Temperature::AsItComes => &self.0,
            Temperature::Warm => self.0.get(1..).unwrap_or_default(),
            Temperature::Cold => self.0.get(..1).unwrap_or_default(),
        };
        let milliseconds = |time: Duration| time.as_secs_f64() * 1000.0;
        let median = |costs: &Vec<Cost>| percentile(costs.iter().map(|cost| milliseconds(cost.cpu)).collect(), 50.0);
        let requests = counts.iter().map(Vec::len).sum::<usize>();
        let sum = counts.iter().map(|costs| median(costs) * costs.len() as f64).sum::<f64>();
        let (total_ms, first_byte_ms) =
            counts.iter().flatten().map(|cost| (milliseconds(cost.total), milliseconds(cost.first_byte))).unzip();
        let rules: Vec<f64> = counts.iter().flatten().filter_map(|cost| cost.rules_ms).collect();
        let rules_ms = (!rules.is_empty()).then(|| percentile(rules, 50.0));
        Sample { cpu_ms: sum / requests.max(1) as f64, total_ms, first_byte_ms, rules_ms }
    }
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
