//! A host in memory, for tests: every store and backend can be told to fail or to stall. Time stands still but for stalls.

mod wire;

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::io::Cursor;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use time::OffsetDateTime;

use super::{
    BackendRequest, Device, Endpoint, Geo, Kv, KvValue, KvWrite, KvWritten, Platform, Response, Runtime, SendError,
    Shield, StoreError,
};
use wire::Backend;
pub use wire::{Answer, Asked, BodyDamage, MemoryBody, MemoryStream, Received};

/// The host.
#[derive(Default)]
pub struct Memory {
    /// Config entries.
    pub config: RefCell<HashMap<String, String>>,
    /// How long a look-up in the config store takes.
    pub config_takes: Cell<Duration>,
    /// How the config store fails, if so.
    pub config_fails: Cell<Option<StoreError>>,
    /// Secrets.
    pub secrets: RefCell<HashMap<String, Vec<u8>>>,
    /// How the secret store fails, if so.
    pub secrets_fail: Cell<Option<StoreError>>,
    /// How long a secret takes.
    pub secrets_take: Cell<Duration>,
    /// KV values by store and key.
    pub kv: RefCell<HashMap<(Kv, String), KvValue>>,
    /// How long the values live that were written with a time to live, in seconds.
    pub kv_ttls: RefCell<HashMap<(Kv, String), u32>>,
    /// How a KV store fails, if so.
    pub kv_fails: RefCell<HashMap<Kv, StoreError>>,
    /// How writes to KV stores fail, if so.
    pub kv_writes_fail: Cell<Option<StoreError>>,
    /// So many writes lose against somebody else's.
    pub kv_conflicts: Cell<u32>,
    /// Keys that were to be deleted, each with how many answers had been sent by then.
    pub kv_deletes: RefCell<Vec<(usize, String)>>,
    /// How long a KV look-up takes.
    pub kv_takes: Cell<Duration>,
    /// How long geolocation takes.
    pub geo_takes: Cell<Duration>,
    /// Geolocation.
    pub geo: RefCell<HashMap<IpAddr, Geo>>,
    /// Devices by User-Agent.
    pub devices: RefCell<HashMap<String, Device>>,
    /// Backends; one that isn't here is unknown.
    pub backends: RefCell<HashMap<String, Backend>>,
    /// Shields by their codes.
    pub shields: RefCell<HashMap<String, Shield>>,
    /// How long a backend takes.
    pub backend_takes: Cell<Duration>,
    /// What is wrong with backends' bodies.
    pub body_damage: Cell<BodyDamage>,
    /// After how many bytes of a streamed body the client goes away, if it does.
    pub client_leaves_at: Cell<Option<usize>>,
    /// Bytes of backends' bodies that went through the guest.
    pub body_read: Rc<Cell<usize>>,
    /// The wall clock.
    pub clock: Cell<Option<OffsetDateTime>>,
    /// Time since the start; stalls add to it.
    pub age: Rc<Cell<Duration>>,
    /// Deployment.
    pub runtime: Runtime,
    /// vCPU used, in milliseconds; a backend may add to it.
    pub vcpu: Rc<Cell<u64>>,
    /// What backends were asked, in order.
    pub asked: RefCell<Vec<Asked>>,
    /// Look-ups made, by store (`config`, `secret`, `kv`, `geo`), and writes (`kv_write`).
    pub lookups: RefCell<HashMap<&'static str, u32>>,
    /// What the client received.
    pub received: Rc<RefCell<Vec<Received>>>,
    /// Log lines.
    pub lines: RefCell<Vec<(Endpoint, String)>>,
    /// How long a log line takes.
    pub log_takes: Cell<Duration>,
    /// The age at which the last answer's head went out.
    pub answered: Cell<Duration>,
    /// Endpoints that lose their lines.
    pub deaf: RefCell<HashSet<Endpoint>>,
    counter: Cell<u128>,
}

