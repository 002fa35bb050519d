//! What of `fastly.toml` the local edge uses: `[local_server]`, as Fastly's own local server reads it.

use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use edge_personalizer::platform::geo::GeoTexts;
use edge_personalizer::platform::{Device, Geo};
use toml::{Table, Value};

/// The name of the config store and of the secret store.
const STORE: &str = "personalizer";

/// A manifest; an empty one where there is no file.
#[derive(Debug, Default)]
pub struct Manifest {
    /// What relative paths start from.
    folder: PathBuf,
    local: Table,
}

/// A backend, as it is written.
#[derive(Debug, Clone, Default)]
pub struct Definition {
    /// Scheme, host, port, and a path that goes in front of every other.
    pub url: String,
    /// The `Host` that it is asked by; without it, the one of the request.
    pub override_host: Option<String>,
    /// The name that its certificate must have; without it, the URL's host.
    pub certificate_host: Option<String>,
    /// Certificates of authorities (PEM); without them, the machine's own.
    pub authorities: Vec<String>,
    /// How long its head is waited for.
    pub first_byte: Option<Duration>,
    /// How long a pause of its body may take.
    pub between_bytes: Option<Duration>,
}

impl Manifest {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// It can't be read, or isn't TOML.
    pub fn read(file: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(file).with_context(|| format!("{}: can't read it", file.display()))?;
        let mut whole: Table = text.parse().with_context(|| format!("{}: expected TOML", file.display()))?;
        let local = match whole.remove("local_server") {
            Some(Value::Table(local)) => local,
            _ => Table::new(),
        };
        Ok(Self { folder: file.parent().unwrap_or(Path::new("")).to_owned(), local })
    }

    fn at(&self, path: &[&str]) -> Option<&Value> {
        let (first, rest) = path.split_first()?;
        rest.iter().try_fold(self.local.get(*first)?, |value, step| value.get(*step))
    }

    fn table(&self, path: &[&str]) -> impl Iterator<Item = (&String, &Value)> {
        self.at(path).and_then(Value::as_table).into_iter().flatten()
    }

    fn path(&self, text: &str) -> PathBuf {
        self.folder.join(text)
    }

    fn file(&self, path: &Path) -> anyhow::Result<Vec<u8>> {
        fs::read(path).with_context(|| format!("{}: fastly.toml names it, but it can't be read", path.display()))
    }

    /// The backends by name.
    ///
    /// # Errors
    ///
    /// One has no URL, or a file that it names can't be read.
    pub fn backends(&self) -> anyhow::Result<BTreeMap<String, Definition>> {
        let mut backends = BTreeMap::new();
        for (name, entry) in self.table(&["backends"]) {
            let text = |key: &str| entry.get(key).and_then(Value::as_str).map(str::to_owned);
            let limit = |key: &str| {
                let milliseconds = entry.get(key).and_then(Value::as_integer)?;
                u64::try_from(milliseconds).ok().map(Duration::from_millis)
            };
            let definition = Definition {
                url: text("url")
                    .with_context(|| format!("[local_server.backends.{name}]: expected a url, but found none"))?,
                override_host: text("override_host"),
                certificate_host: text("cert_host"),
                authorities: self.authorities(entry.get("ca_certificate"))?,
                first_byte: limit("first_byte_timeout_ms"),
                between_bytes: limit("between_bytes_timeout_ms"),
            };
            backends.insert(name.clone(), definition);
        }
        Ok(backends)
    }

    /// A text, a table with `file` or `value`, or a list of those.
    fn authorities(&self, entry: Option<&Value>) -> anyhow::Result<Vec<String>> {
        Ok(match entry {
            Some(Value::String(pem)) => vec![pem.clone()],
            Some(Value::Array(list)) => {
                let parts: Vec<_> =
                    list.iter().map(|part| self.authorities(Some(part))).collect::<anyhow::Result<_>>()?;
                parts.concat()
            }
            Some(table) => match (table.get("file").and_then(Value::as_str), table.get("value")) {
                (Some(file), _) => vec![String::from_utf8_lossy(&self.file(&self.path(file))?).into_owned()],
                (None, value) => self.authorities(value)?,
            },
            None => Vec::new(),
        })
    }

    /// The file that is the config store: pushed revisions and the pointer are there.
    pub fn store(&self) -> Option<PathBuf> {
        self.at(&["config_stores", STORE, "file"])?.as_str().map(|file| self.path(file))
    }

