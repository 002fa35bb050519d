//! `personalizer purge`: shared answers out of Fastly's cache, by the names that the edge gave them.

mod names;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::Args;
use serde::Serialize;
use serde_json::json;
use ureq::http::Method;

use crate::api::{self, Client};
use crate::output::{self, Format, Outcome, note, progress};
use names::Names;

/// Keys a call (Fastly API, "Purge multiple surrogate key tags").
const BATCH: usize = 256;
/// What the token must be allowed.
const MAY: &str = "purge this service (it needs the scope 'purge_select')";

/// Print, or send, the surrogate keys of a variant, a region, a feature, an experiment, a route or a revision.
///
/// Several of them are purged together, each wholly: an answer goes if it has any of the keys. Names are looked up in the rules, for
/// a key that no answer has is purged without an effect and without an error.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  personalizer purge --variant region=APAC
  personalizer purge --feature hero --service SERVICE_ID --send
  personalizer purge --route products --revision r42 --soft --service SERVICE_ID --send

A variant is DIMENSION=VALUE: region, country, language, device-type, network, or the key of a feature or an experiment. A feature or
an experiment alone stands for all its values.

The API token comes from the environment variable FASTLY_API_TOKEN; the scope 'purge_select' is enough.")]
pub struct Options {
    /// One variant: region=APAC, device-type=mobile, hero=1; may be repeated, as those below.
    #[arg(long = "variant", value_name = "DIMENSION=VALUE")]
    variants: Vec<String>,
    /// Every answer for a region.
    #[arg(long = "region", value_name = "ID")]
    regions: Vec<String>,
    /// Every answer that a feature shaped, whatever its value.
    #[arg(long = "feature", value_name = "KEY")]
    features: Vec<String>,
    /// Every answer that an experiment shaped, whatever the variation.
    #[arg(long = "experiment", value_name = "KEY")]
    experiments: Vec<String>,
    /// Every answer of a route.
    #[arg(long = "route", value_name = "ID")]
    routes: Vec<String>,
    /// Every answer made by a revision of the rules.
    #[arg(long = "revision", value_name = "REVISION")]
    revisions: Vec<String>,
    /// The folder of rules in which names are looked up.
    #[arg(long, value_name = "DIR", default_value = "rules")]
    rules: PathBuf,
    /// Take names that the rules don't have: those of rules that served before.
    #[arg(long)]
    force: bool,
    /// Send it; without this, the keys are only printed.
    #[arg(long, requires = "service")]
    send: bool,
    /// The service's id.
    #[arg(long, value_name = "SERVICE_ID", env = "FASTLY_SERVICE_ID")]
    service: Option<String>,
    /// Mark answers as stale, so that they still serve while fresh ones are fetched, or while the origin fails.
    #[arg(long)]
    soft: bool,
    /// Where the API is.
    #[arg(long, value_name = "URL", default_value = api::BASE, hide = true)]
    api_base: String,
    /// How the result is written.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Debug, Serialize)]
struct Purged {
    surrogate_keys: BTreeSet<String>,
    soft: bool,
    sent: bool,
}

/// Names the keys, and sends them if asked to.
pub fn run(options: &Options) -> anyhow::Result<Outcome> {
    let surrogate_keys = keys(options)?;
    if options.send {
        let service = options.service.as_deref().unwrap_or_default();
        if service.is_empty() || !service.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            bail!("--service: expected a service's id, but found '{service}'");
        }
        let token = std::env::var("FASTLY_API_TOKEN").unwrap_or_default();
        send(&Client::new(&options.api_base, &token, MAY)?, service, &surrogate_keys, options.soft)?;
    }
    let purged = Purged { surrogate_keys, soft: options.soft, sent: options.send };
    output::write(options.format, &purged, || {
        let keys = purged.surrogate_keys.iter().map(String::as_str).collect::<Vec<_>>().join("\n");
        let done = match (purged.sent, purged.soft) {
            (true, true) => "\n\nSent: answers with one of these keys are stale.",
            (true, false) => "\n\nSent: answers with one of these keys are gone.",
            (false, _) => "",
        };
        keys + done
    })?;
    if !options.send && options.format == Format::Text {
        note("nothing was purged: --service SERVICE_ID --send does it");
    }
    Ok(Outcome::Well)
}

fn keys(options: &Options) -> anyhow::Result<BTreeSet<String>> {
    let names = Names::read(&options.rules, options.force)?;
    let mut keys = BTreeSet::new();
    for variant in &options.variants {
        let pair = variant.split_once('=').filter(|(dimension, value)| !dimension.is_empty() && !value.is_empty());
        let (dimension, value) =
            pair.with_context(|| format!("--variant: expected DIMENSION=VALUE, but found '{variant}'"))?;
        keys.extend(names.variant(dimension, value)?);
    }
    for id in &options.regions {
        keys.extend(names.region(id)?);
    }
    for key in &options.features {
        keys.extend(names.feature(key)?);
    }
    for key in &options.experiments {
        keys.extend(names.experiment(key)?);
    }
    for id in &options.routes {
        keys.insert(names.route(id)?);
    }
    for revision in &options.revisions {
        keys.insert(names.revision(revision)?);
    }
    if keys.is_empty() {
        bail!(
            "expected something to purge (--variant, --region, --feature, --experiment, --route or --revision), but found nothing"
        );
    }
    Ok(keys)
}

/// Sends the keys, as many at once as the API takes.
fn send(client: &Client, service: &str, keys: &BTreeSet<String>, soft: bool) -> anyhow::Result<()> {
    let keys: Vec<&String> = keys.iter().collect();
    let path = format!("/service/{service}/purge");
    let mut headers = vec![("Content-Type", "application/json")];
    if soft {
        headers.push(("Fastly-Soft-Purge", "1"));
    }
    let bar = progress("purging", keys.len());
    for batch in keys.chunks(BATCH) {
        let body = json!({ "surrogate_keys": batch }).to_string();
        if client.call(&Method::POST, &path, &headers, Some(body.as_bytes()))?.is_none() {
            bail!(
                "404: expected a service with id {service}, but found none that this token may see (`fastly service list` names them)"
            );
        }
        bar.inc(u64::try_from(batch.len()).unwrap_or_default());
    }
    bar.finish_and_clear();
    Ok(())
}
