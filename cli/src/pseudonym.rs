//! `personalizer pseudonym`: a column of ids becomes a column of units, as the log lines name them.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::Args;
use edge_personalizer::context::identity::{UserId, pseudonym};
use edge_personalizer::context::visitor::VisitorId;
use edge_personalizer::mac::MacKey;
use edge_personalizer::session::Subject;

use crate::files;
use crate::output::{self, Outcome};
use crate::privacy::names::one_secret;

/// Turn a column of ids into the units that log lines name: for orders that the edge doesn't see.
///
/// Reads CSV and writes it again: the ids are taken out, and the columns unit_type and unit_id come in their place. The key is the one of the
/// secret identity that the edge had when the lines were written. It comes from --identity-file, or from the environment variable
/// PERSONALIZER_IDENTITY_SECRET.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  personalizer pseudonym orders.csv --column customer_id --identity-file identity.json --out units.csv
  personalizer report logs --orders units.csv --metric order:rate
  cut -d, -f1 ids.csv | personalizer pseudonym - --unit-type visitorId --identity-file identity.json

Exit codes: 0 every id has its unit, 1 some rows have none (their unit_id is empty), 2 the command could not run.")]
pub struct Options {
    /// The file; - is standard input.
    #[arg(value_name = "FILE.csv")]
    file: PathBuf,
    /// The column of ids, by its name in the first row, or by its number from 1. Without it, the first column.
    #[arg(long, value_name = "NAME|NUMBER", default_value = "1")]
    column: String,
    /// The first row holds an id, not names.
    #[arg(long)]
    no_header: bool,
    /// The attribute that experiments hash: id, userId, visitorId, or one of your own.
    #[arg(long, value_name = "ATTRIBUTE", default_value = "id")]
    unit_type: String,
    /// A file with the secret identity, as the secret store has it.
    #[arg(long, value_name = "FILE")]
    identity_file: Option<PathBuf>,
    /// Where the rows go; - is standard output.
    #[arg(long, value_name = "FILE|-", default_value = "-")]
    out: PathBuf,
}

/// Reads rows, writes rows.
pub fn run(options: &Options) -> anyhow::Result<Outcome> {
    let (place, keys) = one_secret(options.identity_file.as_deref())?;
    let Some(key) = keys.log_key() else {
        bail!("{place}: expected a key for pseudonyms (`log`, or an HMAC key), but found none");
    };
    let from: Box<dyn Read> = if options.file.as_os_str() == "-" {
        Box::new(io::stdin().lock())
    } else {
        let path = options.file.display();
        Box::new(File::open(&options.file).with_context(|| format!("{path}: can't be read"))?)
    };
    let without = if options.out.as_os_str() == "-" {
        convert(options, key, from, io::stdout().lock())?
    } else {
        // Whole or not at all: it may be the very file that is read.
        files::replace_with(&options.out, |to| convert(options, key, from, to))?
    };
    if without > 0 {
        output::note(&format!(
            "{without} rows have no id that the edge would take as {}: their unit_id is empty",
            options.unit_type
        ));
    }
    Ok(if without > 0 { Outcome::Faults } else { Outcome::Well })
}

/// Gives the number of rows without a unit.
fn convert(options: &Options, key: &MacKey, from: impl Read, to: impl Write) -> anyhow::Result<u64> {
    let place = options.file.display();
    let mut reader = csv::ReaderBuilder::new().has_headers(!options.no_header).flexible(true).from_reader(from);
    let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(to);
    let head = if options.no_header {
        None
    } else {
        Some(reader.headers().with_context(|| format!("{place}: expected CSV"))?.clone())
    };
    if let Some(head) = &head {
        if head.is_empty() {
            bail!("{place}: expected a row of names and rows of ids, but found an empty file");
        }
        without_separator(head).with_context(|| place.to_string())?;
        if let Some(name) = head.get(0).filter(|name| head.len() == 1 && name.contains([';', '\t', '|'])) {
            bail!("{place}: expected columns separated by commas, but found '{name}'");
        }
    }
    let at = column(&options.column, head.as_ref())?;
    if let Some(head) = &head {
        let others = head.iter().enumerate().filter(|(index, _)| *index != at).map(|(_, name)| name);
        if let Some(known) = others.clone().find(|name| ["unit_type", "unit_id"].contains(name)) {
            bail!(
                "{place}: expected a file without the column {known}, but found it: has it been through here already?"
            );
        }
        writer.write_record(["unit_type", "unit_id"].into_iter().chain(others))?;
    }
    let (mut without, mut row) = (0, csv::StringRecord::new());
    let mut number = u64::from(head.is_some());
    while reader.read_record(&mut row).with_context(|| format!("{place}: expected CSV in UTF-8"))? {
        number += 1;
        if number == 1 {
            without_separator(&row).with_context(|| place.to_string())?;
        }
        // Ids may hold a bar (auth0|5f7c): it is no separator in a row.
        if let Some(separator) = row.get(0).filter(|_| row.len() == 1).and_then(|cell| cell.matches([';', '\t']).next())
        {
            bail!(
                "{place}: row {number}: expected columns separated by commas, but found one column that holds {separator:?}"
            );
        }
        let unit = row.get(at).and_then(|id| canonical(&options.unit_type, id.trim()));
        let unit = unit.map(|id| pseudonym(key, &options.unit_type, &id));
        without += u64::from(unit.is_none());
        let others = row.iter().enumerate().filter(|(index, _)| *index != at).map(|(_, cell)| cell);
        writer.write_record(
            [options.unit_type.as_str(), unit.as_deref().unwrap_or_default()].into_iter().chain(others),
        )?;
    }
    writer.flush()?;
    Ok(without)
}

/// A spreadsheet's first line that names its separator is no row.
fn without_separator(row: &csv::StringRecord) -> anyhow::Result<()> {
    let first = row.get(0).unwrap_or_default();
    if first.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("sep=")) {
        bail!("expected the names or the first id, but found a line '{first}…' of a spreadsheet: take it out");
    }
    Ok(())
}

/// The column's index.
fn column(name: &str, head: Option<&csv::StringRecord>) -> anyhow::Result<usize> {
    let mut named = head.into_iter().flatten().enumerate().filter(|(_, found)| found.trim() == name).map(|(at, _)| at);
    match (named.next(), named.next()) {
        (Some(found), None) => return Ok(found),
        (Some(first), Some(second)) => bail!(
            "--column: expected one column '{name}', but found two: name it by its number ({} or {}), and take the other one out, or its ids stay",
            first + 1,
            second + 1
        ),
        (None, _) => {}
    }
    match (name.parse::<usize>(), head) {
        (Ok(number), None) if number > 0 => Ok(number - 1),
        (Ok(number), Some(head)) if (1..=head.len()).contains(&number) => Ok(number - 1),
        (_, Some(head)) => {
            bail!("--column: expected one of {}, but found '{name}'", head.iter().collect::<Vec<_>>().join(", "))
        }
        (_, None) => bail!("--column: expected a number from 1, for --no-header leaves no names, but found '{name}'"),
    }
}

/// The id as the edge knows it; `None` for one that it would not take.
fn canonical(unit_type: &str, id: &str) -> Option<String> {
    match unit_type {
        "visitorId" => VisitorId::parse(id).map(|visitor| Subject::Visitor(visitor).id()),
        // A visitor's id has the characters of a user's.
        "id" | "userId" => UserId::parse(id).map(|user| Subject::User(user).id()),
        _ => (!id.is_empty()).then(|| id.to_owned()),
    }
}
