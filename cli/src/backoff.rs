//! When to try again what may succeed later, and when to give up.

use std::time::Duration;

/// The pause never grows beyond this.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Longest pause that a `Retry-After` may ask for: whoever wants more wants us to come back another time.
const LONGEST_ASKED: Duration = Duration::from_secs(300);

/// How often something is tried, and how long the first pause is; each further one is twice as long.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    pub attempts: u32,
    pub pause: Duration,
}

/// The attempts at one thing.
#[derive(Debug)]
pub struct Backoff {
    patience: Patience,
    made: u32,
    pause: Duration,
}

impl Backoff {
    pub fn new(patience: Patience) -> Self {
        Self { patience, made: 0, pause: patience.pause }
    }

    /// How long to wait after an attempt that failed by `problem`. `asked` is what the answer asked for (`Retry-After`): never
    /// less is waited.
    ///
    /// # Errors
    ///
    /// `problem`, once there were enough attempts.
    pub fn after(&mut self, problem: anyhow::Error, asked: Option<Duration>) -> anyhow::Result<Duration> {
        self.made += 1;
        if self.made >= self.patience.attempts {
            return Err(problem.context(format!("gave up after {} attempts", self.made)));
        }
        if let Some(asked) = asked.filter(|asked| *asked > LONGEST_ASKED) {
            return Err(problem.context(format!("gave up: it asks to come back in {} seconds", asked.as_secs())));
        }
        let pause = self.pause.max(asked.unwrap_or_default());
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        Ok(pause)
    }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn pauses_double_up_to_a_minute_and_then_it_gives_up() {
        let mut backoff = Backoff::new(Patience { attempts: 10, pause: Duration::from_millis(500) });
        let waits: Vec<u128> = (0..9).map(|_| backoff.after(anyhow!("x"), None).unwrap().as_millis()).collect();
        assert_eq!(waits, [500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
        assert_eq!(format!("{:#}", backoff.after(anyhow!("x"), None).unwrap_err()), "gave up after 10 attempts: x");
    }

    #[test]
    fn what_is_asked_for_is_waited_at_least_but_not_for_hours() {
        let patience = Patience { attempts: 5, pause: Duration::from_secs(2) };
        for (asked, waited) in [(0, 2), (1, 2), (7, 7), (300, 300)] {
            let wait = Backoff::new(patience).after(anyhow!("x"), Some(Duration::from_secs(asked)));
            assert_eq!(wait.unwrap(), Duration::from_secs(waited));
        }
        let error = Backoff::new(patience).after(anyhow!("x"), Some(Duration::from_secs(3_600))).unwrap_err();
        assert!(format!("{error:#}").contains("come back in 3600 seconds"));
    }
}
