//! The edge's side of the wire: one signed batch, and what became of each of its items.

use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use serde::Deserialize;
use ureq::http::{Method, Uri};

use super::signing::{self, Secret, Signer};
use crate::client::{Answer, Client};
use crate::output;

/// Where batches are taken (docs/SESSIONS.md).
const PATH: &str = "/.edge/sessions";

/// The code of a batch that did not come whole.
const BROKEN_OFF: &str = "replication-broken-off";

/// Which edge, and how it knows us.
#[derive(Debug, Clone, Args)]
pub struct To {
    /// The site that the edge serves, such as <https://www.example.com>.
    #[arg(long, value_name = "URL", env = "PERSONALIZER_EDGE")]
    to: String,
    #[command(flatten)]
    secret: Secret,
}

/// An edge that takes sessions.
pub struct Edge {
    client: Client,
    signer: Signer,
    address: String,
}

/// Whoever takes batches: an edge, or what stands for one in tests.
pub trait Takes: Send + Sync {
    /// Sends `items` updates, NDJSON, as the message `id`.
    ///
    /// # Errors
    ///
    /// Nothing gets better by sending it again.
    fn post(&self, id: &str, body: &[u8], items: usize) -> anyhow::Result<Reply>;
}

/// What became of an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// Written.
    Stored,
    /// The record was already like that, or newer.
    Unchanged,
    /// It can't be used, now or ever; here is why.
    Refused(String),
    /// It must be sent again.
    Retry,
}

/// What the edge said to a batch.
pub enum Reply {
    /// What became of every item, in order. `again` says why some must be sent again, and when.
    Ends { ends: Vec<End>, again: Option<(anyhow::Error, Option<Duration>)> },
    /// It takes smaller batches only; the reason.
    TooLarge(String),
    /// Nothing was taken, but may be later.
    Later(anyhow::Error, Option<Duration>),
}

/// The edge's answer.
#[derive(Debug, Default, Deserialize)]
struct Body {
    /// The code of what went wrong.
    #[serde(default)]
    error: String,
    #[serde(default)]
    reason: String,
    results: Option<Vec<Item>>,
}

#[derive(Debug, Deserialize)]
struct Item {
    index: usize,
    status: String,
    #[serde(default)]
    reason: String,
}

impl To {
    /// Gets ready to send; sends nothing yet.
    ///
    /// # Errors
    ///
    /// The URL is none, or there is no secret.
    pub fn open(&self) -> anyhow::Result<Edge> {
        let base = self.to.trim_end_matches('/');
        let base = base.strip_suffix(PATH).unwrap_or(base);
        let wrong =
            || format!("--to: expected the URL of a site, such as https://www.example.com, but found '{}'", self.to);
        let url: Uri = base.parse().with_context(wrong)?;
        let (Some(scheme), Some(host)) = (url.scheme_str(), url.host()) else { bail!(wrong()) };
        if !["http", "https"].contains(&scheme) || url.path() != "/" || url.query().is_some() {
            bail!(wrong());
        }
        if scheme == "http" && !is_here(host) {
            output::note("--to: http:// sends people's sessions in clear; expected https://");
        }
        Ok(Edge { client: Client::new(base), signer: self.secret.read()?, address: format!("{base}{PATH}") })
    }
}

