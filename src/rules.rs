//! Resolve rules: dictionaries of a config store, stored → compiled → used (design.md section 3).
//!
//! A rule that can't be used is left out and named; the rest serves. Compiled rules live as long as the sandbox and are
//! used again while the stored text is unchanged.

pub mod by_hand;
pub mod cache;
pub mod canary;
pub mod definitions;
pub mod dictionary;
#[cfg(any(test, feature = "tools"))]
pub mod entries;
pub mod events;
pub mod facts;
pub mod fault;
mod features;
pub mod host_pattern;
pub mod manifest;
pub mod pack;
pub mod path;
pub mod payload;
pub mod pointer;
pub mod regions;
pub mod revision;
pub mod route;
pub mod routes;
#[cfg(feature = "schema")]
pub mod schema;
pub mod set;
pub mod settings;
pub mod stored;
pub mod stores;
pub mod template;

pub use cache::{Notes, Role, RuleCache, Rules, Served};
pub use fault::Fault;
pub use regions::Region;
pub use route::Route;
pub use set::RuleSet;
pub use stores::RuleStores;
