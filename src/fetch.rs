//! Fetch: the planned request, or the planned fallback. An unsafe request is never made twice.

pub mod pass;

use std::time::Duration;

use base16ct::lower::encode_string as hex;
use http::{HeaderMap, StatusCode};

use crate::admit::{Arrival, RequestHead};
use crate::code::Code;
use crate::plan::fallback::FallbackPlan;
use crate::plan::{Exchange, Passing};
use crate::platform::{BackendRequest, Caching, Platform, Response, SendError, Shield};

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
    /// The shield that was asked last, by its code.
    pub shield: Option<String>,
    /// Codes of what went wrong at shields.
    pub codes: Vec<Code>,
    /// The fallback, where it wasn't asked for.
    fallback: Option<FallbackPlan>,
    started: Duration,
}

/// What requests to backends are made for.
#[derive(Clone, Copy)]
pub struct Asking<'a> {
    /// The client's request.
    pub head: &'a RequestHead,
    /// When it came.
    pub arrival: &'a Arrival,
    /// What it is proven by to a shield.
    pub passing: &'a Passing,
    /// Writes a planned fallback out.
    pub written_out: &'a dyn Fn(&FallbackPlan) -> Option<Exchange>,
}

/// Sends the planned request; where that fails, the fallback, as it is written out. `body` goes with the first request alone. An answer
/// that will be rewritten has to be decoded first: `decode`.
pub fn fetch<P: Platform>(
    platform: &P,
    asking: Asking<'_>,
    mut primary: Exchange,
    fallback: Option<FallbackPlan>,
    body: Option<P::Body>,
    decode: bool,
) -> Fetched<P::Body> {
    let started = platform.uptime();
    let mut codes = Vec::new();
    let (response, shield) = asking.send(platform, &mut primary, body, decode, &mut codes);
    let reason = fallback.as_ref().and_then(|fallback| match &response {
        Err(error) => Some(FallbackReason::Send(*error)),
        Ok(response) if fallback.statuses().contains(&response.status) => {
            Some(FallbackReason::Status(response.status.as_u16()))
        }
        Ok(_) => None,
    });
    let first_byte = platform.uptime().saturating_sub(started);
    let fetched = Fetched { response, exchange: primary, reason: None, first_byte, shield, codes, fallback, started };
    match reason {
        Some(reason) => fetched.fall_back(platform, asking, reason),
        None => fetched,
    }
}

impl<B: std::io::Read + From<Vec<u8>>> Fetched<B> {
    /// Asks for the fallback instead, for this reason. Where there is none, or it fails too, what is there already stays: an answer, even
    /// a failed one, is better than none; one whose body broke off is none.
    pub fn fall_back<P: Platform<Body = B>>(
        mut self,
        platform: &P,
        asking: Asking<'_>,
        reason: FallbackReason,
    ) -> Self {
        if reason == FallbackReason::Body {
            self.response = Err(SendError::Failed);
        }
        let Some(mut second) = self.fallback.take().and_then(|fallback| (asking.written_out)(&fallback)) else {
            return self;
        };
        let (response, shield) = asking.send(platform, &mut second, None, false, &mut self.codes);
        self.shield = shield;
        self.first_byte = platform.uptime().saturating_sub(self.started);
        if response.is_ok() || self.response.is_err() {
            Self { response, exchange: second, reason: Some(reason), ..self }
        } else {
            self
        }
    }
}

impl Asking<'_> {
    /// Sends a request: through its shield, where it has one, that is elsewhere and answers; else to the backend itself. Gives the code of
    /// the shield that answered, too. The headers go with the request; the rest is for the record as well.
    fn send<P: Platform>(
        self,
        platform: &P,
        exchange: &mut Exchange,
        body: Option<P::Body>,
        decompress_gzip: bool,
        codes: &mut Vec<Code>,
    ) -> (Result<Response<P::Body>, SendError>, Option<String>) {
        if let Some(code) = exchange.shield.take().filter(|_| body.is_none()) {
            match self.through_shield(platform, exchange, &code, decompress_gzip) {
                Ok(Some(response)) => return (Ok(response), Some(code)),
                Ok(None) => {}
                Err(failed) => codes.push(failed),
            }
        }
        let headers = std::mem::take(&mut exchange.headers);
        let (backend, url) = (exchange.backend.clone(), exchange.url.clone());
        (platform.send(request(exchange, backend, url, headers, body, decompress_gzip)), None)
    }

    /// The shield's answer; `None` where this is the shield.
    ///
    /// # Errors
    ///
    /// Why the shield was of no use: the origin can be asked all the same.
    fn through_shield<P: Platform>(
        self,
        platform: &P,
        exchange: &Exchange,
        code: &str,
        decompress_gzip: bool,
    ) -> Result<Option<Response<P::Body>>, Code> {
        let backend = match platform.shield(code).ok_or(Code::ShieldUnknown)? {
            Shield::Here => return Ok(None),
            Shield::There(backend) => backend,
        };
        let Passing { keys, is_logged, sample } = self.passing;
        let key = keys.first().ok_or(Code::ShieldNoSecret)?;
        let sealed = pass::seal(exchange, self.head, key, self.arrival.now, (*is_logged, *sample));
        let (url, proof) = sealed.ok_or(Code::ShieldFailed)?;
        let mut headers = exchange.headers.clone();
        headers.insert(pass::EDGE_PASS, proof);
        match platform.send(request(exchange, backend, url, headers, None, decompress_gzip)) {
            // Its second pass was taken for a loop: the proof didn't count. A true loop is one at the backend, too.
            Ok(response) if response.status == StatusCode::LOOP_DETECTED => Err(Code::ShieldFailed),
            Ok(response) => Ok(Some(response)),
            Err(_) => Err(Code::ShieldFailed),
        }
    }
}

fn request<B>(
    exchange: &Exchange,
    backend: String,
    url: String,
    headers: HeaderMap,
    body: Option<B>,
    decompress_gzip: bool,
) -> BackendRequest<B> {
    let (method, caching) = (exchange.method.clone(), exchange.caching.clone());
    BackendRequest { backend, method, url, headers, body, caching, decompress_gzip }
}

/// The cache key in hexadecimal, where the exchange has one.
pub fn key_hex(exchange: &Exchange) -> Option<String> {
    match &exchange.caching {
        Caching::Keyed { key, .. } => Some(hex(key)),
        Caching::Pass | Caching::Origin { .. } => None,
    }
}
