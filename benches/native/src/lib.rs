//! Nothing but benches: see `benches/decision.rs`.
