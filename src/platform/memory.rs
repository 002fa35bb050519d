//! A host in memory, for tests: every store and backend can be told to fail or to stall. Time stands still but for stalls.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::io::{Cursor, Read, Write};
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use http::{HeaderMap, Method, StatusCode};
use time::OffsetDateTime;

use super::{
    BackendRequest, Caching, ClientStream, Device, Endpoint, Geo, Kv, KvValue, KvWrite, KvWritten, Platform, Response,
    Runtime, SendError, StoreError,
};

/// A body in memory.
#[derive(Debug, Clone, Default)]
pub struct MemoryBody {
    bytes: Cursor<Vec<u8>>,
    /// Where it breaks off.
    breaks_at: Option<usize>,
    /// Bytes that went through the guest.
    read: Rc<Cell<usize>>,
}

impl Read for MemoryBody {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let at = usize::try_from(self.bytes.position()).unwrap_or(usize::MAX);
        let most = self.breaks_at.map_or(buffer.len(), |end| end.saturating_sub(at).min(buffer.len()));
        if most == 0 && !buffer.is_empty() {
            return Err(std::io::ErrorKind::ConnectionReset.into());
        }
        let count = self.bytes.read(buffer.get_mut(..most).unwrap_or_default())?;
        self.read.set(self.read.get() + count);
        Ok(count)
    }
}

impl From<Vec<u8>> for MemoryBody {
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes: Cursor::new(bytes), ..Self::default() }
    }
}

/// What a backend was asked.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The backend's name.
    pub backend: String,
    /// Method.
    pub method: Method,
    /// URL.
    pub url: String,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Vec<u8>,
    /// How the cache was to treat it.
    pub caching: Caching,
}

/// What a backend does with a request.
pub type Answer = Result<(StatusCode, HeaderMap, Vec<u8>), SendError>;
type Backend = Box<dyn Fn(&Asked) -> Answer>;

/// What the client received.
#[derive(Debug, Clone)]
pub struct Received {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Vec<u8>,
    /// How many of them never went through the guest.
    pub appended: usize,
}

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
    /// How a KV store fails, if so.
    pub kv_fails: RefCell<HashMap<Kv, StoreError>>,
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
    /// How long a backend takes.
    pub backend_takes: Cell<Duration>,
    /// Where bodies of backends break off, if they do.
    pub body_breaks_at: Cell<Option<usize>>,
    /// After how many bytes of a streamed body the client goes away, if it does.
    pub client_leaves_at: Cell<Option<usize>>,
    /// Bytes of backends' bodies that went through the guest.
    pub body_read: Rc<Cell<usize>>,
    /// The wall clock.
    pub clock: Cell<Option<OffsetDateTime>>,
    /// Time since the start; stalls add to it.
    pub age: Cell<Duration>,
    /// Deployment.
    pub runtime: Runtime,
    /// vCPU used, in milliseconds.
    pub vcpu: Cell<u64>,
    /// What backends were asked, in order.
    pub asked: RefCell<Vec<Asked>>,
    /// Look-ups made, by store.
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

    fn count(&self, store: &'static str) {
        *self.lookups.borrow_mut().entry(store).or_default() += 1;
    }

    fn take(&self, time: Duration) {
        self.age.set(self.age.get() + time);
    }
}

/// The client's end of a streamed body.
pub struct MemoryStream {
    head: Option<Received>,
    leaves_at: Option<usize>,
    received: Rc<RefCell<Vec<Received>>>,
}

impl Write for MemoryStream {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if let Some(head) = &mut self.head {
            if self.leaves_at.is_some_and(|most| head.body.len() >= most) {
                return Err(std::io::ErrorKind::BrokenPipe.into());
            }
            head.body.extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl ClientStream<MemoryBody> for MemoryStream {
    fn append(&mut self, mut body: MemoryBody) -> std::io::Result<()> {
        // The host reads it, not the guest.
        body.read = Rc::default();
        if let Some(head) = &mut self.head {
            head.appended += body.read_to_end(&mut head.body)?;
        }
        Ok(())
    }

    fn finish(mut self) -> std::io::Result<()> {
        self.received.borrow_mut().extend(self.head.take());
        Ok(())
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
        self.take(self.geo_takes.get());
        self.geo.borrow().get(&address).cloned()
    }

    fn device(&self, user_agent: &str) -> Option<Device> {
        self.devices.borrow().get(user_agent).cloned()
    }

    fn config(&self, key: &str) -> Result<Option<String>, StoreError> {
        self.count("config");
        self.take(self.config_takes.get());
        match self.config_fails.get() {
            Some(error) => Err(error),
            None => Ok(self.config.borrow().get(key).cloned()),
        }
    }

    fn secret(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.count("secret");
        self.take(self.secrets_take.get());
        match self.secrets_fail.get() {
            Some(error) => Err(error),
            None => Ok(self.secrets.borrow().get(name).cloned()),
        }
    }

    fn kv_start(&self, store: Kv, key: &str) -> Result<Self::PendingKv, StoreError> {
        self.count("kv");
        match self.kv_fails.borrow().get(&store) {
            Some(StoreError::NoStore) => Err(StoreError::NoStore),
            _ => Ok((store, key.to_owned())),
        }
    }

    fn kv_wait(&self, pending: Self::PendingKv) -> Result<Option<KvValue>, StoreError> {
        self.take(self.kv_takes.get());
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
        _ttl: Option<u32>,
    ) -> Result<KvWritten, StoreError> {
        if let Some(error) = self.kv_fails.borrow().get(&store) {
            return Err(*error);
        }
        let mut values = self.kv.borrow_mut();
        let key = (store, key.to_owned());
        let known = values.get(&key).map(|value| value.generation);
        let holds = match condition {
            KvWrite::IfAbsent => known.is_none(),
            KvWrite::IfGeneration(generation) => known == Some(generation),
        };
        if !holds {
            return Ok(KvWritten::Conflict);
        }
        values.insert(key, KvValue { bytes: value, generation: known.unwrap_or(0) + 1 });
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
        self.take(takes.min(budget));
        if takes > budget {
            return Err(SendError::TimedOut);
        }
        answer.and_then(|(status, headers, bytes)| {
            let (breaks_at, read) = (self.body_breaks_at.get(), Rc::clone(&self.body_read));
            let body = MemoryBody { bytes: Cursor::new(bytes), breaks_at, read };
            Response { status, headers, body }.final_one()
        })
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
        self.take(self.log_takes.get());
        if !self.deaf.borrow().contains(&endpoint) {
            self.lines.borrow_mut().push((endpoint, line.to_owned()));
        }
    }
}
