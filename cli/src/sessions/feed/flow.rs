//! The feed itself: from a source through the lanes to the edge, and the edge's decisions back to the source.
//!
//! An entry is settled at its source only after the edge has decided on it. So whatever ends in between, the source gives it again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::anyhow;

use super::lane::{Answered, Lane, Update, number};
use super::rest::Rest;
use super::source::{Entry, Refused, Source, Trouble};
use super::watch::{Counts, Watch};
use crate::backoff::Patience;
use crate::sessions::edge::{End, Reply, Takes};

/// How long a read waits for news while nothing is under way; ending takes as long.
const IDLE: Duration = Duration::from_millis(500);
/// How long answers are waited for before the source is looked at again.
const TICK: Duration = Duration::from_millis(20);
/// Entries of a read, at most.
const MOST_READ: usize = 500;
/// Bytes that are held, about: no more is read then.
const MOST_BYTES: usize = 64 * 1024 * 1024;
/// How long requests that are under way may take once the feed is to end.
const GRACE: Duration = Duration::from_secs(10);

/// What a feed may use.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Requests under way at once.
    pub lanes: usize,
    /// Updates of a request.
    pub batch: usize,
    /// Bytes of a request, and of an update.
    pub bytes: usize,
    /// How often the edge or the source may fail in a row.
    pub patience: Patience,
    /// Whether to end when the source has nothing more.
    pub once: bool,
}

/// A feed.
pub struct Flow<'a, S> {
    source: S,
    plan: Plan,
    stop: &'a AtomicBool,
    watch: &'a mut Watch,
    lanes: Vec<Lane>,
    answers: Receiver<Answered>,
    /// Decided on, and not settled yet.
    taken: Vec<String>,
    refused: Vec<Refused>,
    /// The source's pause after a failure.
    rest: Rest,
    /// Bytes in the lanes.
    bytes: usize,
    counts: Counts,
}

impl<'a, S: Source> Flow<'a, S> {
    /// Gets ready; reads and sends nothing yet. `stop` ends it when it is set.
    pub fn new(source: S, edge: &Arc<dyn Takes>, plan: Plan, stop: &'a AtomicBool, watch: &'a mut Watch) -> Self {
        let (answering, answers) = channel();
        let rest = || Rest::new(plan.patience);
        let lane = |number| Lane::start(number, plan.batch, rest(), Arc::clone(edge), answering.clone());
        let lanes = (0..plan.lanes).map(lane).collect();
        Self {
            source,
            plan,
            stop,
            watch,
            lanes,
            answers,
            taken: Vec::new(),
            refused: Vec::new(),
            rest: rest(),
            bytes: 0,
            counts: Counts::default(),
        }
    }

    /// Feeds until it is to stop, or has all (with [`Plan::once`]); gives what it did.
    ///
    /// # Errors
    ///
    /// The edge or the source refuses for good, or stayed away too long. What the edge had not decided on stays at the source.
    pub fn run(mut self) -> anyhow::Result<Counts> {
        let ended = self.feed();
        if ended.is_err() {
            // What was decided need not be sent again. A failure here changes nothing: then it is.
            let _ = self.settle();
        }
        self.show();
        ended.map(|()| self.counts)
    }

    fn feed(&mut self) -> anyhow::Result<()> {
        let mut stopped = None;
        loop {
            while let Ok(answered) = self.answers.try_recv() {
                self.hear(answered)?;
            }
            self.settle()?;
            if self.stop.load(Ordering::SeqCst) {
                let since = *stopped.get_or_insert_with(Instant::now);
                let busy = self.lanes.iter().any(Lane::under_way) || !self.is_settled();
                if !busy || since.elapsed() > GRACE {
                    return Ok(());
                }
                self.wait()?;
                continue;
            }
            match self.read()? {
                // There may be more at once.
                Read::Some => self.send(),
                Read::Nothing if self.plan.once && self.held() == 0 && self.is_settled() => return Ok(()),
                Read::Nothing if self.is_idle() => {}
                Read::Nothing | Read::NotNow => {
                    self.send();
                    self.wait()?;
                }
            }
            if self.watch.is_due() {
                self.show();
            }
        }
    }

    fn held(&self) -> usize {
        self.lanes.iter().map(Lane::held).sum()
    }

    fn is_settled(&self) -> bool {
        self.taken.is_empty() && self.refused.is_empty()
    }

    fn is_idle(&self) -> bool {
        self.held() == 0 && self.is_settled()
    }

    /// Waits for an answer, a little.
    fn wait(&mut self) -> anyhow::Result<()> {
        match self.answers.recv_timeout(TICK) {
            Ok(answered) => self.hear(answered),
            Err(RecvTimeoutError::Timeout) => Ok(()),
            Err(RecvTimeoutError::Disconnected) => Err(anyhow!("expected the senders to run, but they have ended")),
        }
    }

    fn read(&mut self) -> anyhow::Result<Read> {
        let full = 2 * self.plan.lanes * self.plan.batch;
        let room = full.saturating_sub(self.held());
        // Many small reads would cost more than they bring.
        if room < self.plan.batch || self.bytes > MOST_BYTES || !self.rest.is_over(Instant::now()) {
            return Ok(Read::NotNow);
        }
        let wait = if self.plan.once || !self.is_idle() { Duration::ZERO } else { IDLE };
        match self.source.read(room.min(MOST_READ), wait) {
            Ok(entries) => {
                self.rest.reset();
                let read = if entries.is_empty() { Read::Nothing } else { Read::Some };
                for entry in entries {
                    self.admit(entry);
                }
                Ok(read)
            }
            Err(trouble) => self.trouble(trouble).map(|()| Read::NotNow),
        }
    }

