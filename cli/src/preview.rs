//! `personalizer preview`: a signed link that shows chosen variations, a chosen region, or the page as of another date or for another
//! visitor.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use edge_personalizer::attributes::DeviceClass;
use edge_personalizer::context::assumed::Assumed;
use edge_personalizer::context::identity::UserId;
use edge_personalizer::context::preview::{self, LONGEST_LIFE, LONGEST_TOKEN, PARAMETER, PreviewClaims, keys, sign};
use edge_personalizer::rules::RuleSet;
use edge_personalizer::rules::pointer::is_revision_name;
use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::check::nearest;
use crate::countries;
use crate::diff::side::Reader;
use crate::explain::{compile, moment};
use crate::folder::Folder;
use crate::folder::payload::PayloadOptions;
use crate::output::{self, Format, Outcome};
use crate::target::{Address, Api};

/// The folder whose names are checked where nobody says another.
const FOLDER: &str = "rules";
/// The environment variable with the key: an argument would stay in the shell's history.
const KEY_VARIABLE: &str = "PERSONALIZER_PREVIEW_KEY";

/// Print a signed link that shows chosen variations, a region, another revision, another date, or what another visitor gets. Its visits count
/// in no experiment.
///
/// Names are compared with the rules: with --on those of the store, else those of the folder ./rules, if it is there.
///
/// The preview lasts until the browser closes, the link expires, or the page is opened with ?edge_preview=off. A link can't be withdrawn:
/// choose a short --ttl.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  personalizer preview --feature hero=1 --region APAC --ttl 1h --url https://www.example.com/
  personalizer preview --experiment checkout=2 --key-file preview.key
  personalizer preview --revision r43 --at 2026-12-24T08:00:00+01:00 --country DE --device mobile --on fastly:STORE_ID

The key is the content of the secret `preview`. Give it as a file, or in the environment variable PERSONALIZER_PREVIEW_KEY.")]
pub struct Options {
    /// A feature and the value it has: JSON, or else text.
    #[arg(long = "feature", value_name = "KEY=VALUE", value_parser = feature)]
    features: Vec<(String, Value)>,
    /// An experiment and the number of its variation, counted from 0.
    #[arg(long = "experiment", value_name = "KEY=NUMBER", value_parser = experiment)]
    experiments: Vec<(String, u32)>,
    /// The region's id.
    #[arg(long, value_name = "ID")]
    region: Option<String>,
    /// The revision of the rules that the page is made by: r43.
    #[arg(long, value_name = "REVISION")]
    revision: Option<String>,
    /// The date that the page is shown as of (RFC 3339): 2026-12-24T08:00:00+01:00.
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// The class of the device: mobile, tablet, desktop, tv or bot.
    #[arg(long, value_name = "CLASS", value_parser = device)]
    device: Option<DeviceClass>,
    /// The country, two letters (ISO 3166-1): DE.
    #[arg(long)]
    country: Option<String>,
    /// The subdivision of the country (ISO 3166-2): BY.
    #[arg(long, requires = "country")]
    subdivision: Option<String>,
    /// A test user whose session is shown. Whoever has the link sees it: name nobody real. The origin isn't told that the user asks.
    #[arg(long, value_name = "ID")]
    user: Option<String>,
    /// The folder of rules that the names are compared with. Without it ./rules, if it is there.
    #[arg(long, value_name = "DIR", conflicts_with = "on")]
    rules: Option<PathBuf>,
    /// The store whose rules the names are compared with: file:PATH or fastly:STORE_ID.
    #[arg(long, value_name = "TARGET")]
    on: Option<Address>,
    #[command(flatten)]
    api: Api,
    #[command(flatten)]
    payload: PayloadOptions,
    /// How long the link works: 30m, 1h, 7d; 31d at most.
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = seconds)]
    ttl: i64,
    /// The page that the link opens. Without it, only the parameter is printed.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// The file with the key.
    #[arg(id = "preview_key_file", long = "key-file", value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// How the result is written.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// A link, for machines.
#[derive(Debug, Serialize)]
struct Link {
    link: String,
    token: String,
    expires: String,
}

