//! `settings.attributes`: facts of the site's own, each declared with where it comes from, its type and its bounds.
//!
//! ```json
//! { "customerGroup": { "cookie": "customer_group", "values": ["retail", "business"] },
//!   "store":         { "header": "X-Store", "trusted": true },
//!   "points":        { "claim": "points", "type": "number" } }
//! ```

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::attributes::{self, FactSet, MAX_OWN};
use crate::rules::fault::{self, Fault};
use crate::wire::cookies::is_token;

/// Bytes of a value where the declaration says nothing.
const USUAL_BYTES: usize = 64;
/// Bytes of a value, whatever the declaration says: it may go into a header.
const MOST_BYTES: usize = 256;
/// Members of a list.
pub const MOST_MEMBERS: usize = 16;
/// Characters of a name.
const LONGEST_NAME: usize = 32;
/// First words of templates, which no attribute may take.
const TAKEN: [&str; 5] = ["feature", "experiment", "user", "attribute", "edge"];

/// What kind of value a declared attribute has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum OwnKind {
    /// Text.
    #[default]
    #[serde(rename = "text")]
    Text,
    /// A number.
    #[serde(rename = "number")]
    Number,
    /// `true` or `false`, `1` or `0`.
    #[serde(rename = "true/false")]
    Truth,
    /// Texts, separated by commas; in a claim, a list of texts.
    #[serde(rename = "list")]
    List,
}

/// A declaration, as stored. Exactly one of `cookie`, `header`, `query` and `claim` says where the value comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct StoredAttribute {
    /// The cookie that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cookie: Option<String>,
    /// The request header that holds it. On a shared route it counts only where `cache.key_headers` names the header too, or with
    /// `trusted`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// The query parameter that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// The claim of the proven JSON Web Token that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claim: Option<String>,
    /// What kind of value it is.
    #[serde(rename = "type")]
    pub kind: OwnKind,
    /// The values that count; any within the bounds where there are none.
    pub values: Vec<String>,
    /// Bytes of the longest value that counts, at most 256.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<usize>,
    /// Whether it tells one visitor from the others: then it is known only with consent, and never shared. A claim does unless this says
    /// `false`, the others don't unless it says `true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identifies: Option<bool>,
    /// For a header: the hop in front of the service sets it or removes it, so that no client can forge it.
    pub trusted: bool,
}

/// Where the value of a declared attribute comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A cookie.
    Cookie(String),
    /// A request header.
    Header(http::HeaderName),
    /// A query parameter.
    Query(String),
    /// A claim of the proven token.
    Claim(String),
}

/// A declared attribute, ready to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnAttribute {
    /// Its name.
    pub name: String,
    /// Where its value comes from.
    pub origin: Origin,
    /// What kind of value it has.
    pub kind: OwnKind,
    /// The values that count; any where there are none.
    pub values: Vec<String>,
    /// Bytes of the longest value.
    pub max_bytes: usize,
    /// Whether it tells one visitor from the others.
    pub identifies: bool,
    /// Whether the hop in front vouches for the header.
    pub trusted: bool,
}

/// All attributes that a site declares, in the order of their names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OwnAttributes(Vec<OwnAttribute>);

impl OwnAttributes {
    /// Prepares `settings.attributes`. A declaration that can't be used is left out and named; nobody has that attribute then.
    pub fn compile(stored: &Map<String, Value>, faults: &mut Vec<Fault>) -> Self {
        let mut own = Vec::new();
        for (name, value) in stored {
            let pointer = format!("/attributes/{}", fault::escape(name));
            let compiled = fault::read::<StoredAttribute>(&value.to_string()).and_then(|(stored, unknown)| {
                for below in unknown {
                    let message = "expected a known key, but found one that is ignored";
                    faults.push(Fault::new("settings", format!("{pointer}{below}"), message));
                }
                OwnAttribute::compile(name, stored).map_err(|(field, message)| (field.to_owned(), message))
            });
            match compiled {
                Ok(_) if own.len() >= MAX_OWN => {
                    let message = format!("expected at most {MAX_OWN} attributes, but found more");
                    faults.push(Fault::new("settings", pointer, message));
                }
                Ok(attribute) => own.push(attribute),
                Err((below, message)) => faults.push(Fault::new("settings", format!("{pointer}{below}"), message)),
            }
        }
        own.sort_by(|one, other| one.name.cmp(&other.name));
        Self(own)
    }

