//! Log lines, read without copying: version 1 and version 2, and which of the four logs a line belongs to.
//!
//! A field that a version doesn't have is absent; a field that nobody here needs is passed over.

use std::borrow::Cow;
use std::fmt;
use std::sync::LazyLock;

use edge_personalizer::record::SCHEMA;
use memchr::memmem::Finder;
use serde::de::{self, Deserialize, Deserializer, Visitor};

use super::members::Raw;

/// How far into a line the fields stand that tell which log it is from.
const HEAD: usize = 320;

/// Which log a line belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Log {
    /// One a request.
    Decisions,
    /// One a variation that a visitor was assigned.
    Exposures,
    /// One an event that somebody reported.
    Conversions,
    /// One a fault.
    Errors,
}

/// The line's JSON, and the log where the line names it, as the local server's output does (`decisions :: {…}`). `None` for a line of
/// another program.
pub fn unwrapped(line: &[u8]) -> Option<(&[u8], Option<Log>)> {
    let line = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line).trim_ascii();
    if line.first() == Some(&b'{') {
        return Some((line, None));
    }
    // A container's runtime may put its own time in front of the endpoint's name.
    let at = memchr::memmem::find(line, b" :: {")?;
    let (before, json) = (line.get(..at)?, line.get(at + 4..)?);
    let log = match before.rsplit(u8::is_ascii_whitespace).next()? {
        b"decisions" => Log::Decisions,
        b"exposures" => Log::Exposures,
        b"conversions" => Log::Conversions,
        b"errors" => Log::Errors,
        _ => return None,
    };
    Some((json, Some(log)))
}

/// Which log a line is from, by fields that the others don't have. Quotes within a text are escaped, so that no text looks like a key.
pub fn log_of(line: &[u8]) -> Option<Log> {
    static KEYS: LazyLock<[(Finder<'static>, Log); 5]> = LazyLock::new(|| {
        [
            ("\"total_ms\"", Log::Decisions),
            ("\"experiment_id\"", Log::Exposures),
            ("\"event\"", Log::Conversions),
            ("\"code\"", Log::Errors),
            ("\"status\"", Log::Decisions),
        ]
        .map(|(key, log)| (Finder::new(key), log))
    });
    static TRACE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"trace_id\":"));
    // The edge's own order of fields, so that most lines are known by their beginning.
    if TRACE.find(line.get(..HEAD).unwrap_or(line)).is_some() {
        return Some(Log::Decisions);
    }
    // A value may be the same text: only a key has a colon behind it.
    let is_key = |end: usize| line.get(end..).is_some_and(|rest| rest.trim_ascii_start().first() == Some(&b':'));
    KEYS.iter().find_map(|(key, log)| key.find_iter(line).any(|at| is_key(at + key.needle().len())).then_some(*log))
}

/// A text: of the line itself, unless it holds an escape.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Text<'a>(pub Cow<'a, str>);

impl Text<'_> {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Text<'de>;
            fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
                to.write_str("a text")
            }
            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Either)
    }
}

/// The text, or an empty one.
pub fn or_empty<'t>(text: &'t Option<Text<'_>>) -> &'t str {
    text.as_ref().map_or("", Text::as_str)
}

/// The version of a line: one that isn't known here makes the line one that can't be read, for its fields may mean something else.
#[derive(Debug, Default)]
pub struct Version;

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let version = Option::<u32>::deserialize(deserializer)?;
        if version.is_some_and(|version| version > SCHEMA) {
            Err(de::Error::custom("a later version"))
        } else {
            Ok(Self)
        }
    }
}

