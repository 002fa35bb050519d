//! The real host: maps the seam to the SDK, and does nothing else.

mod client;

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::io::Write;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use config_store::ConfigStore;
use fastly::geo::{ConnType, geo_lookup};
use fastly::handle::BodyHandle;
use fastly::http::CandidateResponse;
use fastly::http::body::StreamingBody;
use fastly::http::request::{PendingRequest, PollResult, SendErrorCause};
use fastly::kv_store::{InsertMode, KVStore, KVStoreError, PendingLookupHandle};
use fastly::log::Endpoint as LogEndpoint;
use fastly::secret_store::SecretStore;
use fastly::{Body, Request, compute_runtime, device_detection};
use http::{HeaderMap, HeaderValue, Method, header};
use time::OffsetDateTime;

use edge_personalizer::platform::geo::GeoTexts;
use edge_personalizer::platform::{
    BackendRequest, Caching, ClientRequest, ClientStream, Device, Endpoint, Geo, Kv, KvValue, KvWrite, KvWritten,
    Platform, Response, Runtime, SendError, Shield, StoreError,
};
use edge_personalizer::respond::storing::{Storing, storing};

/// Name of the config store and of the secret store (design.md section 3).
const STORE: &str = "personalizer";
/// How often a request under way is asked whether its answer is there: the SDK has no wait with a time-out.
const POLL: Duration = Duration::from_millis(1);
/// What the local server calls itself. It has no cache, and a request with a hook on storing fails there.
const LOCAL_SERVER: &str = "localhost";

/// Fastly, for one request.
pub struct Fastly<'s> {
    sandbox: &'s FastlySandbox,
    config: OnceCell<Result<ConfigStore, StoreError>>,
    is_head: bool,
    /// Heads of answers from the cache: one that was stale is revalidated when it is dropped, so they outlive the visitor's answer.
    answered: RefCell<Vec<fastly::Response>>,
}

/// What the host side of a sandbox knows.
pub struct FastlySandbox {
    started: Instant,
    logger: OnceCell<()>,
    runtime: Runtime,
    has_cache: bool,
    /// Shields by their codes, as they were found first: the platform makes the backend that leads to one once a sandbox.
    shields: RefCell<BTreeMap<String, Shield>>,
}

impl FastlySandbox {
    /// Starts the sandbox's clock.
    pub fn start() -> Self {
        Self {
            started: Instant::now(),
            logger: OnceCell::new(),
            runtime: Runtime {
                pop: compute_runtime::pop().to_owned(),
                service_version: compute_runtime::service_version(),
                is_staging: compute_runtime::is_staging(),
            },
            has_cache: std::env::var("FASTLY_HOSTNAME").is_ok_and(|name| name != LOCAL_SERVER),
            shields: RefCell::default(),
        }
    }
}

impl<'s> Fastly<'s> {
    /// The host for one request, and the request itself.
    pub fn accept(sandbox: &'s FastlySandbox, request: Request) -> (Self, ClientRequest<Body>) {
        let client = client::request(request);
        let is_head = client.method == Method::HEAD;
        (Self { sandbox, config: OnceCell::new(), is_head, answered: RefCell::default() }, client)
    }
}

fn collect<'h>(headers: impl Iterator<Item = (&'h http::HeaderName, &'h HeaderValue)>) -> HeaderMap {
    let mut map = HeaderMap::with_capacity(32);
    for (name, value) in headers {
        map.append(name, value.clone());
    }
    map
}

fn received(response: &mut fastly::Response) -> Result<Response<Body>, SendError> {
    Response { status: response.get_status(), headers: collect(response.get_headers()), body: response.take_body() }
        .final_one()
}

/// Before the cache stores an answer. An error here has it serve the stale one.
fn before_storing(candidate: &mut CandidateResponse) -> Result<(), SendErrorCause> {
    let headers = collect(candidate.get_headers());
    match storing(candidate.get_status(), &headers, candidate.stale_if_error_available()) {
        Storing::Keep { vary } => candidate.set_header(header::VARY, vary),
        Storing::Skip => candidate.set_uncacheable(false),
        Storing::Stale => return Err(SendErrorCause::HttpIncompleteResponse),
    }
    Ok(())
}

fn to_request(request: BackendRequest<Body>, has_cache: bool) -> Result<(Request, String), SendError> {
    let url = fastly::http::Url::parse(&request.url).map_err(|_| SendError::Failed)?;
    let mut sent = Request::new(request.method, url);
    for (name, value) in &request.headers {
        sent.append_header(name, value);
    }
    if let Some(body) = request.body {
        sent.set_body(body);
    }
    sent.set_auto_decompress_gzip(request.decompress_gzip);
    match request.caching {
        Caching::Origin { key } => {
            if let Some(key) = key {
                sent.set_cache_key(key);
            }
        }
        Caching::Pass => sent.set_pass(true),
        Caching::Keyed { key, ttl, stale_while_revalidate, stale_if_error, surrogate_keys } => {
            sent.set_cache_key(key);
            if let Some(ttl) = ttl {
                sent.set_ttl(ttl);
            }
            if let Some(seconds) = stale_while_revalidate {
                sent.set_stale_while_revalidate(seconds);
            }
            if let Some(seconds) = stale_if_error {
                sent.set_stale_if_error(seconds);
            }
            if let Ok(keys) = HeaderValue::from_str(&surrogate_keys) {
                sent.set_surrogate_key(keys);
            }
            if has_cache {
                sent.set_after_send(before_storing);
            }
        }
    }
    Ok((sent, request.backend))
}

