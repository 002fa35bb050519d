//! Fetch: the planned request, or the planned fallback. An unsafe request is never made twice.

use std::time::Duration;

use base16ct::lower::encode_string as hex;

use crate::code::Code;
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
    /// Its body broke off before anything was sent.
    Body,
}

impl FallbackReason {
    /// The word in the log: a code, or `status-` and the status.
    pub fn code(self) -> String {
        match self {
            Self::Status(status) => format!("status-{status}"),
            other => other.code_of().to_string(),
        }
    }

    /// The code, the status aside.
    pub fn code_of(self) -> Code {
        match self {
            Self::Send(error) => send_code(error),
            Self::Status(_) => Code::BackendStatus,
            Self::Body => Code::BodyBroken,
        }
    }
}

/// The code of a failed send in the log.
pub fn send_code(error: SendError) -> Code {
    match error {
        SendError::NoBackend => Code::BackendUnknown,
        SendError::Unreachable => Code::BackendUnreachable,
        SendError::TimedOut => Code::BackendTimeout,
        SendError::Failed => Code::BackendFailed,
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
    pub reason: Option<FallbackReason>,
    /// From the first request to the head of the answer.
    pub first_byte: Duration,
    /// The fallback, where it wasn't asked for.
    fallback: Option<FallbackPlan>,
    started: Duration,
}

/// Writes a planned fallback out.
pub type WriteOut<'a> = dyn Fn(&FallbackPlan) -> Option<Exchange> + 'a;

/// Sends the planned request; where that fails, the fallback, as `written_out`. `body` goes with the first request alone. An answer
/// that will be rewritten has to be decoded first: `decode`.
pub fn fetch<P: Platform>(
    platform: &P,
    mut primary: Exchange,
    fallback: Option<FallbackPlan>,
    written_out: &WriteOut<'_>,
    body: Option<P::Body>,
    decode: bool,
) -> Fetched<P::Body> {
    let started = platform.uptime();
    let response = send(platform, &mut primary, body, decode);
    let reason = fallback.as_ref().and_then(|fallback| match &response {
        Err(error) => Some(FallbackReason::Send(*error)),
        Ok(response) if fallback.statuses().contains(&response.status) => {
            Some(FallbackReason::Status(response.status.as_u16()))
        }
        Ok(_) => None,
    });
    let first_byte = platform.uptime().saturating_sub(started);
    let fetched = Fetched { response, exchange: primary, reason: None, first_byte, fallback, started };
    match reason {
        Some(reason) => fetched.fall_back(platform, reason, written_out),
        None => fetched,
    }
}

impl<B: std::io::Read + From<Vec<u8>>> Fetched<B> {
    /// Asks for the fallback instead, for this reason. Where there is none, or it fails too, what is there already stays: an answer, even
    /// a failed one, is better than none; one whose body broke off is none.
    pub fn fall_back<P: Platform<Body = B>>(
        mut self,
        platform: &P,
        reason: FallbackReason,
        written_out: &WriteOut<'_>,
    ) -> Self {
        if reason == FallbackReason::Body {
            self.response = Err(SendError::Failed);
        }
        let Some(mut second) = self.fallback.take().and_then(|fallback| written_out(&fallback)) else { return self };
        let response = send(platform, &mut second, None, false);
        self.first_byte = platform.uptime().saturating_sub(self.started);
        if response.is_ok() || self.response.is_err() {
            Self { response, exchange: second, reason: Some(reason), ..self }
        } else {
            self
        }
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
