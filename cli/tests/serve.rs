//! `personalizer serve`: what a browser, and who edits rules, see of the local edge.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at a surprise"
)]

mod edge;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use edge::{Edge, PATIENCE};
use serde_json::{Value, json};
use tempfile::TempDir;
use tiny_http::{Header, Response, Server};

/// A site that says what it was asked.
struct Origin {
    server: Arc<Server>,
    address: SocketAddr,
}

impl Origin {
    fn start() -> Self {
        let server = Arc::new(Server::http("127.0.0.1:0").unwrap());
        let address = server.server_addr().to_ip().unwrap();
        let serving = Arc::clone(&server);
        std::thread::spawn(move || {
            for mut request in serving.incoming_requests() {
                let mut body = String::new();
                request.as_reader().read_to_string(&mut body).unwrap();
                let headers: serde_json::Map<String, Value> = request
                    .headers()
                    .iter()
                    .map(|header| (header.field.to_string().to_lowercase(), header.value.to_string().into()))
                    .collect();
                let url = request.url().to_owned();
                let (kind, text) = match url.as_str() {
                    "/page" => ("text/html", "<html><body><h1 id=\"a\">Generic</h1></body></html>".to_owned()),
                    _ => (
                        "application/json",
                        json!({ "url": url, "method": request.method().to_string(), "headers": headers, "body": body })
                            .to_string(),
                    ),
                };
                let mut response = Response::from_string(text);
                response.add_header(Header::from_bytes("Content-Type", kind).unwrap());
                if url == "/login" {
                    response = response.with_status_code(302);
                    response.add_header(Header::from_bytes("Location", "https://www.shop.example/account").unwrap());
                    response.add_header(Header::from_bytes("Set-Cookie", "s=1; Domain=shop.example; Secure").unwrap());
                }
                let _ = request.respond(response);
            }
        });
        Self { server, address }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.server.unblock();
    }
}

/// A folder of rules by which `/where` asks for the visitor's region, and `/page` is rewritten.
fn rules() -> TempDir {
    let folder = TempDir::new().unwrap();
    write(
        &folder,
        "regions",
        &json!({ "default": { "id": "ANY", "slug": "any" }, "regions": [
        { "id": "EU", "slug": "europe", "when": { "continent": "EU" } } ] }),
    );
    write(&folder, "routes", &routes("region"));
    let line = "You are in {{ region.slug }}, on {{ deviceType }}";
    write(&folder, "templates", &json!({ "templates": { "where": line } }));
    folder
}

fn routes(path: &str) -> Value {
    json!({ "routes": [
        { "id": "where", "path": "/where", "rewrite": { "path": format!("/{path}/{{region.slug}}") } },
        { "id": "page", "path": "/page", "html": [
            { "select": "#a", "inner": { "template": "where" } } ] } ] })
}

fn write(folder: &TempDir, name: &str, value: &Value) {
    fs::write(folder.path().join(format!("{name}.json")), value.to_string()).unwrap();
}

/// What a command says that can't run.
fn refused(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_personalizer")).arg("serve").arg(folder).args(arguments).output();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_page_is_personalized_from_the_origin() {
    let (origin, rules) = (Origin::start(), rules());
    let edge = Edge::start(rules.path(), &["--origin", &origin.url(), "--country", "FR"]);
    let saw = edge.origin_saw("GET /where?a=1");
    assert_eq!((&saw["url"], &saw["headers"]["edge-variant"]), (&json!("/region/europe?a=1"), &json!("region=\"EU\"")));
    assert_eq!(saw["headers"]["host"], json!(edge.address.to_string()), "this machine's origin knows no other name");
    let (head, body) = edge.ask("GET /page");
    assert!(
        head.to_lowercase().contains("vary: edge-variant") && body.contains("You are in europe, on "),
        "{head}\n{body}"
    );
    let saw = edge.origin_saw("POST /cart\nContent-Length: 5\n\nsku=1");
    assert_eq!(
        (&saw["method"], &saw["body"], &saw["headers"]["content-length"]),
        (&json!("POST"), &json!("sku=1"), &json!("5"))
    );
    let line = edge.wait_for("decisions :: {");
    assert!(line.contains("\"region\":\"EU\""), "the form of the local server's lines: {line}");
    assert!(edge.ask("GET /.edge/health").1.contains("\"rules\":\"personalizing\""));
}

