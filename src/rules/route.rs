//! A route, compiled: names parsed, templates and conditions prepared, times in nanoseconds.

mod compile;

pub use compile::FALLBACK_STATUSES;

use std::cell::OnceCell;
use std::rc::Rc;

use http::{HeaderName, Method, StatusCode};
use time::OffsetDateTime;

use super::path::Pattern;
use super::stored::{self, OnMiss, QueryPolicy, SessionUse};
use super::template::{Source, Template};
use crate::adapt::Adapt;
use crate::condition::Condition;
use crate::plan::body::BodyRules;

/// The backend of a route that names none (design.md section 3).
pub const DEFAULT_BACKEND: &str = "origin";

/// Attributes that the URL alone decides; `now` changes for all at once.
const OF_THE_URL: [&str; 10] =
    ["url", "host", "path", "query", "utmSource", "utmMedium", "utmCampaign", "utmTerm", "utmContent", "now"];

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
    /// Which host, lower case; `.example.com` for any below it.
    pub host: Option<String>,
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
    /// What of the session the route uses.
    pub session: Option<SessionUse>,
    /// What has to be known before the route can be decided.
    pub needs: Needs,
    /// Media that fit device and network.
    pub adapt: Option<Adapt>,
    /// Operations on pages, as stored.
    pub html: Vec<serde_json::Value>,
    /// Edits of JSON answers, as stored.
    pub json: Option<serde_json::Value>,
    /// Both, compiled when a request first comes near: they need the rule set's templates.
    pub body: OnceCell<Rc<BodyRules>>,
}

/// What has to be known of a visitor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Needs {
    /// What device it is, and whether it is a bot.
    pub device: bool,
    /// Who asks.
    pub person: bool,
    /// The same the next time: a new visitor gets an id.
    pub keeps: bool,
    /// The session.
    pub session: bool,
    /// Where the session isn't fresh, the origin is told instead of the central backend asked.
    pub origin_on_miss: bool,
}

impl Needs {
    /// What this and `other` need together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            device: self.device || other.device,
            person: self.person || other.person,
            keeps: self.keeps || other.keeps,
            session: self.session || other.session,
            // Asking is the safer of the two: whoever gets the route has what it needs.
            origin_on_miss: (self.origin_on_miss || !self.session) && (other.origin_on_miss || !other.session),
        }
    }
}

/// From (inclusive) until (exclusive).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Schedule {
    /// The first moment.
    pub from: Option<OffsetDateTime>,
    /// The first moment after.
    pub until: Option<OffsetDateTime>,
}

impl Schedule {
    /// Whether `now` is within.
    pub fn holds(&self, now: OffsetDateTime) -> bool {
        self.from.is_none_or(|from| from <= now) && self.until.is_none_or(|until| now < until)
    }
}

/// What happens, with what it takes.
#[derive(Debug)]
pub enum CompiledAction {
    /// Rewritten, decided, sent to the origin.
    Personalize(Box<Personalize>),
    /// Sent to the origin as it is.
    Passthrough,
    /// Answered here.
    Respond {
        /// The status.
        status: StatusCode,
        /// Headers.
        headers: Vec<(HeaderName, Template)>,
        /// The body.
        body: Template,
    },
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

/// A fault within one route: JSON pointer and "expected …, but found …".
pub type RouteFault = (String, String);

impl Route {
    fn needs(&self) -> Needs {
        let reads = |names: &[&str]| {
            self.when.as_ref().is_some_and(|when| when.attributes_used().any(|name| names.contains(&name)))
        };
        let templates = self.templates();
        let fills = |wanted: fn(&Source) -> bool| templates.iter().any(|template| template.sources().any(wanted));
        let session = self.session.is_some()
            || reads(&["session", "segments"])
            || fills(|source| matches!(source, Source::Session(_)))
            || self.html.iter().chain(&self.json).any(|operation| operation.to_string().contains("session"));
        let bucketed = !self.feature_keys.is_empty() || !self.experiment_keys.is_empty();
        let keeps = session || bucketed || reads(&["id", "visitorId"]);
        let named = fills(|source| matches!(source, Source::UserId)) || reads(&["userId", "loggedIn"]);
        // An origin that is asked for one visitor is told who it is, where that is proven.
        let private = matches!(&self.action, CompiledAction::Personalize(personalize) if personalize.cache.is_none());
        let origin_on_miss = self.session.as_ref().is_some_and(|session| session.on_miss == OnMiss::Origin);
        let person = keeps || named || private;
        let device = person
            || reads(&["deviceType", "browser", "os"])
            || fills(|source| matches!(source, Source::DeviceType))
            || self.adapt.as_ref().is_some_and(Adapt::uses_device);
        Needs { device, person, keeps, session, origin_on_miss }
    }

    /// Whether it depends on who asks that this is the match: a cache below the edge sees the URL alone.
    pub fn chooses_visitors(&self) -> bool {
        self.when.as_ref().is_some_and(|when| when.attributes_used().any(|name| !OF_THE_URL.contains(&name)))
    }

    /// Whether what the route does with a request is the same whoever asks.
    pub fn is_same_for_all(&self) -> bool {
        let of_the_url = |source: &Source| matches!(source, Source::PathParameter(_) | Source::PathRest);
        let names_arms = !self.feature_keys.is_empty() || !self.experiment_keys.is_empty();
        let fits_visitors = self.session.is_some() || self.adapt.is_some() || self.rewrites_bodies();
        !names_arms && !fits_visitors && self.templates().into_iter().flat_map(Template::sources).all(of_the_url)
    }

    /// Whether requests are rewritten and decided.
    pub fn is_personalized(&self) -> bool {
        matches!(self.action, CompiledAction::Personalize(_))
    }

    /// Whether the page's visual experiments run here.
    pub fn runs_visual_experiments(&self) -> bool {
        !self.html.is_empty()
    }

    /// Whether bodies are rewritten.
    pub fn rewrites_bodies(&self) -> bool {
        !self.html.is_empty() || self.json.is_some() || self.adapt.as_ref().is_some_and(Adapt::filters_playlists)
    }

    /// Whether the answer may hold something of the visitor's session.
    pub fn shows_session(&self) -> bool {
        self.rewrites_bodies() && self.needs.session
    }

    /// Whether the route is for `host` (lower case, without port).
    pub fn is_for_host(&self, host: &str) -> bool {
        match self.host.as_deref() {
            None => true,
            Some(pattern) if pattern.starts_with('.') => {
                host.strip_suffix(pattern).is_some_and(|label| !label.is_empty())
            }
            Some(exact) => exact == host,
        }
    }

    /// Every template of the route.
    pub fn templates(&self) -> Vec<&Template> {
        match &self.action {
            CompiledAction::Passthrough => Vec::new(),
            CompiledAction::Respond { headers, body, .. } => {
                headers.iter().map(|(_, template)| template).chain([body]).collect()
            }
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
