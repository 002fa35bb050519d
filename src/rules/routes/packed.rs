//! Routes of a [`Pack`]: found by its tables, taken out of it one by one.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::rc::Rc;
use std::sync::Arc;

use fnv::FnvHasher;

use super::Slot;
use crate::rules::pack::Pack;
use crate::rules::path::{Captures, Pattern, anchors};

/// A pack, and the slots that were needed so far: never more than the pack has routes.
#[derive(Debug)]
pub(super) struct Packed {
    pack: Arc<Pack>,
    slots: RefCell<HashMap<usize, Rc<Slot>, BuildHasherDefault<FnvHasher>>>,
}

impl Packed {
    pub(super) fn new(pack: Arc<Pack>) -> Self {
        Self { pack, slots: RefCell::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.pack.routes()
    }

    /// The slots whose path matches, with their places in the list.
    pub(super) fn matching(&self, path: &str) -> Vec<(usize, Rc<Slot>, Captures)> {
        anchors(path)
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
