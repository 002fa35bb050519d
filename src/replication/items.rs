//! The body of a replication request: updates, one by one.

use http::{HeaderMap, header};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use time::OffsetDateTime;

use crate::session::patch::Patch;
use crate::session::record::{millis, time_ms, updated_ms};
use crate::session::stamp::{Action, Update};
use crate::session::subject::UserId;
use crate::session::subject::VisitorId;
use crate::session::{RecordLimits, Subject};

/// Milliseconds that a sender's clock may be ahead. A record further in the future would win over every update to
/// come.
const MOST_AHEAD: i64 = 5 * 60 * 1000;

/// How the items are separated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// One JSON object a line.
    Lines,
    /// A JSON array of objects, or one object.
    Json,
}

impl Format {
    /// The format that `Content-Type` names; `None` for any other, for none, and for several.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(header::CONTENT_TYPE).into_iter();
        let (value, None) = (values.next()?, values.next()) else {
            return None;
        };
        let mut parts = value.to_str().ok()?.split(';').map(str::trim_ascii);
        let format = match parts.next()?.to_ascii_lowercase().as_str() {
            "application/x-ndjson" | "application/ndjson" | "application/jsonl" | "application/x-jsonlines" => {
                Self::Lines
            }
            "application/json" => Self::Json,
            _ => return None,
        };
        // JSON is UTF-8 (RFC 8259, section 8.1).
        let foreign = parts.any(|parameter| {
            let parameter = parameter.to_ascii_lowercase();
            let charset = parameter.strip_prefix("charset=").map(|charset| charset.trim_matches('"').to_owned());
            charset.is_some_and(|charset| charset != "utf-8" && charset != "utf8")
        });
        (!foreign).then_some(format)
    }
}

/// Why a body holds no items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyFault {
    /// More items than are taken at once.
    TooMany,
    /// Not what the content type says.
    Malformed(&'static str),
}

/// An item: whose record, and what happens to it; or why it can't be used.
pub(super) type Item = Result<(Subject, Update), String>;

/// The items of a body, in their order.
pub(super) fn read(
    format: Format,
    body: &[u8],
    most: usize,
    limits: &RecordLimits,
    now: OffsetDateTime,
) -> Result<Vec<Item>, BodyFault> {
    let text = std::str::from_utf8(body).map_err(|_| BodyFault::Malformed("expected UTF-8, but found other bytes"))?;
    let texts: Vec<&str> = match format {
        Format::Lines => text.lines().map(str::trim_ascii).filter(|line| !line.is_empty()).take(most + 1).collect(),
        Format::Json if text.trim_ascii_start().starts_with('{') => vec![text],
        Format::Json => serde_json::from_str::<Vec<&RawValue>>(text)
            .map_err(|_| BodyFault::Malformed("expected a JSON array of updates, but found something else"))?
            .into_iter()
            .map(RawValue::get)
            .collect(),
    };
    if texts.len() > most {
        return Err(BodyFault::TooMany);
    }
    let latest = millis(now).saturating_add(MOST_AHEAD);
    Ok(texts.into_iter().map(|text| item(text, limits, latest)).collect())
}

fn item(text: &str, limits: &RecordLimits, latest: i64) -> Item {
    let object: Map<String, Value> =
        serde_json::from_str(text).map_err(|error| format!("expected a JSON object: {error}"))?;
    let subject = subject(&object)?;
    let record = object.get("record");
    let time = object
        .get("updated_at")
        .or_else(|| record?.get("updated_at"))
        .ok_or("updated_at: expected a time, but found none")?;
    let ms = updated_ms(time).ok_or_else(|| match time_ms(time) {
        Some(_) => "updated_at: expected milliseconds since 1970, but found what looks like seconds".to_owned(),
        None => "updated_at: expected milliseconds since 1970 or an RFC 3339 time, but found something else".to_owned(),
    })?;
    if ms > latest {
        return Err("updated_at: expected a time that has come, but found one more than five minutes ahead".to_owned());
    }
    let patch = || {
        let fields = record
            .and_then(Value::as_object)
            .ok_or_else(|| "record: expected an object with the record's fields, but found none".to_owned())?;
        let mut issues = Vec::new();
        let patch = Patch::read(fields, limits, &mut issues);
        match issues.first() {
            None => Ok(patch),
            Some(issue) => Err(format!("record.{issue}")),
        }
    };
    let action = match object.get("op").and_then(Value::as_str) {
        Some("put") => Action::Put(patch()?),
        Some("merge") => Action::Merge(patch()?),
        Some("delete") => Action::Delete,
        _ => {
            return Err("op: expected `put`, `merge` or `delete`, but found something else".to_owned());
        }
    };
    Ok((subject, Update::new(ms, action)))
}

fn subject(object: &Map<String, Value>) -> Result<Subject, String> {
    let text = |name: &str| object.get(name).and_then(Value::as_str);
    match (object.get("user"), object.get("visitor")) {
        (Some(_), None) => text("user").and_then(UserId::parse).map(Subject::User).ok_or_else(|| {
            "user: expected 1 to 128 characters of A-Z a-z 0-9 . _ @ : + - |, but found something else".to_owned()
        }),
        (None, Some(_)) => text("visitor")
            .and_then(VisitorId::parse)
            .map(Subject::Visitor)
            .ok_or_else(|| "visitor: expected 32 lower-case hexadecimal digits, but found something else".to_owned()),
        _ => Err("expected either `user` or `visitor`".to_owned()),
    }
}
