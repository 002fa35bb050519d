//! The answer that the edge makes itself (`action: respond`): a text with placeholders, a template, or a value of the KV store.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde::Deserialize as _;
use serde_json::Value as Json;

use super::{Fallback, compile};
use crate::condition::Fault;
use crate::rules::stored::{self, MadeBody, RespondBody};
use crate::rules::template::{Place, Template};
use crate::transform::fault;
use crate::transform::reads::Reads;
use crate::transform::template::{Content, Kind, Template as PageTemplate, Templates};

/// What the keys of bodies begin with, in the KV store `rules`: revisions and payloads are no pages.
pub const KEY_PREFIX: &str = "page/";

/// An answer of the edge's own.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// Headers.
    pub headers: Vec<(HeaderName, Template)>,
    /// The body.
    pub body: AnswerBody,
    /// What is asked for where the body can't be made.
    pub fallback: Fallback,
}

/// The body of an answer of the edge's own.
#[derive(Debug)]
pub enum AnswerBody {
    /// A text with placeholders.
    Text(Template),
    /// A template.
    Page(PageTemplate, Kind),
    /// A value of the KV store.
    Stored(StoredBody),
}

/// A body that stands in the KV store `rules`.
#[derive(Debug)]
pub struct StoredBody {
    /// Its key behind [`KEY_PREFIX`].
    pub key: Template,
    /// What the value is for, where it is a template.
    pub kind: Option<Kind>,
    /// What a template may read; nothing else is there for it.
    pub reads: Reads,
}

impl Answer {
    /// Compiles `stored`; `compile` makes a template with placeholders of a text that stands at a pointer.
    ///
    /// # Errors
    ///
    /// The first fault, with its pointer within the route.
    pub(super) fn compile(
        stored: &stored::Respond,
        status: StatusCode,
        fallback: Fallback,
        templates: &mut Templates,
        compile: &dyn Fn(String, &str) -> Result<Template, Fault>,
    ) -> Result<Self, Fault> {
        let mut headers = Vec::new();
        for (name, text) in &stored.headers {
            let pointer = format!("/respond/headers/{name}");
            let header = compile::header_name(name).map_err(|message| fault(pointer.clone(), message))?;
            headers.push((header, compile(pointer, text)?));
        }
        let body = match read(&stored.body)? {
            Written::Text(text) => AnswerBody::Text(compile("/respond/body".to_owned(), &text)?),
            Written::Template(template) => {
                let kind = kind(&headers)?;
                let page = templates.compile(&Content::Named { template }, kind.clone());
                AnswerBody::Page(page.map_err(|message| fault("/respond/body/template", message))?, kind)
            }
            Written::Kv(kv, reads) => {
                if kv.is_empty() {
                    return Err(fault("/respond/body/kv", "expected a key, but found an empty one"));
                }
                let kind = reads.is_some().then(|| kind(&headers)).transpose()?;
                let mut declared = Reads::new();
                for path in reads.iter().flatten() {
                    add(&mut declared, path);
                }
                let key = compile("/respond/body/kv".to_owned(), &kv)?;
                AnswerBody::Stored(StoredBody { key, kind, reads: declared })
            }
        };
        let is_empty = matches!(&body, AnswerBody::Text(text) if text.is_fixed() && text.prefix().is_empty());
        if !is_empty && !headers.iter().any(|(name, _)| *name == header::CONTENT_TYPE) {
            let html = compile("/respond/headers".to_owned(), "text/html; charset=utf-8")?;
            headers.push((header::CONTENT_TYPE, html));
        }
        Ok(Self { status, headers, body, fallback })
    }

    /// The templates with placeholders.
    pub fn templates(&self) -> impl Iterator<Item = &Template> {
        let body = match &self.body {
            AnswerBody::Text(template) => Some(template),
            AnswerBody::Stored(stored) => Some(&stored.key),
            AnswerBody::Page(..) => None,
        };
        self.headers.iter().map(|(_, template)| template).chain(body)
    }

    /// What a template of the body reads, by the names that templates have.
    pub fn reads(&self) -> Option<&Reads> {
        match &self.body {
            AnswerBody::Text(_) => None,
            AnswerBody::Page(template, _) => Some(template.reads()),
            AnswerBody::Stored(stored) => Some(&stored.reads),
        }
    }
}

/// A body in one of its forms.
enum Written {
    Text(String),
    Template(String),
    Kv(String, Option<Vec<String>>),
}

/// Reads the body.
fn read(body: &Json) -> Result<Written, Fault> {
    const EXPECTED: &str = r#"expected a text, {"template": "<name>"} or {"kv": "<key>"}"#;
    let wrong = |found: &str| fault("/respond/body", format!("{EXPECTED}, but found {found}"));
    if body.is_null() {
        return Ok(Written::Text(String::new()));
    }
    let mut members = body.as_object().into_iter().flatten().map(|(key, _)| key);
    if let Some(other) =
        members.find(|key| !["template", "kv", "reads"].contains(&key.as_str()) && !key.starts_with('$'))
    {
        return Err(wrong(&format!("'{other}'")));
    }
    match RespondBody::deserialize(body) {
        Ok(RespondBody::Text(text)) => Ok(Written::Text(text)),
        Ok(RespondBody::Made(MadeBody { template: Some(template), kv: None, reads: None })) => {
            Ok(Written::Template(template))
        }
        Ok(RespondBody::Made(MadeBody { template: None, kv: Some(kv), reads })) => Ok(Written::Kv(kv, reads)),
        _ => Err(wrong("something else")),
    }
}

/// What a template is for, by the type that the answer says.
fn kind(headers: &[(HeaderName, Template)]) -> Result<Kind, Fault> {
    let Some((_, template)) = headers.iter().find(|(name, _)| *name == header::CONTENT_TYPE) else {
        return Ok(Kind::Html);
    };
    let written = template.prefix().to_ascii_lowercase();
    let kind = match written.split(';').next().unwrap_or_default().trim() {
        _ if !template.is_fixed() => None,
        "text/html" => Some(Kind::Html),
        "text/plain" => Some(Kind::Text),
        "application/json" => Some(Kind::Json),
        other => other.ends_with("+json").then_some(Kind::Json),
    };
    kind.ok_or_else(|| {
        let message = format!(
            "expected text/html, text/plain or application/json for a body that is a template, so that its values can be escaped, but found \
             '{written}'"
        );
        fault("/respond/headers/content-type", message)
    })
}

/// Adds a path as rules write it: of `feature.` and `experiment.`, the rest is one key.
fn add(reads: &mut Reads, path: &str) {
    match path.split_once('.') {
        Some((name @ ("feature" | "experiment"), key)) => reads.add_steps(&[name, key]),
        _ => reads.add_steps(&path.split('.').collect::<Vec<_>>()),
    }
}

/// How values are encoded in the body of an answer with these headers.
#[must_use]
pub fn body_place(headers: &HeaderMap) -> Place {
    let kind = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default().to_ascii_lowercase();
    let is = |name: &[u8]| kind.windows(name.len()).any(|window| window == name);
    if is(b"json") {
        Place::Json
    } else if is(b"text/plain") {
        Place::Text
    } else {
        // A browser may take anything else for a page.
        Place::Html
    }
}
