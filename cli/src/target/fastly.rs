//! Fastly's API: a config store in bulk (`/resources/stores/config/{id}/items`) and the KV store `rules`.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::{Value, json};
use ureq::http::{Method, Request};

use super::Target;
use crate::output::progress;

/// Entries a bulk call: far below any documented size of a body, and few enough that one retry is cheap.
const BATCH: usize = 50;
/// Attempts at a call that may succeed later (429, 5xx, no connection).
const ATTEMPTS: u32 = 5;
/// The pause after the first attempt; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// Longest pause that a `Retry-After` may ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How long a call may take.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Longest KV value that is read back (the platform's limit).
const MAX_VALUE: u64 = 25 * 1024 * 1024;

/// A config store, and the KV store `rules` where its id is known.
pub struct Fastly {
    agent: ureq::Agent,
    base: String,
    config: String,
    kv: Option<String>,
    token: String,
    pause: Duration,
}

#[derive(Deserialize)]
struct Item {
    item_key: String,
    item_value: String,
    #[serde(default)]
    deleted_at: Option<String>,
}

impl Fastly {
    /// The stores of these ids.
    ///
    /// # Errors
    ///
    /// There is no token.
    pub fn new(base: &str, config: &str, kv: Option<&str>, token: &str) -> anyhow::Result<Self> {
        if token.trim().is_empty() {
            bail!("FASTLY_API_TOKEN: expected a token that may write the store, but found none");
        }
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(TIMEOUT))
            .user_agent(concat!("personalizer/", env!("CARGO_PKG_VERSION")))
            .build()
            .into();
        let (base, kv) = (base.trim_end_matches('/').to_owned(), kv.map(str::to_owned));
        Ok(Self { agent, base, config: config.to_owned(), kv, token: token.trim().to_owned(), pause: FIRST_PAUSE })
    }

    /// Pauses shorter: for tests.
    #[cfg(test)]
    pub fn with_pause(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    /// One call, tried again while it may succeed later. `Ok(None)` is a 404.
    fn call(&self, method: &Method, path: &str, body: Option<(&str, &[u8])>) -> anyhow::Result<Option<Vec<u8>>> {
        let mut pause = self.pause;
        for attempt in 1.. {
            let answer = self.once(method, path, body);
            let (problem, wait) = match answer {
                Ok((200..=299, _, body)) => return Ok(Some(body)),
                Ok((404, ..)) => return Ok(None),
                Ok((status @ (429 | 500..=599), after, body)) => (refusal(status, path, &body), after),
                // Nothing else gets better by asking again.
                Ok((status, _, body)) => return Err(refusal(status, path, &body)),
                Err(error) => (error, None),
            };
            if attempt >= ATTEMPTS {
                return Err(problem.context(format!("gave up after {ATTEMPTS} attempts")));
            }
            std::thread::sleep(wait.unwrap_or(pause).min(LONGEST_PAUSE));
            pause *= 2;
        }
        unreachable!("the loop ends by returning")
    }

    #[allow(clippy::type_complexity)]
    fn once(
        &self,
        method: &Method,
        path: &str,
        body: Option<(&str, &[u8])>,
    ) -> anyhow::Result<(u16, Option<Duration>, Vec<u8>)> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        request = request.header("Fastly-Key", &self.token).header("Accept", "application/json");
        if let Some((content_type, _)) = body {
            request = request.header("Content-Type", content_type);
        }
        let sent = match body {
            Some((_, bytes)) => self.agent.run(request.body(bytes)?),
            None => self.agent.run(request.body(())?),
        };
        let mut response = sent.with_context(|| format!("no answer from {}", self.base))?;
        let after = response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
        let status = response.status().as_u16();
        let body = response.body_mut().with_config().limit(MAX_VALUE).read_to_vec()?;
        Ok((status, after.map(Duration::from_secs), body))
    }

    fn items(&self) -> String {
        format!("/resources/stores/config/{}/items", self.config)
    }

    fn no_such_store(&self) -> anyhow::Error {
        anyhow!(
            "404: expected a config store with id {}, but found none that this token may see (`fastly config-store list` names them)",
            self.config
        )
    }

    fn patch(&self, title: &str, items: &[Value]) -> anyhow::Result<()> {
        let bar = progress(title, items.len());
        for batch in items.chunks(BATCH) {
            let body = json!({ "items": batch }).to_string();
            let answer = self.call(&Method::PATCH, &self.items(), Some(("application/json", body.as_bytes())))?;
            if answer.is_none() {
                return Err(self.no_such_store());
            }
            bar.inc(u64::try_from(batch.len()).unwrap_or_default());
        }
        bar.finish_and_clear();
        Ok(())
    }

    fn value(&self, key: &str) -> anyhow::Result<String> {
        let Some(store) = &self.kv else {
            bail!("expected the id of the KV store 'rules' by --kv-store, but found none: '{key}' is a large rule set");
        };
        Ok(format!("/resources/stores/kv/{store}/keys/{}", utf8_percent_encode(key, NON_ALPHANUMERIC)))
    }
}