fn is_here(host: &str) -> bool {
    host == "localhost"
        || host == "[::1]"
        || host.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

impl Edge {
    /// Where batches go, for people.
    pub fn address(&self) -> &str {
        &self.address
    }
}

impl Takes for Edge {
    fn post(&self, id: &str, body: &[u8], items: usize) -> anyhow::Result<Reply> {
        // Signed anew each time: a signature is good for five minutes, and a pause may be long.
        let signed = self.signer.headers(id, signing::now()?, body);
        let mut headers = vec![("Content-Type", "application/x-ndjson"), ("Accept", "application/json")];
        headers.extend(signed.iter().map(|(name, value)| (*name, value.as_str())));
        match self.client.call(&Method::POST, PATH, &headers, Some(body)) {
            Ok(answer) => read(answer, items).with_context(|| self.address.clone()),
            Err(error) => Ok(Reply::Later(error, None)),
        }
    }
}

fn read(answer: Answer, items: usize) -> anyhow::Result<Reply> {
    let Answer { status, retry_after, body } = answer;
    let Body { error, reason, results } = serde_json::from_slice(&body).unwrap_or_default();
    let said = if reason.is_empty() { String::new() } else { format!(" (it says: {reason})") };
    match (status, results) {
        (200 | 422 | 429 | 503, Some(results)) => {
            let ends = ends(results, items)?;
            let left = ends.iter().filter(|end| **end == End::Retry).count();
            let again =
                (left > 0).then(|| (anyhow!("{status}: {left} of {items} updates are to be sent again"), retry_after));
            Ok(Reply::Ends { ends, again })
        }
        (413, _) => Ok(Reply::TooLarge(reason)),
        // A body that broke off is to be sent again, by the edge's own words; any other 400 is not.
        (400, _) if error == BROKEN_OFF => Ok(Reply::Later(anyhow!("the edge answered 400{said}"), retry_after)),
        (408 | 425 | 429 | 500..=599, _) => Ok(Reply::Later(anyhow!("the edge answered {status}{said}"), retry_after)),
        (401, _) => bail!("401: expected the edge to know the secret that signs, but it doesn't count{said}"),
        (200..=299, _) => {
            bail!("expected what became of each update, but found another answer ({status}): is this the edge?")
        }
        (300..=399, _) => bail!("expected the edge itself, but found a redirect ({status}): is the URL right?"),
        (404, _) => bail!("404: expected an edge that takes sessions, but found none there{said}"),
        _ => bail!("expected the edge to take the batch, but it answered {status}{said}"),
    }
}

/// Every item's end, in order.
fn ends(results: Vec<Item>, items: usize) -> anyhow::Result<Vec<End>> {
    let mut ends: Vec<Option<End>> = vec![None; items];
    for item in results {
        let end = match item.status.as_str() {
            "stored" => End::Stored,
            "unchanged" => End::Unchanged,
            "refused" => End::Refused(item.reason),
            "retry" => End::Retry,
            other => bail!("expected stored, unchanged, refused or retry for an update, but found '{other}'"),
        };
        let place = ends.get_mut(item.index).context("expected results for the updates sent, but found more")?;
        *place = Some(end);
    }
    ends.into_iter().collect::<Option<_>>().context("expected a result for every update, but found fewer")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16, body: &str, items: usize) -> anyhow::Result<Reply> {
        read(Answer { status, retry_after: None, body: body.as_bytes().to_vec() }, items)
    }

    #[test]
    fn only_a_result_for_every_update_counts_as_taken() {
        let two = r#"{"results":[{"index":1,"status":"unchanged"},{"index":0,"status":"stored"}]}"#;
        let Ok(Reply::Ends { ends, again: None }) = reply(200, two, 2) else { panic!("two ends") };
        assert_eq!(ends, [End::Stored, End::Unchanged]);
        for (status, body, items) in [
            (200, two, 1),
            (200, two, 3),
            (200, "<html>Welcome</html>", 2),
            (200, r#"{"results":[{"index":0,"status":"eaten"}]}"#, 1),
            (204, "", 1),
            (301, "", 1),
            (400, "", 1),
            (401, r#"{"reason":"no secret made the signature"}"#, 1),
            (404, "", 1),
            (415, "", 1),
            (422, r#"{"reason":"expected UTF-8"}"#, 1),
        ] {
            assert!(reply(status, body, items).is_err(), "{status} {body} for {items}");
        }
    }

    #[test]
    fn what_may_work_later_is_told_from_what_never_will() {
        let broken_off = r#"{"error":"replication-broken-off","reason":"the body broke off; send it again"}"#;
        assert!(matches!(reply(400, broken_off, 1), Ok(Reply::Later(..))));
        for status in [408, 425, 429, 500, 502, 503, 504] {
            assert!(matches!(reply(status, "", 1), Ok(Reply::Later(..))), "{status}");
        }
        assert!(matches!(reply(413, r#"{"reason":"smaller"}"#, 1), Ok(Reply::TooLarge(reason)) if reason == "smaller"));
        let some = r#"{"results":[{"index":0,"status":"stored"},{"index":1,"status":"retry","reason":"x"}]}"#;
        assert!(matches!(reply(429, some, 2), Ok(Reply::Ends { again: Some(_), .. })));
    }

    #[test]
    fn the_url_is_a_sites() {
        let secret = Secret::default();
        for to in [
            "www.example.com",
            "ftp://example.com",
            "https://example.com/shop",
            "https://example.com/?a",
            "",
            "https://",
        ] {
            let error = format!("{:#}", To { to: to.to_owned(), secret: secret.clone() }.open().err().unwrap());
            assert!(error.contains("--to: expected"), "{to}: {error}");
        }
    }
}
