//! The program itself against an API that answers as the documented one does: what an interrupted push leaves, what refusals look like.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at a surprise"
)]

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tempfile::TempDir;
use tiny_http::{Method, Response, Server};

#[derive(Default)]
struct World {
    entries: BTreeMap<String, String>,
    /// Writes that succeed before each further one is refused.
    writes_left: Option<usize>,
    purged: Vec<Value>,
}

struct Shop {
    folder: TempDir,
    base: String,
    world: Arc<Mutex<World>>,
    server: Arc<Server>,
}

impl Drop for Shop {
    fn drop(&mut self) {
        self.server.unblock();
    }
}

impl Shop {
    fn new() -> Self {
        let server = Arc::new(Server::http("127.0.0.1:0").unwrap());
        let base = format!("http://{}", server.server_addr().to_ip().unwrap());
        let world = Arc::new(Mutex::new(World::default()));
        let (serving, held) = (Arc::clone(&server), Arc::clone(&world));
        std::thread::spawn(move || {
            for mut request in serving.incoming_requests() {
                let mut body = String::new();
                request.as_reader().read_to_string(&mut body).unwrap();
                let known =
                    request.headers().iter().any(|header| header.field.equiv("Fastly-Key") && header.value == "right");
                let (status, text) = match known {
                    true => answer(&mut held.lock().unwrap(), request.method(), request.url(), &body),
                    false => (401, json!({ "msg": "Provided credentials are missing or invalid" })),
                };
                request.respond(Response::from_string(text.to_string()).with_status_code(status)).unwrap();
            }
        });
        let shop = Self { folder: TempDir::new().unwrap(), base, world, server };
        fs::create_dir(shop.folder.path().join("rules")).unwrap();
        shop.routes(1);
        shop
    }

    fn routes(&self, count: usize) {
        let routes = (0..count).map(|n| json!({ "id": format!("r{n}"), "path": format!("/r/{n}/*"), "cache": {} }));
        let text = json!({ "routes": routes.collect::<Vec<_>>() }).to_string();
        fs::write(self.folder.path().join("rules").join("routes.json"), text).unwrap();
    }

