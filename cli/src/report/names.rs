//! Texts that occur in millions of lines, each kept once and known by a number.

use std::sync::{Arc, PoisonError, RwLock};

use super::seen::Map;

/// The number of a text.
pub type Name = u32;
/// Texts from which on new ones are all called [`OTHERS`]: a log of garbage must not fill the memory.
const MOST: usize = 1_000_000;
/// What stands for texts that came too late.
const OTHERS: &str = "(others)";

/// All texts, shared by those who read.
#[derive(Debug, Default, Clone)]
pub struct Names(Arc<RwLock<Table>>);

#[derive(Debug, Default)]
struct Table {
    texts: Vec<Arc<str>>,
    numbers: Map<Arc<str>, Name>,
}

impl Names {
    /// The number of a text.
    pub fn number(&self, text: &str) -> Name {
        if let Some(known) = self.0.read().unwrap_or_else(PoisonError::into_inner).numbers.get(text) {
            return *known;
        }
        let mut table = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let text = if table.texts.len() < MOST { text } else { OTHERS };
        if let Some(known) = table.numbers.get(text) {
            return *known;
        }
        let number = Name::try_from(table.texts.len()).unwrap_or_default();
        let text: Arc<str> = text.into();
        table.texts.push(Arc::clone(&text));
        table.numbers.insert(text, number);
        number
    }

    /// The text of a number.
    pub fn text(&self, number: Name) -> Arc<str> {
        let table = self.0.read().unwrap_or_else(PoisonError::into_inner);
        usize::try_from(number).ok().and_then(|at| table.texts.get(at).cloned()).unwrap_or_default()
    }
}

/// One reader's own copy, so that readers don't wait for each other.
#[derive(Debug)]
pub struct Known {
    names: Names,
    own: Map<Box<str>, Name>,
}

impl Known {
    /// A copy, empty yet.
    pub fn new(names: &Names) -> Self {
        Self { names: names.clone(), own: Map::default() }
    }

    /// The number of a text.
    pub fn number(&mut self, text: &str) -> Name {
        if let Some(known) = self.own.get(text) {
            return *known;
        }
        let number = self.names.number(text);
        if self.own.len() < MOST {
            self.own.insert(text.into(), number);
        }
        number
    }
}
