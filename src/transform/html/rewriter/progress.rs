//! What the handlers of one page share.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use lol_html::html_content::Element as Node;

use crate::transform::html::HtmlPlan;
use crate::transform::html::splice::Recorder;

/// What operations may add to one page, all together: a selector that matches thousands of times can't fill the line.
pub(in crate::transform::html) const MAX_INSERTED: usize = 4 * 1024 * 1024;

pub(in crate::transform::html) struct Progress {
    pub(super) edited: Cell<u32>,
    pub(super) inserted: Cell<usize>,
    pub(super) insertions_cut: Cell<bool>,
    is_stopped: Cell<bool>,
    /// Elements open whose content is being replaced.
    removals: Cell<usize>,
    /// Where the outermost of them starts.
    removal_start: Cell<usize>,
    /// Names of the replaced elements that are open, outermost first.
    replaced: RefCell<Vec<String>>,
    /// End tags at which something will be inserted.
    awaited_ends: Cell<usize>,
    /// Operations that may still match; `usize::MAX` where one may match for ever.
    operations_left: Cell<usize>,
    head_is_done: Cell<bool>,
    nonce: RefCell<Option<String>>,
    recorder: Option<Rc<Recorder>>,
}

impl Progress {
    pub(super) fn new(plan: &HtmlPlan, recorder: Option<Rc<Recorder>>) -> Self {
        let is_finite = plan.operations.iter().all(|planned| planned.once);
        Self {
            edited: Cell::new(0),
            inserted: Cell::new(0),
            insertions_cut: Cell::new(false),
            is_stopped: Cell::new(false),
            removals: Cell::new(0),
            removal_start: Cell::new(0),
            replaced: RefCell::default(),
            awaited_ends: Cell::new(0),
            operations_left: Cell::new(if is_finite { plan.operations.len() } else { usize::MAX }),
            head_is_done: Cell::new(plan.head_end.is_empty()),
            nonce: RefCell::new(plan.nonce.clone()),
            recorder,
        }
    }

    /// Who takes notes of this page, where it is kept for later requests.
    pub(in crate::transform::html) fn recorder(&self) -> Option<&Recorder> {
        self.recorder.as_deref()
    }

    pub(in crate::transform::html) fn is_stopped(&self) -> bool {
        self.is_stopped.get()
    }

    pub(super) fn stop(&self) {
        self.is_stopped.set(true);
    }

    /// Whether content is being left out just now.
    pub(super) fn is_removing(&self) -> bool {
        self.removals.get() > 0
    }

    /// Whether an element is to be edited: not after the end, and not inside content that is left out.
    pub(super) fn wants(&self, node: &Node<'_, '_>) -> bool {
        !self.is_stopped() && (!self.is_removing() || self.removal_start.get() == start(node))
    }

    /// Whether nothing is left to do.
    pub(super) fn is_done(&self) -> bool {
        self.operations_left.get() == 0
            && self.head_is_done.get()
            && self.awaited_ends.get() == 0
            && !self.is_removing()
    }

    pub(super) fn edited(&self, once: bool) {
        self.edited.set(self.edited.get().saturating_add(1));
        if once && self.operations_left.get() != usize::MAX {
            self.operations_left.set(self.operations_left.get().saturating_sub(1));
        }
    }

    /// Whether so many bytes more may be added.
    pub(in crate::transform::html) fn may_insert(&self, bytes: usize) -> bool {
        let sum = self.inserted.get().saturating_add(bytes);
        if sum > MAX_INSERTED {
            self.insertions_cut.set(true);
            return false;
        }
        self.inserted.set(sum);
        true
    }

    /// The element's content is being left out from here to its end; for a replaced one, `name` is its name.
    pub(in crate::transform::html) fn removal_starts(self: &Rc<Self>, node: &mut Node<'_, '_>, name: Option<String>) {
        let start = start(node);
        let Some(handlers) = node.end_tag_handlers() else {
            return;
        };
        if !self.is_removing() {
            self.removal_start.set(start);
        }
        self.removals.set(self.removals.get() + 1);
        let is_replaced = name.is_some();
        self.replaced.borrow_mut().extend(name);
        let progress = Rc::clone(self);
        handlers.push(Box::new(move |_| {
            progress.removals.set(progress.removals.get().saturating_sub(1));
            if is_replaced {
                progress.replaced.borrow_mut().pop();
            }
            Ok(())
        }));
    }

    /// The start tags of the replaced elements that are open: gone, with their end tags still to come.
    pub(super) fn reopened(&self) -> String {
        self.replaced.borrow().iter().map(|name| format!("<{name}>")).collect()
    }

    pub(in crate::transform::html) fn end_is_awaited(&self) {
        self.awaited_ends.set(self.awaited_ends.get() + 1);
    }

    pub(in crate::transform::html) fn end_has_come(&self) {
        self.awaited_ends.set(self.awaited_ends.get().saturating_sub(1));
    }

    /// Whether the elements for the head's end are still to be placed; once.
    pub(super) fn take_head_end(&self) -> bool {
        !self.is_stopped() && !self.head_is_done.replace(true)
    }

    pub(in crate::transform::html) fn nonce(&self) -> Option<String> {
        self.nonce.borrow().clone()
    }

    /// Keeps the first nonce found.
    pub(super) fn found_nonce(&self, nonce: &str) {
        self.nonce.borrow_mut().get_or_insert_with(|| nonce.to_owned());
    }
}

pub(in crate::transform::html) fn start(node: &Node<'_, '_>) -> usize {
    node.source_location().bytes().start
}
