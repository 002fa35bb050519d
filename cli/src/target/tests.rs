//! The API's target against a server that answers as the documented API does, faults included.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tiny_http::{Header, Method, Request, Response, Server};

use super::Target as _;
use super::fastly::Fastly;

/// What the server holds, and how it is to fail.
#[derive(Default)]
struct World {
    entries: BTreeMap<String, String>,
    values: BTreeMap<String, Vec<u8>>,
    /// Statuses to answer with before it works.
    failures: Vec<(u16, &'static str)>,
    /// Writes that it carries out and answers with 500.
    lost: usize,
    /// Method and path of each call.
    calls: Vec<String>,
    /// Items of each bulk call.
    batches: Vec<usize>,
}

/// A server that ends with the test.
struct Api {
    base: String,
    world: Arc<Mutex<World>>,
    server: Arc<Server>,
}

impl Drop for Api {
    fn drop(&mut self) {
        self.server.unblock();
    }
}

impl Api {
    fn start() -> Self {
        let server = Arc::new(Server::http("127.0.0.1:0").unwrap());
        let base = format!("http://{}", server.server_addr().to_ip().unwrap());
        let world = Arc::new(Mutex::new(World::default()));
        let (serving, held) = (Arc::clone(&server), Arc::clone(&world));
        std::thread::spawn(move || {
            for request in serving.incoming_requests() {
                answer(request, &mut held.lock().unwrap());
            }
        });
        Self { base, world, server }
    }

    fn target(&self) -> Fastly {
        let target = Fastly::new(&self.base, "store1", Some("kv1"), "right").unwrap();
        target.with_pause(Duration::from_millis(1))
    }

