//! Storing what the central backend said, after the visitor has been answered.

use super::stamp::Update;
use super::storage::{self, ChangeError, Changed, Known};
use crate::platform::Platform;
use crate::rules::settings::session::SessionSettings;

/// A write that waits for the visitor's answer to be out.
#[derive(Debug, Clone, PartialEq)]
pub struct WriteBack {
    pub(super) key: String,
    pub(super) update: Option<Update>,
    pub(super) checked_at: i64,
    /// What was read before, so that an undisturbed write needs no second look-up; `None` where the store didn't
    /// answer.
    pub(super) known: Option<Known>,
}

impl WriteBack {
    /// Writes. What the replication stored in the meantime stays, as far as it is newer.
    ///
    /// # Errors
    ///
    /// The store failed, or others kept writing first; the next request of this visitor asks again.
    pub fn perform<P: Platform>(self, platform: &P, settings: &SessionSettings) -> Result<Changed, ChangeError> {
        let Self { key, update, checked_at, known } = self;
        storage::change(platform, &key, known, settings, |stored| {
            if let Some(update) = &update {
                stored.apply(update, &settings.limits);
            }
            stored.check(checked_at);
            true
        })
    }
}
