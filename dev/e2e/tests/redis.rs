//! `personalizer sessions feed`: from a real Redis to the real service, and into the page; nothing is lost, whoever is killed.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic,
    reason = "what is missing in a JSON value is null, and a surprise ends the test"
)]

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use e2e::programs::{self, Running};
use e2e::visitors::NEW_YORK;
use e2e::{Dice, Edge, Request, now};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The local server's own, of `fastly.toml`.
const SECRET: &str = "whsec_bG9jYWwtcmVwbGljYXRpb24tc2VjcmV0LW9mLTMyLWI=";
const VISITOR: &str = "00000000000000000000000000000abc";
const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
/// How long an update may take from Redis to the page, on a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// How many are killed, one after the other.
const KILLS: usize = 12;
/// Each has three fields in a session.
const VISITORS: usize = 54;
const FIELDS: [&str; 3] = ["cart", "recent_views", "affinity"];

/// A Redis of the test's own. What it has said yes to outlives a kill.
struct Redis {
    running: Option<Running>,
    server: PathBuf,
    cli: PathBuf,
    address: SocketAddr,
    folder: TempDir,
}

impl Redis {
    /// `None` where the machine has none.
    fn start() -> Option<Self> {
        let needed = [("redis-server", "redis-server"), ("redis-cli", "redis-tools")];
        let [Some(server), Some(cli)] = needed.map(|(program, package)| programs::installed(program, package)) else {
            return None;
        };
        let (address, folder) = (local_server::free_address().unwrap(), TempDir::new().unwrap());
        let mut redis = Self { running: None, server, cli, address, folder };
        redis.run();
        Some(redis)
    }

    fn run(&mut self) {
        let port = self.address.port().to_string();
        self.running = Some(Running::start(&self.server, |command| {
            command.args(["--bind", "127.0.0.1", "--port", &port, "--save", "", "--dir"]).arg(self.folder.path());
            command.args(["--appendonly", "yes", "--appendfsync", "always"]);
            command.stdin(Stdio::null()).stdout(Stdio::null());
        }));
        wait("Redis answers", || self.ask(&["PING"]) == json!("PONG"));
    }

