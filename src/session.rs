//! What the visitor looked at, what is in the cart: read at the edge, fed by the central backend, never invented
//! here.
//!
//! ```text
//! start → (other work) → finish: fresh? stale? ask session_api within the budget → Outcome
//!                                                       └→ WriteBack, performed after the visitor was answered
//! ```
//!
//! The waiting is bounded by `settings.session.budget_ms`, with two exceptions that the SDK doesn't let us bound: a
//! KV look-up already started (measured as [`Timing::kv_ms`]), and one read from the session API's body, which ends
//! at the latest when the backend's `between_bytes_timeout` does.

pub mod breaker;
pub mod join;
pub mod patch;
pub mod read;
pub mod record;
pub mod stamp;
pub mod storage;
pub mod stored;
pub mod subject;
pub mod write_back;

pub use crate::rules::settings::session::{RecordLimits, SessionSettings, Which};
pub use crate::rules::stored::OnMiss;
pub use breaker::Breaker;
pub use read::{Outcome, SessionFault, Started, State, Timing, finish, start};
pub use record::{CartItem, Record, View};
pub use subject::{Subject, UserId, VisitorId, subjects};
pub use write_back::WriteBack;
