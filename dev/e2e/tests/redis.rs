//! `examples/redis-feed.py`: from a real Redis through `personalizer sessions push` to the real service, and into the page.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic,
    reason = "what is missing in a JSON value is null, and a surprise ends the test"
)]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use e2e::programs::{self, Running};
use e2e::visitors::NEW_YORK;
use e2e::{Edge, Request, now};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The local server's own, of `fastly.toml`.
const SECRET: &str = "whsec_bG9jYWwtcmVwbGljYXRpb24tc2VjcmV0LW9mLTMyLWI=";
const VISITOR: &str = "00000000000000000000000000000abc";
const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
/// How long an update may take from Redis to the page, on a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A Redis of the test's own, which keeps nothing.
struct Redis {
    _server: Running,
    cli: PathBuf,
    address: SocketAddr,
    _folder: TempDir,
}

impl Redis {
    fn start(server: &std::path::Path, cli: PathBuf) -> Self {
        let folder = TempDir::new().unwrap();
        let address = local_server::free_address().unwrap();
        let port = address.port().to_string();
        let server = Running::start(server, |command| {
            command.args(["--bind", "127.0.0.1", "--port", &port, "--save", "", "--appendonly", "no", "--dir"]);
            command.arg(folder.path()).stdin(Stdio::null()).stdout(Stdio::null());
        });
        let redis = Self { _server: server, cli, address, _folder: folder };
        wait("Redis answers", || redis.ask(&["PING"]) == json!("PONG"));
        redis
    }

    fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// A command's reply; `null` where it failed.
    fn ask(&self, words: &[&str]) -> Value {
        let output = Command::new(&self.cli).args(["-u", &self.url(), "--json"]).args(words).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }

    fn add(&self, update: &Value) {
        let id = self.ask(&["XADD", "sessions", "*", "update", &update.to_string()]);
        assert!(id.is_string(), "{id}");
    }

    /// How many entries were read and not acknowledged.
    fn pending(&self) -> Value {
        self.ask(&["XPENDING", "sessions", "edge"])[0].clone()
    }
}

fn wait(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < end, "waited {PATIENCE:?} in vain: {what}");
        sleep(Duration::from_millis(100));
    }
}

fn feed(redis: &Redis, edge: &Edge) -> Running {
    Running::start(&programs::root().join("examples/redis-feed.py"), |command| {
        command.args(["--redis", &redis.url(), "--", "--to", &format!("http://{}", edge.address())]);
        command.env("PERSONALIZER", programs::personalizer()).env("PERSONALIZER_REPLICATION_SECRET", SECRET);
        command.stdin(Stdio::null());
    })
}

fn put(sku: &str, quantity: u32) -> Value {
    let record = json!({ "cart": [{ "sku": sku, "quantity": quantity }], "recent_views": [sku] });
    json!({ "op": "put", "visitor": VISITOR, "updated_at": now().as_millis(), "record": record })
}

/// The shop's home page, as the visitor sees it.
fn page(edge: &Edge) -> String {
    let request = Request::get("/").header("user-agent", BROWSER).header("cookie", format!("ep_vid={VISITOR}"));
    let answer = edge.visitor(NEW_YORK).known_as(VISITOR).send(&request);
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.text()
}

#[test]
fn what_the_backend_writes_to_redis_shows_in_the_page_and_is_not_lost_when_the_feed_stops() {
    let needed = [("redis-server", "redis-server"), ("redis-cli", "redis-tools"), ("python3", "python3")];
    let [Some(server), Some(cli), Some(_)] = needed.map(|(program, package)| programs::installed(program, package))
    else {
        return;
    };
    let redis = Redis::start(&server, cli);
    let edge = Edge::demo().dictionary("settings", &json!({})).start();
    assert!(!page(&edge).contains("Cart <b>"), "nobody knows the visitor yet");

    // While nobody feeds: the entry waits in the stream.
    redis.add(&put("P0002", 3));
    let mut running = feed(&redis, &edge);
    let started = Instant::now();
    wait("the cart of Redis is in the page", || page(&edge).contains("Cart <b>3</b>"));
    println!("from the feed's start to the page: {} ms", started.elapsed().as_millis());
    assert!(page(&edge).contains("data-sku=\"P0002\""), "what was viewed, too");

    let started = Instant::now();
    redis.add(&put("P0003", 5));
    wait("a change is in the page", || page(&edge).contains("Cart <b>5</b>"));
    println!("from XADD to the page: {} ms", started.elapsed().as_millis());

    // An update that can never be taken doesn't hold the others up, and isn't lost silently.
    redis.add(&json!({ "op": "put", "visitor": "nobody", "updated_at": 1, "record": {} }));
    redis.add(&put("P0004", 7));
    wait("the update after a bad one is in the page", || page(&edge).contains("Cart <b>7</b>"));
    wait("all is acknowledged", || redis.pending() == json!(0));
    let rejected = redis.ask(&["XRANGE", "sessions:rejected", "-", "+"]);
    assert_eq!(rejected.as_array().map(Vec::len), Some(1), "{rejected}");
    assert!(rejected.to_string().contains("visitor: expected 32 lower-case hexadecimal digits"), "{rejected}");
    assert!(!running.has_ended());
    drop(running);

    // A feed that had read an entry and was killed before the edge took it: the read that it had under way, or this one.
    redis.add(&put("P0005", 9));
    redis.ask(&["XREADGROUP", "GROUP", "edge", "feed", "COUNT", "1", "STREAMS", "sessions", ">"]);
    wait("an entry is read and not acknowledged", || redis.pending() == json!(1));
    assert!(!page(&edge).contains("Cart <b>9</b>"), "nobody sent it");
    let _again = feed(&redis, &edge);
    wait("what was pending is in the page", || page(&edge).contains("Cart <b>9</b>"));
    wait("what was pending is acknowledged", || redis.pending() == json!(0));
}
