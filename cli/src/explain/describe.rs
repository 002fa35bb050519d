//! A visitor, as the command line describes one.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use edge_personalizer::attributes::DeviceClass;
use edge_personalizer::context::assumed::Assumed;
use edge_personalizer::context::identity::UserId;
use edge_personalizer::context::preview::keys;
use edge_personalizer::explain::{Described, SessionLookup, no_session, say};
use edge_personalizer::platform::{ClientRequest, Geo};
use edge_personalizer::record;
use edge_personalizer::session::stored::{Broken, Stored};
use edge_personalizer::session::{Outcome, Record, RecordLimits, State};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use serde_json::Value;
use serde_json::value::RawValue;
use time::OffsetDateTime;

use crate::countries::{self, continent_of};
use crate::output;
use crate::preview;
use crate::serve::manifest::place;

/// The visitor and the request.
#[derive(Debug, Args)]
pub struct Visitor {
    /// The visitor's address. Its place is looked up in the geolocation of fastly.toml.
    #[arg(long)]
    address: Option<IpAddr>,
    /// The country, two letters (ISO 3166-1): US.
    #[arg(long)]
    country: Option<String>,
    /// The subdivision of the country (ISO 3166-2): CA.
    #[arg(long)]
    subdivision: Option<String>,
    /// The continent: AF, AN, AS, EU, NA, OC or SA. Without it, the country's.
    #[arg(long)]
    continent: Option<String>,
    /// The city, as Fastly writes it: lower case.
    #[arg(long)]
    city: Option<String>,
    /// The class of the device: mobile, tablet, desktop, tv or bot. Without it, what the headers say.
    #[arg(long, value_name = "CLASS")]
    device: Option<String>,
    /// The connection: slow, medium or fast. Without it, what the headers say.
    #[arg(long, value_name = "CLASS")]
    network: Option<String>,
    /// The visitor's languages, as Accept-Language has them: fr, or de-AT,de;q=0.9.
    #[arg(long, value_name = "LANGUAGES")]
    language: Option<String>,
    /// What the visitor said about consent: granted, refused or silent. Without it, what the cookies say.
    #[arg(long, value_name = "ANSWER")]
    consent: Option<String>,
    /// A header line, as 'Name: value'; may be repeated.
    #[arg(long, value_name = "LINE")]
    header: Vec<String>,
    /// A cookie, as name=value; may be repeated.
    #[arg(long, value_name = "PAIR")]
    cookie: Vec<String>,
    /// A user who is logged in. No proof is needed here.
    #[arg(long, value_name = "ID")]
    user: Option<String>,
    /// The method.
    #[arg(long, default_value = "GET")]
    method: String,
    /// The file with the key of previews (or PERSONALIZER_PREVIEW_KEY). Without it a preview link is not explained.
    #[arg(long, value_name = "FILE")]
    preview_key_file: Option<PathBuf>,
    /// When (RFC 3339); without it, now.
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// The fastly.toml with the geolocation; without it, the one beside or above the rules.
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// A session record (JSON, as the store holds it): what the visitor looked at, and what is in the cart. Without it there is none.
    #[arg(long, value_name = "FILE")]
    session: Option<PathBuf>,
    /// A line of the log 'decisions' (- for standard input): it is decided again by what it says, and compared. With more said of the
    /// visitor here, that visitor is explained.
    #[arg(long, value_name = "FILE")]
    pub trace_request: Option<PathBuf>,
}

/// A description, and the log line that it came from.
pub struct Description {
    pub described: Described<'static>,
    pub logged: Option<Value>,
}

impl Visitor {
    /// Whether something is said of the visitor beside a log line.
    pub fn says_more(&self) -> bool {
        let place = [&self.country, &self.subdivision, &self.continent, &self.city];
        let rest = [&self.device, &self.network, &self.language, &self.consent, &self.user, &self.at];
        place.into_iter().chain(rest).any(Option::is_some)
            || self.address.is_some()
            || self.session.is_some()
            || !self.header.is_empty()
            || !self.cookie.is_empty()
    }

