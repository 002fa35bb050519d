//! The demo shop: the origin that `cargo xtask serve` shows, that the end-to-end tests look into and that the bench
//! drives.
//!
//! It remembers what it received ([`DemoOrigin::requests`]), and any of its paths can be told to misbehave
//! ([`DemoOrigin::on`]). It listens on loopback addresses only.

mod answer;
mod behaviour;
mod careless;
mod catalog;
mod faults;
mod hold;
mod pages;
mod pictures;
mod record;
mod session_api;
mod shop;
mod variations;
mod visits;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread::JoinHandle;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use answer::Connection;
pub use behaviour::Behaviour;
pub use catalog::{Product, product, products};
pub use hold::Hold;
pub use record::Recorded;
use shop::Shop;

/// Where `fastly.toml` expects the demo shop. Not 7676: `fastly compute serve` listens there itself, and would call itself.
pub const DEFAULT_PORT: u16 = 7877;

/// The header that every answer of the demo shop carries, so that a test can tell an answer of the origin from one
/// that the edge made itself.
pub const MARK: &str = "x-demo-origin";

/// More header lines than any test sends: what reaches the origin should be seen, not refused.
const MAX_HEADERS: usize = 1000;

/// A running demo shop; dropping it stops it.
#[derive(Debug)]
pub struct DemoOrigin {
    address: SocketAddr,
    shop: Arc<Shop>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl DemoOrigin {
    /// Starts a shop on a loopback address; port 0 takes a free one.
    ///
    /// # Errors
    ///
    /// The address is taken, or isn't a loopback address.
    pub fn start(address: SocketAddr) -> io::Result<Self> {
        if !address.ip().is_loopback() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the demo shop listens on loopback addresses only",
            ));
        }
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("demo-origin")
            .enable_all()
            .build()?;
        let shop = Arc::new(Shop::default());
        let (stop, stopped) = oneshot::channel();
        let serving = Arc::clone(&shop);
        let thread = std::thread::Builder::new().name("demo-origin".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = accept(listener, serving) => {}
                    _ = stopped => {}
                }
            });
            // Stalled answers must not delay the end.
            runtime.shutdown_background();
        })?;
        Ok(Self { address, shop, stop: Some(stop), thread: Some(thread) })
    }

    /// Starts a shop on a free port of 127.0.0.1.
    ///
    /// # Errors
    ///
    /// No port is free.
    pub fn on_a_free_port() -> io::Result<Self> {
        Self::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://address`, as a backend's definition has it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on, `path` behaves like this. A trailing `*` stands for every path that begins so; a later call wins
    /// over an earlier one.
    pub fn on(&self, path: &str, behaviour: Behaviour) {
        self.shop.arm(path, behaviour, None);
    }

    /// The next `times` requests to `path` meet this behaviour, later ones don't.
    pub fn on_next(&self, path: &str, times: usize, behaviour: Behaviour) {
        self.shop.arm(path, behaviour, Some(times));
    }

    /// Every path behaves well again.
    pub fn behave(&self) {
        self.shop.disarm();
    }

    /// Whether to remember requests (it does, until told otherwise); a bench has no use for them.
    pub fn remember(&self, yes: bool) {
        self.shop.remember(yes);
    }

    /// What it received, oldest first; the latest few thousand are kept. A request is in here before its answer starts.
    #[must_use]
    pub fn requests(&self) -> Vec<Recorded> {
        self.shop.recorded_since(0)
    }

    /// What it received last.
    #[must_use]
    pub fn last_request(&self) -> Option<Recorded> {
        self.requests().pop()
    }

    /// From now on, what visitors look at and put into the cart goes to `send`: a batch of updates for `/.edge/sessions`, as NDJSON. The
    /// session API then knows what happened, and nothing that is made up. `send` may wait; the visitor's answer comes after it.
    pub fn stream_sessions(&self, send: impl Fn(&str) + Send + Sync + 'static) {
        self.shop.visits.stream(Arc::new(send));
    }

    /// Forgets what it received.
    pub fn forget(&self) {
        self.shop.forget();
    }
}

impl Drop for DemoOrigin {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // The receiver is gone only where the thread has ended already.
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn accept(listener: std::net::TcpListener, shop: Arc<Shop>) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    loop {
        // An error here belongs to one connection (it was reset before it was accepted, or files ran out).
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            continue;
        };
        let shop = Arc::clone(&shop);
        tokio::spawn(async move {
            // A connection's error is the test's doing, or the client went away.
            let _ = converse(stream, shop).await;
        });
    }
}

async fn converse(stream: TcpStream, shop: Arc<Shop>) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let (stream, connection) = Connection::split(stream)?;
    let connection = Arc::new(connection);
    let service = service_fn(move |request| {
        let shop = Arc::clone(&shop);
        let connection = Arc::clone(&connection);
        async move { shop.answer(request, connection).await }
    });
    http1::Builder::new().max_headers(MAX_HEADERS).serve_connection(TokioIo::new(stream), service).await?;
    Ok(())
}
