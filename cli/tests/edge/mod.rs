//! `personalizer serve`, running for a test.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long anything is waited for.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A running local edge; killed with the test.
pub struct Edge {
    /// The process.
    pub child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    /// Lines of both outputs.
    pub printed: Arc<Mutex<Vec<String>>>,
}

impl Edge {
    /// Starts it on these rules.
    pub fn start(folder: &Path, arguments: &[&str]) -> Self {
        Self::start_with(folder, arguments, &[])
    }

    /// The same with variables of the environment.
    pub fn start_with(folder: &Path, arguments: &[&str], variables: &[(&str, &Path)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_personalizer"))
            .arg("serve")
            .arg(folder)
            .args(["--port", "0"])
            .args(arguments)
            .current_dir(folder)
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let printed = Arc::new(Mutex::new(Vec::new()));
        follow(child.stdout.take().unwrap(), &printed);
        follow(child.stderr.take().unwrap(), &printed);
        let mut edge = Self { child, address: SocketAddr::from(([127, 0, 0, 1], 0)), printed };
        let line = edge.wait_for("The local edge listens on http://");
        edge.address = line.split("http://").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
        edge
    }

    /// The first line that has these words; waits for it.
    pub fn wait_for(&self, words: &str) -> String {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            let printed = self.printed.lock().unwrap().clone();
            if let Some(line) = printed.into_iter().find(|line| line.contains(words)) {
                return line;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("nobody said '{words}': {:#?}", self.printed.lock().unwrap());
    }

    /// The head and the body of an answer.
    pub fn ask(&self, request: &str) -> (String, String) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let (line, rest) = request.split_once('\n').unwrap_or((request, ""));
        // Header lines, and after an empty line a body.
        let rest = rest.split_once("\n\n").map_or_else(
            || format!("{rest}\n").trim_start().replace('\n', "\r\n") + "\r\n",
            |(lines, body)| format!("{}\r\n\r\n{body}", lines.replace('\n', "\r\n")),
        );
        let host = if rest.contains("Host:") { String::new() } else { format!("Host: {}\r\n", self.address) };
        write!(stream, "{line} HTTP/1.1\r\nConnection: close\r\n{host}{rest}").unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text}"));
        let chunked = head.to_lowercase().contains("transfer-encoding: chunked");
        (head.to_owned(), if chunked { unchunked(body) } else { body.to_owned() })
    }

    /// What the origin says that it was asked.
    #[allow(dead_code, reason = "not every test has an origin that says so")]
    pub fn origin_saw(&self, request: &str) -> Value {
        let (head, body) = self.ask(request);
        serde_json::from_str(&body).unwrap_or_else(|_| panic!("{head}\n\n{body}\n{:#?}", self.printed.lock().unwrap()))
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn follow(pipe: impl std::io::Read + Send + 'static, into: &Arc<Mutex<Vec<String>>>) {
    let into = Arc::clone(into);
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            into.lock().unwrap().push(line);
        }
    });
}

fn unchunked(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        whole.push_str(&rest[..size]);
        body = rest[size..].trim_start_matches("\r\n");
    }
    whole
}