impl Memory {
    /// A host whose `origin` answers as `answer` says.
    pub fn with_origin(answer: impl Fn(&Asked) -> Answer + 'static) -> Self {
        let host = Self::default();
        host.backends.borrow_mut().insert("origin".to_owned(), Box::new(answer));
        host
    }

    /// Sets a config entry.
    pub fn set(&self, key: &str, value: &serde_json::Value) {
        self.config.borrow_mut().insert(key.to_owned(), value.to_string());
    }

    /// The lines of an endpoint, parsed.
    pub fn lines_of(&self, endpoint: Endpoint) -> Vec<serde_json::Value> {
        let lines = self.lines.borrow();
        lines.iter().filter(|(to, _)| *to == endpoint).filter_map(|(_, line)| serde_json::from_str(line).ok()).collect()
    }

    /// Puts a value into a KV store, as somebody else's write.
    pub fn put(&self, store: Kv, key: &str, bytes: impl Into<Vec<u8>>) {
        let key = (store, key.to_owned());
        let mut values = self.kv.borrow_mut();
        let generation = values.get(&key).map_or(0, |value| value.generation) + 1;
        values.insert(key, KvValue { bytes: bytes.into(), generation });
    }

    /// How often a store was asked, by its name in [`Self::lookups`].
    pub fn looked_up(&self, store: &str) -> u32 {
        self.lookups.borrow().get(store).copied().unwrap_or_default()
    }

    /// Lets time pass.
    pub fn wait(&self, time: Duration) {
        self.age.set(self.age.get() + time);
    }

    fn count(&self, store: &'static str) {
        *self.lookups.borrow_mut().entry(store).or_default() += 1;
    }
}

impl Platform for Memory {
    type Body = MemoryBody;
    type ClientStream = MemoryStream;
    type PendingKv = (Kv, String);
    type PendingSend = (Duration, Answer);

    fn now(&self) -> OffsetDateTime {
        self.clock.get().unwrap_or(OffsetDateTime::UNIX_EPOCH) + self.age.get()
    }

    fn uptime(&self) -> Duration {
        self.age.get()
    }

    fn vcpu_ms(&self) -> Option<u64> {
        Some(self.vcpu.get())
    }

    fn heap_mib(&self) -> Option<u32> {
        None
    }

    /// Different each time, the same in every run.
    fn random(&self) -> u128 {
        let next = self.counter.get().wrapping_add(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c834);
        self.counter.set(next);
        next ^ (next >> 61)
    }

    fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    fn geo(&self, address: IpAddr) -> Option<Geo> {
        self.count("geo");
        self.wait(self.geo_takes.get());
        self.geo.borrow().get(&address).cloned()
    }

    fn device(&self, user_agent: &str) -> Option<Device> {
        self.devices.borrow().get(user_agent).cloned()
    }

    fn config(&self, key: &str) -> Result<Option<String>, StoreError> {
        self.count("config");
        self.wait(self.config_takes.get());
        match self.config_fails.get() {
            Some(error) => Err(error),
            None => Ok(self.config.borrow().get(key).cloned()),
        }
    }

    fn secret(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.count("secret");
        self.wait(self.secrets_take.get());
        match self.secrets_fail.get() {
            Some(error) => Err(error),
            None => Ok(self.secrets.borrow().get(name).cloned()),
        }
    }

    fn kv_start(&self, store: Kv, key: &str) -> Result<Self::PendingKv, StoreError> {
        // Fastly's KV store takes no other key.
        assert!((1..=1024).contains(&key.len()) && !key.contains(['#', ';', '?', '^', '|', '\r', '\n']), "{key}");
        self.count("kv");
        match self.kv_fails.borrow().get(&store) {
            Some(StoreError::NoStore) => Err(StoreError::NoStore),
            _ => Ok((store, key.to_owned())),
        }
    }

    fn kv_wait(&self, pending: Self::PendingKv) -> Result<Option<KvValue>, StoreError> {
        self.wait(self.kv_takes.get());
        match self.kv_fails.borrow().get(&pending.0) {
            Some(error) => Err(*error),
            None => Ok(self.kv.borrow().get(&pending).cloned()),
        }
    }

