//! What the shop received, remembered for those who ask.

use std::collections::VecDeque;
use std::fmt::Write as _;

use hyper::http::request::Parts;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// How many requests are remembered; older ones are dropped.
const KEPT: usize = 4096;
/// Bodies up to this size are kept as text too.
const TEXT_LIMIT: usize = 64 * 1024;

/// One request as the origin received it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// Its place in the order of arrival, from 1.
    pub number: u64,
    /// The method.
    pub method: String,
    /// The request's target as it stood in the request line: path and query, still encoded.
    pub target: String,
    /// Header lines by name (lower case), duplicates kept; bytes beyond ASCII are shown as `\xNN`.
    pub headers: Vec<(String, String)>,
    /// The body's length in bytes.
    pub body_length: usize,
    /// The body's SHA-256 in hexadecimal.
    pub body_sha256: String,
    /// The body, where it is short and UTF-8.
    pub body: Option<String>,
}

impl Recorded {
    pub(crate) fn new(head: &Parts, body: &[u8]) -> Self {
        let target = head.uri.path_and_query().map_or_else(|| head.uri.to_string(), ToString::to_string);
        let headers = head
            .headers
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().escape_ascii().to_string()))
            .map(|(name, value)| (name, value.replace("\\\"", "\"").replace("\\'", "'").replace("\\\\", "\\")))
            .collect();
        let text = if body.len() <= TEXT_LIMIT { std::str::from_utf8(body).ok() } else { None };
        Self {
            number: 0,
            method: head.method.to_string(),
            target,
            headers,
            body_length: body.len(),
            body_sha256: hex(&Sha256::digest(body)),
            body: text.map(str::to_owned),
        }
    }

    /// The path, still encoded.
    #[must_use]
    pub fn path(&self) -> &str {
        self.target.split_once('?').map_or(&*self.target, |(path, _)| path)
    }

    /// The query, still encoded; `None` where there is no `?`.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.target.split_once('?').map(|(_, query)| query)
    }

    /// The first line of a header, by any spelling of its name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.header_lines(name).first().copied()
    }

    /// All lines of a header, by any spelling of its name.
    #[must_use]
    pub fn header_lines(&self, name: &str) -> Vec<&str> {
        let same = |found: &&(String, String)| found.0.eq_ignore_ascii_case(name);
        self.headers.iter().filter(same).map(|(_, value)| value.as_str()).collect()
    }

    /// As JSON, in the form that `/echo/…` and `/_requests` answer.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "number": self.number,
            "method": self.method,
            "target": self.target,
            "path": self.path(),
            "query": self.query(),
            "headers": self.headers,
            "body": { "length": self.body_length, "sha256": self.body_sha256, "text": self.body },
        })
    }
}

/// The latest requests.
#[derive(Debug, Default)]
pub(crate) struct RequestLog {
    next: u64,
    kept: VecDeque<Recorded>,
}

impl RequestLog {
    pub(crate) fn push(&mut self, mut request: Recorded) {
        self.next += 1;
        request.number = self.next;
        if self.kept.len() == KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(request);
    }

    pub(crate) fn since(&self, number: u64) -> Vec<Recorded> {
        self.kept.iter().filter(|request| request.number > number).cloned().collect()
    }

    pub(crate) fn forget(&mut self) {
        self.kept.clear();
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
