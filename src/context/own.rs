//! The values of the attributes that a site declares (`settings.attributes`).

use serde_json::Value as Json;

use super::person::Person;
use crate::admit::RequestHead;
use crate::condition::Value;
use crate::rules::settings::attributes::{Origin, OwnAttribute, OwnAttributes};
use crate::wire::cookies::Cookies;
use crate::wire::query::pairs;

/// One visitor's values, in the order of the declarations.
#[derive(Debug, Default)]
pub struct OwnValues(Vec<OwnValue>);

#[derive(Debug)]
struct OwnValue {
    name: String,
    json: Option<Json>,
    /// The header that it comes from, where nobody vouches for it.
    unproven: Option<http::HeaderName>,
}

impl OwnValues {
    /// Reads the values of one request. What identifies is read only where the visitor may be identified.
    pub fn read(own: &OwnAttributes, head: &RequestHead, person: &Person) -> Self {
        let value = |own: &OwnAttribute| OwnValue {
            name: own.name.clone(),
            json: if own.identifies && !person.permissions.identify { None } else { read(own, head, person) },
            unproven: match &own.origin {
                Origin::Header(name) if !own.trusted => Some(name.clone()),
                _ => None,
            },
        };
        Self(own.iter().map(value).collect())
    }

    fn find(&self, name: &str) -> Option<&OwnValue> {
        self.0.iter().find(|value| value.name == name)
    }

    /// The value of the attribute called `name`.
    pub fn get(&self, name: &str) -> Option<Value<'_>> {
        self.find(name)?.json.as_ref().map(Value::from)
    }

    /// The header that the attribute called `name` comes from, where any client may send it.
    pub fn unproven_header(&self, name: &str) -> Option<&http::HeaderName> {
        self.find(name)?.unproven.as_ref()
    }

    /// Whether the site declares an attribute of this name.
    #[cfg(feature = "tools")]
    pub fn declares(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// Sets the value of a declared attribute.
    #[cfg(feature = "tools")]
    pub fn set(&mut self, name: &str, json: Option<Json>) {
        if let Some(value) = self.0.iter_mut().find(|value| value.name == name) {
            value.json = json;
        }
    }

    /// The values that there are, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Json)> {
        self.0.iter().filter_map(|value| Some((value.name.as_str(), value.json.as_ref()?)))
    }
}

fn read(own: &OwnAttribute, head: &RequestHead, person: &Person) -> Option<Json> {
    match &own.origin {
        Origin::Cookie(name) => own.read(&percent_decoded(Cookies::of(&head.headers).get(name)?)),
        Origin::Header(name) => {
            let mut lines = head.headers.get_all(name).iter();
            let first = lines.next()?.to_str().ok()?;
            // Two of a kind say nothing.
            if lines.next().is_some() { None } else { own.read(first) }
        }
        Origin::Query(name) => {
            let (_, value) = pairs(head.query.as_deref()?).find(|(known, _)| known == name)?;
            own.read(&value)
        }
        Origin::Claim(name) => own.read_claim(person.claim(name)?),
    }
}

/// A cookie's value as it was meant: many tools encode it.
fn percent_decoded(value: &str) -> String {
    percent_encoding::percent_decode_str(value).decode_utf8_lossy().into_owned()
}
