//! A lane: one request at a time, so that no two requests of a feed are about the same visitor.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Instant;

use serde::Deserialize;

use super::rest::Rest;
use crate::sessions::edge::{Reply, Takes};
use crate::sessions::signing::message_id;

/// So many batches in a row must fit before larger ones are tried again.
const TRUSTED_AFTER: u32 = 100;

/// An update that waits for the edge's decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// The source's id.
    pub id: String,
    /// One line of NDJSON, without its end.
    pub line: String,
}

/// A message: what was sent under one id, and is sent again under it.
struct Message {
    id: String,
    updates: Vec<Update>,
}

/// A request for the lane's thread.
struct Job {
    id: String,
    body: String,
    items: usize,
}

/// The edge's answer to a lane's request.
pub struct Answered {
    /// The lane's number.
    pub lane: usize,
    /// What the edge said; an error is one that stays.
    pub reply: anyhow::Result<Reply>,
}

/// Updates on their way to the edge.
pub struct Lane {
    queue: VecDeque<Update>,
    message: Option<Message>,
    under_way: bool,
    /// Updates of a batch; fewer than configured, once the edge said that there were too many.
    most: usize,
    fitted: u32,
    /// The pause after a failure.
    pub rest: Rest,
    jobs: Sender<Job>,
}

impl Lane {
    /// Starts the lane's thread, which ends with the lane.
    pub fn start(number: usize, most: usize, rest: Rest, edge: Arc<dyn Takes>, answers: Sender<Answered>) -> Self {
        let (jobs, work) = channel::<Job>();
        thread::spawn(move || {
            for job in work {
                let reply = edge.post(&job.id, job.body.as_bytes(), job.items);
                if answers.send(Answered { lane: number, reply }).is_err() {
                    return;
                }
            }
        });
        Self { queue: VecDeque::new(), message: None, under_way: false, most, fitted: 0, rest, jobs }
    }

    /// Puts an update at its end.
    pub fn push(&mut self, update: Update) {
        self.queue.push_back(update);
    }

    /// Updates that wait for a decision.
    pub fn held(&self) -> usize {
        self.queue.len() + self.message.as_ref().map_or(0, |message| message.updates.len())
    }

    /// Whether a request waits for its answer.
    pub fn under_way(&self) -> bool {
        self.under_way
    }

    /// Sends the next batch, if there is one and its time has come. Says whether it is one that was sent before.
    pub fn send(&mut self, now: Instant, bytes: usize) -> Option<bool> {
        if self.under_way || !self.rest.is_over(now) {
            return None;
        }
        let repeated = self.message.is_some();
        if !repeated {
            let updates = self.batch(bytes);
            if updates.is_empty() {
                return None;
            }
            self.message = Some(Message { id: message_id(), updates });
        }
        let message = self.message.as_ref()?;
        let body = message.updates.iter().flat_map(|update| [update.line.as_str(), "\n"]).collect();
        let job = Job { id: message.id.clone(), body, items: message.updates.len() };
        // A thread that is gone has taken its answer along: the entries stay pending at their source.
        self.under_way = self.jobs.send(job).is_ok();
        Some(repeated)
    }

    fn batch(&mut self, bytes: usize) -> Vec<Update> {
        let mut updates: Vec<Update> = Vec::new();
        let mut left = bytes;
        while updates.len() < self.most {
            let Some(next) = self.queue.pop_front_if(|next| next.line.len() < left || updates.is_empty()) else {
                break;
            };
            left = left.saturating_sub(next.line.len() + 1);
            updates.push(next);
        }
        updates
    }

    /// The request was answered, or failed. The message stays, to be sent again, until it is [taken out](Self::finish).
    pub fn answered(&mut self) {
        self.under_way = false;
    }

    /// Takes the message out: the edge has said what becomes of its updates.
    pub fn finish(&mut self) -> Vec<Update> {
        self.message.take().map(|message| message.updates).unwrap_or_default()
    }

    /// Puts updates back, before those that wait.
    pub fn put_back(&mut self, updates: Vec<Update>) {
        for update in updates.into_iter().rev() {
            self.queue.push_front(update);
        }
    }

    /// A batch of `size` was too large.
    pub fn shrink(&mut self, size: usize) {
        (self.most, self.fitted) = ((size / 2).max(1), 0);
    }

    /// A batch fitted. After many of them larger ones are tried again: a single entry may have been the reason. `most` is what is
    /// configured.
    pub fn fitted(&mut self, most: usize) {
        self.fitted += 1;
        if self.most < most && self.fitted >= TRUSTED_AFTER {
            (self.most, self.fitted) = ((self.most * 2).min(most), 0);
        }
    }
}

/// Which of so many lanes takes an update: all of one visitor's, or one user's, go the same way.
pub fn number(line: &str, lanes: usize) -> usize {
    #[derive(Deserialize)]
    struct Whose {
        user: Option<String>,
        visitor: Option<String>,
    }
    let mut hasher = DefaultHasher::new();
    match serde_json::from_str(line) {
        Ok(Whose { user, visitor }) => (user, visitor).hash(&mut hasher),
        // The edge says what is wrong with it.
        Err(_) => line.hash(&mut hasher),
    }
    let lanes = u64::try_from(lanes.max(1)).unwrap_or(1);
    usize::try_from(hasher.finish() % lanes).unwrap_or_default()
}
