//! The time of day. Records and proofs in tests are dated from it: a fixed date would grow too old for them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The time since 1970, UTC.
///
/// # Panics
///
/// The clock is before 1970.
#[must_use]
pub fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}
