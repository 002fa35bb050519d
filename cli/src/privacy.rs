//! `personalizer privacy`: what is stored of one person, for who asks for it, and how to get rid of it.

pub(crate) mod names;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};
use ureq::http::Method;

use crate::api;
use crate::output::{self, Format, Outcome};
use crate::sessions::{Whose, describe, store_id};
use crate::target::fastly::kv_path;
use names::{LogKeys, Pseudonym};

/// What the token must be allowed.
const MAY: &str = "read and change this store";

/// Show or erase what is stored of one person: session records, and the names that log lines know them by.
#[derive(Debug, Args)]
pub struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Export(Export),
    Erase(Erase),
}

/// Show the session records of one person, and their pseudonyms in the log.
///
/// What it prints is personal data. A record is read by Fastly's API; the token comes from the environment variable FASTLY_API_TOKEN.
/// The local server's store can't be read from outside.
#[derive(Debug, Args)]
#[command(
    after_long_help = "Exit codes: 0 here is all there is, 1 there is a record that can't be read (it is shown as it is), 2 it could not run."
)]
struct Export {
    #[command(flatten)]
    person: Person,
}

/// Erase the session records of one person, and say which log lines are theirs.
///
/// Without --yes nothing is changed: it shows what would be. Log lines are in your warehouse: delete those with the unit_id that are
/// printed. A record comes back if the central backend streams it again, or is asked for it: have it forget the person first.
#[derive(Debug, Args)]
#[command(
    after_long_help = "Exit codes: 0 no record is left (or no --kv-store was named to look in), 1 there is one, and without --yes it stays, 2 it could not run (run it again: erasing twice does no harm)."
)]
struct Erase {
    #[command(flatten)]
    person: Person,
    /// Erase. Without it nothing is changed.
    #[arg(long)]
    yes: bool,
}

/// Who, and where to look.
#[derive(Debug, Args)]
struct Person {
    /// All ids of one person: a user's, and the visitor ids of the browsers that are known.
    #[arg(value_name = "USER|visitor/ID", required = true)]
    whose: Vec<Whose>,
    /// The KV store `sessions`, by its id (`fastly kv-store list` names it). Without it, pseudonyms alone are shown.
    #[arg(long, value_name = "STORE_ID", env = "PERSONALIZER_SESSIONS_STORE", value_parser = store_id)]
    kv_store: Option<String>,
    #[command(flatten)]
    keys: LogKeys,
    /// Where the API is.
    #[arg(long, value_name = "URL", default_value = api::BASE, hide = true)]
    api_base: String,
    /// How the result is written.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// A record as it was found.
struct Found {
    result: Map<String, Value>,
    summary: String,
    /// Whether the store holds anything at this key.
    is_there: bool,
    is_broken: bool,
}

/// Runs what was asked for.
pub fn run(options: &Options) -> anyhow::Result<Outcome> {
    match &options.command {
        Command::Export(options) => options.run(),
        Command::Erase(options) => options.run(),
    }
}

impl Export {
    fn run(&self) -> anyhow::Result<Outcome> {
        let names = self.person.names()?;
        let found = self.person.look()?;
        let broken = found.iter().any(|found| found.is_broken);
        self.person.write(&found, &names, |found| match found.result.get("record") {
            None | Some(Value::Null) => found.summary.clone(),
            Some(record) => format!("{}\n{record:#}", found.summary),
        })?;
        Ok(if broken { Outcome::Faults } else { Outcome::Well })
    }
}

impl Erase {
    fn run(&self) -> anyhow::Result<Outcome> {
        if self.yes && self.person.kv_store.is_none() {
            bail!("--yes: expected --kv-store, the store to erase from, but found none: nothing was erased");
        }
        let names = self.person.names()?;
        let mut found = self.person.look()?;
        for (whose, found) in self.person.whose.iter().zip(&mut found) {
            let erased = self.yes && found.is_there;
            if erased {
                self.person.delete(&whose.0.kv_key())?;
            }
            // Who erases has no use for what was in it.
            found.result.remove("record");
            found.result.remove("raw");
            found.result.insert("erased".to_owned(), erased.into());
            let end = match (erased, found.is_there) {
                (true, _) => "erased",
                (false, true) => "still there: --yes erases it",
                (false, false) => "nothing to erase",
            };
            found.summary = format!("{}; {end}", found.summary);
        }
        self.person.write(&found, &names, |found| found.summary.clone())?;
        let left = !self.yes && found.iter().any(|found| found.is_there);
        Ok(if left { Outcome::Faults } else { Outcome::Well })
    }
}

impl Person {
    /// The pseudonyms of every id under every key.
    fn names(&self) -> anyhow::Result<Vec<Pseudonym>> {
        self.keys.pseudonyms(self.whose.iter().map(|whose| &whose.0))
    }

    fn api(&self) -> anyhow::Result<api::Client> {
        api::Client::new(&self.api_base, &std::env::var("FASTLY_API_TOKEN").unwrap_or_default(), MAY)
    }

    /// What the store holds of each id.
    fn look(&self) -> anyhow::Result<Vec<Found>> {
        let Some(store) = &self.kv_store else {
            output::note("expected --kv-store to look for session records, but found none: pseudonyms alone");
            return Ok(Vec::new());
        };
        let api = self.api()?;
        // A key of a store that isn't there is no key either: nobody is told that nothing is stored because of a typing mistake.
        if api.call(&Method::GET, &format!("/resources/stores/kv/{store}"), &[], None)?.is_none() {
            bail!("--kv-store: expected the id of a KV store, but found none of the id '{store}'");
        }
        let mut found = Vec::with_capacity(self.whose.len());
        for whose in &self.whose {
            let key = whose.0.kv_key();
            let bytes = api.call(&Method::GET, &kv_path(store, &key), &[], None)?;
            let (result, summary, _) = describe(&key, bytes.as_deref());
            let mut result = match result {
                Value::Object(result) => result,
                _ => Map::new(),
            };
            let is_broken = result.get("state").is_some_and(|state| state == "broken");
            if let Some(bytes) = bytes.as_deref().filter(|_| is_broken) {
                result.insert("raw".to_owned(), String::from_utf8_lossy(bytes).into());
            }
            found.push(Found { result, summary, is_there: bytes.is_some(), is_broken });
        }
        Ok(found)
    }

    fn delete(&self, key: &str) -> anyhow::Result<()> {
        let Some(store) = &self.kv_store else { return Ok(()) };
        // Gone already is gone.
        self.api()?
            .call(&Method::DELETE, &kv_path(store, key), &[], None)
            .with_context(|| format!("{key}: not erased"))?;
        Ok(())
    }

    fn write(&self, found: &[Found], names: &[Pseudonym], text: impl Fn(&Found) -> String) -> anyhow::Result<()> {
        let records: Vec<&Map<String, Value>> = found.iter().map(|found| &found.result).collect();
        let result = json!({ "looked": self.kv_store.is_some(), "records": records, "pseudonyms": names });
        output::write(self.format, &result, || {
            let mut lines: Vec<String> = found.iter().map(text).collect();
            lines.extend(names::text(names));
            lines.join("\n")
        })
    }
}
