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

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use tiny_http::{Response, Server};

    use super::*;

    #[test]
    fn a_dashboard_is_sent_what_a_file_gets() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("annotations.ndjson").display().to_string();
        let server = Server::http("127.0.0.1:0").unwrap();
        let url = format!("http://{}/api/annotations", server.server_addr().to_ip().unwrap());
        let listens = std::thread::spawn(move || {
            let mut request = server.recv().unwrap();
            let mut body = String::new();
            request.as_reader().read_to_string(&mut body).unwrap();
            let asked = format!("{} {}", request.method(), request.url());
            request.respond(Response::from_string("{}")).unwrap();
            (asked, body)
        });
        for to in [&file, &url] {
            Annotations::new(Some(to.clone())).write(1_790_000_000_123_456, "r42", "rollback", "5xx");
        }
        let (asked, body) = listens.join().unwrap();
        assert_eq!(asked, "POST /api/annotations");
        assert_eq!(fs::read_to_string(file).unwrap().trim(), body);
        let annotation: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((&annotation["time"], &annotation["text"]), (&json!(1_790_000_000_123_i64), &json!("5xx")));
        // Nobody there, and nowhere to write: it is said, and nothing else happens.
        Annotations::new(Some("http://127.0.0.1:1/".to_owned())).write(0, "r42", "held", "");
        Annotations::new(Some(folder.path().display().to_string())).write(0, "r42", "held", "");
    }
}
