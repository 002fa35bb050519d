//! The fields of the log lines: the one table from which the documents and the schema files come.
//!
//! A shape that changes gets a new [`SCHEMA`](super::SCHEMA); readers take the earlier ones too.

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// A time (RFC 3339, UTC).
    Time,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// True or false.
    Truth,
    /// A list of texts.
    List,
    /// An object.
    Object,
}

impl Kind {
    /// The word in documents.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Time => "time",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Truth => "true/false",
            Self::List => "list",
            Self::Object => "object",
        }
    }
}

/// Whether a field is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// Always, with a value.
    Always,
    /// Always; `null` where there is nothing to say.
    Null,
    /// Not where there is nothing to say.
    Absent,
}

impl Presence {
    /// The word in documents.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Always => "",
            Self::Null => "or `null`",
            Self::Absent => "or absent",
        }
    }
}

/// One field of a line.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Whether it is there.
    pub presence: Presence,
    /// The version of the shape in which it came.
    pub since: u32,
    /// What it says, as Markdown.
    pub says: &'static str,
}

const fn field(name: &'static str, kind: Kind, presence: Presence, since: u32, says: &'static str) -> Field {
    Field { name, kind, presence, since, says }
}

use Kind::{Integer, List, Number, Object, Text, Time, Truth};
use Presence::{Absent, Always, Null};

/// The version's field, alike in all lines.
const V: Field = field("v", Integer, Always, 1, "the version of the shape");

/// A line of `decisions`, in the order of its fields.
pub const DECISIONS: &[Field] = &[
    V,
    field("time", Time, Always, 1, "when the request came"),
    field(
        "request_id",
        Text,
        Always,
        1,
        "the request's id; the answer of a personalized route has it in `X-Request-ID`",
    ),
    field("trace_id", Text, Always, 1, "the trace's id (W3C Trace Context)"),
    field("pop", Text, Always, 1, "the data centre"),
    field("service_version", Integer, Always, 1, "the deployed version of the service"),
    field("revision", Text, Null, 1, "the revision of the rules; `null` at bare names, and where no rules served"),
    field(
        "role",
        Text,
        Null,
        2,
        "which rules that were: `active`, `canary`, `previous` (`revision` can't serve yet), `last` (nothing that the pointer names can). Version 1 called it `arm`",
    ),
    field(
        "shadow",
        Object,
        Null,
        1,
        "where the shadow's plan differs: `route`, `region`, `features`, `path`, each as the shadow has it",
    ),
    field("route", Text, Null, 1, "the route; `null` where none matched"),
    field("method", Text, Always, 1, "the method"),
    field(
        "path",
        Text,
        Always,
        1,
        "the path, no query. What follows `;` in a segment (`;jsessionid=…`), and a segment with `@`, like a token, or of nine digits and more, is `redacted`",
    ),
    field("status", Integer, Always, 1, "the answer's status"),
    field("region", Text, Null, 1, "the region; `null` where no rule asked"),
    field("country", Text, Null, 1, "the country; `null` where no rule asked, or nobody knows"),
    field(
        "device",
        Text,
        Null,
        2,
        "the device's class; `null` where no rule asked (`log.facts` with `deviceType` asks)",
    ),
    field("variant", Object, Always, 1, "what shaped the answer: dimension → value"),
    field(
        "facts",
        Object,
        Always,
        2,
        "the attributes of `log.facts`, so that a [replay](ROLLOUT.md#replay) can decide again. One that isn't there is unknown",
    ),
    field(
        "slot",
        Integer,
        Absent,
        2,
        "which of 65,536 slots of the day the visitor is in: it tells visitors from requests and names nobody. Absent without an id that may be used, or a key",
    ),
    field(
        "sample",
        Number,
        Always,
        2,
        "the share of such lines that is kept. 1 for what failed or fell back: those are all there",
    ),
    field("cache_key", Text, Null, 1, "the cache key in hexadecimal; `null` where the request isn't shared"),
    field("backend", Text, Null, 1, "the backend that answered"),
    field("backend_path", Text, Null, 1, "the path that it was asked for, as `path`"),
    field("shield", Text, Null, 1, "the shield that was asked, by its code"),
    field(
        "pass",
        Integer,
        Always,
        1,
        "1; 2 for the line that a shield wrote of the same request (it decides nothing: no `revision`, no `route`)",
    ),
    field("fallback", Text, Null, 1, "why the fallback was taken: a `backend-…` code, or `status-` and the status"),
    field("session", Text, Null, 1, "the session's state; `null` where nobody looked"),
    field("session_age", Integer, Null, 1, "its age in seconds"),
    field("session_ms", Integer, Null, 1, "milliseconds that it took"),
    field("preview", Truth, Always, 1, "whether a signed preview was on"),
    field("errors", List, Always, 1, "[codes](ROLLOUT.md#codes) of what went wrong, each once"),
    field("cold", Truth, Always, 1, "whether it was the sandbox's first request"),
    field("lookups", Integer, Always, 1, "look-ups in the config store"),
    field("total_ms", Number, Always, 1, "milliseconds from the request to the answer's head"),
    field("done_ms", Number, Always, 1, "to the end of the answer, as far as the edge sends it itself"),
    field("rules_ms", Number, Always, 1, "resolving the rules"),
    field("origin_ms", Number, Null, 1, "from the first backend request to the head of the answer"),
    field("vcpu_ms", Integer, Null, 1, "milliseconds of vCPU (the platform ends a request at 50)"),
    field("heap_mib", Integer, Null, 1, "mebibytes of heap in use at the end"),
    field("bytes", Integer, Null, 1, "the body's length, where the origin said"),
];

