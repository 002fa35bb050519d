//! A line of `decisions`, as a replay reads it.

use anyhow::Context as _;
use edge_personalizer::record::SCHEMA;
use edge_personalizer::replay::Line;
use serde::Deserialize;
use serde_json::{Map, Value};
use time::OffsetDateTime;

use super::By;
use crate::countries::certain_continent_of;
use crate::diff::side::Which;
use crate::report::lines::Text;
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
        is_decided_by(which, text(&self.revision), self.role.is_some())
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
}

/// Whether a line with this revision, and with a role or without, was decided by these rules.
fn is_decided_by(which: &Which, revision: Option<&str>, has_role: bool) -> bool {
    match which {
        // A folder has no name that a line could have: the line is taken at its word.
        Which::Folder => has_role || revision.is_some(),
        Which::Bare => has_role && revision.is_none(),
        Which::Revision(name) => revision == Some(name),
    }
}

/// The members that a line is looked at for before it is known whether one like it was decided already: those that it is decided by come
/// last.
const MEMBERS: [&str; 21] = [
    "v",
    "time",
    "request_id",
    "pop",
    "revision",
    "role",
    "arm",
    "preview",
    "pass",
    "sample",
    "fallback",
    "slot",
    "route",
    "method",
    "path",
    "region",
    "country",
    "device",
    "variant",
    "facts",
    "backend_path",
];

/// A line at first sight: of which kind it is, each value as it is written. Most lines are like one that was decided already, and need no
/// more.
#[derive(Debug)]
pub struct Sight<'l> {
    /// When the request came.
    pub at: Micros,
    /// The request's id, as JSON.
    pub request_id: Option<&'l str>,
    /// 1, or more for a shield's pass.
    pub pass: u8,
    /// What was chosen by hand.
    pub preview: bool,
    /// The rate that kept the line.
    pub sample: Option<f64>,
    revision: Option<Text<'l>>,
    has_role: bool,
    is_later_version: bool,
    has_fallback: bool,
    has_slot: bool,
    pop: &'l str,
    /// What it is decided by: `route` and what follows it.
    decided_by: [&'l str; 9],
}

impl<'l> Sight<'l> {
    /// Looks at a line's JSON. `layout` is that of the last line. `None`: it is no line of `decisions`, or of a version that isn't known here.
    /// What it is decided by is looked into when it is decided.
    pub fn of(json: &'l [u8], layout: &mut Layout) -> Option<Self> {
        let found = members::spans(json, &MEMBERS, layout).ok()?;
        let [v, time, request_id, pop, revision, role, arm, preview, pass, sample, fallback, slot, decided_by @ ..] =
            found;
        let said = |value: &'l str| Some(value).filter(|value| !value.is_empty() && *value != "null");
        let is_text_or_none = |value| said(value).is_none_or(|value| members::text(value).is_some());
        let v = if v.is_empty() { 1 } else { members::whole(v.as_bytes())? };
        let is_known = (1..=u64::from(SCHEMA)).contains(&v);
        if !is_known || ![request_id, pop, role, arm, fallback].into_iter().all(is_text_or_none) {
            return None;
        }
        let slot = said(slot).map(|slot| members::whole(slot.as_bytes()).and_then(|slot| u32::try_from(slot).ok()));
        Some(Self {
            at: moment::read(members::text(time)?.as_str())?,
            request_id: said(request_id),
            pass: if pass.is_empty() { 1 } else { pass.parse().ok()? },
            preview: if preview.is_empty() { false } else { preview.parse().ok()? },
            sample: said(sample).map(str::parse).transpose().ok()?,
            revision: said(revision).map(|revision| members::text(revision).ok_or(())).transpose().ok()?,
            has_role: said(role).or(said(arm)).is_some(),
            is_later_version: v >= 2,
            has_fallback: said(fallback).is_some(),
            has_slot: slot.map(|slot| slot.ok_or(())).transpose().ok()?.is_some(),
            pop,
            decided_by,
        })
    }

    /// Whether these rules decided it.
    pub fn is_of(&self, which: &Which) -> bool {
        is_decided_by(which, text(&self.revision), self.has_role)
    }

