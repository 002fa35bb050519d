//! Backends that rules name, against those that the service has.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use edge_personalizer::rules::route::DEFAULT_BACKEND;
use serde_json::Value;
use toml::Table;

use super::Checked;
use super::compile::escape;

impl Checked<'_> {
    /// Names backends that `fastly.toml` doesn't have. Without a manifest nothing can be said.
    pub(super) fn backends(&mut self, place: &Path, manifest: Option<&Path>) -> anyhow::Result<()> {
        let Some(file) = manifest.map(Path::to_owned).or_else(|| beside(place)) else { return Ok(()) };
        let text = fs::read_to_string(&file).with_context(|| format!("{}: can't read it", file.display()))?;
        let known = names(&text).with_context(|| format!("{}: expected TOML", file.display()))?;
        let listed = known.iter().cloned().collect::<Vec<_>>().join(", ");
        for (index, route) in self.rules_of("routes", "routes").into_iter().enumerate() {
            let mut places = vec![("/backend", route.get("backend"))];
            places.push(("/fallback/backend", route.pointer("/fallback/backend")));
            for (below, name) in places {
                let written = name.and_then(Value::as_str);
                // A route that answers itself needs no backend.
                let answers = matches!(route.get("action").and_then(Value::as_str), Some("respond" | "redirect"));
                let default = (below == "/backend" && !answers).then_some(DEFAULT_BACKEND);
                let Some(name) = written.or(default).filter(|name| !known.contains(*name)) else { continue };
                let pointer = format!("/routes/{index}{}", if written.is_some() { below } else { "" });
                let message = format!("expected a backend of {} ({listed}), but found '{name}'", file.display());
                self.fault("routes", pointer, message);
            }
        }
        let sessions = self.json("settings").and_then(|json| json.pointer("/session/backend")?.as_str());
        if let Some(name) = sessions.filter(|name| !known.contains(*name)) {
            let message = format!("expected a backend of {} ({listed}), but found '{name}'", file.display());
            self.fault("settings", "/session/backend", message);
        }
        let named = self.json("settings").and_then(|json| json.get("backends")?.as_object());
        for name in named.into_iter().flat_map(|backends| backends.keys()).filter(|name| !known.contains(*name)) {
            let message = format!("expected a backend of {} ({listed}), but found '{name}'", file.display());
            self.fault("settings", format!("/backends/{}", escape(name)), message);
        }
        Ok(())
    }
}

/// The `fastly.toml` of a folder or of one above it.
pub fn beside(place: &Path) -> Option<PathBuf> {
    let place = place.canonicalize().ok()?;
    place.ancestors().map(|folder| folder.join("fastly.toml")).find(|file| file.is_file())
}

/// Backends that a manifest sets up or has locally.
fn names(text: &str) -> anyhow::Result<BTreeSet<String>> {
    let manifest: Table = text.parse()?;
    let below = |section: &str| manifest.get(section)?.get("backends")?.as_table();
    Ok(["setup", "local_server"].iter().filter_map(|section| below(section)).flat_map(Table::keys).cloned().collect())
}