/// Prints the link.
pub fn run(options: &Options) -> anyhow::Result<Outcome> {
    let secret = secret(options.key_file.as_deref())?
        .with_context(|| format!("expected --key-file or {KEY_VARIABLE}, but found neither"))?;
    let rules = options.rules()?;
    let link = link(options, rules.as_ref(), &secret, OffsetDateTime::now_utc())?;
    output::write(options.format, &link, || link.link.clone())?;
    Ok(Outcome::Well)
}

/// What the secret `preview` holds: the file's content, or the environment variable's; `None` where there is neither.
pub(crate) fn secret(key_file: Option<&Path>) -> anyhow::Result<Option<Vec<u8>>> {
    secret_of(key_file, KEY_VARIABLE)
}

/// A secret: the file's content, or that of the environment variable `variable`; `None` where there is neither.
pub(crate) fn secret_of(key_file: Option<&Path>, variable: &str) -> anyhow::Result<Option<Vec<u8>>> {
    match key_file {
        Some(path) => fs::read(path).map(Some).with_context(|| format!("{}: can't be read", path.display())),
        None => Ok(std::env::var_os(variable).map(OsString::into_encoded_bytes)),
    }
}

impl Options {
    /// The rules that the link's names are compared with; `None`, and a note, where there are none.
    fn rules(&self) -> anyhow::Result<Option<RuleSet>> {
        if self.on.is_some() {
            let mut sides = Reader::new(self.on.as_ref(), &self.api, &self.payload);
            let side = sides.read(self.revision.as_deref().unwrap_or("@active")).context("--on")?;
            side.notes.iter().for_each(|note| output::note(note));
            return Ok(Some(side.rules));
        }
        let folder = self.rules.clone().unwrap_or_else(|| PathBuf::from(FOLDER));
        // What another revision has, a folder doesn't say.
        if self.rules.is_some() || (folder.is_dir() && self.revision.is_none()) {
            let dictionaries = Folder::read(&folder, &self.payload)?;
            dictionaries.parsed()?;
            return Ok(Some(compile(&dictionaries)));
        }
        output::note("the names are not compared with any rules: --rules or --on says where those are");
        Ok(None)
    }

    /// What is said of the visitor.
    fn visitor(&self) -> anyhow::Result<Assumed> {
        let country = self.country.as_deref().map(countries::country).transpose();
        let country = country.map_err(|message| anyhow!("--country: {message}"))?;
        let subdivision = match (country, self.subdivision.as_deref()) {
            (Some(country), Some(subdivision)) => {
                let code = countries::subdivision(country, subdivision);
                Some(code.map_err(|message| anyhow!("--subdivision: {message}"))?)
            }
            _ => None,
        };
        if let Some(user) = self.user.as_deref().filter(|user| UserId::parse(user).is_none()) {
            bail!("--user: expected a user's id, but found '{user}'");
        }
        Ok(Assumed {
            country: country.map(str::to_owned),
            subdivision,
            device: self.device,
            at: self.at.as_deref().map(moment).transpose().context("--at")?.map(OffsetDateTime::unix_timestamp),
            user: self.user.clone(),
            consent: None,
        })
    }
}

fn link(options: &Options, rules: Option<&RuleSet>, secret: &[u8], now: OffsetDateTime) -> anyhow::Result<Link> {
    if let Some(revision) = options.revision.as_deref().filter(|name| !is_revision_name(name)) {
        bail!("--revision: expected the name of a revision, such as r43, but found '{revision}'");
    }
    // The first of several keys is the one that signs; the others are being rotated out.
    let keys = keys(secret);
    let key = keys.first().context("expected a key of at least 16 bytes, but found a shorter one, or none")?;
    let expires = now + time::Duration::seconds(options.ttl);
    let mut claims = PreviewClaims {
        features: options.features.iter().cloned().collect(),
        experiments: options.experiments.iter().cloned().collect::<BTreeMap<_, _>>(),
        region: options.region.clone(),
        revision: options.revision.clone(),
        visitor: options.visitor()?,
        exp: expires.unix_timestamp(),
    };
    if claims.words().is_empty() {
        bail!(
            "expected a --feature, an --experiment, a --region, a --revision, an --at, a --device, a --country or a --user to show, but found none"
        );
    }
    if let Some(rules) = rules {
        let unknown = claims.fit(rules);
        if !unknown.is_empty() {
            bail!("expected names that the rules have, but found {}{}", unknown.join(", "), meant(&unknown, rules));
        }
    }
    let token = sign(&claims, key)
        .with_context(|| format!("expected a token of at most {LONGEST_TOKEN} bytes, but found a longer one"))?;
    let link = match &options.url {
        Some(url) => with_parameter(url, &token)?,
        None => format!("?{PARAMETER}={token}"),
    };
    let expires = expires.replace_nanosecond(0).unwrap_or(expires).format(&Rfc3339)?;
    Ok(Link { link, token, expires })
}

