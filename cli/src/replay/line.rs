//! A line of `decisions`, as a replay reads it.

use anyhow::Context as _;
use edge_personalizer::record::SCHEMA;
use edge_personalizer::replay::Line;
use serde::Deserialize;
use serde_json::{Map, Value};
use time::OffsetDateTime;

use crate::countries::certain_continent_of;
use crate::diff::side::Which;
use crate::report::lines::{self, Text};
use crate::report::members::{self, Layout, Raw};
use crate::report::moment::{self, Micros};

/// The line.
#[derive(Debug, Deserialize)]
pub struct Logged<'a> {
    #[serde(default = "first")]
    pub v: u32,
    #[serde(borrow)]
    pub time: Text<'a>,
    #[serde(borrow)]
    pub request_id: Option<Text<'a>>,
    #[serde(borrow)]
    pub pop: Option<Text<'a>>,
    #[serde(borrow)]
    pub revision: Option<Text<'a>>,
    #[serde(borrow)]
    pub role: Option<Text<'a>>,
    /// What version 1 called the role.
    #[serde(borrow)]
    arm: Option<Text<'a>>,
    #[serde(borrow)]
    pub route: Option<Text<'a>>,
    #[serde(borrow)]
    pub method: Text<'a>,
    #[serde(borrow)]
    pub path: Text<'a>,
    #[serde(borrow)]
    pub region: Option<Text<'a>>,
    #[serde(borrow)]
    pub country: Option<Text<'a>>,
    #[serde(borrow)]
    pub device: Option<Text<'a>>,
    #[serde(borrow)]
    pub variant: Option<Raw<'a>>,
    #[serde(borrow)]
    pub facts: Option<Raw<'a>>,
    #[serde(borrow)]
    pub backend_path: Option<Text<'a>>,
    #[serde(borrow)]
    pub fallback: Option<Text<'a>>,
    #[serde(default)]
    pub preview: bool,
    pub slot: Option<u32>,
    pub sample: Option<f64>,
    #[serde(default = "lines::one")]
    pub pass: u8,
}

fn first() -> u32 {
    1
}

/// The text, where there is one.
pub fn text<'t>(text: &'t Option<Text<'_>>) -> Option<&'t str> {
    text.as_ref().map(Text::as_str)
}

impl Logged<'_> {
    /// Reads a line's JSON. `layout` is that of the last line.
    ///
    /// # Errors
    ///
    /// It is no line of `decisions`, or of a version that isn't known here.
    pub fn read<'l>(json: &'l [u8], layout: &mut Layout) -> anyhow::Result<Logged<'l>> {
        let mut line: Logged<'l> =
            members::read(json, layout).context("expected a line of the log 'decisions' (JSON), but found another")?;
        anyhow::ensure!(
            (1..=SCHEMA).contains(&line.v),
            "expected a line of version 1 to {SCHEMA}, but found version {}",
            line.v
        );
        line.role = line.role.or(line.arm.take());
        Ok(line)
    }

    /// Whether these rules decided it.
    pub fn is_of(&self, which: &Which) -> bool {
        match which {
            // A folder has no name that a line could have: the line is taken at its word.
            Which::Folder => self.role.is_some() || self.revision.is_some(),
            Which::Bare => self.role.is_some() && self.revision.is_none(),
            Which::Revision(name) => text(&self.revision) == Some(name),
        }
    }

    /// When the request came.
    pub fn at(&self) -> Option<Micros> {
        moment::read(self.time.as_str())
    }

    /// The line as it is decided again.
    pub fn line(&self, at: Micros) -> Line<'_> {
        let object = |raw: Option<Raw<'_>>| -> Map<String, Value> {
            raw.and_then(|raw| serde_json::from_str(raw.0).ok()).unwrap_or_default()
        };
        let mut facts = object(self.facts);
        let country = text(&self.country);
        // Where a country lies is no fact of the visitor's.
        if let Some(continent) = country.and_then(certain_continent_of)
            && !facts.contains_key("continent")
        {
            facts.insert("continent".to_owned(), continent.into());
        }
        Line {
            v: self.v,
            time: OffsetDateTime::from_unix_timestamp_nanos(i128::from(at) * 1_000).ok(),
            route: text(&self.route),
            method: self.method.as_str(),
            path: self.path.as_str(),
            region: text(&self.region),
            country,
            device: text(&self.device),
            variant: object(self.variant),
            facts,
            backend_path: text(&self.backend_path),
            has_fallen_back: self.fallback.is_some(),
            has_slot: self.slot.is_some(),
        }
    }

    /// All that a line is decided by, but for the time: lines with the same key come out alike.
    pub fn key(&self, era: u64, key: &mut Vec<u8>) {
        key.clear();
        key.extend_from_slice(&era.to_le_bytes());
        key.extend_from_slice(&[
            u8::from(self.v >= 2),
            u8::from(self.fallback.is_some()),
            u8::from(self.slot.is_some()),
        ]);
        let texts = [&self.route, &self.region, &self.country, &self.device, &self.backend_path];
        let texts = texts.into_iter().map(text);
        let raw = [self.variant, self.facts].into_iter().map(|raw| raw.map(|raw| raw.0));
        let always = [Some(self.method.as_str()), Some(self.path.as_str())];
        for part in texts.chain(raw).chain(always) {
            // A length in front: where one part ends is known.
            let length = part.map_or(u32::MAX, |part| u32::try_from(part.len()).unwrap_or(u32::MAX - 1));
            key.extend_from_slice(&length.to_le_bytes());
            key.extend_from_slice(part.unwrap_or_default().as_bytes());
        }
    }
}
