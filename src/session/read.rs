//! Reading a session: started early, finished late, never waited for beyond the budget.

mod central;

use std::fmt;
use std::time::Duration;

use super::Subject;
use super::breaker::Breaker;
use super::join::joined;
use super::record::{Record, millis};
use super::storage::Known;
use super::write_back::WriteBack;
use crate::code::Code;
use crate::platform::{Kv, Platform, StoreError};
use crate::rules::settings::session::SessionSettings;
pub use crate::rules::stored::OnMiss;

/// How good a session is. From the best to the worst, as far as there is a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// From the store, younger than `max_age`.
    Fresh,
    /// From the central backend, just now.
    Refreshed,
    /// From the store, older than `max_age`: nothing better could be had.
    Stale,
    /// There is none, as far as anybody knows: it was never seen, was deleted, or is too old.
    Miss,
    /// There may be one, but neither the store nor the central backend could say.
    Error,
    /// Nobody looked: no route that needs it, no consent, nobody to look up.
    None,
}

impl State {
    /// The word in headers and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Refreshed => "refreshed",
            Self::Stale => "stale",
            Self::Miss => "miss",
            Self::Error => "error",
            Self::None => "none",
        }
    }
}

/// What went wrong; for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SessionFault {
    /// The KV store isn't linked to the service.
    NoStore,
    /// The KV store throttles.
    Throttled,
    /// The KV store failed.
    Store,
    /// What is stored is no record, or a part of it can't be used.
    Broken,
    /// The budget was spent before the central backend could be asked.
    Budget,
    /// The circuit breaker is open.
    BreakerOpen,
    /// There is no such backend, or no valid path to ask.
    NoBackend,
    /// The central backend could not be reached.
    Unreachable,
    /// The central backend didn't answer within the budget, or stopped in the middle of its answer.
    TimedOut,
    /// The central backend answered with an error status.
    Status,
    /// Its answer was longer than `max_bytes`.
    TooLarge,
    /// Its answer broke off.
    BrokenOff,
    /// Its answer was no record, or a part of it can't be used.
    Malformed,
}

impl SessionFault {
    /// The code for the log.
    #[must_use]
    pub fn code(self) -> Code {
        match self {
            Self::NoStore => Code::SessionNoStore,
            Self::Throttled => Code::SessionStoreThrottled,
            Self::Store => Code::SessionStoreFailed,
            Self::Broken => Code::SessionRecordBroken,
            Self::Budget => Code::SessionBudgetSpent,
            Self::BreakerOpen => Code::SessionApiBreakerOpen,
            Self::NoBackend => Code::SessionApiNoBackend,
            Self::Unreachable => Code::SessionApiUnreachable,
            Self::TimedOut => Code::SessionApiTimedOut,
            Self::Status => Code::SessionApiStatus,
            Self::TooLarge => Code::SessionApiTooLarge,
            Self::BrokenOff => Code::SessionApiBrokenOff,
            Self::Malformed => Code::SessionApiMalformed,
        }
    }

    fn of_store(error: StoreError) -> Self {
        match error {
            StoreError::NoStore => Self::NoStore,
            StoreError::Throttled => Self::Throttled,
            StoreError::Failed => Self::Store,
        }
    }
}

/// How long the session was waited for, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Timing {
    /// For the KV store, which the SDK doesn't let us bound.
    pub kv_ms: u64,
    /// For the central backend; `None` where it wasn't asked.
    pub api_ms: Option<u64>,
}

/// What came of reading a session.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// How good it is.
    pub state: State,
    /// Seconds since the record is known to have been right, where there is one.
    pub age: Option<u64>,
    /// The session; an empty one where the central backend says that there is nothing in it.
    pub record: Option<Record>,
    /// How long it took.
    pub timing: Timing,
    /// What went wrong on the way, each once.
    pub faults: Vec<SessionFault>,
    /// What to store after the visitor has been answered.
    pub write_back: Vec<WriteBack>,
}

impl Outcome {
    /// The outcome where nobody looked.
    #[must_use]
    pub fn none() -> Self {
        Self {
            state: State::None,
            age: None,
            record: None,
            timing: Timing::default(),
            faults: Vec::new(),
            write_back: Vec::new(),
        }
    }
}

/// The value of `Edge-Session`: the state and the age, a Structured Fields item (RFC 9651, section 3.3), as
/// `fresh;age=12`.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.state.as_str())?;
        match self.age {
            Some(age) => write!(f, ";age={age}"),
            None => Ok(()),
        }
    }
}