/// What the API refused, in words that say what to do.
fn refusal(status: u16, path: &str, body: &[u8]) -> anyhow::Error {
    let said: Value = serde_json::from_slice(body).unwrap_or_default();
    let said = ["detail", "msg", "title", "message"].iter().find_map(|key| said.get(key)?.as_str());
    let said = said.map(|text| format!(" (the API says: {text})")).unwrap_or_default();
    match status {
        401 => anyhow!("401: expected a valid token in FASTLY_API_TOKEN, but the API doesn't know this one{said}"),
        403 => anyhow!(
            "403: expected a token that may write this store, but this one may not: it needs the scope 'global', and its user the role of an engineer{said}"
        ),
        429 => anyhow!("429: expected fewer calls: the API allows 1,000 changes an hour{said}"),
        _ => anyhow!("{path}: expected the API to accept the call, but it answered {status}{said}"),
    }
}

impl Target for Fastly {
    fn entries(&mut self) -> anyhow::Result<BTreeMap<String, String>> {
        let body = self.call(&Method::GET, &self.items(), None)?.ok_or_else(|| self.no_such_store())?;
        let items: Vec<Item> = serde_json::from_slice(&body).context("expected a list of items from the API")?;
        Ok(items
            .into_iter()
            .filter(|item| item.deleted_at.is_none())
            .map(|item| (item.item_key, item.item_value))
            .collect())
    }

    fn put(&mut self, entries: &[(String, String)]) -> anyhow::Result<()> {
        let upsert = |(key, value): &(String, String)| json!({ "op": "upsert", "item_key": key, "item_value": value });
        self.patch("writing entries", &entries.iter().map(upsert).collect::<Vec<_>>())
    }

    fn remove(&mut self, keys: &[String]) -> anyhow::Result<()> {
        let delete = |key: &String| json!({ "op": "delete", "item_key": key });
        self.patch("removing entries", &keys.iter().map(delete).collect::<Vec<_>>())
    }

    fn pack(&mut self, key: &str) -> anyhow::Result<Option<Vec<u8>>> {
        self.call(&Method::GET, &self.value(key)?, None)
    }

    fn put_pack(&mut self, key: &str, bytes: &[u8]) -> anyhow::Result<()> {
        let path = self.value(key)?;
        match self.call(&Method::PUT, &path, Some(("application/octet-stream", bytes)))? {
            Some(_) => Ok(()),
            None => bail!("404: expected a KV store of the id that --kv-store names, but found none"),
        }
    }

    fn remove_pack(&mut self, key: &str) -> anyhow::Result<()> {
        // One that isn't there is removed already.
        self.call(&Method::DELETE, &self.value(key)?, None).map(drop)
    }

    fn spreads_in(&self) -> &'static str {
        "within some 30 seconds everywhere"
    }
}