    /// The attributes, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &OwnAttribute> {
        self.0.iter()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Place and declaration of the attribute called `name`.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<(usize, &OwnAttribute)> {
        let place = self.0.binary_search_by(|attribute| attribute.name.as_str().cmp(name)).ok()?;
        Some((place, self.0.get(place)?))
    }

    /// The attribute called `name`, of the service's own or of the site's, as a set; empty where nobody has it.
    #[must_use]
    pub fn facts(&self, name: &str) -> FactSet {
        let known = FactSet::of(name);
        if known.is_empty() { self.find(name).map_or(FactSet::NONE, |(place, _)| FactSet::own(place)) } else { known }
    }

    /// The claims that they come from.
    #[must_use]
    pub fn claims(&self) -> Vec<String> {
        let claim = |own: &OwnAttribute| match &own.origin {
            Origin::Claim(name) => Some(name.clone()),
            _ => None,
        };
        self.0.iter().filter_map(claim).collect()
    }

    /// Those for which `holds` says so.
    pub fn facts_where(&self, holds: impl Fn(&OwnAttribute) -> bool) -> FactSet {
        self.0.iter().enumerate().filter(|(_, own)| holds(own)).map(|(place, _)| FactSet::own(place)).collect()
    }
}

impl OwnAttribute {
    /// Gives the field at fault and the wording.
    fn compile(name: &str, stored: StoredAttribute) -> Result<Self, (&'static str, String)> {
        let plain = name.len() <= LONGEST_NAME
            && name.starts_with(|first: char| first.is_ascii_alphabetic())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !plain {
            let message = format!("expected a name of 1 to {LONGEST_NAME} of A-Z a-z 0-9 _, but found '{name}'");
            return Err(("", message));
        }
        if attributes::find(name).is_some() || TAKEN.contains(&name) {
            return Err(("", format!("expected a name of its own, but found '{name}', which the service has")));
        }
        let named = |text: String, field: &'static str| match is_token(&text) {
            true => Ok(text),
            false => Err((field, format!("expected a name without spaces, but found '{text}'"))),
        };
        let origin = match (stored.cookie, stored.header, stored.query, stored.claim) {
            (Some(cookie), None, None, None) => Origin::Cookie(named(cookie, "/cookie")?),
            (None, Some(header), None, None) => {
                let name = http::HeaderName::from_bytes(header.as_bytes()).ok();
                let name = name.filter(|name| !crate::wire::headers::is_reserved(name));
                let wrong = || ("/header", format!("expected a header that a client may send, but found '{header}'"));
                Origin::Header(name.ok_or_else(wrong)?)
            }
            (None, None, Some(query), None) if !query.is_empty() => Origin::Query(query),
            (None, None, None, Some(claim)) if !claim.is_empty() => Origin::Claim(claim),
            _ => {
                return Err((
                    "",
                    "expected one of cookie, header, query and claim, but found none or several".to_owned(),
                ));
            }
        };
        let max_bytes = stored.max_bytes.unwrap_or(USUAL_BYTES);
        if !(1..=MOST_BYTES).contains(&max_bytes) {
            return Err(("/max_bytes", format!("expected 1 to {MOST_BYTES}, but found {max_bytes}")));
        }
        if stored.trusted && !matches!(origin, Origin::Header(_)) {
            return Err(("/trusted", "expected this on a header alone, but found it on something else".to_owned()));
        }
        let identifies = stored.identifies.unwrap_or(matches!(origin, Origin::Claim(_)));
        let (name, kind, values, trusted) = (name.to_owned(), stored.kind, stored.values, stored.trusted);
        Ok(Self { name, origin, kind, values, max_bytes, identifies, trusted })
    }

    /// The value that a text means: `None` where it is none of this attribute's.
    #[must_use]
    pub fn read(&self, text: &str) -> Option<Value> {
        let text = text.trim();
        if text.is_empty() || text.len() > self.max_bytes || text.chars().any(char::is_control) {
            return None;
        }
        match self.kind {
            OwnKind::Text => self.allows(text).then(|| Value::from(text)),
            OwnKind::Number => text.parse::<f64>().ok().filter(|number| number.is_finite()).map(Value::from),
            OwnKind::Truth => match text {
                "true" | "1" => Some(Value::Bool(true)),
                "false" | "0" => Some(Value::Bool(false)),
                _ => None,
            },
            OwnKind::List => {
                let members = text.split(',').map(str::trim).filter(|member| !member.is_empty() && self.allows(member));
                let members: Vec<Value> = members.take(MOST_MEMBERS).map(Value::from).collect();
                (!members.is_empty()).then_some(Value::Array(members))
            }
        }
    }

    /// The value that a claim means; a claim has a type of its own.
    #[must_use]
    pub fn read_claim(&self, claim: &Value) -> Option<Value> {
        match (claim, self.kind) {
            (Value::String(text), _) => self.read(text),
            (Value::Number(number), OwnKind::Number) => number.as_f64().map(Value::from),
            (Value::Number(number), OwnKind::Text) => self.read(&number.to_string()),
            (Value::Bool(_), OwnKind::Truth) => Some(claim.clone()),
            (Value::Array(members), OwnKind::List) => {
                let texts = members.iter().filter_map(Value::as_str);
                let texts = texts.filter(|text| !text.is_empty() && text.len() <= self.max_bytes && self.allows(text));
                let members: Vec<Value> = texts.take(MOST_MEMBERS).map(Value::from).collect();
                (!members.is_empty()).then_some(Value::Array(members))
            }
            _ => None,
        }
    }

    fn allows(&self, text: &str) -> bool {
        self.values.is_empty() || self.values.iter().any(|value| value == text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn compiled(stored: Value) -> (OwnAttributes, Vec<String>) {
        let mut faults = Vec::new();
        let own = OwnAttributes::compile(stored.as_object().unwrap(), &mut faults);
        (own, faults.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn each_declaration_counts_or_is_named() {
        let (own, faults) = compiled(json!({
            "group": { "cookie": "customer_group", "values": ["retail", "business"] },
            "points": { "claim": "points", "type": "number" },
            "country": { "cookie": "c" },
            "two": { "cookie": "a", "query": "b" },
            "forged": { "header": "X-User-ID" },
            "long": { "query": "q", "max_bytes": 1000 },
            "typed": { "query": "q", "type": "date" },
            "a b": { "query": "q" },
        }));
        assert_eq!(own.iter().map(|own| own.name.as_str()).collect::<Vec<_>>(), ["group", "points"]);
        assert_eq!(faults.len(), 6, "{faults:#?}");
        assert!(own.facts("group").meets(FactSet::own(0)) && own.facts("nobody").is_empty());
        assert_eq!(own.facts_where(|own| own.identifies), FactSet::own(1));
    }

    #[test]
    fn only_values_within_the_bounds_count() {
        let (own, _) = compiled(json!({
            "group": { "cookie": "g", "values": ["retail"] }, "count": { "query": "c", "type": "number" },
            "on": { "query": "o", "type": "true/false" }, "tags": { "query": "t", "type": "list" },
        }));
        let read = |name: &str, text: &str| own.find(name).unwrap().1.read(text);
        assert_eq!(read("group", "retail"), Some(json!("retail")));
        assert_eq!(read("group", "other"), None);
        assert_eq!(read("count", "1e3"), Some(json!(1000.0)));
        assert_eq!(read("count", "inf"), None);
        assert_eq!(read("on", "1"), Some(json!(true)));
        assert_eq!(read("on", "yes"), None);
        assert_eq!(read("tags", "a, b,,c"), Some(json!(["a", "b", "c"])));
        assert_eq!(read("tags", &"x".repeat(65)), None);
        assert_eq!(own.find("tags").unwrap().1.read_claim(&json!(["a", 1, "b"])), Some(json!(["a", "b"])));
    }
}
