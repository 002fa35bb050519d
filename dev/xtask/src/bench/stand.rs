//! Test stands: one local server for each set of rules, the demo shop behind all of them.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use demo_origin::{Behaviour, DemoOrigin};
use local_server::manifest::Manifest;
use local_server::process::{Launch, LocalServer};
use local_server::visitors::NEW_YORK;

use super::load::{self, Busy, Places};
use super::rows::{PACKED, Row, RuleSet, eppo};
use crate::project;

/// The demo shop and the local servers before it.
pub struct Stands {
    viceroy: PathBuf,
    ours: PathBuf,
    /// The bare service, each request with its own sandbox; and reused.
    bare: [PathBuf; 2],
    /// Rust with another evaluator.
    rust: PathBuf,
    /// JavaScript, each request with its own sandbox, and reused; or why there is none.
    javascript: Result<[PathBuf; 2], String>,
    folder: PathBuf,
    origin: DemoOrigin,
    servers: HashMap<RuleSet, LocalServer>,
}

impl Stands {
    pub fn new(
        viceroy: PathBuf,
        ours: PathBuf,
        bare: [PathBuf; 2],
        rust: PathBuf,
        javascript: Result<[PathBuf; 2], String>,
    ) -> anyhow::Result<Self> {
        let origin = DemoOrigin::on_a_free_port()?;
        origin.remember(false);
        // Where the many routes lead.
        origin.on("/east", promotion());
        let folder = project::target()?.join("bench");
        fs::create_dir_all(&folder)?;
        Ok(Self { viceroy, ours, bare, rust, javascript, folder, origin, servers: HashMap::new() })
    }

    /// Starts the server for these rules, unless it runs.
    pub fn raise(&mut self, rules: RuleSet) -> anyhow::Result<()> {
        if self.servers.contains_key(&rules) {
            return Ok(());
        }
        let name = format!("{rules:?}").replace(['(', ')'], "").to_lowercase();
        let mut manifest = Manifest::read(&project::root()?.join("fastly.toml"))?;
        // A store in a file is read and parsed by the local server at every request: its work, not ours, and it grows
        // with the rules.
        if let Some(pack) = rules.pack()? {
            let file = self.folder.join(format!("{name}.pack"));
            fs::write(&file, pack)?;
            manifest.kv_file("rules", PACKED, &file);
        }
        manifest.fixed_config_store("personalizer", rules.rules()?.entries());
        manifest.visitor(&NEW_YORK);
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
        let views = ["P0003", "P0005", "P0008"];
        let session = serde_json::json!({
            "v": 1,
            "updated_at": u64::try_from(now)?,
            "recent_views": views,
            "cart": [{ "sku": "P0001", "quantity": 2 }],
            "affinity": { "kitchen": 3.0, "electronics": 1.5 },
        });
        manifest.kv("sessions", &format!("visitor/{}", load::VISITOR), &session.to_string());
        if rules == RuleSet::Rust {
            manifest.kv("rules", "eppo", &eppo(100).to_string());
        }
        for backend in ["origin", "session_api"] {
            manifest.backend(backend, &self.origin.url());
        }
        let file = self.folder.join(format!("{name}.toml"));
        manifest.write(&file)?;
        let wasm = self.wasm(rules)?;
        let server = LocalServer::start(Launch {
            viceroy: &self.viceroy,
            wasm,
            manifest: &file,
            folder: &self.folder,
            address: local_server::free_address()?,
            shown: |_| (),
        })?;
        self.servers.insert(rules, server);
        Ok(())
    }

    /// The service that answers by these rules.
    fn wasm(&self, rules: RuleSet) -> anyhow::Result<&PathBuf> {
        let [alone, reused] = &self.bare;
        let javascript = || self.javascript.as_ref().map_err(|why| anyhow::anyhow!("{why}"));
        Ok(match rules {
            RuleSet::Bare => alone,
            RuleSet::BareReused => reused,
            RuleSet::JavaScript => &javascript()?[0],
            RuleSet::JavaScriptReused => &javascript()?[1],
            RuleSet::Rust => &self.rust,
            _ => &self.ours,
        })
    }

    /// Drives a row.
    pub fn drive(&self, row: &Row, warm_up: usize, requests: usize) -> anyhow::Result<Places> {
        let server = self.servers.get(&row.rules).context("every row's server was started")?;
        load::sequence(server, row, warm_up)?;
        load::sequence(server, row, requests)
    }

    /// Drives a row on a server that is always busy.
    pub fn burden(&self, row: &Row, requests: usize) -> anyhow::Result<Busy> {
        let server = self.servers.get(&row.rules).context("every row's server was started")?;
        load::busy(server, row, requests / 10)?;
        load::busy(server, row, requests)
    }

    /// Of the requests that used a session: all, and those for which the central backend was not asked.
    pub fn sessions(&self) -> Option<(usize, usize)> {
        let lines = self.servers.get(&RuleSet::Session)?.logs().of("decisions");
        let states: Vec<_> = lines.iter().filter_map(|line| line.get("session")?.as_str()).collect();
        let spared = states.iter().filter(|state| **state == "fresh").count();
        Some((states.len(), spared))
    }
}

/// An answer as long as the promotions are.
fn promotion() -> Behaviour {
    let body =
        demo_origin::products(3).iter().map(|product| product.to_json().to_string()).collect::<Vec<_>>().join(",");
    let headers = [("content-type", "application/json"), ("cache-control", "public, max-age=60")];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    Behaviour::Answer { status: 200, headers, body: format!("{{\"region\":\"east\",\"products\":[{body}]}}\n").into() }
}
