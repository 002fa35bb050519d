//! `personalizer explain`: why a visitor gets what they get.

mod describe;
mod text;
mod trace;

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::Args;
use edge_personalizer::explain::explain;
use edge_personalizer::rules::RuleSet;

use crate::diff::side::{Reader, Side};
use crate::folder::Folder;
use crate::folder::payload::PayloadOptions;
use crate::output::{self, Format, Outcome};
use crate::replay::line::Logged;
use crate::report::members::Layout;
use crate::target::{Address, Api};

/// Describe a visitor and a request, and see every step of the decision with its reason.
///
/// The edge decides by the same steps. What only the platform knows (where an address is, what a User-Agent is) must be given.
#[derive(Debug, Args)]
#[command(
    after_long_help = "Examples:\n  personalizer explain --country US --subdivision CA https://www.example.com/api/products/all\n  personalizer explain rules --address 127.0.0.14 https://www.example.com/api/products/all\n  personalizer explain --country FR --header 'Accept-Language: fr' --at 2026-11-27T08:00:00Z https://www.example.com/search/tea --format json\n  personalizer explain --revision @canary --on fastly:STORE_ID --country FR https://www.example.com/\n  personalizer explain --trace-request line.json --on fastly:STORE_ID\n\nWithout a folder the rules are those of ./rules. A log line is explained by the revision that it names, where --on says in which store, and\nby a folder where one is named. An address is looked up in the geolocation of fastly.toml.\n\nExit codes: 0 explained, 1 a log line says something else, 2 the command could not run."
)]
pub struct Options {
    /// The folder of rules, and the URL: one word is the URL, two are both.
    #[arg(value_name = "[DIR] URL", num_args = 0..=2)]
    words: Vec<String>,
    /// A revision of --on in place of a folder: r42, or @active, @previous, @canary, @shadow, @bare.
    #[arg(long, value_name = "REVISION")]
    revision: Option<String>,
    /// The store of revisions: file:PATH or fastly:STORE_ID.
    #[arg(long, visible_alias = "target", value_name = "TARGET", env = "PERSONALIZER_TARGET")]
    on: Option<Address>,
    #[command(flatten)]
    api: Api,
    #[command(flatten)]
    visitor: describe::Visitor,
    #[command(flatten)]
    payload: PayloadOptions,
    /// How the result is written.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Explains.
pub fn run(options: &Options) -> anyhow::Result<Outcome> {
    let (folder, url) = match (options.words.as_slice(), &options.visitor.trace_request) {
        ([], Some(_)) => ("rules", None),
        ([url], Some(_)) if url.contains("://") => {
            bail!("expected a folder beside --trace-request, but found the URL {url}: the line has its own path")
        }
        ([one], Some(_)) => (one.as_str(), None),
        ([url], None) => ("rules", Some(url.as_str())),
        ([folder, url], None) => (folder.as_str(), Some(url.as_str())),
        _ => bail!("expected a URL (or --trace-request FILE), but found {}", options.words.join(" ")),
    };
    if options.revision.is_some() && options.words.len() > usize::from(url.is_some()) {
        bail!("expected a folder or --revision, but found both");
    }
    // Read once: it may be standard input.
    let line = match options.visitor.trace_request.as_deref() {
        Some(file) => Some((file, describe::line_text(file)?)),
        None => None,
    };
    let line = line.as_ref().map(|(file, json)| (*file, json.as_str()));
    if let Some(line) = line.filter(|_| !options.visitor.says_more()) {
        return trace::run(options, options.words.first().map(String::as_str), line);
    }
    let folder = PathBuf::from(folder);
    let noted = |side: Side| {
        side.notes.iter().for_each(|note| output::note(note));
        side.rules
    };
    let rules = match (&options.revision, line, &options.on) {
        (Some(revision), ..) => {
            let mut sides = Reader::new(options.on.as_ref(), &options.api, &options.payload);
            noted(sides.read(revision).context("--revision")?)
        }
        (None, Some((file, json)), Some(_)) if options.words.is_empty() => {
            let logged =
                Logged::read(json.as_bytes(), &mut Layout::default()).with_context(|| file.display().to_string())?;
            noted(trace::rules(options, None, &logged)?)
        }
        _ => {
            let dictionaries = Folder::read(&folder, &options.payload)?;
            dictionaries.parsed()?;
            compile(&dictionaries)
        }
    };
    let described = options.visitor.describe(url, &folder, line)?;
    let logged = described.logged.clone();
    let explanation = explain(&rules, None, described.described);
    let differences = logged.map(|line| text::differences(&line, &explanation)).unwrap_or_default();
    match options.format {
        Format::Text => anstream::println!("{}", text::render(&explanation).trim_end()),
        Format::Json => output::write(Format::Json, &explanation, String::new)?,
    }
    for difference in &differences {
        output::note(difference);
    }
    Ok(if differences.is_empty() { Outcome::Well } else { Outcome::Faults })
}

/// The rules, as the edge would compile them. Faults belong to `check`.
pub(crate) fn compile(folder: &Folder) -> RuleSet {
    let (rules, faults) = folder.compile(&serde_json::Map::new());
    if !faults.is_empty() {
        output::note(&format!("the rules have {} faults: `personalizer check` names them", faults.len()));
    }
    rules
}

/// A time, or what is wrong with it.
pub fn moment(text: &str) -> anyhow::Result<time::OffsetDateTime> {
    time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339)
        .map(|moment| moment.to_offset(time::UtcOffset::UTC))
        .with_context(|| format!("expected a time as 2026-11-27T00:00:00Z (RFC 3339), but found '{text}'"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at a surprise")]
mod tests;
