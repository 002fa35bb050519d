//! Changing a stored record while others change it too.

use super::stored::Stored;
use crate::platform::{Kv, KvValue, KvWrite, KvWritten, Platform, StoreError};
use crate::rules::settings::session::{RecordLimits, SessionSettings};

/// Writes that are tried on one record, each after reading again. Losing four races for one visitor's record within a
/// few milliseconds means that the sender had better wait.
const MOST_ATTEMPTS: usize = 4;
/// Seconds that a record is kept at least: the KV store takes no shorter life.
const SHORTEST_TTL: u32 = 60;

/// A record as it was read, with what a conditional write must match.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Known {
    /// The record; the empty one where there was none, or a broken one.
    pub stored: Stored,
    /// The generation; `None` where the key didn't exist.
    pub generation: Option<u64>,
    /// Whether something was there that is no record.
    pub broken: bool,
    /// Whether a part of it can't be used, and is left out.
    pub flawed: bool,
}

impl Known {
    /// From what the store gave.
    #[must_use]
    pub fn read(value: Option<KvValue>, limits: &RecordLimits) -> Self {
        let Some(value) = value else { return Self::default() };
        let generation = Some(value.generation);
        let mut issues = Vec::new();
        match Stored::parse_naming(&value.bytes, limits, &mut issues) {
            Ok(stored) => {
                let flawed = issues.iter().any(|issue| !issue.is_limit);
                Self { stored, generation, broken: false, flawed }
            }
            Err(_) => Self { generation, broken: true, ..Self::default() },
        }
    }
}

/// What became of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changed {
    /// Written.
    Stored,
    /// The record was already like that, or newer: nothing to write.
    Unchanged,
}

/// Why a change wasn't made. It may be tried again: every change can be repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeError {
    /// The store could not answer.
    Store(StoreError),
    /// Others kept writing.
    Contended,
}

/// Makes `change` to the record at `key`: on `known` where that is still what is stored, else on what is read anew.
/// `change` says whether there is anything to write.
///
/// # Errors
///
/// The store failed, or others kept writing first.
pub fn change<P: Platform>(
    platform: &P,
    key: &str,
    known: Option<Known>,
    settings: &SessionSettings,
    mut change: impl FnMut(&mut Stored) -> bool,
) -> Result<Changed, ChangeError> {
    let mut known = known;
    for _ in 0..MOST_ATTEMPTS {
        let Known { mut stored, generation, .. } = match known.take() {
            Some(known) => known,
            None => {
                let value = platform
                    .kv_start(Kv::Sessions, key)
                    .and_then(|pending| platform.kv_wait(pending))
                    .map_err(ChangeError::Store)?;
                Known::read(value, &settings.limits)
            }
        };
        if !change(&mut stored) {
            return Ok(Changed::Unchanged);
        }
        let condition = generation.map_or(KvWrite::IfAbsent, KvWrite::IfGeneration);
        let ttl = time_to_live(&stored, settings);
        match platform.kv_insert(Kv::Sessions, key, stored.to_bytes(), condition, Some(ttl)) {
            Ok(KvWritten::Stored) => return Ok(Changed::Stored),
            Ok(KvWritten::Conflict) => {}
            Err(error) => return Err(ChangeError::Store(error)),
        }
    }
    Err(ChangeError::Contended)
}

fn time_to_live(stored: &Stored, settings: &SessionSettings) -> u32 {
    let seconds = if stored.is_blank() {
        // Only that there is nothing: worth knowing as long as it would be fresh.
        settings.max_age
    } else if stored.is_tombstone() {
        settings.tombstone_ttl
    } else {
        settings.ttl
    };
    seconds.max(SHORTEST_TTL)
}