    /// Puts an entry into its lane; one that can't be sent is refused here.
    fn admit(&mut self, entry: Entry) {
        let Entry { id, update } = entry;
        let line = update.and_then(|bytes| line(bytes, self.plan.bytes.saturating_sub(1)));
        match line {
            Ok(line) => {
                self.bytes += line.len();
                if let Some(lane) = self.lanes.get_mut(number(&line, self.plan.lanes)) {
                    lane.push(Update { id, line });
                }
            }
            Err(reason) => self.refuse(id, reason),
        }
    }

    fn send(&mut self) {
        let now = Instant::now();
        for lane in &mut self.lanes {
            if let Some(repeated) = lane.send(now, self.plan.bytes) {
                self.counts.requests += 1;
                self.counts.repeats += u64::from(repeated);
            }
        }
    }

    /// What an answer means for its lane.
    fn hear(&mut self, answered: Answered) -> anyhow::Result<()> {
        let Some(lane) = self.lanes.get_mut(answered.lane) else { return Ok(()) };
        lane.answered();
        match answered.reply? {
            Reply::TooLarge(reason) => {
                let updates = lane.finish();
                lane.shrink(updates.len());
                match <[Update; 1]>::try_from(updates) {
                    Ok([update]) => {
                        self.bytes = self.bytes.saturating_sub(update.line.len());
                        self.refuse(update.id, reason);
                    }
                    Err(updates) => lane.put_back(updates),
                }
            }
            Reply::Later(problem, asked) => self.pause(answered.lane, problem, asked)?,
            Reply::Ends { ends, again } => {
                let updates = lane.finish();
                lane.fitted(self.plan.batch);
                let before = updates.len();
                let mut left = Vec::new();
                let mut refused = Vec::new();
                for (update, end) in updates.into_iter().zip(ends) {
                    let Update { id, line } = update;
                    match end {
                        End::Retry => {
                            left.push(Update { id, line });
                            continue;
                        }
                        End::Refused(reason) => refused.push((id, reason)),
                        End::Stored => {
                            self.counts.stored += 1;
                            self.taken.push(id);
                        }
                        End::Unchanged => {
                            self.counts.unchanged += 1;
                            self.taken.push(id);
                        }
                    }
                    self.bytes = self.bytes.saturating_sub(line.len());
                }
                if left.len() < before {
                    lane.rest.reset();
                }
                lane.put_back(left);
                for (id, reason) in refused {
                    self.refuse(id, reason);
                }
                if let Some((problem, asked)) = again {
                    self.pause(answered.lane, problem, asked)?;
                }
            }
        }
        self.send();
        Ok(())
    }

    fn pause(&mut self, lane: usize, problem: anyhow::Error, asked: Option<Duration>) -> anyhow::Result<()> {
        let Some(lane) = self.lanes.get_mut(lane) else { return Ok(()) };
        let said = format!("{problem:#}");
        let pause = lane.rest.after(Instant::now(), problem, asked)?;
        self.watch.trouble(&said, pause);
        Ok(())
    }

    fn trouble(&mut self, trouble: Trouble) -> anyhow::Result<()> {
        match trouble {
            Trouble::Never(problem) => Err(problem),
            Trouble::Later(problem) => {
                let said = format!("{problem:#}");
                let pause = self.rest.after(Instant::now(), problem, None)?;
                // The signal that ends the feed interrupts a read: nothing is wrong.
                if !self.stop.load(Ordering::SeqCst) {
                    self.watch.trouble(&said, pause);
                }
                Ok(())
            }
        }
    }

    fn refuse(&mut self, id: String, reason: String) {
        self.watch.refused(&id, &reason);
        self.counts.refused += 1;
        self.refused.push(Refused { id, reason });
    }

    /// Tells the source what was decided.
    fn settle(&mut self) -> anyhow::Result<()> {
        if self.is_settled() || !self.rest.is_over(Instant::now()) {
            return Ok(());
        }
        match self.source.settle(&self.taken, &self.refused) {
            Ok(()) => {
                self.rest.reset();
                self.taken.clear();
                self.refused.clear();
                Ok(())
            }
            Err(trouble) => self.trouble(trouble),
        }
    }

    fn show(&mut self) {
        let ready = self.rest.is_over(Instant::now());
        // Only a figure: the next read says what is wrong.
        let backlog = if ready { self.source.backlog().unwrap_or_default() } else { Default::default() };
        self.watch.show(&self.counts, self.held(), backlog);
    }
}

/// What a read brought.
enum Read {
    Some,
    Nothing,
    /// It isn't the time to read.
    NotNow,
}

/// One line of NDJSON: an end of line inside JSON is white space.
fn line(bytes: Vec<u8>, longest: usize) -> Result<String, String> {
    if bytes.len() > longest {
        return Err(format!("expected at most {longest} bytes, but found {}", bytes.len()));
    }
    let text = String::from_utf8(bytes).map_err(|_| "expected UTF-8, but found other bytes".to_owned())?;
    let line = text.replace(['\r', '\n'], " ");
    match line.trim_ascii() {
        "" => Err("expected an update, but found nothing".to_owned()),
        line => Ok(line.to_owned()),
    }
}
