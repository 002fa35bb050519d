//! A way to a server for programs that can't choose the address they come from, such as a browser: the local server takes a connection's
//! address for the visitor's. The way can be a long one: bytes then take their time, as between two cities.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::client::Prompt;
use crate::visitors::Visitor;

/// What one read may bring.
const PIECE: usize = 16 * 1024;

/// How far it is from one end to the other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Distance {
    /// From a byte sent to its answer: each way takes half of it.
    pub round_trip: Duration,
    /// Round trips before a new connection's first byte is sent. TCP takes one (RFC 9293 section 3.5), TLS 1.3 one more (RFC 8446 section 2).
    pub handshake: u32,
}

/// What happens to each request when it has arrived and before it goes on: a server in between that asks others first. An error ends the
/// connection.
pub type Gate = Arc<dyn Fn() -> io::Result<()> + Send + Sync>;

/// Where a relay leads, and how.
#[derive(Clone)]
struct Way {
    distance: Distance,
    from: IpAddr,
    gate: Gate,
}

/// Listens on a port of 127.0.0.1; what comes in goes on to a server from a visitor's address. Dropping it closes the port.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    edge: Arc<Mutex<SocketAddr>>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Relay {
    /// Opens the port; the way takes no time.
    ///
    /// # Errors
    ///
    /// No port is free.
    pub fn open(visitor: Visitor, edge: SocketAddr) -> io::Result<Self> {
        Self::over(Distance::default(), visitor.address, edge)
    }

    /// Opens the port; `to` is as far away as this, and sees connections that come from `from`.
    ///
    /// # Errors
    ///
    /// No port is free.
    pub fn over(distance: Distance, from: IpAddr, to: SocketAddr) -> io::Result<Self> {
        Self::through(Arc::new(|| Ok(())), distance, from, to)
    }

    /// The same, with a server at the far end that does something before each request goes on to `to`, which stands beside it.
    ///
    /// # Errors
    ///
    /// No port is free.
    pub fn through(gate: Gate, distance: Distance, from: IpAddr, to: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let edge = Arc::new(Mutex::new(to));
        let ended = Arc::new(AtomicBool::new(false));
        let (to, stop) = (Arc::clone(&edge), Arc::clone(&ended));
        let way = Way { distance, from, gate };
        let thread = thread::spawn(move || {
            for client in listener.incoming().map_while(|client| (!stop.load(Ordering::SeqCst)).then_some(client)) {
                let to = *to.lock().unwrap_or_else(PoisonError::into_inner);
                // A refused connection is the client's to notice: its own is closed.
                if let Ok(client) = client {
                    let _ = way.join(client, to);
                }
            }
        });
        Ok(Self { address, edge, ended, thread: Some(thread) })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A URL of the server, as the visitor's browser knows it.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// New connections go to another server from now on: the first one was restarted.
    pub fn lead_to(&self, edge: SocketAddr) {
        *self.edge.lock().unwrap_or_else(PoisonError::into_inner) = edge;
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        // Wakes the thread that waits for a connection; where that fails the thread must not be waited for.
        let woken = TcpStream::connect(self.address).is_ok();
        if let Some(thread) = self.thread.take().filter(|_| woken) {
            let _ = thread.join();
        }
    }
}

impl Way {
    /// Connects to the server, and copies both ways until either side ends.
    fn join(&self, client: TcpStream, to: SocketAddr) -> io::Result<()> {
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
        socket.bind(&SocketAddr::new(self.from, 0).into())?;
        socket.connect(&to.into())?;
        let server: TcpStream = socket.into();
        for stream in [&client, &server] {
            stream.set_nodelay(true)?;
        }
        let Distance { round_trip, handshake } = self.distance;
        let connected = Instant::now() + round_trip * handshake;
        let gate = Arc::clone(&self.gate);
        let there = move |piece: &[u8]| if ends_a_head(piece) { gate() } else { Ok(()) };
        copy(client.try_clone()?, server.try_clone()?, connected, round_trip / 2, there);
        copy(server, client, connected, round_trip / 2, |_| Ok(()));
        Ok(())
    }
}

/// Whether a request without a body is whole with these bytes.
fn ends_a_head(piece: &[u8]) -> bool {
    piece.ends_with(b"\r\n\r\n")
}

/// Bytes, and when they arrive. No bytes are the end.
type Piece = (Instant, Vec<u8>);

