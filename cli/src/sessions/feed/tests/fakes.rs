//! A source and an edge that share a world, and fail where a test says. Their state outlives a feed that is killed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{anyhow, bail};
use serde::Deserialize;
use serde_json::json;

use crate::sessions::edge::{End, Reply, Takes};
use crate::sessions::feed::source::{Backlog, Entry, Refused, Source, Trouble};

/// How a step fails. A step is a read, a settling or a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The feed ends before it does anything.
    KilledBefore,
    /// The feed ends before it hears of what it has done.
    KilledAfter,
    /// Nothing is done, but may be later.
    FailsBefore,
    /// It is done, but the answer is lost.
    FailsAfter,
}

/// What the edge does to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// 503.
    Busy,
    /// No connection.
    Away,
    /// Takes its time.
    Slow,
    /// Takes every other update.
    PutOffHalf,
    /// 401.
    Unauthorized,
}

#[derive(Default)]
pub struct Inner {
    pub entries: Vec<Result<Vec<u8>, String>>,
    /// How many were read by anybody.
    read: usize,
    pub acknowledged: BTreeSet<String>,
    pub refused: Vec<Refused>,
    /// By user: the newest time.
    pub records: BTreeMap<String, u64>,
    /// Lines that the edge has decided on.
    decided: BTreeSet<String>,
    /// Entries that were acknowledged before.
    pub early: Vec<String>,
    pub faults: Vec<Fault>,
    /// Updates that the edge takes at once; 0: any number.
    pub most: usize,
    pub ids: Vec<String>,
    pub sizes: Vec<usize>,
    busy: BTreeMap<String, usize>,
    pub clashes: usize,
    pub most_at_once: usize,
    under_way: usize,
    step: usize,
    failing: BTreeMap<usize, Kind>,
    dead: bool,
}

#[derive(Clone, Default)]
pub struct World(Arc<Mutex<Inner>>);

/// An update as the fake edge takes it.
pub fn entry(user: &str, at: u64) -> String {
    json!({ "user": user, "at": at }).to_string()
}

impl World {
    pub fn with<T>(&self, look: impl FnOnce(&mut Inner) -> T) -> T {
        look(&mut self.0.lock().unwrap())
    }

    pub fn add(&self, update: &str) {
        self.add_entry(Ok(update.as_bytes().to_vec()));
    }

    pub fn add_entry(&self, entry: Result<Vec<u8>, String>) {
        self.with(|inner| inner.entries.push(entry));
    }

    /// The so-manieth step fails.
    pub fn fail(&self, step: usize, kind: Kind) {
        self.with(|inner| inner.failing.insert(step, kind));
    }

    /// The next feed lives.
    pub fn revive(&self) {
        self.with(|inner| (inner.dead, inner.failing) = (false, BTreeMap::new()));
    }

    pub fn source(&self) -> FakeSource {
        FakeSource { world: self.clone(), held: BTreeSet::new() }
    }

    pub fn edge(&self) -> Arc<dyn Takes> {
        Arc::new(FakeEdge(self.clone()))
    }

    /// Does a step, unless it fails before; `later` says how it fails.
    fn step<T, E>(&self, does: impl FnOnce(&mut Inner) -> T, killed: fn() -> E, later: impl Fn() -> E) -> Result<T, E> {
        self.with(|inner| {
            let kind = inner.failing.remove(&inner.step);
            inner.step += 1;
            inner.dead |= kind == Some(Kind::KilledBefore);
            if inner.dead {
                return Err(killed());
            }
            if kind == Some(Kind::FailsBefore) {
                return Err(later());
            }
            let done = does(inner);
            match kind {
                Some(Kind::KilledAfter) => {
                    inner.dead = true;
                    Err(killed())
                }
                Some(Kind::FailsAfter) => Err(later()),
                _ => Ok(done),
            }
        })
    }
}

pub struct FakeSource {
    world: World,
    held: BTreeSet<String>,
}

fn killed() -> Trouble {
    Trouble::Never(anyhow!("killed"))
}

fn later() -> Trouble {
    Trouble::Later(anyhow!("later"))
}

