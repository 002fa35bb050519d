//! The demo shop on its own: `demo-origin [PORT]` (7877 where none is given).

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Context;
use demo_origin::{DEFAULT_PORT, DemoOrigin};

fn main() -> anyhow::Result<()> {
    let port = match std::env::args().nth(1) {
        Some(text) => text.parse().with_context(|| format!("expected a port number, but found {text:?}"))?,
        None => DEFAULT_PORT,
    };
    let origin = DemoOrigin::start(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
        .with_context(|| format!("the demo shop can't listen on port {port}"))?;
    println!("the demo shop listens on http://{}", origin.address());
    loop {
        std::thread::park();
    }
}
