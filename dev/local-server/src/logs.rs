//! What the local server prints, kept and searchable while it runs.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

/// How many lines are kept; older ones are dropped.
const KEPT: usize = 100_000;

/// Lines as they come, from several pipes.
#[derive(Debug, Clone, Default)]
pub struct Logs {
    shared: Arc<(Mutex<Lines>, Condvar)>,
}

#[derive(Debug, Default)]
struct Lines {
    dropped: usize,
    kept: VecDeque<String>,
}

impl Logs {
    /// Reads a pipe to its end, on a thread of its own; `shown` gets every line too.
    pub(crate) fn follow(&self, pipe: impl Read + Send + 'static, shown: fn(&str)) {
        let logs = self.clone();
        std::thread::spawn(move || {
            let mut pipe = BufReader::new(pipe);
            let mut bytes = Vec::new();
            while pipe.read_until(b'\n', &mut bytes).is_ok_and(|count| count > 0) {
                let line = String::from_utf8_lossy(&bytes).trim_end().to_owned();
                bytes.clear();
                shown(&line);
                logs.push(line);
            }
        });
    }

    fn push(&self, line: String) {
        let mut lines = self.lock();
        if lines.kept.len() == KEPT {
            lines.kept.pop_front();
            lines.dropped += 1;
        }
        lines.kept.push_back(line);
        self.shared.1.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything printed so far.
    #[must_use]
    pub fn all(&self) -> Vec<String> {
        self.lock().kept.iter().cloned().collect()
    }

    /// How many lines there have been: a place to wait from.
    #[must_use]
    pub fn position(&self) -> usize {
        let lines = self.lock();
        lines.dropped + lines.kept.len()
    }

    /// The log lines of an endpoint so far, as JSON; a line that isn't JSON comes as a string.
    #[must_use]
    pub fn of(&self, endpoint: &str) -> Vec<Value> {
        self.lock().kept.iter().filter_map(|line| message(line, endpoint)).collect()
    }

    /// Waits for a log line of an endpoint after a position; gives it, and the position after it.
    #[must_use]
    pub fn wait(
        &self,
        endpoint: &str,
        after: usize,
        budget: Duration,
        wanted: impl Fn(&Value) -> bool,
    ) -> Option<(Value, usize)> {
        self.wait_line(after, budget, |line| message(line, endpoint).filter(&wanted))
    }

    /// Waits for any line after a position of which `pick` makes something.
    #[must_use]
    pub fn wait_line<T>(&self, after: usize, budget: Duration, pick: impl Fn(&str) -> Option<T>) -> Option<(T, usize)> {
        let end = Instant::now() + budget;
        let mut next = after;
        let mut lines = self.lock();
        loop {
            while let Some(line) = lines.kept.get(next.saturating_sub(lines.dropped)) {
                next += 1;
                if let Some(found) = pick(line) {
                    return Some((found, next));
                }
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            lines = self.shared.1.wait_timeout(lines, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// `endpoint :: {…}` as JSON.
fn message(line: &str, endpoint: &str) -> Option<Value> {
    let text = line.strip_prefix(endpoint)?.strip_prefix(" :: ")?;
    Some(serde_json::from_str(text).unwrap_or_else(|_| Value::from(text)))
}
