//! A rule set: the dictionaries of one revision, compiled.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use super::definitions;
use super::dictionary::{DICTIONARIES, ReadError, Reader, part_name};
use super::fault::Fault;
use super::pack::Pack;
use super::regions::Regions;
use super::routes::{Routes, RoutesBeside};
use super::settings::Settings;
use super::settings::attributes::OwnAttributes;
use super::settings::consent::ConsentRules;
use crate::condition::Groups;
use crate::growthbook::{DefinitionSource, Definitions};
use crate::transform::template::Templates;

/// The compiled dictionaries of one revision. What didn't change from one reading to the next is shared.
#[derive(Debug, Clone)]
pub struct RuleSet {
    /// The revision; `None` for entries at their bare names.
    pub revision: Option<String>,
    /// Settings.
    pub settings: Rc<Settings>,
    /// Regions.
    pub regions: Rc<Regions>,
    /// Routes.
    pub routes: Rc<Routes>,
    /// How consent is learnt.
    pub consent: Rc<ConsentRules>,
    /// The attributes that the site declares.
    pub own: Rc<OwnAttributes>,
    /// Features, experiments and segments.
    pub definitions: Rc<Definitions>,
    /// Templates of pages; compiled as routes come to use them.
    pub templates: Rc<RefCell<Templates>>,
    /// Whether the command line checked the rules before it pushed them: the edge needn't look for mistakes that no request meets.
    pub is_checked: bool,
}

/// The stored text of each dictionary, as read; empty where it is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Texts([Vec<String>; DICTIONARIES.len()]);

impl Texts {
    /// Reads every dictionary below `prefix`.
    ///
    /// # Errors
    ///
    /// The store could not answer. Running out of look-ups is a fault of the dictionaries that could not be read.
    pub fn read(prefix: &str, reader: &mut Reader<'_>, faults: &mut Vec<Fault>) -> Result<Self, ReadError> {
        let mut texts = Self::default();
        // The first entries of all before the parts of any: a list that has grown beyond bounds leaves the regions their look-up.
        let mut firsts = Vec::with_capacity(DICTIONARIES.len());
        for name in DICTIONARIES {
            firsts.push(match reader.entry(&format!("{prefix}{name}")) {
                Err(ReadError::TooManyLookups) => {
                    faults.push(Fault::new(name, "", "expected at most 16 look-ups a request, but found more entries"));
                    None
                }
                first => first?,
            });
        }
        for ((name, slot), first) in DICTIONARIES.into_iter().zip(&mut texts.0).zip(firsts) {
            if let Some(first) = first {
                *slot = reader.parts(prefix, name, first, faults)?;
            }
        }
        Ok(texts)
    }

    /// The parts of a dictionary.
    pub fn of(&self, name: &str) -> &[String] {
        DICTIONARIES.iter().zip(&self.0).find(|(known, _)| **known == name).map_or(&[], |(_, texts)| texts)
    }

    /// Sets the parts of a dictionary: for tests and for the command line.
    pub fn set(&mut self, name: &str, parts: Vec<String>) {
        if let Some((_, texts)) = DICTIONARIES.iter().zip(&mut self.0).find(|(known, _)| **known == name) {
            *texts = parts;
        }
    }

    /// The dictionaries of a revision's entries, by their names below the revision; parts follow the first in their order.
    pub fn from_entries(mut entries: BTreeMap<String, String>) -> Self {
        let mut texts = Self::default();
        for (name, slot) in DICTIONARIES.into_iter().zip(&mut texts.0) {
            let parts = (1..).map_while(|number| entries.remove(&part_name(name, number)));
            *slot = parts.collect();
        }
        texts
    }

    /// Whether no dictionary has an entry.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(Vec::is_empty)
    }
}

