//! Delivering batches: again where the edge asks for it, smaller where it must be, until every line's end is known.

use serde::Serialize;

use super::edge::{Edge, End, Reply, Takes as _};
use super::input::Line;
use super::signing::message_id;
use crate::backoff::{Backoff, Patience};
use crate::output;

/// Refused lines that the summary names; all are counted, and all were named as they came.
const MOST_NAMED: usize = 1_000;

/// A line that will never be taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rejected {
    pub line: u64,
    pub reason: String,
}

/// What became of all lines so far.
#[derive(Debug, Default, Serialize)]
pub struct Tally {
    /// Updates that changed a record.
    pub stored: u64,
    /// Updates that were repeated or superseded.
    pub unchanged: u64,
    /// Lines that can't be used.
    pub refused: u64,
    /// Requests that were sent.
    pub requests: u64,
    /// Of these, how many again.
    pub repeats: u64,
    /// The lines that can't be used, the first thousand of them.
    pub rejected: Vec<Rejected>,
}

/// A way to an edge.
pub struct Delivery {
    edge: Edge,
    patience: Patience,
    /// Lines of a request; fewer, once the edge said that there were too many.
    most: usize,
    /// What became of the lines.
    pub tally: Tally,
}

impl Delivery {
    /// Requests of at most `most` lines; `patience` bounds how often one is repeated without any progress.
    pub fn new(edge: Edge, most: usize, patience: Patience) -> Self {
        Self { edge, patience, most, tally: Tally::default() }
    }

    /// Lines of a request, as far as is known.
    pub fn most(&self) -> usize {
        self.most
    }

    /// Sends lines until the edge has decided on each; gives those that it refused for good.
    ///
    /// # Errors
    ///
    /// The edge refuses the sender, or stays away too long. What it had taken until then is counted, and may be sent again.
    pub fn deliver(&mut self, lines: &[Line]) -> anyhow::Result<Vec<Rejected>> {
        let mut rejected = Vec::new();
        let mut updates = Vec::with_capacity(lines.len());
        for line in lines {
            match &line.text {
                Ok(text) => updates.push((line.number, text.as_str())),
                Err(reason) => self.reject(line.number, reason.clone(), &mut rejected),
            }
        }
        let mut waiting = vec![updates];
        while let Some(updates) = waiting.pop() {
            let Some((reason, mut updates)) = self.send(updates, &mut rejected)? else { continue };
            match updates.as_slice() {
                [(number, _)] => self.reject(*number, reason, &mut rejected),
                _ => {
                    self.most = updates.len() / 2;
                    let rest = updates.split_off(self.most);
                    waiting.extend([rest, updates]);
                }
            }
        }
        rejected.sort_by_key(|one| one.line);
        Ok(rejected)
    }

    /// Sends updates until the edge has decided on each, or finds them too large together: then it gives the reason and those left.
    #[allow(clippy::type_complexity, reason = "used once, just above")]
    fn send<'l>(
        &mut self,
        mut updates: Vec<(u64, &'l str)>,
        rejected: &mut Vec<Rejected>,
    ) -> anyhow::Result<Option<(String, Vec<(u64, &'l str)>)>> {
        let mut backoff = Backoff::new(self.patience);
        let mut id = message_id();
        while !updates.is_empty() {
            let body: String = updates.iter().flat_map(|(_, text)| [text, "\n"]).collect();
            self.tally.requests += 1;
            let (problem, asked) = match self.edge.post(&id, body.as_bytes(), updates.len())? {
                Reply::TooLarge(reason) => return Ok(Some((reason, updates))),
                Reply::Later(problem, asked) => (problem, asked),
                Reply::Ends { ends, again } => {
                    let before = updates.len();
                    updates = self.settle(updates, ends, rejected);
                    if updates.len() < before {
                        // Something was taken: a message of its own, and patience anew.
                        (backoff, id) = (Backoff::new(self.patience), message_id());
                    }
                    match again {
                        Some(again) => again,
                        None => continue,
                    }
                }
            };
            let said = format!("{problem:#}");
            let pause = backoff.after(problem, asked)?;
            output::note(&format!("{said}; again in {:.1} s", pause.as_secs_f64()));
            std::thread::sleep(pause);
            self.tally.repeats += 1;
        }
        Ok(None)
    }

    /// Counts what ended; gives what is to be sent again.
    fn settle<'l>(
        &mut self,
        updates: Vec<(u64, &'l str)>,
        ends: Vec<End>,
        rejected: &mut Vec<Rejected>,
    ) -> Vec<(u64, &'l str)> {
        let mut left = Vec::new();
        for (update, end) in updates.into_iter().zip(ends) {
            match end {
                End::Stored => self.tally.stored += 1,
                End::Unchanged => self.tally.unchanged += 1,
                End::Refused(reason) => self.reject(update.0, reason, rejected),
                End::Retry => left.push(update),
            }
        }
        left
    }

    /// Names a line at once: the input may never end.
    fn reject(&mut self, line: u64, reason: String, rejected: &mut Vec<Rejected>) {
        output::note(&format!("line {line} is refused: {reason}"));
        self.tally.refused += 1;
        let one = Rejected { line, reason };
        if self.tally.rejected.len() < MOST_NAMED {
            self.tally.rejected.push(one.clone());
        }
        rejected.push(one);
    }
}
