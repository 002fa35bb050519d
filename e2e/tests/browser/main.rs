//! What a visitor's browser makes of it: Debian's Chromium visits the edge.
//!
//! `cargo xtask test` leaves these out, and says so, where there is no Chromium; in CI they fail then.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "what is missing in a JSON value is null, and a surprise ends the test"
)]

mod chromium;
mod experiment;
mod injection;
mod pictures;
