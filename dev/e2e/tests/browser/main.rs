//! What a visitor's browser makes of it: Debian's Chromium visits the edge.
//!
//! Where there is no Chromium, each test prints NOT TESTED and how to install it, and in CI it panics.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "what is missing in a JSON value is null, and a surprise ends the test"
)]

mod chromium;
mod demo;
mod experiment;
mod growthbook;
mod injection;
mod inspect;
mod pictures;
mod report;
#[path = "../../../../cli/tests/shop/mod.rs"]
mod shop;
