//! The harness of the end-to-end tests: [`Edge`] is the real wasm under the real local server with a demo shop of its
//! own behind it, one for each test, on free ports.
//!
//! ```no_run
//! use e2e::{Edge, visitors::PARIS};
//!
//! let edge = Edge::demo().start();
//! let answer = edge.visitor(PARIS).get("/api/products/all");
//! assert_eq!(answer.status, 200);
//! assert_eq!(edge.origin().last_request().unwrap().path(), "/api/products/promotions/europe");
//! ```
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "support of tests: a surprise ends the test, with the reason in the message"
)]

#[allow(clippy::indexing_slicing, reason = "a list of a test isn't empty, and a rule that isn't there yet is made")]
#[path = "../../../tests/support/at_random.rs"]
pub mod at_random;
mod builder;
mod clock;
pub mod crowd;
mod dice;
mod edge;
pub mod leak;
pub mod lint;
pub mod load;
mod local_edge;
mod patience;
pub mod programs;
pub mod varnish;

pub use builder::Builder;
pub use clock::now;
pub use demo_origin::{Behaviour, DemoOrigin, Recorded};
pub use dice::Dice;
pub use edge::{Edge, Visit};
pub use local_edge::LocalEdge;
pub use local_server::client::{Answer, Connection, Request};
pub use local_server::relay::Relay;
pub use local_server::rules::Rules;
pub use local_server::visitors;
pub use programs::personalizer;