/// Copies one way, on threads of its own: one takes what is sent, the other hands it over when its time has come.
fn copy(
    from: TcpStream,
    to: TcpStream,
    connected: Instant,
    late: Duration,
    arrived: impl Fn(&[u8]) -> io::Result<()> + Send + 'static,
) {
    let (sender, pieces) = mpsc::channel();
    let Ok(source) = from.try_clone() else { return };
    thread::spawn(move || take(&source, &sender, connected, late));
    thread::spawn(move || {
        // However it ends, the other side is told, and the opposite threads with it.
        let _ = hand_over(&to, &pieces, arrived);
        let _ = to.shutdown(Shutdown::Both);
        let _ = from.shutdown(Shutdown::Both);
    });
}

fn take(from: &TcpStream, sender: &Sender<Piece>, connected: Instant, late: Duration) {
    let mut buffer = vec![0; PIECE];
    loop {
        let count = Prompt(from).read(&mut buffer).unwrap_or(0);
        let piece = buffer.get(..count).unwrap_or_default().to_vec();
        // Nothing is sent before there is a connection.
        let due = Instant::now().max(connected) + late;
        if sender.send((due, piece)).is_err() || count == 0 {
            return;
        }
    }
}

fn hand_over(
    mut to: &TcpStream,
    pieces: &Receiver<Piece>,
    arrived: impl Fn(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    for (due, piece) in pieces {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        if piece.is_empty() {
            return Ok(());
        }
        arrived(&piece)?;
        to.write_all(&piece)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may stop at a surprise")]

    use std::sync::atomic::AtomicUsize;

    use super::*;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    /// Answers each piece with itself, and says goodbye to a client that has said all.
    fn echo() -> SocketAddr {
        let listener = TcpListener::bind((HERE, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                thread::spawn(move || {
                    let _ = io::copy(&mut &client, &mut &client);
                });
            }
        });
        address
    }

    fn say(stream: &mut TcpStream, words: &[u8]) -> Duration {
        let start = Instant::now();
        stream.write_all(words).unwrap();
        let mut answer = vec![0; words.len()];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(answer, words);
        start.elapsed()
    }

    #[test]
    fn a_first_word_waits_for_the_handshake_and_each_word_for_a_round_trip() {
        let distance = Distance { round_trip: Duration::from_millis(40), handshake: 2 };
        let relay = Relay::over(distance, HERE, echo()).unwrap();
        let mut stream = TcpStream::connect(relay.address()).unwrap();
        // Connecting itself takes some time of the handshake's.
        assert!(say(&mut stream, b"first") >= Duration::from_millis(110));
        assert!(say(&mut stream, b"second") >= Duration::from_millis(40));
    }

    #[test]
    fn bytes_arrive_whole_and_in_order_and_the_end_after_them() {
        let listener = TcpListener::bind((HERE, 0)).unwrap();
        let server = listener.local_addr().unwrap();
        let sent: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
        let copy = sent.clone();
        let sender = thread::spawn(move || {
            let (mut client, _) = listener.accept().unwrap();
            client.write_all(&copy).unwrap();
        });
        let distance = Distance { round_trip: Duration::from_millis(10), handshake: 0 };
        let relay = Relay::over(distance, HERE, server).unwrap();
        let mut received = Vec::new();
        TcpStream::connect(relay.address()).unwrap().read_to_end(&mut received).unwrap();
        sender.join().unwrap();
        assert!(received == sent, "{} of {} bytes", received.len(), sent.len());
    }

    #[test]
    fn a_server_in_between_asks_others_once_for_each_request() {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let gate: Gate = Arc::new(move || {
            count.fetch_add(1, Ordering::SeqCst);
            Ok(())
        });
        let relay = Relay::through(gate, Distance::default(), HERE, echo()).unwrap();
        let mut stream = TcpStream::connect(relay.address()).unwrap();
        for request in 1..=3 {
            say(&mut stream, b"GET / HTTP/1.1\r\nhost: shop\r\n\r\n");
            assert_eq!(asked.load(Ordering::SeqCst), request);
        }
    }

    #[test]
    fn a_server_in_between_that_fails_ends_the_connection() {
        let gate: Gate = Arc::new(|| Err(io::Error::other("nobody answers")));
        let relay = Relay::through(gate, Distance::default(), HERE, echo()).unwrap();
        let mut stream = TcpStream::connect(relay.address()).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        // Closed or reset: either way there is nothing.
        let _ = stream.read_to_end(&mut answer);
        assert_eq!(answer, b"");
    }
}
