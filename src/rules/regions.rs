//! The dictionary `regions`: geography → region, first match wins (design.md section 3.2).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::fault::{self, Fault};
use crate::condition::{Attributes, Condition, Groups, PatternBudget};

/// A region as rules and templates see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Region {
    /// In logs, headers and conditions: `EU-WEST`.
    pub id: String,
    /// In paths: `europe`.
    pub slug: String,
}

impl Default for Region {
    fn default() -> Self {
        Self { id: "DEFAULT_REGION".to_owned(), slug: "global".to_owned() }
    }
}

/// One entry of the list, as stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StoredRegion {
    /// In logs, headers and conditions.
    pub id: String,
    /// In paths.
    pub slug: String,
    /// Which visitors; without it, all.
    #[serde(default)]
    pub when: Option<serde_json::Value>,
}

/// The compiled dictionary.
#[derive(Debug, Default)]
pub struct Regions {
    /// Where nothing matches: no geolocation, a private address, an unknown country.
    pub default: Region,
    list: Vec<(Region, Option<Condition>)>,
    attributes: BTreeSet<String>,
}

#[derive(Deserialize)]
struct Stored<'a> {
    #[serde(default, borrow)]
    default: Option<&'a serde_json::value::RawValue>,
    #[serde(default, borrow)]
    regions: Vec<&'a serde_json::value::RawValue>,
}

impl Regions {
    /// Reads the dictionary; a region that can't be used is left out and named.
    pub fn read(text: &str, faults: &mut Vec<Fault>) -> Self {
        let mut regions = Self::default();
        let stored: Stored<'_> = match fault::peek(text) {
            Ok(stored) => stored,
            Err(message) => {
                faults.push(Fault::new("regions", "", message));
                return regions;
            }
        };
        let mut note = |pointer: String, message: String| faults.push(Fault::new("regions", pointer, message));
        if let Some(default) = stored.default {
            match fault::read::<Region>(default.get()) {
                Ok((region, _)) if is_region(&region) => regions.default = region,
                Ok(_) => note("/default".to_owned(), NOT_A_REGION.to_owned()),
                Err((pointer, message)) => note(format!("/default{pointer}"), message),
            }
        }
        let mut patterns = PatternBudget::default();
        for (index, raw) in stored.regions.into_iter().enumerate() {
            let at = format!("/regions/{index}");
            let (entry, unknown) = match fault::read::<StoredRegion>(raw.get()) {
                Ok(read) => read,
                Err((pointer, message)) => {
                    note(format!("{at}{pointer}"), message);
                    continue;
                }
            };
            for pointer in unknown {
                note(format!("{at}{pointer}"), "expected a known key, but found one that is ignored".to_owned());
            }
            let compiled = entry.when.as_ref().map(|when| Condition::compile_within(when, &mut patterns));
            let when = match compiled.transpose() {
                Ok(when) => {
                    for fault in when.iter().flat_map(Condition::faults) {
                        note(format!("{at}/when{}", fault.pointer), fault.message.clone());
                    }
                    when
                }
                Err(error) => {
                    note(format!("{at}/when{}", error.pointer), error.message);
                    continue;
                }
            };
            let region = Region { id: entry.id, slug: entry.slug };
            if is_region(&region) {
                let used = when.iter().flat_map(Condition::attributes_used);
                regions.attributes.extend(used.map(str::to_owned));
                regions.list.push((region, when));
            } else {
                note(at, NOT_A_REGION.to_owned());
            }
        }
        regions
    }

    /// The first region that holds for `attributes`; `None` where the default applies.
    pub fn resolve(&self, attributes: &dyn Attributes, groups: &Groups) -> Option<&Region> {
        self.list
            .iter()
            .find(|(_, when)| when.as_ref().is_none_or(|when| when.matches(attributes, groups)))
            .map(|(region, _)| region)
    }

    /// The attributes (at the top level) that some region's condition reads, sorted.
    pub fn attributes_used(&self) -> impl Iterator<Item = &str> {
        self.attributes.iter().map(String::as_str)
    }

    /// The region called `id`.
    pub fn by_id(&self, id: &str) -> Option<&Region> {
        self.all().find(|region| region.id == id)
    }

    /// Every region, the default last.
    pub fn all(&self) -> impl Iterator<Item = &Region> {
        self.list.iter().map(|(region, _)| region).chain([&self.default])
    }

    /// The list with its conditions, in the order in which they are tried.
    pub fn entries(&self) -> impl Iterator<Item = (&Region, Option<&Condition>)> {
        self.list.iter().map(|(region, when)| (region, when.as_ref()))
    }
}

/// Longest id or slug: they go into headers and keys.
const MAX_NAME: usize = 64;
const NOT_A_REGION: &str = "expected an id and a slug of 1 to 64 of A-Z a-z 0-9 . _ -, but found others";

fn is_region(region: &Region) -> bool {
    [&region.id, &region.slug].into_iter().all(|name| {
        (1..=MAX_NAME).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
            && !name.trim_matches('.').is_empty()
    })
}
