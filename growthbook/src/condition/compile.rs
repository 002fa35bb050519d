//! What a compilation carries along: its budget, its depth, the faults that don't stop it.

use std::fmt;

use super::Fault;

/// Conditions nest this deep at most, counted in steps of their JSON. Two such steps make one call of the evaluator, so that a stack of
/// a few hundred kilobytes is enough; nobody writes ten.
pub(crate) const DEEPEST: usize = 64;

/// How large the patterns of a set of conditions may become together, once compiled. Time and heap that they take grow with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatternBudget {
    whole: usize,
    left: usize,
}

impl PatternBudget {
    /// Bytes for a whole set of rules: some 300 patterns as people write them, or a dozen as attackers do.
    pub const SET: usize = 512 << 10;

    /// A budget of so many bytes.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self { whole: bytes, left: bytes }
    }

    /// How many bytes are left.
    #[must_use]
    pub fn left(&self) -> usize {
        self.left
    }

    /// How many bytes are used.
    #[must_use]
    pub fn used(&self) -> usize {
        self.whole - self.left
    }

    pub(crate) fn take(&mut self, bytes: usize) {
        self.left = self.left.saturating_sub(bytes);
    }

    /// What is wrong with the pattern for which no room is left.
    pub(crate) fn exhausted(&self) -> Fault {
        let kilobytes = self.whole >> 10;
        Fault::new(format!(
            "expected patterns of {kilobytes} kB in all, compiled, but found more: this one has no room left"
        ))
    }
}

/// The budget of a whole set.
impl Default for PatternBudget {
    fn default() -> Self {
        Self::new(Self::SET)
    }
}

/// Goes along with the compilation of one definition.
#[derive(Debug, Default)]
pub(crate) struct Compiler {
    pub(crate) budget: PatternBudget,
    /// What compiles, but never holds. Pointers are relative to the place where the compilation stands.
    pub(crate) faults: Vec<Fault>,
    depth: usize,
}

impl Compiler {
    pub(crate) fn new(budget: PatternBudget) -> Self {
        Self { budget, ..Self::default() }
    }

    /// Compiles what is one step further down: faults that it finds get that step in front of their pointers.
    ///
    /// # Errors
    ///
    /// What `compile` says, or that it is too deep.
    pub(crate) fn under<T>(
        &mut self,
        step: impl fmt::Display,
        compile: impl FnOnce(&mut Self) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        if self.depth >= DEEPEST {
            return Err(Fault::new(format!("expected at most {DEEPEST} levels, but found more")));
        }
        let earlier = self.faults.len();
        self.depth += 1;
        let compiled = compile(self);
        self.depth -= 1;
        for fault in self.faults.iter_mut().skip(earlier) {
            fault.add_step(&step);
        }
        compiled.map_err(|fault| fault.under(step))
    }

    /// The same several steps further down.
    ///
    /// # Errors
    ///
    /// What `compile` says.
    pub(crate) fn at<T, const N: usize>(
        &mut self,
        steps: [&str; N],
        compile: impl FnOnce(&mut Self) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let earlier = self.faults.len();
        let compiled = compile(self);
        for step in steps.iter().rev() {
            self.faults.iter_mut().skip(earlier).for_each(|fault| fault.add_step(step));
        }
        compiled.map_err(|fault| steps.iter().rev().fold(fault, Fault::under))
    }

    /// Notes what compiles, but never holds.
    pub(crate) fn note(&mut self, fault: Fault) {
        self.faults.push(fault);
    }
}
