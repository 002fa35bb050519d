//! `cargo xtask serve`: the local edge or the wasm, the demo shop behind it, and rules that can be edited while it runs.

mod native;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, SystemTime};

use anyhow::{Context, anyhow, bail};
use clap::Args;
use demo_origin::{DEFAULT_PORT, DemoOrigin};
use local_server::feed::{Feed, LOCAL_SECRET};
use local_server::manifest::Manifest;
use local_server::process::{Launch, LocalServer};
use local_server::rules::Rules;

use crate::{project, setup, viceroy};

/// How often the rules are looked at for changes.
const WATCH: Duration = Duration::from_millis(400);

/// Build the local edge (`personalizer serve`), start it and the demo shop, and print what to try.
///
/// The rules in rules/ are watched: save a file, and the next requests follow it. Ctrl-C ends everything. With --wasm the service itself
/// runs on Fastly's local server, as the end-to-end tests have it.
#[derive(Debug, Args)]
pub struct Options {
    /// Where the service listens (on 127.0.0.1).
    #[arg(long, default_value_t = 7878)]
    port: u16,
    /// Where the demo shop listens.
    #[arg(long, default_value_t = DEFAULT_PORT)]
    origin_port: u16,
    /// Build the wasm and run it on Fastly's local server (Viceroy); the first time, that is installed.
    #[arg(long)]
    wasm: bool,
    /// The local server's program; without it, one is looked for.
    #[arg(long, value_name = "PATH", requires = "wasm")]
    viceroy: Option<PathBuf>,
    /// Don't print the service's log lines.
    #[arg(long)]
    quiet: bool,
    /// The log as a table (this and the next three are options of `personalizer serve`).
    #[arg(long, conflicts_with_all = ["wasm", "quiet"])]
    watch: bool,
    /// Append the log's lines to a file.
    #[arg(long, value_name = "FILE", conflicts_with = "wasm")]
    log: Option<PathBuf>,
    /// Make traffic: requests a second.
    #[arg(long, value_name = "PER_SECOND", num_args = 0..=1, default_missing_value = "10", conflicts_with = "wasm")]
    traffic: Option<u32>,
    /// Let the origin fail for a share of a revision's visitors.
    #[arg(long, value_name = "REVISION=PERCENT", conflicts_with = "wasm")]
    fault: Option<String>,
}

/// Puts the rules of rules/ where the local server reads them (`fastly compute serve` needs it once).
pub fn write_rules() -> anyhow::Result<PathBuf> {
    let store = project::rules_store()?;
    Rules::from_folder(&project::root()?.join("rules"))?.update(&store)?;
    Ok(store)
}

/// Serves until Ctrl-C (or SIGTERM).
pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, options.port));
    free(address, "the service", "--port")?;
    let shop = SocketAddr::from((Ipv4Addr::LOCALHOST, options.origin_port));
    let origin = DemoOrigin::start(shop).map_err(|error| taken(error, shop, "the demo shop", "--origin-port"))?;
    if options.wasm { run_wasm(options, address, origin) } else { native::run(options, address, origin) }
}

/// Told by each signal. Until this is called a signal ends us at once; from now on there is something to take down.
fn signals() -> anyhow::Result<mpsc::Receiver<()>> {
    let (stop, stopped) = mpsc::channel();
    ctrlc::set_handler(move || {
        // A second Ctrl-C finds the receiver gone: we are ending.
        let _ = stop.send(());
    })?;
    Ok(stopped)
}

fn run_wasm(options: &Options, address: SocketAddr, origin: DemoOrigin) -> anyhow::Result<ExitCode> {
    let root = project::root()?;
    setup::wasm_target()?;
    let viceroy = viceroy::program(options.viceroy.as_deref())?;
    let wasm = setup::build_wasm()?;
    let stopped = signals()?;
    let folder = root.join("rules");
    let mut watch = Watch::start(&folder, project::rules_store()?)?;
    let manifest = manifest(&root, options, &origin)?;
    let server = LocalServer::start(Launch {
        viceroy: &viceroy,
        wasm: &wasm,
        manifest: &manifest,
        folder: &root,
        address,
        shown: if options.quiet { |_| () } else { |line| println!("{line}") },
    });
    let mut server = server?;
    stream(server.address(), &origin);
    println!("{}", greeting(server.address(), &origin, ""));

    loop {
        match stopped.recv_timeout(WATCH) {
            Ok(()) | Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {}
        }
        if server.has_stopped() {
            // Ctrl-C in a terminal reaches the local server as well, and it may be the first to go.
            if stopped.recv_timeout(WATCH).is_ok() {
                break;
            }
            bail!("the local server stopped:\n{}", server.logs().all().join("\n"));
        }
        watch.look();
    }
    println!("\nStopping.");
    drop(server);
    drop(origin);
    Ok(ExitCode::SUCCESS)
}

