//! The test: is the next visitor who fails the canary's more often than its share of visitors says?
//!
//! Under the null hypothesis each new failing visitor is the canary's with the probability of its share, whatever the rate of failures is. A
//! mixture of bets on higher odds makes a test martingale: the chance that it ever reaches 1/alpha is at most alpha (Ville's inequality), so
//! that it may be looked at as often as one likes (Ramdas et al., "Game-theoretic statistics and safe anytime-valid inference", 2023).

/// The odds ratios that are bet on: from 1.2 to 20, evenly in their logarithm.
const ODDS: [f64; 12] = [1.2, 1.55, 2.0, 2.58, 3.34, 4.31, 5.57, 7.19, 9.29, 12.0, 15.5, 20.0];

/// Bets of equal stakes on each of the odds.
#[derive(Debug, Clone)]
pub struct Test {
    /// The logarithm of what each bet has become.
    logs: [f64; ODDS.len()],
    highest: f64,
}

impl Default for Test {
    fn default() -> Self {
        Self { logs: [0.0; ODDS.len()], highest: 0.0 }
    }
}

impl Test {
    /// A visitor failed for the first time: the canary's or not, where the canary had this share of visitors (above 0, below 1).
    pub fn failed(&mut self, is_canary: bool, share: f64) {
        let odds = share / (1.0 - share);
        for (log, ratio) in self.logs.iter_mut().zip(ODDS) {
            let bet = ratio * odds / (1.0 + ratio * odds);
            *log += if is_canary { (bet / share).ln() } else { ((1.0 - bet) / (1.0 - share)).ln() };
        }
        self.highest = self.highest.max(self.log());
    }

    /// The logarithm of the mixture.
    fn log(&self) -> f64 {
        let largest = self.logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = self.logs.iter().map(|log| (log - largest).exp()).sum();
        #[allow(clippy::cast_precision_loss)]
        let count = ODDS.len() as f64;
        largest + (sum / count).ln()
    }

    /// The most that the stakes ever were worth; at least 1, at most 10³⁰⁰.
    pub fn evidence(&self) -> f64 {
        self.highest.min(690.0).exp()
    }
}
