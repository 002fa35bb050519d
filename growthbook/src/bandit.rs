//! Contextual bandits: experiments whose weights depend on who is asking.

use super::stored;
use super::table::Definition;
use crate::condition::{Attributes, Compiler, Condition, Fault, Groups};
use crate::read_json;

/// A contextual bandit, ready to be evaluated.
#[derive(Debug, Clone)]
pub struct Bandit {
    pub(super) version: Option<serde_json::Number>,
    leaves: Vec<Leaf>,
    weak: Vec<Fault>,
    cost: usize,
}

#[derive(Debug, Clone)]
pub(super) struct Leaf {
    pub(super) id: i64,
    condition: Condition,
    pub(super) weights: Vec<f64>,
}

impl Definition for Bandit {
    fn compile(_key: &str, json: &str) -> Result<Self, Fault> {
        let stored: stored::Bandit = read_json(json)?;
        let mut compiler = Compiler::default();
        let contexts = stored.contexts.unwrap_or_default().into_iter().enumerate();
        let leaves = contexts
            .map(|(index, context)| {
                let condition = compiler.at(["contexts", &index.to_string(), "condition"], |compiler| {
                    let json = context.condition.as_ref();
                    json.map_or(Ok(Condition::default()), |json| Condition::compile_with(json, compiler))
                })?;
                Ok(Leaf { id: context.leaf_id, condition, weights: context.weights })
            })
            .collect::<Result<_, Fault>>()?;
        let cost = compiler.budget.used();
        Ok(Self { version: stored.bandit_version, leaves, weak: compiler.faults, cost })
    }

    fn faults(&self) -> &[Fault] {
        &self.weak
    }

    fn cost(&self) -> usize {
        self.cost
    }
}

impl Bandit {
    /// The first leaf whose condition holds.
    pub(super) fn leaf(&self, attributes: &dyn Attributes, groups: &Groups) -> Option<&Leaf> {
        self.leaves.iter().find(|leaf| leaf.condition.matches(attributes, groups))
    }

    /// The paths that its conditions read.
    pub(super) fn each_path<'a>(&'a self, each: &mut dyn FnMut(&'a str)) {
        self.leaves.iter().for_each(|leaf| leaf.condition.each_path(each));
    }
}
