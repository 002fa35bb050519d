use serde_json::json;

use super::*;
use crate::code::Code;
use crate::platform::memory::Memory;
use crate::platform::{Kv, KvValue};
use crate::session::stored::Stored;

const SECRET_TEXT: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
/// Now, in seconds since 1970.
const START: i64 = 1_800_000_000;
const NOW_MS: i64 = START * 1000;

fn host() -> Memory {
    let host = Memory::default();
    host.secrets.borrow_mut().insert(SECRET.to_owned(), SECRET_TEXT.as_bytes().to_vec());
    host
}

fn value(host: &Memory, key: &str) -> KvValue {
    host.kv.borrow()[&(Kv::Sessions, key.to_owned())].clone()
}

fn signed(body: &[u8], content_type: &str) -> HeaderMap {
    let secret = WebhookSecret::parse(SECRET_TEXT).unwrap();
    let mut headers = HeaderMap::new();
    headers.insert(webhook::ID_HEADER, "msg_1".parse().unwrap());
    headers.insert(webhook::TIMESTAMP_HEADER, START.to_string().parse().unwrap());
    headers.insert(webhook::SIGNATURE_HEADER, sign(&secret, "msg_1", START.unsigned_abs(), body).parse().unwrap());
    headers.insert(header::CONTENT_TYPE, content_type.parse().unwrap());
    headers
}

fn send_as(host: &Memory, content_type: &str, body: &[u8]) -> Answer {
    let now = OffsetDateTime::from_unix_timestamp(START).unwrap();
    let headers = signed(body, content_type);
    handle(host, &headers, body, &ReplicationSettings::default(), &SessionSettings::default(), now)
}

fn send(host: &Memory, items: &[Value]) -> Answer {
    let body: String = items.iter().map(|item| format!("{item}\n")).collect();
    send_as(host, "application/x-ndjson", body.as_bytes())
}

fn put(user: &str, ago: i64, record: Value) -> Value {
    json!({ "op": "put", "user": user, "updated_at": NOW_MS - ago, "record": record })
}

fn stored(host: &Memory, key: &str) -> Stored {
    Stored::parse(&value(host, key).bytes, &SessionSettings::default().limits).unwrap()
}

#[test]
fn a_signed_batch_is_stored_item_by_item() {
    let host = host();
    let answer = send(
        &host,
        &[
            put("alice", 10, json!({ "cart": ["a"] })),
            json!({ "op": "merge", "user": "alice", "updated_at": NOW_MS, "record": { "attributes": { "t": 1 } } }),
            json!({ "op": "put", "visitor": "0".repeat(32), "record": { "updated_at": NOW_MS, "segments": ["s"] } }),
            json!({ "op": "delete", "user": "auth0|bob", "updated_at": "2027-01-15T08:00:00Z" }),
        ],
    );
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    assert_eq!(answer.code, None);
    assert_eq!(answer.counts, Counts { stored: 4, ..Counts::default() });
    assert_eq!(answer.body["results"][3], json!({ "index": 3, "status": "stored" }));
    assert_eq!(answer.headers()["cache-control"], "private, no-store");
    assert_eq!(host.looked_up("kv_write"), 3, "one write a record");
    let record = stored(&host, "user/alice").record();
    assert_eq!((record.cart[0].sku.as_str(), &record.attributes["t"]), ("a", &json!(1)));
    assert!(stored(&host, "user/auth0%7Cbob").is_tombstone());
    assert_eq!(host.kv_ttls.borrow()[&(Kv::Sessions, "user/auth0%7Cbob".to_owned())], 30 * 86_400);
}

#[test]
fn repeating_a_batch_changes_and_writes_nothing() {
    let host = host();
    let items =
        [put("a", 5, json!({ "cart": ["x"] })), put("b", 5, json!({})), put("a", 9, json!({ "cart": ["old"] }))];
    send(&host, &items);
    let (before, writes) = (host.kv.borrow().clone(), host.looked_up("kv_write"));
    let again = send(&host, &items);
    assert_eq!((again.status, again.counts.unchanged), (StatusCode::OK, 3));
    assert_eq!((&*host.kv.borrow(), host.looked_up("kv_write")), (&before, writes));
}

