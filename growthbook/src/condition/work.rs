//! How much matching of patterns one request may take.
//!
//! `regex-lite` is linear in the text and in the pattern, so the time of one match is bounded by their product; a set has many patterns, and a
//! visitor brings texts of several kilobytes. What a request spends on all of them is counted in that product and has an end.

use std::cell::Cell;

use super::Groups;

/// What is left of the work that a request's patterns may take, in bytes of compiled pattern times bytes of text.
///
/// Once a pattern is more than what is left, it and every later one don't match: the same facts give the same answer, whatever the machine does.
#[derive(Debug)]
pub struct PatternWork {
    left: Cell<usize>,
    exhausted: Cell<bool>,
}

impl PatternWork {
    /// What one request may take: some 80 patterns as people write them, looked for all over a URL of 200 bytes, or some 20 ms of the patterns
    /// that are dearest (measured on a busy local server: up to 1.5 ns a unit).
    pub const REQUEST: usize = 16 << 20;

    /// So much work.
    #[must_use]
    pub fn new(units: usize) -> Self {
        Self { left: Cell::new(units), exhausted: Cell::new(false) }
    }

    /// Whether a pattern was left out, because it was more than what was left.
    #[must_use]
    pub fn is_exhausted(&self) -> bool {
        self.exhausted.get()
    }

    /// Takes the work of a pattern of `size` bytes over a text of `length` bytes; `false` where not so much is left.
    fn take(&self, size: usize, length: usize) -> bool {
        let left = self.left.get().checked_sub(size.saturating_mul(length)).filter(|_| !self.exhausted.get());
        self.exhausted.set(left.is_none());
        self.left.set(left.unwrap_or_default());
        left.is_some()
    }
}

/// The work of a whole request.
impl Default for PatternWork {
    fn default() -> Self {
        Self::new(Self::REQUEST)
    }
}

/// What a condition is evaluated with, beside the attributes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scope<'a> {
    /// What `$inGroup` refers to.
    pub(super) groups: &'a Groups,
    /// What the patterns may take; `None` where nothing bounds it.
    pub(super) work: Option<&'a PatternWork>,
}

/// Takes the work of a pattern, where there is a bound.
pub(super) fn allows(work: Option<&PatternWork>, size: usize, length: usize) -> bool {
    work.is_none_or(|work| work.take(size, length))
}