    fn with<T>(&self, look: impl FnOnce(&mut World) -> T) -> T {
        look(&mut self.world.lock().unwrap())
    }
}

fn answer(mut request: Request, world: &mut World) {
    world.calls.push(format!("{} {}", request.method(), request.url()));
    let key =
        request.headers().iter().find(|header| header.field.equiv("Fastly-Key")).map(|header| header.value.to_string());
    let mut body = Vec::new();
    request.as_reader().read_to_end(&mut body).unwrap();
    let (status, after, text) = if let Some((status, after)) = world.failures.pop() {
        (status, after, json!({ "msg": "as told" }).to_string().into_bytes())
    } else {
        match key.as_deref() {
            Some("right") => {
                let (status, text) = route(world, request.method(), request.url(), &body);
                let is_lost = *request.method() == Method::Patch && world.lost > 0;
                world.lost -= usize::from(is_lost);
                (if is_lost { 500 } else { status }, "", text)
            }
            Some("reader") => (403, "", json!({ "detail": "read-only" }).to_string().into_bytes()),
            _ => (401, "", json!({ "msg": "Provided credentials are missing or invalid" }).to_string().into_bytes()),
        }
    };
    let mut response = Response::from_data(text).with_status_code(status);
    if !after.is_empty() {
        response.add_header(Header::from_bytes("Retry-After", after).unwrap());
    }
    request.respond(response).unwrap();
}

fn route(world: &mut World, method: &Method, url: &str, body: &[u8]) -> (u16, Vec<u8>) {
    match (method, url) {
        (Method::Get, "/resources/stores/config/store1/items") => {
            let item = |(key, value): (&String, &String)| {
                json!({ "store_id": "store1", "item_key": key, "item_value": value,
                    "created_at": "2026-11-24T00:00:00Z", "updated_at": "2026-11-24T00:00:00Z", "deleted_at": null })
            };
            (200, Value::from(world.entries.iter().map(item).collect::<Vec<_>>()).to_string().into_bytes())
        }
        (Method::Patch, "/resources/stores/config/store1/items") => {
            let body: Value = serde_json::from_slice(body).unwrap();
            let items = body["items"].as_array().unwrap();
            world.batches.push(items.len());
            for item in items {
                let key = item["item_key"].as_str().unwrap().to_owned();
                match item["op"].as_str().unwrap() {
                    "upsert" => drop(world.entries.insert(key, item["item_value"].as_str().unwrap().to_owned())),
                    "delete" => drop(world.entries.remove(&key)),
                    other => panic!("{other}"),
                }
            }
            (200, json!({ "status": "ok" }).to_string().into_bytes())
        }
        (method, url) => match (method, url.strip_prefix("/resources/stores/kv/kv1/keys/")) {
            (Method::Put, Some(key)) => {
                world.values.insert(key.to_owned(), body.to_vec());
                (200, Vec::new())
            }
            (Method::Get, Some(key)) if world.values.contains_key(key) => (200, world.values[key].clone()),
            (Method::Delete, Some(key)) if world.values.remove(key).is_some() => (204, Vec::new()),
            _ => (404, json!({ "msg": "Record not found" }).to_string().into_bytes()),
        },
    }
}

fn pair(key: &str, value: &str) -> (String, String) {
    (key.to_owned(), value.to_owned())
}

#[test]
fn entries_are_written_in_bulk_and_read_back() {
    let api = Api::start();
    let mut target = api.target();
    let entries: Vec<_> = (0..120).map(|n| pair(&format!("r1/routes.{n}"), "{\"é\":1}")).collect();
    target.put(&entries).unwrap();
    assert_eq!(target.entries().unwrap(), entries.into_iter().collect());
    assert_eq!(api.with(|world| world.batches.clone()), [50, 50, 20]);
    target.remove(&["r1/routes.7".to_owned()]).unwrap();
    assert_eq!(target.entries().unwrap().len(), 119);
}

#[test]
fn large_sets_go_to_the_kv_store() {
    let api = Api::start();
    let mut target = api.target();
    let bytes: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    assert_eq!(target.pack("r1").unwrap(), None);
    target.put_pack("r1", &bytes).unwrap();
    assert_eq!(target.pack("r1").unwrap(), Some(bytes));
    target.remove_pack("r1").unwrap();
    target.remove_pack("r1").unwrap();
    let mut without = Fastly::new(&api.base, "store1", None, "right").unwrap();
    assert!(format!("{:#}", without.pack("r1").unwrap_err()).contains("--kv-store"));
}

#[test]
fn what_may_succeed_later_is_tried_again() {
    let api = Api::start();
    api.with(|world| world.failures = vec![(503, ""), (429, "0"), (500, "")]);
    api.target().put(&[pair("active", "{}")]).unwrap();
    assert_eq!(api.with(|world| (world.calls.len(), world.entries.len())), (4, 1));
}

#[test]
fn what_never_succeeds_is_given_up() {
    let api = Api::start();
    api.with(|world| world.failures = vec![(503, ""); 9]);
    let error = format!("{:#}", api.target().entries().unwrap_err());
    assert!(
        error.contains("gave up after 5 attempts") && error.contains("503") && error.contains("as told"),
        "{error}"
    );
    assert_eq!(api.with(|world| world.calls.len()), 5);
}

#[test]
fn a_refusal_is_not_repeated_and_says_what_to_do() {
    for (token, store, expected) in [
        ("wrong", "store1", "401: expected a valid token in FASTLY_API_TOKEN"),
        ("reader", "store1", "403: expected a token that may write this store"),
        ("right", "other", "404: expected a config store with id other"),
    ] {
        let api = Api::start();
        let mut target = Fastly::new(&api.base, store, None, token).unwrap();
        let error = format!("{:#}", target.entries().unwrap_err());
        assert!(error.contains(expected), "{error}");
        assert!(!error.contains(token) || token == "right", "a token is nobody's to read: {error}");
        assert_eq!(api.with(|world| world.calls.len()), 1, "{expected}");
    }
    assert!(Fastly::new("http://127.0.0.1:1", "store1", None, " ").is_err());
}

#[test]
fn nobody_there_is_an_error_that_names_the_address() {
    let mut target = Fastly::new("http://127.0.0.1:1", "s", None, "t").unwrap().with_pause(Duration::from_millis(1));
    let error = format!("{:#}", target.entries().unwrap_err());
    assert!(error.contains("no answer from http://127.0.0.1:1"), "{error}");
}

#[test]
fn who_comes_second_is_told_who_came_first_and_writes_nothing() {
    use crate::history::{self, Cause};
    use crate::rollout::{Overtaken, repoint};

    let api = Api::start();
    api.with(|world| drop(world.entries.insert("active".to_owned(), r#"{"enabled":true,"revision":"r1"}"#.to_owned())));
    let mut first = api.target();
    let cause = |did: &str| Cause { did: did.to_owned(), why: Some("empty pages".to_owned()), at: None };
    let changed = repoint(&mut api.target(), "active", &cause("promote r3"), |_, before| {
        // Between this one's reading and its writing.
        repoint(&mut first, "active", &cause("rollback r2"), |_, before| {
            let mut after = before.clone();
            after.revision = Some("r2".to_owned());
            Ok(after)
        })?;
        let mut after = before.clone();
        after.revision = Some("r3".to_owned());
        Ok(after)
    });
    let error = changed.unwrap_err();
    assert!(error.is::<Overtaken>());
    let text = error.to_string();
    assert!(text.contains("ran `rollback r2`") && text.contains("empty pages") && text.contains("\"r2\""), "{text}");
    let entries = api.with(|world| world.entries.clone());
    assert!(entries["active"].contains("\"r2\""), "{entries:?}");
    assert_eq!(history::History::read(&entries, "active").records.len(), 1);
}

#[test]
fn a_change_that_was_made_is_made_whatever_the_answer_says() {
    use crate::history::{Cause, History};
    use crate::rollout::repoint;

    let api = Api::start();
    let pointer = r#"{"enabled":true,"revision":"r1"}"#.to_owned();
    api.with(|world| drop(world.entries.insert("active".to_owned(), pointer.clone())));
    let promote = || {
        let cause = Cause { did: "promote r2".to_owned(), ..Cause::default() };
        repoint(&mut api.target(), "active", &cause, |_, before| {
            let mut after = before.clone();
            after.revision = Some("r2".to_owned());
            Ok(after)
        })
    };
    // Nothing was done, and that is said.
    api.with(|world| world.failures = vec![(500, ""); 5]);
    assert!(promote().is_err());
    assert_eq!(api.with(|world| world.entries["active"].clone()), pointer);
    // Carried out each time, with an answer that says otherwise.
    api.with(|world| world.lost = 5);
    promote().unwrap();
    let entries = api.with(|world| world.entries.clone());
    assert!(entries["active"].contains("\"r2\""), "{entries:?}");
    assert_eq!(History::read(&entries, "active").records.len(), 1);
}