#[test]
fn batches_in_any_order_end_in_the_same_store() {
    let items = [
        put("a", 5, json!({ "cart": ["1"], "attributes": { "x": 1 } })),
        json!({ "op": "merge", "user": "a", "updated_at": NOW_MS - 4, "record": { "attributes": { "x": null, "y": 2 } } }),
        json!({ "op": "delete", "user": "a", "updated_at": NOW_MS - 3 }),
        json!({ "op": "merge", "user": "a", "updated_at": NOW_MS - 2, "record": { "segments": ["s"] } }),
        json!({ "op": "merge", "user": "a", "updated_at": NOW_MS - 2, "record": { "segments": ["t"] } }),
    ];
    let mut results = std::collections::BTreeSet::new();
    let mut orders = 0;
    // All 120 orders, by counting in the factorial number system.
    for code in 0..120_usize {
        let host = host();
        let (mut left, mut code) = (items.to_vec(), code);
        for radix in (1..=5).rev() {
            let item = left.remove(code % radix);
            code /= radix;
            assert_eq!(send(&host, &[item]).status, StatusCode::OK);
        }
        results.insert(value(&host, "user/a").bytes);
        orders += 1;
    }
    println!("{orders} orders, {} results", results.len());
    assert_eq!(results.len(), 1);
}

#[test]
fn what_is_not_signed_touches_nothing() {
    let host = host();
    let body = put("a", 0, json!({})).to_string();
    let headers = signed(body.as_bytes(), "application/json");
    let now = OffsetDateTime::from_unix_timestamp(START).unwrap();
    let settings = (ReplicationSettings::default(), SessionSettings::default());
    let status = |headers: &HeaderMap, body: &[u8], now| {
        let answer = handle(&host, headers, body, &settings.0, &settings.1, now);
        (answer.status.as_u16(), answer.code)
    };
    assert_eq!(status(&HeaderMap::new(), body.as_bytes(), now), (401, Some(Code::ReplicationHeaders)));
    let mut accepted = 0;
    for bit in 0..body.len() * 8 {
        let mut altered = body.clone().into_bytes();
        altered[bit / 8] ^= 1 << (bit % 8);
        accepted += usize::from(status(&headers, &altered, now).0 != 401);
    }
    assert_eq!(accepted, 0);
    let later = now + time::Duration::seconds(301);
    assert_eq!(status(&headers, body.as_bytes(), later), (401, Some(Code::ReplicationTooOld)));
    let earlier = now - time::Duration::seconds(301);
    assert_eq!(status(&headers, body.as_bytes(), earlier), (401, Some(Code::ReplicationTooNew)));
    assert_eq!(host.looked_up("kv") + host.looked_up("kv_write"), 0);
    assert_eq!(status(&headers, body.as_bytes(), now).0, 200);
}

#[test]
fn without_a_secret_nobody_gets_in() {
    for secret in [None, Some(""), Some("whsec_"), Some("short")] {
        let host = Memory::default();
        if let Some(secret) = secret {
            host.secrets.borrow_mut().insert(SECRET.to_owned(), secret.as_bytes().to_vec());
        }
        let answer = send(&host, &[put("a", 0, json!({}))]);
        assert_eq!((answer.status.as_u16(), answer.code), (503, Some(Code::ReplicationNoSecret)));
        assert_eq!(answer.headers()["retry-after"], "5");
    }
    let host = host();
    host.secrets_fail.set(Some(StoreError::Failed));
    assert_eq!(send(&host, &[]).code, Some(Code::ReplicationNoSecretStore));
}

