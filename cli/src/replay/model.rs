//! The result: what `--format json` writes. Its schema is published (`personalizer schema`): a member may be added, but none changes its
//! meaning within a version.

use std::collections::BTreeMap;

use edge_personalizer::replay::Part;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

/// The version of the shape.
pub const VERSION: u32 = 1;

/// What `personalizer replay --format json` writes.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub struct Replay {
    /// The version of this shape: 1.
    pub v: u32,
    /// The rules that decided the lines.
    pub from: String,
    /// The rules that they are decided by again.
    pub to: String,
    /// Lines that were decided again: the sum of the next four.
    pub lines: u64,
    /// Lines that the old rules don't reproduce. They say nothing.
    pub not_reproduced: u64,
    /// Lines that come out otherwise.
    pub changed: u64,
    /// Lines that come out the same.
    pub unchanged: u64,
    /// Lines that depend on what they don't say.
    pub undetermined: u64,
    /// On which attribute it depends, with how many lines. A line may depend on several.
    pub unknown: BTreeMap<String, u64>,
    /// The changed lines' share of those that are determined, 0 to 1, each line weighed by `1 / sample`; `null` where none is.
    pub changed_share: Option<f64>,
    /// What changes, the most lines first.
    pub changes: Vec<Change>,
    /// Lines of further changes, where there are too many to name.
    pub changes_left_out: u64,
    /// Why lines aren't reproduced, the most lines first.
    pub why_not: Vec<WhyNot>,
    /// The same figures by country, route or POP, as asked for.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub by: BTreeMap<String, BTreeMap<String, Counts>>,
    /// What isn't among the lines.
    pub apart: Apart,
}

/// Lines that were not decided again.
#[derive(Debug, Clone, Copy, Default, Serialize, JsonSchema)]
pub struct Apart {
    /// Lines of other revisions, and of requests that no rules served.
    pub other_revision: u64,
    /// Lines of signed previews, which no rules decide.
    pub preview: u64,
    /// Lines that came again.
    pub doubled: u64,
    /// Lines that can't be read.
    pub broken: u64,
}

/// Lines, by how they come out.
#[derive(Debug, Clone, Copy, Default, Serialize, JsonSchema)]
pub struct Counts {
    /// All.
    pub lines: u64,
    /// Not reproduced.
    pub not_reproduced: u64,
    /// Changed.
    pub changed: u64,
    /// Unchanged.
    pub unchanged: u64,
    /// Undetermined.
    pub undetermined: u64,
}

/// One change.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Change {
    /// The route that the lines say; `null` where none matched.
    pub route: Option<String>,
    /// What the old rules do, as far as it differs.
    pub from: Part,
    /// What the new ones do.
    pub to: Part,
    /// How many lines.
    pub lines: u64,
    /// Up to ten of them, as `personalizer explain --trace-request` takes them.
    pub examples: Vec<Value>,
}

/// Why lines aren't reproduced.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct WhyNot {
    /// In words.
    pub why: String,
    /// How many lines.
    pub lines: u64,
    /// One of them.
    pub example: Value,
}
