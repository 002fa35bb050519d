//! Any batch of sessions. Signed: no panic, a status that a sender can act on, and what is stored can be read. Not signed: refused,
//! and nothing stored.
//!
//! The first byte says whether the batch is signed, whether it is an array, and whether a record is there already.

use edge_personalizer::platform::memory::{Memory, MemoryBody};
use edge_personalizer::platform::{ClientRequest, Kv, KvValue, Platform as _};
use edge_personalizer::replication::webhook::{WebhookSecret, sign};
use edge_personalizer::service::{Sandbox, handle};
use edge_personalizer::session::SessionSettings;
use edge_personalizer::session::stored::Stored;
use http::{HeaderMap, HeaderValue, Method, StatusCode};

const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

/// One input.
pub fn run(data: &[u8]) {
    let [flags, body @ ..] = data else { return };
    let (signed, array, known) = (flags & 1 == 0, flags & 2 != 0, flags & 4 != 0);
    let host = Memory::with_origin(|_| Ok((StatusCode::OK, HeaderMap::new(), Vec::new())));
    host.secrets.borrow_mut().insert("replication".to_owned(), SECRET.as_bytes().to_vec());
    let limits = SessionSettings::default().limits;
    if known {
        let value = KvValue { bytes: body.to_vec(), generation: 7 };
        host.kv.borrow_mut().insert((Kv::Sessions, "user/a".to_owned()), value);
    }
    if let Ok(stored) = Stored::parse(body, &limits) {
        let again = Stored::parse(&stored.to_bytes(), &limits);
        assert_eq!(again.map(|again| again.record()), Ok(stored.record()), "what is written reads the same");
    }
    let time = u64::try_from(host.now().unix_timestamp()).unwrap_or_default();
    let secret = WebhookSecret::parse(SECRET).unwrap();
    let mut headers = HeaderMap::new();
    let mut set = |name: &'static str, value: &str| headers.insert(name, HeaderValue::from_str(value).unwrap());
    set("content-type", if array { "application/json" } else { "application/x-ndjson" });
    set("webhook-id", "msg_1");
    set("webhook-timestamp", &time.to_string());
    let signature = sign(&secret, "msg_1", time, if signed { body } else { b"another body" });
    set("webhook-signature", &signature);
    let request = ClientRequest {
        method: Method::POST,
        scheme: "https".to_owned(),
        authority: "shop.example".to_owned(),
        path: "/.edge/sessions".to_owned(),
        query: None,
        headers,
        address: None,
        body: MemoryBody::from(body.to_vec()),
    };
    let before: Vec<_> = host.kv.borrow().keys().cloned().collect();
    handle(&host, &mut Sandbox::default(), request);
    let status = host.received.borrow()[0].status.as_u16();
    if signed || body == b"another body" {
        assert!(matches!(status, 200 | 207 | 400 | 413 | 415 | 422 | 429 | 503), "{status}");
        for ((_, key), value) in host.kv.borrow().iter().filter(|(key, _)| !before.contains(key)) {
            assert!(Stored::parse(&value.bytes, &limits).is_ok(), "{key}");
        }
    } else {
        assert_eq!(status, 401);
        assert_eq!(host.kv.borrow().len(), before.len());
    }
    assert!(host.asked.borrow().is_empty(), "never forwarded");
}
