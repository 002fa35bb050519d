//! What a decision reads: so that a caller loads no more facts than it needs, and knows what an answer depends on.

use super::compiled::{Action, Experiment, Feature, Filter, HashAttributes, Parent, Rollout};
use super::payload::Definitions;
use crate::condition::{Condition, attribute_of};

/// What a definition reads, each list sorted and each name once.
///
/// Values of other features (the conditions of prerequisites) aren't attributes. Sticky buckets, where the caller has them, also look up the
/// documents of `id` for an experiment without a fallback attribute (specification: "sticky bucketing").
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reads {
    /// Paths that conditions read (`country`, `session.attributes.tier`).
    pub attributes: Vec<Box<str>>,
    /// Attributes that are hashed, for buckets, rollouts and filters, the fallback attributes included.
    pub hashed: Vec<Box<str>>,
    /// Features that are prerequisites.
    pub features: Vec<Box<str>>,
    /// Contextual bandits, whose conditions are read as well.
    pub bandits: Vec<Box<str>>,
}

/// One thing that a decision reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Read<'a> {
    /// The path of an attribute, for a condition.
    Attribute(&'a str),
    /// An attribute that is hashed.
    Hashed(&'a str),
    /// A feature that is a prerequisite.
    Feature(&'a str),
    /// A contextual bandit.
    Bandit(&'a str),
}

impl<'a> Read<'a> {
    /// The top-level attribute that has to be known: `session` of `session.attributes.tier`.
    #[must_use]
    pub fn attribute(self) -> Option<&'a str> {
        match self {
            Self::Attribute(path) => Some(attribute_of(path)),
            Self::Hashed(name) => Some(name),
            Self::Feature(_) | Self::Bandit(_) => None,
        }
    }
}

impl Reads {
    /// Everything that is read, in no order that means something.
    pub fn iter(&self) -> impl Iterator<Item = Read<'_>> {
        let attributes = self.attributes.iter().map(|path| Read::Attribute(path));
        let hashed = self.hashed.iter().map(|name| Read::Hashed(name));
        let features = self.features.iter().map(|key| Read::Feature(key));
        attributes.chain(hashed).chain(features).chain(self.bandits.iter().map(|key| Read::Bandit(key)))
    }

    fn add(&mut self, read: Read<'_>) {
        let (list, name) = match read {
            Read::Attribute(path) => (&mut self.attributes, path),
            Read::Hashed(name) => (&mut self.hashed, name),
            Read::Feature(key) => (&mut self.features, key),
            Read::Bandit(key) => (&mut self.bandits, key),
        };
        if let Err(place) = list.binary_search_by(|there| (**there).cmp(name)) {
            list.insert(place, name.into());
        }
    }

    fn add_condition(&mut self, condition: &Condition) {
        condition.each_path(&mut |path| self.add(Read::Attribute(path)));
    }

    fn add_hash(&mut self, attributes: &HashAttributes) {
        self.add(Read::Hashed(&attributes.name));
        if let Some(fallback) = attributes.fallback.as_deref().filter(|_| !attributes.not_sticky) {
            self.add(Read::Hashed(fallback));
        }
    }

    fn add_parents_and_filters(&mut self, parents: &[Parent], filters: &[Filter]) {
        for parent in parents {
            self.add(Read::Feature(&parent.feature));
        }
        for filter in filters {
            self.add(Read::Hashed(&filter.attribute));
        }
    }

    pub(super) fn of_experiment(experiment: &Experiment) -> Self {
        let mut reads = Self::default();
        reads.add_condition(&experiment.condition);
        reads.add_hash(&experiment.attributes);
        reads.add_parents_and_filters(&experiment.parents, experiment.filters.as_deref().unwrap_or_default());
        if let Some(bandit) = &experiment.bandit {
            reads.add(Read::Bandit(bandit));
        }
        reads
    }

    pub(super) fn of_feature(feature: &Feature) -> Self {
        let mut reads = Self::default();
        for rule in &feature.rules {
            reads.add_parents_and_filters(&rule.parents, &rule.filters);
            match &rule.action {
                Action::Force(force) => {
                    reads.add_condition(&force.condition);
                    if let Rollout::Share { attributes, .. } = &force.rollout {
                        reads.add_hash(attributes);
                    }
                }
                Action::Run(experiment) => experiment.reads().iter().for_each(|read| reads.add(read)),
                Action::Nothing => {}
            }
        }
        reads
    }
}

/// Follows prerequisites and bandits, each once: cycles end there.
struct Walk<'a, 'e> {
    definitions: &'a Definitions,
    seen: Vec<&'a str>,
    each: &'e mut dyn FnMut(Read<'a>),
}

impl<'a> Walk<'a, '_> {
    fn follow(&mut self, reads: &'a Reads) {
        self.report(reads);
        // Prerequisites queue up in `seen`: a long chain of them needs no stack.
        let mut next = 0;
        while let Some(key) = self.seen.get(next).copied() {
            next += 1;
            if let Some(Ok(feature)) = self.definitions.features.get(key) {
                self.report(feature.reads());
            }
        }
    }

    fn report(&mut self, reads: &'a Reads) {
        for read in reads.iter() {
            (self.each)(read);
            match read {
                Read::Feature(key) if !self.seen.contains(&key) => self.seen.push(key),
                Read::Bandit(key) => {
                    if let Some(Ok(bandit)) = self.definitions.bandits.get(key) {
                        bandit.each_path(&mut |path| (self.each)(Read::Attribute(path)));
                    }
                }
                _ => {}
            }
        }
    }
}

impl Definitions {
    /// Calls `each` with all that deciding a feature may read, its prerequisites' and bandits' reads included; one thing may come twice. A feature that
    /// doesn't exist, or can't be compiled, reads nothing. Compiles the feature and its prerequisites.
    ///
    /// Allocates only where there are prerequisites.
    pub fn each_read_of_feature<'a>(&'a self, key: &str, each: &mut dyn FnMut(Read<'a>)) {
        if let Some(Ok(feature)) = self.features.get(key) {
            Walk { definitions: self, seen: Vec::new(), each }.follow(feature.reads());
        }
    }

    /// The same for an experiment of its own.
    pub fn each_read_of_experiment<'a>(&'a self, key: &str, each: &mut dyn FnMut(Read<'a>)) {
        if let Some(Ok(experiment)) = self.experiments.get(key) {
            Walk { definitions: self, seen: Vec::new(), each }.follow(experiment.reads());
        }
    }

    /// All that deciding a feature may read, as one value: see [`each_read_of_feature`](Self::each_read_of_feature).
    #[must_use]
    pub fn reads_of_feature(&self, key: &str) -> Reads {
        let mut reads = Reads::default();
        self.each_read_of_feature(key, &mut |read| reads.add(read));
        reads
    }

    /// The same for an experiment of its own.
    #[must_use]
    pub fn reads_of_experiment(&self, key: &str) -> Reads {
        let mut reads = Reads::default();
        self.each_read_of_experiment(key, &mut |read| reads.add(read));
        reads
    }
}
