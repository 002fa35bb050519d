//! What happens to a canary, as annotations that a dashboard shows.

use std::fs;
use std::io::Write as _;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::json;

use crate::output::note;
use crate::report::moment::Micros;

/// Longest wait for a dashboard: the canary comes first.
const LIMIT: Duration = Duration::from_secs(5);
/// Has the token for a dashboard.
const TOKEN: &str = "GRAFANA_TOKEN";

/// Where annotations go: lines of a file, or Grafana's API (<https://grafana.com/docs/grafana/latest/developers/http_api/annotations/>).
#[derive(Debug, Clone, Default)]
pub struct Annotations {
    to: Option<String>,
}

impl Annotations {
    /// To a file, to a URL such as `https://grafana.example.com/api/annotations`, or nowhere.
    pub fn new(to: Option<String>) -> Self {
        Self { to }
    }

    /// Writes one. What can't be written is said, and stops nothing.
    pub fn write(&self, at: Micros, revision: &str, event: &str, text: &str) {
        let Some(to) = &self.to else { return };
        let annotation =
            json!({ "time": at / 1_000, "tags": ["edge-personalizer", "canary", revision, event], "text": text });
        let written = if to.starts_with("http://") || to.starts_with("https://") {
            send(to, &annotation.to_string())
        } else {
            append(to, &annotation.to_string())
        };
        if let Err(error) = written {
            note(&format!("the annotation isn't written: {error:#}"));
        }
    }
}

fn append(path: &str, line: &str) -> anyhow::Result<()> {
    let file = fs::OpenOptions::new().create(true).append(true).open(path);
    file.and_then(|mut file| writeln!(file, "{line}")).with_context(|| path.to_owned())
}

fn send(url: &str, body: &str) -> anyhow::Result<()> {
    let agent: ureq::Agent = ureq::Agent::config_builder().timeout_global(Some(LIMIT)).build().into();
    let mut request = agent.post(url).header("Content-Type", "application/json");
    if let Ok(token) = std::env::var(TOKEN) {
        request = request.header("Authorization", &format!("Bearer {token}"));
    }
    request.send(body).map(drop).with_context(|| url.to_owned())
}
