//! The dictionaries `features`, `experiments`, `segments` and `templates`: filed by key; a definition is compiled when it is first
//! evaluated.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::dictionary::part_name;
use super::fault::{self, Fault};
use super::set::Texts;
use crate::growthbook::Definitions;

/// One part of a dictionary: its content stands under the dictionary's own name (`savedGroups`, as GrowthBook calls them, for
/// `segments`).
#[derive(Deserialize)]
struct Part<'a> {
    #[serde(
        borrow,
        alias = "features",
        alias = "experiments",
        alias = "segments",
        alias = "savedGroups",
        alias = "templates"
    )]
    content: Option<&'a RawValue>,
}

/// What a dictionary of features may hold beside them: contextual bandits of a payload that `push` has taken in.
#[derive(Deserialize)]
struct Beside<'a> {
    #[serde(borrow, rename = "contextualBandits")]
    bandits: Option<&'a RawValue>,
}

/// The parts of `name`, each with its entry's name.
fn parts<'t>(texts: &'t Texts, name: &str, faults: &mut Vec<Fault>) -> Vec<(String, &'t str)> {
    let mut contents = Vec::new();
    for (index, text) in texts.of(name).iter().enumerate() {
        let entry = part_name(name, index + 1);
        match serde_json::from_str::<Part<'_>>(text) {
            Ok(part) => contents.extend(part.content.map(|content| (entry, content.get()))),
            Err(error) => faults.push(Fault::new(&entry, "", fault::house_wording(&error))),
        }
    }
    contents
}

/// Features, experiments and segments. What can't be filed is left out and named.
pub fn read(texts: &Texts, faults: &mut Vec<Fault>) -> Definitions {
    let mut definitions = Definitions::default();
    for (entry, text) in parts(texts, "features", faults) {
        if let Err(fault) = definitions.features.add_object(text) {
            faults.push(Fault::new(&entry, format!("/features{}", fault.pointer), fault.message));
        }
    }
    // An entry that isn't JSON has been named above. Its text is scanned again only where the word occurs.
    let words = |text: &&String| text.contains("\"contextualBandits\"");
    for (index, text) in texts.of("features").iter().enumerate().filter(|(_, text)| words(text)) {
        let beside = serde_json::from_str::<Beside<'_>>(text).ok().and_then(|beside| beside.bandits);
        if let Some(Err(fault)) = beside.map(|bandits| definitions.bandits.add_object(bandits.get())) {
            let pointer = format!("/contextualBandits{}", fault.pointer);
            faults.push(Fault::new(&part_name("features", index + 1), pointer, fault.message));
        }
    }
    for (entry, text) in parts(texts, "experiments", faults) {
        let found = definitions.experiments.add_array(text);
        let found = found.unwrap_or_else(|fault| vec![fault]);
        faults.extend(
            found.into_iter().map(|fault| Fault::new(&entry, format!("/experiments{}", fault.pointer), fault.message)),
        );
    }
    for (entry, text) in parts(texts, "segments", faults) {
        let groups = serde_json::from_str(text).unwrap_or_default();
        let found = definitions.groups.add_missing(&groups);
        faults.extend(
            found.into_iter().map(|fault| Fault::new(&entry, format!("/segments{}", fault.pointer), fault.message)),
        );
    }
    definitions
}

/// Templates by name.
pub fn templates(texts: &Texts, faults: &mut Vec<Fault>) -> Vec<(String, String)> {
    let mut templates = Vec::new();
    for (entry, text) in parts(texts, "templates", faults) {
        match serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text) {
            Ok(found) => {
                for (name, source) in found {
                    match source {
                        serde_json::Value::String(source) => templates.push((name, source)),
                        _ => {
                            let message = "expected a template as a string, but found something else";
                            faults.push(Fault::new(&entry, format!("/templates/{name}"), message));
                        }
                    }
                }
            }
            Err(error) => faults.push(Fault::new(&entry, "/templates", fault::house_wording(&error))),
        }
    }
    templates
}
