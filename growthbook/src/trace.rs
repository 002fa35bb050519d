//! Why a decision came out as it did, step by step. Nothing is computed or stored for it unless somebody asks.

use std::fmt;

use super::hash::Bucket;
use super::result::RuleId;
use crate::condition::Fault;

/// Takes the steps of an evaluation.
pub trait Trace {
    /// One step. Prerequisites nest: theirs come between [`Step::Begins`] and [`Step::Ends`].
    fn record(&mut self, step: Step<'_>);
}

/// Collects the steps as sentences.
impl Trace for Vec<String> {
    fn record(&mut self, step: Step<'_>) {
        self.push(step.to_string());
    }
}

/// A step of an evaluation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Step<'a> {
    /// A feature's evaluation begins.
    Begins {
        /// Its key.
        feature: &'a str,
    },
    /// A feature's evaluation ends.
    Ends {
        /// Its key.
        feature: &'a str,
        /// Where the value comes from.
        source: &'static str,
        /// The value.
        value: &'a serde_json::Value,
    },
    /// The definition can't be used.
    Broken(&'a Fault),
    /// A rule doesn't apply.
    RuleSkipped {
        /// Which.
        rule: RuleId<'a>,
        /// Why.
        reason: Exclusion<'a>,
    },
    /// A rule applies.
    RuleApplies(RuleId<'a>),
    /// A visitor doesn't take part in an experiment.
    Excluded {
        /// Its key.
        experiment: &'a str,
        /// Why.
        reason: Exclusion<'a>,
    },
    /// A visitor takes part in an experiment.
    Assigned {
        /// Its key.
        experiment: &'a str,
        /// The variation's index.
        variation: usize,
        /// Where the visitor fell.
        bucket: Bucket,
        /// Whether the variation was remembered.
        sticky: bool,
    },
    /// A visitor's variation is forced.
    Forced {
        /// The experiment's key.
        experiment: &'a str,
        /// The variation's index.
        variation: usize,
        /// What forces it.
        by: &'static str,
    },
}

/// Why a rule or an experiment is passed over.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Exclusion<'a> {
    /// Its time has not come.
    NotYet,
    /// Its time is over.
    Over,
    /// A prerequisite doesn't have the value it must have.
    Prerequisite {
        /// The prerequisite's key.
        feature: &'a str,
        /// Whether that ends the feature.
        gate: bool,
    },
    /// A prerequisite refers back.
    Cycle {
        /// The prerequisite's key.
        feature: &'a str,
    },
    /// A filter, or the namespace, doesn't include the visitor.
    Filtered,
    /// The condition doesn't hold.
    Condition {
        /// The first key of it that doesn't.
        key: &'a str,
    },
    /// The visitor is outside of the rollout.
    OutsideRollout {
        /// Where the visitor fell, if there is something to hash.
        bucket: Option<Bucket>,
    },
    /// Nothing to hash: the visitor has no such attribute, or an empty one.
    NoHashValue {
        /// The attribute.
        attribute: &'a str,
    },
    /// The visitor fell outside of every variation's range.
    NotCovered {
        /// Where the visitor fell.
        bucket: Bucket,
    },
    /// The visitor took part under a version that is now excluded.
    BlockedByBucketVersion,
    /// Not on this page.
    Page,
    /// The hash version doesn't exist.
    HashVersion,
    /// Neither a value nor two variations.
    NothingToDo,
    /// A draft, switched off, or stopped.
    Inactive,
    /// Experiments are switched off for this evaluation.
    Disabled,
    /// Only forced variations are shown.
    QaMode,
    /// The variation to force doesn't exist.
    NoSuchVariation,
    /// The variation says that the next rule goes on.
    Passthrough,
    /// The rule's experiment doesn't include the visitor.
    NotInExperiment,
}

impl fmt::Display for Step<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Begins { feature } => write!(f, "feature {feature}:"),
            Self::Ends { feature, source, value } => write!(f, "feature {feature} is {value} ({source})"),
            Self::Broken(fault) => write!(f, "can't be used: {fault}"),
            Self::RuleSkipped { rule, reason } => write!(f, "{rule} is passed over: {reason}"),
            Self::RuleApplies(rule) => write!(f, "{rule} applies"),
            Self::Excluded { experiment, reason } => write!(f, "experiment {experiment}: not in it: {reason}"),
            Self::Assigned { experiment, variation, bucket, sticky } => {
                let how = if *sticky { "remembered" } else { "by hash" };
                write!(f, "experiment {experiment}: variation {variation} {how}, bucket {}", bucket.as_f64())
            }
            Self::Forced { experiment, variation, by } => {
                write!(f, "experiment {experiment}: variation {variation} forced by {by}")
            }
        }
    }
}

impl fmt::Display for RuleId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.id {
            "" => write!(f, "rule {}", self.index),
            id => write!(f, "rule {} ({id})", self.index),
        }
    }
}

impl fmt::Display for Exclusion<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotYet => f.write_str("its schedule has not started"),
            Self::Over => f.write_str("its schedule is over"),
            Self::Prerequisite { feature, gate: false } => write!(f, "prerequisite {feature} is not met"),
            Self::Prerequisite { feature, gate: true } => write!(f, "prerequisite {feature}, a gate, is not met"),
            Self::Cycle { feature } => write!(f, "prerequisite {feature} refers back"),
            Self::Filtered => f.write_str("a filter or the namespace leaves the visitor out"),
            Self::Condition { key } => write!(f, "its condition fails at {key}"),
            Self::OutsideRollout { bucket: Some(bucket) } => {
                write!(f, "outside of the rollout, bucket {}", bucket.as_f64())
            }
            Self::OutsideRollout { bucket: None } => f.write_str("outside of the rollout"),
            Self::NoHashValue { attribute } => write!(f, "the visitor has no {attribute}"),
            Self::NotCovered { bucket } => write!(f, "no variation covers bucket {}", bucket.as_f64()),
            Self::BlockedByBucketVersion => f.write_str("the visitor took part under an excluded bucket version"),
            Self::Page => f.write_str("not on this page"),
            Self::HashVersion => f.write_str("its hash version doesn't exist"),
            Self::NothingToDo => f.write_str("neither a value nor two variations"),
            Self::Inactive => f.write_str("inactive"),
            Self::Disabled => f.write_str("experiments are switched off"),
            Self::QaMode => f.write_str("only forced variations are shown"),
            Self::NoSuchVariation => f.write_str("the variation to force doesn't exist"),
            Self::Passthrough => f.write_str("its variation lets the next rule go on"),
            Self::NotInExperiment => f.write_str("its experiment leaves the visitor out"),
        }
    }
}
