//! `personalizer serve`: the local edge. The library that runs on Fastly, behind a server of this machine.

mod backend;
mod body;
mod fault;
mod host;
mod kv;
mod lines;
mod listen;
mod live;
pub mod manifest;
mod page;
mod picked;
mod site;
mod traffic;
mod workers;

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use edge_personalizer::platform::{Geo, Kv, Runtime};
use edge_personalizer::rules::route::DEFAULT_BACKEND;
use http::Uri;
use tokio::sync::Notify;

use crate::check;
use crate::folder::payload::PayloadOptions;
use crate::output::{self, Outcome};
use backend::Backend;
use fault::Fault;
use host::Machine;
use kv::KvStores;
use lines::Lines;
use listen::Door;
use live::{LiveRules, Sources};
use manifest::{Definition, Manifest};
use site::Site;
use traffic::Traffic;
use workers::Workers;

/// How often the files are looked at while nobody asks for anything.
const WATCH: Duration = Duration::from_millis(400);

/// Serve a site through a folder of rules, on this machine: the local edge.
///
/// It runs the code that runs on Fastly, and asks the real origin. Save a file of the folder: it is checked, and the next request follows
/// it. The page /.local/ picks whom the browser is to be: the country, the device, the consent, a new visitor.
///
/// It is not Fastly: it has no cache, no POPs, no shields, no limits of CPU, and no data of real places or devices.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  personalizer serve rules --origin https://www.example.com
  personalizer serve rules --origin https://www.example.com --country US-CA
  personalizer serve rules --origin http://127.0.0.1:3000 --port 8080
  personalizer serve rules --origin http://127.0.0.1:3000 --watch --traffic 30 --fault r42=50% --log logs/edge.log

fastly.toml's [local_server] has more: other backends, secrets, KV values, places of addresses, and the file of the config store. What
`personalizer push --to file:PATH` puts there (revisions, the pointer with its canary and kill switch) counts beside the folder.")]
pub struct Options {
    /// The folder of rules: one JSON file a dictionary.
    #[arg(default_value = "rules")]
    folder: PathBuf,
    /// The site: scheme and host, and a path that goes in front of all others. Without it, the origin of fastly.toml.
    #[arg(long, value_name = "URL")]
    origin: Option<String>,
    /// Another backend; may be given several times.
    #[arg(long, value_name = "NAME=URL")]
    backend: Vec<String>,
    /// The host that rules and origin see, with its port if it has one. Without it, the origin's host; or, where that is this machine,
    /// the one that the browser asks for.
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// Where visitors are whose address has no place: FR, US-CA.
    #[arg(long, value_name = "COUNTRY", value_parser = picked::parse_place)]
    country: Option<Geo>,
    /// The address that it listens on.
    #[arg(long, value_name = "ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    listen: IpAddr,
    /// The port that it listens on; 0 takes a free one.
    #[arg(long, default_value_t = 7878)]
    port: u16,
    /// Where backends, secrets, KV values and places are; without it, the fastly.toml beside or above the folder, if there is one.
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// The file of the config store, which `push --to file:PATH` writes; without it, the one that fastly.toml names.
    #[arg(long, value_name = "FILE")]
    store: Option<PathBuf>,
    /// A folder of secrets, as `personalizer secrets new` makes it: one file a secret. They win over fastly.toml's.
    #[arg(long, value_name = "FOLDER")]
    secrets: Option<PathBuf>,
    #[command(flatten)]
    payload: PayloadOptions,
    /// Don't print the service's log lines.
    #[arg(long, conflicts_with = "watch")]
    quiet: bool,
    #[command(flatten)]
    lab: Lab,
}

/// What makes a local edge a place to try a rollout.
#[derive(Debug, Args)]
struct Lab {
    /// Print the log as a table, one row a request, instead of its lines.
    #[arg(long)]
    watch: bool,
    /// Append the log's lines to a file too, for `judge`, `report` and `canary --auto`.
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// Make traffic: so many requests a second, of visitors from everywhere, on the pages that the routes name. Some of them order, by
    /// POST /orders. Only for an origin on this machine.
    #[arg(long, value_name = "PER_SECOND", num_args = 0..=1, default_missing_value = "10",
        value_parser = clap::value_parser!(u32).range(1..=200))]
    traffic: Option<u32>,
    /// Let the origin fail with 503 for a share of the visitors of a revision: r42=50%. Routes with `cache` have it.
    #[arg(long, value_name = "REVISION=PERCENT")]
    fault: Option<Fault>,
}

