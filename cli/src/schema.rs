//! `personalizer schema`: JSON Schema of every dictionary, so that editors complete and mark; of every log line, so that loaders check; and of
//! what `report` and `replay` write.

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use edge_personalizer::record::fields;
use edge_personalizer::rules::schema;
use serde_json::{Map, Value};

use crate::output::{self, Format, Outcome};
use crate::replay::model::Replay;
use crate::report::model::Report;

/// Write the JSON Schema of every dictionary, of every log line, and of what `report` and `replay` write with `--format json`.
///
/// Name a schema in a file of rules by "$schema": "schema/routes.json", and an editor completes its keys.
#[derive(Debug, Args)]
#[command(
    after_long_help = "Examples:\n  personalizer schema\n  personalizer schema --to rules/schema\n  personalizer schema --to rules/schema --check"
)]
pub struct Options {
    /// Write each to a file of this folder, instead of all to standard output.
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
    /// Write nothing; exit with 1 where a file isn't current.
    #[arg(long, requires = "to")]
    check: bool,
}

/// Writes, or compares.
pub fn run(options: &Options) -> anyhow::Result<Outcome> {
    let rules = schema::schemas().into_iter().map(|(name, schema)| (name.to_owned(), schema));
    let report = ("report".to_owned(), serde_json::to_value(schemars::schema_for!(Report))?);
    let replay = ("replay".to_owned(), serde_json::to_value(schemars::schema_for!(Replay))?);
    let schemas: Vec<(String, Value)> = rules.chain(fields::schemas()).chain([report, replay]).collect();
    let Some(folder) = &options.to else {
        let all: Map<String, Value> = schemas.into_iter().collect();
        output::write(Format::Json, &all, String::new)?;
        return Ok(Outcome::Well);
    };
    let mut stale = Vec::new();
    if !options.check {
        fs::create_dir_all(folder).with_context(|| format!("{}: can't make the folder", folder.display()))?;
    }
    for (name, schema) in schemas {
        let file = folder.join(format!("{name}.json"));
        let text = format!("{}\n", serde_json::to_string_pretty(&schema)?);
        if fs::read_to_string(&file).is_ok_and(|found| found == text) {
            continue;
        }
        if options.check {
            stale.push(file);
        } else {
            fs::write(&file, text).with_context(|| format!("{}: can't write it", file.display()))?;
        }
    }
    for file in &stale {
        anstream::println!("{}: expected the schema of this version, but found another, or none", file.display());
    }
    Ok(if stale.is_empty() { Outcome::Well } else { Outcome::Faults })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_schemas_are_current() {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../rules/schema");
        let outcome = run(&Options { to: Some(folder), check: true }).unwrap();
        assert_eq!(outcome, Outcome::Well, "`personalizer schema --to rules/schema` writes them");
    }
}
