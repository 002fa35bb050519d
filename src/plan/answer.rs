//! The plan of an answer that the edge makes itself: head and body, or what is asked for where there is no body.

use http::{HeaderMap, StatusCode};
use serde_json::{Map, Value as Json};

use super::values::PlanValues;
use super::variant::Variant;
use super::{Action, FetchPlan, Plan, Planner, Privacy, exchange, facts, insert_filled};
use crate::code::Code;
use crate::rules::route::Route;
use crate::rules::route::answer::{Answer, AnswerBody as Compiled, KEY_PREFIX, StoredBody, body_place};
use crate::rules::template::Place;
use crate::transform::facts::Facts;
use crate::transform::fault;
use crate::transform::reads::Reads;
use crate::transform::template::{Content, Kind, Template, Templates};

/// Bytes of the longest body in the KV store that is sent as it is; a template is bounded by [`Templates`].
pub const MAX_STORED: usize = 1024 * 1024;
/// Bytes of the longest key that the platform's KV store takes.
const MAX_KEY: usize = 1024;

/// An answer made here.
#[derive(Debug)]
pub struct AnswerPlan {
    /// The status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: AnswerBody,
    /// What shaped it.
    pub variant: Variant,
}

/// The body of an answer made here.
#[derive(Debug)]
pub enum AnswerBody {
    /// It is here.
    Ready(String),
    /// It is made of a value of the KV store, which has to be read.
    Stored(Box<StoredPlan>),
}

/// How a body is made of a value of the KV store.
#[derive(Debug)]
pub struct StoredPlan {
    /// The whole key, in the KV store `rules`.
    pub key: String,
    /// What it is for and what it is filled with, where the value is a template; `None`: it is sent as it is.
    pub fill: Option<(Kind, Json)>,
    /// What is asked for where the body can't be made.
    pub otherwise: Box<FetchPlan>,
}

impl Default for AnswerBody {
    fn default() -> Self {
        Self::Ready(String::new())
    }
}

impl AnswerBody {
    /// The text, where it is here.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Ready(text) => Some(text),
            Self::Stored(_) => None,
        }
    }
}

impl StoredPlan {
    /// The body that the value makes, and whether a template wrote a value that is absent.
    ///
    /// # Errors
    ///
    /// The code of why it makes none, and the reason in words where a template is at fault.
    pub fn make(&self, value: Vec<u8>) -> Result<(Vec<u8>, bool), (Code, Option<String>)> {
        let Some((kind, facts)) = &self.fill else {
            return if value.len() > MAX_STORED { Err((Code::BodyTooLarge, None)) } else { Ok((value, false)) };
        };
        let source = String::from_utf8(value)
            .map_err(|_| (Code::TemplateFailed, Some("expected UTF-8, but found other bytes".to_owned())))?;
        // A template that is kept beside the rules' own would be kept for as long as they are.
        let mut templates = Templates::default();
        let template = templates
            .compile(&Content::Inline(source), kind.clone())
            .map_err(|message| (Code::TemplateFailed, Some(message)))?;
        let (text, absent) = rendered(&templates, &template, kind, facts)?;
        Ok((text.into_bytes(), absent))
    }
}

/// A template's output, checked for what it says it is.
fn rendered(
    templates: &Templates,
    template: &Template,
    kind: &Kind,
    facts: &Json,
) -> Result<(String, bool), (Code, Option<String>)> {
    let (text, absent) = templates
        .render_noting_absent(template, &Facts::new(facts))
        .map_err(|message| (Code::TemplateFailed, Some(message)))?;
    if *kind == Kind::Json
        && let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(&text)
    {
        return Err((Code::BodyMalformed, Some(format!("expected JSON, but found a mistake: {error}"))));
    }
    Ok((text.into_owned(), absent))
}

