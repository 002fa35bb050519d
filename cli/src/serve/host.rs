//! The platform of the library, on this machine. It maps, and decides nothing.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use edge_personalizer::platform::{
    BackendRequest, ClientRequest, Device, Endpoint, Geo, Kv, KvValue, KvWrite, KvWritten, Platform, Response, Runtime,
    SendError, StoreError,
};
use http::{Method, StatusCode, header};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::backend::Backend;
use super::body::{self, HostBody, HostStream, Pieces};
use super::fault::{self, Fault};
use super::kv::KvStores;
use super::lines::Lines;
use super::live::{Entries, LiveRules};
use super::picked::Picked;

/// The answer of the service.
pub type Answer = http::Response<Pieces>;

/// What all requests share.
pub struct Machine {
    pub runtime: Handle,
    pub started: Instant,
    pub rules: LiveRules,
    pub kv: KvStores,
    pub secrets: BTreeMap<String, Vec<u8>>,
    pub places: BTreeMap<IpAddr, Geo>,
    /// Where those are whom nothing else places.
    pub elsewhere: Option<Geo>,
    pub devices: BTreeMap<String, Device>,
    pub backends: BTreeMap<String, Arc<Backend>>,
    pub says: Runtime,
    /// Where log lines go.
    pub lines: Lines,
    /// What is to go wrong.
    pub fault: Option<Fault>,
}

/// The host of one request.
pub struct Host<'m> {
    machine: &'m Machine,
    entries: Arc<Entries>,
    picked: Picked,
    /// Who asks.
    address: Option<IpAddr>,
    is_head: bool,
    /// Where the answer goes; `None` once it is sent.
    client: RefCell<Option<oneshot::Sender<Answer>>>,
}

impl<'m> Host<'m> {
    /// The host of a request; its answer goes to `client`. All of it sees the rules as they are now.
    pub fn new(
        machine: &'m Machine,
        request: &ClientRequest<HostBody>,
        picked: Picked,
        client: oneshot::Sender<Answer>,
    ) -> Self {
        let entries = machine.rules.entries();
        let is_head = request.method == Method::HEAD;
        Self { machine, entries, picked, address: request.address, is_head, client: RefCell::new(Some(client)) }
    }

    fn answer<B>(&self, head: Response<B>, body: Pieces) {
        let mut answer = http::Response::new(body);
        *answer.status_mut() = head.status;
        *answer.headers_mut() = head.headers;
        if let Some(client) = self.client.borrow_mut().take() {
            // Nobody listens any more where the client has gone.
            let _ = client.send(answer);
        }
    }
}

impl Platform for Host<'_> {
    type Body = HostBody;
    type ClientStream = HostStream;
    type PendingKv = (Kv, String);
    type PendingSend = JoinHandle<Result<Response<HostBody>, SendError>>;

    fn now(&self) -> time::OffsetDateTime {
        time::OffsetDateTime::now_utc()
    }

    fn uptime(&self) -> Duration {
        // What a sandbox has read counts for a second: whenever the rules change, a moment passes.
        self.machine.started.elapsed() + self.entries.passed
    }

    fn vcpu_ms(&self) -> Option<u64> {
        None
    }

    fn heap_mib(&self) -> Option<u32> {
        None
    }

    fn random(&self) -> u128 {
        let mut bytes = [0; 16];
        // As on the edge: without randomness an id repeats, and the request is served all the same.
        let _ = getrandom::fill(&mut bytes);
        u128::from_le_bytes(bytes)
    }

    fn runtime(&self) -> &Runtime {
        &self.machine.says
    }

    fn geo(&self, address: IpAddr) -> Option<Geo> {
        let known = || self.machine.places.get(&address).or(self.machine.elsewhere.as_ref()).cloned();
        self.picked.place().or_else(known)
    }

    fn device(&self, user_agent: &str) -> Option<Device> {
        self.machine.devices.get(user_agent).cloned()
    }

    fn config(&self, key: &str) -> Result<Option<String>, StoreError> {
        Ok(self.entries.texts.get(key).cloned())
    }

    fn secret(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.machine.secrets.get(name).cloned())
    }

    fn kv_start(&self, store: Kv, key: &str) -> Result<Self::PendingKv, StoreError> {
        Ok((store, key.to_owned()))
    }

    fn kv_wait(&self, (store, key): Self::PendingKv) -> Result<Option<KvValue>, StoreError> {
        Ok(self.machine.kv.get(store, &key))
    }

    fn kv_insert(
        &self,
        store: Kv,
        key: &str,
        value: Vec<u8>,
        condition: KvWrite,
        ttl: Option<u32>,
    ) -> Result<KvWritten, StoreError> {
        Ok(self.machine.kv.insert(store, key, value, condition, ttl))
    }

    fn kv_delete(&self, store: Kv, key: &str) -> Result<(), StoreError> {
        self.machine.kv.delete(store, key);
        Ok(())
    }

    fn send(&self, request: BackendRequest<HostBody>) -> Result<Response<HostBody>, SendError> {
        let pending = self.send_start(request)?;
        // The backend has limits of its own.
        self.machine.runtime.block_on(pending).unwrap_or(Err(SendError::Failed))
    }

    fn send_start(&self, request: BackendRequest<HostBody>) -> Result<Self::PendingSend, SendError> {
        let backend = self.machine.backends.get(&request.backend).ok_or(SendError::NoBackend)?;
        if self.machine.fault.as_ref().is_some_and(|fault| fault.hits(&request.caching, self.address)) {
            return Ok(self.machine.runtime.spawn(async { Ok(fault::answer()) }));
        }
        let (backend, runtime) = (Arc::clone(backend), self.machine.runtime.clone());
        Ok(self.machine.runtime.spawn(async move { backend.send(request, runtime).await }))
    }

    fn send_wait(&self, mut pending: Self::PendingSend, budget: Duration) -> Result<Response<HostBody>, SendError> {
        let answer = self.machine.runtime.block_on(async { tokio::time::timeout(budget, &mut pending).await });
        match answer {
            Ok(answer) => answer.unwrap_or(Err(SendError::Failed)),
            Err(_) => {
                pending.abort();
                Err(SendError::TimedOut)
            }
        }
    }

    fn respond(&self, mut response: Response<HostBody>) {
        let body = std::mem::replace(&mut response.body, Vec::new().into()).into_pieces();
        // The length follows from the body; the heads of answers to HEAD and of 304 tell of one that isn't there.
        if !self.is_head && response.status != StatusCode::NOT_MODIFIED {
            response.headers.remove(header::CONTENT_LENGTH);
            response.headers.remove(header::TRANSFER_ENCODING);
        }
        self.answer(response, body);
    }

    fn respond_streaming(&self, response: Response<()>) -> HostStream {
        let length = response.headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        let (stream, body) = body::stream(length);
        self.answer(response, body);
        stream
    }

    fn log(&self, endpoint: Endpoint, line: &str) {
        self.machine.lines.write(endpoint, line);
    }
}
