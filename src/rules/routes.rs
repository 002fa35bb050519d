//! The dictionary `routes`: filed by path without compiling, compiled one by one as requests come near them.
//!
//! A cold request among a thousand routes scans the text once for `path` and compiles the two or three that can match; of a
//! [`Pack`] it doesn't even scan the text.

mod packed;

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::rc::Rc;
use std::sync::Arc;

use fnv::FnvHasher;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::dictionary::part_name;
use super::fault::{self, Fault};
use super::pack::Pack;
use super::path::{Captures, Pattern, Reach, anchors};
use super::route::{Beside, Route};
use super::settings::attributes::OwnAttributes;
use crate::condition::PatternBudget;
use crate::transform::template::Templates;

/// A route that has not been needed yet.
#[derive(Debug)]
struct Slot {
    /// The number of the dictionary's part that it stands in, from 1.
    part: usize,
    /// Its place in that part's list.
    index: usize,
    text: Box<str>,
    pattern: Pattern,
    compiled: OnceCell<Option<Rc<Route>>>,
}

impl Slot {
    fn new((part, index): (usize, usize), text: &str, pattern: Pattern) -> Self {
        Self { part, index, text: text.into(), pattern, compiled: OnceCell::new() }
    }

    /// Dictionary and JSON pointer: `routes.2/routes/7`.
    fn place(&self) -> String {
        part_name("routes", self.part) + &pointer(self.index)
    }
}

/// Of a route within its part.
fn pointer(index: usize) -> String {
    format!("/routes/{index}")
}

/// The dictionary, filed.
#[derive(Debug, Default)]
pub struct Routes {
    slots: Vec<Rc<Slot>>,
    packed: Option<packed::Packed>,
    by_anchor: HashMap<String, Vec<usize>, BuildHasherDefault<FnvHasher>>,
    beside: RoutesBeside,
    reach: Reach,
    found_late: RefCell<Vec<Fault>>,
}

/// What routes refer to of the rest of their rule set.
#[derive(Debug, Clone, Default)]
pub struct RoutesBeside {
    /// The templates of pages; compiled as routes come to use them.
    pub templates: Rc<RefCell<Templates>>,
    /// The attributes that the site declares.
    pub own: Rc<OwnAttributes>,
    /// What is left for the routes' patterns.
    pub patterns: Rc<RefCell<PatternBudget>>,
}

#[derive(Deserialize)]
struct Stored<'a> {
    #[serde(default, borrow)]
    routes: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Peek {
    path: String,
}

/// A route whose path matches, with what it captured.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The route.
    pub route: Rc<Route>,
    /// What its names matched.
    pub captures: Captures,
}

