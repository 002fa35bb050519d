//! Fetch: the planned request, or the planned fallback. An unsafe request is never made twice.

use std::time::Duration;

use base16ct::lower::encode_string as hex;

use crate::plan::Exchange;
use crate::plan::fallback::FallbackPlan;
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
    /// The request that was answered; its headers are gone with it.
    pub exchange: Exchange,
    /// Why that was the fallback, if so.
    pub fallback: Option<FallbackReason>,
    /// From the first request to the head of the answer.
    pub first_byte: Duration,
}

/// Sends the planned request; where that fails, the fallback, as `written_out`. `body` goes with the first request alone. An answer
/// that will be rewritten has to be decoded first: `decode`.
pub fn fetch<P: Platform>(
    platform: &P,
    mut primary: Exchange,
    fallback: Option<FallbackPlan>,
    written_out: impl FnOnce(&FallbackPlan) -> Option<Exchange>,
    body: Option<P::Body>,
    decode: bool,
) -> Fetched<P::Body> {
    let started = platform.uptime();
    let first = send(platform, &mut primary, body, decode);
    let reason = match (&first, &fallback) {
        (_, None) => None,
        (Err(error), Some(_)) => Some(FallbackReason::Send(*error)),
        (Ok(response), Some(fallback)) => {
            fallback.statuses().contains(&response.status).then(|| FallbackReason::Status(response.status.as_u16()))
        }
    };
    let elapsed = |platform: &P| platform.uptime().saturating_sub(started);
    let second = reason.and(fallback).and_then(|fallback| written_out(&fallback));
    let (Some(reason), Some(mut second)) = (reason, second) else {
        return Fetched { response: first, exchange: primary, fallback: None, first_byte: elapsed(platform) };
    };
    match (send(platform, &mut second, None, false), first) {
        // The first answer is better than none.
        (Err(_), Ok(first)) => {
            Fetched { response: Ok(first), exchange: primary, fallback: None, first_byte: elapsed(platform) }
        }
        (response, _) => Fetched { response, exchange: second, fallback: Some(reason), first_byte: elapsed(platform) },
    }
}

/// The headers go with the request; the rest is for the record as well.
fn send<P: Platform>(
    platform: &P,
    exchange: &mut Exchange,
    body: Option<P::Body>,
    decompress_gzip: bool,
) -> Result<Response<P::Body>, SendError> {
    platform.send(BackendRequest {
        backend: exchange.backend.clone(),
        method: exchange.method.clone(),
        url: exchange.url.clone(),
        headers: std::mem::take(&mut exchange.headers),
        body,
        caching: exchange.caching.clone(),
        decompress_gzip,
    })
}

/// The cache key in hexadecimal, where the exchange has one.
pub fn key_hex(exchange: &Exchange) -> Option<String> {
    match &exchange.caching {
        Caching::Keyed { key, .. } => Some(hex(key)),
        Caching::Pass | Caching::Origin => None,
    }
}
