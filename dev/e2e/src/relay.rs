//! A way to the edge for programs that can't choose the address they come from, such as a browser: the local server takes a connection's
//! address for the visitor's.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use local_server::visitors::Visitor;
use socket2::{Domain, Socket, Type};

/// Listens on a port of 127.0.0.1; what comes in goes on to the edge from a visitor's address. Dropping it closes the port.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    edge: Arc<Mutex<SocketAddr>>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Relay {
    /// Opens the port.
    ///
    /// # Errors
    ///
    /// No port is free.
    pub fn open(visitor: Visitor, edge: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let edge = Arc::new(Mutex::new(edge));
        let ended = Arc::new(AtomicBool::new(false));
        let (to, stop) = (Arc::clone(&edge), Arc::clone(&ended));
        let thread = thread::spawn(move || {
            for client in listener.incoming().map_while(|client| (!stop.load(Ordering::SeqCst)).then_some(client)) {
                let to = *to.lock().unwrap_or_else(PoisonError::into_inner);
                // A refused connection is the client's to notice: its own is closed.
                if let Ok(client) = client {
                    let _ = join(client, visitor.address, to);
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

    /// A URL of the edge, as the visitor's browser knows it.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// New connections go to another edge from now on: the first one was restarted.
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

/// Connects to the edge from an address, and copies both ways until either side ends.
fn join(client: TcpStream, from: IpAddr, to: SocketAddr) -> io::Result<()> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
    socket.bind(&SocketAddr::new(from, 0).into())?;
    socket.connect(&to.into())?;
    let server: TcpStream = socket.into();
    for stream in [&client, &server] {
        stream.set_nodelay(true)?;
    }
    let (client_too, server_too) = (client.try_clone()?, server.try_clone()?);
    thread::spawn(move || copy(client_too, server_too));
    thread::spawn(move || copy(server, client));
    Ok(())
}

fn copy(mut from: TcpStream, mut to: TcpStream) {
    // However it ends, the other side is told, and the opposite thread with it.
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}
