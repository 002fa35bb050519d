//! A shop behind a host in memory.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at a surprise")]

pub mod at_random;
pub mod sessions;

use std::net::{IpAddr, Ipv4Addr};

use edge_personalizer::platform::memory::{Answer, Asked, Memory, MemoryBody, Received};
use edge_personalizer::platform::{ClientRequest, Geo};
use edge_personalizer::service::{Sandbox, handle};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

/// Addresses of visitors.
pub const PARIS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
pub const NEW_YORK: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));
pub const NOWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 3));

/// An origin that says what it was asked for.
pub fn echo(asked: &Asked) -> Answer {
    ok(&format!("{} {}", asked.method, path_of(&asked.url)))
}

/// A 200 with a body.
pub fn ok(body: &str) -> Answer {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("text/plain"));
    headers.insert("cache-control", HeaderValue::from_static("public, max-age=60"));
    headers.insert("content-length", HeaderValue::from(body.len()));
    Ok((StatusCode::OK, headers, body.as_bytes().to_vec()))
}

/// A status without a body.
pub fn status(code: u16) -> Answer {
    Ok((StatusCode::from_u16(code).unwrap(), HeaderMap::new(), Vec::new()))
}

/// Path and query of a URL.
pub fn path_of(url: &str) -> String {
    url.splitn(4, '/').nth(3).map(|rest| format!("/{rest}")).unwrap_or_default()
}

/// A host with the demo's rules and two visitors.
pub fn shop(origin: impl Fn(&Asked) -> Answer + 'static) -> Memory {
    let host = Memory::with_origin(origin);
    for name in ["settings", "regions", "routes"] {
        let path = format!("{}/rules/{name}.json", env!("CARGO_MANIFEST_DIR"));
        host.config.borrow_mut().insert(name.to_owned(), std::fs::read_to_string(path).unwrap());
    }
    let place = |country: &str, continent, subdivision: &str| Geo {
        country: Some(country.to_owned()),
        continent: Some(continent),
        subdivision: Some(subdivision.to_owned()),
        ..Geo::default()
    };
    host.geo.borrow_mut().insert(PARIS, place("FR", "EU", "IDF"));
    host.geo.borrow_mut().insert(NEW_YORK, place("US", "NA", "NY"));
    host
}

/// A request in the making.
pub struct Visit {
    /// As the platform gives it.
    pub request: ClientRequest<MemoryBody>,
}

/// A GET of `target` from `address`.
pub fn visit(address: IpAddr, target: &str) -> Visit {
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query.to_owned())),
        None => (target, None),
    };
    Visit {
        request: ClientRequest {
            method: Method::GET,
            scheme: "https".to_owned(),
            authority: "shop.example".to_owned(),
            path: path.to_owned(),
            query,
            headers: HeaderMap::new(),
            address: Some(address),
            body: MemoryBody::default(),
        },
    }
}

impl Visit {
    /// With a header line.
    pub fn with(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.request
            .headers
            .append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_bytes(value.as_ref()).unwrap());
        self
    }

    /// On another host, with its port if it says one.
    pub fn on(mut self, host: &str) -> Self {
        self.request.authority = host.to_owned();
        self
    }

    /// By another method.
    pub fn by(mut self, method: &str) -> Self {
        self.request.method = method.parse().unwrap();
        self
    }

    /// With a body.
    pub fn body(mut self, body: &str) -> Self {
        self.request.body = body.as_bytes().to_vec().into();
        self
    }

    /// Sends it in a sandbox of its own.
    pub fn send(self, host: &Memory) -> Received {
        self.send_in(host, &mut Sandbox::default())
    }

    /// Sends it in a sandbox that served before.
    pub fn send_in(self, host: &Memory, sandbox: &mut Sandbox) -> Received {
        let before = host.received.borrow().len();
        handle(host, sandbox, self.request);
        let received = host.received.borrow();
        assert_eq!(received.len(), before + 1, "one answer a request");
        received.last().unwrap().clone()
    }
}

/// What a body says.
pub fn text(received: &Received) -> String {
    String::from_utf8_lossy(&received.body).into_owned()
}

/// A header, if it is there once.
pub fn header<'r>(received: &'r Received, name: &str) -> Option<&'r str> {
    received.headers.get(name)?.to_str().ok()
}
