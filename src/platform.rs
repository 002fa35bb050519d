//! The seam to the host: everything the service asks of Fastly, and nothing else.
//!
//! The real one is plugged in from outside (`src/host.rs`, wasm only); `memory` is one for tests that can be told to fail or
//! stall. "Not found" and "someone else wrote first" are outcomes; an error means that the host could not answer.

pub mod geo;
#[cfg(not(target_arch = "wasm32"))]
pub mod memory;

use std::io::{Read, Write};
use std::net::IpAddr;
use std::time::Duration;

use http::{HeaderMap, Method, StatusCode};
use time::OffsetDateTime;

/// Why a store could not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreError {
    /// The store isn't linked to the service, or doesn't exist.
    NoStore,
    /// The platform's limits or rate were exceeded.
    Throttled,
    /// Anything else: time-outs, internal errors, a value that isn't UTF-8.
    Failed,
}

/// Why a backend gave no answer. The local server says [`Failed`](SendError::Failed) for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendError {
    /// No backend of that name is linked to the service.
    NoBackend,
    /// Connection, DNS or TLS failed.
    Unreachable,
    /// A time-out of the backend ran out.
    TimedOut,
    /// Anything else.
    Failed,
}

/// The KV stores (design.md section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kv {
    /// Session records.
    Sessions,
    /// Rule sets too large for the config store.
    Rules,
}

/// The log endpoints (design.md section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// One line a request.
    Decisions,
    /// One line for each variation that a visitor was shown by assignment.
    Exposures,
    /// Faults of rules, stores and backends.
    Errors,
    /// One line for each thing that happened and that a site counts.
    Conversions,
}

impl Endpoint {
    /// Every endpoint.
    pub const ALL: [Self; 4] = [Self::Decisions, Self::Exposures, Self::Errors, Self::Conversions];

    /// Its name on the platform.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Decisions => "decisions",
            Self::Exposures => "exposures",
            Self::Errors => "errors",
            Self::Conversions => "conversions",
        }
    }
}

/// A KV value with the generation that a conditional write must match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvValue {
    /// The bytes stored.
    pub bytes: Vec<u8>,
    /// Changes with every write.
    pub generation: u64,
}

/// On which condition a KV write happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KvWrite {
    /// Only where the key doesn't exist.
    IfAbsent,
    /// Only where the generation is still this one.
    IfGeneration(u64),
}

/// What became of a KV write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KvWritten {
    /// The value is stored.
    Stored,
    /// Someone else wrote first: read again.
    Conflict,
}

/// Where an address is (Fastly's geolocation). Empty fields are absent ones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Geo {
    /// ISO 3166-1 alpha-2, upper case.
    pub country: Option<String>,
    /// ISO 3166-2 without the country (`CA`).
    pub subdivision: Option<String>,
    /// Two letters: `AF`, `AN`, `AS`, `EU`, `NA`, `OC`, `SA`.
    pub continent: Option<&'static str>,
    /// Lower case, as Fastly writes it.
    pub city: Option<String>,
    /// Fastly's connection type: `wired`, `wifi`, `mobile`, `dialup`, `satellite`, …
    pub connection_type: Option<&'static str>,
}

/// What a User-Agent is (Fastly's device detection).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Device {
    /// Phone.
    pub is_mobile: Option<bool>,
    /// Tablet.
    pub is_tablet: Option<bool>,
    /// Desktop or laptop.
    pub is_desktop: Option<bool>,
    /// Smart TV or TV player.
    pub is_tv: Option<bool>,
    /// Crawler.
    pub is_bot: Option<bool>,
    /// Browser's name.
    pub browser: Option<String>,
    /// Operating system's name.
    pub os: Option<String>,
}

/// What the platform says of the sandbox.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Runtime {
    /// Three letters of the data centre.
    pub pop: String,
    /// The deployed version of the service.
    pub service_version: u64,
    /// Whether this is a staging deployment.
    pub is_staging: bool,
}

/// How the platform's cache treats a backend request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caching {
    /// Neither looked up nor stored.
    Pass,
    /// As the origin's own headers say.
    Origin {
        /// Under this key: SHA-256 over the URL that the visitor asked for, where the backend is asked by another host. Without it, under the
        /// platform's own.
        key: Option<[u8; 32]>,
    },
    /// Under our key, for our times.
    Keyed {
        /// SHA-256 over the canonical request.
        key: [u8; 32],
        /// Seconds, where the route overrides the origin.
        ttl: Option<u32>,
        /// Seconds.
        stale_while_revalidate: Option<u32>,
        /// Seconds.
        stale_if_error: Option<u32>,
        /// Space-separated, visible ASCII.
        surrogate_keys: String,
    },
}

/// Where a shield is: the data centre through which an origin is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shield {
    /// Here.
    Here,
    /// Elsewhere: this backend leads there, encrypted.
    There(String),
}

/// A request as the client sent it.
#[derive(Debug, Clone)]
pub struct ClientRequest<B> {
    /// The method.
    pub method: Method,
    /// `http` or `https`.
    pub scheme: String,
    /// Host and port.
    pub authority: String,
    /// Percent-encoded, dot segments resolved.
    pub path: String,
    /// Without its `?`.
    pub query: Option<String>,
    /// All headers.
    pub headers: HeaderMap,
    /// The peer of the connection.
    pub address: Option<IpAddr>,
    /// Read or streamed once.
    pub body: B,
}