impl RuleSet {
    /// Compiles `texts`, taking over from `old` what has not changed.
    pub fn compile(
        revision: Option<&str>,
        texts: &Texts,
        old: Option<(&Texts, &Self)>,
        faults: &mut Vec<Fault>,
    ) -> Self {
        let unchanged = |name: &str| old.filter(|(old, _)| old.of(name) == texts.of(name)).map(|(_, set)| set);
        let first = |name: &str| texts.of(name).first().map(String::as_str);
        let settings = match unchanged("settings") {
            Some(set) => Rc::clone(&set.settings),
            None => Rc::new(first("settings").map(|text| Settings::read(text, faults)).unwrap_or_default()),
        };
        let regions = match unchanged("regions") {
            Some(set) => Rc::clone(&set.regions),
            None => Rc::new(first("regions").map(|text| Regions::read(text, faults)).unwrap_or_default()),
        };
        let own = match unchanged("settings") {
            Some(set) => Rc::clone(&set.own),
            None => Rc::new(OwnAttributes::compile(&settings.attributes, faults)),
        };
        let consent = match unchanged("settings") {
            Some(set) => Rc::clone(&set.consent),
            None => {
                let (consent, mut unusable) = ConsentRules::compile(&settings.consent);
                faults.append(&mut unusable);
                Rc::new(consent)
            }
        };
        let kept = ["features", "experiments", "segments"].map(unchanged);
        let definitions = match kept {
            [Some(set), Some(_), Some(_)] => Rc::clone(&set.definitions),
            _ => Rc::new(definitions::read(texts, faults)),
        };
        // Routes hold compiled templates and name declared attributes: all are read anew where one has changed.
        let (routes, templates) = match ["routes", "templates", "settings"].map(unchanged) {
            [Some(set), Some(_), Some(_)] => (Rc::clone(&set.routes), Rc::clone(&set.templates)),
            _ => {
                let templates = Rc::new(RefCell::new(Templates::new(definitions::templates(texts, faults))));
                let beside = RoutesBeside { templates: Rc::clone(&templates), own: Rc::clone(&own) };
                (Rc::new(Routes::read(texts.of("routes"), beside, faults)), templates)
            }
        };
        Self {
            revision: revision.map(str::to_owned),
            settings,
            regions,
            routes,
            consent,
            own,
            definitions,
            templates,
            is_checked: false,
        }
    }

    /// The set of a KV value: small dictionaries are compiled, routes only as requests come near them.
    pub fn from_pack(revision: &str, pack: Pack, faults: &mut Vec<Fault>) -> Self {
        let mut texts = Texts::default();
        for name in DICTIONARIES {
            texts.set(name, pack.dictionary(name).map(str::to_owned).into_iter().collect());
        }
        let mut set = Self::compile(Some(revision), &texts, None, faults);
        let pack = Arc::new(pack);
        let mut definitions = set.definitions.uncompiled();
        definitions.features.set_source(Arc::clone(&pack) as Arc<dyn DefinitionSource>);
        set.definitions = Rc::new(definitions);
        let beside = RoutesBeside { templates: Rc::clone(&set.templates), own: Rc::clone(&set.own) };
        set.routes = Rc::new(Routes::from_pack(pack, beside));
        set
    }

    /// The faults found since the last call in what requests came near.
    pub fn take_faults(&self) -> Vec<Fault> {
        self.routes.take_faults()
    }

    /// Compiles `count` rules from some place in the list on, so that their mistakes are found.
    pub fn look_over(&self, place: usize, count: usize) {
        self.routes.look_over(place, count);
    }

    /// Segments, for `$inGroup`.
    pub fn groups(&self) -> &Groups {
        &self.definitions.groups
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::condition::Value;
    use crate::growthbook::{Context, Evaluator};
    use serde_json::json;

    #[test]
    fn a_packed_feature_is_worth_what_a_plain_one_is() {
        let features =
            json!({ "hero": { "defaultValue": "a", "rules": [{ "condition": { "country": "FR" }, "force": "b" }] } });
        let mut dictionaries = serde_json::Map::new();
        dictionaries.insert("features".to_owned(), json!({ "features": features }));
        let pack = Pack::read(super::super::pack::write(&dictionaries).unwrap()).unwrap();
        let set = RuleSet::from_pack("r1", pack, &mut Vec::new());
        let visitor = json!({ "country": "FR" });
        let context = Context::new(&visitor, time::OffsetDateTime::UNIX_EPOCH);
        assert_eq!(
            Value::from(Evaluator::new(&set.definitions, &context).feature("hero").value),
            Value::from(&json!("b"))
        );
    }
}
