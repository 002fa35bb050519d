//! The local edge (`personalizer serve`) and the wasm on Fastly's local server are one service: they answer alike, and ask the origin alike.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at a surprise"
)]

use std::collections::BTreeMap;
use std::time::Duration;

use e2e::crowd::{Mix, Person};
use e2e::visitors::{LOCATED, NEW_YORK, NOWHERE, PARIS, Visitor};
use e2e::{Answer, Behaviour, Dice, Edge, LocalEdge, Recorded, Request};
use local_server::client;
use serde_json::Value;

/// Both know the site by one name: their ports differ.
const HOST: &str = "shop.example";
/// What belongs to a connection, to a moment, or to one request alone.
const OF_THE_MOMENT: [&str; 5] = ["connection", "keep-alive", "transfer-encoding", "date", "server-timing"];
/// What tells of a request's way to the origin: how its body is framed is each server's own (the local server says of none that it has
/// no bytes), and only the local server shows the key of the cache that both lack.
const OF_THE_WAY: [&str; 3] = ["content-length", "transfer-encoding", "fastly-xqd-cache-key"];
/// How long a request's log line is waited for. Some have none.
const LINE_LIMIT: Duration = Duration::from_secs(1);
/// Random requests.
const REQUESTS: usize = 1_000;

/// Both, with the demo's rules.
struct Pair {
    wasm: Edge,
    native: LocalEdge,
    differences: Vec<String>,
    asked: usize,
}

/// What can be told of an answer, and of what the origin was asked for it.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    /// `None` where the connection was cut before a head came.
    status: Option<u16>,
    headers: BTreeMap<String, Vec<String>>,
    body: Vec<u8>,
    complete: bool,
    origin: Vec<String>,
}

impl Pair {
    fn start() -> Self {
        let wasm = Edge::demo().time_out("origin", Duration::from_secs(2)).start();
        let native = LocalEdge::beside(&wasm);
        Self { wasm, native, differences: Vec::new(), asked: 0 }
    }

    /// Has both answer, and notes where they differ.
    fn ask(&mut self, visitor: Visitor, request: &Request) {
        let request = request.clone().header("Host", HOST);
        self.asked += 1;
        self.wasm.origin().forget();
        let position = self.wasm.logs().position();
        let wasm = client::send(visitor.address, self.wasm.address(), &request);
        // Then nothing of it is still under way.
        let _ = self.wasm.logs().wait("decisions", position, LINE_LIMIT, |_| true);
        let wasm = told(wasm.ok(), &self.wasm.origin().requests());
        self.wasm.origin().forget();
        let mut native = told(self.native.send(visitor, &request).ok(), &self.wasm.origin().requests());
        native.cut_as(&wasm);
        if wasm != native {
            let request = String::from_utf8_lossy(&request.bytes(HOST)).into_owned();
            self.differences.push(format!("from {}: {request}\n{}", visitor.city, difference(&wasm, &native)));
        }
    }

    fn end(self) {
        let (found, asked) = (self.differences.len(), self.asked);
        let shown = self.differences.iter().take(8).cloned().collect::<Vec<_>>().join("\n\n");
        assert!(found == 0, "{found} of {asked} answers differ:\n\n{shown}");
    }
}

impl Told {
    /// How much of a body came before it broke off is the network's to say: of two that broke off, the one may go on longer.
    fn cut_as(&mut self, other: &Self) {
        let goes_on = self.body.starts_with(&other.body) || other.body.starts_with(&self.body);
        if !self.complete && !other.complete && goes_on {
            self.body.clone_from(&other.body);
        }
    }
}

