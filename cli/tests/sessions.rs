//! `personalizer sessions`: what a sender sees, whatever the edge does, against the code that answers in the service.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at a surprise"
)]

mod support;

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use edge_personalizer::platform::StoreError;
use serde_json::{Value, json};
use support::{FakeEdge, Fault, SECRET, texts};
use tempfile::TempDir;

fn now_ms() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

fn put(user: &str, sku: &str) -> String {
    json!({ "op": "put", "user": user, "updated_at": now_ms(), "record": { "cart": [{ "sku": sku, "quantity": 1 }] } })
        .to_string()
}

/// A folder with `feed.ndjson`: a put for each user from u0 on.
fn feed(users: usize) -> TempDir {
    let folder = TempDir::new().unwrap();
    let lines: String = (0..users).map(|n| put(&format!("u{n}"), &format!("sku-{n}")) + "\n").collect();
    fs::write(folder.path().join("feed.ndjson"), lines).unwrap();
    folder
}

fn summary(stdout: &str) -> Value {
    serde_json::from_str(stdout).unwrap()
}

#[test]
fn a_file_is_delivered_in_signed_batches() {
    let (edge, folder) = (FakeEdge::start(), feed(230));
    let (code, stdout, stderr) = edge.run(folder.path(), &["push", "feed.ndjson", "--format", "json"]);
    assert_eq!(code, 0, "{stdout}{stderr}");
    let result = summary(&stdout);
    assert_eq!((&result["stored"], &result["requests"], &result["line"]), (&json!(230), &json!(3), &json!(230)));
    assert_eq!((&result["complete"], &result["rejected"]), (&json!(true), &json!([])));
    assert_eq!(edge.with(|world| (world.sizes.clone(), world.records.len())), (vec![100, 100, 30], 230));
    assert_eq!(edge.cart("u229").as_deref(), Some("sku-229"));
    let (code, stdout, _) = edge.run(folder.path(), &["push", "feed.ndjson"]);
    assert_eq!(code, 0);
    assert!(stdout.contains("0 stored, 230 unchanged, 0 refused"), "a repeat changes nothing: {stdout}");
}

#[test]
fn refused_lines_are_named_by_their_number_and_the_others_are_stored() {
    let (edge, folder) = (FakeEdge::start(), TempDir::new().unwrap());
    let long = format!("{{\"op\":\"put\",\"user\":\"long\",\"x\":\"{}\"}}", "x".repeat(2_000));
    let bad_user = put("a b", "x");
    let lines = [put("u1", "a").as_str(), "", "{", &put("u2", "b"), &long, &bad_user, &put("u3", "c")].join("\r\n");
    fs::write(folder.path().join("feed.ndjson"), [lines.as_bytes(), b"\n\xff\n"].concat()).unwrap();
    let (code, stdout, stderr) =
        edge.run(folder.path(), &["push", "feed.ndjson", "--batch", "2", "--batch-bytes", "1024", "--format", "json"]);
    assert_eq!(code, 1, "{stdout}{stderr}");
    let result = summary(&stdout);
    let named: Vec<u64> =
        result["rejected"].as_array().unwrap().iter().map(|one| one["line"].as_u64().unwrap()).collect();
    assert_eq!((named, &result["stored"]), (vec![3, 5, 6, 8], &json!(3)));
    for (line, reason) in
        [("line 3 is refused: expected a JSON object", "{"), ("line 5 is refused: expected at most", "long")]
    {
        assert!(stderr.contains(line), "{reason}: {stderr}");
    }
    assert!(
        stderr.contains("line 6 is refused: user:") && stderr.contains("line 8 is refused: expected UTF-8"),
        "{stderr}"
    );
    assert_eq!(edge.cart("u3").as_deref(), Some("c"));
}

#[test]
fn what_the_edge_cannot_take_now_is_sent_again() {
    let (edge, folder) = (FakeEdge::start(), feed(3));
    edge.with(|world| {
        world.faults = vec![
            Fault::Status(503, "1"),
            Fault::GarbledAnswer,
            Fault::Store(StoreError::Throttled),
            Fault::Status(502, ""),
        ];
    });
    let started = Instant::now();
    let (code, stdout, stderr) = edge.run(folder.path(), &["push", "feed.ndjson", "--format", "json"]);
    assert_eq!(code, 0, "{stdout}{stderr}");
    let result = summary(&stdout);
    // What was taken before the answer was lost is unchanged when it comes again.
    assert_eq!((&result["unchanged"], &result["requests"], &result["repeats"]), (&json!(3), &json!(5), &json!(4)));
    let ids = edge.with(|world| world.ids.clone());
    assert!(ids.iter().all(|id| *id == ids[0]), "a repeat is the same message: {ids:?}");
    assert!(
        started.elapsed() >= Duration::from_millis(1_000 + 1_000 + 2_000 + 4_000),
        "Retry-After, then longer pauses"
    );
    assert_eq!(stderr.matches("again in").count(), 4, "{stderr}");
}