fn send_error(error: &fastly::http::request::SendError) -> SendError {
    match error.root_cause() {
        SendErrorCause::DestinationNotFound => SendError::NoBackend,
        SendErrorCause::DnsTimeout | SendErrorCause::ConnectionTimeout | SendErrorCause::HttpResponseTimeout => {
            SendError::TimedOut
        }
        SendErrorCause::DnsError { .. }
        | SendErrorCause::DestinationUnavailable
        | SendErrorCause::DestinationIpUnroutable
        | SendErrorCause::ConnectionRefused
        | SendErrorCause::TlsProtocolError
        | SendErrorCause::TlsCertificateError
        | SendErrorCause::TlsAlertReceived { .. } => SendError::Unreachable,
        _ => SendError::Failed,
    }
}

/// Lines go to the endpoint that their target names. Without its endpoint the service serves on, unheard.
fn start_logger() {
    let mut logger = log_fastly::Logger::builder();
    logger.max_level(log::LevelFilter::Info);
    // One that isn't there would be an error of them all.
    for endpoint in Endpoint::ALL.iter().filter_map(|endpoint| LogEndpoint::try_from_name(endpoint.name()).ok()) {
        logger.endpoint(endpoint);
    }
    let _ = logger.try_init();
}

fn store_error(error: &KVStoreError) -> StoreError {
    match error {
        KVStoreError::StoreNotFound(_) | KVStoreError::InvalidStoreHandle => StoreError::NoStore,
        KVStoreError::TooManyRequests => StoreError::Throttled,
        _ => StoreError::Failed,
    }
}

fn kv(store: Kv) -> Result<KVStore, StoreError> {
    let name = match store {
        Kv::Sessions => "sessions",
        Kv::Rules => "rules",
    };
    KVStore::open(name).map_err(|error| store_error(&error))?.ok_or(StoreError::NoStore)
}

/// The SDK's stream to the client.
pub struct FastlyStream(StreamingBody);

impl Write for FastlyStream {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

impl ClientStream<Body> for FastlyStream {
    fn append(&mut self, body: Body) -> std::io::Result<()> {
        // The SDK's call panics where it can't flush what it holds.
        self.0.flush()?;
        self.0.append(body);
        Ok(())
    }

    fn finish(self) -> std::io::Result<()> {
        self.0.finish()
    }
}

impl Platform for Fastly<'_> {
    type Body = Body;
    type ClientStream = FastlyStream;
    type PendingKv = (KVStore, PendingLookupHandle);
    type PendingSend = PendingRequest;

    fn now(&self) -> OffsetDateTime {
        OffsetDateTime::from(std::time::SystemTime::now())
    }

    fn uptime(&self) -> Duration {
        self.sandbox.started.elapsed()
    }

    fn vcpu_ms(&self) -> Option<u64> {
        compute_runtime::elapsed_vcpu_ms().ok()
    }

    fn heap_mib(&self) -> Option<u32> {
        compute_runtime::heap_memory_snapshot_mib().ok()
    }

    fn random(&self) -> u128 {
        let mut bytes = [0; 16];
        // Without randomness ids repeat; the request is served all the same, and an all-zero visitor id is refused.
        let _ = getrandom::fill(&mut bytes);
        u128::from_le_bytes(bytes)
    }

    fn runtime(&self) -> &Runtime {
        &self.sandbox.runtime
    }

    fn geo(&self, address: IpAddr) -> Option<Geo> {
        let geo = geo_lookup(address)?;
        let texts = GeoTexts {
            country: geo.country_code(),
            subdivision: geo.region().unwrap_or_default(),
            continent: geo.continent().as_code(),
            city: geo.city(),
            connection_type: match geo.conn_type() {
                ConnType::Wired => "wired",
                ConnType::Wifi => "wifi",
                ConnType::Mobile => "mobile",
                ConnType::Dialup => "dialup",
                ConnType::Satellite => "satellite",
                _ => "?",
            },
        };
        Some(texts.into())
    }

    fn device(&self, user_agent: &str) -> Option<Device> {
        let device = device_detection::lookup(user_agent)?;
        Some(Device {
            is_mobile: device.is_mobile(),
            is_tablet: device.is_tablet(),
            is_desktop: device.is_desktop(),
            is_tv: device.is_smarttv().or(device.is_tvplayer()),
            is_bot: device.is_bot(),
            browser: device.user_agent_name().map(str::to_owned),
            os: device.os_name().map(str::to_owned),
        })
    }

