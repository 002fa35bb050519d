//! `personalizer sessions sign`: the headers for a body, for programs in other languages, and to compare with theirs.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::{Map, Value};

use super::signing::{self, Secret};
use crate::output::{self, Format, Outcome};

/// Bytes of a message's id that the edge takes.
const LONGEST_ID: usize = 256;

/// Print the headers with which an edge takes a body, for another program to send.
///
/// The body has to be sent byte for byte as it was signed, within five minutes.
#[derive(Debug, Args)]
#[command(after_long_help = "Example:
  personalizer sessions sign batch.ndjson >headers
  curl https://www.example.com/.edge/sessions -H content-type:application/x-ndjson -H @headers --data-binary @batch.ndjson")]
pub struct Options {
    /// The file with the body; - is standard input.
    #[arg(value_name = "FILE|-")]
    file: PathBuf,
    #[command(flatten)]
    secret: Secret,
    /// The message's id; a new one by itself.
    #[arg(long, value_name = "ID", value_parser = id)]
    id: Option<String>,
    /// When it is sent, in seconds since 1970; now by itself.
    #[arg(long, value_name = "SECONDS")]
    timestamp: Option<u64>,
    /// How the result is written.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Prints the headers.
pub fn run(options: &Options) -> anyhow::Result<Outcome> {
    let signer = options.secret.read()?;
    let body = read(&options.file)?;
    let id = options.id.clone().unwrap_or_else(signing::message_id);
    let timestamp = match options.timestamp {
        Some(timestamp) => timestamp,
        None => signing::now()?,
    };
    let headers = signer.headers(&id, timestamp, &body);
    let object: Map<String, Value> =
        headers.iter().map(|(name, value)| ((*name).to_owned(), Value::from(value.as_str()))).collect();
    output::write(options.format, &object, || {
        headers.iter().map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>().join("\n")
    })?;
    Ok(Outcome::Well)
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    if path == Path::new("-") {
        let mut body = Vec::new();
        std::io::stdin().read_to_end(&mut body).context("-: can't be read")?;
        return Ok(body);
    }
    fs::read(path).with_context(|| format!("{}: can't be read", path.display()))
}

fn id(text: &str) -> anyhow::Result<String> {
    // A dot would let the same signed bytes be cut into another id, time and body.
    let sound =
        (1..=LONGEST_ID).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'.');
    if !sound {
        bail!("expected 1 to {LONGEST_ID} visible characters without a dot, but found '{text}'");
    }
    Ok(text.to_owned())
}