    /// Puts the description together. `line` is the one of `--trace-request`: its file and its JSON.
    pub fn describe(
        &self,
        url: Option<&str>,
        rules: &Path,
        line: Option<(&Path, &str)>,
    ) -> anyhow::Result<Description> {
        let logged = line.map(|(file, json)| read_line(file, json)).transpose()?;
        let said = |key: &str| logged.as_ref().and_then(|line| line.get(key)?.as_str());
        let url = match (url, said("path")) {
            (Some(url), _) => url.to_owned(),
            // The line has neither host nor query: they could name a visitor.
            (None, Some(path)) => format!("https://{}{path}", self.host()?.unwrap_or("host.invalid".to_owned())),
            (None, None) => {
                bail!("--trace-request: expected a line of the log 'decisions', but found one without path")
            }
        };
        let uri: Uri = url.parse().with_context(|| format!("expected a URL, but found '{url}'"))?;
        let authority = uri.authority().ok_or_else(|| anyhow!("expected https://host/path, but found '{url}'"))?;
        let method = said("method").unwrap_or(&self.method);
        let now = match (&self.at, said("time")) {
            (Some(at), _) => super::moment(at).context("--at")?,
            (None, Some(time)) => super::moment(time)?,
            (None, None) => OffsetDateTime::now_utc(),
        };
        let user = self
            .user
            .as_deref()
            .map(|user| UserId::parse(user).ok_or_else(|| anyhow!("--user: expected a user's id, but found '{user}'")));
        let mut geo = self.geo(rules)?;
        if let Some(country) = said("country") {
            let geo = geo.get_or_insert_default();
            geo.country.get_or_insert(country.to_owned());
            geo.continent = geo.continent.or(continent_of(country));
        }
        let request = ClientRequest {
            method: Method::from_bytes(method.as_bytes())
                .with_context(|| format!("--method: expected an HTTP method, but found '{method}'"))?,
            scheme: uri.scheme_str().unwrap_or("https").to_owned(),
            authority: authority.to_string(),
            path: uri.path().to_owned(),
            query: uri.query().map(str::to_owned),
            headers: self.headers()?,
            address: self.address,
            body: (),
        };
        let secret = preview::secret(self.preview_key_file.as_deref())?;
        let preview_keys = Rc::new(secret.map(|secret| keys(&secret)).unwrap_or_default());
        // The same description gives the same explanation: no id of it leaves this machine.
        let random = [0x5eed, 0x1d];
        let session: SessionLookup<'static> = match self.session.as_deref().map(read_session).transpose()? {
            Some(record) => Box::new(move |subjects, _, _| match subjects.as_slice() {
                // As the service: nobody to look up has no session.
                [] => Outcome::none(),
                _ => Outcome { state: State::Fresh, age: Some(0), record: Some(record.clone()), ..Outcome::none() },
            }),
            None => no_session(),
        };
        let user = user.transpose()?;
        let assumed = self.assumed()?;
        // A proof in the request can't be checked here: --user takes its place.
        let identity_keys = Rc::default();
        let described =
            Described { request, geo, device: None, user, assumed, identity_keys, session, preview_keys, now, random };
        Ok(Description { described, logged })
    }

    fn host(&self) -> anyhow::Result<Option<String>> {
        Ok(self.headers()?.get(header::HOST).and_then(|host| host.to_str().ok()).map(str::to_owned))
    }

    /// What is said in a word and no header says.
    fn assumed(&self) -> anyhow::Result<Assumed> {
        let device = self.device.as_deref().map(|word| {
            let expected = "mobile, tablet, desktop, tv or bot";
            DeviceClass::named(word).ok_or_else(|| anyhow!("--device: expected {expected}, but found '{word}'"))
        });
        let consent = self.consent.as_deref().map(|word| {
            say::consent(word).map_err(|expected| anyhow!("--consent: expected {expected}, but found '{word}'"))
        });
        Ok(Assumed { device: device.transpose()?, consent: consent.transpose()?, ..Assumed::default() })
    }

    fn headers(&self) -> anyhow::Result<HeaderMap> {
        let mut headers = HeaderMap::new();
        for line in &self.header {
            let fault = || format!("--header: expected 'Name: value', but found '{line}'");
            let (name, value) = line.split_once(':').with_context(fault)?;
            headers.append(
                HeaderName::from_bytes(name.trim().as_bytes()).with_context(fault)?,
                HeaderValue::from_str(value.trim()).with_context(fault)?,
            );
        }
        if let Some(class) = &self.network {
            say::network(&mut headers, class)
                .map_err(|expected| anyhow!("--network: expected {expected}, but found '{class}'"))?;
        }
        if let Some(languages) = &self.language {
            say::language(&mut headers, languages)
                .map_err(|expected| anyhow!("--language: expected {expected}, but found '{languages}'"))?;
        }
        if !self.cookie.is_empty() {
            let cookies = self.cookie.join("; ");
            headers.append(header::COOKIE, HeaderValue::from_str(&cookies).context("--cookie: expected name=value")?);
        }
        Ok(headers)
    }

    /// What was said of the place, over what the manifest says of the address.
    fn geo(&self, rules: &Path) -> anyhow::Result<Option<Geo>> {
        let mut geo = match self.address {
            Some(address) => self.located(address, rules)?,
            None => None,
        };
        let stated = [&self.country, &self.subdivision, &self.continent, &self.city];
        if stated.iter().all(|value| value.is_none()) {
            return Ok(geo);
        }
        let geo = geo.get_or_insert_default();
        if let Some(country) = &self.country {
            let country = countries::country(country).map_err(|message| anyhow!("--country: {message}"))?;
            geo.country = Some(country.to_owned());
            geo.continent = continent_of(country);
            geo.subdivision = None;
        }
        if let Some(continent) = &self.continent {
            let continent = countries::continent(continent).map_err(|message| anyhow!("--continent: {message}"))?;
            geo.continent = Some(continent);
        }
        if let Some(subdivision) = &self.subdivision {
            let country = geo
                .country
                .clone()
                .context("--subdivision: expected a country beside it (--country), but found none")?;
            let code = countries::subdivision(&country, subdivision);
            geo.subdivision = Some(code.map_err(|message| anyhow!("--subdivision: {message}"))?);
        }
        geo.city = self.city.clone().or(geo.city.take());
        Ok(Some(geo.clone()))
    }

    fn located(&self, address: IpAddr, rules: &Path) -> anyhow::Result<Option<Geo>> {
        let Some(file) = self.manifest.clone().or_else(|| crate::check::beside(rules)) else { return Ok(None) };
        let text = fs::read_to_string(&file).with_context(|| format!("{}: can't read it", file.display()))?;
        let manifest: toml::Table = text.parse().with_context(|| format!("{}: expected TOML", file.display()))?;
        let entry = ["local_server", "geolocation", "addresses", &address.to_string()]
            .iter()
            .try_fold(&toml::Value::Table(manifest), |value, step| value.get(step))
            .cloned();
        let Some(entry) = entry else { return Ok(None) };
        Ok(Some(place(&entry)))
    }
}

