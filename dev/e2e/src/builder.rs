//! What a test can choose before its edge starts.

use std::path::Path;
use std::time::Duration;

use demo_origin::DemoOrigin;
use local_server::manifest::Manifest;
use local_server::process::{Launch, LocalServer};
use local_server::rules::Rules;
use local_server::visitors::{self, Visitor};
use serde_json::Value;
use tempfile::TempDir;

use crate::lint::Expectation;
use crate::patience::{WIDE_TIMEOUT, patient};
use crate::{Edge, programs};

/// Someone else may take a free port before we do.
const ATTEMPTS: usize = 5;

/// An edge in the making.
#[derive(Debug)]
pub struct Builder {
    rules: Rules,
    manifest: Manifest,
    own_config_store: bool,
    origin: DemoOrigin,
    expected: Expectation,
}

impl Builder {
    pub(crate) fn new(rules: Rules) -> Self {
        let mut manifest = Manifest::read(&programs::root().join("fastly.toml")).unwrap();
        for visitor in visitors::LOCATED {
            manifest.visitor(&visitor);
        }
        let origin = DemoOrigin::on_a_free_port().unwrap();
        for backend in ["origin", "session_api"] {
            manifest.backend(backend, &origin.url());
            time_out(&mut manifest, backend, WIDE_TIMEOUT);
        }
        Self { rules, manifest, own_config_store: true, origin, expected: Expectation::default() }
    }

    pub(crate) fn demo_rules() -> Rules {
        Rules::from_folder(&programs::root().join("rules")).unwrap()
    }

    /// Puts this dictionary in place of the one of that name.
    #[must_use]
    pub fn dictionary(mut self, name: &str, value: &Value) -> Self {
        self.rules.set(name, value);
        self
    }

    /// Puts any text in an entry of the config store: half a dictionary, none, an old one.
    #[must_use]
    pub fn entry(mut self, name: &str, text: &str) -> Self {
        self.rules.set_entry(name, text);
        self
    }

    /// Takes an entry of the config store away.
    #[must_use]
    pub fn without_entry(mut self, name: &str) -> Self {
        self.rules.remove_entry(name);
        self
    }

    /// Starts without a config store.
    #[must_use]
    pub fn without_config_store(mut self) -> Self {
        self.own_config_store = false;
        self.manifest(|manifest| manifest.without(&[], "config_stores"))
    }

    /// Starts without any store at all.
    #[must_use]
    pub fn without_stores(self) -> Self {
        self.without_config_store().manifest(|manifest| {
            manifest.without(&[], "kv_stores");
            manifest.without(&[], "secret_stores");
        })
    }

    /// Starts without geolocation: nobody is anywhere.
    #[must_use]
    pub fn without_geolocation(self) -> Self {
        self.manifest(|manifest| {
            manifest.table(&["geolocation", "addresses"]).clear();
        })
    }

    /// Puts a value in KV store `sessions` or `rules`.
    #[must_use]
    pub fn kv(mut self, store: &str, key: &str, value: &str) -> Self {
        if store == "sessions" {
            let record = serde_json::from_str(value).unwrap_or_default();
            self.expected = self.expected.of_record(&record);
        }
        self.manifest(|manifest| manifest.kv(store, key, value))
    }

    /// Puts a secret in secret store `personalizer`.
    #[must_use]
    pub fn secret(self, name: &str, value: &str) -> Self {
        self.manifest(|manifest| manifest.secret("personalizer", name, value))
    }

    /// Locates one visitor more.
    #[must_use]
    pub fn located(self, visitor: Visitor) -> Self {
        self.manifest(|manifest| manifest.visitor(&visitor))
    }

    /// Says what a User-Agent is (`[local_server.device_detection]`, TOML as it stands there).
    #[must_use]
    pub fn device(self, user_agent: &str, entry: &str) -> Self {
        let entry = entry.parse().expect("a device's entry is TOML");
        self.manifest(|manifest| manifest.device(user_agent, entry))
    }

    /// Sends a backend's requests somewhere else: `"http://127.0.0.1:1"` refuses them all.
    #[must_use]
    pub fn backend(self, name: &str, url: &str) -> Self {
        self.manifest(|manifest| manifest.backend(name, url))
    }

    /// How long the local server waits for a backend's head, and then for more of its body; a minute where nothing is said.
    #[must_use]
    pub fn time_out(self, backend: &str, limit: Duration) -> Self {
        self.manifest(|manifest| time_out(manifest, backend, limit))
    }

    /// Starts without a backend.
    #[must_use]
    pub fn without_backend(self, name: &str) -> Self {
        self.manifest(|manifest| manifest.without(&["backends"], name))
    }

    /// Changes anything else of the manifest.
    #[must_use]
    pub fn manifest(mut self, change: impl FnOnce(&mut Manifest)) -> Self {
        change(&mut self.manifest);
        self
    }

    /// Starts it and waits until it is healthy.
    #[must_use]
    pub fn start(mut self) -> Edge {
        let wasm = programs::given(programs::WASM);
        let viceroy = programs::given(programs::VICEROY);
        let folder = TempDir::new().unwrap();
        let store = folder.path().join("personalizer.json");
        if self.own_config_store {
            patient(&self.rules).write(&store).unwrap();
            self.manifest.config_store("personalizer", &store);
        }
        let manifest = folder.path().join("fastly.toml");
        self.manifest.write(&manifest).unwrap();
        let server = start_somewhere(&wasm, &viceroy, &manifest, folder.path());
        let edge = Edge::new(server, self.origin, self.rules, store, folder).expecting(self.expected);
        edge.wait_until_healthy();
        edge
    }
}

fn time_out(manifest: &mut Manifest, backend: &str, limit: Duration) {
    let milliseconds = i64::try_from(limit.as_millis()).unwrap();
    for name in ["first_byte_timeout_ms", "between_bytes_timeout_ms"] {
        manifest.table(&["backends", backend]).insert(name.to_owned(), milliseconds.into());
    }
}

fn start_somewhere(wasm: &Path, viceroy: &Path, manifest: &Path, folder: &Path) -> LocalServer {
    let mut failures = Vec::new();
    for _ in 0..ATTEMPTS {
        let address = local_server::free_address().unwrap();
        match LocalServer::start(Launch { viceroy, wasm, manifest, folder, address, shown: |_| () }) {
            Ok(server) => return server,
            Err(error) if format!("{error:#}").to_ascii_lowercase().contains("address already in use") => {
                failures.push(error);
            }
            Err(error) => panic!("{error:#}"),
        }
    }
    panic!("no free port in {ATTEMPTS} attempts: {failures:#?}")
}