    /// The secrets by name.
    ///
    /// # Errors
    ///
    /// A file that is named can't be read.
    pub fn secrets(&self) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
        self.values(self.at(&["secret_stores", STORE]))
    }

    /// The values of a KV store by key.
    ///
    /// # Errors
    ///
    /// A file that is named can't be read.
    pub fn kv(&self, store: &str) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
        self.values(self.at(&["kv_stores", store]))
    }

    /// A list of keys with `data`, `file` or `env`; or a JSON file of texts.
    fn values(&self, store: Option<&Value>) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
        if let Some(file) = store.and_then(|store| store.get("file")?.as_str()) {
            let path = self.path(file);
            let texts: BTreeMap<String, String> = serde_json::from_slice(&self.file(&path)?)
                .with_context(|| format!("{}: expected an object of texts", path.display()))?;
            return Ok(texts.into_iter().map(|(key, text)| (key, text.into_bytes())).collect());
        }
        let mut values = BTreeMap::new();
        for entry in store.and_then(Value::as_array).into_iter().flatten() {
            let text = |key: &str| entry.get(key).and_then(Value::as_str);
            let Some(key) = text("key") else { bail!("fastly.toml: expected a key in each entry of a store") };
            let bytes = match (text("data"), text("file"), text("env")) {
                (Some(data), ..) => data.as_bytes().to_vec(),
                (None, Some(file), _) => self.file(&self.path(file))?,
                (None, None, Some(variable)) => std::env::var(variable).unwrap_or_default().into_bytes(),
                (None, None, None) => bail!("fastly.toml: expected data, file or env beside the key '{key}'"),
            };
            values.insert(key.to_owned(), bytes);
        }
        Ok(values)
    }

    /// Where addresses are.
    #[must_use]
    pub fn places(&self) -> BTreeMap<IpAddr, Geo> {
        let addresses = self.table(&["geolocation", "addresses"]);
        addresses.filter_map(|(address, entry)| Some((address.parse().ok()?, place(entry)))).collect()
    }

    /// What User-Agents are.
    #[must_use]
    pub fn devices(&self) -> BTreeMap<String, Device> {
        self.table(&["device_detection", "user_agents"]).map(|(agent, entry)| (agent.clone(), device(entry))).collect()
    }
}

/// An entry of `[local_server.geolocation.addresses]`.
#[must_use]
pub fn place(entry: &Value) -> Geo {
    let text = |key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default();
    Geo::from(GeoTexts {
        country: text("country_code"),
        subdivision: text("region"),
        continent: text("continent"),
        city: text("city"),
        connection_type: text("conn_type"),
    })
}

/// An entry of `[local_server.device_detection.user_agents]`.
fn device(entry: &Value) -> Device {
    let of = |group: &str, key: &str| entry.get(group)?.get(key).cloned();
    let is = |key: &str| of("device", key).and_then(|value| value.as_bool());
    let name = |group: &str| of(group, "name").and_then(|value| value.as_str().map(str::to_owned));
    Device {
        is_mobile: is("is_mobile"),
        is_tablet: is("is_tablet"),
        is_desktop: is("is_desktop"),
        is_tv: is("is_smarttv").or_else(|| is("is_tvplayer")),
        is_bot: of("user_agent", "is_bot").and_then(|value| value.as_bool()),
        browser: name("user_agent"),
        os: name("os"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(text: &str) -> Manifest {
        let folder = tempfile::TempDir::new().unwrap();
        let file = folder.path().join("fastly.toml");
        fs::write(&file, text).unwrap();
        fs::write(folder.path().join("key"), "from a file").unwrap();
        Manifest::read(&file).unwrap()
    }

    #[test]
    fn the_projects_own_manifest_has_all_that_the_demo_needs() {
        let own = Manifest::read(Path::new("../fastly.toml")).unwrap();
        let backends = own.backends().unwrap();
        assert_eq!(backends.keys().collect::<Vec<_>>(), ["origin", "session_api"]);
        assert_eq!(backends["origin"].url, "http://127.0.0.1:7877");
        assert_eq!(backends["session_api"].between_bytes, Some(Duration::from_millis(100)));
        assert!(own.store().unwrap().ends_with("target/local/personalizer.json"));
        assert_eq!(own.secrets().unwrap()["admin"], b"local-admin-token-for-explain");
        assert!(own.kv("sessions").unwrap().contains_key("visitor/00000000000000000000000000000001"));
        assert_eq!(own.places()[&"127.0.0.14".parse().unwrap()].country.as_deref(), Some("FR"));
        assert_eq!(own.places()[&"127.0.0.23".parse().unwrap()].country, None, "an unknown country is none");
    }

    #[test]
    fn a_secret_comes_from_a_text_and_a_missing_file_is_named() {
        let text = "[[local_server.secret_stores.personalizer]]\nkey = \"a\"\ndata = \"b\"\n";
        assert_eq!(manifest(text).secrets().unwrap()["a"], b"b");
        let text = "[[local_server.secret_stores.personalizer]]\nkey = \"a\"\nfile = \"nowhere\"\n";
        let error = format!("{:#}", manifest(text).secrets().unwrap_err());
        assert!(error.contains("nowhere: fastly.toml names it, but it can't be read"), "{error}");
    }

    #[test]
    fn a_device_is_what_the_table_says() {
        let text = "[local_server.device_detection.user_agents.\"A/1\"]\ndevice = { is_mobile = true }\nos = { name = \"X\" }\n";
        let device = &manifest(text).devices()["A/1"];
        assert_eq!((device.is_mobile, device.is_tablet, device.os.as_deref()), (Some(true), None, Some("X")));
    }

    #[test]
    fn a_backend_without_a_url_is_named() {
        let error = manifest("[local_server.backends.shop]\n").backends().unwrap_err().to_string();
        assert_eq!(error, "[local_server.backends.shop]: expected a url, but found none");
    }
}