#[test]
fn a_saved_rule_is_checked_and_counts_from_the_next_request_on() {
    let (origin, rules) = (Origin::start(), rules());
    let edge = Edge::start(rules.path(), &["--origin", &origin.url()]);
    assert_eq!(edge.origin_saw("GET /where")["url"], "/region/any");
    write(&rules, "routes", &routes("zone"));
    assert_eq!(edge.origin_saw("GET /where")["url"], "/zone/any");
    fs::write(rules.path().join("routes.json"), "{ \"routes\": [ }").unwrap();
    assert_eq!(edge.origin_saw("GET /where")["url"], "/zone/any", "the last text that could be read");
    let line = edge.wait_for("routes.json:1:15");
    assert!(line.contains("fault") && line.contains("expected a value"), "the checker's words: {line}");
    write(&rules, "routes", &routes("area"));
    assert_eq!(edge.origin_saw("GET /where")["url"], "/area/any");
}

#[test]
fn a_folder_with_a_mistake_is_served_and_the_mistake_is_named() {
    let (origin, rules) = (Origin::start(), rules());
    fs::write(rules.path().join("regions.json"), "[]").unwrap();
    let edge = Edge::start(rules.path(), &["--origin", &origin.url(), "--country", "FR"]);
    assert_eq!(edge.origin_saw("GET /where")["url"].as_str().unwrap().split('/').nth(1), Some("region"));
    edge.wait_for("regions.json:1:1");
    edge.wait_for("errors :: {");
}

#[test]
fn pushed_revisions_and_the_pointer_count_and_survive_a_save() {
    let (origin, rules) = (Origin::start(), rules());
    let store = rules.path().join("store").join("config.json");
    let target = format!("file:{}", store.display());
    let on = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_personalizer"));
        let output = command.args(arguments).arg(&target).current_dir(rules.path()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    };
    let edge = Edge::start(rules.path(), &["--origin", &origin.url(), "--store", store.to_str().unwrap()]);
    on(&["push", ".", "--revision", "r1", "--activate", "--to"]);
    assert_eq!(edge.origin_saw("GET /where")["url"], "/region/any");
    edge.wait_for("names revision r1");
    write(&rules, "routes", &routes("zone"));
    assert_eq!(edge.origin_saw("GET /where")["url"], "/region/any", "the revision serves, whatever is saved");
    on(&["disable", "--on"]);
    assert_eq!(edge.origin_saw("GET /where")["url"], "/where", "switched off");
    edge.wait_for("switches everything off");
}

#[test]
fn somebody_else_can_be_picked_and_the_origin_sees_no_pick() {
    let (origin, rules) = (Origin::start(), rules());
    let edge = Edge::start(rules.path(), &["--origin", &origin.url()]);
    assert!(edge.ask("GET /.local/").1.contains("Be somebody else"));
    let (head, _) = edge.ask("GET /.local/be?country=DE&device=mobile&consent=refused&to=/page");
    let cookie = head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
    let cookie = cookie.split(';').next().unwrap();
    let (_, page) = edge.ask(&format!("GET /page\nCookie: {cookie}; theme=dark"));
    assert!(page.contains("You are in europe, on mobile"), "{page}");
    let saw = edge.origin_saw(&format!("GET /where\nCookie: {cookie}; theme=dark"));
    let headers = &saw["headers"];
    assert_eq!(
        (&saw["url"], &headers["cookie"], &headers["sec-gpc"]),
        (&json!("/region/europe"), &json!("theme=dark"), &json!("1"))
    );
    assert!(headers["user-agent"].as_str().unwrap().contains("iPhone"), "{saw:#}");
}

#[test]
fn the_site_keeps_its_name_and_the_browser_stays_here() {
    let (origin, rules) = (Origin::start(), rules());
    let edge = Edge::start(rules.path(), &["--origin", &origin.url(), "--host", "www.shop.example"]);
    let saw = edge.origin_saw(&format!("POST /cart\nOrigin: http://{}\nContent-Length: 0", edge.address));
    assert_eq!(saw["headers"]["host"], "www.shop.example");
    assert_eq!(saw["headers"]["content-length"], "0", "no body has a length, too");
    assert_eq!(saw["headers"]["origin"], "http://www.shop.example");
    assert_eq!(saw["headers"]["x-forwarded-host"], "www.shop.example");
    let (head, _) = edge.ask("GET /login");
    assert!(head.contains("location: /account\r\n"), "{head}");
    assert!(head.contains("set-cookie: s=1\r\n"), "{head}");
}

