//! Signatures of the Standard Webhooks specification, made by the code that the edge checks them with.

use std::fs;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::Args;
use edge_personalizer::replication::webhook::{ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER};
use edge_personalizer::replication::{WebhookSecret, sign};
use time::OffsetDateTime;

/// The environment variable with the secret: an argument would stay in the shell's history, and in the list of processes.
const VARIABLE: &str = "PERSONALIZER_REPLICATION_SECRET";

/// Where the secret comes from.
#[derive(Debug, Clone, Default, Args)]
pub struct Secret {
    /// The file with the secret (whsec_…); without it, the environment variable PERSONALIZER_REPLICATION_SECRET. Where there are
    /// several, with white space between them, every batch is signed with each: so they can be rotated on either side first.
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
}

impl Secret {
    /// Reads it.
    ///
    /// # Errors
    ///
    /// There is none, or none that can be used.
    pub fn read(&self) -> anyhow::Result<Signer> {
        let (place, text) = match &self.secret_file {
            Some(path) => {
                let place = path.display().to_string();
                let text = fs::read(path).with_context(|| format!("{place}: can't be read"))?;
                (place, text)
            }
            None => {
                let text = std::env::var_os(VARIABLE)
                    .with_context(|| format!("expected --secret-file or {VARIABLE}, but found neither"))?;
                (VARIABLE.to_owned(), text.into_encoded_bytes())
            }
        };
        let secrets = WebhookSecret::parse_all(&text);
        if secrets.is_empty() {
            bail!("{place}: expected a secret such as whsec_<base64 of at least 16 bytes>, but found none");
        }
        Ok(Signer { secrets })
    }
}

/// Signs batches.
#[derive(Debug)]
pub struct Signer {
    secrets: Vec<WebhookSecret>,
}

impl Signer {
    /// The three headers of a message. `timestamp` is in seconds since 1970: the edge takes it for five minutes.
    pub fn headers(&self, id: &str, timestamp: u64, body: &[u8]) -> [(&'static str, String); 3] {
        let signatures: Vec<String> = self.secrets.iter().map(|secret| sign(secret, id, timestamp, body)).collect();
        [
            (ID_HEADER, id.to_owned()),
            (TIMESTAMP_HEADER, timestamp.to_string()),
            (SIGNATURE_HEADER, signatures.join(" ")),
        ]
    }
}

/// A new message's id. It only has to be unique, and the standard library's seeds are random.
pub fn message_id() -> String {
    let random = || RandomState::new().build_hasher().finish();
    format!("msg_{:016x}{:016x}", random(), random())
}

/// Seconds since 1970.
pub fn now() -> anyhow::Result<u64> {
    u64::try_from(OffsetDateTime::now_utc().unix_timestamp()).context("this machine's clock is before 1970")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_specifications_example_comes_out_with_each_secret() {
        let other = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        let secrets = WebhookSecret::parse_all(format!("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD {other}").as_bytes());
        let body = br#"{"email":"test@example.com","username":"test_user"}"#;
        let headers = Signer { secrets }.headers("msg_27UH4WbU6Z5A5EzD8u03UvzRbpk", 1_649_367_553, body);
        let [_, _, (name, signatures)] = headers;
        assert_eq!(name, "webhook-signature");
        let (first, second) = signatures.split_once(' ').unwrap();
        assert_eq!(first, "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=");
        assert!(second.starts_with("v1,") && second != first);
    }

    #[test]
    fn no_two_messages_share_an_id() {
        let ids: std::collections::BTreeSet<String> = (0..1_000).map(|_| message_id()).collect();
        assert_eq!(ids.len(), 1_000);
        assert!(ids.iter().all(|id| id.len() == 36 && !id.contains('.')));
    }
}