#[test]
fn an_edge_that_stays_away_is_given_up_and_what_it_took_is_said() {
    let (edge, folder) = (FakeEdge::start(), feed(4));
    let mut arguments = vec!["push", "feed.ndjson", "--batch", "2", "--attempts", "2", "--resume", "state"];
    arguments.extend(["--format", "json"]);
    let nothing_works = [Fault::Status(503, "0"); 2];
    edge.with(|world| world.faults = [&[Fault::Store(StoreError::Throttled)][..], &nothing_works].concat());
    let (code, stdout, stderr) = edge.run(folder.path(), &arguments);
    assert_eq!(code, 2, "{stdout}{stderr}");
    assert!(stderr.contains("gave up after 2 attempts"), "{stderr}");
    assert_eq!((&summary(&stdout)["complete"], &summary(&stdout)["line"]), (&json!(false), &json!(0)));

    let (code, stdout, _) = edge.run(folder.path(), &arguments);
    assert_eq!((code, &summary(&stdout)["stored"]), (0, &json!(4)), "{stdout}");
    let nobody = ["push", "feed.ndjson", "--attempts", "1", "--to", "http://127.0.0.1:1"];
    let (code, _, stderr) = edge.run(folder.path(), &nobody);
    assert!(code == 2 && stderr.contains("no answer from http://127.0.0.1:1"), "{stderr}");
}

#[test]
fn what_never_gets_better_is_sent_once() {
    let folder = feed(3);
    for (status, expected) in
        [(400, "400"), (401, "401: expected the edge to know the secret"), (404, "404"), (301, "a redirect")]
    {
        let edge = FakeEdge::start();
        edge.with(|world| world.faults = vec![Fault::Status(status, "0")]);
        let (code, stdout, stderr) = edge.run(folder.path(), &["push", "feed.ndjson"]);
        assert_eq!(code, 2, "{status}: {stdout}{stderr}");
        assert!(stderr.contains(expected), "{status}: {stderr}");
        assert_eq!(edge.with(|world| world.ids.len()), 1, "{status}");
    }
    let edge = FakeEdge::start();
    let mut other = edge.command(folder.path(), &["push", "feed.ndjson"]);
    other.env("PERSONALIZER_REPLICATION_SECRET", "whsec_YW5vdGhlci1yZXBsaWNhdGlvbi1zZWNyZXQtb2YtMzI=");
    let (code, _, stderr) = texts(&other.output().unwrap());
    assert!(code == 2 && stderr.contains("401") && !stderr.contains("whsec_"), "{stderr}");
}

#[test]
fn batches_that_are_too_large_for_the_edge_get_smaller() {
    let (edge, folder) = (FakeEdge::start(), feed(50));
    edge.with(|world| world.most = 6);
    let (code, stdout, stderr) = edge.run(folder.path(), &["push", "feed.ndjson", "--batch", "20", "--format", "json"]);
    assert_eq!((code, &summary(&stdout)["stored"]), (0, &json!(50)), "{stdout}{stderr}");
    let sizes = edge.with(|world| world.sizes.clone());
    assert_eq!(sizes[..3], [20, 10, 5], "{sizes:?}");
    assert!(sizes[5..].iter().all(|size| *size <= 5), "it keeps to what it learnt: {sizes:?}");
}

#[test]
fn a_run_that_was_cut_goes_on_where_the_edge_had_got_to() {
    let (edge, folder) = (FakeEdge::start(), feed(25));
    let arguments = ["push", "feed.ndjson", "--batch", "10", "--resume", "state", "--format", "json"];
    edge.with(|world| world.faults = vec![Fault::None, Fault::Status(200, "")]);
    let (code, stdout, stderr) = edge.run(folder.path(), &arguments);
    assert_eq!((code, &summary(&stdout)["line"]), (2, &json!(10)), "an answer without results is no edge's: {stderr}");

    edge.with(|world| world.sizes.clear());
    let (code, stdout, stderr) = edge.run(folder.path(), &arguments);
    assert_eq!((code, &summary(&stdout)["stored"]), (0, &json!(15)), "{stdout}{stderr}");
    assert!(stderr.contains("going on after line 10"), "{stderr}");
    assert_eq!(edge.with(|world| world.sizes.clone()), [10, 5], "nothing is sent twice");
    let (code, stdout, _) = edge.run(folder.path(), &arguments);
    assert_eq!((code, &summary(&stdout)["requests"]), (0, &json!(0)));

    fs::write(folder.path().join("feed.ndjson"), put("someone-else", "x")).unwrap();
    let (code, _, stderr) = edge.run(folder.path(), &arguments);
    assert!(code == 2 && stderr.contains("found another one"), "{stderr}");
}