/// The name that was probably meant by the first that isn't there.
fn meant(unknown: &[String], rules: &RuleSet) -> String {
    let definitions = &rules.definitions;
    let near = unknown.first().and_then(|first| first.split_once(' ')).and_then(|(kind, name)| match kind {
        "feature" => nearest(name, definitions.features.keys()),
        "experiment" => nearest(name, definitions.experiments.keys()),
        "region" => nearest(name, rules.regions.all().map(|region| region.id.as_str())),
        _ => None,
    });
    near.map(|near| format!(": did you mean {near}?")).unwrap_or_default()
}

/// The URL with the token in its query.
fn with_parameter(url: &str, token: &str) -> anyhow::Result<String> {
    if !["https://", "http://"].iter().any(|scheme| url.starts_with(scheme)) {
        bail!("--url: expected a URL that begins with https:// or http://, but found '{url}'");
    }
    Ok(preview::link(url, token))
}

fn device(text: &str) -> Result<DeviceClass, String> {
    DeviceClass::named(text).ok_or_else(|| format!("expected mobile, tablet, desktop, tv or bot, but found '{text}'"))
}

fn pair(text: &str) -> Result<(&str, &str), String> {
    text.split_once('=').filter(|(key, _)| !key.is_empty()).ok_or_else(|| "expected KEY=VALUE".to_owned())
}

fn feature(text: &str) -> Result<(String, Value), String> {
    let (key, value) = pair(text)?;
    Ok((key.to_owned(), serde_json::from_str(value).unwrap_or_else(|_| value.into())))
}

fn experiment(text: &str) -> Result<(String, u32), String> {
    let (key, variation) = pair(text)?;
    let variation = variation
        .parse()
        .map_err(|_| format!("expected the variation's number, counted from 0, but found '{variation}'"))?;
    Ok((key.to_owned(), variation))
}

/// `90s`, `30m`, `1h`, `7d` in seconds, 31 days at most.
fn seconds(text: &str) -> Result<i64, String> {
    seconds_within(text, LONGEST_LIFE, "31d")
}