    fn config(&self, key: &str) -> Result<Option<String>, StoreError> {
        let opened = self.config.get_or_init(|| {
            ConfigStore::open(STORE).map_err(|error| match error {
                config_store::Error::NoStore => StoreError::NoStore,
                _ => StoreError::Failed,
            })
        });
        let store = opened.as_ref().map_err(|error| *error)?;
        store.get(key).map_err(|_| StoreError::Failed)
    }

    fn secret(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let store = SecretStore::open(STORE).map_err(|_| StoreError::NoStore)?;
        let Some(secret) = store.try_get(name).map_err(|_| StoreError::Failed)? else {
            return Ok(None);
        };
        secret.try_plaintext().map(|bytes| Some(bytes.to_vec())).map_err(|_| StoreError::Failed)
    }

    fn kv_start(&self, store: Kv, key: &str) -> Result<Self::PendingKv, StoreError> {
        let store = kv(store)?;
        let pending = store.build_lookup().execute_async(key).map_err(|error| store_error(&error))?;
        Ok((store, pending))
    }

    fn kv_wait(&self, (store, pending): Self::PendingKv) -> Result<Option<KvValue>, StoreError> {
        match store.pending_lookup_wait(pending) {
            Ok(mut found) => {
                let generation = found.current_generation();
                Ok(Some(KvValue { bytes: found.take_body_bytes(), generation }))
            }
            Err(KVStoreError::ItemNotFound) => Ok(None),
            Err(error) => Err(store_error(&error)),
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
        let store = kv(store)?;
        let mut insert = match condition {
            KvWrite::IfAbsent => store.build_insert().mode(InsertMode::Add),
            KvWrite::IfGeneration(generation) => store.build_insert().if_generation_match(generation),
        };
        if let Some(seconds) = ttl {
            insert = insert.time_to_live(Duration::from_secs(seconds.into()));
        }
        match insert.execute(key, value) {
            Ok(()) => Ok(KvWritten::Stored),
            Err(KVStoreError::ItemPreconditionFailed) => Ok(KvWritten::Conflict),
            Err(error) => Err(store_error(&error)),
        }
    }

    fn kv_delete(&self, store: Kv, key: &str) -> Result<(), StoreError> {
        match kv(store)?.delete(key) {
            Ok(()) | Err(KVStoreError::ItemNotFound) => Ok(()),
            Err(error) => Err(store_error(&error)),
        }
    }

    fn send(&self, request: BackendRequest<Body>) -> Result<Response<Body>, SendError> {
        let (request, backend) = to_request(request, self.sandbox.has_cache)?;
        let backend = fastly::Backend::from_name(&backend).map_err(|_| SendError::NoBackend)?;
        let mut answer = request.send(backend).map_err(|error| send_error(&error))?;
        let response = received(&mut answer)?;
        self.answered.borrow_mut().push(answer);
        Ok(response)
    }

    fn send_start(&self, request: BackendRequest<Body>) -> Result<PendingRequest, SendError> {
        let (request, backend) = to_request(request, false)?;
        let backend = fastly::Backend::from_name(&backend).map_err(|_| SendError::NoBackend)?;
        request.send_async(backend).map_err(|error| send_error(&error))
    }

    fn send_wait(&self, mut pending: PendingRequest, budget: Duration) -> Result<Response<Body>, SendError> {
        let started = Instant::now();
        loop {
            pending = match pending.poll() {
                PollResult::Done(done) => {
                    return received(&mut done.map_err(|error| send_error(&error))?);
                }
                PollResult::Pending(pending) => pending,
            };
            if started.elapsed() >= budget {
                return Err(SendError::TimedOut);
            }
            std::thread::sleep(POLL);
        }
    }

    fn shield(&self, code: &str) -> Option<Shield> {
        let known = self.sandbox.shields.borrow().get(code).cloned();
        if known.is_some() {
            return known;
        }
        let shield = fastly::shielding::Shield::new(code).ok()?;
        let found = if shield.running_on() {
            Shield::Here
        } else {
            Shield::There(shield.encrypted_backend().ok()?.into_string())
        };
        self.sandbox.shields.borrow_mut().insert(code.to_owned(), found.clone());
        Some(found)
    }

    fn respond(&self, response: Response<Body>) {
        let Response { status, headers, body } = response;
        client::head(&Response { status, headers, body: () }, self.is_head).send_to_client(body.into_handle());
    }

    fn respond_streaming(&self, response: Response<()>) -> FastlyStream {
        // An untouched body keeps its length; by itself, the platform would drop it for a stream.
        let keeps_framing = self.is_head || response.headers.contains_key(http::header::CONTENT_LENGTH);
        FastlyStream(client::head(&response, keeps_framing).stream_to_client(BodyHandle::new()).into())
    }

    fn log(&self, endpoint: Endpoint, line: &str) {
        self.sandbox.logger.get_or_init(start_logger);
        let level = if endpoint == Endpoint::Errors { log::Level::Warn } else { log::Level::Info };
        log::log!(target: endpoint.name(), level, "{line}");
    }
}