/// A request to a backend.
#[derive(Debug)]
pub struct BackendRequest<B> {
    /// The backend's name.
    pub backend: String,
    /// The request's method.
    pub method: Method,
    /// Absolute: scheme, host, path and query, percent-encoded.
    pub url: String,
    /// All of them, `Host` excepted (it follows from the URL).
    pub headers: HeaderMap,
    /// Streamed to the backend.
    pub body: Option<B>,
    /// How the platform's cache treats it.
    pub caching: Caching,
    /// Have the platform decode a gzip body.
    pub decompress_gzip: bool,
}

/// A response, from a backend or to the client.
#[derive(Debug)]
pub struct Response<B> {
    /// The status.
    pub status: StatusCode,
    /// All headers.
    pub headers: HeaderMap,
    /// The body; read or streamed once.
    pub body: B,
}

impl<B> Response<B> {
    /// The answer of a backend, where it can be one to the client.
    ///
    /// # Errors
    ///
    /// An interim status (1xx). The edge asked for no other protocol (`Upgrade` ends here), so there is nothing to switch to with
    /// 101, and the platform refuses to send such a status to a client.
    pub fn final_one(self) -> Result<Self, SendError> {
        if self.status.is_informational() { Err(SendError::Failed) } else { Ok(self) }
    }
}

/// A body on its way to the client, chunk by chunk. Dropped unfinished, the client's connection is cut, so that a
/// truncated answer can't pass for a whole one.
pub trait ClientStream<B>: Write {
    /// Adds the rest of a body, which the host hands on: not a byte goes through the guest.
    ///
    /// # Errors
    ///
    /// The client went away, as far as is known by now.
    fn append(&mut self, body: B) -> std::io::Result<()>;

    /// Ends the body.
    ///
    /// # Errors
    ///
    /// The client went away.
    fn finish(self) -> std::io::Result<()>;
}

/// The host, as one request sees it.
pub trait Platform {
    /// A body that the host holds.
    type Body: Read + From<Vec<u8>>;
    /// A body on its way to the client.
    type ClientStream: ClientStream<Self::Body>;
    /// A KV look-up under way.
    type PendingKv;
    /// A backend request under way.
    type PendingSend;

    /// The wall clock.
    fn now(&self) -> OffsetDateTime;
    /// Time since the sandbox started; never runs backwards.
    fn uptime(&self) -> Duration;
    /// Milliseconds of vCPU that this sandbox has used, where the platform says.
    fn vcpu_ms(&self) -> Option<u64>;
    /// Mebibytes of heap in use, where the platform says.
    fn heap_mib(&self) -> Option<u32>;
    /// Unpredictable bits.
    fn random(&self) -> u128;
    /// The sandbox's circumstances.
    fn runtime(&self) -> &Runtime;
    /// Where an address is; `None` for private and unknown ones.
    fn geo(&self, address: IpAddr) -> Option<Geo>;
    /// What a User-Agent is; `None` where the platform doesn't know it.
    fn device(&self, user_agent: &str) -> Option<Device>;
    /// An entry of the config store `personalizer`.
    ///
    /// # Errors
    ///
    /// The store could not be opened or read; an absent entry is `Ok(None)`.
    fn config(&self, key: &str) -> Result<Option<String>, StoreError>;
    /// A secret of the secret store `personalizer`.
    ///
    /// # Errors
    ///
    /// The store could not be opened or read; an absent secret is `Ok(None)`.
    fn secret(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError>;
    /// Starts a KV look-up.
    ///
    /// # Errors
    ///
    /// The store could not be opened.
    fn kv_start(&self, store: Kv, key: &str) -> Result<Self::PendingKv, StoreError>;
    /// Waits for a KV look-up; an absent key is `Ok(None)`. The platform offers no time-out here.
    ///
    /// # Errors
    ///
    /// The store could not be read.
    fn kv_wait(&self, pending: Self::PendingKv) -> Result<Option<KvValue>, StoreError>;
    /// Writes a KV value on a condition; `ttl` in seconds.
    ///
    /// # Errors
    ///
    /// The store could not be written.
    fn kv_insert(
        &self,
        store: Kv,
        key: &str,
        value: Vec<u8>,
        condition: KvWrite,
        ttl: Option<u32>,
    ) -> Result<KvWritten, StoreError>;
    /// Deletes a KV value; one that isn't there is no error.
    ///
    /// # Errors
    ///
    /// The store could not delete it.
    fn kv_delete(&self, store: Kv, key: &str) -> Result<(), StoreError>;
    /// Sends a request and waits for the head of the answer.
    ///
    /// # Errors
    ///
    /// There is no answer.
    fn send(&self, request: BackendRequest<Self::Body>) -> Result<Response<Self::Body>, SendError>;
    /// Starts a request.
    ///
    /// # Errors
    ///
    /// It could not be started.
    fn send_start(&self, request: BackendRequest<Self::Body>) -> Result<Self::PendingSend, SendError>;
    /// The answer of a request under way, if it comes within `budget`.
    ///
    /// # Errors
    ///
    /// There is no answer, or none within the budget ([`SendError::TimedOut`]).
    fn send_wait(&self, pending: Self::PendingSend, budget: Duration) -> Result<Response<Self::Body>, SendError>;
    /// Where the shield of a code (`iad-va-us`) is; `None` where the platform knows none.
    fn shield(&self, _code: &str) -> Option<Shield> {
        None
    }
    /// Sends a whole answer to the client; the body streams.
    fn respond(&self, response: Response<Self::Body>);
    /// Sends the head of an answer to the client, and gives the stream for its body.
    fn respond_streaming(&self, response: Response<()>) -> Self::ClientStream;
    /// Writes one line; never fails the request.
    fn log(&self, endpoint: Endpoint, line: &str);
}
