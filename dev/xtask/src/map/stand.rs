//! A city's test stand: the service in the city, the shop far away, and the ways to both.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use demo_origin::DemoOrigin;
use local_server::client::{Connection, Request};
use local_server::manifest::Manifest;
use local_server::process::{Launch, LocalServer};
use local_server::relay::{Distance, Gate, Relay};
use local_server::rules::Rules;
use serde_json::{Value, json};

use super::cache::Cache;
use super::cities::City;
use super::ways::{HANDSHAKE, WAYS, Way};
use crate::project;

/// The visitor whose session is in the KV store.
pub const VISITOR: &str = "0123456789abcdef0123456789abcdef";
/// What a central backend asks for before it makes a page: who this is, what is on sale, what they may like.
const CALLS: [&str; 3] =
    ["/sessions/visitor/0123456789abcdef0123456789abcdef", "/api/products/promotions/global", "/api/products?n=4"];
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Round trips that the table of cities doesn't have.
#[derive(Debug, Clone, Copy)]
pub struct Near {
    /// From a visitor to the nearest data centre.
    pub last_mile: Duration,
    /// Between two servers of one data centre.
    pub beside: Duration,
}

/// What runs for a city. The fields are dropped in this order: who asks goes before who answers.
pub struct Stand {
    /// The city.
    pub city: City,
    /// The round trip to the central data centre.
    pub apart: Duration,
    near: Near,
    /// What the visitor's browser connects to, by way.
    doors: Vec<(Way, Relay)>,
    server: LocalServer,
    _cache: Cache,
    _far: [Relay; 2],
    _beside: Relay,
    _shop: DemoOrigin,
}

impl Stand {
    /// Starts everything.
    ///
    /// # Errors
    ///
    /// No port is free; the local server doesn't start.
    pub fn raise(viceroy: &Path, wasm: &Path, city: &City, apart: Duration, near: Near) -> anyhow::Result<Self> {
        let shop = DemoOrigin::on_a_free_port()?;
        shop.remember(false);
        // Connections between data centres are kept open: they cost no handshake.
        let kept = |round_trip: Duration| Distance { round_trip, handshake: 0 };
        let far = || Relay::over(kept(apart.max(near.beside)), HERE, shop.address());
        let (far_origin, far_services) = (far()?, far()?);
        let beside = Relay::over(kept(near.beside), HERE, shop.address())?;
        let cache = Cache::before(far_origin.address())?;

        let folder = project::target()?.join("map");
        fs::create_dir_all(&folder)?;
        let file = folder.join(format!("{}.toml", city.visitor.city.replace(' ', "-")));
        manifest(city, &cache, &far_services)?.write(&file)?;
        let address = local_server::free_address()?;
        let launch = Launch { viceroy, wasm, manifest: &file, folder: &folder, address, shown: |_| () };
        let server = LocalServer::start(launch).with_context(|| format!("the local server for {}", city.name))?;

        let mut doors = Vec::new();
        for way in WAYS {
            let way_to = if way.is_central() { apart + near.last_mile } else { near.last_mile };
            let distance = Distance { round_trip: way_to, handshake: HANDSHAKE };
            let services = if way.is_central() { beside.address() } else { far_services.address() };
            let from = city.visitor.address;
            doors.push((way, Relay::through(asking(way.calls(), services), distance, from, server.address())?));
        }
        let far = [far_origin, far_services];
        let city = city.clone();
        Ok(Self { city, apart, near, doors, server, _cache: cache, _far: far, _beside: beside, _shop: shop })
    }

    /// What the visitor's browser connects to.
    pub fn door(&self, way: Way) -> anyhow::Result<SocketAddr> {
        let door = self.doors.iter().find(|(other, _)| *other == way).map(|(_, relay)| relay.address());
        door.with_context(|| format!("no door for {way:?}"))
    }

    /// What the service said of errors, by code and how often.
    pub fn errors(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for line in self.server.logs().of("errors") {
            let code = line.get("code").and_then(Value::as_str).unwrap_or("unknown").to_owned();
            *counts.entry(code).or_default() += 1;
        }
        counts
    }

    /// The least that a page takes in each way, on a new and on an open connection.
    pub fn a_round(&self) -> Duration {
        let of = |way: Way| {
            let (connecting, page) = way.trips();
            let calls = if way.is_central() { self.near.beside * way.calls() as u32 } else { Duration::ZERO };
            self.apart * (connecting + 2 * page) as u32 + self.near.last_mile * (2 + HANDSHAKE) + calls * 2
        };
        WAYS.into_iter().map(of).sum()
    }
}

/// `fastly.toml`, with the demo's rules and this city's ways.
fn manifest(city: &City, origin: &Cache, services: &Relay) -> anyhow::Result<Manifest> {
    let root = project::root()?;
    let mut manifest = Manifest::read(&root.join("fastly.toml"))?;
    let folder = root.join("rules");
    let mut rules = Rules::from_folder(&folder)?;
    let mut settings: Value = serde_json::from_str(&fs::read_to_string(folder.join("settings.json"))?)?;
    // A session stays fresh for as long as this takes.
    let session = settings.get_mut("session").context("the demo's settings name a session")?;
    session.as_object_mut().context("settings.session is an object")?.insert("max_age".to_owned(), json!(86_400));
    rules.set("settings", &settings);
    manifest.fixed_config_store("personalizer", rules.entries());
    manifest.visitor(&city.visitor);
    let now = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?;
    let session = json!({
        "v": 1,
        "updated_at": now,
        "recent_views": ["P0003", "P0005", "P0008"],
        "cart": [{ "sku": "P0001", "quantity": 2 }],
        "affinity": { "kitchen": 3.0, "electronics": 1.5 },
    });
    manifest.kv("sessions", &format!("visitor/{VISITOR}"), &session.to_string());
    manifest.backend("origin", &origin.url());
    manifest.backend("session_api", &services.url(""));
    Ok(manifest)
}

/// Asks so many services, one after the other, on a connection that is kept.
fn asking(calls: usize, services: SocketAddr) -> Gate {
    let kept: Mutex<Option<Connection>> = Mutex::new(None);
    Arc::new(move || {
        if calls == 0 {
            return Ok(());
        }
        let mut place = kept.lock().unwrap_or_else(PoisonError::into_inner);
        let mut connection = match place.take() {
            Some(open) => open,
            None => Connection::open(HERE, services)?,
        };
        for path in CALLS.iter().take(calls) {
            let answer = connection.send(&Request::get(path))?;
            if answer.status != 200 || !answer.complete {
                return Err(io::Error::other(format!("{path} was answered {}", answer.status)));
            }
        }
        *place = Some(connection);
        Ok(())
    })
}