/// Serves until Ctrl-C (or SIGTERM).
pub fn run(options: &Options) -> anyhow::Result<Outcome> {
    let file = options.manifest.clone().or_else(|| check::beside(&options.folder));
    let manifest = file.as_deref().map(Manifest::read).transpose()?.unwrap_or_default();
    let definitions = options.definitions(&manifest)?;
    let site = options.site()?;
    let address = SocketAddr::new(options.listen, options.port);
    let listener = TcpListener::bind(address).map_err(|error| taken(error, address))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;

    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let backends =
        definitions.iter().map(|(name, definition)| Ok((name.clone(), Arc::new(Backend::new(name, definition)?))));
    let backends: BTreeMap<_, _> = backends.collect::<anyhow::Result<_>>()?;
    let sources = Sources {
        folder: options.folder.clone(),
        payload: options.payload.clone(),
        store: options.store.clone().or_else(|| manifest.store()),
        manifest: file,
    };
    let machine = Arc::new(Machine {
        runtime: runtime.handle().clone(),
        started: Instant::now(),
        rules: LiveRules::start(sources)?,
        kv: kv(&manifest)?,
        secrets: options.secrets(&manifest)?,
        places: manifest.places(),
        elsewhere: options.country.clone(),
        devices: manifest.devices(),
        backends,
        says: Runtime { pop: "local".to_owned(), service_version: 0, is_staging: false },
        lines: Lines::new(options.quiet, options.lab.watch, options.lab.log.as_deref())?,
        fault: options.lab.fault.clone(),
    });
    let traffic = options.lab.traffic.map(|rate| options.traffic(rate, &machine, address)).transpose()?;
    let stop = signalled()?;
    watch(Arc::clone(&machine));
    output::line(&greeting(address, &machine, site.as_ref()));
    let door = Arc::new(Door::new(Workers::new(machine), site, runtime.handle().clone()));
    if let Some(traffic) = traffic {
        output::line(&traffic.told());
        runtime.spawn(traffic.run(Arc::clone(&door), runtime.handle().clone()));
    }
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        door.serve(listener, stop.notified()).await;
        anyhow::Ok(())
    })?;
    output::line("Stopped.");
    // What still runs then is an answer that nobody waits for.
    runtime.shutdown_background();
    Ok(Outcome::Well)
}

impl Options {
    fn definitions(&self, manifest: &Manifest) -> anyhow::Result<BTreeMap<String, Definition>> {
        let mut definitions = manifest.backends()?;
        let origin = self.origin.as_deref().map(|url| Ok((DEFAULT_BACKEND, url)));
        let others = self.backend.iter().map(|pair| {
            pair.split_once('=').with_context(|| format!("--backend: expected NAME=URL, but found '{pair}'"))
        });
        for named in origin.into_iter().chain(others) {
            let (name, url) = named?;
            let definition = definitions.entry(name.to_owned()).or_default();
            // Another server has another name and other certificates.
            *definition = Definition {
                url: url.to_owned(),
                first_byte: definition.first_byte,
                between_bytes: definition.between_bytes,
                ..Definition::default()
            };
        }
        if !definitions.contains_key(DEFAULT_BACKEND) {
            bail!(
                "expected the site (--origin https://www.example.com, or [local_server.backends.origin] in fastly.toml), but found none"
            );
        }
        Ok(definitions)
    }

    /// The traffic that is to be made.
    ///
    /// # Errors
    ///
    /// The origin is somebody's real site.
    fn traffic(&self, rate: u32, machine: &Machine, address: SocketAddr) -> anyhow::Result<Traffic> {
        let origin = machine.backends.get(DEFAULT_BACKEND).map(|origin| origin.address()).unwrap_or_default();
        let host = origin.parse::<Uri>().ok().and_then(|url| Some(url.host()?.to_owned())).unwrap_or_default();
        if !is_here(&host) {
            bail!("--traffic: expected an origin on this machine, because it orders and loads, but found {origin}");
        }
        Traffic::new(rate, &self.folder, address)
    }

