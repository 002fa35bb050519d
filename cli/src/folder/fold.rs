//! A payload's definitions, put into the dictionaries that don't define them.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::Source;
use super::payload::Payload;

/// The member of the dictionary `features` that holds contextual bandits.
pub const BANDITS: &str = "contextualBandits";

/// The dictionaries that the payload changes, and what of them is the payload's.
#[derive(Debug, Clone, Default)]
pub struct Folded {
    /// By name, whole.
    pub dictionaries: BTreeMap<String, Value>,
    /// Pointer to a definition in the dictionary → its pointer in the payload.
    added: BTreeMap<(String, String), String>,
}

impl Folded {
    /// Folds `payload` in. What a dictionary defines itself wins; a dictionary that isn't JSON, or has another shape, stays as it is.
    pub fn of(dictionaries: &BTreeMap<String, Source>, payload: &Payload) -> Self {
        let mut folded = Self::default();
        folded.objects(dictionaries, payload, "features", "features", "features");
        folded.objects(dictionaries, payload, "features", BANDITS, BANDITS);
        let named = |name: &str| {
            dictionaries
                .get("segments")
                .is_some_and(|source| source.json.as_ref().is_ok_and(|json| json.get(name).is_some()))
        };
        let own = if named("savedGroups") && !named("segments") { "savedGroups" } else { "segments" };
        folded.objects(dictionaries, payload, "segments", own, "savedGroups");
        folded.experiments(dictionaries, payload);
        // The payload is pinned to the revision: the one of the KV store would come on top.
        if let Some(Ok(settings)) = dictionaries.get("settings").map(|source| &source.json)
            && settings.get("growthbook").is_some()
        {
            let mut settings = settings.clone();
            settings.as_object_mut().map(|members| members.shift_remove("growthbook"));
            folded.dictionaries.insert("settings".to_owned(), settings);
        }
        folded
    }

    /// The pointer in the payload of what stands at `pointer` of a dictionary; `None` where it is the dictionary's own.
    pub fn place(&self, dictionary: &str, pointer: &str) -> Option<String> {
        let second = pointer.match_indices('/').nth(2).map_or(pointer.len(), |(at, _)| at);
        let (definition, rest) = pointer.split_at(second);
        let place = self.added.get(&(dictionary.to_owned(), definition.to_owned()))?;
        Some(format!("{place}{rest}"))
    }

    /// The dictionary to add to; `None` where what is written there has no room for it.
    fn begun(
        &self,
        dictionaries: &BTreeMap<String, Source>,
        dictionary: &str,
        member: &str,
    ) -> Option<Map<String, Value>> {
        let mut whole = match (self.dictionaries.get(dictionary), dictionaries.get(dictionary)) {
            (Some(json), _) => json.as_object()?.clone(),
            (None, Some(source)) => source.json.as_ref().ok()?.as_object()?.clone(),
            (None, None) => Map::new(),
        };
        whole.entry(member).or_insert_with(|| if dictionary == "experiments" { json!([]) } else { json!({}) });
        Some(whole)
    }

    fn objects(
        &mut self,
        dictionaries: &BTreeMap<String, Source>,
        payload: &Payload,
        dictionary: &str,
        member: &str,
        part: &str,
    ) {
        let Some(new) = payload.members(part).filter(|new| !new.is_empty()) else { return };
        let Some(mut whole) = self.begun(dictionaries, dictionary, member) else { return };
        let Some(own) = whole.get_mut(member).and_then(Value::as_object_mut) else { return };
        for (key, definition) in new.iter() {
            if !own.contains_key(key) {
                own.insert(key.clone(), definition.clone());
                let key = crate::check::escape(key);
                self.added.insert((dictionary.to_owned(), format!("/{member}/{key}")), format!("/{part}/{key}"));
            }
        }
        self.dictionaries.insert(dictionary.to_owned(), whole.into());
    }

    fn experiments(&mut self, dictionaries: &BTreeMap<String, Source>, payload: &Payload) {
        const NAME: &str = "experiments";
        if payload.experiments().is_empty() {
            return;
        }
        let Some(mut whole) = self.begun(dictionaries, NAME, NAME) else { return };
        let Some(own) = whole.get_mut(NAME).and_then(Value::as_array_mut) else { return };
        let known: Vec<Option<Value>> = own.iter().map(|experiment| experiment.get("key").cloned()).collect();
        for (index, experiment) in payload.experiments().iter().enumerate() {
            let key = experiment.get("key").cloned();
            if key.is_none() || !known.contains(&key) {
                self.added.insert((NAME.to_owned(), format!("/{NAME}/{}", own.len())), format!("/{NAME}/{index}"));
                own.push(experiment.clone());
            }
        }
        self.dictionaries.insert(NAME.to_owned(), whole.into());
    }
}
