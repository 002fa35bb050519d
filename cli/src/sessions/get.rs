//! `personalizer sessions get`: what the KV store holds of one session. The edge itself shows no records to anybody, so this goes by
//! Fastly's API.

use clap::Args;
use edge_personalizer::session::RecordLimits;
use edge_personalizer::session::stored::{Broken, Stored};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use ureq::http::Method;

use super::subject::Whose;
use crate::api;
use crate::output::{self, Format, Outcome};
use crate::target::fastly::kv_path;

/// Whatever the settings allow: they are not known here.
const WIDEST: RecordLimits = RecordLimits {
    recent_views: usize::MAX,
    cart: usize::MAX,
    affinity: usize::MAX,
    segments: usize::MAX,
    attributes: usize::MAX,
    name_bytes: usize::MAX,
    value_bytes: usize::MAX,
};

/// What the token must be allowed.
const MAY: &str = "read this store";

/// Show one session as the KV store holds it.
///
/// It is read by Fastly's API; the token comes from the environment variable FASTLY_API_TOKEN, and what it prints is personal data.
/// A data centre may still have an older record for a while. The local server's store can't be read from outside.
#[derive(Debug, Args)]
#[command(
    after_long_help = "Exit codes: 0 here it is, 1 there is none, or one that can't be read, 2 it could not run."
)]
pub struct Options {
    /// Whose session.
    #[arg(value_name = "USER|visitor/ID")]
    whose: Whose,
    /// The KV store `sessions`, by its id (`fastly kv-store list` names it).
    #[arg(long, value_name = "STORE_ID", env = "PERSONALIZER_SESSIONS_STORE", value_parser = store_id)]
    kv_store: String,
    /// Where the API is.
    #[arg(long, value_name = "URL", default_value = "https://api.fastly.com", hide = true)]
    api_base: String,
    /// How the result is written.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Shows the session.
pub fn run(options: &Options) -> anyhow::Result<Outcome> {
    let api = api::Client::new(&options.api_base, &std::env::var("FASTLY_API_TOKEN").unwrap_or_default(), MAY)?;
    let key = options.whose.0.kv_key();
    let bytes = api.call(&Method::GET, &kv_path(&options.kv_store, &key), &[], None)?;
    let (result, summary, outcome) = describe(&key, bytes.as_deref());
    output::write(options.format, &result, || match result.get("record") {
        None | Some(Value::Null) => summary,
        Some(record) => format!("{summary}\n{record:#}"),
    })?;
    Ok(outcome)
}

/// What the bytes of a KV value are: for machines, in a line, and whether there is a session.
pub fn describe(key: &str, bytes: Option<&[u8]>) -> (Value, String, Outcome) {
    let none = |state: &str, summary: String| {
        (json!({ "key": key, "state": state, "record": null }), summary, Outcome::Faults)
    };
    let Some(bytes) = bytes else {
        return none("none", format!("{key}: there is no record (or no such store)"));
    };
    let stored = match Stored::parse(bytes, &WIDEST) {
        Ok(stored) => stored,
        Err(broken) => return none("broken", format!("{key}: the edge takes this for no record: {}", reason(broken))),
    };
    let record: Value = serde_json::from_slice(bytes).unwrap_or_default();
    let known = time(stored.known_at());
    let (state, summary) = if stored.is_blank() {
        ("blank", format!("{key}: the central backend said at {known} that there is no session"))
    } else if stored.is_tombstone() {
        ("deleted", format!("{key}: deleted at {known}"))
    } else {
        ("session", format!("{key}: as of {known}, {} bytes", bytes.len()))
    };
    (json!({ "key": key, "state": state, "known_at": known, "record": record }), summary, Outcome::Well)
}

fn reason(broken: Broken) -> &'static str {
    match broken {
        Broken::TooLarge => "expected no more bytes than the limits allow, but found more",
        Broken::NotJson => "expected a JSON object, but found something else",
        Broken::NoTime => "expected an updated_at, but found none",
    }
}

fn time(ms: i64) -> String {
    let time =
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    time.format(&Rfc3339).unwrap_or_default()
}

/// A KV store's id on the command line.
///
/// # Errors
///
/// The text is none.
pub fn store_id(text: &str) -> Result<String, String> {
    let sound = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if sound { Ok(text.to_owned()) } else { Err(format!("expected a store's id, but found '{text}'")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_a_deleted_one_and_a_broken_one_are_told_apart() {
        let state = |bytes: Option<&[u8]>| {
            let (result, summary, outcome) = describe("user/alice", bytes);
            (result["state"].as_str().unwrap().to_owned(), summary, outcome)
        };
        let session = br#"{"v":1,"updated_at":1795780800000,"cart":[{"sku":"a","quantity":1}]}"#;
        let (name, summary, outcome) = state(Some(session));
        assert_eq!((name.as_str(), outcome), ("session", Outcome::Well));
        assert!(summary.contains("as of 2026-11-27T12:00:00Z"), "{summary}");
        let deleted = br#"{"v":1,"updated_at":5,"deleted":true,"sync":{"base":"5.2.e3b0c44298fc1c14"}}"#;
        assert_eq!(state(Some(deleted)).0, "deleted");
        let blank = br#"{"v":1,"updated_at":0,"checked_at":7,"sync":{"base":"0.0.0000000000000000"}}"#;
        assert_eq!(state(Some(blank)).0, "blank");
        for broken in [&b"{"[..], b"{}", b"[]"] {
            assert_eq!(state(Some(broken)).2, Outcome::Faults);
        }
        assert_eq!(state(None).0, "none");
    }
}
