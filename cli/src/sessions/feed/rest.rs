//! The pauses after failures: longer and longer, and not the same for everybody.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::{Duration, Instant};

use crate::backoff::{Backoff, Patience};

/// A feed is back so soon after its edge or its source is.
const LONGEST: Duration = Duration::from_secs(10);
/// Longest `Retry-After` that is obeyed: a feed asks again then.
const LONGEST_ASKED: Duration = Duration::from_secs(300);

/// When something that failed is tried again.
#[derive(Debug)]
pub struct Rest {
    patience: Patience,
    backoff: Backoff,
    until: Option<Instant>,
}

impl Rest {
    /// Nothing has failed yet.
    pub fn new(patience: Patience) -> Self {
        Self { patience, backoff: Backoff::new(patience), until: None }
    }

    /// Whether it may be tried.
    pub fn is_over(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| now >= until)
    }

    /// It worked.
    pub fn reset(&mut self) {
        (self.backoff, self.until) = (Backoff::new(self.patience), None);
    }

    /// It failed by `problem`; the answer may have asked for a pause. Gives the pause, at least what was asked for and up to half as
    /// much again: lanes and feeds that failed together don't come back together.
    ///
    /// # Errors
    ///
    /// `problem`, once there were enough attempts.
    pub fn after(&mut self, now: Instant, problem: anyhow::Error, asked: Option<Duration>) -> anyhow::Result<Duration> {
        let asked = asked.map(|asked| asked.min(LONGEST_ASKED));
        let pause = self.backoff.after(problem, asked)?.min(LONGEST.max(asked.unwrap_or_default()));
        let pause = pause + pause.mul_f64(random() / 2.0);
        self.until = Some(now + pause);
        Ok(pause)
    }
}

/// From 0 up to 1. The standard library's seeds are random.
fn random() -> f64 {
    let bits = u32::try_from(RandomState::new().build_hasher().finish() >> 32).unwrap_or_default();
    f64::from(bits) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn pauses_grow_up_to_ten_seconds_and_differ() {
        let (now, patience) = (Instant::now(), Patience { attempts: u32::MAX, pause: Duration::from_millis(500) });
        let mut rest = Rest::new(patience);
        assert!(rest.is_over(now));
        for seconds in [0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0] {
            let pause = rest.after(now, anyhow!("x"), None).unwrap();
            assert!((seconds..seconds * 1.5).contains(&pause.as_secs_f64()), "{seconds}: {pause:?}");
            assert!(!rest.is_over(now) && rest.is_over(now + pause));
        }
        rest.reset();
        assert!(rest.is_over(now));
        let pauses: std::collections::BTreeSet<_> =
            (0..20).map(|_| Rest::new(patience).after(now, anyhow!("x"), None).unwrap()).collect();
        assert!(pauses.len() > 10, "{pauses:?}");
    }

    #[test]
    fn what_is_asked_for_is_waited_at_least_and_hours_are_not() {
        let patience = Patience { attempts: 2, pause: Duration::from_millis(500) };
        for (asked, least) in [(30, 30), (7_200, 300)] {
            let mut rest = Rest::new(patience);
            let pause = rest.after(Instant::now(), anyhow!("x"), Some(Duration::from_secs(asked))).unwrap();
            assert!(pause >= Duration::from_secs(least) && pause <= Duration::from_secs(least * 3 / 2), "{pause:?}");
            assert!(rest.after(Instant::now(), anyhow!("x"), None).is_err());
        }
    }
}
