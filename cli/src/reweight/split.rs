//! A split: which buckets each variation has, now and after.

use anyhow::bail;
use edge_personalizer::growthbook::{
    Fractions, HashVersion, Piece, bucket_ranges, equal_weights, reweight_pieces, weights_are_usable,
};
use serde::Serialize;
use serde_json::{Map, Number, Value, json};

/// One variation and its shares of all visitors.
#[derive(Debug, Clone, Serialize)]
pub struct Variation {
    /// How exposures name it.
    pub key: String,
    /// For people.
    pub name: Option<String>,
    /// Its share now.
    pub now: f64,
    /// Its share after the change.
    pub new: f64,
}

/// What a change does, in shares of all visitors.
#[derive(Debug, Clone, Serialize)]
pub struct Change {
    /// From one variation to another.
    pub moved: f64,
    /// Out of the experiment.
    pub left: f64,
    /// Into the experiment.
    pub joined: f64,
    /// What has to move or leave, whichever way ranges are cut: what variations lose.
    pub least: f64,
    /// What would move or leave if weights alone were changed.
    pub by_weights_alone: f64,
}

/// An experiment's split.
pub struct Split {
    /// The variations, each once.
    pub variations: Vec<Variation>,
    /// The variation of each bucket.
    owners: Vec<Option<usize>>,
}

/// A split after a change.
pub struct Next {
    /// The variations with both shares.
    pub variations: Vec<Variation>,
    pieces: Vec<Piece>,
    weights: Vec<f64>,
    coverage: Option<f64>,
    /// What it does.
    pub change: Change,
}

impl Split {
    /// Reads an experiment as the edge does.
    ///
    /// # Errors
    ///
    /// "expected …, but found …": there are no variations, or something else than ranges decides who gets which.
    pub fn read(rule: &Value) -> anyhow::Result<Self> {
        let bandit = rule.get("contextualBanditRef").and_then(Value::as_str).is_some_and(|name| !name.is_empty());
        if bandit || rule.get("contextualVariations").is_some() {
            bail!("expected an experiment with weights of its own, but found a bandit's");
        }
        let Some(listed) = rule.get("variations").and_then(Value::as_array).filter(|list| list.len() > 1) else {
            bail!("expected at least two variations, but found fewer");
        };
        let number = rule.get("hashVersion").and_then(Value::as_u64).filter(|number| *number != 0).unwrap_or(1);
        let Some(version) = u32::try_from(number).ok().and_then(HashVersion::from_number) else {
            bail!("hashVersion: expected 1 or 2, but found {number}, with which nobody takes part");
        };
        let numbers = |value: &Value| value.as_array()?.iter().map(Value::as_f64).collect::<Option<Vec<f64>>>();
        let ranges = match rule.get("ranges").filter(|ranges| !ranges.is_null()) {
            Some(ranges) => serde_json::from_value::<Vec<Fractions>>(ranges.clone())?,
            None => {
                let weights = rule.get("weights").and_then(numbers);
                let coverage = rule.get("coverage").and_then(Value::as_f64).unwrap_or(1.0);
                bucket_ranges(listed.len(), coverage, weights.as_deref())
            }
        };
        // A variation that is listed again has the key of its first place.
        let mut variations: Vec<Variation> = Vec::new();
        let mut variation_of = Vec::new();
        for index in 0..listed.len() {
            let meta =
                |key: &str| rule.pointer(&format!("/meta/{index}/{key}"))?.as_str().filter(|text| !text.is_empty());
            let key = meta("key").map_or_else(|| index.to_string(), str::to_owned);
            variation_of.push(variations.iter().position(|variation| variation.key == key).unwrap_or(variations.len()));
            if variation_of.last() == Some(&variations.len()) {
                variations.push(Variation { key, name: meta("name").map(str::to_owned), now: 0.0, new: 0.0 });
            }
        }
        let pieces =
            ranges.iter().zip(&variation_of).map(|(range, variation)| Piece { variation: *variation, range: *range });
        let owners = owners(&pieces.collect::<Vec<_>>(), version);
        for (index, variation) in variations.iter_mut().enumerate() {
            variation.now = share(owners.iter().filter(|owner| **owner == Some(index)).count(), owners.len());
        }
        Ok(Self { variations, owners })
    }

