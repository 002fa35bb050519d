//! A rule set: the dictionaries of one revision, compiled.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use super::definitions;
use super::dictionary::{DICTIONARIES, ReadError, is_whole, misnamed, part_name, parts_of};
use super::fault::Fault;
use super::features::Features;
use super::host_pattern::closest;
use super::pack::Pack;
use super::regions::{Region, Regions};
use super::revision::Missed;
use super::routes::{Routes, RoutesBeside};
use super::settings::Settings;
use super::settings::attributes::OwnAttributes;
use super::settings::consent::ConsentRules;
use super::settings::hosts::{DEFAULT_REGION, HostRules};
use super::stores::Reader;
use crate::condition::Groups;
use crate::growthbook::{Definition, DefinitionSource, Definitions, Table};
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
    /// Where the visitor is who matches no region, where the host has a default of its own.
    default_region: Option<Region>,
    /// What is otherwise on a host.
    hosts: Rc<[OnHost]>,
    /// The attributes that the site declares.
    pub own: Rc<OwnAttributes>,
    /// Features, experiments and segments.
    pub definitions: Rc<Definitions>,
    /// The dictionary of features, for its faults.
    features: Arc<Features>,
    /// Templates of pages; compiled as routes come to use them.
    pub templates: Rc<RefCell<Templates>>,
    /// Whether the command line checked the rules before it pushed them: the edge needn't look for mistakes that no request meets.
    pub is_checked: bool,
    /// The payload whose definitions stand beside the dictionaries' own.
    payload: Option<FromPayload>,
    /// The definitions whose faults have been named.
    named: Rc<RefCell<BTreeSet<String>>>,
}

/// What a rule set is on the hosts of one entry of `settings.hosts`.
#[derive(Debug)]
struct OnHost {
    rules: HostRules,
    consent: Rc<ConsentRules>,
    default_region: Option<Region>,
}

/// Where definitions that the dictionaries don't have come from.
#[derive(Debug, Clone)]
struct FromPayload {
    kv_key: String,
    /// The dictionaries' own definitions.
    own: Rc<Definitions>,
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

