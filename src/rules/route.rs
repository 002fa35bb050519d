//! A route, compiled: names parsed, templates and conditions prepared, times in nanoseconds.

pub mod answer;
mod compile;

pub use answer::Answer;
pub use compile::{Beside, FALLBACK_STATUSES};

use std::rc::Rc;

use http::{HeaderName, Method, StatusCode};

use super::host_pattern::HostPattern;
use super::path::Pattern;
use super::stored::{self, QueryPolicy, SessionUse};
use super::template::Template;
use crate::attributes::FactSet;
use crate::condition::Condition;
use crate::growthbook::Schedule;
use crate::transform::body::BodyRules;
use crate::transform::media::Adapt;

/// The backend of a route that names none (design.md section 3).
pub const DEFAULT_BACKEND: &str = "origin";

/// A compiled route.
#[derive(Debug)]
pub struct Route {
    /// Its name.
    pub id: String,
    /// Where it stands: its dictionary's part and the JSON pointer within (`routes.2/routes/7`), for faults that are found late.
    pub place: String,
    /// Which paths.
    pub pattern: Pattern,
    /// Its kill switch.
    pub enabled: bool,
    /// Which host.
    pub host: Option<HostPattern>,
    /// Which methods.
    pub methods: Vec<Method>,
    /// Which visitors.
    pub when: Option<Condition>,
    /// When.
    pub schedule: Schedule,
    /// What happens.
    pub action: CompiledAction,
    /// Features that the answer depends on: those that are listed, and those that templates name. Sorted.
    pub feature_keys: Vec<String>,
    /// Experiments of their own, likewise.
    pub experiment_keys: Vec<String>,
    /// What happened, where the answer is 2xx or 303.
    pub event: Option<String>,
    /// What of the session the route uses.
    pub session: Option<SessionUse>,
    /// What the route reads, and so what has to be known before it is decided and planned.
    pub reads: RouteReads,
    /// Media that fit device and network.
    pub adapt: Option<Adapt>,
    /// What becomes of an answer's body.
    pub body: Rc<BodyRules>,
}

/// The attributes that a route reads, by the part that reads them. Features and experiments read more: see
/// [`RuleSet::facts_of_feature`](crate::rules::RuleSet::facts_of_feature).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RouteReads {
    /// Its `when`: who gets the route.
    pub choice: FactSet,
    /// The request's or the edge's own answer's templates, and media parameters: what goes to the origin.
    pub request: FactSet,
    /// Operations on the answer's body.
    pub body: FactSet,
}

/// What happens, with what it takes.
#[derive(Debug)]
pub enum CompiledAction {
    /// Rewritten, decided, sent to the origin.
    Personalize(Box<Personalize>),
    /// Sent to the origin as it is.
    Passthrough,
    /// Answered here.
    Respond(Box<Answer>),
    /// Answered here with a `Location`.
    Redirect {
        /// The status.
        status: StatusCode,
        /// Where to.
        location: Template,
    },
}

/// Edits of a request and what becomes of its answer.
#[derive(Debug)]
pub struct Personalize {
    /// The backend's name.
    pub backend: String,
    /// The path to ask for; without it, the client's.
    pub path: Option<Template>,
    /// What becomes of the client's query.
    pub query: QueryPolicy,
    /// Parameters to set, sorted by name.
    pub set_query: Vec<(String, Template)>,
    /// Parameters to remove; a trailing `*` stands for any rest.
    pub remove_query: Vec<String>,
    /// Headers to set.
    pub set_headers: Vec<(HeaderName, Template)>,
    /// Headers to remove.
    pub remove_headers: Vec<HeaderName>,
    /// How a shared answer is cached.
    pub cache: Option<Cache>,
    /// What is fetched when the personalized request fails.
    pub fallback: Fallback,
}

/// How a shared answer is cached.
#[derive(Debug)]
pub struct Cache {
    /// Times and keys, as stored.
    pub stored: stored::Cache,
    /// Client headers that shape the answer, sorted.
    pub key_headers: Vec<HeaderName>,
    /// Client cookies that shape the answer, sorted.
    pub key_cookies: Vec<String>,
}

/// What is fetched when the personalized request fails.
#[derive(Debug)]
pub struct Fallback {
    /// Path and query; without it, the client's own.
    pub path: Option<String>,
    /// The backend's name.
    pub backend: String,
    /// Statuses that count as failures.
    pub statuses: Vec<StatusCode>,
}

impl Route {
    /// Whether it depends on who asks that this is the match: a cache below the edge sees the URL alone.
    pub fn chooses_visitors(&self) -> bool {
        !self.reads.choice.is_within(FactSet::OF_THE_URL)
    }

    /// Whether what the route does with a request is the same whoever asks.
    pub fn is_same_for_all(&self) -> bool {
        let names_variations = !self.feature_keys.is_empty() || !self.experiment_keys.is_empty();
        let fits_visitors = self.session.is_some() || self.adapt.is_some() || self.rewrites_bodies();
        !names_variations && !fits_visitors && self.reads.request.is_within(FactSet::OF_THE_URL)
    }

    /// How the route's answers are shared; `None` where each is one visitor's.
    pub fn cache(&self) -> Option<&Cache> {
        match &self.action {
            CompiledAction::Personalize(personalize) => personalize.cache.as_ref(),
            _ => None,
        }
    }

    /// Whether requests are rewritten and decided.
    pub fn is_personalized(&self) -> bool {
        matches!(self.action, CompiledAction::Personalize(_))
    }

    /// Whether the page's visual experiments run here.
    pub fn runs_visual_experiments(&self) -> bool {
        self.body.edits_pages()
    }

    /// Whether bodies are rewritten.
    pub fn rewrites_bodies(&self) -> bool {
        !self.body.is_empty()
    }

    /// Whether the route is for `host` (lower case, without port).
    pub fn is_for_host(&self, host: &str) -> bool {
        self.host.as_ref().is_none_or(|pattern| pattern.fits(host).is_some())
    }

    /// Every template of the route.
    pub fn templates(&self) -> Vec<&Template> {
        match &self.action {
            CompiledAction::Passthrough => Vec::new(),
            CompiledAction::Respond(answer) => answer.templates().collect(),
            CompiledAction::Redirect { location, .. } => vec![location],
            CompiledAction::Personalize(personalize) => personalize
                .path
                .iter()
                .chain(personalize.set_query.iter().map(|(_, template)| template))
                .chain(personalize.set_headers.iter().map(|(_, template)| template))
                .collect(),
        }
    }
}
