//! A sender of sessions, as a customer's backend has one: signed batches for `/.edge/sessions`.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use edge_personalizer::replication::{WebhookSecret, sign};

use crate::client::{self, Request};

/// The secret of the local server in `fastly.toml`, which everybody can read.
pub const LOCAL_SECRET: &str = "whsec_bG9jYWwtcmVwbGljYXRpb24tc2VjcmV0LW9mLTMyLWI=";

/// A sender.
#[derive(Debug)]
pub struct Feed {
    edge: SocketAddr,
    secret: WebhookSecret,
    sent: AtomicU64,
}

impl Feed {
    /// Sends to `edge`, signed with a secret (`whsec_…`); `None` where that is none.
    #[must_use]
    pub fn new(edge: SocketAddr, secret: &str) -> Option<Self> {
        Some(Self { edge, secret: WebhookSecret::parse(secret)?, sent: AtomicU64::new(0) })
    }

    /// Sends a batch (NDJSON), and waits for the answer.
    ///
    /// # Errors
    ///
    /// The edge isn't there, or didn't take it.
    pub fn send(&self, batch: &str) -> io::Result<()> {
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let id = format!("msg_{time}_{}", self.sent.fetch_add(1, Ordering::Relaxed));
        let request = Request::new("POST", "/.edge/sessions")
            .header("content-type", "application/x-ndjson")
            .header("webhook-signature", sign(&self.secret, &id, time, batch.as_bytes()))
            .header("webhook-id", id)
            .header("webhook-timestamp", time.to_string())
            .body(batch);
        let answer = client::send(self.edge.ip(), self.edge, &request)?;
        if answer.status == 200 {
            Ok(())
        } else {
            Err(io::Error::other(format!("expected 200, but found {}", answer.status)))
        }
    }
}
