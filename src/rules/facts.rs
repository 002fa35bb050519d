//! Which attributes the definitions of a rule set read: features, experiments and regions, by their keys.

use super::set::RuleSet;
use crate::attributes::FactSet;
use crate::growthbook::Read;

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
        self.definitions.each_read_of_feature(key, &mut |read| self.add(&mut facts, read));
        facts
    }

    /// What evaluating an experiment of its own reads, its prerequisites' reads included.
    #[must_use]
    pub fn facts_of_experiment(&self, key: &str) -> DefinitionFacts {
        let mut facts = DefinitionFacts::default();
        self.definitions.each_read_of_experiment(key, &mut |read| self.add(&mut facts, read));
        facts
    }

    fn add(&self, facts: &mut DefinitionFacts, read: Read<'_>) {
        let Some(name) = read.attribute() else { return };
        let set = if matches!(read, Read::Hashed(_)) { &mut facts.hashed } else { &mut facts.looked_at };
        *set = set.and(self.own.facts(name));
    }

    /// What `settings.log.facts` asks for, as far as it takes no more than a look-up of the address and the `User-Agent`: nobody is
    /// identified for a log line.
    pub fn facts_to_log(&self) -> FactSet {
        let named: FactSet = self.settings.log.facts.iter().map(|name| FactSet::of(name)).collect();
        named.shared_with(FactSet::OF_THE_DEVICE)
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
