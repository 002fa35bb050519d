//! Load: several clients at once, each on a connection that it keeps, and every request written down with its times.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use local_server::client::{Answer, Connection, Request};

use crate::Edge;
use crate::lint::{self, Expectation};

/// How long [`Load::wait_for`] waits.
const PATIENCE: Duration = Duration::from_secs(60);

/// One request, and what became of it.
#[derive(Debug)]
pub struct Sample {
    /// Its number among those of its client.
    pub number: usize,
    /// When it was sent.
    pub begun: Instant,
    /// When the whole answer was there.
    pub ended: Instant,
    /// The answer; or why there is none, or none that keeps promise 3.
    pub answer: Result<Answer, String>,
}

/// Clients at work.
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    samples: Arc<Mutex<Vec<Sample>>>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts one client an address of `from`; the request of number `n` is `request(client, n)`.
    pub fn start(
        edge: &Edge,
        from: &[IpAddr],
        request: impl Fn(usize, usize) -> Request + Send + Sync + 'static,
    ) -> Self {
        let (stop, samples) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let request = Arc::new(request);
        let clients = from.iter().enumerate().map(|(client, from)| {
            let (stop, samples, request) = (Arc::clone(&stop), Arc::clone(&samples), Arc::clone(&request));
            let (from, to) = (*from, edge.address());
            std::thread::spawn(move || {
                let mut connection = None;
                for number in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let sample = visit(&mut connection, (from, to), number, &request(client, number));
                    samples.lock().unwrap_or_else(PoisonError::into_inner).push(sample);
                }
            })
        });
        let clients = clients.collect();
        Self { stop, samples, clients }
    }

    /// How many requests are done.
    #[must_use]
    pub fn done(&self) -> usize {
        self.samples.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Waits until so many more requests are done.
    ///
    /// # Panics
    ///
    /// They take too long: the edge hangs.
    pub fn wait_for(&self, more: usize) {
        let (goal, end) = (self.done() + more, Instant::now() + PATIENCE);
        while self.done() < goal {
            assert!(Instant::now() < end, "no {more} requests within {PATIENCE:?}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Ends it, and gives every request that was made.
    #[must_use]
    pub fn stop(self) -> Vec<Sample> {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.join().unwrap();
        }
        std::mem::take(&mut *self.samples.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn visit(
    connection: &mut Option<Connection>,
    (from, to): (IpAddr, SocketAddr),
    number: usize,
    request: &Request,
) -> Sample {
    let begun = Instant::now();
    let answer = match connection.take() {
        Some(open) => Ok(open),
        None => Connection::open(from, to),
    };
    let answer = answer.and_then(|mut open| {
        let answer = open.send(request)?;
        let goes_on = answer.complete && !answer.list("connection").contains(&"close".to_owned());
        *connection = goes_on.then_some(open);
        Ok(answer)
    });
    let ended = Instant::now();
    let answer = answer.map_err(|error| error.to_string()).and_then(|answer| {
        let violations = lint::violations(&answer, &Expectation::default().of(request));
        if violations.is_empty() { Ok(answer) } else { Err(format!("promise 3 is broken: {violations:?}")) }
    });
    Sample { number, begun, ended, answer }
}
