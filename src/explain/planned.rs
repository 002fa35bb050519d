//! A plan, for reading.

use std::collections::BTreeMap;

use http::{HeaderMap, StatusCode};
use serde::Serialize;

use super::lines;
use crate::admit::RequestHead;
use crate::code::Code;
use crate::context::Context;
use crate::fetch;
use crate::plan::variant::Variant;
use crate::plan::{Action, AnswerBody, Exchange, Plan};
use crate::platform::Caching;
use crate::respond;
use crate::rules::RuleSet;

/// What is done.
#[derive(Debug, Serialize)]
pub struct Planned {
    /// The route; `null` where none matched.
    pub route: Option<String>,
    /// Dimension → value: what shaped the request or the answer.
    pub variant: BTreeMap<String, String>,
    /// The request to the origin; `null` where the edge answers.
    pub asks: Option<Asked>,
    /// What is asked for when that fails.
    pub falls_back_to: Option<Asked>,
    /// Statuses of the first answer that count as failures.
    pub fails_on: Vec<u16>,
    /// The answer that the edge makes itself.
    pub answers: Option<Answered>,
    /// Headers that the edge adds or changes on an answer of 200 without headers of its own.
    pub adds: Vec<(String, String)>,
    /// Whether the answer's body may be rewritten.
    pub rewrites_body: bool,
    /// Codes of what can't be done as the rules say.
    pub codes: Vec<Code>,
}

/// A request to a backend, exactly.
#[derive(Debug, Serialize)]
pub struct Asked {
    /// The backend's name.
    pub backend: String,
    /// Method.
    pub method: String,
    /// Scheme, host, path and query.
    pub url: String,
    /// Every header line; ids of request and trace differ from request to request.
    pub headers: Vec<(String, String)>,
    /// How the edge's cache treats it.
    pub cache: Sent,
}

/// How the edge's cache treats a request.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Sent {
    /// It passes the cache.
    Pass,
    /// As the origin's headers say.
    Origin,
    /// Shared by all with the same canonical request.
    Shared {
        /// SHA-256 of the canonical request.
        key: String,
        /// Seconds; as the origin says where it is `null`.
        ttl: Option<u32>,
        /// Purge handles.
        surrogate_keys: Vec<String>,
    },
}

/// An answer that the edge makes itself.
#[derive(Debug, Serialize)]
pub struct Answered {
    /// The status.
    pub status: u16,
    /// Every header line.
    pub headers: Vec<(String, String)>,
    /// The body; empty where it is made of a value of the KV store.
    pub body: String,
    /// That value's key in the KV store `rules`.
    pub kv: Option<String>,
}

/// Puts a plan into words.
pub(super) fn describe(head: &RequestHead, rules: &RuleSet, context: Option<&Context>, plan: Plan) -> Planned {
    let variant = plan.variant().clone();
    let Plan { action, terms, codes } = plan;
    let mut planned = Planned {
        route: terms.route.clone(),
        variant: map(&variant),
        asks: None,
        falls_back_to: None,
        fails_on: Vec::new(),
        answers: None,
        adds: Vec::new(),
        rewrites_body: false,
        codes,
    };
    let mut headers = HeaderMap::new();
    match action {
        Action::Fetch(plan) => {
            respond::ask_for_hints(&mut headers, &plan.hints);
            respond::finish_head(StatusCode::OK, &mut headers, &terms, &variant, true);
            planned.adds = lines(&headers);
            planned.asks = Some(asked(&plan.primary));
            planned.rewrites_body = plan.body.is_some();
            if let Some(fallback) = &plan.fallback {
                let second = context.and_then(|context| fallback.exchange(head, rules, context));
                planned.falls_back_to = second.as_ref().map(asked);
                planned.fails_on = fallback.statuses().iter().map(StatusCode::as_u16).collect();
            }
        }
        Action::Answer(mut plan) => {
            respond::finish_head(plan.status, &mut plan.headers, &terms, &variant, true);
            let (body, kv) = match plan.body {
                AnswerBody::Ready(text) => (text, None),
                AnswerBody::Stored(stored) => {
                    planned.falls_back_to = Some(asked(&stored.otherwise.primary));
                    (String::new(), Some(stored.key))
                }
            };
            planned.answers = Some(Answered { status: plan.status.as_u16(), headers: lines(&plan.headers), body, kv });
        }
    }
    planned
}

fn map(variant: &Variant) -> BTreeMap<String, String> {
    variant.iter().map(|(dimension, value)| (dimension.to_owned(), value.to_owned())).collect()
}

fn asked(exchange: &Exchange) -> Asked {
    let cache = match &exchange.caching {
        Caching::Pass => Sent::Pass,
        Caching::Origin { .. } => Sent::Origin,
        Caching::Keyed { ttl, surrogate_keys, .. } => Sent::Shared {
            key: fetch::key_hex(exchange).unwrap_or_default(),
            ttl: *ttl,
            surrogate_keys: surrogate_keys.split(' ').map(str::to_owned).collect(),
        },
    };
    Asked {
        backend: exchange.backend.clone(),
        method: exchange.method.to_string(),
        url: exchange.url.clone(),
        headers: lines(&exchange.headers),
        cache,
    }
}