#[test]
fn an_origin_that_does_not_answer_is_a_page_and_a_line() {
    let rules = rules();
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let edge = Edge::start(rules.path(), &["--origin", &format!("http://{gone}")]);
    let (head, body) = edge.ask("GET /page");
    assert!(head.starts_with("HTTP/1.1 502 ") || head.starts_with("HTTP/1.1 503 "), "{head}");
    assert!(head.to_lowercase().contains("cache-control: ") && !body.contains(&gone.to_string()), "{head}\n{body}");
    let line = edge.wait_for("No answer from the backend 'origin'");
    assert!(line.contains(&gone.to_string()), "{line}");
}

/// An origin on 127.0.0.1 that speaks TLS with a certificate of `localhost`, answers each connection once, and that certificate in PEM.
fn origin_with_tls() -> (SocketAddr, String) {
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(config.with_no_client_auth().with_single_cert(vec![cert.der().clone()], key).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = rustls::StreamOwned::new(connection, stream);
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && stream.read_exact(&mut byte).is_ok() {
                head.push(byte[0]);
            }
            let answer = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 6\r\n\r\nsecret";
            let _ = stream.write_all(answer.as_bytes()).and_then(|()| stream.flush());
        }
    });
    (address, cert.pem())
}

#[test]
fn an_origins_certificate_is_checked() {
    let rules = rules();
    let (address, pem) = origin_with_tls();
    let file = rules.path().join("authorities.pem");
    fs::write(&file, pem).unwrap();
    let origin = format!("https://localhost:{}", address.port());
    let edge = Edge::start_with(rules.path(), &["--origin", &origin], &[("SSL_CERT_FILE", &file)]);
    assert_eq!(edge.ask("GET /").1, "secret");
    // By this address the certificate is another's.
    let origin = format!("https://{address}");
    let edge = Edge::start_with(rules.path(), &["--origin", &origin], &[("SSL_CERT_FILE", &file)]);
    let (head, body) = edge.ask("GET /");
    assert!(head.starts_with("HTTP/1.1 50") && !body.contains("secret"), "{head}");
    assert!(edge.wait_for("No answer from the backend 'origin'").contains("certificate"));
}

#[test]
fn what_cannot_be_served_is_said() {
    let (origin, rules) = (Origin::start(), rules());
    let nowhere = refused(Path::new("/nowhere/rules"), &["--port", "0", "--origin", &origin.url()]);
    assert!(nowhere.contains("/nowhere/rules: expected a folder of rules, but can't read it"), "{nowhere}");
    let taken = origin.address.port().to_string();
    let busy = refused(rules.path(), &["--port", &taken, "--origin", &origin.url()]);
    assert!(busy.contains(&format!("port {taken} is taken")) && busy.contains("--port PORT"), "{busy}");
    let none = refused(rules.path(), &["--port", "0"]);
    assert!(none.contains("expected the site (--origin"), "{none}");
    let odd = refused(rules.path(), &["--port", "0", "--origin", "ftp://a.example"]);
    assert!(odd.contains("expected a URL such as https://www.example.com, but found 'ftp://a.example'"), "{odd}");
}

#[cfg(unix)]
#[test]
fn a_signal_ends_it_cleanly() {
    for signal in ["-INT", "-TERM"] {
        let (origin, rules) = (Origin::start(), rules());
        let mut edge = Edge::start(rules.path(), &["--origin", &origin.url()]);
        // A browser keeps its connection open.
        let mut open = TcpStream::connect(edge.address).unwrap();
        write!(open, "GET /.edge/health HTTP/1.1\r\nHost: a.example\r\n\r\n").unwrap();
        open.read_exact(&mut [0; 12]).unwrap();
        assert!(Command::new("kill").args([signal, &edge.child.id().to_string()]).status().unwrap().success());
        let end = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = edge.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < end, "{signal} doesn't end it");
            std::thread::sleep(Duration::from_millis(20));
        };
        assert_eq!(status.code(), Some(0), "{signal}");
        edge.wait_for("Stopped.");
    }
}
