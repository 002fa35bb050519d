//! Surrogate keys: the names under which shared answers can be purged (design.md section 4).
//!
//! The edge tags answers with them and `personalizer purge` asks for them to be purged: one place makes the names, so that no purge
//! is a silent no-op.

use super::variant::Variant;
use crate::rules::RuleSet;
use crate::rules::route::{Cache, Route};

/// The key of everything that a route answers.
#[must_use]
pub fn route(id: &str) -> String {
    format!("route-{id}")
}

/// The key of everything that a revision answers.
#[must_use]
pub fn revision(revision: &str) -> String {
    format!("revision-{revision}")
}

/// The keys of a variant, one a dimension: `variant-<dimension>-<value>`, so that one variant can be purged.
pub fn variant(variant: &Variant) -> impl Iterator<Item = String> {
    variant.iter().map(|(dimension, value)| format!("variant-{dimension}-{}", value.replace(' ', "%20")))
}

/// Every key of a shared answer, as the header `Surrogate-Key` carries them: separated by spaces.
pub(super) fn of_answer(rules: &RuleSet, route: &Route, cache: &Cache, shaped_by: &Variant) -> String {
    let named = cache.stored.surrogate_keys.iter().cloned();
    let revision = rules.revision.as_deref().map(revision);
    let keys = named.chain([self::route(&route.id)]).chain(revision).chain(variant(shaped_by));
    keys.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_with_a_space_is_one_key() {
        let mut shaped_by = Variant::default();
        shaped_by.add("hero", "free shipping");
        shaped_by.add("region", "EU-WEST");
        assert_eq!(variant(&shaped_by).collect::<Vec<_>>(), ["variant-hero-free%20shipping", "variant-region-EU-WEST"]);
    }
}