#[test]
fn a_change_feed_that_stays_open_is_delivered_at_once_and_acknowledged() {
    let (edge, folder) = (FakeEdge::start(), TempDir::new().unwrap());
    let mut command = edge.command(folder.path(), &["push", "-", "--acknowledge", "--linger", "20"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut feed = child.stdin.take().unwrap();
    let mut acknowledged = BufReader::new(child.stdout.take().unwrap()).lines();
    for (line, sku) in [(1, "first"), (2, "second")] {
        writeln!(feed, "{}", put("alice", sku)).unwrap();
        let said: Value = serde_json::from_str(&acknowledged.next().unwrap().unwrap()).unwrap();
        assert_eq!(said, json!({ "line": line, "rejected": [] }));
        assert_eq!(edge.cart("alice").as_deref(), Some(sku), "the pipe is still open");
        std::thread::sleep(Duration::from_millis(5));
    }
    writeln!(feed, "{{}}").unwrap();
    let said: Value = serde_json::from_str(&acknowledged.next().unwrap().unwrap()).unwrap();
    assert_eq!(
        (&said["line"], &said["rejected"][0]["line"]),
        (&json!(3), &json!(3)),
        "a refused line is decided on, too"
    );
    drop(feed);
    let (code, _, stderr) = texts(&child.wait_with_output().unwrap());
    assert!(code == 1 && stderr.contains("2 stored, 0 unchanged, 1 refused"), "{stderr}");
}

#[test]
fn a_deleted_session_stays_out_until_a_newer_update() {
    let (edge, folder) = (FakeEdge::start(), feed(1));
    let late = put("u0", "late");
    edge.run(folder.path(), &["push", "feed.ndjson"]);
    std::thread::sleep(Duration::from_millis(5));
    let (code, stdout, stderr) = edge.run(folder.path(), &["delete", "u0"]);
    assert_eq!((code, stdout.as_str()), (0, "user/u0: removed\n"), "{stderr}");
    fs::write(folder.path().join("feed.ndjson"), late).unwrap();
    let (_, stdout, _) = edge.run(folder.path(), &["push", "feed.ndjson"]);
    assert!(stdout.contains("0 stored, 1 unchanged"), "{stdout}");
    assert_eq!(edge.cart("u0"), None);

    let ahead = json!({ "op": "put", "user": "u0", "updated_at": now_ms() + 60_000, "record": {} }).to_string();
    fs::write(folder.path().join("feed.ndjson"), ahead).unwrap();
    edge.run(folder.path(), &["push", "feed.ndjson"]);
    let (code, stdout, _) = edge.run(folder.path(), &["delete", "u0"]);
    assert!(code == 1 && stdout.contains("the edge has a newer update"), "{stdout}");
    assert_eq!(edge.run(folder.path(), &["delete", "visitor/nobody"]).0, 2);
}

#[test]
fn a_session_is_shown_as_the_kv_store_holds_it() {
    let server = Arc::new(tiny_http::Server::http("127.0.0.1:0").unwrap());
    let base = format!("http://{}", server.server_addr().to_ip().unwrap());
    let serving = Arc::clone(&server);
    let api = std::thread::spawn(move || {
        let mut paths = Vec::new();
        for request in serving.incoming_requests() {
            paths.push(request.url().to_owned());
            let token = request.headers().iter().find(|header| header.field.equiv("Fastly-Key")).unwrap();
            assert_eq!((request.method().as_str(), token.value.as_str()), ("GET", "token"));
            let (status, text) = match request.url() {
                "/resources/stores/kv/kv1/keys/user%2Fauth0%257C1" => {
                    (200, r#"{"v":1,"updated_at":1795780800000,"cart":["a"]}"#)
                }
                _ => (404, r#"{"msg":"Record not found"}"#),
            };
            request.respond(tiny_http::Response::from_string(text).with_status_code(status)).unwrap();
        }
        paths
    });
    let folder = TempDir::new().unwrap();
    let get = |whose: &str| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_personalizer"));
        command.args(["sessions", "get", whose, "--kv-store", "kv1", "--api-base", &base]).current_dir(folder.path());
        texts(&command.env("FASTLY_API_TOKEN", "token").output().unwrap())
    };
    let (code, stdout, stderr) = get("auth0|1");
    assert_eq!(code, 0, "{stdout}{stderr}");
    assert!(
        stdout.starts_with("user/auth0%7C1: as of 2026-11-27T12:00:00Z") && stdout.contains("\"cart\""),
        "{stdout}"
    );
    let (code, stdout, _) = get("visitor/00000000000000000000000000000abc");
    assert!(code == 1 && stdout.contains("there is no record"), "{stdout}");
    server.unblock();
    assert_eq!(api.join().unwrap().len(), 2, "what isn't there is asked for once");
}

#[test]
fn another_program_sends_what_sign_has_signed() {
    let folder = TempDir::new().unwrap();
    let body = r#"{"email":"test@example.com","username":"test_user"}"#;
    fs::write(folder.path().join("body"), body).unwrap();
    fs::write(folder.path().join("secret"), "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD\n").unwrap();
    let edge = FakeEdge::start();
    let id = "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk";
    let arguments = ["sign", "body", "--secret-file", "secret", "--id", id, "--timestamp", "1649367553"];
    let (code, stdout, _) = edge.run(folder.path(), &arguments);
    let expected = format!(
        "webhook-id: {id}\nwebhook-timestamp: 1649367553\nwebhook-signature: v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=\n"
    );
    assert_eq!((code, stdout), (0, expected), "the specification's own example");
    let (_, stdout, _) = edge.run(folder.path(), &[&arguments[..], &["--format", "json"]].concat());
    assert_eq!(summary(&stdout)["webhook-timestamp"], "1649367553");
    assert_eq!(edge.run(folder.path(), &["sign", "body", "--id", "a.b"]).0, 2);

    // What is signed now is taken.
    fs::write(folder.path().join("body"), put("alice", "signed")).unwrap();
    let (_, headers, _) = edge.run(folder.path(), &["sign", "body"]);
    let mut request = ureq::post(format!("{}/.edge/sessions", edge.url)).header("content-type", "application/x-ndjson");
    for line in headers.lines() {
        let (name, value) = line.split_once(": ").unwrap();
        request = request.header(name, value);
    }
    let answer = request.send(&fs::read(folder.path().join("body")).unwrap()[..]).unwrap();
    assert_eq!((answer.status().as_u16(), edge.cart("alice").as_deref()), (200, Some("signed")));
}

#[test]
fn a_secret_is_never_an_argument_and_must_be_one() {
    let (edge, folder) = (FakeEdge::start(), feed(1));
    for secret in ["", "whsec_AAAA", "hunter2"] {
        let mut command = edge.command(folder.path(), &["push", "feed.ndjson"]);
        let (code, _, stderr) = texts(&command.env("PERSONALIZER_REPLICATION_SECRET", secret).output().unwrap());
        assert!(code == 2 && stderr.contains("expected a secret such as whsec_"), "{stderr}");
        assert!(secret.is_empty() || !stderr.contains(secret), "{stderr}");
    }
    let mut command = edge.command(folder.path(), &["push", "feed.ndjson"]);
    let (code, _, stderr) = texts(&command.env_remove("PERSONALIZER_REPLICATION_SECRET").output().unwrap());
    assert!(code == 2 && stderr.contains("expected --secret-file or PERSONALIZER_REPLICATION_SECRET"), "{stderr}");
    let rotating = format!("whsec_YW5vdGhlci1yZXBsaWNhdGlvbi1zZWNyZXQtb2YtMzI=\n{SECRET}\n");
    fs::write(folder.path().join("secrets"), rotating).unwrap();
    let (code, stdout, stderr) = edge.run(folder.path(), &["push", "feed.ndjson", "--secret-file", "secrets"]);
    assert_eq!(code, 0, "either secret counts while they are rotated: {stdout}{stderr}");
}

#[test]
fn a_feed_says_what_is_wrong_with_its_redis_and_keeps_the_password_to_itself() {
    let (edge, folder) = (FakeEdge::start(), TempDir::new().unwrap());
    let feed = |redis: &str, more: &[&str]| {
        let mut command = edge.command(folder.path(), &[&["feed", "--once", "--attempts", "1"], more].concat());
        texts(&command.env("PERSONALIZER_REDIS", redis).output().unwrap())
    };
    for (redis, more, expected) in [
        ("http://:hunter2@127.0.0.1", &[][..], "--redis: expected a URL such as redis://"),
        ("redis://:hunter2@127.0.0.1:1", &[], "gave up after 1 attempts: Redis at 127.0.0.1:1: Connection refused"),
        ("redis://127.0.0.1:1", &["--refused", "sessions"], "--refused: expected another stream"),
        ("redis://127.0.0.1:1", &["--group", ""], "--group: expected a name"),
    ] {
        let (code, _, stderr) = feed(redis, more);
        assert!(code == 2 && stderr.contains(expected) && !stderr.contains("hunter2"), "{stderr}");
    }
    assert!(edge.with(|world| world.ids.is_empty()));
}
