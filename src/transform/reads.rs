//! What a piece of the rules reads of the facts: collected when the piece is compiled, so that nobody has to guess it.

use std::collections::BTreeSet;

/// The paths that a piece of the rules reads, each once: `deviceType`, `session.cart_skus`, `feature.hero`.
///
/// Of `feature` and `experiment`, all that follows the first dot is one key, dots and all: `feature.hero.title` is the feature
/// `hero.title`. A path is read with all that is below it; a bare `session` means the whole session, a bare `feature` all that the
/// visitor is shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reads(BTreeSet<Box<str>>);

/// What is known under a key, not under a path.
const KEYED: [&str; 2] = ["feature", "experiment"];

impl Reads {
    /// Nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a path whose steps are known each for itself, as templates and subscripts have them.
    pub(crate) fn add_steps(&mut self, steps: &[&str]) {
        match steps {
            [name, key, ..] if KEYED.contains(name) => self.add([name, ".", key].concat()),
            steps => self.add(steps.join(".")),
        }
    }

    /// Adds a dotted path, as conditions have them. A key may have dots itself: each beginning of what follows `feature.` may be one. Those
    /// that nobody defined are no features.
    pub(crate) fn add_dotted(&mut self, path: &str) {
        match path.split_once('.') {
            Some((name, rest)) if KEYED.contains(&name) => {
                let ends = rest.match_indices('.').map(|(at, _)| at).chain([rest.len()]);
                for key in ends.filter_map(|end| rest.get(..end)) {
                    self.add([name, ".", key].concat());
                }
            }
            _ => self.add(path.to_owned()),
        }
    }

    /// Adds all that `other` reads.
    pub fn extend(&mut self, other: &Self) {
        self.0.extend(other.0.iter().cloned());
    }

    /// Whether nothing is read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The paths, sorted.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|path| &**path)
    }

    /// Whether anything of the attribute `name` is read.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.iter().any(|path| path.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
    }

    /// The keys that are read of `feature` or `experiment`. A condition's path gives more than one where it may be read in more than one
    /// way (`feature.a.b` is the feature `a.b`, or `b` in the value of `a`): only those that are defined count.
    pub fn keys_of(&self, name: &str) -> impl Iterator<Item = &str> {
        self.iter().filter_map(move |path| path.strip_prefix(name)?.strip_prefix('.'))
    }

    fn add(&mut self, path: String) {
        self.0.insert(path.into());
    }
}

impl<'r> IntoIterator for &'r Reads {
    type Item = &'r str;
    type IntoIter = std::iter::Map<std::collections::btree_set::Iter<'r, Box<str>>, fn(&'r Box<str>) -> &'r str>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter().map(|path| path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_keeps_its_dots() {
        let mut reads = Reads::new();
        reads.add_steps(&["feature", "de.banner", "title"]);
        reads.add_steps(&["session", "cart", "count"]);
        reads.add_dotted("experiment.a.b");
        assert_eq!(
            reads.iter().collect::<Vec<_>>(),
            ["experiment.a", "experiment.a.b", "feature.de.banner", "session.cart.count"]
        );
        assert_eq!(reads.keys_of("feature").collect::<Vec<_>>(), ["de.banner"]);
        assert!(reads.has("session") && !reads.has("sess"));
    }
}