    /// Another split, and what it does. `weights` are shares among those who take part, with the sum 1.
    pub fn reweighted(&self, weights: &[f64], coverage: Option<f64>) -> Option<Next> {
        let buckets = self.owners.len();
        let now = share(self.owners.iter().flatten().count(), buckets);
        let covered = coverage.unwrap_or(now);
        let shares = whole_buckets(weights, covered, buckets);
        let current = pieces(&self.owners);
        let pieces = reweight_pieces(&current, &shares)?.pieces;
        let version = if buckets == 1_000 { HashVersion::One } else { HashVersion::Two };
        let after = owners(&pieces, version);
        // Weights alone: the ranges that the specification makes of them, over the same share of visitors.
        let usable = weights_are_usable(weights.len(), weights);
        let plain_weights = if usable { weights.to_vec() } else { equal_weights(weights.len()) };
        let plain = bucket_ranges(weights.len(), covered, Some(&plain_weights));
        let plain = plain.iter().enumerate().map(|(variation, range)| Piece { variation, range: *range });
        let plain = owners(&plain.collect::<Vec<_>>(), version);
        let count = |test: fn(Option<usize>, Option<usize>) -> bool, after: &[Option<usize>]| {
            share(self.owners.iter().zip(after).filter(|(before, after)| test(**before, **after)).count(), buckets)
        };
        let moved =
            |before: Option<usize>, after: Option<usize>| before.is_some() && after.is_some() && before != after;
        let left = |before: Option<usize>, after: Option<usize>| before.is_some() && after.is_none();
        let mut variations = self.variations.clone();
        for (index, variation) in variations.iter_mut().enumerate() {
            variation.new = share(after.iter().filter(|owner| **owner == Some(index)).count(), buckets);
        }
        let change = Change {
            moved: count(moved, &after),
            left: count(left, &after),
            joined: count(|before, after| before.is_none() && after.is_some(), &after),
            least: variations.iter().map(|variation| (variation.now - variation.new).max(0.0)).sum(),
            by_weights_alone: count(moved, &plain) + count(left, &plain),
        };
        Some(Next { variations, pieces, weights: weights.to_vec(), coverage, change })
    }
}

impl Next {
    /// The members of the experiment that change.
    pub fn members(&self, rule: &Value) -> Map<String, Value> {
        let mut ranges: Vec<Fractions> = vec![[0.0, 0.0]; self.variations.len()];
        // Which variation each listed variation is: every variation once, then those with another range.
        let mut listed: Vec<usize> = (0..self.variations.len()).collect();
        let mut seen = vec![false; self.variations.len()];
        for piece in &self.pieces {
            match (ranges.get_mut(piece.variation), seen.get_mut(piece.variation)) {
                (Some(range), Some(seen)) if !*seen => {
                    *range = piece.range;
                    *seen = true;
                }
                _ => {
                    ranges.push(piece.range);
                    listed.push(piece.variation);
                }
            }
        }
        let mut members = Map::new();
        let before = |key: &str| rule.get(key).and_then(Value::as_array);
        let count = before("variations").map_or(0, Vec::len);
        let relisted = listed.len() != count || count != self.variations.len();
        if relisted {
            // Where each variation is listed first: its value and its meta are copied from there.
            let first = |variation: &usize| {
                let key = self.variations.get(*variation).map(|variation| variation.key.as_str());
                let is = |index: &usize| {
                    let own = rule
                        .pointer(&format!("/meta/{index}/key"))
                        .and_then(Value::as_str)
                        .filter(|own| !own.is_empty());
                    own.map_or_else(|| Some(index.to_string().as_str()) == key, |own| Some(own) == key)
                };
                (0..count).find(is).unwrap_or_default()
            };
            let variations = listed.iter().filter_map(|variation| before("variations")?.get(first(variation)).cloned());
            members.insert("variations".to_owned(), variations.collect());
            let metas = listed.iter().map(|variation| {
                let mut meta =
                    rule.pointer(&format!("/meta/{}", first(variation))).cloned().unwrap_or_else(|| json!({}));
                if let (Some(meta), Some(variation)) = (meta.as_object_mut(), self.variations.get(*variation)) {
                    meta.insert("key".to_owned(), variation.key.clone().into());
                }
                meta
            });
            members.insert("meta".to_owned(), metas.collect());
        }
        if before("weights").is_some() {
            // Nobody reads them beside ranges but people, who should not read old ones.
            let weights: Vec<f64> = if relisted {
                let all: f64 = ranges.iter().map(|[from, to]| to - from).sum();
                ranges.iter().map(|[from, to]| rounded((to - from) / all)).collect()
            } else {
                self.weights.iter().map(|weight| rounded(*weight)).collect()
            };
            members.insert("weights".to_owned(), weights.into_iter().map(number).collect());
        }
        if let Some(coverage) = self.coverage.filter(|_| rule.get("coverage").is_some()) {
            members.insert("coverage".to_owned(), number(coverage));
        }
        members
            .insert("ranges".to_owned(), ranges.iter().map(|range| Value::from(range.map(number).to_vec())).collect());
        members
    }
}

