//! `personalizer explain`: why a visitor gets what they get.

mod describe;
mod text;

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::Args;
use edge_personalizer::explain::explain;
use edge_personalizer::rules::RuleSet;

use crate::folder::Folder;
use crate::folder::payload::PayloadOptions;
use crate::output::{self, Format, Outcome};

/// Describe a visitor and a request, and see every step of the decision with its reason.
///
/// The edge decides by the same steps. What only the platform knows (where an address is, what a User-Agent is) must be given.
#[derive(Debug, Args)]
#[command(
    after_long_help = "Examples:\n  personalizer explain --country US --subdivision CA https://www.example.com/api/products/all\n  personalizer explain rules --address 127.0.0.14 https://www.example.com/api/products/all\n  personalizer explain --country FR --header 'Accept-Language: fr' --at 2026-11-27T08:00:00Z https://www.example.com/search/tea --format json\n  personalizer explain --trace-request line.json\n\nWithout a folder the rules are those of ./rules. An address is looked up in the geolocation of fastly.toml."
)]
pub struct Options {
    /// The folder of rules, and the URL: one word is the URL, two are both.
    #[arg(value_name = "[DIR] URL", num_args = 0..=2)]
    words: Vec<String>,
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
        ([one], Some(_)) => (one.as_str(), None),
        ([url], None) => ("rules", Some(url.as_str())),
        ([folder, url], None) => (folder.as_str(), Some(url.as_str())),
        _ => bail!("expected a URL (or --trace-request FILE), but found {}", options.words.join(" ")),
    };
    let folder = PathBuf::from(folder);
    let dictionaries = Folder::read(&folder, &options.payload)?;
    dictionaries.parsed()?;
    let rules = compile(&dictionaries);
    let described = options.visitor.describe(url, &folder)?;
    let logged = described.logged.clone();
    if described.session.is_some() {
        output::note("--session: the record can be read, but this version does not use it yet");
    }
    let explanation = explain(&rules, described.described);
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
        .with_context(|| format!("expected a time as 2026-11-27T00:00:00Z (RFC 3339), but found '{text}'"))
}
