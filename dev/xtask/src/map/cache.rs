//! What stands for the edge's cache: the local server has none.
//!
//! It stands between the service and the origin, as Fastly's read-through cache does, and keeps answers by the key that the service gave to the
//! platform: the local server sends it along. A request without a key passes.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use local_server::client::{Answer, Connection, Request};

/// Says whether an answer came out of the cache: `hit`, `miss`, or `pass` where the request had no key.
pub const MARK: &str = "x-map-cache";

/// The key of a request in the platform's cache, as the local server sends it to backends.
const KEY: &str = "fastly-xqd-cache-key";
/// Headers that are about one connection, not about the answer (RFC 9110 section 7.6.1), and the length, which is written anew.
const OF_ONE_CONNECTION: [&str; 4] = ["connection", "keep-alive", "transfer-encoding", "content-length"];
/// A request's head that is longer isn't one of ours.
const LONGEST_HEAD: usize = 64 * 1024;
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A cache in front of an origin; dropping it closes its port.
#[derive(Debug)]
pub struct Cache {
    address: SocketAddr,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What all connections share.
struct Shared {
    origin: SocketAddr,
    /// To the origin, kept open as Fastly keeps its own.
    connection: Mutex<Option<Connection>>,
    kept: Mutex<HashMap<String, Vec<u8>>>,
}

impl Cache {
    /// An empty one.
    ///
    /// # Errors
    ///
    /// No port is free.
    pub fn before(origin: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((HERE, 0))?;
        let address = listener.local_addr()?;
        let ended = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&ended);
        let shared = Arc::new(Shared { origin, connection: Mutex::new(None), kept: Mutex::default() });
        let thread = thread::spawn(move || {
            for client in listener.incoming().map_while(|client| (!stop.load(Ordering::SeqCst)).then_some(client)) {
                let Ok(client) = client else { continue };
                let shared = Arc::clone(&shared);
                // A connection that breaks is the service's to notice.
                thread::spawn(move || shared.serve(&client));
            }
        });
        Ok(Self { address, ended, thread: Some(thread) })
    }

    /// As a backend's definition has it.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        let woken = TcpStream::connect(self.address).is_ok();
        if let Some(thread) = self.thread.take().filter(|_| woken) {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn serve(&self, mut client: &TcpStream) -> io::Result<()> {
        client.set_nodelay(true)?;
        let mut buffer = Vec::new();
        while let Some(head) = head(&mut client, &mut buffer)? {
            let key = key(&head);
            let kept = || self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            let found = key.and_then(|key| kept().get(key).cloned());
            let answer = match (found, key) {
                (Some(bytes), _) => bytes,
                (None, None) => bytes(&self.ask(&request(&head))?, "pass"),
                (None, Some(key)) => {
                    let answer = self.ask(&request(&head))?;
                    if is_shareable(&answer) {
                        kept().insert(key.to_owned(), bytes(&answer, "hit"));
                    }
                    bytes(&answer, "miss")
                }
            };
            client.write_all(&answer)?;
        }
        Ok(())
    }

    /// Asks the origin on the connection that is open, else on a new one.
    fn ask(&self, request: &Request) -> io::Result<Answer> {
        let mut place = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(mut open) = place.take()
            && let Ok(answer) = open.send(request)
        {
            *place = Some(open);
            return Ok(answer);
        }
        let mut connection = Connection::open(HERE, self.origin)?;
        let answer = connection.send(request)?;
        *place = Some(connection);
        Ok(answer)
    }
}

/// The lines of a request's head (requests of pages have no body); `None` where the service has said all.
fn head(client: &mut impl Read, buffer: &mut Vec<u8>) -> io::Result<Option<Vec<String>>> {
    let mut piece = [0; 4096];
    loop {
        if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            let head: Vec<u8> = buffer.drain(..end + 4).collect();
            let text = String::from_utf8_lossy(&head);
            return Ok(Some(text.trim_end().lines().map(str::to_owned).collect()));
        }
        let count = client.read(&mut piece)?;
        if count == 0 {
            return Ok(None);
        }
        buffer.extend_from_slice(piece.get(..count).unwrap_or_default());
        if buffer.len() > LONGEST_HEAD {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a request's head doesn't end"));
        }
    }
}

fn key(head: &[String]) -> Option<&str> {
    let lines = head.iter().filter_map(|line| line.split_once(':'));
    lines.filter(|(name, _)| name.eq_ignore_ascii_case(KEY)).map(|(_, value)| value.trim()).next()
}

fn request(head: &[String]) -> Request {
    let mut lines = head.iter();
    let mut words = lines.next().map(String::as_str).unwrap_or_default().split(' ');
    let request = Request::new(words.next().unwrap_or("GET"), words.next().unwrap_or("/"));
    lines
        .filter_map(|line| line.split_once(':'))
        .fold(request, |request, (name, value)| request.header(name, value.trim()))
}

/// Whether anybody may get it.
fn is_shareable(answer: &Answer) -> bool {
    let said = answer.list("cache-control");
    answer.status == 200
        && answer.complete
        && answer.header("set-cookie").is_none()
        && said.iter().any(|directive| directive == "public")
}

fn bytes(answer: &Answer, mark: &str) -> Vec<u8> {
    let mut bytes = format!("HTTP/1.1 {} -\r\n", answer.status).into_bytes();
    let of_the_answer =
        |(name, _): &&(String, Vec<u8>)| !OF_ONE_CONNECTION.iter().any(|header| name.eq_ignore_ascii_case(header));
    for (name, value) in answer.headers.iter().filter(of_the_answer) {
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(format!("{MARK}: {mark}\r\ncontent-length: {}\r\n\r\n", answer.body.len()).as_bytes());
    bytes.extend_from_slice(&answer.body);
    bytes
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at a surprise")]

    use demo_origin::DemoOrigin;

    use super::*;

    #[test]
    fn a_page_is_asked_of_the_origin_once_for_each_key_and_a_cart_each_time() {
        let origin = DemoOrigin::on_a_free_port().unwrap();
        let cache = Cache::before(origin.address()).unwrap();
        let mut connection = Connection::open(HERE, cache.address).unwrap();
        let mut ask = |path: &str, key: Option<&str>| {
            let request = key.into_iter().fold(Request::get(path), |request, key| request.header(KEY, key));
            let answer = connection.send(&request).unwrap();
            (answer.header(MARK).unwrap(), answer.text().contains("The demo shop"))
        };
        let page = |mark: &str| (mark.to_owned(), true);
        assert_eq!(ask("/", Some("A1")), page("miss"));
        assert_eq!(ask("/", Some("A1")), page("hit"));
        assert_eq!(ask("/", Some("B2")), page("miss"), "another variant is another page");
        assert_eq!(ask("/", None), page("pass"), "what the service doesn't share");
        assert_eq!(ask("/cart", Some("C3")), page("miss"));
        assert_eq!(ask("/cart", Some("C3")), page("miss"), "what the origin doesn't share");
        assert_eq!(origin.requests().len(), 5);
    }
}
