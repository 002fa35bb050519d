//! `personalizer privacy`: the program itself against a KV store that answers as Fastly's API does.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at a surprise"
)]

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tempfile::TempDir;
use tiny_http::{Method, Response, Server};

const VISITOR: &str = "visitor/00000000000000000000000000000abc";
const KEY: &str = "an-identity-key-of-32-bytes-or-more";

/// A store, by the keys as they stand in URLs.
struct Store {
    values: Arc<Mutex<BTreeMap<String, String>>>,
    base: String,
    folder: TempDir,
    server: Arc<Server>,
}

impl Drop for Store {
    fn drop(&mut self) {
        self.server.unblock();
    }
}

impl Store {
    fn new(values: &[(&str, &str)]) -> Self {
        let server = Arc::new(Server::http("127.0.0.1:0").unwrap());
        let base = format!("http://{}", server.server_addr().to_ip().unwrap());
        let values: BTreeMap<String, String> =
            values.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let values = Arc::new(Mutex::new(values));
        let (serving, held) = (Arc::clone(&server), Arc::clone(&values));
        std::thread::spawn(move || {
            for request in serving.incoming_requests() {
                let mut values = held.lock().unwrap();
                let key = request.url().strip_prefix("/resources/stores/kv/kv1/keys/");
                let found = match (request.method(), key) {
                    (Method::Get, None) if request.url() == "/resources/stores/kv/kv1" => Some("{}".to_owned()),
                    (Method::Get, Some(key)) => values.get(key).cloned(),
                    (Method::Delete, Some(key)) => values.remove(key).map(|_| String::new()),
                    _ => None,
                };
                let status = if found.is_some() { 200 } else { 404 };
                let answer = Response::from_string(found.unwrap_or_default()).with_status_code(status);
                request.respond(answer).unwrap();
            }
        });
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("identity"), KEY).unwrap();
        Self { values, base, folder, server }
    }

    fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_personalizer"))
            .arg("privacy")
            .args(arguments)
            .args(["--api-base", &self.base])
            .current_dir(self.folder.path())
            .env("FASTLY_API_TOKEN", "token")
            .env_remove("PERSONALIZER_IDENTITY_SECRET")
            .env_remove("PERSONALIZER_SESSIONS_STORE")
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    fn keys(&self) -> Vec<String> {
        self.values.lock().unwrap().keys().cloned().collect()
    }
}

fn person() -> Store {
    let record = r#"{"v":1,"updated_at":1795780800000,"cart":["shoes"]}"#;
    Store::new(&[
        ("user%2Fauth0%257C1", record),
        ("user%2Fbob", record),
        ("visitor%2F00000000000000000000000000000abc", record),
    ])
}

#[test]
fn an_export_has_every_record_and_every_pseudonym() {
    let store = person();
    let arguments =
        ["export", "auth0|1", VISITOR, "--kv-store", "kv1", "--identity-file", "identity", "--format", "json"];
    let (code, stdout, stderr) = store.run(&arguments);
    assert_eq!(code, 0, "{stderr}");
    let result: Value = serde_json::from_str(&stdout).unwrap();
    let records = result["records"].as_array().unwrap();
    assert_eq!(records.len(), 2);
    assert!(records.iter().all(|found| found["record"]["cart"][0] == "shoes"), "{result:#}");
    let unit_types: Vec<_> =
        result["pseudonyms"].as_array().unwrap().iter().map(|name| name["unit_type"].as_str().unwrap()).collect();
    assert_eq!(unit_types, ["id", "userId", "id", "visitorId"]);
    assert!(!stdout.contains(KEY), "the key is nowhere");
    assert_eq!(store.keys().len(), 3, "nothing is changed");
    // Nobody is known by that id: that is an answer, too.
    let (code, stdout, _) = store.run(&["export", "carol", "--kv-store", "kv1"]);
    assert!(code == 0 && stdout.contains("user/carol: there is no record"), "{stdout}");
}

#[test]
fn an_erasure_is_dry_until_it_is_told_yes_and_touches_nobody_else() {
    let store = person();
    let erase = ["erase", "auth0|1", VISITOR, "--kv-store", "kv1"];
    let (code, stdout, _) = store.run(&erase);
    assert_eq!((code, store.keys().len()), (1, 3), "{stdout}");
    assert!(stdout.contains("still there: --yes erases it") && !stdout.contains("shoes"), "{stdout}");
    let (code, stdout, _) = store.run(&[&erase[..], &["--yes", "--identity-file", "identity"]].concat());
    assert_eq!((code, store.keys()), (0, vec!["user%2Fbob".to_owned()]), "{stdout}");
    for table in ["exposures", "conversions"] {
        assert!(stdout.contains(&format!("DELETE FROM {table} WHERE unit_id IN ('")), "{stdout}");
    }
    let (code, _, stderr) = store.run(&["erase", "auth0|1", "--yes"]);
    assert!(code == 2 && stderr.contains("nothing was erased"), "{stderr}");
    let (code, stdout, _) = store.run(&[&erase[..], &["--yes"]].concat());
    assert!(code == 0 && stdout.contains("nothing to erase"), "{stdout}");
}

#[test]
fn a_record_that_cannot_be_read_is_shown_as_it_is_and_erased_all_the_same() {
    let store = Store::new(&[("user%2Falice", "{shoes")]);
    let (code, stdout, _) = store.run(&["export", "alice", "--kv-store", "kv1", "--format", "json"]);
    let result: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((code, result["records"][0]["raw"].as_str()), (1, Some("{shoes")));
    assert_eq!(store.run(&["erase", "alice", "--kv-store", "kv1", "--yes"]).0, 0);
    assert!(store.keys().is_empty());
}

#[test]
fn what_could_not_be_looked_at_is_no_answer() {
    let store = person();
    let (code, _, stderr) = store.run(&["erase", "bob", "--kv-store", "kv2", "--yes"]);
    assert!(code == 2 && stderr.contains("none of the id 'kv2'"), "{stderr}");
    let (code, _, stderr) = store.run(&["export", "bob", "--kv-store", "kv1", "--identity-file", "nowhere"]);
    assert!(code == 2 && stderr.contains("nowhere: can't be read"), "{stderr}");
    assert_eq!(store.run(&["erase", "visitor/bob", "--kv-store", "kv1"]).0, 2);
    // Without a store there are pseudonyms, and a word that nobody looked.
    let (code, stdout, stderr) = store.run(&["export", "bob", "--identity-file", "identity"]);
    assert!(code == 0 && stdout.contains("userId ") && stderr.contains("--kv-store"), "{stdout}{stderr}");
    assert_eq!(store.keys().len(), 3);
}