fn told(answer: Option<Answer>, requests: &[Recorded]) -> Told {
    let mut headers: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in answer.iter().flat_map(|answer| &answer.headers) {
        let name = name.to_ascii_lowercase();
        if !OF_THE_MOMENT.contains(&name.as_str()) {
            headers.entry(name).or_default().push(masked(&value.escape_ascii().to_string()));
        }
    }
    let mut origin: Vec<String> = requests.iter().map(asked).collect();
    // A session is asked for beside the page.
    origin.sort();
    let status = answer.as_ref().map(|answer| answer.status);
    let whole = answer.as_ref().map(|answer| answer.body.clone()).unwrap_or_default();
    let body = std::str::from_utf8(&whole).map(|text| masked(&echoed(text)).into_bytes()).unwrap_or(whole.clone());
    // It may be the length of what isn't compared: of what the shop tells of the way, of the place's name; and of a 304 it is that of
    // something that isn't there.
    let tells = requests.iter().any(|request| request.path().starts_with("/echo/"));
    if tells || body != whole || status == Some(304) || (requests.is_empty() && whole.starts_with(b"{")) {
        headers.remove("content-length");
    }
    Told { status, headers, body, complete: answer.is_some_and(|answer| answer.complete), origin }
}

/// Where the shop tells what it was asked: without what tells of the way.
fn echoed(text: &str) -> String {
    let Ok(mut json) = serde_json::from_str::<Value>(text) else { return text.to_owned() };
    let Some(headers) = json.get_mut("headers").and_then(Value::as_array_mut) else { return text.to_owned() };
    headers.retain(|line| !OF_THE_WAY.contains(&line[0].as_str().unwrap_or_default()));
    json.to_string()
}

fn asked(request: &Recorded) -> String {
    let told = request.headers.iter().filter(|(name, _)| !OF_THE_WAY.contains(&&**name));
    let mut headers: Vec<String> = told.map(|(name, value)| masked(&format!("{name}: {value}"))).collect();
    headers.sort();
    format!("{} {}\n  {}\n  {}", request.method, request.target, headers.join("\n  "), request.body_sha256)
}

/// Without ids, which are new for each request: runs of 16 hexadecimal digits and more. And without the name of the place.
fn masked(text: &str) -> String {
    let mut masked = String::new();
    let mut run = String::new();
    for letter in text.chars().chain(['\0']) {
        if letter.is_ascii_hexdigit() {
            run.push(letter);
            continue;
        }
        masked.push_str(if run.len() >= 16 { "<id>" } else { &run });
        run.clear();
        masked.push(letter);
    }
    masked.pop();
    masked.replace("\"pop\":\"local\"", "\"pop\":\"XXX\"")
}

fn difference(wasm: &Told, native: &Told) -> String {
    let mut lines = vec![format!("status {:?} and {:?}", wasm.status, native.status)];
    let names = wasm.headers.keys().chain(native.headers.keys());
    for name in names.filter(|name| wasm.headers.get(*name) != native.headers.get(*name)) {
        lines.push(format!("{name}: {:?} and {:?}", wasm.headers.get(name), native.headers.get(name)));
    }
    if wasm.body != native.body || wasm.complete != native.complete {
        let text = |told: &Told| String::from_utf8_lossy(&told.body).chars().take(2_000).collect::<String>();
        lines.push(format!("body ({}): {}\nand ({}): {}", wasm.complete, text(wasm), native.complete, text(native)));
    }
    if wasm.origin != native.origin {
        lines.push(format!("the origin was asked\n{}\nand\n{}", wasm.origin.join("\n"), native.origin.join("\n")));
    }
    lines.join("\n")
}

#[test]
fn both_answer_alike_whoever_asks_from_wherever() {
    let mut pair = Pair::start();
    for visitor in LOCATED.into_iter().chain([NOWHERE]) {
        pair.ask(visitor, &Request::get("/api/products/all?category=electronics"));
    }
    for region in ["US-EAST", "APAC", "ATLANTIS"] {
        pair.ask(NOWHERE, &Request::get("/api/products/all").header("X-Geo-Region", region));
    }
    pair.end();
}

