//! `docs/LEARN.md` does what it says: the server as the page starts it, then its `sh` blocks one after the other, with an origin of the test's
//! own in place of the demo shop.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may stop at a surprise")]

mod guide;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use guide::{Piece, pieces, workplace};
use serde_json::Value;
use tiny_http::{Header, Method, Response, Server};

/// An origin that has every page, and takes orders as the demo shop does.
struct Origin(Arc<Server>);

impl Origin {
    fn start() -> Self {
        let server = Arc::new(Server::http("127.0.0.1:0").unwrap());
        for _ in 0..4 {
            let serving = Arc::clone(&server);
            std::thread::spawn(move || {
                for request in serving.incoming_requests() {
                    let is_order = *request.method() == Method::Post;
                    let mut response = Response::from_string("{\"products\":[]}");
                    response.add_header(Header::from_bytes("Content-Type", "application/json").unwrap());
                    if is_order {
                        let event = "order;value=59.90;currency=\"USD\"";
                        response.add_header(Header::from_bytes("Edge-Event", event).unwrap());
                        response.add_header(Header::from_bytes("Cache-Control", "private").unwrap());
                    }
                    let _ = request.respond(response);
                }
            });
        }
        Self(server)
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        (0..4).for_each(|_| self.0.unblock());
    }
}

/// The local edge, and the rows that it printed.
struct Edge(Child, Arc<Mutex<Vec<String>>>);

impl Edge {
    /// Starts `personalizer serve` as `cargo xtask serve` does, with the page's arguments.
    fn start(folder: &Path, origin: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_personalizer"));
        command.args(["serve", "rules", "--port", "0", "--backend"]).arg(format!("origin={origin}"));
        command.arg("--backend").arg(format!("session_api={origin}")).args(arguments).current_dir(folder);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let rows: Arc<Mutex<Vec<String>>> = Arc::default();
        let (shown, kept) = (BufReader::new(child.stdout.take().unwrap()), Arc::clone(&rows));
        std::thread::spawn(move || shown.lines().map_while(Result::ok).for_each(|row| kept.lock().unwrap().push(row)));
        Self(child, rows)
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn shell(folder: &Path, block: &str) -> String {
    let output = guide::shell(folder, "file:target/local/personalizer.json", block);
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("$ {block}\n{text}");
    assert!(output.status.success(), "{block}\n{text}");
    text
}

#[test]
fn the_page_does_what_it_says() {
    let (folder, origin) = (workplace(), Origin::start());
    let pieces = pieces(&guide::text("LEARN.md"));
    let block = |wanted: &str| {
        let found = pieces.iter().find_map(|piece| match piece {
            Piece::Block { info, text } if info == wanted => Some(text.clone()),
            _ => None,
        });
        found.unwrap()
    };
    let serve = block("console serve");
    let arguments: Vec<&str> = serve.strip_prefix("$ cargo xtask serve ").unwrap().split_whitespace().collect();
    let address = format!("http://{}", origin.0.server_addr().to_ip().unwrap());
    let edge = Edge::start(folder.path(), &address, &arguments);
    let outputs: Vec<String> = pieces
        .iter()
        .filter_map(|piece| match piece {
            Piece::Block { info, text } if info == "sh" => Some(shell(folder.path(), text)),
            _ => None,
        })
        .collect();
    assert_eq!(outputs.len(), 6, "where have the blocks gone?");
    let read = |path: &str| fs::read_to_string(folder.path().join(path)).unwrap();

    // The bad one was taken back for what was wrong with it, and everybody can read so.
    assert!(outputs[1].contains("rolled back: r41 serves everybody") && outputs[1].contains("5xx"), "{}", outputs[1]);
    assert!(read("target/local/annotations.ndjson").contains("\"rollback\""));
    assert!(outputs[2].contains("canary r42 --auto") && outputs[2].contains("regression: The canary is worse"));
    assert!(outputs[3].contains("r42 was taken back"), "{}", outputs[3]);
    // The good one serves, until it is rolled back.
    assert!(outputs[4].contains("promote: serves everybody"), "{}", outputs[4]);
    let entries: Value = serde_json::from_str(&read("target/local/personalizer.json")).unwrap();
    let pointer: Value = serde_json::from_str(entries["active"].as_str().unwrap()).unwrap();
    assert_eq!((&pointer["revision"], &pointer["previous"]), (&Value::from("r41"), &Value::from("r43")));
    assert!(read("target/local/report.html").contains("r42"));
    let rows = edge.1.lock().unwrap().join("\n");
    for part in ["what was decided", "r41", "r42 (c)", "r43", "promotions", " JP ", "+ order 59.9 USD"] {
        assert!(rows.contains(part), "{part}: {}", &rows[..rows.len().min(4_000)]);
    }
}
