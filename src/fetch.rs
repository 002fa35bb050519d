//! Fetch: the planned request, or the planned fallback. An unsafe request is never made twice.

use std::time::Duration;

use crate::plan::{Exchange, FetchPlan};
use crate::platform::{BackendRequest, Caching, Platform, Response, SendError};

/// Why the fallback was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FallbackReason {
    /// The personalized request got no answer.
    Send(SendError),
    /// It got a status that counts as a failure.
    Status(u16),
}

impl FallbackReason {
    /// The code in the log.
    pub fn code(self) -> String {
        match self {
            Self::Send(error) => send_code(error).to_owned(),
            Self::Status(status) => format!("status-{status}"),
        }
    }
}

/// The code of a failed send in the log.
pub fn send_code(error: SendError) -> &'static str {
    match error {
        SendError::NoBackend => "backend-unknown",
        SendError::Unreachable => "backend-unreachable",
        SendError::TimedOut => "backend-timeout",
        SendError::Failed => "backend-failed",
    }
}

/// What came of the plan.
#[derive(Debug)]
pub struct Fetched<B> {
    /// The head of the answer, its body still streaming; or why there is none.
    pub response: Result<Response<B>, SendError>,
    /// The request that was answered.
    pub exchange: Exchange,
    /// Why that was the fallback, if so.
    pub fallback: Option<FallbackReason>,
    /// From the first request to the head of the answer.
    pub first_byte: Duration,
}

/// Sends the planned request; where that fails, the fallback. `body` goes with the first request alone.
pub fn fetch<P: Platform>(platform: &P, plan: &mut FetchPlan, body: Option<P::Body>) -> Fetched<P::Body> {
    let started = platform.uptime();
    // A body that will be rewritten has to be decoded first.
    let first = send(platform, &plan.primary, body, plan.body.is_some());
    let reason = match (&first, &plan.fallback) {
        (_, None) => None,
        (Err(error), Some(_)) => Some(FallbackReason::Send(*error)),
        (Ok(response), Some(fallback)) => {
            fallback.statuses.contains(&response.status).then(|| FallbackReason::Status(response.status.as_u16()))
        }
    };
    let primary = plan.primary.clone();
    let elapsed = |platform: &P| platform.uptime().saturating_sub(started);
    let (Some(reason), Some(fallback)) = (reason, plan.fallback.take()) else {
        return Fetched { response: first, exchange: primary, fallback: None, first_byte: elapsed(platform) };
    };
    match (send(platform, &fallback.exchange, None, false), first) {
        // The first answer is better than none.
        (Err(_), Ok(first)) => {
            Fetched { response: Ok(first), exchange: primary, fallback: None, first_byte: elapsed(platform) }
        }
        (response, _) => {
            Fetched { response, exchange: fallback.exchange, fallback: Some(reason), first_byte: elapsed(platform) }
        }
    }
}

fn send<P: Platform>(
    platform: &P,
    exchange: &Exchange,
    body: Option<P::Body>,
    decompress_gzip: bool,
) -> Result<Response<P::Body>, SendError> {
    platform.send(BackendRequest {
        backend: exchange.backend.clone(),
        method: exchange.method.clone(),
        url: exchange.url.clone(),
        headers: exchange.headers.clone(),
        body,
        caching: exchange.caching.clone(),
        decompress_gzip,
    })
}

/// The cache key in hexadecimal, where the exchange has one.
pub fn key_hex(exchange: &Exchange) -> Option<String> {
    match &exchange.caching {
        Caching::Keyed { key, .. } => Some(key.iter().map(|byte| format!("{byte:02x}")).collect()),
        Caching::Pass | Caching::Origin => None,
    }
}
