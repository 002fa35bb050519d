//! A circuit breaker for the session API, kept for the sandbox's life: a central backend that is down is not asked by
//! every visitor.

use std::time::Duration;

use crate::rules::settings::session::SessionSettings;

/// Failures in a row, and until when nobody asks. Time is the platform's uptime.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Breaker {
    failures: u32,
    open_until: Duration,
}

impl Breaker {
    /// Whether the session API may be asked at `uptime`.
    #[must_use]
    pub fn allows(&self, uptime: Duration) -> bool {
        uptime >= self.open_until
    }

    /// It answered.
    pub fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// It didn't. From the settings' number of failures in a row on, nobody asks for a while; then one question
    /// decides whether the next while begins.
    pub fn failed(&mut self, uptime: Duration, settings: &SessionSettings) {
        self.failures = self.failures.saturating_add(1);
        if self.failures >= settings.breaker_failures.max(1) {
            self.open_until = uptime.saturating_add(Duration::from_millis(settings.breaker_ms));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_three_failures_nobody_asks_for_ten_seconds() {
        let settings = SessionSettings::default();
        let mut breaker = Breaker::default();
        let at = Duration::from_secs;
        breaker.failed(at(1), &settings);
        breaker.failed(at(1), &settings);
        assert!(breaker.allows(at(1)));
        breaker.failed(at(1), &settings);
        assert!(!breaker.allows(at(1)) && !breaker.allows(at(10)));
        assert!(breaker.allows(at(11)));
        breaker.failed(at(11), &settings);
        assert!(!breaker.allows(at(20)), "one failure is enough now");
        breaker.succeeded();
        assert!(breaker.allows(at(20)));
        breaker.failed(at(20), &settings);
        assert!(breaker.allows(at(20)));
    }

    #[test]
    fn extreme_settings_do_not_overflow() {
        let settings = SessionSettings { breaker_failures: 0, breaker_ms: u64::MAX, ..SessionSettings::default() };
        let mut breaker = Breaker::default();
        breaker.failed(Duration::MAX, &settings);
        assert!(breaker.allows(Duration::MAX));
    }
}
