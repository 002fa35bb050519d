//! Fastly's API: one call, tried again while it may succeed later, and words for what it refuses.

use std::time::{Duration, Instant};

use anyhow::{anyhow, bail};
use serde_json::Value;
use ureq::http::Method;

use crate::backoff::{Backoff, Patience};
use crate::client;
use crate::output::note;

/// How long the API is asked again for what may succeed later (429, 5xx, no connection).
const PATIENCE: Patience = Patience { attempts: 5, pause: Duration::from_millis(500) };
/// A wait that people should know the reason of.
const LONG_PAUSE: Duration = Duration::from_secs(2);
/// Where the API is.
pub const BASE: &str = "https://api.fastly.com";

/// A connection with a token.
pub struct Client {
    http: client::Client,
    token: String,
    may: &'static str,
    patience: Patience,
}

impl Client {
    /// A connection. `may` says what the token must be allowed, for who gets a 403.
    ///
    /// # Errors
    ///
    /// There is no token.
    pub fn new(base: &str, token: &str, may: &'static str) -> anyhow::Result<Self> {
        if token.trim().is_empty() {
            bail!("FASTLY_API_TOKEN: expected a token that may {may}, but found none");
        }
        Ok(Self { http: client::Client::new(base), token: token.trim().to_owned(), may, patience: PATIENCE })
    }

    /// Pauses shorter: for tests.
    #[cfg(test)]
    pub fn with_pause(mut self, pause: Duration) -> Self {
        self.patience.pause = pause;
        self
    }

    /// One call, tried again while it may succeed later; `headers` beside those that every call has. `Ok(None)` is a 404.
    pub fn call(
        &self,
        method: &Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> anyhow::Result<Option<Vec<u8>>> {
        let own = [("Fastly-Key", self.token.as_str()), ("Accept", "application/json")];
        let headers = [&own, headers].concat();
        let mut backoff = Backoff::new(self.patience);
        loop {
            let began = Instant::now();
            let (problem, asked) = match self.http.call(method, path, &headers, body) {
                Ok(answer) => match answer.status {
                    200..=299 => return Ok(Some(answer.body)),
                    404 => return Ok(None),
                    429 | 500..=599 => (self.refusal(answer.status, path, &answer.body), answer.retry_after),
                    // Nothing else gets better by asking again.
                    status => return Err(self.refusal(status, path, &answer.body)),
                },
                Err(error) => (error, None),
            };
            let why = format!("{problem:#}");
            let wait = backoff.after(problem, asked)?;
            if wait >= LONG_PAUSE || began.elapsed() >= LONG_PAUSE {
                note(&format!("{why}; trying again in {} s", wait.as_secs().max(1)));
            }
            std::thread::sleep(wait);
        }
    }

    /// What the API refused, in words that say what to do.
    fn refusal(&self, status: u16, path: &str, body: &[u8]) -> anyhow::Error {
        let said: Value = serde_json::from_slice(body).unwrap_or_default();
        let said = ["detail", "msg", "title", "message"].iter().find_map(|key| said.get(key)?.as_str());
        let said = said.map(|text| format!(" (the API says: {text})")).unwrap_or_default();
        match status {
            401 => anyhow!("401: expected a valid token in FASTLY_API_TOKEN, but the API doesn't know this one{said}"),
            403 => anyhow!("403: expected a token that may {}, but this one may not{said}", self.may),
            429 => anyhow!("429: expected fewer calls: the API allows 1,000 changes an hour{said}"),
            _ => anyhow!("{path}: expected the API to accept the call, but it answered {status}{said}"),
        }
    }
}
