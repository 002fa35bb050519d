//! Any text in the config store, and any bytes as a large rule set: the parser, the compiler and everything that uses rules. No
//! panic, and no error of the edge's own while the origin is well.
//!
//! Entries are separated by the byte 1e; name and text by 1f. What has no name is a large rule set (`"store": "kv"`).

use edge_personalizer::platform::memory::{Memory, MemoryBody};
use edge_personalizer::platform::{ClientRequest, Geo, Kv, KvValue};
use edge_personalizer::service::{Sandbox, handle};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use std::net::{IpAddr, Ipv4Addr};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

fn visit(path: &str, cookie: &'static str) -> ClientRequest<MemoryBody> {
    let mut headers = HeaderMap::new();
    headers.insert("cookie", HeaderValue::from_static(cookie));
    headers.insert("accept-language", HeaderValue::from_static("fr, en;q=0.5"));
    headers.insert("user-agent", HeaderValue::from_static("Mozilla/5.0 (iPhone) Mobile"));
    ClientRequest {
        method: Method::GET,
        scheme: "https".to_owned(),
        authority: "shop.example".to_owned(),
        path: path.to_owned(),
        query: Some("a=1&utm_source=x".to_owned()),
        headers,
        address: Some(HERE),
        body: MemoryBody::default(),
    }
}

/// One input.
pub fn run(data: &[u8]) {
    let host = Memory::with_origin(|_| {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static("text/html"));
        Ok((StatusCode::OK, headers, b"<h1 id=hero>a</h1>".to_vec()))
    });
    let geo = Geo { country: Some("FR".to_owned()), continent: Some("EU"), ..Geo::default() };
    host.geo.borrow_mut().insert(HERE, geo);
    let mut may_answer = false;
    for section in data.split(|byte| *byte == 0x1e) {
        let at = section.iter().position(|byte| *byte == 0x1f);
        let Some((name, text)) = at.map(|at| (&section[..at], &section[at + 1..])) else { continue };
        let (Ok(name), text) = (std::str::from_utf8(name), String::from_utf8_lossy(text)) else { continue };
        // A rule may say 503 itself.
        may_answer |= text.contains("respond") || text.contains("\\u");
        if name.is_empty() {
            let value = KvValue { bytes: section[1..].to_vec(), generation: 1 };
            host.kv.borrow_mut().insert((Kv::Rules, "r1".to_owned()), value);
        } else {
            host.config.borrow_mut().insert(name.to_owned(), text.clone().into_owned());
        }
    }
    let mut sandbox = Sandbox::default();
    for (path, cookie) in
        [("/a/b", "ep_vid=00000000000000000000000000000abc"), ("/p/a%2Fb", "a=1"), ("/", ""), ("/.edge/health", "")]
    {
        handle(&host, &mut sandbox, visit(path, cookie));
    }
    let received = host.received.borrow();
    assert_eq!(received.len(), 4, "one answer a request");
    assert!(may_answer || received.iter().all(|answer| answer.status.as_u16() < 500));
}
