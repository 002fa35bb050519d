//! `settings.hosts`: several sites on one service. A host has its own languages, consent, cookies, identity and default region; the rest
//! is the same everywhere.
//!
//! A host's members are merged into the site's own settings (JSON Merge Patch, RFC 7396: `null` takes a member back to its default), and the
//! whole is read as any other settings are. What can't be read means the strictest for that host.

use std::rc::Rc;

use serde_json::{Map, Value};

use super::Settings;
use super::consent::{ConsentSettings, kind_of};
use super::identity::IdentitySettings;
use crate::rules::fault::{self, Fault};
use crate::rules::host_pattern::HostPattern;

/// Hosts that one service may have settings for: each is a set of settings that a cold sandbox reads.
pub const MOST: usize = 16;
/// What a host may have for itself, of the settings.
pub const MEMBERS: [&str; 5] = ["languages", "consent", "visitor", "sticky", "identity"];
/// And the region of its visitors who match none.
pub const DEFAULT_REGION: &str = "default_region";

/// What a host may say for itself; `settings.hosts`.
#[cfg(feature = "schema")]
#[derive(Debug, Clone, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct HostSettings {
    /// The languages that the site speaks on this host.
    pub languages: Option<Vec<String>>,
    /// How consent is learnt on this host: these members, and the others as everywhere.
    pub consent: Option<ConsentSettings>,
    /// The visitor's cookie on this host: these members, and the others as everywhere.
    pub visitor: Option<super::VisitorSettings>,
    /// The cookie of remembered variations on this host.
    pub sticky: Option<super::StickySettings>,
    /// How a user is known on this host: these members, and the others as everywhere.
    pub identity: Option<IdentitySettings>,
    /// The id of the region for this host's visitors who match none.
    pub default_region: Option<String>,
}

/// The settings of one host, or of all hosts below a domain.
#[derive(Debug, Clone, PartialEq)]
pub struct HostRules {
    pattern: HostPattern,
    /// As it stands in the settings.
    pub name: String,
    /// What it says for itself.
    own: Map<String, Value>,
    /// The settings there.
    pub settings: Rc<Settings>,
    /// The id of the default region there; `None`: as everywhere.
    pub default_region: Option<String>,
}

/// Reads `settings.hosts` (`stored`) over the site's own settings: `fields` as stored, `site` as read. Every mistake is a fault of `settings`.
/// Where nobody can tell which hosts are meant, the site's own settings become the strictest.
pub(super) fn read(stored: &Value, fields: &Map<String, Value>, site: &mut Settings, faults: &mut Vec<Fault>) {
    let Some(hosts) = stored.as_object() else {
        let message = format!("expected an object, but found {}", kind_of(stored));
        faults.push(Fault::new("settings", "/hosts", message));
        be_strict(site);
        return;
    };
    let mut read: Vec<HostRules> = Vec::new();
    let mut protects_somebody = false;
    for (name, own) in hosts.iter().filter(|(name, _)| *name != "$comment") {
        let at = format!("/hosts/{}", fault::escape(name));
        let pattern = match HostPattern::parse(name) {
            Ok(pattern) => pattern,
            Err(message) => {
                faults.push(Fault::new("settings", at, message));
                // Nobody can tell whom it protects.
                protects_somebody |= ["consent", "identity"].iter().any(|member| own.get(member).is_some());
                continue;
            }
        };
        let mut settings = Settings { hosts: Vec::new(), ..site.clone() };
        let mut default_region = None;
        let members = own.as_object();
        match members {
            _ if read.len() >= MOST => {
                faults.push(Fault::new("settings", at, format!("expected at most {MOST} hosts, but found more")));
                be_strict(&mut settings);
            }
            Some(_) if read.iter().any(|known| known.pattern == pattern) => {
                let message = "expected each host once, but found another key for the same host".to_owned();
                faults.push(Fault::new("settings", at, message));
                be_strict(&mut settings);
            }
            Some(own) => {
                settings = merged(own, fields, &at, faults);
                default_region = region_of(own, &at, faults);
            }
            None => {
                faults.push(Fault::new("settings", at, format!("expected an object, but found {}", kind_of(own))));
                be_strict(&mut settings);
            }
        }
        let own = members.cloned().unwrap_or_default();
        read.push(HostRules { pattern, name: name.clone(), own, settings: Rc::new(settings), default_region });
    }
    site.hosts = read;
    if protects_somebody {
        be_strict(site);
    }
}

