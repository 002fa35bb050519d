//! Routes of a [`Pack`]: found by its tables, taken out of it one by one.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::rc::Rc;
use std::sync::Arc;

use fnv::FnvHasher;

use super::Slot;
use crate::rules::pack::Pack;
use crate::rules::path::{Captures, Pattern, Reach, anchors};

/// A pack, and the slots that were needed so far: never more than the pack has routes.
#[derive(Debug)]
pub(super) struct Packed {
    pack: Arc<Pack>,
    reach: Reach,
    slots: RefCell<HashMap<usize, Rc<Slot>, BuildHasherDefault<FnvHasher>>>,
}

impl Packed {
    pub(super) fn new(pack: Arc<Pack>) -> Self {
        let mut reach = Reach::default();
        pack.anchors().for_each(|anchor| reach.extend_to(anchor));
        Self { pack, reach, slots: RefCell::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.pack.routes()
    }

    /// The slots whose path matches, with their places in the list.
    pub(super) fn matching(&self, path: &str) -> Vec<(usize, Rc<Slot>, Captures)> {
        anchors(path, self.reach)
            .flat_map(|anchor| self.pack.filed_under(anchor))
            .filter_map(|index| {
                let slot = self.slot(index)?;
                let captures = slot.pattern.captures(path)?;
                Some((index, slot, captures))
            })
            .collect()
    }

    /// The slot of a route; `None` where the pack's bytes make no sense there.
    pub(super) fn slot(&self, index: usize) -> Option<Rc<Slot>> {
        if let Some(slot) = self.slots.borrow().get(&index) {
            return Some(Rc::clone(slot));
        }
        let (text, path) = self.pack.route(index)?;
        let pattern = Pattern::compile(path).ok()?;
        let slot = Rc::new(Slot::new((1, index), text, pattern));
        self.slots.borrow_mut().insert(index, Rc::clone(&slot));
        Some(slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_slashes_is_looked_up_as_deep_as_the_routes_are() {
        let set = serde_json::json!({ "routes": { "routes": [
            { "id": "all", "path": "/*" }, { "id": "deep", "path": "/a/b/{c}/d" } ] } });
        let bytes = crate::rules::pack::write(set.as_object().unwrap()).unwrap();
        let packed = Packed::new(Arc::new(Pack::read(bytes).unwrap()));
        let slashes = "/".repeat(8_000) + "a";
        assert_eq!(anchors(&slashes, packed.reach).collect::<Vec<_>>(), ["", "/", "//"]);
        assert_eq!(packed.matching(&slashes).len(), 1);
        assert_eq!(packed.matching("/a/b/1/d").len(), 2);
    }
}