impl Routes {
    /// Files the routes of a dictionary's parts. What isn't JSON, or has no usable path, is left out and named.
    pub fn read(texts: &[String], beside: RoutesBeside, faults: &mut Vec<Fault>) -> Self {
        let mut routes = Self { beside, ..Self::default() };
        for (part, text) in (1..).zip(texts) {
            let mut note = |below: &str, message| faults.push(Fault::new(&part_name("routes", part), below, message));
            let stored: Stored<'_> = match fault::peek(text) {
                Ok(stored) => stored,
                Err(message) => {
                    note("", message);
                    continue;
                }
            };
            for (index, raw) in stored.routes.into_iter().enumerate() {
                let pattern = fault::peek::<Peek>(raw.get())
                    .map_err(|message| ("", message))
                    .and_then(|peek| Pattern::compile(&peek.path).map_err(|message| ("/path", message)));
                match pattern {
                    Ok(pattern) => routes.file((part, index), raw.get(), pattern),
                    Err((below, message)) => note(&(pointer(index) + below), message),
                }
            }
        }
        routes
    }

    /// The routes of a pack.
    pub fn from_pack(pack: Arc<Pack>, beside: RoutesBeside) -> Self {
        Self { packed: Some(packed::Packed::new(pack)), beside, ..Self::default() }
    }

    fn file(&mut self, place: (usize, usize), text: &str, pattern: Pattern) {
        let slot = self.slots.len();
        self.reach.extend_to(pattern.anchor());
        self.by_anchor.entry(pattern.anchor().to_owned()).or_default().push(slot);
        self.slots.push(Rc::new(Slot::new(place, text, pattern)));
    }

    /// The routes whose path matches `path` (in normal form), from the most specific path to the least, equals in the
    /// order of the list. Whether host, method, schedule and condition hold is for the decision.
    pub fn candidates(&self, path: &str) -> Vec<Candidate> {
        let mut found = match &self.packed {
            Some(packed) => packed.matching(path),
            None => self.matching(path),
        };
        found.sort_by(|(one, a, _), (other, b, _)| a.pattern.specificity(&b.pattern).then(one.cmp(other)));
        found
            .into_iter()
            .filter_map(|(_, slot, captures)| Some(Candidate { route: self.compiled(&slot)?, captures }))
            .collect()
    }

    /// The slots whose path matches, with their places in the list.
    fn matching(&self, path: &str) -> Vec<(usize, Rc<Slot>, Captures)> {
        anchors(path, self.reach)
            .filter_map(|anchor| self.by_anchor.get(anchor))
            .flatten()
            .filter_map(|index| {
                let slot = self.slots.get(*index)?;
                Some((*index, Rc::clone(slot), slot.pattern.captures(path)?))
            })
            .collect()
    }

    fn compiled(&self, slot: &Slot) -> Option<Rc<Route>> {
        let compile = || {
            let note = |below: &str, message: String| {
                let fault = Fault::new(&part_name("routes", slot.part), pointer(slot.index) + below, message);
                self.found_late.borrow_mut().push(fault);
            };
            let read = fault::read::<super::stored::Route>(&slot.text);
            let read = read.map_err(|(pointer, message)| crate::condition::Fault { pointer, message });
            let compiled = read.and_then(|(stored, unknown)| {
                for below in &unknown {
                    note(below, "expected a known key, but found one that is ignored".to_owned());
                }
                let templates = &mut self.beside.templates.borrow_mut();
                let patterns = &mut self.beside.patterns.borrow_mut();
                Route::compile(stored, &slot.place(), &mut Beside { templates, own: &self.beside.own, patterns })
            });
            match compiled {
                Ok((route, faults)) => {
                    for fault in faults {
                        note(&fault.pointer, fault.message);
                    }
                    Some(Rc::new(route))
                }
                Err(fault) => {
                    note(&fault.pointer, fault.message);
                    None
                }
            }
        };
        slot.compiled.get_or_init(compile).clone()
    }

    /// Every usable route in the order of the list, with its dictionary and JSON pointer (`routes.2/routes/7`). Compiles what has
    /// not been needed yet.
    pub fn all(&self) -> impl Iterator<Item = (Rc<Route>, String)> {
        let slots = (0..self.len()).filter_map(|index| self.slot(index));
        slots.filter_map(|slot| Some((self.compiled(&slot)?, slot.place())))
    }

    /// Compiles `count` routes from some place in the list on, so that their mistakes are found. From one place after the other, all are.
    pub fn look_over(&self, place: usize, count: usize) {
        let routes = self.len();
        for index in (0..count.min(routes)).map(|step| place.wrapping_add(step) % routes) {
            self.slot(index).and_then(|slot| self.compiled(&slot));
        }
    }

    fn slot(&self, index: usize) -> Option<Rc<Slot>> {
        match &self.packed {
            Some(packed) => packed.slot(index),
            None => self.slots.get(index).cloned(),
        }
    }

    /// Adds faults that were found while a route was used.
    pub fn note(&self, faults: impl IntoIterator<Item = Fault>) {
        self.found_late.borrow_mut().extend(faults);
    }

    /// The faults found since the last call in routes that were needed.
    pub fn take_faults(&self) -> Vec<Fault> {
        self.found_late.take()
    }

    /// How many routes are filed.
    pub fn len(&self) -> usize {
        self.packed.as_ref().map_or(self.slots.len(), packed::Packed::len)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(routes: &Routes, path: &str) -> Vec<String> {
        routes.candidates(path).into_iter().map(|candidate| candidate.route.id.clone()).collect()
    }

    fn read(json: &serde_json::Value) -> (Routes, Vec<Fault>) {
        let mut faults = Vec::new();
        let routes = Routes::read(&[json.to_string()], RoutesBeside::default(), &mut faults);
        (routes, faults)
    }

    #[test]
    fn routes_are_tried_from_the_most_specific_path_to_the_least() {
        let (routes, _) = read(&serde_json::json!({ "routes": [
            { "id": "all", "path": "/*" }, { "id": "any", "path": "/p/*" }, { "id": "one", "path": "/p/{sku}" },
            { "id": "two", "path": "/p/{id}" }, { "id": "exact", "path": "/p/42" } ] }));
        assert_eq!(ids(&routes, "/p/42"), ["exact", "one", "two", "any", "all"]);
        assert_eq!(ids(&routes, "/p/43"), ["one", "two", "any", "all"]);
        assert_eq!(ids(&routes, "/q"), ["all"]);
    }

    #[test]
    fn a_path_of_slashes_is_looked_up_as_deep_as_the_routes_are() {
        let (routes, _) = read(&serde_json::json!({ "routes": [
            { "id": "all", "path": "/*" }, { "id": "deep", "path": "/a/b/{c}/d" }, { "id": "odd", "path": "//x" } ] }));
        let slashes = "/".repeat(8_000) + "a";
        assert_eq!(anchors(&slashes, routes.reach).collect::<Vec<_>>(), ["", "/", "//"]);
        assert_eq!(ids(&routes, &slashes), ["all"]);
        assert_eq!(ids(&routes, "//x"), ["odd", "all"]);
        assert_eq!(ids(&routes, "/a/b/1/d"), ["deep", "all"]);
    }

    #[test]
    fn one_broken_route_is_left_out_and_named_and_the_rest_serve() {
        let (routes, faults) = read(&serde_json::json!({ "routes": [
            { "id": "bad", "path": "/p/*", "cache": { "ttl": "60" } }, { "id": "worse", "path": 7 }, { "id": "good", "path": "/p/*", "chache": {} } ] }));
        assert_eq!(ids(&routes, "/p/1"), ["good"]);
        let named: Vec<_> = faults.into_iter().chain(routes.take_faults()).map(|fault| fault.to_string()).collect();
        assert_eq!(
            named,
            [
                "routes/routes/1: expected a string, but found the number 7",
                "routes/routes/0/cache/ttl: expected a whole number, 0 or more, but found the string \"60\"",
                "routes/routes/2/chache: expected a known key, but found one that is ignored",
            ]
        );
        assert!(routes.take_faults().is_empty(), "a fault is named once");
    }

    #[test]
    fn looked_over_place_by_place_every_mistake_is_found() {
        let (routes, _) = read(&serde_json::json!({ "routes": [
            { "id": "a", "path": "/a", "what": 1 }, { "id": "b", "path": "/b" }, { "id": "c", "path": "/c", "what": 1 } ] }));
        routes.look_over(1, 2);
        assert_eq!(routes.take_faults().len(), 1);
        routes.look_over(usize::MAX, 64);
        assert_eq!(routes.take_faults().len(), 1);
        Routes::default().look_over(7, 64);
    }

    #[test]
    fn half_written_json_is_named_and_leaves_the_other_parts() {
        let mut faults = Vec::new();
        let routes = Routes::read(
            &[r#"{"parts":2,"routes":[{"id":"a""#.to_owned(), r#"{"routes":[{"id":"b","path":"/b"}]}"#.to_owned()],
            RoutesBeside::default(),
            &mut faults,
        );
        assert_eq!(faults.len(), 1);
        assert_eq!(ids(&routes, "/b"), ["b"]);
    }
}