/// What protects a visitor becomes the strictest: nobody has agreed, and nobody is known.
fn be_strict(settings: &mut Settings) {
    settings.consent = ConsentSettings::strictest();
    settings.identity = IdentitySettings { header: false, jwt: None, ..settings.identity.clone() };
}

/// The settings of a host: its own members over the site's. Names what is wrong with its own.
fn merged(own: &Map<String, Value>, fields: &Map<String, Value>, at: &str, faults: &mut Vec<Fault>) -> Settings {
    let mut fields = fields.clone();
    for (name, value) in own {
        if MEMBERS.contains(&name.as_str()) {
            merge(fields.entry(name.clone()).or_insert(Value::Null), value);
        } else if name != DEFAULT_REGION && name != "$comment" {
            let message =
                format!("expected one of {} and {DEFAULT_REGION}, but found a key that is ignored", MEMBERS.join(", "));
            faults.push(Fault::new("settings", format!("{at}/{}", fault::escape(name)), message));
        }
    }
    // Reset to the default, and not to `null`, which isn't one of each.
    fields.retain(|_, value| !value.is_null());
    let mut found = Vec::new();
    let settings = Settings::read_fields(fields, &mut found);
    // What is wrong with the site's own members is named once, at their own place.
    let is_own = |fault: &Fault| is_own(own, &fault.pointer);
    faults.extend(found.into_iter().filter(is_own).map(|fault| fault.within(at)));
    settings
}

/// Whether the member at `pointer` is the host's own: all of its steps that exist anywhere exist there.
fn is_own(own: &Map<String, Value>, pointer: &str) -> bool {
    let mut steps = pointer.split('/').skip(1);
    let first = steps.next().map(|step| step.replace("~1", "/").replace("~0", "~"));
    let Some(member) = first.and_then(|name| own.get(&name)) else { return false };
    match (member.as_object(), steps.next()) {
        (Some(members), Some(step)) => members.contains_key(&step.replace("~1", "/").replace("~0", "~")),
        _ => true,
    }
}

/// JSON Merge Patch (RFC 7396, section 2).
pub fn merge(target: &mut Value, with: &Value) {
    let Some(members) = with.as_object() else {
        *target = with.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Some(inner) = target.as_object_mut() else { return };
    for (name, value) in members {
        if value.is_null() {
            inner.remove(name);
        } else {
            merge(inner.entry(name.clone()).or_insert(Value::Null), value);
        }
    }
}

fn region_of(own: &Map<String, Value>, at: &str, faults: &mut Vec<Fault>) -> Option<String> {
    let stored = own.get(DEFAULT_REGION).filter(|value| !value.is_null())?;
    let region = stored.as_str().map(str::to_owned);
    if region.is_none() {
        let message =
            format!("expected the id of a region, but found {}; the site's default region counts", kind_of(stored));
        faults.push(Fault::new("settings", format!("{at}/{DEFAULT_REGION}"), message));
    }
    region
}

/// Hosts as the settings store them: each with what it has for itself at the end.
pub(super) fn write<S: serde::Serializer>(hosts: &[HostRules], to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(hosts.iter().map(|host| (&host.name, host.effective())))
}

/// Hosts are read after the rest, over it.
pub(super) fn none<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<HostRules>, D::Error> {
    <serde::de::IgnoredAny as serde::Deserialize>::deserialize(from).map(|_| Vec::new())
}

impl HostRules {
    /// How closely the entry is for `host` (in lower case, without a port); `None` where it isn't for it.
    #[must_use]
    pub fn fits(&self, host: &str) -> Option<usize> {
        self.pattern.fits(host)
    }

    /// A host that the entry is for.
    #[cfg(feature = "tools")]
    #[must_use]
    pub fn example(&self) -> String {
        self.pattern.example()
    }

    /// Whether what stands at `pointer` of its settings is its own, and not the site's.
    #[must_use]
    pub fn is_own(&self, pointer: &str) -> bool {
        is_own(&self.own, pointer)
    }

    /// Where the entry stands in the settings: a JSON pointer.
    #[must_use]
    pub fn pointer(&self) -> String {
        format!("/hosts/{}", fault::escape(&self.name))
    }

    /// What the host ends up with: each member that it may have for itself, as it is there.
    #[must_use]
    pub fn effective(&self) -> Map<String, Value> {
        let of_site = serde_json::to_value(&*self.settings).unwrap_or_default();
        let member = |name: &str| Some((name.to_owned(), of_site.get(name)?.clone()));
        let region = self.default_region.clone().map(|region| (DEFAULT_REGION.to_owned(), region.into()));
        MEMBERS.into_iter().filter_map(member).chain(region).collect()
    }
}