/// A line of `decisions`, as far as a report reads it.
#[derive(Debug, serde::Deserialize)]
pub struct Decision<'a> {
    #[serde(rename = "v", default)]
    _version: Version,
    #[serde(borrow)]
    pub time: Text<'a>,
    #[serde(borrow)]
    pub request_id: Option<Text<'a>>,
    #[serde(borrow)]
    pub pop: Option<Text<'a>>,
    #[serde(borrow)]
    pub revision: Option<Text<'a>>,
    #[serde(borrow)]
    pub route: Option<Text<'a>>,
    #[serde(default, deserialize_with = "or_default")]
    pub status: u16,
    #[serde(borrow)]
    pub variant: Option<Raw<'a>>,
    #[serde(default = "one", deserialize_with = "or_one")]
    pub pass: u8,
    #[serde(borrow)]
    pub fallback: Option<Text<'a>>,
    #[serde(borrow)]
    pub session: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub errors: Vec<Text<'a>>,
    #[serde(default, deserialize_with = "or_default")]
    pub cold: bool,
    #[serde(default, deserialize_with = "or_default")]
    pub preview: bool,
    pub total_ms: Option<f64>,
    pub origin_ms: Option<f64>,
    pub vcpu_ms: Option<u64>,
    /// Version 2: the rate that kept this line.
    pub sample: Option<f64>,
    /// Version 2: which slot of the day the visitor is in.
    pub slot: Option<u16>,
}

/// A value that an export may write as `null` where it is absent.
fn or_default<'de, T: Deserialize<'de> + Default, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Where a line doesn't say it.
pub fn one() -> u8 {
    1
}

fn or_one<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u8, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_else(one))
}

/// A line of `exposures`.
#[derive(Debug, serde::Deserialize)]
pub struct Exposure<'a> {
    #[serde(rename = "v", default)]
    _version: Version,
    #[serde(borrow)]
    pub timestamp: Text<'a>,
    #[serde(borrow)]
    pub revision: Option<Text<'a>>,
    #[serde(borrow)]
    pub experiment_id: Text<'a>,
    #[serde(borrow)]
    pub variation_id: Text<'a>,
    pub variation: u16,
    #[serde(borrow)]
    pub unit_type: Text<'a>,
    #[serde(borrow)]
    pub unit_id: Text<'a>,
    #[serde(default = "yes", deserialize_with = "or_yes")]
    pub shown: bool,
    #[serde(borrow)]
    pub fallback: Option<Text<'a>>,
    /// Version 2: which log key made the pseudonym.
    #[serde(borrow)]
    pub key: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "or_default")]
    pub attributes: Attributes<'a>,
}

fn yes() -> bool {
    true
}

fn or_yes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_else(yes))
}

/// What is looked at of an exposure's attributes.
#[derive(Debug, Default, serde::Deserialize)]
pub struct Attributes<'a> {
    #[serde(borrow)]
    pub country: Option<Text<'a>>,
    #[serde(borrow, rename = "deviceType")]
    pub device: Option<Text<'a>>,
}

/// A line of `conversions` (since version 2).
#[derive(Debug, serde::Deserialize)]
pub struct Conversion<'a> {
    #[serde(rename = "v", default)]
    _version: Version,
    #[serde(borrow)]
    pub timestamp: Text<'a>,
    #[serde(borrow)]
    pub event: Text<'a>,
    #[serde(borrow)]
    pub event_id: Option<Text<'a>>,
    pub value: Option<f64>,
    #[serde(borrow)]
    pub currency: Option<Text<'a>>,
    #[serde(borrow)]
    pub source: Option<Text<'a>>,
    #[serde(borrow)]
    pub unit_type: Option<Text<'a>>,
    #[serde(borrow)]
    pub unit_id: Option<Text<'a>>,
}

/// A line of `errors`.
#[derive(Debug, serde::Deserialize)]
pub struct ErrorLine<'a> {
    #[serde(rename = "v", default)]
    _version: Version,
    #[serde(borrow)]
    pub time: Text<'a>,
    #[serde(borrow)]
    pub code: Text<'a>,
    #[serde(borrow)]
    pub fault: Option<Fault<'a>>,
}

/// The rule that an error is about. A line from a database may have an empty one.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub struct Fault<'a> {
    #[serde(borrow)]
    pub dictionary: Text<'a>,
    #[serde(borrow)]
    pub pointer: Text<'a>,
    #[serde(borrow)]
    pub message: Text<'a>,
}

