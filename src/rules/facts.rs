//! Which attributes the definitions of a rule set read: features, experiments and regions, by their keys.

use super::set::RuleSet;
use crate::attributes::FactSet;
use crate::growthbook::{Experiment, Reads};

/// The attributes that features or experiments read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DefinitionFacts {
    /// Those that conditions look at.
    pub looked_at: FactSet,
    /// Those that are hashed into buckets: who is told apart by them is not told to anybody.
    pub hashed: FactSet,
}

impl DefinitionFacts {
    /// Both.
    #[must_use]
    pub fn all(self) -> FactSet {
        self.looked_at.and(self.hashed)
    }

    /// Those of both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { looked_at: self.looked_at.and(other.looked_at), hashed: self.hashed.and(other.hashed) }
    }
}

impl RuleSet {
    /// What evaluating a feature reads, its prerequisites' reads included.
    #[must_use]
    pub fn facts_of_feature(&self, key: &str) -> DefinitionFacts {
        let mut facts = DefinitionFacts::default();
        self.definitions.each_read_of_feature(key, &mut |reads| facts = facts.and(self.facts_of(reads)));
        facts
    }

    /// What evaluating an experiment of its own reads, its prerequisites' reads included.
    #[must_use]
    pub fn facts_of_experiment(&self, experiment: &Experiment) -> DefinitionFacts {
        let mut facts = DefinitionFacts::default();
        self.definitions.each_read_of_experiment(experiment, &mut |reads| facts = facts.and(self.facts_of(reads)));
        facts
    }

    fn facts_of(&self, reads: &Reads) -> DefinitionFacts {
        let facts = |names: &[Box<str>]| names.iter().map(|name| self.own.facts(attribute_of(name))).collect();
        DefinitionFacts { looked_at: facts(&reads.attributes), hashed: facts(&reads.hashed) }
    }

    /// What the regions' conditions look at.
    #[must_use]
    pub fn facts_of_regions(&self) -> FactSet {
        self.regions.attributes_used().map(|name| self.own.facts(name)).collect()
    }

    /// `facts`, and what they follow from: who is in which region follows from what the regions' conditions look at.
    #[must_use]
    pub fn followed(&self, facts: FactSet) -> FactSet {
        if facts.meets(FactSet::REGION) { facts.and(self.facts_of_regions()) } else { facts }
    }

    /// The attributes that tell one visitor from the others, the site's own among them.
    #[must_use]
    pub fn identifying(&self) -> FactSet {
        FactSet::IDENTIFYING.and(self.own.facts_where(|own| own.identifies))
    }

    /// The attributes that take knowing who asks: an answer that shows one of them is no cache's to keep.
    #[must_use]
    pub fn personal(&self) -> FactSet {
        use super::settings::attributes::Origin;
        let by_proof = self.own.facts_where(|own| own.identifies || matches!(own.origin, Origin::Claim(_)));
        FactSet::OF_THE_PERSON.and(by_proof)
    }
}

/// The attribute that a dotted path starts from.
fn attribute_of(path: &str) -> &str {
    path.split('.').next().unwrap_or(path)
}