/// Look-ups under way.
pub struct Started<P: Platform> {
    lookups: Vec<(Subject, Result<P::PendingKv, StoreError>)>,
}

/// Starts looking up the records of `subjects` (see [`subjects`](super::subjects)). Call it as soon as they are
/// known.
pub fn start<P: Platform>(platform: &P, subjects: Vec<Subject>) -> Started<P> {
    let lookups = subjects
        .into_iter()
        .map(|subject| {
            let pending = platform.kv_start(Kv::Sessions, &subject.kv_key());
            (subject, pending)
        })
        .collect();
    Started { lookups }
}

/// A record on its way to becoming an answer.
struct Found {
    subject: Subject,
    /// `None` where the store didn't answer.
    known: Option<Known>,
    fresh: bool,
    /// What the central backend said, if it was asked.
    central: Option<Result<(), SessionFault>>,
}

/// Finishes the look-ups. Where a record isn't fresh, the central backend is asked (if `on_miss` and the settings say
/// so) within what is left of the budget, which starts now.
pub fn finish<P: Platform>(
    platform: &P,
    started: Started<P>,
    settings: &SessionSettings,
    on_miss: OnMiss,
    breaker: &mut Breaker,
) -> Outcome {
    if started.lookups.is_empty() {
        return Outcome::none();
    }
    let began = platform.uptime();
    let deadline = began.saturating_add(settings.budget());
    let now = millis(platform.now());
    let mut outcome = Outcome::none();
    let mut found: Vec<Found> = started
        .lookups
        .into_iter()
        .map(|(subject, pending)| {
            let value = pending.and_then(|pending| platform.kv_wait(pending));
            let known = value
                .map(|value| Known::read(value, &settings.limits))
                .map_err(|error| outcome.faults.push(SessionFault::of_store(error)))
                .ok();
            if known.as_ref().is_some_and(|known| known.broken || known.flawed) {
                outcome.faults.push(SessionFault::Broken);
            }
            let fresh = known.as_ref().is_some_and(|known| is_fresh(known, now, settings));
            Found { subject, known, fresh, central: None }
        })
        .collect();
    outcome.timing.kv_ms = milliseconds_since(began, platform.uptime());
    if on_miss == OnMiss::Ask {
        central::refresh(platform, &mut found, settings, deadline, breaker, &mut outcome);
    }
    outcome.faults.sort_unstable();
    outcome.faults.dedup();
    settle(found, settings, on_miss, now, outcome)
}

fn is_fresh(known: &Known, now: i64, settings: &SessionSettings) -> bool {
    let exists = known.stored.known_at() > 0 && !known.broken;
    exists && now.saturating_sub(known.stored.known_at()) <= i64::from(settings.max_age) * 1000
}

fn milliseconds_since(began: Duration, now: Duration) -> u64 {
    u64::try_from(now.saturating_sub(began).as_millis()).unwrap_or(u64::MAX)
}

/// Puts the records together: the worst state among those used, the greatest age.
fn settle(found: Vec<Found>, settings: &SessionSettings, on_miss: OnMiss, now: i64, mut outcome: Outcome) -> Outcome {
    outcome.state = State::Miss;
    for found in found {
        let Found { known, fresh, central, .. } = found;
        let failed = known.is_none() || matches!(central, Some(Err(_)));
        let asked = matches!(central, Some(Ok(())));
        let stored = known.map(|known| known.stored).unwrap_or_default();
        let age = u64::try_from(now.saturating_sub(stored.known_at())).unwrap_or(0) / 1000;
        let state = match (fresh, asked) {
            _ if !stored.exists() => None,
            (true, _) => Some(State::Fresh),
            (_, true) => Some(State::Refreshed),
            // The origin personalizes what the edge isn't sure of.
            _ if on_miss == OnMiss::Origin => None,
            _ => (age <= u64::from(settings.stale_max)).then_some(State::Stale),
        };
        match state {
            Some(state) => {
                let worst = outcome.record.as_ref().map_or(state, |_| outcome.state.max(state));
                outcome.state = worst;
                let record = stored.record();
                outcome.age = Some(outcome.age.unwrap_or(0).max(age));
                outcome.record = Some(match outcome.record.take() {
                    Some(first) => joined(first, record),
                    None => record,
                });
            }
            // An answer of the central backend outweighs the store's silence.
            None if failed && !asked && outcome.record.is_none() => outcome.state = State::Error,
            None => {}
        }
    }
    outcome
}

#[cfg(test)]
mod tests;