    fn kill(&mut self) {
        self.running = None;
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

    /// Appends many.
    fn add_all(&self, updates: &[Value]) {
        let commands: String = updates.iter().map(|update| format!("XADD sessions * update '{update}'\n")).collect();
        let mut cli = Command::new(&self.cli);
        let mut cli = cli.args(["-u", &self.url()]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        cli.stdin.take().unwrap().write_all(commands.as_bytes()).unwrap();
        let said = String::from_utf8(cli.wait_with_output().unwrap().stdout).unwrap();
        assert_eq!(said.lines().filter(|line| line.contains('-')).count(), updates.len(), "{said}");
    }

    /// Entries that nobody has read.
    fn lag(&self) -> Value {
        self.ask(&["XINFO", "GROUPS", "sessions"])[0]["lag"].clone()
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

fn feed(redis: &Redis, edge: SocketAddr, more: &[&str]) -> Running {
    feed_from(&redis.url(), edge, more)
}

fn feed_from(url: &str, edge: SocketAddr, more: &[&str]) -> Running {
    Running::start(&programs::personalizer(), |command| {
        command.args(["sessions", "feed", "--redis", url, "--to", &format!("http://{edge}")]).args(more);
        command.env("PERSONALIZER_REPLICATION_SECRET", SECRET).stdin(Stdio::null());
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
    let Some(redis) = Redis::start() else { return };
    let edge = Edge::demo().dictionary("settings", &json!({})).start();
    assert!(!page(&edge).contains("Cart <b>"), "nobody knows the visitor yet");

    // While nobody feeds: the entry waits in the stream.
    redis.add(&put("P0002", 3));
    let mut running = feed(&redis, edge.address(), &[]);
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
    let rejected = redis.ask(&["XRANGE", "sessions:refused", "-", "+"]);
    assert_eq!(rejected.as_array().map(Vec::len), Some(1), "{rejected}");
    assert!(rejected.to_string().contains("visitor: expected 32 lower-case hexadecimal digits"), "{rejected}");
    assert!(!running.has_ended());
    drop(running);

    // A feed that had read an entry and was killed before the edge took it: the read that it had under way, or this one.
    redis.add(&put("P0005", 9));
    redis.ask(&["XREADGROUP", "GROUP", "edge", "feed", "COUNT", "1", "STREAMS", "sessions", ">"]);
    wait("an entry is read and not acknowledged", || redis.pending() == json!(1));
    assert!(!page(&edge).contains("Cart <b>9</b>"), "nobody sent it");
    let _again = feed(&redis, edge.address(), &[]);
    wait("what was pending is in the page", || page(&edge).contains("Cart <b>9</b>"));
    wait("what was pending is acknowledged", || redis.pending() == json!(0));
}

/// The way to the edge, which can be cut: to the feed that is an edge that was killed, whatever it had under way.
struct Way {
    address: SocketAddr,
    state: Arc<Mutex<(bool, Vec<TcpStream>)>>,
}

impl Way {
    fn open(edge: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new((true, Vec::new())));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let mut state = shared.lock().unwrap();
                let Ok(server) = TcpStream::connect(edge) else { continue };
                // Where the way is cut, the connection is closed at once.
                if state.0 {
                    for (from, to) in [(&client, &server), (&server, &client)] {
                        let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                        thread::spawn(move || {
                            let _ = io::copy(&mut from, &mut to);
                            let _ = to.shutdown(Shutdown::Both);
                        });
                    }
                    state.1.extend([client, server]);
                }
            }
        });
        Self { address, state }
    }

    fn cut(&self) {
        let mut state = self.state.lock().unwrap();
        state.0 = false;
        for stream in state.1.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn mend(&self) {
        self.state.lock().unwrap().0 = true;
    }
}

fn visitor(number: usize) -> String {
    format!("{number:032x}")
}

/// A change of one field of one visitor; `token` is what the field then holds.
fn change(number: usize, field: &str, token: &str, at: u128) -> Value {
    let value = match field {
        "cart" => json!([{ "sku": token, "quantity": 1 }]),
        "recent_views" => json!([token]),
        _ => json!({ token: 0.5 }),
    };
    json!({ "op": "merge", "visitor": visitor(number), "updated_at": at, "record": { field: value } })
}

/// How many fields the edge has as they were changed last, for whoever asks it.
fn right(edge: &Edge, truth: &BTreeMap<(usize, &str), String>) -> usize {
    let holds = |number: usize| {
        let cookie = format!("ep_vid={}", visitor(number));
        let page = Request::get("/echo/page").header("user-agent", BROWSER).header("cookie", cookie);
        let _ = edge.visitor(NEW_YORK).known_as(&visitor(number)).send(&page);
        let asked = edge.origin().requests();
        asked.last().and_then(|page| page.header("edge-session-data").map(str::to_owned)).unwrap_or_default()
    };
    let data: Vec<String> = (0..VISITORS).map(holds).collect();
    truth.iter().filter(|((number, _), token)| data[*number].contains(&format!("\"{token}\""))).count()
}

#[test]
fn whoever_is_killed_every_field_is_right_at_the_end() {
    let Some(mut redis) = Redis::start() else { return };
    let routes = json!({ "routes": [{ "id": "page", "path": "/echo/page", "session": { "header": FIELDS } }] });
    let edge = Edge::demo().dictionary("settings", &json!({})).dictionary("routes", &routes).start();
    let way = Way::open(edge.address());
    let url = redis.url();
    let start = || feed_from(&url, way.address, &["--claim-after", "1", "--batch", "20"]);
    let (mut dice, mut truth, mut written) = (Dice::new(9), BTreeMap::new(), 0_u128);
    let begin = now().as_millis() - 100_000;
    let mut running = Some(start());
    let mut killed = BTreeMap::<&str, usize>::new();
    for round in 0..=KILLS {
        // Every field at least once, in the first round; later some of them, newer and older ones mixed.
        let count = if round == 0 { VISITORS * FIELDS.len() } else { 120 };
        let mut updates = Vec::new();
        for n in 0..count {
            let (number, field) =
                if round == 0 { (n / 3, FIELDS[n % 3]) } else { (dice.below(VISITORS), *dice.one(&FIELDS)) };
            written += 1;
            let token = format!("t{written}");
            updates.push(change(number, field, &token, begin + written));
            truth.insert((number, field), token);
        }
        for n in (1..updates.len()).rev() {
            updates.swap(n, dice.below(n + 1));
        }
        redis.add_all(&updates);
        sleep(Duration::from_millis(dice.below(150) as u64));
        if round == KILLS {
            break;
        }
        let victim = *dice.one(&["feed", "Redis", "edge"]);
        *killed.entry(victim).or_default() += 1;
        match victim {
            "feed" => running = None,
            "Redis" => redis.kill(),
            _ => way.cut(),
        }
        sleep(Duration::from_millis(dice.below(300) as u64));
        match victim {
            "feed" => running = Some(start()),
            "Redis" => redis.run(),
            _ => way.mend(),
        }
    }
    wait("all is read and acknowledged", || redis.pending() == json!(0) && redis.lag() == json!(0));
    assert_eq!(right(&edge, &truth), truth.len(), "after {killed:?}");
    println!("{} of {} fields right after {killed:?}", right(&edge, &truth), truth.len());
    assert!(!running.unwrap().has_ended(), "a feed outlives the others");
}

#[test]
fn once_delivers_what_is_there_and_takes_over_what_a_dead_consumer_left() {
    let Some(redis) = Redis::start() else { return };
    let edge = Edge::demo().dictionary("settings", &json!({})).start();
    redis.ask(&["XGROUP", "CREATE", "sessions", "edge", "0", "MKSTREAM"]);
    redis.add(&put("P0002", 3));
    redis.ask(&["XREADGROUP", "GROUP", "edge", "dead", "COUNT", "1", "STREAMS", "sessions", ">"]);
    sleep(Duration::from_millis(1_100));
    let mut once = feed(&redis, edge.address(), &["--once", "--claim-after", "1"]);
    assert!(once.ends_within(PATIENCE));
    assert!(page(&edge).contains("Cart <b>3</b>"));
    assert_eq!((redis.pending(), redis.lag()), (json!(0), json!(0)));
}
