//! A small platform for this crate's tests: a KV store and a session API that fail, stall and lie on demand, and a
//! clock that only moves when somebody waits.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io::{self, Cursor, Read, Write};
use std::net::IpAddr;
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use time::OffsetDateTime;

use crate::platform::{
    BackendRequest, ClientStream, Device, Endpoint, Geo, Kv, KvValue, KvWrite, KvWritten, Platform, Response, Runtime,
    SendError, StoreError,
};

/// The time at which every test starts, in seconds since 1970.
pub const START: i64 = 1_800_000_000;

/// How the session API behaves.
#[derive(Debug, Clone)]
pub enum Api {
    /// Answers after so many milliseconds.
    Answers(u64, StatusCode, Vec<u8>),
    /// Can't be reached.
    Fails(SendError),
    /// Answers, then the body breaks off after its bytes.
    Resets(Vec<u8>),
    /// Answers, then every read of the body takes so many milliseconds.
    Drips(u64, Vec<u8>),
    /// Sends for ever.
    Endless,
}

pub struct Body {
    bytes: Cursor<Vec<u8>>,
    resets: bool,
    endless: bool,
    drip: Option<(std::rc::Rc<Cell<Duration>>, u64)>,
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes: Cursor::new(bytes), resets: false, endless: false, drip: None }
    }
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.endless {
            buffer.fill(b' ');
            return Ok(buffer.len());
        }
        let wanted = if let Some((uptime, ms)) = &self.drip {
            uptime.set(uptime.get() + Duration::from_millis(*ms));
            1
        } else {
            buffer.len()
        };
        match self.bytes.read(&mut buffer[..wanted])? {
            0 if self.resets => Err(io::ErrorKind::ConnectionReset.into()),
            length => Ok(length),
        }
    }
}

pub struct Stream;

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<B> ClientStream<B> for Stream {
    fn append(&mut self, _body: B) -> io::Result<()> {
        Ok(())
    }

    fn finish(self) -> io::Result<()> {
        Ok(())
    }
}

pub struct Fake {
    pub uptime: std::rc::Rc<Cell<Duration>>,
    pub kv: RefCell<BTreeMap<String, KvValue>>,
    pub ttls: RefCell<BTreeMap<String, Option<u32>>>,
    pub kv_error: Cell<Option<StoreError>>,
    pub kv_write_error: Cell<Option<StoreError>>,
    pub kv_ms: Cell<u64>,
    /// So many writes lose against somebody else.
    pub conflicts: Cell<u32>,
    pub reads: Cell<u32>,
    pub writes: Cell<u32>,
    pub api: RefCell<Api>,
    pub asked: RefCell<Vec<String>>,
    pub secrets: RefCell<BTreeMap<String, Vec<u8>>>,
    pub secret_error: Cell<Option<StoreError>>,
    runtime: Runtime,
}

impl Default for Fake {
    fn default() -> Self {
        Self {
            uptime: std::rc::Rc::default(),
            kv: RefCell::default(),
            ttls: RefCell::default(),
            kv_error: Cell::default(),
            kv_write_error: Cell::default(),
            kv_ms: Cell::new(1),
            conflicts: Cell::default(),
            reads: Cell::default(),
            writes: Cell::default(),
            api: RefCell::new(Api::Fails(SendError::NoBackend)),
            asked: RefCell::default(),
            secrets: RefCell::default(),
            secret_error: Cell::default(),
            runtime: Runtime::default(),
        }
    }
}

impl Fake {
    pub fn with_api(api: Api) -> Self {
        Self { api: RefCell::new(api), ..Self::default() }
    }

    pub fn put(&self, key: &str, bytes: impl Into<Vec<u8>>) {
        let generation = self.kv.borrow().get(key).map_or(1, |value| value.generation + 1);
        self.kv.borrow_mut().insert(key.to_owned(), KvValue { bytes: bytes.into(), generation });
    }

    pub fn text(&self, key: &str) -> String {
        String::from_utf8(self.kv.borrow()[key].bytes.clone()).unwrap()
    }

    pub fn wait(&self, ms: u64) {
        self.uptime.set(self.uptime.get() + Duration::from_millis(ms));
    }
}

impl Platform for Fake {
    type Body = Body;
    type ClientStream = Stream;
    type PendingKv = String;
    type PendingSend = ();