impl Planner<'_> {
    /// The answer of a route with `action: respond`.
    pub(super) fn own_answer(self, route: &Route, answer: &Answer, values: &PlanValues<'_>) -> Plan {
        let (mut headers, mut absent) = (HeaderMap::new(), false);
        for (name, template) in &answer.headers {
            absent |= !insert_filled(&mut headers, name, template, values);
        }
        let body = match &answer.body {
            Compiled::Text(template) => {
                let (text, lacks) = template.fill_what_is_there(values, body_place(&headers));
                absent |= lacks;
                AnswerBody::Ready(text)
            }
            Compiled::Page(template, kind) => {
                let made = rendered(&self.rules.templates.borrow(), template, kind, &facts::facts(values));
                match made {
                    Ok((text, lacks)) => {
                        absent |= lacks;
                        AnswerBody::Ready(text)
                    }
                    Err((code, message)) => {
                        let named = message.map(|message| fault("/respond/body/template", message));
                        facts::note(self.rules, route, named.into_iter().collect());
                        return self.without_answer(route, answer, code);
                    }
                }
            }
            Compiled::Stored(stored) => match self.stored(answer, stored, values) {
                Some(plan) => AnswerBody::Stored(Box::new(plan)),
                None => return self.without_answer(route, answer, Code::TemplateAbsent),
            },
        };
        let plan = self.answer(route, answer.status, headers, body, values);
        if absent { plan.coded(Code::TemplateAbsent) } else { plan }
    }

    /// How a body is read; `None` where a placeholder of its key has no value.
    fn stored(self, answer: &Answer, stored: &StoredBody, values: &PlanValues<'_>) -> Option<StoredPlan> {
        let key = stored.key.fill(values, Place::Path)?;
        let key = format!("{KEY_PREFIX}{key}");
        let fill = stored.kind.clone().map(|kind| (kind, only(&facts::facts(values), &stored.reads)));
        let otherwise = Box::new(self.instead(answer, Code::StoredBodyMissing));
        (key.len() <= MAX_KEY).then_some(StoredPlan { key, fill, otherwise })
    }

    /// The request that is made where the edge can't answer: the route's fallback, or the client's own.
    fn instead(self, answer: &Answer, code: Code) -> FetchPlan {
        let fallback = &answer.fallback;
        // A request that may do something goes where the client sent it.
        let target = fallback.path.as_deref().filter(|_| self.head.is_safe());
        let primary = exchange::instead(self.head, &self.rules.settings, &fallback.backend, target);
        FetchPlan { instead: Some(code), ..FetchPlan::of(primary) }
    }

    fn without_answer(self, route: &Route, answer: &Answer, code: Code) -> Plan {
        let plan = self.instead(answer, code);
        Plan::new(Some(route), Action::Fetch(Box::new(plan)), self.shown_by(route)).coded(code)
    }

    /// An answer, with the variant and the privacy that follow from what the route reads.
    pub(super) fn answer(
        self,
        route: &Route,
        status: StatusCode,
        headers: HeaderMap,
        body: AnswerBody,
        values: &PlanValues<'_>,
    ) -> Plan {
        let mut variant = Variant::default();
        values.add_dimensions(self.rules, route.templates().into_iter(), &mut variant);
        if let crate::rules::route::CompiledAction::Respond(answer) = &route.action
            && let Some(reads) = answer.reads()
        {
            values.add_read_dimensions(self.rules, reads, &mut variant);
        }
        values.add_variations(self.rules, &mut variant);
        let answer = AnswerPlan { status, headers, body, variant };
        Plan::new(Some(route), Action::Answer(answer), self.shown_by(route))
    }

    /// What an answer says of itself that shows what the route reads.
    fn shown_by(self, route: &Route) -> Privacy {
        let shown = self.rules.followed(route.reads.request);
        if shown.meets(self.rules.personal()) { Privacy::NoStore } else { Privacy::Private }
    }
}

/// What of `facts` stands at the paths of `reads`: nothing else is there for a template that the rules don't know.
fn only(facts: &Json, reads: &Reads) -> Json {
    let mut chosen = Json::Object(Map::new());
    for path in reads {
        let steps: Vec<&str> = match path.split_once('.') {
            // A key may have dots.
            Some((name @ ("feature" | "experiment"), key)) => vec![name, key],
            _ => path.split('.').collect(),
        };
        copy(facts, &steps, &mut chosen);
    }
    chosen
}

/// Copies what stands at a path of names; a list is copied whole.
fn copy(from: &Json, steps: &[&str], to: &mut Json) {
    let Some((name, below)) = steps.split_first() else { return };
    let (Some(found), Some(members)) = (from.get(name), to.as_object_mut()) else { return };
    if below.is_empty() || !found.is_object() {
        members.insert((*name).to_owned(), found.clone());
        return;
    }
    let inner = members.entry(*name).or_insert_with(|| Json::Object(Map::new()));
    copy(found, below, inner);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_template_of_the_store_gets_what_the_route_says_alone() {
        let facts = json!({ "country": "FR", "region": { "id": "EU", "slug": "europe" }, "feature": { "a.b": 1, "c": 2 },
            "session": { "cart": [{ "sku": "x" }], "attributes": { "tier": "gold", "age": 7 } } });
        let mut reads = Reads::new();
        for steps in
            [&["region", "id"][..], &["feature", "a.b"], &["session", "attributes", "tier"], &["session", "cart", "0"]]
        {
            reads.add_steps(steps);
        }
        assert_eq!(
            only(&facts, &reads),
            json!({ "region": { "id": "EU" }, "feature": { "a.b": 1 },
                "session": { "cart": [{ "sku": "x" }], "attributes": { "tier": "gold" } } })
        );
    }
}
