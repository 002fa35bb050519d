//! Record: one line a request, after the answer is on its way. No address, cookie, query or user id in clear.

pub mod conversion;
mod exposure;
pub mod fields;
pub mod path;
mod visit;

use serde::Serialize;
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};

use crate::attributes::{self, Kind};
use crate::code::Code;
use crate::condition::{Attributes, Value};
use crate::mac::MacKey;
use crate::plan::variant::Variant;
use crate::platform::{Endpoint, Platform};
use crate::rules::Fault;
use crate::rules::settings::LogSettings;
use crate::rules::settings::attributes::OwnAttributes;

pub use crate::plan::sketch::ShadowDifference;
pub use exposure::exposures;
pub use visit::{Visit, happened, record};

/// The version of the lines' shape.
pub const SCHEMA: u32 = 2;
/// Longest text in a line, in bytes: Fastly takes lines of 16 kB.
const MAX_TEXT: usize = 512;
/// Most faults named a request; the first ones tell the story.
const MAX_FAULTS: usize = 20;
/// Most members of a list among `facts`.
const MAX_LIST: usize = 32;

/// A line of `decisions`. Times in milliseconds. [`fields`] says what each field is.
#[derive(Debug, Default, Serialize)]
pub struct DecisionLine<'a> {
    /// [`SCHEMA`].
    pub v: u32,
    /// When the request came (RFC 3339, UTC).
    pub time: String,
    /// The request's id.
    pub request_id: &'a str,
    /// The trace's id.
    pub trace_id: &'a str,
    /// The data centre.
    pub pop: &'a str,
    /// The deployed version.
    pub service_version: u64,
    /// The revision of the rules; `null` at bare names.
    pub revision: Option<&'a str>,
    /// Which of the pointer's revisions that is: `active`, `canary`, `previous`, `last`; `null` where no rules served.
    pub role: Option<crate::rules::Role>,
    /// Where the shadow's plan differs; `null` where there is no shadow, or no difference.
    pub shadow: Option<ShadowDifference>,
    /// The route; `null` where none matched.
    pub route: Option<&'a str>,
    /// The method.
    pub method: &'a str,
    /// The path without query, as [`path::shown`] leaves it; what `settings.log.redact` names is taken out before.
    pub path: &'a str,
    /// The answer's status.
    pub status: u16,
    /// The region; `null` where no rule asked.
    pub region: Option<&'a str>,
    /// The country.
    pub country: Option<&'a str>,
    /// The class of the device; `null` where nothing asked.
    pub device: Option<&'a str>,
    /// Dimension → value.
    pub variant: VariantMap<'a>,
    /// Attributes that settings allow here, so that the request can be decided again.
    pub facts: serde_json::Map<String, serde_json::Value>,
    /// Which of 65,536 slots of the day the visitor is in ([`slot`]); absent without a unit or a key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slot: Option<u16>,
    /// The share of such lines that is kept, 0 to 1.
    pub sample: f64,
    /// SHA-256 of the canonical request in hexadecimal; `null` where the request is not shared.
    pub cache_key: Option<String>,
    /// The backend that answered.
    pub backend: Option<&'a str>,
    /// The path that it was asked for.
    pub backend_path: Option<String>,
    /// The shield that was asked, by its code; `null` where the backend was.
    pub shield: Option<&'a str>,
    /// 1; 2 where this is the shield, which decides nothing.
    pub pass: u8,
    /// Why the fallback was taken.
    pub fallback: Option<String>,
    /// How good the session was; `null` where nobody looked.
    pub session: Option<&'a str>,
    /// Its age in seconds.
    pub session_age: Option<u64>,
    /// Milliseconds that it took.
    pub session_ms: Option<u64>,
    /// Whether a signed preview was on.
    pub preview: bool,
    /// Codes of what went wrong, each once.
    pub errors: &'a [Code],
    /// The sandbox's first request.
    pub cold: bool,
    /// Look-ups in the config store.
    pub lookups: u32,
    /// From the request to the answer's head.
    pub total_ms: f64,
    /// From the request to the end of the answer's body, as far as the edge sends it itself.
    pub done_ms: f64,
    /// Resolving rules.
    pub rules_ms: f64,
    /// From the first backend request to the head of the answer.
    pub origin_ms: Option<f64>,
    /// vCPU of this request, where the platform says.
    pub vcpu_ms: Option<u64>,
    /// Mebibytes of heap that the sandbox uses at the request's end, where the platform says.
    pub heap_mib: Option<u32>,
    /// The body's length, where the origin said.
    pub bytes: Option<u64>,
}

/// A variant as a JSON object.
#[derive(Debug, Default)]
pub struct VariantMap<'a>(pub Option<&'a Variant>);

impl Serialize for VariantMap<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.into_iter().flat_map(Variant::iter))
    }
}

#[derive(Serialize)]
struct ErrorLine<'a> {
    v: u32,
    time: &'a str,
    request_id: &'a str,
    code: Code,
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<&'a Fault>,
}

/// A line of `exposures`: one for each variation that a visitor was assigned. Its columns are those that GrowthBook's
/// assignment query reads (`docs/EXPERIMENTS.md`).
#[derive(Debug, Serialize)]
pub struct ExposureLine<'a> {
    /// [`SCHEMA`].
    pub v: u32,
    /// When (RFC 3339, UTC).
    pub timestamp: &'a str,
    /// The request's id.
    pub request_id: &'a str,
    /// The revision of the rules.
    pub revision: Option<&'a str>,
    /// The experiment's key.
    pub experiment_id: &'a str,
    /// The variation's key.
    pub variation_id: &'a str,
    /// The variation's index.
    pub variation: usize,
    /// The feature whose rule ran the experiment.
    pub feature_id: Option<&'a str>,
    /// Which attribute was hashed.
    pub unit_type: &'a str,
    /// Its value's pseudonym.
    pub unit_id: String,
    /// The id of the key that made it: figures of two keys are of two sets of visitors.
    pub key: &'a str,
    /// Whether the variation was remembered.
    pub sticky: bool,
    /// Whether the visitor got the answer as it was decided.
    pub shown: bool,
    /// Why not: the code of what went wrong, or `status-` and the status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback: Option<&'a str>,
    /// Attributes that settings allow here.
    pub attributes: serde_json::Map<String, serde_json::Value>,
}

