//! The dictionaries `experiments`, `segments` and `templates`, and the features beside them: filed by key; a definition is compiled when it
//! is first evaluated.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::dictionary::part_name;
use super::fault::{self, Fault};
use super::features::Features;
use super::set::Texts;
use crate::growthbook::{DefinitionSource, Definitions};

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

/// What a part of a dictionary holds under the dictionary's name.
pub(super) fn content(text: &str) -> serde_json::Result<Option<&RawValue>> {
    serde_json::from_str::<Part<'_>>(text).map(|part| part.content)
}

/// The parts of `name`, each with its entry's name.
fn parts<'t>(texts: &'t Texts, name: &str, faults: &mut Vec<Fault>) -> Vec<(String, &'t str)> {
    let mut contents = Vec::new();
    for (index, text) in texts.of(name).iter().enumerate() {
        let entry = part_name(name, index + 1);
        match content(text) {
            Ok(content) => contents.extend(content.map(|content| (entry, content.get()))),
            Err(error) => faults.push(Fault::new(&entry, "", fault::house_wording(&error))),
        }
    }
    contents
}

/// Experiments and segments, and `features` with the bandits beside them, which are filed when they are first asked for. What can't be filed
/// is left out and named.
pub fn read(texts: &Texts, features: &Arc<Features>, faults: &mut Vec<Fault>) -> Definitions {
    let mut definitions = Definitions::default();
    if !texts.of("features").is_empty() {
        definitions.features.set_source(Arc::clone(features) as Arc<dyn DefinitionSource>);
        definitions.bandits.set_source(features.bandits());
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
