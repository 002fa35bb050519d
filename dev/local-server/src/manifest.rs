//! The local server's manifest: the project's `fastly.toml`, with other ports, other stores, other visitors.

use std::fs;
use std::path::Path;

use anyhow::Context;
use toml::{Table, Value};

use crate::visitors::Visitor;

/// A `fastly.toml` in the making.
#[derive(Debug, Clone)]
pub struct Manifest {
    whole: Table,
}

impl Manifest {
    /// Starts from an existing file.
    ///
    /// # Errors
    ///
    /// The file can't be read or isn't TOML.
    pub fn read(file: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(file).with_context(|| format!("can't read {}", file.display()))?;
        Ok(Self { whole: text.parse().with_context(|| format!("{} isn't TOML", file.display()))? })
    }

    /// Starts from nothing but what every manifest has.
    #[must_use]
    pub fn bare() -> Self {
        let mut whole = Table::new();
        whole.insert("manifest_version".to_owned(), 3.into());
        whole.insert("language".to_owned(), "rust".into());
        Self { whole }
    }

    /// The table at a path below `[local_server]`; what stands in its way is replaced.
    pub fn table(&mut self, path: &[&str]) -> &mut Table {
        let mut table = &mut self.whole;
        for step in std::iter::once(&"local_server").chain(path) {
            let value = table.entry((*step).to_owned()).or_insert_with(|| Value::Table(Table::new()));
            if !value.is_table() {
                *value = Value::Table(Table::new());
            }
            let Value::Table(next) = value else { unreachable!("just made a table") };
            table = next;
        }
        table
    }

    /// Sends a backend's requests here.
    pub fn backend(&mut self, name: &str, url: &str) {
        self.table(&["backends", name]).insert("url".to_owned(), url.into());
    }

    /// Takes something out: `without(&["backends"], "session_api")`, `without(&[], "config_stores")`.
    pub fn without(&mut self, path: &[&str], name: &str) {
        self.table(path).remove(name);
    }

    /// Reads a config store from a JSON file.
    pub fn config_store(&mut self, name: &str, file: &Path) {
        let store = self.table(&["config_stores", name]);
        store.clear();
        store.insert("format".to_owned(), "json".into());
        store.insert("file".to_owned(), file.display().to_string().into());
    }

    /// Writes a config store's entries into the manifest: they are read once, and can't be edited later.
    pub fn fixed_config_store<'a>(&mut self, name: &str, entries: impl IntoIterator<Item = (&'a String, &'a String)>) {
        let contents: Table = entries.into_iter().map(|(entry, text)| (entry.clone(), text.as_str().into())).collect();
        let store = self.table(&["config_stores", name]);
        store.clear();
        store.insert("format".to_owned(), "inline-toml".into());
        store.insert("contents".to_owned(), Value::Table(contents));
    }

    /// Adds a KV entry.
    pub fn kv(&mut self, store: &str, key: &str, data: &str) {
        self.push("kv_stores", store, key, "data", data);
    }

    /// Adds a KV entry whose bytes are a file's.
    pub fn kv_file(&mut self, store: &str, key: &str, file: &Path) {
        self.push("kv_stores", store, key, "file", &file.display().to_string());
    }

    /// Adds a secret.
    pub fn secret(&mut self, store: &str, name: &str, data: &str) {
        self.push("secret_stores", store, name, "data", data);
    }

    /// Puts a value in place of the one of that key, or adds it.
    fn push(&mut self, kind: &str, store: &str, key: &str, source: &str, value: &str) {
        let mut entry = Table::new();
        entry.insert("key".to_owned(), key.into());
        entry.insert(source.to_owned(), value.into());
        let stores = self.table(&[kind]);
        let mut list = match stores.remove(store) {
            Some(Value::Array(list)) => list,
            _ => Vec::new(),
        };
        list.retain(|found| found.get("key").and_then(Value::as_str) != Some(key));
        list.push(Value::Table(entry));
        stores.insert(store.to_owned(), Value::Array(list));
    }

    /// Locates an address.
    pub fn visitor(&mut self, visitor: &Visitor) {
        self.geolocation(&visitor.address.to_string(), visitor.geolocation());
    }

    /// Locates an address with an entry of one's own.
    pub fn geolocation(&mut self, address: &str, entry: Table) {
        let geolocation = self.table(&["geolocation"]);
        geolocation.insert("format".to_owned(), "inline-toml".into());
        // Without this, every loopback address without an entry would be in San Francisco.
        geolocation.insert("use_default_loopback".to_owned(), false.into());
        self.table(&["geolocation", "addresses"]).insert(address.to_owned(), Value::Table(entry));
    }

    /// Says what a User-Agent is (matched as a whole).
    pub fn device(&mut self, user_agent: &str, entry: Table) {
        self.table(&["device_detection"]).insert("format".to_owned(), "inline-toml".into());
        self.table(&["device_detection", "user_agents"]).insert(user_agent.to_owned(), Value::Table(entry));
    }

    /// Writes it for the local server.
    ///
    /// # Errors
    ///
    /// The file can't be written.
    pub fn write(&self, file: &Path) -> anyhow::Result<()> {
        fs::write(file, toml::to_string(&self.whole)?).with_context(|| format!("can't write {}", file.display()))
    }
}