    fn run(&self, arguments: &[&str], token: &str) -> (i32, String, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_personalizer"))
            .args(arguments)
            .args(["--api-base", &self.base])
            .current_dir(self.folder.path())
            .env("PERSONALIZER_TARGET", "fastly:store1")
            .env("FASTLY_API_TOKEN", token)
            .env_remove("FASTLY_SERVICE_ID")
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    fn well(&self, arguments: &[&str]) -> String {
        let (code, stdout, stderr) = self.run(arguments, "right");
        assert_eq!(code, 0, "{arguments:?}: {stdout}{stderr}");
        stdout
    }

    fn with<T>(&self, look: impl FnOnce(&mut World) -> T) -> T {
        look(&mut self.world.lock().unwrap())
    }
}

fn answer(world: &mut World, method: &Method, url: &str, body: &str) -> (u16, Value) {
    match (method, url) {
        (Method::Get, "/resources/stores/config/store1/items") => {
            let item =
                |(key, value): (&String, &String)| json!({ "item_key": key, "item_value": value, "deleted_at": null });
            (200, world.entries.iter().map(item).collect())
        }
        (Method::Patch, "/resources/stores/config/store1/items") => {
            if let Some(left) = &mut world.writes_left {
                if *left == 0 {
                    return (403, json!({ "msg": "your connection broke off, so to speak" }));
                }
                *left -= 1;
            }
            let body: Value = serde_json::from_str(body).unwrap();
            for item in body["items"].as_array().unwrap() {
                let key = item["item_key"].as_str().unwrap().to_owned();
                match item["op"].as_str().unwrap() {
                    "upsert" => drop(world.entries.insert(key, item["item_value"].as_str().unwrap().to_owned())),
                    _ => drop(world.entries.remove(&key)),
                }
            }
            (200, json!({ "status": "ok" }))
        }
        (Method::Post, "/service/SU1Z/purge") => {
            world.purged.push(serde_json::from_str(body).unwrap());
            (200, json!({}))
        }
        _ => (404, json!({ "msg": "Record not found" })),
    }
}

#[test]
fn a_push_that_breaks_off_changes_nothing_that_serves_wherever_it_breaks() {
    let shop = Shop::new();
    shop.well(&["push", "rules", "--revision", "r1", "--activate"]);
    let before = shop.with(|world| world.entries["active"].clone());
    shop.routes(300);
    // The entries, the manifest, the pointer: three writes.
    for writes in 0..3 {
        shop.with(|world| world.writes_left = Some(writes));
        let revision = format!("r2-{writes}");
        let (code, stdout, stderr) = shop.run(&["push", "rules", "--revision", &revision, "--activate"], "right");
        assert_eq!(code, 2, "{stdout}{stderr}");
        assert!(stderr.contains("403"), "{stderr}");
        assert_eq!(shop.with(|world| world.entries["active"].clone()), before, "after {writes} writes");
        shop.with(|world| world.writes_left = None);
        let status: Value = serde_json::from_str(&shop.well(&["status", "--format", "json"])).unwrap();
        assert_eq!(status["pointer"]["revision"], "r1");
        let (code, _, stderr) = shop.run(&["canary", &revision, "--percent", "1"], "right");
        // Only what arrived whole can be put on trial.
        assert_eq!(code, if writes == 2 { 0 } else { 2 }, "{stderr}");
        if writes == 2 {
            shop.well(&["canary", &revision, "--percent", "0"]);
        }
    }
    // A name that a broken push left is told from one that serves, and prune clears it away.
    let (code, _, stderr) = shop.run(&["push", "rules", "--revision", "r2-1"], "right");
    assert_eq!(code, 2);
    assert!(stderr.contains("an earlier push did not finish"), "{stderr}");
    shop.well(&["prune", "--keep", "1"]);
    let left: Vec<String> =
        shop.with(|world| world.entries.keys().filter(|key| key.starts_with("r2-1")).cloned().collect());
    assert!(left.is_empty(), "{left:?}");
    shop.well(&["push", "rules", "--revision", "r2-1", "--activate"]);
}

#[test]
fn a_refused_token_is_said_so_and_never_printed() {
    let shop = Shop::new();
    let (code, stdout, stderr) = shop.run(&["status"], "s3cret");
    assert_eq!((code, stdout.as_str()), (2, ""));
    assert!(stderr.contains("401") && stderr.contains("FASTLY_API_TOKEN") && !stderr.contains("s3cret"), "{stderr}");
    let (code, _, stderr) = shop.run(&["status"], "");
    assert_eq!(code, 2);
    assert!(stderr.contains("FASTLY_API_TOKEN: expected a token"), "{stderr}");
}

#[test]
fn a_purge_that_is_sent_arrives() {
    let shop = Shop::new();
    let printed = shop.well(&["purge", "--route", "r0", "--revision", "r1", "--service", "SU1Z", "--send"]);
    assert!(printed.contains("Sent: answers with one of these keys are gone."), "{printed}");
    assert_eq!(shop.with(|world| world.purged.clone()), [json!({ "surrogate_keys": ["revision-r1", "route-r0"] })]);
    let (code, _, stderr) = shop.run(&["purge", "--route", "r0", "--service", "OTHER", "--send"], "right");
    assert_eq!(code, 2);
    assert!(stderr.contains("404: expected a service with id OTHER"), "{stderr}");
}

#[test]
fn a_revision_is_compared_with_a_folder_over_the_api() {
    let shop = Shop::new();
    shop.well(&["push", "rules", "--revision", "r1", "--activate"]);
    shop.routes(2);
    let (code, stdout, stderr) = shop.run(&["diff", "@active", "rules"], "right");
    assert_eq!(code, 1, "{stderr}");
    assert!(stdout.contains("from @active (r1) to rules") && stdout.contains("+ r1 /r/1/*"), "{stdout}");
}