/// Whole numbers without a point, as people write them.
fn number(value: f64) -> Value {
    #[allow(clippy::cast_possible_truncation)]
    let whole = value as i64;
    if value.fract() == 0.0 { whole.into() } else { Number::from_f64(value).map_or(Value::Null, Value::Number) }
}

/// To a hundred millionth: what is left of a division needs no sixteen digits.
fn rounded(value: f64) -> f64 {
    (value * 1e8).round() / 1e8
}

/// On one line, with a space behind commas and colons.
pub fn written(value: &Value) -> String {
    match value {
        Value::Array(list) => format!("[{}]", list.iter().map(written).collect::<Vec<_>>().join(", ")),
        Value::Object(members) if members.is_empty() => "{}".to_owned(),
        Value::Object(members) => {
            let members =
                members.iter().map(|(key, value)| format!("{}: {}", Value::from(key.as_str()), written(value)));
            format!("{{ {} }}", members.collect::<Vec<_>>().join(", "))
        }
        scalar => scalar.to_string(),
    }
}

/// Shares in whole buckets: cumulative bounds are rounded, not single shares.
fn whole_buckets(weights: &[f64], covered: f64, buckets: usize) -> Vec<f64> {
    let buckets = f64::from(u32::try_from(buckets).unwrap_or(u32::MAX));
    let mut sum = 0.0;
    let mut last = 0.0;
    let share = |weight: &f64| {
        sum += weight * covered;
        let bound = (sum * buckets).round().min(buckets);
        let share = (bound - last) / buckets;
        last = bound;
        share
    };
    weights.iter().map(share).collect()
}

fn owners(pieces: &[Piece], version: HashVersion) -> Vec<Option<usize>> {
    let buckets = version.buckets();
    let owner = |bucket: u32| {
        let n = f64::from(bucket) / f64::from(buckets);
        pieces.iter().find(|piece| n >= piece.range[0] && n < piece.range[1]).map(|piece| piece.variation)
    };
    (0..buckets).map(owner).collect()
}

/// Neighbouring buckets of one variation as one piece, with bounds that are buckets'.
fn pieces(owners: &[Option<usize>]) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    let mut below = None;
    for (bucket, owner) in owners.iter().enumerate() {
        if let Some(variation) = *owner {
            let bound = share(bucket + 1, owners.len());
            match pieces.last_mut() {
                Some(piece) if below == *owner => piece.range = [piece.range[0], bound],
                _ => pieces.push(Piece { variation, range: [share(bucket, owners.len()), bound] }),
            }
        }
        below = *owner;
    }
    pieces
}

fn share(part: usize, whole: usize) -> f64 {
    let number = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    number(part) / number(whole)
}