    fn kv_insert(
        &self,
        store: Kv,
        key: &str,
        value: Vec<u8>,
        condition: KvWrite,
        ttl: Option<u32>,
    ) -> Result<KvWritten, StoreError> {
        self.count("kv_write");
        if let Some(error) = self.kv_writes_fail.get().or(self.kv_fails.borrow().get(&store).copied()) {
            return Err(error);
        }
        if let Some(left) = self.kv_conflicts.get().checked_sub(1) {
            self.kv_conflicts.set(left);
            return Ok(KvWritten::Conflict);
        }
        let place = (store, key.to_owned());
        let known = self.kv.borrow().get(&place).map(|value| value.generation);
        let holds = match condition {
            KvWrite::IfAbsent => known.is_none(),
            KvWrite::IfGeneration(generation) => known == Some(generation),
        };
        if !holds {
            return Ok(KvWritten::Conflict);
        }
        self.put(store, key, value);
        self.kv_ttls.borrow_mut().extend(ttl.map(|ttl| (place, ttl)));
        Ok(KvWritten::Stored)
    }

    fn kv_delete(&self, store: Kv, key: &str) -> Result<(), StoreError> {
        self.kv_deletes.borrow_mut().push((self.received.borrow().len(), key.to_owned()));
        if let Some(error) = self.kv_fails.borrow().get(&store) {
            return Err(*error);
        }
        self.kv.borrow_mut().remove(&(store, key.to_owned()));
        Ok(())
    }

    fn send(&self, request: BackendRequest<MemoryBody>) -> Result<Response<MemoryBody>, SendError> {
        let pending = self.send_start(request)?;
        self.send_wait(pending, Duration::MAX)
    }

    fn send_start(&self, request: BackendRequest<MemoryBody>) -> Result<Self::PendingSend, SendError> {
        let body = request.body.map(|body| body.bytes.into_inner()).unwrap_or_default();
        let BackendRequest { backend, method, url, headers, caching, .. } = request;
        let asked = Asked { backend, method, url, headers, body, caching };
        let backends = self.backends.borrow();
        let answer = backends.get(&asked.backend).map_or(Err(SendError::NoBackend), |backend| backend(&asked));
        self.asked.borrow_mut().push(asked);
        Ok((self.backend_takes.get(), answer))
    }

    fn send_wait(
        &self,
        (takes, answer): Self::PendingSend,
        budget: Duration,
    ) -> Result<Response<MemoryBody>, SendError> {
        self.wait(takes.min(budget));
        if takes > budget {
            return Err(SendError::TimedOut);
        }
        answer.and_then(|(status, headers, bytes)| {
            let body = MemoryBody {
                bytes: Cursor::new(bytes),
                damage: self.body_damage.get(),
                read: Rc::clone(&self.body_read),
                age: Rc::clone(&self.age),
            };
            Response { status, headers, body }.final_one()
        })
    }

    fn shield(&self, code: &str) -> Option<Shield> {
        self.count("shield");
        self.shields.borrow().get(code).cloned()
    }

    fn respond(&self, response: Response<MemoryBody>) {
        let Response { status, headers, body } = response;
        self.answered.set(self.age.get());
        self.received.borrow_mut().push(Received { status, headers, body: body.bytes.into_inner(), appended: 0 });
    }

    fn respond_streaming(&self, response: Response<()>) -> MemoryStream {
        let Response { status, headers, body: () } = response;
        self.answered.set(self.age.get());
        MemoryStream {
            head: Some(Received { status, headers, body: Vec::new(), appended: 0 }),
            leaves_at: self.client_leaves_at.get(),
            received: Rc::clone(&self.received),
        }
    }

    fn log(&self, endpoint: Endpoint, line: &str) {
        self.wait(self.log_takes.get());
        if !self.deaf.borrow().contains(&endpoint) {
            self.lines.borrow_mut().push((endpoint, line.to_owned()));
        }
    }
}