/// A line of `exposures`.
pub const EXPOSURES: &[Field] = &[
    V,
    field("timestamp", Time, Always, 1, "when the request came"),
    field("request_id", Text, Always, 1, "the request's id"),
    field("revision", Text, Null, 1, "the revision of the rules"),
    field("experiment_id", Text, Always, 1, "the experiment's key"),
    field("variation_id", Text, Always, 1, "the variation's key"),
    field("variation", Integer, Always, 1, "its index"),
    field("feature_id", Text, Null, 1, "the feature whose rule ran the experiment"),
    field("unit_type", Text, Always, 1, "the attribute that was hashed"),
    field("unit_id", Text, Always, 1, "its value's pseudonym"),
    field(
        "key",
        Text,
        Always,
        2,
        "the log key's id. After a rotation every unit is new: never join figures across keys",
    ),
    field("sticky", Truth, Always, 1, "whether the variation was remembered"),
    field("shown", Truth, Always, 1, "whether the visitor got the answer as it was decided"),
    field(
        "fallback",
        Text,
        Absent,
        1,
        "why not: `status-` and the status, or a code: `backend-…`, `body-…`, `template-absent`",
    ),
    field("attributes", Object, Always, 1, "the attributes of `log.exposure_attributes`"),
];

/// A line of `conversions`.
pub const CONVERSIONS: &[Field] = &[
    V,
    field("timestamp", Time, Always, 2, "when the request came"),
    field(
        "request_id",
        Text,
        Always,
        2,
        "the request's id. It joins nothing: an order is another request than the page",
    ),
    field("revision", Text, Null, 2, "the revision of the rules"),
    field("event", Text, Always, 2, "what happened: `order`"),
    field("event_id", Text, Absent, 2, "which one. An event with an id counts once"),
    field("value", Number, Absent, 2, "how much"),
    field("currency", Text, Absent, 2, "of what (ISO 4217)"),
    field(
        "source",
        Text,
        Always,
        2,
        "who says so: `origin` (`Edge-Event`), `route` (its `event`), `browser`: anybody can send that",
    ),
    field("unit_type", Text, Always, 2, "`id`"),
    field("unit_id", Text, Always, 2, "the visitor's pseudonym, as in `exposures`"),
    field("key", Text, Always, 2, "the log key's id, as in `exposures`"),
    field("attributes", Object, Always, 2, "the attributes of `log.exposure_attributes`"),
];

/// A line of `errors`.
pub const ERRORS: &[Field] = &[
    V,
    field("time", Time, Always, 1, "when the request came"),
    field("request_id", Text, Always, 1, "the request's id"),
    field("code", Text, Always, 1, "the [code](ROLLOUT.md#codes)"),
    field("revision", Text, Absent, 1, "the revision of the rules"),
    field("fault", Object, Absent, 1, "for `rule-fault`: `dictionary`, `pointer`, `message`"),
];

/// Every kind of line, by its endpoint.
pub const LINES: &[(&str, &[Field])] =
    &[("decisions", DECISIONS), ("exposures", EXPOSURES), ("conversions", CONVERSIONS), ("errors", ERRORS)];

/// The rows of the table in the documents, of one kind of line: name, type, what it says, the version since when it is there.
#[must_use]
pub fn rows(fields: &[Field]) -> String {
    let row = |field: &Field| {
        let kind = format!("{} {}", field.kind.word(), field.presence.word());
        format!("| `{}` | {} | {} | {} |\n", field.name, kind.trim_end(), field.since, field.says)
    };
    fields.iter().map(row).collect()
}

/// The JSON Schema (2020-12) of each kind of line, by `log-` and its endpoint. More fields may come within a version: they are welcome.
#[cfg(feature = "schema")]
#[must_use]
pub fn schemas() -> Vec<(String, serde_json::Value)> {
    LINES.iter().map(|(endpoint, fields)| (format!("log-{endpoint}"), schema(endpoint, fields))).collect()
}

#[cfg(feature = "schema")]
fn schema(endpoint: &str, fields: &[Field]) -> serde_json::Value {
    use serde_json::{Map, Value, json};
    let property = |field: &Field| {
        let kind = match field.kind {
            Text | Time => "string",
            Integer => "integer",
            Number => "number",
            Truth => "boolean",
            List => "array",
            Object => "object",
        };
        let kind = if field.presence == Null { json!([kind, "null"]) } else { json!(kind) };
        let mut property = json!({ "description": field.says, "type": kind });
        if let Some(members) = property.as_object_mut() {
            match (field.name, field.kind) {
                ("v", _) => members.insert("const".to_owned(), json!(super::SCHEMA)),
                (_, Time) => members.insert("format".to_owned(), json!("date-time")),
                (_, List) => members.insert("items".to_owned(), json!({ "type": "string" })),
                _ => None,
            };
        }
        (field.name.to_owned(), property)
    };
    let required: Vec<&str> = fields.iter().filter(|field| field.presence != Absent).map(|field| field.name).collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": format!("a line of {endpoint}"),
        "type": "object",
        "properties": Value::Object(fields.iter().map(property).collect::<Map<_, _>>()),
        "required": required,
    })
}
