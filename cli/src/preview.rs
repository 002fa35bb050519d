//! `personalizer preview`: a signed link that shows chosen variations and a chosen region.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;
use edge_personalizer::context::preview::{LONGEST_LIFE, LONGEST_TOKEN, PARAMETER, PreviewClaims, keys, sign};
use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::output::{self, Format, Outcome};

/// The environment variable with the key: an argument would stay in the shell's history.
const KEY_VARIABLE: &str = "PERSONALIZER_PREVIEW_KEY";

/// Print a signed link that shows chosen variations and a chosen region. Its visits count in no experiment.
///
/// The preview lasts until the browser closes, the link expires, or the page is opened with ?edge_preview=off. A link can't be withdrawn:
/// choose a short --ttl.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  personalizer preview --feature hero=1 --region APAC --ttl 1h --url https://www.example.com/
  personalizer preview --experiment checkout=2 --key-file preview.key

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
    /// How long the link works: 30m, 1h, 7d; 31d at most.
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = seconds)]
    ttl: i64,
    /// The page that the link opens. Without it, only the parameter is printed.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// The file with the key.
    #[arg(long, value_name = "FILE")]
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
    let link = link(options, &secret, OffsetDateTime::now_utc())?;
    output::write(options.format, &link, || link.link.clone())?;
    Ok(Outcome::Well)
}

/// What the secret `preview` holds: the file's content, or the environment variable's; `None` where there is neither.
pub(crate) fn secret(key_file: Option<&Path>) -> anyhow::Result<Option<Vec<u8>>> {
    match key_file {
        Some(path) => fs::read(path).map(Some).with_context(|| format!("{}: can't be read", path.display())),
        None => Ok(std::env::var_os(KEY_VARIABLE).map(OsString::into_encoded_bytes)),
    }
}

fn link(options: &Options, secret: &[u8], now: OffsetDateTime) -> anyhow::Result<Link> {
    if options.features.is_empty() && options.experiments.is_empty() && options.region.is_none() {
        bail!("expected a --feature, an --experiment or a --region to show, but found none");
    }
    // The first of several keys is the one that signs; the others are being rotated out.
    let keys = keys(secret);
    let key = keys.first().context("expected a key of at least 16 bytes, but found a shorter one, or none")?;
    let expires = now + time::Duration::seconds(options.ttl);
    let claims = PreviewClaims {
        features: options.features.iter().cloned().collect(),
        experiments: options.experiments.iter().cloned().collect::<BTreeMap<_, _>>(),
        region: options.region.clone(),
        exp: expires.unix_timestamp(),
    };
    let token = sign(&claims, key)
        .with_context(|| format!("expected a token of at most {LONGEST_TOKEN} bytes, but found a longer one"))?;
    let link = match &options.url {
        Some(url) => with_parameter(url, &token)?,
        None => format!("?{PARAMETER}={token}"),
    };
    let expires = expires.replace_nanosecond(0).unwrap_or(expires).format(&Rfc3339)?;
    Ok(Link { link, token, expires })
}

/// The URL with the token in its query, instead of one that is there; before the fragment.
fn with_parameter(url: &str, token: &str) -> anyhow::Result<String> {
    if !["https://", "http://"].iter().any(|scheme| url.starts_with(scheme)) {
        bail!("--url: expected a URL that begins with https:// or http://, but found '{url}'");
    }
    let (page, fragment) = url.split_at(url.find('#').unwrap_or(url.len()));
    let (page, query) = page.split_once('?').unwrap_or((page, ""));
    let own = |pair: &&str| !pair.is_empty() && pair.split('=').next() != Some(PARAMETER);
    let parameter = format!("{PARAMETER}={token}");
    let pairs: Vec<&str> = query.split('&').filter(own).chain([parameter.as_str()]).collect();
    Ok(format!("{page}?{}{fragment}", pairs.join("&")))
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

/// `90s`, `30m`, `1h`, `7d` in seconds.
fn seconds(text: &str) -> Result<i64, String> {
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
    if (1..=LONGEST_LIFE).contains(&seconds) { Ok(seconds) } else { Err("expected from 1s to 31d".to_owned()) }
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
        let link = link(&options(&line), KEY, now).unwrap();
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
        assert!(link(&options(&[]), KEY, now).unwrap_err().to_string().contains("--feature"));
        assert!(link(&options(&["--region", "EU"]), b"short", now).unwrap_err().to_string().contains("key"));
        assert!(link(&options(&["--region", &"E".repeat(3000)]), KEY, now).is_err());
    }
}