    fn now(&self) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(START).unwrap() + self.uptime.get()
    }
    fn uptime(&self) -> Duration {
        self.uptime.get()
    }
    fn vcpu_ms(&self) -> Option<u64> {
        None
    }
    fn heap_mib(&self) -> Option<u32> {
        None
    }
    fn random(&self) -> u128 {
        4
    }
    fn runtime(&self) -> &Runtime {
        &self.runtime
    }
    fn geo(&self, _: IpAddr) -> Option<Geo> {
        None
    }
    fn device(&self, _: &str) -> Option<Device> {
        None
    }
    fn config(&self, _: &str) -> Result<Option<String>, StoreError> {
        Ok(None)
    }
    fn secret(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        match self.secret_error.get() {
            Some(error) => Err(error),
            None => Ok(self.secrets.borrow().get(name).cloned()),
        }
    }
    fn kv_start(&self, _: Kv, key: &str) -> Result<String, StoreError> {
        assert!((1..=1024).contains(&key.len()) && !key.contains(['#', ';', '?', '^', '|', '\r', '\n']), "{key}");
        self.reads.set(self.reads.get() + 1);
        match self.kv_error.get() {
            Some(StoreError::NoStore) => Err(StoreError::NoStore),
            _ => Ok(key.to_owned()),
        }
    }
    fn kv_wait(&self, key: String) -> Result<Option<KvValue>, StoreError> {
        self.wait(self.kv_ms.get());
        match self.kv_error.get() {
            Some(error) => Err(error),
            None => Ok(self.kv.borrow().get(&key).cloned()),
        }
    }
    fn kv_insert(
        &self,
        _: Kv,
        key: &str,
        value: Vec<u8>,
        condition: KvWrite,
        ttl: Option<u32>,
    ) -> Result<KvWritten, StoreError> {
        self.writes.set(self.writes.get() + 1);
        if let Some(error) = self.kv_write_error.get() {
            return Err(error);
        }
        if self.conflicts.get() > 0 {
            self.conflicts.set(self.conflicts.get() - 1);
            return Ok(KvWritten::Conflict);
        }
        let current = self.kv.borrow().get(key).map(|value| value.generation);
        let holds = match condition {
            KvWrite::IfAbsent => current.is_none(),
            KvWrite::IfGeneration(generation) => current == Some(generation),
        };
        if !holds {
            return Ok(KvWritten::Conflict);
        }
        self.put(key, value);
        self.ttls.borrow_mut().insert(key.to_owned(), ttl);
        Ok(KvWritten::Stored)
    }
    fn kv_delete(&self, _: Kv, key: &str) -> Result<(), StoreError> {
        self.kv.borrow_mut().remove(key);
        self.kv_write_error.get().map_or(Ok(()), Err)
    }
    fn send(&self, _: BackendRequest<Body>) -> Result<Response<Body>, SendError> {
        Err(SendError::NoBackend)
    }
    fn send_start(&self, request: BackendRequest<Body>) -> Result<(), SendError> {
        self.asked.borrow_mut().push(request.url);
        match *self.api.borrow() {
            Api::Fails(SendError::NoBackend) => Err(SendError::NoBackend),
            _ => Ok(()),
        }
    }
    fn send_wait(&self, (): (), budget: Duration) -> Result<Response<Body>, SendError> {
        let answer = |status, body| Ok(Response { status, headers: HeaderMap::new(), body });
        match self.api.borrow().clone() {
            Api::Answers(ms, ..) if Duration::from_millis(ms) > budget => {
                self.uptime.set(self.uptime.get() + budget);
                Err(SendError::TimedOut)
            }
            Api::Answers(ms, status, bytes) => {
                self.wait(ms);
                answer(status, Body::from(bytes))
            }
            Api::Fails(error) => Err(error),
            Api::Resets(bytes) => answer(StatusCode::OK, Body { resets: true, ..Body::from(bytes) }),
            Api::Endless => answer(StatusCode::OK, Body { endless: true, ..Body::from(Vec::new()) }),
            Api::Drips(ms, bytes) => {
                answer(StatusCode::OK, Body { drip: Some((self.uptime.clone(), ms)), ..Body::from(bytes) })
            }
        }
    }
    fn respond(&self, _: Response<Body>) {}
    fn respond_streaming(&self, _: Response<()>) -> Stream {
        Stream
    }
    fn log(&self, _: Endpoint, _: &str) {}
}
