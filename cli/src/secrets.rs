//! `personalizer secrets`: makes the secrets that the service needs, for its secret store.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;

use crate::output::{self, Format, Outcome};

/// Bytes of each key: as many as SHA-256 gives out (RFC 2104, section 3; RFC 7518, section 3.2).
const KEY_BYTES: usize = 32;

/// Make the secrets that the service needs.
#[derive(Debug, Args)]
pub struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    New(New),
}

/// Make new secrets, each in a file of its own that nobody else can read, and say how they get into the secret store.
///
/// A file that exists is never overwritten. Nothing is sent anywhere.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  personalizer secrets new
  personalizer secrets new --only preview --folder next
  fastly secret-store-entry create --store-id STORE_ID --name preview --file secrets/preview")]
struct New {
    /// The folder that gets the files. Keep it out of version control.
    #[arg(long, value_name = "FOLDER", default_value = "secrets")]
    folder: PathBuf,
    /// Make this secret alone; may be given several times. Without it: identity, replication, preview, admin, inspect.
    #[arg(long, value_enum, value_name = "NAME")]
    only: Vec<Name>,
    /// How the result is written.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// A secret of the store, by its name there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Name {
    /// The key that proves a user id (HMAC).
    Identity,
    /// The key that signs the session feed (`whsec_…`).
    Replication,
    /// The key that signs preview links.
    Preview,
    /// The bearer token of /.edge/explain.
    Admin,
    /// The key that signs links to the inspector.
    Inspect,
    /// What servers show who ask for flags (docs/FLAGS.md).
    Ofrep,
    /// What the hop in front proves itself by (docs/FRONT.md).
    Front,
    /// The key by which the edge proves its requests to a shield (docs/FRONT.md).
    Shield,
}

/// Those that every site has a use for; the others go with a setting.
const USUAL: [Name; 5] = [Name::Identity, Name::Replication, Name::Preview, Name::Admin, Name::Inspect];

impl Name {
    fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// The secret's text, made of random bytes.
    fn text(self, key: &[u8]) -> String {
        match self {
            Self::Replication => format!("whsec_{}", STANDARD.encode(key)),
            _ => URL_SAFE_NO_PAD.encode(key),
        }
    }
}

/// A file that was made. It names no secret's value.
#[derive(Debug, Serialize)]
struct Made {
    name: String,
    file: PathBuf,
}

/// Runs what was asked for.
pub fn run(options: &Options) -> anyhow::Result<Outcome> {
    let Command::New(options) = &options.command;
    let names = if options.only.is_empty() { &USUAL[..] } else { &options.only };
    let places: Vec<(Name, PathBuf)> = names.iter().map(|name| (*name, options.folder.join(name.name()))).collect();
    // Looked at before the first is written: all of them are new, or none is.
    if let Some((_, file)) = places.iter().find(|(_, file)| file.exists()) {
        bail!("expected no file {}, but found one: it is left as it is", file.display());
    }
    fs::create_dir_all(&options.folder).with_context(|| format!("{}: can't be made", options.folder.display()))?;
    let mut made = Vec::new();
    for (name, file) in places {
        write_alone(&file, &name.text(&random()?)).with_context(|| format!("{}: can't be written", file.display()))?;
        made.push(Made { name: name.name(), file });
    }
    output::write(options.format, &made, || commands(&made))?;
    Ok(Outcome::Well)
}

fn random() -> anyhow::Result<[u8; KEY_BYTES]> {
    let mut key = [0; KEY_BYTES];
    getrandom::fill(&mut key).map_err(|error| anyhow!("the system gives no random bytes: {error}"))?;
    Ok(key)
}

/// Writes a new file for its owner's eyes alone.
fn write_alone(file: &Path, text: &str) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(file)?.write_all(text.as_bytes())
}

fn commands(made: &[Made]) -> String {
    let mut lines = vec!["Put them into the secret store `personalizer`, then delete the files:".to_owned()];
    lines.extend(made.iter().map(|made| {
        let (name, file) = (&made.name, made.file.display());
        format!("  fastly secret-store-entry create --store-id STORE_ID --name {name} --file {file}")
    }));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use edge_personalizer::context::identity::IdentityKeys;
    use edge_personalizer::context::preview;
    use edge_personalizer::mac::{self, Passwords};
    use edge_personalizer::replication::webhook::WebhookSecret;

    use super::*;

    #[test]
    fn the_edge_takes_what_is_made() {
        let key = random().unwrap();
        assert_ne!(key, random().unwrap());
        let (identity, faults) = IdentityKeys::parse(Name::Identity.text(&key).as_bytes());
        assert_eq!((format!("{identity:?}").as_str(), faults.len()), ("IdentityKeys(1 keys)", 0));
        assert_eq!(preview::keys(Name::Preview.text(&key).as_bytes()).len(), 1);
        assert!(WebhookSecret::parse(&Name::Replication.text(&key)).is_some());
        assert!(Name::Admin.text(&key).len() >= 16, "the edge takes no shorter token");
        for name in [Name::Inspect, Name::Shield] {
            assert_eq!(mac::keys(name.text(&key).as_bytes()).len(), 1);
        }
        for name in [Name::Ofrep, Name::Front] {
            let text = name.text(&key);
            assert!(Passwords::parse(text.as_bytes()).have(text.as_bytes()));
        }
    }

    #[test]
    fn the_service_knows_each_of_them() {
        let manifest = include_str!("../../fastly.toml");
        for name in Name::value_variants() {
            assert!(manifest.contains(&format!("entries.{}]", name.name())), "{name:?}");
        }
    }

    #[test]
    fn a_secret_that_exists_is_left_alone_and_no_other_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let options = |only: Vec<Name>| Options {
            command: Command::New(New { folder: folder.path().join("new"), only, format: Format::Text }),
        };
        assert_eq!(run(&options(vec![Name::Preview])).unwrap(), Outcome::Well);
        let file = folder.path().join("new").join("preview");
        let first = fs::read_to_string(&file).unwrap();
        let error = run(&options(Vec::new())).unwrap_err().to_string();
        assert!(error.ends_with("but found one: it is left as it is"), "{error}");
        assert_eq!(fs::read_to_string(&file).unwrap(), first);
        assert!(!folder.path().join("new").join("identity").exists());
        #[cfg(unix)]
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&file).unwrap().permissions()) & 0o777, 0o600);
    }
}
