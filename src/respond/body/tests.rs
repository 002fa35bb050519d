use http::{HeaderMap, StatusCode};
use serde_json::json;

use super::*;
use crate::attributes::{DeviceClass, NetworkClass};
use crate::condition::Groups;
use crate::platform::memory::{BodyDamage, Memory};
use crate::platform::{BackendRequest, Caching};
use crate::transform::body::{BodyRequest, BodyRules, Way};
use crate::transform::template::Templates;

/// A host whose origin has this body.
fn host(kind: &'static str, body: Vec<u8>) -> Memory {
    Memory::with_origin(move |_| {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static(kind));
        Ok((StatusCode::OK, headers, body.clone()))
    })
}

fn answer(host: &Memory) -> Response<<Memory as Platform>::Body> {
    let request = BackendRequest {
        backend: "origin".to_owned(),
        method: Method::GET,
        url: "https://shop.example.com/".to_owned(),
        headers: HeaderMap::new(),
        body: None,
        caching: Caching::Pass,
        decompress_gzip: true,
    };
    host.send(request).unwrap()
}

fn plan(html: &serde_json::Value, json: Option<&serde_json::Value>) -> BodyPlan {
    let mut templates = Templates::new([]);
    let (rules, faults) = BodyRules::compile(html.as_array().unwrap(), json, None, &mut templates);
    assert!(faults.is_empty(), "{faults:?}");
    let none = json!({});
    let request = BodyRequest {
        handover: None,
        facts: &none,
        attributes: &none,
        groups: &Groups::default(),
        decisions: &none,
        visual: &[],
        device: DeviceClass::Desktop,
        network: NetworkClass::Fast,
        shaped_by: &[],
    };
    rules.plan(&templates, &request, &mut Vec::new()).plan.unwrap()
}

/// Sends a page of 1 MB that is rewritten all along.
fn rewritten(host: &Memory, budget_left: &dyn Fn() -> bool) -> Result<(), BodyFault> {
    let mut plan = plan(&json!([{"select": "p", "append": "!"}]), None);
    let mut answer = answer(host);
    let (mode, _) = treat(&mut plan, &Method::GET, &HeaderMap::new(), &mut answer);
    let mode = mode.unwrap();
    let Some(Way::Stream(streams)) = plan.way(mode) else { panic!("a page streams") };
    send_stream(host, streams, mode, budget_left, answer)
}

fn page() -> Vec<u8> {
    "<p>x</p>".repeat(128 * 1024).into_bytes()
}

#[test]
fn nobody_reads_on_for_a_client_that_went_away() {
    let host = host("text/html", page());
    host.client_leaves_at.set(Some(100_000));
    assert_eq!(rewritten(&host, &|| true), Err(BodyFault::ClientGone));
    assert!(host.body_read.get() < 300_000, "{}", host.body_read.get());
    host.body_read.set(0);
    assert_eq!(pass_on(&host, answer(&host)), Ok(()), "it had the first 64 kB, and the host does the rest");
    host.client_leaves_at.set(Some(0));
    assert_eq!(pass_on(&host, answer(&host)), Err(BodyFault::ClientGone));
}

#[test]
fn the_host_hands_on_what_is_left_after_a_budget_stop() {
    let host = host("text/html", page());
    assert_eq!(rewritten(&host, &|| host.body_read.get() < 100_000), Err(BodyFault::Budget));
    assert!(host.body_read.get() < 300_000, "{}", host.body_read.get());
    let received = host.received.borrow();
    let plain: Vec<u8> = received[0].body.iter().copied().filter(|b| *b != b'!').collect();
    assert!(plain == page(), "every byte of the page goes out once");
    assert!(received[0].appended > 700_000, "{}", received[0].appended);
}

#[test]
fn a_page_with_nothing_left_to_do_is_handed_on() {
    let host = host("text/html", page());
    let mut plan = plan(&json!([{"select": "p", "append": "!", "once": true}]), None);
    let mut answer = answer(&host);
    let mode = treat(&mut plan, &Method::GET, &HeaderMap::new(), &mut answer).0.unwrap();
    let Some(Way::Stream(streams)) = plan.way(mode) else { panic!("a page streams") };
    assert_eq!(send_stream(&host, streams, mode, &|| true, answer), Ok(()));
    assert!(host.body_read.get() <= 64 * 1024 && host.received.borrow()[0].body.starts_with(b"<p>x!</p><p>x</p>"));
}

#[test]
fn a_body_that_breaks_is_noticed() {
    let host = host("text/html", page());
    host.body_damage.set(BodyDamage { break_at: Some(50_000), ..BodyDamage::default() });
    assert_eq!(rewritten(&host, &|| true), Err(BodyFault::Broken));
    assert_eq!(pass_on(&host, answer(&host)), Err(BodyFault::Broken));
    assert!(host.received.borrow().is_empty(), "half a page never looks whole");
}

#[test]
fn a_body_to_be_edited_fails_before_anything_is_sent() {
    let host = host("application/json", b"{\"a\":1}".to_vec());
    host.body_damage.set(BodyDamage { break_at: Some(3), ..BodyDamage::default() });
    assert_eq!(read_whole(answer(&host).body, 100).unwrap_err(), BodyFault::Broken);
    assert!(host.received.borrow().is_empty());
    host.body_damage.set(BodyDamage { break_at: None, ..BodyDamage::default() });
    let mut plan = plan(&json!([]), Some(&json!({"set": [{"pointer": "/a", "value": 2}]})));
    for (limit, fault, body) in [(100, Ok(()), "{\"a\":2}"), (3, Err(BodyFault::TooLarge), "{\"a\":1}")] {
        let mut answer = answer(&host);
        let mode = treat(&mut plan, &Method::GET, &HeaderMap::new(), &mut answer).0.unwrap();
        let Some(Way::Whole(edits)) = plan.way(mode) else { panic!("JSON is edited whole") };
        let Response { status, headers, body: read } = answer;
        let whole = read_whole(read, limit).unwrap();
        assert_eq!(send_whole(&host, edits, Response { status, headers, body: () }, whole), fault);
        assert_eq!(host.received.borrow().last().unwrap().body, body.as_bytes());
    }
}
