//! Feature flags and experiments: the GrowthBook SDK specification, version 0.8.0.
//!
//! A definition goes through three stages. As **stored** it is JSON in the shapes of [`stored`], which are GrowthBook's SDK
//! payload. **Compiled** ([`Feature`], [`Experiment`], [`Bandit`]) its conditions, patterns, seeds and ranges are prepared; a [`Table`] does that for one
//! definition at a time, when it is first asked for. **Evaluated** ([`Evaluator`]) it gives a value with its reason.
//!
//! An evaluation is pure: attributes, time, URL, forced variations and sticky buckets are arguments ([`Context`]); exposures and changed
//! sticky buckets are part of the outcome ([`Effects`]). The same arguments give the same outcome in every GrowthBook SDK.

mod bandit;
mod compiled;
pub mod condition;
#[cfg(feature = "tools")]
pub mod conformance;
mod decrypt;
mod evaluate;
mod experiment;
mod hash;
mod index;
pub mod json_place;
pub mod json_words;
#[cfg(feature = "tools")]
mod lint;
mod payload;
mod query_override;
mod range;
mod reads;
mod redirect;
mod result;
#[cfg(feature = "tools")]
mod reweight;
mod schedule;
mod sticky;
pub mod stored;
mod table;
mod target;
mod trace;
mod url;

pub use bandit::Bandit;
pub use compiled::{Experiment, Feature};
pub use decrypt::{Undecryptable, decrypt};
pub use evaluate::{Context, Evaluator};
pub use hash::{Bucket, HashVersion, Seed, hash};
pub use index::{Index, Places};
#[cfg(feature = "tools")]
pub use lint::{lint_experiment, lint_feature};
pub use payload::Definitions;
pub use query_override::query_override;
pub use range::{
    Fractions, Interval, bucket_ranges, choose_variation, equal_weights, in_namespace, in_range, weights_are_usable,
};
pub use reads::{Read, Reads};
pub use redirect::Redirect;
pub use result::{BanditLeaf, Effects, ExperimentResult, Exposure, FeatureResult, RuleId, Source};
#[cfg(feature = "tools")]
pub use reweight::{Piece, Reweighted, reweight, reweight_pieces};
pub use schedule::{Moment, Schedule};
pub use sticky::{StickyBuckets, StickyDocument};
pub use table::{Definition, DefinitionSource, Table};
pub use trace::{Exclusion, Step, Trace};

/// Reads JSON into a shape: what stands at which place is part of a fault.
///
/// # Errors
///
/// The first thing that doesn't fit. Its place is looked for only once there is one.
pub fn read_json<'de, T: serde::Deserialize<'de>>(text: &'de str) -> Result<T, condition::Fault> {
    serde_json::from_str(text).map_err(|error: serde_json::Error| condition::Fault {
        pointer: json_place::pointer_at(text, error.line(), error.column()),
        message: json_words::house_wording(&error),
    })
}

/// The README's example is compiled and run with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(test)]
mod tests;
