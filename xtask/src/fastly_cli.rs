//! Fastly's own CLI on our `fastly.toml`: it builds, validates and serves the service, and leaves the file as it was.

use crate::test::Outcome;

/// Runs the check.
pub fn check() -> anyhow::Result<Outcome> {
    Ok(Outcome::Skipped("not written yet".to_owned()))
}
