//! Writing a pack: the command line's part.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::MAGIC;
use crate::rules::path::Pattern;

/// The member of the dictionary `features` that holds contextual bandits.
const BANDITS: &str = "contextualBandits";

/// A text's place: offset among the texts, and length.
type Place = (usize, usize);

#[derive(Default)]
struct Texts {
    bytes: Vec<u8>,
    known: BTreeMap<String, Place>,
}

impl Texts {
    fn add(&mut self, text: &str) -> Place {
        if let Some(place) = self.known.get(text) {
            return *place;
        }
        let place = (self.bytes.len(), text.len());
        self.bytes.extend_from_slice(text.as_bytes());
        self.known.insert(text.to_owned(), place);
        place
    }
}

/// Writes dictionaries (name → object, whole) as a pack.
///
/// # Errors
///
/// "expected …, but found …": a route without a usable path, or more than 4 GB.
pub fn write(dictionaries: &Map<String, Value>) -> Result<Vec<u8>, String> {
    let mut texts = Texts::default();
    let list = |name: &str| dictionaries.get(name).and_then(|dictionary| dictionary.get(name));
    let mut routes = Vec::new();
    let mut anchors: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (index, route) in list("routes").and_then(Value::as_array).into_iter().flatten().enumerate() {
        let path = route.get("path").and_then(Value::as_str).unwrap_or_default();
        let pattern = Pattern::compile(path).map_err(|message| format!("routes/routes/{index}/path: {message}"))?;
        anchors.entry(pattern.anchor().to_owned()).or_default().push(index);
        routes.push((texts.add(&route.to_string()), texts.add(path)));
    }
    // Sorted by bytes, as they are looked up.
    let features: BTreeMap<&String, String> = list("features")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .map(|(key, feature)| (key, feature.to_string()))
        .collect();
    let features: Vec<(Place, Place)> =
        features.into_iter().map(|(key, text)| (texts.add(key), texts.add(&text))).collect();
    let mut others: Vec<(Place, Place)> = dictionaries
        .iter()
        .filter(|(name, _)| !matches!(name.as_str(), "routes" | "features"))
        .map(|(name, dictionary)| (texts.add(name), texts.add(&dictionary.to_string())))
        .collect();
    // Contextual bandits stand beside the features, which have a table of their own.
    if let Some(bandits) = dictionaries.get("features").and_then(|dictionary| dictionary.get(BANDITS)) {
        others.push((texts.add("features"), texts.add(&json!({ BANDITS: bandits }).to_string())));
    }
    let mut filed = Vec::new();
    let mut filing = Vec::new();
    for (anchor, indices) in anchors {
        filing.push((texts.add(&anchor), (filed.len(), indices.len())));
        filed.extend(indices);
    }

    let rows = routes.len() + filing.len() + features.len() + others.len();
    let base = super::HEAD + rows * super::ROW + filed.len() * super::WORD;
    let mut out = Out { bytes: MAGIC.to_vec(), base };
    for count in [routes.len(), filing.len(), features.len(), others.len()] {
        out.number(count)?;
    }
    for (text, path) in routes {
        out.row(text, path)?;
    }
    for (name, (first, count)) in filing {
        out.place(name)?;
        out.number(first)?;
        out.number(count)?;
    }
    for index in filed {
        out.number(index)?;
    }
    for (name, text) in features.into_iter().chain(others) {
        out.row(name, text)?;
    }
    out.bytes.extend(texts.bytes);
    Ok(out.bytes)
}

struct Out {
    bytes: Vec<u8>,
    base: usize,
}

impl Out {
    fn number(&mut self, number: usize) -> Result<(), String> {
        let number = u32::try_from(number).map_err(|_| format!("expected at most 4 GB, but found {number} bytes"))?;
        self.bytes.extend_from_slice(&number.to_le_bytes());
        Ok(())
    }

    fn place(&mut self, (offset, length): Place) -> Result<(), String> {
        self.number(self.base + offset)?;
        self.number(length)
    }

    fn row(&mut self, one: Place, other: Place) -> Result<(), String> {
        self.place(one)?;
        self.place(other)
    }
}
