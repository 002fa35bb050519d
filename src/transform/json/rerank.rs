//! An array's elements in another order: their texts change places, everything between them stays.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::pointer::Pointer;
use super::span::{self, Span};
use super::stored::Rerank;
use crate::transform::facts::{Facts, scalar};
use crate::transform::reads::Reads;

/// Members of a session's list that are looked at.
const MAX_LISTED: usize = 1000;
const DEFAULT_AFFINITY_WEIGHT: f64 = 1.0;
const DEFAULT_RECENT_WEIGHT: f64 = 0.5;

/// A `rerank`, compiled.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct CompiledRerank {
    array: Pointer,
    key: Pointer,
    id: Pointer,
    affinity: Option<String>,
    recent: Option<String>,
    pinned: Vec<String>,
    limit: usize,
    affinity_weight: f64,
    recent_weight: f64,
}

/// What one visitor's session says of the order: weights by category, and by id.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Order {
    affinity: BTreeMap<String, f64>,
    recent: BTreeMap<String, f64>,
}

impl CompiledRerank {
    /// Gives the field at fault and the message.
    pub(super) fn compile(stored: Rerank) -> Result<Self, (&'static str, String)> {
        if !(1..=super::MAX_RERANKED).contains(&stored.limit) {
            return Err(("/limit", format!("expected 1 to {}, but found {}", super::MAX_RERANKED, stored.limit)));
        }
        for (name, weight) in &stored.weights {
            if !matches!(name.as_str(), "affinity" | "recent") || !weight.is_finite() {
                return Err(("/weights", format!("expected numbers for `affinity` and `recent`, but found `{name}`")));
            }
        }
        let weight = |name: &str, default| stored.weights.get(name).copied().unwrap_or(default);
        Ok(Self {
            array: Pointer::parse(&stored.pointer).map_err(|message| ("/pointer", message))?,
            key: member(&stored.key).map_err(|message| ("/key", message))?,
            id: member(&stored.id).map_err(|message| ("/id", message))?,
            affinity_weight: weight("affinity", DEFAULT_AFFINITY_WEIGHT),
            recent_weight: weight("recent", DEFAULT_RECENT_WEIGHT),
            affinity: stored.affinity,
            recent: stored.recent,
            pinned: stored.pinned,
            limit: stored.limit,
        })
    }

    /// What the order is made of.
    pub(super) fn add_reads(&self, reads: &mut Reads) {
        [&self.affinity, &self.recent].into_iter().flatten().for_each(|path| reads.add_dotted(path));
    }

    /// What the session says of the order; `None` where there is no reason to change it.
    pub(super) fn order(&self, facts: &Facts<'_>) -> Option<Order> {
        let affinity = self.affinity.as_deref().and_then(|path| facts.get(path)).map(weights).unwrap_or_default();
        let recent = self.recent.as_deref().map(|path| recency(&facts.get_all(path))).unwrap_or_default();
        let is_any = !(affinity.is_empty() && recent.is_empty() && self.pinned.is_empty());
        is_any.then_some(Order { affinity, recent })
    }

    /// The text with the array in its new order; `None` where there is no array.
    pub(super) fn apply(&self, text: &str, order: &Order) -> Option<String> {
        let Order { affinity, recent } = order;
        let pinned: HashMap<&str, usize> =
            self.pinned.iter().enumerate().rev().map(|(rank, id)| (id.as_str(), rank)).collect();

        let slots: Vec<Span> = span::elements(text, self.array.start(text)?)?.take(self.limit).collect();
        let mut ranked: Vec<(usize, f64, &str)> = slots
            .iter()
            .filter_map(|slot| text.get(slot.clone()))
            .map(|element| {
                let [id, category] = self.named(element);
                let of_category = category.and_then(|category| affinity.get(&*category).copied()).unwrap_or(0.0);
                let of_recency = id.as_ref().and_then(|id| recent.get(&**id).copied()).unwrap_or(0.0);
                let score = self.affinity_weight * of_category + self.recent_weight * of_recency;
                let rank = id.and_then(|id| pinned.get(&*id).copied()).unwrap_or(usize::MAX);
                (rank, score, element)
            })
            .collect();
        // `sort_by` is stable; among the pinned, the rule's order alone counts.
        ranked.sort_by(|a, b| {
            a.0.cmp(&b.0).then_with(|| if a.0 == usize::MAX { b.1.total_cmp(&a.1) } else { std::cmp::Ordering::Equal })
        });

        let mut out = String::with_capacity(text.len());
        let mut from = 0;
        for (slot, (_, _, element)) in slots.iter().zip(&ranked) {
            out.push_str(text.get(from..slot.start)?);
            out.push_str(element);
            from = slot.end;
        }
        out.push_str(text.get(from..)?);
        Some(out)
    }
}

impl CompiledRerank {
    /// An element's id and category. Members of the element itself, as most are, are found in one pass over it.
    fn named<'e>(&self, element: &'e str) -> [Option<Cow<'e, str>>; 2] {
        let mut found = [None, None];
        match (self.id.member(), self.key.member()) {
            (Some(id), Some(key)) if element.starts_with('{') => {
                // Of several members with one name the last, as JavaScript reads it.
                for member in span::members(element, 0).into_iter().flatten() {
                    let [of_id, of_key] = &mut found;
                    if member.name == id {
                        *of_id = Some(member.value.clone());
                    }
                    if member.name == key {
                        *of_key = Some(member.value);
                    }
                }
            }
            _ => found = [self.id.find(element), self.key.find(element)],
        }
        found.map(|at| at.and_then(|at| element.get(at)).and_then(span::scalar))
    }
}

/// `category` is the member of that name, `/a/b` a pointer.
fn member(name: &str) -> Result<Pointer, String> {
    if name.starts_with('/') {
        return Pointer::parse(name);
    }
    if name.is_empty() {
        return Err("expected a member's name, but found an empty one".to_owned());
    }
    Pointer::parse(&format!("/{}", crate::transform::pointer_token(name)))
}

/// Weights by category, the largest being 1.
fn weights(affinity: &Value) -> BTreeMap<String, f64> {
    let weights: Vec<(String, f64)> = match affinity {
        Value::Object(members) => members
            .iter()
            .take(MAX_LISTED)
            .filter_map(|(name, weight)| Some((name.clone(), weight.as_f64().filter(|weight| weight.is_finite())?)))
            .collect(),
        Value::Array(names) => return ranks(names.iter()),
        _ => Vec::new(),
    };
    let largest = weights.iter().map(|(_, weight)| weight.abs()).fold(0.0, f64::max);
    weights.into_iter().filter(|_| largest > 0.0).map(|(name, weight)| (name, weight / largest)).collect()
}

/// Weights by id, the latest being 1. A list of objects counts by their `id`.
fn recency(ids: &[&Value]) -> BTreeMap<String, f64> {
    ranks(ids.iter().map(|id| id.get("id").unwrap_or(id)))
}

/// 1 for the first, falling evenly towards 0. Of a repeated name the first place counts.
fn ranks<'v>(names: impl Iterator<Item = &'v Value>) -> BTreeMap<String, f64> {
    let names: Vec<String> = names.take(MAX_LISTED).filter_map(scalar).collect();
    // At most MAX_LISTED: exact.
    #[allow(clippy::cast_precision_loss)]
    let rank = |place: usize| 1.0 - place as f64 / names.len() as f64;
    names.iter().enumerate().rev().map(|(place, name)| (name.clone(), rank(place))).collect()
}