impl Source for FakeSource {
    fn read(&mut self, most: usize, _wait: Duration) -> Result<Vec<Entry>, Trouble> {
        let held = self.held.clone();
        let read = |inner: &mut Inner| {
            let open = |n: &usize| !inner.acknowledged.contains(&n.to_string()) && !held.contains(&n.to_string());
            let ids: Vec<usize> = (0..inner.entries.len()).filter(open).take(most).collect();
            inner.read = inner.read.max(ids.last().map_or(0, |last| last + 1));
            ids.iter().map(|n| Entry { id: n.to_string(), update: inner.entries[*n].clone() }).collect::<Vec<_>>()
        };
        let entries = self.world.step(read, killed, later)?;
        self.held.extend(entries.iter().map(|entry| entry.id.clone()));
        Ok(entries)
    }

    fn settle(&mut self, taken: &[String], refused: &[Refused]) -> Result<(), Trouble> {
        let settle = |inner: &mut Inner| {
            for id in taken {
                let line = inner.entries[id.parse::<usize>().unwrap()].clone().unwrap();
                if !inner.decided.contains(String::from_utf8(line).unwrap().trim_ascii()) {
                    inner.early.push(id.clone());
                }
            }
            inner.refused.extend_from_slice(refused);
            inner.acknowledged.extend(taken.iter().chain(refused.iter().map(|one| &one.id)).cloned());
        };
        self.world.step(settle, killed, later)?;
        for id in taken.iter().chain(refused.iter().map(|one| &one.id)) {
            self.held.remove(id);
        }
        Ok(())
    }

    fn backlog(&mut self) -> Result<Backlog, Trouble> {
        Ok(Backlog::default())
    }
}

struct FakeEdge(World);

#[derive(Deserialize)]
struct Update {
    user: String,
    at: Option<u64>,
    #[serde(default)]
    huge: bool,
}

impl Takes for FakeEdge {
    fn post(&self, id: &str, body: &[u8], items: usize) -> anyhow::Result<Reply> {
        let text = std::str::from_utf8(body)?;
        let updates: Vec<Update> = text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
        assert_eq!(updates.len(), items);
        let fault = self.0.with(|inner| {
            inner.ids.push(id.to_owned());
            inner.sizes.push(items);
            inner.under_way += 1;
            inner.most_at_once = inner.most_at_once.max(inner.under_way);
            let users: BTreeSet<&String> = updates.iter().map(|update| &update.user).collect();
            for user in users {
                let busy = inner.busy.entry(user.clone()).or_default();
                *busy += 1;
                inner.clashes += usize::from(*busy > 1);
            }
            (!inner.faults.is_empty()).then(|| inner.faults.remove(0))
        });
        if fault == Some(Fault::Slow) {
            std::thread::sleep(Duration::from_millis(30));
        }
        self.0.with(|inner| {
            inner.under_way -= 1;
            let users: BTreeSet<&String> = updates.iter().map(|update| &update.user).collect();
            for user in users {
                *inner.busy.get_mut(user).unwrap() -= 1;
            }
        });
        match fault {
            Some(Fault::Busy) => return Ok(Reply::Later(anyhow!("the edge answered 503"), Some(Duration::ZERO))),
            Some(Fault::Away) => return Ok(Reply::Later(anyhow!("nobody is there"), None)),
            Some(Fault::Unauthorized) => bail!("401: expected the edge to know the secret that signs"),
            _ => {}
        }
        let take = |inner: &mut Inner| {
            if (inner.most > 0 && items > inner.most) || updates.iter().any(|update| update.huge) {
                return Reply::TooLarge("send smaller batches".to_owned());
            }
            let mut ends = Vec::new();
            for (n, (update, line)) in updates.iter().zip(text.lines()).enumerate() {
                let end = match update.at {
                    _ if fault == Some(Fault::PutOffHalf) && n % 2 == 1 => End::Retry,
                    None => End::Refused("at: expected a time, but found none".to_owned()),
                    Some(at) => {
                        let record = inner.records.entry(update.user.clone()).or_default();
                        let newer = at > *record;
                        *record = at.max(*record);
                        if newer { End::Stored } else { End::Unchanged }
                    }
                };
                if end != End::Retry {
                    inner.decided.insert(line.to_owned());
                }
                ends.push(end);
            }
            let again = ends.contains(&End::Retry).then(|| (anyhow!("429"), Some(Duration::ZERO)));
            Reply::Ends { ends, again }
        };
        match self.0.step(take, || None, || Some(Reply::Later(anyhow!("no answer"), None))) {
            Ok(reply) | Err(Some(reply)) => Ok(reply),
            Err(None) => bail!("killed"),
        }
    }
}
