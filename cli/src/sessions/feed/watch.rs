//! What a feed says while it runs: a status line on a terminal, a line now and then in a log.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::source::Backlog;
use crate::output;

/// How often a terminal's line changes.
const EVERY: Duration = Duration::from_secs(1);
/// How often a log gets a line while something happens.
const LOG_EVERY: Duration = Duration::from_secs(10);
/// How often a log gets a line while nothing happens.
const LOG_IDLE: Duration = Duration::from_secs(600);
/// So often is the same trouble, and so many refusals in that time are, named; all refusals are kept by the source.
const NAMED_EVERY: Duration = Duration::from_secs(10);
const NAMED_REFUSALS: u32 = 10;

/// What a feed did since it started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Updates that changed a record.
    pub stored: u64,
    /// Updates that were repeated or superseded.
    pub unchanged: u64,
    /// Entries that can't be used.
    pub refused: u64,
    /// Requests that were sent.
    pub requests: u64,
    /// Of these, how many again.
    pub repeats: u64,
}

impl Counts {
    /// Entries that the edge, or the feed itself, has decided on.
    pub fn decided(&self) -> u64 {
        self.stored + self.unchanged + self.refused
    }

    /// For people.
    pub fn text(&self) -> String {
        let Self { stored, unchanged, refused, requests, repeats } = self;
        format!(
            "{stored} stored, {unchanged} unchanged, {refused} refused, in {requests} requests ({repeats} repeated)"
        )
    }
}

/// Where it is said.
enum Place {
    Terminal(ProgressBar),
    Log,
    #[cfg(test)]
    Nowhere,
}

/// Says how a feed is doing.
pub struct Watch {
    place: Place,
    shown: Instant,
    /// What was decided when a line was last written.
    before: u64,
    logged: Instant,
    trouble: Option<(String, Instant)>,
    refusals: (Instant, u32),
}

impl Watch {
    /// On standard error.
    pub fn start() -> Self {
        if !std::io::stderr().is_terminal() {
            return Self::at(Place::Log);
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
            bar.set_style(style);
        }
        Self::at(Place::Terminal(bar))
    }

    /// Says nothing.
    #[cfg(test)]
    pub fn silent() -> Self {
        Self::at(Place::Nowhere)
    }

    fn at(place: Place) -> Self {
        let now = Instant::now();
        Self { place, shown: now, before: 0, logged: now, trouble: None, refusals: (now, 0) }
    }

    /// Whether it is time for new figures.
    pub fn is_due(&self) -> bool {
        let every = if matches!(self.place, Place::Log) { LOG_EVERY } else { EVERY };
        self.shown.elapsed() >= every
    }

    /// Says how far the feed is; `held` is how many entries it has read that nobody has decided on.
    pub fn show(&mut self, counts: &Counts, held: usize, backlog: Backlog) {
        let new = counts.decided() - self.before;
        #[allow(clippy::cast_precision_loss, reason = "for people")]
        let rate = new as f64 / self.shown.elapsed().as_secs_f64().max(0.001);
        let figure = |figure: Option<u64>| figure.map_or_else(|| "?".to_owned(), |figure| figure.to_string());
        let (lag, pending) = (figure(backlog.lag), figure(backlog.pending));
        let text = format!("{rate:.0}/s, lag {lag}, pending {pending}, held {held}: {}", counts.text());
        match &self.place {
            Place::Terminal(bar) => {
                bar.set_message(text);
                bar.tick();
            }
            Place::Log if new > 0 || held > 0 || self.logged.elapsed() >= LOG_IDLE => {
                output::line(&text);
                self.logged = Instant::now();
            }
            _ => {}
        }
        (self.before, self.shown) = (counts.decided(), Instant::now());
    }

    /// Names what is wrong and will be tried again; the same trouble only now and then.
    pub fn trouble(&mut self, text: &str, pause: Duration) {
        let named = self.trouble.as_ref().is_some_and(|(last, at)| last == text && at.elapsed() < NAMED_EVERY);
        if !named {
            self.note(&format!("{text}; again in {:.1} s", pause.as_secs_f64()));
            self.trouble = Some((text.to_owned(), Instant::now()));
        }
    }

    /// Names an entry that is refused; of a flood the first ones.
    pub fn refused(&mut self, id: &str, reason: &str) {
        if self.refusals.0.elapsed() >= NAMED_EVERY {
            self.refusals = (Instant::now(), 0);
        }
        self.refusals.1 += 1;
        if self.refusals.1 <= NAMED_REFUSALS {
            self.note(&format!("entry {id} is refused: {reason}"));
        }
    }

    /// Says something beside the figures.
    pub fn note(&self, text: &str) {
        match &self.place {
            Place::Terminal(bar) => bar.suspend(|| output::note(text)),
            Place::Log => output::note(text),
            #[cfg(test)]
            Place::Nowhere => {}
        }
    }

    /// Takes the status line away.
    pub fn end(&self) {
        if let Place::Terminal(bar) = &self.place {
            bar.finish_and_clear();
        }
    }
}