    /// What a line is counted by, where it says so.
    pub fn value(&self, by: By) -> Option<Text<'l>> {
        let [route, _, _, _, country, ..] = self.decided_by;
        members::text(match by {
            By::Country => country,
            By::Route => route,
            By::Pop => self.pop,
        })
    }

    /// All that a line is decided by, but for the time, as it is written: lines with the same key come out alike.
    pub fn key(&self, era: u64, key: &mut Vec<u8>) {
        key.clear();
        key.extend_from_slice(&era.to_le_bytes());
        key.extend([self.is_later_version, self.has_fallback, self.has_slot].map(u8::from));
        for value in self.decided_by {
            key.extend_from_slice(value.as_bytes());
            // Stands in no value's text.
            key.push(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_seen_where_it_can_be_read_and_as_it_is_read() {
        let line = |more: &str| {
            format!(r#"{{"v":2,"time":"2026-11-24T04:00:00Z","method":"GET","path":"/a","role":"active"{more}}}"#)
        };
        let mut layout = Layout::default();
        for more in [
            "",
            r#","revision":"r\u0031","slot":7,"sample":0.25,"preview":true,"pass":2"#,
            r#","revision":null,"slot":null,"sample":null,"fallback":null,"request_id":null,"pop":null"#,
            r#","fallback":"status-503","arm":"canary""#,
            r#", "revision" : "r1" , "more":{"revision":"no"}"#,
            r#","slot":-1"#,
            r#","slot":"7""#,
            r#","slot":4294967296"#,
            r#","role":"\ud800""#,
            ",\"facts\":{\"q\":\"a\u{7f}\"}",
            r#","sample":"1""#,
            r#","preview":null"#,
            r#","preview":1"#,
            r#","pass":null"#,
            r#","pass":300"#,
            r#","revision":7"#,
            r#","fallback":5"#,
            r#","request_id":[]"#,
            r#","pop":{}"#,
            r#","arm":true"#,
            r#","v":2"#,
            r#","role":"canary""#,
            r#","sample":0.5"#,
            r#","time":"late""#,
        ] {
            let line = line(more);
            let read = Logged::read(line.as_bytes(), &mut Layout::default()).ok();
            let read =
                read.and_then(|read| Some((read.at()?, read.preview, read.is_of(&Which::Revision("r1".into())))));
            let seen = Sight::of(line.as_bytes(), &mut layout);
            let seen = seen.map(|seen| (seen.at, seen.preview, seen.is_of(&Which::Revision("r1".into()))));
            // What nobody reads but the first sight is of its type there.
            let at_first_sight = [r#""sample":"1""#, r#""pass""#, r#""request_id":[]"#, r#""pop":{}"#];
            if at_first_sight.iter().any(|of| more.contains(of)) && !more.contains("\"pass\":2") {
                assert_eq!(seen, None, "{line}");
            } else {
                assert_eq!(seen, read, "{line}");
            }
        }
        for cut in ["", "{", r#"{"v":2,"time":"2026-11-24T04:00:00Z","path":"/a","#, "null"] {
            assert!(Sight::of(cut.as_bytes(), &mut layout).is_none(), "{cut}");
        }
    }

    #[test]
    fn what_a_line_is_decided_by_tells_it_from_others() {
        let base =
            r#"{"time":"2026-11-24T04:00:00Z","method":"GET","path":"/a","route":"r","variant":{"a":"1"},"facts":{}}"#;
        let key = |line: &str, era: u64| {
            let mut key = Vec::new();
            Sight::of(line.as_bytes(), &mut Layout::default()).unwrap().key(era, &mut key);
            key
        };
        let same = base.replace("04:00:00Z", "05:00:00Z").replacen('{', "{\"pop\":\"FRA\",", 1);
        assert_eq!(key(&same, 1), key(base, 1));
        assert_ne!(key(base, 2), key(base, 1), "another era");
        for (from, to) in [
            ("/a", "/b"),
            ("GET", "POST"),
            (r#""route":"r""#, r#""route":null"#),
            (r#""a":"1""#, r#""a":"2""#),
            (r#""facts":{}"#, r#""facts":{"x":1}"#),
            (r#""route":"r""#, r#""route":"r","fallback":"body""#),
            (r#""route":"r""#, r#""route":"r","slot":1"#),
            (r#""route":"r""#, r#""route":"r","v":2"#),
            (r#""route":"r""#, r#""region":"r""#),
        ] {
            let other = base.replace(from, to);
            assert_ne!(key(&other, 1), key(base, 1), "{other}");
        }
    }
}