/// A record as the store holds it (docs/SESSIONS.md).
fn read_session(file: &Path) -> anyhow::Result<Record> {
    let bytes = fs::read(file).with_context(|| format!("{}: can't read it", file.display()))?;
    match Stored::parse(&bytes, &RecordLimits::default()) {
        Ok(stored) => Ok(stored.record()),
        Err(Broken::TooLarge) => {
            bail!("{}: expected a session record within the limits, but found a larger one", file.display())
        }
        Err(Broken::NotJson) => {
            bail!("{}: expected a session record (a JSON object), but found something else", file.display())
        }
        Err(Broken::NoTime) => bail!(
            "{}: expected \"updated_at\" (milliseconds since 1970, or RFC 3339) in the session record, but found none that can be read",
            file.display()
        ),
    }
}

/// The first log line of a file, as JSON.
pub fn line_text(file: &Path) -> anyhow::Result<String> {
    let text = if file == Path::new("-") {
        std::io::read_to_string(std::io::stdin())?
    } else {
        fs::read_to_string(file).with_context(|| format!("{}: can't read it", file.display()))?
    };
    let (line, has_more) = first_line(&text);
    if has_more {
        output::note(&format!("{}: the first line is explained, and there are more", file.display()));
    }
    Ok(line.to_owned())
}

/// The first log line of a text, and whether there are more.
fn first_line(text: &str) -> (&str, bool) {
    let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    // The local server puts the endpoint's name in front, and `jq` spreads an object over lines: the first whole value counts.
    let start = text.find(first).zip(first.find('{')).map_or(0, |(line, at)| line + at);
    let from_there = text.get(start..).unwrap_or_default();
    let mut values = serde_json::Deserializer::from_str(from_there).into_iter::<&RawValue>();
    match values.next() {
        Some(Ok(value)) => (value.get(), from_there.get(value.get().len()..).is_some_and(|rest| rest.contains('{'))),
        _ => (first, false),
    }
}

fn read_line(file: &Path, json: &str) -> anyhow::Result<Value> {
    let line: Value = serde_json::from_str(json)
        .with_context(|| format!("{}: expected a line of the log 'decisions' (JSON)", file.display()))?;
    // What is read here is alike in all versions so far. A later one may mean something else by it.
    match line.get("v").and_then(Value::as_u64) {
        Some(version) if version > u64::from(record::SCHEMA) => {
            bail!("{}: expected a line of version 1 to {}, but found version {version}", file.display(), record::SCHEMA)
        }
        _ => Ok(line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_line_is_noticed() {
        let line = r#"{"time":"t","variant":{"a":"1"}}"#;
        for (text, more) in [
            (format!("{line}\n"), false),
            (format!("decisions :: {line}\r\n\n"), false),
            (format!("{line}\n{line}\n"), true),
            (format!("\ndecisions :: {line}\nerrors :: {{}}\n"), true),
        ] {
            assert_eq!(first_line(&text), (line, more), "{text}");
        }
        assert_eq!(first_line(""), ("", false));
    }
}
