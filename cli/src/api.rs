//! Fastly's API: one call, tried again while it may succeed later, and words for what it refuses.

use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use serde_json::Value;
use ureq::http::{Method, Request};

use crate::output::note;

/// Attempts at a call that may succeed later (429, 5xx, no connection).
const ATTEMPTS: u32 = 5;
/// The pause after the first attempt; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// Longest pause that a `Retry-After` may ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A pause that people should know the reason of.
const LONG_PAUSE: Duration = Duration::from_secs(2);
/// How long a call may take.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Longest answer that is read: a KV value (the platform's limit).
const MAX_ANSWER: u64 = 25 * 1024 * 1024;
/// Where the API is.
pub const BASE: &str = "https://api.fastly.com";

/// A connection with a token.
pub struct Client {
    agent: ureq::Agent,
    /// Where the API is, without a slash at its end.
    pub base: String,
    token: String,
    may: &'static str,
    pause: Duration,
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
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(TIMEOUT))
            .user_agent(concat!("personalizer/", env!("CARGO_PKG_VERSION")))
            .build()
            .into();
        let base = base.trim_end_matches('/').to_owned();
        Ok(Self { agent, base, token: token.trim().to_owned(), may, pause: FIRST_PAUSE })
    }

    /// Pauses shorter: for tests.
    #[cfg(test)]
    pub fn with_pause(mut self, pause: Duration) -> Self {
        self.pause = pause;
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
        let mut pause = self.pause;
        for attempt in 1.. {
            let answer = self.once(method, path, headers, body);
            let (problem, wait) = match answer {
                Ok((200..=299, _, body)) => return Ok(Some(body)),
                Ok((404, ..)) => return Ok(None),
                Ok((status @ (429 | 500..=599), after, body)) => (self.refusal(status, path, &body), after),
                // Nothing else gets better by asking again.
                Ok((status, _, body)) => return Err(self.refusal(status, path, &body)),
                Err(error) => (error, None),
            };
            if attempt >= ATTEMPTS {
                return Err(problem.context(format!("gave up after {ATTEMPTS} attempts")));
            }
            let wait = wait.unwrap_or(pause).min(LONGEST_PAUSE);
            if wait >= LONG_PAUSE {
                note(&format!("{problem:#}; trying again in {} s", wait.as_secs()));
            }
            std::thread::sleep(wait);
            pause *= 2;
        }
        unreachable!("the loop ends by returning")
    }

    #[allow(clippy::type_complexity)]
    fn once(
        &self,
        method: &Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> anyhow::Result<(u16, Option<Duration>, Vec<u8>)> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        request = request.header("Fastly-Key", &self.token).header("Accept", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let sent = match body {
            Some(bytes) => self.agent.run(request.body(bytes)?),
            None => self.agent.run(request.body(())?),
        };
        let mut response = sent.with_context(|| format!("no answer from {}", self.base))?;
        let after = response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
        let status = response.status().as_u16();
        let body = response.body_mut().with_config().limit(MAX_ANSWER).read_to_vec()?;
        Ok((status, after.map(Duration::from_secs), body))
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
