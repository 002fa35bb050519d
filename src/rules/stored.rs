//! Routes as they are stored: the flat shape that people write. Compiling gives it meaning ([`super::route`]).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::growthbook::stored::Schedule;

/// What happens to a request that matches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Rewritten, decided, sent to the origin.
    #[default]
    Personalize,
    /// Sent to the origin as it is.
    Passthrough,
    /// Answered here.
    Respond,
    /// Answered here with a `Location`.
    Redirect,
}

/// What becomes of the client's query.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum QueryPolicy {
    /// It goes on, in its order.
    #[default]
    Keep,
    /// It doesn't.
    Drop,
}

/// Which caches below the edge may keep an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Downstream {
    /// The visitor's own alone.
    #[default]
    Private,
    /// As the origin says: the answer is the same for all who ask for this URL with these headers.
    Origin,
}

/// One route.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Route {
    /// Its name in logs, surrogate keys and explanations.
    pub id: String,
    /// `/exact`, `/{name}`, `/rest/*`.
    pub path: String,
    /// `false` is the route's kill switch: its requests pass through, as `passthrough`.
    #[serde(default = "enabled")]
    pub enabled: bool,
    /// `www.example.com` or `*.example.com`; without it, any.
    #[serde(default)]
    pub host: Option<String>,
    /// Methods; without it, GET and HEAD. Unsafe ones are rewritten only where they are named.
    #[serde(default)]
    pub methods: Option<Vec<String>>,
    /// A condition on the context.
    #[serde(default)]
    pub when: Option<serde_json::Value>,
    /// From when until when.
    #[serde(default)]
    pub schedule: Schedule,
    /// What happens.
    #[serde(default)]
    pub action: Action,
    /// The backend's name; `origin` without it.
    #[serde(default)]
    pub backend: Option<String>,
    /// Edits of path and query.
    #[serde(default)]
    pub rewrite: Rewrite,
    /// Edits of request headers.
    #[serde(default)]
    pub request_headers: RequestHeaders,
    /// Features that the answer depends on.
    #[serde(default)]
    pub features: Vec<String>,
    /// Experiments of their own that the answer depends on.
    #[serde(default)]
    pub experiments: Vec<String>,
    /// What happened, where the answer is 2xx or 303: a line in the log `conversions`.
    #[serde(default)]
    pub event: Option<String>,
    /// What of the session the route uses.
    #[serde(default)]
    pub session: Option<SessionUse>,
    /// Media that fit device and network: see `docs/PERSONALIZING.md`.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(with = "Option<crate::transform::media::StoredAdapt>"))]
    pub adapt: Option<serde_json::Value>,
    /// Operations on pages: see `docs/PERSONALIZING.md`.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(with = "Vec<crate::transform::html::HtmlOperation>"))]
    pub html: Vec<serde_json::Value>,
    /// Edits of JSON answers: see `docs/PERSONALIZING.md`.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(with = "Option<crate::transform::json::JsonOperations>"))]
    pub json: Option<serde_json::Value>,
    /// With it the answer is shared by all with the same canonical request.
    #[serde(default)]
    pub cache: Option<Cache>,
    /// What is fetched when the personalized request fails.
    #[serde(default)]
    pub fallback: Option<Fallback>,
    /// The answer of `respond`.
    #[serde(default)]
    pub respond: Option<Respond>,
    /// The answer of `redirect`.
    #[serde(default)]
    pub redirect: Option<Redirect>,
}

fn enabled() -> bool {
    true
}

/// A list of the session that can be sent to the origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum SessionPart {
    /// SKUs looked at, the newest first.
    RecentViews,
    /// SKUs in the cart.
    Cart,
    /// Categories by weight, the heaviest first.
    Affinity,
}

/// What is done where the record at the edge isn't fresh.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum OnMiss {
    /// The central backend is asked, within the budget.
    #[default]
    Ask,
    /// The origin is told `Edge-Session: miss`, and personalizes.
    Origin,
}

/// What of the session a route uses. A request that carries some of it is one visitor's own.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct SessionUse {
    /// What is done where the record at the edge isn't fresh.
    pub on_miss: OnMiss,
    /// Query parameters, each with a list of the session, comma-separated.
    pub query: BTreeMap<String, SessionPart>,
    /// Lists in the JSON of header `Edge-Session-Data`.
    pub header: Vec<SessionPart>,
}

impl SessionUse {
    /// Whether some of the session goes to the origin.
    pub fn is_sent(&self) -> bool {
        !self.query.is_empty() || !self.header.is_empty()
    }
}

/// Edits of path and query.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Rewrite {
    /// A template; without it, the client's path.
    #[serde(default)]
    pub path: Option<String>,
    /// What becomes of the client's query.
    #[serde(default)]
    pub query: QueryPolicy,
    /// Parameters to set, each a template.
    #[serde(default)]
    pub set_query: BTreeMap<String, String>,
    /// Parameters to remove; `utm_*` removes all that start so.
    #[serde(default)]
    pub remove_query: Vec<String>,
}

/// Edits of request headers.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RequestHeaders {
    /// Headers to set, each a template.
    #[serde(default)]
    pub set: BTreeMap<String, String>,
    /// Headers to remove.
    #[serde(default)]
    pub remove: Vec<String>,
}

/// How a shared answer is cached at the edge; times in seconds.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Cache {
    /// How long it is fresh; without it, as the origin says.
    #[serde(default)]
    pub ttl: Option<u32>,
    /// How long a stale answer may serve while a fresh one is fetched.
    #[serde(default)]
    pub stale_while_revalidate: Option<u32>,
    /// How long a stale answer may serve while the origin fails.
    #[serde(default)]
    pub stale_if_error: Option<u32>,
    /// Purge handles.
    #[serde(default)]
    pub surrogate_keys: Vec<String>,
    /// Client headers that shape the answer: they go to the origin and into the key.
    #[serde(default)]
    pub key_headers: Vec<String>,
    /// Client cookies that shape the answer.
    #[serde(default)]
    pub key_cookies: Vec<String>,
    /// Which caches below the edge may keep it.
    #[serde(default)]
    pub downstream: Downstream,
}

/// What is fetched when the personalized request fails.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Fallback {
    /// A path, query included; without it, the client's own.
    #[serde(default)]
    pub path: Option<String>,
    /// Backend; without it, `origin`.
    #[serde(default)]
    pub backend: Option<String>,
    /// Statuses of the origin that count as failures.
    #[serde(default)]
    pub statuses: Option<Vec<u16>>,
}

/// The edge's own answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Respond {
    /// 200 without it.
    #[serde(default)]
    pub status: Option<u16>,
    /// Headers, each a template.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The body: a text with placeholders, a template, or a value of the KV store.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(with = "RespondBody"))]
    pub body: serde_json::Value,
}

/// The body of [`Respond`], as it may be written.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum RespondBody {
    /// A text with `{…}` placeholders.
    Text(String),
    /// What it is made of.
    Made(MadeBody),
}

/// What the body of [`Respond`] is made of: a template, or a value of the KV store `rules`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MadeBody {
    /// A whole page or document: its name in the `templates` dictionary.
    #[serde(default)]
    pub template: Option<String>,
    /// A key behind `page/`, with placeholders.
    #[serde(default)]
    pub kv: Option<String>,
    /// What that value reads, which makes it a template; without it, it is sent as it is.
    #[serde(default)]
    pub reads: Option<Vec<String>>,
}

/// An answer with a `Location`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Redirect {
    /// A template: a path or an absolute URL.
    pub location: String,
    /// 301, 302, 303, 307 or 308; 302 without it.
    #[serde(default)]
    pub status: Option<u16>,
}