/// The same, up to `most` seconds: `most_text` says so.
pub(crate) fn seconds_within(text: &str, most: i64, most_text: &str) -> Result<i64, String> {
    let wrong = || format!("expected a number and s, m, h or d, such as 1h, but found '{text}'");
    let unit = match text.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3_600,
        Some('d') => 86_400,
        _ => return Err(wrong()),
    };
    let number = text.get(..text.len() - 1).and_then(|number| number.parse::<u32>().ok()).ok_or_else(wrong)?;
    let seconds = i64::from(number) * unit;
    if (1..=most).contains(&seconds) { Ok(seconds) } else { Err(format!("expected from 1s to {most_text}")) }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use edge_personalizer::context::preview::verify;

    use super::*;

    const KEY: &[u8] = b"a key of more than sixteen bytes\n";

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    fn options(arguments: &[&str]) -> Options {
        Line::try_parse_from(["preview"].iter().chain(arguments)).unwrap().options
    }

    #[test]
    fn the_edge_accepts_the_link_until_it_expires() {
        let now = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
        let line = [
            "--feature",
            "hero=1",
            "--feature",
            "title=Hello",
            "--experiment",
            "x=2",
            "--region",
            "APAC",
            "--ttl",
            "1h",
        ];
        let link = link(&options(&line), None, KEY, now).unwrap();
        assert_eq!(
            (link.link, link.expires.as_str()),
            (format!("?edge_preview={}", link.token), "2027-01-15T09:00:00Z")
        );
        let claims = verify(&link.token, &keys(KEY), now + time::Duration::minutes(59)).unwrap();
        assert_eq!(claims.features, [("hero".to_owned(), 1.into()), ("title".to_owned(), "Hello".into())].into());
        assert_eq!((claims.experiments, claims.region.as_deref()), ([("x".to_owned(), 2)].into(), Some("APAC")));
        assert!(verify(&link.token, &keys(KEY), now + time::Duration::hours(1)).is_err());
    }

    #[test]
    fn names_that_the_rules_do_not_have_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let features = r#"{"features":{"hero":{"defaultValue":1,"rules":[{"key":"hero-test","variations":[1,2]}]}}}"#;
        fs::write(folder.path().join("features.json"), features).unwrap();
        let regions = r#"{"regions":[{"id":"APAC","slug":"asia","when":{"continent":"AS"}}]}"#;
        fs::write(folder.path().join("regions.json"), regions).unwrap();
        let path = folder.path().display().to_string();
        let now = OffsetDateTime::UNIX_EPOCH;
        let said = |line: &[&str]| {
            let line: Vec<&str> = line.iter().copied().chain(["--rules", &path]).collect();
            let options = options(&line);
            let rules = options.rules().unwrap();
            link(&options, rules.as_ref(), KEY, now).map(|_| ()).map_err(|error| error.to_string())
        };
        assert_eq!(said(&["--feature", "hero=2", "--region", "APAC", "--experiment", "hero-test=1"]), Ok(()));
        for (line, expected) in [
            (
                ["--feature", "heros=2"],
                "expected names that the rules have, but found feature heros: did you mean hero?",
            ),
            (["--experiment", "checkout=1"], "expected names that the rules have, but found experiment checkout"),
            (
                ["--experiment", "hero-test=2"],
                "expected names that the rules have, but found variation 2 of experiment hero-test",
            ),
            (["--region", "APAK"], "expected names that the rules have, but found region APAK: did you mean APAC?"),
        ] {
            assert_eq!(said(&line), Err(expected.to_owned()));
        }
    }

    #[test]
    fn a_link_may_show_another_visitor_another_day() {
        let now = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
        let line = [
            "--revision",
            "r43",
            "--at",
            "2026-12-24T08:00:00+01:00",
            "--device",
            "mobile",
            "--country",
            "us",
            "--subdivision",
            "ca",
            "--user",
            "test-42",
        ];
        let link = link(&options(&line), None, KEY, now).unwrap();
        let claims = verify(&link.token, &keys(KEY), now).unwrap();
        assert_eq!(
            claims.words(),
            [
                "revision r43",
                "country US",
                "subdivision CA",
                "device mobile",
                "date 2026-12-24T07:00:00Z",
                "session of user test-42"
            ]
        );
        for (line, expected) in [
            (["--country", "Germany"], "--country: expected"),
            (["--at", "tomorrow"], "--at"),
            (["--user", "a/b"], "--user: expected"),
            (["--revision", "@canary"], "--revision: expected"),
        ] {
            let error = format!("{:#}", super::link(&options(&line), None, KEY, now).unwrap_err());
            assert!(error.starts_with(expected), "{error}");
        }
        assert!(Line::try_parse_from(["preview", "--device", "phone"]).is_err());
    }

    #[test]
    fn the_token_joins_the_query_of_the_page() {
        for (url, expected) in [
            ("https://shop.example", "https://shop.example?edge_preview=T"),
            ("https://shop.example/a?b=1#c?d", "https://shop.example/a?b=1&edge_preview=T#c?d"),
            ("https://shop.example/?edge_preview=old&b=1", "https://shop.example/?b=1&edge_preview=T"),
        ] {
            assert_eq!(with_parameter(url, "T").unwrap(), expected);
        }
        assert!(with_parameter("shop.example", "T").is_err());
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for line in [
            &["--ttl", "32d"][..],
            &["--ttl", "0s"],
            &["--ttl", "h"],
            &["--ttl", "1é"],
            &["--experiment", "x=new"],
            &["--feature", "=1"],
        ] {
            assert!(Line::try_parse_from(["preview"].iter().chain(line)).is_err(), "{line:?}");
        }
        let now = OffsetDateTime::UNIX_EPOCH;
        assert!(link(&options(&[]), None, KEY, now).unwrap_err().to_string().contains("--feature"));
        assert!(link(&options(&["--region", "EU"]), None, b"short", now).unwrap_err().to_string().contains("key"));
        assert!(link(&options(&["--region", &"E".repeat(3000)]), None, KEY, now).is_err());
    }
}