#[test]
fn both_answer_alike_whatever_is_asked() {
    let mut pair = Pair::start();
    let get = |target: &str| Request::get(target);
    let gzip = |request: Request| request.header("Accept-Encoding", "gzip");
    for request in [
        get("/"),
        get("/page/42k"),
        gzip(get("/gzip/page/42k")),
        gzip(get("/gzip/products")),
        get("/gzip/api/products?always=1"),
        get("/etag/page"),
        get("/range").header("Range", "bytes=10-19"),
        get("/range").header("Range", "bytes=5000-"),
        get("/chunks?n=5&ms=5"),
        get("/set-cookie"),
        get("/headers?h=Vary:Origin&h=X-Empty:&h=Edge-Variant:the+origin's&h=X-Latin:caf%E9"),
        get("/a/../b/./c?x=%zz&y=\"<>"),
        get("/%2e%2e/x//y/%7euser"),
        get("/.edge/health"),
        get("/.edge/explain"),
        get("/.edge/nothing"),
        get("/loop").header("CDN-Loop", "edge-personalizer"),
        Request::new("HEAD", "/"),
        Request::new("HEAD", "/page/42k"),
        gzip(Request::new("HEAD", "/gzip/page/42k")),
        Request::new("HEAD", "/nothing"),
        Request::new("OPTIONS", "/"),
        Request::new("POST", "/cart").header("Content-Type", "application/json").body("{\"sku\":\"P0001\"}"),
        Request::new("POST", "/echo/empty").body(""),
        Request::new("PUT", "/nothing").body("x".repeat(100_000)),
        Request::new("DELETE", "/cart"),
        Request::new("TRACE", "/"),
        Request::new("PURGE", "/"),
        get(&format!("/{}", "x".repeat(9_000))),
        get("/").header("X-Long", "x".repeat(20_000)),
    ] {
        pair.ask(PARIS, &request);
    }
    for status in [201, 204, 205, 301, 304, 400, 404, 410, 500, 503] {
        pair.wasm.origin().on("/answers", Behaviour::Answer { status, headers: Vec::new(), body: b"x".to_vec() });
        pair.ask(PARIS, &get("/answers"));
        pair.ask(PARIS, &Request::new("HEAD", "/answers"));
    }
    pair.end();
}

#[test]
fn both_answer_alike_whatever_the_origin_does() {
    let mut pair = Pair::start();
    let promotion = "/api/products/promotions/east";
    for behaviour in [
        Behaviour::Status(404),
        Behaviour::Status(500),
        Behaviour::Status(503),
        Behaviour::Reset,
        Behaviour::Truncate,
        Behaviour::ResetBody,
        Behaviour::Chunks { count: 7, every: Duration::from_millis(3) },
    ] {
        for (path, asked) in [(promotion, "/api/products/all"), ("/", "/"), ("/style.css", "/style.css")] {
            pair.wasm.origin().on(path, behaviour.clone());
            pair.ask(NEW_YORK, &Request::get(asked).header("User-Agent", "Mozilla/5.0"));
            pair.wasm.origin().behave();
        }
    }
    pair.end();
}

/// The local server says of every failed request that it failed; Fastly, and the local edge, know a time-out.
#[test]
fn an_origin_that_is_too_slow_is_a_gateway_timeout_as_on_fastly() {
    let mut pair = Pair::start();
    pair.wasm.origin().on("/api/products/promotions/east", Behaviour::StallHead(Duration::from_secs(20)));
    pair.ask(NEW_YORK, &Request::get("/api/products/all"));
    pair.wasm.origin().on("/style.css", Behaviour::StallHead(Duration::from_secs(20)));
    let request = Request::get("/style.css");
    assert_eq!(pair.wasm.visitor(NEW_YORK).send(&request).status, 502);
    assert_eq!(pair.native.send(NEW_YORK, &request).unwrap().status, 504);
    pair.end();
}

#[test]
fn both_answer_a_thousand_random_requests_alike() {
    let mut pair = Pair::start();
    let mut dice = Dice::new(0x5eed);
    let paths = [
        "/",
        "/api/products/all",
        "/search/coats",
        "/search/a%20b/c",
        "/shop",
        "/products",
        "/products/P0003",
        "/page/42k",
        "/gzip/page/42k",
        "/img/P0003",
        "/echo/a",
        "/cart",
        "/nothing",
        "/etag/page",
        "/set-cookie",
        "/style.css",
    ];
    // Who has no id gets one by chance, and with it a variation.
    let mix = Mix {
        paths: &paths,
        methods: &["GET", "GET", "GET", "GET", "GET", "GET", "HEAD", "POST", "OPTIONS"],
        header_percent: 30,
        user_percent: 15,
        cookie_percent: 100,
    };
    for _ in 0..REQUESTS {
        let person = Person::next(&mut dice, mix);
        pair.ask(person.visitor, &person.request());
    }
    pair.end();
}
