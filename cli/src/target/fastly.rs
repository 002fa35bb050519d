//! Fastly's API: a config store in bulk (`/resources/stores/config/{id}/items`) and the KV store `rules`.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::{Value, json};
use ureq::http::Method;

use super::Target;
use crate::backoff::{Backoff, Patience};
use crate::client::Client;
use crate::output::progress;

/// Entries a bulk call: far below any documented size of a body, and few enough that one retry is cheap.
const BATCH: usize = 50;
/// How long the API is asked again for what may succeed later (429, 5xx, no connection).
const PATIENCE: Patience = Patience { attempts: 5, pause: Duration::from_millis(500) };

/// A config store, and the KV store `rules` where its id is known.
pub struct Fastly {
    api: Api,
    config: String,
    kv: Option<String>,
}

/// The API, for whoever holds a token.
pub struct Api {
    client: Client,
    token: String,
    patience: Patience,
}

#[derive(Deserialize)]
struct Item {
    item_key: String,
    item_value: String,
    #[serde(default)]
    deleted_at: Option<String>,
}

impl Api {
    /// The API at `base`.
    ///
    /// # Errors
    ///
    /// There is no token.
    pub fn new(base: &str, token: &str) -> anyhow::Result<Self> {
        if token.trim().is_empty() {
            bail!("FASTLY_API_TOKEN: expected a token for the store, but found none");
        }
        Ok(Self { client: Client::new(base), token: token.trim().to_owned(), patience: PATIENCE })
    }

    /// One call, tried again while it may succeed later. `Ok(None)` is a 404.
    pub fn call(&self, method: &Method, path: &str, body: Option<(&str, &[u8])>) -> anyhow::Result<Option<Vec<u8>>> {
        let mut headers = vec![("Fastly-Key", self.token.as_str()), ("Accept", "application/json")];
        headers.extend(body.map(|(content_type, _)| ("Content-Type", content_type)));
        let mut backoff = Backoff::new(self.patience);
        loop {
            let (problem, asked) = match self.client.call(method, path, &headers, body.map(|(_, bytes)| bytes)) {
                Ok(answer) => match answer.status {
                    200..=299 => return Ok(Some(answer.body)),
                    404 => return Ok(None),
                    429 | 500..=599 => (refusal(answer.status, path, &answer.body), answer.retry_after),
                    // Nothing else gets better by asking again.
                    status => return Err(refusal(status, path, &answer.body)),
                },
                Err(error) => (error, None),
            };
            std::thread::sleep(backoff.after(problem, asked)?);
        }
    }
}

/// The path of a value in a KV store (<https://www.fastly.com/documentation/reference/api/services/resources/kv-store-item>).
pub fn kv_path(store: &str, key: &str) -> String {
    format!("/resources/stores/kv/{store}/keys/{}", utf8_percent_encode(key, NON_ALPHANUMERIC))
}

impl Fastly {
    /// The stores of these ids.
    ///
    /// # Errors
    ///
    /// There is no token.
    pub fn new(base: &str, config: &str, kv: Option<&str>, token: &str) -> anyhow::Result<Self> {
        Ok(Self { api: Api::new(base, token)?, config: config.to_owned(), kv: kv.map(str::to_owned) })
    }

    /// Pauses shorter: for tests.
    #[cfg(test)]
    pub fn with_pause(mut self, pause: Duration) -> Self {
        self.api.patience.pause = pause;
        self
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
            let answer = self.api.call(&Method::PATCH, &self.items(), Some(("application/json", body.as_bytes())))?;
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
        Ok(kv_path(store, key))
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
        let body = self.api.call(&Method::GET, &self.items(), None)?.ok_or_else(|| self.no_such_store())?;
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
        self.api.call(&Method::GET, &self.value(key)?, None)
    }

    fn put_pack(&mut self, key: &str, bytes: &[u8]) -> anyhow::Result<()> {
        let path = self.value(key)?;
        match self.api.call(&Method::PUT, &path, Some(("application/octet-stream", bytes)))? {
            Some(_) => Ok(()),
            None => bail!("404: expected a KV store of the id that --kv-store names, but found none"),
        }
    }

    fn remove_pack(&mut self, key: &str) -> anyhow::Result<()> {
        // One that isn't there is removed already.
        self.api.call(&Method::DELETE, &self.value(key)?, None).map(drop)
    }

    fn spreads_in(&self) -> &'static str {
        "within some 30 seconds everywhere"
    }
}