/// `fastly.toml` itself, or a copy where the demo shop listens elsewhere.
fn manifest(root: &Path, options: &Options, origin: &DemoOrigin) -> anyhow::Result<PathBuf> {
    let file = root.join("fastly.toml");
    if options.origin_port == DEFAULT_PORT {
        return Ok(file);
    }
    let mut manifest = Manifest::read(&file)?;
    for backend in ["origin", "session_api"] {
        manifest.backend(backend, &origin.url());
    }
    let copy = root.join("target").join("local").join("fastly.toml");
    manifest.write(&copy)?;
    Ok(copy)
}

fn free(address: SocketAddr, who: &str, option: &str) -> anyhow::Result<()> {
    TcpListener::bind(address).map(drop).map_err(|error| taken(error, address, who, option))
}

fn taken(error: io::Error, address: SocketAddr, who: &str, option: &str) -> anyhow::Error {
    let port = address.port();
    if error.kind() == io::ErrorKind::AddrInUse {
        anyhow!(
            "port {port} is taken, and {who} needs it: end the program that has it, or choose another by `{option} PORT`"
        )
    } else {
        anyhow::Error::new(error)
            .context(format!("{who} can't listen on port {port} (choose another by `{option} PORT`)"))
    }
}

/// Has the shop stream carts and what visitors look at to the edge, as a customer's backend does.
fn stream(edge: SocketAddr, origin: &DemoOrigin) {
    let Some(feed) = Feed::new(edge, LOCAL_SECRET) else { return };
    origin.stream_sessions(move |batch| {
        if let Err(error) = feed.send(batch) {
            eprintln!("The shop's update didn't reach the edge: {error}");
        }
    });
}

/// What to try. `browser` is what a browser can do here beside looking.
fn greeting(edge: SocketAddr, origin: &DemoOrigin, browser: &str) -> String {
    let origin = origin.address();
    format!(
        "
The service listens on    http://{edge}
The demo shop listens on  http://{origin} (what it received: http://{origin}/_requests)

In a browser: http://{edge}/
{browser}
With curl, a visitor from
  California   curl --interface 127.0.0.10 -i http://{edge}/api/products/all
  New York     curl --interface 127.0.0.11 -i 'http://{edge}/api/products/all?category=electronics'
  Paris        curl --interface 127.0.0.14 -i http://{edge}/api/products/all
  Tokyo        curl --interface 127.0.0.17 -i http://{edge}/api/products/all
  nowhere      curl -i http://{edge}/api/products/all
  any region   curl -H 'X-Geo-Region: EU-WEST' -i http://{edge}/api/products/all
and the health of the service: curl http://{edge}/.edge/health

Edit a file in rules/ and ask again: no restart is needed. Ctrl-C ends everything.
"
    )
}

/// The rules folder, compared with what the local server reads.
struct Watch<'a> {
    folder: &'a Path,
    store: PathBuf,
    seen: BTreeMap<PathBuf, SystemTime>,
}

impl<'a> Watch<'a> {
    fn start(folder: &'a Path, store: PathBuf) -> anyhow::Result<Self> {
        let seen = modified(folder);
        Rules::from_folder(folder)?.update(&store)?;
        Ok(Self { folder, store, seen })
    }

    /// Passes changes on; a file that isn't JSON yet is named and waited for.
    fn look(&mut self) {
        let now = modified(self.folder);
        if now == self.seen {
            return;
        }
        self.seen = now;
        let passed = Rules::from_folder(self.folder).and_then(|rules| rules.update(&self.store));
        match passed.context("the old rules go on serving") {
            Ok(()) => println!("The rules changed: the service follows."),
            Err(error) => eprintln!("The rules changed, but {error:#}"),
        }
    }
}

fn modified(folder: &Path) -> BTreeMap<PathBuf, SystemTime> {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    files.filter_map(|file| Some((file.path(), file.metadata().ok()?.modified().ok()?))).collect()
}
