//! Deciding where something isn't known, for tools: the same code asks an [`Oracle`] in place of the visitor.

use crate::{Interval, Seed};

/// Answers what an unknown attribute would have answered. The same question gets the same answer for as long as one visitor is meant; who
/// tries every answer learns everything that may have been decided.
pub trait Oracle {
    /// One of so many answers (0 to `options` - 1) to a question about the attribute `about`. Of two answers, 1 is yes.
    fn answer(&self, about: &str, question: &str, options: usize) -> usize;

    /// Whether the bucket of an unknown value of the attribute `about` is in an interval.
    fn is_in(&self, about: &str, seed: &Seed, interval: Interval) -> bool;

    /// Yes or no.
    fn says(&self, about: &str, question: &str) -> bool {
        self.answer(about, question, 2) == 1
    }
}
