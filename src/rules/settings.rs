//! The dictionary `settings`: each with a safe default, so that an absent one serves a site correctly.

pub mod attributes;
pub mod consent;
pub mod identity;
pub mod replication;
pub mod session;
pub mod sticky;
pub mod visitor;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::fault::{self, Fault};
use consent::ConsentSettings;
use identity::IdentitySettings;
use replication::ReplicationSettings;
use session::SessionSettings;
use sticky::StickySettings;
use visitor::VisitorSettings;

/// Where a client may choose its own region (`X-Geo-Region`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum RegionOverride {
    /// Nowhere: the header is removed.
    #[default]
    None,
    /// Everywhere: for local development only.
    Any,
}

/// Who may see another arm or region than their own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum PreviewMode {
    /// Nobody.
    Off,
    /// Who holds a signed link (`personalizer preview`).
    #[default]
    Signed,
    /// Everybody, by query (`?hero=1`, as the GrowthBook specification has it): for local development only.
    Open,
}

/// How an arm that leads to another URL is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum RedirectMode {
    /// The origin is asked for the other path, the visitor's address bar stays: no exposure is lost on the way.
    #[default]
    Rewrite,
    /// The visitor is sent there with a 302.
    Redirect,
}

/// A GrowthBook SDK payload in the KV store `rules`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct GrowthBookSettings {
    /// The key under which GrowthBook's Fastly KV webhook writes it.
    pub kv_key: String,
    /// The secret that holds the decryption key, where the payload is encrypted.
    #[serde(default)]
    pub secret: Option<String>,
}

/// What is logged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct LogSettings {
    /// The share of requests with a line in `decisions`, 0 to 1.
    pub sample: f64,
    /// Whether answers carry `Server-Timing`.
    pub server_timing: bool,
    /// Attributes that an exposure's line may carry: `country`, `deviceType`, ….
    pub exposure_attributes: Vec<String>,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { sample: 1.0, server_timing: false, exposure_attributes: Vec::new() }
    }
}

/// What a request may cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Limits {
    /// Milliseconds of vCPU after which a page streams on unrewritten; the platform stops a request at 50.
    pub vcpu_ms: u64,
    /// Bytes of the largest JSON answer that is edited.
    pub json_bytes: usize,
    /// Variants that a route may have before `personalizer check` warns: each is an object of its own in every cache.
    pub max_variants: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { vcpu_ms: 30, json_bytes: 256 * 1024, max_variants: 50 }
    }
}

/// `settings`, as stored.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Settings {
    /// For editors; ignored.
    #[serde(rename = "$schema", skip_serializing)]
    pub schema: Option<String>,
    /// Where a client may choose its own region.
    pub region_override: RegionOverride,
    /// The languages that the site speaks, the preferred first (RFC 5646 tags). Without them there is no `language`.
    pub languages: Vec<String>,
    /// What is logged.
    pub log: LogSettings,
    /// How a user is known.
    pub identity: IdentitySettings,
    /// How consent is learnt.
    pub consent: ConsentSettings,
    /// The cookie of a visitor who isn't logged in.
    pub visitor: VisitorSettings,
    /// The cookie of remembered arms.
    pub sticky: StickySettings,
    /// Session records.
    pub session: SessionSettings,
    /// What the central backend may send at once.
    pub replication: ReplicationSettings,
    /// Who may see another arm or region than their own.
    pub preview: PreviewMode,
    /// How an arm that leads to another URL is shown.
    pub redirects: RedirectMode,
    /// What a request may cost.
    pub limits: Limits,
    /// Facts of the site's own, by name: from a cookie, a header, a query parameter or a claim of the proven token.
    #[cfg_attr(feature = "schema", schemars(with = "std::collections::BTreeMap<String, attributes::StoredAttribute>"))]
    pub attributes: Map<String, Value>,
    /// A GrowthBook SDK payload; the dictionaries win.
    pub growthbook: Option<GrowthBookSettings>,
}

impl Settings {
    /// Reads the dictionary; what doesn't fit is a fault, and that key keeps its default.
    pub fn read(text: &str, faults: &mut Vec<Fault>) -> Self {
        let mut remaining = Cow::Borrowed(text);
        // Each round leaves the key out that doesn't fit, so the loop ends when the keys do.
        loop {
            match fault::read::<Self>(&remaining) {
                Ok((settings, unknown)) => {
                    faults.extend(unknown.into_iter().map(|pointer| {
                        Fault::new("settings", pointer, "expected a known key, but found one that is ignored")
                    }));
                    return settings.within_bounds(faults);
                }
                Err((pointer, message)) => {
                    let mut fields: Map<String, Value> = match fault::peek(&remaining) {
                        Ok(fields) => fields,
                        Err(message) => {
                            faults.push(Fault::new("settings", "", message));
                            return Self::default();
                        }
                    };
                    if let Cow::Borrowed(_) = remaining {
                        // Of a key that stands there twice the last counts; the rules' own mistakes are found again.
                        remaining = Cow::Owned(Value::Object(fields).to_string());
                        continue;
                    }
                    let key = pointer.split('/').nth(1).unwrap_or_default().replace("~1", "/").replace("~0", "~");
                    faults.push(Fault::new("settings", pointer, message));
                    if fields.remove(&key).is_none() {
                        return Self::default();
                    }
                    remaining = Cow::Owned(Value::Object(fields).to_string());
                }
            }
        }
    }

    fn within_bounds(mut self, faults: &mut Vec<Fault>) -> Self {
        if !(0.0..=1.0).contains(&self.log.sample) {
            let message = format!("expected a number from 0 to 1, but found {}", self.log.sample);
            faults.push(Fault::new("settings", "/log/sample", message));
            self.log.sample = LogSettings::default().sample;
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bad_setting_leaves_the_others() {
        let mut faults = Vec::new();
        let settings = Settings::read(
            r#"{"languages":["fr"],"log":{"sample":"all"},"region_override":"any","langauges":[]}"#,
            &mut faults,
        );
        assert_eq!(settings.languages, ["fr"]);
        assert_eq!(settings.region_override, RegionOverride::Any);
        assert_eq!(settings.log.sample, 1.0);
        let named: Vec<_> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
        assert_eq!(named, ["/log/sample", "/langauges"]);
    }

    #[test]
    fn of_a_setting_that_stands_there_twice_the_last_counts() {
        let mut faults = Vec::new();
        let settings = Settings::read(r#"{"languages":["fr"],"log":{"sample":0.5},"languages":["de"]}"#, &mut faults);
        assert_eq!((settings.languages, settings.log.sample), (vec!["de".to_owned()], 0.5));
        assert!(faults.is_empty(), "{faults:?}");
    }

    #[test]
    fn a_file_written_twice_is_no_file() {
        let mut faults = Vec::new();
        assert!(Settings::read(r#"{"languages":["fr"]}{"languages":["de"]}"#, &mut faults).languages.is_empty());
        assert_eq!(faults.iter().map(|fault| fault.pointer.as_str()).collect::<Vec<_>>(), [""]);
    }

    #[test]
    fn a_sample_out_of_range_is_a_fault() {
        let mut faults = Vec::new();
        assert_eq!(Settings::read(r#"{"log":{"sample":-2}}"#, &mut faults).log.sample, 1.0);
        assert_eq!(faults.len(), 1);
    }
}
