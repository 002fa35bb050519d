//! Threads that serve, each with a sandbox of its own: the library waits for stores and backends, so a request has a thread while it lasts.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use edge_personalizer::platform::ClientRequest;
use edge_personalizer::rules::settings::Settings;
use edge_personalizer::service::{Sandbox, handle};
use tokio::sync::oneshot;

use super::body::HostBody;
use super::host::{Answer, Host, Machine};
use super::picked::Picked;

/// How long a thread waits for its next request, as a sandbox does on Fastly.
const IDLE: Duration = Duration::from_secs(30);

/// A request on its way to a thread.
pub struct Job {
    pub request: ClientRequest<HostBody>,
    pub picked: Picked,
    /// Where the answer goes. It is dropped unused only where the service has panicked.
    pub client: oneshot::Sender<Answer>,
}

/// All threads.
pub struct Workers {
    machine: Arc<Machine>,
    idle: Arc<Idle>,
}

/// Those that wait, the last one first: it has what it knows freshest.
#[derive(Default)]
struct Idle(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    next_id: u64,
    threads: Vec<(u64, Sender<Job>)>,
}

impl Idle {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the thread was still waiting: it isn't any more.
    fn withdraw(&self, id: u64) -> bool {
        let mut waiting = self.lock();
        let before = waiting.threads.len();
        waiting.threads.retain(|(other, _)| *other != id);
        waiting.threads.len() < before
    }
}

impl Workers {
    /// None yet: they start as they are needed.
    pub fn new(machine: Arc<Machine>) -> Self {
        Self { machine, idle: Arc::default() }
    }

    /// The name of the cookie with a visitor's id, as the folder's settings have it.
    pub fn visitor_cookie(&self) -> String {
        let settings = self.machine.rules.entries().texts.get("settings").map(|text| serde_json::from_str(text));
        let settings: Settings = settings.and_then(Result::ok).unwrap_or_default();
        settings.visitor.cookie
    }

    /// Has a thread serve a request.
    pub fn serve(&self, job: Job) {
        let thread = self.idle.lock().threads.pop();
        let job = match thread {
            // A thread that was waiting waits for what it is sent.
            Some((_, thread)) => match thread.send(job) {
                Ok(()) => return,
                Err(mpsc::SendError(job)) => job,
            },
            None => job,
        };
        let (machine, idle) = (Arc::clone(&self.machine), Arc::clone(&self.idle));
        // Where there is no thread, the client is told so: its end of the answer is dropped.
        let _ = std::thread::Builder::new().name("sandbox".to_owned()).spawn(move || work(&machine, &idle, job));
    }
}

fn work(machine: &Machine, idle: &Idle, mut job: Job) {
    let (sender, receiver) = mpsc::channel();
    let mut sandbox = Sandbox::default();
    loop {
        serve(machine, &mut sandbox, job);
        let id = {
            let mut waiting = idle.lock();
            waiting.next_id += 1;
            let id = waiting.next_id;
            waiting.threads.push((id, sender.clone()));
            id
        };
        job = match receiver.recv_timeout(IDLE) {
            Ok(job) => job,
            Err(RecvTimeoutError::Timeout) if idle.withdraw(id) => return,
            // Somebody has just chosen this thread.
            Err(_) => match receiver.recv() {
                Ok(job) => job,
                Err(_) => return,
            },
        };
    }
}

fn serve(machine: &Machine, sandbox: &mut Sandbox, job: Job) {
    machine.rules.look();
    let Job { request, picked, client } = job;
    let host = Host::new(machine, &request, picked, client);
    let served = catch_unwind(AssertUnwindSafe(|| handle(&host, sandbox, request)));
    if served.is_err() {
        // The message has been printed. What the sandbox knows may be half done.
        *sandbox = Sandbox::default();
    }
}
