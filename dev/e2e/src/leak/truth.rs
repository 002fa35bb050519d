//! What a visitor has to be answered: by the same library, on a host in memory, without any cache.

use std::net::IpAddr;

use edge_personalizer::platform::memory::Memory;
use edge_personalizer::platform::{ClientRequest, Endpoint, Kv, KvValue};
use edge_personalizer::service::{Sandbox, handle};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use time::OffsetDateTime;

use super::judge::Truth;
use super::origin::reply;
use super::visitors::Marked;
use super::{HOST, Way};

/// Rules that answer without caches.
pub struct Teller {
    host: Memory,
    sandbox: Sandbox,
}

impl Teller {
    /// Under these rules, with these session records; `secret` is the key of user ids.
    #[must_use]
    pub fn new(rules: &Value, records: &[(String, Value)], secret: &str) -> Self {
        let host = Memory::with_origin(|asked| {
            let path = asked.url.splitn(4, '/').nth(3).unwrap_or_default();
            let answer = reply(asked.method.as_str(), &format!("/{path}"), &asked.headers);
            let body = if asked.method == http::Method::HEAD { Vec::new() } else { answer.body };
            Ok((answer.status, answer.headers, body))
        });
        for (name, dictionary) in rules.as_object().into_iter().flatten() {
            host.set(name, dictionary);
        }
        host.secrets.borrow_mut().insert("identity".to_owned(), secret.as_bytes().to_vec());
        for (key, record) in records {
            let value = KvValue { bytes: record.to_string().into_bytes(), generation: 1 };
            host.kv.borrow_mut().insert((Kv::Sessions, key.clone()), value);
        }
        Self { host, sandbox: Sandbox::default() }
    }

    /// What this visitor has to be answered now.
    ///
    /// # Panics
    ///
    /// The visitor's headers are none.
    pub fn tell(&mut self, visitor: &Marked, way: Way, method: &str, target: &str) -> Truth {
        let address = visitor.place.address;
        self.locate(address, visitor, way);
        let mut headers = HeaderMap::new();
        for (name, value) in visitor.headers() {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (target, None),
        };
        self.host.clock.set(Some(OffsetDateTime::now_utc()));
        let request = ClientRequest {
            method: method.parse().unwrap(),
            scheme: "http".to_owned(),
            authority: HOST.to_owned(),
            path: path.to_owned(),
            query,
            headers,
            address: Some(address),
            body: Vec::new().into(),
        };
        handle(&self.host, &mut self.sandbox, request);
        self.host.asked.borrow_mut().clear();
        let received = self.host.received.borrow_mut().pop().unwrap();
        let text =
            |name: &str| received.headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        Truth {
            status: received.status.as_u16(),
            variant: text("edge-variant"),
            location: text("location"),
            body: received.body,
        }
    }

    fn locate(&self, address: IpAddr, visitor: &Marked, way: Way) {
        let mut places = self.host.geo.borrow_mut();
        match visitor.geo(way) {
            Some(geo) => drop(places.insert(address, geo)),
            None => drop(places.remove(&address)),
        }
    }

    /// Rules that were left out: then less is tried than it seems.
    #[must_use]
    pub fn faults(&self) -> Vec<Value> {
        let lines = self.host.lines_of(Endpoint::Errors);
        self.host.lines.borrow_mut().clear();
        lines.into_iter().filter(|line| line.get("fault").is_some()).collect()
    }
}

impl std::fmt::Debug for Teller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Teller").finish_non_exhaustive()
    }
}
