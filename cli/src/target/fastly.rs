//! Fastly's API: a config store in bulk (`/resources/stores/config/{id}/items`) and the KV store `rules`.

use std::collections::BTreeMap;
#[cfg(test)]
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::{Value, json};
use ureq::http::Method;

use super::Target;
use crate::api::Client;
use crate::output::progress;

/// Entries a bulk call: far below any documented size of a body, and few enough that one retry is cheap.
const BATCH: usize = 50;
/// What the token must be allowed.
const MAY: &str = "write this store (it needs the scope 'global', and its user the role of an engineer)";
/// The type of a bulk call's body.
const JSON: [(&str, &str); 1] = [("Content-Type", "application/json")];

/// A config store, and the KV store `rules` where its id is known.
pub struct Fastly {
    client: Client,
    config: String,
    kv: Option<String>,
}

#[derive(Deserialize)]
struct Item {
    item_key: String,
    item_value: String,
    #[serde(default)]
    deleted_at: Option<String>,
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
        let client = Client::new(base, token, MAY)?;
        Ok(Self { client, config: config.to_owned(), kv: kv.map(str::to_owned) })
    }

    /// Pauses shorter: for tests.
    #[cfg(test)]
    pub fn with_pause(mut self, pause: Duration) -> Self {
        self.client = self.client.with_pause(pause);
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
            let answer = self.client.call(&Method::PATCH, &self.items(), &JSON, Some(body.as_bytes()))?;
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

impl Target for Fastly {
    fn entries(&mut self) -> anyhow::Result<BTreeMap<String, String>> {
        let body = self.client.call(&Method::GET, &self.items(), &[], None)?.ok_or_else(|| self.no_such_store())?;
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
        self.client.call(&Method::GET, &self.value(key)?, &[], None)
    }

    fn put_pack(&mut self, key: &str, bytes: &[u8]) -> anyhow::Result<()> {
        let path = self.value(key)?;
        match self.client.call(&Method::PUT, &path, &[("Content-Type", "application/octet-stream")], Some(bytes))? {
            Some(_) => Ok(()),
            None => bail!("404: expected a KV store of the id that --kv-store names, but found none"),
        }
    }

    fn remove_pack(&mut self, key: &str) -> anyhow::Result<()> {
        // One that isn't there is removed already.
        self.client.call(&Method::DELETE, &self.value(key)?, &[], None).map(drop)
    }

    fn spreads_in(&self) -> &'static str {
        "within some 30 seconds everywhere"
    }
}
