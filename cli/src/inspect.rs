//! `personalizer inspect`: a signed link that opens the inspector of a site for a while.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::Args;
use edge_personalizer::context::identity::UserId;
use edge_personalizer::context::inspect::{FRAGMENT, InspectClaims, LONGEST_LIFE, MOST_USERS, PATH, sign};
use edge_personalizer::mac::keys;
use edge_personalizer::wire::authority;
use edge_personalizer::wire::url::AbsoluteUrl;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::output::{self, Format, Outcome};
use crate::preview::{seconds_within, secret_of};

/// The environment variable with the key: an argument would stay in the shell's history.
const KEY_VARIABLE: &str = "PERSONALIZER_INSPECT_KEY";

/// Print a signed link to the inspector: a page that shows why a visitor gets a page, and makes preview links.
///
/// Who opens the link may look at the pages of its host until it expires, and can change nothing. A link can't be withdrawn: choose a short
/// --ttl.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  personalizer inspect --url https://www.example.com/shop --key-file secrets/inspect
  personalizer inspect --url https://www.example.com/ --ttl 1h --user test-42

The key is the content of the secret `inspect`. Give it as a file, or in the environment variable PERSONALIZER_INSPECT_KEY.")]
pub struct Options {
    /// The page to look at.
    #[arg(long, value_name = "URL")]
    url: String,
    /// How long the link works: 15m, 1h; 12h at most.
    #[arg(long, value_name = "TIME", default_value = "15m", value_parser = seconds)]
    ttl: i64,
    /// A test user whose session may be shown; may be given several times. Nobody else's is.
    #[arg(long = "user", value_name = "ID")]
    users: Vec<String>,
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
    expires: String,
}

/// Prints the link.
pub fn run(options: &Options) -> anyhow::Result<Outcome> {
    let secret = secret_of(options.key_file.as_deref(), KEY_VARIABLE)?
        .with_context(|| format!("expected --key-file or {KEY_VARIABLE}, but found neither"))?;
    let link = link(options, &secret, OffsetDateTime::now_utc())?;
    output::write(options.format, &link, || link.link.clone())?;
    Ok(Outcome::Well)
}

fn link(options: &Options, secret: &[u8], now: OffsetDateTime) -> anyhow::Result<Link> {
    let url = &options.url;
    let parts = AbsoluteUrl::split(url).filter(|parts| {
        matches!(parts.scheme, "https" | "http") && authority::split(&parts.authority.to_ascii_lowercase()).is_some()
    });
    let Some(parts) = parts else {
        bail!("--url: expected a URL that begins with https:// or http://, but found '{url}'");
    };
    if let Some(user) = options.users.iter().find(|user| UserId::parse(user).is_none()) {
        bail!("--user: expected a user's id, but found '{user}'");
    }
    if options.users.len() > MOST_USERS {
        bail!("--user: expected at most {MOST_USERS}, but found {}", options.users.len());
    }
    // The first of several keys is the one that signs; the others are being rotated out.
    let keys = keys(secret);
    let key = keys.first().context("expected a key of at least 16 bytes, but found a shorter one, or none")?;
    let expires = now + time::Duration::seconds(options.ttl);
    let claims = InspectClaims {
        host: authority::host(parts.authority).to_ascii_lowercase(),
        users: options.users.clone(),
        exp: expires.unix_timestamp(),
    };
    let token = sign(&claims, key).context("expected fewer test users, but found too many for a link")?;
    let page = utf8_percent_encode(url, NON_ALPHANUMERIC);
    let (scheme, authority) = (parts.scheme, parts.authority);
    let link = format!("{scheme}://{authority}{PATH}#{FRAGMENT}={token}&url={page}");
    let expires = expires.replace_nanosecond(0).unwrap_or(expires).format(&Rfc3339)?;
    Ok(Link { link, expires })
}

fn seconds(text: &str) -> Result<i64, String> {
    seconds_within(text, LONGEST_LIFE, "12h")
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use edge_personalizer::context::inspect::verify;

    use super::*;

    const KEY: &[u8] = b"a key of more than sixteen bytes\n";

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    fn options(line: &[&str]) -> Options {
        Line::try_parse_from(["inspect"].iter().chain(line)).unwrap().options
    }

    #[test]
    fn the_token_is_in_the_fragment_and_for_one_host() {
        let now = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
        let line = ["--url", "https://Shop.example:8443/a?b=1#c", "--user", "test-42"];
        let link = link(&options(&line), b"[\"a key of more than sixteen bytes\"]", now).unwrap();
        let (page, fragment) = link.link.split_once('#').unwrap();
        assert_eq!((page, link.expires.as_str()), ("https://Shop.example:8443/.edge/inspect", "2027-01-15T08:15:00Z"));
        let (token, rest) = fragment.strip_prefix("token=").unwrap().split_once('&').unwrap();
        assert_eq!(rest, "url=https%3A%2F%2FShop%2Eexample%3A8443%2Fa%3Fb%3D1%23c");
        let claims: InspectClaims = verify(token, &keys(b"[\"a key of more than sixteen bytes\"]"), now).unwrap();
        assert_eq!((claims.host.as_str(), claims.users), ("shop.example", vec!["test-42".to_owned()]));
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        let now = OffsetDateTime::UNIX_EPOCH;
        for (line, key, expected) in [
            (&["--url", "shop.example"][..], KEY, "--url: expected"),
            (&["--url", "ftp://shop.example/"], KEY, "--url: expected"),
            (&["--url", "https:///a"], KEY, "--url: expected"),
            (&["--url", "https://a.example", "--user", "a b"], KEY, "--user: expected"),
            (&["--url", "https://a.example"], b"short", "expected a key"),
        ] {
            let error = link(&options(line), key, now).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
        assert!(Line::try_parse_from(["inspect", "--url", "https://a.example", "--ttl", "13h"]).is_err());
        assert!(Line::try_parse_from(["inspect"]).is_err());
    }
}