    /// Reads a revision that was written by hand, which serves whole or not at all. What can't serve is noticed as soon as it is read, so
    /// that the look-ups are left to another revision. `begun` keeps what was read, for the next request where the look-ups don't reach.
    ///
    /// # Errors
    ///
    /// No entry is there, one can't be used, the store could not answer, or no look-up is left.
    pub(super) fn read_whole(
        revision: &str,
        reader: &mut Reader<'_>,
        begun: &mut BTreeMap<String, Option<String>>,
    ) -> Result<Self, Missed> {
        let mut texts = Self::default();
        let mut read = |entry: &str| read_once(&format!("{revision}/{entry}"), reader, begun);
        let mut is_there = false;
        for (index, (name, slot)) in DICTIONARIES.into_iter().zip(&mut texts.0).enumerate() {
            // Without routes and settings there is no revision, or none that has arrived.
            if index == 2 && !is_there {
                break;
            }
            let Some(first) = read(name)? else { continue };
            is_there = true;
            let usable = |entry: &str, text: &str| {
                is_whole(name, text).map_err(|message| Missed::at(&format!("{revision}/{entry}"), message))
            };
            usable(name, &first)?;
            let parts = parts_of(&first);
            slot.push(first);
            for number in 2..=parts {
                let entry = part_name(name, number);
                let missing = "expected this part of the dictionary, but found no entry";
                let text = read(&entry)?.ok_or_else(|| Missed::at(&format!("{revision}/{entry}"), missing))?;
                usable(&entry, &text)?;
                slot.push(text);
            }
        }
        if is_there {
            Ok(texts)
        } else {
            Err(Missed::at(&format!("{revision}/*"), "expected the revision's entries, but found none that serve"))
        }
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

/// An entry from what `begun` keeps, or from the store.
pub(super) fn read_once(
    key: &str,
    reader: &mut Reader<'_>,
    begun: &mut BTreeMap<String, Option<String>>,
) -> Result<Option<String>, ReadError> {
    if let Some(known) = begun.get(key) {
        return Ok(known.clone());
    }
    let found = reader.entry(key)?;
    begun.insert(key.to_owned(), found.clone());
    Ok(found)
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
        for name in DICTIONARIES.into_iter().filter(|name| unchanged(name).is_none()) {
            for (number, text) in (1..).zip(texts.of(name)) {
                faults.extend(misnamed(name, text).map(|message| Fault::new(&part_name(name, number), "", message)));
            }
        }
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
        let hosts = match ["settings", "regions"].map(unchanged) {
            [Some(set), Some(_)] => Rc::clone(&set.hosts),
            _ => on_hosts(&settings, &regions, faults),
        };
        let kept = ["features", "experiments", "segments"].map(unchanged);
        let (definitions, features, named) = match kept {
            [Some(set), Some(_), Some(_)] => {
                (Rc::clone(&set.definitions), Arc::clone(&set.features), Rc::clone(&set.named))
            }
            _ => {
                let features = Features::new(texts.of("features"));
                (Rc::new(definitions::read(texts, &features, faults)), features, Rc::default())
            }
        };
        // Routes hold compiled templates and name declared attributes: all are read anew where one has changed.
        let (routes, templates) = match ["routes", "templates", "settings"].map(unchanged) {
            [Some(set), Some(_), Some(_)] => (Rc::clone(&set.routes), Rc::clone(&set.templates)),
            _ => {
                let templates = Rc::new(RefCell::new(Templates::new(definitions::templates(texts, faults))));
                let beside =
                    RoutesBeside { templates: Rc::clone(&templates), own: Rc::clone(&own), patterns: Rc::default() };
                (Rc::new(Routes::read(texts.of("routes"), beside, faults)), templates)
            }
        };
        Self {
            revision: revision.map(str::to_owned),
            settings,
            regions,
            routes,
            consent,
            default_region: None,
            hosts,
            own,
            definitions,
            features,
            templates,
            is_checked: false,
            payload: None,
            named,
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
        let beside =
            RoutesBeside { templates: Rc::clone(&set.templates), own: Rc::clone(&set.own), patterns: Rc::default() };
        set.routes = Rc::new(Routes::from_pack(pack, beside));
        set
    }

    /// The same rules with a payload's definitions beside their own; `kv_key` is the payload's, for faults.
    #[must_use]
    pub(super) fn with_payload(&self, kv_key: &str, definitions: Definitions) -> Self {
        let payload = Some(FromPayload { kv_key: kv_key.to_owned(), own: Rc::clone(&self.definitions) });
        // What has been named of the set's own definitions stays named.
        let named = Rc::new(RefCell::new(self.named.borrow().clone()));
        Self { definitions: Rc::new(definitions), payload, named, ..self.clone() }
    }

    /// The faults found since the last call in what was compiled: routes, features, experiments, bandits. Each is named once a set:
    /// entry, and a pointer such as `/features/hero/rules/0/…`.
    pub fn take_faults(&self) -> Vec<Fault> {
        let mut faults = self.routes.take_faults();
        // Whoever wrote an entry by hand hears of a mistake in it before a request meets it: after the first answer, which doesn't wait.
        for fault in self.features.faults(!self.is_checked) {
            if self.named.borrow_mut().insert(fault.to_string()) {
                faults.push(fault.clone());
            }
        }
        let definitions = &*self.definitions;
        let own = |kv_key: bool, entry: &str| match &self.payload {
            Some(payload) if kv_key => payload.kv_key.clone(),
            _ => entry.to_owned(),
        };
        let mut note = |entry: String, member: &str, key: &str, fault: &crate::condition::Fault| {
            let pointer = format!("/{member}/{}{}", crate::json_place::token(key), fault.pointer);
            if self.named.borrow_mut().insert(format!("{entry}{pointer}")) {
                faults.push(Fault::new(&entry, pointer, &*fault.message));
            }
        };
        let stored = |known: fn(&Definitions, &str) -> bool, key: &str| {
            self.payload.as_ref().is_some_and(|payload| !known(&payload.own, key))
        };
        for (key, fault) in definitions.features.faults() {
            note(own(stored(|own, key| own.features.json(key).is_some(), key), "features"), "features", key, fault);
        }
        for (key, fault) in definitions.experiments.faults() {
            let is_payload = stored(|own, key| own.experiments.json(key).is_some(), key);
            note(own(is_payload, "experiments"), "experiments", key, fault);
        }
        for (key, fault) in definitions.bandits.faults() {
            let is_payload = stored(|own, key| own.bandits.json(key).is_some(), key);
            note(own(is_payload, "features"), "contextualBandits", key, fault);
        }
        faults
    }

    /// Compiles at most `count` routes, features and experiments each, from some place in their lists on, so that their mistakes are found
    /// before a request meets them.
    pub fn look_over(&self, place: usize, count: usize) {
        self.routes.look_over(place, count);
        look_over(&self.definitions.features, place, count);
        look_over(&self.definitions.experiments, place, count);
    }

    /// The rules as they are on `host` (in lower case, without a port): with that host's own settings (`settings.hosts`).
    #[must_use]
    pub fn on_host(&self, host: &str) -> Cow<'_, Self> {
        let Some(on) = closest(&self.hosts, |on| on.rules.fits(host)) else { return Cow::Borrowed(self) };
        Cow::Owned(Self {
            settings: Rc::clone(&on.rules.settings),
            consent: Rc::clone(&on.consent),
            default_region: on.default_region.clone(),
            ..self.clone()
        })
    }

    /// The region of a visitor who matches none, or of whom nothing is known.
    #[must_use]
    pub fn default_region(&self) -> &Region {
        self.default_region.as_ref().unwrap_or(&self.regions.default)
    }

    /// Segments, for `$inGroup`.
    pub fn groups(&self) -> &Groups {
        &self.definitions.groups
    }
}

/// Compiles what is otherwise on hosts. A default region that isn't one is a fault, and the site's own counts.
fn on_hosts(settings: &Settings, regions: &Regions, faults: &mut Vec<Fault>) -> Rc<[OnHost]> {
    let compile = |rules: &HostRules| {
        let (consent, unusable) = ConsentRules::compile(&rules.settings.consent);
        let own = unusable.into_iter().filter(|fault| rules.is_own(&fault.pointer));
        faults.extend(own.map(|fault| fault.within(&rules.pointer())));
        let id = rules.default_region.as_deref();
        let default_region = id.and_then(|id| regions.by_id(id)).cloned();
        if let Some(id) = id.filter(|_| default_region.is_none()) {
            let message = format!("expected the id of a region, but found '{id}'; the site's default region counts");
            faults.push(Fault::new("settings", format!("{}/{DEFAULT_REGION}", rules.pointer()), message));
        }
        OnHost { rules: rules.clone(), consent: Rc::new(consent), default_region }
    };
    settings.hosts.iter().map(compile).collect()
}

fn look_over<T: Definition>(table: &Table<T>, place: usize, count: usize) {
    let all = table.len();
    let first = place.checked_rem(all).unwrap_or_default();
    let keys = table.keys().skip(first).chain(table.keys().take(first));
    for key in keys.take(count) {
        // Its fault, if any, is kept in the table.
        let _ = table.get(key);
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
