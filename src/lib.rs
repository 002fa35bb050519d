//! Personalization decided at the edge, in the order of a request's life:
//!
//! ```text
//! admit → resolve rules → context → session → decide → plan → fetch → respond → record
//! ```
//!
//! Each step is a module; [`service`] walks them. Host calls live in [`platform`] alone: everything else is plain
//! Rust that runs, and is tested, on any machine. `docs/LIFECYCLE.md` tells the story with the reasons.

// The steps, in their order.
pub mod admit;
pub mod context;
pub mod decide;
pub mod fetch;
pub mod plan;
pub mod record;
pub mod respond;
pub mod rules;
pub mod transform;
pub mod wire;

// What they share.
pub mod attributes;
pub mod code;
pub mod explain;
pub mod mac;
pub mod platform;
#[cfg(feature = "tools")]
pub mod replay;
pub mod replication;
pub mod service;
pub mod session;

// A crate of its own, which knows nothing of this one.
pub use ::growthbook;
pub(crate) use ::growthbook::json_words;
pub use ::growthbook::{condition, json_place};