/// Those of the attributes called `names` that are scalars and tell nobody from the others. Texts are cut.
pub fn allowed_attributes(
    context: &dyn Attributes,
    own: &OwnAttributes,
    log: &LogSettings,
    names: &[String],
) -> serde_json::Map<String, serde_json::Value> {
    let mut attributes = serde_json::Map::new();
    for name in names.iter().filter(|name| !tells_who(own, name)) {
        let value = match context.attribute(name) {
            Some(Value::String(text)) if name == "path" => bounded(&path::shown(&log.redaction.of(&text).path)).into(),
            Some(Value::String(text)) => bounded(&text).into(),
            Some(Value::Bool(truth)) => truth.into(),
            Some(Value::Number(number)) => serde_json::json!(number),
            Some(Value::Json(_) | Value::Null) | None => continue,
        };
        attributes.insert(name.clone(), value);
    }
    attributes
}

/// The facts that `settings.log.facts` allows. What doesn't fit is left out, for half a fact would decide otherwise; lists of texts
/// (`segments`) are taken as well.
fn facts(
    context: &dyn Attributes,
    own: &OwnAttributes,
    log: &LogSettings,
) -> serde_json::Map<String, serde_json::Value> {
    let mut facts = allowed_attributes(context, own, log, &log.facts);
    for name in log.facts.iter().filter(|name| !tells_who(own, name)) {
        match context.attribute(name) {
            Some(Value::String(text)) if text.len() > MAX_TEXT => {
                facts.remove(name);
            }
            Some(Value::Json(serde_json::Value::Array(list))) => {
                let length: Option<usize> = list.iter().map(|member| member.as_str().map(str::len)).sum();
                if list.len() <= MAX_LIST && length.is_some_and(|length| length <= MAX_TEXT) {
                    facts.insert(name.clone(), list.clone().into());
                }
            }
            _ => {}
        }
    }
    facts
}

/// Which of 65,536 slots of a day a unit is in: 16 bits of HMAC-SHA256 over the day (UTC, `2026-11-24`) and the unit. A line in a slot
/// names no visitor, and lines of one visitor can be told to belong together.
#[must_use]
pub fn slot(key: &MacKey, at: OffsetDateTime, unit: &str) -> u16 {
    let day = at.to_offset(UtcOffset::UTC).date().to_string();
    let [high, low, ..] = key.tag(&[b"edge-personalizer log slot ", day.as_bytes(), b" ", unit.as_bytes()]);
    u16::from_be_bytes([high, low])
}

/// Whether an attribute may tell one visitor from the others. A URL may, by what is in its query.
fn tells_who(own: &OwnAttributes, name: &str) -> bool {
    match attributes::find(name) {
        Some(known) => {
            (known.identifies && known.kind != Kind::Truth && name != "segments") || matches!(name, "url" | "query")
        }
        None => own.find(name).is_none_or(|(_, own)| own.identifies),
    }
}

/// Writes the line of an exposure.
pub fn exposure<P: Platform>(platform: &P, line: &ExposureLine<'_>) {
    write(platform, Endpoint::Exposures, line);
}

/// Writes the line of a request.
pub fn decision<P: Platform>(platform: &P, line: &DecisionLine<'_>) {
    write(platform, Endpoint::Decisions, line);
}

/// Names faults of the rules and other errors, each with its code.
pub fn errors<P: Platform>(
    platform: &P,
    time: &str,
    request_id: &str,
    revision: Option<&str>,
    faults: &[Fault],
    codes: &[Code],
) {
    for code in codes.iter().copied().filter(|code| *code != Code::RuleFault) {
        write(platform, Endpoint::Errors, &ErrorLine { v: SCHEMA, time, request_id, code, revision, fault: None });
    }
    for fault in faults.iter().take(MAX_FAULTS) {
        // A key or a text of the rules may be as long as an entry.
        let fault = Fault::new(&fault.dictionary, bounded(&fault.pointer), bounded(&fault.message));
        let line = ErrorLine { v: SCHEMA, time, request_id, code: Code::RuleFault, revision, fault: Some(&fault) };
        write(platform, Endpoint::Errors, &line);
    }
}

fn write<P: Platform>(platform: &P, endpoint: Endpoint, line: &impl Serialize) {
    if let Ok(text) = serde_json::to_string(line) {
        platform.log(endpoint, &text);
    }
}

/// RFC 3339 in UTC.
pub fn timestamp(now: time::OffsetDateTime) -> String {
    now.format(&Rfc3339).unwrap_or_default()
}

/// A text that somebody else chose, for a log line: bounded, on a character's border.
pub fn bounded(text: &str) -> &str {
    let mut end = text.len().min(MAX_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

/// Whether `request_id` is among a share `sample` (0 to 1) of all: decided by the id, so that all lines of a request are there or
/// none.
pub fn is_sampled(request_id: &str, sample: f64) -> bool {
    if sample >= 1.0 {
        return true;
    }
    let bits = request_id.get(..8).and_then(|digits| u32::from_str_radix(digits, 16).ok()).unwrap_or_default();
    f64::from(bits) < sample * f64::from(u32::MAX)
}