#[test]
fn sizes_and_types_are_bounded() {
    let host = host();
    let large = vec![b' '; 1024 * 1024 + 1];
    assert_eq!(send_as(&host, "application/json", &large).status, StatusCode::PAYLOAD_TOO_LARGE);
    let many: Vec<Value> = (0..251).map(|n| put(&n.to_string(), 0, json!({}))).collect();
    let answer = send(&host, &many);
    assert_eq!((answer.status.as_u16(), answer.code), (413, Some(Code::ReplicationTooMany)));
    assert_eq!(send_as(&host, "application/json", json!(many).to_string().as_bytes()).status.as_u16(), 413);
    for content_type in ["text/plain", "application/xml", "", "application/json; charset=latin-1", "application/jsonx"]
    {
        assert_eq!(send_as(&host, content_type, b"[]").status.as_u16(), 415, "{content_type}");
    }
    for content_type in ["application/json; charset=\"UTF-8\"", "APPLICATION/JSON", "application/ndjson"] {
        let body = put("a", 0, json!({})).to_string();
        assert_eq!(send_as(&host, content_type, body.as_bytes()).status.as_u16(), 200, "{content_type}");
    }
}

#[test]
fn a_compressed_body_is_refused_as_such() {
    let host = host();
    let body = put("a", 0, json!({})).to_string();
    let now = OffsetDateTime::from_unix_timestamp(START).unwrap();
    for (coding, expected) in [("gzip", 415), ("br", 415), ("identity, gzip", 415), ("identity", 200)] {
        let mut headers = signed(body.as_bytes(), "application/json");
        headers.insert(header::CONTENT_ENCODING, coding.parse().unwrap());
        let settings = (ReplicationSettings::default(), SessionSettings::default());
        let answer = handle(&host, &headers, body.as_bytes(), &settings.0, &settings.1, now);
        assert_eq!(answer.status.as_u16(), expected, "{coding}: {}", answer.body);
    }
}

#[test]
fn a_body_that_is_no_list_is_refused_as_a_whole() {
    let host = host();
    for body in [&b"[1,"[..], b"\"x\"", b"", b"\xff", b"null"] {
        let answer = send_as(&host, "application/json", body);
        assert_eq!((answer.status.as_u16(), answer.code), (422, Some(Code::ReplicationMalformed)), "{body:?}");
    }
    assert_eq!(send_as(&host, "application/json", b"[]").status.as_u16(), 200);
    assert_eq!(send_as(&host, "application/x-ndjson", b"\n\r\n").status.as_u16(), 200);
}

