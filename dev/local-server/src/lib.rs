//! Fastly's local server (Viceroy) as a library: a manifest of one's own, rules of one's own, visitors from anywhere,
//! and what the service logged. `cargo xtask serve`, the end-to-end tests and the bench all start it through here.

pub mod client;
pub mod feed;
pub mod logs;
pub mod manifest;
pub mod process;
pub mod relay;
pub mod rules;
pub mod visitors;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

/// The version that everything here was tried with.
pub const VICEROY_VERSION: &str = "0.22.0";

/// A free port of 127.0.0.1. Somebody else may take it before it is used: be ready to try again.
///
/// # Errors
///
/// No port is free.
pub fn free_address() -> std::io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}
