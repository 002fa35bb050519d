//! The local edge, `personalizer serve`, beside an [`Edge`]: the same rules, the same manifest, the same shop.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use demo_origin::DemoOrigin;
use local_server::client::{self, Answer, Request};
use local_server::feed::{Feed, LOCAL_SECRET};
use local_server::process;
use local_server::visitors::Visitor;
use serde_json::Value;
use tempfile::TempDir;

use crate::{Edge, personalizer};

/// How long it may take to start.
const START_LIMIT: Duration = Duration::from_secs(60);
/// How long a request's log line is waited for. Some have none.
const LINE_LIMIT: Duration = Duration::from_secs(1);

/// A running local edge; it ends when this is dropped.
#[derive(Debug)]
pub struct LocalEdge {
    child: Child,
    address: SocketAddr,
    decisions: Arc<AtomicUsize>,
    exposures: Arc<Mutex<Vec<String>>>,
    _rules: Option<TempDir>,
}

impl LocalEdge {
    /// Starts one with what `edge` has.
    ///
    /// # Panics
    ///
    /// It doesn't start, or the rules are longer than an entry.
    #[must_use]
    pub fn beside(edge: &Edge) -> Self {
        let entries = fs::read_to_string(edge.store()).unwrap();
        let entries: BTreeMap<String, String> = serde_json::from_str(&entries).unwrap();
        let rules = TempDir::new().unwrap();
        for (name, text) in entries {
            assert!(!name.contains(['.', '/']), "expected whole dictionaries, but found the entry {name}");
            fs::write(rules.path().join(format!("{name}.json")), text).unwrap();
        }
        let manifest = edge.store().with_file_name("fastly.toml");
        let mut started = Self::start(rules.path(), &manifest, &[]);
        started._rules = Some(rules);
        started
    }

    /// Starts one with the demo's rules before a demo shop that streams its sessions to it, as `cargo xtask serve` does.
    ///
    /// # Panics
    ///
    /// It doesn't start.
    #[must_use]
    pub fn demo(origin: &DemoOrigin) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let backends = ["origin", "session_api"].map(|name| format!("--backend={name}={}", origin.url()));
        let started = Self::start(&root.join("rules"), &root.join("fastly.toml"), &backends);
        let feed = Feed::new(started.address, LOCAL_SECRET).unwrap();
        origin.stream_sessions(move |batch| feed.send(batch).unwrap());
        started
    }

    /// Starts one with these dictionaries (an object of objects) before a demo shop.
    ///
    /// # Panics
    ///
    /// It doesn't start.
    #[must_use]
    pub fn with_rules(dictionaries: &Value, origin: &DemoOrigin) -> Self {
        let rules = TempDir::new().unwrap();
        for (name, dictionary) in dictionaries.as_object().into_iter().flatten() {
            fs::write(rules.path().join(format!("{name}.json")), dictionary.to_string()).unwrap();
        }
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fastly.toml");
        let mut started = Self::start(rules.path(), &manifest, &[format!("--backend=origin={}", origin.url())]);
        started._rules = Some(rules);
        started
    }

    /// The lines of the log `exposures` so far.
    #[must_use]
    pub fn exposures(&self) -> Vec<Value> {
        self.exposures.lock().unwrap().iter().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Where it listens.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn start(rules: &Path, manifest: &Path, arguments: &[String]) -> Self {
        let child = process::child(&personalizer(), |command| {
            command.arg("serve").arg(rules).args(["--port", "0", "--manifest"]).arg(manifest).args(arguments);
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        });
        let mut child = child.unwrap();
        let decisions = Arc::new(AtomicUsize::new(0));
        let exposures: Arc<Mutex<Vec<String>>> = Arc::default();
        let kept = Arc::clone(&exposures);
        let (counted, lines) = (Arc::clone(&decisions), BufReader::new(child.stdout.take().unwrap()));
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                if let Some(line) = line.strip_prefix("exposures :: ") {
                    kept.lock().unwrap().push(line.to_owned());
                }
                if line.starts_with("decisions :: ") {
                    counted.fetch_add(1, Ordering::SeqCst);
                }
            }
        });
        let (sender, said) = mpsc::channel();
        let lines = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                // Nobody listens once it is up.
                let _ = sender.send(line);
            }
        });
        let address = loop {
            let line = said.recv_timeout(START_LIMIT).expect("the local edge says where it listens");
            if let Some(rest) = line.strip_prefix("The local edge listens on http://") {
                break rest.split(' ').next().unwrap().parse().unwrap();
            }
        };
        Self { child, address, decisions, exposures, _rules: None }
    }

    /// Asks as somebody, and waits until the request is logged: then nothing of it is still under way.
    ///
    /// # Errors
    ///
    /// The connection ended before an answer's head came.
    pub fn send(&self, visitor: Visitor, request: &Request) -> std::io::Result<Answer> {
        let before = self.decisions.load(Ordering::SeqCst);
        let answer = client::send(visitor.address, self.address, request);
        let end = Instant::now() + LINE_LIMIT;
        while self.decisions.load(Ordering::SeqCst) == before && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(1));
        }
        answer
    }
}

impl Drop for LocalEdge {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
