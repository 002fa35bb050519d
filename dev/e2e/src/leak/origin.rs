//! An origin that calls everything public and tells all that it was told, behind the cache that Fastly has there.
//!
//! The local server has no cache of its own, but it sends on the key under which Fastly would keep an answer. So what is asked for under a
//! known key gets what was stored under it, whoever asked first; and requests are compared: equal keys ask for the same, and what is
//! the same has one key.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use edge_personalizer::respond::storing::{Storing, storing};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

/// The header in which the local server sends on the cache key.
const KEY: &str = "fastly-xqd-cache-key";
/// What differs from request to request, and isn't part of the promise.
const TRACE: [&str; 6] = ["traceparent", "tracestate", "x-request-id", "cdn-loop", "via", KEY];
/// What is told of a request: all that a visitor is known by, or a variant.
const TOLD: [&str; 19] = [
    "accept",
    "accept-language",
    "authorization",
    "cookie",
    "edge-session-data",
    "edge-variant",
    "edge-visitor-id",
    "save-data",
    "sec-ch-viewport-width",
    "user-agent",
    "x-a",
    "x-b",
    "x-client",
    "x-device-type",
    "x-geo-country",
    "x-geo-region",
    "x-network",
    "x-secret",
    "x-user-id",
];
/// Answers stored at once; when there are more, all are dropped.
const MOST_STORED: usize = 100_000;
/// Bytes of a request's head; the platform's own limit is below.
const LARGEST_HEAD: usize = 128 * 1024;

/// An origin's answer.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// The body, `HEAD` or not.
    pub body: Vec<u8>,
}

/// What a request is answered, whoever keeps it: a plain function, so that it can be asked without any cache.
#[must_use]
pub fn reply(method: &str, target: &str, headers: &HeaderMap) -> Reply {
    let mut told = vec![format!("{method} {target}")];
    for name in TOLD {
        told.extend(
            headers.get_all(name).iter().map(|value| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes()))),
        );
    }
    let told = told.join("\n");
    let (kind, body) = match headers.get("x-kind").map(HeaderValue::as_bytes) {
        Some(b"html") => ("text/html; charset=utf-8", page(&told)),
        Some(b"json") => ("application/json", serde_json::json!({ "line": "nobody's", "told": told }).to_string()),
        _ => ("text/plain", told),
    };
    let status = if target.contains("missing") { StatusCode::NOT_FOUND } else { StatusCode::OK };
    let mut answer = HeaderMap::new();
    answer.insert(http::header::CONTENT_TYPE, HeaderValue::from_static(kind));
    let directives = if target.contains("own") { "private, max-age=300" } else { "public, max-age=300, s-maxage=600" };
    answer.insert(http::header::CACHE_CONTROL, HeaderValue::from_static(directives));
    if target.contains("cookie") {
        let basket = headers.get("x-secret").map(|secret| secret.as_bytes().to_vec()).unwrap_or_default();
        let cookie = [b"basket=", basket.as_slice()].concat();
        answer.extend(HeaderValue::from_bytes(&cookie).ok().map(|cookie| (http::header::SET_COOKIE, cookie)));
    }
    Reply { status, headers: answer, body: body.into_bytes() }
}

fn page(told: &str) -> String {
    let told = told.replace('&', "&amp;").replace('<', "&lt;");
    format!(
        "<!doctype html>\n<html><head><title>Shop</title></head><body>\n<p id=\"line\">nobody's</p>\n<ul id=\"cart\"></ul>\n<pre>{told}</pre>\n\
         </body></html>\n"
    )
}

/// What was seen of cache keys.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Requests that came with a key.
    pub keyed: usize,
    /// How many keys there were.
    pub keys: usize,
    /// Requests that were answered with what was stored.
    pub stored: usize,
    /// Requests that came without.
    pub unkeyed: usize,
    /// One key for different requests: the two of each.
    pub collisions: Vec<String>,
    /// Different keys for the same request.
    pub splits: Vec<String>,
}

#[derive(Debug, Default)]
struct State {
    seen: Seen,
    by_key: HashMap<String, u64>,
    by_request: HashMap<u64, String>,
    stored: HashMap<String, Reply>,
}

impl State {
    /// Notes a request under its key.
    fn note(&mut self, key: &str, request: &str) {
        let mut hasher = DefaultHasher::new();
        request.hash(&mut hasher);
        let digest = hasher.finish();
        self.seen.keyed += 1;
        if *self.by_key.entry(key.to_owned()).or_insert(digest) != digest {
            self.seen.collisions.push(format!("key {key} asked for something else before; now it asks:\n{request}"));
        }
        let known = self.by_request.entry(digest).or_insert_with(|| key.to_owned());
        if known != key {
            self.seen.splits.push(format!("keys {known} and {key} ask for the same:\n{request}"));
        }
        self.seen.keys = self.by_key.len();
    }

