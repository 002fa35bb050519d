//! The JSON file (entry → text) that the local server reads at every request.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use super::{Change, Target};
use crate::files;

/// A file, read and written whole.
#[derive(Debug)]
pub struct File {
    path: PathBuf,
}

impl File {
    /// A file that need not exist yet.
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    fn write(&self, entries: &BTreeMap<String, String>) -> anyhow::Result<()> {
        // A file caught half-written would stop the local server's service.
        files::replace(&self.path, serde_json::to_string_pretty(entries)?.as_bytes())
    }

    /// Reads, changes and writes while nobody else does. `change` says whether there is something to write.
    fn change(&mut self, change: impl FnOnce(&mut BTreeMap<String, String>) -> bool) -> anyhow::Result<()> {
        let _lock = self.lock()?;
        let mut entries = self.entries()?;
        if change(&mut entries) { self.write(&entries) } else { Ok(()) }
    }

    /// Waits until no other command changes the file. The lock is a file of its own, because the store's is replaced with each change; it ends
    /// with the handle, also where the command is killed.
    ///
    /// Who comes by a symbolic link waits for the same lock as who names the file itself.
    fn lock(&self) -> anyhow::Result<fs::File> {
        let store = files::resolved(&self.path);
        let folder = store.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::create_dir_all(folder).with_context(|| format!("{}: can't make the folder", folder.display()))?;
        let name = store.file_name().unwrap_or_default().to_string_lossy();
        let path = folder.join(format!(".{name}.lock"));
        let fault = || format!("{}: can't lock the store", path.display());
        let lock = fs::File::create(&path).with_context(fault)?;
        lock.lock().with_context(fault)?;
        Ok(lock)
    }
}

/// Why there are no packs here.
const NO_KV: &str = "a file holds the config store alone: write a large rule set by `push --to pack:PATH`, and name that file as a \
    value of [local_server.kv_stores] in fastly.toml";

impl Target for File {
    fn entries(&mut self) -> anyhow::Result<BTreeMap<String, String>> {
        match fs::read_to_string(&self.path) {
            Ok(text) => serde_json::from_str(&text)
                .with_context(|| format!("{}: expected an object of texts", self.path.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(BTreeMap::new()),
            Err(error) => Err(error).with_context(|| format!("{}: can't read it", self.path.display())),
        }
    }

    fn put(&mut self, new: &[(String, String)]) -> anyhow::Result<()> {
        self.change(|entries| {
            entries.extend(new.iter().cloned());
            true
        })
    }

    fn update(&mut self, change: &mut Change<'_>) -> anyhow::Result<()> {
        self.change(|entries| {
            let written = change(entries);
            let is_news = !written.is_empty();
            entries.extend(written);
            is_news
        })
    }

    fn remove(&mut self, keys: &[String]) -> anyhow::Result<()> {
        self.change(|entries| {
            entries.retain(|key, _| !keys.contains(key));
            true
        })
    }

    fn pack(&mut self, _key: &str) -> anyhow::Result<Option<Vec<u8>>> {
        bail!(NO_KV)
    }

    fn put_pack(&mut self, _key: &str, _bytes: &[u8]) -> anyhow::Result<()> {
        bail!(NO_KV)
    }

    fn remove_pack(&mut self, _key: &str) -> anyhow::Result<()> {
        bail!(NO_KV)
    }

    fn spreads_in(&self) -> &'static str {
        "at the next request"
    }
}
