//! Contextual bandits: experiments whose weights depend on who is asking.

use super::stored;
use super::table::{Definition, read};
use crate::condition::{Attributes, Condition, Fault, Groups};

/// A contextual bandit, ready to be evaluated.
#[derive(Debug, Clone)]
pub struct Bandit {
    pub(super) version: Option<serde_json::Number>,
    leaves: Vec<Leaf>,
}

#[derive(Debug, Clone)]
pub(super) struct Leaf {
    pub(super) id: i64,
    condition: Condition,
    pub(super) weights: Vec<f64>,
}

impl Definition for Bandit {
    fn compile(_key: &str, json: &str) -> Result<Self, Fault> {
        let stored: stored::Bandit = read(json)?;
        let contexts = stored.contexts.unwrap_or_default().into_iter().enumerate();
        let leaves = contexts.map(|(index, context)| {
            let condition = match &context.condition {
                None => Condition::default(),
                Some(json) => {
                    Condition::compile(json).map_err(|fault| fault.under("condition").under(index).under("contexts"))?
                }
            };
            Ok(Leaf { id: context.leaf_id, condition, weights: context.weights })
        });
        Ok(Self { version: stored.bandit_version, leaves: leaves.collect::<Result<_, Fault>>()? })
    }
}

impl Bandit {
    /// The first leaf whose condition holds.
    pub(super) fn leaf(&self, attributes: &dyn Attributes, groups: &Groups) -> Option<&Leaf> {
        self.leaves.iter().find(|leaf| leaf.condition.matches(attributes, groups))
    }
}