#[test]
fn items_that_cannot_be_used_say_why_and_the_others_are_stored() {
    let host = host();
    let bad = [
        ("{", "JSON"),
        ("[]", "JSON object"),
        ("{}", "either `user` or `visitor`"),
        (r#"{"op":"put","user":"a","visitor":"b","updated_at":1,"record":{}}"#, "either"),
        (r#"{"op":"put","user":"../x","updated_at":1,"record":{}}"#, "user:"),
        (r#"{"op":"put","user":7,"updated_at":1,"record":{}}"#, "user:"),
        (r#"{"op":"put","visitor":"ABC","updated_at":1,"record":{}}"#, "visitor:"),
        (r#"{"op":"drop","user":"a","updated_at":1}"#, "op:"),
        (r#"{"op":"put","user":"a","record":{}}"#, "updated_at: expected a time"),
        (
            r#"{"op":"put","user":"a","updated_at":1795859419,"record":{}}"#,
            "updated_at: expected milliseconds since 1970, but found what looks like seconds",
        ),
        (r#"{"op":"put","user":"a","updated_at":-1,"record":{}}"#, "updated_at"),
        (r#"{"op":"put","user":"a","updated_at":"soon","record":{}}"#, "updated_at"),
        (r#"{"op":"put","user":"a","updated_at":1800000300001,"record":{}}"#, "five minutes ahead"),
        (r#"{"op":"put","user":"a","updated_at":1}"#, "record:"),
        (r#"{"op":"put","user":"a","updated_at":1,"record":[]}"#, "record:"),
        (r#"{"op":"put","user":"a","updated_at":1,"record":{"cart":7}}"#, "record.cart: expected a list"),
    ];
    let mut lines: Vec<String> = bad.iter().map(|(line, _)| (*line).to_owned()).collect();
    lines.insert(0, put("good", 0, json!({ "cart": ["a"] })).to_string());
    let answer = send_as(&host, "application/x-ndjson", lines.join("\r\n").as_bytes());
    assert_eq!((answer.status.as_u16(), answer.code), (422, Some(Code::ReplicationRefused)));
    assert_eq!(answer.counts, Counts { stored: 1, refused: bad.len(), ..Counts::default() });
    for (index, (line, reason)) in bad.iter().enumerate() {
        let result = &answer.body["results"][index + 1];
        assert_eq!(result["status"], "refused");
        assert!(result["reason"].as_str().unwrap().contains(reason), "{line}: {result}");
    }
    assert_eq!(host.kv.borrow().len(), 1);
}

#[test]
fn a_throttled_or_failing_store_asks_for_a_repeat() {
    for (error, on_write, status, wait) in [
        (StoreError::Throttled, false, 429, "1"),
        (StoreError::Throttled, true, 429, "1"),
        (StoreError::Failed, false, 503, "5"),
        (StoreError::Failed, true, 503, "5"),
        (StoreError::NoStore, false, 503, "5"),
    ] {
        let host = host();
        match on_write {
            true => host.kv_writes_fail.set(Some(error)),
            false => drop(host.kv_fails.borrow_mut().insert(Kv::Sessions, error)),
        }
        let items: Vec<Value> = (0..40).map(|n| put(&n.to_string(), 0, json!({}))).collect();
        let answer = send(&host, &[&items[..], &[json!({})]].concat());
        assert_eq!(answer.status.as_u16(), status, "{error:?}");
        assert_eq!(answer.headers()["retry-after"], wait);
        assert_eq!(answer.counts, Counts { retry: 40, refused: 1, ..Counts::default() });
        if error == StoreError::Throttled {
            assert!(host.looked_up("kv") <= 16 && host.looked_up("kv_write") <= 1, "a throttled store is left alone");
        }
        host.kv_writes_fail.set(None);
        host.kv_fails.borrow_mut().clear();
        assert_eq!(send(&host, &items).counts.stored, 40);
    }
}

#[test]
fn a_lost_race_is_tried_again_but_not_for_ever() {
    let host = host();
    host.kv_conflicts.set(3);
    assert_eq!(send(&host, &[put("a", 0, json!({}))]).status.as_u16(), 200);
    host.kv_conflicts.set(1_000);
    let answer = send(&host, &[put("b", 0, json!({}))]);
    assert_eq!((answer.status.as_u16(), answer.counts.retry), (503, 1));
    assert!(host.looked_up("kv_write") <= 8);
}

#[test]
fn a_broken_record_is_replaced() {
    let host = host();
    host.put(Kv::Sessions, "user/a", "{broken");
    assert_eq!(send(&host, &[put("a", 0, json!({ "cart": ["x"] }))]).status.as_u16(), 200);
    assert_eq!(stored(&host, "user/a").record().cart[0].sku, "x");
}

/// A body that must not be read.
struct Untouched;

impl std::io::Read for Untouched {
    fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
        panic!("read before its headers were looked at")
    }
}

#[test]
fn headers_and_time_are_looked_at_before_the_body_is_read() {
    let now = OffsetDateTime::from_unix_timestamp(START).unwrap();
    let settings = (ReplicationSettings::default(), SessionSettings::default());
    let code = |host: &Memory, headers: &HeaderMap, now| {
        let answer = handle(host, headers, Untouched, &settings.0, &settings.1, now);
        (answer.status.as_u16(), answer.code.unwrap())
    };
    let good = signed(b"x", "application/json");
    assert_eq!(code(&host(), &HeaderMap::new(), now), (401, Code::ReplicationHeaders));
    assert_eq!(code(&host(), &good, now + time::Duration::seconds(301)), (401, Code::ReplicationTooOld));
    for signature in ["", "v1,", "v1,AAAA", "v2,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw="] {
        let mut headers = good.clone();
        headers.insert(webhook::SIGNATURE_HEADER, signature.parse().unwrap());
        assert_eq!(code(&host(), &headers, now), (401, Code::ReplicationSignature), "{signature}");
    }
    assert_eq!(code(&Memory::default(), &good, now), (503, Code::ReplicationNoSecret));
}