#[cfg(test)]
mod tests {
    use super::super::members;
    use super::*;

    #[test]
    fn a_line_is_known_by_its_fields_in_any_order() {
        for (line, log) in [
            (r#"{"v":1,"time":"t","request_id":"a","trace_id":"b","path":"/x"}"#, Some(Log::Decisions)),
            (r#"{"status":200,"total_ms":1}"#, Some(Log::Decisions)),
            (r#"{"v":1,"timestamp":"t","experiment_id":"e"}"#, Some(Log::Exposures)),
            (r#"{"event":"order","event_id":"o1"}"#, Some(Log::Conversions)),
            (r#"{"time":"t","code":"rule-fault"}"#, Some(Log::Errors)),
            (r#"{"path":"\"experiment_id\"","status":200}"#, Some(Log::Decisions)),
            (r#"{"errors":[],"route":"event","status":200,"total_ms":1}"#, Some(Log::Decisions)),
            (r#"{"errors":["code"],"session":"event" , "status" : 200}"#, Some(Log::Decisions)),
            (r#"{"total_ms":1,"variant":{"event":"a"}}"#, Some(Log::Decisions)),
            (r#"{"level":"info"}"#, None),
        ] {
            assert_eq!(log_of(line.as_bytes()), log, "{line}");
        }
    }

    #[test]
    fn the_local_servers_output_is_taken_as_it_is() {
        assert_eq!(unwrapped(b"decisions :: {\"a\":1}\r"), Some((&b"{\"a\":1}"[..], Some(Log::Decisions))));
        let timed = b"2026-11-24T04:53:30.1Z stdout F exposures :: {\"a\":1}";
        assert_eq!(unwrapped(timed), Some((&b"{\"a\":1}"[..], Some(Log::Exposures))));
        assert_eq!(unwrapped("\u{feff}{\"a\":1}".as_bytes()), Some((&b"{\"a\":1}"[..], None)));
        assert_eq!(unwrapped(b"of others :: {\"a\":1}"), None);
        assert_eq!(unwrapped(b"2026-11-24T04:53:30Z  INFO request{id=0}: handled"), None);
    }

    #[test]
    fn what_an_export_writes_as_null_is_absent() {
        let line = r#"{"v":null,"time":"t","status":null,"errors":null,"cold":null,"preview":null,"pass":null,"pop":null,"total_ms":null}"#;
        let read: Decision<'_> = members::read(line.as_bytes(), &mut members::Layout::default()).unwrap();
        assert!(read.status == 0 && read.errors.is_empty() && !read.cold && !read.preview && read.pop.is_none());
        assert_eq!(read.pass, 1);
        let line = r#"{"timestamp":"t","experiment_id":"e","variation_id":"1","variation":1,"unit_type":"id","unit_id":"x","shown":null,"key":null,"attributes":null}"#;
        let read: Exposure<'_> = members::read(line.as_bytes(), &mut members::Layout::default()).unwrap();
        assert!(read.shown && read.key.is_none());
        let not = line.replace(r#""shown":null"#, r#""shown":false"#);
        let read: Exposure<'_> = members::read(not.as_bytes(), &mut members::Layout::default()).unwrap();
        assert!(!read.shown);
        let known = r#"{"time":"t","status":503,"errors":["loop"],"cold":true,"preview":true}"#;
        let read: Decision<'_> = members::read(known.as_bytes(), &mut members::Layout::default()).unwrap();
        assert!(read.status == 503 && read.errors[0].as_str() == "loop" && read.cold && read.preview);
    }

    #[test]
    fn an_escaped_text_is_read_too() {
        let line = r#"{"timestamp":"t","experiment_id":"a\"b","variation_id":"1","variation":1,"unit_type":"id","unit_id":"x","attributes":{}}"#;
        let read: Exposure<'_> = serde_json::from_str(line).unwrap();
        assert_eq!(read.experiment_id.as_str(), "a\"b");
        assert!(matches!(read.unit_id.0, Cow::Borrowed("x")) && read.shown && read.key.is_none());
    }
}