    /// Whose pages these are, where the browser's own host isn't the name of the site.
    fn site(&self) -> anyhow::Result<Option<Site>> {
        let origin: Option<Uri> = self.origin.as_deref().and_then(|origin| origin.parse().ok());
        let scheme = origin.as_ref().and_then(Uri::scheme_str).unwrap_or("https").to_owned();
        let authority = match (&self.host, origin.as_ref().and_then(Uri::authority)) {
            (Some(host), _) => {
                let known = host.parse::<http::uri::Authority>().ok().filter(|host| !host.as_str().contains('@'));
                known.with_context(|| format!("--host: expected a host such as www.example.com, but found '{host}'"))?
            }
            (None, Some(authority)) if !is_here(authority.host()) => authority.clone(),
            (None, _) => return Ok(None),
        };
        Ok(Some(Site { scheme, authority: authority.as_str().to_ascii_lowercase() }))
    }

    fn secrets(&self, manifest: &Manifest) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
        let mut secrets = manifest.secrets()?;
        if let Some(folder) = &self.secrets {
            let unreadable = |path: &Path| format!("{}: expected secrets, but can't read it", path.display());
            for entry in fs::read_dir(folder).with_context(|| unreadable(folder))? {
                let path = entry?.path();
                if let Some(name) = path.file_name().and_then(|name| name.to_str()).filter(|_| path.is_file()) {
                    secrets.insert(name.to_owned(), fs::read(&path).with_context(|| unreadable(&path))?);
                }
            }
        }
        Ok(secrets)
    }
}

/// Whether a host is this machine: by such a name nobody knows a site.
fn is_here(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

fn kv(manifest: &Manifest) -> anyhow::Result<KvStores> {
    let stores = KvStores::default();
    for (store, name) in [(Kv::Sessions, "sessions"), (Kv::Rules, "rules")] {
        for (key, bytes) in manifest.kv(name)? {
            stores.put(store, &key, bytes);
        }
    }
    Ok(stores)
}

/// Looks at the files also while nobody asks, so that a mistake is named when it is saved.
fn watch(machine: Arc<Machine>) {
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(WATCH);
            machine.rules.look();
        }
    });
}

/// Told by the first signal. The second ends the program at once.
fn signalled() -> anyhow::Result<Arc<Notify>> {
    let stop = Arc::new(Notify::new());
    let (told, once) = (Arc::clone(&stop), AtomicBool::new(false));
    ctrlc::set_handler(move || {
        if once.swap(true, Ordering::SeqCst) {
            std::process::exit(2);
        }
        // It is kept until somebody waits for it.
        told.notify_one();
    })
    .context("signals can't be heard")?;
    Ok(stop)
}

fn taken(error: std::io::Error, address: SocketAddr) -> anyhow::Error {
    if error.kind() == std::io::ErrorKind::AddrInUse {
        let port = address.port();
        return anyhow!("port {port} is taken: end the program that has it, or choose another by `--port PORT`");
    }
    anyhow::Error::new(error).context(format!("can't listen on {address}"))
}

fn greeting(address: SocketAddr, machine: &Machine, site: Option<&Site>) -> String {
    let origin = machine.backends.get(DEFAULT_BACKEND).map(|origin| origin.address()).unwrap_or_default();
    let name = site.map(|site| format!(", as {}", site.authority)).unwrap_or_default();
    let mut greeting = format!(
        "The local edge listens on http://{address} and shows {origin}{name}.\n\
         Be somebody else at http://{address}/.local/ and see its health at http://{address}/.edge/health\n\
         No cache, no POPs: what Fastly adds isn't here. Ctrl-C ends it."
    );
    if !address.ip().is_loopback() {
        greeting.push_str("\nOthers can reach this address: they can use what only local settings allow.");
    }
    greeting
}
