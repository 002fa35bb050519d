//! Where rules go: a store, read and written entry by entry.

pub mod fastly;
pub mod file;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::bail;
use clap::Args;

/// A store's name on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// `file:PATH`: the JSON file that the local server reads.
    File(PathBuf),
    /// `fastly:STORE_ID`: a config store, by the API.
    Fastly(String),
    /// `pack:PATH`: a large rule set as one file, for the KV store; it can't be read back.
    Pack(PathBuf),
}

impl FromStr for Address {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        match text.split_once(':') {
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(path.into())),
            Some(("pack", path)) if !path.is_empty() => Ok(Self::Pack(path.into())),
            Some(("fastly", id)) if !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
                Ok(Self::Fastly(id.to_owned()))
            }
            _ => bail!("expected file:PATH or fastly:STORE_ID (for push also pack:PATH), but found '{text}'"),
        }
    }
}

/// How the API is reached.
#[derive(Debug, Clone, Args)]
pub struct Api {
    /// The KV store `rules`, by its id: for rule sets of more than 100 kB.
    #[arg(long, value_name = "STORE_ID")]
    kv_store: Option<String>,
    /// Where the API is.
    #[arg(long, value_name = "URL", default_value = crate::api::BASE, hide = true)]
    api_base: String,
}

/// A store on the command line, for the commands that change what serves.
#[derive(Debug, Clone, Args)]
pub struct On {
    /// The store: file:PATH or fastly:STORE_ID.
    #[arg(long, value_name = "TARGET", env = "PERSONALIZER_TARGET")]
    pub on: Address,
    #[command(flatten)]
    pub api: Api,
    /// Change the pointer of staging deployments (`active_staging`).
    #[arg(long)]
    pub staging: bool,
}

impl On {
    /// Opens the store.
    pub fn open(&self) -> anyhow::Result<Box<dyn Target>> {
        open(&self.on, &self.api)
    }

    /// The pointer's entry.
    pub fn pointer(&self) -> &'static str {
        if self.staging { "active_staging" } else { "active" }
    }
}

/// What is to be written, by what is there.
pub type Change<'c> = dyn FnMut(&BTreeMap<String, String>) -> Vec<(String, String)> + 'c;

/// A store.
pub trait Target {
    /// Every entry of the config store.
    fn entries(&mut self) -> anyhow::Result<BTreeMap<String, String>>;
    /// Writes entries, new ones and others.
    fn put(&mut self, entries: &[(String, String)]) -> anyhow::Result<()>;
    /// Reads the entries, and writes what `change` makes of them (nothing, where it gives nothing).
    ///
    /// A file is locked meanwhile. A store of Fastly has no lock and no conditional write: who writes between our reading and our writing,
    /// some hundred milliseconds, is overwritten.
    fn update(&mut self, change: &mut Change<'_>) -> anyhow::Result<()> {
        let written = change(&self.entries()?);
        if written.is_empty() { Ok(()) } else { self.put(&written) }
    }
    /// Removes entries.
    fn remove(&mut self, keys: &[String]) -> anyhow::Result<()>;
    /// Reads a value of the KV store `rules`.
    fn pack(&mut self, key: &str) -> anyhow::Result<Option<Vec<u8>>>;
    /// Writes a value of the KV store `rules` that isn't there yet.
    fn put_pack(&mut self, key: &str, bytes: &[u8]) -> anyhow::Result<()>;
    /// Removes a value of the KV store `rules`.
    fn remove_pack(&mut self, key: &str) -> anyhow::Result<()>;
    /// How long a change takes to reach visitors, for people.
    fn spreads_in(&self) -> &'static str;
}

/// Opens a store.
///
/// # Errors
///
/// The token is missing, or the address names no store that can be read.
pub fn open(address: &Address, api: &Api) -> anyhow::Result<Box<dyn Target>> {
    match address {
        Address::File(path) => Ok(Box::new(file::File::new(path.clone()))),
        Address::Fastly(id) => {
            let token = std::env::var("FASTLY_API_TOKEN").unwrap_or_default();
            Ok(Box::new(fastly::Fastly::new(&api.api_base, id, api.kv_store.as_deref(), &token)?))
        }
        Address::Pack(_) => {
            bail!("expected file:PATH or fastly:STORE_ID, for a pack holds no entries, but found pack:")
        }
    }
}
