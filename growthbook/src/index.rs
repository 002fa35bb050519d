//! Definitions filed by their keys; none of them is looked into.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::fmt;
use std::ops::Range;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::table::DefinitionSource;
use crate::condition::Fault;
use crate::read_json;

/// Texts, and where in them the definition of each key stands.
#[derive(Debug, Clone, Default)]
pub struct Index {
    texts: Vec<Box<str>>,
    entries: Vec<Entry>,
    positions: HashMap<Box<str>, usize, fnv::FnvBuildHasher>,
}

#[derive(Debug, Clone)]
struct Entry {
    key: Box<str>,
    /// Which of the texts, and where in it.
    text: usize,
    span: Range<usize>,
}

/// Keys of definitions, and where in one text their values stand.
#[derive(Debug, Clone, Default)]
pub struct Places(Vec<(Box<str>, Range<usize>)>);

impl Index {
    /// Files the definitions of `text`. A key that is there already from another text keeps its definition.
    pub fn add(&mut self, text: impl Into<Box<str>>, places: Places) {
        let number = self.texts.len();
        for (key, span) in places.0 {
            match self.positions.entry(key) {
                Slot::Vacant(slot) => {
                    self.entries.push(Entry { key: slot.key().clone(), text: number, span });
                    slot.insert(self.entries.len() - 1);
                }
                // Within one text the last of a key counts, as for every reader of JSON.
                Slot::Occupied(slot) => {
                    if let Some(entry) = self.entries.get_mut(*slot.get()).filter(|entry| entry.text == number) {
                        entry.span = span;
                    }
                }
            }
        }
        self.texts.push(text.into());
    }
}

impl DefinitionSource for Index {
    fn count(&self) -> usize {
        self.entries.len()
    }

    fn find(&self, key: &str) -> Option<usize> {
        self.positions.get(key).copied()
    }

    fn entry(&self, place: usize) -> Option<(&str, &str)> {
        let entry = self.entries.get(place)?;
        Some((&entry.key, self.texts.get(entry.text)?.get(entry.span.clone())?))
    }
}

impl Places {
    /// Those of a JSON object: key and definition.
    ///
    /// # Errors
    ///
    /// The text isn't a JSON object.
    pub fn of_object(json: &str) -> Result<Self, Fault> {
        let mut deserializer = serde_json::Deserializer::from_str(json);
        let found = Object { text: json }.deserialize(&mut deserializer);
        let found = found.and_then(|found| deserializer.end().map(|()| found));
        found.map_err(|error| unreadable(&error))
    }

    /// Those of a JSON array, whose keys are their own members `key`; and the faults of those without a key, which are left out.
    ///
    /// # Errors
    ///
    /// The text isn't a JSON array.
    pub fn of_array(json: &str) -> Result<(Self, Vec<Fault>), Fault> {
        let mut deserializer = serde_json::Deserializer::from_str(json);
        let items = deserializer.deserialize_seq(Items);
        let items = items.and_then(|items| deserializer.end().map(|()| items)).map_err(|error| unreadable(&error))?;
        let mut faults = Vec::new();
        let mut found = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            match key_of(item.get()) {
                Ok(key) => found.push((key, span_of(json, item))),
                Err(fault) => faults.push(fault.under(index)),
            }
        }
        Ok((Self(found), faults))
    }

    /// Those of two members of a JSON object, in one pass: of the member that has one of `names`, and of the one that is called `other`.
    /// Each is an object of definitions; one that is absent or null has none.
    ///
    /// # Errors
    ///
    /// The text isn't such an object, or names a member twice.
    pub fn of_members(json: &str, names: &[&str], other: &str) -> Result<[Self; 2], Fault> {
        let mut deserializer = serde_json::Deserializer::from_str(json);
        let found = deserializer.deserialize_map(Members { text: json, names, other });
        let found = found.and_then(|found| deserializer.end().map(|()| found));
        found.map_err(|error| unreadable(&error))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn unreadable(error: &serde_json::Error) -> Fault {
    Fault::new(format!("expected definitions as JSON, but found {error}"))
}

/// Where a raw value stands in the text that it was read from.
fn span_of(text: &str, raw: &RawValue) -> Range<usize> {
    // The raw value borrows from the text: its place there stands for it.
    let start = raw.get().as_ptr().addr() - text.as_ptr().addr();
    start..start + raw.get().len()
}

fn key_of(json: &str) -> Result<Box<str>, Fault> {
    #[derive(serde::Deserialize)]
    struct Keyed {
        key: Box<str>,
    }
    read_json::<Keyed>(json).map(|keyed| keyed.key)
}

/// Reads an object into its keys and the places of its values.
struct Object<'t> {
    text: &'t str,
}

impl<'de> DeserializeSeed<'de> for Object<'_> {
    type Value = Places;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Places, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = Places;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Places, A::Error> {
        let mut found = Vec::new();
        while let Some((key, value)) = map.next_entry::<_, &RawValue>()? {
            found.push((key, span_of(self.text, value)));
        }
        Ok(Places(found))
    }
}

/// The same, where null stands for an object without members.
struct ObjectOrNull<'t>(Object<'t>);

impl<'de> DeserializeSeed<'de> for ObjectOrNull<'_> {
    type Value = Places;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Places, D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de> Visitor<'de> for ObjectOrNull<'_> {
    type Value = Places;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(formatter)
    }

    fn visit_none<E>(self) -> Result<Places, E> {
        Ok(Places::default())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Places, D::Error> {
        self.0.deserialize(deserializer)
    }
}

/// Reads two members of an object, and passes the others over.
struct Members<'t> {
    text: &'t str,
    names: &'t [&'t str],
    other: &'t str,
}

impl<'de> Visitor<'de> for Members<'_> {
    type Value = [Places; 2];

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = [None, None];
        let [first, second] = &mut found;
        while let Some(name) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            let slot = if self.names.contains(&&*name) {
                &mut *first
            } else if *name == *self.other {
                &mut *second
            } else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let places = map.next_value_seed(ObjectOrNull(Object { text: self.text }))?;
            if slot.replace(places).is_some() {
                return Err(serde::de::Error::custom(format!("the member `{name}` twice")));
            }
        }
        Ok(found.map(Option::unwrap_or_default))
    }
}

/// Reads an array into the raw text of its items.
struct Items;

impl<'de> Visitor<'de> for Items {
    type Value = Vec<&'de RawValue>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut found = Vec::new();
        while let Some(item) = items.next_element()? {
            found.push(item);
        }
        Ok(found)
    }
}
