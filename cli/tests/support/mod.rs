//! An edge for the tests of `personalizer sessions`: the code that answers `POST /.edge/sessions` in the service, on a store in memory,
//! behind a server that can be told to fail.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use edge_personalizer::platform::memory::Memory;
use edge_personalizer::platform::{Kv, StoreError};
use edge_personalizer::replication::{ReplicationSettings, SECRET as NAME, handle};
use edge_personalizer::session::SessionSettings;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use time::OffsetDateTime;
use tiny_http::{Header, Request, Response, Server};

/// The edge's and the sender's.
pub const SECRET: &str = "whsec_bG9jYWwtcmVwbGljYXRpb24tc2VjcmV0LW9mLTMyLWI=";

/// What to do with a request instead of taking it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// This status, with this `Retry-After`.
    Status(u16, &'static str),
    /// None.
    None,
    /// Take it, but answer in no HTTP.
    GarbledAnswer,
    /// Have the store fail in this way.
    Store(StoreError),
}

/// What the edge holds and saw.
#[derive(Default)]
pub struct World {
    /// The first is for the next request.
    pub faults: Vec<Fault>,
    /// Ids of the messages that came.
    pub ids: Vec<String>,
    /// Lines of each message.
    pub sizes: Vec<usize>,
    /// Records by key.
    pub records: std::collections::BTreeMap<String, Value>,
    /// Largest number of items that is taken.
    pub most: usize,
}

/// An edge that ends with the test.
pub struct FakeEdge {
    /// Its URL.
    pub url: String,
    world: Arc<Mutex<World>>,
    server: Arc<Server>,
}

impl Drop for FakeEdge {
    fn drop(&mut self) {
        self.server.unblock();
    }
}

impl FakeEdge {
    pub fn start() -> Self {
        let server = Arc::new(Server::http("127.0.0.1:0").unwrap());
        let url = format!("http://{}", server.server_addr().to_ip().unwrap());
        let world = Arc::new(Mutex::new(World { most: 250, ..World::default() }));
        let (serving, shared) = (Arc::clone(&server), Arc::clone(&world));
        std::thread::spawn(move || {
            let store = Memory::default();
            store.secrets.borrow_mut().insert(NAME.to_owned(), SECRET.as_bytes().to_vec());
            for request in serving.incoming_requests() {
                answer(&store, request, &mut shared.lock().unwrap());
            }
        });
        Self { url, world, server }
    }

    pub fn with<T>(&self, look: impl FnOnce(&mut World) -> T) -> T {
        look(&mut self.world.lock().unwrap())
    }

    /// The SKU that comes first in a user's cart.
    pub fn cart(&self, user: &str) -> Option<String> {
        self.with(|world| Some(world.records.get(&format!("user/{user}"))?["cart"][0]["sku"].as_str()?.to_owned()))
    }

    /// Runs `personalizer sessions` with the edge's address and the secret in the environment.
    pub fn command(&self, folder: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_personalizer"));
        command.arg("sessions").args(arguments).current_dir(folder);
        command.env("PERSONALIZER_EDGE", &self.url).env("PERSONALIZER_REPLICATION_SECRET", SECRET);
        command
    }

    /// Runs it to its end: exit code, standard output, standard error.
    pub fn run(&self, folder: &Path, arguments: &[&str]) -> (i32, String, String) {
        texts(&self.command(folder, arguments).output().unwrap())
    }
}

/// Exit code, standard output, standard error.
pub fn texts(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

fn answer(store: &Memory, mut request: Request, world: &mut World) {
    assert_eq!((request.method().as_str(), request.url()), ("POST", "/.edge/sessions"));
    let mut headers = HeaderMap::new();
    for header in request.headers() {
        let name = HeaderName::from_bytes(header.field.as_str().as_str().as_bytes()).unwrap();
        headers.append(name, HeaderValue::from_str(header.value.as_str()).unwrap());
    }
    let mut body = Vec::new();
    request.as_reader().read_to_end(&mut body).unwrap();
    world.ids.push(headers["webhook-id"].to_str().unwrap().to_owned());
    world.sizes.push(body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count());
    let fault = (!world.faults.is_empty()).then(|| world.faults.remove(0));
    if let Some(Fault::Status(status, after)) = fault {
        let mut response = Response::from_string("{}").with_status_code(status);
        if !after.is_empty() {
            response.add_header(Header::from_bytes("Retry-After", after).unwrap());
        }
        return request.respond(response).unwrap();
    }
    if let Some(Fault::Store(error)) = fault {
        store.kv_fails.borrow_mut().insert(Kv::Sessions, error);
    }
    let settings = ReplicationSettings { max_items: world.most, ..ReplicationSettings::default() };
    let now = OffsetDateTime::now_utc();
    let answer = handle(store, &headers, body.as_slice(), &settings, &SessionSettings::default(), now);
    store.kv_fails.borrow_mut().clear();
    let records = store.kv.borrow();
    world.records =
        records.iter().map(|((_, key), value)| (key.clone(), serde_json::from_slice(&value.bytes).unwrap())).collect();
    if fault == Some(Fault::GarbledAnswer) {
        let mut writer = request.into_writer();
        writer.write_all(b"lost\r\n\r\n").unwrap();
        return writer.flush().unwrap();
    }
    let mut response = Response::from_string(answer.body.to_string()).with_status_code(answer.status.as_u16());
    for (name, value) in &answer.headers() {
        response.add_header(Header::from_bytes(name.as_str(), value.as_bytes()).unwrap());
    }
    request.respond(response).unwrap();
}