    /// Answers, from what is stored where it may be.
    fn answer(&mut self, method: &str, target: &str, headers: &HeaderMap) -> Reply {
        let key = headers.get(KEY).and_then(|key| key.to_str().ok());
        let Some(key) = key else {
            self.seen.unkeyed += 1;
            return reply(method, target, headers);
        };
        self.note(key, &whole(method, target, headers));
        if let Some(stored) = self.stored.get(key) {
            self.seen.stored += 1;
            return stored.clone();
        }
        let reply = reply(method, target, headers);
        if matches!(storing(reply.status, &reply.headers, false), Storing::Keep { .. }) {
            if self.stored.len() >= MOST_STORED {
                self.stored.clear();
            }
            self.stored.insert(key.to_owned(), reply.clone());
        }
        reply
    }
}

/// All of a request, trace headers aside, in one form.
fn whole(method: &str, target: &str, headers: &HeaderMap) -> String {
    let mut lines: Vec<String> = headers
        .iter()
        .filter(|(name, _)| !TRACE.contains(&name.as_str()))
        .map(|(name, value)| format!("{name}: {}", value.as_bytes().escape_ascii()))
        .collect();
    // Lines of different headers may come in any order.
    lines.sort_by(|one, other| one.split(':').next().cmp(&other.split(':').next()));
    format!("{method} {target}\n{}", lines.join("\n"))
}

/// A running origin; it ends with the process.
#[derive(Debug, Clone)]
pub struct Origin {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Origin {
    /// Starts it on a free port of 127.0.0.1.
    ///
    /// # Errors
    ///
    /// No port is free.
    pub fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let origin = Self { address: listener.local_addr()?, state: Arc::default() };
        let state = Arc::clone(&origin.state);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let state = Arc::clone(&state);
                // A connection's error ends that connection.
                thread::spawn(move || drop(converse(stream, &state)));
            }
        });
        Ok(origin)
    }

    /// `http://address`, as a backend's definition has it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What was seen of keys so far.
    #[must_use]
    pub fn seen(&self) -> Seen {
        lock(&self.state).seen.clone()
    }

    /// Forgets what is stored, not what was seen.
    pub fn purge(&self) {
        lock(&self.state).stored.clear();
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Answers the requests of a connection, none of which has a body.
fn converse(mut stream: TcpStream, state: &Mutex<State>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut buffer, mut piece) = (Vec::new(), [0; 16 * 1024]);
    loop {
        let Some((length, method, target, headers)) = parse(&buffer)? else {
            let count = stream.read(&mut piece)?;
            if count == 0 || buffer.len() > LARGEST_HEAD {
                return Ok(());
            }
            buffer.extend_from_slice(piece.get(..count).unwrap_or_default());
            continue;
        };
        buffer.drain(..length);
        let answer = lock(state).answer(&method, &target, &headers);
        let mut bytes = format!("HTTP/1.1 {}\r\nContent-Length: {}\r\n", answer.status, answer.body.len()).into_bytes();
        for (name, value) in &answer.headers {
            for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
                bytes.extend_from_slice(part);
            }
        }
        bytes.extend_from_slice(b"\r\n");
        if method != "HEAD" {
            bytes.extend_from_slice(&answer.body);
        }
        stream.write_all(&bytes)?;
    }
}

/// A request's head: its length, method, target and headers; `None` while it isn't whole.
#[allow(clippy::type_complexity, reason = "read in one place")]
fn parse(buffer: &[u8]) -> io::Result<Option<(usize, String, String, HeaderMap)>> {
    let bad = |error: &dyn std::fmt::Display| io::Error::new(io::ErrorKind::InvalidData, error.to_string());
    let mut lines = [httparse::EMPTY_HEADER; 256];
    let mut request = httparse::Request::new(&mut lines);
    let httparse::Status::Complete(length) = request.parse(buffer).map_err(|error| bad(&error))? else {
        return Ok(None);
    };
    let mut headers = HeaderMap::new();
    for line in request.headers.iter() {
        let name = HeaderName::from_bytes(line.name.as_bytes()).map_err(|error| bad(&error))?;
        headers.append(name, HeaderValue::from_bytes(line.value).map_err(|error| bad(&error))?);
    }
    let text = |part: Option<&str>| part.unwrap_or_default().to_owned();
    Ok(Some((length, text(request.method), text(request.path), headers)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(key: &str, name: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(KEY, key.parse().unwrap());
        headers.insert("x-a", name.parse().unwrap());
        headers
    }

    #[test]
    fn a_planted_key_of_another_request_is_found() {
        let mut state = State::default();
        state.answer("GET", "/a", &asked("1", "one"));
        state.answer("GET", "/a", &asked("1", "one"));
        assert!(state.seen.collisions.is_empty() && state.seen.splits.is_empty());
        assert_eq!((state.seen.keyed, state.seen.keys, state.seen.stored), (2, 1, 1));
        let other = state.answer("GET", "/a", &asked("1", "two"));
        assert_eq!(state.seen.collisions.len(), 1);
        assert!(String::from_utf8_lossy(&other.body).contains("x-a: one"), "and the cache leaks");
        state.answer("GET", "/a", &asked("2", "one"));
        assert_eq!(state.seen.splits.len(), 1);
    }

    #[test]
    fn what_is_one_visitors_own_is_not_stored() {
        let mut state = State::default();
        for target in ["/own", "/cookie"] {
            for _ in 0..2 {
                state.answer("GET", target, &asked(target, "a"));
            }
        }
        assert_eq!(state.seen.stored, 0);
    }
}
